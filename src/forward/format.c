/* format.c: makes the parcel of a record. */
#include "forward/format.h"

#include <errno.h>
#include <inttypes.h>

#include "event/event.h"
#include "record/json_line.h"
#include "json/json_write.h"

#define CLOUDEVENTS_TYPE   "com.tencent.vod."
#define CLOUDEVENTS_SOURCE "/tencent/vod"
#define JSON_TYPE          "application/json"
#define CLOUDEVENT_TYPE    "application/cloudevents+json; charset=utf-8"

/* --- Strings -------------------------------------------------------------------------------------------- */

/* The strings are appended to one buffer, which moves as it grows: a pointer into it is an offset plus one until
 * all are there. */
static const char *keep(struct parcel *p, struct slice text)
{
    size_t at = p->strings.len;
    buffer_append(&p->strings, text.data, text.len);
    buffer_putc(&p->strings, '\0');
    return (const char *)(uintptr_t)(at + 1); /* NOLINT(performance-no-int-to-ptr) */
}

static const char *keep_string(struct parcel *p, const char *text)
{
    return text ? keep(p, slice_of(text)) : NULL;
}

static void settle(const struct parcel *p, const char **offset)
{
    if (*offset)
        *offset = p->strings.data + ((uintptr_t)*offset - 1);
}

static void settle_headers(const struct parcel *p, struct header *h, size_t n)
{
    for (size_t i = 0; i < n; i++)
        settle(p, &h[i].value.data);
}

/* A name is a constant. */
static void add(struct parcel *p, struct header *list, size_t *n, const char *name, const char *value)
{
    if (!value)
        return;
    struct slice text = slice_of(value);
    list[*n] = (struct header){.name = slice_of(name), .value = {keep(p, text), text.len}};
    ++*n;
}

/* --- Attributes and fields ------------------------------------------------------------------------------ */

static const char *time_text(struct buffer *to, struct timestamp *cache, const struct record *r)
{
    timestamp_utc(to, cache, r->time);
    buffer_putc(to, '\0');
    return to->failed ? "" : to->data;
}

static void add_attributes(struct parcel *p, struct timestamp *cache, const struct record *r, const char *id)
{
    struct target_event *e = &p->event;
    struct buffer text = {0}, type = {0}, source = {0};
    const char *sub_app_id = r->event ? r->event->sub_app_id : NULL;
    buffer_printf(&type, CLOUDEVENTS_TYPE "%s%c", r->event ? r->event->type : "Unreadable", 0);
    buffer_printf(&source, CLOUDEVENTS_SOURCE "%s%s%c", sub_app_id ? "/" : "", sub_app_id ? sub_app_id : "",
                  0);
    add(p, p->attributes, &e->n_attributes, "specversion", "1.0");
    add(p, p->attributes, &e->n_attributes, "id", id);
    add(p, p->attributes, &e->n_attributes, "type", type.data);
    add(p, p->attributes, &e->n_attributes, "source", source.data);
    add(p, p->attributes, &e->n_attributes, "subject", r->event ? r->event->file_id : NULL);
    add(p, p->attributes, &e->n_attributes, "time", time_text(&text, cache, r));
    p->strings.failed |= text.failed || type.failed || source.failed;
    buffer_done(&text);
    buffer_done(&type);
    buffer_done(&source);
}

static void add_fields(struct parcel *p, const struct record *r, const char *id)
{
    const struct event none = {0}, *event = r->event ? r->event : &none;
    size_t *n = &p->event.n_fields;
    add(p, p->fields, n, "VOD_ID", id);
    add(p, p->fields, n, "VOD_EVENT_TYPE", event->type);
    add(p, p->fields, n, "VOD_FILE_ID", event->file_id);
    add(p, p->fields, n, "VOD_TASK_ID", event->task_id);
    add(p, p->fields, n, "VOD_STATUS", event->status);
    add(p, p->fields, n, "VOD_RESULT", r->event ? event_result_name(event->result) : NULL);
    add(p, p->fields, n, "VOD_ERR_CODE", event->err_code);
    add(p, p->fields, n, "VOD_NAME", event->name);
    add(p, p->fields, n, "VOD_SUB_APP_ID", event->sub_app_id);
    add(p, p->fields, n, "VOD_SOURCE", record_source_name(r->source));
    add(p, p->fields, n, "VOD_REMOTE", r->remote);
    add(p, p->fields, n, "VOD_TRUST", record_trust_name(r->trust));
    add(p, p->fields, n, "VOD_DUPLICATE", r->seen > 1 ? "yes" : "no");
}

/* --- The body ------------------------------------------------------------------------------------------- */

/* All but the event itself is a few KB: room for both at once, since a buffer that grows doubles. */
enum { ENVELOPE = 8 * 1024 };

static void put_v1(struct buffer *to, struct timestamp *cache, const struct record *r)
{
    record_json(to, cache, r, SIZE_MAX);
    if (!to->failed && to->len && to->data[to->len - 1] == '\n')
        to->len--;
}

static void put_structured(struct parcel *p, struct timestamp *cache, const struct record *r)
{
    buffer_puts(&p->body, "{");
    for (size_t i = 0; i < p->event.n_attributes; i++) {
        const struct header *a = &p->attributes[i];
        json_write_string(&p->body, a->name);
        buffer_putc(&p->body, ':');
        json_write_string(&p->body, a->value);
        buffer_putc(&p->body, ',');
    }
    buffer_puts(&p->body, "\"datacontenttype\":\"" JSON_TYPE "\",\"data\":");
    put_v1(&p->body, cache, r);
    buffer_putc(&p->body, '}');
}

static void put_body(struct parcel *p, enum forward_format format, struct timestamp *cache,
                     const struct record *r)
{
    p->event.content_type = JSON_TYPE;
    buffer_reserve(&p->body, r->body.len + (format == FORWARD_RAW ? 1 : ENVELOPE));
    switch (format) {
    case FORWARD_RAW:
        buffer_append(&p->body, r->body.data, r->body.len);
        break;
    case FORWARD_CLOUDEVENTS_STRUCTURED:
        p->event.content_type = CLOUDEVENT_TYPE;
        put_structured(p, cache, r);
        break;
    case FORWARD_V1:
    case FORWARD_CLOUDEVENTS:
        put_v1(&p->body, cache, r);
        break;
    }
    p->event.body = buffer_slice(&p->body);
}

int parcel_fill(struct parcel *p, enum forward_format format, bool with_fields, struct timestamp *cache,
                const struct record *r)
{
    char id[RECORD_ID_MAX + 1];
    struct target_event *e = &p->event;
    const char *file_id = r->event ? r->event->file_id : NULL, *task_id = r->event ? r->event->task_id : NULL;
    record_id(r, id);
    *e = (struct target_event){
        .row = r->row,
        .id = keep_string(p, id),
        .key = keep_string(p, file_id   ? file_id
                              : task_id ? task_id
                                        : id),
        .type = keep_string(p, r->event ? r->event->type : NULL),
        .result = keep_string(p, r->event ? event_result_name(r->event->result) : NULL),
        .file_id = keep_string(p, file_id),
        .task_id = keep_string(p, task_id),
    };
    bool with_attributes = format == FORWARD_CLOUDEVENTS || format == FORWARD_CLOUDEVENTS_STRUCTURED;
    if (with_attributes)
        add_attributes(p, cache, r, id);
    if (with_fields)
        add_fields(p, r, id);
    if (p->strings.failed)
        return -ENOMEM;
    const char **strings[] = {&e->id, &e->key, &e->type, &e->result, &e->file_id, &e->task_id};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        settle(p, strings[i]);
    settle_headers(p, p->attributes, e->n_attributes);
    settle_headers(p, p->fields, e->n_fields);
    put_body(p, format, cache, r);
    e->attributes = p->attributes;
    e->fields = p->fields;
    if (format == FORWARD_CLOUDEVENTS_STRUCTURED)
        e->n_attributes = 0;
    return p->body.failed ? -ENOMEM : 0;
}

void parcel_done(struct parcel *p)
{
    buffer_done(&p->body);
    buffer_done(&p->strings);
    *p = (struct parcel){0};
}
