/* inbox_maintain.c: what is due beside recording: old events go, the log moves into the database, the disk is
 * looked at. All in steps that are short beside the time a request may take. */
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
#include "inbox_private.h"
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
    VACUUM_LEAST = 64 * 1024 * 1024 / INBOX_PAGE, /* free pages that are kept for what comes */
    VACUUM_SHARE = 4,                             /* or, where it is more, this part of all pages */
};

static const char VACUUM[] = "PRAGMA incremental_vacuum(64)"; /* pages in a step */

static const int64_t STEP = 3 * MILLISECOND;       /* a step of pruning lasts as long, */
static const int64_t STEP_MOST = 10 * MILLISECOND; /* and at most this long to keep up with what arrives */
static const int64_t STEP_PAUSE = 4;               /* times the length of a step, before the next */
static const int64_t LOOK = 10 * SECOND;           /* between looks at ages and at the disk */
static const int64_t SIZE_SAID = 3600 * SECOND;    /* between lines about size that makes events go */

static int64_t apart_bytes_max(const struct inbox *i)
{
    uint64_t share = i->config.max / APART_SHARE;
    return share < APART_BYTES ? (int64_t)share : APART_BYTES;
}

static bool apart_full(const struct inbox *i, enum inbox_apart kind)
{
    return i->apart[kind].rows > APART_ROWS || i->apart[kind].bytes > apart_bytes_max(i);
}

void inbox_added(struct inbox *i, const struct record *r)
{
    int64_t bytes = (int64_t)r->body.len + ROW_BESIDE_BODY;
    i->n_added++;
    i->bytes_added += bytes;
    if (r->event && r->trust != TRUST_REFUSED)
        return;
    struct inbox_share *share = &i->apart[r->event ? APART_REFUSED : APART_UNREADABLE];
    share->rows++;
    share->bytes += bytes;
}

/* Another process may have let some of it go. */
static int count_apart(struct inbox *i)
{
    static const char *const sql[APARTS] = {
        [APART_REFUSED] = "SELECT count(*), ifnull(sum(length(body)), 0) FROM event WHERE trust = 'refused'",
        [APART_UNREADABLE] = "SELECT count(*), ifnull(sum(length(body)), 0) FROM event WHERE type IS NULL",
    };
    i->count_at = clock_now(CLOCK_MONOTONIC) + LOOK;
    for (int kind = 0; kind < APARTS; kind++) {
        sqlite3_stmt *s = NULL;
        int rc = sqlite3_prepare_v2(i->db, sql[kind], -1, &s, NULL);
        if (rc == SQLITE_OK)
            rc = sqlite3_step(s);
        int r = rc == SQLITE_ROW ? 0 : inbox_error(i, rc);
        if (r == 0) {
            i->apart[kind].rows = sqlite3_column_int64(s, 0);
            i->apart[kind].bytes = sqlite3_column_int64(s, 1) + i->apart[kind].rows * ROW_BESIDE_BODY;
        }
        sqlite3_finalize(s);
        if (r < 0)
            return r;
    }
    return 0;
}

int inbox_maintain_begin(struct inbox *i)
{
    i->prune_at = 0;
    i->n_added = 0;
    i->bytes_added = 0;
    return count_apart(i);
}

/* --- Pruning ------------------------------------------------------------------------------------------- */

/* What the believed events take, and how much of it may be theirs: what is kept apart has its share beside
 * them, so that it pushes none of them out. */
static int look_at_size(struct inbox *i, int64_t *ret_pages, int64_t *ret_free)
{
    int64_t apart = i->apart[APART_REFUSED].bytes + i->apart[APART_UNREADABLE].bytes;
    int r = inbox_row(i, INBOX_PAGES);
    if (r <= 0)
        return r;
    *ret_pages = sqlite3_column_int64(i->statements[INBOX_PAGES], 0);
    sqlite3_reset(i->statements[INBOX_PAGES]);
    r = inbox_row(i, INBOX_FREE_PAGES);
    if (r <= 0)
        return r;
    *ret_free = sqlite3_column_int64(i->statements[INBOX_FREE_PAGES], 0);
    sqlite3_reset(i->statements[INBOX_FREE_PAGES]);
    i->bytes_added = 0;
    i->over_size =
        (*ret_pages - *ret_free) * INBOX_PAGE - apart > (int64_t)i->config.max - APARTS * apart_bytes_max(i);
    return 0;
}

static const int64_t KEEP_PULLED = 5 * 24 * 3600; /* seconds */

struct oldest {
    int64_t id, received, body;
    int apart; /* -1 for what is believed */
    bool pulled;
};

/* Returns 1 with the row, 0 when there is none, or a negative errno. */
static int find_oldest(struct inbox *i, enum inbox_statement which, struct oldest *ret)
{
    sqlite3_stmt *s = i->statements[which];
    int r = inbox_row(i, which);
    if (r <= 0)
        return r;
    *ret = (struct oldest){
        .id = sqlite3_column_int64(s, 0),
        .received = sqlite3_column_int64(s, 1),
        .body = sqlite3_column_int64(s, 2),
        .apart = sqlite3_column_type(s, 3) == SQLITE_NULL ? -1 : sqlite3_column_int(s, 3),
        .pulled = sqlite3_column_int(s, 4),
    };
    sqlite3_reset(s);
    return 1;
}

/* VOD gives a pulled event again for four days when its confirm got lost, and has to find it recorded. */
static bool too_old(const struct inbox *i, const struct oldest *o)
{
    int64_t keep = o->pulled && i->config.keep < KEEP_PULLED ? KEEP_PULLED : i->config.keep;
    return o->received < (time(NULL) - keep) * SECOND;
}

static void say_size(struct inbox *i, const struct oldest *o)
{
    int64_t now = clock_now(CLOCK_MONOTONIC);
    if (i->size_said && now - i->size_said < SIZE_SAID)
        return;
    i->size_said = now;
    log_message(
        MESSAGE_INBOX_PRUNED, LOG_WARNING, 0,
        "The inbox %s takes the %" PRIu64 " MiB it may: events %" PRId64
        " hours old go, which were to be kept for %" PRId64 ". Raise --inbox-max or lower --inbox-keep",
        i->path, i->config.max >> 20, (time(NULL) - o->received / SECOND) / 3600, i->config.keep / 3600);
}

/* The next row that has to go: returns 1 with it, 0 when all may stay, or a negative errno. */
static int find_due(struct inbox *i, struct oldest *ret)
{
    for (int kind = 0; kind < APARTS; kind++)
        if (apart_full(i, kind))
            return find_oldest(i, kind == APART_REFUSED ? INBOX_OLDEST_REFUSED : INBOX_OLDEST_UNREADABLE,
                               ret);
    int r = find_oldest(i, INBOX_OLDEST, ret);
    if (r <= 0 || too_old(i, ret))
        return r;
    if (i->over_size)
        say_size(i, ret);
    return i->over_size;
}

static int delete_row(struct inbox *i, const struct oldest *o)
{
    sqlite3_bind_int64(i->statements[INBOX_DELETE], 1, o->id);
    int r = inbox_run(i, INBOX_DELETE);
    if (r == 0 && o->apart >= 0) {
        i->apart[o->apart].rows--;
        i->apart[o->apart].bytes -= o->body + ROW_BESIDE_BODY;
    }
    return r;
}

static bool any_apart_full(const struct inbox *i)
{
    return apart_full(i, APART_REFUSED) || apart_full(i, APART_UNREADABLE);
}

/* Whether rows have to go as fast as they come. */
static bool is_full(const struct inbox *i)
{
    return i->over_size || any_apart_full(i);
}

/* Deletes what is due until the time is up. Returns 1 when more is due, 0 when nothing is, or a negative
 * errno. */
static int prune_rows(struct inbox *i)
{
    int64_t begun = clock_now(CLOCK_MONOTONIC), pages, free_pages;
    struct oldest o;
    for (size_t n = 0;; n++) {
        int64_t took = clock_now(CLOCK_MONOTONIC) - begun;
        if (took > STEP_MOST || (took > STEP && (i->n_added == 0 || !is_full(i))))
            return 1;
        int r = n % LOOK_ROWS ? 0 : look_at_size(i, &pages, &free_pages);
        if (r < 0 || (r = find_due(i, &o)) <= 0 || (r = delete_row(i, &o)) < 0)
            return r;
        i->n_added -= i->n_added > 0;
    }
}

/* Gives a few free pages at the end of the file back, when far more are free than what arrives will need.
 * Returns 1 when more is due, 0 when nothing is, or a negative errno. */
static int vacuum_some(struct inbox *i)
{
    int64_t pages, free_pages;
    int r = look_at_size(i, &pages, &free_pages);
    if (r < 0 || free_pages < VACUUM_LEAST || free_pages < pages / VACUUM_SHARE)
        return r;
    int rc = sqlite3_exec(i->db, VACUUM, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 1 : inbox_error(i, rc);
}

static int prune_transaction(struct inbox *i)
{
    bool idle = i->n_added == 0;
    int r = inbox_start(i);
    if (r >= 0 && any_apart_full(i) && clock_now(CLOCK_MONOTONIC) >= i->count_at)
        r = count_apart(i);
    int more = r < 0 ? r : prune_rows(i);
    if (more == 0 && idle)
        more = vacuum_some(i);
    if (more >= 0 && (r = inbox_commit_started(i)) < 0)
        more = r;
    if (more < 0)
        inbox_rollback(i);
    if (more == 0)
        i->n_added = 0;
    return more;
}

/* A transaction that only removes may be lost: the next makes up for it. So it waits for no disk; the next
 * commit of events syncs what it wrote, too. */
static int prune(struct inbox *i)
{
    int rc = sqlite3_exec(i->db, "PRAGMA synchronous=NORMAL", NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        return inbox_error(i, rc);
    inbox_vfs_gather(i->db, false);
    int r = prune_transaction(i);
    inbox_vfs_gather(i->db, true);
    rc = sqlite3_exec(i->db, "PRAGMA synchronous=FULL", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        return r;
    r = inbox_error(i, rc);
    inbox_close(i); /* rather than record with less */
    return r;
}

/* --- All that is due --------------------------------------------------------------------------------- */

static void look_at_disk(struct inbox *i)
{
    cleanup_free char *copy = strdup(i->path);
    struct statvfs disk;
    if (!copy || statvfs(dirname(copy), &disk) < 0)
        return;
    uint64_t left = (uint64_t)disk.f_bavail * disk.f_frsize;
    bool low = left < i->config.min_free;
    if (low && !i->low_said)
        log_message(MESSAGE_DISK_LOW, LOG_WARNING, 0,
                    "The disk of the inbox %s has %" PRIu64 " MiB left, less than the %" PRIu64
                    " MiB of --inbox-min-free: without room no event can be recorded or acknowledged",
                    i->path, left >> 20, i->config.min_free >> 20);
    else if (!low && i->low_said)
        log_notice("The disk of the inbox %s has %" PRIu64 " MiB left again", i->path, left >> 20);
    i->low_said = low;
}

static bool prune_due(const struct inbox *i, int64_t now)
{
    return now >= i->prune_at || (i->n_added >= LOOK_ROWS && is_full(i)) ||
           (uint64_t)i->bytes_added >= i->config.max / LOOK_SHARE;
}

static int prune_when_due(struct inbox *i, int64_t now)
{
    if (!prune_due(i, now))
        return 0;
    int r = prune(i);
    int64_t end = clock_now(CLOCK_MONOTONIC);
    i->prune_at = end + (r > 0 ? (end - now) * STEP_PAUSE : LOOK);
    return r;
}

/* A lock of another's is no trouble here. */
static void note_result(struct inbox *i, int r)
{
    if (r == -EUCLEAN)
        inbox_failed(i, r);
    else if (r < 0 && r != -EBUSY && !i->tidying_said)
        log_warning_errno(r, "Failed to tidy the inbox %s: %m (%s), will retry", i->path, i->problem);
    if (r != -EBUSY)
        i->tidying_said = r < 0;
}

int sink_inbox_maintain(struct sink *sink)
{
    struct inbox *i = (struct inbox *)sink;
    int64_t now = clock_now(CLOCK_MONOTONIC);
    if (now >= i->look_at_disk_at) {
        look_at_disk(i);
        i->look_at_disk_at = now + LOOK;
    }
    if (!i->db || i->begun || i->failed_at)
        return (int)(LOOK / MILLISECOND);
    i->maintaining = true;
    int r = inbox_log_step(i, now);
    note_result(i, r ? r : prune_when_due(i, now));
    i->maintaining = false;
    int64_t next = clock_earlier(clock_earlier(i->prune_at, i->look_at_disk_at), inbox_log_next(i));
    int64_t in = (next - clock_now(CLOCK_MONOTONIC)) / MILLISECOND + 1;
    return in > 0 ? (int)in : 0;
}
