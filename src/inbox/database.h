/* database.h: the file of the inbox and the one connection that writes to it: opened, brought up to date,
 * looked at a second time when it seems damaged, and set aside when it is. */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* How a call went. Whoever calls handles these; a negative errno is passed on. */
enum inbox_result {
    INBOX_OK,
    INBOX_ROW,     /* the statement has a row, which is valid until the statement is reset */
    INBOX_BUSY,    /* another connection holds the lock */
    INBOX_TROUBLE, /* the disk is full or failing, which may pass; `error` says how */
    INBOX_DAMAGED, /* SQLite takes the file for malformed */
    INBOX_MOVED,   /* another file stands at the path, or none */
    INBOX_FOREIGN, /* no inbox, or one that a newer vodhook wrote: not ours to touch */
};

enum { DATABASE_PAGE = 4096 /* bytes; SQLite's default */ };

struct database {
    char *given; /* the path in the configuration; owned, as the next three */
    char *path, *wal_path,
        *shm_path;   /* where the files are, symbolic links followed; NULL before the first open */
    sqlite3 *sqlite; /* NULL while it is closed */
    sqlite3_stmt *begin, *commit, *rollback;
    struct stat file, wal, shm; /* what stood at the paths when they were opened */
    bool begun;                 /* a transaction is open */
    bool unsynced;              /* the last commit failed: what it wrote to the log may be read but be lost */
    bool distrusted;            /* what is in memory may not be on disk: no checkpoint at the close */
    int suspicions;             /* how often it seemed damaged since the last commit */
    int64_t busy_wait;          /* how long another's lock is waited for, in microseconds */
    int64_t busy_since;
    int error;         /* errno of the last failure */
    char problem[256]; /* what SQLite said of it */
};

/* Returns 0 or -ENOMEM. Opens nothing yet. */
int database_init(struct database *d, const char *path);
void database_done(struct database *d);

/* Opens the file, makes it and its folder where they are missing, and brings its tables up to date. A log
 * whose database is gone is set aside. Returns INBOX_OK, or another result with `problem`, the database then being closed. */
int database_open(struct database *d);

/* Every statement of the caller's has to be finalized before. The log is copied into the database first, but
 * where the database is distrusted. */
void database_close(struct database *d);

/* Closes a database that SQLite takes for malformed, looks at it once more over a connection of its own, and sets
 * it aside when that says so, too. Returns INBOX_OK when it may be opened anew, sound or new. */
int database_damaged(struct database *d);

/* Whether other files stand at the paths now; and how the old ones are let go then. */
bool database_moved(const struct database *d);
void database_leave(struct database *d);

/* The result that a code of SQLite's stands for, with `error` and `problem`. */
int database_result(struct database *d, int code);

/* Runs SQL that returns no row. */
int database_exec(struct database *d, const char *sql);

/* Writes the first column of the first row. */
int database_number(struct database *d, const char *sql, int64_t *ret);

/* Prepares n statements to be kept; and finalizes them, NULL among them. */
int database_prepare(struct database *d, const char *const sql[], size_t n, sqlite3_stmt *ret[]);
void database_finalize(sqlite3_stmt *statements[], size_t n);

/* Takes a step: returns INBOX_ROW, INBOX_OK at the end, or what went wrong. database_run() is for a statement whose
 * rows do not matter. */
int database_step(struct database *d, sqlite3_stmt *s);
int database_run(struct database *d, sqlite3_stmt *s);

/* A transaction. A commit that fails leaves it open, to be rolled back; a rollback without one does nothing. */
int database_begin(struct database *d);
int database_commit(struct database *d);
void database_rollback(struct database *d);
