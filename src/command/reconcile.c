/* reconcile.c: vodhook reconcile: puts catch_up, cloud, inbox and outputs together, and remembers how far it got. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/time_parse.h"
#include "command/caller.h"
#include "command/commands.h"
#include "command/outputs.h"
#include "command/setup.h"
#include "inbox/lookup.h"
#include "inbox/sink.h"
#include "open_inbox.h"
#include "record/message_ids.h"
#include "show.h"
#include "source/catch_up.h"
#include "source/intake.h"

static const int64_t MILLISECOND = 1000, SECOND = 1000000, HOUR = INT64_C(3600) * 1000000;
static const int64_t TASKS_KNOWN = 72 * HOUR; /* Source: API, DescribeTasks */
/* A list may show a task a little later than the time at which it says that the task ended. */
static const int64_t OVERLAP = 600 * SECOND;
static const int64_t PROGRESS_INTERVAL = SECOND / 10;
static const int64_t SLEEP_MOST = SECOND / 10; /* a signal that comes just before a sleep waits for its end */
static const int64_t RECORD_RETRY = SECOND / 5, RECORD_MOST = 30 * SECOND;
static const int64_t FLUSH_MOST = 10 * SECOND; /* for a slow reader of stdout */

static volatile sig_atomic_t stopped; /* the number of the signal */

struct reconcile {
    struct caller caller;
    struct outputs outputs;
    struct intake *intake;
    struct inbox_reader *reader; /* NULL where there is no inbox yet */
    struct catch_up *catch_up;
    struct event_decoder *decoder; /* with --check-only */
    struct show show;
    bool check_only, from_last, shows_progress;
    int64_t progress_at;
    char tasks_name[64], uploads_name[64]; /* of the marks in the inbox */
};

/* --- The world of catch_up --------------------------------------------------------------------------- */

static void on_signal(int number)
{
    stopped = number;
}

/* The second signal ends the program at once. */
static void take_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static bool stopping(void *userdata)
{
    (void)userdata;
    return stopped;
}

static bool give_up(void *userdata, bool receiving)
{
    (void)userdata;
    (void)receiving;
    return stopped;
}

static int64_t now_monotonic(void *userdata)
{
    (void)userdata;
    return clock_now(CLOCK_MONOTONIC);
}

static int64_t now_wall(void *userdata)
{
    (void)userdata;
    return clock_now(CLOCK_REALTIME);
}

static void wait_until(void *userdata, int64_t until)
{
    int64_t left;
    (void)userdata;
    while (!stopped && (left = until - clock_now(CLOCK_MONOTONIC)) > 0)
        usleep((useconds_t)clock_earlier(left, SLEEP_MOST));
}

/* The line is overwritten by whatever comes next. */
static void show_progress(struct reconcile *c)
{
    int64_t now = clock_now(CLOCK_MONOTONIC);
    if (!c->shows_progress || now < c->progress_at)
        return;
    const struct catch_up_stats *s = catch_up_stats(c->catch_up);
    dprintf(STDERR_FILENO,
            "%" PRIu64 " tasks and %" PRIu64 " files looked at, %" PRIu64 " missing, %" PRIu64 " calls\r",
            s->tasks, s->files, s->missing, s->calls);
    c->progress_at = now + PROGRESS_INTERVAL;
}

static int call_cloud(void *userdata, const char *action, struct slice body, struct reply *ret)
{
    struct reconcile *c = userdata;
    show_progress(c);
    if (c->outputs.recorder)
        recorder_flush(c->outputs.recorder);
    return cloud_call(c->caller.cloud, action, body, ret);
}

static int has_task(void *userdata, const char *task_id)
{
    struct reconcile *c = userdata;
    return c->reader ? inbox_reader_has_task(c->reader, task_id) : 0;
}

static int has_upload(void *userdata, const char *file_id)
{
    struct reconcile *c = userdata;
    return c->reader ? inbox_reader_has_upload(c->reader, file_id) : 0;
}

/* --- What is missing ---------------------------------------------------------------------------------- */

static int write_out(struct buffer *out)
{
    for (size_t done = 0; done < out->len;) {
        ssize_t n = write(STDOUT_FILENO, out->data + done, out->len - done);
        if (n < 0 && errno != EINTR)
            return -errno;
        done += n > 0 ? (size_t)n : 0;
    }
    buffer_reset(out, 0);
    return 0;
}

/* Shows the event as it would be recorded. One without a task's id is known by what it says. */
static int show_missing(struct reconcile *c, struct slice text)
{
    const struct json *json;
    struct event event;
    if (event_decode(c->decoder, text.data, text.len, &json, &event) != BODY_EVENT)
        return log_error_errno(EBADMSG, "An event that was put together from the API cannot be read: %m");
    struct record record = {
        .kind = RECORD_EVENT,
        .time = clock_now(CLOCK_REALTIME),
        .source = SOURCE_RECONCILE,
        .remote = c->caller.endpoint.host,
        .trust = TRUST_VERIFIED,
        .event = &event,
        .json = json,
        .body = text,
        .body_bytes = text.len,
    };
    int r = digest_event(&event, json, record.digest);
    if (r >= 0 && c->reader)
        r = inbox_reader_has_digest(c->reader, record.digest);
    if (r != 0)
        return r < 0 ? r : 0;
    r = show_record(&c->show, &record);
    if (r >= 0)
        r = write_out(&c->show.out);
    return r < 0 ? r : 1;
}

/* Records one event by itself, so that nobody else waits for the lock longer than for one sync. */
static int record_missing(struct reconcile *c, struct slice text)
{
    struct arrival arrival = {
        .source = SOURCE_RECONCILE,
        .remote = c->caller.endpoint.host,
        .time = clock_now(CLOCK_REALTIME),
        .right_path = true,
        .post = true,
        .body = text,
        .body_bytes = text.len,
    };
    int64_t until = clock_now(CLOCK_MONOTONIC) + RECORD_MOST;
    uint64_t duplicates = recorder_stats(c->outputs.recorder)->duplicates;
    int r;
    for (;;) {
        r = intake_put(c->intake, &arrival, NULL);
        int committed = recorder_commit(c->outputs.recorder);
        r = r < 0 ? r : committed;
        if (r >= 0 || stopped || clock_now(CLOCK_MONOTONIC) > until)
            break;
        arrival.again = true;
        wait_until(c, clock_now(CLOCK_MONOTONIC) + RECORD_RETRY);
    }
    if (r < 0)
        return log_error_errno(r, "Failed to record what is missing: %m");
    return recorder_stats(c->outputs.recorder)->duplicates == duplicates;
}

static int take(void *userdata, struct slice event)
{
    struct reconcile *c = userdata;
    return c->check_only ? show_missing(c, event) : record_missing(c, event);
}

/* --- How far back ------------------------------------------------------------------------------------- */

/* What the inbox let go must not come back: where it did so, only what ended after its oldest event is looked at. */
static int oldest_kept(struct reconcile *c, int64_t *ret)
{
    static const struct inbox_filter first = {
        .any_trust = true, .in_order_of_id = true, .since = INT64_MIN, .until = INT64_MAX};
    int64_t oldest, last;
    struct record record;
    *ret = 0;
    int r = c->reader ? inbox_reader_range(c->reader, &oldest, &last) : 0;
    if (r < 0 || !c->reader || oldest <= 1)
        return r;
    r = inbox_reader_query(c->reader, &first, 0, last);
    if (r >= 0)
        r = inbox_reader_next(c->reader, &record);
    if (r > 0)
        *ret = record.time;
    inbox_reader_pause(c->reader);
    return r < 0 ? r : 0;
}

/* From when on the run looks, by the mark of that name where --since is last. */
static int find_start(struct reconcile *c, const struct options *o, const char *mark, int64_t oldest,
                      int64_t *ret)
{
    const char *since = options_string(o, "since");
    int64_t now = clock_now(CLOCK_REALTIME), duration, until = 0;
    int64_t keep = now - options_number(o, "inbox-keep") * MILLISECOND;
    *ret = now - TASKS_KNOWN;
    if (parse_duration(since, &duration) == 0) {
        *ret = now - clock_earlier(duration, now / MILLISECOND) * MILLISECOND;
    } else if (!c->from_last) {
        parse_time(since, now, ret); /* the table has checked it */
    } else {
        int r = c->reader ? inbox_reader_recall(c->reader, mark, &until) : 0;
        if (r < 0)
            return r;
        if (r > 0 && until - OVERLAP > *ret)
            *ret = until - OVERLAP;
    }
    int64_t least = oldest > keep ? oldest : keep;
    if (*ret < least)
        *ret = least;
    return 0;
}

/* A mark is moved only by a run that began at it and got to its end. */
static int remember(struct reconcile *c)
{
    const struct catch_up_stats *s = catch_up_stats(c->catch_up);
    if (c->check_only || !c->from_last)
        return 0;
    int r = sink_inbox_remember(c->outputs.inbox, c->tasks_name, s->tasks_until);
    if (r >= 0 && s->uploads_until)
        r = sink_inbox_remember(c->outputs.inbox, c->uploads_name, s->uploads_until);
    return r;
}

/* --- Putting together --------------------------------------------------------------------------------- */

static enum exit_status open_outputs(struct reconcile *c, const struct options *o)
{
    struct intake_config intake = {.decode_memory_max = LIMIT_DECODE};
    if (strcmp(options_string(o, "inbox"), "none") == 0) {
        log_error("%s: there is no inbox to compare with: --inbox FILE names one",
                  options_origin(o, "inbox"));
        return EXIT_CONFIGURATION;
    }
    if (c->check_only) {
        c->show = (struct show){
            .format = strcmp(options_nth(o, "output", 0), "json") == 0 ? SHOW_JSON : SHOW_LINE,
            .color = outputs_color(),
        };
        return event_decoder_new(LIMIT_DECODE, &c->decoder) < 0 ? EXIT_UNKNOWN : EXIT_DONE;
    }
    enum exit_status status = outputs_new(o, &c->outputs);
    if (status == EXIT_DONE && intake_new(&intake, c->outputs.recorder, &c->intake) < 0)
        status = EXIT_FAILED;
    return status;
}

/* A check may find no inbox: then everything is missing. */
static int open_reader(struct reconcile *c, const struct options *o)
{
    const char *path = options_string(o, "inbox");
    if (c->check_only && access(path, F_OK) < 0 && errno == ENOENT)
        return 0;
    return open_inbox_at(path, &c->reader);
}

static enum catch_up_uploads uploads_of(const char *word)
{
    return strcmp(word, "on") == 0    ? CATCH_UP_UPLOADS_ON
           : strcmp(word, "off") == 0 ? CATCH_UP_UPLOADS_OFF
                                      : CATCH_UP_UPLOADS_AUTO;
}

static int make_catch_up(struct reconcile *c, const struct options *o)
{
    struct catch_up_config config = {
        .world = {call_cloud, now_monotonic, now_wall, wait_until, stopping, has_task, has_upload, take, c},
        .remote = c->caller.endpoint.host,
        .secret_id = secret_slice(&c->caller.keys.id),
        .sub_app_id = c->caller.sub_app_id,
        .rate = options_number(o, "rate"),
        .grace = options_number(o, "grace") * MILLISECOND,
        .uploads = uploads_of(options_string(o, "uploads")),
    };
    int64_t oldest;
    snprintf(c->tasks_name, sizeof c->tasks_name, "reconciled-tasks.%" PRId64, c->caller.sub_app_id);
    snprintf(c->uploads_name, sizeof c->uploads_name, "reconciled-uploads.%" PRId64, c->caller.sub_app_id);
    int r = oldest_kept(c, &oldest);
    if (r >= 0)
        r = find_start(c, o, c->tasks_name, oldest, &config.tasks_from);
    if (r >= 0)
        r = find_start(c, o, c->uploads_name, oldest, &config.uploads_from);
    if (r >= 0)
        r = catch_up_new(&config, &c->catch_up);
    return r < 0 ? log_error_errno(r, "Failed to look into the inbox: %m") : 0;
}

static void print_end_line(const struct reconcile *c, int r)
{
    const struct catch_up_stats *s = catch_up_stats(c->catch_up);
    cleanup(buffer_done) struct buffer b = {0};
    buffer_printf(&b, "%s %" PRIu64 " tasks and %" PRIu64 " files: %" PRIu64 " events were missing%s",
                  r < 0 ? "Stopped after" : "Compared", s->tasks, s->files, s->missing,
                  s->missing && !c->check_only ? " and are recorded" : "");
    if (s->young)
        buffer_printf(&b, ", %" PRIu64 " are left to VOD for now", s->young);
    if (s->silent)
        buffer_printf(&b, ", %" PRIu64 " tasks have no event", s->silent);
    if (s->broken)
        buffer_printf(&b, ", %" PRIu64 " could not be looked into", s->broken);
    buffer_printf(&b, "; %" PRIu64 " calls", s->calls);
    if (!b.failed)
        log_message(MESSAGE_RECONCILED,
                    s->broken || r < 0 ? LOG_WARNING
                    : s->missing       ? LOG_NOTICE
                                       : LOG_INFO,
                    0, "%.*s", (int)b.len, b.data);
}

static void flush_rest(struct reconcile *c)
{
    int64_t until = clock_now(CLOCK_MONOTONIC) + FLUSH_MOST;
    int r = 0;
    while (c->outputs.recorder && !stopped && (r = recorder_flush(c->outputs.recorder)) != 0 &&
           clock_now(CLOCK_MONOTONIC) < until) {
        struct pollfd fd = {.fd = r > 0 ? r : -1, .events = POLLOUT};
        poll(&fd, 1, (int)(SLEEP_MOST / MILLISECOND));
    }
}

static enum exit_status run(struct reconcile *c, const struct options *o)
{
    enum exit_status failed = c->check_only ? EXIT_UNKNOWN : EXIT_FAILED;
    if (open_reader(c, o) < 0 || make_catch_up(c, o) < 0)
        return failed;
    take_signals();
    int r = catch_up_run(c->catch_up);
    if (r >= 0)
        r = remember(c);
    flush_rest(c);
    print_end_line(c, r);
    const struct catch_up_stats *s = catch_up_stats(c->catch_up);
    if (r < 0 || s->broken)
        return failed;
    return c->check_only && s->missing ? EXIT_FAILED : EXIT_DONE;
}

static void reconcile_done(struct reconcile *c)
{
    catch_up_free(c->catch_up);
    intake_free(c->intake);
    inbox_reader_free(c->reader);
    event_decoder_free(c->decoder);
    show_done(&c->show);
    outputs_done(&c->outputs);
    caller_done(&c->caller);
}

enum exit_status command_reconcile(int argc, char *argv[])
{
    enum exit_status status;
    cleanup(options_free_p) struct options *o = setup(COMMAND_RECONCILE, argc, argv, &status);
    if (!o)
        return status;
    struct reconcile c = {.check_only = options_flag(o, "check-only"),
                          .from_last = strcmp(options_string(o, "since"), "last") == 0,
                          .shows_progress = isatty(STDERR_FILENO)};
    status = caller_init(&c.caller, o, give_up, &c) < 0 ? EXIT_CONFIGURATION : open_outputs(&c, o);
    if (status == EXIT_DONE)
        status = run(&c, o);
    reconcile_done(&c);
    if (stopped) /* a shell sees what ended it */
        raise(stopped);
    return status;
}
