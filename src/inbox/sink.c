/* sink.c: the sink that records in the inbox.
 *
 * What is put between two commits is one transaction with one sync: for `listen` what completed in a round of the
 * loop, for `pull` a batch. Its states, and who moves them:
 *
 *   closed   the database could not be opened, or was closed after a failure; the next put opens it
 *   idle     no transaction is open; only here do chores run, and a log that is long enough is copied
 *   open     the first put took the lock of the writers; put adds rows, commit syncs them and leads to idle
 *   lost     a put failed after others of the group had succeeded. All of them were rolled back, and their sources do
 *            not know it yet, so that every put fails until commit has failed too, which leads to idle or closed
 *
 * What must hold: commit returns 0 only after SQLite has synced every row of the group at synchronous=FULL, and only
 * while the file at the path is the one that was written. Where put or commit fails, nothing of the group is recorded
 * and all of it is to be put again; a retry that finds its own row finds one that another commit has synced.
 *
 * A commit whose sync fails is rolled back on the same connection. The kernel has dropped what it could not write, but
 * other processes, and this one when it opens the file anew, still read it from memory: to open anew would take the
 * failed transaction for a committed one, with a hole on the disk below it. SQLite writes the next transaction over the
 * failed one instead, and that sync vouches for it; until then no checkpoint is made. After a checkpoint whose sync failed it is the other way round: the
 * log is whole and the database is not, so the connection is closed without another checkpoint, and opening it anew
 * copies the log from its beginning.
 *
 * A failure is said once, and once more when it is over. After one, what is put within FAIL_FAST fails at once: a round
 * of a thousand requests must not wait a thousand times for a lock. */
#include "inbox/sink.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "checkpoint.h"
#include "database.h"
#include "inbox/lookup.h"
#include "record/message_ids.h"
#include "retention.h"
#include "store.h"
#include "stuck.h"

static const int64_t MILLISECOND = 1000;
static const int64_t SECOND = 1000000;
/* After a failure, others that come at once fail without a try. It is shorter than the time until the next. */
static const int64_t FAIL_FAST = 50 * MILLISECOND;
/* Another's lock is no trouble before it has lasted this long. */
static const int64_t BUSY_UNSAID = 1 * SECOND;
/* How long another's lock is waited for: a commit or a checkpoint of another process; then, while it lasts; and for
 * chores, which can wait. */
static const int64_t BUSY_WAIT = 100 * MILLISECOND;
static const int64_t BUSY_WAIT_AGAIN = 20 * MILLISECOND;
static const int64_t BUSY_WAIT_CHORES = 5 * MILLISECOND;
/* Between chores while nothing can be recorded. */
static const int CHORES_LATER = 10000; /* milliseconds */

struct inbox {
    struct sink sink;
    struct database db;
    struct store store;
    struct checkpoint checkpoint;
    struct retention retention;

    size_t n_put; /* records since the last commit */
    bool lost;

    int64_t failed_at; /* monotonic microseconds; 0 while it works */
    int failed_with;   /* enum inbox_result, or a negative errno */
    int64_t trouble_since;
    bool said, chores_said;
};

/* --- Trouble ------------------------------------------------------------------------------------------- */

/* A sink's callers know nothing but errnos. */
static int errno_of(const struct inbox *i, int result)
{
    switch (result) {
    case INBOX_BUSY:
        return -EBUSY;
    case INBOX_DAMAGED:
        return -EUCLEAN;
    case INBOX_MOVED:
        return -ESTALE;
    case INBOX_FOREIGN:
        return -EINVAL;
    case INBOX_TROUBLE:
        return -i->db.error;
    }
    return result;
}

static void say_trouble(struct inbox *i, int result)
{
    i->said = true;
    if (result == INBOX_BUSY)
        log_message(
            MESSAGE_INBOX_TROUBLE, LOG_CRIT, 0,
            "The inbox %s is locked by another program: nothing can be recorded or acknowledged, will retry",
            i->db.given);
    else
        log_message(
            MESSAGE_INBOX_TROUBLE, LOG_CRIT, errno_of(i, result),
            "Failed to record in the inbox %s: %m (%s): nothing can be recorded or acknowledged, will retry",
            i->db.given, i->db.problem);
}

static void note_failure(struct inbox *i, int result)
{
    int64_t now = clock_now(CLOCK_MONOTONIC);
    if (!i->failed_at)
        i->trouble_since = now;
    i->failed_at = now;
    i->failed_with = result;
    if (!i->said && (result != INBOX_BUSY || now - i->trouble_since >= BUSY_UNSAID))
        say_trouble(i, result);
}

static void note_success(struct inbox *i)
{
    if (i->said)
        log_message(MESSAGE_INBOX_RECOVERED, LOG_NOTICE, 0,
                    "The inbox %s can be written again, after %" PRId64 " s", i->db.given,
                    (clock_now(CLOCK_MONOTONIC) - i->trouble_since) / SECOND);
    i->failed_at = 0;
    i->failed_with = INBOX_OK;
    i->said = false;
}

/* --- Open and closed ----------------------------------------------------------------------------------- */

static void close_all(struct inbox *i)
{
    store_close(&i->store);
    retention_close(&i->retention);
    if (i->db.sqlite)
        database_close(&i->db);
}

static int open_once(struct inbox *i)
{
    int result = database_open(&i->db);
    if (result == INBOX_OK)
        result = store_open(&i->store);
    if (result == INBOX_OK)
        result = retention_open(&i->retention);
    if (result == INBOX_OK)
        checkpoint_begin(&i->checkpoint, &i->db);
    return result;
}

static int open_all(struct inbox *i)
{
    int result;
    while ((result = open_once(i)) != INBOX_OK) {
        close_all(i);
        if (result != INBOX_DAMAGED || (result = database_damaged(&i->db)) != INBOX_OK)
            break;
    }
    return result;
}

static int ensure_open(struct inbox *i)
{
    if (i->db.sqlite && database_moved(&i->db)) {
        snprintf(i->db.problem, sizeof i->db.problem, "it was moved or deleted");
        note_failure(i, INBOX_MOVED);
        store_close(&i->store);
        retention_close(&i->retention);
        database_leave(&i->db);
    }
    return i->db.sqlite ? INBOX_OK : open_all(i);
}

static void roll_back(struct inbox *i)
{
    if (i->db.begun)
        age_forget(&i->retention.age);
    database_rollback(&i->db);
}

/* Ends what failed, whatever it was, and says so; a damaged file is not trouble that lasts, since the next try begins a
 * new one. Returns the negative errno. */
static int failed(struct inbox *i, int result)
{
    int error = errno_of(i, result);
    roll_back(i);
    if (result == INBOX_DAMAGED) {
        store_close(&i->store);
        retention_close(&i->retention);
        result = database_damaged(&i->db);
    }
    if (result != INBOX_OK)
        note_failure(i, result);
    return error;
}

/* --- The transaction ----------------------------------------------------------------------------------- */

static int copy_log(struct inbox *i)
{
    int result = checkpoint_step(&i->checkpoint);
    if (result != INBOX_OK)
        close_all(i);
    return result;
}

/* The log is looked at here, too, since who calls out finds no time for chores while events come. */
static int begin(struct inbox *i)
{
    if (i->db.begun)
        return INBOX_OK;
    i->db.busy_wait = i->failed_with == INBOX_BUSY ? BUSY_WAIT_AGAIN : BUSY_WAIT;
    int result = ensure_open(i);
    if (result == INBOX_OK)
        result = copy_log(i);
    if (result == INBOX_OK)
        result = database_begin(&i->db);
    return result == INBOX_OK ? age_check(&i->retention.age) : result;
}

static int inbox_put(struct sink *sink, struct record *r)
{
    struct inbox *i = (struct inbox *)sink;
    if (i->lost)
        return -ECANCELED;
    if (i->failed_at && clock_now(CLOCK_MONOTONIC) - i->failed_at < FAIL_FAST)
        return errno_of(i, i->failed_with);
    bool first = !i->db.begun;
    int result = begin(i);
    if (result == INBOX_OK && first)
        result = store_begin(&i->store);
    if (result == INBOX_OK)
        result = store_put(&i->store, r);
    if (result == INBOX_OK && !r->duplicate)
        result = retention_added(&i->retention, r);
    if (result != INBOX_OK) {
        i->lost = i->n_put > 0;
        i->n_put = 0;
        return failed(i, result);
    }
    i->n_put++;
    return 0;
}

static int inbox_commit(struct sink *sink)
{
    struct inbox *i = (struct inbox *)sink;
    if (i->lost) {
        i->lost = false;
        return -ECANCELED;
    }
    if (!i->db.begun)
        return 0;
    i->n_put = 0;
    int result = database_commit(&i->db);
    if (result == INBOX_OK && database_moved(&i->db)) {
        snprintf(i->db.problem, sizeof i->db.problem, "it was moved or deleted meanwhile");
        result = INBOX_MOVED;
    }
    if (result != INBOX_OK)
        return failed(i, result);
    note_success(i);
    return 0;
}

/* Only what may repeat and was pulled in the last transaction has anything to be noted. */
static int inbox_confirmed(struct sink *sink, const int64_t *rows, size_t n)
{
    struct inbox *i = (struct inbox *)sink;
    bool own = !i->db.begun;
    if (!i->store.n_pulled)
        return 0;
    int result = begin(i);
    if (result == INBOX_OK)
        result = store_confirm(&i->store, rows, n);
    if (result == INBOX_OK && own)
        result = database_commit(&i->db);
    return result == INBOX_OK ? 0 : failed(i, result);
}

int sink_inbox_remember(struct sink *sink, const char *name, int64_t value)
{
    struct inbox *i = (struct inbox *)sink;
    int result = begin(i);
    if (result == INBOX_OK)
        result = store_remember(&i->store, name, value);
    if (result == INBOX_OK)
        result = database_commit(&i->db);
    return result == INBOX_OK ? 0 : failed(i, result);
}

/* A number that a query finds; it waits for nobody. */
static int ask(struct sink *sink, const char *sql, int64_t *ret)
{
    struct inbox *i = (struct inbox *)sink;
    int result = i->db.begun ? INBOX_OK : ensure_open(i);
    if (result == INBOX_OK)
        result = database_number(&i->db, sql, ret);
    return result == INBOX_OK ? 0 : errno_of(i, result);
}

int sink_inbox_recall(struct sink *sink, const char *name, int64_t *ret)
{
    char sql[128];
    snprintf(sql, sizeof sql, "SELECT ifnull((SELECT value FROM inbox_info WHERE name = '%s'), 0)", name);
    return ask(sink, sql, ret);
}

int sink_inbox_last_event(struct sink *sink, int64_t *ret)
{
    return ask(sink,
               "SELECT ifnull((SELECT received FROM event WHERE trust <> 'refused' AND source <> 'reconcile'"
               " ORDER BY received DESC LIMIT 1), 0)",
               ret);
}

static void say_stuck(const struct stuck *s,
                      void (*say)(void *userdata, const struct inbox_stuck *task, bool over), void *userdata)
{
    for (size_t k = 0; k < s->n; k++) {
        const struct stuck_task *t = &s->tasks[k];
        struct inbox_stuck task = {
            .since = t->since, .task_id = t->task_id, .file_id = t->file_id, .type = t->type};
        say(userdata, &task, t->over);
    }
}

int sink_inbox_find_stuck(struct sink *sink, int64_t within,
                          void (*say)(void *userdata, const struct inbox_stuck *task, bool over),
                          void *userdata)
{
    struct inbox *i = (struct inbox *)sink;
    struct stuck s;
    int64_t now = clock_now(CLOCK_REALTIME);
    if (i->db.begun)
        return 0;
    i->db.busy_wait = BUSY_WAIT_CHORES;
    int result = ensure_open(i);
    if (result == INBOX_OK)
        result = stuck_find(&s, &i->db, now - within, now);
    if (result != INBOX_OK)
        return errno_of(i, result);
    if (s.n > 0) {
        result = begin(i);
        if (result == INBOX_OK)
            result = stuck_mark(&s, &i->db, now);
        if (result == INBOX_OK)
            result = database_commit(&i->db);
        if (result == INBOX_OK)
            say_stuck(&s, say, userdata);
        else
            failed(i, result);
    }
    stuck_done(&s);
    return result == INBOX_OK ? 0 : errno_of(i, result);
}

/* --- Chores -------------------------------------------------------------------------------------------- */

/* A lock of another's is no trouble here. */
static void note_chores(struct inbox *i, int result)
{
    if (result == INBOX_DAMAGED)
        failed(i, result);
    else if (result != INBOX_OK && result != INBOX_BUSY && !i->chores_said)
        log_warning_errno(errno_of(i, result), "Failed to tidy the inbox %s: %m (%s), will retry",
                          i->db.given, i->db.problem);
    if (result != INBOX_BUSY)
        i->chores_said = result != INBOX_OK;
}

int sink_inbox_maintain(struct sink *sink)
{
    struct inbox *i = (struct inbox *)sink;
    retention_look_at_disk(&i->retention);
    if (i->db.begun || i->failed_at)
        return CHORES_LATER;
    i->db.busy_wait = BUSY_WAIT_CHORES;
    int result = ensure_open(i);
    if (result == INBOX_OK)
        result = copy_log(i);
    if (result == INBOX_OK)
        result = retention_step(&i->retention);
    note_chores(i, result);
    retention_say(&i->retention, false);
    int64_t in = (retention_next(&i->retention) - clock_now(CLOCK_MONOTONIC)) / MILLISECOND + 1;
    return in > 0 ? (int)in : 0;
}

/* --- Life ---------------------------------------------------------------------------------------------- */

static void inbox_free(struct sink *sink)
{
    struct inbox *i = (struct inbox *)sink;
    retention_say(&i->retention, true);
    store_close(&i->store);
    retention_close(&i->retention);
    database_done(&i->db);
    free(i);
}

static const struct sink_ops inbox_ops = {.name = "inbox",
                                          .put = inbox_put,
                                          .commit = inbox_commit,
                                          .confirmed = inbox_confirmed,
                                          .free = inbox_free};

int sink_inbox_new(const struct inbox_config *config, struct sink **ret)
{
    struct inbox *i = calloc(1, sizeof *i);
    if (!i)
        return log_error_errno(ENOMEM, "Failed to open the inbox %s: %m", config->path);
    i->sink.ops = &inbox_ops;
    int result = database_init(&i->db, config->path);
    i->db.busy_wait = BUSY_WAIT;
    store_init(&i->store, &i->db);
    retention_init(&i->retention, &i->db, config);
    if (result == 0)
        result = open_all(i);
    if (result == INBOX_BUSY || result == INBOX_TROUBLE) {
        note_failure(i, result);
        result = INBOX_OK;
    }
    if (result != INBOX_OK) {
        result = log_error_errno(errno_of(i, result), "Failed to open the inbox %s: %m (%s)", config->path,
                                 i->db.problem);
        inbox_free(&i->sink);
        return result;
    }
    *ret = &i->sink;
    return 0;
}
