/* memory_sink.h: a sink that remembers what it was offered, and fails when it is told to. */
#pragma once

#include <errno.h>

#include "record/sink.h"

struct memory_sink {
    struct sink sink;
    int put_error, commit_error, flush_result; /* what the calls return; 0 at first */
    bool makes_duplicates;                     /* says of each record that it was there before */
    int n_put, n_commit, n_confirmed, n_flush, n_free;
    char last_summary[512];
    int64_t confirmed[64]; /* the rows */
};

static int memory_put(struct sink *sink, struct record *r)
{
    struct memory_sink *m = (struct memory_sink *)sink;
    size_t n = r->summary.len < sizeof m->last_summary ? r->summary.len : sizeof m->last_summary - 1;
    memcpy(m->last_summary, r->summary.data, n);
    m->last_summary[n] = 0;
    m->n_put++;
    if (sink->ops->commit)
        r->row = m->n_put;
    if (m->makes_duplicates)
        r->duplicate = true;
    return m->put_error;
}

static int memory_commit(struct sink *sink)
{
    struct memory_sink *m = (struct memory_sink *)sink;
    m->n_commit++;
    return m->commit_error;
}

static int memory_confirmed(struct sink *sink, const int64_t *rows, size_t n)
{
    struct memory_sink *m = (struct memory_sink *)sink;
    for (size_t i = 0; i < n; i++)
        m->confirmed[m->n_confirmed++] = rows[i];
    return 0;
}

static int memory_flush(struct sink *sink)
{
    struct memory_sink *m = (struct memory_sink *)sink;
    m->n_flush++;
    return m->flush_result;
}

static void memory_free(struct sink *sink)
{
    ((struct memory_sink *)sink)->n_free++;
}

/* A sink like the inbox has a commit, one like the journal has none. */
static const struct sink_ops memory_inbox = {.name = "inbox",
                                             .put = memory_put,
                                             .commit = memory_commit,
                                             .confirmed = memory_confirmed,
                                             .free = memory_free};
static const struct sink_ops memory_output = {
    .name = "output", .put = memory_put, .flush = memory_flush, .free = memory_free};
