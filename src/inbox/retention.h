/* retention.h: lets old events go: by age, by size, and those that strangers sent by a share of their own. Looks at the
 * room on the disk. */
#pragma once

#include "database.h"
#include "inbox/sink.h"
#include "record/record.h"

enum retention_statement {
    RETENTION_OLDEST, /* id, time, bytes of the body, enum retention_apart or null, pulled */
    RETENTION_OLDEST_REFUSED,
    RETENTION_OLDEST_UNREADABLE,
    RETENTION_DELETE,
    RETENTION_PAGES,
    RETENTION_FREE_PAGES,
    RETENTION_STATEMENTS,
};

/* What strangers can make is kept apart from what is believed: each kind has a share of its own. */
enum retention_apart { APART_REFUSED, APART_UNREADABLE, APARTS };

struct retention_share {
    int64_t rows, bytes;
};

struct retention {
    struct database *db;
    int64_t keep;
    uint64_t max, min_free; /* as in struct inbox_config */
    sqlite3_stmt *statements[RETENTION_STATEMENTS];
    struct retention_share apart[APARTS], apart_before[APARTS]; /* now, and when the transaction began */
    size_t n_added;      /* rows since the last time that none had to go, less those that went */
    int64_t bytes_added; /* since the last look at the size */
    bool over_size;      /* rows have to go because of their size */
    int64_t
        size_said; /* when it was last said that size made rows go; 0 for never. Monotonic microseconds, as below */
    int64_t prune_at, count_at, look_at_disk_at;
    bool low_said;
};

void retention_init(struct retention *r, struct database *db, const struct inbox_config *config);

/* To be called after the database was opened, and before it is closed. */
int retention_open(struct retention *r);
void retention_close(struct retention *r);

/* Accounts for a row that was added in the open transaction; the others keep or take back what was added since
 * retention_mark(). */
void retention_added(struct retention *r, const struct record *record);
void retention_mark(struct retention *r);
void retention_undo(struct retention *r);

/* Deletes some of what is due, in a transaction of its own that lasts a few milliseconds. */
int retention_step(struct retention *r);

/* Warns when the disk is nearly full, and says when it no longer is. */
void retention_look_at_disk(struct retention *r);

/* When one of the two is due next. */
int64_t retention_next(const struct retention *r);
