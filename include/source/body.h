/* body.h: a request's body as it streams in, within the limits that all bodies share. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum {
    BODY_HEAD = 64 * 1024,           /* bytes kept of a body that is cut, and the size that is never cut */
    BODY_ABANDON = 64 * 1024 * 1024, /* bytes after which the connection is closed */
};

struct body_limits {
    size_t max_memory; /* bytes that the bodies larger than BODY_HEAD may hold together */
    size_t held;       /* what they hold now: the capacities, not the lengths */
};

struct body {
    char *data; /* owned */
    size_t len, cap;
    uint64_t total; /* bytes that arrived */
    bool truncated; /* data is the head of total bytes */
};

enum body_result {
    BODY_TAKEN,
    BODY_NO_MEMORY, /* max_memory is used up, or the system has none */
    BODY_ENDLESS,   /* more than BODY_ABANDON bytes have arrived */
};

/* Takes in n more bytes of a body of which at most max bytes are wanted. Of a larger one the head is kept: the
 * rest is counted and dropped, and truncated is set. */
enum body_result body_append(struct body *b, struct body_limits *limits, size_t max, const char *data,
                             size_t n);

/* Frees what it holds and empties it. */
void body_reset(struct body *b, struct body_limits *limits);

static inline struct slice body_slice(const struct body *b)
{
    return (struct slice){b->data, b->len};
}
