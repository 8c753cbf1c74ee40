/* test_arena.c: pieces that do not touch, alignment, the limit, and starting again. */
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/arena.h"

static void test_pieces(void **state)
{
    (void)state;
    struct arena *a = arena_new(4 << 20);
    unsigned char *pieces[2000];
    assert_non_null(a);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 2000; i++) {
            pieces[i] = arena_alloc(a, 1 + i);
            assert_non_null(pieces[i]);
            assert_int_equal((uintptr_t)pieces[i] % alignof(max_align_t), 0);
            memset(pieces[i], (int)(i % 251), 1 + i);
        }
        for (size_t i = 0; i < 2000; i++)
            for (size_t j = 0; j <= i; j++)
                assert_int_equal(pieces[i][j], i % 251);
        arena_reset(a, 4 << 20);
    }
    arena_free(a);
}

static size_t fill(struct arena *a, size_t piece)
{
    size_t n = 0;
    while (arena_alloc(a, piece))
        n += piece;
    return n;
}

static void test_limit(void **state)
{
    (void)state;
    const size_t limit = 1 << 20;
    struct arena *a = arena_new(limit);
    assert_false(arena_failed(a));
    size_t small = fill(a, 16);
    assert_true(arena_failed(a));
    assert_in_range(small, limit * 9 / 10, limit);
    assert_null(arena_alloc(a, 1));
    arena_reset(a, limit);
    assert_false(arena_failed(a));
    /* The first block stays, so that one piece of all the rest fits and not a byte more. */
    assert_null(arena_alloc(a, limit));
    assert_non_null(arena_alloc(a, limit - 128 * 1024));
    arena_reset(a, limit);
    assert_int_equal(fill(a, 16), small);
    arena_reset(a, 2 * limit);
    assert_true(fill(a, 16) > limit);
    arena_reset(a, limit);
    assert_int_equal(fill(a, 16), small);
    arena_reset(a, limit);
    assert_null(arena_alloc(a, SIZE_MAX));
    assert_true(arena_failed(a));
    assert_null(arena_alloc(a, SIZE_MAX - 15));
    arena_free(a);
    assert_null(arena_free(NULL));
}

static void test_first_block_is_kept(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    void *first = arena_alloc(a, 100);
    arena_reset(a, 0);
    assert_ptr_equal(arena_alloc(a, 100), first);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_first_block_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
