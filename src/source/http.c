/* http.c: libmicrohttpd on an sd-event loop: connections are accepted here, requests are recorded in rounds,
 * and what has to wait waits in a list.
 *
 * The life of a connection (connection.h has the states, connection.c their deadlines):
 *
 *   SILENT ─► LINE ─► READING ─► COMPLETE ─► PUT ─► RECORDED ─► ANSWERING ─► KEPT ─► IDLE ─► READING …
 *                                               ├► HELD ─► SUSPENDED ─► RECORDED
 *                                               └────────────────└───► LOST
 *   from every state ─► CUT
 *
 * This file accepts, since libmicrohttpd, at its limit of connections or of descriptors, stops watching its
 * socket and watches it again only in a call that nobody makes. A connection without room waits in the
 * kernel: accepting is paused, and goes on when a connection closes and every ACCEPT_RETRY. A silent
 * connection is handed to libmicrohttpd with its first byte, which tells TLS from HTTP.
 *
 * A round calls MHD_run() until nothing is left to do, then commits once. In between, MHD_run() calls the
 * handler of every connection that has something to say, and again at each call while the handler has not
 * answered: so a connection in COMPLETE, PUT, HELD or RECORDED moves on by itself. The handler offers a
 * complete request to the recorder (PUT, or at once RECORDED) unless the round is full; then it stays
 * COMPLETE for the next round, and the loop serves others first. The commit makes PUT RECORDED, or HELD where
 * it failed. A held connection is suspended at the handler's next call, not in the call that read its last
 * byte: then libmicrohttpd would read on after the wait, find that the client has ended its side, and close
 * without an answer. The retry timer offers suspended ones again; after HOLD_LASTS they are LOST.
 *
 * What must hold:
 * - An answer is queued only in RECORDED, or for what needs no recording.
 * - Whoever moves a connection for the handler to act on sets `ready`, since libmicrohttpd does not wake the
 *   loop by itself; MHD_resume_connection() only in SUSPENDED.
 * - A connection in CUT is shut down: the handler refuses it, and libmicrohttpd closes it in its next run.
 * - Every close, whoever caused it, ends in http_closed(), which lets accepting go on. */
#include "source/http.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/parse.h"
#include "http_private.h"

/* sys/queue.h of the C library lacks it. */
#ifndef TAILQ_FOREACH_SAFE
#define TAILQ_FOREACH_SAFE(var, head, field, next) \
    for ((var) = TAILQ_FIRST(head); (var) && ((next) = TAILQ_NEXT(var, field), 1); (var) = (next))
#endif

enum {
    POOL_BESIDE_HEAD = 1024, /* of a connection's pool, what the library needs beside the request's head */
    TOLERANT = -1, /* as the library can be: from 1.0 on it would refuse what lacks a Host, for instance */
    TLS_HANDSHAKE = 0x16, /* the first byte of a TLS connection (RFC 8446, 5.1) */
    ACCURACY = 10000,     /* microseconds that a timer may come late: deadlines are seconds */
};

static void http_round(struct http *h);

int64_t http_now(const struct http *h)
{
    uint64_t now = 0;
    sd_event_now(h->loop, CLOCK_MONOTONIC, &now);
    return (int64_t)now;
}

static void timer_arm(sd_event_source *timer, int64_t at)
{
    sd_event_source_set_time(timer, (uint64_t)at);
    sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
}

/* --- States ------------------------------------------------------------------------------------------- */

/* The deadline timer is left to run out early when deadlines move on: moving it costs a system call a
 * request. */
static void expect_deadline(struct http *h, const struct connection *c)
{
    int64_t lasts = h->connections.lasts[c->state];
    if (lasts && c->since + lasts < h->deadline)
        timer_arm(h->deadline_timer, h->deadline = c->since + lasts);
}

void http_enter(struct http *h, struct connection *c, enum connection_state state)
{
    connection_enter(&h->connections, c, state, http_now(h));
    expect_deadline(h, c);
}

static void close_silent(struct http *h, struct connection *c)
{
    sd_event_source_disable_unref(c->first_byte);
    close(c->fd);
    http_closed(h, c);
}

static void cut(struct http *h, struct connection *c, const char *why)
{
    http_explain(h, c, why);
    if (c->state == CONNECTION_SILENT) {
        close_silent(h, c);
        return;
    }
    shutdown(c->fd, SHUT_RDWR);
    http_enter(h, c, CONNECTION_CUT);
    h->ready = true;
}

static int on_deadline(sd_event_source *timer, uint64_t usec, void *userdata)
{
    (void)usec;
    struct http *h = userdata;
    struct connection *c;
    int64_t next;
    while ((c = connections_expired(&h->connections, http_now(h), &next)))
        if (c->state == CONNECTION_KEPT && !http_client_ended(c))
            connection_enter(&h->connections, c, CONNECTION_IDLE, c->since);
        else
            cut(h, c, "it took too long");
    h->deadline = next;
    if (next != INT64_MAX)
        timer_arm(timer, next);
    http_round(h);
    return 0;
}

/* --- Accepting ---------------------------------------------------------------------------------------- */

static void accept_pause(struct http *h, bool paused)
{
    if (paused)
        timer_arm(h->accept_timer, http_now(h) + ACCEPT_RETRY);
    if (paused == h->paused)
        return;
    h->paused = paused;
    for (size_t i = 0; i < h->n_listening; i++)
        sd_event_source_set_enabled(h->listening[i], paused ? SD_EVENT_OFF : SD_EVENT_ON);
}

static int on_accept_retry(sd_event_source *timer, uint64_t usec, void *userdata)
{
    (void)timer;
    (void)usec;
    accept_pause(userdata, false);
    return 0;
}

void http_closed(struct http *h, struct connection *c)
{
    connections_remove(&h->connections, c);
    body_reset(&c->body, &h->limits);
    free(c->method);
    free(c->target);
    free(c);
    accept_pause(h, false);
}

/* The library wants an address, and has no use for it. It closes the socket where it fails. */
static void hand_over(struct http *h, struct connection *c)
{
    static const struct sockaddr unknown = {.sa_family = AF_UNSPEC};
    c->first_byte = sd_event_source_disable_unref(c->first_byte);
    http_enter(h, c, CONNECTION_LINE);
    h->adding = c;
    if (MHD_add_connection(h->daemon, c->fd, &unknown, sizeof unknown) != MHD_YES && h->adding)
        http_closed(h, c);
    h->adding = NULL;
    h->ready = true;
}

static int on_first_byte(sd_event_source *source, int fd, uint32_t events, void *userdata);

static void look_at_first_byte(struct http *h, struct connection *c)
{
    unsigned char first;
    ssize_t n = recv(c->fd, &first, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN &&
        (c->first_byte || sd_event_add_io(h->loop, &c->first_byte, c->fd, EPOLLIN, on_first_byte, c) >= 0))
        return;
    if (n > 0 && first != TLS_HANDSHAKE) {
        hand_over(h, c);
        return;
    }
    if (n > 0)
        http_explain(h, c, "it speaks TLS: use http:// in the callback URL or a TLS proxy");
    close_silent(h, c);
}

/* The round comes when the first bytes that others have sent by now were looked at, too: a round for each would be a
 * commit for each. The library's own socket, ready since the connection was handed over, has it come in its turn. */
static int on_first_byte(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    (void)source;
    (void)fd;
    (void)events;
    struct connection *c = userdata;
    struct http *h = c->http;
    look_at_first_byte(h, c);
    sd_event_source_set_enabled(h->again, SD_EVENT_ONESHOT);
    return 0;
}

static void say_starved(struct http *h, int error)
{
    if (error && !h->starved)
        log_warning_errno(error, "Failed to accept a connection beside %zu others: %m, will retry",
                          h->connections.n);
    else if (!error && h->starved)
        log_notice("Connections are accepted again");
    h->starved = error != 0;
}

/* The oldest connection without a complete request makes room, unless it came a moment ago: it has its chance
 * first, and then the newcomer waits in the kernel. Returns false where he has to. */
static bool make_room(struct http *h)
{
    struct connection *oldest = connections_oldest_unfinished(&h->connections);
    int64_t lasted = oldest ? http_now(h) - oldest->since : 0;
    if (lasted >= ROOM_GRACE)
        cut(h, oldest, "there are too many connections");
    else if (lasted > 0)
        accept_pause(h, true);
    return !oldest || lasted >= ROOM_GRACE;
}

static bool somebody_waits(int listening)
{
    struct pollfd p = {.fd = listening, .events = POLLIN};
    return poll(&p, 1, 0) > 0;
}

/* What accept4() lacks, it says also when nobody waits. */
static bool accept_failed(struct http *h, int listening, int error)
{
    if (error != EMFILE && error != ENFILE && error != ENOBUFS && error != ENOMEM)
        return error == ECONNABORTED || error == EINTR;
    if (somebody_waits(listening)) {
        say_starved(h, error);
        make_room(h);
        accept_pause(h, true);
    }
    return false;
}

/* Returns whether there may be more to accept now. */
static bool accept_one(struct http *h, int listening)
{
    const struct connections *all = &h->connections;
    if (all->n >= h->config.max_connections && (!somebody_waits(listening) || !make_room(h)))
        return false;
    if (all->n + all->n_cut >= h->config.max_connections + CONNECTIONS_BEYOND) {
        accept_pause(h, true);
        return false;
    }
    struct address from = {.len = sizeof from.storage};
    int fd = accept4(listening, &from.any, &from.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct connection *c = fd < 0 ? NULL : calloc(1, sizeof *c);
    if (!c) {
        int error = fd < 0 ? errno : ENOMEM;
        if (fd >= 0)
            close(fd);
        return accept_failed(h, listening, error);
    }
    say_starved(h, 0);
    c->http = h;
    c->fd = fd;
    format_address(&from.any, from.len, c->remote, sizeof c->remote);
    connections_add(&h->connections, c, http_now(h));
    expect_deadline(h, c);
    look_at_first_byte(h, c);
    return true;
}

static int on_listening(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    (void)source;
    (void)events;
    for (int i = 0; i < ACCEPTS_MAX && accept_one(userdata, fd); i++)
        ;
    http_round(userdata);
    return 0;
}

/* --- Recording ---------------------------------------------------------------------------------------- */

static void resume(struct http *h, struct connection *c, enum connection_state state)
{
    bool suspended = c->state == CONNECTION_SUSPENDED;
    http_enter(h, c, state);
    if (suspended)
        MHD_resume_connection(c->mhd);
    h->ready = true;
}

void http_hold(struct http *h)
{
    if (h->holding)
        return;
    h->holding = true;
    timer_arm(h->retry_timer, http_now(h) + HOLD_RETRY);
}

bool http_round_full(const struct http *h)
{
    return h->round_events && (h->round_events >= ROUND_EVENTS || h->round_bytes >= ROUND_BYTES ||
                               clock_now(CLOCK_MONOTONIC) >= h->round_ends);
}

static void round_begin(struct http *h)
{
    h->round_ends = clock_now(CLOCK_MONOTONIC) + ROUND_LASTS;
    h->round_events = h->round_bytes = 0;
}

/* Commits what this round put, and lets those that wait for it go. */
static void commit_round(struct http *h)
{
    struct connection *c, *after;
    if (!h->uncommitted)
        return;
    bool committed = recorder_commit(h->recorder) == 0;
    h->uncommitted = 0;
    TAILQ_FOREACH_SAFE(c, &h->connections.list[CONNECTION_PUT], entry, after)
        resume(h, c, committed ? CONNECTION_RECORDED : CONNECTION_HELD);
    if (!committed)
        http_hold(h);
}

/* Offers the suspended ones again until one is not taken: then no other would be, either. */
static void retry(struct http *h)
{
    struct connection *c, *after;
    struct connection_list *suspended = &h->connections.list[CONNECTION_SUSPENDED];
    size_t n_put = 0;
    round_begin(h);
    TAILQ_FOREACH(c, suspended, entry) {
        int r = http_round_full(h) ? -EAGAIN : http_record(h, c, true);
        if (r < 0)
            break;
        n_put++;
    }
    bool committed = n_put && recorder_commit(h->recorder) == 0;
    TAILQ_FOREACH_SAFE(c, suspended, entry, after) {
        if (committed && n_put && n_put--)
            resume(h, c, CONNECTION_RECORDED);
        else if (http_now(h) - c->since >= HOLD_LASTS) {
            http_lost(h, c);
            resume(h, c, CONNECTION_LOST);
        }
    }
}

static int on_retry(sd_event_source *timer, uint64_t usec, void *userdata)
{
    (void)timer;
    (void)usec;
    struct http *h = userdata;
    h->holding = false;
    retry(h);
    if (!TAILQ_EMPTY(&h->connections.list[CONNECTION_SUSPENDED]))
        http_hold(h);
    http_round(h);
    return 0;
}

/* --- Rounds ------------------------------------------------------------------------------------------- */

static void daemon_run(struct http *h)
{
    h->ready = false;
    MHD_run(h->daemon);
    MHD_UNSIGNED_LONG_LONG timeout;
    if (MHD_get_timeout(h->daemon, &timeout) == MHD_YES && timeout == 0)
        h->ready = true;
}

/* Runs the library until it has nothing to do, and records what became complete meanwhile in one go: also
 * what arrived while that was read, so that clients that were answered a moment ago share one commit with
 * those that were not. A request that is alone waits for an epoll_wait() that finds nothing. Those that wait
 * keep the library ready; to suspend them until the commit would cost two system calls each. */
static void http_round(struct http *h)
{
    round_begin(h);
    for (int i = 0; i < RUNS_MAX && h->ready; i++) {
        size_t before = h->uncommitted;
        daemon_run(h);
        bool more = h->uncommitted > before && !http_round_full(h);
        if (more)
            h->ready = true;
        if (!more || i == RUNS_MAX - 2)
            commit_round(h);
        if (http_round_full(h))
            break;
    }
    commit_round(h);
    if (h->ready)
        sd_event_source_set_enabled(h->again, SD_EVENT_ONESHOT);
    if (h->draining && h->connections.n == 0)
        sd_event_exit(h->loop, 0);
}

static int on_again(sd_event_source *source, void *userdata)
{
    (void)source;
    http_round(userdata);
    return 0;
}

static int on_ready(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    (void)source;
    (void)fd;
    (void)events;
    struct http *h = userdata;
    h->ready = true;
    http_round(h);
    return 0;
}

/* --- Draining ----------------------------------------------------------------------------------------- */

static int on_drain_quiet(sd_event_source *timer, uint64_t usec, void *userdata)
{
    (void)timer;
    (void)usec;
    struct http *h = userdata;
    struct connection *c, *after;
    const enum connection_state quiet[] = {CONNECTION_SILENT, CONNECTION_LINE, CONNECTION_KEPT,
                                           CONNECTION_IDLE};
    for (size_t i = 0; i < sizeof quiet / sizeof *quiet; i++)
        TAILQ_FOREACH_SAFE(c, &h->connections.list[quiet[i]], entry, after)
            cut(h, c, "the program ends");
    http_round(h);
    return 0;
}

static int on_drain_end(sd_event_source *timer, uint64_t usec, void *userdata)
{
    (void)timer;
    (void)usec;
    struct http *h = userdata;
    log_warning("%zu connections are closed before they were answered", h->connections.n);
    return sd_event_exit(h->loop, 0);
}

int http_drain(struct http *h)
{
    if (h->draining)
        return 0;
    /* Closing the socket would reset the connections that the kernel holds already. */
    for (size_t i = 0; i < h->n_listening; i++) {
        int fd = sd_event_source_get_io_fd(h->listening[i]);
        for (size_t n = 0; n < h->config.max_connections && accept_one(h, fd); n++)
            ;
        h->listening[i] = sd_event_source_disable_unref(h->listening[i]);
    }
    h->n_listening = 0;
    h->draining = h->ready = true;
    uint64_t now = (uint64_t)http_now(h);
    int r = sd_event_add_time(h->loop, NULL, CLOCK_MONOTONIC, now + DRAIN_QUIET, ACCURACY, on_drain_quiet, h);
    if (r >= 0)
        r = sd_event_add_time(h->loop, NULL, CLOCK_MONOTONIC, now + DRAIN_LASTS, ACCURACY, on_drain_end, h);
    if (r < 0)
        return log_error_errno(r, "Failed to set the timers of the end: %m");
    http_round(h);
    return 0;
}

/* --- Life --------------------------------------------------------------------------------------------- */

int http_serve(struct http *h, int fd)
{
    if (h->n_listening == LISTENERS_MAX)
        return log_error_errno(E2BIG, "Too many sockets to listen on");
    int r = sd_event_add_io(h->loop, &h->listening[h->n_listening], fd, EPOLLIN, on_listening, h);
    if (r < 0)
        return log_error_errno(r, "Failed to watch a socket: %m");
    h->n_listening++;
    return 0;
}

/* The library's own limit of connections is never reached. */
static int start_daemon(struct http *h)
{
    h->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL,
        NULL, http_on_request, h, MHD_OPTION_EXTERNAL_LOGGER, http_on_log, h, MHD_OPTION_NOTIFY_CONNECTION,
        http_on_connection, h, MHD_OPTION_NOTIFY_COMPLETED, http_on_completed, h, MHD_OPTION_URI_LOG_CALLBACK,
        http_on_target, h, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)(h->config.max_connections + 2 * CONNECTIONS_BEYOND), MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)(LIMIT_HEAD + POOL_BESIDE_HEAD), MHD_OPTION_STRICT_FOR_CLIENT, TOLERANT, MHD_OPTION_END);
    if (!h->daemon)
        return log_error_errno(EIO, "libmicrohttpd does not start");
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    int r = sd_event_add_io(h->loop, &h->daemon_source, info->epoll_fd, EPOLLIN, on_ready, h);
    return r < 0 ? log_error_errno(r, "Failed to watch libmicrohttpd: %m") : 0;
}

static int add_timer(struct http *h, sd_event_source **ret, sd_event_time_handler_t handler)
{
    int r = sd_event_add_time(h->loop, ret, CLOCK_MONOTONIC, 0, ACCURACY, handler, h);
    return r < 0 ? r : sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
}

/* A defer source counts as pending since it was made, so that one of the usual priority would come before all
 * that is due. Source: source_set_pending() and sd_event_add_defer() in sd-event.c of systemd 252. */
static int add_sources(struct http *h)
{
    int r = add_timer(h, &h->deadline_timer, on_deadline);
    if (r >= 0)
        r = add_timer(h, &h->retry_timer, on_retry);
    if (r >= 0)
        r = add_timer(h, &h->accept_timer, on_accept_retry);
    if (r >= 0)
        r = sd_event_add_defer(h->loop, &h->again, on_again, h);
    if (r >= 0)
        r = sd_event_source_set_enabled(h->again, SD_EVENT_OFF);
    if (r >= 0)
        r = sd_event_source_set_priority(h->again, SD_EVENT_PRIORITY_IDLE);
    return r;
}

int http_new(const struct http_config *config, sd_event *loop, struct intake *intake,
             struct recorder *recorder, struct rate_limit *strangers, struct http **ret)
{
    struct http *h = calloc(1, sizeof *h);
    if (!h)
        return -ENOMEM;
    h->config = *config;
    h->loop = sd_event_ref(loop);
    h->intake = intake;
    h->recorder = recorder;
    h->strangers = strangers;
    h->deadline = INT64_MAX;
    h->limits.max_memory = config->max_memory;
    connections_init(&h->connections, config->request_timeout);
    int r = http_answers_new(h);
    if (r >= 0)
        r = add_sources(h);
    if (r >= 0)
        r = start_daemon(h);
    if (r < 0) {
        http_free(h);
        return r;
    }
    *ret = h;
    return 0;
}

const struct http_stats *http_stats(const struct http *h)
{
    return &h->stats;
}

struct http *http_free(struct http *h)
{
    if (!h)
        return NULL;
    struct connection *c, *after;
    TAILQ_FOREACH_SAFE(c, &h->connections.list[CONNECTION_SILENT], entry, after)
        close_silent(h, c);
    /* The library refuses to stop while a connection is suspended. */
    TAILQ_FOREACH_SAFE(c, &h->connections.list[CONNECTION_SUSPENDED], entry, after)
        resume(h, c, CONNECTION_LOST);
    if (h->daemon) {
        MHD_run(h->daemon);
        MHD_stop_daemon(h->daemon);
    }
    http_answers_free(h);
    for (size_t i = 0; i < h->n_listening; i++)
        sd_event_source_disable_unref(h->listening[i]);
    sd_event_source_disable_unref(h->daemon_source);
    sd_event_source_disable_unref(h->deadline_timer);
    sd_event_source_disable_unref(h->retry_timer);
    sd_event_source_disable_unref(h->accept_timer);
    sd_event_source_disable_unref(h->again);
    sd_event_unref(h->loop);
    buffer_done(&h->masked);
    free(h->headers);
    free(h);
    return NULL;
}
