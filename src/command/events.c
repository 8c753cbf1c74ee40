/* events.c: vodhook events: shows what the inbox holds, and follows it. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "base/time_parse.h"
#include "command/commands.h"
#include "command/outputs.h"
#include "command/setup.h"
#include "inbox/lookup.h"
#include "open_inbox.h"
#include "pager.h"
#include "show.h"
#include "json/json_write.h"

enum {
    WRITE_AT = 256 * 1024, /* bytes that are written together */
    FOLLOW_LOOK = 100,     /* milliseconds between looks at what else ends --follow */
};

static volatile sig_atomic_t stopped; /* by a signal, while events are followed */

struct events {
    struct show show;
    bool follow;
    int64_t limit; /* how many more are shown */
    struct inbox_filter filter;
    struct inbox_reader *reader;
    int64_t last; /* the highest id that was looked at */
};

/* --- Showing ------------------------------------------------------------------------------------------- */

/* Returns 0 or a negative errno. */
static int write_out(struct events *e)
{
    for (size_t done = 0; done < e->show.out.len;) {
        ssize_t n = write(STDOUT_FILENO, e->show.out.data + done, e->show.out.len - done);
        if (n < 0 && (errno != EINTR || stopped))
            return -errno;
        done += n > 0 ? (size_t)n : 0;
    }
    buffer_reset(&e->show.out, WRITE_AT);
    return 0;
}

/* Shows the events that were recorded since. The query is paused for each write, since a pager may take its
 * time. Returns 0 or a negative errno. */
static int show_new(struct events *e)
{
    int64_t newest;
    int r = inbox_reader_newest(e->reader, &newest);
    if (r < 0 || newest <= e->last)
        return r;
    r = inbox_reader_query(e->reader, &e->filter, e->last, newest);
    e->last = newest;
    struct record record;
    while (r >= 0 && e->limit > 0 && (r = inbox_reader_next(e->reader, &record)) > 0) {
        r = show_record(&e->show, &record);
        e->limit--;
        if (r >= 0 && e->show.out.len >= WRITE_AT) {
            inbox_reader_pause(e->reader);
            r = write_out(e);
        }
    }
    inbox_reader_pause(e->reader);
    return r < 0 ? r : write_out(e);
}

static bool reader_of_stdout_is_gone(void)
{
    struct pollfd p = {.fd = STDOUT_FILENO};
    return poll(&p, 1, 0) > 0 && p.revents & (POLLERR | POLLHUP);
}

static void on_signal(int number)
{
    (void)number;
    stopped = true;
}

/* The second signal ends the program even where stdout takes nothing. */
static void take_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
}

static bool is_over(const struct events *e)
{
    return stopped || e->limit <= 0 || clock_now(CLOCK_REALTIME) >= e->filter.until ||
           reader_of_stdout_is_gone();
}

static int follow(struct events *e)
{
    take_signals();
    int r = show_new(e);
    while (r >= 0 && !is_over(e)) {
        r = inbox_reader_wait(e->reader, FOLLOW_LOOK);
        if (r > 1)
            e->last = 0;
        if (r > 0)
            r = show_new(e);
        if (r == -EBUSY)
            r = 0;
    }
    return r;
}

/* --- Stuck tasks --------------------------------------------------------------------------------------- */

static void put_stuck(struct events *e, const struct inbox_stuck *t)
{
    struct buffer *out = &e->show.out;
    bool json = e->show.format == SHOW_JSON;
    const char *const names[] = {"task_id", "file_id", "type"}, *const values[] = {t->task_id, t->file_id,
                                                                                   t->type};
    buffer_puts(out, json ? "{\"since\":\"" : "");
    if (json)
        timestamp_utc(out, &e->show.time, t->since);
    else
        timestamp_local(out, &e->show.time, t->since);
    buffer_puts(out, json ? "\"" : "");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (json) {
            buffer_printf(out, ",\"%s\":", names[i]);
            if (values[i])
                json_write_string(out, slice_of(values[i]));
            else
                buffer_puts(out, "null");
        } else if (values[i]) {
            buffer_printf(out, " %.*s=", (int)strcspn(names[i], "_"), names[i]);
            text_logfmt_value(out, slice_of(values[i]));
        }
    }
    buffer_puts(out, json ? "}\n" : "\n");
}

/* Lists what began before then and has not ended, or counts it. */
static int show_stuck(struct events *e, int64_t before, bool counts)
{
    struct inbox_stuck task;
    int64_t n = 0;
    int r = inbox_reader_stuck(e->reader, before);
    while (r >= 0 && n < e->limit && (r = inbox_reader_stuck_next(e->reader, &task)) > 0) {
        n++;
        if (!counts)
            put_stuck(e, &task);
        if (e->show.out.failed)
            return -ENOMEM;
    }
    if (r >= 0 && counts)
        printf("%" PRId64 "\n", n);
    return r < 0 ? r : write_out(e);
}

/* --- The command --------------------------------------------------------------------------------------- */

static int count(struct events *e)
{
    int64_t newest, n;
    int r = inbox_reader_newest(e->reader, &newest);
    if (r >= 0)
        r = inbox_reader_query(e->reader, &e->filter, 0, newest);
    if (r >= 0)
        r = inbox_reader_count(e->reader, &n);
    if (r >= 0)
        printf("%" PRId64 "\n", n < e->limit ? n : e->limit);
    return r;
}

static int read_time(const struct options *o, const char *name, int64_t otherwise, int64_t *ret)
{
    const char *text = options_string(o, name);
    *ret = otherwise;
    if (!text)
        return 0;
    int r = parse_time(text, clock_now(CLOCK_REALTIME), ret);
    return r < 0
               ? log_error_errno(r,
                                 "--%s %s is no time: 2026-11-24, 2026-11-24T03:00, -2h, today or yesterday",
                                 name, text)
               : 0;
}

static int read_options(struct events *e, const struct options *o)
{
    const char *output = options_string(o, "output");
    e->show = (struct show){
        .format = strcmp(output, "json") == 0   ? SHOW_JSON
                  : strcmp(output, "raw") == 0  ? SHOW_RAW
                  : strcmp(output, "line") == 0 ? SHOW_LINE
                                                : SHOW_FULL,
        .color = outputs_color(),
        .life = options_string(o, "file-id") != NULL,
    };
    e->follow = options_flag(o, "follow");
    e->limit = options_is_default(o, "limit") ? INT64_MAX : options_number(o, "limit");
    e->filter = (struct inbox_filter){
        .file_id = options_string(o, "file-id"),
        .task_id = options_string(o, "task-id"),
        .type = options_string(o, "type"),
        .result = options_string(o, "result"),
        .source = options_string(o, "source"),
        .refused = options_flag(o, "refused"),
        .reverse = options_flag(o, "reverse"),
    };
    if (e->follow && (e->filter.reverse || options_flag(o, "count") || options_flag(o, "stuck")))
        return log_error_errno(EINVAL, "--follow goes with none of --reverse, --count and --stuck");
    int r = read_time(o, "since", INT64_MIN, &e->filter.since);
    return r < 0 ? r : read_time(o, "until", INT64_MAX, &e->filter.until);
}

static int run(struct events *e, const struct options *o)
{
    int r = open_inbox(o, &e->reader);
    if (r < 0)
        return r;
    if (!e->follow && !options_flag(o, "count") && !options_flag(o, "no-pager"))
        pager_open();
    if (options_flag(o, "stuck"))
        r = show_stuck(e, clock_now(CLOCK_REALTIME) - options_number(o, "expect-within") * 1000,
                       options_flag(o, "count"));
    else
        r = options_flag(o, "count") ? count(e) : e->follow ? follow(e) : show_new(e);
    if (r == -EPIPE || stopped)
        return 0; /* the reader of stdout has seen enough */
    return r < 0 ? log_error_errno(r, "Failed to show the inbox: %m") : 0;
}

enum exit_status command_events(int argc, char *argv[])
{
    enum exit_status status;
    cleanup(options_free_p) struct options *o = setup(COMMAND_EVENTS, argc, argv, &status);
    if (!o)
        return status;
    if (options_flag(o, "schema")) {
        struct slice schema = json_line_schema();
        return fwrite(schema.data, 1, schema.len, stdout) == schema.len ? EXIT_DONE : EXIT_FAILED;
    }
    struct events e = {0};
    if (read_options(&e, o) < 0)
        return EXIT_USAGE;
    int r = run(&e, o);
    pager_close();
    inbox_reader_free(e.reader);
    show_done(&e.show);
    return r < 0 ? EXIT_FAILED : EXIT_DONE;
}
