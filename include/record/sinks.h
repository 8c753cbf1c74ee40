/* sinks.h: how each sink is made. Each returns 0 and an owned sink, or a negative errno, logged. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "record/sink.h"

struct stdout_config {
    int fd;          /* where to; borrowed */
    bool json;       /* one JSON object a line; else text as people read it */
    bool color;      /* text only: failed events in red */
    size_t log_body; /* bytes of a request's body that are shown */
    size_t
        buffer_max; /* bytes kept for a reader that stalls; past it whole records are dropped and counted */
};

int sink_stdout_new(const struct stdout_config *config, struct sink **ret);

/* One native entry a record, fields in the man page. A required one says 0 only when journald has the entry,
 * and waits a moment for a busy one; any other keeps what journald does not take at once and sends it later.
 */
int sink_journal_new(size_t log_body, bool required, struct sink **ret);
