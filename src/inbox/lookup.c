/* lookup.c: asks an inbox whether something is recorded, and what did not end. */
#include "inbox/lookup.h"

#include "inbox/schema.h"
#include "reader_private.h"

/* Ends a query of one row. Returns 1 where there was one, 0, or a negative errno. */
static int finish(struct inbox_reader *r, sqlite3_stmt *s, int rc)
{
    int result = rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : reader_error(r, rc);
    sqlite3_finalize(s);
    return result;
}

/* Whether the query, which has one parameter, finds a row. */
static int has(struct inbox_reader *r, const char *sql, const char *parameter)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(r->db, sql, -1, &s, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(s, 1, parameter, -1, SQLITE_STATIC);
    return finish(r, s, rc == SQLITE_OK ? sqlite3_step(s) : rc);
}

int inbox_reader_has_task(struct inbox_reader *r, const char *task_id)
{
    return has(r, "SELECT 1 FROM event WHERE task_id = ?1 AND trust <> 'refused' AND " INBOX_IS_FINAL,
               task_id);
}

int inbox_reader_has_upload(struct inbox_reader *r, const char *file_id)
{
    if (file_id)
        return has(r,
                   "SELECT 1 FROM event_file JOIN event ON id = event_id WHERE file_id = ?1"
                   " AND type = 'NewFileUpload' AND trust <> 'refused'",
                   file_id);
    return has(r,
               "SELECT 1 FROM event WHERE type = ?1 AND trust <> 'refused' AND source <> 'reconcile'"
               " ORDER BY received DESC LIMIT 1",
               "NewFileUpload");
}

int inbox_reader_has_digest(struct inbox_reader *r, const uint8_t digest[DIGEST_SIZE])
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(r->db, "SELECT 1 FROM event WHERE digest = ?1 AND trust <> 'refused'", -1, &s,
                                NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_blob(s, 1, digest, DIGEST_SIZE, SQLITE_STATIC);
    return finish(r, s, rc == SQLITE_OK ? sqlite3_step(s) : rc);
}

int inbox_reader_recall(struct inbox_reader *r, const char *name, int64_t *ret)
{
    sqlite3_stmt *s = NULL;
    if (r->schema < 2)
        return 0;
    int rc = sqlite3_prepare_v2(r->db, "SELECT value FROM inbox_info WHERE name = ?1", -1, &s, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW)
        *ret = sqlite3_column_int64(s, 0);
    return finish(r, s, rc);
}

int inbox_reader_stuck(struct inbox_reader *r, int64_t before)
{
    static const char sql[] =
        "SELECT id, received, b.task_id, (SELECT file_id FROM event_file WHERE event_id = id LIMIT 1), type"
        " FROM event_began AS b JOIN event ON id = b.event_id"
        " WHERE b.ended IS NULL AND received < ?1 AND NOT EXISTS (SELECT 1 FROM event_began AS earlier"
        " WHERE earlier.task_id = b.task_id AND earlier.event_id < b.event_id) ORDER BY received, id";
    inbox_reader_pause(r);
    sqlite3_finalize(r->stuck);
    r->stuck = NULL;
    if (r->schema < 2)
        return 0;
    int rc = sqlite3_prepare_v2(r->db, sql, -1, &r->stuck, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(r->stuck, 1, before);
    return rc == SQLITE_OK ? 0 : reader_error(r, rc);
}

int inbox_reader_stuck_next(struct inbox_reader *r, struct inbox_stuck *ret)
{
    int rc = r->stuck ? sqlite3_step(r->stuck) : SQLITE_DONE;
    if (rc != SQLITE_ROW) {
        int err = rc == SQLITE_DONE ? 0 : reader_error(r, rc);
        sqlite3_finalize(r->stuck);
        r->stuck = NULL;
        return err;
    }
    *ret = (struct inbox_stuck){
        .row = sqlite3_column_int64(r->stuck, 0),
        .since = sqlite3_column_int64(r->stuck, 1),
        .task_id = (const char *)sqlite3_column_text(r->stuck, 2),
        .file_id = (const char *)sqlite3_column_text(r->stuck, 3),
        .type = (const char *)sqlite3_column_text(r->stuck, 4),
    };
    return 1;
}
