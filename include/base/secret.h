/* secret.h: a key that stands in a small file. */
#pragma once

#include "base/slice.h"

struct secret {
    char *data; /* owned, terminated by a NUL that does not count; NULL for none */
    size_t len;
};

/* Reads the whole file, without the newline at its end; warns when every user can read it. Returns 0, or a
 * negative errno, logged, when it cannot be read, is empty or has more than 4096 bytes. */
int secret_read(const char *path, struct secret *ret);

/* Clears the memory that held it. */
void secret_done(struct secret *s);

static inline struct slice secret_slice(const struct secret *s)
{
    return (struct slice){s->data, s->len};
}
