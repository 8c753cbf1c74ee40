/* http_request.c: what libmicrohttpd calls: a connection comes, its request line, head and body, its end.
 * Every request is answered 200, whatever it is. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/text.h"
#include "http_private.h"

static const char healthy[] = "ok\n";
static const char page[] = "vodhook is up and receives event notifications on this address.\n";
static const char mask[] = "***";

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
    buffer_reserve(&h->masked, most + strlen(c->target) * 2 + sizeof mask);
    for (size_t i = 0; i < h->n_headers; i++)
        h->headers[i].value = masked(h, h->headers[i].value);
}

static struct arrival arrival_of(struct http *h, struct connection *c)
{
    buffer_reset(&h->masked, 4096);
    collect_headers(h, c);
    return (struct arrival){
        .source = SOURCE_PUSH,
        .remote = c->remote,
        .time = c->arrived,
        .right_path = c->right_path,
        .secret_path = c->right_path && h->config.path.data,
        .post = strcmp(c->method, MHD_HTTP_METHOD_POST) == 0,
        .truncated = c->body.truncated,
        .body = body_slice(&c->body),
        .body_bytes = c->body.total,
        .method = slice_of(c->method),
        .target = masked(h, slice_of(c->target)),
        .headers = h->headers,
        .n_headers = h->n_headers,
    };
}

/* Hands the complete request of a connection to the recorder. Returns as recorder_put(). */
int http_record(struct http *h, struct connection *c, bool again)
{
    struct arrival arrival = arrival_of(h, c);
    arrival.again = again;
    h->round_events++;
    h->round_bytes += c->body.len;
    return intake_put(h->intake, &arrival, NULL);
}

/* --- The answer -------------------------------------------------------------------------------------- */

static struct MHD_Response *make_answer(struct slice text, bool closing)
{
    struct MHD_Response *answer =
        MHD_create_response_from_buffer(text.len, (void *)text.data, MHD_RESPMEM_MUST_COPY);
    bool made = answer && (!text.len || MHD_add_response_header(answer, MHD_HTTP_HEADER_CONTENT_TYPE,
                                                                "text/plain; charset=utf-8") == MHD_YES);
    if (made && closing)
        made = MHD_add_response_header(answer, MHD_HTTP_HEADER_CONNECTION, "close") == MHD_YES;
    if (made || !answer)
        return answer;
    MHD_destroy_response(answer);
    return NULL;
}

int http_answers_new(struct http *h)
{
    const char *const texts[ANSWERS] = {"", page, healthy};
    for (int answer = 0; answer < ANSWERS; answer++)
        for (int closing = 0; closing < 2; closing++)
            if (!(h->answers[answer][closing] = make_answer(slice_of(texts[answer]), closing)))
                return -ENOMEM;
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

/* The page of one who looks whether all is well, while it is not. */
static enum MHD_Result respond_with_trouble(struct http *h, struct connection *c)
{
    cleanup(buffer_done) struct buffer text = {0};
    buffer_puts(&text, c->health ? "" : page);
    recorder_write_health(h->recorder, &text, "cannot record", "closed unanswered");
    buffer_putc(&text, '\n');
    struct MHD_Response *answer = make_answer(buffer_slice(&text), h->draining);
    enum MHD_Result queued = answer ? MHD_queue_response(c->mhd, status_for(c->method), answer) : MHD_NO;
    if (answer)
        MHD_destroy_response(answer);
    return queued;
}

static enum MHD_Result respond(struct http *h, struct connection *c)
{
    bool browser = is_browser(c->method);
    http_enter(h, c, CONNECTION_ANSWERING);
    body_reset(&c->body, &h->limits);
    if (browser && recorder_health(h->recorder)->since)
        return respond_with_trouble(h, c);
    enum answer answer = c->health ? ANSWER_HEALTH : browser ? ANSWER_PAGE : ANSWER_EMPTY;
    return MHD_queue_response(c->mhd, status_for(c->method), h->answers[answer][h->draining]);
}

/* --- The request's way ------------------------------------------------------------------------------------
 */

static enum MHD_Result record(struct http *h, struct connection *c)
{
    if (http_round_full(h))
        return MHD_YES;
    int r = http_record(h, c, false);
    if (r == 0)
        return respond(h, c);
    h->uncommitted += r > 0;
    http_enter(h, c, r > 0 ? CONNECTION_PUT : CONNECTION_HELD);
    if (r < 0)
        http_hold(h);
    return MHD_YES;
}

static enum MHD_Result complete(struct http *h, struct connection *c)
{
    c->arrived = clock_now(CLOCK_REALTIME);
    if (c->health)
        return respond(h, c);
    http_enter(h, c, CONNECTION_COMPLETE);
    return record(h, c);
}

/* For want of memory there is no answer, since it would be a lie. */
static enum MHD_Result collect(struct http *h, struct connection *c, const char *data, size_t *size)
{
    char why[128];
    switch (body_append(&c->body, &h->limits, c->right_path ? LIMIT_BODY : BODY_HEAD, data, *size)) {
    case BODY_TAKEN:
        *size = 0;
        return MHD_YES;
    case BODY_NO_MEMORY:
        snprintf(why, sizeof why,
                 "there is no memory for it (max-memory), and it gets no answer, as %" PRIu64 " before",
                 h->n_without_memory++);
        http_explain(h, c, why);
        break;
    case BODY_ENDLESS:
        http_explain(h, c, "the body is far too large");
        c->arrived = clock_now(CLOCK_REALTIME);
        h->uncommitted += http_record(h, c, false) > 0;
        break;
    }
    http_enter(h, c, CONNECTION_CUT);
    return MHD_NO;
}

enum MHD_Result http_on_request(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
                                const char *version, const char *upload, size_t *upload_size, void **context)
{
    (void)version;
    struct http *h = cls;
    struct connection *c = *context;
    if (!c)
        return MHD_NO;
    switch (c->state) {
    case CONNECTION_READING:
        if (c->method)
            return *upload_size ? collect(h, c, upload, upload_size) : complete(h, c);
        c->method = strdup(method);
        c->health = strcmp(url, "/healthz") == 0 && is_browser(method);
        return c->method ? MHD_YES : MHD_NO;
    case CONNECTION_COMPLETE:
        return record(h, c);
    case CONNECTION_PUT:
    case CONNECTION_SUSPENDED:
        return MHD_YES;
    case CONNECTION_HELD:
        http_enter(h, c, CONNECTION_SUSPENDED);
        MHD_suspend_connection(mhd);
        return MHD_YES;
    case CONNECTION_RECORDED:
        return respond(h, c);
    default:
        return MHD_NO;
    }
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
    free(c->method);
    free(c->target);
    c->method = NULL;
    c->target = strdup(target);
    if (c->state == CONNECTION_CUT || !c->target)
        return NULL;
    http_enter(h, c, CONNECTION_READING);
    c->right_path = !h->config.path.data || text_equal_secret(target_path(target), h->config.path);
    drop_query(target);
    return c;
}

/* --- The end ----------------------------------------------------------------------------------------------
 */

/* Whether a line about a stranger's doing may be written. */
static bool may_say(struct http *h)
{
    return rate_limit_allow(h->strangers, http_now(h));
}

/* What a stranger sent stands last and in quotes, so that it cannot pass for words of the program. */
void http_explain(struct http *h, struct connection *c, const char *why)
{
    bool reading = c->state == CONNECTION_READING;
    if (c->state != CONNECTION_LINE && c->state != CONNECTION_SILENT && !reading)
        return;
    h->stats.broken++;
    if (!may_say(h))
        return;
    if (!reading) {
        log_notice("A connection from %s ended without a request: %s", c->remote, why);
        return;
    }
    cleanup(buffer_done) struct buffer request = {0}, quoted = {0};
    if (c->method)
        buffer_printf(&request, "%s ", c->method);
    buffer_reset(&h->masked, 4096);
    struct slice target = masked(h, slice_of(c->target));
    buffer_append(&request, target.data, target.len < SHOWN_TARGET ? target.len : SHOWN_TARGET);
    text_logfmt_value(&quoted, buffer_slice(&request));
    log_notice("A request from %s was cut short after %" PRIu64 " bytes of its body: %s: %.*s", c->remote,
               c->body.total, why, (int)quoted.len, quoted.data);
}

void http_lost(struct http *h, struct connection *c)
{
    struct arrival arrival = arrival_of(h, c);
    arrival.given_up = "its connection is closed without an answer";
    intake_put(h->intake, &arrival, NULL);
}

/* Whether the client has ended its side, and everything it sent before was read. */
bool http_client_ended(const struct connection *c)
{
    char byte;
    return recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* A kept connection that is closed in the round of its last answer was not to be kept. */
static void connection_closed(struct http *h, struct connection *c)
{
    bool kept = (c->state == CONNECTION_KEPT && c->since < http_now(h)) || c->state == CONNECTION_IDLE;
    bool ended =
        (c->state == CONNECTION_LINE || c->state == CONNECTION_READING || kept) && http_client_ended(c);
    if (kept && !ended)
        http_enter(h, c, CONNECTION_LINE);
    http_explain(h, c, ended ? "the client ended it" : "libmicrohttpd refused it");
    http_closed(h, c);
}

void http_on_connection(void *cls, struct MHD_Connection *mhd, void **context,
                        enum MHD_ConnectionNotificationCode what)
{
    struct http *h = cls;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        *context = h->adding;
        h->adding->mhd = mhd;
        h->adding = NULL;
    } else {
        connection_closed(h, *context);
    }
}

void http_on_completed(void *cls, struct MHD_Connection *mhd, void **context,
                       enum MHD_RequestTerminationCode how)
{
    (void)mhd;
    struct connection *c = *context;
    if (c && c->state == CONNECTION_ANSWERING && how == MHD_REQUEST_TERMINATED_COMPLETED_OK)
        http_enter(cls, c, CONNECTION_KEPT);
}

/* What the library says of a connection that ended is said in a better way when it closes; of a unix socket it
 * complains at each answer. */
void http_on_log(void *cls, const char *format, va_list ap)
{
    static const char *const dropped[] = {"Connection socket is closed",
                                          "Socket has been disconnected",
                                          "Connection was closed by remote",
                                          "Failed to send",
                                          "Application reported internal error",
                                          "Setting ",
                                          "Failed to push the data"};
    char message[512];
    vsnprintf(message, sizeof message, format, ap);
    message[strcspn(message, "\n")] = '\0';
    for (size_t i = 0; i < sizeof dropped / sizeof *dropped; i++)
        if (strncmp(message, dropped[i], strlen(dropped[i])) == 0)
            return;
    if (!may_say(cls))
        return;
    cleanup(buffer_done) struct buffer quoted = {0};
    text_logfmt_value(&quoted, slice_of(message));
    log_notice("libmicrohttpd says %.*s", (int)quoted.len, quoted.data);
}
