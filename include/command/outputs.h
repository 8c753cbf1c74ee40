/* outputs.h: the sinks that the settings ask for, put together as a recorder; the same for listen and pull.
 */
#pragma once

#include <stdbool.h>

#include "base/options.h"
#include "record/recorder.h"

struct outputs {
    struct recorder *recorder;
    struct sink *inbox;   /* the recorder's; NULL without an inbox */
    const char *required; /* "inbox" or "journal": the sink an acknowledgement waits for; NULL for none */
    char *inbox_path;     /* owned; NULL without an inbox */
    bool text_on_stdout;
};

/* Where the inbox is unless --inbox says: in $STATE_DIRECTORY, else in the user's own state. Returns an owned
 * name, or NULL when there is no place or no memory. */
char *outputs_inbox_default(void);

/* Whether stdout is to be coloured: a terminal that can, and no NO_COLOR. */
bool outputs_color(void);

/* Returns 0, or -EINVAL, logged, when the outputs asked for do not go together. */
int outputs_check(const struct options *o);

/* From then on a write that cannot be done is an error like any other, and no signal. */
void outputs_ignore_signals(void);

/* Makes the sinks: those of --output, or journal where systemd connected stdout to it, else text; and the
 * inbox, which is then required; without an inbox the journal is. Returns 0; -EINVAL when the settings are
 * wrong (configuration) or another negative errno, logged. */
int outputs_new(const struct options *o, struct outputs *ret);

/* Does what is due beside recording, between two commits. Returns in how many milliseconds it should be
 * called again, or -1 for never. */
int outputs_maintain(struct outputs *o);

void outputs_done(struct outputs *o);
