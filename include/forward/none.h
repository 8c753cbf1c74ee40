/* none.h: the target that counts events and keeps none: how long an inbox is, and how fast it is read. */
#pragma once

#include "forward/target.h"

/* Returns 0 or -ENOMEM. */
int target_none_new(const struct target_context *context, struct target **ret);
