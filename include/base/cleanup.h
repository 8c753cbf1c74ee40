/* cleanup.h: the cleanup attribute for pointers, descriptors and streams, and a typed steal; nothing else. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Runs f(&variable) when the variable goes out of scope. Every f takes a pointer to a NULL or half-built
 * object. */
#define cleanup(f) __attribute__((cleanup(f)))

static inline void cleanup_free_p(void *p)
{
    free(*(void **)p);
}

static inline void cleanup_close_p(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static inline void cleanup_fclose_p(FILE **f)
{
    if (*f)
        fclose(*f);
}

#define cleanup_free   cleanup(cleanup_free_p)
#define cleanup_close  cleanup(cleanup_close_p)
#define cleanup_fclose cleanup(cleanup_fclose_p)

/* Gives the pointer away: returns its value and leaves NULL behind, so that its cleanup does nothing. */
#define steal_pointer(p)             \
    ({                               \
        __typeof__(p) stolen_ = (p); \
        (p) = NULL;                  \
        stolen_;                     \
    })

/* Gives the descriptor away: returns its number and leaves -1 behind. */
static inline int steal_fd(int *fd)
{
    int stolen = *fd;
    *fd = -1;
    return stolen;
}
