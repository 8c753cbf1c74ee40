/* cloud.c: makes one signed call after the other over a connection that is kept. */
#include "cloud/cloud.h"

#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "cloud/tc3.h"

/* Source: API model of vod 2018-07-17 */
#define SERVICE      "vod"
#define API_VERSION  "2018-07-17"
#define CONTENT_TYPE "application/json"

enum { CONNECT_TIMEOUT = 5 /* seconds */, BODY_KEEP = 1024 * 1024 };

struct cloud {
    struct cloud_config config;
    CURL *curl;
    char error[CURL_ERROR_SIZE];
    struct buffer body; /* of the answer */
    struct json json;   /* over it */
    bool too_large;
    time_t date; /* of the answer; -1 where it has none */
};

/* --- What libcurl calls ----------------------------------------------------------------------------- */

static size_t on_body(char *data, size_t size, size_t n, void *userdata)
{
    struct cloud *c = userdata;
    c->too_large = c->body.len + size * n > CLOUD_REPLY_MAX;
    if (c->too_large)
        return 0;
    buffer_append(&c->body, data, size * n);
    return c->body.failed ? 0 : size * n;
}

static size_t on_header(char *data, size_t size, size_t n, void *userdata)
{
    struct cloud *c = userdata;
    char date[64];
    size_t len = size * n;
    if (len > 5 && len - 5 < sizeof date && strncasecmp(data, "Date:", 5) == 0) {
        memcpy(date, data + 5, len - 5);
        date[len - 5] = '\0';
        c->date = curl_getdate(date, NULL);
    }
    return len;
}

static int on_progress(void *userdata, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up)
{
    (void)down_total;
    (void)up_total;
    (void)up;
    const struct cloud *c = userdata;
    return c->config.give_up && c->config.give_up(c->config.userdata, down > 0);
}

/* --- Making and unmaking ---------------------------------------------------------------------------- */

/* Neither id nor token can end a header's line, and nothing in them goes wrong unseen. */
static bool is_key(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] < '!' || s.data[i] > '~')
            return false;
    return s.len <= TC3_KEY_MAX;
}

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* The options that every call shares. */
static CURLcode set_options(struct cloud *c)
{
    const char *bundle = environment("CURL_CA_BUNDLE"), *directory = environment("SSL_CERT_DIR");
    CURLcode r = CURLE_OK;
    if (!bundle)
        bundle = environment("SSL_CERT_FILE");
#define SET(option, value) r = r ? r : curl_easy_setopt(c->curl, option, value)
    SET(CURLOPT_URL, c->config.endpoint.url);
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_ERRORBUFFER, c->error);
    SET(CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT);
    SET(CURLOPT_TIMEOUT, (long)CLOUD_TIMEOUT);
    SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)CLOUD_REPLY_MAX);
    SET(CURLOPT_USERAGENT, "vodhook/" VODHOOK_VERSION);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, c);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, c);
    SET(CURLOPT_NOPROGRESS, 0L);
    SET(CURLOPT_XFERINFOFUNCTION, on_progress);
    SET(CURLOPT_XFERINFODATA, c);
    if (bundle)
        SET(CURLOPT_CAINFO, bundle);
    if (directory)
        SET(CURLOPT_CAPATH, directory);
#if LIBCURL_VERSION_NUM >= 0x075700
    /* A name that nobody resolves must not hold up the end of a call. */
    SET(CURLOPT_QUICK_EXIT, 1L);
#endif
    /* What is not encrypted must not reach a proxy either. */
    if (c->config.endpoint.plain)
        SET(CURLOPT_PROXY, "");
#undef SET
    return r;
}

int cloud_set_keys(struct cloud *c, struct slice secret_id, struct slice secret_key, struct slice token)
{
    if (!is_key(secret_id) || !is_key(secret_key) || !is_key(token))
        return log_error_errno(EINVAL, "The API key has characters that no key has, or is too long");
    c->config.secret_id = secret_id;
    c->config.secret_key = secret_key;
    c->config.token = token;
    return 0;
}

int cloud_new(const struct cloud_config *config, struct cloud **ret)
{
    cleanup(cloud_free_p) struct cloud *c = calloc(1, sizeof *c);
    if (!c || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return log_error_errno(ENOMEM, "%m");
    c->config = *config;
    int error = cloud_set_keys(c, config->secret_id, config->secret_key, config->token);
    if (error < 0)
        return error;
    c->curl = curl_easy_init();
    CURLcode r = c->curl ? set_options(c) : CURLE_OUT_OF_MEMORY;
    if (r != CURLE_OK)
        return log_error_errno(EIO, "Failed to set up HTTPS: %s", curl_easy_strerror(r));
    *ret = steal_pointer(c);
    return 0;
}

struct cloud *cloud_free(struct cloud *c)
{
    if (!c)
        return NULL;
    curl_easy_cleanup(c->curl);
    curl_global_cleanup();
    buffer_done(&c->body);
    json_done(&c->json);
    free(c);
    return NULL;
}

/* --- A call ----------------------------------------------------------------------------------------- */

/* The headers may hold a token. */
static void headers_free(struct curl_slist *headers)
{
    for (struct curl_slist *h = headers; h; h = h->next)
        explicit_bzero(h->data, strlen(h->data));
    curl_slist_free_all(headers);
}

static void headers_free_p(struct curl_slist **headers)
{
    headers_free(*headers);
}

/* Returns whether there was memory for it, and for those before it. */
__attribute__((format(printf, 3, 4))) static bool add_header(bool ok, struct curl_slist **headers,
                                                             const char *format, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, format);
    int n = ok ? vasprintf(&text, format, ap) : -1;
    va_end(ap);
    if (n < 0)
        return false;
    struct curl_slist *more = curl_slist_append(*headers, text);
    explicit_bzero(text, (size_t)n);
    free(text);
    if (more)
        *headers = more;
    return more;
}

static int make_headers(const struct cloud *c, const char *action, struct slice body, struct curl_slist **ret)
{
    struct tc3_request r = {
        .method = slice_of("POST"),
        .content_type = slice_of(CONTENT_TYPE),
        .host = slice_of(c->config.endpoint.host),
        .body = body,
        .service = slice_of(SERVICE),
        .time = time(NULL),
    };
    struct slice token = c->config.token;
    cleanup(headers_free_p) struct curl_slist *headers = NULL;
    cleanup(buffer_done) struct buffer authorization = {0};
    tc3_authorization(&authorization, &r, c->config.secret_id, c->config.secret_key);
    bool ok = add_header(!authorization.failed, &headers, "Authorization: %.*s", (int)authorization.len,
                         authorization.data);
    ok = add_header(ok, &headers, "Host: %s", c->config.endpoint.host);
    ok = add_header(ok, &headers, "Content-Type: " CONTENT_TYPE);
    ok = add_header(ok, &headers, "X-TC-Action: %s", action);
    ok = add_header(ok, &headers, "X-TC-Version: " API_VERSION);
    ok = add_header(ok, &headers, "X-TC-Timestamp: %" PRId64, r.time);
    ok = add_header(ok, &headers, "X-TC-Language: en-US");
    ok = add_header(ok, &headers, "Expect:"); /* a body is sent at once, however large */
    if (token.len)
        ok = add_header(ok, &headers, "X-TC-Token: %.*s", (int)token.len, token.data);
    *ret = steal_pointer(headers);
    return ok ? 0 : -ENOMEM;
}

static int errno_of(const struct cloud *c, CURLcode r)
{
    if (c->too_large || r == CURLE_FILESIZE_EXCEEDED)
        return -EFBIG;
    switch (r) {
    case CURLE_OK:
        return 0;
    case CURLE_OUT_OF_MEMORY:
    case CURLE_WRITE_ERROR:
        return -ENOMEM;
    case CURLE_ABORTED_BY_CALLBACK:
        return -ECANCELED;
    case CURLE_OPERATION_TIMEDOUT:
        return -ETIMEDOUT;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return -EHOSTUNREACH;
    case CURLE_COULDNT_CONNECT:
        return -ECONNREFUSED;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        return -EPROTO;
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
        return -ECONNRESET;
    default:
        return -EIO;
    }
}

/* Says in words why there is no answer, and whether the request had left all the same. */
static void note_failure(const struct cloud *c, CURLcode r, int error, struct reply *ret)
{
    long sent = 0;
    curl_easy_getinfo(c->curl, CURLINFO_REQUEST_SIZE, &sent);
    ret->sent = sent > 0;
    if (error == -EFBIG)
        snprintf(ret->message, sizeof ret->message, "the answer has more than %d MiB",
                 CLOUD_REPLY_MAX / (1024 * 1024));
    else
        snprintf(ret->message, sizeof ret->message, "%s", c->error[0] ? c->error : curl_easy_strerror(r));
}

int cloud_call(struct cloud *c, const char *action, struct slice body, struct reply *ret)
{
    cleanup(headers_free_p) struct curl_slist *headers = NULL;
    *ret = (struct reply){.skew = REPLY_SKEW_UNKNOWN};
    int error = make_headers(c, action, body, &headers);
    if (error < 0)
        return error;
    buffer_reset(&c->body, BODY_KEEP);
    c->too_large = false;
    c->date = -1;
    c->error[0] = '\0';
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, body.data);
    curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
    CURLcode r = curl_easy_perform(c->curl);
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, NULL);
    curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, NULL);
    if (c->date != -1)
        ret->skew = time(NULL) - c->date;
    error = errno_of(c, r);
    if (error < 0) {
        note_failure(c, r, error, ret);
        return error;
    }
    long status = 0;
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    ret->sent = true;
    return reply_read(&c->json, buffer_slice(&c->body), status, ret);
}
