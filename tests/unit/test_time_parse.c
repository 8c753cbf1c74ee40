/* test_time_parse.c: times as people type them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <time.h>

#include "base/time_parse.h"

static const int64_t SECOND = 1000000;
static const int64_t NOON = INT64_C(1795492800) * 1000000; /* 2026-11-24T12:00:00+08:00 */

static int setup(void **state)
{
    (void)state;
    setenv("TZ", "CST-8", 1);
    tzset();
    return 0;
}

static int64_t parsed(const char *s)
{
    int64_t t;
    assert_int_equal(parse_time(s, NOON, &t), 0);
    return t;
}

static void dates_and_times_are_local(void **state)
{
    (void)state;
    assert_int_equal(parsed("2026-11-24"), NOON - 12 * 3600 * SECOND);
    assert_int_equal(parsed("2026-11-24T03:00"), NOON - 9 * 3600 * SECOND);
    assert_int_equal(parsed("2026-11-24 12:00:05"), NOON + 5 * SECOND);
    assert_int_equal(parsed("2026-11-24T12:00:05.25"), NOON + 5 * SECOND + 250000);
}

static void a_zone_may_be_given(void **state)
{
    (void)state;
    assert_int_equal(parsed("2026-11-24T04:00:00.123Z"), NOON + 123000);
    assert_int_equal(parsed("2026-11-24T12:00:00.123456+08:00"), NOON + 123456);
    assert_int_equal(parsed("2026-11-23T23:30-04:30"), NOON);
}

static void words_and_durations_are_relative(void **state)
{
    (void)state;
    assert_int_equal(parsed("now"), NOON);
    assert_int_equal(parsed("today"), NOON - 12 * 3600 * SECOND);
    assert_int_equal(parsed("yesterday"), NOON - 36 * 3600 * SECOND);
    assert_int_equal(parsed("-2h"), NOON - 2 * 3600 * SECOND);
    assert_int_equal(parsed("-30min"), NOON - 1800 * SECOND);
    assert_int_equal(parsed("-90s"), NOON - 90 * SECOND);
    assert_int_equal(parsed("-7d"), NOON - 7 * 86400 * SECOND);
}

static void what_is_no_time_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "2026",
                                        "2026-11",
                                        "2026-11-24T",
                                        "2026-11-24T3:00",
                                        "24.11.",
                                        "-",
                                        "-90",
                                        "-2x",
                                        "--2h",
                                        "tomorrow",
                                        "+2h",
                                        "2026-1-2",
                                        "2026-11-24T03:00x",
                                        "2026-11-24T03:00:00.",
                                        "2026-11-24Z"};
    static const char *const none[] = {"2026-02-30", "2026-13-01", "2026-00-10", "2026-11-24T24:00",
                                       "2026-11-24T12:60"};
    int64_t t = 7;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(parse_time(wrong[i], NOON, &t), -EINVAL);
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_int_equal(parse_time(none[i], NOON, &t), -ERANGE);
    assert_int_equal(t, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_and_times_are_local),
        cmocka_unit_test(a_zone_may_be_given),
        cmocka_unit_test(words_and_durations_are_relative),
        cmocka_unit_test(what_is_no_time_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
