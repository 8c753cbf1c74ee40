/* show.c: how vodhook events shows an event: as a line, as part of a file's life, in full, or for programs. */
#include "show.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/text.h"

enum {
    KEEP = 256 * 1024, /* bytes of a buffer that are kept for the next event */
    SPAN_WIDTH = 13,
    TYPE_WIDTH = 22, /* most types are shorter */
    RESULT_WIDTH = 8,
};

static const int64_t SECOND = 1000000;

/* A time span in its two largest units. */
static void put_span(struct buffer *to, int64_t span)
{
    int64_t s = span / SECOND;
    if (s < 60)
        buffer_printf(to, "%" PRId64 ".%03d s", s, (int)(span % SECOND / 1000));
    else if (s < 3600)
        buffer_printf(to, "%" PRId64 " min %" PRId64 " s", s / 60, s % 60);
    else if (s < 86400)
        buffer_printf(to, "%" PRId64 " h %" PRId64 " min", s / 3600, s % 3600 / 60);
    else
        buffer_printf(to, "%" PRId64 " d %" PRId64 " h", s / 86400, s % 86400 / 3600);
}

static void put_value(struct buffer *to, const char *name, const char *value)
{
    if (!value)
        return;
    buffer_puts(to, name);
    text_logfmt_value(to, slice_of(value));
}

/* --- The life of a file ---------------------------------------------------------------------------------- */

static const char *paint_of(enum event_result result)
{
    switch (result) {
    case RESULT_OK:
        return "\x1b[32m";
    case RESULT_FAILED:
        return "\x1b[31;1m";
    case RESULT_PENDING:
        return "\x1b[33m";
    case RESULT_UNKNOWN:
        break;
    }
    return "";
}

static void put_painted(struct show *s, enum event_result as, const char *text)
{
    buffer_puts(&s->out, s->color ? paint_of(as) : "");
    buffer_puts(&s->out, text);
    buffer_puts(&s->out, s->color ? "\x1b[0m" : "");
}

/* The time since the event before; an event that overtook another one was received earlier. */
static void put_span_column(struct show *s, int64_t received)
{
    struct buffer *span = &s->summary;
    int64_t passed = received - s->previous;
    buffer_reset(span, KEEP);
    if (s->any) {
        buffer_putc(span, passed < 0 ? '-' : '+');
        put_span(span, passed < 0 ? -passed : passed);
    }
    buffer_printf(&s->out, "%*.*s  ", SPAN_WIDTH, (int)span->len, span->len ? span->data : "");
}

static void put_padded(struct show *s, size_t from, int width)
{
    int len = (int)(s->out.len - from);
    buffer_printf(&s->out, "%*s", len < width ? width - len : 0, "");
    buffer_puts(&s->out, "  ");
}

/* Transcode(10), Porn=block, Transcode(20)=FAIL:SourceFileError.NoVideoMedia. Returns whether it says the code. */
static bool put_task(struct show *s, const struct event_task *t, const char *code)
{
    bool ok = t->status && strcmp(t->status, "SUCCESS") == 0 && !t->err_code;
    buffer_putc(&s->out, ' ');
    text_logfmt_value(&s->out, slice_of(t->type));
    if (t->definition)
        put_value(&s->out, "(", t->definition), buffer_putc(&s->out, ')');
    put_value(&s->out, "=", ok ? t->suggestion : t->status ? t->status : "unknown");
    put_value(&s->out, ":", t->err_code);
    return code && t->err_code && strcmp(code, t->err_code) == 0;
}

/* What differs from one event of a file to the next. */
static void put_details(struct show *s, const struct event *e)
{
    bool said = false;
    size_t n = e->n_tasks < SUMMARY_TASKS_MAX ? e->n_tasks : SUMMARY_TASKS_MAX;
    for (size_t i = 0; i < n; i++)
        said |= put_task(s, &e->tasks[i], e->err_code);
    if (n < e->n_tasks)
        buffer_printf(&s->out, " more=%zu", e->n_tasks - n);
    put_value(&s->out, " error=", said ? NULL : e->err_code);
    put_value(&s->out, " message=", e->err_message);
    put_value(&s->out, " suggestion=", e->suggestion);
    if (e->name && (s->name.len != strlen(e->name) || memcmp(s->name.data, e->name, s->name.len) != 0)) {
        put_value(&s->out, " name=", e->name);
        buffer_reset(&s->name, KEEP);
        buffer_puts(&s->name, e->name);
    }
    if (e->n_file_ids > 1)
        buffer_printf(&s->out, " files=%zu", e->n_file_ids);
    put_value(&s->out, " task=", e->task_id);
}

/* One line: time, time since the event before, type, result, and what else differs. */
static void put_life_line(struct show *s, const struct record *r)
{
    timestamp_local(&s->out, &s->time, r->time);
    put_span_column(s, r->time);
    size_t from = s->out.len;
    text_logfmt_value(&s->out, slice_of(r->event->type));
    put_padded(s, from, TYPE_WIDTH);
    const char *result = event_result_name(r->event->result);
    put_painted(s, r->event->result, result);
    put_padded(s, s->out.len - strlen(result), RESULT_WIDTH - 2);
    s->out.len--; /* each detail begins with a space */
    put_details(s, r->event);
    if (r->source != SOURCE_PUSH)
        put_value(&s->out, " source=", record_source_name(r->source));
    if (r->seen > 1)
        buffer_printf(&s->out, " seen=%" PRIu64, r->seen);
    if (r->trust == TRUST_REFUSED)
        put_value(&s->out, " trust=refused reason=", r->reason);
    buffer_putc(&s->out, '\n');
}

/* --- Every format ---------------------------------------------------------------------------------------- */

static void put_between(struct show *s, int64_t received)
{
    int64_t span = received - s->previous;
    buffer_puts(&s->out, "  ... ");
    put_span(&s->out, span < 0 ? -span : span);
    buffer_puts(&s->out, span < 0 ? " earlier\n" : " later\n");
}

static void put_by_format(struct show *s, struct record *r)
{
    if (s->format == SHOW_RAW) {
        buffer_append(&s->out, r->body.data, r->body.len);
        buffer_putc(&s->out, '\n');
        return;
    }
    if (s->format == SHOW_LINE && s->life && r->event) {
        put_life_line(s, r);
        return;
    }
    buffer_reset(&s->summary, KEEP);
    record_summary(&s->summary, r);
    if (s->format != SHOW_JSON && r->seen > 1)
        buffer_printf(&s->summary, " seen=%" PRIu64, r->seen);
    r->summary = buffer_slice(&s->summary);
    if (s->format == SHOW_FULL && s->life && s->any)
        put_between(s, r->time);
    if (s->format == SHOW_JSON)
        record_json(&s->out, &s->time, r, SIZE_MAX);
    else if (s->format == SHOW_LINE)
        record_line(&s->out, &s->time, r, s->color);
    else
        record_text(&s->out, &s->time, r, SIZE_MAX, s->color);
}

int show_record(struct show *s, struct record *r)
{
    put_by_format(s, r);
    s->any = true;
    s->previous = r->time;
    return s->out.failed || s->summary.failed || s->name.failed ? -ENOMEM : 0;
}

void show_done(struct show *s)
{
    buffer_done(&s->out);
    buffer_done(&s->summary);
    buffer_done(&s->name);
}
