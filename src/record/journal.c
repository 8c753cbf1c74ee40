/* journal.c: the sink that writes native journal entries. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "base/backlog.h"
#include "base/clock.h"
#include "base/journald.h"
#include "base/log.h"
#include "base/trouble.h"
#include "record/journal.h"
#include "record/message_ids.h"

enum {
    FILE_IDS_MAX = 256,             /* in an entry, which journald limits to about 1,000 fields */
    ENTRY_KEEP = 256 * 1024,        /* memory that is kept between entries */
    BACKLOG_MAX = 16 * 1024 * 1024, /* bytes kept for a journald that is busy or away */
    BUSY_WAIT = 250 * 1000,         /* microseconds that a busy journald is waited for, once */
    LAST_WAIT = 1000 * 1000,        /* microseconds in which the queue may still go, at the end */
};

static const int64_t SECOND = 1000000;

struct journal_sink {
    struct sink sink;
    size_t log_body;
    bool required;
    struct journald journald;
    struct buffer entry, body;
    struct backlog backlog; /* of entries; unused by a required sink */
    bool given_up;          /* journald was waited for in vain and has taken nothing since */
    struct trouble trouble; /* its count is that of the entries dropped */
};

static void put_text(struct buffer *to, const char *name, const char *value)
{
    if (value)
        journald_field(to, name, slice_of(value));
}

static void put_number(struct buffer *to, const char *name, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    put_text(to, name, text);
}

static void put_kind(struct buffer *to, const struct record *r)
{
    const char *id = MESSAGE_EVENT;
    int priority = LOG_INFO;
    if (r->unrecorded)
        id = MESSAGE_EVENT_HELD, priority = LOG_WARNING;
    else if (r->unreadable)
        id = MESSAGE_UNREADABLE, priority = LOG_NOTICE;
    else if (r->kind == RECORD_REQUEST)
        id = MESSAGE_REQUEST, priority = r->trust == TRUST_REFUSED ? LOG_NOTICE : LOG_INFO;
    else if (r->trust == TRUST_REFUSED)
        id = MESSAGE_EVENT_REFUSED, priority = LOG_NOTICE;
    else if (r->event->result == RESULT_FAILED)
        id = MESSAGE_EVENT_FAILED, priority = LOG_WARNING;
    put_text(to, "MESSAGE_ID", id);
    put_number(to, "PRIORITY", (uint64_t)priority);
}

static void put_event(struct journal_sink *s, const struct record *r)
{
    const struct event *e = r->event;
    struct buffer *to = &s->entry;
    char id[RECORD_ID_MAX + 1];
    record_id(r, id);
    put_text(to, "VOD_ID", id);
    put_text(to, "VOD_EVENT_TYPE", e->type);
    for (size_t i = 0; i < e->n_file_ids && i < FILE_IDS_MAX; i++)
        put_text(to, "VOD_FILE_ID", e->file_ids[i]);
    if (e->file_count > FILE_IDS_MAX)
        put_number(to, "VOD_FILE_ID_COUNT", e->file_count);
    put_text(to, "VOD_TASK_ID", e->task_id);
    put_text(to, "VOD_STATUS", e->status);
    put_text(to, "VOD_RESULT", event_result_name(e->result));
    put_text(to, "VOD_ERR_CODE", e->err_code);
    put_text(to, "VOD_NAME", e->name);
    put_text(to, "VOD_SUB_APP_ID", e->sub_app_id);
    record_event(&s->body, r);
    journald_field(to, "VOD_EVENT", buffer_slice(&s->body));
}

static void put_request(struct journal_sink *s, const struct record *r)
{
    struct buffer *to = &s->entry;
    if (r->method.len) {
        journald_field(to, "VOD_METHOD", r->method);
        journald_field(to, "VOD_TARGET", r->target);
        for (size_t i = 0; i < r->n_headers; i++) {
            buffer_append(&s->body, r->headers[i].name.data, r->headers[i].name.len);
            buffer_puts(&s->body, ": ");
            buffer_append(&s->body, r->headers[i].value.data, r->headers[i].value.len);
            buffer_putc(&s->body, '\n');
        }
        journald_field(to, "VOD_HEADERS", buffer_slice(&s->body));
        s->body.len = 0;
    }
    record_body(&s->body, r, s->log_body);
    journald_field(to, "VOD_BODY", buffer_slice(&s->body));
    put_number(to, "VOD_BODY_BYTES", r->body_bytes);
}

static int journal_entry(struct journal_sink *s, const struct record *r)
{
    struct buffer *to = &s->entry;
    buffer_reset(to, ENTRY_KEEP);
    buffer_reset(&s->body, ENTRY_KEEP);
    journald_field(to, "MESSAGE", r->summary);
    put_kind(to, r);
    put_text(to, "SYSLOG_IDENTIFIER", "vodhook");
    put_text(to, "VOD_SOURCE", record_source_name(r->source));
    put_text(to, "VOD_REMOTE", r->remote);
    put_text(to, "VOD_TRUST", record_trust_name(r->trust));
    put_text(to, "VOD_REASON", r->reason);
    put_text(to, "VOD_DUPLICATE", r->duplicate ? "yes" : NULL);
    put_text(to, "VOD_RECORDED", r->unrecorded ? "no" : NULL);
    if (r->kind == RECORD_EVENT)
        put_event(s, r);
    else
        put_request(s, r);
    return to->failed || s->body.failed ? -ENOMEM : 0;
}

/* Not as an entry with a MESSAGE_ID, since journald does not take entries now. */
static void say_trouble(struct journal_sink *s, int error)
{
    const char *what = s->required ? "not acknowledging them, will retry" : "keeping some for it, will retry";
    const char *why = error == -EAGAIN || error == -ENOBUFS ? "journald is too busy" : strerror(-error);
    if (trouble_begin(&s->trouble, clock_now(CLOCK_MONOTONIC), why, 0))
        log_line(s->required ? LOG_ERR : LOG_WARNING, 0, "Failed to write events to the journal: %s, %s", why,
                 what);
}

static void say_recovered(struct journal_sink *s)
{
    struct trouble was;
    s->given_up = false;
    if (trouble_end(&s->trouble, &was))
        log_message(MESSAGE_OUTPUT_RECOVERED, LOG_NOTICE, 0,
                    "The journal takes events again after %" PRId64 " s, %" PRIu64 " were dropped",
                    (clock_now(CLOCK_MONOTONIC) - was.since) / SECOND, was.count);
}

/* Waits for a busy journald until a time; one that was waited for in vain is not waited for again before it
 * has taken something. Returns whether to try again. */
static bool journal_wait(struct journal_sink *s, int64_t until)
{
    struct pollfd p = {.fd = s->journald.fd, .events = POLLOUT};
    int64_t left = until - clock_now(CLOCK_MONOTONIC);
    if (s->given_up)
        return false;
    s->given_up = left <= 0 || poll(&p, 1, (int)(left / 1000)) == 0;
    return !s->given_up;
}

static int put_required(struct journal_sink *s)
{
    int64_t until = clock_now(CLOCK_MONOTONIC) + BUSY_WAIT;
    int r;
    do
        r = journald_send(&s->journald, buffer_slice(&s->entry));
    while (r == -EAGAIN && journal_wait(s, until));
    if (r < 0)
        say_trouble(s, r);
    else
        say_recovered(s);
    return r;
}

/* Returns the error. While journald is in trouble that has been said, it is the reason. */
static int drop(struct journal_sink *s, int error)
{
    if (!s->trouble.said_at)
        say_trouble(s, error);
    s->trouble.count++;
    return error;
}

/* Whether journald may take the entry later: it is busy, or away. Any other error is the entry's. */
static bool may_pass(int r)
{
    return r == -EAGAIN || r == -ENOENT || r == -ECONNREFUSED;
}

static int journal_flush(struct sink *sink)
{
    struct journal_sink *s = (struct journal_sink *)sink;
    for (struct slice entry; (entry = backlog_first(&s->backlog)).len;) {
        int r = journald_send(&s->journald, entry);
        if (r == -EAGAIN)
            return s->journald.fd;
        if (may_pass(r)) {
            say_trouble(s, r);
            return -EAGAIN;
        }
        backlog_sent(&s->backlog, entry.len);
        if (r < 0)
            drop(s, r);
        else if (!backlog_first(&s->backlog).len)
            say_recovered(s);
        else
            s->given_up = false;
    }
    return 0;
}

/* The backlog is full only where journald is far behind; then a wait slows a flood down to what it takes. */
static int put_queued(struct journal_sink *s)
{
    int64_t until = clock_now(CLOCK_MONOTONIC) + BUSY_WAIT;
    int left = journal_flush(&s->sink);
    while (left > 0 && backlog_all(&s->backlog).len + s->entry.len > BACKLOG_MAX && journal_wait(s, until))
        left = journal_flush(&s->sink);
    int r = left ? -EAGAIN : journald_send(&s->journald, buffer_slice(&s->entry));
    if (r == 0) {
        say_recovered(s);
        return 0;
    }
    if (!may_pass(r))
        return drop(s, r);
    if (r != -EAGAIN)
        say_trouble(s, r);
    buffer_append(backlog_begin(&s->backlog), s->entry.data, s->entry.len);
    int kept = backlog_end(&s->backlog);
    return kept < 0 ? drop(s, kept) : 0;
}

static int journal_put(struct sink *sink, struct record *r)
{
    struct journal_sink *s = (struct journal_sink *)sink;
    if (journal_entry(s, r) < 0)
        return drop(s, -ENOMEM);
    return s->required ? put_required(s) : put_queued(s);
}

static void journal_free(struct sink *sink)
{
    struct journal_sink *s = (struct journal_sink *)sink;
    int64_t until = clock_now(CLOCK_MONOTONIC) + LAST_WAIT;
    s->given_up = false;
    while (journal_flush(sink) > 0 && journal_wait(s, until))
        ;
    uint64_t dropped = s->trouble.count + backlog_clear(&s->backlog);
    if (dropped)
        log_warning("%" PRIu64 " events could not be written to the journal", dropped);
    journald_done(&s->journald);
    backlog_done(&s->backlog);
    buffer_done(&s->entry);
    buffer_done(&s->body);
    free(s);
}

static const struct sink_ops journal_ops = {
    .name = "journal", .put = journal_put, .flush = journal_flush, .free = journal_free};

int sink_journal_new(size_t log_body, bool required, struct sink **ret)
{
    struct journal_sink *s = calloc(1, sizeof *s);
    int r = s ? journald_init(&s->journald, JOURNAL_SOCKET) : -ENOMEM;
    if (r < 0) {
        free(s);
        return log_error_errno(r, "Failed to make a socket for the journal: %m");
    }
    s->sink.ops = &journal_ops;
    s->log_body = log_body;
    s->required = required;
    backlog_init(&s->backlog, BACKLOG_MAX);
    if (access(JOURNAL_SOCKET, F_OK) < 0)
        say_trouble(s, -errno);
    *ret = &s->sink;
    return 0;
}
