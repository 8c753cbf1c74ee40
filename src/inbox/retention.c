/* retention.c: lets events go, in steps that are short beside the time a request may take. */
#include "retention.h"

#include <inttypes.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "record/message_ids.h"

static const int64_t MILLISECOND = 1000;
static const int64_t SECOND = 1000000;

/* The most of each kind that is kept apart. The bytes are bounded by a share of the inbox, too, so that a
 * small one does not fill with them. */
enum {
    KIND_ROWS = 10000,
    KIND_BYTES = 64 * 1024 * 1024,
    KIND_SHARE = 16,
    LOOK_ROWS = 64,   /* rows between looks at the size while rows go, */
    LOOK_SHARE = 64,  /* and the share of the inbox that comes in between looks while none have to */
    ROW_LEAST = 2048, /* bytes that any row takes at most beside its texts */
};

enum {
    VACUUM_LEAST = 64 * 1024 * 1024 / DATABASE_PAGE, /* free pages that are kept for what comes */
    VACUUM_SHARE = 4,                                /* or, where it is more, this part of all pages */
};

static const char VACUUM[] = "PRAGMA incremental_vacuum(64)"; /* pages in a step */

static const int64_t STEP = 3 * MILLISECOND;        /* a step of pruning lasts as long, */
static const int64_t STEP_MOST = 10 * MILLISECOND;  /* and at most this long to keep up with what arrives */
static const int64_t STEP_PAUSE = 4;                /* times the length of a step, before the next */
static const int64_t LOOK = 10 * SECOND;            /* between looks at ages and at the disk */
static const int64_t SAY_FIRST = 500 * MILLISECOND; /* after the first event went, how many are counted, */
static const int64_t SAY_AGAIN = 3600 * SECOND;     /* and that long later the next time */
static const int64_t KEEP_PULLED =
    INT64_C(5) * 86400; /* seconds: VOD gives an event again for four days when its
                                                        * confirm got lost, and has to find it recorded */

/* What a row takes in its table and all indexes, rather too much than too little: its texts, those that an index has
 * twice; of long ones the ends of overflow pages. */
#define BYTES(column) "length(CAST(ifnull(" column ", '') AS BLOB))"
#define TEXTS                                                                                  \
    "length(body) + " BYTES("name") " + " BYTES("status") " + " BYTES("err_code") " + " BYTES( \
        "remote") " + 2 * " BYTES("type") " + 2 * " BYTES("task_id")
#define ROW_BYTES \
    "(SELECT texts + 2048 + CASE WHEN texts < 1000 THEN 0 ELSE 12288 END FROM (SELECT " TEXTS " AS texts))"

/* enum retention_kind, or null for what is believed. */
#define KIND "CASE WHEN type IS NULL THEN 1 WHEN trust = 'refused' THEN 0 END"

#define COLUMNS                                                                                \
    "SELECT id, received, " KIND ", CASE WHEN " KIND " IS NULL THEN 0 ELSE " ROW_BYTES " END," \
    " source = 'pull', " AGE_LAG " FROM event "

static const char *const statements[RETENTION_STATEMENTS] = {
    [RETENTION_OLDEST] = COLUMNS "ORDER BY received LIMIT 1",
    [RETENTION_FIRST] = COLUMNS "ORDER BY id LIMIT 1",
    [RETENTION_FIRST_REFUSED] = COLUMNS "WHERE trust = 'refused' ORDER BY received LIMIT 1",
    [RETENTION_FIRST_UNREADABLE] = COLUMNS "WHERE type IS NULL ORDER BY received LIMIT 1",
    [RETENTION_DELETE] = "DELETE FROM event WHERE id = ?1",
    [RETENTION_PAGES] = "PRAGMA page_count",
    [RETENTION_FREE_PAGES] = "PRAGMA freelist_count",
    [RETENTION_QUARANTINED] = "SELECT rows, bytes FROM inbox_quarantine WHERE kind = ?1",
    [RETENTION_QUARANTINE] =
        "INSERT INTO inbox_quarantine SELECT " KIND ", 1, " ROW_BYTES " FROM event WHERE id = ?1"
        " ON CONFLICT (kind) DO UPDATE SET rows = rows + 1, bytes = bytes + excluded.bytes",
    [RETENTION_RELEASE] = "UPDATE inbox_quarantine SET rows = rows - 1, bytes = bytes - ?2 WHERE kind = ?1",
};

/* Once for each time that the database is opened, since another program may have deleted rows. */
static const char count_kinds[] =
    "DELETE FROM inbox_quarantine;"
    "INSERT INTO inbox_quarantine SELECT 0, count(*), ifnull(sum(" ROW_BYTES "), 0) FROM event"
    " WHERE trust = 'refused' AND type IS NOT NULL;"
    "INSERT INTO inbox_quarantine SELECT 1, count(*), ifnull(sum(" ROW_BYTES
    "), 0) FROM event WHERE type IS NULL";

/* --- What is kept apart ---------------------------------------------------------------------------------- */

static int64_t kind_bytes_max(const struct retention *r)
{
    uint64_t share = r->max / KIND_SHARE;
    return share < KIND_BYTES ? (int64_t)share : KIND_BYTES;
}

static bool kind_full(const struct retention *r, enum retention_kind kind)
{
    return r->apart[kind].rows > KIND_ROWS || r->apart[kind].bytes > kind_bytes_max(r);
}

/* Whether rows have to go as fast as they come. */
static bool is_full(const struct retention *r)
{
    return r->over_size || kind_full(r, KIND_REFUSED) || kind_full(r, KIND_UNREADABLE);
}

int retention_added(struct retention *r, const struct record *record)
{
    int64_t bytes = (int64_t)record->body.len + ROW_LEAST;
    r->n_added++;
    r->bytes_added += bytes;
    if (record->event && record->trust != TRUST_REFUSED)
        return INBOX_OK;
    struct retention_share *share = &r->apart[record->event ? KIND_REFUSED : KIND_UNREADABLE];
    share->rows++;
    share->bytes += bytes;
    sqlite3_bind_int64(r->statements[RETENTION_QUARANTINE], 1, record->row);
    return database_run(r->db, r->statements[RETENTION_QUARANTINE]);
}

static int look_at_kind(struct retention *r, enum retention_kind kind)
{
    sqlite3_stmt *s = r->statements[RETENTION_QUARANTINED];
    sqlite3_bind_int(s, 1, (int)kind);
    int result = database_step(r->db, s);
    if (result != INBOX_ROW)
        return result;
    r->apart[kind] = (struct retention_share){sqlite3_column_int64(s, 0), sqlite3_column_int64(s, 1)};
    sqlite3_reset(s);
    return INBOX_OK;
}

/* --- Size ------------------------------------------------------------------------------------------------ */

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
    int result = pragma(r, RETENTION_PAGES, ret_pages);
    if (result == INBOX_OK)
        result = pragma(r, RETENTION_FREE_PAGES, ret_free);
    for (int kind = 0; result == INBOX_OK && kind < KINDS; kind++)
        result = look_at_kind(r, (enum retention_kind)kind);
    if (result != INBOX_OK)
        return result;
    int64_t apart = r->apart[KIND_REFUSED].bytes + r->apart[KIND_UNREADABLE].bytes;
    r->bytes_added = 0;
    r->over_size =
        (*ret_pages - *ret_free) * DATABASE_PAGE - apart > (int64_t)r->max - KINDS * kind_bytes_max(r);
    return INBOX_OK;
}

/* --- Pruning ------------------------------------------------------------------------------------------- */

struct oldest {
    int64_t id, age; /* microseconds */
    int64_t bytes;
    int kind; /* -1 for what is believed */
    bool pulled;
    enum retention_cause cause; /* why it goes */
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
        .age = age_now(&r->age) - (sqlite3_column_int64(s, 1) - sqlite3_column_int64(s, 5)),
        .kind = sqlite3_column_type(s, 2) == SQLITE_NULL ? -1 : sqlite3_column_int(s, 2),
        .bytes = sqlite3_column_int64(s, 3),
        .pulled = sqlite3_column_int(s, 4),
    };
    sqlite3_reset(s);
    return INBOX_ROW;
}

static bool too_old(const struct retention *r, const struct oldest *o)
{
    return o->age > (o->pulled && r->keep < KEEP_PULLED ? KEEP_PULLED : r->keep) * SECOND;
}

/* The next row that has to go: returns INBOX_ROW with it, or INBOX_OK when all may stay. */
static int find_due(struct retention *r, struct oldest *ret)
{
    enum retention_cause cause = CAUSE_SHARE;
    int result;
    if (kind_full(r, KIND_REFUSED)) {
        result = find_oldest(r, RETENTION_FIRST_REFUSED, ret);
    } else if (kind_full(r, KIND_UNREADABLE)) {
        result = find_oldest(r, RETENTION_FIRST_UNREADABLE, ret);
    } else {
        cause = CAUSE_AGE;
        result = find_oldest(r, RETENTION_OLDEST, ret);
        if (result == INBOX_ROW && !too_old(r, ret)) {
            cause = CAUSE_SIZE;
            result = r->over_size ? find_oldest(r, RETENTION_FIRST, ret) : INBOX_OK;
        }
    }
    ret->cause = cause;
    return result;
}

static int release(struct retention *r, const struct oldest *o)
{
    if (o->kind < 0)
        return INBOX_OK;
    r->apart[o->kind].rows--;
    r->apart[o->kind].bytes -= o->bytes;
    sqlite3_bind_int(r->statements[RETENTION_RELEASE], 1, o->kind);
    sqlite3_bind_int64(r->statements[RETENTION_RELEASE], 2, o->bytes);
    return database_run(r->db, r->statements[RETENTION_RELEASE]);
}

static int delete_row(struct retention *r, const struct oldest *o)
{
    sqlite3_bind_int64(r->statements[RETENTION_DELETE], 1, o->id);
    int result = database_run(r->db, r->statements[RETENTION_DELETE]);
    if (result == INBOX_OK)
        result = release(r, o);
    r->n_added -= r->n_added > 0;
    r->pending[o->cause].n++;
    r->pending[o->cause].last = o->age;
    return result;
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

static int prune_inner(struct retention *r, bool *ret_more)
{
    bool idle = r->n_added == 0;
    int result = age_check(&r->age);
    if (result == INBOX_OK && !r->counted)
        result = database_exec(r->db, count_kinds);
    if (result == INBOX_OK)
        result = prune_rows(r, ret_more);
    if (result == INBOX_OK && !*ret_more && idle)
        result = vacuum_some(r, ret_more);
    return result == INBOX_OK ? database_commit(r->db) : result;
}

static void keep_count(struct retention *r)
{
    int64_t now = clock_now(CLOCK_MONOTONIC);
    for (int cause = 0; cause < CAUSES; cause++) {
        struct retention_removed *removed = &r->removed[cause];
        if (!r->pending[cause].n)
            continue;
        removed->n += r->pending[cause].n;
        removed->last = r->pending[cause].last;
        int64_t due = removed->said_at ? removed->said_at + SAY_AGAIN : now + SAY_FIRST;
        r->say_at = clock_earlier(r->say_at, due);
    }
}

static int prune(struct retention *r, bool *ret_more)
{
    int result = database_begin(r->db);
    if (result != INBOX_OK)
        return result;
    memset(r->pending, 0, sizeof r->pending);
    result = prune_inner(r, ret_more);
    if (result != INBOX_OK) {
        database_rollback(r->db);
        age_forget(&r->age);
        return result;
    }
    r->counted = true;
    if (!*ret_more)
        r->n_added = 0;
    keep_count(r);
    return INBOX_OK;
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

/* --- What is said ---------------------------------------------------------------------------------------- */

static void say_removed(const struct retention *r, enum retention_cause cause)
{
    const struct retention_removed *removed = &r->removed[cause];
    int64_t hours = removed->last / SECOND / 3600;
    switch (cause) {
    case CAUSE_AGE:
        log_message(MESSAGE_INBOX_EXPIRED, LOG_INFO, 0,
                    "Removed %" PRIu64 " events from the inbox %s that were older than the %" PRId64
                    " hours of --inbox-keep",
                    removed->n, r->db->given, r->keep / 3600);
        break;
    case CAUSE_SIZE:
        log_message(MESSAGE_INBOX_PRUNED, LOG_WARNING, 0,
                    "Removed %" PRIu64 " events from the inbox %s, which takes the %" PRIu64
                    " MiB it may: the last of them was %" PRId64 " hours old, and was to be kept for %" PRId64
                    ". Raise --inbox-max or lower --inbox-keep",
                    removed->n, r->db->given, r->max >> 20, hours, r->keep / 3600);
        break;
    default:
        log_message(MESSAGE_INBOX_EXPIRED, LOG_INFO, 0,
                    "Removed %" PRIu64
                    " refused or unreadable events from the inbox %s, which keeps %d of each kind "
                    "or %" PRId64 " MiB: the last of them was %" PRId64 " hours old",
                    removed->n, r->db->given, KIND_ROWS, kind_bytes_max(r) >> 20, hours);
    }
}

void retention_say(struct retention *r, bool all)
{
    int64_t now = clock_now(CLOCK_MONOTONIC);
    if (now < r->say_at && !all)
        return;
    r->say_at = INT64_MAX;
    for (int cause = 0; cause < CAUSES; cause++) {
        struct retention_removed *removed = &r->removed[cause];
        if (!removed->n)
            continue;
        say_removed(r, (enum retention_cause)cause);
        *removed = (struct retention_removed){.said_at = now};
    }
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
                    "The disk of the inbox %s has %" PRIu64 " MiB left, less than %" PRIu64
                    " MiB: without room no event can be recorded or acknowledged",
                    r->db->given, left >> 20, r->min_free >> 20);
    else if (!low && r->low_said)
        log_notice("The disk of the inbox %s has %" PRIu64 " MiB left again", r->db->given, left >> 20);
    r->low_said = low;
}

/* --- Life ---------------------------------------------------------------------------------------------- */

void retention_init(struct retention *r, struct database *db, const struct inbox_config *config)
{
    *r = (struct retention){.db = db,
                            .keep = config->keep,
                            .max = config->max,
                            .min_free = config->min_free,
                            .say_at = INT64_MAX};
    age_init(&r->age, db);
}

int retention_open(struct retention *r)
{
    r->prune_at = 0;
    r->n_added = 0;
    r->bytes_added = 0;
    r->counted = false;
    int result = database_prepare(r->db, statements, RETENTION_STATEMENTS, r->statements);
    return result == INBOX_OK ? age_open(&r->age) : result;
}

void retention_close(struct retention *r)
{
    database_finalize(r->statements, RETENTION_STATEMENTS);
    age_forget(&r->age);
}

int64_t retention_next(const struct retention *r)
{
    return clock_earlier(r->say_at, clock_earlier(r->prune_at, r->look_at_disk_at));
}
