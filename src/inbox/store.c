/* store.c: a record as rows of the inbox, and which records are one event.
 *
 * Deliveries with one digest say the same. Whether they tell of the same happening depends on the type:
 *
 *   a task ends once, and a file is uploaded once: however late it comes, it is a duplicate
 *   a cast goes on, off and on again, a file is restored twice: the same may truly happen again. VOD tries a push again
 *     within minutes, so that one that comes later is a new event. What is pulled and confirmed is out of the queue, so
 *     that its like is a new event; what was not confirmed comes again, for four days. Two events of one answer are
 *     never the same, so that each takes a row of its own
 *   a forged copy must neither make the genuine event look like a duplicate nor count as one of its deliveries: the
 *     refused are compared with the refused only
 *
 * An event that was put together from the API (`reconciled`) may differ from the real one in details, and so in its
 * digest. It is the same when it is of the same type and tells of the end of the same task, or of the upload of the same
 * file. When the real one comes, its body takes the place of the other, and the digest stays, since the id is made of it;
 * but one that nobody vouches for never takes the place of one that came from VOD itself. */
#include "store.h"

#include <stdlib.h>
#include <string.h>

#include "event/types.h"
#include "inbox/schema.h"

static const int64_t SECOND = 1000000;
/* How long the same is a duplicate where it may happen again. VOD tries a push three times; when is not published. It
 * keeps an event in its queue for four days. */
static const int64_t REPEATED_PUSH = 600 * SECOND;
static const int64_t REPEATED_PULL = INT64_C(4) * 86400 * SECOND;

enum { CONTEXT_MAX = 4096 /* bytes of a context that events are found by; VOD allows 1,000 */ };

static const char UPLOAD[] = "NewFileUpload";

#define FOUND "SELECT id, received, seen, trust, source, confirmed, digest FROM event WHERE "

static const char *const statements[STORE_STATEMENTS] = {
    [STORE_LOOK] = "SELECT EXISTS (SELECT 1 FROM inbox_info WHERE name = 'reconciled'),"
                   " EXISTS (SELECT 1 FROM event_began WHERE ended IS NULL)",
    [STORE_FIND] = FOUND "digest = ?1 AND (trust = 'refused') = ?2 ORDER BY id DESC",
    [STORE_FIND_TASK] = FOUND "task_id = ?1 AND +type = ?2 AND trust <> 'refused' AND (?3 OR reconciled)"
                              " AND " INBOX_IS_FINAL " ORDER BY +id LIMIT 1",
    [STORE_FIND_UPLOAD] = FOUND "id IN (SELECT event_id FROM event_file WHERE file_id = ?1) AND +type = ?2"
                                " AND trust <> 'refused' AND (?3 OR reconciled) ORDER BY +id LIMIT 1",
    [STORE_SEE] = "UPDATE event SET seen = seen + 1, last_seen = ?2,"
                  " trust = CASE ?3 WHEN 'verified' THEN ?3 ELSE trust END,"
                  " confirmed = CASE WHEN ?4 THEN ifnull(confirmed, 0) ELSE confirmed END WHERE id = ?1",
    [STORE_REPLACE] = "UPDATE event SET seen = seen + 1, last_seen = ?1, source = ?2, remote = ?3,"
                      " trust = CASE ?4 WHEN 'verified' THEN ?4 ELSE trust END, status = ?7, result = ?8,"
                      " err_code = ?9, name = ?10, body = ?12, source_context = ifnull(source_context, ?13),"
                      " session_context = ifnull(session_context, ?14) WHERE id = ?17",
    [STORE_ADD] =
        "INSERT INTO event (received, source, remote, trust, type, task_id, status, result,"
        " err_code, name, digest, last_seen, body, source_context, session_context, confirmed, reconciled)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?1, ?12, ?13, ?14, ?15, ?16)",
    [STORE_ADD_FILE] = "INSERT OR IGNORE INTO event_file (event_id, file_id) VALUES (?1, ?2)",
    [STORE_ADD_NOTE] = "INSERT INTO event_note (event_id, reason, body_bytes) VALUES (?1, ?2, ?3)",
    [STORE_ADD_CONTEXT] = "INSERT OR IGNORE INTO event_context (event_id, context) VALUES (?1, ?2)",
    [STORE_NAME_TASK] =
        "INSERT OR IGNORE INTO event_began (event_id, task_id, ended) VALUES (?1, ?2, (SELECT id FROM event"
        " WHERE task_id = ?2 AND trust <> 'refused' AND " INBOX_IS_FINAL " LIMIT 1))",
    [STORE_BEGIN_TASK] =
        "INSERT INTO event_began (event_id, task_id, ended) SELECT ?1, ?2, (SELECT id FROM event"
        " WHERE task_id = ?2 AND trust <> 'refused' AND " INBOX_IS_FINAL " LIMIT 1)"
        " WHERE NOT EXISTS (SELECT 1 FROM event_began WHERE task_id = ?2)",
    [STORE_END_TASK] = "UPDATE event_began SET ended = ?1 WHERE task_id = ?2 AND ended IS NULL",
    [STORE_REMEMBER] = "INSERT OR REPLACE INTO inbox_info (name, value) VALUES (?1, ?2)",
    [STORE_CONFIRM] = "UPDATE event SET confirmed = 1 WHERE id = ?1 AND confirmed = 0",
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

int store_begin(struct store *s)
{
    sqlite3_stmt *look = s->statements[STORE_LOOK];
    s->n_pulled = 0;
    int result = database_step(s->db, look);
    if (result != INBOX_ROW)
        return result;
    s->any_reconciled = sqlite3_column_int(look, 0);
    s->any_open = sqlite3_column_int(look, 1);
    sqlite3_reset(look);
    return INBOX_OK;
}

static int run(struct store *s, enum store_statement which)
{
    return database_run(s->db, s->statements[which]);
}

static void bind_text(sqlite3_stmt *s, int n, const char *text)
{
    sqlite3_bind_text(s, n, text, -1, SQLITE_STATIC);
}

/* --- What is the same ------------------------------------------------------------------------------------ */

static bool may_repeat(const struct record *r)
{
    return !r->event || event_may_repeat(r->event);
}

static bool is_pulled_anew(const struct record *r)
{
    return r->source == SOURCE_PULL && may_repeat(r);
}

static bool was_pulled(const struct store *s, int64_t row)
{
    for (size_t k = 0; k < s->n_pulled; k++)
        if (s->pulled[k] == row)
            return true;
    return false;
}

static void note_pulled(struct store *s, const struct record *r)
{
    if (is_pulled_anew(r) && s->n_pulled < STORE_PULLED_MAX)
        s->pulled[s->n_pulled++] = r->row;
}

/* Whether the row that was found with the same digest is the same event. */
static bool is_same(const struct record *r, sqlite3_stmt *found)
{
    if (!may_repeat(r))
        return true;
    int64_t apart = llabs(r->time - sqlite3_column_int64(found, 1));
    if (r->source == SOURCE_PULL)
        return apart < REPEATED_PULL && sqlite3_column_int(found, 5) != 1;
    return apart < REPEATED_PUSH;
}

static void take_found(struct record *r, sqlite3_stmt *found, bool *ret_replace)
{
    bool verified =
        strcmp((const char *)sqlite3_column_text(found, 3), record_trust_name(TRUST_VERIFIED)) == 0;
    bool is_real =
        strcmp((const char *)sqlite3_column_text(found, 4), record_source_name(SOURCE_RECONCILE)) != 0;
    r->duplicate = true;
    r->row = sqlite3_column_int64(found, 0);
    r->first_time = sqlite3_column_int64(found, 1);
    r->seen = (uint64_t)sqlite3_column_int64(found, 2) + (r->source != SOURCE_RECONCILE);
    if (sqlite3_column_bytes(found, 6) == DIGEST_SIZE)
        memcpy(r->digest, sqlite3_column_blob(found, 6), DIGEST_SIZE);
    *ret_replace = !is_real && r->source != SOURCE_RECONCILE && (r->trust == TRUST_VERIFIED || !verified);
}

static int find_by_digest(struct store *s, struct record *r, bool *ret_replace)
{
    sqlite3_stmt *find = s->statements[STORE_FIND];
    sqlite3_bind_blob(find, 1, r->digest, DIGEST_SIZE, SQLITE_STATIC);
    sqlite3_bind_int(find, 2, r->trust == TRUST_REFUSED);
    int result;
    while ((result = database_step(s->db, find)) == INBOX_ROW)
        if (!is_pulled_anew(r) || !was_pulled(s, sqlite3_column_int64(find, 0)))
            break;
    if (result != INBOX_ROW)
        return result;
    if (is_same(r, find))
        take_found(r, find, ret_replace);
    sqlite3_reset(find);
    return INBOX_OK;
}

/* As INBOX_IS_FINAL says of a row. */
static bool is_final(const struct event *e)
{
    return e->result == RESULT_OK || e->result == RESULT_FAILED ||
           (e->status && (strcmp(e->status, "FINISH") == 0 || strcmp(e->status, "ABORTED") == 0));
}

/* What is put together from the API is compared with all, everything else with that. */
static int find_reconciled(struct store *s, struct record *r, bool *ret_replace)
{
    const struct event *e = r->trust == TRUST_REFUSED ? NULL : r->event;
    if (!e || event_may_repeat(e) || (!s->any_reconciled && r->source != SOURCE_RECONCILE))
        return INBOX_OK;
    bool upload = strcmp(e->type, UPLOAD) == 0;
    const char *id = upload ? e->file_id : is_final(e) ? e->task_id : NULL;
    if (!id)
        return INBOX_OK;
    sqlite3_stmt *find = s->statements[upload ? STORE_FIND_UPLOAD : STORE_FIND_TASK];
    bind_text(find, 1, id);
    bind_text(find, 2, e->type);
    sqlite3_bind_int(find, 3, r->source == SOURCE_RECONCILE);
    int result = database_step(s->db, find);
    if (result != INBOX_ROW)
        return result;
    take_found(r, find, ret_replace);
    sqlite3_reset(find);
    return INBOX_OK;
}

/* --- Rows -------------------------------------------------------------------------------------------------- */

static const char *context_of(const struct record *r, const char *context)
{
    return r->trust == TRUST_REFUSED || !context || strlen(context) > CONTEXT_MAX ? NULL : context;
}

/* The values of STORE_ADD and STORE_REPLACE. */
static void bind_record(sqlite3_stmt *s, const struct record *r)
{
    const struct event *e = r->event;
    sqlite3_bind_int64(s, 1, r->time);
    bind_text(s, 2, record_source_name(r->source));
    bind_text(s, 3, r->remote);
    bind_text(s, 4, record_trust_name(r->trust));
    bind_text(s, 7, e ? e->status : NULL);
    bind_text(s, 8, e ? event_result_name(e->result) : NULL);
    bind_text(s, 9, e ? e->err_code : NULL);
    bind_text(s, 10, e ? e->name : NULL);
    sqlite3_bind_blob64(s, 12, r->body.data ? r->body.data : "", r->body.len, SQLITE_STATIC);
    bind_text(s, 13, context_of(r, e ? e->source_context : NULL));
    bind_text(s, 14, context_of(r, e ? e->session_context : NULL));
}

static int add_event(struct store *s, const struct record *r)
{
    sqlite3_stmt *add = s->statements[STORE_ADD];
    bind_record(add, r);
    bind_text(add, 5, r->event ? r->event->type : NULL);
    bind_text(add, 6, r->event ? r->event->task_id : NULL);
    sqlite3_bind_blob(add, 11, r->digest, DIGEST_SIZE, SQLITE_STATIC);
    if (is_pulled_anew(r))
        sqlite3_bind_int(add, 15, 0);
    else
        sqlite3_bind_null(add, 15);
    if (r->source == SOURCE_RECONCILE)
        sqlite3_bind_int(add, 16, 1);
    else
        sqlite3_bind_null(add, 16);
    return run(s, STORE_ADD);
}

/* A row that belongs to the event's; none where the text is missing. */
static int add_beside(struct store *s, enum store_statement which, const struct record *r, const char *text)
{
    if (!text || !*text)
        return INBOX_OK;
    sqlite3_bind_int64(s->statements[which], 1, r->row);
    bind_text(s->statements[which], 2, text);
    return run(s, which);
}

/* Nobody looks for the files of a refused event, and a stranger could name very many. */
static int add_files(struct store *s, const struct record *r)
{
    int result = INBOX_OK;
    for (size_t k = 0; result == INBOX_OK && k < r->event->n_file_ids; k++)
        result = add_beside(s, STORE_ADD_FILE, r, r->event->file_ids[k]);
    return result;
}

static int add_tasks(struct store *s, const struct record *r)
{
    const struct event *e = r->event;
    s->any_open |= e->procedure_task_id || e->review_task_id;
    int result = add_beside(s, STORE_NAME_TASK, r, e->procedure_task_id);
    if (result == INBOX_OK)
        result = add_beside(s, STORE_NAME_TASK, r, e->review_task_id);
    if (result != INBOX_OK || event_may_repeat(e))
        return result;
    if (is_final(e))
        return s->any_open ? add_beside(s, STORE_END_TASK, r, e->task_id) : INBOX_OK;
    s->any_open = true;
    return e->result == RESULT_PENDING ? add_beside(s, STORE_BEGIN_TASK, r, e->task_id) : INBOX_OK;
}

static int add_all_beside(struct store *s, const struct record *r)
{
    if (!r->event || r->trust == TRUST_REFUSED)
        return INBOX_OK;
    int result = add_files(s, r);
    if (result == INBOX_OK)
        result = add_tasks(s, r);
    if (result == INBOX_OK)
        result = add_beside(s, STORE_ADD_CONTEXT, r, context_of(r, r->event->source_context));
    if (result == INBOX_OK)
        result = add_beside(s, STORE_ADD_CONTEXT, r, context_of(r, r->event->session_context));
    return result;
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

static int note_reconciled(struct store *s, const struct record *r)
{
    if (r->source != SOURCE_RECONCILE || s->any_reconciled)
        return INBOX_OK;
    s->any_reconciled = true;
    return database_exec(s->db, "INSERT OR IGNORE INTO inbox_info VALUES ('reconciled', 1)");
}

static int add(struct store *s, struct record *r)
{
    int result = add_event(s, r);
    if (result != INBOX_OK)
        return result;
    r->row = sqlite3_last_insert_rowid(s->db->sqlite);
    r->seen = 1;
    result = add_all_beside(s, r);
    if (result == INBOX_OK)
        result = note_reconciled(s, r);
    return result == INBOX_OK ? add_note(s, r) : result;
}

/* Who delivered it first may not have been known; that it is VOD's is known from now on. */
static int see(struct store *s, const struct record *r)
{
    sqlite3_stmt *see = s->statements[STORE_SEE];
    sqlite3_bind_int64(see, 1, r->row);
    sqlite3_bind_int64(see, 2, r->time);
    bind_text(see, 3, record_trust_name(r->trust));
    sqlite3_bind_int(see, 4, is_pulled_anew(r));
    return run(s, STORE_SEE);
}

static int replace(struct store *s, const struct record *r)
{
    sqlite3_stmt *replace = s->statements[STORE_REPLACE];
    bind_record(replace, r);
    sqlite3_bind_int64(replace, 17, r->row);
    int result = run(s, STORE_REPLACE);
    return result == INBOX_OK ? add_all_beside(s, r) : result;
}

int store_put(struct store *s, struct record *r)
{
    bool replaces = false;
    r->duplicate = false;
    r->first_time = 0;
    int result = find_by_digest(s, r, &replaces);
    if (result == INBOX_OK && !r->duplicate)
        result = find_reconciled(s, r, &replaces);
    if (result != INBOX_OK)
        return result;
    if (!r->duplicate)
        result = add(s, r);
    else if (replaces)
        result = replace(s, r);
    else if (r->source != SOURCE_RECONCILE)
        result = see(s, r);
    note_pulled(s, r);
    return result;
}

int store_confirm(struct store *s, const int64_t *rows, size_t n)
{
    int result = INBOX_OK;
    for (size_t k = 0; result == INBOX_OK && k < n; k++) {
        sqlite3_bind_int64(s->statements[STORE_CONFIRM], 1, rows[k]);
        result = run(s, STORE_CONFIRM);
    }
    return result;
}

int store_remember(struct store *s, const char *name, int64_t value)
{
    bind_text(s->statements[STORE_REMEMBER], 1, name);
    sqlite3_bind_int64(s->statements[STORE_REMEMBER], 2, value);
    return run(s, STORE_REMEMBER);
}
