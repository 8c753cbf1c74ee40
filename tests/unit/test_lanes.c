/* test_lanes.c: events of one key wait for one another, others do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "forward/lanes.h"

static void those_of_a_key_follow_one_another(void **state)
{
    (void)state;
    cleanup(lanes_free_p) struct lanes *l = NULL;
    struct lane_item a1 = {.key = "a"}, a2 = {.key = "a"}, a3 = {.key = "a"}, b = {.key = "b"};
    assert_int_equal(lanes_new(&l), 0);
    assert_false(lanes_busy(l, "a"));
    assert_int_equal(lanes_add(l, &a1), 1);
    assert_int_equal(lanes_add(l, &a2), 0);
    assert_int_equal(lanes_add(l, &b), 1);
    assert_int_equal(lanes_add(l, &a3), 0);
    assert_true(lanes_busy(l, "a"));
    assert_ptr_equal(lanes_end(&a1), &a2);
    assert_ptr_equal(lanes_end(&b), NULL);
    assert_false(lanes_busy(l, "b"));
    assert_ptr_equal(lanes_end(&a2), &a3);
    assert_ptr_equal(lanes_end(&a3), NULL);
    assert_false(lanes_busy(l, "a"));
}

static void those_behind_can_be_taken_out(void **state)
{
    (void)state;
    cleanup(lanes_free_p) struct lanes *l = NULL;
    struct lane_item a1 = {.key = "a"}, a2 = {.key = "a"}, a3 = {.key = "a"};
    assert_int_equal(lanes_new(&l), 0);
    lanes_add(l, &a1);
    lanes_add(l, &a2);
    lanes_add(l, &a3);
    assert_ptr_equal(lanes_take_behind(&a1), &a2);
    assert_ptr_equal(lanes_take_behind(&a1), &a3);
    assert_ptr_equal(lanes_take_behind(&a1), NULL);
    assert_ptr_equal(lanes_end(&a1), NULL);
}

static void many_keys_are_told_apart(void **state)
{
    (void)state;
    enum { MANY = 10000 };
    static struct lane_item items[MANY];
    static char keys[MANY][16];
    cleanup(lanes_free_p) struct lanes *l = NULL;
    assert_int_equal(lanes_new(&l), 0);
    for (int i = 0; i < MANY; i++) {
        snprintf(keys[i], sizeof keys[i], "%d", i);
        items[i].key = keys[i];
        assert_int_equal(lanes_add(l, &items[i]), 1);
    }
    for (int i = 0; i < MANY; i++)
        assert_ptr_equal(lanes_end(&items[i]), NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_of_a_key_follow_one_another),
        cmocka_unit_test(those_behind_can_be_taken_out),
        cmocka_unit_test(many_keys_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
