/* state_private.h: what the two files of the state share. */
#pragma once

#include <sqlite3.h>

#include "forward/state.h"

enum statement {
    STATE_BEGIN,
    STATE_COMMIT,
    STATE_LOAD,
    STATE_SAVE,
    STATE_HOLD,
    STATE_UNHOLD,
    STATE_PUT_BEHIND,
    STATE_LIMIT,
    STATE_FREE_LANE,
    STATE_FREE_LANES,
    STATE_HASTEN,
    STATE_DUE,
    STATE_TAKE,
    STATE_UNTAKE,
    STATE_HAS_LANE,
    STATE_NUMBERS,
    STATE_NEXT_DUE,
    STATE_BURY,
    STATE_REVIVE,
    STATE_DROP,
    STATE_EACH_DEAD,
    STATE_FORGET_HELD,
    STATE_FORGET_ROWS,
    STATE_PAUSED,
    STATE_PAUSE,
    STATE_RESUME,
    STATE_VERSION,
    STATE_STATEMENTS,
};

struct state {
    char *path; /* owned */
    int lock;   /* -1 where it is not ours */
    sqlite3 *db;
    sqlite3_stmt *statements[STATE_STATEMENTS];
    bool begun; /* a transaction has */
    int64_t version;
    struct state_facts facts;
};

/* Reads the facts; an owner also takes back what was in flight when its predecessor ended. */
int state_load(struct state *s, bool owner);

/* Says what went wrong; returns a negative errno. */
int state_failed(const struct state *s, const char *what);
