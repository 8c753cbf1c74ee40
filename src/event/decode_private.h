/* decode_private.h: what decode.c (the envelope) and decode_payload.c share; nobody else's. */
#pragma once

#include <cjson/cJSON.h>

#include "base/arena.h"
#include "event/event.h"

/* A value is the index of its node; DECODE_NONE, which is the whole body's, says that there is none. */
enum { DECODE_NONE = 0 };

struct event_decoder {
    size_t memory_max; /* bytes for the nodes and the arena together */
    struct json json;
    struct arena *arena;  /* of the values that were read, and of what is put together from them */
    struct buffer mended; /* the text for cJSON, where it would misread a value */
};

/* The member of that name, with a capital or a small first letter; none where it is missing or null. The name
 * ends at a dot, a space or NUL. */
uint32_t decode_member(const struct event_decoder *d, uint32_t object, const char *name);

/* Whether a member is called so: today's names begin with a capital, the legacy ones are the same with a small
 * letter. Most are told apart by that letter, without a call. */
bool decode_name_is_rest(const struct json *j, uint32_t member, const char *name);
static inline bool decode_name_is(const struct json *j, uint32_t member, const char *name)
{
    char first = json_raw(j, member).data[1];
    return (((first ^ *name) | 0x20) == 0x20 || first == '\\') && decode_name_is_rest(j, member, name);
}

/* Reads a string or a number; NULL for anything else. What cJSON would not keep as a number comes as a string of
 * its digits. */
const cJSON *decode_value(struct event_decoder *d, uint32_t value);

/* A string that is not empty, or a number, as text; NULL for anything else. */
const char *decode_text(struct event_decoder *d, uint32_t value);
const char *decode_text_of(struct event_decoder *d, const cJSON *value);

/* Reads what the payload says (if there is one) into e, whose type is known. */
void decode_payload(struct event_decoder *d, uint32_t payload, struct event *e);

static inline bool decode_is(const struct event_decoder *d, uint32_t value, char kind)
{
    return value != DECODE_NONE && json_kind(&d->json, value) == kind;
}

/* The value of what json_each() gives, an element or a name. */
static inline uint32_t decode_item(const struct json *j, uint32_t item)
{
    return item + (j->nodes[item].flags & JSON_NAME ? 1 : 0);
}
