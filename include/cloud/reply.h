/* reply.h: what an answer of the cloud's API says: it worked, or which error it names and what to do about
 * it. Pure: the calls are in cloud.h. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/slice.h"
#include "json/json.h"

/* What a call came to where it came to an answer. Errors of the network are negative errnos. */
enum reply_kind {
    REPLY_DONE,    /* it worked: 0 */
    REPLY_NOTHING, /* ResourceNotFound: nothing waits */
    REPLY_BUSY,    /* an error that passes by itself */
    REPLY_REFUSED, /* an error that somebody has to do something about */
};

enum { REPLY_SKEW_UNKNOWN = INT32_MIN };

struct reply {
    const struct json *json; /* REPLY_DONE: the answer; borrowed until the next call */
    uint32_t response;       /* REPLY_DONE: the node of its Response object; else 0 */
    char code[96];           /* of the error: "AuthFailure.SignatureExpire"; empty without one */
    char message[512];       /* of the error, or what was wrong with the call */
    char request_id[64];     /* to name to Tencent's support */
    int64_t skew;            /* seconds this machine's clock is ahead, by the Date header */
    bool sent;               /* the request had left, so that it may have been carried out */
};

/* Reads the body of an answer with that HTTP status into json. Returns a reply_kind; -EBADMSG where it is no
 * JSON of the expected shape, -EREMOTEIO where the status is not 200 and the body names no error; then message
 * says so. Leaves skew and sent alone. */
int reply_read(struct json *json, struct slice body, long status, struct reply *ret);

/* Whose call it was, for what to do. */
struct reply_caller {
    const char *action, *endpoint;
    struct slice secret_id;
    int64_t sub_app_id; /* 0 where none is given */
};

/* Appends one line: what failed, with the cloud's words, and for REPLY_REFUSED what to do about it. r is
 * what the call returned. */
void reply_explain(struct buffer *to, int r, const struct reply *a, const struct reply_caller *caller);

/* The text of the object's member of that name, cut where it does not fit. Returns false, with an empty text,
 * where there is none or it is no string. */
bool reply_text(const struct json *j, uint32_t object, const char *name, char *ret, size_t size);
