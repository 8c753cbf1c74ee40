/* test_service.c: the frame: what systemd is told, what signals do, and when chores are done, for a process
 * that serves and for one that calls out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/service.h"

static const int64_t MILLISECOND = 1000, SECOND = 1000000;

static struct {
    int notify; /* what systemd would read */
    struct service *service;
    int n_chores, n_stop;
    int64_t chores_every; /* 0 for never */
    uint64_t state;
    const char *status;
    int stop_result;
    bool stop_ends;
} w;

static int64_t do_chores(void *userdata, int64_t now)
{
    (void)userdata;
    w.n_chores++;
    return w.chores_every ? now + w.chores_every : INT64_MAX;
}

static void write_status(void *userdata, struct buffer *to)
{
    (void)userdata;
    buffer_puts(to, w.status);
}

static uint64_t get_state(void *userdata)
{
    (void)userdata;
    return w.state;
}

static int stop(void *userdata)
{
    (void)userdata;
    w.n_stop++;
    if (w.stop_ends)
        sd_event_exit(service_loop(w.service), 0);
    return w.stop_result;
}

static void make(bool has_stop)
{
    struct service_config config = {
        .chores = do_chores,
        .status = write_status,
        .state = get_state,
        .stop = has_stop ? stop : NULL,
        .stop_max = 8 * SECOND,
    };
    assert_int_equal(service_new(&config, &w.service), 0);
}

/* The next notification, or "" where there is none. */
static const char *told(void)
{
    static char text[512];
    ssize_t n = recv(w.notify, text, sizeof text - 1, MSG_DONTWAIT);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static int set_up(void **state)
{
    (void)state;
    char name[64];
    memset(&w, 0, sizeof w);
    w.status = "fine";
    w.stop_ends = true;
    snprintf(name, sizeof name, "@vodhook-test-service-%d", getpid());
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path + 1, name + 1, strlen(name) - 1);
    w.notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(w.notify, (struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
                     0);
    setenv("NOTIFY_SOCKET", name, 1);
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    w.service = service_free(w.service);
    close(w.notify);
    return 0;
}

static void test_tells_that_it_is_ready(void **state)
{
    (void)state;
    make(true);
    w.status = "one\nREADY=0";
    assert_string_equal(told(), "");
    assert_int_equal(service_ready(w.service), 0);
    assert_string_equal(told(), "READY=1");
    assert_string_equal(told(), "STATUS=one\\nREADY=0");
    assert_int_equal(service_stop_by(w.service), INT64_MAX);
}

static void test_status_at_once_when_the_state_changes(void **state)
{
    (void)state;
    make(true);
    assert_int_equal(service_ready(w.service), 0);
    while (*told())
        ;
    w.status = "new";
    assert_int_equal(service_wait(w.service, 0), 0);
    assert_string_equal(told(), "");
    w.state = 1;
    assert_int_equal(service_wait(w.service, 0), 0);
    assert_string_equal(told(), "STATUS=new");
    assert_string_equal(told(), "");
}

static void test_waits_and_does_chores(void **state)
{
    (void)state;
    make(true);
    w.chores_every = 5 * MILLISECOND;
    assert_int_equal(service_ready(w.service), 0);
    int64_t began = clock_now(CLOCK_MONOTONIC);
    while (w.n_chores < 5)
        assert_int_equal(service_wait(w.service, began + 20 * MILLISECOND), 0);
    assert_true(clock_now(CLOCK_MONOTONIC) - began >= 20 * MILLISECOND);
    w.chores_every = 0;
    w.n_chores = 0;
    assert_int_equal(service_wait(w.service, 0), 0); /* what is past is not waited for, and chores are done */
    assert_true(w.n_chores > 0);
}

static void test_a_signal_ends_a_wait(void **state)
{
    (void)state;
    w.stop_ends = false;
    make(true);
    assert_int_equal(service_ready(w.service), 0);
    while (*told())
        ;
    raise(SIGHUP);
    assert_int_equal(service_wait(w.service, 0), 0);
    assert_int_equal(service_stop_by(w.service), INT64_MAX);
    raise(SIGTERM);
    int64_t began = clock_now(CLOCK_MONOTONIC);
    assert_int_equal(service_wait(w.service, began + 3600 * SECOND), 0);
    assert_in_range(service_stop_by(w.service), began + 8 * SECOND, began + 10 * SECOND);
    assert_string_equal(told(), "STOPPING=1");
    assert_int_equal(w.n_stop, 1);
    raise(SIGINT);
    assert_int_equal(service_wait(w.service, began + 3600 * SECOND), 0);
    assert_true(service_stop_by(w.service) <= clock_now(CLOCK_MONOTONIC));
    assert_int_equal(w.n_stop, 1);
    assert_string_equal(told(), "");
}

static void test_a_signal_ends_the_loop(void **state)
{
    (void)state;
    make(true);
    assert_int_equal(service_ready(w.service), 0);
    raise(SIGTERM);
    assert_int_equal(service_serve(w.service), 0);
    assert_int_equal(w.n_stop, 1);
    w.service = service_free(w.service);

    make(false);
    assert_int_equal(service_ready(w.service), 0);
    raise(SIGINT);
    assert_int_equal(service_serve(w.service), 0);
}

static void test_the_second_signal_ends_the_loop_at_once(void **state)
{
    (void)state;
    w.stop_ends = false;
    make(true);
    assert_int_equal(service_ready(w.service), 0);
    raise(SIGTERM);
    raise(SIGINT);
    assert_int_equal(service_serve(w.service), 0);
    assert_int_equal(w.n_stop, 1);
}

static void test_a_stop_that_fails_ends_the_loop(void **state)
{
    (void)state;
    w.stop_ends = false;
    w.stop_result = -EIO;
    make(true);
    assert_int_equal(service_ready(w.service), 0);
    raise(SIGTERM);
    assert_int_equal(service_serve(w.service), -EIO);
    assert_int_equal(w.n_stop, 1);
}

static void test_watchdog(void **state)
{
    (void)state;
    setenv("WATCHDOG_USEC", "40000", 1);
    make(true);
    assert_int_equal(service_ready(w.service), 0);
    int64_t until = clock_now(CLOCK_MONOTONIC) + 30 * SECOND;
    bool heard = false;
    while (!heard && clock_now(CLOCK_MONOTONIC) < until) {
        service_wait(w.service, clock_now(CLOCK_MONOTONIC) + 40 * MILLISECOND);
        for (const char *text = told(); *text; text = told())
            heard |= strcmp(text, "WATCHDOG=1") == 0;
    }
    assert_true(heard);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_tells_that_it_is_ready),          TEST(test_status_at_once_when_the_state_changes),
        TEST(test_waits_and_does_chores),           TEST(test_a_signal_ends_a_wait),
        TEST(test_a_signal_ends_the_loop),          TEST(test_the_second_signal_ends_the_loop_at_once),
        TEST(test_a_stop_that_fails_ends_the_loop), TEST(test_watchdog),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
