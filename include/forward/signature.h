/* signature.h: the headers of Standard Webhooks (standardwebhooks.com), by which a service knows that an event is from
 * who has the key, and not an old one played again. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/slice.h"

enum { SIGNATURE_KEYS_MAX = 2, SIGNATURE_KEY_MAX = 64 };

/* Two while they are being changed. */
struct signature_keys {
    uint8_t key[SIGNATURE_KEYS_MAX][SIGNATURE_KEY_MAX];
    size_t len[SIGNATURE_KEYS_MAX];
    size_t n;
};

/* Reads a file of one or two lines, each whsec_ and a key of 24 to 64 bytes in base64. Returns 0 or a negative errno,
 * logged. */
int signature_read_keys(const char *path, struct signature_keys *ret);

/* Appends the value of webhook-signature: v1, and the HMAC-SHA256 over id.timestamp.body in base64, for each key. */
void signature_put(struct buffer *to, const struct signature_keys *keys, const char *id, int64_t timestamp,
                   struct slice body);
