/* test_body.c: the limits of one body, and of all together. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "source/body.h"

enum { MIB = 1024 * 1024 };

static char chunk[MIB];

static int fill(struct body *b, struct body_limits *limits, size_t total, size_t step)
{
    int r = 0;
    for (size_t sent = 0; r == 0 && sent < total; sent += step)
        r = body_append(b, limits, chunk, total - sent < step ? total - sent : step);
    return r;
}

static void test_whole(void **state)
{
    (void)state;
    struct body_limits limits = {.max_body = MIB, .max_memory = 64 * MIB};
    struct body b = {0};
    assert_int_equal(body_append(&b, &limits, "abc", 3), 0);
    assert_int_equal(body_append(&b, &limits, "def", 3), 0);
    assert_memory_equal(b.data, "abcdef", 6);
    assert_int_equal(b.len, 6);
    assert_int_equal(limits.held, b.cap);
    body_reset(&b, &limits);
    assert_int_equal(limits.held, 0);
}

static void test_max_body_is_a_whole_body(void **state)
{
    (void)state;
    struct body_limits limits = {.max_body = MIB, .max_memory = 64 * MIB};
    struct body b = {0};
    assert_int_equal(fill(&b, &limits, MIB, 1000), 0);
    assert_false(b.truncated);
    assert_int_equal(b.len, MIB);
    assert_int_equal(b.cap, MIB);
    assert_int_equal(body_append(&b, &limits, "x", 1), 0);
    assert_true(b.truncated);
    assert_int_equal(b.len, BODY_HEAD);
    assert_int_equal(b.total, MIB + 1);
    assert_int_equal(limits.held, BODY_HEAD);
    body_reset(&b, &limits);
}

/* A limit below the head still keeps the head. */
static void test_small_max_body(void **state)
{
    (void)state;
    struct body_limits limits = {.max_body = 10, .max_memory = 64 * MIB};
    struct body b = {0};
    assert_int_equal(fill(&b, &limits, 100000, 7), 0);
    assert_true(b.truncated);
    assert_int_equal(b.len, BODY_HEAD);
    assert_int_equal(b.total, 100000);
    body_reset(&b, &limits);
    assert_int_equal(fill(&b, &limits, 100000, 100000), 0);
    assert_int_equal(b.len, BODY_HEAD);
    body_reset(&b, &limits);
    assert_int_equal(limits.held, 0);
}

static void test_max_memory_cuts_only_large_ones(void **state)
{
    (void)state;
    struct body_limits limits = {.max_body = 8 * MIB, .max_memory = 1 * MIB};
    struct body large[4] = {0}, small = {0};
    for (int i = 0; i < 4; i++)
        assert_int_equal(fill(&large[i], &limits, 2 * MIB, 5000), 0);
    int cut = 0;
    for (int i = 0; i < 4; i++)
        cut += large[i].truncated;
    assert_true(cut >= 3);
    assert_true(limits.held <= 1 * MIB + 4 * BODY_HEAD);
    assert_int_equal(fill(&small, &limits, BODY_HEAD, 333), 0);
    assert_false(small.truncated);
    assert_int_equal(small.len, BODY_HEAD);
    for (int i = 0; i < 4; i++)
        body_reset(&large[i], &limits);
    body_reset(&small, &limits);
    assert_int_equal(limits.held, 0);
}

static void test_abandoned(void **state)
{
    (void)state;
    struct body_limits limits = {.max_body = MIB, .max_memory = 64 * MIB};
    struct body b = {0};
    assert_int_equal(fill(&b, &limits, BODY_ABANDON, MIB), 0);
    assert_int_equal(body_append(&b, &limits, "x", 1), -EFBIG);
    assert_int_equal(b.len, BODY_HEAD);
    body_reset(&b, &limits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),          cmocka_unit_test(test_max_body_is_a_whole_body),
        cmocka_unit_test(test_small_max_body), cmocka_unit_test(test_max_memory_cuts_only_large_ones),
        cmocka_unit_test(test_abandoned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
