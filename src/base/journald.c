/* journald.c: entries for journald as datagrams, and as sealed memory where they are too large for one. */
#include "base/journald.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"

/* What journald's own client asks for; the kernel gives less to a process without privileges. */
static const int SEND_BUFFER = 8 * 1024 * 1024;

int journald_init(struct journald *j, const char *path)
{
    *j = (struct journald){.path = path, .fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (j->fd < 0)
        return -errno;
    setsockopt(j->fd, SOL_SOCKET, SO_SNDBUF, &SEND_BUFFER, sizeof SEND_BUFFER);
    return 0;
}

void journald_done(struct journald *j)
{
    if (j->fd >= 0)
        close(j->fd);
    j->fd = -1;
}

/* A value that holds a line end is written with its length, the others with '='. */
void journald_field(struct buffer *entry, const char *name, struct slice value)
{
    buffer_puts(entry, name);
    if (value.len && memchr(value.data, '\n', value.len)) {
        uint64_t size = htole64(value.len);
        buffer_putc(entry, '\n');
        buffer_append(entry, (const char *)&size, sizeof size);
    } else {
        buffer_putc(entry, '=');
    }
    buffer_append(entry, value.data, value.len);
    buffer_putc(entry, '\n');
}

static int write_all(int fd, struct slice data)
{
    while (data.len) {
        ssize_t n = write(fd, data.data, data.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        data = (struct slice){data.data + n, data.len - (size_t)n};
    }
    return 0;
}

/* journald reads only from memory that nobody can change any more. */
static int sealed_memory(struct slice data, int *ret)
{
    cleanup_close int fd = memfd_create("journal-entry", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = write_all(fd, data);
    if (r < 0)
        return r;
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        return -errno;
    *ret = steal_fd(&fd);
    return 0;
}

static int send_memory(const struct journald *j, struct slice entry)
{
    cleanup_close int fd = -1;
    int r = sealed_memory(entry, &fd);
    if (r < 0)
        return r;
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {
        .head = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd)}};
    memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
    struct msghdr message = {.msg_control = &control, .msg_controllen = sizeof control};
    if (sendmsg(j->fd, &message, MSG_NOSIGNAL) >= 0)
        return 0;
    /* As many descriptors are on their way as this process may have: journald is behind. */
    return errno == ETOOMANYREFS ? -EAGAIN : -errno;
}

static int journald_try(const struct journald *j, struct slice entry)
{
    if (send(j->fd, entry.data, entry.len, MSG_NOSIGNAL) >= 0)
        return 0;
    if (errno == EMSGSIZE || errno == ENOBUFS)
        return send_memory(j, entry);
    return -errno;
}

static int journald_connect(const struct journald *j)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(j->path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    memcpy(address.sun_path, j->path, strlen(j->path));
    return connect(j->fd, (struct sockaddr *)&address, sizeof address) < 0 ? -errno : 0;
}

/* A journald that was restarted may have a new socket, to which the old one is connected anew. */
int journald_send(struct journald *j, struct slice entry)
{
    int r = journald_try(j, entry);
    if (r != -ENOTCONN && r != -ECONNREFUSED && r != -ECONNRESET)
        return r;
    r = journald_connect(j);
    return r < 0 ? r : journald_try(j, entry);
}
