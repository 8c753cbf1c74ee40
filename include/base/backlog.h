/* backlog.h: whole records that wait for a slow reader, up to a limit: one that does not fit is not taken, and those
 * before it stay. */
#pragma once

#include "base/buffer.h"

struct backlog {
    size_t max;             /* bytes that may wait; a single record may be larger */
    struct buffer data;     /* the records, one behind the other */
    struct buffer lengths;  /* of each, a size_t */
    size_t sent, forgotten; /* bytes of the two that are not needed any more */
    size_t part;            /* bytes of the first record that have left */
    size_t mark;            /* where the record under way begins */
};

void backlog_init(struct backlog *b, size_t max);
void backlog_done(struct backlog *b);

/* Begins a record: the caller appends it to what is returned, and then calls backlog_end(). That returns 0; or
 * -ENOBUFS or -ENOMEM, and the record is not taken. */
struct buffer *backlog_begin(struct backlog *b);
int backlog_end(struct backlog *b);

/* What waits: the rest of the first record, or of all; empty where nothing does. Valid until the next call. */
struct slice backlog_first(const struct backlog *b);
struct slice backlog_all(const struct backlog *b);

/* The first n bytes have left. */
void backlog_sent(struct backlog *b, size_t n);

/* Drops what waits. Returns how many records did not leave whole. */
size_t backlog_clear(struct backlog *b);
