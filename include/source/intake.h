/* intake.h: the way from bytes that arrived to the recorder: decode, judge who is believed, record. Both
 * sources use it, so that a pushed and a pulled event are treated alike. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rate_limit.h"
#include "record/recorder.h"

struct intake_config {
    struct slice sign_key;       /* to check Sign with; data NULL for none. Borrowed */
    size_t decode_memory_max;    /* bytes that the nodes and the values of one event may take */
    struct rate_limit *requests; /* of lines for requests that are no events; NULL for no limit. Borrowed */
    struct rate_limit
        *unreadable; /* of lines for what is unreadable; past it only the required sink has it */
};

/* What a source knows of one body. Everything is borrowed for the call. */
struct arrival {
    enum record_source source;
    const char *remote; /* see struct record */
    int64_t time;       /* microseconds since 1970 */
    bool right_path;    /* push: the target is the configured path, or none is configured; pull: true */
    bool secret_path;   /* push: it is, and one is configured */
    bool post;          /* push: the method is POST; pull: true. Only then is broken JSON `unreadable` */
    bool truncated;     /* body is the head of body_bytes bytes */
    struct slice body;
    uint64_t body_bytes;
    struct slice method, target;  /* push */
    const struct header *headers; /* push */
    size_t n_headers;
    bool again;           /* it was not recorded before: offer it to the required sink only */
    const char *given_up; /* the source gives it up, as it could not be recorded: how, in words; else NULL */
};

struct intake;

/* Borrows the recorder. Returns 0 or -ENOMEM. */
int intake_new(const struct intake_config *config, struct recorder *recorder, struct intake **ret);
struct intake *intake_free(struct intake *i);

/* Decodes, judges and records one body. A pulled body that is no event is recorded as unreadable: VOD would
 * send it again and again. Returns as recorder_put(): 0 recorded, 1 at the next commit, a negative errno not
 * recorded. One that is given up is said and counted, and offered to nobody. ret_row, where not NULL, is the row of the inbox, 0 without one. */
int intake_put(struct intake *i, const struct arrival *a, int64_t *ret_row);

static inline void intake_free_p(struct intake **i)
{
    intake_free(*i);
}
