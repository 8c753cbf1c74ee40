/* time_parse.h: times as people type them. */
#pragma once

#include <stdint.h>

/* Reads a time in the local zone: 2026-11-24, 2026-11-24T03:00, 2026-11-24T03:00:05, also with a space for
 * the T, a fraction of the second, and Z or an offset such as +08:00 at the end; now, today and yesterday
 * (their beginning); -2h, a duration of parse_duration() before now. now and the result are microseconds
 * since 1970. Returns 0, or -EINVAL for what is no time, -ERANGE for a day or hour that does not exist. */
int parse_time(const char *s, int64_t now, int64_t *ret);
