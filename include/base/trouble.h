/* trouble.h: something that fails for a while: said once, with the reason, and said again when it works, with how
 * long it took and what it cost. The owner writes the lines; this says when. Times are monotonic microseconds. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Begins zeroed. */
struct trouble {
    int64_t since;   /* 0 while it works */
    int64_t said_at; /* 0 where it was not said */
    uint64_t count;  /* what it cost since then: failed calls, dropped records. The owner counts */
    char reason[96]; /* that was said last */
};

/* It failed. Returns whether to say so: when it has lasted for the patience, which may be 0, when the reason has
 * changed, and every hour. */
bool trouble_begin(struct trouble *t, int64_t now, const char *reason, int64_t patience);

/* It works, and the trouble is forgotten. Returns whether there was one that had been said; ret then is what it
 * was. */
bool trouble_end(struct trouble *t, struct trouble *ret);
