/* arena.h: memory that is given out piece by piece and taken back all at once, up to a limit. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct arena;

/* An arena that holds at most limit bytes at a time. Returns NULL when memory runs out. */
struct arena *arena_new(size_t limit);
struct arena *arena_free(struct arena *a);

/* n bytes, aligned for any type, or NULL when the limit or the memory is used up. Valid until arena_reset().
 */
void *arena_alloc(struct arena *a, size_t n);

/* Whether arena_alloc() refused anything since the last reset, so that a reader of something large need not
 * look at each piece. */
bool arena_failed(const struct arena *a);

/* Takes everything back, and sets the limit anew. What a large use added is returned to the system; the first
 * block is kept, however small the limit. */
void arena_reset(struct arena *a, size_t limit);

static inline void arena_free_p(struct arena **a)
{
    arena_free(*a);
}
