/* test_trouble.c: trouble is said once, and so is its end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/trouble.h"

static const int64_t SECOND = 1000000;

static void test_is_said_once(void **state)
{
    (void)state;
    struct trouble t = {0}, was;
    assert_false(trouble_end(&t, &was));
    assert_true(trouble_begin(&t, 10 * SECOND, "it is full", 0));
    t.count = 3;
    assert_false(trouble_begin(&t, 11 * SECOND, "it is full", 0));
    assert_true(trouble_begin(&t, 12 * SECOND, "it is locked", 0));
    assert_false(trouble_begin(&t, 13 * SECOND, "it is locked", 0));
    assert_false(trouble_begin(&t, 3611 * SECOND, "it is locked", 0));
    assert_true(trouble_begin(&t, 3612 * SECOND, "it is locked", 0));
    assert_true(trouble_end(&t, &was));
    assert_true(was.since == 10 * SECOND);
    assert_int_equal(was.count, 3);
    assert_false(trouble_end(&t, &was));
    assert_true(trouble_begin(&t, 3613 * SECOND, "it is locked", 0));
    assert_int_equal(t.count, 0);
}

static void test_patience(void **state)
{
    (void)state;
    struct trouble t = {0}, was;
    assert_false(trouble_begin(&t, SECOND, "it is locked", SECOND));
    assert_false(trouble_begin(&t, 2 * SECOND - 1, "it is locked", SECOND));
    assert_false(trouble_end(&t, &was)); /* what was not said has no end */
    assert_false(trouble_begin(&t, 3 * SECOND, "it is locked", SECOND));
    assert_true(trouble_begin(&t, 4 * SECOND, "it is locked", SECOND));
    assert_true(trouble_end(&t, &was));
}

static void test_long_reasons(void **state)
{
    (void)state;
    struct trouble t = {0};
    char reason[2 * sizeof t.reason];
    for (size_t i = 0; i < sizeof reason; i++)
        reason[i] = (char)('a' + i % 26);
    reason[sizeof reason - 1] = '\0';
    assert_true(trouble_begin(&t, SECOND, reason, 0));
    assert_false(trouble_begin(&t, SECOND, reason, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_is_said_once),
        cmocka_unit_test(test_patience),
        cmocka_unit_test(test_long_reasons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
