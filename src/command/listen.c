/* listen.c: vodhook listen: puts sockets, intake and outputs together on one loop, and tells systemd how it
 * goes. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/service.h"
#include "command/commands.h"
#include "command/outputs.h"
#include "command/setup.h"
#include "expect.h"
#include "record/message_ids.h"
#include "source/http.h"
#include "source/listener.h"

enum {
    DESCRIPTORS_BESIDE =
        160, /* what the process needs beside one a connection: sockets, outputs, the inbox */
};

static const int64_t SECOND = 1000000;

struct listen {
    struct service *service;
    struct listeners listeners;
    struct outputs outputs;
    struct expect expect;
    struct secret sign_key;
    struct intake *intake;
    struct http *http;
    struct rate_limit requests, unreadable;
};

/* --- The service -------------------------------------------------------------------------------------- */

static int64_t do_chores(void *userdata, int64_t now)
{
    struct listen *l = userdata;
    int64_t due = outputs_chores(&l->outputs, service_loop(l->service), now);
    due = clock_earlier(due, expect_chores(&l->expect, now));
    bool later = rate_limit_report(&l->requests, now);
    later |= rate_limit_report(&l->unreadable, now);
    return later ? clock_earlier(due, now + SECOND) : due;
}

static void write_status(void *userdata, struct buffer *to)
{
    struct listen *l = userdata;
    outputs_write_status(&l->outputs, to, "closed unanswered");
    buffer_printf(to, "; %" PRIu64 " other requests, %" PRIu64 " broken ones",
                  recorder_stats(l->outputs.recorder)->requests, http_stats(l->http)->broken);
}

static uint64_t get_state(void *userdata)
{
    return outputs_state(&((struct listen *)userdata)->outputs);
}

static int stop(void *userdata)
{
    struct listen *l = userdata;
    int r = http_drain(l->http);
    /* The kernel would go on accepting on a socket of ours, and the next program could not have the address.
     * One that systemd passed is systemd's, and serves the next instance. */
    if (!l->listeners.passed)
        listeners_done(&l->listeners);
    return r;
}

/* --- Putting together ------------------------------------------------------------------------------------ */

/* Returns 0, LISTENERS_FORBIDDEN or a negative errno, logged. */
static int open_sockets(struct listen *l, const struct options *o)
{
    int r = listeners_take_passed(&l->listeners);
    if (r < 0)
        return r;
    if (r > 0) {
        if (!options_is_default(o, "listen"))
            log_warning(
                "systemd passed the socket, so listen (%s) is not used. To change the port: systemctl "
                "edit vodhook.socket, then systemctl restart vodhook.socket vodhook.service",
                options_origin(o, "listen"));
        return 0;
    }
    for (size_t i = 0; i < options_count(o, "listen"); i++) {
        r = listeners_open(&l->listeners, options_nth(o, "listen", i));
        if (r != 0)
            return r;
    }
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
    double lines = (double)options_number(o, "log-requests");
    rate_limit_init(&l->requests, "requests that are refused or no events", lines, lines * LIMIT_BURST);
    rate_limit_init(&l->unreadable, "unreadable requests", LIMIT_LINES_UNREADABLE, LIMIT_LINES_UNREADABLE);
    struct intake_config config = {
        .sign_key = secret_slice(&l->sign_key),
        .decode_memory_max = LIMIT_DECODE,
        .requests = &l->requests,
        .unreadable = &l->unreadable,
    };
    return intake_new(&config, l->outputs.recorder, &l->intake);
}

static int make_http(struct listen *l, const struct options *o)
{
    struct http_config config = {
        .path = slice_of(options_string(o, "path")),
        .max_memory = (size_t)options_number(o, "max-memory"),
        .max_connections = raise_descriptor_limit((size_t)options_number(o, "max-connections")),
        .request_timeout = options_number(o, "request-timeout") * 1000,
    };
    int r =
        http_new(&config, service_loop(l->service), l->intake, l->outputs.recorder, &l->requests, &l->http);
    for (size_t i = 0; r >= 0 && i < l->listeners.n; i++)
        r = http_serve(l->http, l->listeners.list[i].fd);
    return r;
}

/* The tutorial's line, one a socket: on stdout where events are shown to people, else on stderr. */
static void print_banner(const struct listen *l)
{
    struct pollfd to = {.fd = l->outputs.text_on_stdout ? STDOUT_FILENO : STDERR_FILENO, .events = POLLOUT};
    bool priority = !l->outputs.text_on_stdout && log_is_journal_stream(STDERR_FILENO);
    /* One that nobody reads must not hold up the start. */
    for (size_t i = 0; i < l->listeners.n && poll(&to, 1, 0) > 0; i++)
        dprintf(to.fd, "%sStarted httpserver on %s\n", priority ? "<6>" : "", l->listeners.list[i].name);
}

static const char *who_is_believed(bool path, bool key)
{
    if (path && key)
        return "signed events to the secret path";
    return path ? "events to the secret path" : key ? "signed events" : "anyone";
}

static void print_start_lines(const struct listen *l, const struct options *o)
{
    bool path = options_string(o, "path"), key = l->sign_key.len;
    cleanup(buffer_done) struct buffer kept = {0};
    outputs_write_kept(&l->outputs, o, &kept, "answered");
    if (!l->outputs.required)
        buffer_puts(&kept, "A 200 means received, not recorded: there is neither an inbox nor a journal");
    log_message(MESSAGE_STARTED, LOG_INFO, 0, "This is vodhook " VODHOOK_VERSION ", which believes %s. %.*s",
                who_is_believed(path, key), (int)kept.len, kept.data);
    if (!path && !key)
        log_notice(
            "Anyone who reaches the port can post events: set --sign-key-file (the key of the VOD console) "
            "or a secret path in the configuration file to tell VOD's from others");
}

static int run(struct listen *l, const struct options *o)
{
    int r = open_sockets(l, o);
    if (r != 0 || (r = make_intake(l, o)) < 0 || (r = make_http(l, o)) < 0)
        return r;
    print_banner(l);
    print_start_lines(l, o);
    if ((r = service_ready(l->service)) < 0)
        return r;
    r = service_serve(l->service);
    const struct recorder_stats *s = recorder_stats(l->outputs.recorder);
    log_message(MESSAGE_STOPPED, LOG_INFO, 0,
                "Stopped after %" PRIu64 " events (%" PRIu64 " failed, %" PRIu64 " refused, %" PRIu64
                " duplicates, %" PRIu64 " closed unanswered), %" PRIu64 " unreadable, %" PRIu64
                " other requests, %" PRIu64 " broken ones",
                s->events, s->failed, s->refused, s->duplicates, s->given_up, s->unreadable, s->requests,
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
    service_free(l->service);
}

enum exit_status command_listen(int argc, char *argv[])
{
    enum exit_status status;
    cleanup(options_free_p) struct options *o = setup(COMMAND_LISTEN, argc, argv, &status);
    if (!o)
        return status;
    struct listen l = {0};
    struct service_config config = {
        .chores = do_chores, .status = write_status, .state = get_state, .stop = stop, .userdata = &l};
    status = read_sign_key(&l, o) < 0 ? EXIT_CONFIGURATION : outputs_new(o, &l.outputs);
    if (status == EXIT_DONE && expect_init(&l.expect, o, &l.outputs) < 0)
        status = EXIT_CONFIGURATION;
    int r = status == EXIT_DONE ? service_new(&config, &l.service) : 0;
    if (status == EXIT_DONE && r >= 0)
        r = run(&l, o);
    if (r == LISTENERS_FORBIDDEN)
        status = EXIT_CONFIGURATION;
    else if (r < 0)
        status = EXIT_FAILED;
    listen_done(&l);
    return status;
}
