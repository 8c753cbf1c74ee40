/* database.c: the file of the inbox. */
#include "database.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "inbox/schema.h"
#include "record/message_ids.h"
#include "wal.h"

enum {
    FOLDER_MODE = 0750,
    FILE_MODE = 0640, /* SQLite gives the files beside it the same */
    BUSY_POLL =
        100,      /* microseconds: shorter than the pause that a busy writer makes between two transactions,
                       * so that two writers take turns */
    CACHE = 8192, /* KiB; a group of 256 events changes about 1,300 pages */
    WAL_KEPT = 32 * 1024 * 1024, /* bytes of the log's file that stay when it begins anew */
    SUSPICIONS_MAX =
        3, /* a database that seems damaged so often in a row is damaged, whatever the check says */
    LOOK_OPS = 20000, /* of SQLite's machine, between two looks at the time while it checks */
};

/* A check reads the whole file, 4 GB perhaps, and the watchdog and VOD wait meanwhile. One that has found nothing in
 * this time leaves the file where it is: if it is damaged, the next try says so again. */
static const int64_t CHECK_MAX = 2000000;

/* SECURE_DELETE is on in Debian's SQLite, and doubles what a deletion writes. */
static const char settings[] = "PRAGMA auto_vacuum=INCREMENTAL;"
                               "PRAGMA synchronous=FULL;"
                               "PRAGMA secure_delete=OFF;"
                               "PRAGMA temp_store=MEMORY;"
                               "PRAGMA trusted_schema=OFF;";

/* --- Results ------------------------------------------------------------------------------------------- */

static int fail(struct database *d, int error, const char *problem)
{
    d->error = error;
    snprintf(d->problem, sizeof d->problem, "%s", problem);
    return INBOX_TROUBLE;
}

static int refuse(struct database *d, const char *why)
{
    fail(d, EINVAL, why);
    return INBOX_FOREIGN;
}

int database_result(struct database *d, int code)
{
    int system_error = d->sqlite ? sqlite3_system_errno(d->sqlite) : 0;
    int r = fail(d, EIO, d->sqlite ? sqlite3_errmsg(d->sqlite) : sqlite3_errstr(code));
    switch (code & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        d->error = EBUSY;
        return INBOX_BUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        d->error = EUCLEAN;
        d->distrusted = true;
        return INBOX_DAMAGED;
    case SQLITE_FULL:
        d->error = ENOSPC;
        return r;
    case SQLITE_NOMEM:
        return -(d->error = ENOMEM);
    case SQLITE_TOOBIG:
        return -(d->error = EFBIG);
    case SQLITE_READONLY:
        return -(d->error = EROFS);
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        d->error = system_error ? system_error : EIO;
        return d->error == EIO || d->error == ENOSPC || d->error == EDQUOT ? r : -d->error;
    }
    return r;
}

int database_step(struct database *d, sqlite3_stmt *s)
{
    int rc = sqlite3_step(s);
    if (rc == SQLITE_ROW)
        return INBOX_ROW;
    int r = rc == SQLITE_DONE ? INBOX_OK : database_result(d, rc);
    sqlite3_reset(s);
    return r;
}

int database_run(struct database *d, sqlite3_stmt *s)
{
    int r = database_step(d, s);
    if (r != INBOX_ROW)
        return r;
    sqlite3_reset(s);
    return INBOX_OK;
}

int database_exec(struct database *d, const char *sql)
{
    int rc = sqlite3_exec(d->sqlite, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? INBOX_OK : database_result(d, rc);
}

int database_number(struct database *d, const char *sql, int64_t *ret)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(d->sqlite, sql, -1, &s, NULL);
    if (rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        *ret = sqlite3_column_int64(s, 0);
        rc = SQLITE_OK;
    }
    int r = rc == SQLITE_OK ? INBOX_OK : database_result(d, rc);
    sqlite3_finalize(s);
    return r;
}

int database_prepare(struct database *d, const char *const sql[], size_t n, sqlite3_stmt *ret[])
{
    for (size_t i = 0; i < n; i++) {
        int rc = sqlite3_prepare_v3(d->sqlite, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &ret[i], NULL);
        if (rc != SQLITE_OK)
            return database_result(d, rc);
    }
    return INBOX_OK;
}

void database_finalize(sqlite3_stmt *statements[], size_t n)
{
    for (size_t i = 0; i < n; i++) {
        sqlite3_finalize(statements[i]);
        statements[i] = NULL;
    }
}

/* --- Files --------------------------------------------------------------------------------------------- */

static void sync_folder(const char *path)
{
    cleanup_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        fsync(fd);
}

/* Makes the folders that are missing on the way to the file, and syncs the folder of each, so that their names
 * survive a crash, too. */
static int make_folders(const char *path)
{
    cleanup_free char *folder = strdup(path);
    if (!folder)
        return -ENOMEM;
    for (char *slash = folder + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = 0;
        if (mkdir(folder, FOLDER_MODE) == 0) {
            char *parent = strrchr(folder, '/');
            if (parent && parent != folder) {
                *parent = 0;
                sync_folder(folder);
                *parent = '/';
            } else {
                sync_folder(parent ? "/" : ".");
            }
        } else if (errno != EEXIST && access(folder, F_OK) < 0) {
            return -errno;
        }
        *slash = '/';
    }
    return 0;
}

static bool stands_at(const char *path, const struct stat *file)
{
    struct stat now;
    return stat(path, &now) == 0 && now.st_dev == file->st_dev && now.st_ino == file->st_ino;
}

bool database_moved(const struct database *d)
{
    return !stands_at(d->given, &d->file) || !stands_at(d->wal_path, &d->wal);
}

/* Where the file really is: SQLite puts its log there, beside the target of a symbolic link. */
static int find_paths(struct database *d)
{
    free(d->path);
    free(d->wal_path);
    free(d->shm_path);
    d->wal_path = d->shm_path = NULL;
    d->path = realpath(d->given, NULL);
    if (!d->path)
        return errno == ENOENT && (d->path = strdup(d->given)) ? 0 : -errno;
    return 0;
}

static int name_beside(struct database *d)
{
    if (asprintf(&d->wal_path, "%s-wal", d->path) < 0)
        return d->wal_path = NULL, -ENOMEM;
    if (asprintf(&d->shm_path, "%s-shm", d->path) < 0)
        return d->shm_path = NULL, -ENOMEM;
    return 0;
}

/* A name beside the inbox that nothing has yet. */
static char *name_aside(const char *path, const char *why)
{
    char stamp[32];
    time_t t = time(NULL);
    struct tm tm;
    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%S", localtime_r(&t, &tm));
    for (int n = 1;; n++) {
        char *aside;
        if (asprintf(&aside, "%s.%s-%s-%d", path, why, stamp, n) < 0)
            return NULL;
        cleanup_free char *wal = NULL;
        if (asprintf(&wal, "%s-wal", aside) < 0)
            return wal = NULL, free(aside), NULL;
        if (access(aside, F_OK) < 0 && access(wal, F_OK) < 0)
            return aside;
        free(aside);
    }
}

static int rename_with(const char *from, const char *to, const char *suffix)
{
    cleanup_free char *old = NULL, *new = NULL;
    if (asprintf(&old, "%s%s", from, suffix) < 0)
        return old = NULL, -ENOMEM;
    if (asprintf(&new, "%s%s", to, suffix) < 0)
        return new = NULL, -ENOMEM;
    return renameat2(AT_FDCWD, old, AT_FDCWD, new, RENAME_NOREPLACE) < 0 && errno != ENOENT ? -errno : 0;
}

/* The log first: SQLite takes a log without its database for the next one's, and deletes it. */
static int set_aside(struct database *d)
{
    cleanup_free char *aside = name_aside(d->path, "damaged");
    if (!aside)
        return -ENOMEM;
    int r;
    if ((r = rename_with(d->path, aside, "-wal")) < 0 || (r = rename_with(d->path, aside, "-shm")) < 0 ||
        (r = rename_with(d->path, aside, "")) < 0)
        return r;
    d->suspicions = 0;
    log_message(MESSAGE_INBOX_DAMAGED, LOG_CRIT, 0,
                "The inbox %s is damaged (%s): it was set aside as %s, and a new one is begun. What is in it "
                "can be recovered: sqlite3 %s .dump | sed 's/^ROLLBACK.*/COMMIT;/' | sqlite3 recovered.db",
                d->given, d->problem, aside, aside);
    return INBOX_OK;
}

/* A log with content whose database is missing or empty holds events, and SQLite would delete it. The log is looked at
 * first: another process that is making the database writes that before its log. */
static int save_orphaned_log(struct database *d)
{
    struct stat log, file;
    if (stat(d->wal_path, &log) < 0 || log.st_size == 0 || (stat(d->path, &file) == 0 && file.st_size > 0))
        return INBOX_OK;
    int r = wal_adopt(d->path);
    fail(d, EUCLEAN, "there is a log with events in it, but its database is missing or empty");
    return r < 0 ? r : set_aside(d);
}

/* Makes the file by hand for its mode: bodies are not for everybody. One that is there is not opened, since
 * closing it would drop locks that this process may hold on it; but for a symbolic link to a file that is yet
 * to be made. */
static int make_file(struct database *d)
{
    int r = make_folders(d->given);
    if (r < 0 || (r = find_paths(d)) < 0 || (r = name_beside(d)) < 0 ||
        (r = save_orphaned_log(d)) != INBOX_OK)
        return r;
    cleanup_close int fd = open(d->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
    if (fd < 0 && errno == EEXIST && access(d->path, F_OK) < 0)
        fd = open(d->path, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
    if (fd < 0 && errno != EEXIST)
        return -errno;
    if ((r = find_paths(d)) < 0 || (r = name_beside(d)) < 0)
        return r;
    if (stat(d->path, &d->file) < 0)
        return -errno;
    return S_ISREG(d->file.st_mode) ? INBOX_OK : refuse(d, "it is no regular file");
}

/* What the log holds is copied into its file, wherever that is now, which SQLite does not do by itself then.
 * Log and index must not be there for the next file, which they would be taken for a part of. */
void database_leave(struct database *d)
{
    sqlite3_wal_checkpoint_v2(d->sqlite, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    database_close(d);
    cleanup_free char *aside = stands_at(d->path, &d->file) ? NULL : name_aside(d->path, "moved");
    if (aside && stands_at(d->wal_path, &d->wal))
        rename_with(d->path, aside, "-wal");
    if (aside && stands_at(d->shm_path, &d->shm))
        rename_with(d->path, aside, "-shm");
}

/* --- A second look ------------------------------------------------------------------------------------- */

static int is_late(void *until)
{
    return clock_now(CLOCK_MONOTONIC) >= *(int64_t *)until;
}

/* Whether a check over a fresh connection says that the file is damaged. One error of the disk that passes looks like
 * damage too, since SQLite reports a page that cannot be read as malformed. */
static bool check_says_damaged(struct database *d)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *s = NULL;
    int64_t until = clock_now(CLOCK_MONOTONIC) + CHECK_MAX;
    int rc = sqlite3_open_v2(d->path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        int keep = 1;
        sqlite3_file_control(db, "main", SQLITE_FCNTL_PERSIST_WAL, &keep);
        sqlite3_progress_handler(db, LOOK_OPS, is_late, &until);
        rc = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &s, NULL);
    }
    if (rc == SQLITE_OK)
        rc = sqlite3_step(s);
    const char *said = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(s, 0) : NULL;
    bool damaged = rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB || (said && strcmp(said, "ok") != 0);
    if (damaged)
        snprintf(d->problem, sizeof d->problem, "%s", said ? said : sqlite3_errmsg(db));
    sqlite3_finalize(s);
    sqlite3_close(db);
    return damaged;
}

int database_damaged(struct database *d)
{
    database_close(d);
    if (d->path && !stands_at(d->path, &d->file))
        return INBOX_OK; /* another process has set it aside */
    if (check_says_damaged(d) || ++d->suspicions >= SUSPICIONS_MAX)
        return set_aside(d);
    log_warning("The inbox %s seemed damaged (%s); a second look did not confirm it, will retry", d->given,
                d->problem);
    return INBOX_OK;
}

/* --- Opening ------------------------------------------------------------------------------------------- */

/* Polls rather than backs off: the one that waits longest would otherwise be the least likely to get the lock. */
static int on_busy(void *userdata, int times)
{
    struct database *d = userdata;
    int64_t now = clock_now(CLOCK_MONOTONIC);
    if (times == 0)
        d->busy_since = now;
    if (now - d->busy_since >= d->busy_wait)
        return 0;
    usleep(BUSY_POLL);
    return 1;
}

static int use_wal(struct database *d)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(d->sqlite, "PRAGMA journal_mode=WAL", -1, &s, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(s);
    int r = INBOX_OK;
    if (rc != SQLITE_ROW) {
        r = database_result(d, rc);
    } else if (strcmp((const char *)sqlite3_column_text(s, 0), "wal") != 0) {
        fail(d, EOPNOTSUPP, "its file system does not allow a write-ahead log");
        r = -EOPNOTSUPP;
    }
    sqlite3_finalize(s);
    return r;
}

static const char *const steps[] = INBOX_SCHEMA_STEPS;
static const int64_t newest = sizeof steps / sizeof *steps;

/* Refuses what is not ours. Every inbox has had a log beside it, so that a file without one whose head is no
 * database's is a file of another kind. */
static int identify(struct database *d, int64_t *ret_version)
{
    int64_t application = 0, tables = 0;
    int r = database_number(d, "PRAGMA application_id", &application);
    if (r == INBOX_DAMAGED && sqlite3_errcode(d->sqlite) == SQLITE_NOTADB && access(d->wal_path, F_OK) < 0)
        return refuse(d, "it is no database");
    if (r == INBOX_OK)
        r = database_number(d, "PRAGMA user_version", ret_version);
    if (r == INBOX_OK)
        r = database_number(d, "SELECT count(*) FROM sqlite_master", &tables);
    if (r != INBOX_OK)
        return r;
    if (tables > 0 && application != INBOX_APPLICATION_ID)
        return refuse(d, "it is a database of another program");
    if (*ret_version > newest)
        return refuse(d, "it was written by a newer vodhook");
    return INBOX_OK;
}

/* In one transaction with the look at what is there: two processes may start at once. */
static int bring_up_to_date(struct database *d)
{
    int64_t version = 0;
    int r = identify(d, &version);
    for (; r == INBOX_OK && version < newest; version++) {
        char mark[96];
        snprintf(mark, sizeof mark, "PRAGMA application_id=%d; PRAGMA user_version=%d", INBOX_APPLICATION_ID,
                 (int)version + 1);
        r = database_exec(d, steps[version]);
        if (r == INBOX_OK)
            r = database_exec(d, mark);
    }
    return r;
}

static int set_up(struct database *d)
{
    char sizes[128];
    snprintf(sizes, sizeof sizes, "PRAGMA cache_size=-%d; PRAGMA journal_size_limit=%d", CACHE, WAL_KEPT);
    int64_t version = 0;
    /* Before anything is written: the database of another program stays as it is. */
    int r = identify(d, &version);
    if (r == INBOX_OK)
        r = database_exec(d, settings);
    if (r == INBOX_OK)
        r = use_wal(d);
    if (r == INBOX_OK)
        r = database_exec(d, sizes);
    if (r == INBOX_OK)
        r = database_exec(d, "BEGIN IMMEDIATE");
    if (r != INBOX_OK)
        return r;
    r = wal_renew(d->wal_path);
    r = r < 0 ? fail(d, -r, "its log cannot be synced") : bring_up_to_date(d);
    if (r == INBOX_OK)
        return database_exec(d, "COMMIT");
    sqlite3_exec(d->sqlite, "ROLLBACK", NULL, NULL, NULL);
    return r;
}

static int prepare_transaction(struct database *d)
{
    static const char *const sql[] = {"BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"};
    sqlite3_stmt *all[3] = {0};
    int r = database_prepare(d, sql, 3, all);
    d->begin = all[0];
    d->commit = all[1];
    d->rollback = all[2];
    return r;
}

static int open_inner(struct database *d)
{
    int r = make_file(d);
    if (r < 0)
        fail(d, -r, "it cannot be made");
    if (r != INBOX_OK)
        return r;
    int rc = sqlite3_open_v2(d->path, &d->sqlite, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK)
        return database_result(d, rc);
    sqlite3_extended_result_codes(d->sqlite, 1);
    sqlite3_busy_handler(d->sqlite, on_busy, d);
    sqlite3_wal_autocheckpoint(d->sqlite, 0);
    int keep = 1;
    sqlite3_file_control(d->sqlite, "main", SQLITE_FCNTL_PERSIST_WAL, &keep);
    r = set_up(d);
    if (r == INBOX_OK)
        r = prepare_transaction(d);
    if (r == INBOX_OK && (stat(d->wal_path, &d->wal) < 0 || stat(d->shm_path, &d->shm) < 0))
        r = -errno;
    return r;
}

int database_open(struct database *d)
{
    int r = open_inner(d);
    if (r != INBOX_OK)
        database_close(d);
    return r;
}

/* The log stays, emptied where nobody else has it open, since who may only read could not make a new one. */
void database_close(struct database *d)
{
    sqlite3_stmt *all[] = {d->begin, d->commit, d->rollback};
    database_finalize(all, 3);
    d->begin = d->commit = d->rollback = NULL;
    if (d->sqlite)
        sqlite3_db_config(d->sqlite, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, (int)d->distrusted, NULL);
    sqlite3_close(d->sqlite);
    d->sqlite = NULL;
    d->distrusted = d->unsynced = d->begun = false;
}

/* --- Transactions and life ----------------------------------------------------------------------------- */

int database_begin(struct database *d)
{
    int r = database_run(d, d->begin);
    d->begun = r == INBOX_OK;
    return r;
}

int database_commit(struct database *d)
{
    int r = database_run(d, d->commit);
    d->begun = d->unsynced = r != INBOX_OK;
    if (r == INBOX_OK)
        d->suspicions = 0;
    return r;
}

/* SQLite may have rolled back by itself. What the last failure was stays known. */
void database_rollback(struct database *d)
{
    if (d->begun && !sqlite3_get_autocommit(d->sqlite)) {
        sqlite3_step(d->rollback);
        sqlite3_reset(d->rollback);
    }
    d->begun = false;
}

/* SQLite takes file: and :memory: for something else. */
int database_init(struct database *d, const char *path)
{
    *d = (struct database){0};
    if (asprintf(&d->given, "%s%s", path[0] == '/' ? "" : "./", path) < 0)
        return d->given = NULL, -ENOMEM;
    return 0;
}

void database_done(struct database *d)
{
    if (d->sqlite) {
        database_rollback(d);
        database_close(d);
    }
    free(d->given);
    free(d->path);
    free(d->wal_path);
    free(d->shm_path);
}
