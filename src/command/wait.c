/* wait.c: vodhook wait: blocks until an upload or a flow is decided. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "command/commands.h"
#include "command/outputs.h"
#include "command/setup.h"
#include "open_inbox.h"
#include "show.h"

static const int64_t MILLISECOND = 1000;
static const int64_t LOOK_LEAST = 5000; /* milliseconds: for what a watch may miss */

struct wait {
    struct inbox_reader *reader;
    struct inbox_filter filter;
    struct show show;
    int64_t until; /* monotonic microseconds */
};

/* A deletion tells nothing of an upload or a flow. */
static bool is_decided(const struct wait *w, const struct record *r)
{
    return r->event && (r->event->result == RESULT_OK || r->event->result == RESULT_FAILED) &&
           (w->filter.type || strcmp(r->event->type, "FileDeleted") != 0);
}

/* Shows the event that decides. */
static enum exit_status finish(struct wait *w, struct record *r)
{
    enum exit_status status = r->event->result == RESULT_OK ? EXIT_DONE : EXIT_FAILED;
    if (show_record(&w->show, r) < 0)
        return log_error_errno(ENOMEM, "%m"), EXIT_UNKNOWN;
    fwrite(w->show.out.data, 1, w->show.out.len, stdout);
    return fflush(stdout) == 0 ? status : EXIT_UNKNOWN;
}

/* Looks through what the query finds. Returns the exit status, or -1 where nothing is decided; *ret_error is a negative
 * errno where it could not look. */
static int look(struct wait *w, int *ret_error)
{
    struct record record;
    while ((*ret_error = inbox_reader_next(w->reader, &record)) > 0)
        if (is_decided(w, &record))
            return (int)finish(w, &record);
    inbox_reader_pause(w->reader);
    return -1;
}

/* Of what is there the newest decides; after that the first that comes. The query goes on behind the last event that it
 * found, whatever others were recorded meanwhile. */
static int begin(struct wait *w, int *ret_error)
{
    w->filter.reverse = true;
    *ret_error = inbox_reader_query(w->reader, &w->filter, 0, INT64_MAX);
    int status = *ret_error < 0 ? -1 : look(w, ret_error);
    if (status >= 0 || *ret_error < 0)
        return status;
    w->filter.reverse = false;
    *ret_error = inbox_reader_query(w->reader, &w->filter, 0, INT64_MAX);
    return *ret_error < 0 ? -1 : look(w, ret_error);
}

static enum exit_status run(struct wait *w)
{
    int error, status = begin(w, &error);
    while (status < 0 && (error >= 0 || error == -EBUSY)) {
        int64_t left = (w->until - clock_now(CLOCK_MONOTONIC)) / MILLISECOND;
        if (left <= 0)
            return EXIT_TIMEOUT;
        int changed = inbox_reader_wait(w->reader, (int)clock_earlier(left, LOOK_LEAST));
        if (changed > 1) /* another inbox */
            status = begin(w, &error);
        else if (changed > 0)
            status = look(w, &error);
        else if (changed < 0)
            error = changed;
    }
    if (status >= 0)
        return (enum exit_status)status;
    log_error_errno(error, "Failed to read the inbox: %m");
    return EXIT_UNKNOWN;
}

static int read_options(struct wait *w, const struct options *o)
{
    w->filter = (struct inbox_filter){
        .file_id = options_string(o, "file-id"),
        .task_id = options_string(o, "task-id"),
        .context = options_string(o, "context"),
        .type = options_string(o, "type"),
        .since = INT64_MIN,
        .until = INT64_MAX,
        .in_order_of_id = true,
    };
    w->show = (struct show){
        .format = strcmp(options_string(o, "output"), "json") == 0 ? SHOW_JSON : SHOW_LINE,
        .color = outputs_color(),
    };
    w->until = clock_now(CLOCK_MONOTONIC) + options_number(o, "timeout") * MILLISECOND;
    if (!w->filter.file_id + !w->filter.task_id + !w->filter.context != 2)
        return log_error_errno(EINVAL, "Wait for what? Give one of --file-id, --task-id and --context");
    return 0;
}

enum exit_status command_wait(int argc, char *argv[])
{
    enum exit_status status;
    cleanup(options_free_p) struct options *o = setup(COMMAND_WAIT, argc, argv, &status);
    if (!o)
        return status;
    struct wait w = {0};
    if (read_options(&w, o) < 0)
        return EXIT_USAGE;
    status = open_inbox(o, &w.reader) < 0 ? EXIT_UNKNOWN : run(&w);
    inbox_reader_free(w.reader);
    show_done(&w.show);
    return status;
}
