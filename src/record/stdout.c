/* stdout.c: the sink that writes text or JSON lines to a descriptor that may stall, fill up or be closed, and
 * never waits for it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/backlog.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/trouble.h"
#include "record/full_text.h"
#include "record/json_line.h"
#include "record/message_ids.h"
#include "record/stdout.h"

enum {
    WRITE_AT = 64 * 1024,    /* bytes that are written without waiting for the end of the round */
    LAST_WAIT = 1000 * 1000, /* microseconds that a slow reader gets for the rest, at the end */
    TERMINAL_TAKES = 128,    /* bytes that a terminal takes without waiting where it says that it is ready */
};

/* How a descriptor is written to without waiting. */
enum way {
    WAY_PLAIN,  /* a regular file, which is always ready, or a descriptor of our own that does not block */
    WAY_SEND,   /* a socket: its flags are shared with others, so each call says it */
    WAY_POLLED, /* what could not be opened again: no more at a time than a ready one takes */
};

struct stdout_sink {
    struct sink sink;
    struct stdout_config config;
    int fd, own_fd; /* own_fd is fd or -1 */
    enum way way;
    size_t at_once; /* bytes that WAY_POLLED writes after a poll() */
    bool pollable;
    struct timestamp time;
    struct backlog backlog;
    bool stalled;           /* the last write had to be put off */
    struct trouble trouble; /* its count is that of the records dropped */
};

/* Opening the description anew gives one whose O_NONBLOCK is nobody else's; files keep theirs, whose offset
 * is shared with whoever else writes there. */
static int stdout_open(struct stdout_sink *s)
{
    struct stat st;
    int flags = fcntl(s->config.fd, F_GETFL);
    if (flags < 0 || fstat(s->config.fd, &st) < 0)
        return -errno;
    if ((flags & O_ACCMODE) == O_RDONLY)
        return -EBADF;
    if (S_ISSOCK(st.st_mode)) {
        s->way = WAY_SEND;
    } else if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) {
        char path[32];
        snprintf(path, sizeof path, "/proc/self/fd/%d", s->config.fd);
        s->own_fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        s->way = s->own_fd >= 0 ? WAY_PLAIN : WAY_POLLED;
    }
    s->at_once = S_ISCHR(st.st_mode) ? TERMINAL_TAKES : PIPE_BUF;
    s->pollable = !S_ISREG(st.st_mode);
    s->fd = s->own_fd >= 0 ? s->own_fd : s->config.fd;
    return 0;
}

static ssize_t stdout_write_some(const struct stdout_sink *s, const char *data, size_t n)
{
    struct pollfd p = {.fd = s->fd, .events = POLLOUT};
    if (s->fd < 0)
        return errno = EBADF, -1;
    switch (s->way) {
    case WAY_SEND:
        return send(s->fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    case WAY_POLLED:
        if (poll(&p, 1, 0) == 0)
            return errno = EAGAIN, -1;
        return write(s->fd, data, n < s->at_once ? n : s->at_once);
    case WAY_PLAIN:
        break;
    }
    return write(s->fd, data, n);
}

static void say_trouble(struct stdout_sink *s, int error)
{
    const char *why = error == EAGAIN ? "its reader does not keep up" : strerror(error);
    if (!trouble_begin(&s->trouble, clock_now(CLOCK_MONOTONIC), why, 0))
        return;
    if (error == EAGAIN)
        log_message(MESSAGE_OUTPUT_TROUBLE, LOG_WARNING, 0,
                    "The reader of stdout does not keep up and %zu bytes wait for it, dropping records",
                    s->config.buffer_max);
    else
        log_message(MESSAGE_OUTPUT_TROUBLE, LOG_WARNING, 0,
                    "Failed to write records to stdout: %s, going on without it, will retry", why);
}

static void say_recovered(struct stdout_sink *s)
{
    struct trouble was;
    if (trouble_end(&s->trouble, &was))
        log_message(MESSAGE_OUTPUT_RECOVERED, LOG_NOTICE, 0,
                    "Records are written to stdout again, %" PRIu64 " were dropped", was.count);
}

/* A full disk may have room again later and a stalled reader may read on: what waits is kept for them. A reader that is
 * gone does not come back for it. */
static int stdout_failed(struct stdout_sink *s, int error)
{
    if (error == EAGAIN) {
        s->stalled = true;
        return s->pollable ? s->fd : -EAGAIN;
    }
    say_trouble(s, error);
    if (error != ENOSPC && error != EDQUOT)
        s->trouble.count += backlog_clear(&s->backlog);
    return backlog_all(&s->backlog).len ? -EAGAIN : 0;
}

static int stdout_flush(struct sink *sink)
{
    struct stdout_sink *s = (struct stdout_sink *)sink;
    bool any = false;
    s->stalled = false;
    for (struct slice all; (all = backlog_all(&s->backlog)).len;) {
        ssize_t n = stdout_write_some(s, all.data, all.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return stdout_failed(s, errno);
        backlog_sent(&s->backlog, (size_t)n);
        any = true;
    }
    if (any)
        say_recovered(s);
    return 0;
}

static int put_once(struct stdout_sink *s, struct record *r)
{
    struct buffer *to = backlog_begin(&s->backlog);
    if (s->config.json)
        record_json(to, &s->time, r, s->config.log_body);
    else
        record_text(to, &s->time, r, s->config.log_body, s->config.color);
    return backlog_end(&s->backlog);
}

static int stdout_put(struct sink *sink, struct record *r)
{
    struct stdout_sink *s = (struct stdout_sink *)sink;
    int result = put_once(s, r);
    if (result == -ENOBUFS) {
        stdout_flush(sink);
        result = put_once(s, r);
    }
    if (result < 0) {
        if (!s->trouble.said_at)
            say_trouble(s, result == -ENOBUFS ? EAGAIN : ENOMEM);
        s->trouble.count++;
        return result;
    }
    if (backlog_all(&s->backlog).len > WRITE_AT && !s->stalled && !s->trouble.since)
        stdout_flush(sink);
    return 0;
}

/* The program ends: a slow reader gets a moment for the rest. */
static void stdout_free(struct sink *sink)
{
    struct stdout_sink *s = (struct stdout_sink *)sink;
    int64_t until = clock_now(CLOCK_MONOTONIC) + LAST_WAIT, left = LAST_WAIT;
    for (int fd = stdout_flush(sink); fd > 0 && left > 0; left = until - clock_now(CLOCK_MONOTONIC)) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        if (poll(&p, 1, (int)(left / 1000)) > 0)
            fd = stdout_flush(sink);
    }
    uint64_t dropped = s->trouble.count + backlog_clear(&s->backlog);
    if (dropped)
        log_warning("%" PRIu64 " records could not be written to stdout", dropped);
    backlog_done(&s->backlog);
    if (s->own_fd >= 0)
        close(s->own_fd);
    free(s);
}

static const struct sink_ops text_ops = {
    .name = "text", .put = stdout_put, .flush = stdout_flush, .free = stdout_free};
static const struct sink_ops json_ops = {
    .name = "json", .put = stdout_put, .flush = stdout_flush, .free = stdout_free};

int sink_stdout_new(const struct stdout_config *config, struct sink **ret)
{
    struct stdout_sink *s = calloc(1, sizeof *s);
    if (!s)
        return log_error_errno(ENOMEM, "Failed to make the output: %m");
    s->sink.ops = config->json ? &json_ops : &text_ops;
    s->config = *config;
    backlog_init(&s->backlog, config->buffer_max);
    s->fd = s->own_fd = -1;
    int r = stdout_open(s);
    if (r < 0)
        say_trouble(s, -r);
    *ret = &s->sink;
    return 0;
}
