/* sink.h: the sink that records in the inbox, a SQLite database: required where there is one, since what it
 * has committed survives a crash. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "record/sink.h"

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

struct inbox_stuck;

/* Finds tasks that began longer ago than that (microseconds) and have not ended, and gives each once, and once more when
 * it has ended after all; also across restarts, and whichever process asks. To be called between transactions. Returns 0
 * or a negative errno. */
int sink_inbox_find_stuck(struct sink *sink, int64_t within,
                          void (*say)(void *userdata, const struct inbox_stuck *task, bool over),
                          void *userdata);

/* When VOD's last event was received: microseconds since 1970, 0 where there is none. Returns 0 or a negative errno. */
int sink_inbox_last_event(struct sink *sink, int64_t *ret);

/* Keeps a number by name in the inbox (inbox_info), in a transaction. Returns 0 or a negative errno, said. */
int sink_inbox_remember(struct sink *sink, const char *name, int64_t value);

/* The number kept by that name, 0 where there is none. Returns 0 or a negative errno. */
int sink_inbox_recall(struct sink *sink, const char *name, int64_t *ret);
