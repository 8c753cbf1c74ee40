/* json_line.c: format 1: a record as one line of JSON. */
#include "record/json_line.h"

#include <stddef.h>
#include <strings.h>

#include "base/cleanup.h"
#include "json/json_write.h"

#define PUTS(to, constant) buffer_append(to, constant, sizeof(constant) - 1)

/* The file beside this one, and a NUL. */
__asm__(".pushsection .rodata\n"
        "format_1_schema: .incbin \"src/record/format-1.schema.json\"\n"
        ".byte 0\n"
        ".popsection");
extern const char format_1_schema[];

struct slice json_line_schema(void)
{
    return slice_of(format_1_schema);
}

/* --- Values --------------------------------------------------------------------------------------------- */

static void put_string(struct buffer *to, const char *value)
{
    if (value)
        json_write_string(to, slice_of(value));
    else
        PUTS(to, "null");
}

static void put_bool(struct buffer *to, bool value)
{
    buffer_puts(to, value ? "true" : "false");
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

static void put_strings(struct buffer *to, const char *const *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buffer_putc(to, i ? ',' : '[');
        put_string(to, values[i]);
    }
    buffer_puts(to, n ? "]" : "null");
}

/* --- Events --------------------------------------------------------------------------------------------- */

/* The name stands before a null, so that a member without a value is one piece. */
struct member {
    struct slice null;
    size_t at;   /* in the struct that the text stands in */
    bool number; /* the text of one */
};

#define MEMBER(name, type, member, number)                                     \
    {                                                                          \
        {name "null", sizeof(name "null") - 1}, offsetof(type, member), number \
    }

static const struct member of_event[] = {
    MEMBER(",\"type\":", struct event, type, false),
    MEMBER(",\"file_id\":", struct event, file_id, false),
    MEMBER(",\"task_id\":", struct event, task_id, false),
    MEMBER(",\"sub_app_id\":", struct event, sub_app_id, false),
    MEMBER(",\"name\":", struct event, name, false),
    MEMBER(",\"status\":", struct event, status, false),
    MEMBER(",\"err_code\":", struct event, err_code, false),
    MEMBER(",\"err_message\":", struct event, err_message, false),
    MEMBER(",\"suggestion\":", struct event, suggestion, false),
    MEMBER(",\"url\":", struct event, url, false),
    MEMBER(",\"duration\":", struct event, duration, true),
    MEMBER(",\"size\":", struct event, size, true),
    MEMBER(",\"source_context\":", struct event, source_context, false),
    MEMBER(",\"session_context\":", struct event, session_context, false),
    MEMBER(",\"session_id\":", struct event, session_id, false),
    MEMBER(",\"procedure_task_id\":", struct event, procedure_task_id, false),
    MEMBER(",\"review_task_id\":", struct event, review_task_id, false),
};

static const struct member of_task[] = {
    MEMBER("{\"type\":", struct event_task, type, false),
    MEMBER(",\"definition\":", struct event_task, definition, false),
    MEMBER(",\"status\":", struct event_task, status, false),
    MEMBER(",\"err_code\":", struct event_task, err_code, false),
    MEMBER(",\"err_message\":", struct event_task, err_message, false),
    MEMBER(",\"suggestion\":", struct event_task, suggestion, false),
    MEMBER(",\"url\":", struct event_task, url, false),
};

#define PUT_MEMBERS(to, members, from) put_members(to, members, sizeof(members) / sizeof *(members), from)

static void put_members(struct buffer *to, const struct member *m, size_t n, const void *from)
{
    for (const struct member *end = m + n; m < end; m++) {
        const char *value = *(const char *const *)((const char *)from + m->at);
        buffer_append(to, m->null.data, value ? m->null.len - (sizeof "null" - 1) : m->null.len);
        if (value && m->number)
            buffer_puts(to, value);
        else if (value)
            json_write_string(to, slice_of(value));
    }
}

static void put_tasks(struct buffer *to, const struct event *e)
{
    for (size_t i = 0; i < e->n_tasks; i++) {
        buffer_putc(to, i ? ',' : '[');
        PUT_MEMBERS(to, of_task, &e->tasks[i]);
        PUTS(to, ",\"urls\":");
        put_strings(to, e->tasks[i].urls, e->tasks[i].n_urls);
        buffer_putc(to, '}');
    }
    buffer_puts(to, e->n_tasks ? "]" : "null");
}

/* What the event is about and says; of a request every member is null. */
static void put_subject(struct buffer *to, const struct event *e)
{
    static const struct event none;
    PUTS(to, ",\"result\":");
    put_string(to, e ? event_result_name(e->result) : NULL);
    e = e ? e : &none;
    PUT_MEMBERS(to, of_event, e);
    PUTS(to, ",\"file_ids\":");
    put_strings(to, e->file_ids, e->n_file_ids);
    PUTS(to, ",\"file_count\":");
    put_count(to, e->file_count);
    PUTS(to, ",\"tasks\":");
    put_tasks(to, e);
}

/* The bytes themselves serve as they are where nothing in them could break the line or the JSON. */
static void put_event(struct buffer *to, const struct json *json)
{
    const unsigned rewrite =
        JSON_NEWLINE | JSON_BAD_UTF8 | JSON_RAW_CONTROL | JSON_UNSAFE | JSON_LONE_SURROGATE | JSON_SIGN;
    if (json->flags & rewrite)
        json_write_compact(to, json, true);
    else
        buffer_append(to, json->text.data, json->text.len);
}

/* --- Requests ------------------------------------------------------------------------------------------- */

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

/* Returns whether less of the body is shown than arrived. */
static bool put_request(struct buffer *to, const struct record *r, size_t log_body)
{
    cleanup(buffer_done) struct buffer body = {0};
    PUTS(to, ",\"method\":");
    if (r->method.len) {
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
    to->failed |= body.failed;
    return cut;
}

/* --- The whole ------------------------------------------------------------------------------------------ */

void record_key(struct buffer *to, const struct record *r)
{
    const struct event *e = r->event;
    char id[RECORD_ID_MAX + 1];
    record_id(r, id);
    buffer_puts(to, e->type);
    buffer_putc(to, '/');
    buffer_puts(to, e->task_id ? e->task_id : e->file_id ? e->file_id : id);
    if (e->status) {
        buffer_putc(to, '/');
        buffer_puts(to, e->status);
    }
}

static void put_identity(struct buffer *to, const struct record *r)
{
    cleanup(buffer_done) struct buffer key = {0};
    char id[RECORD_ID_MAX + 1];
    record_id(r, id);
    PUTS(to, ",\"format\":1,\"id\":");
    put_string(to, *id ? id : NULL);
    PUTS(to, ",\"key\":");
    if (r->event) {
        record_key(&key, r);
        json_write_string(to, buffer_slice(&key));
        to->failed |= key.failed;
    } else {
        PUTS(to, "null");
    }
}

/* The way it came, and whether it is believed. */
static void put_delivery(struct buffer *to, const struct record *r)
{
    PUTS(to, ",\"source\":");
    put_string(to, record_source_name(r->source));
    PUTS(to, ",\"remote\":");
    put_string(to, r->remote);
    PUTS(to, ",\"trust\":");
    put_string(to, record_trust_name(r->trust));
    PUTS(to, ",\"reason\":");
    put_string(to, r->reason);
    PUTS(to, ",\"duplicate\":");
    put_bool(to, r->duplicate);
    PUTS(to, ",\"seen\":");
    if (r->seen)
        put_count(to, r->seen);
    else
        PUTS(to, "null");
    PUTS(to, ",\"summary\":");
    json_write_string(to, r->summary);
}

void record_json(struct buffer *to, struct timestamp *cache, const struct record *r, size_t log_body)
{
    bool truncated = r->truncated;
    PUTS(to, "{\"time\":\"");
    timestamp_utc(to, cache, r->time);
    PUTS(to, "\"");
    put_identity(to, r);
    PUTS(to, ",\"kind\":");
    put_string(to, r->event ? "event" : "request");
    put_delivery(to, r);
    put_subject(to, r->event);
    PUTS(to, ",\"event\":");
    if (r->event) {
        put_event(to, r->json);
        PUTS(to, ",\"method\":null,\"target\":null,\"headers\":null,\"body\":null");
    } else {
        PUTS(to, "null");
        truncated = put_request(to, r, log_body);
    }
    PUTS(to, ",\"body_bytes\":");
    put_count(to, r->body_bytes);
    PUTS(to, ",\"truncated\":");
    put_bool(to, truncated);
    PUTS(to, ",\"unreadable\":");
    put_bool(to, r->unreadable);
    PUTS(to, "}\n");
}
