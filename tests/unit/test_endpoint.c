/* test_endpoint.c: where the API may be called: everywhere over TLS, without it on this machine alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "cloud/endpoint.h"

static void test_good(void **state)
{
    (void)state;
    static const struct {
        const char *text, *url, *host;
    } good[] = {
        {"vod.tencentcloudapi.com", "https://vod.tencentcloudapi.com/", "vod.tencentcloudapi.com"},
        {"https://vod.intl.tencentcloudapi.com/", "https://vod.intl.tencentcloudapi.com/",
         "vod.intl.tencentcloudapi.com"},
        {"example.com:8443", "https://example.com:8443/", "example.com:8443"},
        {"https://[2001:db8::1]:443", "https://[2001:db8::1]:443/", "[2001:db8::1]:443"},
        {"http://127.0.0.1:8080", "http://127.0.0.1:8080/", "127.0.0.1:8080"},
        {"http://127.1.2.3", "http://127.1.2.3/", "127.1.2.3"},
        {"http://[::1]:1/", "http://[::1]:1/", "[::1]:1"},
        {"http://localhost:65535", "http://localhost:65535/", "localhost:65535"},
        {"http://LocalHost", "http://LocalHost/", "LocalHost"},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct endpoint e;
        assert_null(endpoint_parse(good[i].text, &e));
        assert_string_equal(e.url, good[i].url);
        assert_string_equal(e.host, good[i].host);
        assert_int_equal(e.plain, strncmp(good[i].text, "http://", 7) == 0);
    }
}

static void test_bad(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "https://",
        "http://vod.tencentcloudapi.com",
        "http://127.0.0.1.example.com",
        "http://127.example.com",
        "http://localhost.example.com",
        "http://127.0.0.1@example.com",
        "http://user:pass@127.0.0.1",
        "http://[::2]",
        "http://10.0.0.1",
        "http://0.0.0.0",
        "HTTP://127.0.0.1",
        "ftp://127.0.0.1",
        "example.com/path",
        "example.com?x",
        "example.com#x",
        "example.com:",
        "example.com:0",
        "example.com:65536",
        "example.com:99999999999999999999",
        "example.com:80x",
        "[::1",
        "exa mple.com",
        "example.com\r\nX: y",
    };
    struct endpoint e;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (!endpoint_parse(bad[i], &e))
            fail_msg("'%s' was taken", bad[i]);
    char longest[400];
    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    assert_non_null(endpoint_parse(longest, &e));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_bad)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
