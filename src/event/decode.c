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

struct event_decoder {
    size_t memory_max; /* bytes for the nodes and the tree together */
    struct json json;
    struct arena *arena;  /* of the tree, and of texts put together from it */
    struct buffer mended; /* the text for cJSON, where it would misread the body */
};

enum {
    MENDED_KEEP = 256 * 1024,
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

/* What cJSON would misread is mended in a copy; so members stand in the same order in the nodes and the tree.
 */
static const cJSON *parse_tree(struct event_decoder *d)
{
    struct slice text = d->json.text;
    buffer_reset(&d->mended, MENDED_KEEP);
    if (d->json.flags & JSON_MISREAD) {
        json_write_mended(&d->mended, &d->json);
        if (d->mended.failed)
            return NULL;
        text = buffer_slice(&d->mended);
    }
    arena_reset(d->arena, d->memory_max - d->json.cap * sizeof *d->json.nodes);
    arena_in_use = d->arena;
    cJSON_InitHooks(&(cJSON_Hooks){hook_alloc, hook_free});
    const cJSON *root = cJSON_ParseWithLength(text.data, text.len);
    cJSON_InitHooks(NULL);
    return root;
}

/* --- Members ------------------------------------------------------------------------------------------ */

const cJSON *decode_member(const cJSON *object, const char *name)
{
    if (!cJSON_IsObject(object))
        return NULL;
    for (const cJSON *m = object->child; m; m = m->next)
        if (decode_name_is(m->string, name))
            return cJSON_IsNull(m) ? NULL : m;
    return NULL;
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

const char *decode_text(struct arena *arena, const cJSON *value)
{
    if (cJSON_IsString(value))
        return *value->valuestring ? value->valuestring : NULL;
    if (!cJSON_IsNumber(value))
        return NULL;
    char *text = arena_alloc(arena, NUMBER_MAX);
    if (!text)
        return NULL;
    if (value->valuedouble >= 0 && value->valuedouble == value->valueint)
        return write_digits(text + NUMBER_MAX, (unsigned)value->valueint);
    /* Exact: numbers of more digits have come as strings. */
    snprintf(text, NUMBER_MAX, "%.15g", value->valuedouble);
    return text;
}

/* --- The envelope ------------------------------------------------------------------------------------- */

static const cJSON *exact_member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static bool is_payload(const cJSON *member)
{
    return cJSON_IsObject(member);
}

/* The known payload that is there: that of the type said where it is among them, else the first. */
static const cJSON *known_payload(const cJSON *root, const struct event_type *said,
                                  const struct event_type **ret_type)
{
    const cJSON *found = NULL;
    for (const cJSON *m = root->child; m; m = m->next) {
        if (cJSON_IsNull(m))
            continue;
        const struct event_type *type = event_type_by_payload_key(slice_of(m->string));
        if (!type || (found && type != said))
            continue;
        found = m;
        *ret_type = type;
        if (type == said)
            break;
    }
    return found;
}

/* Of an unknown type: the one object among the members; where there are more, the one named after the type.
 */
static const cJSON *unknown_payload(const cJSON *root, const char *type)
{
    const cJSON *found = NULL;
    size_t n = 0;
    for (const cJSON *m = root->child; m; m = m->next) {
        if (!is_payload(m))
            continue;
        if (strncmp(m->string, type, strlen(type)) == 0)
            return m;
        found = m;
        n++;
    }
    return n == 1 ? found : NULL;
}

/* Writes what the envelope tells into e. */
static const cJSON *find_payload(const cJSON *root, const char *said, struct event *e)
{
    const struct event_type *said_type = said ? event_type_by_name(slice_of(said)) : NULL;
    const struct event_type *type = said_type;
    const cJSON *data = exact_member(root, "data");
    const cJSON *payload;
    e->type = said;
    e->legacy = said && is_payload(data) && !cJSON_IsString(exact_member(root, "EventType"));
    if (e->legacy) {
        payload = data;
    } else {
        payload = known_payload(root, said_type, &type);
        if (payload && type != said_type) {
            e->said_type = said;
            e->type = type->name;
        } else if (!payload && said) {
            payload = unknown_payload(root, said);
        }
    }
    e->type_missing = !said;
    e->known = type;
    e->payload_key = payload ? payload->string : NULL;
    return payload;
}

static bool is_event(const cJSON *root, struct event *ret_event, const cJSON **ret_payload)
{
    const cJSON *said = exact_member(root, "EventType");
    if (!cJSON_IsString(said))
        said = exact_member(root, "eventType");
    *ret_payload = find_payload(root, cJSON_IsString(said) ? said->valuestring : NULL, ret_event);
    return ret_event->type;
}

static void read_sign(struct arena *arena, const cJSON *root, struct event *e)
{
    const cJSON *sign = exact_member(root, "Sign");
    if (cJSON_IsString(sign))
        e->sign = slice_of(sign->valuestring);
    e->sign_time = decode_text(arena, exact_member(root, "T"));
}

/* The node of a member at the top. */
static uint32_t node_of(const struct json *j, const cJSON *root, const cJSON *member)
{
    uint32_t name = 1;
    for (const cJSON *m = root->child; m != member; m = m->next)
        name = j->nodes[name].next;
    return name + 1;
}

static enum event_verdict decode_object(struct event_decoder *d, struct event *ret)
{
    const cJSON *payload, *root = parse_tree(d);
    *ret = (struct event){0};
    if (root && !is_event(root, ret, &payload))
        return BODY_OTHER;
    if (root) {
        read_sign(d->arena, root, ret);
        ret->sub_app_id = decode_text(d->arena, decode_member(root, "SubAppId"));
        decode_payload(d->arena, payload, &d->json, payload ? node_of(&d->json, root, payload) : 0, ret);
    }
    if (root && !arena_failed(d->arena))
        return BODY_EVENT;
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
    return d->json.first == '{' ? decode_object(d, ret_event) : BODY_OTHER;
}
