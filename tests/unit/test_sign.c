/* test_sign.c: the signature of a callback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "event/sign.h"

static enum sign_verdict check(const char *sign, const char *time, const char *key, int64_t now)
{
    struct event e = {.sign = slice_of(sign), .sign_time = time};
    return sign_check(&e, slice_of(key), now);
}

static void test_vectors(void **state)
{
    (void)state;
    /* Published for a sibling product with the same rule, and one of our own. */
    assert_int_equal(check("a2dabb362a9b811c0e26953a6276a41c", "1588040109", "Xz4ZgayTr7rMgWQrH", 1588040000),
                     SIGN_GOOD);
    assert_int_equal(check("46473246a29cede666bca8dafd731005", "1764000600", "mysignkey", 1764000600),
                     SIGN_GOOD);
    assert_int_equal(check("46473246A29CEDE666bca8dafd731005", "1764000600", "mysignkey", 0), SIGN_GOOD);
}

static void test_refused(void **state)
{
    (void)state;
    const char *good = "46473246a29cede666bca8dafd731005";
    assert_int_equal(check(good, "1764000600", "mysignkey", 1764000601), SIGN_EXPIRED);
    assert_int_equal(check(good, "1764000601", "mysignkey", 0), SIGN_WRONG);
    assert_int_equal(check(good, "1764000600", "otherkey", 0), SIGN_WRONG);
    assert_int_equal(check("46473246a29cede666bca8dafd731006", "1764000600", "mysignkey", 0), SIGN_WRONG);
    assert_int_equal(check("46473246a29cede666bca8dafd73100", "1764000600", "mysignkey", 0), SIGN_WRONG);
    assert_int_equal(check("", "1764000600", "mysignkey", 0), SIGN_WRONG);
    assert_int_equal(check(good, NULL, "mysignkey", 0), SIGN_WRONG);
    assert_int_equal(check(good, "later", "mysignkey", 0), SIGN_WRONG);
    assert_int_equal(check(NULL, "1764000600", "mysignkey", 0), SIGN_MISSING);
    assert_int_equal(check(NULL, NULL, "mysignkey", 0), SIGN_MISSING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
