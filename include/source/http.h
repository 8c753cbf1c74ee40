/* http.h: the normal callback's side: HTTP requests on listening sockets, each recorded and answered 200. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/rate_limit.h"
#include "source/intake.h"

typedef struct sd_event sd_event;

struct http_config {
    struct slice path;       /* the request target that counts as VOD's, query aside; data NULL for any */
    size_t max_memory;       /* bytes; see body.h */
    size_t max_connections;  /* over all sockets */
    int64_t request_timeout; /* microseconds: for a request line, and again for the rest of a request */
};

struct http_stats {
    uint64_t broken; /* connections that ended without a whole request, or with bytes that are no HTTP/1.x */
};

struct http;

/* Borrows all for its lifetime; strangers limits the lines about what is no request. Returns 0 or a negative
 * errno. */
int http_new(const struct http_config *config, sd_event *loop, struct intake *intake,
             struct recorder *recorder, struct rate_limit *strangers, struct http **ret);

/* Serves one listening, non-blocking stream socket, borrowed. Returns 0 or a negative errno, logged. */
int http_serve(struct http *h, int fd);

/* Ends gracefully: accepts what waits already and then nothing more, lets requests under way have their
 * answers, and closes what stays quiet. Leaves the loop by sd_event_exit(0) when no connection is left, at
 * the latest after DRAIN_LASTS. */
int http_drain(struct http *h);

const struct http_stats *http_stats(const struct http *h);

struct http *http_free(struct http *h);

static inline void http_free_p(struct http **h)
{
    http_free(*h);
}
