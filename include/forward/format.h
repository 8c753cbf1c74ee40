/* format.h: an event as it is handed on: payload, key and attributes, made from a record. */
#pragma once

#include "forward/target.h"
#include "record/record.h"
#include "record/timestamp.h"

enum forward_format {
    FORWARD_V1,                    /* the event format of vodhook: one JSON object */
    FORWARD_RAW,                   /* the body as VOD sent it */
    FORWARD_CLOUDEVENTS,           /* format 1 as the data of a CloudEvent in binary mode */
    FORWARD_CLOUDEVENTS_STRUCTURED /* and with its attributes in one JSON object */
};

enum { PARCEL_ATTRIBUTES_MAX = 6, PARCEL_FIELDS_MAX = 14 };

/* A formatted event and the memory it stands in. Begins zeroed. */
struct parcel {
    struct target_event event;
    struct buffer body, strings;
    struct header attributes[PARCEL_ATTRIBUTES_MAX], fields[PARCEL_FIELDS_MAX];
};

/* Writes all of the event but attempt, replay and userdata. The cache begins zeroed. Returns 0 or
 * -ENOMEM. */
int parcel_fill(struct parcel *p, enum forward_format format, bool with_fields, struct timestamp *cache,
                const struct record *r);
void parcel_done(struct parcel *p);
