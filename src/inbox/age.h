/* age.h: how old events are by the time that really passed, whatever the clock says. */
#pragma once

#include "database.h"

struct age {
    struct database *db;
    bool known;         /* the rest is known */
    bool stored;        /* the inbox has a note of both clocks */
    int64_t wall, boot; /* CLOCK_REALTIME and CLOCK_BOOTTIME at one moment, in microseconds */
    int64_t lag;        /* how far CLOCK_REALTIME is ahead of the time that really passed */
};

void age_init(struct age *a, struct database *db);

/* After the database was opened: makes sure that it has a note of the clocks. */
int age_open(struct age *a);

/* Forgets what it knows, which the database may not have: after a rollback, or when the database is closed. */
void age_forget(struct age *a);

/* In an open transaction: notes that the clock has leapt, which it says, and now and then that time has passed. */
int age_check(struct age *a);

/* The time, less what the clock is ahead: an event is as old as this is later than its `received`, less the lag of that
 * time, which AGE_LAG finds for a row of event. */
int64_t age_now(const struct age *a);

#define AGE_LAG                                                                                 \
    "ifnull((SELECT lag FROM inbox_clock WHERE first_id <= id AND since <= received + 30000000" \
    " ORDER BY first_id DESC LIMIT 1), 0)"
