/* expect.h: what a receiver waits for: that tasks end, and that events come at all. */
#pragma once

#include "base/options.h"
#include "command/outputs.h"

struct expect {
    int64_t within, every; /* microseconds; 0 for not expected */
    const struct outputs *outputs;
    int64_t started; /* microseconds since 1970 */
    int64_t due;     /* monotonic microseconds */
    bool silent;     /* that is said */
};

/* Reads --expect-within and --expect-event-every. Borrows the outputs. Returns 0, or -EINVAL, logged, where tasks are
 * expected without an inbox. */
int expect_init(struct expect *e, const struct options *o, const struct outputs *outputs);

/* Looks about once a minute, and says in the journal, once each, that a task is stuck, that it ended after all, that no
 * event comes, and that events come again; also across restarts, where there is an inbox. Returns when it is due again. */
int64_t expect_chores(struct expect *e, int64_t now);
