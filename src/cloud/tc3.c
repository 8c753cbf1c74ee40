/* tc3.c: signs calls of Tencent Cloud's API (TC3-HMAC-SHA256). */
#include "cloud/tc3.h"

#include <inttypes.h>
#include <nettle/hmac.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/text.h"

#define ALGORITHM  "TC3-HMAC-SHA256"
#define TERMINATOR "tc3_request"

/* --- Hashing ------------------------------------------------------------------------------------------- */

static void hash_slice(struct sha256_ctx *hash, struct slice s)
{
    sha256_update(hash, s.len, (const uint8_t *)s.data);
}

static void hash_text(struct sha256_ctx *hash, const char *text)
{
    hash_slice(hash, slice_of(text));
}

static void finish_hex(struct sha256_ctx *hash, char ret[TC3_HEX])
{
    uint8_t digest[TC3_HASH];
    sha256_digest(hash, sizeof digest, digest);
    text_hex(digest, sizeof digest, ret);
}

/* HMAC-SHA256. What is left of the key is cleared. */
static void hmac(struct slice key, struct slice message, uint8_t ret[TC3_HASH])
{
    struct hmac_sha256_ctx ctx;
    hmac_sha256_set_key(&ctx, key.len, (const uint8_t *)key.data);
    hmac_sha256_update(&ctx, message.len, (const uint8_t *)message.data);
    hmac_sha256_digest(&ctx, TC3_HASH, ret);
    explicit_bzero(&ctx, sizeof ctx);
}

static void hmac_next(const uint8_t key[TC3_HASH], struct slice message, uint8_t ret[TC3_HASH])
{
    hmac((struct slice){(const char *)key, TC3_HASH}, message, ret);
}

/* --- The canonical request --------------------------------------------------------------------------- */

static struct slice trimmed(struct slice s)
{
    for (; s.len && s.data[0] == ' '; s.data++)
        s.len--;
    while (s.len && s.data[s.len - 1] == ' ')
        s.len--;
    return s;
}

/* One header as it is signed: name and value in lower case, without white space around them. */
static void hash_header(struct sha256_ctx *hash, const char *name, struct slice value)
{
    hash_text(hash, name);
    hash_text(hash, ":");
    value = trimmed(value);
    for (size_t i = 0; i < value.len; i++) {
        char c = value.data[i];
        uint8_t lower = (uint8_t)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
        sha256_update(hash, 1, &lower);
    }
    hash_text(hash, "\n");
}

static const char *signed_headers(const struct tc3_request *r)
{
    return r->action.data ? "content-type;host;x-tc-action" : "content-type;host";
}

void tc3_canonical_hash(const struct tc3_request *r, char ret[TC3_HEX])
{
    struct sha256_ctx hash;
    char body[TC3_HEX];
    sha256_init(&hash);
    hash_slice(&hash, r->body);
    finish_hex(&hash, body); /* which begins anew */

    hash_slice(&hash, r->method);
    hash_text(&hash, "\n/\n");
    hash_slice(&hash, r->query);
    hash_text(&hash, "\n");
    hash_header(&hash, "content-type", r->content_type);
    hash_header(&hash, "host", r->host);
    if (r->action.data)
        hash_header(&hash, "x-tc-action", r->action);
    hash_text(&hash, "\n");
    hash_text(&hash, signed_headers(r));
    hash_text(&hash, "\n");
    hash_text(&hash, body);
    finish_hex(&hash, ret);
}

/* --- The signature ----------------------------------------------------------------------------------- */

void tc3_date(int64_t time, char ret[TC3_DATE])
{
    time_t t = (time_t)time;
    struct tm tm = {0};
    gmtime_r(&t, &tm);
    if (!strftime(ret, TC3_DATE, "%Y-%m-%d", &tm))
        ret[0] = '\0';
}

void tc3_derive(struct slice secret_key, const char *date, struct slice service, struct tc3_keys *ret)
{
    char first[3 + TC3_KEY_MAX] = "TC3";
    size_t len = secret_key.len < TC3_KEY_MAX ? secret_key.len : TC3_KEY_MAX;
    memcpy(first + 3, secret_key.data, len);
    hmac((struct slice){first, 3 + len}, slice_of(date), ret->date);
    hmac_next(ret->date, service, ret->service);
    hmac_next(ret->service, slice_of(TERMINATOR), ret->signing);
    explicit_bzero(first, sizeof first);
}

void tc3_sign(const struct tc3_request *r, struct slice secret_key, char ret[TC3_HEX])
{
    char date[TC3_DATE], canonical[TC3_HEX], text[256];
    uint8_t signature[TC3_HASH];
    struct tc3_keys keys;
    tc3_date(r->time, date);
    tc3_canonical_hash(r, canonical);
    tc3_derive(secret_key, date, r->service, &keys);
    snprintf(text, sizeof text, ALGORITHM "\n%" PRId64 "\n%s/%.*s/" TERMINATOR "\n%s", r->time, date,
             (int)r->service.len, r->service.data, canonical);
    hmac_next(keys.signing, slice_of(text), signature);
    text_hex(signature, sizeof signature, ret);
    explicit_bzero(&keys, sizeof keys);
}

void tc3_authorization(struct buffer *to, const struct tc3_request *r, struct slice secret_id,
                       struct slice secret_key)
{
    char date[TC3_DATE], signature[TC3_HEX];
    tc3_date(r->time, date);
    tc3_sign(r, secret_key, signature);
    buffer_printf(to, ALGORITHM " Credential=%.*s/%s/%.*s/" TERMINATOR ", SignedHeaders=%s, Signature=%s",
                  (int)secret_id.len, secret_id.data, date, (int)r->service.len, r->service.data,
                  signed_headers(r), signature);
}
