/* queue.h: the reliable callback's side: pulls events out of VOD's queue, records them, and confirms what is
 * recorded. One plain loop, which reaches the world through struct queue_world alone. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/secret.h"
#include "cloud/reply.h"
#include "source/intake.h"

/* What reading the API key again came to. */
enum queue_keys {
    QUEUE_KEYS_NEW,   /* another one, and calls use it from now on */
    QUEUE_KEYS_SAME,  /* the same, or none; it may be another one later */
    QUEUE_KEYS_FIXED, /* only a new start can bring another one */
};

/* Times are monotonic microseconds. */
struct queue_world {
    int (*call)(void *userdata, const char *action, struct slice body,
                struct reply *ret); /* as cloud_call() */
    int64_t (*now)(void *userdata);
    /* Waits until then, and sees to chores meanwhile. Returns earlier when a stop is asked for anew. */
    void (*wait)(void *userdata, int64_t until);
    /* By when all has to be done since a stop was asked for; INT64_MAX while none was. */
    int64_t (*stop_by)(void *userdata);
    /* Reads the API key again, since it was refused. */
    enum queue_keys (*read_keys)(void *userdata);
    void *userdata;
};

struct queue_config {
    struct queue_world world;
    const char *remote; /* for the records and for what is said: the endpoint. Borrowed, as secret_id is */
    const struct secret *secret_id; /* as it is at the time */
    int64_t sub_app_id;             /* 0 for none */
    int64_t rate;                   /* pulls a second, and as many confirms */
    bool once;                      /* empty the queue and end */
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

enum queue_end {
    QUEUE_DONE,    /* a stop was asked for or, with once, the queue is empty */
    QUEUE_FAILED,  /* with once: a call was refused, or calls failed too often in a row */
    QUEUE_RESTART, /* the API key has been refused for minutes, and only a new start can bring another one */
};

/* Runs until one of these, which has been said. */
enum queue_end queue_run(struct queue *q);

const struct queue_stats *queue_stats(const struct queue *q);

static inline void queue_free_p(struct queue **q)
{
    queue_free(*q);
}
