/* test_connection.c: deadlines by state, and who makes room when there are too many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/limits.h"
#include "source/connection.h"

static struct connections all;
static struct connection c[4];

static int setup(void **state)
{
    (void)state;
    connections_init(&all, 10);
    for (int i = 0; i < 4; i++)
        c[i] = (struct connection){0};
    return 0;
}

/* The only one that has expired by then is this one, or none; next is the deadline after that. */
static void assert_expired(int64_t now, struct connection *expected, int64_t next)
{
    int64_t got;
    assert_ptr_equal(connections_expired(&all, now, &got), expected);
    if (expected)
        connection_enter(&all, expected, CONNECTION_CUT, now);
    assert_null(connections_expired(&all, now, &got));
    assert_int_equal(got, next);
}

static void test_deadlines(void **state)
{
    (void)state;
    connections_add(&all, &c[0], 100);
    connections_add(&all, &c[1], 105);
    assert_expired(109, NULL, 110);
    connection_enter(&all, &c[0], CONNECTION_READING, 109);
    assert_expired(110, NULL, 115);
    assert_expired(115, &c[1], 119);
    connection_enter(&all, &c[0], CONNECTION_SUSPENDED, 118);
    assert_expired(1000, NULL, INT64_MAX);
    connection_enter(&all, &c[0], CONNECTION_IDLE, 1000);
    assert_expired(1000 + IDLE_LASTS - 1, NULL, 1000 + IDLE_LASTS);
    assert_expired(1000 + IDLE_LASTS, &c[0], INT64_MAX);
}

static void test_the_oldest_unfinished_makes_room(void **state)
{
    (void)state;
    assert_null(connections_oldest_unfinished(&all));
    for (int i = 0; i < 3; i++)
        connections_add(&all, &c[i], i);
    connection_enter(&all, &c[0], CONNECTION_PUT, 3);
    connection_enter(&all, &c[1], CONNECTION_KEPT, 5);
    connections_add(&all, &c[3], 6);
    assert_ptr_equal(connections_oldest_unfinished(&all), &c[2]);
    connection_enter(&all, &c[2], CONNECTION_CUT, 7);
    assert_ptr_equal(connections_oldest_unfinished(&all), &c[1]);
    assert_int_equal(all.n, 3);
    assert_int_equal(all.n_cut, 1);
    for (int i = 0; i < 4; i++)
        connections_remove(&all, &c[i]);
    assert_int_equal(all.n + all.n_cut, 0);
}

static void test_a_complete_request_is_never_cut_for_room(void **state)
{
    (void)state;
    const enum connection_state complete[] = {CONNECTION_COMPLETE,  CONNECTION_PUT,      CONNECTION_HELD,
                                              CONNECTION_SUSPENDED, CONNECTION_RECORDED, CONNECTION_LOST,
                                              CONNECTION_ANSWERING};
    connections_add(&all, &c[0], 1);
    for (size_t i = 0; i < sizeof complete / sizeof *complete; i++) {
        connection_enter(&all, &c[0], complete[i], 2);
        assert_null(connections_oldest_unfinished(&all));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_deadlines, setup),
        cmocka_unit_test_setup(test_the_oldest_unfinished_makes_room, setup),
        cmocka_unit_test_setup(test_a_complete_request_is_never_cut_for_room, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
