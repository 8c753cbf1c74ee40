/* pull.c: vodhook pull: puts queue, cloud and outputs together, and tells systemd how it goes. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/service.h"
#include "command/caller.h"
#include "command/commands.h"
#include "command/outputs.h"
#include "command/setup.h"
#include "expect.h"
#include "record/message_ids.h"
#include "source/queue.h"

static const int64_t SECOND = 1000000;
static const int64_t STOP_MAX = 8 * SECOND; /* for the batch in hand, of the 10 s that stopping may take */
static const int64_t PROGRESS_INTERVAL = SECOND / 10;

/* VOD keeps what nobody confirms for 4 days, and it may come again for as long. Source: API, PullEvents. */
static const int64_t KEEP_LEAST = INT64_C(5) * 24 * 3600 * 1000;

struct pull {
    const struct options *options;
    struct caller caller;
    struct outputs outputs;
    struct expect expect;
    struct intake *intake;
    struct queue *queue;
    struct service *service;
    bool failed;         /* the loop did, which is said */
    bool pulling;        /* the call under way is PullEvents */
    bool shows_progress; /* on a terminal, with --once */
    int64_t progress_at;
};

/* --- The service ------------------------------------------------------------------------------------ */

/* The line is overwritten by whatever comes next. */
static int64_t show_progress(struct pull *p, int64_t now)
{
    if (!p->shows_progress)
        return INT64_MAX;
    if (now >= p->progress_at) {
        const struct queue_stats *q = queue_stats(p->queue);
        dprintf(STDERR_FILENO, "%" PRIu64 " events pulled, %" PRIu64 " confirmed\r", q->pulled, q->confirmed);
        p->progress_at = now + PROGRESS_INTERVAL;
    }
    return p->progress_at;
}

static int64_t do_chores(void *userdata, int64_t now)
{
    struct pull *p = userdata;
    int64_t due = outputs_chores(&p->outputs, service_loop(p->service), now);
    due = clock_earlier(due, expect_chores(&p->expect, now));
    return clock_earlier(due, show_progress(p, now));
}

static void write_status(void *userdata, struct buffer *to)
{
    const struct pull *p = userdata;
    const struct queue_stats *q = queue_stats(p->queue);
    if (q->trouble && !recorder_health(p->outputs.recorder)->since) {
        buffer_puts(to, q->trouble);
        return;
    }
    outputs_write_status(&p->outputs, to, "not confirmed");
    if (q->empty)
        buffer_puts(to, "; the queue is empty");
}

static uint64_t get_state(void *userdata)
{
    const struct pull *p = userdata;
    return outputs_state(&p->outputs) + (queue_stats(p->queue)->trouble ? 1 : 0);
}

/* --- The queue's world ------------------------------------------------------------------------------ */

static int64_t now_monotonic(void *userdata)
{
    (void)userdata;
    return clock_now(CLOCK_MONOTONIC);
}

static int64_t stop_by(void *userdata)
{
    const struct pull *p = userdata;
    return p->failed ? 0 : service_stop_by(p->service);
}

static void wait_until(void *userdata, int64_t until)
{
    struct pull *p = userdata;
    p->failed |= service_wait(p->service, until) < 0;
}

/* Aborts a pull that has returned nothing yet: what it might bring comes again. The loop is served meanwhile,
 * so that the watchdog hears of a call that gets on. */
static bool give_up(void *userdata, bool receiving)
{
    struct pull *p = userdata;
    wait_until(p, 0);
    int64_t by = stop_by(p);
    return by != INT64_MAX && (clock_now(CLOCK_MONOTONIC) >= by || (p->pulling && !receiving));
}

static enum queue_keys read_keys(void *userdata)
{
    struct pull *p = userdata;
    return caller_read_keys(&p->caller, p->options);
}

static int call_cloud(void *userdata, const char *action, struct slice body, struct reply *ret)
{
    struct pull *p = userdata;
    wait_until(p, 0);
    p->pulling = strcmp(action, "PullEvents") == 0;
    int r = cloud_call(p->caller.cloud, action, body, ret);
    wait_until(p, 0);
    return r;
}

/* --- Putting together ------------------------------------------------------------------------------- */

static int make_queue(struct pull *p, const struct options *o)
{
    struct intake_config intake = {.decode_memory_max = LIMIT_DECODE};
    struct queue_config config = {
        .world = {call_cloud, now_monotonic, wait_until, stop_by, read_keys, p},
        .remote = p->caller.endpoint.host,
        .secret_id = &p->caller.keys.id,
        .sub_app_id = p->caller.sub_app_id,
        .rate = options_number(o, "rate"),
        .once = options_flag(o, "once"),
    };
    int r = intake_new(&intake, p->outputs.recorder, &p->intake);
    if (r >= 0)
        r = queue_new(&config, p->intake, p->outputs.recorder, &p->queue);
    return r < 0 ? log_error_errno(r, "Failed to set up the queue: %m") : 0;
}

static void print_start_line(const struct pull *p)
{
    cleanup(buffer_done) struct buffer kept = {0};
    outputs_write_kept(&p->outputs, p->options, &kept, "confirmed");
    if (!p->outputs.required)
        buffer_puts(&kept,
                    "A confirmed event was shown, not recorded, and is gone: there is neither an inbox nor a "
                    "journal");
    log_message(MESSAGE_STARTED, p->outputs.required ? LOG_INFO : LOG_WARNING, 0,
                "This is vodhook " VODHOOK_VERSION ", pulling from %s. %.*s", p->caller.endpoint.host,
                (int)kept.len, kept.data);
}

static void print_stop_line(const struct pull *p)
{
    const struct queue_stats *q = queue_stats(p->queue);
    const struct recorder_stats *s = recorder_stats(p->outputs.recorder);
    log_message(MESSAGE_STOPPED, LOG_INFO, 0,
                "Stopped after %" PRIu64 " events (%" PRIu64 " failed, %" PRIu64 " duplicates), %" PRIu64
                " unreadable; %" PRIu64 " confirmed",
                s->events, s->failed, s->duplicates, s->unreadable, q->confirmed);
}

static enum exit_status run(struct pull *p, const struct options *o)
{
    if (make_queue(p, o) < 0)
        return EXIT_FAILED;
    p->shows_progress = options_flag(o, "once") && isatty(STDERR_FILENO);
    print_start_line(p);
    if (service_ready(p->service) < 0)
        return EXIT_FAILED;
    enum queue_end end = queue_run(p->queue);
    print_stop_line(p);
    return end == QUEUE_DONE && !p->failed ? EXIT_DONE : EXIT_FAILED;
}

static void pull_done(struct pull *p)
{
    queue_free(p->queue);
    intake_free(p->intake);
    outputs_done(&p->outputs);
    caller_done(&p->caller);
    service_free(p->service);
}

enum exit_status command_pull(int argc, char *argv[])
{
    enum exit_status status;
    cleanup(options_free_p) struct options *o = setup(COMMAND_PULL, argc, argv, &status);
    if (!o)
        return status;
    if (options_number(o, "inbox-keep") < KEEP_LEAST) {
        log_error(
            "%s: --inbox-keep is less than 5d: VOD delivers an event again for 4 days, and by then it would "
            "not be recognised",
            options_origin(o, "inbox-keep"));
        return EXIT_CONFIGURATION;
    }
    struct pull p = {.options = o};
    struct service_config config = {.chores = do_chores,
                                    .status = write_status,
                                    .state = get_state,
                                    .stop_max = STOP_MAX,
                                    .userdata = &p};
    status = caller_init(&p.caller, o, give_up, &p) < 0 ? EXIT_CONFIGURATION : outputs_new(o, &p.outputs);
    if (status == EXIT_DONE && expect_init(&p.expect, o, &p.outputs) < 0)
        status = EXIT_CONFIGURATION;
    if (status == EXIT_DONE)
        status = service_new(&config, &p.service) < 0 ? EXIT_FAILED : run(&p, o);
    pull_done(&p);
    return status;
}
