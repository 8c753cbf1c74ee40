/* full_text.h: a record as people read it, with all that arrived. */
#pragma once

#include "record/record.h"
#include "record/timestamp.h"

/* Appends the time and the summary on a line; with color a failure is red, what is refused or unreadable
 * yellow. */
void record_line(struct buffer *to, struct timestamp *cache, const struct record *r, bool color);

/* Appends that line and below it, indented, the JSON of an event, or headers and body of a request: at most
 * log_body bytes of it. */
void record_text(struct buffer *to, struct timestamp *cache, const struct record *r, size_t log_body,
                 bool color);
