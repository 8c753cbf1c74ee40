/* sink.h: what every place that records are written to can do. */
#pragma once

#include "record/record.h"

struct sink;

struct sink_ops {
    const char *name; /* "text", "json", "journal", "inbox" */

    /* Takes in one record, borrowed. Returns 0 when it has it (for a sink with commit: when the commit will
     * have it), or a negative errno when it could not be taken; the caller may offer it again. May set
     * r->duplicate. Where put fails in a sink with commit, what was put before it since the last commit is
     * lost too, and the next commit says so by failing. A sink that says what went wrong says it once, and
     * again when it works again. */
    int (*put)(struct sink *s, struct record *r);

    /* Makes everything put since the last commit durable, together. Returns 0, or a negative errno: then none
     * of it is recorded and all of it has to be put again. NULL where put alone records. */
    int (*commit)(struct sink *s);

    /* Notes that VOD has taken the confirmation of rows that put gave and commit recorded. Returns 0 or a negative errno,
     * said. NULL where that makes no difference. */
    int (*confirmed)(struct sink *s, const int64_t *rows, size_t n);

    /* Writes out what is buffered, as far as it goes without waiting. Returns a descriptor to wait on for
     * EPOLLOUT when more is left, -EAGAIN when it should be called again in a while, 0 when nothing is left.
     * NULL where put buffers nothing. */
    int (*flush)(struct sink *s);

    /* Flushes what goes without waiting, frees. */
    void (*free)(struct sink *s);
};

/* The first member of each sink's own struct. */
struct sink {
    const struct sink_ops *ops;
    const char
        *problem; /* why its last put or commit failed, where it knows better than the errno; else NULL */
};

static inline struct sink *sink_free(struct sink *s)
{
    if (s)
        s->ops->free(s);
    return NULL;
}

static inline void sink_free_p(struct sink **s)
{
    sink_free(*s);
}
