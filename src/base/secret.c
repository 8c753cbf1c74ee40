/* secret.c: reads keys from files, and leaves nothing of them in memory. */
#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/log.h"

enum { SECRET_MAX = 4096 };

static size_t without_newline(const char *data, size_t len)
{
    if (len && data[len - 1] == '\n')
        len--;
    else
        return len;
    return len && data[len - 1] == '\r' ? len - 1 : len;
}

static int read_up_to(int fd, char *data, size_t max, size_t *ret_len)
{
    size_t len = 0;
    while (len < max) {
        ssize_t n = read(fd, data + len, max - len);
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    *ret_len = len;
    return 0;
}

int secret_read(const char *path, struct secret *ret)
{
    struct stat st;
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) < 0)
        return log_error_errno(errno, "Failed to open the key file %s: %m", path);
    /* One more than may be in it, since a newline may follow, and one more to see that it is too long. */
    cleanup(secret_done) struct secret s = {.data = calloc(1, SECRET_MAX + 3)};
    int r = s.data ? read_up_to(fd, s.data, SECRET_MAX + 2, &s.len) : -ENOMEM;
    if (r < 0)
        return log_error_errno(r, "Failed to read the key file %s: %m", path);
    s.len = without_newline(s.data, s.len);
    if (s.len > SECRET_MAX)
        return log_error_errno(EFBIG, "The key file %s has more than %d bytes: that is no key", path,
                               SECRET_MAX);
    if (!s.len)
        return log_error_errno(ENODATA, "The key file %s is empty", path);
    s.data[s.len] = '\0';
    if (st.st_mode & S_IROTH)
        log_warning("Every user of this machine can read the key file %s: chgrp vodhook %s && chmod 0640 %s",
                    path, path, path);
    ret->len = s.len;
    ret->data = steal_pointer(s.data);
    return 0;
}

void secret_done(struct secret *s)
{
    if (s->data)
        explicit_bzero(s->data, s->len);
    free(s->data);
    *s = (struct secret){0};
}
