/* body.c: keeps a body, or its head where the limits do not allow more. */
#include "source/body.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BODY_FIRST = 2048 };

static int body_resize(struct body *b, struct body_limits *limits, size_t cap)
{
    char *data = realloc(b->data, cap);
    if (!data)
        return -ENOMEM;
    limits->held += cap - b->cap;
    b->data = data;
    b->cap = cap;
    return 0;
}

static void body_truncate(struct body *b, struct body_limits *limits)
{
    b->truncated = true;
    if (b->cap <= BODY_HEAD)
        return;
    /* Shrinking cannot fail in a way that matters: the larger block stays, and stays counted. */
    body_resize(b, limits, BODY_HEAD);
    if (b->len > BODY_HEAD)
        b->len = BODY_HEAD;
}

/* How large a body of need bytes makes its block: doubled, so that a body that drips in is copied seldom. */
static size_t body_capacity(const struct body *b, const struct body_limits *limits, size_t need)
{
    size_t cap = b->cap ? b->cap : BODY_FIRST;
    while (cap < need)
        cap *= 2;
    return cap > limits->max_body && need <= limits->max_body ? limits->max_body : cap;
}

int body_append(struct body *b, struct body_limits *limits, const char *data, size_t n)
{
    b->total += n;
    if (b->total > BODY_ABANDON)
        return -EFBIG;
    size_t need = b->len + n;
    if (!b->truncated && need > b->cap) {
        size_t cap = body_capacity(b, limits, need);
        bool too_long = need > limits->max_body;
        bool too_much = need > BODY_HEAD && limits->held + (cap - b->cap) > limits->max_memory;
        if (too_long || too_much)
            body_truncate(b, limits);
        else if (body_resize(b, limits, cap) < 0)
            return -ENOMEM;
    }
    if (b->truncated) {
        size_t room = BODY_HEAD - b->len;
        if (n > room)
            n = room;
        if (b->len + n > b->cap && body_resize(b, limits, BODY_HEAD) < 0)
            return -ENOMEM;
    }
    if (n)
        memcpy(b->data + b->len, data, n);
    b->len += n;
    return 0;
}

void body_reset(struct body *b, struct body_limits *limits)
{
    limits->held -= b->cap;
    free(b->data);
    *b = (struct body){0};
}
