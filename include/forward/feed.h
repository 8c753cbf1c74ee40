/* feed.h: the inbox as a forwarder reads it: one event after the other by their ids, or one by its own; and word
 * that something new may be there, soon after it was recorded and without looking all the time. */
#pragma once

#include <stdint.h>
#include <systemd/sd-event.h>

#include "record/record.h"

struct feed;

/* What a look found. */
enum feed_news {
    FEED_NOTHING,
    FEED_NEWS,    /* something may have been recorded */
    FEED_OTHER,   /* it is open now, and may be another inbox than before */
    FEED_MISSING, /* there is none yet */
};

/* The inbox need not exist yet. Returns 0 or a negative
 * errno, logged. */
int feed_new(sd_event *loop, const char *path, struct feed **ret);
struct feed *feed_free(struct feed *f);

/* Looks whether something is new. Returns a value of enum feed_news or a negative errno, logged. */
int feed_look(struct feed *f, int64_t now);

/* When it should be looked next, in monotonic microseconds: changes when something stirs at the inbox. */
int64_t feed_due(const struct feed *f);

/* The uuid of the inbox; "" while none is open. */
const char *feed_inbox(const struct feed *f);

/* The lowest id that is there and the highest that was given. Returns 0 or a negative errno, logged. */
int feed_range(struct feed *f, int64_t *ret_oldest, int64_t *ret_last);

/* The first event behind the id; the one with the id. The record is valid until the next call. Return 1 with it,
 * 0 where there is none, or a negative errno, logged. */
int feed_next(struct feed *f, int64_t after, struct record *ret);
int feed_get(struct feed *f, int64_t id, struct record *ret);

/* The first event that was received then or later; the one with this event id. Return 1 with its row, 0, or a negative
 * errno, logged. */
int feed_find_time(struct feed *f, int64_t time, int64_t *ret_row);
int feed_find_id(struct feed *f, const char *id, int64_t *ret_row);

/* To be called before waiting: until then the inbox cannot begin its log anew. */
void feed_pause(struct feed *f);

static inline void feed_free_p(struct feed **f)
{
    feed_free(*f);
}
