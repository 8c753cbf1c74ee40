/* test_signature.c: the signature of Standard Webhooks, by vectors of its specification. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <errno.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "forward/signature.h"

/* Source: github.com/standard-webhooks/standard-webhooks, libraries, the tests of each. */
#define KEY  "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define ID   "msg_p5jXN8AQM9LWM0D4loKWxJek"
#define BODY "{\"test\": 2432232314}"
#define SIGN "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

static char file[64];

static int write_keys(const char *text, struct signature_keys *ret)
{
    strcpy(file, "/tmp/vodhook-keys-XXXXXX");
    int fd = mkstemp(file);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    int r = signature_read_keys(file, ret);
    unlink(file);
    return r;
}

static void a_known_message_has_its_signature(void **state)
{
    (void)state;
    struct signature_keys keys;
    cleanup(buffer_done) struct buffer text = {0};
    assert_int_equal(write_keys(KEY "\n", &keys), 0);
    signature_put(&text, &keys, ID, 1614265330, slice_of(BODY));
    assert_int_equal(text.len, strlen(SIGN));
    assert_memory_equal(text.data, SIGN, text.len);
}

static void two_keys_sign_while_they_are_changed(void **state)
{
    (void)state;
    struct signature_keys keys;
    cleanup(buffer_done) struct buffer text = {0};
    assert_int_equal(write_keys("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\n" KEY, &keys), 0);
    assert_int_equal(keys.n, 2);
    signature_put(&text, &keys, ID, 1614265330, slice_of(BODY));
    assert_int_equal(text.len, 2 * strlen(SIGN) + 1);
    assert_memory_equal(text.data, "v1,", 3);
    assert_memory_equal(text.data + strlen(SIGN), " " SIGN, strlen(SIGN) + 1);
}

static void what_is_no_key_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "whsec_AAAA", "whsec_!!!!", KEY "\n" KEY "\n" KEY,
    };
    struct signature_keys keys;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(write_keys(wrong[i], &keys), -EINVAL);
    assert_int_equal(write_keys("", &keys), -ENODATA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_known_message_has_its_signature),
        cmocka_unit_test(two_keys_sign_while_they_are_changed),
        cmocka_unit_test(what_is_no_key_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
