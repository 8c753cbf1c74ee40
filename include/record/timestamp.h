/* timestamp.h: times as RFC 3339 writes them, with milliseconds. */
#pragma once

#include <stdint.h>

#include "base/buffer.h"

/* The text of the second that was written last, so that a busy second is put together once. Begins zeroed. */
struct timestamp {
    int64_t second;
    char date[24];  /* "2026-11-24T03:37:05" */
    char offset[8]; /* "+08:00", "Z" */
};

/* Append a time, microseconds since 1970: in UTC as 2026-11-24T03:37:05.123Z, in the local zone as
 * 2026-11-24T11:37:05.123+08:00. One struct timestamp serves one of the two. */
void timestamp_utc(struct buffer *to, struct timestamp *cache, int64_t time);
void timestamp_local(struct buffer *to, struct timestamp *cache, int64_t time);

/* Appends a local time of the day, 19:12:17, with the date before it where that is not today's. */
void timestamp_clock(struct buffer *to, int64_t time);
