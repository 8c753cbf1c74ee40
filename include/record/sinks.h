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

struct inbox_config {
    const char *path;  /* of the database; its folder is made, mode 0750, where it is missing */
    int64_t keep;      /* seconds an event is kept */
    uint64_t max;      /* bytes the database may take */
    uint64_t min_free; /* bytes of free disk below which a warning is due */
};

/* Starts all the same where the disk is full or failing or the file locked, since that may pass. */
int sink_inbox_new(const struct inbox_config *config, struct sink **ret);

/* Does what is due beside recording, one step of a few milliseconds: lets old events go, moves the log into
 * the database, looks at the disk. To be called between transactions, when answers have left. Returns in how
 * many milliseconds it should be called again, whether or not anything arrives until then. */
int sink_inbox_maintain(struct sink *sink);
