/* buffer.c: the growing run of bytes. */
#include "base/buffer.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUFFER_FIRST = 512 };

char *buffer_grow(struct buffer *b, size_t n)
{
    if (b->failed)
        return NULL;
    if (n > SIZE_MAX / 4 - b->len) {
        b->failed = true;
        return NULL;
    }
    size_t cap = b->cap ? b->cap : BUFFER_FIRST;
    while (cap - b->len < n)
        cap *= 2;
    char *data = realloc(b->data, cap);
    if (!data) {
        b->failed = true;
        return NULL;
    }
    b->data = data;
    b->cap = cap;
    return b->data + b->len;
}

void buffer_printf(struct buffer *b, const char *format, ...)
{
    char *to = buffer_reserve(b, 128);
    if (!to)
        return;
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(to, b->cap - b->len, format, ap);
    va_end(ap);
    if (n < 0) {
        b->failed = true;
        return;
    }
    if ((size_t)n >= b->cap - b->len) {
        to = buffer_reserve(b, (size_t)n + 1);
        if (!to)
            return;
        va_start(ap, format);
        vsnprintf(to, (size_t)n + 1, format, ap);
        va_end(ap);
    }
    b->len += (size_t)n;
}

void buffer_consume(struct buffer *b, size_t n)
{
    if (n >= b->len) {
        b->len = 0;
        return;
    }
    memmove(b->data, b->data + n, b->len - n);
    b->len -= n;
}

void buffer_reset(struct buffer *b, size_t keep)
{
    if (b->cap > keep)
        buffer_done(b);
    b->len = 0;
    b->failed = false;
}

void buffer_done(struct buffer *b)
{
    free(b->data);
    *b = (struct buffer){0};
}
