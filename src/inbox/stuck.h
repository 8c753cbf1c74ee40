/* stuck.h: tasks that have not ended in time, each given once, and once more when it has. */
#pragma once

#include "database.h"

enum { STUCK_MAX = 100 /* tasks in a step; the others come in the next */ };

struct stuck_task {
    char *task_id, *file_id, *type; /* owned; file_id may be NULL */
    int64_t since;
    bool over;
};

struct stuck {
    struct stuck_task tasks[STUCK_MAX];
    size_t n;
};

/* Finds tasks that began before then and have not ended, and those given before that have; without a lock, and with an
 * index that holds nobody else. now guards against a clock that leapt. */
int stuck_find(struct stuck *s, struct database *db, int64_t before, int64_t now);

/* In an open transaction: keeps those of them that another process has not given meanwhile, and notes that they are. */
int stuck_mark(struct stuck *s, struct database *db, int64_t now);

void stuck_done(struct stuck *s);
