/* recorder.c: the fan-out to the sinks: the required one decides, the others get each record once. */
#include "record/recorder.h"

#include <errno.h>
#include <stdlib.h>

enum { SUMMARY_KEEP = 64 * 1024 };

struct recorder {
    struct sink *required;
    struct sink *others[RECORDER_SINKS_MAX];
    size_t n_others;
    struct recorder_stats stats;
    struct buffer summary;
};

int recorder_new(struct sink *required, struct sink *const *others, size_t n_others, struct recorder **ret)
{
    if (n_others > RECORDER_SINKS_MAX)
        return -E2BIG;
    struct recorder *r = calloc(1, sizeof *r);
    if (!r)
        return -ENOMEM;
    r->required = required;
    r->n_others = n_others;
    for (size_t i = 0; i < n_others; i++)
        r->others[i] = others[i];
    *ret = r;
    return 0;
}

struct recorder *recorder_free(struct recorder *r)
{
    if (!r)
        return NULL;
    sink_free(r->required);
    for (size_t i = 0; i < r->n_others; i++)
        sink_free(r->others[i]);
    buffer_done(&r->summary);
    free(r);
    return NULL;
}

static void recorder_count(struct recorder_stats *s, const struct record *record)
{
    if (record->kind == RECORD_REQUEST) {
        if (record->unreadable)
            s->unreadable++;
        else
            s->requests++;
    } else if (record->trust == TRUST_REFUSED) {
        s->refused++;
    } else {
        s->events++;
        s->failed += record->event->result == RESULT_FAILED && !record->duplicate;
        s->duplicates += record->duplicate;
        s->last_event = record->time;
    }
}

static void recorder_summarize(struct recorder *r, struct record *record)
{
    buffer_reset(&r->summary, SUMMARY_KEEP);
    record_summary(&r->summary, record);
    record->summary = buffer_slice(&r->summary);
}

/* An ordinary request is recorded where that costs nothing but a line: no answer waits for it. */
static int recorder_put_required(struct recorder *r, struct record *record)
{
    bool must = record->kind == RECORD_EVENT || record->unreadable;
    if (!r->required || (!must && (record->quiet || r->required->ops->commit)))
        return 0;
    int err = r->required->ops->put(r->required, record);
    if (!must)
        return 0;
    return err < 0 ? err : r->required->ops->commit != NULL;
}

int recorder_put(struct recorder *r, struct record *record, bool again)
{
    recorder_summarize(r, record);
    int err = recorder_put_required(r, record);
    if (again)
        return err;
    if (record->duplicate)
        recorder_summarize(r, record);
    recorder_count(&r->stats, record);
    if (record->quiet)
        return err;
    for (size_t i = 0; i < r->n_others; i++)
        r->others[i]->ops->put(r->others[i], record);
    return err;
}

int recorder_commit(struct recorder *r)
{
    return r->required && r->required->ops->commit ? r->required->ops->commit(r->required) : 0;
}

int recorder_confirmed(struct recorder *r, const int64_t *rows, size_t n)
{
    return r->required && r->required->ops->confirmed ? r->required->ops->confirmed(r->required, rows, n) : 0;
}

/* With several that buffer, waiting for one of them would keep the others waiting with it. */
static int recorder_flush_one(struct sink *s, int so_far, size_t *n_buffering)
{
    if (!s || !s->ops->flush)
        return so_far;
    ++*n_buffering;
    int r = s->ops->flush(s);
    return r == 0 ? so_far : *n_buffering > 1 ? -EAGAIN : r;
}

int recorder_flush(struct recorder *r)
{
    size_t n_buffering = 0;
    int result = recorder_flush_one(r->required, 0, &n_buffering);
    for (size_t i = 0; i < r->n_others; i++)
        result = recorder_flush_one(r->others[i], result, &n_buffering);
    return result > 0 && n_buffering > 1 ? -EAGAIN : result;
}

const struct recorder_stats *recorder_stats(const struct recorder *r)
{
    return &r->stats;
}
