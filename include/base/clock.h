/* clock.h: what time it is. */
#pragma once

#include <stdint.h>
#include <time.h>

/* Microseconds on CLOCK_REALTIME (since 1970) or CLOCK_MONOTONIC. */
static inline int64_t clock_now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static inline int64_t clock_earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}
