/* state.c: what a forwarder remembers: facts, held events, dead letters.
 *
 * In each lane of the table `held` the event with the lowest row has a time at which it is due, or is in flight;
 * those behind it have none and get it by state_release() when it is gone. An event that is put before others
 * later (a replay, a dead letter) waits for the one that is due already. So whoever takes what is due takes at
 * most one of each lane. */
#include "forward/state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "state_private.h"

/* --- Statements ----------------------------------------------------------------------------------------- */

static sqlite3_stmt *ready(struct state *s, enum statement n)
{
    sqlite3_reset(s->statements[n]);
    return s->statements[n];
}

/* Returns how many rows it changed. */
static int run(struct state *s, enum statement n)
{
    int rc = sqlite3_step(s->statements[n]);
    int r = rc == SQLITE_DONE || rc == SQLITE_ROW ? sqlite3_changes(s->db) : state_failed(s, "write");
    sqlite3_reset(s->statements[n]);
    return r;
}

static int begin(struct state *s)
{
    if (s->begun)
        return 0;
    int r = run(s, STATE_BEGIN);
    s->begun = r >= 0;
    return r < 0 ? r : 0;
}

/* In a transaction, with a number as its first parameter. */
static int change_row(struct state *s, enum statement n, int64_t number)
{
    int r = begin(s);
    if (r < 0)
        return r;
    sqlite3_bind_int64(ready(s, n), 1, number);
    return run(s, n);
}

static int number_or_zero(int r)
{
    return r < 0 ? r : 0;
}

static void bind_text(sqlite3_stmt *statement, int n, const char *text)
{
    sqlite3_bind_text(statement, n, text, -1, SQLITE_STATIC);
}

static const char *column(sqlite3_stmt *statement, int n)
{
    return (const char *)sqlite3_column_text(statement, n);
}

static void copy_column(sqlite3_stmt *statement, int n, char *to, size_t size)
{
    const char *text = column(statement, n);
    snprintf(to, size, "%s", text ? text : "");
}

/* --- Facts ---------------------------------------------------------------------------------------------- */

static void read_ahead(struct state_facts *f, const char *text)
{
    for (char *end; text && *text && f->n_ahead < STATE_AHEAD_MAX; text = end + (*end == ' ')) {
        int64_t row = strtoll(text, &end, 10);
        if (end == text)
            break;
        f->ahead[f->n_ahead++] = row;
    }
}

int state_load(struct state *s, bool owner)
{
    struct state_facts *f = &s->facts;
    sqlite3_stmt *q = ready(s, STATE_LOAD);
    if (sqlite3_step(q) != SQLITE_ROW)
        return state_failed(s, "read");
    f->begun = sqlite3_column_int(q, 0);
    copy_column(q, 1, f->inbox, sizeof f->inbox);
    f->cursor = sqlite3_column_int64(q, 2);
    read_ahead(f, column(q, 3));
    f->newest = sqlite3_column_int64(q, 4);
    f->handed_on = (uint64_t)sqlite3_column_int64(q, 5);
    f->retried = (uint64_t)sqlite3_column_int64(q, 6);
    f->died = (uint64_t)sqlite3_column_int64(q, 7);
    f->let_go = (uint64_t)sqlite3_column_int64(q, 8);
    f->last_time = sqlite3_column_int64(q, 9);
    f->failing_since = sqlite3_column_int64(q, 10);
    f->error_time = sqlite3_column_int64(q, 11);
    copy_column(q, 12, f->error, sizeof f->error);
    copy_column(q, 13, f->target, sizeof f->target);
    sqlite3_reset(q);
    if (!owner)
        return 0;
    int r = begin(s);
    return r < 0 ? r : number_or_zero(run(s, STATE_UNTAKE));
}

struct state_facts *state_facts(struct state *s)
{
    return &s->facts;
}

static int save_facts(struct state *s)
{
    const struct state_facts *f = &s->facts;
    char ahead[STATE_AHEAD_MAX * 21 + 1] = "";
    for (size_t i = 0, n = 0; i < f->n_ahead; i++)
        n += (size_t)snprintf(ahead + n, sizeof ahead - n, i ? " %" PRId64 : "%" PRId64, f->ahead[i]);
    sqlite3_stmt *q = ready(s, STATE_SAVE);
    bind_text(q, 1, f->inbox);
    sqlite3_bind_int64(q, 2, f->cursor);
    bind_text(q, 3, ahead);
    sqlite3_bind_int64(q, 4, f->newest);
    sqlite3_bind_int64(q, 5, (int64_t)f->handed_on);
    sqlite3_bind_int64(q, 6, (int64_t)f->retried);
    sqlite3_bind_int64(q, 7, (int64_t)f->died);
    sqlite3_bind_int64(q, 8, (int64_t)f->let_go);
    sqlite3_bind_int64(q, 9, f->last_time);
    sqlite3_bind_int64(q, 10, f->failing_since);
    sqlite3_bind_int64(q, 11, f->error_time);
    bind_text(q, 12, f->error);
    bind_text(q, 13, f->target);
    sqlite3_bind_int(q, 14, f->begun);
    return number_or_zero(run(s, STATE_SAVE));
}

int state_commit(struct state *s)
{
    if (!s->begun)
        return 0;
    int r = number_or_zero(run(s, STATE_COMMIT));
    s->begun = r < 0;
    return r;
}

static int save(struct state *s)
{
    int r = begin(s);
    if (r >= 0)
        r = save_facts(s);
    return r < 0 ? r : state_commit(s);
}

/* A synced commit takes those before it to the disk, too. The mode can only be changed between transactions. */
int state_save(struct state *s, bool durable)
{
    int r = save(s);
    if (r < 0 || !durable)
        return r;
    if (sqlite3_exec(s->db, "PRAGMA synchronous=FULL", NULL, NULL, NULL) != SQLITE_OK)
        return state_failed(s, "write");
    r = save(s);
    sqlite3_exec(s->db, "PRAGMA synchronous=NORMAL", NULL, NULL, NULL);
    return r;
}

/* --- Held events ---------------------------------------------------------------------------------------- */

int state_hold(struct state *s, const struct state_held *h)
{
    int r = begin(s);
    if (r < 0)
        return r;
    sqlite3_stmt *q = ready(s, STATE_HOLD);
    sqlite3_bind_int64(q, 1, h->row);
    bind_text(q, 2, h->key);
    bind_text(q, 3, h->id);
    sqlite3_bind_int64(q, 4, h->attempts);
    sqlite3_bind_int64(q, 5, h->first);
    sqlite3_bind_int64(q, 6, h->last);
    if (h->due == STATE_BEHIND)
        sqlite3_bind_null(q, 7);
    else
        sqlite3_bind_int64(q, 7, h->due);
    bind_text(q, 8, h->error);
    sqlite3_bind_int(q, 9, h->replay);
    return number_or_zero(run(s, STATE_HOLD));
}

int state_unhold(struct state *s, int64_t row)
{
    return number_or_zero(change_row(s, STATE_UNHOLD, row));
}

int state_put_behind(struct state *s, int64_t row)
{
    return number_or_zero(change_row(s, STATE_PUT_BEHIND, row));
}

int state_limit(struct state *s, int64_t latest)
{
    return number_or_zero(change_row(s, STATE_LIMIT, latest));
}

int state_release(struct state *s, const char *key, int64_t now)
{
    int r = begin(s);
    if (r < 0)
        return r;
    sqlite3_stmt *q = ready(s, STATE_FREE_LANE);
    bind_text(q, 1, key);
    sqlite3_bind_int64(q, 2, now);
    return number_or_zero(run(s, STATE_FREE_LANE));
}

int state_release_all(struct state *s, int64_t now)
{
    return number_or_zero(change_row(s, STATE_FREE_LANES, now));
}

int state_hasten(struct state *s, int64_t since, int64_t now)
{
    sqlite3_bind_int64(ready(s, STATE_HASTEN), 2, now);
    return number_or_zero(change_row(s, STATE_HASTEN, since));
}

static struct state_held held_of(sqlite3_stmt *q)
{
    return (struct state_held){
        .row = sqlite3_column_int64(q, 0),
        .key = column(q, 1),
        .id = column(q, 2),
        .attempts = (unsigned)sqlite3_column_int(q, 3),
        .first = sqlite3_column_int64(q, 4),
        .last = sqlite3_column_int64(q, 5),
        .due = sqlite3_column_int64(q, 6),
        .error = column(q, 7),
        .replay = sqlite3_column_int(q, 8),
    };
}

int state_take(struct state *s, int64_t now, bool any, size_t max,
               int (*take)(void *userdata, const struct state_held *h), void *userdata)
{
    int64_t rows[STATE_TAKE_MAX];
    size_t n = 0;
    int rc = SQLITE_DONE, r = 0;
    sqlite3_stmt *q = ready(s, STATE_DUE);
    sqlite3_bind_int64(q, 1, any ? STATE_TAKEN - 1 : now);
    sqlite3_bind_int64(q, 2, max < STATE_TAKE_MAX ? (int64_t)max : STATE_TAKE_MAX);
    while (r >= 0 && (rc = sqlite3_step(q)) == SQLITE_ROW) {
        struct state_held h = held_of(q);
        rows[n++] = h.row;
        r = take(userdata, &h);
    }
    if (r >= 0 && rc != SQLITE_DONE)
        r = state_failed(s, "read");
    sqlite3_reset(q);
    for (size_t i = 0; r >= 0 && i < n; i++)
        r = change_row(s, STATE_TAKE, rows[i]);
    return number_or_zero(r);
}

int state_has_lane(struct state *s, const char *key, bool *ret)
{
    sqlite3_stmt *q = ready(s, STATE_HAS_LANE);
    bind_text(q, 1, key);
    int rc = sqlite3_step(q);
    *ret = rc == SQLITE_ROW;
    int r = rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : state_failed(s, "read");
    sqlite3_reset(q);
    return r;
}

int state_numbers(struct state *s, struct state_numbers *ret)
{
    sqlite3_stmt *q = ready(s, STATE_NUMBERS);
    if (sqlite3_step(q) != SQLITE_ROW)
        return state_failed(s, "read");
    *ret = (struct state_numbers){
        .held = sqlite3_column_int64(q, 0),
        .retrying = sqlite3_column_int64(q, 1),
        .due = sqlite3_column_int64(q, 2),
        .dead = sqlite3_column_int64(q, 3),
    };
    sqlite3_reset(q);
    return 0;
}

int state_next_due(struct state *s, int64_t *ret)
{
    sqlite3_stmt *q = ready(s, STATE_NEXT_DUE);
    int rc = sqlite3_step(q);
    *ret = rc == SQLITE_ROW ? sqlite3_column_int64(q, 0) : INT64_MAX;
    int r = rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : state_failed(s, "read");
    sqlite3_reset(q);
    return r;
}

int state_leave_inbox(struct state *s, int64_t *ret_held)
{
    int r = begin(s);
    if (r >= 0)
        r = run(s, STATE_FORGET_ROWS);
    if (r >= 0)
        r = run(s, STATE_FORGET_HELD);
    if (r >= 0)
        *ret_held = r;
    return number_or_zero(r);
}

/* --- Dead letters --------------------------------------------------------------------------------------- */

int state_bury(struct state *s, const struct state_dead *d)
{
    int r = state_unhold(s, d->row);
    if (r < 0)
        return r;
    sqlite3_stmt *q = ready(s, STATE_BURY);
    sqlite3_bind_int64(q, 1, d->row);
    bind_text(q, 2, d->key);
    bind_text(q, 3, d->id);
    bind_text(q, 4, d->type);
    sqlite3_bind_int64(q, 5, d->attempts);
    sqlite3_bind_int64(q, 6, d->first);
    sqlite3_bind_int64(q, 7, d->last);
    bind_text(q, 8, d->error);
    return number_or_zero(run(s, STATE_BURY));
}

int state_revive(struct state *s, int64_t letter, int64_t now)
{
    int r = change_row(s, STATE_REVIVE, letter);
    if (r > 0)
        r = change_row(s, STATE_DROP, letter);
    if (r > 0)
        r = state_release_all(s, now) < 0 ? -EIO : 1;
    return r;
}

int state_drop(struct state *s, int64_t letter)
{
    return change_row(s, STATE_DROP, letter);
}

int state_each_dead(struct state *s, int (*show)(void *userdata, const struct state_dead *d), void *userdata)
{
    int rc = SQLITE_DONE, r = 0;
    sqlite3_stmt *q = ready(s, STATE_EACH_DEAD);
    while (r == 0 && (rc = sqlite3_step(q)) == SQLITE_ROW) {
        const struct state_dead d = {
            .letter = sqlite3_column_int64(q, 0),
            .row = sqlite3_column_int64(q, 1),
            .key = column(q, 2),
            .id = column(q, 3),
            .type = column(q, 4),
            .attempts = (unsigned)sqlite3_column_int(q, 5),
            .first = sqlite3_column_int64(q, 6),
            .last = sqlite3_column_int64(q, 7),
            .error = column(q, 8),
        };
        r = show(userdata, &d);
    }
    if (r == 0 && rc != SQLITE_DONE)
        r = state_failed(s, "read");
    sqlite3_reset(q);
    return r;
}

/* --- Pausing -------------------------------------------------------------------------------------------- */

int state_paused(struct state *s, int64_t *ret_since, char *ret_why)
{
    sqlite3_stmt *q = ready(s, STATE_PAUSED);
    int rc = sqlite3_step(q);
    if (rc == SQLITE_ROW) {
        *ret_since = sqlite3_column_int64(q, 0);
        copy_column(q, 1, ret_why, STATE_ERROR_MAX);
    }
    int r = rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : state_failed(s, "read");
    sqlite3_reset(q);
    return r;
}

int state_pause(struct state *s, int64_t now, const char *why)
{
    bind_text(ready(s, STATE_PAUSE), 2, why);
    return number_or_zero(change_row(s, STATE_PAUSE, now));
}

int state_resume(struct state *s)
{
    int r = begin(s);
    return r < 0 ? r : number_or_zero(run(s, STATE_RESUME));
}

bool state_changed(struct state *s)
{
    int64_t before = s->version;
    sqlite3_stmt *q = ready(s, STATE_VERSION);
    if (sqlite3_step(q) == SQLITE_ROW)
        s->version = sqlite3_column_int64(q, 0);
    sqlite3_reset(q);
    return s->version != before;
}
