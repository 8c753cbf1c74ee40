/* journald.h: journald's native protocol, spoken without ever waiting. sd_journal_sendv() waits while
 * journald is busy, and says that it took an entry when there is no journald at all. Source:
 * systemd.io/JOURNAL_NATIVE_PROTOCOL */
#pragma once

#include "base/buffer.h"
#include "base/slice.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

struct journald {
    const char *path; /* borrowed */
    int fd; /* the same from journald_init() to journald_done(), whatever becomes of journald; may be
             * waited on for EPOLLOUT after -EAGAIN */
};

/* Returns 0 or a negative errno. There need not be a journald yet. */
int journald_init(struct journald *j, const char *path);
void journald_done(struct journald *j);

/* Appends one field to an entry; the value may hold any bytes. */
void journald_field(struct buffer *entry, const char *name, struct slice value);

/* Sends an entry, of any size. Returns 0 when journald's queue has it; -EAGAIN when that is full; -ENOENT or
 * -ECONNREFUSED when there is no journald; another negative errno. */
int journald_send(struct journald *j, struct slice entry);
