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

/* A handle is good for 30 s from the pull on. Source: API, ConfirmEvents. They are counted here from when the
 * pull was begun, which is earlier. */
static const int64_t CONFIRM_WINDOW = 30 * SECOND;

/* Then what was pulled and not confirmed has come back. */
static const int64_t COMES_BACK = 32 * SECOND;
static const int64_t RECORD_RETRY = SECOND / 5;

enum { ONCE_FAILURES = 6 /* in a row, after which --once gives up: half a minute of back-off */ };

struct queue {
    struct queue_config config;
    struct intake *intake;
    struct recorder *recorder;
    struct queue_stats stats;
    struct pace pace;
    struct reply reply;
    struct buffer request, body;
    struct buffer handles;     /* of the batch in hand: an array, */
    struct json confirm;       /* and its nodes */
    struct buffer rows;        /* int64_t: where the inbox has each event of the batch; then of each handle */
    int64_t window_ends;       /* of the batch in hand */
    int64_t back_at;           /* when what was pulled and not confirmed is in the queue again, */
    int64_t said_waiting_for;  /* which --once was said to wait for */
    struct buffer explanation; /* of the call that failed last, terminated by NUL */
    struct trouble trouble;    /* of calls; its count is that of those that failed in a row */
    uint64_t unhandled;        /* events without a handle */
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
    buffer_done(&q->rows);
    buffer_done(&q->explanation);
    json_done(&q->confirm);
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
        .secret_id = q->config.secret_id,
        .sub_app_id = q->config.sub_app_id,
    };
    buffer_reset(&q->explanation, 0);
    reply_explain(&q->explanation, r, &q->reply, &caller);
    buffer_putc(&q->explanation, '\0');
    q->stats.trouble = q->explanation.failed ? "out of memory" : q->explanation.data;
    q->trouble.count++;
    if (trouble_begin(&q->trouble, now_of(q), r < 0 ? strerrorname_np(-r) : q->reply.code, 0))
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
}

/* --- Calls ------------------------------------------------------------------------------------------ */

static uint32_t any_bits(void)
{
    uint32_t bits = 0;
    if (getrandom(&bits, sizeof bits, GRND_NONBLOCK) != sizeof bits)
        bits = (uint32_t)clock_now(CLOCK_MONOTONIC);
    return bits;
}

static int call(struct queue *q, const char *action, struct slice body, int64_t *ret_began)
{
    wait_until(q, q->pace.next);
    *ret_began = now_of(q);
    pace_begin(&q->pace, *ret_began);
    return q->config.world.call(q->config.world.userdata, action, body, &q->reply);
}

/* What a pull that did not work may have taken out of the queue comes back later. */
static void expect_back(struct queue *q)
{
    q->back_at = now_of(q) + COMES_BACK;
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

/* Offers every event that is not recorded yet, whatever becomes of those before it, so that the outputs
 * beside the required one see each once. Returns 0 when all of them are recorded. */
static int put_batch(struct queue *q, uint32_t events, bool *recorded, bool again)
{
    int64_t *rows = (int64_t *)(void *)q->rows.data;
    const struct json *json = q->reply.json;
    int result = 0;
    size_t i = 0;
    json_each(json, events, event) {
        struct arrival a = arrival_of(q, json_raw(json, event), again);
        int r = recorded[i] ? 0 : intake_put(q->intake, &a, &rows[i]);
        recorded[i++] = r == 0;
        if (r < 0)
            result = r;
    }
    int r = recorder_commit(q->recorder);
    return result < 0 ? result : r;
}

/* However long it takes, unless a stop is asked for: the batch is there, and what is recorded of it will be
 * known when it comes back. */
static int record_batch(struct queue *q, uint32_t events, size_t n)
{
    cleanup_free bool *recorded = calloc(n, sizeof *recorded);
    buffer_reset(&q->rows, 64 * 1024);
    bool ready = recorded && buffer_reserve(&q->rows, n * sizeof(int64_t));
    int r = ready ? put_batch(q, events, recorded, false) : -ENOMEM;
    q->stats.trouble = r < 0 ? "events cannot be recorded" : NULL;
    while (ready && r < 0 && now_of(q) + RECORD_RETRY < stop_by(q)) {
        wait_until(q, now_of(q) + RECORD_RETRY);
        r = put_batch(q, events, recorded, true);
    }
    if (r >= 0)
        q->stats.trouble = NULL;
    return r;
}

/* --- Confirming ------------------------------------------------------------------------------------- */

/* Copies the handles, since the answer they are in is gone with the next call. Returns how many events. */
static size_t take_handles(struct queue *q, uint32_t events)
{
    const struct json *json = q->reply.json;
    struct slice handle;
    size_t n = 0;
    buffer_reset(&q->handles, 64 * 1024);
    json_each(json, events, event) {
        n++;
        if (batch_handle(json, event, &handle))
            batch_add_handle(&q->handles, handle);
        else if (!q->unhandled++)
            log_warning("An event has no EventHandle, so that it cannot be confirmed and may come back");
    }
    return n;
}

/* Leaves the rows of the events that have a handle, in the order of the handles. */
static void match_rows(struct queue *q, uint32_t events)
{
    const struct json *json = q->reply.json;
    int64_t *rows = (int64_t *)(void *)q->rows.data;
    struct slice handle;
    size_t i = 0, n = 0;
    json_each(json, events, event) {
        if (batch_handle(json, event, &handle))
            rows[n++] = rows[i];
        i++;
    }
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

/* A handle that is refused is late by VOD's clock, or a newer one has replaced it, and that is all. Source:
 * API, ConfirmEvents, "4000". */
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
        r = call(q, "ConfirmEvents", buffer_slice(&q->body), &began);
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
        log_message(MESSAGE_UNRECORDED, LOG_NOTICE, 0,
                    "Recorded, but VOD takes no confirmation (%s), so that they will come again: %zu", reply,
                    n);
    else
        log_message(MESSAGE_UNRECORDED, LOG_NOTICE, 0, "Recorded %s, so that they will come again: %zu",
                    r == -ETIME ? "too late to confirm them" : "but not confirmed", n);
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
            recorder_confirmed(q->recorder, (const int64_t *)(void *)q->rows.data + first - 1, n);
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

/* What a refused call is about does not get better by pulling more. */
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
    int r = record_batch(q, events, n);
    if (r < 0) {
        log_message(MESSAGE_UNRECORDED, LOG_WARNING, r,
                    "Not recorded and not confirmed, so that they will come again: %zu: %m", n);
        q->stats.unconfirmed += n;
        return PACE_EVENTS;
    }
    match_rows(q, events);
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
    int r = call(q, "PullEvents", buffer_slice(&q->request), ret_began);
    if (r == REPLY_DONE && (r = batch_events(q->reply.json, q->reply.response, &events)) < 0)
        snprintf(q->reply.message, sizeof q->reply.message, "there is no EventSet in the answer");
    if (r == -ECANCELED && stopping(q))
        return PACE_EMPTY;
    q->stats.empty = r == REPLY_NOTHING || (r == REPLY_DONE && !events);
    if (r == REPLY_DONE || r == REPLY_NOTHING)
        say_recovered(q);
    else
        say_trouble(q, "PullEvents", r);
    if (r < 0 && r != -EREMOTEIO && q->reply.sent)
        expect_back(q);
    if (r == REPLY_REFUSED)
        return PACE_PERSISTENT;
    if (r < 0 || r == REPLY_BUSY)
        return PACE_TROUBLE;
    return events ? take_batch(q, events, *ret_began) : PACE_EMPTY;
}

/* With --once, when the queue is empty but for what comes back. */
static void say_waiting(struct queue *q)
{
    if (q->said_waiting_for == q->back_at)
        return;
    q->said_waiting_for = q->back_at;
    log_info("The queue is empty; what was not confirmed, or lost on the way, comes back within %" PRId64
             " s, and is waited for",
             (q->back_at - now_of(q)) / SECOND + 1);
}

int queue_run(struct queue *q)
{
    int64_t next = 0;
    while (!stopping(q)) {
        int64_t began = 0;
        enum pace_outcome outcome = pull(q, &began);
        if (q->config.once && outcome == PACE_EMPTY && !stopping(q)) {
            if (now_of(q) >= q->back_at)
                return 0;
            say_waiting(q);
        }
        next = pace_after(&q->pace, outcome, began, now_of(q), any_bits());
        if (q->config.once && (outcome == PACE_PERSISTENT || q->pace.failures >= ONCE_FAILURES))
            return stopping(q) ? 0 : -EIO;
        if (!stopping(q))
            wait_until(q, next);
    }
    return 0;
}
