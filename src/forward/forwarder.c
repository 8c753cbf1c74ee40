/* forwarder.c: hands the events of an inbox on to a target.
 *
 * An event is in one of four places: unread, behind `read`; in memory, a struct work that is in flight, ready to be
 * offered or behind another of its lane; held by the state, for a retry or behind one of its lane that waits for
 * one; or over. The cursor in the state says up to where everything is held or over; a few rows behind it that are
 * over, too, are listed beside it, so that a process that was killed hands on again at most what was in flight.
 *
 * Outcomes are written down in the state's transaction as they come. A turn commits it first and offers then:
 * whatever becomes of the process, no more is in doubt than the target had at a time. The commit survives the
 * process; every DURABLE_EVERY one is synced and survives the machine.
 *
 * A lane that waits for a retry is in the state as a whole; an event that is read joins it there, at its end. Where a
 * target keeps the order by itself, there are no lanes: what it could not take is offered again in the same order,
 * once nothing is in flight any more. */
#include "forward/forwarder.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "event/event.h"
#include "forwarder_private.h"
#include "record/message_ids.h"

static const int64_t MILLISECOND = 1000;
static const int64_t SECOND = 1000 * MILLISECOND;
static const int64_t DURABLE_EVERY = 100 * MILLISECOND;
static const int64_t COUNT_EVERY = 1 * SECOND;
static const int64_t TURN_MAX = 20 * MILLISECOND;   /* for reading what is not wanted */
static const int64_t WAIT_MAX = 2 * 86400 * SECOND; /* for a retry, when a clock has leapt */

/* --- Filter --------------------------------------------------------------------------------------------- */

static bool chosen(const struct forward_choice *c, const char *value)
{
    for (size_t i = 0; i < c->n; i++)
        if (value && strcmp(c->values[i], value) == 0)
            return true;
    return c->n == 0;
}

static bool names_file(const struct forward_choice *c, const struct event *e)
{
    for (size_t i = 0; e && c->n && i < e->n_file_ids; i++)
        if (chosen(c, e->file_ids[i]))
            return true;
    return c->n == 0;
}

bool forward_filter_matches(const struct forward_filter *f, const struct record *r)
{
    if (f->trusts.n ? !chosen(&f->trusts, record_trust_name(r->trust)) : r->trust == TRUST_REFUSED)
        return false;
    return chosen(&f->types, r->event ? r->event->type : NULL) &&
           chosen(&f->results, r->event ? event_result_name(r->event->result) : NULL) &&
           chosen(&f->sources, record_source_name(r->source)) && names_file(&f->file_ids, r->event);
}

/* --- Reading -------------------------------------------------------------------------------------------- */

static bool was_ahead(const struct forwarder *f, int64_t row)
{
    for (size_t i = 0; i < f->n_skip; i++)
        if (f->skip[i] == row)
            return true;
    return false;
}

static int make_ready(struct forwarder *f, struct work *w)
{
    int first = f->target->ordered ? 1 : lanes_add(f->lanes, &w->item);
    if (first > 0)
        TAILQ_INSERT_TAIL(&f->ready, w, entry);
    return first < 0 ? first : 0;
}

/* An event that was read: into memory, or behind those of its lane that the state holds; there, too, where those in
 * memory that wait are many. */
static int take_in(struct forwarder *f, const struct record *record)
{
    struct work *w;
    bool held = false;
    int r = work_new(f, record, &w);
    if (r < 0)
        return log_error_errno(r, "Failed to format an event: %m");
    window_add(&f->window, record->row);
    if (!f->target->ordered && f->numbers.held > 0 && (r = state_has_lane(f->state, w->item.key, &held)) < 0)
        return r;
    bool many = f->n_all - f->n_in_flight > WAITING_MAX || f->bytes > f->target->max_bytes;
    if (held || (many && !f->target->ordered && lanes_busy(f->lanes, w->item.key)))
        return forwarder_hold(f, w, STATE_BEHIND, NULL);
    return make_ready(f, w);
}

/* Reads on to the next event that is wanted. Returns 1 when there was one, 0 when there was none in time. */
static int read_next(struct forwarder *f, int64_t until)
{
    struct record record;
    int r;
    while ((r = feed_next(f->feed, f->read, &record)) > 0) {
        f->read = record.row;
        f->dirty = true;
        if (forward_filter_matches(&f->config.filter, &record) && !was_ahead(f, record.row)) {
            r = take_in(f, &record);
            return r < 0 ? r : 1;
        }
        if (clock_now(CLOCK_MONOTONIC) >= until)
            return 0;
    }
    f->more = false;
    return r;
}

struct taken {
    struct {
        int64_t row, first;
        unsigned attempts;
        bool replay;
        char *key;
    } events[STATE_TAKE_MAX];
    size_t n;
};

static int note_taken(void *userdata, const struct state_held *h)
{
    struct taken *t = userdata;
    char *key = strdup(h->key);
    if (!key)
        return -ENOMEM;
    t->events[t->n].row = h->row;
    t->events[t->n].first = h->first;
    t->events[t->n].attempts = h->attempts;
    t->events[t->n].replay = h->replay;
    t->events[t->n++].key = key;
    return 0;
}

/* One that the inbox has no more is over. */
static int read_taken(struct forwarder *f, const struct taken *t, size_t i)
{
    struct record record;
    struct work *w;
    int r = feed_get(f->feed, t->events[i].row, &record);
    if (r == 0) {
        forwarder_let_go(f, 1, "it waited, and the inbox let it go");
        f->numbers.due = 0;
        r = state_unhold(f->state, t->events[i].row);
        return r < 0 ? r : state_release(f->state, t->events[i].key, clock_now(CLOCK_REALTIME));
    }
    if (r > 0)
        r = work_new(f, &record, &w);
    if (r < 0)
        return r;
    w->held = true;
    w->attempts = t->events[i].attempts;
    w->first = t->events[i].first;
    w->parcel.event.replay = t->events[i].replay;
    return make_ready(f, w);
}

/* Returns how many events became ready or a negative errno. */
static int take_held(struct forwarder *f, size_t max)
{
    int64_t now = clock_now(CLOCK_REALTIME);
    bool probe = f->failing;
    if (!f->numbers.held || !f->open || (!probe && f->numbers.due > now))
        return 0;
    struct taken taken = {.n = 0};
    int r = state_take(f->state, now, probe, max, note_taken, &taken);
    for (size_t i = 0; i < taken.n; i++) {
        if (r >= 0)
            r = read_taken(f, &taken, i);
        free(taken.events[i].key);
    }
    f->dirty |= taken.n > 0;
    if (r >= 0)
        r = state_next_due(f->state, &f->numbers.due);
    return r < 0 ? r : (int)taken.n;
}

/* --- Offering ------------------------------------------------------------------------------------------- */

static bool may_offer(const struct forwarder *f, int64_t now)
{
    if (f->paused || f->stopping || f->full || now < f->wait_until)
        return false;
    /* Once something failed, a target that keeps the order gives up all it has, and nothing may overtake that. */
    if (f->failing || (f->target->ordered && f->failed_since))
        return f->n_in_flight == 0;
    return f->n_in_flight < f->target->max_in_flight;
}

/* A single event may be larger than all may be together. */
static bool has_room(const struct forwarder *f)
{
    return f->window.n < f->window.size && (f->n_all == 0 || f->bytes < f->target->max_bytes);
}

static int offer(struct forwarder *f, struct work *w, int64_t now)
{
    w->parcel.event.attempt = w->attempts + 1;
    int64_t first = w->first;
    if (!w->first)
        w->first = clock_now(CLOCK_REALTIME);
    int r = f->target->ops->offer(f->target, &w->parcel.event);
    if (r == TARGET_FULL) {
        f->full = true;
        f->full_until = now + SECOND;
        w->first = first;
        return 0;
    }
    if (r < 0)
        return r;
    TAILQ_REMOVE(&f->ready, w, entry);
    w->in_flight = true;
    f->n_in_flight++;
    return 0;
}

static bool may_read(const struct forwarder *f)
{
    return f->open && f->more && !f->too_many && has_room(f);
}

/* Offers as much as the target takes. */
static int fill(struct forwarder *f, int64_t now)
{
    int64_t until = now + TURN_MAX;
    while (may_offer(f, now) && clock_now(CLOCK_MONOTONIC) < until) {
        struct work *w = TAILQ_FIRST(&f->ready);
        int r = 0;
        if (w)
            r = offer(f, w, now);
        else if (has_room(f) &&
                 (r = take_held(f, f->failing ? 1 : f->target->max_in_flight - f->n_in_flight)) == 0)
            r = may_read(f) ? read_next(f, until) : -EAGAIN;
        if (r == -EAGAIN || (!w && r == 0 && TAILQ_EMPTY(&f->ready) && !f->more))
            break;
        if (r < 0)
            return r;
        if (!w && !has_room(f) && TAILQ_EMPTY(&f->ready))
            break;
    }
    if (TAILQ_EMPTY(&f->ready) && !f->more && f->target->ops->flush && f->n_in_flight)
        f->target->ops->flush(f->target);
    return 0;
}

/* --- What is due ---------------------------------------------------------------------------------------- */

static int look(struct forwarder *f, int64_t now)
{
    if (now < feed_due(f->feed))
        return 0;
    int r = feed_look(f->feed, now);
    switch (r) {
    case FEED_NEWS:
        return forwarder_meet_news(f);
    case FEED_OTHER:
        return forwarder_meet_inbox(f);
    case FEED_MISSING:
        f->facts->begun = f->dirty = true; /* whatever an inbox will hold comes later than now */
        return 0;
    }
    return r < 0 ? r : 0;
}

static void say_too_many(struct forwarder *f)
{
    bool too_many = f->numbers.retrying >= f->config.lanes_held;
    if (too_many && !f->too_many)
        log_message(MESSAGE_FORWARD_FAILING, LOG_WARNING, 0,
                    "%" PRId64 " files or tasks wait for a retry: the target as a whole waits for them",
                    f->numbers.retrying);
    else if (!too_many && f->too_many)
        log_message(MESSAGE_FORWARD_WORKS, LOG_NOTICE, 0, "Fewer files and tasks wait for a retry: going on");
    f->changes += too_many != f->too_many;
    f->too_many = too_many;
}

static int count(struct forwarder *f, int64_t now)
{
    char why[STATE_ERROR_MAX];
    int64_t since;
    int r = 0;
    if (f->stirred || now >= f->count_at) {
        f->count_at = now + COUNT_EVERY;
        if (f->numbers.due < INT64_MAX - 1 && f->numbers.due > clock_now(CLOCK_REALTIME) + WAIT_MAX)
            r = state_limit(f->state, clock_now(CLOCK_REALTIME) + WAIT_MAX);
        if (r >= 0)
            r = state_numbers(f->state, &f->numbers);
    }
    if (r >= 0 && f->stirred) {
        r = state_paused(f->state, &since, why);
        if (r >= 0 && f->paused != (r > 0)) {
            f->paused = r > 0;
            f->changes++;
            log_notice(f->paused ? "Paused: %s" : "Resumed", why);
        }
        f->stirred = false;
    }
    say_too_many(f);
    return r < 0 ? r : 0;
}

static int save(struct forwarder *f, int64_t now)
{
    bool durable = now >= f->durable_at;
    if (!f->dirty && !durable)
        return 0;
    int r = window_settle(f);
    if (r >= 0)
        r = state_save(f->state, durable);
    if (durable)
        f->durable_at = INT64_MAX;
    else if (f->durable_at == INT64_MAX)
        f->durable_at = now + DURABLE_EVERY;
    f->dirty = false;
    return r;
}

void forwarder_fail(struct forwarder *f, int error)
{
    (void)error;
    f->done = f->failed = true;
    sd_event_exit(f->loop, EXIT_FAILURE);
}

/* Nothing more can be done at once. */
static bool is_idle(const struct forwarder *f)
{
    bool waits = f->paused || f->too_many || f->failing;
    return f->n_in_flight == 0 &&
           (waits || (TAILQ_EMPTY(&f->ready) && !f->more &&
                      (!f->numbers.held || f->numbers.due > clock_now(CLOCK_REALTIME))));
}

/* Returns whether it is over. */
static bool end(struct forwarder *f, int64_t now)
{
    if (f->stopping && f->n_in_flight && now >= f->stop_by) {
        f->cancelling = true;
        f->target->ops->cancel(f->target);
    }
    bool over = f->stopping ? f->n_in_flight == 0 || f->cancelling : f->config.once && is_idle(f);
    if (!over)
        return false;
    f->dirty = true;
    f->durable_at = 0;
    bool fine =
        save(f, now) >= 0 && (f->stopping || (!f->numbers.held && !f->more && TAILQ_EMPTY(&f->ready)));
    f->done = true;
    sd_event_exit(f->loop, fine ? EXIT_SUCCESS : EXIT_FAILURE);
    return true;
}

static int64_t next_turn(const struct forwarder *f, int64_t now)
{
    int64_t due = clock_earlier(feed_due(f->feed), f->durable_at);
    if (f->dirty || (may_offer(f, now) && (!TAILQ_EMPTY(&f->ready) || may_read(f))))
        return now;
    if (f->full)
        due = clock_earlier(due, f->full_until);
    if (f->failed_since && !f->failing)
        due = clock_earlier(due, f->failed_since + 60 * SECOND);
    if (now < f->wait_until)
        due = clock_earlier(due, f->wait_until);
    if (f->stopping)
        due = clock_earlier(due, f->stop_by);
    if (f->numbers.held && f->numbers.due < INT64_MAX) {
        int64_t wait = f->numbers.due - clock_now(CLOCK_REALTIME);
        due = clock_earlier(due, wait > 0 ? now + clock_earlier(wait, WAIT_MAX) : f->count_at);
    }
    return due;
}

int64_t forwarder_turn(struct forwarder *f, int64_t now)
{
    if (f->done)
        return INT64_MAX;
    if (now >= f->full_until)
        f->full = false;
    int r = look(f, now);
    if (r >= 0)
        r = count(f, now);
    forwarder_check_failing(f, now);
    if (r >= 0)
        r = save(f, now);
    if (r >= 0)
        r = fill(f, now);
    feed_pause(f->feed);
    if (r < 0)
        forwarder_fail(f, r);
    return f->done || end(f, now) ? INT64_MAX : next_turn(f, now);
}

void forwarder_stir(struct forwarder *f)
{
    f->stirred |= state_changed(f->state);
}

void forwarder_stop(struct forwarder *f, int64_t by)
{
    f->stopping = true;
    f->stop_by = by;
}

/* --- Status --------------------------------------------------------------------------------------------- */

void forwarder_status(const struct forwarder *f, struct buffer *to)
{
    const struct state_facts *s = f->facts;
    if (!f->open)
        buffer_puts(to, "waiting for the inbox");
    else if (f->paused)
        buffer_puts(to, "paused");
    else if (f->failing)
        buffer_printf(to, "failing for %" PRId64 " s",
                      (clock_now(CLOCK_REALTIME) - s->failing_since) / SECOND);
    else
        buffer_puts(to, f->too_many ? "waiting: too many files or tasks wait for a retry" : "running");
    int64_t unread = s->newest > f->read ? s->newest - f->read : 0;
    buffer_printf(to, "; %" PRIu64 " handed on, %" PRId64 " to go, %" PRId64 " held, %" PRId64 " dead",
                  s->handed_on, unread + (int64_t)f->n_all, f->numbers.held, f->numbers.dead);
    if (s->let_go)
        buffer_printf(to, ", %" PRIu64 " let go", s->let_go);
    if (s->error_time)
        buffer_printf(to, "; last error: %s", s->error);
}

uint64_t forwarder_state(const struct forwarder *f)
{
    return f->changes;
}

/* --- Life ----------------------------------------------------------------------------------------------- */

int forwarder_new(const struct forwarder_config *config, sd_event *loop, struct feed *feed,
                  struct state *state, struct forwarder **ret)
{
    cleanup(forwarder_free_p) struct forwarder *f = calloc(1, sizeof *f);
    if (!f || lanes_new(&f->lanes) < 0)
        return log_error_errno(ENOMEM, "%m");
    f->config = *config;
    f->loop = loop;
    f->feed = feed;
    f->state = state;
    f->facts = state_facts(state);
    TAILQ_INIT(&f->all);
    TAILQ_INIT(&f->ready);
    f->read = f->facts->cursor;
    memcpy(f->skip, f->facts->ahead, sizeof f->skip);
    f->n_skip = f->facts->n_ahead;
    f->durable_at = INT64_MAX;
    f->stirred = true;
    *ret = steal_pointer(f);
    return 0;
}

struct forwarder *forwarder_free(struct forwarder *f)
{
    if (!f)
        return NULL;
    while (!TAILQ_EMPTY(&f->all))
        work_free(f, TAILQ_FIRST(&f->all));
    lanes_free(f->lanes);
    free(f->window.rows);
    free(f);
    return NULL;
}

struct target_context forwarder_context(struct forwarder *f)
{
    return (struct target_context){.loop = f->loop, .outcome = forwarder_outcome, .userdata = f};
}

int forwarder_use(struct forwarder *f, struct target *target)
{
    f->target = target;
    if (window_new(&f->window, target->max_in_flight + WAITING_MAX + 2 * STATE_AHEAD_MAX + 2) < 0)
        return log_error_errno(ENOMEM, "%m");
    cleanup(buffer_done) struct buffer name = {0};
    target->ops->describe(target, &name);
    snprintf(f->facts->target, sizeof f->facts->target, "%.*s", (int)name.len, name.data ? name.data : "");
    f->failing = f->facts->failing_since;
    f->failed_since = f->failing ? 1 : 0;
    f->dirty = true;
    /* Written and synced before anything is offered: where that fails, nothing could be remembered. */
    return state_save(f->state, true);
}
