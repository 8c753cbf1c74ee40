/* http_private.h: what http.c (the loop) and http_request.c (the library's callbacks) share; nobody else's.
 */
#pragma once

#include <microhttpd.h>
#include <stdarg.h>
#include <systemd/sd-event.h>

#include "source/connection.h"
#include "source/http.h"
#include "source/listener.h"

/* The answers, made once. Each exists twice: while the program drains, it says `Connection: close`. */
enum answer { ANSWER_EMPTY, ANSWER_PAGE, ANSWER_HEALTH, ANSWERS };

struct http {
    struct http_config config;
    struct http_stats stats;
    sd_event *loop;
    struct intake *intake;
    struct recorder *recorder;
    struct rate_limit *strangers;

    sd_event_source *listening[LISTENERS_MAX];
    size_t n_listening;
    bool paused;  /* no socket is accepted from, for want of room */
    bool starved; /* the system lacks what a connection needs; that was said */
    struct MHD_Daemon *daemon;
    sd_event_source *daemon_source;
    bool ready;                /* the daemon wants to run */
    struct connection *adding; /* to the daemon, which has not named it yet */
    struct connections connections;
    struct body_limits limits;
    uint64_t n_without_memory; /* requests closed because of these limits */
    struct MHD_Response *answers[ANSWERS][2];

    int64_t round_ends;               /* when this round takes no further body; monotonic */
    size_t round_events, round_bytes; /* that it took */
    size_t uncommitted;               /* records put since the last commit */
    bool holding;                     /* the retry timer runs */
    bool draining;
    int64_t deadline; /* when the deadline timer runs out; INT64_MAX when it is off */
    sd_event_source *deadline_timer, *retry_timer, *accept_timer, *again;

    struct header *headers; /* of the request that is being recorded */
    size_t headers_cap, n_headers;
    struct buffer masked; /* holds texts with the secret path taken out, for the same time */
};

/* http.c */
int64_t http_now(const struct http *h);
void http_hold(struct http *h);
void http_enter(struct http *h, struct connection *c, enum connection_state state);
bool http_round_full(const struct http *h);
void http_closed(struct http *h, struct connection *c);

/* http_request.c */
int http_record(struct http *h, struct connection *c, bool again);
void http_explain(struct http *h, struct connection *c, const char *why);
void http_lost(struct http *h, struct connection *c);
bool http_client_ended(const struct connection *c);
int http_answers_new(struct http *h);
void http_answers_free(struct http *h);

/* Called by the library. */
enum MHD_Result http_on_request(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
                                const char *version, const char *upload, size_t *upload_size, void **context);
void *http_on_target(void *cls, const char *target, struct MHD_Connection *mhd);
void http_on_connection(void *cls, struct MHD_Connection *mhd, void **context,
                        enum MHD_ConnectionNotificationCode what);
void http_on_completed(void *cls, struct MHD_Connection *mhd, void **context,
                       enum MHD_RequestTerminationCode how);
void http_on_log(void *cls, const char *format, va_list ap);
