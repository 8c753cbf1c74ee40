/* retention.h: lets events go: by age, by size, and those that strangers sent by a share of their own. Looks at the
 * room on the disk. */
#pragma once

#include "age.h"
#include "database.h"
#include "inbox/sink.h"
#include "record/record.h"

enum retention_statement {
    RETENTION_OLDEST,        /* by the time it was received: a row as find_oldest() reads it */
    RETENTION_FIRST,         /* the same by its id, which a clock that leaps does not change */
    RETENTION_FIRST_REFUSED, /* the same of a kind that is kept apart */
    RETENTION_FIRST_UNREADABLE,
    RETENTION_DELETE,
    RETENTION_PAGES,
    RETENTION_FREE_PAGES,
    RETENTION_QUARANTINED, /* rows and bytes of a kind */
    RETENTION_QUARANTINE,  /* adds a row that was put */
    RETENTION_RELEASE,     /* takes one off that goes */
    RETENTION_STATEMENTS,
};

/* What strangers can make is kept apart from what is believed: each kind has a share of its own. */
enum retention_kind { KIND_REFUSED, KIND_UNREADABLE, KINDS };

/* Why events went. */
enum retention_cause { CAUSE_AGE, CAUSE_SIZE, CAUSE_SHARE, CAUSES };

struct retention_share {
    int64_t rows, bytes;
};

struct retention_removed {
    uint64_t n;      /* since it was last said */
    int64_t last;    /* how old the last of them was, in microseconds */
    int64_t said_at; /* when it was last said; 0 for never */
};

/* Times are monotonic microseconds where nothing else is said. */
struct retention {
    struct database *db;
    struct age age;
    int64_t keep;           /* seconds, as in struct inbox_config */
    uint64_t max, min_free; /* bytes, as there */
    sqlite3_stmt *statements[RETENTION_STATEMENTS];
    struct retention_share apart[KINDS]; /* as of the last look, and what came since */
    bool counted;                        /* since the database was opened */
    size_t n_added;      /* rows since the last time that none had to go, less those that went */
    int64_t bytes_added; /* since the last look at the size */
    bool over_size;      /* rows have to go because of their size */
    struct retention_removed removed[CAUSES], pending[CAUSES]; /* pending: in the open transaction */
    int64_t prune_at, look_at_disk_at, say_at;
    bool low_said;
};

void retention_init(struct retention *r, struct database *db, const struct inbox_config *config);

/* To be called after the database was opened, and before it is closed. */
int retention_open(struct retention *r);
void retention_close(struct retention *r);

/* Accounts for a row that was added in the open transaction. */
int retention_added(struct retention *r, const struct record *record);

/* Deletes some of what is due, in a transaction of its own that lasts a few milliseconds. */
int retention_step(struct retention *r);

/* Says how many events went, and why: at once the first time, then every hour. With `all` what was not said yet. */
void retention_say(struct retention *r, bool all);

/* Warns when the disk is nearly full, and says when it no longer is. */
void retention_look_at_disk(struct retention *r);

/* When any of this is due next. */
int64_t retention_next(const struct retention *r);
