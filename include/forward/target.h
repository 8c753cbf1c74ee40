/* target.h: what every place that events are handed on to can do: an HTTP service, a program, a Kafka topic.
 *
 * A target takes events and says of each, once, what became of it. It knows neither the inbox nor the state
 * file: order, retries, dead letters and the cursor are the forwarder's. It runs on the forwarder's sd-event
 * loop and never waits in a call. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/buffer.h"
#include "base/slice.h"
#include "record/record.h"

/* One event, formatted. The forwarder owns it and all it points to, and leaves both unchanged at the same
 * address from offer() until the outcome, so that a target sends the body from where it stands and uses the
 * pointer to know the event again. Strings are NUL-terminated; NULL where the event has none. */
struct target_event {
    int64_t row;     /* its id in the inbox: a later event has a higher one */
    const char *id;  /* the event's own id, the same at every retry and replay; [0-9a-f-] */
    const char *key; /* its lane: the file id, else the task id, else the event's id */
    const char *type, *result;
    const char *file_id, *task_id;
    unsigned attempt;         /* 1 for the first */
    bool replay;              /* handed on before, and asked for again */
    const char *content_type; /* of the body */
    struct slice body;        /* the payload */

    /* --format cloudevents in binary mode: the attributes by their plain names (specversion, id, type,
     * source, subject, time), which the target prefixes with ce- or ce_. Else none. */
    const struct header *attributes;
    size_t n_attributes;

    /* Where target.wants_fields is set: the journal's fields (VOD_ID, VOD_EVENT_TYPE ...), without VOD_EVENT;
     * a value holds no NUL. Else none. */
    const struct header *fields;
    size_t n_fields;

    void *userdata; /* the forwarder's */
};

enum target_result {
    TARGET_DONE,  /* the target has it and answers for it */
    TARGET_RETRY, /* it may or may not have it: to be handed on again */
    TARGET_DEAD,  /* it will never take this one; others it will */
    TARGET_PAUSE, /* it wants no more events until somebody resumes it; this one is handed on again then */
};

struct target_outcome {
    enum target_result result;
    int64_t retry_after; /* RETRY: microseconds from now, as the target asked for; 0 where it did not */
    const char *error;   /* one line that says why, unless DONE; borrowed for the call; may hold any bytes */
};

/* What a target is given when it is made, beside its own configuration. */
struct target_context {
    sd_event *loop; /* borrowed */

    /* To be called once for each event that offer() took, from the loop or from cancel(), and never from
     * within offer(). The target must not touch the event afterwards. The call leads neither to another offer()
     * nor to free(): the forwarder does both in its own turn of the loop. */
    void (*outcome)(void *userdata, const struct target_event *e, const struct target_outcome *o);
    void *userdata;
};

struct target;

struct target_ops {
    const char *name; /* "http", "exec", "kafka", "none" */

    /* What --status and the start line call it: kind and place, without any secret. */
    void (*describe)(const struct target *t, struct buffer *to);

    /* Takes one event. The forwarder keeps within target.max_in_flight and, unless target.ordered, offers no
     * event whose key is that of one in flight. Returns 0 when it is taken: its outcome follows. Returns
     * TARGET_FULL when the target has no room after all: the forwarder offers the same event again after the
     * next outcome, or after a second. Returns a negative errno, logged, when the target is of no use any
     * more: the forwarder ends. */
    int (*offer)(struct target *t, const struct target_event *e);

    /* The forwarder has nothing more to offer just now: what was gathered should leave at once. NULL where
     * offer() alone sends. */
    void (*flush)(struct target *t);

    /* Gives up what is in flight: each such event has its outcome, RETRY unless better is known, before the
     * call returns. For the end of the program, and for a target that somebody paused. */
    void (*cancel)(struct target *t);

    /* For --check: looks whether the target can be reached and would take events, without handing one on;
     * may wait for some seconds. Says what it found. Returns 0 or a negative errno. NULL where there is
     * nothing to look at. */
    int (*check)(struct target *t);

    /* Frees it; what was in flight has no outcome any more. */
    void (*free)(struct target *t);
};

enum { TARGET_FULL = 1 };

/* The first member of each target's own struct. */
struct target {
    const struct target_ops *ops;
    struct target_context context;

    /* How many events the forwarder may have in flight, and how many bytes of their bodies; a single event
     * may be larger. */
    size_t max_in_flight;
    size_t max_bytes;

    /* The target itself keeps the order of what it is offered, so that events of one key may be in flight
     * together, offered in the order of their rows. Then RETRY is no fault of the one event but of the
     * target: the target gives up all that is in flight by itself (each with its outcome), the forwarder
     * waits, and offers what had no DONE or DEAD again, from the lowest row on. */
    bool ordered;

    bool wants_fields; /* target_event.fields */
};

static inline struct target *target_free(struct target *t)
{
    if (t)
        t->ops->free(t);
    return NULL;
}

static inline void target_free_p(struct target **t)
{
    target_free(*t);
}
