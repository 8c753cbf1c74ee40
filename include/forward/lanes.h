/* lanes.h: which of the events in memory have to wait for one another: those of one key, in the order in which
 * they were added. */
#pragma once

#include <stdbool.h>
#include <sys/queue.h>

struct lane;

/* A part of whatever waits. The key is borrowed until the item has left its lane. */
struct lane_item {
    const char *key;
    struct lane *lane;
    TAILQ_ENTRY(lane_item) entry;
};

struct lanes;

/* Returns 0 or -ENOMEM. */
int lanes_new(struct lanes **ret);
struct lanes *lanes_free(struct lanes *l); /* the items are the caller's */

/* Whether an item of this key is there. */
bool lanes_busy(const struct lanes *l, const char *key);

/* Puts an item behind those of its key. Returns 1 when it is the first, 0 when it has to wait, or -ENOMEM. */
int lanes_add(struct lanes *l, struct lane_item *item);

/* Takes the first item of a lane out. Returns the one that is first now, or NULL when there is no more. */
struct lane_item *lanes_end(struct lane_item *first);

/* Takes the item behind the first one out, or returns NULL. */
struct lane_item *lanes_take_behind(struct lane_item *first);

static inline void lanes_free_p(struct lanes **l)
{
    lanes_free(*l);
}
