/* signature.c: signs an event as Standard Webhooks 1.0 says. */
#include "forward/signature.h"

#include <errno.h>
#include <inttypes.h>
#include <nettle/base64.h>
#include <nettle/hmac.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/secret.h"

#define PREFIX "whsec_"

enum { KEY_LEAST = 24 };

static bool decode_key(struct slice text, uint8_t ret[SIGNATURE_KEY_MAX], size_t *ret_len)
{
    struct base64_decode_ctx base64;
    uint8_t bytes[BASE64_DECODE_LENGTH(128)];
    size_t len = sizeof bytes;
    if (text.len < sizeof PREFIX - 1 || memcmp(text.data, PREFIX, sizeof PREFIX - 1) != 0 || text.len > 128)
        return false;
    base64_decode_init(&base64);
    bool fine = base64_decode_update(&base64, &len, bytes, text.len - (sizeof PREFIX - 1),
                                     text.data + sizeof PREFIX - 1) &&
                base64_decode_final(&base64) && len >= KEY_LEAST && len <= SIGNATURE_KEY_MAX;
    if (fine)
        memcpy(ret, bytes, *ret_len = len);
    explicit_bzero(bytes, sizeof bytes);
    return fine;
}

int signature_read_keys(const char *path, struct signature_keys *ret)
{
    cleanup(secret_done) struct secret file = {0};
    int r = secret_read(path, &file);
    if (r < 0)
        return r;
    ret->n = 0;
    for (size_t at = 0; at < file.len;) {
        struct slice line = {file.data + at, strcspn(file.data + at, "\r\n")};
        at += line.len + 1;
        if (line.len == 0)
            continue;
        if (ret->n == SIGNATURE_KEYS_MAX)
            return log_error_errno(EINVAL, "The key file %s has more than %d keys", path, SIGNATURE_KEYS_MAX);
        if (!decode_key(line, ret->key[ret->n], &ret->len[ret->n]))
            return log_error_errno(
                EINVAL,
                "The key file %s has a line that is not whsec_ and %d to %d bytes in base64: "
                "echo whsec_$(openssl rand -base64 32) makes a key",
                path, KEY_LEAST, SIGNATURE_KEY_MAX);
        ret->n++;
    }
    return ret->n ? 0 : log_error_errno(ENODATA, "The key file %s has no key", path);
}

void signature_put(struct buffer *to, const struct signature_keys *keys, const char *id, int64_t timestamp,
                   struct slice body)
{
    char head[256];
    int n = snprintf(head, sizeof head, "%s.%" PRId64 ".", id, timestamp);
    for (size_t i = 0; i < keys->n && n > 0 && (size_t)n < sizeof head; i++) {
        struct hmac_sha256_ctx hmac;
        uint8_t digest[SHA256_DIGEST_SIZE];
        char text[BASE64_ENCODE_RAW_LENGTH(SHA256_DIGEST_SIZE)];
        hmac_sha256_set_key(&hmac, keys->len[i], keys->key[i]);
        hmac_sha256_update(&hmac, (size_t)n, (const uint8_t *)head);
        hmac_sha256_update(&hmac, body.len, (const uint8_t *)body.data);
        hmac_sha256_digest(&hmac, sizeof digest, digest);
        base64_encode_raw(text, sizeof digest, digest);
        buffer_puts(to, i ? " v1," : "v1,");
        buffer_append(to, text, sizeof text);
    }
}
