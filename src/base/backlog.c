/* backlog.c: a bounded queue of records in one run of bytes. */
#include "base/backlog.h"

#include <errno.h>
#include <string.h>

enum { MEMORY_KEEP = 256 * 1024 /* bytes that are kept while nothing waits */ };

void backlog_init(struct backlog *b, size_t max)
{
    *b = (struct backlog){.max = max};
}

void backlog_done(struct backlog *b)
{
    buffer_done(&b->data);
    buffer_done(&b->lengths);
}

static size_t first_length(const struct backlog *b)
{
    size_t len;
    memcpy(&len, b->lengths.data + b->forgotten, sizeof len);
    return len;
}

/* Moves what waits to the front when more than half of the memory before it is free, so that a byte is moved once. */
struct buffer *backlog_begin(struct backlog *b)
{
    if (b->sent > b->data.len / 2) {
        buffer_consume(&b->data, b->sent);
        buffer_consume(&b->lengths, b->forgotten);
        b->sent = b->forgotten = 0;
    }
    b->mark = b->data.len;
    return &b->data;
}

int backlog_end(struct backlog *b)
{
    size_t len = b->data.len - b->mark;
    int r = b->mark == b->sent || b->data.len - b->sent <= b->max ? 0 : -ENOBUFS;
    if (r == 0 && !b->data.failed)
        buffer_append(&b->lengths, (const char *)&len, sizeof len);
    if (b->data.failed || b->lengths.failed)
        r = -ENOMEM;
    b->data.failed = b->lengths.failed = false;
    if (r < 0)
        b->data.len = b->mark;
    return r;
}

struct slice backlog_all(const struct backlog *b)
{
    return (struct slice){b->data.data + b->sent, b->data.len - b->sent};
}

struct slice backlog_first(const struct backlog *b)
{
    struct slice all = backlog_all(b);
    return (struct slice){all.data, all.len ? first_length(b) - b->part : 0};
}

void backlog_sent(struct backlog *b, size_t n)
{
    b->sent += n;
    b->part += n;
    while (b->forgotten < b->lengths.len && b->part >= first_length(b)) {
        b->part -= first_length(b);
        b->forgotten += sizeof(size_t);
    }
    if (b->sent == b->data.len)
        backlog_clear(b);
}

size_t backlog_clear(struct backlog *b)
{
    size_t n = (b->lengths.len - b->forgotten) / sizeof(size_t);
    buffer_reset(&b->data, MEMORY_KEEP);
    buffer_reset(&b->lengths, MEMORY_KEEP);
    b->sent = b->forgotten = b->part = 0;
    return n;
}
