/* test_connection.c: deadlines by phase, and who makes place when there are too many. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "source/connection.h"

static struct connections all;
static struct connection c[4];
static int peer[4];

static int setup(void **state)
{
    (void)state;
    connections_init(&all, 3);
    all.lasts[PHASE_CONNECTED] = 10;
    all.lasts[PHASE_KEPT] = 60;
    all.lasts[PHASE_READING] = 10;
    for (int i = 0; i < 4; i++) {
        int fds[2];
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
            return -1;
        c[i] = (struct connection){.fd = fds[0]};
        peer[i] = fds[1];
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        close(c[i].fd);
        close(peer[i]);
    }
    return 0;
}

static int is_shut(int i)
{
    char byte;
    return recv(peer[i], &byte, 1, MSG_DONTWAIT) == 0;
}

static void test_deadlines(void **state)
{
    (void)state;
    connections_add(&all, &c[0], 100);
    connections_add(&all, &c[1], 105);
    assert_int_equal(connections_expire(&all, 109), 110);
    connection_enter(&all, &c[0], PHASE_READING, 109);
    assert_int_equal(connections_expire(&all, 110), 115);
    assert_int_equal(connections_expire(&all, 115), 119);
    assert_true(is_shut(1));
    assert_false(is_shut(0));
    connection_enter(&all, &c[0], PHASE_RECORDING, 118);
    assert_int_equal(connections_expire(&all, 1000), INT64_MAX);
    connection_enter(&all, &c[0], PHASE_KEPT, 1000);
    assert_int_equal(connections_expire(&all, 1059), 1060);
    assert_false(is_shut(0));
    connections_expire(&all, 1060);
    assert_true(is_shut(0));
    assert_string_equal(c[0].cut, "it took too long");
}

static void test_the_oldest_unfinished_makes_place(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        connections_add(&all, &c[i], i);
    connection_enter(&all, &c[0], PHASE_RECORDING, 3);
    connection_enter(&all, &c[1], PHASE_KEPT, 5);
    connections_add(&all, &c[3], 6);
    assert_false(is_shut(0));
    assert_false(is_shut(1));
    assert_true(is_shut(2));
    assert_false(is_shut(3));
    assert_int_equal(all.n, 3);
    for (int i = 0; i < 4; i++)
        connections_remove(&all, &c[i]);
    assert_int_equal(all.n, 0);
}

static void test_a_complete_request_is_never_cut_for_place(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        connections_add(&all, &c[i], i);
        connection_enter(&all, &c[i], PHASE_RECORDING, 3);
    }
    connections_add(&all, &c[3], 6);
    for (int i = 0; i < 4; i++)
        assert_false(is_shut(i));
    assert_int_equal(all.n, 4);
}

static void test_sent_bytes(void **state)
{
    (void)state;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    assert_int_equal(bind(listener, (struct sockaddr *)&a, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &len), 0);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&a, len), 0);
    struct connection one = {.fd = accept(listener, NULL, NULL)};
    bool ended;
    assert_false(connection_sent_bytes(&one, &ended));
    assert_false(ended);
    shutdown(client, SHUT_WR);
    char byte;
    assert_int_equal(recv(one.fd, &byte, 1, 0), 0);
    assert_false(connection_sent_bytes(&one, &ended));
    assert_true(ended);
    close(client);
    close(one.fd);

    client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&a, len), 0);
    one.fd = accept(listener, NULL, NULL);
    assert_int_equal(write(client, "x", 1), 1);
    assert_int_equal(recv(one.fd, &byte, 1, 0), 1);
    assert_true(connection_sent_bytes(&one, &ended));
    assert_false(ended);
    close(client);
    assert_int_equal(recv(one.fd, &byte, 1, 0), 0);
    assert_true(connection_sent_bytes(&one, &ended));
    assert_true(ended);
    close(one.fd);
    close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_deadlines, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_oldest_unfinished_makes_place, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_complete_request_is_never_cut_for_place, setup, teardown),
        cmocka_unit_test(test_sent_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
