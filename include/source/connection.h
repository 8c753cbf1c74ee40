/* connection.h: which connections there are, what each is doing and since when, and which has to go. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/buffer.h"
#include "source/body.h"

struct MHD_Connection;
struct http_daemon;

/* What a connection is doing. Each phase has a time it may last, so that a list a phase, oldest first, is
 * sorted by deadline. */
enum connection_phase {
    PHASE_CONNECTED, /* no request line yet */
    PHASE_KEPT,      /* answered, and no new request line yet */
    PHASE_ENDED,     /* the same, and the client ended its side */
    PHASE_READING,   /* from the end of the request line to the last byte of the body */
    PHASE_RECORDING, /* complete: until the commit, or held because it could not be recorded */
    PHASE_ANSWERING, /* until the answer has left */
    PHASE_CUT,       /* shut down here; the library has not closed it yet */
    PHASES,
};

/* What the handler does at its next call. */
enum connection_step {
    STEP_IDLE,
    STEP_BEGIN,
    STEP_COLLECT,
    STEP_WAIT, /* for the commit, which comes before the library runs for anything else */
    STEP_HOLD, /* since it could not be recorded: suspends the connection */
    STEP_ANSWER,
    STEP_CLOSE,
};

struct connection {
    TAILQ_ENTRY(connection) entry;
    enum connection_phase phase;
    int64_t since;   /* when the phase began: monotonic microseconds */
    bool served;     /* it has had an answer */
    const char *cut; /* why it was shut down here; NULL where it was not */
    struct MHD_Connection *mhd;
    struct http_daemon *daemon;
    int fd;
    char remote[64];

    /* The request under way. */
    enum connection_step step;
    const char *method;    /* the library's, while the request lasts */
    char shown_method[16]; /* for a word about it when the library has let it go */
    struct buffer target;  /* as it came */
    bool right_path, health;
    struct body body;
    int64_t arrived; /* when it was complete: microseconds since 1970 */
    bool put;        /* the recorder has it once the next commit succeeds */
    bool suspended;  /* the library lets it rest */
};

TAILQ_HEAD(connection_list, connection);

struct connections {
    struct connection_list phase[PHASES];
    int64_t lasts[PHASES]; /* microseconds; 0 for no deadline */
    size_t n, max;
};

void connections_init(struct connections *all, size_t max);

/* Adds one that was just accepted. When that makes too many, shuts down the oldest that has no complete
 * request. */
void connections_add(struct connections *all, struct connection *c, int64_t now);
void connections_remove(struct connections *all, struct connection *c);

void connection_enter(struct connections *all, struct connection *c, enum connection_phase phase,
                      int64_t now);

/* Shuts the connection down, so that the library finds it ended and closes it. why is constant. */
void connection_cut(struct connections *all, struct connection *c, const char *why, int64_t now);

/* Shuts down all that have lasted too long. Returns when the next one will have, or INT64_MAX. */
int64_t connections_expire(struct connections *all, int64_t now);

/* Whether the client ever sent a byte on it, and whether it ended its side; true where that cannot be known.
 */
bool connection_sent_bytes(const struct connection *c, bool *ret_client_ended);
