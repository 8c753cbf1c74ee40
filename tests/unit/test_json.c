/* test_json.c: what is JSON, and how it is written again. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "json/json.h"

static unsigned flags_of(const char *data, size_t len)
{
    struct json_scan scan;
    assert_int_equal(json_scan(data, len, &scan), 0);
    return scan.flags;
}

static void assert_invalid(const char *data, size_t len)
{
    struct json_scan scan;
    if (json_scan(data, len, &scan) != -EBADMSG)
        fail_msg("taken for JSON: %.*s", (int)len, data);
    assert_non_null(scan.error);
    assert_true(scan.error_offset <= len);
}

static void test_valid(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{}",
        "[]",
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1.5e+3",
        "-12.25E1",
        "\"\"",
        "\"\\u00e9\\/\"",
        "[1,[2,{}],{}]",
        " { } ",
        "\t[\r\n1 , 2\n]\n",
        "\"\x7f\"",
        "{\"a\":{\"b\":[null]},\"a\":2}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        flags_of(texts[i], strlen(texts[i]));
}

static void test_invalid(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        " ",
        "{",
        "[",
        "}",
        "]",
        "{]",
        "[}",
        "[1,]",
        "{\"a\":1,}",
        "{,}",
        "[,1]",
        "{\"a\"}",
        "{a:1}",
        "{\"a\" 1}",
        "{1:2}",
        "01",
        "-",
        "+1",
        "1.",
        ".5",
        "1e",
        "1e+",
        "0x1",
        "NaN",
        "tru",
        "nulll",
        "\"a",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u12",
        "'a'",
        "{} {}",
        "[] x",
        "1 2",
        "[1 2]",
        "{\"a\":1 \"b\":2}",
        "\v1",
        "\xA0[]",
        "[1]\x01",
        "\xEF\xBB\xBF",
        "//\n{}",
        "\"\\",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_invalid(texts[i], strlen(texts[i]));
    assert_invalid("[]\0", 3);
    assert_invalid("[\0]", 3);
}

static void test_flags(void **state)
{
    (void)state;
    assert_int_equal(flags_of("{\"a\":[1,\"x\"]}", 13), 0);
    assert_int_equal(flags_of("\xEF\xBB\xBF{}", 5), JSON_BOM);
    assert_int_equal(flags_of("[1, 2]", 6), JSON_SPACE);
    assert_int_equal(flags_of("[1,\n2]", 6), JSON_SPACE | JSON_NEWLINE);
    assert_int_equal(flags_of("\"\xFF\"", 3), JSON_BAD_UTF8);
    assert_int_equal(flags_of("\"\xED\xA0\x80\"", 5), JSON_BAD_UTF8);
    assert_int_equal(flags_of("\"a\nb\"", 5), JSON_RAW_CONTROL);
    assert_int_equal(flags_of("\"\0\"", 3), JSON_RAW_CONTROL);
    assert_int_equal(flags_of("\"\xE2\x80\xA8\"", 5), JSON_UNSAFE);
    assert_int_equal(flags_of("\"\\u0000\"", 8), JSON_ODD_ESCAPE);
    assert_int_equal(flags_of("\"\\ud83d\"", 8), JSON_ODD_ESCAPE);
    assert_int_equal(flags_of("\"\\ude00\\ud83d\"", 14), JSON_ODD_ESCAPE);
    assert_int_equal(flags_of("\"\\ud83d\\ude00\"", 14), 0);
    assert_int_equal(flags_of("123456789012345", 15), 0);
    assert_int_equal(flags_of("1234567890123456", 16), JSON_LONG_NUMBER);
    assert_int_equal(flags_of("1e3", 3), JSON_LONG_NUMBER);
    assert_int_equal(flags_of("{\"Sign\":1}", 10), JSON_SIGN);
    assert_int_equal(flags_of("{\"\\u0053ign\":1}", 15), JSON_SIGN);
    assert_int_equal(flags_of("{\"a\":{\"Sign\":1}}", 16), 0);
    assert_int_equal(flags_of("[{\"Sign\":1}]", 12), 0);
}

static void test_depth(void **state)
{
    (void)state;
    char text[2 * (JSON_DEPTH_MAX + 1)];
    memset(text, '[', JSON_DEPTH_MAX);
    memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    flags_of(text, 2 * JSON_DEPTH_MAX);
    memset(text, '[', JSON_DEPTH_MAX + 1);
    memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    struct json_scan scan;
    assert_int_equal(json_scan(text, sizeof text, &scan), -EBADMSG);
    assert_string_equal(scan.error, "nested too deep");
}

enum how { COMPACT, MASKED, INDENTED, READABLE };

static void assert_written(const char *text, size_t len, enum how how, const char *expected)
{
    struct json_scan scan;
    struct buffer b = {0};
    assert_int_equal(json_scan(text, len, &scan), 0);
    if (how == INDENTED)
        json_write_indented(&b, &scan, true, "> ");
    else if (how == READABLE)
        json_readable(&b, &scan);
    else
        json_write_compact(&b, &scan, how == MASKED);
    buffer_putc(&b, '\0');
    assert_false(b.failed);
    assert_string_equal(b.data, expected);
    buffer_done(&b);
}

#define ASSERT_WRITTEN(text, how, expected) assert_written(text, sizeof(text) - 1, how, expected)

static void test_compact(void **state)
{
    (void)state;
    ASSERT_WRITTEN(" { \"a b\" : [ 1.50 , -0 ,\ttrue ] ,\r\n\"c\":null } ", COMPACT,
                   "{\"a b\":[1.50,-0,true],\"c\":null}");
    ASSERT_WRITTEN("\xEF\xBB\xBF[12345678901234567890]", COMPACT, "[12345678901234567890]");
    ASSERT_WRITTEN("\"a\nb\0c\xFF\xC2\x85\xE2\x80\xAE\x7F\"", COMPACT,
                   "\"a\\u000ab\\u0000c\xEF\xBF\xBD\\u0085\\u202e\\u007f\"");
    ASSERT_WRITTEN("\"\\u0000\\ud800\\/\xE5\x8B\x95\"", COMPACT, "\"\\u0000\\ud800\\/\xE5\x8B\x95\"");
}

static void test_mask(void **state)
{
    (void)state;
    ASSERT_WRITTEN("{\"Sign\":\"abc\",\"x\":1}", MASKED, "{\"Sign\":\"***\",\"x\":1}");
    ASSERT_WRITTEN("{\"Sign\":\"abc\",\"x\":1}", COMPACT, "{\"Sign\":\"abc\",\"x\":1}");
    ASSERT_WRITTEN("{\"a\":\"Sign\",\"\\u0053ign\" : 5}", MASKED, "{\"a\":\"Sign\",\"\\u0053ign\":\"***\"}");
    ASSERT_WRITTEN("{\"Sign\":{\"k\":[\"v\",{}]},\"Sign\":[],\"y\":[\"Sign\"]}", MASKED,
                   "{\"Sign\":\"***\",\"Sign\":\"***\",\"y\":[\"Sign\"]}");
    ASSERT_WRITTEN("{\"p\":{\"Sign\":\"kept\"},\"Sign\":\"gone\"}", MASKED,
                   "{\"p\":{\"Sign\":\"kept\"},\"Sign\":\"***\"}");
}

static void test_indented(void **state)
{
    (void)state;
    ASSERT_WRITTEN(
        "{\"a\":[1,{}],\"b\":{ },\"Sign\":[1]}", INDENTED,
        "{\n>     \"a\": [\n>         1,\n>         {}\n>     ],\n>     \"b\": {},\n>     \"Sign\": "
        "\"***\"\n> }");
}

/* Margins grow with the depth; a stranger must not turn a small body into a large text. */
static void test_indented_is_bounded(void **state)
{
    (void)state;
    enum { DEPTH = 490, ELEMENTS = 100000 };
    struct buffer text = {0}, indented = {0};
    for (int i = 0; i < DEPTH; i++)
        buffer_putc(&text, '[');
    for (int i = 0; i < ELEMENTS; i++)
        buffer_puts(&text, i ? ",1" : "1");
    for (int i = 0; i < DEPTH; i++)
        buffer_putc(&text, ']');
    struct json_scan scan;
    assert_int_equal(json_scan(text.data, text.len, &scan), 0);
    buffer_puts(&indented, "before ");
    json_write_indented(&indented, &scan, true, "    ");
    assert_int_equal(indented.len, strlen("before ") + text.len);
    assert_true(indented.cap < 8 * text.len + 1024 * 1024);
    buffer_done(&indented);
    buffer_done(&text);
}

static void test_readable(void **state)
{
    (void)state;
    ASSERT_WRITTEN("[14508071098000000037,-1e5,15,\"\\u0000\\ud800x\\ud83d\\ude00\"]", READABLE,
                   "[\"14508071098000000037\",\"-1e5\",15,\"\\ufffd\\ufffdx\\ud83d\\ude00\"]");
}

static void test_string(void **state)
{
    (void)state;
    struct buffer b = {0};
    json_write_string(&b, (struct slice){"a\"\\\n\0\xFF\xE2\x80\xA8", 9});
    buffer_putc(&b, '\0');
    assert_string_equal(b.data, "\"a\\\"\\\\\\u000a\\u0000\xEF\xBF\xBD\\u2028\"");
    buffer_reset(&b, 0);
    json_write_string(&b, (struct slice){NULL, 0});
    assert_memory_equal(b.data, "\"\"", 2);
    buffer_done(&b);
}

static void test_walk(void **state)
{
    (void)state;
    struct slice root = slice_of("{ \"x\" : {\"y\":1}, \"\\u0052\":[ [1] , {\"a\":\"]\"},3 ] }"), rest,
                 element;
    assert_true(json_member(root, "x", &element));
    assert_true(slice_equal(element, slice_of("{\"y\":1}")));
    assert_false(json_member(root, "y", &element));
    assert_true(json_member(root, "R", &rest));
    assert_true(json_next(&rest, &element));
    assert_true(slice_equal(element, slice_of("[1]")));
    assert_true(json_next(&rest, &element));
    assert_true(slice_equal(element, slice_of("{\"a\":\"]\"}")));
    assert_true(json_next(&rest, &element));
    assert_true(slice_equal(element, slice_of("3")));
    assert_false(json_next(&rest, &element));
    rest = slice_of("[]");
    assert_false(json_next(&rest, &element));
    assert_false(json_member(slice_of("[1]"), "x", &element));
    assert_false(json_member(slice_of("{}"), "x", &element));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),    cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_flags),    cmocka_unit_test(test_depth),
        cmocka_unit_test(test_compact),  cmocka_unit_test(test_mask),
        cmocka_unit_test(test_indented), cmocka_unit_test(test_indented_is_bounded),
        cmocka_unit_test(test_readable), cmocka_unit_test(test_string),
        cmocka_unit_test(test_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
