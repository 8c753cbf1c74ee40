/* sign.c: checks the signature of a callback. */
#include "event/sign.h"

#include <nettle/md5.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"

static void sign_of(struct slice key, const char *time, char ret_hex[2 * MD5_DIGEST_SIZE + 1])
{
    uint8_t digest[MD5_DIGEST_SIZE];
    struct md5_ctx md5;
    md5_init(&md5);
    md5_update(&md5, key.len, (const uint8_t *)key.data);
    md5_update(&md5, strlen(time), (const uint8_t *)time);
    md5_digest(&md5, sizeof digest, digest);
    text_hex(digest, sizeof digest, ret_hex);
}

enum sign_verdict sign_check(const struct event *e, struct slice key, int64_t now)
{
    char expected[2 * MD5_DIGEST_SIZE + 1], given[2 * MD5_DIGEST_SIZE];
    int64_t expires;
    if (!e->sign.data)
        return SIGN_MISSING;
    if (!e->sign_time || parse_count(e->sign_time, &expires) < 0 || e->sign.len != sizeof given)
        return SIGN_WRONG;
    for (size_t i = 0; i < sizeof given; i++) {
        char c = e->sign.data[i];
        given[i] = c >= 'A' && c <= 'F' ? (char)(c | 0x20) : c;
    }
    sign_of(key, e->sign_time, expected);
    if (!text_equal_secret((struct slice){given, sizeof given}, (struct slice){expected, sizeof given}))
        return SIGN_WRONG;
    return expires < now ? SIGN_EXPIRED : SIGN_GOOD;
}
