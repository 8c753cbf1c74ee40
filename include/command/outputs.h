/* outputs.h: the sinks that the settings ask for, put together as a recorder; the same for listen and pull.
 */
#pragma once

#include <stdbool.h>

#include "base/options.h"
#include "record/recorder.h"

struct outputs {
    struct recorder *recorder;
    const char *required; /* "inbox" or "journal": the sink an acknowledgement waits for; NULL for none */
    char *inbox_path;     /* owned; NULL without an inbox */
    bool text_on_stdout;
};

/* Makes the sinks: those of --output, or journal where systemd connected stdout to it, else text; and the
 * inbox, which is then required; without an inbox the journal is. Returns 0; -EINVAL when the settings are
 * wrong (configuration) or another negative errno, logged. */
int outputs_new(const struct options *o, struct outputs *ret);
void outputs_done(struct outputs *o);
