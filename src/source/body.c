/* body.c: keeps a body, or its head where the limits do not allow more. */
#include "source/body.h"

#include <stdlib.h>
#include <string.h>

enum { BODY_FIRST = 2048 };

/* Small bodies do not count: the number of connections bounds them, and they must not cost a large one its
 * memory. */
static size_t counted(size_t cap)
{
    return cap > BODY_HEAD ? cap : 0;
}

static bool body_resize(struct body *b, struct body_limits *limits, size_t cap)
{
    size_t held = limits->held - counted(b->cap) + counted(cap);
    char *data = held > limits->max_memory && cap > b->cap ? NULL : realloc(b->data, cap);
    if (!data)
        return false;
    limits->held = held;
    b->data = data;
    b->cap = cap;
    return true;
}

enum body_result body_append(struct body *b, struct body_limits *limits, size_t max, const char *data,
                             size_t n)
{
    b->total += n;
    if (b->total > BODY_ABANDON)
        return BODY_ENDLESS;
    if (!b->truncated && b->len + n > max) {
        b->truncated = true;
        if (b->len > BODY_HEAD)
            b->len = BODY_HEAD;
        /* Where this fails, the larger block stays, and stays counted. */
        if (b->cap > BODY_HEAD)
            body_resize(b, limits, BODY_HEAD);
    }
    if (b->truncated && n > BODY_HEAD - b->len)
        n = BODY_HEAD - b->len;
    size_t need = b->len + n, cap = b->cap ? b->cap : BODY_FIRST;
    while (cap < need) /* doubled, so that a body that drips in is copied seldom */
        cap *= 2;
    if (cap > max && need <= max)
        cap = max;
    if (need > b->cap && !body_resize(b, limits, cap))
        return BODY_NO_MEMORY;
    if (n)
        memcpy(b->data + b->len, data, n);
    b->len = need;
    return BODY_TAKEN;
}

void body_reset(struct body *b, struct body_limits *limits)
{
    limits->held -= counted(b->cap);
    free(b->data);
    *b = (struct body){0};
}
