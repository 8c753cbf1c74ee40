/* http.c: posts events over connections that are kept, by libcurl's multi interface on the loop. */
#include "forward/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/secret.h"

enum {
    CONNECT_TIMEOUT = 10000, /* milliseconds */
    BYTES_IN_FLIGHT = 4 * 1024 * 1024,
    ANSWER_SHOWN = 200,       /* bytes of an answer that are kept for the error */
    ANSWER_MAX = 1024 * 1024, /* an answer that is longer is cut off */
    RETRY_AFTER_MAX = 86400,  /* seconds that a service may ask for */
    SOCKETS_AT_ONCE = 64,
    KEEP_ALIVE = 60, /* seconds */
};

struct http;
struct socket;

/* One request at a time, over a connection of its own where the service keeps it. */
struct slot {
    struct http *http;
    CURL *curl;
    const struct target_event *event; /* NULL while it is free */
    struct curl_slist *headers;
    char error[CURL_ERROR_SIZE];
    char answer[ANSWER_SHOWN + 1];
    size_t answer_len; /* of all that came */
};

struct http {
    struct target target;
    struct http_config config;
    CURLM *multi;
    sd_event_source *timer;
    struct slot *slots;
    int epoll; /* of the sockets */
    sd_event_source *ready;
    struct socket *sockets; /* by descriptor */
    size_t n_sockets;
    const char **headers; /* the list is owned */
    struct secret token;
    bool token_stale; /* the service did not take it: it is read again */
};

/* --- Headers -------------------------------------------------------------------------------------------- */

const char *http_check_url(const char *url)
{
    bool http = strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0;
    if (!http)
        return "is no URL that begins with http:// or https://";
    for (const char *p = url; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == 0x7F)
            return "has white space or a control character in it";
    return NULL;
}

const char *http_check_header(const char *header)
{
    static const char *const ours[] = {"content-type", "content-length",    "transfer-encoding",
                                       "webhook-id",   "webhook-timestamp", "webhook-signature"};
    size_t name =
        strspn(header, "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
    if (name == 0 || header[name] != ':')
        return "is not 'Name: value'";
    for (const char *p = header; *p; p++)
        if (((unsigned char)*p < ' ' && *p != '\t') || *p == 0x7F)
            return "has a control character in it";
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (strlen(ours[i]) == name && strncasecmp(header, ours[i], name) == 0)
            return "names a header that vodhook writes itself";
    return NULL;
}

static bool add_header(struct curl_slist **list, const char *name, const char *value)
{
    cleanup(buffer_done) struct buffer line = {0};
    buffer_printf(&line, "%s: ", name);
    /* What is no printable ASCII goes in per cent, as CloudEvents has it, and breaks no line. */
    for (const unsigned char *p = (const unsigned char *)value; *p; p++)
        if (*p > ' ' && *p < 0x7F && *p != '%' && *p != '"')
            buffer_putc(&line, (char)*p);
        else
            buffer_printf(&line, "%%%02X", *p);
    buffer_putc(&line, '\0');
    struct curl_slist *more = line.failed ? NULL : curl_slist_append(*list, line.data);
    if (more)
        *list = more;
    return more;
}

static bool add_line(struct curl_slist **list, const char *line)
{
    struct curl_slist *more = curl_slist_append(*list, line);
    if (more)
        *list = more;
    return more;
}

static bool add_signature(struct http *h, struct curl_slist **list, const struct target_event *e)
{
    cleanup(buffer_done) struct buffer line = {0};
    int64_t now = time(NULL);
    char stamp[64];
    snprintf(stamp, sizeof stamp, "webhook-timestamp: %" PRId64, now);
    bool ok = add_header(list, "webhook-id", e->id) && add_line(list, stamp);
    if (!ok || !h->config.keys.n)
        return ok;
    buffer_puts(&line, "webhook-signature: ");
    signature_put(&line, &h->config.keys, e->id, now, e->body);
    buffer_putc(&line, '\0');
    return !line.failed && add_line(list, line.data);
}

static int read_token(struct http *h)
{
    struct secret token = {0};
    if (!h->config.token_file)
        return 0;
    int r = secret_read(h->config.token_file, &token);
    if (r < 0)
        return r;
    for (size_t i = 0; i < token.len; i++)
        if (token.data[i] <= ' ' || token.data[i] == 0x7F) {
            secret_done(&token);
            return log_error_errno(EINVAL, "The token file %s has white space or a control character in it",
                                   h->config.token_file);
        }
    secret_done(&h->token);
    h->token = token;
    h->token_stale = false;
    return 0;
}

static bool make_headers(struct slot *s, const struct target_event *e)
{
    struct http *h = s->http;
    struct curl_slist **to = &s->headers;
    char name[64], attempt[16];
    snprintf(attempt, sizeof attempt, "%u", e->attempt);
    bool ok = add_header(to, "vodhook-attempt", attempt) && add_signature(h, to, e);
    if (ok && e->content_type) {
        char line[128];
        snprintf(line, sizeof line, "Content-Type: %s", e->content_type);
        ok = add_line(to, line);
    }
    ok = ok && add_line(to, "Expect:") && add_header(to, "vodhook-type", e->type ? e->type : "unreadable");
    if (ok && e->file_id)
        ok = add_header(to, "vodhook-file-id", e->file_id);
    if (ok && e->replay)
        ok = add_line(to, "vodhook-replay: yes");
    for (size_t i = 0; ok && i < e->n_attributes; i++) {
        snprintf(name, sizeof name, "ce-%.*s", (int)e->attributes[i].name.len, e->attributes[i].name.data);
        ok = add_header(to, name, e->attributes[i].value.data);
    }
    for (size_t i = 0; ok && i < h->config.n_headers; i++)
        ok = add_line(to, h->headers[i]);
    if (ok && h->token.len) {
        cleanup(buffer_done) struct buffer line = {0};
        buffer_printf(&line, "Authorization: Bearer %s%c", h->token.data, 0);
        ok = !line.failed && add_line(to, line.data);
        if (line.data)
            explicit_bzero(line.data, line.len);
    }
    return ok;
}

static void drop_headers(struct slot *s)
{
    for (struct curl_slist *line = s->headers; line; line = line->next)
        explicit_bzero(line->data, strlen(line->data));
    curl_slist_free_all(s->headers);
    s->headers = NULL;
}

/* --- Outcomes ------------------------------------------------------------------------------------------- */

static size_t on_answer(char *data, size_t size, size_t n, void *userdata)
{
    struct slot *s = userdata;
    size_t len = size * n;
    if (s->answer_len < ANSWER_SHOWN) {
        size_t part = len < ANSWER_SHOWN - s->answer_len ? len : ANSWER_SHOWN - s->answer_len;
        memcpy(s->answer + s->answer_len, data, part);
        s->answer[s->answer_len + part] = '\0';
    }
    s->answer_len += len;
    return s->answer_len > ANSWER_MAX ? 0 : len;
}

static enum target_result result_of(struct http *h, long status)
{
    if (status >= 200 && status < 300)
        return TARGET_DONE;
    if (status == 410)
        return TARGET_PAUSE;
    h->token_stale |= status == 401 || status == 403;
    return TARGET_RETRY;
}

static int64_t retry_after(struct slot *s, long status)
{
    curl_off_t seconds = 0;
    if (status != 429 && status != 503)
        return 0;
    curl_easy_getinfo(s->curl, CURLINFO_RETRY_AFTER, &seconds);
    return (seconds < RETRY_AFTER_MAX ? seconds : RETRY_AFTER_MAX) * INT64_C(1000000);
}

static void describe_error(struct slot *s, CURLcode code, long status, char *ret, size_t size)
{
    if (code != CURLE_OK && status < 200) {
        snprintf(ret, size, "%s", s->error[0] ? s->error : curl_easy_strerror(code));
        return;
    }
    s->answer[strcspn(s->answer, "\r\n")] = '\0';
    snprintf(ret, size, "HTTP %ld%s%s%s", status,
             status >= 300 && status < 400 ? ", which is not followed" : "", s->answer[0] ? ": " : "",
             s->answer);
}

static void free_slot(struct slot *s)
{
    curl_multi_remove_handle(s->http->multi, s->curl);
    curl_easy_setopt(s->curl, CURLOPT_HTTPHEADER, NULL);
    curl_easy_setopt(s->curl, CURLOPT_POSTFIELDS, NULL);
    drop_headers(s);
    s->event = NULL;
}

/* An answer that was cut short after its status is one all the same. */
static void end_request(struct slot *s, CURLcode code)
{
    char error[CURL_ERROR_SIZE + ANSWER_SHOWN + 64] = "";
    const struct target_event *e = s->event;
    struct target *t = &s->http->target;
    long status = 0;
    curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &status);
    struct target_outcome o = {.result = TARGET_RETRY};
    if (code == CURLE_OK || status >= 200)
        o.result = result_of(s->http, status);
    if (o.result != TARGET_DONE) {
        describe_error(s, code, status, error, sizeof error);
        o.error = error;
        o.retry_after = retry_after(s, status);
    }
    free_slot(s);
    t->context.outcome(t->context.userdata, e, &o);
}

static void take_ended(struct http *h)
{
    int left;
    CURLMsg *m;
    while ((m = curl_multi_info_read(h->multi, &left))) {
        struct slot *s = NULL;
        CURLcode code = m->data.result;
        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&s);
        end_request(s, code);
    }
}

/* --- The loop -------------------------------------------------------------------------------------------
 *
 * The sockets are in an epoll of their own, which is one source of the loop: answers that came together are taken in
 * one turn, and the forwarder writes them down in one transaction. libcurl does not watch a connection between two
 * requests; it stays in the epoll all the same, since leaving and coming back are system calls at every request. */

/* What is known of a descriptor. */
struct socket {
    uint32_t wanted, registered; /* events; registered is 0 where it is not in the epoll */
};

static struct socket *find_socket(struct http *h, int fd)
{
    if ((size_t)fd >= h->n_sockets) {
        size_t n = (size_t)fd + 64;
        struct socket *more = reallocarray(h->sockets, n, sizeof *more);
        if (!more)
            return NULL;
        memset(more + h->n_sockets, 0, (n - h->n_sockets) * sizeof *more);
        h->sockets = more;
        h->n_sockets = n;
    }
    return &h->sockets[fd];
}

static int register_socket(struct http *h, int fd, struct socket *s)
{
    struct epoll_event e = {.events = s->wanted, .data.fd = fd};
    int op = !s->wanted ? EPOLL_CTL_DEL : s->registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    s->registered = s->wanted;
    return epoll_ctl(h->epoll, op, fd, &e) < 0 ? -1 : 0;
}

/* What happens on a connection that nobody watches, such as its end, libcurl sees when it wants to use it. */
static void take_socket(struct http *h, int fd, uint32_t events)
{
    int action = 0, running;
    struct socket *s = find_socket(h, fd);
    if (s && !s->wanted) {
        if (s->registered)
            register_socket(h, fd, s);
        return;
    }
    if (events & EPOLLIN)
        action |= CURL_CSELECT_IN;
    if (events & EPOLLOUT)
        action |= CURL_CSELECT_OUT;
    if (events & (EPOLLERR | EPOLLHUP))
        action |= CURL_CSELECT_ERR;
    curl_multi_socket_action(h->multi, fd, action, &running);
}

static int on_sockets(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    (void)source;
    (void)events;
    struct http *h = userdata;
    struct epoll_event ready[SOCKETS_AT_ONCE];
    int n = epoll_wait(fd, ready, SOCKETS_AT_ONCE, 0);
    for (int i = 0; i < n; i++)
        take_socket(h, ready[i].data.fd, ready[i].events);
    take_ended(h);
    return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    (void)source;
    (void)usec;
    struct http *h = userdata;
    int running;
    curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    take_ended(h);
    return 0;
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *userdata, void *of_socket)
{
    (void)easy;
    (void)of_socket;
    struct http *h = userdata;
    struct socket *s = find_socket(h, fd);
    if (!s)
        return -1;
    s->wanted = what == CURL_POLL_REMOVE
                    ? 0
                    : (what & CURL_POLL_IN ? EPOLLIN : 0U) | (what & CURL_POLL_OUT ? EPOLLOUT : 0U);
    bool lacks = s->wanted & ~s->registered, spins = s->registered & ~s->wanted & EPOLLOUT;
    return lacks || spins ? register_socket(h, fd, s) : 0;
}

/* The kernel takes it out of the epoll. */
static int on_curl_close(void *userdata, curl_socket_t fd)
{
    struct http *h = userdata;
    struct socket *s = find_socket(h, fd);
    if (s)
        *s = (struct socket){0};
    return close(fd);
}

static int on_curl_timer(CURLM *multi, long timeout, void *userdata)
{
    (void)multi;
    struct http *h = userdata;
    if (timeout < 0)
        return sd_event_source_set_enabled(h->timer, SD_EVENT_OFF) < 0 ? -1 : 0;
    if (sd_event_source_set_time_relative(h->timer, (uint64_t)timeout * 1000) < 0)
        return -1;
    return sd_event_source_set_enabled(h->timer, SD_EVENT_ONESHOT) < 0 ? -1 : 0;
}

/* --- What the forwarder calls --------------------------------------------------------------------------- */

static void http_describe(const struct target *t, struct buffer *to)
{
    const char *url = ((const struct http *)t)->config.url;
    /* A user and password in it are nobody's business, nor is what follows the path. */
    const char *host = strstr(url, "://") + 3, *at = strpbrk(host, "@/?#");
    while (at && *at != '@' && *at != '/' && *at != '?' && *at != '#')
        at = strpbrk(at + 1, "@/?#");
    if (at && *at == '@')
        host = at + 1;
    buffer_printf(to, "http %.*s%.*s", (int)(strstr(url, "://") + 3 - url), url, (int)strcspn(host, "?#"),
                  host);
}

static int http_offer(struct target *t, const struct target_event *e)
{
    struct http *h = (struct http *)t;
    struct slot *s = NULL;
    for (size_t i = 0; i < h->config.connections && !s; i++)
        if (!h->slots[i].event)
            s = &h->slots[i];
    if (!s)
        return TARGET_FULL;
    if (h->token_stale && read_token(h) < 0)
        h->token_stale = false;
    if (!make_headers(s, e)) {
        drop_headers(s);
        return log_error_errno(ENOMEM, "%m");
    }
    s->event = e;
    s->error[0] = s->answer[0] = '\0';
    s->answer_len = 0;
    curl_easy_setopt(s->curl, CURLOPT_HTTPHEADER, s->headers);
    curl_easy_setopt(s->curl, CURLOPT_POSTFIELDS, e->body.data ? e->body.data : "");
    curl_easy_setopt(s->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)e->body.len);
    CURLMcode code = curl_multi_add_handle(h->multi, s->curl);
    if (code != CURLM_OK) {
        drop_headers(s);
        s->event = NULL;
        return log_error_errno(EIO, "Failed to post an event: %s", curl_multi_strerror(code));
    }
    return 0;
}

static void http_cancel(struct target *t)
{
    struct http *h = (struct http *)t;
    static const struct target_outcome o = {.result = TARGET_RETRY, .error = "given up"};
    for (size_t i = 0; i < h->config.connections; i++) {
        const struct target_event *e = h->slots[i].event;
        if (!e)
            continue;
        free_slot(&h->slots[i]);
        t->context.outcome(t->context.userdata, e, &o);
    }
}

/* A HEAD is the least that tells whether somebody answers; what it answers is the service's own affair. */
static int http_check(struct target *t)
{
    struct http *h = (struct http *)t;
    CURL *curl = h->slots[0].curl;
    long status = 0;
    curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_setopt(curl, CURLOPT_NOBODY, 0L);
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    if (code != CURLE_OK)
        return log_error_errno(EIO, "The service cannot be reached: %s",
                               h->slots[0].error[0] ? h->slots[0].error : curl_easy_strerror(code));
    printf("The service answers (HTTP %ld to a HEAD)\n", status);
    return 0;
}

static void http_free(struct target *t)
{
    struct http *h = (struct http *)t;
    for (size_t i = 0; h->slots && i < h->config.connections; i++) {
        if (h->slots[i].event)
            free_slot(&h->slots[i]);
        curl_easy_cleanup(h->slots[i].curl);
    }
    curl_multi_cleanup(h->multi);
    sd_event_source_disable_unref(h->timer);
    sd_event_source_disable_unref(h->ready);
    if (h->epoll >= 0)
        close(h->epoll);
    free(h->sockets);
    secret_done(&h->token);
    explicit_bzero(&h->config.keys, sizeof h->config.keys);
    free(h->slots);
    free(h->headers);
    free(h);
    curl_global_cleanup();
}

static const struct target_ops http_ops = {
    .name = "http",
    .describe = http_describe,
    .offer = http_offer,
    .cancel = http_cancel,
    .check = http_check,
    .free = http_free,
};

/* --- Life ----------------------------------------------------------------------------------------------- */

static CURLcode set_options(struct slot *s, const struct http_config *c)
{
    CURLcode r = CURLE_OK;
#define SET(option, value) r = r ? r : curl_easy_setopt(s->curl, option, value)
    SET(CURLOPT_PRIVATE, s);
    SET(CURLOPT_URL, c->url);
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_ERRORBUFFER, s->error);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT);
    SET(CURLOPT_TIMEOUT_MS, (long)c->timeout);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_TCP_KEEPIDLE, (long)KEEP_ALIVE);
    SET(CURLOPT_USERAGENT, "vodhook/" VODHOOK_VERSION);
    SET(CURLOPT_WRITEFUNCTION, on_answer);
    SET(CURLOPT_WRITEDATA, s);
    SET(CURLOPT_CLOSESOCKETFUNCTION, on_curl_close);
    SET(CURLOPT_CLOSESOCKETDATA, s->http);
#if LIBCURL_VERSION_NUM >= 0x075500
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
#else
    SET(CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    if (c->ca_file)
        SET(CURLOPT_CAINFO, c->ca_file);
    if (c->cert_file)
        SET(CURLOPT_SSLCERT, c->cert_file);
    if (c->key_file)
        SET(CURLOPT_SSLKEY, c->key_file);
#undef SET
    return r;
}

static int make_slots(struct http *h)
{
    h->slots = calloc(h->config.connections, sizeof *h->slots);
    if (!h->slots)
        return log_error_errno(ENOMEM, "%m");
    for (size_t i = 0; i < h->config.connections; i++) {
        struct slot *s = &h->slots[i];
        s->http = h;
        s->curl = curl_easy_init();
        CURLcode code = s->curl ? set_options(s, &h->config) : CURLE_OUT_OF_MEMORY;
        if (code != CURLE_OK)
            return log_error_errno(EINVAL, "Failed to set up HTTP: %s", curl_easy_strerror(code));
    }
    return 0;
}

static int make_multi(struct http *h)
{
    h->multi = curl_multi_init();
    if (!h->multi)
        return log_error_errno(ENOMEM, "%m");
    curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
    curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)h->config.connections);
    sd_event *loop = h->target.context.loop;
    h->epoll = epoll_create1(EPOLL_CLOEXEC);
    int r = h->epoll < 0 ? -errno : sd_event_add_io(loop, &h->ready, h->epoll, EPOLLIN, on_sockets, h);
    if (r >= 0)
        r = sd_event_add_time_relative(loop, &h->timer, CLOCK_MONOTONIC, 0, 1, on_timer, h);
    if (r >= 0)
        r = sd_event_source_set_enabled(h->timer, SD_EVENT_OFF);
    return r < 0 ? log_error_errno(r, "Failed to set up the loop: %m") : 0;
}

int target_http_new(const struct http_config *config, const struct target_context *context,
                    struct target **ret)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
    cleanup(target_free_p) struct target *t = NULL;
    struct http *h = calloc(1, sizeof *h);
    if (!h)
        return log_error_errno(ENOMEM, "%m");
    h->epoll = -1;
    h->config = *config;
    h->target = (struct target){
        .ops = &http_ops,
        .context = *context,
        .max_in_flight = config->connections,
        .max_bytes = BYTES_IN_FLIGHT,
    };
    t = &h->target;
    h->headers = calloc(config->n_headers + 1, sizeof *h->headers);
    if (!h->headers)
        return log_error_errno(ENOMEM, "%m");
    if (config->n_headers)
        memcpy(h->headers, config->headers, config->n_headers * sizeof *h->headers);
    int r = make_multi(h);
    if (r >= 0)
        r = make_slots(h);
    if (r >= 0)
        r = read_token(h);
    if (r >= 0)
        *ret = steal_pointer(t);
    return r;
}
