/* state.h: what a forwarder remembers of its target: the cursor, the events it holds for later, the dead
 * letters, and whether somebody paused it. A SQLite database beside the inbox, forward/NAME.db.
 *
 * The forwarder is its only owner and knows so by a lock; commands change what is held, dead and paused while it
 * runs, in short transactions, and the forwarder sees that they did by state_changed(). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    STATE_AHEAD_MAX = 64, /* rows behind the cursor that are over already */
    STATE_ERROR_MAX = 400,
    STATE_TAKE_MAX = 64, /* events that are taken at a time */
};

/* What is read at the opening and written by state_save(). Times are microseconds since 1970. */
struct state_facts {
    bool begun;     /* it was decided with which event it begins */
    char inbox[40]; /* the uuid of the inbox that all rows are of; "" where it has none */
    int64_t cursor; /* of every event up to this row it is decided: done, held, dead or not wanted */
    int64_t ahead[STATE_AHEAD_MAX]; /* later rows that are done, too; ascending */
    size_t n_ahead;
    int64_t newest; /* the highest row that was seen in the inbox */
    uint64_t handed_on, retried, died, let_go;
    int64_t last_time;     /* of the last event that the target took; 0 for none */
    int64_t failing_since; /* 0 while it works */
    int64_t error_time;
    char error[STATE_ERROR_MAX];  /* the last one */
    char target[STATE_ERROR_MAX]; /* kind and place */
};

/* An event that is handed on later. */
struct state_held {
    int64_t row;
    const char *key, *id;
    unsigned attempts;   /* that failed */
    int64_t first, last; /* when it was tried first and last; 0 for never */
    int64_t due;         /* when it is tried next; STATE_BEHIND, or STATE_TAKEN */
    const char *error;   /* of the last attempt; NULL for none */
    bool replay;
};

/* Instead of a time: it waits for one of its lane, or it is in flight. */
#define STATE_BEHIND INT64_MIN
#define STATE_TAKEN  INT64_MAX

/* A dead letter. */
struct state_dead {
    int64_t letter; /* its number */
    int64_t row;    /* 0 where its inbox is another one by now */
    const char *key, *id, *type, *error;
    unsigned attempts;
    int64_t first, last;
};

enum state_use {
    STATE_READ,   /* also where one may only read */
    STATE_CHANGE, /* by a command */
    STATE_OWN,    /* by the forwarder, which makes it where there is none */
};

struct state;

/* Returns 0; -ENOENT when there is none; -EBUSY when another forwarder owns it; or another negative errno, logged
 * unless it is one of these two. */
int state_open(const char *path, enum state_use use, struct state **ret);
struct state *state_free(struct state *s);

/* Whether a forwarder owns the state at path. */
bool state_is_owned(const char *path);

struct state_facts *state_facts(struct state *s);

/* Everything below but the reading happens in a transaction, which begins by itself. state_save() writes the
 * facts and commits: the state then survives the death of the process, and with durable that of the machine.
 * All return 0 or a negative errno, logged; after that the state is of no use any more. */
int state_save(struct state *s, bool durable);
int state_commit(struct state *s); /* without the facts: for commands */

/* Holds an event, or changes one that is held. */
int state_hold(struct state *s, const struct state_held *h);
int state_unhold(struct state *s, int64_t row);
int state_put_behind(struct state *s, int64_t row); /* it was taken, and waits for its lane again */

/* The first of the lane that waits is due now, where none of it is due or in flight. */
int state_release(struct state *s, const char *key, int64_t now);
int state_release_all(struct state *s, int64_t now); /* of every lane */

/* What failed at `since` or later is due now, whatever its own schedule says: the target works again. */
int state_hasten(struct state *s, int64_t since, int64_t now);

/* Nothing waits longer than until then, as after a clock that leapt. */
int state_limit(struct state *s, int64_t latest);

/* Takes up to max events that are due, the most overdue first, and marks them as taken. With any, the first
 * that waits for a retry is taken even if it is not due. Calls take for each. */
int state_take(struct state *s, int64_t now, bool any, size_t max,
               int (*take)(void *userdata, const struct state_held *h), void *userdata);

/* Whether an event of the lane is held. */
int state_has_lane(struct state *s, const char *key, bool *ret);

struct state_numbers {
    int64_t held;     /* events */
    int64_t retrying; /* lanes whose first event waits for a retry */
    int64_t due;      /* when the next one is due; INT64_MAX for never */
    int64_t dead;
};
int state_numbers(struct state *s, struct state_numbers *ret);
int state_next_due(struct state *s, int64_t *ret); /* the number `due` alone, which costs little */

/* Dead letters. state_bury() gives it its number, and the event is no longer held. state_revive() makes a held
 * event of one, due now, and returns 1; or 0 where it cannot. state_each_dead() calls show for each, the oldest
 * first, until it returns other than 0. */
int state_bury(struct state *s, const struct state_dead *d);
int state_revive(struct state *s, int64_t letter, int64_t now);
int state_drop(struct state *s, int64_t letter);
int state_each_dead(struct state *s, int (*show)(void *userdata, const struct state_dead *d), void *userdata);

/* The inbox is another one: what is held is forgotten, and its number returned. */
int state_leave_inbox(struct state *s, int64_t *ret_held);

/* Whether a target is paused (1) or not (0), since when and why; ret_why has STATE_ERROR_MAX bytes. */
int state_paused(struct state *s, int64_t *ret_since, char *ret_why);
int state_pause(struct state *s, int64_t now, const char *why);
int state_resume(struct state *s);

/* Whether another process changed something since the last call. */
bool state_changed(struct state *s);

static inline void state_free_p(struct state **s)
{
    state_free(*s);
}
