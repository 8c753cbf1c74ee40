/* buffer.h: a growing run of bytes that text is put together in. It remembers that memory ran out, so that a
 * writer appends without checking and looks at `failed` once, at the end. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

struct buffer {
    char *data; /* owned; not terminated by NUL */
    size_t len, cap;
    bool failed; /* an append did not fit in memory; len is what stood before it */
};

/* What buffer_reserve() does where there is no room. */
char *buffer_grow(struct buffer *b, size_t n);

/* Makes room for n more bytes and returns where they go, or NULL (and sets failed) when memory runs out. The
 * caller writes at most n bytes there and adds what it wrote to len. */
static inline char *buffer_reserve(struct buffer *b, size_t n)
{
    return !b->failed && n <= b->cap - b->len ? b->data + b->len : buffer_grow(b, n);
}

/* Inlined, since a line of JSON is put together from a hundred pieces. */
static inline void buffer_append(struct buffer *b, const char *data, size_t n)
{
    char *to = n ? buffer_reserve(b, n) : NULL;
    if (!to)
        return;
    memcpy(to, data, n);
    b->len += n;
}

static inline void buffer_puts(struct buffer *b, const char *s)
{
    buffer_append(b, s, strlen(s));
}

static inline void buffer_putc(struct buffer *b, char c)
{
    buffer_append(b, &c, 1);
}

void buffer_printf(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Removes the first n bytes. */
void buffer_consume(struct buffer *b, size_t n);

/* Empties the buffer and forgives a failure; its memory is kept unless it grew past keep bytes. */
void buffer_reset(struct buffer *b, size_t keep);

/* Frees what it holds and leaves an empty buffer. */
void buffer_done(struct buffer *b);

static inline struct slice buffer_slice(const struct buffer *b)
{
    return (struct slice){b->data, b->len};
}
