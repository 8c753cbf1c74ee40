/* limits.h: the limits that an operator has no reason to turn. Sizes are bytes, times microseconds. */
#pragma once

#include <stdint.h>

enum {
    LIMIT_BODY = 8 << 20,         /* of a request's body; of a larger one the head is kept */
    LIMIT_HEAD = 24 << 10,        /* of request line and header fields */
    LIMIT_BODY_SHOWN = 16 << 10,  /* of the body of a request that is not an event */
    LIMIT_BACKLOG = 4 << 20,      /* records kept for a reader of stdout that stalls */
    LIMIT_DECODE = 64 << 20,      /* memory for reading one event */
    LIMIT_DISK_FREE = 64 << 20,   /* free space on the inbox's disk, below which a warning is due */
    LIMIT_LINES_UNREADABLE = 100, /* lines a second about unreadable events */
    LIMIT_BURST = 10,             /* seconds' worth of lines that strangers may cause at once */
};

/* For the next request on a kept connection. */
#define IDLE_LASTS INT64_C(60000000)

/* --- HTTP ----------------------------------------------------------------------------------------------- */

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

/* When a kept connection is looked at: whether its client has ended its side, which libmicrohttpd does not notice
 * where that came with a request. A busy connection is never looked at, which saves a system call a request. */
#define KEPT_LASTS INT64_C(50000)
