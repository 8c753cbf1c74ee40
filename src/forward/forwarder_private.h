/* forwarder_private.h: the forwarder as its own files see it. */
#pragma once

#include <sys/queue.h>

#include "forward/forwarder.h"
#include "forward/lanes.h"

/* An event in memory: in flight, ready to be offered, or behind another of its lane. */
struct work {
    struct parcel parcel;
    struct lane_item item;
    unsigned attempts; /* that failed */
    int64_t first;     /* when it was tried first: microseconds since 1970; 0 for never */
    bool held;         /* the state holds it, too: it does not move the cursor */
    bool in_flight;
    bool foreign;            /* of an inbox that is gone: nothing can be written down about it */
    uint64_t number;         /* in the order of the first offer */
    TAILQ_ENTRY(work) entry; /* in `ready` */
    TAILQ_ENTRY(work) any;   /* in `all` */
};

TAILQ_HEAD(works, work);

/* A row that was read and is not held: the cursor cannot pass it until it is over. */
struct window_row {
    int64_t row;
    bool over;
};

struct window {
    struct window_row *rows; /* a ring */
    size_t size, first, n, n_over;
};

struct forwarder {
    struct forwarder_config config;
    sd_event *loop;
    struct feed *feed;
    struct state *state;
    struct state_facts *facts; /* the state's */
    struct target *target;
    struct lanes *lanes;
    struct timestamp time;

    struct works all, ready;
    size_t n_all, n_in_flight;
    uint64_t bytes; /* of the bodies in memory */
    uint64_t next_number;
    bool full;          /* the target took no more than it has, */
    int64_t full_until; /* and is asked again then */

    struct window window;
    int64_t read;                  /* the row that was read last */
    int64_t skip[STATE_AHEAD_MAX]; /* rows that were over at the last end */
    size_t n_skip;
    bool more; /* there may be rows behind it */
    bool open; /* the inbox is */

    /* What the state holds, as it was counted last, and what was added since. Times are monotonic. */
    struct state_numbers numbers;
    int64_t count_at;
    bool too_many; /* lanes wait for a retry, which was said */

    bool dirty;         /* something is to be saved */
    int64_t durable_at; /* when what was saved has to be on the disk; INT64_MAX for nothing */

    /* Trouble with the target; times are monotonic. */
    int64_t failed_since; /* since the last success, 0 for none */
    bool failing;
    int64_t wait_until, backoff; /* before the next attempt of all; 0 for none */

    bool paused, stirred, stopping, cancelling, done, failed;
    int64_t stop_by;
    uint64_t changes; /* of what an operator has to know */
};

enum { WAITING_MAX = 256 /* events in memory that are not in flight */ };

/* work.c */
int work_new(struct forwarder *f, const struct record *r, struct work **ret);
void work_free(struct forwarder *f, struct work *w);
int window_new(struct window *w, size_t size);
void window_add(struct window *w, int64_t row);
void window_end(struct window *w, int64_t row); /* that row is over; nothing where it is not in it */
/* Moves the cursor as far as everything is over, and takes note of what is over behind it. Where that is too much,
 * the first event is held, so that the cursor can pass it. Returns 0 or a negative errno. */
int window_settle(struct forwarder *f);

/* outcome.c */
void forwarder_outcome(void *userdata, const struct target_event *e, const struct target_outcome *o);
void forwarder_note_error(struct forwarder *f, const char *error);
void forwarder_check_failing(struct forwarder *f, int64_t now);
int forwarder_pause(struct forwarder *f, const char *why);

/* Holds what is due at a time since 1970, or behind its lane, and takes it out of memory. */
int forwarder_hold(struct forwarder *f, struct work *w, int64_t due, const char *error);

/* meet.c: the inbox was opened, perhaps another one than before; something new is there, or something gone. */
int forwarder_meet_inbox(struct forwarder *f);
int forwarder_meet_news(struct forwarder *f);

/* Counts and says events that the inbox let go before they were handed on. */
void forwarder_let_go(struct forwarder *f, int64_t n, const char *how);

/* Ends the loop, since nothing can go on. */
void forwarder_fail(struct forwarder *f, int error);
