/* lookup.h: what is asked of an inbox beside its events: whether something is recorded, and what did not end. */
#pragma once

#include "inbox/reader.h"

/* Whether an event is recorded, not counting the refused, that tells of the end of a task; and one that tells of the
 * upload of a file, or with NULL of any upload, as long as VOD itself sent it. Return 1, 0 or a negative errno. */
int inbox_reader_has_task(struct inbox_reader *r, const char *task_id);
int inbox_reader_has_upload(struct inbox_reader *r, const char *file_id);

/* Whether an event with that digest is recorded, not counting the refused. Returns 1, 0 or a negative errno. */
int inbox_reader_has_digest(struct inbox_reader *r, const uint8_t digest[DIGEST_SIZE]);

/* The number that sink_inbox_remember() keeps by that name. Returns 1, 0 where there is none, or a negative errno. */
int inbox_reader_recall(struct inbox_reader *r, const char *name, int64_t *ret);

/* A task that an event says has begun and no event says has ended. */
struct inbox_stuck {
    int64_t row, since;                   /* of that event; microseconds since 1970 */
    const char *task_id, *file_id, *type; /* file_id may be NULL; valid until the next call with the reader */
};

/* Begins to look for such tasks of events that were received before then; and the next of them: returns 1 with it, 0 when
 * there is no more, or a negative errno. Ends the query. */
int inbox_reader_stuck(struct inbox_reader *r, int64_t before);
int inbox_reader_stuck_next(struct inbox_reader *r, struct inbox_stuck *ret);
