/* inbox_vfs.c: gathers what SQLite writes to its write-ahead log, so that a commit is one write.
 *
 * SQLite writes each page of a commit with two calls, a header of 24 bytes before it. For a group of 64
 * events that takes ten times as long as one write of the same bytes. Between SQLite and its own file layer
 * stands this one, for the log only. What is gathered is written before anything else is done with the file,
 * so before the sync of the commit; and no other connection looks for it earlier, since the index of the log
 * tells of pages after that sync (walIndexWriteHdr() in wal.c). For commits without one nothing is gathered.
 */
#include <stdlib.h>
#include <string.h>

#include "inbox_private.h"

/* SQLite's file layer writes at most 131,071 bytes at a time (seekAndWriteFd() in os_unix.c); this is what
 * comes close to that in pages with their headers. */
enum { GATHERED_MOST = 31 * (INBOX_PAGE + 24) };

struct log_file {
    sqlite3_file file; /* what SQLite sees */
    char *gathered;    /* owned */
    size_t n;          /* bytes of it */
    sqlite3_int64 at;  /* where they belong */
    bool direct;       /* nothing is gathered */
    sqlite3_file real[];
};

static struct log_file *log_of(sqlite3_file *file)
{
    return (struct log_file *)file;
}

static sqlite3_file *real_of(sqlite3_file *file)
{
    return log_of(file)->real;
}

/* What could not be written is not tried again: SQLite undoes its transaction. */
static int write_out(struct log_file *l)
{
    int n = (int)l->n;
    l->n = 0;
    return n ? l->real->pMethods->xWrite(l->real, l->gathered, n, l->at) : SQLITE_OK;
}

static int log_write(sqlite3_file *file, const void *data, int n, sqlite3_int64 at)
{
    struct log_file *l = log_of(file);
    size_t len = (size_t)n;
    if (at != l->at + (sqlite3_int64)l->n || l->n + len > GATHERED_MOST || l->direct) {
        int rc = write_out(l);
        if (rc != SQLITE_OK)
            return rc;
        l->at = at;
    }
    if (l->direct || len > GATHERED_MOST)
        return l->real->pMethods->xWrite(l->real, data, n, at);
    memcpy(l->gathered + l->n, data, len);
    l->n += len;
    return SQLITE_OK;
}

static int log_read(sqlite3_file *file, void *ret, int n, sqlite3_int64 at)
{
    int rc = write_out(log_of(file));
    return rc == SQLITE_OK ? real_of(file)->pMethods->xRead(real_of(file), ret, n, at) : rc;
}

static int log_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    int rc = write_out(log_of(file));
    return rc == SQLITE_OK ? real_of(file)->pMethods->xTruncate(real_of(file), size) : rc;
}

static int log_sync(sqlite3_file *file, int flags)
{
    int rc = write_out(log_of(file));
    return rc == SQLITE_OK ? real_of(file)->pMethods->xSync(real_of(file), flags) : rc;
}

static int log_size(sqlite3_file *file, sqlite3_int64 *ret)
{
    int rc = write_out(log_of(file));
    return rc == SQLITE_OK ? real_of(file)->pMethods->xFileSize(real_of(file), ret) : rc;
}

static int log_close(sqlite3_file *file)
{
    int rc = write_out(log_of(file));
    int closed = real_of(file)->pMethods->xClose(real_of(file));
    free(log_of(file)->gathered);
    return rc == SQLITE_OK ? closed : rc;
}

/* --- Handed on --------------------------------------------------------------------------------------- */

static int log_lock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xLock(real_of(file), level);
}

static int log_unlock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int log_is_reserved(sqlite3_file *file, int *ret)
{
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), ret);
}

static int log_control(sqlite3_file *file, int what, void *arg)
{
    return real_of(file)->pMethods->xFileControl(real_of(file), what, arg);
}

static int log_sector_size(sqlite3_file *file)
{
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int log_characteristics(sqlite3_file *file)
{
    return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

/* --- Files ------------------------------------------------------------------------------------------- */

static const sqlite3_io_methods methods = {
    .iVersion = 1,
    .xClose = log_close,
    .xRead = log_read,
    .xWrite = log_write,
    .xTruncate = log_truncate,
    .xSync = log_sync,
    .xFileSize = log_size,
    .xLock = log_lock,
    .xUnlock = log_unlock,
    .xCheckReservedLock = log_is_reserved,
    .xFileControl = log_control,
    .xSectorSize = log_sector_size,
    .xDeviceCharacteristics = log_characteristics,
};

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
    sqlite3_vfs *system = sqlite3_vfs_find(NULL);
    struct log_file *l = log_of(file);
    (void)vfs;
    if (!(flags & SQLITE_OPEN_WAL))
        return system->xOpen(system, name, file, flags, ret_flags);
    *l = (struct log_file){.gathered = malloc(GATHERED_MOST)};
    int rc = l->gathered ? system->xOpen(system, name, l->real, flags, ret_flags) : SQLITE_NOMEM;
    if (rc == SQLITE_OK)
        l->file.pMethods = &methods;
    else
        free(l->gathered);
    return rc;
}

const char *inbox_vfs(void)
{
    static sqlite3_vfs vfs;
    sqlite3_vfs *system = sqlite3_vfs_find(NULL);
    if (vfs.zName || !system)
        return vfs.zName;
    vfs = *system;
    vfs.zName = "vodhook";
    vfs.szOsFile += (int)sizeof(struct log_file);
    vfs.xOpen = open_file;
    return sqlite3_vfs_register(&vfs, 0) == SQLITE_OK ? vfs.zName : NULL;
}

void inbox_vfs_gather(sqlite3 *db, bool gather)
{
    sqlite3_file *log = NULL;
    sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    if (log && log->pMethods == &methods)
        log_of(log)->direct = !gather;
}
