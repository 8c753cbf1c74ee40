/* test_record.c: the line that is said of a record, what is hidden of it, and the text that people read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "record/full_text.h"
#include "records.h"

#define BODY "{\"EventType\":\"FileDeleted\",\"FileDeleteEvent\":{\"FileIdSet\":[\"1\"]}}"

static struct json json;
static const struct event event = {.type = "FileDeleted", .known = true, .file_id = "1", .result = RESULT_OK};

static void assert_buffer(struct buffer *b, const char *expected)
{
    buffer_putc(b, 0);
    assert_string_equal(b->data, expected);
    buffer_done(b);
}

static void assert_summary(const struct record *r, const char *expected)
{
    struct buffer b = {0};
    record_summary(&b, r);
    assert_buffer(&b, expected);
}

static void test_trust_names(void **state)
{
    (void)state;
    assert_string_equal(record_trust_name(TRUST_UNCHECKED), "unchecked");
    assert_string_equal(record_trust_name(TRUST_VERIFIED), "verified");
    assert_string_equal(record_trust_name(TRUST_REFUSED), "refused");
}

/* What the record adds to the event's own summary. */
static void test_event_summary(void **state)
{
    (void)state;
    struct buffer own = {0};
    event_summary(&own, &event);
    size_t len = own.len;
    struct record r = event_record(&event, &json, slice_of(BODY));
    buffer_putc(&own, 0);
    assert_summary(&r, own.data);

    r.source = SOURCE_PULL;
    r.duplicate = true;
    own.len = len;
    buffer_puts(&own, " source=pull duplicate=yes");
    buffer_putc(&own, 0);
    assert_summary(&r, own.data);

    r.source = SOURCE_PUSH;
    r.duplicate = false;
    r.trust = TRUST_REFUSED;
    r.reason = "wrong Sign";
    own.len = len;
    buffer_puts(&own, " trust=refused from=192.0.2.7:55012 reason=\"wrong Sign\"");
    buffer_putc(&own, 0);
    assert_summary(&r, own.data);
    buffer_done(&own);
}

static void test_request_summary(void **state)
{
    (void)state;
    struct record r = request_record("POST", "/x?y", slice_of("17 bytes long, so"));
    assert_summary(&r, "POST /x?y 17 bytes from=[2001:db8::1]:55012");
    r.unreadable = true;
    r.reason = "the text ends too early";
    r.body_bytes = UINT64_C(8589934592);
    assert_summary(
        &r,
        "POST /x?y 8589934592 bytes unreadable from=[2001:db8::1]:55012 reason=\"the text ends too early\"");
    r.method = r.target = (struct slice){0};
    r.source = SOURCE_PULL;
    r.remote = "vod.tencentcloudapi.com";
    r.duplicate = true;
    r.reason = "why";
    assert_summary(&r, "Body of 8589934592 bytes unreadable source=pull duplicate=yes "
                       "from=vod.tencentcloudapi.com reason=why");
    r = request_record("GET\x1b", "/a\nb\xe2\x80\xae\xff", (struct slice){0});
    r.trust = TRUST_REFUSED;
    assert_summary(&r,
                   "\"GET\\u001b\" \"/a\\nb\\u202e\\xff\" 0 bytes trust=refused from=[2001:db8::1]:55012");
    r = request_record("GET", "/a\xc2\xa0z", (struct slice){0}); /* a space that breaks no line */
    assert_summary(&r, "GET \"/a\xc2\xa0z\" 0 bytes from=[2001:db8::1]:55012");
    r.target = (struct slice){0};
    assert_summary(&r, "GET \"\" 0 bytes from=[2001:db8::1]:55012");
    /* A target cannot pass for what is said of it. */
    r = request_record("GET", "/ 0 bytes trust=\"verified\"", (struct slice){0});
    assert_summary(&r, "GET \"/ 0 bytes trust=\\\"verified\\\"\" 0 bytes from=[2001:db8::1]:55012");
}

static void assert_body(const char *body, size_t max, bool cut, const char *expected)
{
    struct buffer b = {0};
    struct record r = request_record("POST", "/", slice_of(body));
    assert_int_equal(record_body(&b, &r, max), cut);
    assert_buffer(&b, expected);
}

static void test_body(void **state)
{
    (void)state;
    assert_body("", 10, false, "");
    assert_body("abc", 3, false, "abc");
    assert_body("abcd", 3, true, "abc");
    /* Cut between characters. */
    assert_body("a\xc3\xa9", 2, true, "a");
    assert_body("a\xe5\x8b\x95z", 3, true, "a");
    assert_body("a\xe5\x8b\x95z", 4, true, "a\xe5\x8b\x95");
    assert_body("\xf0\x9f\x8e\xac", 3, true, "");
    assert_body("\x80\x80\x80\x80\x80\x80", 5, true, "\x80\x80\x80\x80\x80");
    assert_body("abcd", 0, true, "");

    struct buffer b = {0};
    struct record r = request_record("POST", "/", slice_of("head"));
    r.truncated = true;
    r.body_bytes = 100;
    assert_true(record_body(&b, &r, 10));
    assert_buffer(&b, "head");
}

static void test_body_hides_sign(void **state)
{
    (void)state;
    assert_body("{\"Sign\":\"0123\",\"T\":1,", 99, false, "{\"Sign\":\"***\",\"T\":1,");
    assert_body("{\"T\":1, \"Sign\" :\n \"01\\\"23\", \"Sign\":\"4\"}", 99, false,
                "{\"T\":1, \"Sign\" :\n \"***\", \"Sign\":\"***\"}");
    assert_body("{\"Sign\":\"0123456789\"}", 12, true, "{\"Sign\":\"***\"");
    assert_body("{\"Sign\":\"0\\", 99, false, "{\"Sign\":\"***\"");
    assert_body("{\"Sign\"", 99, false, "{\"Sign\"");
    assert_body("{\"Sign\":", 99, false, "{\"Sign\":");
    assert_body("[\"Sign\",\"Sign\":5]", 99, false, "[\"Sign\",\"Sign\":5]");
}

static void assert_event(const char *body, const char *expected)
{
    struct buffer b = {0};
    struct record r = event_record(&event, &json, slice_of(body));
    record_event(&b, &r);
    assert_buffer(&b, expected);
}

/* Byte for byte, but for the value of a Sign at the top. */
static void test_event_hides_sign(void **state)
{
    (void)state;
    assert_event("\xef\xbb\xbf {\"a\" : 1.50}\r\n", "\xef\xbb\xbf {\"a\" : 1.50}\r\n");
    assert_event(" {\"Sign\" : \"01\" , \"T\":1,\n\"x\":{\"Sign\":\"kept\"}} ",
                 " {\"Sign\" : \"***\" , \"T\":1,\n\"x\":{\"Sign\":\"kept\"}} ");
    assert_event("{\"Sign\":\"1\",\"Sign\":{\"a\":[]}\n,\"a\":\"}\",\"\\u0053ign\":\"3\"}",
                 "{\"Sign\":\"***\",\"Sign\":\"***\"\n,\"a\":\"}\",\"\\u0053ign\":\"***\"}");
}

static void assert_time(void (*write)(struct buffer *, struct timestamp *, int64_t), int64_t time,
                        const char *expected)
{
    struct buffer b = {0};
    struct timestamp cache = {0};
    for (int i = 0; i < 2; i++) {
        b.len = 0;
        write(&b, &cache, time);
    }
    assert_buffer(&b, expected);
}

static void test_timestamps(void **state)
{
    (void)state;
    assert_time(timestamp_utc, RECORD_TIME, "2026-11-24T03:37:05.123Z");
    assert_time(timestamp_utc, 0, "1970-01-01T00:00:00.000Z");
    assert_time(timestamp_utc, -1, "1969-12-31T23:59:59.999Z");
    setenv("TZ", "CST-8", 1);
    tzset();
    assert_time(timestamp_local, RECORD_TIME, "2026-11-24T11:37:05.123+08:00");
    setenv("TZ", "NST3:30", 1);
    tzset();
    assert_time(timestamp_local, RECORD_TIME, "2026-11-24T00:07:05.123-03:30");

    /* A new second is a new text. */
    struct buffer b = {0};
    struct timestamp cache = {0};
    timestamp_utc(&b, &cache, 1999999);
    timestamp_utc(&b, &cache, 2000000);
    timestamp_utc(&b, &cache, 1000);
    assert_buffer(&b, "1970-01-01T00:00:01.999Z1970-01-01T00:00:02.000Z1970-01-01T00:00:00.001Z");
}

static void assert_text(struct record *r, bool color, const char *expected)
{
    struct buffer b = {0};
    struct timestamp cache = {0};
    setenv("TZ", "CST-8", 1);
    tzset();
    r->summary = slice_of("the summary");
    record_text(&b, &cache, r, 20, color);
    assert_buffer(&b, expected);
}

static void test_event_text(void **state)
{
    (void)state;
    struct event e = event;
    struct record r = event_record(&e, &json, slice_of("{\"Sign\":\"0\",\"a\":[1]}"));
    const char *shown = "    {\n"
                        "        \"Sign\": \"***\",\n"
                        "        \"a\": [\n"
                        "            1\n"
                        "        ]\n"
                        "    }\n";
    char expected[512];
    snprintf(expected, sizeof expected, "2026-11-24T11:37:05.123+08:00 the summary\n%s", shown);
    assert_text(&r, false, expected);
    assert_text(&r, true, expected);
    e.result = RESULT_FAILED;
    assert_text(&r, false, expected);
    snprintf(expected, sizeof expected, "\x1b[31m2026-11-24T11:37:05.123+08:00 the summary\x1b[0m\n%s",
             shown);
    assert_text(&r, true, expected);
    r.trust = TRUST_REFUSED;
    snprintf(expected, sizeof expected, "\x1b[33m2026-11-24T11:37:05.123+08:00 the summary\x1b[0m\n%s",
             shown);
    assert_text(&r, true, expected);
}

static void test_request_text(void **state)
{
    (void)state;
    const struct header headers[] = {{slice_of("Host"), slice_of("x")},
                                     {slice_of("A"), slice_of("\x1b[1m\xff")}};
    struct record r = request_record("POST", "/", slice_of("a=1\r\n2026 forged\n\nwhat is too long"));
    r.headers = headers;
    r.n_headers = 2;
    assert_text(&r, true,
                "2026-11-24T11:37:05.123+08:00 the summary\n"
                "    Host: x\n"
                "    A: \\u001b[1m\\xff\n"
                "\n"
                "    a=1\n"
                "    2026 forged\n"
                "    \n"
                "    wh\n"
                "    ... (cut: 34 bytes arrived)\n");
    r = request_record("GET", "/", (struct slice){0});
    assert_text(&r, false, "2026-11-24T11:37:05.123+08:00 the summary\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trust_names),     cmocka_unit_test(test_event_summary),
        cmocka_unit_test(test_request_summary), cmocka_unit_test(test_body),
        cmocka_unit_test(test_body_hides_sign), cmocka_unit_test(test_event_hides_sign),
        cmocka_unit_test(test_timestamps),      cmocka_unit_test(test_event_text),
        cmocka_unit_test(test_request_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
