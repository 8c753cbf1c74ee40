/* recorder.h: hands each record to every sink, and says whether the required one has it. */
#pragma once

#include "record/sink.h"

enum { RECORDER_SINKS_MAX = 8 };

/* Each record is counted once, whether or not it could be recorded. */
struct recorder_stats {
    uint64_t events;     /* that are not refused */
    uint64_t failed;     /* of these, those that say so, each once */
    uint64_t duplicates; /* of these, those that had been recorded before */
    uint64_t refused;
    uint64_t unreadable;
    uint64_t given_up;  /* of all of these, those that could not be recorded */
    uint64_t requests;  /* all others */
    int64_t last_event; /* microseconds since 1970; 0 before the first */
};

/* Whether what an acknowledgement waits for is recorded. */
struct recorder_health {
    int64_t since;     /* when the required sink began to fail: microseconds since 1970; 0 while it works */
    const char *why;   /* of its last failure: "No space left on device". Constant, or the sink's */
    uint64_t given_up; /* events given up since then */
};

struct recorder;

/* required may be NULL: then everything counts as recorded. Takes the sinks when it succeeds. Returns 0 or a
 * negative errno.
 */
int recorder_new(struct sink *required, struct sink *const *others, size_t n_others, struct recorder **ret);
struct recorder *recorder_free(struct recorder *r);

/* Writes the summary, offers the record to the required sink and then to the others. Returns 0 when the
 * required sink has it, 1 when it will have it at the next recorder_commit(), or a negative errno when it
 * could not take it: then call again with again = true later, which offers it to the required sink alone.
 * While the required sink fails, each record is committed by itself, so that the others hear the truth of it.
 * Requests that are not unreadable return 0 and are not offered to the inbox. */
int recorder_put(struct recorder *r, struct record *record, bool again);

/* Commits what returned 1. Returns 0, or a negative errno: then all of it is to be put again, again = true.
 */
int recorder_commit(struct recorder *r);

/* Tells the required sink that VOD has taken the confirmation of these rows (struct record), so that what looks the same
 * and comes later is a new event. Returns 0 or a negative errno, said; nothing is lost by it. */
int recorder_confirmed(struct recorder *r, const int64_t *rows, size_t n);

/* Writes out what the sinks buffer. Returns as sink_ops.flush. */
int recorder_flush(struct recorder *r);

const struct recorder_stats *recorder_stats(const struct recorder *r);
const struct recorder_health *recorder_health(const struct recorder *r);

/* Appends "cannot record since 19:12:17: No space left on device, 3 events closed unanswered" while that is so,
 * with these words for the first two and for what the source does with an event that it gives up. */
void recorder_write_health(const struct recorder *r, struct buffer *to, const char *cannot,
                           const char *given_up);

/* The source gives up an event that could not be recorded: counts it and says so, with how: "its connection is
 * closed without an answer". */
void recorder_give_up(struct recorder *r, struct record *record, const char *how);

static inline void recorder_free_p(struct recorder **r)
{
    recorder_free(*r);
}
