/* test_journald.c: entries on their way to a journald that is there, busy, gone or new. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/journald.h"

static char folder[] = "/tmp/test-journald-XXXXXX";
static char path[64];

/* Stands in for journald's socket. */
static int listen_here(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    memcpy(address.sun_path, path, strlen(path));
    unlink(path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void test_fields(void **state)
{
    (void)state;
    struct buffer b = {0};
    journald_field(&b, "A", slice_of("x=y"));
    journald_field(&b, "B", (struct slice){"1\n\0002", 4});
    journald_field(&b, "C", (struct slice){0});
    const char expected[] = "A=x=y\nB\n\4\0\0\0\0\0\0\0001\n\0002\nC=\n";
    assert_int_equal(b.len, sizeof expected - 1);
    assert_memory_equal(b.data, expected, b.len);
    buffer_done(&b);
}

static void test_comes_and_goes(void **state)
{
    (void)state;
    struct journald j;
    char got[16];
    assert_int_equal(journald_init(&j, path), 0);
    int fd = j.fd;
    assert_int_equal(journald_send(&j, slice_of("A=1\n")), -ENOENT);
    int server = listen_here();
    assert_int_equal(journald_send(&j, slice_of("A=2\n")), 0);
    assert_int_equal(recv(server, got, sizeof got, 0), 4);
    assert_memory_equal(got, "A=2\n", 4);
    close(server);
    assert_int_equal(journald_send(&j, slice_of("A=3\n")), -ECONNREFUSED);
    server = listen_here();
    assert_int_equal(journald_send(&j, slice_of("A=4\n")), 0);
    assert_int_equal(recv(server, got, sizeof got, 0), 4);
    assert_memory_equal(got, "A=4\n", 4);
    assert_int_equal(j.fd, fd);
    close(server);
    unlink(path);
    journald_done(&j);
}

static void test_busy(void **state)
{
    (void)state;
    struct journald j;
    char got[16];
    int server = listen_here(), sent = 0, r;
    assert_int_equal(journald_init(&j, path), 0);
    while ((r = journald_send(&j, slice_of("A=1\n"))) == 0 && sent < 100000)
        sent++;
    assert_int_equal(r, -EAGAIN);
    struct pollfd p = {.fd = j.fd, .events = POLLOUT};
    assert_int_equal(poll(&p, 1, 0), 0);
    while (recv(server, got, sizeof got, 0) > 0)
        sent--;
    assert_int_equal(sent, 0);
    assert_int_equal(poll(&p, 1, 0), 1);
    assert_int_equal(journald_send(&j, slice_of("A=2\n")), 0);
    close(server);
    unlink(path);
    journald_done(&j);
}

static void test_large(void **state)
{
    (void)state;
    enum { SIZE = 5 * 1024 * 1024 };
    struct journald j;
    int server = listen_here(), fd = -1;
    char *large = malloc(SIZE), *got = malloc(SIZE);
    memset(large, 'x', SIZE);
    assert_int_equal(journald_init(&j, path), 0);
    assert_int_equal(journald_send(&j, (struct slice){large, SIZE}), 0);

    char control[CMSG_SPACE(sizeof fd)];
    struct msghdr message = {.msg_control = control, .msg_controllen = sizeof control};
    assert_int_equal(recvmsg(server, &message, 0), 0);
    assert_non_null(CMSG_FIRSTHDR(&message));
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    assert_int_equal(fcntl(fd, F_GET_SEALS), F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, SIZE);
    assert_int_equal(pread(fd, got, SIZE, 0), SIZE);
    assert_memory_equal(got, large, SIZE);
    close(fd);
    close(server);
    unlink(path);
    journald_done(&j);
    free(large);
    free(got);
}

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/socket", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_comes_and_goes),
        cmocka_unit_test(test_busy),
        cmocka_unit_test(test_large),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
