/* decode.c: finds out whether a body is an event, of which type, and where its payload is. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "decode_private.h"
#include "event/types.h"
#include "json/json_write.h"

enum {
    MENDED_KEEP = 4096,
    NUMBER_MAX = 32, /* bytes of a number's text */
};

static const char NO_MEMORY[] = "reading it needs more than 64 MiB of memory";

/* cJSON's allocation hooks get no context, so the arena that is in use has to be known to the file. */
static struct arena *arena_in_use;

static void *hook_alloc(size_t n)
{
    return arena_alloc(arena_in_use, n);
}

static void hook_free(void *p)
{
    (void)p;
}

int event_decoder_new(size_t memory_max, struct event_decoder **ret)
{
    struct event_decoder *d = calloc(1, sizeof *d);
    if (!d)
        return -ENOMEM;
    d->memory_max = d->json.memory_max = memory_max;
    d->arena = arena_new(memory_max);
    if (!d->arena) {
        event_decoder_free(d);
        return -ENOMEM;
    }
    *ret = d;
    return 0;
}

struct event_decoder *event_decoder_free(struct event_decoder *d)
{
    if (!d)
        return NULL;
    arena_free(d->arena);
    buffer_done(&d->mended);
    json_done(&d->json);
    free(d);
    return NULL;
}

/* --- Members ------------------------------------------------------------------------------------------ */

bool decode_name_is_rest(const struct json *j, uint32_t member, const char *name)
{
    struct json_string given = json_string_of(j, member);
    if (!(j->nodes[member].flags & JSON_ESCAPED)) {
        while (*++name && *name != '.' && *name != ' ')
            if (*++given.at != *name)
                return false; /* at the closing quote, too: no name that is asked for has one */
        return given.at + 1 == given.end;
    }
    bool same = ((json_string_next(&given) ^ *name) | 0x20) == 0x20;
    while (same && *++name && *name != '.' && *name != ' ')
        same = json_string_next(&given) == *name;
    return same && json_string_next(&given) < 0;
}

static uint32_t find_member(const struct json *j, uint32_t object, const char *name)
{
    json_each(j, object, member)
        if (decode_name_is(j, member, name))
            return json_kind(j, member + 1) == 'n' ? DECODE_NONE : member + 1;
    return DECODE_NONE;
}

uint32_t decode_member(const struct event_decoder *d, uint32_t object, const char *name)
{
    return decode_is(d, object, '{') ? find_member(&d->json, object, name) : DECODE_NONE;
}

/* cJSON reads the values that are asked for, one by one: a tree of all of them took 10 of the 23 microseconds that
 * a flow of 6 KB cost. What it would misread is mended in a copy. */
static const cJSON *parse(struct event_decoder *d, uint32_t node)
{
    struct slice text = json_raw(&d->json, node);
    if (d->json.nodes[node].flags & JSON_MISREAD) {
        d->mended.len = 0;
        json_write_mended(&d->mended, &d->json, node);
        text = buffer_slice(&d->mended);
    }
    return d->mended.failed ? NULL : cJSON_ParseWithLength(text.data, text.len);
}

const cJSON *decode_value(struct event_decoder *d, uint32_t value)
{
    char kind = value == DECODE_NONE ? 'n' : json_kind(&d->json, value);
    return kind == '"' || kind == '-' || (kind >= '0' && kind <= '9') ? parse(d, value) : NULL;
}

/* Writes the number so that its NUL stands right before end: templates and codes are many in one event, and
 * printf() takes longer than all else that is done with them. */
static const char *write_digits(char *end, unsigned number)
{
    *--end = '\0';
    do
        *--end = (char)('0' + number % 10);
    while (number /= 10);
    return end;
}

const char *decode_text_of(struct event_decoder *d, const cJSON *value)
{
    if (cJSON_IsString(value))
        return *value->valuestring ? value->valuestring : NULL;
    if (!cJSON_IsNumber(value))
        return NULL;
    char *text = arena_alloc(d->arena, NUMBER_MAX);
    if (!text)
        return NULL;
    if (value->valuedouble >= 0 && value->valuedouble == value->valueint)
        return write_digits(text + NUMBER_MAX, (unsigned)value->valueint);
    /* Exact: numbers of more digits have come as strings. */
    snprintf(text, NUMBER_MAX, "%.15g", value->valuedouble);
    return text;
}

const char *decode_text(struct event_decoder *d, uint32_t value)
{
    /* VOD sends an empty string where there is nothing to say. */
    bool empty = value != DECODE_NONE && slice_equal(json_raw(&d->json, value), slice_of("\"\""));
    return empty ? NULL : decode_text_of(d, decode_value(d, value));
}

/* --- The envelope ------------------------------------------------------------------------------------- */

/* The name of a member. */
static struct slice name_of(struct event_decoder *d, uint32_t member)
{
    struct slice raw = json_raw(&d->json, member);
    if (!(d->json.nodes[member].flags & (JSON_ESCAPED | JSON_MISREAD)))
        return (struct slice){raw.data + 1, raw.len - 2};
    const cJSON *name = parse(d, member);
    return slice_of(name ? name->valuestring : "");
}

/* The known payload that is there: that of the type said where it is among them, else the first. Returns its
 * name. */
static uint32_t known_payload(struct event_decoder *d, const struct event_type *said,
                              const struct event_type **ret_type)
{
    uint32_t found = DECODE_NONE;
    json_each(&d->json, 0, member) {
        if (json_kind(&d->json, member + 1) == 'n')
            continue;
        const struct event_type *type = event_type_by_payload_key(name_of(d, member));
        if (!type || (found && type != said))
            continue;
        found = member;
        *ret_type = type;
        if (type == said)
            break;
    }
    return found;
}

/* Of an unknown type: the one object among the members; where there are more, the one named after the type.
 */
static uint32_t unknown_payload(struct event_decoder *d, struct slice type)
{
    uint32_t found = DECODE_NONE;
    size_t n = 0;
    json_each(&d->json, 0, member) {
        if (!decode_is(d, member + 1, '{'))
            continue;
        struct slice name = name_of(d, member);
        if (name.len >= type.len && memcmp(name.data, type.data, type.len) == 0)
            return member;
        found = member;
        n++;
    }
    return n == 1 ? found : DECODE_NONE;
}

/* Writes what the envelope tells into e. */
static uint32_t find_payload(struct event_decoder *d, const char *said, bool legacy_name, struct event *e)
{
    const struct event_type *said_type = said ? event_type_by_name(slice_of(said)) : NULL;
    const struct event_type *type = said_type;
    uint32_t data = json_member(&d->json, 0, "data"), name = DECODE_NONE;
    e->type = said;
    e->legacy = said && legacy_name && decode_is(d, data, '{');
    if (e->legacy) {
        name = data - 1;
    } else {
        name = known_payload(d, said_type, &type);
        if (name && type != said_type) {
            e->said_type = said;
            e->type = type->name;
        } else if (!name && said) {
            name = unknown_payload(d, slice_of(said));
        }
    }
    e->type_missing = !said;
    e->known = type;
    if (!name)
        return DECODE_NONE;
    const cJSON *key = parse(d, name);
    e->payload_key = key ? key->valuestring : NULL;
    return name + 1;
}

/* The string of the first member of exactly that name; NULL where it is none. */
static const char *string_at_top(struct event_decoder *d, const char *name)
{
    const cJSON *value = decode_value(d, json_member(&d->json, 0, name));
    return cJSON_IsString(value) ? value->valuestring : NULL;
}

static enum event_verdict decode_object(struct event_decoder *d, struct event *ret)
{
    *ret = (struct event){0};
    buffer_reset(&d->mended, MENDED_KEEP);
    arena_reset(d->arena, d->memory_max - d->json.cap * sizeof *d->json.nodes);
    const char *said = string_at_top(d, "EventType");
    bool legacy_name = !said;
    if (!said)
        said = string_at_top(d, "eventType");
    uint32_t payload = find_payload(d, said, legacy_name, ret);
    if (ret->type) {
        const char *sign = string_at_top(d, "Sign");
        if (sign)
            ret->sign = slice_of(sign);
        ret->sign_time = decode_text(d, json_member(&d->json, 0, "T"));
        ret->sub_app_id = decode_text(d, find_member(&d->json, 0, "SubAppId"));
        decode_payload(d, payload, ret);
    }
    if (!arena_failed(d->arena) && !d->mended.failed)
        return ret->type ? BODY_EVENT : BODY_OTHER;
    d->json.error = NO_MEMORY;
    return BODY_UNREADABLE;
}

enum event_verdict event_decode(struct event_decoder *d, const char *body, size_t len,
                                const struct json **ret_json, struct event *ret_event)
{
    bool valid = json_read(&d->json, body, len);
    *ret_json = &d->json;
    if (d->json.too_large)
        d->json.error = NO_MEMORY;
    if (d->json.first != '{' && d->json.first != '[')
        return BODY_OTHER;
    if (!valid)
        return BODY_UNREADABLE;
    if (d->json.first != '{')
        return BODY_OTHER;
    arena_in_use = d->arena;
    cJSON_InitHooks(&(cJSON_Hooks){hook_alloc, hook_free});
    enum event_verdict verdict = decode_object(d, ret_event);
    cJSON_InitHooks(NULL);
    return verdict;
}
