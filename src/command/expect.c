/* expect.c: says once that something expected has not come, and once that it has come after all. */
#include "expect.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "inbox/lookup.h"
#include "inbox/sink.h"
#include "record/message_ids.h"

static const int64_t SECOND = 1000000;
static const int64_t LOOK_EVERY = 60 * SECOND, LOOK_LEAST = SECOND / 4;

static const char SILENT_SINCE[] =
    "silent-since"; /* in the inbox: the last event before the silence that is said; 0 */

int expect_init(struct expect *e, const struct options *o, const struct outputs *outputs)
{
    *e = (struct expect){
        .within = options_number(o, "expect-within") * 1000,
        .every = options_number(o, "expect-event-every") * 1000,
        .outputs = outputs,
        .started = clock_now(CLOCK_REALTIME),
    };
    if (e->within && !outputs->inbox)
        return log_error_errno(EINVAL, "--expect-within needs an inbox, which knows what began");
    int64_t since = 0;
    if (e->every && outputs->inbox && sink_inbox_recall(outputs->inbox, SILENT_SINCE, &since) >= 0)
        e->silent = since != 0;
    if (!e->within && !e->every)
        e->due = INT64_MAX;
    return 0;
}

/* "7 h 3 min", in the two largest units. */
static const char *span(int64_t time, char ret[40])
{
    int64_t s = time / SECOND;
    if (s < 60)
        snprintf(ret, 40, "%" PRId64 " s", s);
    else if (s < 3600)
        snprintf(ret, 40, "%" PRId64 " min %" PRId64 " s", s / 60, s % 60);
    else
        snprintf(ret, 40, "%" PRId64 " h %" PRId64 " min", s / 3600, s % 3600 / 60);
    return ret;
}

/* --- Tasks -------------------------------------------------------------------------------------------- */

static void say_task(void *userdata, const struct inbox_stuck *task, bool over)
{
    char text[40];
    const char *file = task->file_id ? task->file_id : "unknown";
    span(clock_now(CLOCK_REALTIME) - task->since, text);
    if (over)
        log_message(MESSAGE_STUCK_OVER, LOG_NOTICE, 0, "Task %s of file %s has ended after all, within %s",
                    task->task_id, file, text);
    else
        log_message(
            MESSAGE_STUCK, LOG_WARNING, 0,
            "Task %s of file %s has not ended: %s told of it %s ago, and its end is expected within %" PRId64
            " s",
            task->task_id, file, task->type, text, *(const int64_t *)userdata / SECOND);
}

/* --- Silence ------------------------------------------------------------------------------------------ */

/* Another process on the same inbox may have said it. */
static bool is_said(const struct expect *e)
{
    int64_t since = 0;
    if (!e->outputs->inbox || sink_inbox_recall(e->outputs->inbox, SILENT_SINCE, &since) < 0)
        return e->silent;
    return since != 0;
}

static void note_said(struct expect *e, int64_t since)
{
    if (e->outputs->inbox)
        sink_inbox_remember(e->outputs->inbox, SILENT_SINCE, since);
    e->silent = since != 0;
}

static void look_for_events(struct expect *e)
{
    char text[40];
    int64_t now = clock_now(CLOCK_REALTIME), last = recorder_stats(e->outputs->recorder)->last_event,
            recorded = 0;
    if (e->outputs->inbox && sink_inbox_last_event(e->outputs->inbox, &recorded) < 0)
        return;
    if (recorded > last)
        last = recorded;
    bool any = last != 0;
    if (!any)
        last = e->started;
    bool silent = now - last >= e->every;
    if (silent == e->silent)
        return;
    bool said = is_said(e);
    note_said(e, silent ? last : 0);
    if (said == silent)
        return;
    if (silent)
        log_message(MESSAGE_SILENT, LOG_WARNING, 0, "No event for %s%s", span(now - last, text),
                    any ? "" : ", and none before");
    else
        log_message(MESSAGE_SILENT_OVER, LOG_NOTICE, 0, "Events come again");
}

int64_t expect_chores(struct expect *e, int64_t now)
{
    if (now < e->due)
        return e->due;
    int64_t shortest = e->within && (!e->every || e->within < e->every) ? e->within : e->every;
    int64_t pause = clock_earlier(shortest / 4, LOOK_EVERY);
    if (e->within)
        sink_inbox_find_stuck(e->outputs->inbox, e->within, say_task, &e->within);
    if (e->every)
        look_for_events(e);
    return e->due = now + (pause > LOOK_LEAST ? pause : LOOK_LEAST);
}
