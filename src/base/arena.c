/* arena.c: a chain of blocks, the first of them kept for ever, each later one twice as large. */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

enum { ARENA_FIRST = 128 * 1024 };

struct block {
    struct block *next; /* the one before it in time */
    size_t size, used;
    alignas(max_align_t) char data[];
};

struct arena {
    struct block *top;
    size_t limit, held; /* bytes of all blocks together */
    bool failed;        /* something was refused since the last reset */
};

static struct block *arena_grow(struct arena *a, size_t n)
{
    size_t size = a->top ? a->top->size * 2 : ARENA_FIRST;
    while (size < n)
        size *= 2;
    /* Near the limit a block of exactly what is asked still fits where a doubled one does not. */
    if (a->top && size > a->limit - a->held)
        size = n;
    if (a->top && size > a->limit - a->held)
        return NULL;
    struct block *b = malloc(sizeof *b + size);
    if (!b)
        return NULL;
    *b = (struct block){.next = a->top, .size = size};
    a->top = b;
    a->held += size;
    return b;
}

struct arena *arena_new(size_t limit)
{
    struct arena *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    if (!arena_grow(a, 0))
        return arena_free(a);
    arena_reset(a, limit);
    return a;
}

struct arena *arena_free(struct arena *a)
{
    if (!a)
        return NULL;
    while (a->top) {
        struct block *next = a->top->next;
        free(a->top);
        a->top = next;
    }
    free(a);
    return NULL;
}

void *arena_alloc(struct arena *a, size_t n)
{
    const size_t align = alignof(max_align_t);
    struct block *b = a->top;
    if (n > SIZE_MAX / 4)
        b = NULL;
    else if ((n = (n + align - 1) & ~(align - 1)) > b->size - b->used)
        b = arena_grow(a, n);
    if (!b) {
        a->failed = true;
        return NULL;
    }
    void *p = b->data + b->used;
    b->used += n;
    return p;
}

bool arena_failed(const struct arena *a)
{
    return a->failed;
}

void arena_reset(struct arena *a, size_t limit)
{
    while (a->top->next) {
        struct block *b = a->top;
        a->top = b->next;
        a->held -= b->size;
        free(b);
    }
    a->top->used = 0;
    a->limit = limit < ARENA_FIRST ? ARENA_FIRST : limit;
    a->failed = false;
}
