/* test_body.c: the limits of one body, and of all together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "source/body.h"

enum { MIB = 1024 * 1024 };

static char chunk[MIB];

static enum body_result fill(struct body *b, struct body_limits *limits, size_t max, size_t total,
                             size_t step)
{
    enum body_result r = BODY_TAKEN;
    for (size_t sent = 0; r == BODY_TAKEN && sent < total; sent += step)
        r = body_append(b, limits, max, chunk, total - sent < step ? total - sent : step);
    return r;
}

static void test_whole(void **state)
{
    (void)state;
    struct body_limits limits = {.max_memory = 64 * MIB};
    struct body b = {0};
    assert_int_equal(body_append(&b, &limits, MIB, "abc", 3), BODY_TAKEN);
    assert_int_equal(body_append(&b, &limits, MIB, "def", 3), BODY_TAKEN);
    assert_memory_equal(b.data, "abcdef", 6);
    assert_int_equal(b.len, 6);
    assert_int_equal(limits.held, 0);
    assert_int_equal(fill(&b, &limits, MIB, 100000, 1000), BODY_TAKEN);
    assert_int_equal(limits.held, b.cap);
    body_reset(&b, &limits);
    assert_int_equal(limits.held, 0);
}

static void test_max_is_a_whole_body(void **state)
{
    (void)state;
    struct body_limits limits = {.max_memory = 64 * MIB};
    struct body b = {0};
    assert_int_equal(fill(&b, &limits, MIB, MIB, 1000), BODY_TAKEN);
    assert_false(b.truncated);
    assert_int_equal(b.len, MIB);
    assert_int_equal(b.cap, MIB);
    assert_int_equal(body_append(&b, &limits, MIB, "x", 1), BODY_TAKEN);
    assert_true(b.truncated);
    assert_int_equal(b.len, BODY_HEAD);
    assert_int_equal(b.total, MIB + 1);
    assert_int_equal(limits.held, 0);
    body_reset(&b, &limits);
}

/* A limit below the head still keeps the head. */
static void test_small_max(void **state)
{
    (void)state;
    struct body_limits limits = {.max_memory = 64 * MIB};
    struct body b = {0};
    assert_int_equal(fill(&b, &limits, 10, 100000, 7), BODY_TAKEN);
    assert_true(b.truncated);
    assert_int_equal(b.len, BODY_HEAD);
    assert_int_equal(b.total, 100000);
    body_reset(&b, &limits);
    assert_int_equal(fill(&b, &limits, BODY_HEAD, 100000, 100000), BODY_TAKEN);
    assert_int_equal(b.len, BODY_HEAD);
    assert_true(b.cap <= BODY_HEAD);
    body_reset(&b, &limits);
    assert_int_equal(limits.held, 0);
}

static void test_memory_is_wanted_by_large_ones_only(void **state)
{
    (void)state;
    struct body_limits limits = {.max_memory = 1 * MIB};
    struct body large[4] = {0}, small = {0};
    assert_int_equal(fill(&large[0], &limits, 8 * MIB, MIB, 5000), BODY_TAKEN);
    for (int i = 1; i < 4; i++)
        assert_int_equal(fill(&large[i], &limits, 8 * MIB, 2 * MIB, 5000), BODY_NO_MEMORY);
    assert_true(limits.held <= 1 * MIB);
    assert_int_equal(fill(&small, &limits, 8 * MIB, BODY_HEAD, 333), BODY_TAKEN);
    assert_false(small.truncated);
    assert_int_equal(small.len, BODY_HEAD);
    for (int i = 0; i < 4; i++)
        body_reset(&large[i], &limits);
    body_reset(&small, &limits);
    assert_int_equal(limits.held, 0);
}

static void test_endless(void **state)
{
    (void)state;
    struct body_limits limits = {.max_memory = 64 * MIB};
    struct body b = {0};
    assert_int_equal(fill(&b, &limits, MIB, BODY_ABANDON, MIB), BODY_TAKEN);
    assert_int_equal(body_append(&b, &limits, MIB, "x", 1), BODY_ENDLESS);
    assert_int_equal(b.len, BODY_HEAD);
    body_reset(&b, &limits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),     cmocka_unit_test(test_max_is_a_whole_body),
        cmocka_unit_test(test_small_max), cmocka_unit_test(test_memory_is_wanted_by_large_ones_only),
        cmocka_unit_test(test_endless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
