/* exec.h: the target that is a program, started for each event. */
#pragma once

#include "forward/target.h"

struct exec_config {
    const char *const *argv; /* program and arguments; ends with NULL */
    size_t connections;      /* how many may run side by side */
    int64_t timeout;         /* milliseconds that it may take */
};

/* Borrows the words of the configuration. Blocks SIGCHLD. Returns 0 or a negative errno, logged; -EINVAL where there is
 * no such program. */
int target_exec_new(const struct exec_config *config, const struct target_context *context,
                    struct target **ret);
