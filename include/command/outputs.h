/* outputs.h: the sinks that the settings ask for, put together as a recorder; the same for listen and pull.
 */
#pragma once

#include <stdbool.h>

#include "base/options.h"
#include "command/commands.h"
#include "record/recorder.h"

typedef struct sd_event sd_event;
typedef struct sd_event_source sd_event_source;

struct outputs {
    struct recorder *recorder;
    struct sink *inbox;   /* the recorder's; NULL without an inbox */
    const char *required; /* "inbox" or "journal": the sink an acknowledgement waits for; NULL for none */
    char *inbox_path;     /* owned; NULL without an inbox */
    bool text_on_stdout;
    sd_event_source *ready; /* while a reader that stalls is waited for; NULL otherwise */
};

/* Where the inbox is unless --inbox says: in $STATE_DIRECTORY, else in the user's own state. Returns an owned
 * name, or NULL when there is no place or no memory. */
char *outputs_inbox_default(void);

/* Whether stdout is to be coloured: a terminal that can, and no NO_COLOR. */
bool outputs_color(void);

/* Sets --output and --inbox where nothing gave them: journal where systemd connected stdout to it, else text; the
 * default inbox. Returns as options_set(). */
int outputs_set_defaults(struct options *o);

/* Returns 0, or -EINVAL, logged, when the outputs asked for do not go together. */
int outputs_check(const struct options *o);

/* Makes the sinks: those of --output, and the inbox, which is then required; without an inbox the journal is. Returns
 * EXIT_DONE, or the status to end with, and what failed has been said. */
enum exit_status outputs_new(const struct options *o, struct outputs *ret);

/* The chores of a service: writes out what the sinks buffer and takes a step of the inbox's maintenance.
 * Between two commits, when answers have left. The loop calls them when a slow reader takes more. Returns
 * when they are due again: monotonic microseconds. */
int64_t outputs_chores(struct outputs *o, sd_event *loop, int64_t now);

/* Appends "Every event is recorded in FILE before it is answered, and kept for 30d, up to 4G", with that verb; nothing
 * where none is recorded. */
void outputs_write_kept(const struct outputs *outputs, const struct options *o, struct buffer *to,
                        const char *verb);

/* Appends the line for STATUS=: totals and clock times; or, while nothing can be recorded, that and since when
 * (given_up: as recorder_write_health()). The state is a number that changes with the first event and with health. */
void outputs_write_status(const struct outputs *o, struct buffer *to, const char *given_up);
uint64_t outputs_state(const struct outputs *o);

void outputs_done(struct outputs *o);
