/* inbox_write.c: a record as rows, and whether it has been recorded before. */
#include <errno.h>
#include <string.h>

#include "event/types.h"
#include "inbox_private.h"

/* How long a repeat counts as a duplicate, in microseconds, where the same may happen again and look the
 * same: VOD tries a push three times within seconds, and keeps an event in its queue for four days. */
static const int64_t REPEATED_PUSH = INT64_C(3600) * 1000000;
static const int64_t REPEATED_PULL = INT64_C(4) * 24 * 3600 * 1000000;

static const char CAST[] =
    "MediaCastStatusChanged"; /* its task_id is that of a cast, which goes on and off */

/* Whether the same content is the same happening however late. A task happens once. */
static bool is_settled(const struct record *r)
{
    if (!r->event)
        return false;
    const struct event_type *type = event_type_by_name(slice_of(r->event->type));
    return (type && type->settled) || (r->event->task_id && strcmp(r->event->type, CAST) != 0);
}

static int64_t repeated_within(const struct record *r)
{
    if (is_settled(r))
        return INT64_MAX;
    return r->source == SOURCE_PULL ? REPEATED_PULL : REPEATED_PUSH;
}

static void bind_text(sqlite3_stmt *s, int n, const char *text)
{
    sqlite3_bind_text(s, n, text, -1, SQLITE_STATIC);
}

/* What is refused may be a copy that a stranger made, so it neither stands for what is believed nor counts as
 * one of its deliveries: it is compared with the refused only. Returns the row's id, 0 where there is none,
 * or a negative errno. */
static int64_t find(struct inbox *i, const struct record *r, const uint8_t *digest)
{
    sqlite3_stmt *s = i->statements[INBOX_FIND];
    sqlite3_bind_blob(s, 1, digest, DIGEST_SIZE, SQLITE_STATIC);
    sqlite3_bind_int(s, 2, r->trust == TRUST_REFUSED);
    int found = inbox_row(i, INBOX_FIND);
    if (found <= 0)
        return found;
    int64_t id = sqlite3_column_int64(s, 0), received = sqlite3_column_int64(s, 1);
    sqlite3_reset(s);
    return r->time - received < repeated_within(r) ? id : 0;
}

/* Who delivered it first may not have been known; that it is VOD's is known from now on. */
static int see(struct inbox *i, const struct record *r, int64_t id)
{
    sqlite3_stmt *s = i->statements[INBOX_SEE];
    sqlite3_bind_int64(s, 1, id);
    sqlite3_bind_int64(s, 2, r->time);
    bind_text(s, 3, record_trust_name(r->trust));
    return inbox_run(i, INBOX_SEE);
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

static int add_event(struct inbox *i, const struct record *r, const uint8_t *digest)
{
    sqlite3_stmt *s = i->statements[INBOX_ADD];
    sqlite3_bind_int64(s, 1, r->time);
    bind_text(s, 2, record_source_name(r->source));
    bind_text(s, 3, r->remote);
    bind_text(s, 4, record_trust_name(r->trust));
    bind_event(s, r->event);
    sqlite3_bind_blob(s, 11, digest, DIGEST_SIZE, SQLITE_STATIC);
    sqlite3_bind_blob64(s, 12, r->body.data ? r->body.data : "", r->body.len, SQLITE_STATIC);
    return inbox_run(i, INBOX_ADD);
}

static int add_files(struct inbox *i, const struct event *e, int64_t id)
{
    int err = 0;
    sqlite3_stmt *s = i->statements[INBOX_ADD_FILE];
    sqlite3_bind_int64(s, 1, id);
    for (size_t k = 0; err == 0 && k < e->n_file_ids; k++) {
        bind_text(s, 2, e->file_ids[k]);
        err = inbox_run(i, INBOX_ADD_FILE);
    }
    return err;
}

static int add_note(struct inbox *i, const struct record *r, int64_t id)
{
    sqlite3_stmt *s = i->statements[INBOX_ADD_NOTE];
    sqlite3_bind_int64(s, 1, id);
    bind_text(s, 2, r->reason);
    sqlite3_bind_int64(s, 3, (int64_t)r->body_bytes);
    return inbox_run(i, INBOX_ADD_NOTE);
}

static int add(struct inbox *i, const struct record *r, const uint8_t *digest)
{
    int err = add_event(i, r, digest);
    int64_t id = sqlite3_last_insert_rowid(i->db);
    if (err == 0 && r->event)
        err = add_files(i, r->event, id);
    if (err == 0 && (r->reason || r->truncated))
        err = add_note(i, r, id);
    if (err == 0)
        inbox_added(i, r);
    return err;
}

int inbox_write(struct inbox *i, struct record *r)
{
    uint8_t digest[DIGEST_SIZE];
    int err = 0;
    if (r->event)
        err = digest_event(i->digester, r->event, r->scan, digest);
    else
        digest_bytes(r->body, r->body_bytes, digest);
    if (err < 0)
        return err;
    int64_t id = find(i, r, digest);
    if (id < 0)
        return (int)id;
    r->duplicate = id > 0;
    return r->duplicate ? see(i, r, id) : add(i, r, digest);
}
