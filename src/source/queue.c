/* queue.c: the loop of the reliable callback: pull, record, confirm. */
#include "source/queue.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/trouble.h"
#include "record/message_ids.h"
#include "source/batch.h"
#include "source/pace.h"
#include "json/json.h"

static const int64_t SECOND = 1000000;

/* A handle is good for 30 s after the pull. Source: API, ConfirmEvents. Counted from the beginning of the pull, which is
 * earlier. */
static const int64_t CONFIRM_WINDOW = 30 * SECOND;

/* After this time events that were not confirmed are in the queue again. */
static const int64_t COMES_BACK = 32 * SECOND;
static const int64_t RECORD_RETRY = SECOND / 5;

/* For how long a key may be refused before the process ends, so that its next start reads another one. */
static const int64_t KEYS_REFUSED_MOST = 180 * SECOND;

enum { ONCE_FAILURES = 6 /* in a row, after which --once gives up: half a minute of back-off */ };

/* An event of the batch in hand. */
struct taken {
    int64_t row; /* of the inbox */
    bool recorded, has_handle;
};

struct queue {
    struct queue_config config;
    struct intake *intake;
    struct recorder *recorder;
    struct queue_stats stats;
    struct pace pace;     /* of pulls, and of what comes after a failure of any call */
    struct pace confirms; /* VOD counts them apart */
    struct reply reply;
    struct buffer request, body;
    struct buffer handles;     /* of the batch in hand: an array, */
    struct json confirm;       /* and its nodes */
    int64_t window_ends;       /* of the batch in hand */
    int64_t back_at;           /* when what was pulled and not confirmed is in the queue again, */
    int64_t said_waiting_for;  /* which --once was said to wait for */
    struct buffer explanation; /* of the call that failed last, terminated by NUL */
    struct trouble trouble;    /* of calls; its count is that of those that failed in a row */
    uint64_t unhandled;        /* events without a handle */
    int64_t keys_refused;      /* since when the API key has been refused; 0 while it is not */
    bool restart;              /* since that cannot change before a new start */
    struct taken *taken;       /* of the batch in hand; n_taken fit */
    size_t n_taken;
};

int queue_new(const struct queue_config *config, struct intake *intake, struct recorder *recorder,
              struct queue **ret)
{
    struct queue *q = calloc(1, sizeof *q);
    if (!q)
        return -ENOMEM;
    q->config = *config;
    q->intake = intake;
    q->recorder = recorder;
    pace_init(&q->pace, config->rate);
    pace_init(&q->confirms, config->rate);
    batch_request(&q->request, config->sub_app_id);
    *ret = q->request.failed ? queue_free(q) : q;
    return *ret ? 0 : -ENOMEM;
}

struct queue *queue_free(struct queue *q)
{
    if (!q)
        return NULL;
    buffer_done(&q->request);
    buffer_done(&q->body);
    buffer_done(&q->handles);
    buffer_done(&q->explanation);
    json_done(&q->confirm);
    free(q->taken);
    free(q);
    return NULL;
}

const struct queue_stats *queue_stats(const struct queue *q)
{
    return &q->stats;
}

static int64_t now_of(const struct queue *q)
{
    return q->config.world.now(q->config.world.userdata);
}

static int64_t stop_by(const struct queue *q)
{
    return q->config.world.stop_by(q->config.world.userdata);
}

static bool stopping(const struct queue *q)
{
    return stop_by(q) != INT64_MAX;
}

static void wait_until(struct queue *q, int64_t until)
{
    if (until > now_of(q))
        q->config.world.wait(q->config.world.userdata, until);
}

/* --- What is said ----------------------------------------------------------------------------------- */

static void say_trouble(struct queue *q, const char *action, int r)
{
    struct reply_caller caller = {
        .action = action,
        .endpoint = q->config.remote,
        .secret_id = secret_slice(q->config.secret_id),
        .sub_app_id = q->config.sub_app_id,
    };
    buffer_reset(&q->explanation, 0);
    reply_explain(&q->explanation, r, &q->reply, &caller);
    buffer_putc(&q->explanation, '\0');
    q->stats.trouble = q->explanation.failed ? "out of memory" : q->explanation.data;
    q->trouble.count++;
    if (trouble_begin(&q->trouble, now_of(q), r < 0 ? strerror(-r) : q->reply.code, 0))
        log_line(r == REPLY_REFUSED ? LOG_ERR : LOG_WARNING, 0, "%s%s", q->stats.trouble,
                 q->config.once ? "" : ", will retry");
}

static void say_recovered(struct queue *q)
{
    struct trouble was;
    if (trouble_end(&q->trouble, &was))
        log_info("%s works again after %" PRId64 " s and %" PRIu64 " failed calls", q->config.remote,
                 (now_of(q) - was.since) / SECOND, was.count);
    q->stats.trouble = NULL;
    q->keys_refused = 0;
}

/* --- Calls ------------------------------------------------------------------------------------------ */

static uint32_t any_bits(void)
{
    uint32_t bits = 0;
    if (getrandom(&bits, sizeof bits, GRND_NONBLOCK) != sizeof bits)
        bits = (uint32_t)clock_now(CLOCK_MONOTONIC);
    return bits;
}

static int call(struct queue *q, struct pace *pace, const char *action, struct slice body, int64_t *ret_began)
{
    wait_until(q, pace->next);
    *ret_began = now_of(q);
    pace_begin(pace, *ret_began);
    return q->config.world.call(q->config.world.userdata, action, body, &q->reply);
}

/* A pull that failed may have taken events out of the queue. */
static void expect_back(struct queue *q)
{
    q->back_at = now_of(q) + COMES_BACK;
}

/* A key may have been replaced, or a token have expired, while the program runs. Returns whether calls have another
 * one now. */
static bool find_other_keys(struct queue *q)
{
    if (strncmp(q->reply.code, "AuthFailure", 11) != 0 || !q->config.world.read_keys)
        return false;
    if (!q->keys_refused)
        q->keys_refused = now_of(q);
    enum queue_keys keys = q->config.world.read_keys(q->config.world.userdata);
    if (keys == QUEUE_KEYS_NEW) {
        log_notice("The API key has changed, trying the new one");
        return true;
    }
    /* A wrong clock is no matter of the key. */
    bool fixed = keys == QUEUE_KEYS_FIXED && strcmp(q->reply.code, "AuthFailure.SignatureExpire") != 0;
    q->restart = fixed && now_of(q) - q->keys_refused >= KEYS_REFUSED_MOST;
    if (q->restart)
        log_error("The API key has been refused for %" PRId64
                  " s, and only a new start can bring another one: ending",
                  (now_of(q) - q->keys_refused) / SECOND);
    return false;
}

/* --- Recording -------------------------------------------------------------------------------------- */

static struct arrival arrival_of(const struct queue *q, struct slice event, bool again)
{
    return (struct arrival){
        .source = SOURCE_PULL,
        .remote = q->config.remote,
        .time = clock_now(CLOCK_REALTIME),
        .right_path = true,
        .post = true,
        .body = event,
        .body_bytes = event.len,
        .again = again,
    };
}

/* Offers every event that is not recorded yet, even after one has failed: the other outputs see each event once.
 * Returns 0 when all are recorded. */
static int put_batch(struct queue *q, uint32_t events, bool again, const char *given_up)
{
    const struct json *json = q->reply.json;
    struct taken *taken = q->taken;
    int result = 0;
    json_each(json, events, event) {
        struct arrival a = arrival_of(q, json_raw(json, event), again);
        a.given_up = given_up;
        int r = taken->recorded ? 0 : intake_put(q->intake, &a, &taken->row);
        taken++->recorded |= r == 0;
        if (r < 0)
            result = r;
    }
    int r = recorder_commit(q->recorder);
    return result < 0 ? result : r;
}

/* Tries without end, unless a stop is asked for: a batch that comes again would fail as well. Returns 0 when all of it
 * is recorded. */
static int record_batch(struct queue *q, uint32_t events)
{
    int r = put_batch(q, events, false, NULL);
    while (r < 0 && now_of(q) + RECORD_RETRY < stop_by(q)) {
        wait_until(q, now_of(q) + RECORD_RETRY);
        r = put_batch(q, events, true, NULL);
    }
    if (r < 0)
        put_batch(q, events, true, "it is not confirmed, and VOD will deliver it again");
    return r;
}

/* --- Confirming ------------------------------------------------------------------------------------- */

/* Makes room for the events, and copies their handles, since the answer they are in is gone with the next call. Returns
 * how many events there are, 0 where memory ran out. */
static size_t take_handles(struct queue *q, uint32_t events)
{
    const struct json *json = q->reply.json;
    struct slice handle;
    size_t n = 0, i = 0;
    json_each(json, events, event)
        n++;
    free(q->taken);
    q->taken = calloc(n, sizeof *q->taken);
    q->n_taken = q->taken ? n : 0;
    buffer_reset(&q->handles, 64 * 1024);
    json_each(json, events, event) {
        if (i == q->n_taken)
            break;
        q->taken[i].has_handle = batch_handle(json, event, &handle);
        if (q->taken[i++].has_handle)
            batch_add_handle(&q->handles, handle);
        else if (!q->unhandled++)
            log_warning("An event has no EventHandle: it cannot be confirmed and may come back");
    }
    return q->n_taken;
}

/* Tells the recorder which rows VOD will not deliver again: those of n handles from the first on. */
static void note_confirmed(struct queue *q, size_t first, size_t n)
{
    int64_t rows[BATCH_MAX];
    size_t handle = 0, k = 0;
    for (size_t i = 0; i < q->n_taken && k < n; i++)
        if (q->taken[i].has_handle && handle++ >= first)
            rows[k++] = q->taken[i].row;
    recorder_confirmed(q->recorder, rows, k);
}

/* Waits before a confirm is tried again. Returns whether there is still time for it. */
static bool retry_confirm(struct queue *q, int64_t began)
{
    int64_t next = pace_after(&q->pace, PACE_TROUBLE, began, now_of(q), any_bits());
    if (next >= q->window_ends || next >= stop_by(q) || (q->config.once && q->pace.failures >= ONCE_FAILURES))
        return false;
    wait_until(q, next);
    return true;
}

/* VOD refuses a handle that is late by its clock, or that a newer one has replaced. Source: API, ConfirmEvents,
 * "4000". */
static bool is_handle_refused(const struct queue *q, int r)
{
    return r == REPLY_REFUSED && strncmp(q->reply.code, "InvalidParameter", 16) == 0;
}

/* Confirms up to 16 handles. Returns 0, -ETIME when it was too late to try, or as the call did. */
static int confirm_some(struct queue *q, size_t n)
{
    int r;
    int64_t began;
    do {
        if (now_of(q) >= q->window_ends || now_of(q) >= stop_by(q))
            return -ETIME;
        r = call(q, &q->confirms, "ConfirmEvents", buffer_slice(&q->body), &began);
        if (r == REPLY_DONE) {
            q->stats.confirmed += n;
            say_recovered(q);
            return 0;
        }
        if (!is_handle_refused(q, r))
            say_trouble(q, "ConfirmEvents", r);
    } while ((r < 0 || r == REPLY_BUSY) && retry_confirm(q, began));
    return r;
}

static void say_unconfirmed(struct queue *q, size_t n, int r)
{
    const char *reply = q->reply.message[0] ? q->reply.message : q->reply.code;
    q->stats.unconfirmed += n;
    expect_back(q);
    if (is_handle_refused(q, r))
        log_message(
            MESSAGE_UNRECORDED, LOG_NOTICE, 0,
            "%zu event(s) were recorded, but VOD takes no confirmation (%s); it will deliver them again", n,
            reply);
    else
        log_message(MESSAGE_UNRECORDED, LOG_NOTICE, 0,
                    "%zu event(s) were recorded %s; VOD will deliver them again", n,
                    r == -ETIME ? "too late to confirm" : "but not confirmed");
}

/* Confirms the handles from one node to another. Where one is refused with others, each is confirmed by
 * itself. Returns 0, -ETIME for one that was refused or too late, or why the first call failed that did. */
static int confirm(struct queue *q, uint32_t node, uint32_t end, size_t most)
{
    int result = 0;
    while (node < end) {
        uint32_t first = node;
        buffer_reset(&q->body, 64 * 1024);
        size_t n = batch_confirm(&q->body, &q->confirm, &node, end, most, q->config.sub_app_id);
        int r = q->body.failed ? -ENOMEM : confirm_some(q, n);
        bool refused = is_handle_refused(q, r);
        if (r == 0)
            note_confirmed(q, first - 1, n);
        if (refused && n > 1) {
            r = confirm(q, first, node, 1);
        } else if (r != 0) {
            say_unconfirmed(q, n, r);
            r = refused ? -ETIME : r;
        }
        result = result ? result : r;
    }
    return result;
}

/* Pulling more does not help a call that is refused. */
static enum pace_outcome outcome_of_confirm(int r)
{
    if (r == 0 || r == -ETIME)
        return PACE_EVENTS;
    return r == REPLY_REFUSED ? PACE_PERSISTENT : PACE_TROUBLE;
}

/* --- The loop --------------------------------------------------------------------------------------- */

static enum pace_outcome take_batch(struct queue *q, uint32_t events, int64_t began)
{
    q->window_ends = began + CONFIRM_WINDOW;
    size_t n = take_handles(q, events);
    q->stats.pulled += n;
    if (!n || record_batch(q, events) < 0) {
        q->stats.unconfirmed += n;
        expect_back(q);
        return n ? PACE_EVENTS : PACE_TROUBLE;
    }
    if (!q->handles.len && !q->handles.failed)
        return PACE_EVENTS;
    if (q->handles.failed || !json_read(&q->confirm, q->handles.data, q->handles.len))
        return outcome_of_confirm(-ENOMEM);
    return outcome_of_confirm(confirm(q, 1, q->confirm.n, BATCH_MAX));
}

/* One pull and what follows. Returns what came of it and when it was begun. */
static enum pace_outcome pull(struct queue *q, int64_t *ret_began)
{
    uint32_t events = 0;
    int r = call(q, &q->pace, "PullEvents", buffer_slice(&q->request), ret_began);
    if (r == REPLY_DONE && (r = batch_events(q->reply.json, q->reply.response, &events)) < 0)
        snprintf(q->reply.message, sizeof q->reply.message, "there is no EventSet in the answer");
    if (r == -ECANCELED && stopping(q))
        return PACE_EMPTY;
    q->stats.empty = r == REPLY_NOTHING || (r == REPLY_DONE && !events);
    if (r == REPLY_DONE || r == REPLY_NOTHING)
        say_recovered(q);
    else
        say_trouble(q, "PullEvents", r);
    if ((r < 0 || r == REPLY_BUSY) && q->reply.sent)
        expect_back(q);
    if (r == REPLY_REFUSED)
        return find_other_keys(q) ? PACE_EVENTS : PACE_PERSISTENT;
    if (r < 0 || r == REPLY_BUSY)
        return PACE_TROUBLE;
    return events ? take_batch(q, events, *ret_began) : PACE_EMPTY;
}

/* With --once, when the queue is empty but events will come back. */
static void say_waiting(struct queue *q)
{
    if (q->said_waiting_for == q->back_at)
        return;
    q->said_waiting_for = q->back_at;
    log_info(
        "The queue is empty; waiting for events that were not confirmed or got lost: VOD delivers them again "
        "within %" PRId64 " s",
        (q->back_at - now_of(q)) / SECOND + 1);
}

enum queue_end queue_run(struct queue *q)
{
    while (!stopping(q) && !q->restart) {
        int64_t began = 0;
        enum pace_outcome outcome = pull(q, &began);
        if (q->config.once && outcome == PACE_EMPTY && !stopping(q)) {
            if (now_of(q) >= q->back_at)
                return QUEUE_DONE;
            say_waiting(q);
        }
        int64_t next = pace_after(&q->pace, outcome, began, now_of(q), any_bits());
        if (q->config.once && (outcome == PACE_PERSISTENT || q->pace.failures >= ONCE_FAILURES))
            return stopping(q) ? QUEUE_DONE : QUEUE_FAILED;
        if (!stopping(q) && !q->restart)
            wait_until(q, next);
    }
    return q->restart ? QUEUE_RESTART : QUEUE_DONE;
}
