/* http.h: the target that is a service: a POST for each event, with the headers of Standard Webhooks. */
#pragma once

#include "forward/signature.h"
#include "forward/target.h"

struct http_config {
    const char *url;
    size_t connections; /* how many events may be in flight */
    int64_t timeout;    /* milliseconds for an attempt */
    struct signature_keys keys;
    const char *ca_file, *cert_file, *key_file; /* NULL for none; CA of the system */
    const char *token_file;                     /* with a bearer token; NULL for none */
    const char *const *headers;                 /* "Name: value" */
    size_t n_headers;
};

/* What is wrong with a URL or a header, or NULL. */
const char *http_check_url(const char *url);
const char *http_check_header(const char *header);

/* Borrows the strings of the configuration, and not the list of headers. Returns 0; -EINVAL when it is wrong; or another negative errno, logged.
 */
int target_http_new(const struct http_config *config, const struct target_context *context,
                    struct target **ret);
