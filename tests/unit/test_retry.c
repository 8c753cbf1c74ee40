/* test_retry.c: the schedule of attempts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "forward/retry.h"

static const int64_t SECOND = 1000000;

static void the_default_is_that_of_the_manual(void **state)
{
    (void)state;
    static const int64_t seconds[] = {5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400};
    struct retry r;
    assert_int_equal(retry_parse(RETRY_DEFAULT, &r), 0);
    assert_int_equal(r.n, 9);
    for (unsigned i = 0; i < 9; i++)
        assert_int_equal(r.steps[i], seconds[i] * SECOND);
}

static void a_delay_is_up_to_a_tenth_longer(void **state)
{
    (void)state;
    struct retry r;
    int64_t least = INT64_MAX, most = 0;
    assert_int_equal(retry_parse("100ms,10s", &r), 0);
    for (int i = 0; i < 1000; i++) {
        int64_t delay = retry_delay(&r, 2);
        least = delay < least ? delay : least;
        most = delay > most ? delay : most;
    }
    assert_true(least >= 10 * SECOND && least < 10 * SECOND + SECOND / 10);
    assert_true(most <= 11 * SECOND && most > 11 * SECOND - SECOND / 10);
    assert_int_equal(retry_delay(&r, 3), -1);
}

static void what_is_no_schedule_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "5s,", ",5s", "5x", "5s 6s", "-1s", "5s,,6s", "99999999d"};
    struct retry r;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(retry_parse(wrong[i], &r), -EINVAL);
    assert_int_equal(retry_parse("none", &r), 0);
    assert_int_equal(retry_delay(&r, 1), -1);
    assert_int_equal(retry_parse("1m,1min,1ms", &r), 0);
    assert_int_equal(r.steps[0], 60 * SECOND);
    assert_int_equal(r.steps[1], 60 * SECOND);
    assert_int_equal(r.steps[2], 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_default_is_that_of_the_manual),
        cmocka_unit_test(a_delay_is_up_to_a_tenth_longer),
        cmocka_unit_test(what_is_no_schedule_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
