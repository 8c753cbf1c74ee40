/* limits.h: the limits of the HTTP side that an operator has no reason to turn. Times are microseconds. */
#pragma once

#include <stdint.h>

enum {
    ACCEPTS_MAX = 64,        /* connections accepted from one socket before other sources get their turn */
    CONNECTIONS_BEYOND = 64, /* connections shut down here that may still be open beside the allowed ones */
    RUNS_MAX = 16,           /* calls of libmicrohttpd in one round */
    ROUND_EVENTS = 1024,     /* bodies decoded in one round */
    ROUND_BYTES = 8 << 20,   /* body bytes in one commit, past which the round takes no further body */
    SHOWN_TARGET = 200,      /* bytes of a stranger's request target in a log line */
};

/* The time in which a round takes bodies. What was taken is committed after it, so that both stay below 250
 * ms. */
#define ROUND_LASTS INT64_C(100000)

/* How long an event that cannot be recorded is held, and how often recording is tried again. VOD waits 5 s
 * for an answer (its documentation of the normal callback). */
#define HOLD_LASTS INT64_C(6000000)
#define HOLD_RETRY INT64_C(200000)

/* How long a connection without a complete request may stay where another one needs its place. */
#define ROOM_GRACE INT64_C(100000)

/* How soon accepting is tried again after the system lacked a descriptor or memory for a connection. */
#define ACCEPT_RETRY INT64_C(100000)

/* At the end: when quiet connections are closed, and when all are. */
#define DRAIN_QUIET INT64_C(1000000)
#define DRAIN_LASTS INT64_C(4500000)

/* The time for requests that a client had sent before it ended its side. */
#define ENDED_LASTS INT64_C(50000)
