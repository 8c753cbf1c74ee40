/* json_line.h: format 1, the event as others see it, in every output alike: one JSON object on a line. Its members
 * are described by the JSON Schema src/record/format-1.schema.json. Within a version a member is never removed or
 * changed in meaning. */
#pragma once

#include "record/record.h"
#include "record/timestamp.h"

/* Appends one line: an object that has every member whatever the record is, null where there is none. At most
 * log_body bytes of a request's body are shown. */
void record_json(struct buffer *to, struct timestamp *cache, const struct record *r, size_t log_body);

/* Appends what a consumer of events upserts by: type, task (else file, else the event's own id) and, where there is
 * one, status, with a / between them. */
void record_key(struct buffer *to, const struct record *r);

/* The text of the JSON Schema. */
struct slice json_line_schema(void);
