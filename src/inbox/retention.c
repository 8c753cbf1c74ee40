/* retention.c: lets old events go, in steps that are short beside the time a request may take. */
#include "retention.h"

#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "record/message_ids.h"

static const int64_t MILLISECOND = 1000;
static const int64_t SECOND = 1000000;

/* The most of each kind that is kept apart. The bytes are bounded by a share of the inbox, too, so that a
 * small one does not fill with them. */
enum {
    APART_ROWS = 10000,
    APART_BYTES = 64 * 1024 * 1024,
    APART_SHARE = 16,
    LOOK_ROWS = 64,         /* rows between looks at the size while rows go, */
    LOOK_SHARE = 64,        /* and the share of the inbox that comes in between looks while none have to */
    ROW_BESIDE_BODY = 2048, /* bytes that a row takes in its table and all indexes, generously */
};

enum {
    VACUUM_LEAST = 64 * 1024 * 1024 / DATABASE_PAGE, /* free pages that are kept for what comes */
    VACUUM_SHARE = 4,                                /* or, where it is more, this part of all pages */
};

static const char VACUUM[] = "PRAGMA incremental_vacuum(64)"; /* pages in a step */

static const int64_t STEP = 3 * MILLISECOND;       /* a step of pruning lasts as long, */
static const int64_t STEP_MOST = 10 * MILLISECOND; /* and at most this long to keep up with what arrives */
static const int64_t STEP_PAUSE = 4;               /* times the length of a step, before the next */
static const int64_t LOOK = 10 * SECOND;           /* between looks at ages and at the disk */
static const int64_t SIZE_SAID = 3600 * SECOND;    /* between lines about size that makes events go */

static const char *const statements[RETENTION_STATEMENTS] = {
    [RETENTION_OLDEST] =
        "SELECT id, received, length(body), CASE WHEN type IS NULL THEN 1 WHEN trust = 'refused'"
        " THEN 0 END, source = 'pull' FROM event ORDER BY received LIMIT 1",
    [RETENTION_OLDEST_REFUSED] = "SELECT id, received, length(body), 0, 0 FROM event WHERE trust = 'refused'"
                                 " ORDER BY received LIMIT 1",
    [RETENTION_OLDEST_UNREADABLE] = "SELECT id, received, length(body), 1, 0 FROM event WHERE type IS NULL"
                                    " ORDER BY received LIMIT 1",
    [RETENTION_DELETE] = "DELETE FROM event WHERE id = ?1",
    [RETENTION_PAGES] = "PRAGMA page_count",
    [RETENTION_FREE_PAGES] = "PRAGMA freelist_count",
};

/* --- What is kept apart ---------------------------------------------------------------------------------- */

static int64_t apart_bytes_max(const struct retention *r)
{
    uint64_t share = r->max / APART_SHARE;
    return share < APART_BYTES ? (int64_t)share : APART_BYTES;
}

static bool apart_full(const struct retention *r, enum retention_apart kind)
{
    return r->apart[kind].rows > APART_ROWS || r->apart[kind].bytes > apart_bytes_max(r);
}

static bool any_apart_full(const struct retention *r)
{
    return apart_full(r, APART_REFUSED) || apart_full(r, APART_UNREADABLE);
}

void retention_mark(struct retention *r)
{
    memcpy(r->apart_before, r->apart, sizeof r->apart);
}

void retention_undo(struct retention *r)
{
    memcpy(r->apart, r->apart_before, sizeof r->apart);
}

void retention_added(struct retention *r, const struct record *record)
{
    int64_t bytes = (int64_t)record->body.len + ROW_BESIDE_BODY;
    r->n_added++;
    r->bytes_added += bytes;
    if (record->event && record->trust != TRUST_REFUSED)
        return;
    struct retention_share *share = &r->apart[record->event ? APART_REFUSED : APART_UNREADABLE];
    share->rows++;
    share->bytes += bytes;
}

/* Another process may have let some of it go. */
static int count_apart(struct retention *r)
{
    static const char *const sql[APARTS] = {
        [APART_REFUSED] = "SELECT count(*), ifnull(sum(length(body)), 0) FROM event WHERE trust = 'refused'",
        [APART_UNREADABLE] = "SELECT count(*), ifnull(sum(length(body)), 0) FROM event WHERE type IS NULL",
    };
    sqlite3_stmt *count[APARTS] = {0};
    r->count_at = clock_now(CLOCK_MONOTONIC) + LOOK;
    int result = database_prepare(r->db, sql, APARTS, count);
    for (int kind = 0; result == INBOX_OK && kind < APARTS; kind++)
        if ((result = database_step(r->db, count[kind])) == INBOX_ROW) {
            r->apart[kind].rows = sqlite3_column_int64(count[kind], 0);
            r->apart[kind].bytes =
                sqlite3_column_int64(count[kind], 1) + r->apart[kind].rows * ROW_BESIDE_BODY;
            result = INBOX_OK;
        }
    database_finalize(count, APARTS);
    return result;
}

/* --- Pruning ------------------------------------------------------------------------------------------- */

static int pragma(struct retention *r, enum retention_statement which, int64_t *ret)
{
    int result = database_step(r->db, r->statements[which]);
    if (result != INBOX_ROW)
        return result;
    *ret = sqlite3_column_int64(r->statements[which], 0);
    sqlite3_reset(r->statements[which]);
    return INBOX_OK;
}

/* What the believed events take, and how much of it may be theirs: what is kept apart has its share beside
 * them, so that it pushes none of them out. */
static int look_at_size(struct retention *r, int64_t *ret_pages, int64_t *ret_free)
{
    int64_t apart = r->apart[APART_REFUSED].bytes + r->apart[APART_UNREADABLE].bytes;
    int result = pragma(r, RETENTION_PAGES, ret_pages);
    if (result == INBOX_OK)
        result = pragma(r, RETENTION_FREE_PAGES, ret_free);
    if (result != INBOX_OK)
        return result;
    r->bytes_added = 0;
    r->over_size =
        (*ret_pages - *ret_free) * DATABASE_PAGE - apart > (int64_t)r->max - APARTS * apart_bytes_max(r);
    return INBOX_OK;
}

static const int64_t KEEP_PULLED = 5 * 24 * 3600; /* seconds */

struct oldest {
    int64_t id, received, body;
    int apart; /* -1 for what is believed */
    bool pulled;
};

/* Returns INBOX_ROW with the row, or INBOX_OK when there is none. */
static int find_oldest(struct retention *r, enum retention_statement which, struct oldest *ret)
{
    sqlite3_stmt *s = r->statements[which];
    int result = database_step(r->db, s);
    if (result != INBOX_ROW)
        return result;
    *ret = (struct oldest){
        .id = sqlite3_column_int64(s, 0),
        .received = sqlite3_column_int64(s, 1),
        .body = sqlite3_column_int64(s, 2),
        .apart = sqlite3_column_type(s, 3) == SQLITE_NULL ? -1 : sqlite3_column_int(s, 3),
        .pulled = sqlite3_column_int(s, 4),
    };
    sqlite3_reset(s);
    return INBOX_ROW;
}

/* VOD gives a pulled event again for four days when its confirm got lost, and has to find it recorded. */
static bool too_old(const struct retention *r, const struct oldest *o)
{
    int64_t keep = o->pulled && r->keep < KEEP_PULLED ? KEEP_PULLED : r->keep;
    return o->received < clock_now(CLOCK_REALTIME) - keep * SECOND;
}

static void say_size(struct retention *r, const struct oldest *o)
{
    int64_t now = clock_now(CLOCK_MONOTONIC);
    if (r->size_said && now - r->size_said < SIZE_SAID)
        return;
    r->size_said = now;
    log_message(MESSAGE_INBOX_PRUNED, LOG_WARNING, 0,
                "The inbox %s takes the %" PRIu64 " MiB it may: events %" PRId64
                " hours old go, which were to be kept for %" PRId64
                ". Raise --inbox-max or lower --inbox-keep",
                r->db->given, r->max >> 20, (clock_now(CLOCK_REALTIME) - o->received) / SECOND / 3600,
                r->keep / 3600);
}

/* The next row that has to go: returns INBOX_ROW with it, or INBOX_OK when all may stay. */
static int find_due(struct retention *r, struct oldest *ret)
{
    for (int kind = 0; kind < APARTS; kind++)
        if (apart_full(r, kind))
            return find_oldest(
                r, kind == APART_REFUSED ? RETENTION_OLDEST_REFUSED : RETENTION_OLDEST_UNREADABLE, ret);
    int result = find_oldest(r, RETENTION_OLDEST, ret);
    if (result != INBOX_ROW || too_old(r, ret))
        return result;
    if (r->over_size)
        say_size(r, ret);
    return r->over_size ? INBOX_ROW : INBOX_OK;
}

static int delete_row(struct retention *r, const struct oldest *o)
{
    sqlite3_bind_int64(r->statements[RETENTION_DELETE], 1, o->id);
    int result = database_run(r->db, r->statements[RETENTION_DELETE]);
    if (result == INBOX_OK && o->apart >= 0) {
        r->apart[o->apart].rows--;
        r->apart[o->apart].bytes -= o->body + ROW_BESIDE_BODY;
    }
    return result;
}

/* Whether rows have to go as fast as they come. */
static bool is_full(const struct retention *r)
{
    return r->over_size || any_apart_full(r);
}

/* Deletes what is due until the time is up, which *ret_more says. */
static int prune_rows(struct retention *r, bool *ret_more)
{
    int64_t begun = clock_now(CLOCK_MONOTONIC), pages, free_pages;
    struct oldest o;
    for (size_t n = 0;; n++) {
        int64_t took = clock_now(CLOCK_MONOTONIC) - begun;
        *ret_more = took > STEP_MOST || (took > STEP && (r->n_added == 0 || !is_full(r)));
        if (*ret_more)
            return INBOX_OK;
        int result = n % LOOK_ROWS ? INBOX_OK : look_at_size(r, &pages, &free_pages);
        if (result != INBOX_OK || (result = find_due(r, &o)) != INBOX_ROW)
            return result;
        if ((result = delete_row(r, &o)) != INBOX_OK)
            return result;
        r->n_added -= r->n_added > 0;
    }
}

/* Gives a few free pages at the end of the file back, when far more are free than what arrives will need. */
static int vacuum_some(struct retention *r, bool *ret_more)
{
    int64_t pages, free_pages;
    int result = look_at_size(r, &pages, &free_pages);
    if (result != INBOX_OK || free_pages < VACUUM_LEAST || free_pages < pages / VACUUM_SHARE)
        return result;
    *ret_more = true;
    return database_exec(r->db, VACUUM);
}

static int prune(struct retention *r, bool *ret_more)
{
    bool idle = r->n_added == 0;
    int result = database_begin(r->db);
    if (result != INBOX_OK)
        return result;
    retention_mark(r);
    if (any_apart_full(r) && clock_now(CLOCK_MONOTONIC) >= r->count_at)
        result = count_apart(r);
    if (result == INBOX_OK)
        result = prune_rows(r, ret_more);
    if (result == INBOX_OK && !*ret_more && idle)
        result = vacuum_some(r, ret_more);
    if (result == INBOX_OK)
        result = database_commit(r->db);
    if (result != INBOX_OK) {
        database_rollback(r->db);
        retention_undo(r);
    } else if (!*ret_more) {
        r->n_added = 0;
    }
    return result;
}

int retention_step(struct retention *r)
{
    int64_t now = clock_now(CLOCK_MONOTONIC);
    bool more = false;
    if (now < r->prune_at && (r->n_added < LOOK_ROWS || !is_full(r)) &&
        (uint64_t)r->bytes_added < r->max / LOOK_SHARE)
        return INBOX_OK;
    int result = prune(r, &more);
    int64_t end = clock_now(CLOCK_MONOTONIC);
    r->prune_at = end + (more ? (end - now) * STEP_PAUSE : LOOK);
    return result;
}

/* --- The disk ------------------------------------------------------------------------------------------ */

void retention_look_at_disk(struct retention *r)
{
    int64_t now = clock_now(CLOCK_MONOTONIC);
    cleanup_free char *copy = now < r->look_at_disk_at ? NULL : strdup(r->db->given);
    struct statvfs disk;
    if (!copy || statvfs(dirname(copy), &disk) < 0)
        return;
    r->look_at_disk_at = now + LOOK;
    uint64_t left = (uint64_t)disk.f_bavail * disk.f_frsize;
    bool low = left < r->min_free;
    if (low && !r->low_said)
        log_message(MESSAGE_DISK_LOW, LOG_WARNING, 0,
                    "The disk of the inbox %s has %" PRIu64 " MiB left, less than the %" PRIu64
                    " MiB of --inbox-min-free: without room no event can be recorded or acknowledged",
                    r->db->given, left >> 20, r->min_free >> 20);
    else if (!low && r->low_said)
        log_notice("The disk of the inbox %s has %" PRIu64 " MiB left again", r->db->given, left >> 20);
    r->low_said = low;
}

/* --- Life ---------------------------------------------------------------------------------------------- */

void retention_init(struct retention *r, struct database *db, const struct inbox_config *config)
{
    *r = (struct retention){.db = db, .keep = config->keep, .max = config->max, .min_free = config->min_free};
}

int retention_open(struct retention *r)
{
    r->prune_at = 0;
    r->n_added = 0;
    r->bytes_added = 0;
    int result = database_prepare(r->db, statements, RETENTION_STATEMENTS, r->statements);
    return result == INBOX_OK ? count_apart(r) : result;
}

void retention_close(struct retention *r)
{
    database_finalize(r->statements, RETENTION_STATEMENTS);
}

int64_t retention_next(const struct retention *r)
{
    return clock_earlier(r->prune_at, r->look_at_disk_at);
}
