/* test_stdout.c: an output that stalls, fills up, is closed or comes back costs records at most, and says so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "record/stdout.h"
#include "records.h"

enum { BUFFER_MAX = 256 * 1024 };

static char folder[] = "/tmp/test-stdout-XXXXXX";
static char fifo[64];

static struct sink *make(int fd)
{
    struct stdout_config config = {.fd = fd, .json = true, .log_body = 16384, .buffer_max = BUFFER_MAX};
    struct sink *s;
    assert_int_equal(sink_stdout_new(&config, &s), 0);
    return s;
}

/* Offers a record whose target is /i. */
static int put(struct sink *s, int i, size_t body)
{
    static char filler[1024 * 1024];
    memset(filler, 'x', sizeof filler);
    char target[16];
    snprintf(target, sizeof target, "/%d", i);
    struct record r = request_record("POST", target, (struct slice){filler, body});
    return s->ops->put(s, &r);
}

/* Reads what there is without waiting, appends it to `to`, and returns how many bytes. */
static size_t drain(int fd, struct buffer *to)
{
    size_t before = to->len;
    for (struct pollfd p = {.fd = fd, .events = POLLIN}; poll(&p, 1, 0) > 0 && p.revents & POLLIN;) {
        char *room = buffer_reserve(to, 65536);
        ssize_t n = read(fd, room, 65536);
        if (n <= 0)
            break;
        to->len += (size_t)n;
    }
    return to->len - before;
}

/* How many lines there are, each of which must be whole. */
static int count_lines(const struct buffer *b)
{
    int n = 0;
    for (size_t at = 0; at < b->len; n++) {
        const char *line = b->data + at, *end = memchr(line, '\n', b->len - at);
        assert_non_null(end);
        assert_memory_equal(line, "{\"time\":\"2026-11-24T03:37:05.123Z\",", 35);
        assert_memory_equal(end - 19, "\"unreadable\":false}", 19);
        at += (size_t)(end - line) + 1;
    }
    return n;
}

static void test_records_share_a_write(void **state)
{
    (void)state;
    struct buffer got = {0};
    int p[2];
    assert_int_equal(pipe(p), 0);
    struct sink *s = make(p[1]);
    for (int i = 0; i < 10; i++)
        assert_int_equal(put(s, i, 10), 0);
    assert_int_equal(drain(p[0], &got), 0);
    assert_int_equal(s->ops->flush(s), 0);
    drain(p[0], &got);
    assert_int_equal(count_lines(&got), 10);
    /* Much is written before the end of the round. */
    for (int i = 0; i < 10; i++)
        assert_int_equal(put(s, i, 10000), 0);
    assert_true(drain(p[0], &got) > 0);
    assert_int_equal(fcntl(p[1], F_GETFL) & O_NONBLOCK, 0);
    sink_free(s);
    drain(p[0], &got);
    assert_int_equal(count_lines(&got), 20);
    close(p[0]);
    close(p[1]);
    buffer_done(&got);
}

/* Whoever else writes to the same open file is not written over. */
static void test_file_shares_its_offset(void **state)
{
    (void)state;
    char text[4096] = "";
    int fd = memfd_create("output", MFD_CLOEXEC);
    struct sink *s = make(fd);
    put(s, 1, 0);
    s->ops->flush(s);
    assert_int_equal(write(fd, "between\n", 8), 8);
    put(s, 2, 0);
    sink_free(s);
    assert_true(pread(fd, text, sizeof text - 1, 0) > 0);
    const char *one = strstr(text, "\"/1\""), *between = strstr(text, "\nbetween\n"),
               *two = strstr(text, "\"/2\"");
    assert_true(one && between && two && one < between && between < two);
    close(fd);
}

/* Runs it in a process of its own, which may mount something; 77 skips. */
static void in_a_place_of_its_own(int (*run)(void))
{
    pid_t child = fork();
    if (child == 0) {
        bool mine = unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0;
        if (!mine || mount("none", "/", "", MS_REC | MS_PRIVATE, NULL) < 0)
            _exit(77);
        _exit(run());
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        print_message("no file system can be mounted here\n");
        skip();
    }
    assert_int_equal(status, 0);
}

static void stall_and_resume(struct sink *s, int reader)
{
    struct buffer got = {0};
    int n = 0, taken = 0;
    stderr_begin();
    while (put(s, n++, 1000) == 0)
        taken++;
    for (; n < taken + 100; n++)
        assert_int_equal(put(s, n, 1000), -ENOBUFS);
    assert_in_range(taken, BUFFER_MAX / 1600, (BUFFER_MAX + 1024 * 1024) / 1400);
    int wait = s->ops->flush(s);
    assert_true(wait > 0);
    struct pollfd p = {.fd = wait, .events = POLLOUT};
    assert_int_equal(poll(&p, 1, 0), 0);
    assert_int_equal(stderr_count("does not keep up"), 1);

    while (drain(reader, &got) > 0)
        s->ops->flush(s);
    assert_int_equal(s->ops->flush(s), 0);
    assert_int_equal(count_lines(&got), taken);
    char again[64];
    snprintf(again, sizeof again, "written to stdout again, %d were dropped", n - taken);
    assert_int_equal(stderr_count(again), 1);
    assert_int_equal(put(s, n, 1000), 0);
    assert_int_equal(s->ops->flush(s), 0);
    drain(reader, &got);
    assert_int_equal(count_lines(&got), taken + 1);
    sink_free(s);
    assert_int_equal(stderr_count("\n"), 2);
    stderr_end();
    buffer_done(&got);
}

static void test_pipe_stalls(void **state)
{
    (void)state;
    int p[2];
    assert_int_equal(pipe(p), 0);
    stall_and_resume(make(p[1]), p[0]);
    close(p[0]);
    close(p[1]);
}

static void test_socket_stalls(void **state)
{
    (void)state;
    int p[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
    stall_and_resume(make(p[1]), p[0]);
    assert_int_equal(fcntl(p[1], F_GETFL) & O_NONBLOCK, 0);
    close(p[0]);
    close(p[1]);
}

/* Without a reader a FIFO cannot be opened again, so the descriptor itself is used; it would block. */
static void test_fifo_that_is_not_opened_again_stalls(void **state)
{
    (void)state;
    int reader = open(fifo, O_RDONLY | O_NONBLOCK), writer = open(fifo, O_WRONLY);
    close(reader);
    struct sink *s = make(writer);
    reader = open(fifo, O_RDONLY | O_NONBLOCK);
    stall_and_resume(s, reader);
    close(reader);
    close(writer);
}

/* A terminal that nobody reads, where /proc cannot open it again: each write must end, in a process of its own
 * that an alarm ends otherwise. */
static int stalled_terminal(void)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY), terminal = -1;
    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0 ||
        (terminal = open(ptsname(master), O_RDWR | O_NOCTTY)) < 0 ||
        mount("none", "/proc", "tmpfs", 0, NULL) < 0)
        return 77;
    alarm(20);
    struct sink *s = make(terminal);
    for (int i = 0; i < 500; i++) {
        put(s, i, 1000);
        s->ops->flush(s);
    }
    bool stalled = s->ops->flush(s) == terminal;
    sink_free(s);
    return stalled ? 0 : 1;
}

static void test_terminal_that_is_not_opened_again_stalls(void **state)
{
    (void)state;
    in_a_place_of_its_own(stalled_terminal);
}

static void test_reader_goes_and_another_comes(void **state)
{
    (void)state;
    struct buffer got = {0};
    int reader = open(fifo, O_RDONLY | O_NONBLOCK), writer = open(fifo, O_WRONLY);
    struct sink *s = make(writer);
    stderr_begin();
    put(s, 1, 0);
    assert_int_equal(s->ops->flush(s), 0);
    close(reader);
    for (int i = 0; i < 5; i++) {
        put(s, i, 0);
        put(s, i, 0);
        assert_int_equal(s->ops->flush(s), 0);
    }
    assert_int_equal(stderr_count("Broken pipe"), 1);
    reader = open(fifo, O_RDONLY | O_NONBLOCK);
    put(s, 2, 0);
    assert_int_equal(s->ops->flush(s), 0);
    assert_int_equal(stderr_count("again, 10 were dropped"), 1);
    drain(reader, &got);
    assert_int_equal(count_lines(&got), 2); /* the first was still in the pipe */
    sink_free(s);
    assert_int_equal(stderr_count("\n"), 2);
    stderr_end();
    close(reader);
    close(writer);
    buffer_done(&got);
}

static void test_closed(void **state)
{
    (void)state;
    int read_only = open("/dev/null", O_RDONLY | O_CLOEXEC), none = read_only + 100;
    for (int i = 0; i < 2; i++) {
        stderr_begin();
        struct sink *s = make(i ? read_only : none);
        assert_int_equal(stderr_count("Bad file descriptor"), 1);
        put(s, 1, 0);
        assert_int_equal(s->ops->flush(s), 0);
        sink_free(s);
        assert_int_equal(stderr_count("Bad file descriptor"), 1);
        assert_int_equal(stderr_count("1 records could not be written"), 1);
        stderr_end();
    }
    close(read_only);
}

static void test_full_device(void **state)
{
    (void)state;
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    stderr_begin();
    struct sink *s = make(fd);
    for (int i = 0; i < 1000; i++)
        put(s, i, 1000);
    assert_int_equal(s->ops->flush(s), -EAGAIN);
    assert_int_equal(stderr_count("No space left on device"), 1);
    sink_free(s);
    assert_int_equal(stderr_count("1000 records could not be written"), 1);
    assert_int_equal(stderr_count("\n"), 2);
    stderr_end();
    close(fd);
}

/* What was put while a disk was full is there when it has room again, and no line is cut. */
static int full_disk(void)
{
    struct buffer got = {0};
    char path[96], text[65536] = "";
    if (mount("none", folder, "tmpfs", 0, "size=64k") < 0)
        return 77;
    snprintf(path, sizeof path, "%s/filler", folder);
    int filler = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    while (write(filler, text, 4096) > 0)
        ;
    close(filler);
    char output[96];
    snprintf(output, sizeof output, "%s/output", folder);
    int fd = open(output, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    stderr_begin();
    struct sink *s = make(fd);
    for (int i = 0; i < 20; i++)
        put(s, i, 1000);
    assert_int_equal(s->ops->flush(s), -EAGAIN);
    assert_int_equal(s->ops->flush(s), -EAGAIN);
    assert_int_equal(stderr_count("\n"), 1);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(s->ops->flush(s), 0);
    assert_int_equal(stderr_count("again, 0 were dropped"), 1);
    sink_free(s);
    stderr_end();
    lseek(fd, 0, SEEK_SET);
    char *room = buffer_reserve(&got, sizeof text);
    got.len = (size_t)read(fd, room, sizeof text);
    assert_int_equal(count_lines(&got), 20);
    buffer_done(&got);
    return 0;
}

static void test_full_disk(void **state)
{
    (void)state;
    in_a_place_of_its_own(full_disk);
}

/* A record that alone is larger than the buffer may be is let pass. */
static void test_large_record(void **state)
{
    (void)state;
    struct stdout_config config = {.json = true, .log_body = 1024 * 1024, .buffer_max = 1000};
    struct buffer got = {0};
    int p[2];
    assert_int_equal(pipe(p), 0);
    config.fd = p[1];
    struct sink *s;
    assert_int_equal(sink_stdout_new(&config, &s), 0);
    stderr_begin();
    assert_int_equal(put(s, 1, 1024 * 1024), 0);
    assert_int_equal(put(s, 2, 10), -ENOBUFS);
    while (drain(p[0], &got) > 0)
        s->ops->flush(s);
    stderr_end();
    assert_int_equal(count_lines(&got), 1);
    assert_true(got.len > 1024 * 1024);
    sink_free(s);
    close(p[0]);
    close(p[1]);
    buffer_done(&got);
}

/* At the end a reader that is slow but alive gets the rest. */
static void test_rest_at_the_end(void **state)
{
    (void)state;
    int p[2];
    assert_int_equal(pipe(p), 0);
    struct sink *s = make(p[1]);
    int n = 0;
    while (n < 200)
        assert_int_equal(put(s, n++, 500), 0);
    assert_true(s->ops->flush(s) > 0);
    pid_t child = fork();
    if (child == 0) {
        int lines = 0;
        char text[4096];
        close(p[1]);
        for (ssize_t got; lines < 200 && (got = read(p[0], text, sizeof text)) > 0;)
            for (ssize_t i = 0; i < got; i++)
                lines += text[i] == '\n';
        _exit(lines);
    }
    sink_free(s);
    close(p[1]);
    close(p[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 200);
}

static int restore_stderr(void **state)
{
    (void)state;
    stderr_end();
    return 0;
}

static int make_folder(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    if (!mkdtemp(folder))
        return -1;
    snprintf(fifo, sizeof fifo, "%s/fifo", folder);
    return mkfifo(fifo, 0600);
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(fifo);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_records_share_a_write, restore_stderr),
        cmocka_unit_test_teardown(test_file_shares_its_offset, restore_stderr),
        cmocka_unit_test_teardown(test_pipe_stalls, restore_stderr),
        cmocka_unit_test_teardown(test_socket_stalls, restore_stderr),
        cmocka_unit_test_teardown(test_fifo_that_is_not_opened_again_stalls, restore_stderr),
        cmocka_unit_test_teardown(test_terminal_that_is_not_opened_again_stalls, restore_stderr),
        cmocka_unit_test_teardown(test_reader_goes_and_another_comes, restore_stderr),
        cmocka_unit_test_teardown(test_closed, restore_stderr),
        cmocka_unit_test_teardown(test_full_device, restore_stderr),
        cmocka_unit_test_teardown(test_full_disk, restore_stderr),
        cmocka_unit_test_teardown(test_large_record, restore_stderr),
        cmocka_unit_test_teardown(test_rest_at_the_end, restore_stderr),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
