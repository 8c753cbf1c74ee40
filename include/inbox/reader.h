/* reader.h: reads what an inbox holds, also while others write to it, and also where one may only read.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "record/record.h"

/* Which events; NULL for whichever. Borrowed by a query for as long as it lasts. */
struct inbox_filter {
    const char *file_id; /* then in the order of its life: upload, what became of it, deletion */
    const char *task_id; /* of the event itself, or named by an upload that began it */
    const char *context; /* the source context or the session context */
    const char *type, *result, *source;
    int64_t since, until; /* received in [since, until): microseconds since 1970 */
    bool refused;         /* the refused instead of all others */
    bool any_trust;       /* both */
    bool in_order_of_id;  /* as their ids go, which a clock that leaps does not change */
    bool reverse;         /* the last first */
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

/* The next event: returns 1 with it, 0 when there is no more, or a negative errno. The record is one as it was first
 * delivered: `time` is then, `row` its id, `seen` how often it came; what it points to is valid until the next call with
 * the reader. Its summary is not written yet. While a query is between
 * two events it keeps the log of the inbox from beginning anew, so it is paused before waiting for anything;
 * it then goes on where it was. */
int inbox_reader_next(struct inbox_reader *r, struct record *ret);
void inbox_reader_pause(struct inbox_reader *r);

/* How many events the query finds in all. */
int inbox_reader_count(struct inbox_reader *r, int64_t *ret);

/* Waits until something may have been recorded, at most that many milliseconds. Returns 0 when nothing was, 1 when
 * something may have been, 2 when another inbox stands at the path now, whose ids are others. Pauses the query. */
int inbox_reader_wait(struct inbox_reader *r, int most);

/* The same without waiting, for who has a loop. */
int inbox_reader_look(struct inbox_reader *r);

/* The id that the inbox was given when it was made, 32 hexadecimal digits; NULL in one that no vodhook of this version has
 * written to. */
const char *inbox_reader_identity(const struct inbox_reader *r);

static inline void inbox_reader_free_p(struct inbox_reader **r)
{
    inbox_reader_free(*r);
}
