/* memory_target.h: a target that remembers what it was offered and says of each event what the test tells it. */
#pragma once

#include <assert.h>
#include <stdio.h>

#include "forward/target.h"

enum { MEMORY_TARGET_MAX = 512 };

struct memory_target {
    struct target target;
    const struct target_event *in_flight[MEMORY_TARGET_MAX];
    size_t n_in_flight;
    int64_t rows[MEMORY_TARGET_MAX]; /* of all that was offered */
    size_t n_offered;
    int offer_result; /* what offer() returns; 0 at first */
    int n_flush, n_cancel, n_free;
};

static void memory_target_describe(const struct target *t, struct buffer *to)
{
    (void)t;
    buffer_puts(to, "memory");
}

static int memory_target_offer(struct target *t, const struct target_event *e)
{
    struct memory_target *m = (struct memory_target *)t;
    if (m->offer_result != 0)
        return m->offer_result;
    assert(m->n_offered < MEMORY_TARGET_MAX && m->n_in_flight < MEMORY_TARGET_MAX);
    m->rows[m->n_offered++] = e->row;
    m->in_flight[m->n_in_flight++] = e;
    return 0;
}

/* Says of the n-th event in flight what became of it. */
static void memory_target_end(struct memory_target *m, size_t n, enum target_result result, const char *error)
{
    const struct target_event *e = m->in_flight[n];
    struct target_outcome o = {.result = result, .error = error};
    memmove(m->in_flight + n, m->in_flight + n + 1, (--m->n_in_flight - n) * sizeof *m->in_flight);
    m->target.context.outcome(m->target.context.userdata, e, &o);
}

static void memory_target_flush(struct target *t)
{
    ((struct memory_target *)t)->n_flush++;
}

static void memory_target_cancel(struct target *t)
{
    struct memory_target *m = (struct memory_target *)t;
    m->n_cancel++;
    while (m->n_in_flight)
        memory_target_end(m, 0, TARGET_RETRY, "given up");
}

static void memory_target_free(struct target *t)
{
    ((struct memory_target *)t)->n_free++;
}

static const struct target_ops memory_target_ops = {
    .name = "memory",
    .describe = memory_target_describe,
    .offer = memory_target_offer,
    .flush = memory_target_flush,
    .cancel = memory_target_cancel,
    .free = memory_target_free,
};
