/* http_request.c: what libmicrohttpd calls: a connection comes, its request line, head and body, its end.
 * Every request is answered 200, whatever it is. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/text.h"
#include "http_private.h"

static const char page[] = "vodhook is up and receives event notifications on this address.\n";
static const char mask[] = "***";

enum { SHOWN_TARGET = 200 /* bytes of a target in a line about a request that was cut short */ };

/* --- The request ------------------------------------------------------------------------------------- */

/* The path of a request target: without the query, and without scheme and authority where a proxy sent them.
 */
static struct slice target_path(const char *target)
{
    const char *path = target;
    if (*target != '/') {
        const char *scheme_end = strstr(target, "://");
        const char *slash = scheme_end ? strchr(scheme_end + 3, '/') : NULL;
        if (slash)
            path = slash;
    }
    return (struct slice){path, strcspn(path, "?#")};
}

/* Whether the path is one that has to be kept secret. */
static bool secret_path(const struct http *h)
{
    return h->config.path.len > 1;
}

/* The text with the secret path taken out, wherever it stands in it. Valid until h->masked is emptied. */
static struct slice masked(struct http *h, struct slice text)
{
    struct slice path = h->config.path;
    const char *found = secret_path(h) ? memmem(text.data, text.len, path.data, path.len) : NULL;
    if (!found)
        return text;
    size_t start = h->masked.len;
    for (const char *from = text.data, *end = text.data + text.len; from < end;) {
        found = memmem(from, (size_t)(end - from), path.data, path.len);
        buffer_append(&h->masked, from, (size_t)((found ? found : end) - from));
        if (!found)
            break;
        buffer_puts(&h->masked, mask);
        from = found + path.len;
    }
    if (h->masked.failed)
        return slice_of(mask);
    return (struct slice){h->masked.data + start, h->masked.len - start};
}

static enum MHD_Result on_header(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_len,
                                 const char *value, size_t value_len)
{
    (void)kind;
    struct http *h = cls;
    if (h->n_headers == h->headers_cap)
        return MHD_NO;
    h->headers[h->n_headers++] = (struct header){{name, name_len}, {value, value ? value_len : 0}};
    return MHD_YES;
}

static void collect_headers(struct http *h, struct connection *c)
{
    int n = MHD_get_connection_values(c->mhd, MHD_HEADER_KIND, NULL, NULL);
    h->n_headers = 0;
    if ((size_t)n > h->headers_cap) {
        struct header *headers = reallocarray(h->headers, (size_t)n, sizeof *headers);
        if (headers) {
            h->headers = headers;
            h->headers_cap = (size_t)n;
        }
    }
    MHD_get_connection_values_n(c->mhd, MHD_HEADER_KIND, on_header, h);
    if (!secret_path(h))
        return;
    /* The texts that are masked stand in one buffer, which must not move while they are collected. */
    size_t most = 0;
    for (size_t i = 0; i < h->n_headers; i++)
        most += h->headers[i].value.len * 2 + sizeof mask;
    buffer_reserve(&h->masked, most + c->target.len * 2 + sizeof mask);
    for (size_t i = 0; i < h->n_headers; i++)
        h->headers[i].value = masked(h, h->headers[i].value);
}

/* Hands the complete request of a connection to the recorder. Returns as recorder_put(). */
static struct arrival arrival_of(struct http *h, struct connection *c)
{
    buffer_reset(&h->masked, 4096);
    collect_headers(h, c);
    return (struct arrival){
        .source = SOURCE_PUSH,
        .remote = c->remote,
        .time = c->arrived,
        .right_path = c->right_path,
        .post = strcmp(c->method, MHD_HTTP_METHOD_POST) == 0,
        .truncated = c->body.truncated,
        .body = body_slice(&c->body),
        .body_bytes = c->body.total,
        .method = slice_of(c->method),
        .target = masked(h, buffer_slice(&c->target)),
        .headers = h->headers,
        .n_headers = h->n_headers,
    };
}

int http_record(struct http *h, struct connection *c, bool again)
{
    struct arrival arrival = arrival_of(h, c);
    arrival.again = again;
    return intake_put(h->intake, &arrival, NULL);
}

void http_give_up(struct http *h, struct connection *c, const char *how)
{
    struct arrival arrival = arrival_of(h, c);
    arrival.given_up = how;
    intake_put(h->intake, &arrival, NULL);
}

/* --- The answer -------------------------------------------------------------------------------------- */

int http_answers_new(struct http *h)
{
    for (int closing = 0; closing < 2; closing++) {
        struct MHD_Response *empty = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
        struct MHD_Response *text =
            MHD_create_response_from_buffer(sizeof page - 1, (void *)page, MHD_RESPMEM_PERSISTENT);
        h->answers[ANSWER_EMPTY][closing] = empty;
        h->answers[ANSWER_PAGE][closing] = text;
        if (!empty || !text ||
            MHD_add_response_header(text, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain; charset=utf-8") !=
                MHD_YES)
            return -ENOMEM;
        if (closing && (MHD_add_response_header(empty, MHD_HTTP_HEADER_CONNECTION, "close") != MHD_YES ||
                        MHD_add_response_header(text, MHD_HTTP_HEADER_CONNECTION, "close") != MHD_YES))
            return -ENOMEM;
    }
    return 0;
}

void http_answers_free(struct http *h)
{
    for (int answer = 0; answer < ANSWERS; answer++)
        for (int closing = 0; closing < 2; closing++)
            if (h->answers[answer][closing])
                MHD_destroy_response(h->answers[answer][closing]);
}

static bool is_browser(const char *method)
{
    return strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
}

/* From 1.0 on the library takes no 2xx for CONNECT, since it would open a tunnel. */
static unsigned status_for(const char *method)
{
    return MHD_VERSION >= 0x01000000 && strcmp(method, MHD_HTTP_METHOD_CONNECT) == 0
               ? MHD_HTTP_NOT_IMPLEMENTED
               : MHD_HTTP_OK;
}

static enum MHD_Result respond(struct http *h, struct connection *c)
{
    bool browser = is_browser(c->method);
    c->step = STEP_ANSWER;
    connection_enter(&h->connections, c, PHASE_ANSWERING, http_now(h));
    body_reset(&c->body, &h->limits);
    return MHD_queue_response(c->mhd, status_for(c->method),
                              h->answers[browser ? ANSWER_PAGE : ANSWER_EMPTY][h->draining]);
}

static enum MHD_Result suspend(struct connection *c)
{
    c->suspended = true;
    MHD_suspend_connection(c->mhd);
    return MHD_YES;
}

/* The last byte is here: answers at once when it is recorded at once, else after the commit of this round. */
static enum MHD_Result complete(struct http *h, struct connection *c)
{
    if (c->health)
        return respond(h, c);
    c->arrived = clock_now(CLOCK_REALTIME);
    int r = http_record(h, c, false);
    if (r == 0)
        return respond(h, c);
    h->uncommitted += r > 0;
    if (c->phase == PHASE_CUT)
        return MHD_NO;
    c->put = r > 0;
    c->step = r > 0 ? STEP_WAIT : STEP_HOLD;
    connection_enter(&h->connections, c, PHASE_RECORDING, http_now(h));
    if (r > 0)
        return MHD_YES;
    http_hold(h);
    return suspend(c);
}

/* --- The library's callbacks ------------------------------------------------------------------------- */

enum MHD_Result http_on_request(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
                                const char *version, const char *upload, size_t *upload_size, void **context)
{
    (void)mhd;
    (void)version;
    struct http *h = ((struct http_daemon *)cls)->http;
    struct connection *c = *context;
    if (!c)
        return MHD_NO;
    switch (c->step) {
    case STEP_BEGIN:
        c->step = STEP_COLLECT;
        c->method = method;
        snprintf(c->shown_method, sizeof c->shown_method, "%s", method);
        c->health = strcmp(url, "/healthz") == 0 && is_browser(method);
        return MHD_YES;
    case STEP_COLLECT:
        if (!*upload_size)
            return complete(h, c);
        if (body_append(&c->body, &h->limits, upload, *upload_size) < 0) {
            c->cut = "the body is far too large";
            c->arrived = clock_now(CLOCK_REALTIME);
            /* Its head is kept; there is no answer that could wait for it. */
            h->uncommitted += http_record(h, c, false) > 0;
            return MHD_NO;
        }
        *upload_size = 0;
        return MHD_YES;
    case STEP_WAIT:
        return MHD_YES;
    case STEP_HOLD:
        return suspend(c);
    case STEP_ANSWER:
        return respond(h, c);
    case STEP_CLOSE:
    case STEP_IDLE:
        break;
    }
    return MHD_NO;
}

/* Takes the query out of the library's own copy, which it parses next: each argument would take room in the
 * connection's memory, so that a head of a few kilobytes could fill it, and nobody asks for them. */
static void drop_query(const char *target)
{
    char *query = strchr((char *)target, '?');
    if (query)
        query[1] = '\0';
}

void *http_on_target(void *cls, const char *target, struct MHD_Connection *mhd)
{
    struct http *h = cls;
    struct connection *c = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    if (!c)
        return NULL;
    connection_enter(&h->connections, c, PHASE_READING, http_now(h));
    http_expect_deadline(h, http_now(h) + h->connections.lasts[PHASE_READING]);
    body_reset(&c->body, &h->limits);
    buffer_reset(&c->target, 1024);
    buffer_puts(&c->target, target);
    c->step = STEP_BEGIN;
    snprintf(c->shown_method, sizeof c->shown_method, "A request for");
    c->right_path = !h->config.path.data || text_equal_secret(target_path(target), h->config.path);
    drop_query(target);
    return c;
}

static void connection_opened(struct http_daemon *d, struct MHD_Connection *mhd, void **context)
{
    struct http *h = d->http;
    struct connection *c = calloc(1, sizeof *c);
    *context = c;
    if (!c)
        return;
    c->mhd = mhd;
    c->daemon = d;
    c->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    const struct sockaddr *address =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
    format_address(address, sizeof(struct sockaddr_storage), c->remote, sizeof c->remote);
    connections_add(&h->connections, c, http_now(h));
    http_expect_deadline(h, http_now(h) + h->connections.lasts[PHASE_CONNECTED]);
}

/* Says what became of a connection whose last request was never complete. One that is closed between two
 * requests, or that never sent a byte, needs no word. */
static void connection_explain(struct http *h, struct connection *c)
{
    bool reading = c->step == STEP_BEGIN || c->step == STEP_COLLECT;
    if (!reading && c->served && !h->refused_with)
        return; /* as most do: what the kernel knows of it need not be asked */
    bool client_ended;
    bool sent = connection_sent_bytes(c, &client_ended);
    bool begun = c->step == STEP_IDLE && (c->served ? h->refused_with != 0 : sent);
    if (!reading && !begun)
        return;
    h->stats.broken++;
    if (!rate_limit_allow(h->strangers, http_now(h)))
        return;
    char why[64];
    if (h->refused_with)
        snprintf(why, sizeof why, "libmicrohttpd refused it with %u", h->refused_with);
    else
        snprintf(why, sizeof why, "%s",
                 c->cut         ? c->cut
                 : client_ended ? "the client ended it"
                                : "it is no HTTP");
    if (begun) {
        log_notice("A connection from %s ended without a request: %s", c->remote, why);
        return;
    }
    buffer_reset(&h->masked, 4096);
    struct slice target = masked(h, buffer_slice(&c->target));
    log_notice("%s %.*s from %s was cut short after %" PRIu64 " bytes of its body: %s", c->shown_method,
               target.len < SHOWN_TARGET ? (int)target.len : SHOWN_TARGET, target.data, c->remote,
               c->body.total, why);
}

static void connection_closed(struct http *h, void **context)
{
    struct connection *c = *context;
    *context = NULL;
    if (!c)
        return;
    connection_explain(h, c);
    h->refused_with = 0;
    connections_remove(&h->connections, c);
    body_reset(&c->body, &h->limits);
    buffer_done(&c->target);
    free(c);
}

void http_on_connection(void *cls, struct MHD_Connection *mhd, void **context,
                        enum MHD_ConnectionNotificationCode what)
{
    struct http_daemon *d = cls;
    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        connection_opened(d, mhd, context);
    else
        connection_closed(d->http, context);
}

void http_on_completed(void *cls, struct MHD_Connection *mhd, void **context,
                       enum MHD_RequestTerminationCode how)
{
    (void)mhd;
    struct http *h = cls;
    struct connection *c = *context;
    if (!c || how != MHD_REQUEST_TERMINATED_COMPLETED_OK)
        return;
    c->step = STEP_IDLE;
    c->served = true;
    /* A client that ended its side together with its request: the library does not notice and would wait.
     * Requests that it had sent before may still be in the library's buffer. */
    char byte;
    bool ended = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
    enum connection_phase phase = ended ? PHASE_ENDED : PHASE_KEPT;
    connection_enter(&h->connections, c, phase, http_now(h));
    http_expect_deadline(h, http_now(h) + h->connections.lasts[phase]);
}

/* The library does not say which connection it means; it closes that one next. Its texts have been the same
 * since 0.9.71. */
void http_on_log(void *cls, const char *format, va_list ap)
{
    struct http *h = cls;
    char message[512];
    vsnprintf(message, sizeof message, format, ap);
    if (sscanf(message, "Error processing request (HTTP response code is %u", &h->refused_with) == 1 ||
        strstr(message, "onnection socket is closed") || strstr(message, "ocket has been disconnected") ||
        strstr(message, "closed by remote side") || strstr(message, "Failed to send") ||
        strstr(message, "Application reported internal error"))
        return;
    message[strcspn(message, "\n")] = '\0';
    if (rate_limit_allow(h->strangers, http_now(h)))
        log_notice("libmicrohttpd: %s", message);
}
