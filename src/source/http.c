/* http.c: libmicrohttpd on an sd-event loop. A round of the loop runs the library, records together what
 * requests became complete, and lets their answers go. */
#include "source/http.h"

#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <systemd/sd-event.h>

#include "base/log.h"
#include "http_private.h"

enum {
    ROUNDS_MAX = 16, /* times the library may ask to be run again before other sources get their turn */
    POOL_BESIDE_HEAD = 8192, /* of a connection's pool, what the library needs beside the request's head */
    CONNECTIONS_ABOVE = 64,  /* how many it may accept past our limit before those we shut down are gone */
    TOLERANT = -1, /* as the library can be: from 1.0 on it would refuse what lacks a Host, for instance */
};

#define MILLISECONDS 1000
#define SECONDS      (1000 * MILLISECONDS)

static const int64_t HOLD_RETRY = 200 * MILLISECONDS;
/* VOD gives up after 5 s (see the facts on its normal callback); an answer for its own sake has to leave
 * before. */
static const int64_t HOLD_ANSWER = 4 * SECONDS;
static const int64_t DRAIN_QUIET = 1 * SECONDS;
static const int64_t DRAIN_MAX = 4500 * MILLISECONDS;
/* For requests that a client had sent before it ended its side to be taken up. */
static const int64_t ENDED_LASTS = 50 * MILLISECONDS;
/* A timer may come this much late: deadlines are seconds. */
static const int64_t ACCURACY = 10 * MILLISECONDS;

int64_t http_now(const struct http *h)
{
    uint64_t now = 0;
    sd_event_now(h->loop, CLOCK_MONOTONIC, &now);
    return (int64_t)now;
}

/* --- Timers ------------------------------------------------------------------------------------------- */

static void timer_arm(sd_event_source *timer, int64_t at)
{
    sd_event_source_set_time(timer, (uint64_t)at);
    sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
}

/* The deadline timer is left to run out early when deadlines move on: moving it costs a system call a
 * request. */
static int on_deadline(sd_event_source *timer, uint64_t usec, void *userdata)
{
    (void)usec;
    struct http *h = userdata;
    int64_t next = connections_expire(&h->connections, http_now(h));
    if (next != INT64_MAX)
        timer_arm(timer, next);
    h->deadline = next;
    return 0;
}

void http_expect_deadline(struct http *h, int64_t at)
{
    if (at >= h->deadline)
        return;
    h->deadline = at;
    timer_arm(h->deadline_timer, at);
}

/* --- Recording ---------------------------------------------------------------------------------------- */

static void resume(struct http *h, struct connection *c, enum connection_step step)
{
    c->step = step;
    connection_enter(&h->connections, c, PHASE_ANSWERING, http_now(h));
    http_expect_deadline(h, http_now(h) + h->connections.lasts[PHASE_ANSWERING]);
    if (c->suspended)
        MHD_resume_connection(c->mhd);
    c->suspended = false;
    c->daemon->ready = true;
}

static int64_t hold_ends(const struct http *h)
{
    return h->config.answer_unrecorded && HOLD_ANSWER < h->config.hold_timeout ? HOLD_ANSWER
                                                                               : h->config.hold_timeout;
}

/* Ends the wait of those that could not be recorded for too long. */
static void give_up_old(struct http *h)
{
    struct connection *c, *after;
    int64_t now = http_now(h);
    TAILQ_FOREACH_SAFE(c, &h->connections.phase[PHASE_RECORDING], entry, after) {
        if (now - c->since < hold_ends(h))
            continue;
        http_give_up(h, c,
                     h->config.answer_unrecorded ? "it is answered all the same"
                                                 : "its connection is closed without an answer");
        resume(h, c, h->config.answer_unrecorded ? STEP_ANSWER : STEP_CLOSE);
    }
}

static void hold(struct connection *c)
{
    c->step = STEP_HOLD;
    c->daemon->ready = true;
}

/* Commits what this round put, and lets those that wait for it go. */
static void commit_round(struct http *h)
{
    struct connection *c, *after;
    if (!h->uncommitted)
        return;
    bool committed = recorder_commit(h->recorder) == 0;
    h->uncommitted = 0;
    TAILQ_FOREACH_SAFE(c, &h->connections.phase[PHASE_RECORDING], entry, after) {
        if (committed && c->put)
            resume(h, c, STEP_ANSWER);
        else
            hold(c);
        c->put = false;
    }
    if (!TAILQ_EMPTY(&h->connections.phase[PHASE_RECORDING]))
        http_hold(h);
}

static int on_retry(sd_event_source *timer, uint64_t usec, void *userdata)
{
    (void)timer;
    (void)usec;
    struct http *h = userdata;
    struct connection *c, *after;
    h->holding = false;
    TAILQ_FOREACH_SAFE(c, &h->connections.phase[PHASE_RECORDING], entry, after) {
        int r = http_record(h, c, true);
        if (r < 0)
            break; /* what could not take one takes no other either */
        c->put = r > 0;
        h->uncommitted += r > 0;
        if (r == 0)
            resume(h, c, STEP_ANSWER);
    }
    commit_round(h);
    give_up_old(h);
    if (!TAILQ_EMPTY(&h->connections.phase[PHASE_RECORDING]))
        http_hold(h);
    http_round(h);
    return 0;
}

void http_hold(struct http *h)
{
    if (h->holding)
        return;
    h->holding = true;
    timer_arm(h->retry_timer, http_now(h) + HOLD_RETRY);
}

/* --- Rounds ------------------------------------------------------------------------------------------- */

static void daemon_run(struct http_daemon *d)
{
    d->ready = false;
    MHD_run(d->mhd);
    MHD_UNSIGNED_LONG_LONG timeout;
    if (MHD_get_timeout(d->mhd, &timeout) == MHD_YES)
        d->ready = timeout == 0;
}

static bool any_ready(const struct http *h)
{
    for (size_t i = 0; i < h->n_daemons; i++)
        if (h->daemons[i].ready)
            return true;
    return false;
}

/* Runs the library until it has nothing to do, and records what became complete meanwhile in one go: also
 * what arrived while that was read, so that clients that were answered a moment ago share one commit with
 * those that were not. One that is alone waits for an epoll_wait() that finds nothing. Those that wait keep
 * the library ready. To suspend them until the commit would cost two system calls each. */
void http_round(struct http *h)
{
    for (int i = 0; i < ROUNDS_MAX && any_ready(h); i++) {
        size_t before = h->uncommitted;
        for (size_t d = 0; d < h->n_daemons; d++)
            if (h->daemons[d].ready)
                daemon_run(&h->daemons[d]);
        for (size_t d = 0; h->uncommitted > before && d < h->n_daemons; d++)
            h->daemons[d].ready = true;
        if (h->uncommitted == before || i == ROUNDS_MAX - 2)
            commit_round(h);
    }
    commit_round(h);
    if (any_ready(h))
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
    struct http_daemon *d = userdata;
    d->ready = true;
    http_round(d->http);
    return 0;
}

/* --- Draining ----------------------------------------------------------------------------------------- */

static int on_drain_quiet(sd_event_source *timer, uint64_t usec, void *userdata)
{
    (void)timer;
    (void)usec;
    struct http *h = userdata;
    struct connection *c, *after;
    const enum connection_phase quiet[] = {PHASE_CONNECTED, PHASE_KEPT, PHASE_ENDED};
    for (size_t i = 0; i < sizeof quiet / sizeof *quiet; i++)
        TAILQ_FOREACH_SAFE(c, &h->connections.phase[quiet[i]], entry, after)
            connection_cut(&h->connections, c, "the program ends", http_now(h));
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

/* Takes in the connections that the kernel holds already: closing the socket would reset them. */
static void accept_waiting(struct http_daemon *d)
{
    struct pollfd socket = {.fd = d->fd, .events = POLLIN};
    for (size_t i = 0; i < d->http->config.max_connections && poll(&socket, 1, 0) > 0; i++)
        daemon_run(d);
}

int http_drain(struct http *h)
{
    if (h->draining)
        return 0;
    h->draining = true;
    for (size_t i = 0; i < h->n_daemons; i++) {
        accept_waiting(&h->daemons[i]);
        MHD_quiesce_daemon(h->daemons[i].mhd);
        h->daemons[i].ready = true;
    }
    int64_t now = http_now(h);
    int r = sd_event_add_time(h->loop, NULL, CLOCK_MONOTONIC, (uint64_t)(now + DRAIN_QUIET), ACCURACY,
                              on_drain_quiet, h);
    if (r >= 0)
        r = sd_event_add_time(h->loop, NULL, CLOCK_MONOTONIC, (uint64_t)(now + DRAIN_MAX), ACCURACY,
                              on_drain_end, h);
    if (r < 0)
        return log_error_errno(r, "Failed to set the timers of the end: %m");
    http_round(h);
    return 0;
}

/* --- Life --------------------------------------------------------------------------------------------- */

int http_serve(struct http *h, int fd)
{
    if (h->n_daemons == sizeof h->daemons / sizeof *h->daemons)
        return log_error_errno(E2BIG, "Too many sockets to listen on");
    struct http_daemon *d = &h->daemons[h->n_daemons];
    *d = (struct http_daemon){.http = h, .fd = fd};
    d->mhd = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, http_on_request, d,
        MHD_OPTION_EXTERNAL_LOGGER, http_on_log, h, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_NOTIFY_CONNECTION, http_on_connection, d, MHD_OPTION_NOTIFY_COMPLETED, http_on_completed,
        h, MHD_OPTION_URI_LOG_CALLBACK, http_on_target, h, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)(h->config.max_connections + CONNECTIONS_ABOVE), MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        h->config.max_head + POOL_BESIDE_HEAD, MHD_OPTION_STRICT_FOR_CLIENT, TOLERANT, MHD_OPTION_END);
    if (!d->mhd)
        return log_error_errno(EIO, "libmicrohttpd does not serve the socket");
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(d->mhd, MHD_DAEMON_INFO_EPOLL_FD);
    int r = sd_event_add_io(h->loop, &d->source, info->epoll_fd, EPOLLIN, on_ready, d);
    if (r < 0) {
        MHD_stop_daemon(d->mhd);
        return log_error_errno(r, "Failed to watch a socket: %m");
    }
    h->n_daemons++;
    return 0;
}

/* A defer source counts as pending since it was made, so that one of the usual priority would come before all
 * that is due. Source: source_set_pending() and sd_event_add_defer() in sd-event.c of systemd 252. */
static int add_sources(struct http *h)
{
    int r = sd_event_add_time(h->loop, &h->deadline_timer, CLOCK_MONOTONIC, 0, ACCURACY, on_deadline, h);
    if (r >= 0)
        r = sd_event_source_set_enabled(h->deadline_timer, SD_EVENT_OFF);
    if (r >= 0)
        r = sd_event_add_time(h->loop, &h->retry_timer, CLOCK_MONOTONIC, 0, ACCURACY, on_retry, h);
    if (r >= 0)
        r = sd_event_source_set_enabled(h->retry_timer, SD_EVENT_OFF);
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
    h->limits = (struct body_limits){.max_body = config->max_body, .max_memory = config->max_memory};
    connections_init(&h->connections, config->max_connections);
    h->connections.lasts[PHASE_CONNECTED] = config->request_timeout;
    h->connections.lasts[PHASE_READING] = config->request_timeout;
    h->connections.lasts[PHASE_ANSWERING] = config->request_timeout;
    h->connections.lasts[PHASE_KEPT] = config->idle_timeout;
    h->connections.lasts[PHASE_ENDED] = ENDED_LASTS;
    int r = http_answers_new(h);
    if (r >= 0)
        r = add_sources(h);
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

size_t http_unanswered(const struct http *h)
{
    size_t n = 0;
    struct connection *c;
    const enum connection_phase under_way[] = {PHASE_READING, PHASE_RECORDING, PHASE_ANSWERING};
    for (size_t i = 0; i < sizeof under_way / sizeof *under_way; i++)
        TAILQ_FOREACH(c, &h->connections.phase[under_way[i]], entry)
            n++;
    return n;
}

struct http *http_free(struct http *h)
{
    if (!h)
        return NULL;
    /* The library refuses to stop while a connection is suspended. */
    struct connection *c, *after;
    TAILQ_FOREACH_SAFE(c, &h->connections.phase[PHASE_RECORDING], entry, after)
        resume(h, c, STEP_CLOSE);
    for (size_t i = 0; i < h->n_daemons; i++) {
        sd_event_source_unref(h->daemons[i].source);
        MHD_run(h->daemons[i].mhd);
        MHD_quiesce_daemon(h->daemons[i].mhd);
        MHD_stop_daemon(h->daemons[i].mhd);
    }
    http_answers_free(h);
    sd_event_source_unref(h->deadline_timer);
    sd_event_source_unref(h->retry_timer);
    sd_event_source_unref(h->again);
    sd_event_unref(h->loop);
    buffer_done(&h->masked);
    free(h->headers);
    free(h);
    return NULL;
}
