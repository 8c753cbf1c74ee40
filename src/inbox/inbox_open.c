/* inbox_open.c: the file of the inbox: found or made, brought up to date, set aside when it is corrupt. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "inbox/schema.h"
#include "inbox_private.h"
#include "record/message_ids.h"

enum {
    FOLDER_MODE = 0750,
    FILE_MODE = 0640, /* SQLite gives the files beside it the same */
    BUSY_WAIT = 20,   /* milliseconds that another's transaction is waited for; they last a few */
    CACHE = 8192,     /* KiB; a group of 256 events changes about 1,300 pages */
};

/* SECURE_DELETE is on in Debian's SQLite, and doubles what a deletion writes. */
static const char settings[] = "PRAGMA auto_vacuum=INCREMENTAL;"
                               "PRAGMA synchronous=FULL;"
                               "PRAGMA secure_delete=OFF;"
                               "PRAGMA temp_store=MEMORY;"
                               "PRAGMA trusted_schema=OFF;";

static const char *const statements[INBOX_STATEMENTS] = {
    [INBOX_BEGIN] = "BEGIN IMMEDIATE",
    [INBOX_COMMIT] = "COMMIT",
    [INBOX_ROLLBACK] = "ROLLBACK",
    [INBOX_FIND] = "SELECT id, received FROM event WHERE digest = ?1 AND (trust = 'refused') = ?2"
                   " ORDER BY id DESC LIMIT 1",
    [INBOX_SEE] = "UPDATE event SET seen = seen + 1, last_seen = ?2,"
                  " trust = CASE ?3 WHEN 'verified' THEN ?3 ELSE trust END WHERE id = ?1",
    [INBOX_ADD] = "INSERT INTO event (received, source, remote, trust, type, task_id, status, result,"
                  " err_code, name, digest, last_seen, body)"
                  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?1, ?12)",
    [INBOX_ADD_FILE] = "INSERT OR IGNORE INTO event_file (event_id, file_id) VALUES (?1, ?2)",
    [INBOX_ADD_NOTE] = "INSERT INTO event_note (event_id, reason, body_bytes) VALUES (?1, ?2, ?3)",
    [INBOX_OLDEST] = "SELECT id, received, length(body), CASE WHEN type IS NULL THEN 1 WHEN trust = 'refused'"
                     " THEN 0 END, source = 'pull' FROM event ORDER BY received LIMIT 1",
    [INBOX_OLDEST_REFUSED] = "SELECT id, received, length(body), 0, 0 FROM event WHERE trust = 'refused'"
                             " ORDER BY received LIMIT 1",
    [INBOX_OLDEST_UNREADABLE] = "SELECT id, received, length(body), 1, 0 FROM event WHERE type IS NULL"
                                " ORDER BY received LIMIT 1",
    [INBOX_DELETE] = "DELETE FROM event WHERE id = ?1",
    [INBOX_PAGES] = "PRAGMA page_count",
    [INBOX_FREE_PAGES] = "PRAGMA freelist_count",
};

/* --- Results ------------------------------------------------------------------------------------------- */

int inbox_error(struct inbox *i, int rc)
{
    int system_error = i->db ? sqlite3_system_errno(i->db) : 0;
    snprintf(i->problem, sizeof i->problem, "%s", i->db ? sqlite3_errmsg(i->db) : sqlite3_errstr(rc));
    switch (rc & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_TOOBIG:
        return -EFBIG;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        /* What is damaged is left as it is, for those who recover it. */
        sqlite3_db_config(i->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        return -EUCLEAN;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        return system_error ? -system_error : -EIO;
    }
    return -EIO;
}

int inbox_row(struct inbox *i, enum inbox_statement s)
{
    int rc = sqlite3_step(i->statements[s]);
    if (rc == SQLITE_ROW)
        return 1;
    int r = rc == SQLITE_DONE ? 0 : inbox_error(i, rc);
    sqlite3_reset(i->statements[s]);
    return r;
}

int inbox_run(struct inbox *i, enum inbox_statement s)
{
    int r = inbox_row(i, s);
    if (r > 0)
        sqlite3_reset(i->statements[s]);
    return r < 0 ? r : 0;
}

static int run_text(struct inbox *i, const char *sql)
{
    int rc = sqlite3_exec(i->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : inbox_error(i, rc);
}

/* The first column of the first row, as a number. */
static int number_of(struct inbox *i, const char *sql, int64_t *ret)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(i->db, sql, -1, &s, NULL);
    if (rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        *ret = sqlite3_column_int64(s, 0);
        rc = SQLITE_OK;
    }
    int r = rc == SQLITE_OK ? 0 : inbox_error(i, rc);
    sqlite3_finalize(s);
    return r;
}

/* --- Files --------------------------------------------------------------------------------------------- */

static void sync_folder(const char *path)
{
    cleanup_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        fsync(fd);
}

/* Makes the folders that are missing on the way to the file, and sees to it that their names last, too. */
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

/* Makes the file by hand for its mode: bodies are not for everybody. One that is there is not opened, since
 * closing it would drop locks that this process may hold on it. */
static int make_file(struct inbox *i)
{
    int r = make_folders(i->path);
    if (r < 0)
        return r;
    cleanup_close int fd = open(i->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
    if (fd < 0 && errno != EEXIST)
        return -errno;
    if (stat(i->path, &i->file) < 0)
        return -errno;
    return S_ISREG(i->file.st_mode) ? 0 : -EINVAL;
}

static bool stands_at(const char *path, const struct stat *file)
{
    struct stat now;
    return stat(path, &now) == 0 && now.st_dev == file->st_dev && now.st_ino == file->st_ino;
}

bool inbox_moved(const struct inbox *i)
{
    return !stands_at(i->path, &i->file) || !stands_at(i->wal_path, &i->wal);
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

/* The log first: a log without its database is taken for the next one's, and deleted. */
int inbox_set_aside(struct inbox *i)
{
    if (!stands_at(i->path, &i->file))
        return 0; /* another process did */
    cleanup_free char *aside = name_aside(i->path, "damaged");
    if (!aside)
        return -ENOMEM;
    int r;
    if ((r = rename_with(i->path, aside, "-wal")) < 0 || (r = rename_with(i->path, aside, "-shm")) < 0 ||
        (r = rename_with(i->path, aside, "")) < 0)
        return r;
    log_message(MESSAGE_INBOX_DAMAGED, LOG_CRIT, 0,
                "The inbox %s is damaged (%s): it was set aside as %s, and a new one is begun. What is in it "
                "can be recovered: sqlite3 %s .recover | sqlite3 recovered.db",
                i->path, i->problem, aside, aside);
    return 0;
}

/* What the log holds is copied into its file, wherever that is now, which SQLite does not do by itself then.
 * Log and index must not be there for the next file, which they would be taken for a part of. */
void inbox_leave(struct inbox *i)
{
    sqlite3_exec(i->reader, "ROLLBACK", NULL, NULL, NULL);
    sqlite3_wal_checkpoint_v2(i->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    inbox_close(i);
    cleanup_free char *aside = name_aside(i->path, "moved");
    if (aside && stands_at(i->wal_path, &i->wal))
        rename_with(i->path, aside, "-wal");
    if (aside && stands_at(i->shm_path, &i->shm))
        rename_with(i->path, aside, "-shm");
}

/* --- Opening ------------------------------------------------------------------------------------------- */

/* Short, so that the loop goes on; and none at all while the lock has been waited for in vain. */
static int on_busy(void *userdata, int times)
{
    const struct inbox *i = userdata;
    if (i->failed_with == -EBUSY || i->maintaining || times >= BUSY_WAIT)
        return 0;
    usleep(1000);
    return 1;
}

static int on_commit(void *userdata, sqlite3 *db, const char *name, int pages)
{
    (void)db;
    (void)name;
    inbox_log_written(userdata, pages);
    return SQLITE_OK;
}

static int use_log(struct inbox *i)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(i->db, "PRAGMA journal_mode=WAL", -1, &s, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(s);
    int r = 0;
    if (rc != SQLITE_ROW) {
        r = inbox_error(i, rc);
    } else if (strcmp((const char *)sqlite3_column_text(s, 0), "wal") != 0) {
        snprintf(i->problem, sizeof i->problem, "its file system does not allow a write-ahead log");
        r = -EOPNOTSUPP;
    }
    sqlite3_finalize(s);
    return r;
}

static int refuse(struct inbox *i, const char *why)
{
    snprintf(i->problem, sizeof i->problem, "%s", why);
    return -EINVAL;
}

static const char *const steps[] = INBOX_SCHEMA_STEPS;
static const int64_t newest = sizeof steps / sizeof *steps;

/* Refuses what is not ours. Returns 0 and the version of the schema, or a negative errno. */
static int identify(struct inbox *i, int64_t *ret_version)
{
    int64_t application = 0, tables = 0;
    int r = number_of(i, "PRAGMA application_id", &application);
    if (r >= 0)
        r = number_of(i, "PRAGMA user_version", ret_version);
    if (r >= 0)
        r = number_of(i, "SELECT count(*) FROM sqlite_master", &tables);
    if (r < 0)
        return r;
    if (tables > 0 && application != INBOX_APPLICATION_ID)
        return refuse(i, "it is a database of another program");
    if (*ret_version > newest)
        return refuse(i, "it was written by a newer vodhook");
    return 0;
}

/* In one transaction with the look at what is there: two processes may start at once. */
static int bring_up_to_date(struct inbox *i)
{
    int64_t version = 0;
    int r = identify(i, &version);
    if (r < 0)
        return r;
    for (; version < newest; version++) {
        char mark[96];
        snprintf(mark, sizeof mark, "PRAGMA application_id=%d; PRAGMA user_version=%d", INBOX_APPLICATION_ID,
                 (int)version + 1);
        if ((r = run_text(i, steps[version])) < 0 || (r = run_text(i, mark)) < 0)
            return r;
    }
    return 0;
}

static int set_up(struct inbox *i)
{
    char sizes[128];
    snprintf(sizes, sizeof sizes, "PRAGMA cache_size=-%d; PRAGMA journal_size_limit=%d", CACHE,
             2 * i->log_most * INBOX_PAGE); /* to cut it takes as long as several commits */
    int64_t version = 0;
    /* Before anything is written: the database of another program stays as it is. */
    int r = identify(i, &version);
    if (r >= 0)
        r = run_text(i, settings);
    if (r >= 0)
        r = use_log(i);
    if (r >= 0)
        r = run_text(i, sizes);
    if (r >= 0)
        r = run_text(i, "BEGIN IMMEDIATE");
    if (r < 0)
        return r;
    r = bring_up_to_date(i);
    if (r < 0) {
        sqlite3_exec(i->db, "ROLLBACK", NULL, NULL, NULL);
        return r;
    }
    return run_text(i, "COMMIT");
}

static int prepare_all(struct inbox *i)
{
    for (int s = 0; s < INBOX_STATEMENTS; s++) {
        int rc =
            sqlite3_prepare_v3(i->db, statements[s], -1, SQLITE_PREPARE_PERSISTENT, &i->statements[s], NULL);
        if (rc != SQLITE_OK)
            return inbox_error(i, rc);
    }
    return 0;
}

static int open_once(struct inbox *i)
{
    int r = make_file(i);
    if (r < 0) {
        snprintf(i->problem, sizeof i->problem, r == -EINVAL ? "it is no regular file" : "it cannot be made");
        return r;
    }
    int rc = sqlite3_open_v2(i->path, &i->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, inbox_vfs());
    if (rc != SQLITE_OK)
        return inbox_error(i, rc);
    sqlite3_extended_result_codes(i->db, 1);
    sqlite3_busy_handler(i->db, on_busy, i);
    sqlite3_wal_hook(i->db, on_commit, i);
    int keep = 1;
    sqlite3_file_control(i->db, "main", SQLITE_FCNTL_PERSIST_WAL, &keep);
    r = inbox_log_open(i);
    if (r >= 0)
        r = set_up(i);
    if (r >= 0)
        r = prepare_all(i);
    if (r >= 0 && (stat(i->wal_path, &i->wal) < 0 || stat(i->shm_path, &i->shm) < 0))
        r = -errno;
    return r < 0 ? r : inbox_maintain_begin(i);
}

int inbox_open(struct inbox *i)
{
    for (bool again = false;; again = true) {
        int r = open_once(i);
        if (r >= 0)
            return r;
        inbox_close(i);
        if (r != -EUCLEAN || again)
            return r;
        r = inbox_set_aside(i);
        if (r < 0)
            return r;
    }
}

/* The log stays, emptied where nobody else has it open, since who may only read could not make a new one. */
void inbox_close(struct inbox *i)
{
    for (int s = 0; s < INBOX_STATEMENTS; s++) {
        sqlite3_finalize(i->statements[s]);
        i->statements[s] = NULL;
    }
    inbox_log_close(i);
    sqlite3_close(i->db);
    i->db = NULL;
    if (i->file_fd >= 0)
        close(steal_fd(&i->file_fd));
    i->begun = false;
}
