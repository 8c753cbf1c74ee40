/* stdout.c: the sink that writes text or JSON lines to a descriptor that may stall, fill up or be closed, and
 * never waits for it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "record/full_text.h"
#include "record/json_line.h"
#include "record/message_ids.h"
#include "record/stdout.h"

enum {
    WRITE_AT = 64 * 1024,     /* bytes that are written without waiting for the end of the round */
    BUFFER_KEEP = 256 * 1024, /* memory that is kept while nothing is left to write */
    LAST_WAIT = 1000 * 1000,  /* microseconds that a slow reader gets for the rest, at the end */
    TERMINAL_TAKES = 128,     /* bytes that a terminal takes without waiting where it says that it is ready */
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
    struct buffer buffer; /* whole records, but for the first, which may be written in part */
    size_t written;       /* bytes of the buffer that are */
    bool stalled;         /* the last write had to be put off */
    int trouble;          /* the errno that was said, 0 while it works */
    uint64_t dropped;     /* records, since the trouble began */
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

/* Only the first line of a record begins with neither a space nor a line end. */
static uint64_t count_records(const char *data, size_t n)
{
    uint64_t count = n > 0;
    for (const char *end = data + n, *p = data; (p = memchr(p, '\n', (size_t)(end - p))) && ++p < end;)
        count += *p != ' ' && *p != '\n';
    return count;
}

static void stdout_say_trouble(struct stdout_sink *s, int error)
{
    if (s->trouble == error)
        return;
    s->trouble = error;
    if (error == EAGAIN)
        log_message(MESSAGE_OUTPUT_TROUBLE, LOG_WARNING, 0,
                    "The reader of stdout does not keep up and %zu bytes wait for it, dropping records",
                    s->config.buffer_max);
    else
        log_message(MESSAGE_OUTPUT_TROUBLE, LOG_WARNING, error,
                    "Failed to write records to stdout: %m, going on without it, will retry");
}

static void stdout_say_recovered(struct stdout_sink *s)
{
    if (s->trouble)
        log_message(MESSAGE_OUTPUT_RECOVERED, LOG_NOTICE, 0,
                    "Records are written to stdout again, %" PRIu64 " were dropped", s->dropped);
    s->trouble = 0;
    s->dropped = 0;
}

static void stdout_discard(struct stdout_sink *s)
{
    s->dropped += count_records(s->buffer.data + s->written, s->buffer.len - s->written);
    buffer_reset(&s->buffer, BUFFER_KEEP);
    s->written = 0;
}

/* A full disk may have room again later and a stalled reader may read on: what is buffered is kept for them.
 * A reader that is gone does not come back for it. */
static int stdout_failed(struct stdout_sink *s, int error)
{
    if (error == EAGAIN) {
        s->stalled = true;
        return s->pollable ? s->fd : -EAGAIN;
    }
    stdout_say_trouble(s, error);
    if (error != ENOSPC && error != EDQUOT)
        stdout_discard(s);
    return s->buffer.len ? -EAGAIN : 0;
}

static int stdout_flush(struct sink *sink)
{
    struct stdout_sink *s = (struct stdout_sink *)sink;
    s->stalled = false;
    while (s->written < s->buffer.len) {
        ssize_t n = stdout_write_some(s, s->buffer.data + s->written, s->buffer.len - s->written);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return stdout_failed(s, errno);
        s->written += (size_t)n;
    }
    if (s->buffer.len)
        stdout_say_recovered(s);
    buffer_reset(&s->buffer, BUFFER_KEEP);
    s->written = 0;
    return 0;
}

/* Takes the record that begins at mark back out, unless it is the only one or begun already: then it is let
 * pass, whatever its size. */
static int stdout_limit(struct stdout_sink *s, size_t mark)
{
    if (mark <= s->written || s->buffer.len - s->written <= s->config.buffer_max)
        return 0;
    s->buffer.len = mark;
    s->dropped++;
    stdout_say_trouble(s, s->trouble ? s->trouble : EAGAIN);
    return -ENOBUFS;
}

static int stdout_put(struct sink *sink, struct record *r)
{
    struct stdout_sink *s = (struct stdout_sink *)sink;
    if (s->written > s->buffer.len / 2) {
        buffer_consume(&s->buffer, s->written);
        s->written = 0;
    }
    size_t mark = s->buffer.len;
    if (s->config.json)
        record_json(&s->buffer, &s->time, r, s->config.log_body);
    else
        record_text(&s->buffer, &s->time, r, s->config.log_body, s->config.color);
    if (s->buffer.failed) {
        s->buffer.failed = false;
        s->buffer.len = mark;
        s->dropped++;
        stdout_say_trouble(s, ENOMEM);
        return -ENOMEM;
    }
    size_t waiting = s->buffer.len - s->written;
    if (waiting > s->config.buffer_max || (waiting > WRITE_AT && !s->stalled && !s->trouble))
        stdout_flush(sink);
    return s->buffer.len > mark ? stdout_limit(s, mark) : 0;
}

/* The program is about to end: a reader that is slow but alive gets what is left. */
static void stdout_free(struct sink *sink)
{
    struct stdout_sink *s = (struct stdout_sink *)sink;
    int64_t until = clock_now(CLOCK_MONOTONIC) + LAST_WAIT, left = LAST_WAIT;
    for (int fd = stdout_flush(sink); fd > 0 && left > 0; left = until - clock_now(CLOCK_MONOTONIC)) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        if (poll(&p, 1, (int)(left / 1000)) > 0)
            fd = stdout_flush(sink);
    }
    if (s->written < s->buffer.len)
        stdout_discard(s);
    if (s->dropped)
        log_warning("%" PRIu64 " records could not be written to stdout", s->dropped);
    buffer_done(&s->buffer);
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
    s->fd = s->own_fd = -1;
    int r = stdout_open(s);
    if (r < 0)
        stdout_say_trouble(s, -r);
    *ret = &s->sink;
    return 0;
}
