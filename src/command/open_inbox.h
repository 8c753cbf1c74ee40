/* open_inbox.h: the inbox that a command reads. */
#pragma once

#include "base/options.h"
#include "inbox/reader.h"

/* Opens the inbox that --inbox names, else the service's where there is one, else the user's own. Returns 0 or a negative
 * errno, logged with what to do about it. */
int open_inbox(const struct options *o, struct inbox_reader **ret);

/* The same for the inbox at a path. */
int open_inbox_at(const char *path, struct inbox_reader **ret);
