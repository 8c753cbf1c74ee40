/* watch.c: hears of writes to an inbox, by inotify or dnotify. */
#include "watch.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cleanup.h"

/* The index of the log is mapped in blocks of 32 KB. At its head stands the header of 12 words, of which the third counts
 * commits. Source: sqlite.org, "WAL-mode File Format", section 2. */
enum { INDEX_BLOCK = 32768, INDEX_CHANGE = 2 };

/* SQLite's own mapping serves. A descriptor of ours, once closed, would take away the lock on the file by which the next
 * process sees that the index is in use, and may not make it anew. */
static void find_index(struct watch *w, sqlite3 *db)
{
    sqlite3_file *file = NULL;
    volatile void *map = NULL;
    sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    if (!file || !file->pMethods || file->pMethods->iVersion < 2)
        return;
    int rc = file->pMethods->xShmMap(file, 0, INDEX_BLOCK, 0, &map);
    if (rc == SQLITE_OK || rc == SQLITE_READONLY)
        w->index = map;
}

static bool open_inotify(struct watch *w, const char *path, const char *log)
{
    w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (w->fd < 0)
        return false;
    if (inotify_add_watch(w->fd, log, IN_MODIFY) < 0 ||
        inotify_add_watch(w->fd, path, IN_MODIFY | IN_MOVE_SELF | IN_DELETE_SELF | IN_ATTRIB) < 0)
        close(steal_fd(&w->fd));
    return true; /* what cannot be watched now cannot be by dnotify either */
}

/* The signal is taken from a descriptor, so that it can be polled for as well. */
static void open_dnotify(struct watch *w, const char *path)
{
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0';
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGIO);
    w->folder = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (w->folder < 0 || sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
        return;
    if (fcntl(w->folder, F_NOTIFY, DN_MULTISHOT | DN_MODIFY | DN_CREATE | DN_DELETE | DN_RENAME) == 0)
        w->fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
}

void watch_open(struct watch *w, const char *path, sqlite3 *db)
{
    char log[PATH_MAX];
    *w = (struct watch){.fd = -1, .folder = -1};
    snprintf(log, sizeof log, "%s-wal", path);
    if (!open_inotify(w, path, log))
        open_dnotify(w, path);
    if (db)
        find_index(w, db);
    watch_moved(w);
}

void watch_close(struct watch *w)
{
    if (w->fd >= 0)
        close(steal_fd(&w->fd));
    if (w->folder >= 0)
        close(steal_fd(&w->folder));
    w->index = NULL;
}

bool watch_take(struct watch *w)
{
    char heard[4096];
    bool any = false;
    while (w->fd >= 0 && read(w->fd, heard, sizeof heard) > 0)
        any = true;
    return any;
}

bool watch_moved(struct watch *w)
{
    uint32_t before = w->change;
    if (!w->index)
        return true;
    w->change = w->index[INDEX_CHANGE];
    return w->change != before;
}
