/* outcome.c: what becomes of an event that a target had: done, tried again, dead; and of a target that fails. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "forwarder_private.h"
#include "record/message_ids.h"

static const int64_t SECOND = 1000000;
static const int64_t FAILING_AFTER = 60 * SECOND;
static const int64_t BACKOFF_FIRST = 1 * SECOND;   /* between attempts of all */
static const int64_t BACKOFF_FAILING = 5 * SECOND; /* the same once the target is failing */
static const int64_t BACKOFF_MAX = 300 * SECOND;

/* --- What is written down ------------------------------------------------------------------------------- */

void forwarder_note_error(struct forwarder *f, const char *error)
{
    cleanup(buffer_done) struct buffer line = {0};
    text_escape(&line, slice_of(error ? error : "it said nothing"));
    snprintf(f->facts->error, sizeof f->facts->error, "%.*s", (int)line.len, line.data ? line.data : "");
    f->facts->error_time = clock_now(CLOCK_REALTIME);
    f->dirty = true;
}

int forwarder_pause(struct forwarder *f, const char *why)
{
    if (f->paused)
        return 0;
    f->paused = f->dirty = true;
    f->changes++;
    return state_pause(f->state, clock_now(CLOCK_REALTIME), why);
}

/* What is behind the first of a lane that is held waits with it. */
static int hold_those_behind(struct forwarder *f, struct work *first)
{
    struct lane_item *item;
    int r = 0;
    while (r >= 0 && (item = lanes_take_behind(&first->item))) {
        struct work *w = (struct work *)((char *)item - offsetof(struct work, item));
        r = forwarder_hold(f, w, STATE_BEHIND, NULL);
    }
    return r;
}

int forwarder_hold(struct forwarder *f, struct work *w, int64_t due, const char *error)
{
    const struct target_event *e = &w->parcel.event;
    const struct state_held held = {
        .row = e->row,
        .key = e->key,
        .id = e->id,
        .attempts = w->attempts,
        .first = w->first,
        .last = due == STATE_BEHIND ? 0 : clock_now(CLOCK_REALTIME),
        .due = due,
        .error = error,
        .replay = e->replay,
    };
    f->numbers.held += !w->held;
    f->dirty = true;
    int r = 0;
    if (w->held && due == STATE_BEHIND)
        r = state_put_behind(f->state, e->row);
    else if (!w->foreign)
        r = state_hold(f->state, &held);
    if (!w->held && !w->foreign)
        window_end(&f->window, e->row);
    work_free(f, w);
    return r;
}

/* --- The lane goes on ----------------------------------------------------------------------------------- */

static int end_lane(struct forwarder *f, struct work *w)
{
    if (!w->item.lane)
        return 0;
    struct lane_item *next = lanes_end(&w->item);
    if (next) {
        TAILQ_INSERT_TAIL(&f->ready, (struct work *)((char *)next - offsetof(struct work, item)), entry);
        return 0;
    }
    if (!f->numbers.held)
        return 0;
    f->numbers.due = 0; /* what is behind it there may be due now */
    return state_release(f->state, w->item.key, clock_now(CLOCK_REALTIME));
}

/* It is over: nobody will hand it on again. */
static int finish(struct forwarder *f, struct work *w)
{
    int r = 0;
    int64_t row = w->parcel.event.row;
    if (w->held && !w->foreign)
        r = state_unhold(f->state, row);
    else if (!w->foreign)
        window_end(&f->window, row);
    f->dirty = true;
    if (r >= 0)
        r = end_lane(f, w);
    work_free(f, w);
    return r;
}

static int bury(struct forwarder *f, struct work *w)
{
    const struct target_event *e = &w->parcel.event;
    const struct state_dead dead = {
        .row = e->row,
        .key = e->key,
        .id = e->id,
        .type = e->type,
        .error = f->facts->error,
        .attempts = w->attempts,
        .first = w->first,
        .last = clock_now(CLOCK_REALTIME),
    };
    log_message(MESSAGE_FORWARD_DEAD, LOG_WARNING, 0,
                "Event %s (%s) is a dead letter after %u attempts, the last: %s", e->id,
                e->type ? e->type : "?", w->attempts, f->facts->error);
    f->facts->died++;
    f->changes++;
    int r = w->foreign ? 0 : state_bury(f->state, &dead);
    return r < 0 ? r : finish(f, w);
}

/* --- A target that fails -------------------------------------------------------------------------------- */

static void works(struct forwarder *f)
{
    f->failed_since = f->wait_until = f->backoff = 0;
    if (!f->failing)
        return;
    int64_t now = clock_now(CLOCK_REALTIME), since = f->facts->failing_since;
    f->failing = false;
    f->changes++;
    f->facts->failing_since = 0;
    log_message(MESSAGE_FORWARD_WORKS, LOG_NOTICE, 0, "The target works again, after %" PRId64 " s",
                (now - since) / SECOND);
    if (state_hasten(f->state, since - FAILING_AFTER, now) < 0)
        forwarder_fail(f, -EIO);
}

static void back_off(struct forwarder *f, int64_t now)
{
    int64_t first = f->failing ? BACKOFF_FAILING : BACKOFF_FIRST;
    f->backoff = f->backoff < first ? first : clock_earlier(2 * f->backoff, BACKOFF_MAX);
    f->wait_until = now + f->backoff;
}

/* Of a target that keeps the order, or fails anyhow, every attempt waits; else only the lane. */
static void fails(struct forwarder *f, int64_t now, int64_t retry_after)
{
    if (!f->failed_since)
        f->failed_since = now;
    if (f->target->ordered && !f->failing && retry_after)
        f->wait_until = now + retry_after;
    else if ((f->target->ordered || f->failing) && now >= f->wait_until)
        back_off(f, now);
}

void forwarder_check_failing(struct forwarder *f, int64_t now)
{
    if (f->failing || !f->failed_since || now - f->failed_since < FAILING_AFTER)
        return;
    f->failing = true;
    f->changes++;
    f->dirty = true;
    f->facts->failing_since = clock_now(CLOCK_REALTIME);
    back_off(f, now);
    log_message(
        MESSAGE_FORWARD_FAILING, LOG_WARNING, 0,
        "Every attempt of a minute failed, the last: %s. The target is tried with one event at a time",
        f->facts->error);
}

/* --- Outcomes ------------------------------------------------------------------------------------------- */

/* A target that is down kills no event: the last attempt counts when the target works for others. */
static int retry(struct forwarder *f, struct work *w, const struct target_outcome *o)
{
    const struct retry *schedule = &f->config.retry;
    w->attempts++;
    int64_t delay = retry_delay(schedule, w->attempts);
    if (delay < 0 && f->failing && schedule->n) {
        w->attempts--;
        delay = retry_delay(schedule, (unsigned)schedule->n);
    }
    if (delay < 0)
        return bury(f, w);
    if (o->retry_after > 0)
        delay = o->retry_after;
    f->facts->retried++;
    if (w->foreign)
        return finish(f, w);
    f->numbers.retrying += w->attempts == 1;
    int r = hold_those_behind(f, w);
    if (r < 0)
        return r;
    lanes_end(&w->item);
    int64_t due = clock_now(CLOCK_REALTIME) + delay;
    f->numbers.due = clock_earlier(f->numbers.due, due);
    return forwarder_hold(f, w, due, f->facts->error);
}

/* It stays in memory and is offered again, in the order of the first offers. */
static int offer_again(struct forwarder *f, struct work *w)
{
    struct work *before = TAILQ_LAST(&f->ready, works);
    while (before && before->number > w->number)
        before = TAILQ_PREV(before, works, entry);
    if (before)
        TAILQ_INSERT_AFTER(&f->ready, before, w, entry);
    else
        TAILQ_INSERT_HEAD(&f->ready, w, entry);
    f->facts->retried++;
    w->attempts++;
    return 0;
}

static int pause_target(struct forwarder *f, struct work *w)
{
    log_message(MESSAGE_FORWARD_PAUSED, LOG_WARNING, 0,
                "The target wants no more events and is paused: %s. Nothing is lost; "
                "vodhook forward --resume NAME goes on",
                f->facts->error);
    int r = forwarder_pause(f, f->facts->error);
    if (r < 0 || f->target->ordered || w->foreign)
        return r < 0 ? r : offer_again(f, w);
    r = hold_those_behind(f, w);
    if (r < 0)
        return r;
    lanes_end(&w->item);
    f->numbers.due = 0;
    return forwarder_hold(f, w, clock_now(CLOCK_REALTIME), f->facts->error);
}

static int done(struct forwarder *f, struct work *w)
{
    f->facts->handed_on++;
    f->facts->last_time = clock_now(CLOCK_REALTIME);
    works(f);
    return finish(f, w);
}

static int decide(struct forwarder *f, struct work *w, const struct target_outcome *o)
{
    int64_t now = clock_now(CLOCK_MONOTONIC);
    if (o->result == TARGET_DONE)
        return done(f, w);
    if (f->cancelling)
        return 0; /* the cursor has not passed it, or the state holds it */
    forwarder_note_error(f, o->error);
    switch (o->result) {
    case TARGET_DEAD:
        w->attempts++;
        works(f);
        return bury(f, w);
    case TARGET_PAUSE:
        return pause_target(f, w);
    case TARGET_RETRY:
    case TARGET_DONE:
        break;
    }
    fails(f, now, o->retry_after);
    return f->target->ordered ? offer_again(f, w) : retry(f, w, o);
}

void forwarder_outcome(void *userdata, const struct target_event *e, const struct target_outcome *o)
{
    struct forwarder *f = userdata;
    struct work *w = e->userdata;
    w->in_flight = false;
    f->n_in_flight--;
    f->full = false;
    int r = decide(f, w, o);
    if (r < 0)
        forwarder_fail(f, r);
}
