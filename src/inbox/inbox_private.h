/* inbox_private.h: what the files of the inbox sink share: inbox.c (the sink), inbox_open.c (the file),
 * inbox_write.c (rows), inbox_log.c and inbox_vfs.c (the log) and inbox_maintain.c (what is due beside
 * recording); nobody else's. */
#pragma once

#include <sqlite3.h>
#include <sys/stat.h>

#include "event/digest.h"
#include "inbox/sink.h"

enum { INBOX_PAGE = 4096 /* SQLite's default */ };

enum inbox_statement {
    INBOX_BEGIN,
    INBOX_COMMIT,
    INBOX_ROLLBACK,
    INBOX_FIND,     /* the newest row of a digest, among the refused or among the others */
    INBOX_SEE,      /* counts a duplicate */
    INBOX_ADD,      /* an event */
    INBOX_ADD_FILE, /* of an event */
    INBOX_ADD_NOTE, /* of an event */
    INBOX_OLDEST,   /* id, time, bytes of the body, enum inbox_apart or null */
    INBOX_OLDEST_REFUSED,
    INBOX_OLDEST_UNREADABLE,
    INBOX_DELETE,
    INBOX_PAGES,
    INBOX_FREE_PAGES,
    INBOX_STATEMENTS,
};

/* What strangers can make is kept apart from what is believed: each kind has a share of its own. */
enum inbox_apart { APART_REFUSED, APART_UNREADABLE, APARTS };

struct inbox_share {
    int64_t rows, bytes;
};

struct inbox {
    struct sink sink;
    struct inbox_config config;
    char *path, *wal_path, *shm_path; /* owned */
    struct digester *digester;

    /* The file. */
    sqlite3 *db; /* NULL while it could not be opened */
    sqlite3_stmt *statements[INBOX_STATEMENTS];
    struct stat file, wal, shm; /* what stood at the paths when they were opened */
    char problem[256];          /* what SQLite said of the last failure, for the line about it */

    /* The transaction. */
    size_t n_put; /* records since the last commit */
    bool begun;
    bool lost; /* records that were put before a failure are, and the next commit has to say so */

    /* Trouble. */
    int64_t failed_at; /* monotonic microseconds; 0 while it works */
    int failed_with;   /* negative errno */
    int64_t trouble_since;
    bool said;

    /* The write-ahead log, in pages; times are monotonic microseconds. */
    sqlite3 *reader;
    int file_fd;    /* the database */
    int log_pages;  /* it has */
    int log_most;   /* after which it begins anew */
    int log_due;    /* when that is tried next */
    int log_moved;  /* so many are copied, or will be in the next step */
    int log_ending; /* steps since it was due */
    bool log_held;  /* the reader reads */
    int64_t committed_at;

    /* Pruning. */
    struct inbox_share apart[APARTS], apart_before[APARTS]; /* now, and when the transaction began */
    size_t n_added;      /* rows since the last time that none had to go, less those that went */
    int64_t bytes_added; /* since the last look at the size */
    bool over_size;      /* rows have to go because of their size */
    int64_t prune_at, count_at;
    int64_t size_said; /* when it was last said that size made rows go; 0 for never */

    int64_t look_at_disk_at;
    bool low_said, tidying_said;
    bool maintaining; /* no lock is waited for */
};

/* inbox_open.c */

/* Opens the file, making it and its folder where they are missing; sets a corrupt one aside. Returns 0 or a
 * negative errno, with i->problem. */
int inbox_open(struct inbox *i);
void inbox_close(struct inbox *i);

/* Whether the files at the paths are no longer those that are open; and how they are let go then. */
bool inbox_moved(const struct inbox *i);
void inbox_leave(struct inbox *i);

/* Moves the damaged file and what belongs to it out of the way, said at once. It must be closed. */
int inbox_set_aside(struct inbox *i);

/* The negative errno of what SQLite returned, with i->problem. */
int inbox_error(struct inbox *i, int rc);

/* Runs a statement that returns no row. Returns 0 or a negative errno. */
int inbox_run(struct inbox *i, enum inbox_statement s);

/* Runs a statement that returns at most one row. Returns 1 with a row, which is valid until the statement is
 * reset, 0 without, or a negative errno. */
int inbox_row(struct inbox *i, enum inbox_statement s);

/* inbox_write.c */

/* Writes a record in the open transaction, and says whether it is a duplicate. Returns 0 or a negative errno.
 */
int inbox_write(struct inbox *i, struct record *r);

/* inbox.c */

/* Begin, commit and end a transaction; where one is open or not, the last does nothing. The first two return
 * 0 or a negative errno. */
int inbox_start(struct inbox *i);
int inbox_commit_started(struct inbox *i);
void inbox_rollback(struct inbox *i);

/* Ends a transaction that failed, sets the file aside where it is corrupt, and says what went wrong. Returns
 * r.
 */
int inbox_failed(struct inbox *i, int r);

/* inbox_log.c */
int inbox_log_open(struct inbox *i);
void inbox_log_close(struct inbox *i);

/* Takes note of a commit, after which the log has so many pages. */
void inbox_log_written(struct inbox *i, int pages);

/* Moves some of the log into the database when enough of it is there. Returns 1, 0 when it is not,
 * or a negative errno. The other says when it has to be called, even if nothing is recorded until then. */
int inbox_log_step(struct inbox *i, int64_t now);
int64_t inbox_log_next(const struct inbox *i);

/* inbox_vfs.c */

/* The name of the file layer for a connection that writes, or NULL for SQLite's own. Where a commit is not
 * synced (PRAGMA synchronous=NORMAL), nothing must be gathered. */
const char *inbox_vfs(void);
void inbox_vfs_gather(sqlite3 *db, bool gather);

/* inbox_maintain.c */

/* Begins anew with a file that was just opened. Returns 0 or a negative errno. */
int inbox_maintain_begin(struct inbox *i);

/* Accounts for a row that was added. */
void inbox_added(struct inbox *i, const struct record *r);
