/* test_listener.c: sockets that are opened, and sockets that are passed in. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/parse.h"
#include "source/listener.h"

static void test_port_zero_tells_its_port(void **state)
{
    (void)state;
    struct listeners l = {0};
    assert_int_equal(listeners_open(&l, "127.0.0.1:0"), 0);
    assert_int_equal(l.n, 1);
    unsigned port = 0;
    assert_int_equal(sscanf(l.list[0].name, "port %u", &port), 1);
    assert_true(port > 0);
    listeners_done(&l);
}

static void test_address_in_use(void **state)
{
    (void)state;
    struct listeners l = {0}, other = {0};
    assert_int_equal(listeners_open(&l, "127.0.0.1:0"), 0);
    char address[64];
    snprintf(address, sizeof address, "127.0.0.1:%.8s", l.list[0].name + strlen("port "));
    assert_int_equal(listeners_open(&other, address), -EADDRINUSE);
    assert_int_equal(other.n, 0);
    listeners_done(&other);
    listeners_done(&l);
}

static void test_every_address_takes_ipv4(void **state)
{
    (void)state;
    struct listeners l = {0};
    assert_int_equal(listeners_open(&l, ":0"), 0);
    struct address a;
    char address[64];
    snprintf(address, sizeof address, "127.0.0.1:%.8s", l.list[0].name + strlen("port "));
    assert_int_equal(parse_address(address, &a), 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, &a.any, a.len), 0);
    close(fd);
    listeners_done(&l);
}

static void test_unix_socket_is_made_and_removed(void **state)
{
    (void)state;
    char folder[] = "/tmp/vodhook-test-XXXXXX", address[64];
    assert_non_null(mkdtemp(folder));
    snprintf(address, sizeof address, "unix:%s/s", folder);
    struct listeners l = {0}, second = {0};
    assert_int_equal(listeners_open(&l, address), 0);
    assert_string_equal(l.list[0].name, address);
    /* One that somebody listens on is not taken away from him. */
    assert_int_equal(listeners_open(&second, address), -EADDRINUSE);
    listeners_done(&l);
    struct stat st;
    assert_int_equal(stat(address + strlen("unix:"), &st), -1);

    /* What a killed process left behind does not keep the next one from starting. */
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct address a;
    assert_int_equal(parse_address(address, &a), 0);
    assert_int_equal(bind(fd, &a.any, a.len), 0);
    close(fd);
    assert_int_equal(listeners_open(&second, address), 0);
    listeners_done(&second);
    rmdir(folder);
}

/* A connect() to an owner that is stopped, with a queue that is full, would wait for it. */
static void test_an_owner_that_does_not_accept_is_not_waited_for(void **state)
{
    (void)state;
    char folder[] = "/tmp/vodhook-test-XXXXXX", address[64];
    assert_non_null(mkdtemp(folder));
    snprintf(address, sizeof address, "unix:%s/s", folder);
    struct address a;
    assert_int_equal(parse_address(address, &a), 0);
    int owner = socket(AF_UNIX, SOCK_STREAM, 0), client = -1, clients[8], n = 0;
    assert_int_equal(bind(owner, &a.any, a.len), 0);
    assert_int_equal(listen(owner, 0), 0);
    do {
        client = clients[n++] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    } while (connect(client, &a.any, a.len) == 0);
    assert_int_equal(errno, EAGAIN);
    struct listeners l = {0};
    alarm(10);
    assert_int_equal(listeners_open(&l, address), -EADDRINUSE);
    alarm(0);
    while (n > 0)
        close(clients[--n]);
    close(owner);
    unlink(a.un.sun_path);
    rmdir(folder);
}

static void test_a_successors_socket_is_not_removed(void **state)
{
    (void)state;
    char folder[] = "/tmp/vodhook-test-XXXXXX", address[64];
    assert_non_null(mkdtemp(folder));
    snprintf(address, sizeof address, "unix:%s/s", folder);
    struct listeners first = {0}, second = {0};
    struct stat st;
    assert_int_equal(listeners_open(&first, address), 0);
    assert_int_equal(unlink(address + strlen("unix:")), 0);
    assert_int_equal(listeners_open(&second, address), 0);
    listeners_done(&first);
    assert_int_equal(stat(address + strlen("unix:"), &st), 0);
    listeners_done(&second);
    assert_int_equal(stat(address + strlen("unix:"), &st), -1);
    rmdir(folder);
}

/* Runs listeners_take_passed() in a child that got one socket as descriptor 3, and returns what it returned.
 */
static int take(int family, int type, int listening)
{
    pid_t child = fork();
    if (child == 0) {
        int fd = socket(family, type, 0);
        if (listening) {
            struct sockaddr_storage a = {.ss_family = (sa_family_t)family};
            socklen_t len = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
            if (family == AF_UNIX) /* an abstract address of the kernel's choice */
                len = sizeof(sa_family_t);
            if (bind(fd, (struct sockaddr *)&a, len) < 0 || listen(fd, 1) < 0)
                _exit(99);
        }
        if (fd != 3)
            dup2(fd, 3);
        char pid[16];
        snprintf(pid, sizeof pid, "%d", getpid());
        setenv("LISTEN_PID", pid, 1);
        setenv("LISTEN_FDS", "1", 1);
        struct listeners l = {0};
        int r = listeners_take_passed(&l);
        _exit(r < 0 ? 100 : r);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_passed_sockets(void **state)
{
    (void)state;
    assert_int_equal(take(AF_INET, SOCK_STREAM, 1), 1);
    assert_int_equal(take(AF_INET6, SOCK_STREAM, 1), 1);
    assert_int_equal(take(AF_UNIX, SOCK_STREAM, 1), 1);
    assert_int_equal(take(AF_INET, SOCK_DGRAM, 0), 100);
    assert_int_equal(take(AF_INET, SOCK_STREAM, 0), 100);
}

static void test_nothing_passed(void **state)
{
    (void)state;
    struct listeners l = {0};
    assert_int_equal(listeners_take_passed(&l), 0);
    assert_false(l.passed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_port_zero_tells_its_port),
        cmocka_unit_test(test_address_in_use),
        cmocka_unit_test(test_every_address_takes_ipv4),
        cmocka_unit_test(test_unix_socket_is_made_and_removed),
        cmocka_unit_test(test_an_owner_that_does_not_accept_is_not_waited_for),
        cmocka_unit_test(test_a_successors_socket_is_not_removed),
        cmocka_unit_test(test_passed_sockets),
        cmocka_unit_test(test_nothing_passed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
