/* pull.c: vodhook pull: puts queue, cloud and outputs together, and tells systemd how it goes. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "command/caller.h"
#include "command/commands.h"
#include "command/outputs.h"
#include "command/setup.h"
#include "record/message_ids.h"
#include "source/queue.h"

static const int64_t MILLISECOND = 1000, SECOND = 1000000;
static const int64_t STOP_MAX = 8 * SECOND; /* for the batch in hand, of the 10 s that stopping may take */
static const int64_t STATUS_INTERVAL = 10 * SECOND;
static const int64_t PROGRESS_INTERVAL = SECOND / 10;
static const int64_t STALLED_RETRY = SECOND / 2;
static const int64_t FLUSH_MAX = 2 * SECOND; /* for the reader of stdout, at the end */

/* VOD keeps what nobody confirms for 4 days, and it may come again for as long. Source: API, PullEvents. */
static const int64_t KEEP_LEAST = INT64_C(5) * 24 * 3600 * 1000;

struct pull {
    struct caller caller;
    struct outputs outputs;
    struct intake *intake;
    struct queue *queue;
    int signals;         /* a signalfd */
    int64_t stop_by;     /* monotonic microseconds; INT64_MAX while no stop is asked for */
    bool pulling;        /* the call under way is PullEvents */
    int64_t maintain_at; /* monotonic microseconds, as all below */
    int64_t status_at, progress_at;
    int64_t ping_every; /* a quarter of what the watchdog waits; INT64_MAX without one */
    int64_t ping_at;
    bool shows_progress;
    const char *trouble; /* that the last STATUS= told of */
};

static int64_t now_monotonic(void *userdata)
{
    (void)userdata;
    return clock_now(CLOCK_MONOTONIC);
}

/* --- Signals ---------------------------------------------------------------------------------------- */

static int open_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    outputs_ignore_signals();
    int fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    return fd < 0 ? log_error_errno(errno, "Failed to take signals: %m") : fd;
}

/* Returns whether a stop is asked for by one that has just arrived. The second one does not wait. */
static bool take_signals(struct pull *p)
{
    struct signalfd_siginfo info;
    bool stop = false;
    while (read(p->signals, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGHUP) {
            log_notice("SIGHUP: there is no reload. Restart instead: that loses nothing");
            continue;
        }
        int64_t now = clock_now(CLOCK_MONOTONIC);
        if (p->stop_by == INT64_MAX) {
            log_info("Stopping on SIG%s", sigabbrev_np((int)info.ssi_signo));
            sd_notify(0, "STOPPING=1");
            p->stop_by = now + STOP_MAX;
        } else {
            p->stop_by = now;
        }
        stop = true;
    }
    return stop;
}

/* A pull that nothing has come of yet is of no use any more; what it might have brought comes again. */
static bool give_up(void *userdata, bool receiving)
{
    struct pull *p = userdata;
    take_signals(p);
    if (p->stop_by == INT64_MAX)
        return false;
    return clock_now(CLOCK_MONOTONIC) >= p->stop_by || (p->pulling && !receiving);
}

/* --- Chores between calls --------------------------------------------------------------------------- */

/* What the cloud said must not end the line, for systemd would take what follows as another message. */
static void tell_trouble(const char *trouble)
{
    cleanup(buffer_done) struct buffer b = {0};
    text_escape(&b, slice_of(trouble));
    if (!b.failed)
        sd_notifyf(0, "STATUS=%.*s", (int)b.len, b.data);
}

static void tell_status(struct pull *p, int64_t now)
{
    const struct queue_stats *q = queue_stats(p->queue);
    const struct recorder_stats *s = recorder_stats(p->outputs.recorder);
    if (now < p->status_at && q->trouble == p->trouble)
        return;
    p->status_at = now + STATUS_INTERVAL;
    p->trouble = q->trouble;
    if (q->trouble)
        tell_trouble(q->trouble);
    else if (!s->last_event)
        sd_notify(0, "STATUS=No events yet");
    else
        sd_notifyf(0, "STATUS=%" PRIu64 " events, %" PRIu64 " of them failed, the last %" PRId64 " s ago%s",
                   s->events, s->failed, (clock_now(CLOCK_REALTIME) - s->last_event) / SECOND,
                   q->empty ? "; the queue is empty" : "");
}

/* The line is overwritten by whatever comes next. */
static void show_progress(struct pull *p, int64_t now)
{
    if (!p->shows_progress || now < p->progress_at)
        return;
    const struct queue_stats *q = queue_stats(p->queue);
    dprintf(STDERR_FILENO, "%" PRIu64 " events pulled, %" PRIu64 " confirmed\r", q->pulled, q->confirmed);
    p->progress_at = now + PROGRESS_INTERVAL;
}

/* What is due now. Returns when something is again; *ret_fd can be waited on for POLLOUT, or is -1. */
static int64_t do_chores(struct pull *p, int *ret_fd)
{
    int64_t now = clock_now(CLOCK_MONOTONIC);
    if (p->ping_every != INT64_MAX && now >= p->ping_at) {
        sd_notify(0, "WATCHDOG=1");
        p->ping_at = now + p->ping_every;
    }
    int flushed = recorder_flush(p->outputs.recorder);
    *ret_fd = flushed > 0 ? flushed : -1;
    if (now >= p->maintain_at) {
        int next = outputs_maintain(&p->outputs);
        p->maintain_at = next < 0 ? INT64_MAX : clock_now(CLOCK_MONOTONIC) + next * MILLISECOND;
    }
    tell_status(p, now);
    show_progress(p, now);
    int64_t due = clock_earlier(p->maintain_at, p->status_at);
    if (p->ping_every != INT64_MAX)
        due = clock_earlier(due, p->ping_at);
    return flushed < 0 ? clock_earlier(due, now + STALLED_RETRY) : due;
}

/* --- The queue's world ------------------------------------------------------------------------------ */

static void wait_until(void *userdata, int64_t until)
{
    struct pull *p = userdata;
    while (!take_signals(p)) {
        struct pollfd fds[] = {{.fd = p->signals, .events = POLLIN}, {.events = POLLOUT}};
        int64_t due = do_chores(p, &fds[1].fd);
        int64_t left = clock_earlier(until, due) - clock_now(CLOCK_MONOTONIC);
        if (clock_now(CLOCK_MONOTONIC) >= until)
            return;
        struct timespec timeout = {left / SECOND, left % SECOND * 1000};
        if (left > 0)
            ppoll(fds, 2, &timeout, NULL);
    }
}

/* The watchdog hears of a call when it is over: of one that hangs, never. */
static int call_cloud(void *userdata, const char *action, struct slice body, struct reply *ret)
{
    struct pull *p = userdata;
    int fd;
    do_chores(p, &fd);
    p->pulling = strcmp(action, "PullEvents") == 0;
    int r = cloud_call(p->caller.cloud, action, body, ret);
    take_signals(p);
    return r;
}

static int64_t stop_by(void *userdata)
{
    return ((struct pull *)userdata)->stop_by;
}

/* --- Putting together ------------------------------------------------------------------------------- */

static int make_queue(struct pull *p, const struct options *o)
{
    struct intake_config intake = {.decode_memory_max = (size_t)options_number(o, "decode-memory")};
    struct queue_config config = {
        .world = {call_cloud, now_monotonic, wait_until, stop_by, p},
        .remote = p->caller.endpoint.host,
        .secret_id = secret_slice(&p->caller.keys.id),
        .sub_app_id = p->caller.sub_app_id,
        .rate = options_number(o, "rate"),
        .once = options_flag(o, "once"),
    };
    int r = intake_new(&intake, p->outputs.recorder, &p->intake);
    if (r >= 0)
        r = queue_new(&config, p->intake, p->outputs.recorder, &p->queue);
    return r < 0 ? log_error_errno(r, "Failed to set up the queue: %m") : 0;
}

static void print_start_line(const struct pull *p)
{
    const char *host = p->caller.endpoint.host;
    if (p->outputs.required)
        log_message(MESSAGE_STARTED, LOG_INFO, 0,
                    "Pulling from %s; every event is recorded in %s before it is confirmed", host,
                    p->outputs.inbox_path ? p->outputs.inbox_path : "the journal");
    else
        log_message(
            MESSAGE_STARTED, LOG_WARNING, 0,
            "Pulling from %s; an event that is confirmed was shown, not recorded, and is gone: there is "
            "neither an inbox nor a journal",
            host);
}

/* The reader of stdout gets a while for what is left. */
static void flush_rest(struct pull *p)
{
    int64_t until = clock_now(CLOCK_MONOTONIC) + FLUSH_MAX;
    int r;
    while ((r = recorder_flush(p->outputs.recorder)) != 0 && clock_now(CLOCK_MONOTONIC) < until) {
        struct pollfd fd = {.fd = r > 0 ? r : -1, .events = POLLOUT};
        poll(&fd, 1, (int)(STALLED_RETRY / MILLISECOND));
    }
}

static void print_stop_line(const struct pull *p)
{
    const struct queue_stats *q = queue_stats(p->queue);
    const struct recorder_stats *s = recorder_stats(p->outputs.recorder);
    log_message(MESSAGE_STOPPED, LOG_INFO, 0,
                "Stopped after %" PRIu64 " events (%" PRIu64 " failed, %" PRIu64 " duplicates), %" PRIu64
                " unreadable; %" PRIu64 " confirmed",
                s->events, s->failed, s->duplicates, s->unreadable, q->confirmed);
}

/* Returns 0, a negative errno, or -EINVAL for what is wrong in the configuration. */
static int run(struct pull *p, const struct options *o)
{
    uint64_t watchdog = 0;
    int r = outputs_new(o, &p->outputs);
    if (r < 0 || (r = make_queue(p, o)) < 0)
        return r;
    if (sd_watchdog_enabled(0, &watchdog) > 0)
        p->ping_every = (int64_t)watchdog / 4;
    p->shows_progress = options_flag(o, "once") && isatty(STDERR_FILENO);
    print_start_line(p);
    sd_notify(0, "READY=1");
    r = queue_run(p->queue);
    flush_rest(p);
    print_stop_line(p);
    return r == -EINVAL ? -EIO : r;
}

static void pull_done(struct pull *p)
{
    queue_free(p->queue);
    intake_free(p->intake);
    outputs_done(&p->outputs);
    caller_done(&p->caller);
    if (p->signals >= 0)
        close(p->signals);
}

int command_pull(int argc, char *argv[])
{
    cleanup(options_free_p) struct options *o = NULL;
    int r = setup(COMMAND_PULL, argc, argv, &o);
    if (r >= 0)
        return r;
    if (options_number(o, "inbox-keep") < KEEP_LEAST) {
        log_error(
            "--inbox-keep is less than 5d: VOD gives an event again for 4 days, and by then it would not "
            "be recognised");
        return EXIT_CONFIGURATION;
    }
    struct pull p = {.signals = -1, .stop_by = INT64_MAX, .ping_every = INT64_MAX};
    r = caller_init(&p.caller, o, give_up, &p);
    if (r < 0) {
        pull_done(&p);
        return r == -ENOMEM ? EXIT_FAILURE : EXIT_CONFIGURATION;
    }
    p.signals = r = open_signals();
    if (r >= 0)
        r = run(&p, o);
    pull_done(&p);
    return r == -EINVAL ? EXIT_CONFIGURATION : r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
