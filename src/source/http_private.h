/* http_private.h: what http.c (the loop) and http_request.c (the library's callbacks) share; nobody else's.
 */
#pragma once

#include <microhttpd.h>
#include <stdarg.h>
#include <systemd/sd-event.h>

#include "source/connection.h"
#include "source/http.h"
#include "source/listener.h"

/* sys/queue.h of the C library lacks it. */
#ifndef TAILQ_FOREACH_SAFE
#define TAILQ_FOREACH_SAFE(var, head, field, next) \
    for ((var) = TAILQ_FIRST(head); (var) && ((next) = TAILQ_NEXT(var, field), 1); (var) = (next))
#endif

/* One a listening socket. */
struct http_daemon {
    struct http *http;
    struct MHD_Daemon *mhd;
    int fd; /* listening; borrowed */
    sd_event_source *source;
    bool ready; /* the library wants to run */
};

/* The answers, made once. Each exists twice: while the program drains, it says `Connection: close`. */
enum answer { ANSWER_EMPTY, ANSWER_PAGE, ANSWERS };

struct http {
    struct http_config config;
    struct http_stats stats;
    sd_event *loop;
    struct intake *intake;
    struct recorder *recorder;
    struct rate_limit *strangers;

    struct http_daemon daemons[LISTENERS_MAX];
    size_t n_daemons;
    struct connections connections;
    struct body_limits limits;
    struct MHD_Response *answers[ANSWERS][2];

    size_t uncommitted; /* records put since the last commit */
    bool holding;       /* the retry timer runs */
    bool draining;
    int64_t deadline; /* when the deadline timer runs out; INT64_MAX when it is off */
    sd_event_source *deadline_timer, *retry_timer, *again;

    unsigned
        refused_with; /* the status the library last answered by itself, until that connection is closed */
    struct header *headers; /* of the request that is being recorded */
    size_t headers_cap, n_headers;
    struct buffer masked; /* holds texts with the secret path taken out, for the same time */
};

/* http.c */
int64_t http_now(const struct http *h);
void http_round(struct http *h);
void http_hold(struct http *h);
void http_expect_deadline(struct http *h, int64_t at);

/* http_request.c */
int http_record(struct http *h, struct connection *c, bool again);

/* Says that the request could not be recorded, and how it ends. */
void http_give_up(struct http *h, struct connection *c, const char *how);
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
