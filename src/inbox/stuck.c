/* stuck.c: tasks that have not ended in time.
 *
 * event_began.said is the time at which a task was given as stuck; it is null before, and again when its end was given.
 * It is set before anybody is told: a task whose process is killed in between is not told of, and none is told of twice,
 * by two processes or after a restart. */
#include "stuck.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

enum { UNSAID, OVER, IS_SAID, SAY, UNSAY, STATEMENTS };

#define TASK                                                                                             \
    "SELECT b.task_id, (SELECT file_id FROM event_file WHERE event_file.event_id = b.event_id LIMIT 1)," \
    " type, received FROM event_began AS b JOIN event ON id = b.event_id WHERE "

static const char *const statements[STATEMENTS] = {
    [UNSAID] = TASK "b.ended IS NULL AND b.said IS NULL ORDER BY b.event_id",
    [OVER] = TASK "b.said IS NOT NULL AND b.ended IS NOT NULL",
    [IS_SAID] = "SELECT 1 FROM event_began WHERE task_id = ?1 AND said IS NOT NULL LIMIT 1",
    [SAY] = "UPDATE event_began SET said = ?2 WHERE task_id = ?1 AND ended IS NULL AND said IS NULL",
    [UNSAY] =
        "UPDATE event_began SET said = NULL WHERE task_id = ?1 AND said IS NOT NULL AND ended IS NOT NULL",
};

static char *column(sqlite3_stmt *s, int n)
{
    const char *text = (const char *)sqlite3_column_text(s, n);
    return text ? strdup(text) : NULL;
}

static void free_task(struct stuck_task *t)
{
    free(t->task_id);
    free(t->file_id);
    free(t->type);
}

/* An upload and the first event of a flow may both tell of the beginning. */
static bool is_there(const struct stuck *s, const char *task_id, bool over)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->tasks[i].over == over && strcmp(s->tasks[i].task_id, task_id) == 0)
            return true;
    return false;
}

/* Events stand in the order in which they were received, but where the clock went back. */
static int find(struct stuck *s, struct database *db, sqlite3_stmt *query, bool over, int64_t before,
                int64_t now)
{
    int result = INBOX_OK;
    while (s->n < STUCK_MAX && (result = database_step(db, query)) == INBOX_ROW) {
        int64_t since = sqlite3_column_int64(query, 3);
        if (!over && since >= before && since <= now)
            break;
        struct stuck_task t = {column(query, 0), column(query, 1), column(query, 2), since, over};
        if (!t.task_id || !t.type || (!over && since >= before) || is_there(s, t.task_id, over))
            free_task(&t);
        else
            s->tasks[s->n++] = t;
    }
    sqlite3_reset(query);
    return result == INBOX_ROW ? INBOX_OK : result;
}

int stuck_find(struct stuck *s, struct database *db, int64_t before, int64_t now)
{
    sqlite3_stmt *prepared[STATEMENTS] = {0};
    s->n = 0;
    int result = database_prepare(db, statements, STATEMENTS, prepared);
    if (result == INBOX_OK)
        result = find(s, db, prepared[OVER], true, before, now);
    if (result == INBOX_OK)
        result = find(s, db, prepared[UNSAID], false, before, now);
    database_finalize(prepared, STATEMENTS);
    return result;
}

/* Returns INBOX_ROW where the task is to be given. */
static int mark(struct database *db, sqlite3_stmt *prepared[], const struct stuck_task *t, int64_t now)
{
    int said = INBOX_OK;
    sqlite3_stmt *change = prepared[t->over ? UNSAY : SAY];
    if (!t->over) {
        sqlite3_bind_text(prepared[IS_SAID], 1, t->task_id, -1, SQLITE_STATIC);
        said = database_step(db, prepared[IS_SAID]);
        sqlite3_reset(prepared[IS_SAID]);
        if (said != INBOX_OK && said != INBOX_ROW)
            return said;
        sqlite3_bind_int64(change, 2, now);
    }
    sqlite3_bind_text(change, 1, t->task_id, -1, SQLITE_STATIC);
    int result = database_run(db, change);
    if (result != INBOX_OK)
        return result;
    return said == INBOX_OK && sqlite3_changes(db->sqlite) > 0 ? INBOX_ROW : INBOX_OK;
}

int stuck_mark(struct stuck *s, struct database *db, int64_t now)
{
    sqlite3_stmt *prepared[STATEMENTS] = {0};
    size_t kept = 0;
    int result = database_prepare(db, statements, STATEMENTS, prepared);
    for (size_t i = 0; i < s->n; i++) {
        if (result == INBOX_OK || result == INBOX_ROW)
            result = mark(db, prepared, &s->tasks[i], now);
        if (result == INBOX_ROW)
            s->tasks[kept++] = s->tasks[i];
        else
            free_task(&s->tasks[i]);
    }
    s->n = kept;
    database_finalize(prepared, STATEMENTS);
    return result == INBOX_ROW ? INBOX_OK : result;
}

void stuck_done(struct stuck *s)
{
    while (s->n)
        free_task(&s->tasks[--s->n]);
}
