/* connection.h: the open connections, in one list for each state, oldest first, and their deadlines. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "source/body.h"

/* http.c says who moves a connection from one state to the next. */
enum connection_state {
    CONNECTION_SILENT,    /* accepted; has not sent a byte */
    CONNECTION_LINE,      /* its first request line is not complete */
    CONNECTION_KEPT,      /* answered a moment ago; the next request line is not complete */
    CONNECTION_IDLE,      /* the same for longer, and the client has not ended its side */
    CONNECTION_READING,   /* from the request line to the last byte of the body */
    CONNECTION_COMPLETE,  /* the request is complete and waits for room in a round */
    CONNECTION_PUT,       /* the next commit records it */
    CONNECTION_HELD,      /* recording failed; libmicrohttpd does not know yet */
    CONNECTION_SUSPENDED, /* the same, and libmicrohttpd lets it rest until recording succeeds */
    CONNECTION_RECORDED,  /* its answer is due */
    CONNECTION_LOST,      /* recording failed for too long: it is to be closed without an answer */
    CONNECTION_ANSWERING, /* the answer has not left yet */
    CONNECTION_CUT,       /* shut down here; libmicrohttpd has not closed it yet */
    CONNECTION_STATES,
};

struct http;
struct MHD_Connection;
struct sd_event_source;

struct connection {
    TAILQ_ENTRY(connection) entry;
    enum connection_state state;
    int64_t since; /* when the state began: monotonic microseconds */
    struct http *http;
    int fd;
    struct sd_event_source *first_byte; /* of a silent one: waits for the byte */
    struct MHD_Connection *mhd;
    char remote[64];

    /* The request under way. */
    char *method; /* NULL until the head is complete; a copy, since the line about the end is written later */
    char *target; /* as it came */
    bool right_path, health;
    struct body body;
    int64_t arrived; /* when it was complete: microseconds since 1970 */
};

TAILQ_HEAD(connection_list, connection);

struct connections {
    struct connection_list list[CONNECTION_STATES];
    int64_t lasts[CONNECTION_STATES]; /* microseconds; 0 for no deadline */
    size_t n;                         /* those that are not cut */
    size_t n_cut;
};

/* The time is what a request line, and again the rest of a request, may take. */
void connections_init(struct connections *all, int64_t request_timeout);

/* Adds one that was just accepted, as silent. */
void connections_add(struct connections *all, struct connection *c, int64_t now);
void connections_remove(struct connections *all, struct connection *c);

/* since: when the state began, now as a rule; not before that of the one that entered it last. */
void connection_enter(struct connections *all, struct connection *c, enum connection_state state,
                      int64_t since);

/* The one without a complete request that has been in its state for the longest time, or NULL. */
struct connection *connections_oldest_unfinished(const struct connections *all);

/* One whose deadline has passed, or NULL. Then *ret_next is the time of the next deadline, or INT64_MAX. */
struct connection *connections_expired(const struct connections *all, int64_t now, int64_t *ret_next);
