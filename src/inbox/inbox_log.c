/* inbox_log.c: moves the write-ahead log into the database, in steps that are short beside a commit.
 *
 * A checkpoint of the whole log ends with a sync of the database, which takes as long as the disk takes for
 * all pages that were copied. One that a reader holds back copies what is older than the reader's view and
 * syncs nothing. So a connection of our own reads, and lets go, a little at a time: pages are copied and
 * begin to be written while the log grows, and the sync at its end finds little left to do. Source:
 * sqlite.org/wal.html, "Checkpointing", and walCheckpoint() in wal.c. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "inbox_private.h"

enum {
    LOG_LEAST = 256, /* pages of the log after which it begins anew: at least, */
    LOG_MOST = 8192, /* at most: a program that was killed reads so much again when it starts, */
    LOG_SHARE = 16,  /* and in between this part of the inbox */
    LOG_STEP = 512,  /* pages that are copied in a step, */
    LOG_ENDING = 3,  /* and how many steps of what little there is come before the last */
};

static const int64_t IDLE = 1000000; /* microseconds without a commit, after which all is copied */

int inbox_log_open(struct inbox *i)
{
    int64_t most = (int64_t)(i->config.max / LOG_SHARE / INBOX_PAGE);
    i->log_most = (int)(most < LOG_LEAST ? LOG_LEAST : most > LOG_MOST ? LOG_MOST : most);
    i->log_due = i->log_most;
    i->log_pages = i->log_moved = i->log_ending = 0;
    i->log_held = false;
    i->file_fd = open(i->path, O_RDONLY | O_CLOEXEC);
    if (i->file_fd < 0)
        return -errno;
    int rc = sqlite3_open_v2(i->path, &i->reader, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    return rc == SQLITE_OK ? 0 : -EIO;
}

/* The descriptor last: to close it takes the locks away that SQLite has on the file. */
void inbox_log_close(struct inbox *i)
{
    sqlite3_close(i->reader);
    i->reader = NULL;
}

/* Begins to read: the log is kept from its present end on. */
static void hold(struct inbox *i)
{
    i->log_moved = i->log_pages;
    i->log_held =
        sqlite3_exec(i->reader, "BEGIN; SELECT 1 FROM sqlite_master LIMIT 1", NULL, NULL, NULL) == SQLITE_OK;
}

static void let_go(struct inbox *i)
{
    if (!sqlite3_get_autocommit(i->reader))
        sqlite3_exec(i->reader, "ROLLBACK", NULL, NULL, NULL);
    i->log_held = false;
}

static int copy(struct inbox *i)
{
    int rc = sqlite3_wal_checkpoint_v2(i->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    return rc == SQLITE_OK || rc == SQLITE_BUSY ? 1 : inbox_error(i, rc);
}

/* Copies what is older than the reader's view, and moves that on to the present end. */
static int copy_some(struct inbox *i)
{
    int r = 1;
    if (i->log_held) {
        r = copy(i);
        sync_file_range(i->file_fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    }
    let_go(i);
    hold(i);
    return r;
}

static int copy_all(struct inbox *i)
{
    let_go(i);
    i->log_ending = 0;
    i->log_moved = i->log_pages;
    i->log_due = i->log_pages + i->log_most; /* where a reader of another's is in the way */
    return copy(i);
}

void inbox_log_written(struct inbox *i, int pages)
{
    if (pages <= i->log_pages) { /* it began anew */
        i->log_due = i->log_most;
        i->log_moved = 0;
    }
    i->log_pages = pages;
    i->committed_at = clock_now(CLOCK_MONOTONIC);
}

/* The whole log is copied when little of it is left to copy, and that much later than the rest; or when there
 * is time. A reader that held it for long would keep another process from beginning it anew. */
int inbox_log_step(struct inbox *i, int64_t now)
{
    bool due = i->log_pages >= i->log_due;
    if (i->log_held && now - i->committed_at >= IDLE)
        return copy_all(i);
    if (i->log_pages < i->log_moved + (due ? 1 : LOG_STEP))
        return 0;
    if (due && i->log_ending == LOG_ENDING)
        return copy_all(i);
    i->log_ending += due;
    return copy_some(i);
}

int64_t inbox_log_next(const struct inbox *i)
{
    return i->log_held ? i->committed_at + IDLE : INT64_MAX;
}
