/* lanes.c: queues by key, for the few hundred events that are in memory. */
#include "forward/lanes.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* A target may have thousands in flight; each lane is looked up by its key. */
enum { BUCKETS = 4096 };

TAILQ_HEAD(lane_items, lane_item);
LIST_HEAD(lane_list, lane);

struct lane {
    const char *key; /* of its first item */
    struct lane_items items;
    LIST_ENTRY(lane) entry;
};

struct lanes {
    struct lane_list buckets[BUCKETS];
};

/* FNV-1a. */
static size_t bucket_of(const char *key)
{
    uint32_t hash = 2166136261U;
    for (; *key; key++)
        hash = (hash ^ (uint8_t)*key) * 16777619U;
    return (hash ^ hash >> 16) % BUCKETS;
}

static struct lane *find(const struct lanes *l, const char *key)
{
    struct lane *lane;
    LIST_FOREACH(lane, &l->buckets[bucket_of(key)], entry)
        if (strcmp(lane->key, key) == 0)
            return lane;
    return NULL;
}

int lanes_new(struct lanes **ret)
{
    struct lanes *l = calloc(1, sizeof *l);
    if (!l)
        return -ENOMEM;
    *ret = l;
    return 0;
}

struct lanes *lanes_free(struct lanes *l)
{
    if (!l)
        return NULL;
    for (size_t i = 0; i < BUCKETS; i++)
        while (!LIST_EMPTY(&l->buckets[i])) {
            struct lane *lane = LIST_FIRST(&l->buckets[i]);
            LIST_REMOVE(lane, entry);
            free(lane);
        }
    free(l);
    return NULL;
}

bool lanes_busy(const struct lanes *l, const char *key)
{
    return find(l, key);
}

int lanes_add(struct lanes *l, struct lane_item *item)
{
    struct lane *lane = find(l, item->key);
    bool first = !lane;
    if (first) {
        lane = calloc(1, sizeof *lane);
        if (!lane)
            return -ENOMEM;
        lane->key = item->key;
        TAILQ_INIT(&lane->items);
        LIST_INSERT_HEAD(&l->buckets[bucket_of(item->key)], lane, entry);
    }
    item->lane = lane;
    TAILQ_INSERT_TAIL(&lane->items, item, entry);
    return first;
}

struct lane_item *lanes_end(struct lane_item *first)
{
    struct lane *lane = first->lane;
    TAILQ_REMOVE(&lane->items, first, entry);
    first->lane = NULL;
    struct lane_item *next = TAILQ_FIRST(&lane->items);
    if (next) {
        lane->key = next->key;
    } else {
        LIST_REMOVE(lane, entry);
        free(lane);
    }
    return next;
}

struct lane_item *lanes_take_behind(struct lane_item *first)
{
    struct lane_item *next = TAILQ_NEXT(first, entry);
    if (next) {
        TAILQ_REMOVE(&first->lane->items, next, entry);
        next->lane = NULL;
    }
    return next;
}
