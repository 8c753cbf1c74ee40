/* test_rate_limit.c: how many lines are let through, and what is counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rate_limit.h"

static int allowed(struct rate_limit *l, int tries, int64_t now)
{
    int n = 0;
    for (int i = 0; i < tries; i++)
        n += rate_limit_allow(l, now);
    return n;
}

static void test_burst_then_rate(void **state)
{
    (void)state;
    struct rate_limit l;
    rate_limit_init(&l, "lines", 20, 200);
    int64_t now = 5000000;
    assert_int_equal(allowed(&l, 1000, now), 200);
    assert_int_equal(l.left_out, 800);
    assert_int_equal(allowed(&l, 1000, now + 1000000), 20);
    /* A long quiet time gives the burst again and no more. */
    assert_int_equal(allowed(&l, 1000, now + 3600 * INT64_C(1000000)), 200);
}

static void test_report(void **state)
{
    (void)state;
    struct rate_limit l;
    rate_limit_init(&l, "lines", 1, 1);
    int64_t now = 1000000;
    assert_false(rate_limit_report(&l, now));
    allowed(&l, 3, now);
    assert_int_equal(l.left_out, 2);
    assert_true(rate_limit_report(&l, now + 1000));
    assert_int_equal(l.left_out, 2);
    assert_false(rate_limit_report(&l, now + 1000000));
    assert_int_equal(l.left_out, 0);
}

static void test_clock_that_stands(void **state)
{
    (void)state;
    struct rate_limit l;
    rate_limit_init(&l, "lines", 20, 5);
    assert_int_equal(allowed(&l, 100, 1000), 5);
    assert_int_equal(allowed(&l, 100, 1000), 0);
    assert_int_equal(allowed(&l, 100, 500), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_burst_then_rate),
        cmocka_unit_test(test_report),
        cmocka_unit_test(test_clock_that_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
