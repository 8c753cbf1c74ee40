/* age.c: the time that really passed.
 *
 * A clock that leaps forty days ahead would make every event old at once. CLOCK_BOOTTIME does not leap: while it runs, the
 * two clocks show the same progress. Where they do not, the difference is a leap, and inbox_clock gets a row: from the
 * next id on `received` is ahead of the time that really passed by `lag`. A leap back is one with a smaller lag.
 *
 * inbox_info has what both clocks showed at one moment, so that a leap is found while nothing runs, too. When
 * CLOCK_BOOTTIME shows less than it did the machine was started anew, maybe with a wrong clock: only the time since then
 * surely passed, so that events stay for longer by the time that it was off. */
#include "age.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "record/message_ids.h"

static const int64_t SECOND = 1000000;
static const int64_t LEAP_LEAST = 60 * SECOND;    /* less is the clock's daily correction */
static const int64_t STORE_EVERY = 3600 * SECOND; /* between notes that time has passed */
static const int64_t SAY_RESTART =
    86400 * SECOND; /* the least leap across a start of the machine to speak of */

void age_init(struct age *a, struct database *db)
{
    *a = (struct age){.db = db};
}

void age_forget(struct age *a)
{
    a->known = false;
}

int64_t age_now(const struct age *a)
{
    return clock_now(CLOCK_REALTIME) - a->lag;
}

/* Of an inbox that has no note yet, the last event tells when it was in use. */
static int load(struct age *a, int64_t wall, int64_t boot)
{
    static const char sql[] =
        "SELECT value, ifnull((SELECT lag FROM inbox_clock ORDER BY first_id DESC LIMIT 1), 0),"
        " (SELECT max(max(last_seen, received)) FROM (SELECT last_seen, received FROM event ORDER BY id DESC "
        "LIMIT 100))"
        " FROM (SELECT 1) LEFT JOIN inbox_info ON name = 'clock'";
    sqlite3_stmt *s = NULL;
    const char *text = sql;
    int r = database_prepare(a->db, &text, 1, &s);
    if (r == INBOX_OK && (r = database_step(a->db, s)) == INBOX_ROW) {
        const char *value = (const char *)sqlite3_column_text(s, 0);
        a->lag = sqlite3_column_int64(s, 1);
        a->known = true;
        a->stored = value && sscanf(value, "%" SCNd64 " %" SCNd64, &a->wall, &a->boot) == 2;
        if (!a->stored) {
            a->wall = sqlite3_column_type(s, 2) == SQLITE_NULL ? wall : sqlite3_column_int64(s, 2);
            a->boot = boot;
        }
        r = INBOX_OK;
    }
    database_finalize(&s, 1);
    return r;
}

static int store(struct age *a, int64_t wall, int64_t boot)
{
    char sql[128];
    snprintf(sql, sizeof sql, "INSERT OR REPLACE INTO inbox_info VALUES ('clock', '%" PRId64 " %" PRId64 "')",
             wall, boot);
    a->wall = wall;
    a->boot = boot;
    a->stored = true;
    return database_exec(a->db, sql);
}

/* How far the clock went beside the time that really passed. */
static int64_t leap_of(const struct age *a, int64_t wall, int64_t boot)
{
    return wall - a->wall - (boot < a->boot ? boot : boot - a->boot);
}

static void say_leap(const struct age *a, int64_t leap)
{
    int64_t s = (llabs(leap) + 30 * SECOND) / SECOND;
    log_message(MESSAGE_CLOCK_LEAPT, LOG_WARNING, 0,
                "The clock has leapt %" PRId64 " d %" PRId64 " h %" PRId64
                " min %s: the age of what is in the inbox %s "
                "counts only the time that really passed",
                s / 86400, s / 3600 % 24, s / 60 % 60, leap < 0 ? "back" : "ahead", a->db->given);
}

/* Rows of leaps that no event is left from are of no use any more. */
static int note_leap(struct age *a, int64_t wall, int64_t boot, int64_t leap)
{
    char sql[640];
    if (boot >= a->boot || llabs(leap) >= SAY_RESTART)
        say_leap(a, leap);
    a->lag += leap;
    snprintf(sql, sizeof sql,
             "INSERT OR REPLACE INTO inbox_clock SELECT ifnull(max(seq), 0) + 1, %" PRId64 ", %" PRId64
             " FROM sqlite_sequence WHERE name = 'event';"
             "DELETE FROM inbox_clock WHERE first_id < (SELECT max(first_id) FROM inbox_clock"
             " WHERE first_id <= (SELECT ifnull(min(id), 0) FROM event))",
             wall, a->lag);
    int r = database_exec(a->db, sql);
    return r == INBOX_OK ? store(a, wall, boot) : r;
}

int age_open(struct age *a)
{
    int r = load(a, clock_now(CLOCK_REALTIME), clock_now(CLOCK_BOOTTIME));
    if (r != INBOX_OK || a->stored)
        return r;
    r = database_begin(a->db);
    if (r == INBOX_OK)
        r = age_check(a);
    if (r == INBOX_OK)
        r = database_commit(a->db);
    if (r != INBOX_OK)
        database_rollback(a->db);
    return r;
}

int age_check(struct age *a)
{
    int64_t wall = clock_now(CLOCK_REALTIME), boot = clock_now(CLOCK_BOOTTIME);
    bool due = boot - a->boot >= STORE_EVERY;
    if (a->known && a->stored && !due && llabs(leap_of(a, wall, boot)) < LEAP_LEAST)
        return INBOX_OK;
    int r = load(a, wall, boot); /* another process may have noted it */
    if (r != INBOX_OK)
        return r;
    int64_t leap = leap_of(a, wall, boot);
    if (llabs(leap) >= LEAP_LEAST)
        return note_leap(a, wall, boot, leap);
    return !a->stored || boot < a->boot || boot - a->boot >= STORE_EVERY ? store(a, wall, boot) : INBOX_OK;
}
