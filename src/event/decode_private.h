/* decode_private.h: what decode.c (the envelope) and decode_payload.c share; nobody else's. */
#pragma once

#include <cjson/cJSON.h>

#include "base/arena.h"
#include "event/event.h"

/* Whether a member is called so: today's names begin with a capital, the legacy ones are the same with a small
 * letter. The name ends at a dot, a space or NUL. */
static inline bool decode_name_is(const char *given, const char *name)
{
    if (((given[0] ^ name[0]) | 0x20) != 0x20)
        return false;
    while (*++name && *name != '.' && *name != ' ')
        if (*++given != *name)
            return false;
    return !given[1];
}

/* The member of that name, with a capital or a small first letter; NULL where it is missing or null. */
const cJSON *decode_member(const cJSON *object, const char *name);

/* A string that is not empty, or a number, as text; NULL for anything else. In the arena or the tree. */
const char *decode_text(struct arena *arena, const cJSON *value);

/* Reads what the payload says (NULL for none) into e, whose type is known. node is the payload's in json; 0 for
 * none. */
void decode_payload(struct arena *arena, const cJSON *payload, const struct json *json, uint32_t node,
                    struct event *e);
