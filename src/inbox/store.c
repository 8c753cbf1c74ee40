/* store.c: a record as rows of the inbox. */
#include "store.h"

#include <string.h>

#include "event/types.h"
#include "inbox/schema.h"

/* How long a repeat counts as a duplicate, in microseconds, where the same may happen again and look the
 * same: VOD tries a push three times within seconds, and keeps an event in its queue for four days. */
static const int64_t REPEATED_PUSH = INT64_C(3600) * 1000000;
static const int64_t REPEATED_PULL = INT64_C(4) * 24 * 3600 * 1000000;

static const char *const statements[STORE_STATEMENTS] = {
    [STORE_FIND] = "SELECT id, received, seen FROM event WHERE digest = ?1 AND (trust = 'refused') = ?2"
                   " ORDER BY id DESC LIMIT 1",
    [STORE_SEE] = "UPDATE event SET seen = seen + 1, last_seen = ?2,"
                  " trust = CASE ?3 WHEN 'verified' THEN ?3 ELSE trust END WHERE id = ?1",
    [STORE_ADD] = "INSERT INTO event (received, source, remote, trust, type, task_id, status, result,"
                  " err_code, name, digest, last_seen, body)"
                  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?1, ?12)",
    [STORE_ADD_FILE] = "INSERT OR IGNORE INTO event_file (event_id, file_id) VALUES (?1, ?2)",
    [STORE_ADD_NOTE] = "INSERT INTO event_note (event_id, reason, body_bytes) VALUES (?1, ?2, ?3)",
    [STORE_BEGIN_TASK] =
        "INSERT INTO event_began (event_id, task_id, ended) SELECT ?1, ?2, (SELECT id FROM event"
        " WHERE task_id = ?2 AND trust <> 'refused' AND " INBOX_IS_FINAL " LIMIT 1)"
        " WHERE NOT EXISTS (SELECT 1 FROM event_began WHERE task_id = ?2)",
    [STORE_END_TASK] = "UPDATE event_began SET ended = ?1 WHERE task_id = ?2 AND ended IS NULL",
};

void store_init(struct store *s, struct database *db)
{
    *s = (struct store){.db = db};
}

int store_open(struct store *s)
{
    return database_prepare(s->db, statements, STORE_STATEMENTS, s->statements);
}

void store_close(struct store *s)
{
    database_finalize(s->statements, STORE_STATEMENTS);
}

static int run(struct store *s, enum store_statement which)
{
    return database_run(s->db, s->statements[which]);
}

static const char CAST[] =
    "MediaCastStatusChanged"; /* its task_id is that of a cast, which goes on and off */

static int64_t repeated_within(const struct record *r)
{
    if (r->event && !event_may_repeat(r->event))
        return INT64_MAX;
    return r->source == SOURCE_PULL ? REPEATED_PULL : REPEATED_PUSH;
}

static void bind_text(sqlite3_stmt *s, int n, const char *text)
{
    sqlite3_bind_text(s, n, text, -1, SQLITE_STATIC);
}

/* A forged copy must not make the genuine event look like a duplicate, nor count as one of its deliveries: the refused
 * are compared with the refused only. Sets row, seen and first_time where the record was found. */
static int find(struct store *s, struct record *r)
{
    sqlite3_stmt *find = s->statements[STORE_FIND];
    sqlite3_bind_blob(find, 1, r->digest, DIGEST_SIZE, SQLITE_STATIC);
    sqlite3_bind_int(find, 2, r->trust == TRUST_REFUSED);
    int result = database_step(s->db, find);
    if (result != INBOX_ROW)
        return result;
    int64_t received = sqlite3_column_int64(find, 1);
    r->duplicate = r->time - received < repeated_within(r);
    if (r->duplicate) {
        r->row = sqlite3_column_int64(find, 0);
        r->seen = (uint64_t)sqlite3_column_int64(find, 2) + 1;
        r->first_time = received;
    }
    sqlite3_reset(find);
    return INBOX_OK;
}

/* Who delivered it first may not have been known; that it is VOD's is known from now on. */
static int see(struct store *s, const struct record *r)
{
    sqlite3_stmt *see = s->statements[STORE_SEE];
    sqlite3_bind_int64(see, 1, r->row);
    sqlite3_bind_int64(see, 2, r->time);
    bind_text(see, 3, record_trust_name(r->trust));
    return run(s, STORE_SEE);
}

static void bind_event(sqlite3_stmt *s, const struct event *e)
{
    bind_text(s, 5, e ? e->type : NULL);
    bind_text(s, 6, e ? e->task_id : NULL);
    bind_text(s, 7, e ? e->status : NULL);
    bind_text(s, 8, e ? event_result_name(e->result) : NULL);
    bind_text(s, 9, e ? e->err_code : NULL);
    bind_text(s, 10, e ? e->name : NULL);
}

static int add_event(struct store *s, const struct record *r)
{
    sqlite3_stmt *add = s->statements[STORE_ADD];
    sqlite3_bind_int64(add, 1, r->time);
    bind_text(add, 2, record_source_name(r->source));
    bind_text(add, 3, r->remote);
    bind_text(add, 4, record_trust_name(r->trust));
    bind_event(add, r->event);
    sqlite3_bind_blob(add, 11, r->digest, DIGEST_SIZE, SQLITE_STATIC);
    sqlite3_bind_blob64(add, 12, r->body.data ? r->body.data : "", r->body.len, SQLITE_STATIC);
    return run(s, STORE_ADD);
}

/* Nobody looks for the files of a refused event, and a stranger could name very many. */
static int add_files(struct store *s, const struct record *r)
{
    int result = INBOX_OK;
    size_t n = r->event && r->trust != TRUST_REFUSED ? r->event->n_file_ids : 0;
    sqlite3_bind_int64(s->statements[STORE_ADD_FILE], 1, r->row);
    for (size_t k = 0; result == INBOX_OK && k < n; k++) {
        bind_text(s->statements[STORE_ADD_FILE], 2, r->event->file_ids[k]);
        result = run(s, STORE_ADD_FILE);
    }
    return result;
}

/* As INBOX_IS_FINAL says of a row. */
static bool is_final(const struct event *e)
{
    return e->result == RESULT_OK || e->result == RESULT_FAILED ||
           (e->status && (strcmp(e->status, "FINISH") == 0 || strcmp(e->status, "ABORTED") == 0));
}

static int note_task(struct store *s, const struct record *r)
{
    const struct event *e = r->trust == TRUST_REFUSED ? NULL : r->event;
    if (!e || !e->task_id || strcmp(e->type, CAST) == 0)
        return INBOX_OK;
    enum store_statement which = is_final(e) ? STORE_END_TASK : STORE_BEGIN_TASK;
    if (which == STORE_BEGIN_TASK && e->result != RESULT_PENDING)
        return INBOX_OK;
    sqlite3_bind_int64(s->statements[which], 1, r->row);
    bind_text(s->statements[which], 2, e->task_id);
    return run(s, which);
}

static int add_note(struct store *s, const struct record *r)
{
    sqlite3_stmt *add = s->statements[STORE_ADD_NOTE];
    if (!r->reason && !r->truncated)
        return INBOX_OK;
    sqlite3_bind_int64(add, 1, r->row);
    bind_text(add, 2, r->reason);
    sqlite3_bind_int64(add, 3, (int64_t)r->body_bytes);
    return run(s, STORE_ADD_NOTE);
}

static int add(struct store *s, struct record *r)
{
    int result = add_event(s, r);
    if (result != INBOX_OK)
        return result;
    r->row = sqlite3_last_insert_rowid(s->db->sqlite);
    r->seen = 1;
    result = add_files(s, r);
    if (result == INBOX_OK)
        result = note_task(s, r);
    return result == INBOX_OK ? add_note(s, r) : result;
}

int store_put(struct store *s, struct record *r)
{
    r->duplicate = false;
    r->first_time = 0;
    int result = find(s, r);
    if (result != INBOX_OK)
        return result;
    return r->duplicate ? see(s, r) : add(s, r);
}
