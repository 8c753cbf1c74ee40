/* listener.c: opens listening sockets, or takes those that systemd passed. */
#include "source/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/parse.h"

/* What the kernel queues before the loop accepts; it cuts the number to net.core.somaxconn. */
enum { LISTEN_BACKLOG = 4096 };

static int listener_name(struct listener *l)
{
    struct address a = {.len = sizeof a.storage};
    if (getsockname(l->fd, &a.any, &a.len) < 0)
        return -errno;
    switch (a.any.sa_family) {
    case AF_INET:
        snprintf(l->name, sizeof l->name, "port %u", ntohs(((struct sockaddr_in *)&a.any)->sin_port));
        return 0;
    case AF_INET6:
        snprintf(l->name, sizeof l->name, "port %u", ntohs(((struct sockaddr_in6 *)&a.any)->sin6_port));
        return 0;
    case AF_UNIX:
        snprintf(l->name, sizeof l->name, "unix:%s", a.un.sun_path);
        return 0;
    }
    return -EAFNOSUPPORT;
}

int listeners_take_passed(struct listeners *l)
{
    int n = sd_listen_fds(1);
    if (n < 0)
        return log_error_errno(n, "Failed to take the sockets that systemd passed: %m");
    if (n > LISTENERS_MAX)
        return log_error_errno(E2BIG, "%d sockets were passed, at most %d can be used", n, LISTENERS_MAX);
    for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + n; fd++) {
        struct listener *one = &l->list[l->n];
        *one = (struct listener){.fd = fd};
        if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0 || listener_name(one) < 0)
            return log_error_errno(
                ENOTSUP,
                "Passed descriptor %d is not a listening stream socket of IPv4, IPv6 or unix: "
                "use ListenStream= with Accept=no in the socket unit",
                fd);
        if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
            return log_error_errno(errno, "Failed to make passed descriptor %d non-blocking: %m", fd);
        l->n++;
    }
    l->passed = n > 0;
    return n;
}

/* A socket file that nobody listens on is what an earlier run left behind; anything else is not ours to
 * remove. Where its owner is stopped and its queue full, a connect would wait for him. */
static void remove_stale(const struct address *a)
{
    struct stat st;
    if (lstat(a->un.sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return;
    cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, &a->any, a->len) < 0 && errno == ECONNREFUSED)
        unlink(a->un.sun_path);
}

static int bind_socket(const struct address *a, int *ret_fd)
{
    cleanup_close int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int yes = 1, no = 0;
    if (a->any.sa_family == AF_UNIX)
        remove_stale(a);
    else if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) < 0)
        return -errno;
    if (a->any.sa_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no) < 0)
        return -errno;
    if (bind(fd, &a->any, a->len) < 0 || listen(fd, LISTEN_BACKLOG) < 0)
        return -errno;
    /* Who may connect is decided as for a port: everybody may. */
    if (a->any.sa_family == AF_UNIX && chmod(a->un.sun_path, 0666) < 0)
        return -errno;
    *ret_fd = steal_fd(&fd);
    return 0;
}

/* ":8080" on a kernel without IPv6. */
static int bind_socket_or_ipv4(const struct address *a, int *ret_fd)
{
    int r = bind_socket(a, ret_fd);
    if (a->any.sa_family != AF_INET6 || (r != -EAFNOSUPPORT && r != -EADDRNOTAVAIL))
        return r;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&a->any;
    if (memcmp(&six->sin6_addr, &in6addr_any, sizeof in6addr_any) != 0)
        return r;
    struct address four = {.len = sizeof(struct sockaddr_in)};
    *(struct sockaddr_in *)&four.any =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_port = six->sin6_port};
    return bind_socket(&four, ret_fd);
}

/* RestrictAddressFamilies=AF_UNIX of vodhook.service does this; else the kernel lacks IPv6. */
static bool network_forbidden(void)
{
    cleanup_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd < 0 && errno == EAFNOSUPPORT;
}

int listeners_open(struct listeners *l, const char *address)
{
    struct address a;
    int r = parse_address(address, &a);
    if (r < 0)
        return log_error_errno(r, "--listen %s: not ADDRESS:PORT, [ADDRESS]:PORT, :PORT or unix:/PATH",
                               address);
    if (l->n == LISTENERS_MAX)
        return log_error_errno(E2BIG, "--listen %s: at most %d addresses", address, LISTENERS_MAX);
    struct listener *one = &l->list[l->n];
    *one = (struct listener){.fd = -1};
    r = bind_socket_or_ipv4(&a, &one->fd);
    if (r == -EADDRINUSE)
        return log_error_errno(r,
                               "Failed to listen on %s: the address is in use. See who has it with "
                               "'ss -ltnp', or choose another one with --listen",
                               address);
    if (r == -EACCES)
        return log_error_errno(r,
                               "Failed to listen on %s: not permitted. Use a port from 1024 on, or socket "
                               "activation (vodhook.socket)",
                               address);
    if (r == -EAFNOSUPPORT && network_forbidden()) {
        log_error(
            "systemd passed no socket, and the service may open none. A changed port takes a restart of "
            "socket and service together: systemctl restart vodhook.socket vodhook.service");
        return LISTENERS_FORBIDDEN;
    }
    if (r < 0)
        return log_error_errno(r, "Failed to listen on %s: %m", address);
    if (a.any.sa_family == AF_UNIX && lstat(a.un.sun_path, &one->file) == 0)
        one->unlink_path = strdup(a.un.sun_path);
    l->n++;
    return listener_name(one);
}

/* The path may have a successor's socket by now. */
static void remove_own(const struct listener *l)
{
    struct stat now;
    if (l->unlink_path && lstat(l->unlink_path, &now) == 0 && now.st_dev == l->file.st_dev &&
        now.st_ino == l->file.st_ino)
        unlink(l->unlink_path);
}

void listeners_done(struct listeners *l)
{
    for (size_t i = 0; i < l->n; i++) {
        remove_own(&l->list[i]);
        close(l->list[i].fd);
        free(l->list[i].unlink_path);
    }
    *l = (struct listeners){0};
}
