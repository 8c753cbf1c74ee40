/* cloud.h: signed calls of the VOD API, one at a time. */
#pragma once

#include <stdbool.h>

#include "cloud/endpoint.h"
#include "cloud/reply.h"

enum {
    CLOUD_TIMEOUT =
        10, /* seconds of a call; VOD holds PullEvents back for up to 5. Source: API, PullEvents */
    CLOUD_REPLY_MAX = 32 * 1024 * 1024 /* bytes of an answer: 16 events of 2 MiB */
};

struct cloud_config {
    struct endpoint endpoint;
    struct slice secret_id, secret_key; /* borrowed */
    struct slice token;                 /* of temporary keys; data NULL for none. Borrowed */

    /* Asked about once a second in a call, and whenever a signal arrives: whether to give it up. receiving:
     * its answer has begun. NULL for never. */
    bool (*give_up)(void *userdata, bool receiving);
    void *userdata;
};

struct cloud;

/* TLS is verified, against $CURL_CA_BUNDLE, $SSL_CERT_FILE or $SSL_CERT_DIR where set; proxies are those of
 * the usual environment. Returns 0; -EINVAL when a key cannot be one (logged), or another negative errno. */
int cloud_new(const struct cloud_config *config, struct cloud **ret);
/* Other keys for the calls to come, borrowed. Returns 0, or -EINVAL, logged, and nothing has changed. */
int cloud_set_keys(struct cloud *c, struct slice secret_id, struct slice secret_key, struct slice token);

struct cloud *cloud_free(struct cloud *c);

/* Calls an action with that body, a JSON object. Returns a reply_kind, or a negative errno: of the network,
 * of an answer that is not the API's (reply_read()), -EFBIG for one that is too large, -ECANCELED when it was
 * given up. ret is always written; what it borrows is valid until the next call. */
int cloud_call(struct cloud *c, const char *action, struct slice body, struct reply *ret);

static inline void cloud_free_p(struct cloud **c)
{
    cloud_free(*c);
}
