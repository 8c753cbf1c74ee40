/* rate_limit.h: how many log lines strangers may cause, and the count of what was left out. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct rate_limit {
    const char *what; /* "requests that are no events", for the line that counts */
    double rate;      /* lines a second */
    double burst;     /* lines at once after a quiet time */
    double tokens;
    int64_t last;      /* monotonic microseconds */
    uint64_t left_out; /* since the last line that counted */
    int64_t first_left_out;
};

void rate_limit_init(struct rate_limit *l, const char *what, double rate, double burst);

/* Whether one more line may be written at the monotonic time now (microseconds); counts it where not. */
bool rate_limit_allow(struct rate_limit *l, int64_t now);

/* Says how many were left out, at most once a second. Returns whether there is still something to say later.
 */
bool rate_limit_report(struct rate_limit *l, int64_t now);
