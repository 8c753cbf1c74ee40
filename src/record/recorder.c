/* recorder.c: the fan-out to the sinks: the required one decides, the others get each record once. */
#include "record/recorder.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/journald.h"
#include "base/log.h"
#include "record/message_ids.h"
#include "record/timestamp.h"

enum {
    SUMMARY_KEEP = 64 * 1024,
    REFUSED_SHOWN = 16 * 1024, /* bytes of a refused event past which it is shown cut, like a request */
};

struct recorder {
    struct sink *required;
    struct sink *others[RECORDER_SINKS_MAX];
    size_t n_others;
    struct recorder_stats stats;
    struct recorder_health health;
    size_t n_uncommitted; /* records the required sink took since the last commit */
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

/* --- Recording ----------------------------------------------------------------------------------------- */

/* Notes what came of recording. Returns the result. */
static int note_result(struct recorder *r, int result)
{
    struct recorder_health *h = &r->health;
    if (result >= 0) {
        *h = (struct recorder_health){0};
        return result;
    }
    if (!h->since)
        h->since = clock_now(CLOCK_REALTIME);
    /* The sink has lost what was put before, for a reason it gave then. */
    if (result != -ECANCELED || !h->why)
        h->why = r->required->problem ? r->required->problem : strerror(-result);
    return result;
}

int recorder_commit(struct recorder *r)
{
    if (!r->required || !r->required->ops->commit)
        return 0;
    int result = r->required->ops->commit(r->required);
    if (result < 0 || r->n_uncommitted)
        note_result(r, result);
    r->n_uncommitted = 0;
    return result;
}

/* An ordinary request is recorded where that costs nothing but a line: no answer waits for it. */
static int put_required(struct recorder *r, struct record *record)
{
    bool must = record->kind == RECORD_EVENT || record->unreadable;
    if (!r->required || (!must && (record->quiet || r->required->ops->commit)))
        return 0;
    int result = r->required->ops->put(r->required, record);
    if (!must)
        return 0;
    if (result < 0 || !r->required->ops->commit)
        return note_result(r, result);
    return r->n_uncommitted++ || !r->health.since ? 1 : recorder_commit(r);
}

int recorder_put(struct recorder *r, struct record *record, bool again)
{
    record->unrecorded = false;
    recorder_summarize(r, record);
    int err = put_required(r, record);
    if (again)
        return err;
    record->unrecorded = err < 0;
    if (record->duplicate || record->unrecorded)
        recorder_summarize(r, record);
    recorder_count(&r->stats, record);
    if (record->quiet)
        return err;
    struct record shown = *record;
    if (record->event && record->trust == TRUST_REFUSED && record->body.len > REFUSED_SHOWN) {
        shown.kind = RECORD_REQUEST;
        shown.event = NULL;
        shown.json = NULL;
    }
    for (size_t i = 0; i < r->n_others; i++)
        r->others[i]->ops->put(r->others[i], &shown);
    return err;
}

void recorder_give_up(struct recorder *r, struct record *record, const char *how)
{
    cleanup(buffer_done) struct buffer fields = {0};
    r->health.given_up++;
    r->stats.given_up++;
    journald_field(&fields, "VOD_RECORDED", slice_of("no"));
    if (record->event) {
        journald_field(&fields, "VOD_EVENT_TYPE", slice_of(record->event->type));
        if (record->event->n_file_ids)
            journald_field(&fields, "VOD_FILE_ID", slice_of(record->event->file_ids[0]));
    }
    recorder_summarize(r, record);
    log_fields(MESSAGE_UNRECORDED, LOG_WARNING, &fields, "%.*s from %s could not be recorded: %s",
               (int)r->summary.len, r->summary.data, record->remote, how);
}

int recorder_confirmed(struct recorder *r, const int64_t *rows, size_t n)
{
    return r->required && r->required->ops->confirmed ? r->required->ops->confirmed(r->required, rows, n) : 0;
}

/* --- Flushing ------------------------------------------------------------------------------------------ */

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

const struct recorder_health *recorder_health(const struct recorder *r)
{
    return &r->health;
}

void recorder_write_health(const struct recorder *r, struct buffer *to, const char *cannot,
                           const char *given_up)
{
    const struct recorder_health *h = &r->health;
    if (!h->since)
        return;
    buffer_printf(to, "%s since ", cannot);
    timestamp_clock(to, h->since);
    buffer_printf(to, ": %s", h->why);
    if (h->given_up)
        buffer_printf(to, ", %" PRIu64 " event%s %s", h->given_up, h->given_up == 1 ? "" : "s", given_up);
}
