/* outputs.c: makes the sinks of the settings, and does their chores. */
#include "command/outputs.h"

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "inbox/sink.h"
#include "record/journal.h"
#include "record/stdout.h"
#include "record/timestamp.h"

static const int64_t MILLISECOND = 1000;
static const int64_t STALLED_RETRY = 500 * MILLISECOND;

struct wanted {
    bool text, json, journal;
};

static struct wanted outputs_wanted(const struct options *o)
{
    struct wanted w = {0};
    size_t n = options_count(o, "output");
    for (size_t i = 0; i < n; i++) {
        const char *word = options_nth(o, "output", i);
        w.text |= strcmp(word, "text") == 0;
        w.json |= strcmp(word, "json") == 0;
        w.journal |= strcmp(word, "journal") == 0;
    }
    return w;
}

bool outputs_color(void)
{
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
    return isatty(STDOUT_FILENO) && !(no_color && *no_color) && term && strcmp(term, "dumb") != 0;
}

static int make_stdout(bool json, struct sink **ret)
{
    struct stdout_config config = {
        .fd = STDOUT_FILENO,
        .json = json,
        .color = !json && outputs_color(),
        .log_body = LIMIT_BODY_SHOWN,
        .buffer_max = LIMIT_BACKLOG,
    };
    return sink_stdout_new(&config, ret);
}

char *outputs_inbox_default(void)
{
    const char *state = getenv("STATE_DIRECTORY"), *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    struct passwd *user = home && *home == '/' ? NULL : getpwuid(getuid());
    if (user)
        home = user->pw_dir;
    char *path = NULL;
    int r = -1;
    if (state && *state)
        r = asprintf(&path, "%.*s/inbox.db", (int)strcspn(state, ":"), state);
    else if (xdg && *xdg == '/')
        r = asprintf(&path, "%s/vodhook/inbox.db", xdg);
    else if (home && *home == '/')
        r = asprintf(&path, "%s/.local/state/vodhook/inbox.db", home);
    return r < 0 ? NULL : path;
}

int outputs_set_defaults(struct options *o)
{
    bool journal = log_is_journal_stream(STDOUT_FILENO);
    int r = options_set_default(o, "output", journal ? "journal" : "text",
                                journal ? "default, since systemd reads stdout" : "default");
    cleanup_free char *path = outputs_inbox_default();
    return r < 0 || !path ? r : options_set_default(o, "inbox", path, "default");
}

static int make_inbox(const struct options *o, char **ret_path, struct sink **ret)
{
    const char *given = options_string(o, "inbox");
    if (given && strcmp(given, "none") == 0)
        return 0;
    if (!given)
        return log_error_errno(EINVAL,
                               "There is no place for the inbox, since neither STATE_DIRECTORY nor HOME is "
                               "set: give --inbox FILE or --inbox none");
    cleanup_free char *path = strdup(given);
    if (!path)
        return log_error_errno(ENOMEM, "%m");
    struct inbox_config config = {
        .path = path,
        .keep = options_number(o, "inbox-keep") / 1000,
        .max = (uint64_t)options_number(o, "inbox-max"),
        .min_free = LIMIT_DISK_FREE,
    };
    int r = sink_inbox_new(&config, ret);
    if (r >= 0)
        *ret_path = steal_pointer(path);
    return r;
}

int outputs_check(const struct options *o)
{
    struct wanted w = outputs_wanted(o);
    if (w.text && w.json)
        return log_error_errno(EINVAL, "%s: --output text and --output json both write to stdout: choose one",
                               options_origin(o, "output"));
    return 0;
}

enum exit_status outputs_new(const struct options *o, struct outputs *ret)
{
    struct wanted w = outputs_wanted(o);
    cleanup(sink_free_p) struct sink *text = NULL, *journal = NULL, *inbox = NULL;
    cleanup_free char *inbox_path = NULL;
    struct sink *others[2];
    size_t n = 0;
    if (make_inbox(o, &inbox_path, &inbox) < 0)
        return EXIT_CONFIGURATION;
    if (((w.text || w.json) && make_stdout(w.json, &text) < 0) ||
        (w.journal && sink_journal_new(LIMIT_BODY_SHOWN, !inbox, &journal) < 0))
        return EXIT_FAILED;
    if (text)
        others[n++] = text;
    if (inbox && journal)
        others[n++] = journal;
    struct sink *required = inbox ? inbox : journal;
    int r = recorder_new(required, others, n, &ret->recorder);
    if (r < 0) {
        log_error_errno(r, "Failed to put the outputs together: %m");
        return EXIT_FAILED;
    }
    ret->required = required ? required->ops->name : NULL;
    ret->inbox = steal_pointer(inbox);
    ret->inbox_path = steal_pointer(inbox_path);
    ret->text_on_stdout = w.text;
    text = journal = NULL; /* the recorder has them */
    return EXIT_DONE;
}

/* The chores follow, as after every source. */
static int on_ready(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    (void)fd;
    (void)events;
    ((struct outputs *)userdata)->ready = sd_event_source_disable_unref(source);
    return 0;
}

/* Returns when to try again: a reader that has a descriptor is waited for by the loop. */
static int64_t flush(struct outputs *o, sd_event *loop, int64_t now)
{
    int r = o->ready ? 0 : recorder_flush(o->recorder);
    if (r > 0 && sd_event_add_io(loop, &o->ready, r, EPOLLOUT, on_ready, o) >= 0)
        r = 0;
    return r ? now + STALLED_RETRY : INT64_MAX;
}

int64_t outputs_chores(struct outputs *o, sd_event *loop, int64_t now)
{
    int64_t due = flush(o, loop, now);
    int next = o->inbox ? sink_inbox_maintain(o->inbox) : -1;
    return next < 0 ? due : clock_earlier(due, now + next * MILLISECOND);
}

void outputs_write_kept(const struct outputs *outputs, const struct options *o, struct buffer *to,
                        const char *verb)
{
    if (outputs->inbox_path)
        buffer_printf(to, "Every event is recorded in %s before it is %s, and kept for %s, up to %s",
                      outputs->inbox_path, verb, options_string(o, "inbox-keep"),
                      options_string(o, "inbox-max"));
    else if (outputs->required)
        buffer_printf(to, "Every event is recorded in the %s before it is %s", outputs->required, verb);
}

void outputs_write_status(const struct outputs *o, struct buffer *to, const char *given_up)
{
    const struct recorder_stats *s = recorder_stats(o->recorder);
    if (recorder_health(o->recorder)->since) {
        recorder_write_health(o->recorder, to, "CANNOT RECORD", given_up);
    } else if (!s->last_event) {
        buffer_puts(to, "No events yet");
    } else {
        buffer_printf(to, "%" PRIu64 " events, %" PRIu64 " of them failed, %" PRIu64 " refused, ", s->events,
                      s->failed, s->refused);
        if (s->given_up)
            buffer_printf(to, "%" PRIu64 " %s, ", s->given_up, given_up);
        buffer_puts(to, "the last at ");
        timestamp_clock(to, s->last_event);
    }
}

uint64_t outputs_state(const struct outputs *o)
{
    const struct recorder_health *h = recorder_health(o->recorder);
    return (uint64_t)h->since + h->given_up * 4 + (recorder_stats(o->recorder)->last_event ? 2 : 0);
}

void outputs_done(struct outputs *o)
{
    sd_event_source_unref(o->ready);
    recorder_free(o->recorder);
    free(o->inbox_path);
    *o = (struct outputs){0};
}
