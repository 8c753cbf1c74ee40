/* format.h: how a record is written, as a line of JSON or as text that people read. */
#pragma once

#include <stdint.h>

#include "base/buffer.h"
#include "record/record.h"

/* The text of the second that was written last, so that a busy second is put together once. Begins zeroed. */
struct timestamp {
    int64_t second;
    char date[24];  /* "2026-11-24T03:37:05" */
    char offset[8]; /* "+08:00", "Z" */
};

/* Append a time, microseconds since 1970, with milliseconds: in UTC as 2026-11-24T03:37:05.123Z, in the local
 * zone as 2026-11-24T11:37:05.123+08:00. One struct timestamp serves one of the two. */
void timestamp_utc(struct buffer *to, struct timestamp *cache, int64_t time);
void timestamp_local(struct buffer *to, struct timestamp *cache, int64_t time);

/* Appends a request's body for showing: at most max bytes of it, cut between characters, and the value of
 * every member that is called Sign as "***", since one that cannot be read may still hold a good one. Returns
 * whether less is shown than arrived. */
bool record_body(struct buffer *to, const struct record *r, size_t max);

/* Appends the JSON of an event byte for byte, but for the value of a top-level Sign, which becomes "***". */
void record_event(struct buffer *to, const struct record *r);

/* Appends one line: a JSON object that has every member whatever the record is, null where there is none. */
void record_json(struct buffer *to, struct timestamp *cache, const struct record *r, size_t log_body);

/* Appends the time and the summary on a line; with color a failure is red, what is refused or unreadable
 * yellow. */
void record_line(struct buffer *to, struct timestamp *cache, const struct record *r, bool color);

/* The same, and below it, indented, the JSON of an event, or headers and body of a request. */
void record_text(struct buffer *to, struct timestamp *cache, const struct record *r, size_t log_body,
                 bool color);
