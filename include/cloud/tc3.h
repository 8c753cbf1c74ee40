/* tc3.h: TC3-HMAC-SHA256, the signature that calls of Tencent Cloud's API carry. Nothing here looks at a
 * clock or at the network. Source: Tencent Cloud API 3.0, Signature v3. */
#pragma once

#include <stdint.h>

#include "base/buffer.h"
#include "base/slice.h"

enum {
    TC3_HASH = 32,
    TC3_HEX = 2 * TC3_HASH + 1,
    TC3_DATE = 11,
    TC3_KEY_MAX = 4096, /* bytes of a secret key; what a longer one has beyond is not used */
};

/* What is signed of a call. All of it is borrowed. */
struct tc3_request {
    struct slice method;       /* "POST" */
    struct slice query;        /* canonical: "Limit=10&Offset=0"; empty for a POST */
    struct slice content_type; /* as the header has it, byte for byte */
    struct slice host;         /* as the header has it */
    struct slice action;       /* the X-TC-Action header; data NULL where it is not signed */
    struct slice body;
    struct slice service; /* "vod"; a short word */
    int64_t time;         /* the X-TC-Timestamp header: seconds since 1970 */
};

/* The keys that are derived one from the other; the last one signs. Secret: clear them. */
struct tc3_keys {
    uint8_t date[TC3_HASH], service[TC3_HASH], signing[TC3_HASH];
};

/* The date in UTC that belongs to a time, "2023-11-14". */
void tc3_date(int64_t time, char ret[TC3_DATE]);

/* SHA-256 of the canonical request, in lower-case hex. */
void tc3_canonical_hash(const struct tc3_request *r, char ret[TC3_HEX]);

void tc3_derive(struct slice secret_key, const char *date, struct slice service, struct tc3_keys *ret);

/* The signature, in lower-case hex. */
void tc3_sign(const struct tc3_request *r, struct slice secret_key, char ret[TC3_HEX]);

/* Appends the value of the Authorization header. */
void tc3_authorization(struct buffer *to, const struct tc3_request *r, struct slice secret_id,
                       struct slice secret_key);
