/* queue.h: the reliable callback's side: pulls events out of VOD's queue, records them, and confirms what is
 * recorded. One plain loop, which reaches the world through struct queue_world alone. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cloud/reply.h"
#include "source/intake.h"

/* Times are monotonic microseconds. */
struct queue_world {
    int (*call)(void *userdata, const char *action, struct slice body,
                struct reply *ret); /* as cloud_call() */
    int64_t (*now)(void *userdata);
    /* Waits until then, and sees to chores meanwhile. Returns earlier when a stop is asked for anew. */
    void (*wait)(void *userdata, int64_t until);
    /* By when all has to be done since a stop was asked for; INT64_MAX while none was. */
    int64_t (*stop_by)(void *userdata);
    void *userdata;
};

struct queue_config {
    struct queue_world world;
    const char *remote; /* for the records and for what is said: the endpoint. Borrowed, as secret_id is */
    struct slice secret_id;
    int64_t sub_app_id; /* 0 for none */
    int64_t rate;       /* calls a second */
    bool once;          /* empty the queue and end */
};

struct queue_stats {
    uint64_t pulled, confirmed;
    uint64_t unconfirmed; /* those that have to come back: recorded too late, or the confirm failed */
    const char *trouble;  /* what is wrong now, on one line; NULL for nothing */
    bool empty;           /* the last pull found nothing */
};

struct queue;

/* Borrows intake and recorder. Returns 0 or -ENOMEM. */
int queue_new(const struct queue_config *config, struct intake *intake, struct recorder *recorder,
              struct queue **ret);
struct queue *queue_free(struct queue *q);

/* Runs until a stop is asked for or, with once, the queue is empty: returns 0. With once it returns -EIO when
 * a call is refused, or has failed too often in a row; that is said. */
int queue_run(struct queue *q);

const struct queue_stats *queue_stats(const struct queue *q);

static inline void queue_free_p(struct queue **q)
{
    queue_free(*q);
}
