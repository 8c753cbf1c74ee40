/* test_text.c: what is escaped, what is quoted, and what is left alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"

static void expect(void (*write)(struct buffer *, struct slice), struct slice in, const char *out)
{
    struct buffer b = {0};
    write(&b, in);
    buffer_putc(&b, '\0');
    assert_false(b.failed);
    assert_string_equal(b.data, out);
    buffer_done(&b);
}

static void expect_utf8(const char *bytes, size_t n, uint32_t code)
{
    uint32_t got = 0;
    size_t len = strlen(bytes);
    assert_int_equal(text_utf8(bytes, len, &got), n);
    assert_int_equal(got, code);
    /* Cut short it is none, and nothing past its end is looked at. */
    for (size_t i = 1; i < n; i++)
        assert_int_equal(text_utf8(bytes, i, &got), 0);
}

static void test_utf8(void **state)
{
    (void)state;
    expect_utf8("a", 1, 'a');
    expect_utf8("\x7f", 1, 0x7F);
    expect_utf8("\xc2\x80", 2, 0x80);
    expect_utf8("\xdf\xbf", 2, 0x7FF);
    expect_utf8("\xe0\xa0\x80", 3, 0x800);
    expect_utf8("\xed\x9f\xbf", 3, 0xD7FF);
    expect_utf8("\xee\x80\x80", 3, 0xE000);
    expect_utf8("\xef\xbf\xbf", 3, 0xFFFF);
    expect_utf8("\xf0\x90\x80\x80", 4, 0x10000);
    expect_utf8("\xf4\x8f\xbf\xbf", 4, 0x10FFFF);

    const char *wrong[] = {
        "\x80",
        "\xbf",
        "\xc0\x80",
        "\xc1\xbf",
        "\xc2",
        "\xc2\x61",
        "\xe0\x9f\xbf",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xe2\x28\xa1",
        "\xe2\x82",
        "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xff",
        "\xf8\x88\x80\x80\x80",
    };
    uint32_t code;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(text_utf8(wrong[i], strlen(wrong[i]), &code), 0);
}

static void test_escape(void **state)
{
    (void)state;
    expect(text_escape, slice_of(""), "");
    expect(text_escape, (struct slice){NULL, 0}, "");
    expect(text_escape, slice_of("plain \\ \"text\" \xe5\x8b\x95\xe7\x89\xa9 \xf0\x9f\x8e\xac"),
           "plain \\ \"text\" \xe5\x8b\x95\xe7\x89\xa9 \xf0\x9f\x8e\xac");
    expect(text_escape, slice_of("a\nb\rc\td\x1b[31m\x7f"), "a\\nb\\rc\\td\\u001b[31m\\u007f");
    expect(text_escape, (struct slice){"a\0b", 3}, "a\\u0000b");
    /* C1 controls, line and paragraph separator, bidirectional controls, the byte order mark. */
    expect(text_escape, slice_of("\xc2\x80\xc2\x9f\xc2\xa0"), "\\u0080\\u009f\xc2\xa0");
    expect(text_escape, slice_of("\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa\xe2\x80\xae\xe2\x80\xaf"),
           "\xe2\x80\xa7\\u2028\\u2029\\u202a\\u202e\xe2\x80\xaf");
    expect(text_escape, slice_of("\xe2\x81\xa5\xe2\x81\xa6\xe2\x81\xa9\xe2\x81\xaa"),
           "\xe2\x81\xa5\\u2066\\u2069\xe2\x81\xaa");
    expect(text_escape, slice_of("\xd8\x9c\xe2\x80\x8e\xe2\x80\x8f\xef\xbb\xbf"),
           "\\u061c\\u200e\\u200f\\ufeff");
    /* What is no UTF-8, byte by byte, and the character after it unharmed. */
    expect(text_escape, slice_of("\xffok\xc0\x80\xed\xa0\x80\xe5\x8b"),
           "\\xffok\\xc0\\x80\\xed\\xa0\\x80\\xe5\\x8b");
    expect(text_escape, slice_of("\xe5\x8b\nx"), "\\xe5\\x8b\\nx");
}

static void test_logfmt(void **state)
{
    (void)state;
    expect(text_logfmt_value, slice_of("holiday.mp4"), "holiday.mp4");
    expect(text_logfmt_value, slice_of("https://a/b?c"), "https://a/b?c");
    expect(text_logfmt_value, slice_of("\xe5\x8b\x95"), "\"\xe5\x8b\x95\"");
    expect(text_logfmt_value, slice_of(""), "\"\"");
    expect(text_logfmt_value, slice_of("a b"), "\"a b\"");
    expect(text_logfmt_value, slice_of("a=b"), "\"a=b\"");
    expect(text_logfmt_value, slice_of("a\"b\\c"), "\"a\\\"b\\\\c\"");
    expect(text_logfmt_value, slice_of("a\nresult=ok"), "\"a\\nresult=ok\"");
    expect(text_logfmt_value, slice_of("a\xff"), "\"a\\xff\"");
}

/* Every byte at every place of a text that is longer than what is looked at in one go. */
static void test_plain(void **state)
{
    (void)state;
    char text[21];
    for (size_t len = 0; len <= sizeof text; len++)
        for (size_t at = 0; at < len; at++)
            for (int byte = 0; byte < 256; byte++) {
                memset(text, byte & 1 ? 'a' : '~', sizeof text);
                text[at] = (char)byte;
                bool plain = byte >= 0x20 && byte < 0x7F && byte != '"' && byte != '\\';
                assert_int_equal(text_plain(text, len), plain ? len : at);
            }
    assert_int_equal(text_plain(text, 0), 0);
}

static void test_equal_secret(void **state)
{
    (void)state;
    assert_true(text_equal_secret(slice_of("key"), slice_of("key")));
    assert_true(text_equal_secret(slice_of(""), (struct slice){NULL, 0}));
    assert_false(text_equal_secret(slice_of("key"), slice_of("kez")));
    assert_false(text_equal_secret(slice_of("Key"), slice_of("key")));
    assert_false(text_equal_secret(slice_of("key"), slice_of("keyy")));
    assert_false(text_equal_secret((struct slice){"a\0b", 3}, (struct slice){"a\0c", 3}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8),  cmocka_unit_test(test_escape),       cmocka_unit_test(test_logfmt),
        cmocka_unit_test(test_plain), cmocka_unit_test(test_equal_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
