/* wal.c: makes sure that a log found with content stays, and is on the disk.
 *
 * When a sync fails, the kernel drops what it could not write, and yet shows it to whoever reads the file, without a sign.
 * Where the writer was killed then, the next process would take the last transaction of the log for a committed one and
 * append to it: a sync would not write what lies below, and a power cut would take what was acknowledged. Nor may it be
 * copied into the database as it is, since a power cut in between would leave a part of it. So it is written once more,
 * as it stands, and synced. A log is empty after a regular end, so that this takes time only after another. */
#include "wal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "database.h"

enum { RENEW_STEP = 1 << 20 /* bytes that are read and written at once */ };

int wal_renew(const char *wal_path)
{
    cleanup_close int fd = open(wal_path, O_RDWR | O_CLOEXEC);
    cleanup_free char *data = malloc(RENEW_STEP);
    off_t at = 0;
    ssize_t n;
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!data)
        return -ENOMEM;
    while ((n = pread(fd, data, RENEW_STEP, at)) > 0) {
        if ((n = pwrite(fd, data, (size_t)n, at)) <= 0)
            return n < 0 ? -errno : -EIO;
        at += n;
    }
    return n < 0 || (at > 0 && fdatasync(fd) < 0) ? -errno : 0;
}

int wal_adopt(const char *path)
{
    cleanup_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    return fd < 0 || ftruncate(fd, DATABASE_PAGE) < 0 ? -errno : 0;
}
