/* listen.c: vodhook listen: puts sockets, intake and outputs together on one loop, and tells systemd how it
 * goes. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/secret.h"
#include "command/commands.h"
#include "command/outputs.h"
#include "command/setup.h"
#include "record/message_ids.h"
#include "source/http.h"
#include "source/listener.h"

enum {
    DESCRIPTORS_BESIDE =
        160, /* what the process needs beside one a connection: sockets, outputs, the inbox */
};

static const int64_t SECOND = 1000000;
static const int64_t STATUS_INTERVAL = 10 * SECOND;
static const int64_t STALLED_RETRY = SECOND / 2;

struct listen {
    sd_event *loop;
    struct listeners listeners;
    struct outputs outputs;
    struct secret sign_key;
    struct intake *intake;
    struct http *http;
    struct rate_limit requests, unreadable;
    sd_event_source *output_ready; /* the output takes more */
    sd_event_source *chores;       /* what is to be done in a while */
    sd_event_source *maintenance;  /* of the inbox */
    int64_t maintain_at;           /* when that timer runs out */
    bool chores_armed;
    uint64_t status_seen; /* what the last STATUS= told of */
    bool stopping;
};

/* --- The loop's chores ------------------------------------------------------------------------------- */

static int64_t now_of(const struct listen *l, clockid_t clock)
{
    uint64_t now = 0;
    sd_event_now(l->loop, clock, &now);
    return (int64_t)now;
}

static void chores_in(struct listen *l, int64_t usec)
{
    if (l->chores_armed)
        return;
    l->chores_armed = true;
    sd_event_source_set_time(l->chores, (uint64_t)(now_of(l, CLOCK_MONOTONIC) + usec));
    sd_event_source_set_enabled(l->chores, SD_EVENT_ONESHOT);
}

static int on_output_ready(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    (void)fd;
    (void)events;
    struct listen *l = userdata;
    l->output_ready = sd_event_source_disable_unref(source);
    return 0; /* the flush follows, as after every source */
}

static void flush_outputs(struct listen *l)
{
    if (l->output_ready)
        return;
    int r = recorder_flush(l->outputs.recorder);
    if (r > 0 && sd_event_add_io(l->loop, &l->output_ready, r, EPOLLOUT, on_output_ready, l) < 0)
        r = -EAGAIN;
    if (r < 0)
        chores_in(l, STALLED_RETRY);
}

/* A small step, when the answers of a round have left. The timer is for the times when nothing arrives, and
 * is left to run out early: moving it costs a system call a round. */
static void maintain(struct listen *l)
{
    int next = outputs_maintain(&l->outputs);
    int64_t at = now_of(l, CLOCK_MONOTONIC) + (int64_t)next * 1000;
    if (next < 0 || at >= l->maintain_at)
        return;
    l->maintain_at = at;
    sd_event_source_set_time(l->maintenance, (uint64_t)at);
    sd_event_source_set_enabled(l->maintenance, SD_EVENT_ONESHOT);
}

/* After every source: writes out what was recorded, and sees to what strangers caused. */
static int on_after(sd_event_source *source, void *userdata)
{
    (void)source;
    struct listen *l = userdata;
    flush_outputs(l);
    maintain(l);
    int64_t now = now_of(l, CLOCK_MONOTONIC);
    bool later = rate_limit_report(&l->requests, now);
    later |= rate_limit_report(&l->unreadable, now);
    if (later)
        chores_in(l, SECOND);
    return 0;
}

static int on_chores(sd_event_source *source, uint64_t usec, void *userdata)
{
    (void)source;
    (void)usec;
    ((struct listen *)userdata)->chores_armed = false;
    return 0;
}

/* The step itself follows, as after every source. */
static int on_maintenance(sd_event_source *source, uint64_t usec, void *userdata)
{
    (void)source;
    (void)usec;
    ((struct listen *)userdata)->maintain_at = INT64_MAX;
    return 0;
}

static void tell_status(struct listen *l)
{
    const struct recorder_stats *s = recorder_stats(l->outputs.recorder);
    int64_t now = now_of(l, CLOCK_REALTIME);
    if (!s->last_event)
        sd_notifyf(0, "STATUS=No events yet, %" PRIu64 " other requests, %" PRIu64 " broken ones",
                   s->requests, http_stats(l->http)->broken);
    else
        sd_notifyf(0,
                   "STATUS=%" PRIu64 " events, %" PRIu64 " of them failed, %" PRIu64
                   " refused, the last %" PRId64 " s ago",
                   s->events, s->failed, s->refused, (now - s->last_event) / SECOND);
}

static int on_status(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct listen *l = userdata;
    tell_status(l);
    sd_event_source_set_time(source, usec + (uint64_t)STATUS_INTERVAL);
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* --- Signals ----------------------------------------------------------------------------------------- */

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    (void)source;
    struct listen *l = userdata;
    if (l->stopping)
        return sd_event_exit(l->loop, 0);
    l->stopping = true;
    log_info("Stopping on SIG%s", sigabbrev_np((int)info->ssi_signo));
    sd_notify(0, "STOPPING=1");
    int r = http_drain(l->http);
    /* The kernel would go on accepting on a socket of ours, and the next program could not have the address.
     * One that systemd passed is systemd's, and serves the next instance. */
    if (!l->listeners.passed)
        listeners_done(&l->listeners);
    return r;
}

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    (void)source;
    (void)info;
    (void)userdata;
    log_notice("SIGHUP: there is no reload. Restart instead: with the socket unit that loses nothing");
    return 0;
}

/* --- Putting together -------------------------------------------------------------------------------- */

static int open_sockets(struct listen *l, const struct options *o)
{
    int r = listeners_take_passed(&l->listeners);
    if (r < 0)
        return r;
    if (r > 0) {
        if (!options_is_default(o, "listen"))
            log_warning("systemd passed %d sockets: --listen (%s) is not used", r,
                        options_origin(o, "listen"));
        return 0;
    }
    for (size_t i = 0; i < options_count(o, "listen"); i++) {
        r = listeners_open(&l->listeners, options_nth(o, "listen", i));
        if (r < 0)
            return r;
    }
    if (listeners_unreachable(&l->listeners))
        return log_error_errno(
            ENETUNREACH, "This network namespace has no way in from outside and no socket was passed: nobody "
                         "could come. Start it with vodhook.socket, or without PrivateNetwork=");
    return 0;
}

/* A connection takes a descriptor, and the soft limit is often 1024 where the hard one is far higher. Returns
 * how many connections fit. */
static size_t raise_descriptor_limit(size_t connections)
{
    struct rlimit limit;
    rlim_t need = connections + DESCRIPTORS_BESIDE;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= need)
        return connections;
    limit.rlim_cur = limit.rlim_max < need ? limit.rlim_max : need;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur == need)
        return connections;
    size_t fit =
        limit.rlim_cur < 2 * DESCRIPTORS_BESIDE ? limit.rlim_cur / 5 : limit.rlim_cur - DESCRIPTORS_BESIDE;
    log_warning(
        "The limit of open files is %ju: %zu connections fit, not %zu. Raise LimitNOFILE= or 'ulimit -Hn'",
        (uintmax_t)limit.rlim_cur, fit, connections);
    return fit;
}

static int read_sign_key(struct listen *l, const struct options *o)
{
    const char *path = options_string(o, "sign-key-file");
    return path ? secret_read(path, &l->sign_key) : 0;
}

static int make_intake(struct listen *l, const struct options *o)
{
    rate_limit_init(&l->requests, "requests that are no events", (double)options_number(o, "log-requests"),
                    (double)options_number(o, "log-requests-burst"));
    rate_limit_init(&l->unreadable, "unreadable requests", (double)options_number(o, "log-unreadable"),
                    (double)options_number(o, "log-unreadable"));
    struct intake_config config = {
        .sign_key = secret_slice(&l->sign_key),
        .decode_memory_max = (size_t)options_number(o, "decode-memory"),
        .requests = &l->requests,
        .unreadable = &l->unreadable,
    };
    return intake_new(&config, l->outputs.recorder, &l->intake);
}

static int make_http(struct listen *l, const struct options *o)
{
    struct http_config config = {
        .path = slice_of(options_string(o, "path")),
        .max_body = (size_t)options_number(o, "max-body"),
        .max_memory = (size_t)options_number(o, "max-memory"),
        .max_head = (size_t)options_number(o, "max-head"),
        .max_connections = raise_descriptor_limit((size_t)options_number(o, "max-connections")),
        .request_timeout = options_number(o, "request-timeout") * 1000,
        .idle_timeout = options_number(o, "idle-timeout") * 1000,
        .hold_timeout = options_number(o, "hold-timeout") * 1000,
        .answer_unrecorded = strcmp(options_string(o, "when-unrecorded"), "answer") == 0,
    };
    int r = http_new(&config, l->loop, l->intake, l->outputs.recorder, &l->requests, &l->http);
    for (size_t i = 0; r >= 0 && i < l->listeners.n; i++)
        r = http_serve(l->http, l->listeners.list[i].fd);
    return r;
}

static int add_sources(struct listen *l)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    int r = sd_event_add_signal(l->loop, NULL, SIGTERM, on_stop, l);
    if (r >= 0)
        r = sd_event_add_signal(l->loop, NULL, SIGINT, on_stop, l);
    if (r >= 0)
        r = sd_event_add_signal(l->loop, NULL, SIGHUP, on_reload, l);
    if (r >= 0)
        r = sd_event_add_post(l->loop, NULL, on_after, l);
    if (r >= 0)
        r = sd_event_add_time(l->loop, &l->chores, CLOCK_MONOTONIC, 0, 0, on_chores, l);
    if (r >= 0)
        r = sd_event_source_set_enabled(l->chores, SD_EVENT_OFF);
    if (r >= 0)
        r = sd_event_add_time_relative(l->loop, &l->maintenance, CLOCK_MONOTONIC, 0, 1000, on_maintenance, l);
    if (r >= 0 && getenv("NOTIFY_SOCKET"))
        r = sd_event_add_time_relative(l->loop, NULL, CLOCK_MONOTONIC, (uint64_t)STATUS_INTERVAL, 0,
                                       on_status, l);
    if (r >= 0)
        r = sd_event_set_watchdog(l->loop, true);
    return r < 0 ? log_error_errno(r, "Failed to set up the loop: %m") : 0;
}

/* The tutorial's line, one a socket: on stdout where events are shown to people, else on stderr. */
static void print_banner(const struct listen *l)
{
    for (size_t i = 0; i < l->listeners.n; i++)
        if (l->outputs.text_on_stdout) {
            dprintf(STDOUT_FILENO, "Started httpserver on %s\n", l->listeners.list[i].name);
        } else {
            dprintf(STDERR_FILENO, "%sStarted httpserver on %s\n",
                    log_is_journal_stream(STDERR_FILENO) ? "<6>" : "", l->listeners.list[i].name);
        }
}

static void print_start_lines(const struct listen *l, const struct options *o)
{
    if (l->outputs.inbox_path)
        log_message(MESSAGE_STARTED, LOG_INFO, 0, "Every event is recorded in %s before it is answered",
                    l->outputs.inbox_path);
    else if (l->outputs.required)
        log_message(MESSAGE_STARTED, LOG_INFO, 0, "Every event is recorded in the %s before it is answered",
                    l->outputs.required);
    else
        log_message(MESSAGE_STARTED, LOG_INFO, 0,
                    "A 200 means received, not recorded: there is neither an inbox nor a journal");
    if (!options_string(o, "path") && !l->sign_key.len)
        log_notice(
            "Anyone who reaches the port can post events: set --sign-key-file (the key of the VOD console) "
            "or a secret path in the configuration file to tell VOD's from others");
}

static int run(struct listen *l, const struct options *o)
{
    int r = sd_event_new(&l->loop);
    if (r < 0)
        return log_error_errno(r, "Failed to make the loop: %m");
    if ((r = open_sockets(l, o)) < 0 || (r = make_intake(l, o)) < 0 || (r = make_http(l, o)) < 0 ||
        (r = add_sources(l)) < 0)
        return r;
    print_banner(l);
    print_start_lines(l, o);
    sd_notify(0, "READY=1");
    tell_status(l);
    r = sd_event_loop(l->loop);
    const struct recorder_stats *s = recorder_stats(l->outputs.recorder);
    log_message(MESSAGE_STOPPED, LOG_INFO, 0,
                "Stopped after %" PRIu64 " events (%" PRIu64 " failed, %" PRIu64 " refused, %" PRIu64
                " duplicates), %" PRIu64 " unreadable, %" PRIu64 " other requests, %" PRIu64 " broken ones",
                s->events, s->failed, s->refused, s->duplicates, s->unreadable, s->requests,
                http_stats(l->http)->broken);
    return r;
}

static void listen_done(struct listen *l)
{
    http_free(l->http);
    intake_free(l->intake);
    outputs_done(&l->outputs);
    secret_done(&l->sign_key);
    listeners_done(&l->listeners);
    sd_event_source_unref(l->output_ready);
    sd_event_source_unref(l->chores);
    sd_event_source_unref(l->maintenance);
    sd_event_unref(l->loop);
}

int command_listen(int argc, char *argv[])
{
    cleanup(options_free_p) struct options *o = NULL;
    int r = setup(COMMAND_LISTEN, argc, argv, &o);
    if (r >= 0)
        return r;
    outputs_ignore_signals();
    struct listen l = {0};
    bool configured = read_sign_key(&l, o) >= 0 && (r = outputs_new(o, &l.outputs)) != -EINVAL;
    if (configured && r >= 0)
        r = run(&l, o);
    listen_done(&l);
    return !configured ? EXIT_CONFIGURATION : r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
