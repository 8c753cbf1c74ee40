/* stdout.h: the sink that writes to stdout. */
#pragma once

#include "record/sink.h"

struct stdout_config {
    int fd;          /* where to; borrowed */
    bool json;       /* one JSON object a line; else text as people read it */
    bool color;      /* text only: failed events in red */
    size_t log_body; /* bytes of a request's body that are shown */
    size_t
        buffer_max; /* bytes kept for a reader that stalls; past it whole records are dropped and counted */
};

/* Returns 0 and an owned sink, or a negative errno, logged. */
int sink_stdout_new(const struct stdout_config *config, struct sink **ret);
