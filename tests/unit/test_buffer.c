/* test_buffer.c: growing, printing, consuming, and a failure that is remembered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buffer.h"

static void expect(const struct buffer *b, const char *text)
{
    assert_true(slice_equal(buffer_slice(b), slice_of(text)));
}

static void test_append(void **state)
{
    (void)state;
    struct buffer b = {0};
    buffer_append(&b, NULL, 0);
    assert_null(b.data);
    buffer_puts(&b, "ab");
    buffer_putc(&b, 'c');
    buffer_append(&b, "d\0e", 3);
    assert_int_equal(b.len, 6);
    assert_memory_equal(b.data, "abcd\0e", 6);
    buffer_consume(&b, 5);
    expect(&b, "e");
    buffer_consume(&b, 100);
    expect(&b, "");
    buffer_done(&b);
    assert_null(b.data);
}

static void test_grow(void **state)
{
    (void)state;
    struct buffer b = {0};
    for (int i = 0; i < 100000; i++)
        buffer_putc(&b, (char)('a' + i % 26));
    assert_int_equal(b.len, 100000);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(b.data[i], 'a' + i % 26);
    buffer_reset(&b, 1 << 20);
    assert_non_null(b.data);
    assert_int_equal(b.len, 0);
    buffer_reset(&b, 1000);
    assert_null(b.data);
}

static void test_printf(void **state)
{
    (void)state;
    struct buffer b = {0};
    char long_text[5000];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    buffer_printf(&b, "%s=%d ", "n", 42);
    expect(&b, "n=42 ");
    buffer_printf(&b, "%s|", long_text);
    assert_int_equal(b.len, 5 + 4999 + 1);
    assert_int_equal(b.data[b.len - 1], '|');
    /* Each length around what the buffer has left, whose last byte vsnprintf() wants for its NUL. */
    for (int n = 500; n < 520; n++) {
        buffer_done(&b);
        buffer_printf(&b, "%.*s", n, long_text);
        assert_int_equal(b.len, n);
        assert_int_equal(b.data[n - 1], 'x');
    }
    buffer_done(&b);
}

static void test_failure(void **state)
{
    (void)state;
    struct buffer b = {0};
    buffer_puts(&b, "kept");
    assert_null(buffer_reserve(&b, SIZE_MAX - 2));
    assert_true(b.failed);
    buffer_puts(&b, "dropped");
    buffer_printf(&b, "%s", "dropped");
    expect(&b, "kept");
    buffer_reset(&b, 4096);
    assert_false(b.failed);
    buffer_puts(&b, "new");
    expect(&b, "new");
    buffer_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append),
        cmocka_unit_test(test_grow),
        cmocka_unit_test(test_printf),
        cmocka_unit_test(test_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
