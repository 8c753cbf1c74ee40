/* test_backlog.c: records wait whole, up to a limit, whatever leaves in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "base/backlog.h"

static struct backlog b;

static int put(const char *record)
{
    buffer_puts(backlog_begin(&b), record);
    return backlog_end(&b);
}

static void assert_text(struct slice s, const char *expected)
{
    assert_int_equal(s.len, strlen(expected));
    assert_memory_equal(s.data, expected, s.len);
}

static int set_up(void **state)
{
    (void)state;
    backlog_init(&b, 10);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    backlog_done(&b);
    return 0;
}

static void test_is_bounded_by_whole_records(void **state)
{
    (void)state;
    assert_int_equal(backlog_first(&b).len, 0);
    assert_int_equal(put("one"), 0);
    assert_int_equal(put("two"), 0);
    assert_int_equal(put("three"), -ENOBUFS);
    assert_int_equal(put("4444"), 0);
    assert_text(backlog_all(&b), "onetwo4444");
    assert_text(backlog_first(&b), "one");
    backlog_sent(&b, 3);
    assert_text(backlog_first(&b), "two");
    assert_int_equal(put("555"), 0);
    assert_int_equal(backlog_clear(&b), 3);
    assert_int_equal(backlog_all(&b).len, 0);
}

/* A record that is larger than the limit would never leave otherwise. */
static void test_one_may_be_larger(void **state)
{
    (void)state;
    assert_int_equal(put("a record of many bytes"), 0);
    assert_int_equal(put("2"), -ENOBUFS);
    backlog_sent(&b, backlog_all(&b).len);
    assert_int_equal(put("another of many bytes"), 0);
}

static void test_parts_leave(void **state)
{
    (void)state;
    put("one");
    put("two");
    put("333");
    backlog_sent(&b, 4);
    assert_text(backlog_first(&b), "wo");
    assert_text(backlog_all(&b), "wo333");
    backlog_sent(&b, 1);
    assert_text(backlog_first(&b), "o");
    assert_int_equal(backlog_clear(&b), 2);
}

/* Records of all lengths, leaving in parts of all lengths: what leaves is what was put. */
static void test_random(void **state)
{
    (void)state;
    static char in[1 << 20], out[1 << 20];
    size_t n_in = 0, n_out = 0;
    b.max = 200;
    srandom(1);
    for (int i = 0; i < 20000; i++) {
        char record[40] = "";
        size_t len = 1 + (size_t)random() % 32;
        memset(record, 'a' + i % 26, len);
        if (put(record) == 0) {
            memcpy(in + n_in, record, len);
            n_in += len;
        }
        struct slice all = backlog_all(&b);
        assert_true(all.len <= 200);
        size_t gone = (size_t)random() % (all.len + 1);
        memcpy(out + n_out, all.data, gone);
        n_out += gone;
        backlog_sent(&b, gone);
    }
    struct slice rest = backlog_all(&b);
    memcpy(out + n_out, rest.data, rest.len);
    assert_int_equal(n_in, n_out + rest.len);
    assert_memory_equal(in, out, n_in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_is_bounded_by_whole_records, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_may_be_larger, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_parts_leave, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_random, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
