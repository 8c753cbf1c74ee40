/* forwarder.h: hands the events of an inbox on to one target: each at least once, those of a lane in order. */
#pragma once

#include <stdint.h>

#include "forward/feed.h"
#include "forward/format.h"
#include "forward/retry.h"
#include "forward/state.h"
#include "forward/target.h"

/* Values of which an event has to have one; none for whichever. Borrowed. */
struct forward_choice {
    const char *const *values;
    size_t n;
};

struct forward_filter {
    struct forward_choice types, results, file_ids, sources;
    struct forward_choice trusts; /* where none is given, all but "refused" */
};

/* Whether an event is one that the filter asks for. */
bool forward_filter_matches(const struct forward_filter *f, const struct record *r);

/* Where a new target begins. */
enum forward_from { FROM_NOW, FROM_START, FROM_TIME, FROM_ROW, FROM_ID };

struct forwarder_config {
    enum forward_from from;
    int64_t from_value;  /* microseconds since 1970, or a row of the inbox */
    const char *from_id; /* an event's id */
    enum forward_format format;
    struct forward_filter filter;
    struct retry retry;
    int64_t lanes_held; /* lanes that may wait for a retry */
    bool once;          /* ends when there is nothing more to do at once */
};

struct forwarder;

/* Borrows the feed and the state, and the target once forwarder_use() gives it one, which is made in between,
 * with forwarder_context(). Returns 0 or a negative errno, logged. */
int forwarder_new(const struct forwarder_config *config, sd_event *loop, struct feed *feed,
                  struct state *state, struct forwarder **ret);
struct forwarder *forwarder_free(struct forwarder *f);
struct target_context forwarder_context(struct forwarder *f);
int forwarder_use(struct forwarder *f, struct target *target);

/* Does what is due: reads, offers, saves. To be called after every round of the loop. Returns when it is due again.
 * Ends the loop with 0 when it is done, with 1 when events still wait at the end of `once` or something failed. */
int64_t forwarder_turn(struct forwarder *f, int64_t now);

/* A command changed the state. */
void forwarder_stir(struct forwarder *f);

/* Offers no more; ends the loop when nothing is in flight, or what is in flight is given up at the time given. */
void forwarder_stop(struct forwarder *f, int64_t by);

/* Appends the line for STATUS=; its number changes with what an operator has to know at once. */
void forwarder_status(const struct forwarder *f, struct buffer *to);
uint64_t forwarder_state(const struct forwarder *f);

static inline void forwarder_free_p(struct forwarder **f)
{
    forwarder_free(*f);
}
