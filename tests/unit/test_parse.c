/* test_parse.c: numbers, sizes, durations and addresses, right and wrong ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/parse.h"

static void expect(int (*parse)(const char *, int64_t *), const char *text, int status, int64_t number)
{
    int64_t n = -77;
    assert_int_equal(parse(text, &n), status);
    assert_int_equal(n, status < 0 ? -77 : number);
}

static void test_count(void **state)
{
    (void)state;
    expect(parse_count, "0", 0, 0);
    expect(parse_count, "1024", 0, 1024);
    expect(parse_count, "007", 0, 7);
    expect(parse_count, "9223372036854775807", 0, INT64_MAX);
    expect(parse_count, "9223372036854775808", -ERANGE, 0);
    expect(parse_count, "99999999999999999999999999", -ERANGE, 0);
    const char *wrong[] = {"",    " 1",  "1 ", "+1",  "-1",  "0x10",
                           "1.5", "1e3", "1K", "one", "1\n", "99999999999999999999x"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        expect(parse_count, wrong[i], -EINVAL, 0);
}

static void test_size(void **state)
{
    (void)state;
    expect(parse_size, "100", 0, 100);
    expect(parse_size, "16K", 0, 16 * 1024);
    expect(parse_size, "8M", 0, 8388608);
    expect(parse_size, "4G", 0, INT64_C(4294967296));
    expect(parse_size, "8589934591G", 0, INT64_C(8589934591) << 30);
    expect(parse_size, "8589934592G", -ERANGE, 0);
    const char *wrong[] = {"", "K", "8m", "8MB", "8 M", "8MM", "1.5M", "-1K"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        expect(parse_size, wrong[i], -EINVAL, 0);
}

static void test_duration(void **state)
{
    (void)state;
    expect(parse_duration, "10s", 0, 10000);
    expect(parse_duration, "500ms", 0, 500);
    expect(parse_duration, "2min", 0, 120000);
    expect(parse_duration, "2m", 0, 120000);
    expect(parse_duration, "1h", 0, 3600000);
    expect(parse_duration, "30d", 0, INT64_C(2592000000));
    expect(parse_duration, "106751991168d", -ERANGE, 0);
    const char *wrong[] = {"", "s", "10", "10w", "10 s", "1.5s", "10sec", "-1s"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        expect(parse_duration, wrong[i], -EINVAL, 0);
}

/* Reads the address and writes it again. */
static void expect_address(const char *text, const char *written)
{
    struct address a;
    char again[64];
    assert_int_equal(parse_address(text, &a), 0);
    format_address(&a.any, a.len, again, sizeof again);
    assert_string_equal(again, written);
}

static void test_address(void **state)
{
    (void)state;
    expect_address("127.0.0.1:8080", "127.0.0.1:8080");
    expect_address("[::1]:0", "[::1]:0");
    expect_address("[2001:db8::7]:65535", "[2001:db8::7]:65535");
    expect_address(":8080", "[::]:8080");
    expect_address("*:8080", "[::]:8080");
    expect_address("8080", "[::]:8080");
    expect_address("unix:/run/vodhook.sock", "unix");
    expect_address("[fe80::1%lo]:80", "[fe80::1]:80");

    struct address a;
    assert_int_equal(parse_address("unix:/run/vodhook.sock", &a), 0);
    assert_string_equal(a.un.sun_path, "/run/vodhook.sock");
    assert_int_equal(parse_address("[fe80::1%lo]:80", &a), 0);
    assert_int_not_equal(((struct sockaddr_in6 *)&a.any)->sin6_scope_id, 0);
}

static void test_address_wrong(void **state)
{
    (void)state;
    const char *wrong[] = {
        "",
        ":",
        "localhost:80",
        "127.0.0.1",
        "127.0.0.1:",
        "1.2.3:80",
        "::1:80",
        "[::1]",
        "[::1]80",
        "[]:80",
        "[1.2.3.4]:80",
        "[::1:80",
        ":-1",
        ": 80",
        "unix:",
        "unix:relative",
        "[fe80::1%nosuchdevice]:80",
        "http://1.2.3.4:80",
        "[1111111111111111111111111111111111111111111111111111111111111111111111111111111111]:80"};
    struct address a = {.len = 77};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(parse_address(wrong[i], &a), -EINVAL);
    assert_int_equal(parse_address(":65536", &a), -ERANGE);
    char path[200] = "unix:/";
    memset(path + 6, 'a', sizeof path - 7);
    path[sizeof path - 1] = '\0';
    assert_int_equal(parse_address(path, &a), -ENAMETOOLONG);
    assert_int_equal(a.len, 77);
}

static void test_format_mapped(void **state)
{
    (void)state;
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(55012)};
    char text[64];
    inet_pton(AF_INET6, "::ffff:1.2.3.4", &six.sin6_addr);
    format_address((struct sockaddr *)&six, sizeof six, text, sizeof text);
    assert_string_equal(text, "1.2.3.4:55012");
    /* What accept() gives for a client of a unix socket that has no name: the family alone, or nothing. */
    struct sockaddr un = {.sa_family = AF_UNIX};
    format_address(&un, sizeof un.sa_family, text, sizeof text);
    assert_string_equal(text, "unix");
    format_address(&un, 0, text, sizeof text);
    assert_string_equal(text, "unix");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_count),         cmocka_unit_test(test_size),
        cmocka_unit_test(test_duration),      cmocka_unit_test(test_address),
        cmocka_unit_test(test_address_wrong), cmocka_unit_test(test_format_mapped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
