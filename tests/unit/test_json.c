/* test_json.c: what is JSON, and how it is written again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "json/json_write.h"

static struct json json;

static unsigned flags_of(const char *data, size_t len)
{
    assert_true(json_read(&json, data, len));
    return json.flags;
}

static void assert_invalid(const char *data, size_t len)
{
    if (json_read(&json, data, len))
        fail_msg("taken for JSON: %.*s", (int)len, data);
    assert_non_null(json.error);
    assert_true(json.error_offset <= len);
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
    assert_int_equal(flags_of("\xEF\xBB\xBF{}", 5), 0);
    assert_int_equal(flags_of("[1, 2]", 6), JSON_SPACE);
    assert_int_equal(flags_of("[1,\n2]", 6), JSON_SPACE | JSON_NEWLINE);
    assert_int_equal(flags_of("\"\xFF\"", 3), JSON_BAD_UTF8);
    assert_int_equal(flags_of("\"\xED\xA0\x80\"", 5), JSON_BAD_UTF8);
    assert_int_equal(flags_of("\"a\nb\"", 5), JSON_RAW_CONTROL);
    assert_int_equal(flags_of("\"\0\"", 3), JSON_RAW_CONTROL | JSON_NUL);
    assert_int_equal(flags_of("\"\xE2\x80\xA8\"", 5), JSON_UNSAFE);
    assert_int_equal(flags_of("\"\\u0000\"", 8), JSON_ESCAPED | JSON_NUL);
    assert_int_equal(flags_of("\"\\ud83d\"", 8), JSON_ESCAPED | JSON_LONE_SURROGATE);
    assert_int_equal(flags_of("\"\\ude00\\ud83d\"", 14), JSON_ESCAPED | JSON_LONE_SURROGATE);
    assert_int_equal(flags_of("\"\\ud83d\\ude00\"", 14), JSON_ESCAPED);
    assert_int_equal(flags_of("123456789012345", 15), 0);
    assert_int_equal(flags_of("1234567890123456", 16), JSON_LONG_NUMBER);
    assert_int_equal(flags_of("52.20833206176758", 17), 0);
    assert_int_equal(flags_of("0.12345678901234567890123456789012345678901234567890123456789", 61),
                     JSON_LONG_NUMBER);
    assert_int_equal(flags_of("1e3", 3), JSON_LONG_NUMBER);
    assert_int_equal(flags_of("{\"Sign\":1}", 10), JSON_SIGN);
    assert_int_equal(flags_of("{\"\\u0053ign\":1}", 15), JSON_SIGN | JSON_ESCAPED);
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
    assert_false(json_read(&json, text, sizeof text));
    assert_string_equal(json.error, "nested too deep");
}

enum how { COMPACT, MASKED, INDENTED, MENDED, AS_IT_CAME };

static void assert_written(const char *text, size_t len, enum how how, const char *expected)
{
    struct buffer b = {0};
    assert_true(json_read(&json, text, len));
    if (how == INDENTED)
        json_write_indented(&b, &json, true, "> ");
    else if (how == MENDED)
        json_write_mended(&b, &json, 0);
    else if (how == AS_IT_CAME)
        json_write_masked(&b, &json);
    else
        json_write_compact(&b, &json, how == MASKED);
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
    ASSERT_WRITTEN("\"\\u0000\\ud800\\/\xE5\x8B\x95\"", COMPACT, "\"\\u0000\\ufffd\\/\xE5\x8B\x95\"");
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
    assert_true(json_read(&json, text.data, text.len));
    buffer_puts(&indented, "before ");
    json_write_indented(&indented, &json, true, "    ");
    assert_int_equal(indented.len, strlen("before ") + text.len);
    assert_true(indented.cap < 8 * text.len + 1024 * 1024);
    buffer_done(&indented);
    buffer_done(&text);
}

static void test_mended(void **state)
{
    (void)state;
    ASSERT_WRITTEN("[14508071098000000037, -1e5,15,60.20833206176758,\"\\u0000\\ud800x\\ud83d\\ude00\"]",
                   MENDED,
                   "[\"14508071098000000037\", \"-1e5\",15,60.20833206176758,"
                   "\"\\ufffd\\ufffdx\\ud83d\\ude00\"]");
    ASSERT_WRITTEN("{\"a\0\xFF\" :\"\n\\u0001\xE2\x80\xAE\",\"b\":{\"\\udc00\":null}}", MENDED,
                   "{\"a\xEF\xBF\xBD\xEF\xBF\xBD\" :\"\n\\u0001\xE2\x80\xAE\",\"b\":{\"\\ufffd\":null}}");
}

static void test_masked_as_it_came(void **state)
{
    (void)state;
    ASSERT_WRITTEN(
        "{ \"Sign\" : [ 1 ] ,\n\"a\": {\"Sign\":\"kept\"}, \"S\\u0069gn\":\"x\\\"y\" , \"\xFF\":1}",
        AS_IT_CAME,
        "{ \"Sign\" : \"***\" ,\n\"a\": {\"Sign\":\"kept\"}, \"S\\u0069gn\":\"***\" , \"\xFF\":1}");
    ASSERT_WRITTEN("[{\"Sign\":\"kept\"}]", AS_IT_CAME, "[{\"Sign\":\"kept\"}]");
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

static void test_nodes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t next;
    } expected[] = {
        {"{ \"x\" : {\"y\":1}, \"\\u0052\":[ [1] , {} ] }", 10},
        {"\"x\"", 5},
        {"{\"y\":1}", 5},
        {"\"y\"", 5},
        {"1", 5},
        {"\"\\u0052\"", 10},
        {"[ [1] , {} ]", 10},
        {"[1]", 9},
        {"1", 9},
        {"{}", 10},
    };
    char text[64];
    snprintf(text, sizeof text, "\xEF\xBB\xBF %s ", expected[0].text);
    assert_true(json_read(&json, text, strlen(text)));
    assert_int_equal(json.n, 10);
    for (uint32_t i = 0; i < json.n; i++) {
        assert_true(slice_equal(json_raw(&json, i), slice_of(expected[i].text)));
        assert_int_equal(json.nodes[i].next, expected[i].next);
        assert_int_equal(!!(json.nodes[i].flags & JSON_NAME), i == 1 || i == 3 || i == 5);
    }
    assert_int_equal(json_member(&json, 0, "x"), 2);
    assert_int_equal(json_member(&json, 0, "R"), 6);
    assert_int_equal(json_member(&json, 0, "y"), 0);
    assert_int_equal(json_member(&json, 6, "x"), 0);
    assert_int_equal(json_member(&json, 9, "x"), 0);
    uint32_t sum = 0;
    json_each(&json, 6, element)
        sum = sum * 100 + element;
    assert_int_equal(sum, 709);
    json_each(&json, 9, element)
        fail_msg("node %u in an empty object", element);
    json_each(&json, 8, element)
        fail_msg("node %u in a number", element);
}

static bool is(const char *string, const char *text)
{
    assert_true(json_read(&json, string, strlen(string)));
    return json_is(&json, 0, text);
}

static void test_is(void **state)
{
    (void)state;
    assert_true(is("\"Sign\"", "Sign"));
    assert_true(is("\"S\\u0069gn\"", "Sign"));
    assert_true(is("\"\\u00e9\\ud83d\\ude00\\/\"", "\xC3\xA9\xF0\x9F\x98\x80/"));
    assert_true(is("\"\"", ""));
    assert_false(is("\"Sign\"", "Sig"));
    assert_false(is("\"Sig\"", "Sign"));
    assert_false(is("\"S\\u0069gn\\u0000\"", "Sign"));
    assert_false(is("12", "12"));
}

static void test_numbers(void **state)
{
    (void)state;
    assert_true(json_is_number(slice_of("-1.5e3")));
    assert_true(json_is_number(slice_of("0")));
    static const char *const others[] = {"", "-", "01", "1 ", " 1", "1.", "1e", "x", "1x", "\"1\""};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(json_is_number(slice_of(others[i])));
}

static void test_memory_is_bounded(void **state)
{
    (void)state;
    static char text[2 * 10000 + 2] = "[";
    struct json small = {.memory_max = 10000 * sizeof(struct json_node)};
    for (size_t i = 0; i < 10000; i++)
        memcpy(text + 1 + 2 * i, "0,", 2);
    text[2 * 10000] = ']';
    assert_false(json_read(&small, text, 2 * 10000 + 1));
    assert_true(small.too_large);
    text[10000] = ']';
    assert_true(json_read(&small, text, 10001));
    assert_true(small.cap <= 10000);
    json_done(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),
        cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_compact),
        cmocka_unit_test(test_mask),
        cmocka_unit_test(test_indented),
        cmocka_unit_test(test_indented_is_bounded),
        cmocka_unit_test(test_mended),
        cmocka_unit_test(test_masked_as_it_came),
        cmocka_unit_test(test_string),
        cmocka_unit_test(test_nodes),
        cmocka_unit_test(test_is),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_memory_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
