/* reader.h: reads what an inbox holds, also while others write to it, and also where one may only read.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* Which events; NULL for whichever. Borrowed by a query for as long as it lasts. */
struct inbox_filter {
    const char *file_id; /* then in the order of its life: upload, what became of it, deletion */
    const char *task_id, *type, *result, *source;
    int64_t since, until; /* received in [since, until): microseconds since 1970 */
    bool refused;         /* the refused instead of all others */
    bool any_trust;       /* both */
    bool in_order_of_id;  /* as their ids go, which a clock that leaps does not change */
    bool reverse;         /* the last first */
};

/* One event. Strings are valid until the next call with the query. */
struct inbox_item {
    int64_t id, received; /* microseconds since 1970 */
    int64_t seen;         /* how often it came */
    const char *source, *remote;
    const char *trust;   /* "verified", "unchecked" or "refused" */
    const char *reason;  /* why it is refused or unreadable; NULL where neither */
    bool unreadable;     /* it was recorded as no event */
    uint64_t body_bytes; /* as it arrived; more than body.len where that is cut */
    struct slice body;
};

struct inbox_reader;

/* Opens an inbox for reading. Returns 0; -ENOENT when there is none, or nothing was ever recorded in it;
 * -EACCES; -EINVAL when it is no inbox, or a newer one; or another negative errno. ret_why, where not NULL,
 * is then a constant that says more. */
int inbox_reader_open(const char *path, struct inbox_reader **ret, const char **ret_why);
struct inbox_reader *inbox_reader_free(struct inbox_reader *r);

/* The highest id so far, 0 before the first event. */
int inbox_reader_newest(struct inbox_reader *r, int64_t *ret);

/* The lowest id that is still there, and the highest that was ever given: oldest is one more where none is
 * there. */
int inbox_reader_range(struct inbox_reader *r, int64_t *ret_oldest, int64_t *ret_last);

/* Begins to look for events with ids in (after, up_to]. In the order in which they were received, or that of
 * the filter. */
int inbox_reader_query(struct inbox_reader *r, const struct inbox_filter *filter, int64_t after,
                       int64_t up_to);

/* The next event: returns 1 with it, 0 when there is no more, or a negative errno. While a query is between
 * two events it keeps the log of the inbox from beginning anew, so it is paused before waiting for anything;
 * it then goes on where it was. */
int inbox_reader_next(struct inbox_reader *r, struct inbox_item *ret);
void inbox_reader_pause(struct inbox_reader *r);

/* How many events the query finds in all. */
int inbox_reader_count(struct inbox_reader *r, int64_t *ret);

/* Waits until something may have been recorded, at most a tenth of a second. Returns 0 when nothing was, 1
 * when something may have been, 2 when another inbox stands at the path now, whose ids are others. Ends the
 * query. */
int inbox_reader_wait(struct inbox_reader *r);

/* The same without waiting, for who has a loop. */
int inbox_reader_look(struct inbox_reader *r);

static inline void inbox_reader_free_p(struct inbox_reader **r)
{
    inbox_reader_free(*r);
}
