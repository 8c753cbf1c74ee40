/* forward_status.c: vodhook forward --status: how the targets of an inbox are. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "forward.h"
#include "inbox/reader.h"
#include "json/json_write.h"

static const int64_t SECOND = 1000000;

/* What is told of a target. */
struct status {
    const char *name, *state;
    const struct state_facts *facts;
    struct state_numbers numbers;
    int64_t paused_since; /* 0 where it is not */
    char paused_why[STATE_ERROR_MAX];
    int64_t lag_events,
        lag; /* unread and held; microseconds since the first of the unread came. -1 where unknown */
};

static int read_lag(struct status *s, const char *inbox)
{
    struct inbox_filter believed = {.since = INT64_MIN, .until = INT64_MAX};
    cleanup(inbox_reader_free_p) struct inbox_reader *reader = NULL;
    struct record record;
    const char *why;
    int r = inbox_reader_open(inbox, &reader, &why);
    if (r >= 0)
        r = inbox_reader_query(reader, &believed, s->facts->cursor, INT64_MAX);
    if (r >= 0)
        r = inbox_reader_count(reader, &s->lag_events);
    s->lag = 0;
    believed.in_order_of_id = true;
    if (r >= 0)
        r = inbox_reader_query(reader, &believed, s->facts->cursor, INT64_MAX);
    if (r >= 0 && s->lag_events > 0 && (r = inbox_reader_next(reader, &record)) > 0)
        s->lag = clock_now(CLOCK_REALTIME) - record.time;
    if (r < 0)
        s->lag_events = s->lag = -1;
    else
        s->lag_events += s->numbers.held - (int64_t)s->facts->n_ahead;
    return r;
}

static void put_time(struct buffer *to, int64_t time)
{
    struct timestamp cache = {0};
    if (time) {
        buffer_putc(to, '"');
        timestamp_utc(to, &cache, time);
        buffer_putc(to, '"');
    } else {
        buffer_puts(to, "null");
    }
}

static void put_string(struct buffer *to, const char *name, const char *value)
{
    buffer_printf(to, ",\"%s\":", name);
    if (value && *value)
        json_write_string(to, slice_of(value));
    else
        buffer_puts(to, "null");
}

static void put_json(struct buffer *to, const struct status *s)
{
    const struct state_facts *f = s->facts;
    buffer_puts(to, "{\"name\":");
    json_write_string(to, slice_of(s->name));
    put_string(to, "target", f->target);
    put_string(to, "state", s->state);
    buffer_printf(to, ",\"cursor\":%" PRId64, f->cursor);
    if (s->lag_events >= 0)
        buffer_printf(to, ",\"lag_events\":%" PRId64 ",\"lag_seconds\":%.3f", s->lag_events,
                      (double)s->lag / 1e6);
    else
        buffer_puts(to, ",\"lag_events\":null,\"lag_seconds\":null");
    buffer_printf(to,
                  ",\"handed_on\":%" PRIu64 ",\"retried\":%" PRIu64 ",\"held\":%" PRId64 ",\"dead\":%" PRId64
                  ",\"let_go\":%" PRIu64,
                  f->handed_on, f->retried, s->numbers.held, s->numbers.dead, f->let_go);
    buffer_puts(to, ",\"last_handed_on\":");
    put_time(to, f->last_time);
    buffer_puts(to, ",\"paused_since\":");
    put_time(to, s->paused_since);
    put_string(to, "paused_why", s->paused_since ? s->paused_why : NULL);
    buffer_puts(to, ",\"failing_since\":");
    put_time(to, f->failing_since);
    put_string(to, "last_error", f->error);
    buffer_puts(to, ",\"last_error_time\":");
    put_time(to, f->error_time);
    buffer_puts(to, "}\n");
}

static void put_line_time(struct buffer *to, const char *before, int64_t time)
{
    struct timestamp cache = {0};
    buffer_puts(to, before);
    timestamp_local(to, &cache, time);
}

static void put_text(struct buffer *to, const struct status *s)
{
    const struct state_facts *f = s->facts;
    buffer_printf(to, "%s: %s\n  state       %s", s->name, f->target, s->state);
    if (f->failing_since)
        put_line_time(to, ", failing since ", f->failing_since);
    if (s->paused_since) {
        put_line_time(to, ", paused since ", s->paused_since);
        buffer_printf(to, ": %s", s->paused_why);
    }
    buffer_printf(to, "\n  cursor      event %" PRId64 "\n  lag         ", f->cursor);
    if (s->lag_events < 0)
        buffer_puts(to, "unknown: the inbox cannot be read");
    else
        buffer_printf(to, "%" PRId64 " events, %.1f s", s->lag_events, (double)s->lag / (double)SECOND);
    buffer_printf(to, "\n  handed on   %" PRIu64, f->handed_on);
    if (f->last_time)
        put_line_time(to, ", the last at ", f->last_time);
    buffer_printf(to, "\n  retried     %" PRIu64 ", held now: %" PRId64 "\n  dead        %" PRId64 "\n",
                  f->retried, s->numbers.held, s->numbers.dead);
    if (f->let_go)
        buffer_printf(to, "  let go      %" PRIu64 " before they were handed on\n", f->let_go);
    if (f->error_time) {
        put_line_time(to, "  last error  ", f->error_time);
        buffer_printf(to, ": %s\n", f->error);
    }
}

static int show(const char *inbox, const char *name, bool json)
{
    cleanup_free char *path = forward_state_path(inbox, name);
    cleanup(state_free_p) struct state *state = NULL;
    cleanup(buffer_done) struct buffer text = {0};
    int r = path ? state_open(path, STATE_READ, &state) : -ENOMEM;
    if (r == -ENOENT)
        return log_error_errno(r, "There is no target %s beside the inbox %s", name, inbox);
    struct status s = {.name = name};
    if (r >= 0)
        r = state_numbers(state, &s.numbers);
    if (r >= 0)
        r = state_paused(state, &s.paused_since, s.paused_why);
    if (r < 0)
        return r;
    s.facts = state_facts(state);
    s.state = !state_is_owned(path)    ? "stopped"
              : s.paused_since         ? "paused"
              : s.facts->failing_since ? "failing"
                                       : "running";
    read_lag(&s, inbox);
    if (json)
        put_json(&text, &s);
    else
        put_text(&text, &s);
    if (text.failed)
        return -ENOMEM;
    return fwrite(text.data, 1, text.len, stdout) == text.len ? 0 : -EIO;
}

static int is_state(const struct dirent *d)
{
    size_t len = strlen(d->d_name);
    return len > 3 && strcmp(d->d_name + len - 3, ".db") == 0;
}

int forward_show_status(const char *inbox, const char *name, bool json)
{
    if (name)
        return show(inbox, name, json);
    const char *slash = strrchr(inbox, '/');
    cleanup_free char *folder = NULL;
    struct dirent **files;
    if (asprintf(&folder, "%.*sforward", slash ? (int)(slash + 1 - inbox) : 0, inbox) < 0)
        return -ENOMEM;
    int n = scandir(folder, &files, is_state, alphasort), r = 0;
    if (n < 0 && errno != ENOENT)
        return log_error_errno(errno, "Failed to read %s: %m", folder);
    if (n <= 0)
        log_notice("No events of the inbox %s are handed on", inbox);
    for (int i = 0; i < n; i++) {
        files[i]->d_name[strlen(files[i]->d_name) - 3] = '\0';
        int shown = show(inbox, files[i]->d_name, json);
        r = shown < 0 ? shown : r;
        free(files[i]);
    }
    if (n >= 0)
        free(files);
    return r;
}
