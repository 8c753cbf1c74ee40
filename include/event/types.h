/* types.h: the table of event types. The payload key cannot be derived from the type by a rule.
 * Source: API model of vod 2018-07-17 (PullEvents, EventContent) and the event pages of the documentation. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "event/event.h"

struct event_type {
    const char *name;        /* "NewFileUpload" */
    const char *payload_key; /* "FileUploadEvent" */
    const char *other_key;   /* a second published spelling, or NULL */
    const char *task_member; /* of DescribeTaskDetail that holds the same as the payload, or NULL */
};

/* The rows, ended by one without a name; and the row of a type or a payload key, NULL where none has it. */
extern const struct event_type event_types[];
const struct event_type *event_type_by_name(struct slice name);
const struct event_type *event_type_by_payload_key(struct slice key);

/* Whether the same content may truly happen twice: a cast that goes on and off, a file restored again, parts
 * deleted again. A task, an upload and the deletion of a file happen once. */
bool event_may_repeat(const struct event *e);
