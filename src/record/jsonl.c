/* jsonl.c: a record as one line of JSON. */
#include "base/cleanup.h"
#include "record/format.h"
#include "json/json_write.h"

#define PUTS(to, constant) buffer_append(to, constant, sizeof(constant) - 1)

static void put_string(struct buffer *to, const char *value)
{
    if (value)
        json_write_string(to, slice_of(value));
    else
        PUTS(to, "null");
}

/* The text of a number that stood in the event. */
static void put_number(struct buffer *to, const char *value)
{
    buffer_puts(to, value ? value : "null");
}

static void put_bool(struct buffer *to, bool value)
{
    buffer_puts(to, value ? "true" : "false");
}

static void put_file_ids(struct buffer *to, const struct event *e)
{
    for (size_t i = 0; i < e->n_file_ids; i++) {
        buffer_putc(to, i ? ',' : '[');
        put_string(to, e->file_ids[i]);
    }
    buffer_puts(to, e->n_file_ids ? "]" : "null");
}

static void put_tasks(struct buffer *to, const struct event *e)
{
    for (size_t i = 0; i < e->n_tasks; i++) {
        const struct event_task *t = &e->tasks[i];
        buffer_puts(to, i ? ",{\"type\":" : "[{\"type\":");
        put_string(to, t->type);
        PUTS(to, ",\"definition\":");
        put_string(to, t->definition);
        PUTS(to, ",\"status\":");
        put_string(to, t->status);
        PUTS(to, ",\"err_code\":");
        put_string(to, t->err_code);
        PUTS(to, ",\"url\":");
        put_string(to, t->url);
        buffer_putc(to, '}');
    }
    buffer_puts(to, e->n_tasks ? "]" : "null");
}

/* What stands before the members that events and requests share: what the event is about. */
static void put_subject(struct buffer *to, const struct event *e)
{
    PUTS(to, ",\"type\":");
    put_string(to, e->type);
    PUTS(to, ",\"file_id\":");
    put_string(to, e->file_id);
    PUTS(to, ",\"file_ids\":");
    put_file_ids(to, e);
    PUTS(to, ",\"task_id\":");
    put_string(to, e->task_id);
    PUTS(to, ",\"name\":");
    put_string(to, e->name);
    PUTS(to, ",\"status\":");
    put_string(to, e->status);
    PUTS(to, ",\"result\":");
    put_string(to, event_result_name(e->result));
    PUTS(to, ",\"err_code\":");
    put_string(to, e->err_code);
    PUTS(to, ",\"err_message\":");
    put_string(to, e->err_message);
    PUTS(to, ",\"url\":");
    put_string(to, e->url);
    PUTS(to, ",\"duration\":");
    put_number(to, e->duration);
    PUTS(to, ",\"size\":");
    put_number(to, e->size);
    PUTS(to, ",\"session_context\":");
    put_string(to, e->session_context);
}

static void put_no_subject(struct buffer *to)
{
    PUTS(
        to,
        ",\"type\":null,\"file_id\":null,\"file_ids\":null,\"task_id\":null,\"name\":null,\"status\":null"
        ",\"result\":null,\"err_code\":null,\"err_message\":null,\"url\":null,\"duration\":null,\"size\":null"
        ",\"session_context\":null");
}

static void put_judgement(struct buffer *to, const struct record *r)
{
    PUTS(to, ",\"trust\":\"");
    buffer_puts(to, record_trust_name(r->trust));
    PUTS(to, "\",\"reason\":");
    put_string(to, r->reason);
    PUTS(to, ",\"duplicate\":");
    put_bool(to, r->duplicate);
    PUTS(to, ",\"summary\":");
    json_write_string(to, r->summary);
}

static void put_count(struct buffer *to, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + value % 10);
    while (value /= 10);
    buffer_append(to, digits + at, sizeof digits - at);
}

/* The last members, and the end of the line. */
static void put_state(struct buffer *to, const struct record *r, bool truncated)
{
    PUTS(to, ",\"body_bytes\":");
    put_count(to, r->body_bytes);
    PUTS(to, ",\"truncated\":");
    put_bool(to, truncated);
    PUTS(to, ",\"unreadable\":");
    put_bool(to, r->unreadable);
    PUTS(to, "}\n");
}

/* The bytes themselves serve as they are where nothing in them could break the line or the JSON. */
static void put_event(struct buffer *to, const struct record *r)
{
    const unsigned rewrite =
        JSON_NEWLINE | JSON_BAD_UTF8 | JSON_RAW_CONTROL | JSON_UNSAFE | JSON_LONE_SURROGATE | JSON_SIGN;
    PUTS(to, ",\"tasks\":");
    put_tasks(to, r->event);
    PUTS(to, ",\"event\":");
    if (r->json->flags & rewrite)
        json_write_compact(to, r->json, true);
    else
        buffer_append(to, r->json->text.data, r->json->text.len);
    PUTS(to, ",\"method\":null,\"target\":null,\"headers\":null,\"body\":null");
    put_state(to, r, r->truncated);
}

static bool same_name(const struct header *a, const struct header *b)
{
    return a->name.len == b->name.len && strncasecmp(a->name.data, b->name.data, a->name.len) == 0;
}

static bool named_before(const struct record *r, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (same_name(&r->headers[k], &r->headers[i]))
            return true;
    return false;
}

/* A name that is repeated is one member, its values joined as HTTP itself allows (RFC 9110, 5.2). */
static void put_headers(struct buffer *to, const struct record *r)
{
    cleanup(buffer_done) struct buffer joined = {0};
    bool first = true;
    buffer_putc(to, '{');
    for (size_t i = 0; i < r->n_headers; i++) {
        if (named_before(r, i))
            continue;
        joined.len = 0;
        buffer_append(&joined, r->headers[i].value.data, r->headers[i].value.len);
        for (size_t k = i + 1; k < r->n_headers; k++) {
            if (!same_name(&r->headers[i], &r->headers[k]))
                continue;
            PUTS(&joined, ", ");
            buffer_append(&joined, r->headers[k].value.data, r->headers[k].value.len);
        }
        if (!first)
            buffer_putc(to, ',');
        first = false;
        json_write_string(to, r->headers[i].name);
        buffer_putc(to, ':');
        json_write_string(to, buffer_slice(&joined));
    }
    buffer_putc(to, '}');
    to->failed |= joined.failed;
}

static void put_request(struct buffer *to, const struct record *r, size_t log_body)
{
    cleanup(buffer_done) struct buffer body = {0};
    bool pushed = r->method.len > 0;
    PUTS(to, ",\"tasks\":null,\"event\":null,\"method\":");
    if (pushed) {
        json_write_string(to, r->method);
        PUTS(to, ",\"target\":");
        json_write_string(to, r->target);
        PUTS(to, ",\"headers\":");
        put_headers(to, r);
    } else {
        PUTS(to, "null,\"target\":null,\"headers\":null");
    }
    bool cut = record_body(&body, r, log_body);
    PUTS(to, ",\"body\":");
    json_write_string(to, buffer_slice(&body));
    put_state(to, r, cut);
    to->failed |= body.failed;
}

void record_json(struct buffer *to, struct timestamp *cache, const struct record *r, size_t log_body)
{
    bool event = r->kind == RECORD_EVENT;
    PUTS(to, "{\"time\":\"");
    timestamp_utc(to, cache, r->time);
    PUTS(to, "\",\"source\":");
    put_string(to, record_source_name(r->source));
    PUTS(to, ",\"remote\":");
    put_string(to, r->remote);
    PUTS(to, ",\"kind\":");
    put_string(to, event ? "event" : "request");
    if (event)
        put_subject(to, r->event);
    else
        put_no_subject(to);
    put_judgement(to, r);
    if (event)
        put_event(to, r);
    else
        put_request(to, r, log_body);
}
