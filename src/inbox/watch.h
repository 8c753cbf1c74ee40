/* watch.h: a descriptor that says when somebody writes to an inbox. */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

struct watch {
    int fd;                         /* to poll for; -1 where nothing can be heard */
    int folder;                     /* with dnotify, else -1 */
    const volatile uint32_t *index; /* the head of the log's index, SQLite's; NULL where unknown */
    uint32_t change;                /* its counter of commits, when it was last looked at */
};

/* Watches the database at the path, and the log beside it. By inotify; by dnotify, which has no limit, where this user has
 * no instance of inotify left (128 by default). db is the connection that has read the database, and stays open longer than
 * the watch is asked; NULL where it reads the file without its log. */
void watch_open(struct watch *w, const char *path, sqlite3 *db);
void watch_close(struct watch *w);

/* Takes what was heard. Returns whether anything was. */
bool watch_take(struct watch *w);

/* Whether anything was committed since the last call, as far as the index of the log tells: without a lock or a system
 * call, since with a thousand readers each lock is looked for among a thousand. */
bool watch_moved(struct watch *w);
