/* watch.h: a descriptor that says when somebody writes to an inbox. */
#pragma once

#include <stdbool.h>

struct watch {
    int fd;     /* to poll for; -1 where nothing can be heard */
    int folder; /* with dnotify, else -1 */
};

/* Watches the database at the path, and the log beside it. By inotify; by dnotify, which has no limit, where this user has
 * no instance of inotify left (128 by default). */
void watch_open(struct watch *w, const char *path);
void watch_close(struct watch *w);

/* Takes what was heard. Returns whether anything was. */
bool watch_take(struct watch *w);
