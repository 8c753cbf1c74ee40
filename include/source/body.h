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
    size_t max_body;   /* a body past it is cut to its head */
    size_t max_memory; /* what all bodies may hold together before one that grows past BODY_HEAD is cut */
    size_t held;       /* what they hold now: the capacities, not the lengths */
};

struct body {
    char *data; /* owned */
    size_t len, cap;
    uint64_t total; /* bytes that arrived */
    bool truncated; /* data is the head of total bytes */
};

/* Takes in n more bytes. What does not fit is counted and dropped, and truncated is set. Returns 0, -EFBIG
 * when more than BODY_ABANDON have arrived, or -ENOMEM. */
int body_append(struct body *b, struct body_limits *limits, const char *data, size_t n);

/* Frees what it holds and empties it. */
void body_reset(struct body *b, struct body_limits *limits);

static inline struct slice body_slice(const struct body *b)
{
    return (struct slice){b->data, b->len};
}
