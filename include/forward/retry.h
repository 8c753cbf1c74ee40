/* retry.h: after which time an event is handed on again, and how often. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define RETRY_DEFAULT "5s,5m,30m,2h,5h,10h,14h,20h,24h"

enum { RETRY_STEPS_MAX = 64 };

struct retry {
    int64_t steps[RETRY_STEPS_MAX]; /* microseconds */
    size_t n;
};

/* Reads a list such as RETRY_DEFAULT; "none" is the empty one. Returns 0 or -EINVAL. */
int retry_parse(const char *text, struct retry *ret);

/* The microseconds until the next attempt after so many have failed, up to a tenth longer than the schedule says,
 * by random, so that what failed together does not come again together; -1 when that was the last. */
int64_t retry_delay(const struct retry *r, unsigned failed);
