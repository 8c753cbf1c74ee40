/* meet.c: a forwarder meets its inbox: for the first time, again, or another one in its place; and what the inbox let
 * go before it was handed on. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "forwarder_private.h"
#include "record/message_ids.h"

void forwarder_let_go(struct forwarder *f, int64_t n, const char *how)
{
    if (n <= 0)
        return;
    f->facts->let_go += (uint64_t)n;
    f->dirty = true;
    f->changes++;
    log_message(MESSAGE_FORWARD_LET_GO, LOG_WARNING, 0, "%" PRId64 " events were not handed on: %s", n, how);
}

/* Everything in memory goes on to the target, and nothing of it is written down any more. */
static void leave(struct forwarder *f, int64_t read)
{
    struct work *w;
    TAILQ_FOREACH(w, &f->all, any)
        w->foreign = true;
    f->window.first = f->window.n = f->window.n_over = 0;
    f->read = f->facts->cursor = read;
    f->facts->n_ahead = 0;
}

static int meet_another(struct forwarder *f)
{
    int64_t held = 0;
    struct state_facts *facts = f->facts;
    int64_t unread = facts->newest > f->read ? facts->newest - f->read : 0;
    log_message(MESSAGE_FORWARD_INBOX, LOG_WARNING, 0,
                "Another inbox stands in the place of the one before: going on with its first event");
    int r = state_leave_inbox(f->state, &held);
    leave(f, 0);
    forwarder_let_go(f, unread + held, "their inbox is gone");
    f->numbers.held = f->numbers.retrying = 0;
    return r;
}

static int find_begin(struct forwarder *f, int64_t oldest, int64_t last)
{
    int64_t row = 0;
    int r = 1;
    f->read = oldest - 1; /* what was let go before the beginning does not count */
    switch (f->config.from) {
    case FROM_NOW:
        f->read = last;
        return 0;
    case FROM_START:
        return 0;
    case FROM_ROW:
        row = f->config.from_value;
        break;
    case FROM_TIME:
        r = feed_find_time(f->feed, f->config.from_value, &row);
        break;
    case FROM_ID:
        r = feed_find_id(f->feed, f->config.from_id, &row);
        if (r == 0)
            return log_error_errno(EINVAL, "The inbox has no event %s to begin with", f->config.from_id);
        break;
    }
    f->read = r > 0 ? row - 1 : last;
    return r < 0 ? r : 0;
}

int forwarder_meet_inbox(struct forwarder *f)
{
    struct state_facts *facts = f->facts;
    int64_t oldest, last;
    int r = feed_range(f->feed, &oldest, &last);
    if (r < 0)
        return r;
    f->open = f->more = f->dirty = true;
    const char *inbox = feed_inbox(f->feed);
    if (!facts->begun) {
        r = find_begin(f, oldest, last);
        facts->begun = true;
    } else if (*facts->inbox && strcmp(facts->inbox, inbox) != 0) {
        r = meet_another(f);
    } else if (last < facts->newest) {
        log_message(MESSAGE_FORWARD_INBOX, LOG_WARNING, 0,
                    "The inbox is an older copy of itself: going on behind its last event");
        if (last < f->read)
            leave(f, last);
    }
    if (*inbox)
        snprintf(facts->inbox, sizeof facts->inbox, "%s", inbox);
    facts->newest = last;
    return r < 0 ? r : forwarder_meet_news(f);
}

int forwarder_meet_news(struct forwarder *f)
{
    int64_t oldest, last;
    int r = feed_range(f->feed, &oldest, &last);
    if (r < 0)
        return r;
    f->more = true;
    if (last > f->facts->newest)
        f->facts->newest = last;
    if (oldest > f->read + 1) {
        forwarder_let_go(f, oldest - f->read - 1, "the inbox had let them go already");
        f->read = oldest - 1;
    }
    return 0;
}
