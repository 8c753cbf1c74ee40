/* disk.c: preloaded: a disk that fails when it is told to, and a record of what was written and synced.
 *
 * SHIM_FAULT names a file with one line: CALL SUFFIX ERRNO AFTER. The next CALL (pread, pwrite or sync) to a file whose
 * name ends in SUFFIX fails with ERRNO, once AFTER KiB were written to a -wal since the last sync of one; then the file
 * is removed. SHIM_RECORD names a file to which every write, truncation, sync and deletion of a file below SHIM_FOLDER is appended
 * (struct entry, name, data), and every write to a socket, so that their order can be played again. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

struct entry {
    char what; /* 'w'rite, 't'runcate, 's'ync, 'f'ailed sync, 'd'elete, 'a'nswer */
    char name[55];
    uint64_t at, len;
};

static size_t log_bytes;

static int name_of(int fd, char *ret, size_t size)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, ret, size - 1);
    ret[n < 0 ? 0 : n] = 0;
    return n > 0;
}

static int ends_in(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);
    return n >= m && strcmp(name + n - m, suffix) == 0;
}

static int fault(const char *call, const char *name)
{
    const char *path = getenv("SHIM_FAULT");
    char text[256] = "", wanted[16], suffix[128];
    int error = 0;
    size_t after = 0;
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return 0;
    if (read(fd, text, sizeof text - 1) < 0)
        text[0] = 0;
    close(fd);
    if (sscanf(text, "%15s %127s %d %zu", wanted, suffix, &error, &after) < 3 || strcmp(wanted, call) != 0 ||
        !ends_in(name, suffix) || log_bytes < after * 1024)
        return 0;
    unlink(path);
    errno = error;
    return 1;
}

static void record(char what, const char *name, uint64_t at, const void *data, uint64_t len)
{
    const char *folder = getenv("SHIM_FOLDER"), *path = getenv("SHIM_RECORD");
    struct entry e = {.what = what, .at = at, .len = data ? len : 0};
    if (!path || (what != 'a' && (!folder || strncmp(name, folder, strlen(folder)) != 0)))
        return;
    const char *last = strrchr(name, '/');
    snprintf(e.name, sizeof e.name, "%s", last ? last + 1 : name);
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    struct iovec v[] = {{&e, sizeof e}, {(void *)data, data ? len : 0}};
    if (writev(fd, v, 2) < 0)
        abort();
    close(fd);
}

ssize_t pread64(int fd, void *data, size_t len, off64_t at)
{
    static ssize_t (*real)(int, void *, size_t, off64_t);
    char name[4096];
    real = real ? real : dlsym(RTLD_NEXT, "pread64");
    return name_of(fd, name, sizeof name) && fault("pread", name) ? -1 : real(fd, data, len, at);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at)
{
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    char name[4096];
    real = real ? real : dlsym(RTLD_NEXT, "pwrite64");
    name_of(fd, name, sizeof name);
    if (fault("pwrite", name))
        return -1;
    log_bytes += ends_in(name, "-wal") ? len : 0;
    ssize_t n = real(fd, data, len, at);
    if (n > 0)
        record('w', name, (uint64_t)at, data, (uint64_t)n);
    return n;
}

/* The name by which the program itself calls it. */
ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
    return pwrite64(fd, data, len, at);
}

int ftruncate64(int fd, off64_t len)
{
    static int (*real)(int, off64_t);
    char name[4096];
    real = real ? real : dlsym(RTLD_NEXT, "ftruncate64");
    int r = real(fd, len);
    if (name_of(fd, name, sizeof name) && r == 0)
        record('t', name, (uint64_t)len, NULL, 0);
    return r;
}

int unlink(const char *name)
{
    static int (*real)(const char *);
    real = real ? real : dlsym(RTLD_NEXT, "unlink");
    int r = real(name);
    if (r == 0)
        record('d', name, 0, NULL, 0);
    return r;
}

static int sync_or_fail(int fd, const char *call)
{
    int (*real)(int) = dlsym(RTLD_NEXT, call);
    char name[4096];
    name_of(fd, name, sizeof name);
    if (fault("sync", name)) {
        record('f', name, 0, NULL, 0);
        return -1;
    }
    int r = real(fd);
    if (ends_in(name, "-wal"))
        log_bytes = 0;
    record(r == 0 ? 's' : 'f', name, 0, NULL, 0);
    return r;
}

int fdatasync(int fd)
{
    return sync_or_fail(fd, "fdatasync");
}

int fsync(int fd)
{
    return sync_or_fail(fd, "fsync");
}

ssize_t send(int fd, const void *data, size_t len, int flags)
{
    static ssize_t (*real)(int, const void *, size_t, int);
    real = real ? real : dlsym(RTLD_NEXT, "send");
    record('a', "", 0, data, len);
    return real(fd, data, len, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
    static ssize_t (*real)(int, const struct msghdr *, int);
    real = real ? real : dlsym(RTLD_NEXT, "sendmsg");
    if (m->msg_iovlen)
        record('a', "", 0, m->msg_iov[0].iov_base, m->msg_iov[0].iov_len);
    return real(fd, m, flags);
}
