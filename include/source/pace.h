/* pace.h: when the next call of the cloud is due, from what the last one came to. Pure: times are monotonic
 * microseconds that the caller reads. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum pace_outcome {
    PACE_EVENTS,    /* there was something: go on */
    PACE_EMPTY,     /* nothing waits */
    PACE_TROUBLE,   /* an error that will pass: back off */
    PACE_PERSISTENT /* an error that needs somebody: once a minute */
};

struct pace {
    int64_t interval;  /* the least time between the beginnings of two calls */
    int64_t next;      /* the next call may begin then, because of that */
    unsigned failures; /* of PACE_TROUBLE, in a row */
};

extern const int64_t pace_empty_least; /* between two pulls that find nothing */
extern const int64_t pace_persistent;

/* rate: calls a second. */
void pace_init(struct pace *p, int64_t rate);

/* Accounts for a call that begins now. */
void pace_begin(struct pace *p, int64_t now);

/* Returns when the next pull may begin: because of what came of a call that began and ended then, whatever
 * the rate says. random: any 32 bits, for the jitter. */
int64_t pace_after(struct pace *p, enum pace_outcome outcome, int64_t began, int64_t ended, uint32_t random);
