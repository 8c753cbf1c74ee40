/* state_open.c: the file of the state: found or made, and owned by one forwarder at a time. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "state_private.h"

/* PRAGMA application_id: "VODF". */
#define APPLICATION_ID 0x564F4446

enum {
    SCHEMA_VERSION = 1,
    FOLDER_MODE = 0750,
    FILE_MODE = 0640,
    BUSY_WAIT = 5000, /* milliseconds; transactions of commands last a few */
};

/* Times are microseconds since 1970. `due` is null behind another of the lane, and the largest number in flight. A dead
 * letter whose `row` is null was an event of an inbox that another one stands in the place of. */
static const char schema[] = "CREATE TABLE target ("
                             " one INTEGER PRIMARY KEY CHECK (one = 1),"
                             " begun INTEGER NOT NULL DEFAULT 0,"
                             " inbox TEXT NOT NULL DEFAULT '',"
                             " cursor INTEGER NOT NULL DEFAULT 0,"
                             " ahead TEXT NOT NULL DEFAULT '',"
                             " newest INTEGER NOT NULL DEFAULT 0,"
                             " handed_on INTEGER NOT NULL DEFAULT 0,"
                             " retried INTEGER NOT NULL DEFAULT 0,"
                             " died INTEGER NOT NULL DEFAULT 0,"
                             " let_go INTEGER NOT NULL DEFAULT 0,"
                             " last_time INTEGER NOT NULL DEFAULT 0,"
                             " failing_since INTEGER NOT NULL DEFAULT 0,"
                             " error_time INTEGER NOT NULL DEFAULT 0,"
                             " error TEXT NOT NULL DEFAULT '',"
                             " target TEXT NOT NULL DEFAULT '');"
                             "INSERT INTO target (one) VALUES (1);"
                             "CREATE TABLE paused ("
                             " one INTEGER PRIMARY KEY CHECK (one = 1),"
                             " since INTEGER NOT NULL,"
                             " why TEXT NOT NULL);"
                             "CREATE TABLE held ("
                             " row INTEGER PRIMARY KEY,"
                             " key TEXT NOT NULL,"
                             " id TEXT NOT NULL,"
                             " attempts INTEGER NOT NULL,"
                             " first INTEGER NOT NULL,"
                             " last INTEGER NOT NULL,"
                             " due INTEGER,"
                             " error TEXT,"
                             " replay INTEGER NOT NULL);"
                             "CREATE INDEX held_key ON held (key, row);"
                             "CREATE INDEX held_due ON held (due) WHERE due IS NOT NULL;"
                             "CREATE TABLE dead ("
                             " letter INTEGER PRIMARY KEY,"
                             " row INTEGER UNIQUE,"
                             " key TEXT NOT NULL,"
                             " id TEXT NOT NULL,"
                             " type TEXT,"
                             " attempts INTEGER NOT NULL,"
                             " first INTEGER NOT NULL,"
                             " last INTEGER NOT NULL,"
                             " error TEXT);";

#define IN_FLIGHT "9223372036854775807"

/* The first of a lane of which none is due or in flight. */
#define IS_NEXT                                                                               \
    "due IS NULL AND NOT EXISTS (SELECT 1 FROM held AS other WHERE other.key = held.key AND " \
    "(other.due IS NOT NULL OR other.row < held.row))"

#define HELD_COLUMNS "row, key, id, attempts, first, last, due, error, replay"

static const char *const statements[STATE_STATEMENTS] = {
    [STATE_BEGIN] = "BEGIN IMMEDIATE",
    [STATE_COMMIT] = "COMMIT",
    [STATE_LOAD] = "SELECT begun, inbox, cursor, ahead, newest, handed_on, retried, died, let_go, last_time,"
                   " failing_since, error_time, error, target FROM target",
    [STATE_SAVE] =
        "UPDATE target SET begun = ?14, inbox = ?1, cursor = ?2, ahead = ?3, newest = ?4, handed_on = ?5,"
        " retried = ?6, died = ?7, let_go = ?8, last_time = ?9, failing_since = ?10,"
        " error_time = ?11, error = ?12, target = ?13",
    [STATE_HOLD] =
        "INSERT INTO held (" HELD_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
        " ON CONFLICT (row) DO UPDATE SET attempts = ?4, first = ?5, last = ?6, due = ifnull(?7, due),"
        " error = ?8,"
        " replay = max(replay, ?9)",
    [STATE_UNHOLD] = "DELETE FROM held WHERE row = ?1",
    [STATE_PUT_BEHIND] = "UPDATE held SET due = NULL WHERE row = ?1",
    [STATE_LIMIT] = "UPDATE held SET due = ?1 WHERE due > ?1 AND due < " IN_FLIGHT,
    [STATE_FREE_LANE] =
        "UPDATE held SET due = ?2 WHERE row = (SELECT min(row) FROM held WHERE key = ?1) AND " IS_NEXT,
    [STATE_FREE_LANES] = "UPDATE held SET due = ?1 WHERE " IS_NEXT,
    [STATE_HASTEN] = "UPDATE held SET due = ?2 WHERE due > ?2 AND due < " IN_FLIGHT " AND last >= ?1",
    [STATE_DUE] = "SELECT " HELD_COLUMNS " FROM held WHERE due <= ?1 ORDER BY due, row LIMIT ?2",
    [STATE_TAKE] = "UPDATE held SET due = " IN_FLIGHT " WHERE row = ?1",
    [STATE_UNTAKE] = "UPDATE held SET due = 0 WHERE due = " IN_FLIGHT,
    [STATE_HAS_LANE] = "SELECT 1 FROM held WHERE key = ?1 LIMIT 1",
    [STATE_NUMBERS] = "SELECT (SELECT count(*) FROM held),"
                      " (SELECT count(*) FROM held WHERE due IS NOT NULL AND attempts > 0),"
                      " (SELECT ifnull(min(due), " IN_FLIGHT ") FROM held WHERE due IS NOT NULL),"
                      " (SELECT count(*) FROM dead)",
    [STATE_NEXT_DUE] = "SELECT due FROM held WHERE due IS NOT NULL ORDER BY due LIMIT 1",
    [STATE_BURY] = "INSERT OR REPLACE INTO dead (row, key, id, type, attempts, first, last, error)"
                   " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [STATE_REVIVE] = "INSERT OR IGNORE INTO held (" HELD_COLUMNS ")"
                     " SELECT row, key, id, 0, 0, 0, NULL, error, 0 FROM dead WHERE letter = ?1 AND row > 0",
    [STATE_DROP] = "DELETE FROM dead WHERE letter = ?1",
    [STATE_EACH_DEAD] =
        "SELECT letter, row, key, id, type, attempts, first, last, error FROM dead ORDER BY letter",
    [STATE_FORGET_HELD] = "DELETE FROM held",
    [STATE_FORGET_ROWS] = "UPDATE dead SET row = NULL",
    [STATE_PAUSED] = "SELECT since, why FROM paused",
    [STATE_PAUSE] = "INSERT OR IGNORE INTO paused (one, since, why) VALUES (1, ?1, ?2)",
    [STATE_RESUME] = "DELETE FROM paused",
    [STATE_VERSION] = "PRAGMA data_version",
};

/* --- Owning --------------------------------------------------------------------------------------------- */

static int lock_file(const char *path, int flags)
{
    char name[4096 + 8];
    snprintf(name, sizeof name, "%s.lock", path);
    int fd = open(name, flags | O_CLOEXEC, FILE_MODE);
    return fd < 0 ? -errno : fd;
}

static int take_lock(struct state *s)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = lock_file(s->path, O_RDWR | O_CREAT);
    if (fd < 0)
        return log_error_errno(fd, "Failed to open %s.lock: %m", s->path);
    if (fcntl(fd, F_OFD_SETLK, &whole) < 0) {
        int r = errno == EACCES || errno == EAGAIN ? -EBUSY : -errno;
        close(fd);
        return r == -EBUSY ? r : log_error_errno(r, "Failed to lock %s.lock: %m", s->path);
    }
    s->lock = fd;
    return 0;
}

bool state_is_owned(const char *path)
{
    struct flock whole = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    cleanup_close int fd = lock_file(path, O_RDONLY);
    return fd >= 0 && fcntl(fd, F_OFD_GETLK, &whole) >= 0 && whole.l_type != F_UNLCK;
}

/* --- Opening -------------------------------------------------------------------------------------------- */

int state_failed(const struct state *s, const char *what)
{
    int system_error = s->db ? sqlite3_system_errno(s->db) : 0;
    log_error("Failed to %s %s: %s", what, s->path, s->db ? sqlite3_errmsg(s->db) : "no memory");
    return system_error ? -system_error : -EIO;
}

static int execute(struct state *s, const char *sql)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : state_failed(s, "write");
}

static int64_t pragma(struct state *s, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    int64_t value = -1;
    if (sqlite3_prepare_v2(s->db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

/* A commit that is not synced survives the process; state_save() syncs where more is asked for. */
static int make_schema(struct state *s)
{
    int r = execute(s, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA trusted_schema=OFF;");
    if (r < 0 || pragma(s, "PRAGMA user_version") != 0)
        return r;
    char version[128];
    snprintf(version, sizeof version, "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT",
             APPLICATION_ID, SCHEMA_VERSION);
    r = execute(s, "BEGIN IMMEDIATE");
    if (r >= 0)
        r = execute(s, schema);
    return r < 0 ? r : execute(s, version);
}

static int check_schema(const struct state *s, int64_t application, int64_t version)
{
    if (application == APPLICATION_ID && version == SCHEMA_VERSION)
        return 0;
    return log_error_errno(EINVAL, "Failed to read %s: %s", s->path,
                           application == APPLICATION_ID && version > SCHEMA_VERSION
                               ? "it was written by a newer vodhook"
                               : "it is no state of a forwarder");
}

static int open_file(struct state *s, enum state_use use, const char *query)
{
    char uri[4096 * 3 + 32];
    size_t n = (size_t)snprintf(uri, sizeof uri, "file:");
    for (const char *p = s->path; *p && n < sizeof uri - 32; p++)
        n +=
            (size_t)snprintf(uri + n, sizeof uri - n, strchr("%?#", *p) ? "%%%02X" : "%c", (unsigned char)*p);
    snprintf(uri + n, sizeof uri - n, "%s", query);
    int flags = use == STATE_READ  ? SQLITE_OPEN_READONLY
                : use == STATE_OWN ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
                                   : SQLITE_OPEN_READWRITE;
    sqlite3_close(s->db);
    s->db = NULL;
    int rc = sqlite3_open_v2(uri, &s->db, flags | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK)
        return -EIO;
    sqlite3_busy_timeout(s->db, BUSY_WAIT);
    return 0;
}

/* Where no forwarder runs, its log is gone, and who may only read cannot make one: then the file alone is read.
 */
static int open_readable(struct state *s, enum state_use use)
{
    char wal[4096 + 8];
    snprintf(wal, sizeof wal, "%s-wal", s->path);
    int r = open_file(s, use, "");
    if (r >= 0 && use == STATE_READ && pragma(s, "SELECT count(*) FROM sqlite_master") < 0 &&
        access(wal, F_OK) < 0)
        r = open_file(s, use, "?immutable=1");
    return r < 0 ? state_failed(s, "open") : 0;
}

static int open_database(struct state *s, enum state_use use)
{
    int r = open_readable(s, use);
    if (r >= 0 && use == STATE_OWN)
        r = make_schema(s);
    if (r >= 0)
        r = check_schema(s, pragma(s, "PRAGMA application_id"), pragma(s, "PRAGMA user_version"));
    for (int i = 0; r >= 0 && i < STATE_STATEMENTS; i++)
        if (sqlite3_prepare_v3(s->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &s->statements[i],
                               NULL) != SQLITE_OK)
            r = state_failed(s, "read");
    return r;
}

/* With the folder that it is in, which is that of the inbox. */
static int make_folder(const char *path)
{
    cleanup_free char *folder = strdup(path);
    if (!folder)
        return -ENOMEM;
    char *end = strrchr(folder, '/');
    if (!end)
        return 0;
    *end = '\0';
    char *parent_end = strrchr(folder, '/');
    if (parent_end && parent_end > folder) {
        *parent_end = '\0';
        mkdir(folder, FOLDER_MODE);
        *parent_end = '/';
    }
    if (mkdir(folder, FOLDER_MODE) < 0 && errno != EEXIST)
        return log_error_errno(errno, "Failed to make the folder %s: %m", folder);
    return 0;
}

static int open_inner(struct state *s, enum state_use use)
{
    int r = use == STATE_OWN ? make_folder(s->path) : 0;
    if (r >= 0 && use == STATE_OWN)
        r = take_lock(s);
    else if (access(s->path, use == STATE_READ ? R_OK : R_OK | W_OK) < 0)
        return errno == ENOENT ? -ENOENT : log_error_errno(errno, "Failed to open %s: %m", s->path);
    if (r < 0)
        return r;
    mode_t mask = umask(0777 & ~FILE_MODE);
    r = open_database(s, use);
    umask(mask);
    return r;
}

int state_open(const char *path, enum state_use use, struct state **ret)
{
    cleanup(state_free_p) struct state *s = calloc(1, sizeof *s);
    if (!s)
        return log_error_errno(ENOMEM, "%m");
    s->lock = -1;
    s->path = strdup(path);
    int r = s->path ? open_inner(s, use) : log_error_errno(ENOMEM, "%m");
    if (r >= 0)
        r = state_load(s, use == STATE_OWN);
    if (r >= 0)
        *ret = steal_pointer(s);
    return r;
}

struct state *state_free(struct state *s)
{
    if (!s)
        return NULL;
    for (int i = 0; i < STATE_STATEMENTS; i++)
        sqlite3_finalize(s->statements[i]);
    sqlite3_close(s->db);
    if (s->lock >= 0)
        close(s->lock);
    free(s->path);
    free(s);
    return NULL;
}
