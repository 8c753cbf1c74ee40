/* decode_private.h: what decode.c (the envelope) and decode_payload.c share; nobody else's. */
#pragma once

#include <cjson/cJSON.h>

#include "base/arena.h"
#include "event/event.h"

/* The member of that name, with a capital or a small first letter; NULL where it is missing or null. */
const cJSON *decode_child(const cJSON *object, struct slice name);

static inline const cJSON *decode_member(const cJSON *object, const char *name)
{
    return decode_child(object, slice_of(name));
}

/* A string that is not empty, or a number, as text; NULL for anything else. In the arena or the tree. */
const char *decode_text(struct arena *arena, const cJSON *value);

/* Reads what the payload says (NULL for none) into e, whose type is known. node is the payload's in json; 0 for
 * none. */
void decode_payload(struct arena *arena, const cJSON *payload, const struct json *json, uint32_t node,
                    struct event *e);
