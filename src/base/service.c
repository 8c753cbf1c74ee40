/* service.c: the frame of a process that stays: loop, signals, systemd's notifications, watchdog, chores. */
#include "base/service.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

static const int64_t SECOND = 1000000;
static const int64_t STATUS_INTERVAL = 10 * SECOND;
/* How late the timer may be. 0 would mean 250 ms to sd-event. */
static const uint64_t ACCURACY = 1000;

struct service {
    struct service_config config;
    sd_event *loop;
    sd_event_source *timer;
    int64_t timer_at; /* INT64_MAX while it is off */
    int64_t status_at;
    uint64_t state; /* the number of the status that was told last */
    bool notifies;  /* somebody hears notifications */
    bool serving;   /* the loop runs until its end */
    int64_t stop_by;
    unsigned stops; /* signals that asked for one */
};

/* --- What is due ---------------------------------------------------------------------------------------- */

/* Text of others must not end the line: systemd would read what follows as another assignment. */
static int64_t tell_status(struct service *s, int64_t now)
{
    uint64_t state = s->config.state ? s->config.state(s->config.userdata) : 0;
    if (!s->notifies || !s->config.status)
        return INT64_MAX;
    if (state == s->state && now < s->status_at)
        return s->status_at;
    cleanup(buffer_done) struct buffer status = {0}, line = {0};
    s->config.status(s->config.userdata, &status);
    text_escape(&line, buffer_slice(&status));
    if (!status.failed && !line.failed)
        sd_notifyf(0, "STATUS=%.*s", (int)line.len, line.data);
    s->state = state;
    return s->status_at = now + STATUS_INTERVAL;
}

/* The timer is left to run out early when the next chore moves away: moving it costs a system call a round.
 */
static void do_chores(struct service *s)
{
    int64_t now = clock_now(CLOCK_MONOTONIC);
    int64_t due = s->config.chores ? s->config.chores(s->config.userdata, now) : INT64_MAX;
    due = clock_earlier(due, tell_status(s, now));
    if (due >= s->timer_at)
        return;
    s->timer_at = due;
    sd_event_source_set_time(s->timer, (uint64_t)due);
    sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT);
}

/* The chores follow, as after every source. */
static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    (void)source;
    (void)usec;
    ((struct service *)userdata)->timer_at = INT64_MAX;
    return 0;
}

static int on_after(sd_event_source *source, void *userdata)
{
    (void)source;
    do_chores(userdata);
    return 0;
}

/* --- Signals -------------------------------------------------------------------------------------------- */

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    (void)source;
    struct service *s = userdata;
    bool first = !s->stops++;
    int r = 0;
    s->stop_by = clock_now(CLOCK_MONOTONIC) + (first ? s->config.stop_max : 0);
    if (first) {
        log_info("Stopping on %s", info->ssi_signo == SIGINT ? "SIGINT" : "SIGTERM");
        sd_notify(0, "STOPPING=1");
        r = s->config.stop ? s->config.stop(s->config.userdata) : 0;
    }
    /* A negative result of this function would disable the source, and nothing more. */
    bool ends = !first || r < 0 || !s->config.stop;
    return s->serving && ends ? sd_event_exit(s->loop, r) : 0;
}

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    (void)source;
    (void)info;
    (void)userdata;
    log_notice("SIGHUP: there is no reload. Restart instead: under systemd that loses no event");
    return 0;
}

/* Before other sources: a loop that is busy ends all the same. */
static int take_signal(struct service *s, int signal, sd_event_signal_handler_t on_signal)
{
    sd_event_source *source;
    int r = sd_event_add_signal(s->loop, &source, signal, on_signal, s);
    if (r < 0 || (r = sd_event_source_set_priority(source, SD_EVENT_PRIORITY_IMPORTANT)) < 0)
        return r;
    r = sd_event_source_set_floating(source, true);
    sd_event_source_unref(source);
    return r;
}

/* --- Life ----------------------------------------------------------------------------------------------- */

int service_new(const struct service_config *config, struct service **ret)
{
    cleanup(service_free_p) struct service *s = calloc(1, sizeof *s);
    if (!s)
        return log_error_errno(ENOMEM, "%m");
    s->config = *config;
    s->timer_at = s->stop_by = INT64_MAX;
    s->notifies = getenv("NOTIFY_SOCKET");
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    int r = sd_event_new(&s->loop);
    if (r >= 0)
        r = sd_event_add_time(s->loop, &s->timer, CLOCK_MONOTONIC, 0, ACCURACY, on_timer, s);
    if (r >= 0)
        r = sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
    if (r >= 0)
        r = sd_event_add_post(s->loop, NULL, on_after, s);
    if (r >= 0)
        r = sd_event_set_watchdog(s->loop, true);
    if (r < 0)
        return log_error_errno(r, "Failed to set up the loop: %m");
    *ret = steal_pointer(s);
    return 0;
}

struct service *service_free(struct service *s)
{
    if (!s)
        return NULL;
    sd_event_source_unref(s->timer);
    sd_event_unref(s->loop);
    free(s);
    return NULL;
}

sd_event *service_loop(const struct service *s)
{
    return s->loop;
}

int service_ready(struct service *s)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    int r = sigprocmask(SIG_BLOCK, &signals, NULL) < 0 ? -errno : take_signal(s, SIGTERM, on_stop);
    if (r >= 0)
        r = take_signal(s, SIGINT, on_stop);
    if (r >= 0)
        r = take_signal(s, SIGHUP, on_reload);
    if (r < 0)
        return log_error_errno(r, "Failed to take signals: %m");
    sd_notify(0, "READY=1");
    do_chores(s);
    return 0;
}

int service_serve(struct service *s)
{
    s->serving = true;
    int r = sd_event_loop(s->loop);
    return r < 0 ? log_error_errno(r, "The loop failed: %m") : r;
}

int service_wait(struct service *s, int64_t until)
{
    unsigned stops = s->stops;
    int64_t left;
    do {
        do_chores(s);
        left = until - clock_now(CLOCK_MONOTONIC);
        int r = sd_event_run(s->loop, left > 0 ? (uint64_t)left : 0);
        if (r < 0)
            return log_error_errno(r, "The loop failed: %m");
    } while (s->stops == stops && clock_now(CLOCK_MONOTONIC) < until);
    return 0;
}

int64_t service_stop_by(const struct service *s)
{
    return s->stop_by;
}
