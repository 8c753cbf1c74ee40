/* reader.c: reads an inbox. */
#include "inbox/reader.h"

#include <errno.h>
#include <poll.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "inbox/schema.h"
#include "reader_private.h"

enum {
    DECODE_MEMORY = 1024 * 1024 * 1024, /* bytes for reading one event: whatever the listener was given */
    BUSY_WAIT = 2000, /* milliseconds: only while another process repairs what a killed one left */
    IDLE = 100,       /* milliseconds between looks where nothing can be heard */
    SETTLE = 5,       /* and after a write was heard: its commit is seen a little later; */
    SETTLE_MOST = 50, /* then ever longer, since a disk may take its time, */
    LOOKS = 200,      /* up to that many times; */
    LOOKS_AFTER = 2,  /* fewer where a commit was seen, for another one that was under way */
};

/* --- Opening ------------------------------------------------------------------------------------------- */

int reader_error(struct inbox_reader *r, int rc)
{
    int system_error = sqlite3_system_errno(r->db);
    switch (rc & 0xFF) {
    case SQLITE_BUSY:
        return -EBUSY;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -EUCLEAN;
    case SQLITE_PERM:
    case SQLITE_READONLY:
        return -EACCES;
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
        return system_error ? -system_error : -EIO;
    }
    return -EIO;
}

static bool has_log(const struct inbox_reader *r)
{
    char name[4096 + 8];
    snprintf(name, sizeof name, "%s-wal", r->path);
    return access(name, F_OK) == 0;
}

/* As a URI, so that what has a meaning in one is escaped. */
static int make_uri(const char *path, bool immutable, char **ret)
{
    cleanup(buffer_done) struct buffer uri = {0};
    buffer_puts(&uri, path[0] == '/' ? "file:" : "file:./");
    for (const char *p = path; *p; p++)
        if (strchr("%?#", *p))
            buffer_printf(&uri, "%%%02X", (unsigned)*p);
        else
            buffer_putc(&uri, *p);
    buffer_puts(&uri, immutable ? "?immutable=1" : "");
    buffer_putc(&uri, 0);
    if (uri.failed)
        return -ENOMEM;
    *ret = steal_pointer(uri.data);
    return 0;
}

static int number_of(struct inbox_reader *r, const char *sql, int64_t *ret)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(r->db, sql, -1, &s, NULL);
    if (rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW)
        *ret = sqlite3_column_int64(s, 0);
    int err = rc == SQLITE_ROW ? 0 : reader_error(r, rc);
    sqlite3_finalize(s);
    return err;
}

static int open_as(struct inbox_reader *r, bool immutable)
{
    cleanup_free char *uri = NULL;
    int err = make_uri(r->path, immutable, &uri);
    if (err < 0)
        return err;
    sqlite3_close(r->db);
    r->immutable = immutable;
    int rc = sqlite3_open_v2(uri, &r->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK)
        return reader_error(r, rc);
    sqlite3_busy_timeout(r->db, BUSY_WAIT);
    int64_t tables;
    return number_of(r, "SELECT count(*) FROM sqlite_master", &tables);
}

/* Where somebody else's program removed the log, it was empty, and who may only read cannot make one: then
 * the file alone is read. */
static int open_database(struct inbox_reader *r)
{
    int err = open_as(r, false);
    return err < 0 && err != -EUCLEAN && !has_log(r) ? open_as(r, true) : err;
}

static int check_schema(struct inbox_reader *r, const char **ret_why)
{
    static const char *const steps[] = INBOX_SCHEMA_STEPS;
    int64_t application = 0, tables = 0;
    int err = number_of(r, "PRAGMA application_id", &application);
    if (err >= 0)
        err = number_of(r, "PRAGMA user_version", &r->schema);
    if (err >= 0)
        err = number_of(r, "SELECT count(*) FROM sqlite_master", &tables);
    if (err < 0)
        return err;
    if (tables == 0)
        return -ENOENT;
    if (application != INBOX_APPLICATION_ID)
        *ret_why = "it is a database of another program";
    else if (r->schema > (int64_t)(sizeof steps / sizeof *steps))
        *ret_why = "it was written by a newer vodhook";
    return *ret_why ? -EINVAL : 0;
}

static int read_identity(struct inbox_reader *r)
{
    sqlite3_stmt *s = NULL;
    if (r->schema < 2)
        return 0;
    int rc = sqlite3_prepare_v2(r->db, "SELECT value FROM inbox_info WHERE name = 'uuid'", -1, &s, NULL);
    if (rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW)
        snprintf(r->identity, sizeof r->identity, "%s", (const char *)sqlite3_column_text(s, 0));
    int err = rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : reader_error(r, rc);
    sqlite3_finalize(s);
    return err;
}

static int open_inner(struct inbox_reader *r, const char **ret_why)
{
    if (stat(r->path, &r->file) < 0)
        return -errno;
    if (access(r->path, R_OK) < 0)
        return -errno;
    int err = open_database(r);
    if (err >= 0)
        err = check_schema(r, ret_why);
    if (err >= 0)
        err = read_identity(r);
    if (err >= 0)
        err = event_decoder_new(DECODE_MEMORY, &r->decoder);
    if (err < 0)
        return err;
    watch_open(&r->watch, r->path, r->immutable ? NULL : r->db);
    int rc = sqlite3_prepare_v2(r->db, "PRAGMA data_version", -1, &r->data_version, NULL);
    return rc == SQLITE_OK ? 0 : reader_error(r, rc);
}

int inbox_reader_open(const char *path, struct inbox_reader **ret, const char **ret_why)
{
    *ret_why = NULL;
    cleanup(inbox_reader_free_p) struct inbox_reader *r = calloc(1, sizeof *r);
    if (!r)
        return -ENOMEM;
    r->watch = (struct watch){.fd = -1, .folder = -1};
    r->path = strdup(path);
    int err = r->path ? open_inner(r, ret_why) : -ENOMEM;
    if (err < 0)
        return err;
    *ret = steal_pointer(r);
    return 0;
}

struct inbox_reader *inbox_reader_free(struct inbox_reader *r)
{
    if (!r)
        return NULL;
    sqlite3_finalize(r->find);
    sqlite3_finalize(r->stuck);
    sqlite3_finalize(r->data_version);
    event_decoder_free(r->decoder);
    watch_close(&r->watch);
    sqlite3_close(r->db);
    free(r->path);
    free(r);
    return NULL;
}

/* --- Queries ------------------------------------------------------------------------------------------- */

int inbox_reader_newest(struct inbox_reader *r, int64_t *ret)
{
    return number_of(r, "SELECT ifnull(max(id), 0) FROM event", ret);
}

int inbox_reader_range(struct inbox_reader *r, int64_t *ret_oldest, int64_t *ret_last)
{
    int err =
        number_of(r, "SELECT ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'event'), 0)", ret_last);
    if (err >= 0)
        err = number_of(r, "SELECT ifnull(min(id), 0) FROM event", ret_oldest);
    if (err >= 0 && *ret_oldest == 0)
        *ret_oldest = *ret_last + 1;
    return err;
}

/* Its place in the life of a file: it can be worked on before its upload is told of. */
#define RANK "CASE type WHEN 'NewFileUpload' THEN 0 WHEN 'FileDeleted' THEN 2 ELSE 1 END"

/* The few events behind an id are found by it, whatever else is asked of them; of all events the order says
 * which index serves, and a bound for ids is none of its business. */
static void put_source(struct buffer *sql, const struct inbox_reader *r)
{
    buffer_puts(sql, r->after ? " FROM event NOT INDEXED" : " FROM event");
    buffer_puts(sql, " LEFT JOIN event_note ON event_id = id");
}

static void put_conditions(struct buffer *sql, const struct inbox_reader *r)
{
    const struct inbox_filter *f = &r->filter;
    if (f->any_trust)
        buffer_puts(sql, " WHERE 1");
    else
        buffer_puts(sql, f->refused ? " WHERE trust = 'refused'" : " WHERE trust <> 'refused'");
    if (f->in_order_of_id) /* one bound on each side: of two, SQLite may seek by the wrong one */
        buffer_puts(sql, f->reverse ? " AND id > :after AND id <= min(:up_to, :id - 1)"
                                    : " AND id > max(:after, :id) AND id <= :up_to");
    else
        buffer_puts(sql, r->after ? " AND id > :after AND +id <= :up_to" : " AND +id <= :up_to");
    if (f->file_id)
        buffer_puts(sql, " AND id IN (SELECT event_id FROM event_file WHERE file_id = :file)");
    if (f->task_id && r->schema < 2)
        buffer_puts(sql, " AND task_id = :task");
    else if (f->task_id)
        buffer_puts(sql, " AND id IN (SELECT id FROM event WHERE task_id = :task"
                         " UNION SELECT event_id FROM event_began WHERE task_id = :task)");
    if (f->context)
        buffer_puts(sql, r->schema < 2
                             ? " AND 0"
                             : " AND id IN (SELECT event_id FROM event_context WHERE context = :context)");
    if (f->type)
        buffer_puts(sql, " AND type = :type");
    if (f->result)
        buffer_puts(sql, " AND result = :result");
    if (f->source)
        buffer_puts(sql, " AND source = :source");
    if (f->since != INT64_MIN)
        buffer_puts(sql, " AND received >= :since");
    if (f->until != INT64_MAX)
        buffer_puts(sql, " AND received < :until");
}

/* The place in the order after which a query goes on is a condition too, so that it can be paused. A plain
 * comparison beside that of rows lets the index on `received` serve. */
static void put_order(struct buffer *sql, const struct inbox_filter *f)
{
    const char *beyond = f->reverse ? "<" : ">", *way = f->reverse ? "DESC" : "ASC";
    if (f->in_order_of_id)
        buffer_printf(sql, " ORDER BY id %s", way);
    else if (f->file_id)
        buffer_printf(sql,
                      " AND (" RANK ", received, id) %s (:rank, :received, :id)"
                      " ORDER BY " RANK " %s, received %s, id %s",
                      beyond, way, way, way);
    else
        buffer_printf(sql,
                      " AND received %s= :received AND (received, id) %s (:received, :id)"
                      " ORDER BY received %s, id %s",
                      beyond, beyond, way, way);
}

static void bind_text(sqlite3_stmt *s, const char *name, const char *text)
{
    int n = sqlite3_bind_parameter_index(s, name);
    if (n)
        sqlite3_bind_text(s, n, text, -1, SQLITE_STATIC);
}

static void bind_number(sqlite3_stmt *s, const char *name, int64_t value)
{
    int n = sqlite3_bind_parameter_index(s, name);
    if (n)
        sqlite3_bind_int64(s, n, value);
}

static void bind_filter(const struct inbox_reader *r, sqlite3_stmt *s)
{
    const struct inbox_filter *f = &r->filter;
    bind_number(s, ":after", r->after);
    bind_number(s, ":up_to", r->up_to);
    bind_text(s, ":file", f->file_id);
    bind_text(s, ":task", f->task_id);
    bind_text(s, ":context", f->context);
    bind_text(s, ":type", f->type);
    bind_text(s, ":result", f->result);
    bind_text(s, ":source", f->source);
    bind_number(s, ":since", f->since);
    bind_number(s, ":until", f->until);
}

static int prepare(struct inbox_reader *r, struct buffer *sql, sqlite3_stmt **ret)
{
    if (sql->failed)
        return -ENOMEM;
    int rc = sqlite3_prepare_v2(r->db, sql->data, (int)sql->len, ret, NULL);
    if (rc != SQLITE_OK)
        return reader_error(r, rc);
    bind_filter(r, *ret);
    return 0;
}

int inbox_reader_query(struct inbox_reader *r, const struct inbox_filter *filter, int64_t after,
                       int64_t up_to)
{
    cleanup(buffer_done) struct buffer sql = {0};
    r->filter = *filter;
    r->after = after;
    r->up_to = up_to;
    r->paused = true;
    r->rank = filter->reverse ? INT32_MAX : INT32_MIN;
    r->received = r->id = filter->reverse ? INT64_MAX : INT64_MIN;
    sqlite3_finalize(r->find);
    r->find = NULL;
    buffer_printf(&sql, "SELECT id, received, seen, source, remote, trust, type IS NULL, reason,"
                        " ifnull(body_bytes, length(body)), body, digest, " RANK);
    put_source(&sql, r);
    put_conditions(&sql, r);
    put_order(&sql, filter);
    return prepare(r, &sql, &r->find);
}

void inbox_reader_pause(struct inbox_reader *r)
{
    sqlite3_reset(r->find);
    r->paused = true;
}

static int named(const char *name, const char *(*name_of)(int), int n)
{
    for (int k = n - 1; k > 0; k--)
        if (strcmp(name, name_of(k)) == 0)
            return k;
    return 0;
}

static const char *source_name(int k)
{
    return record_source_name((enum record_source)k);
}

static const char *trust_name(int k)
{
    return record_trust_name((enum record_trust)k);
}

/* A body that could be read when it was recorded can be read now, unless memory is short. */
static void read_row(struct inbox_reader *r, sqlite3_stmt *s, struct record *ret)
{
    *ret = (struct record){
        .row = sqlite3_column_int64(s, 0),
        .time = sqlite3_column_int64(s, 1),
        .seen = (uint64_t)sqlite3_column_int64(s, 2),
        .source = (enum record_source)named((const char *)sqlite3_column_text(s, 3), source_name,
                                            SOURCE_RECONCILE + 1),
        .remote = (const char *)sqlite3_column_text(s, 4),
        .trust =
            (enum record_trust)named((const char *)sqlite3_column_text(s, 5), trust_name, TRUST_REFUSED + 1),
        .reason = (const char *)sqlite3_column_text(s, 7),
        .body = {sqlite3_column_blob(s, 9), (size_t)sqlite3_column_bytes(s, 9)},
        .body_bytes = (uint64_t)sqlite3_column_int64(s, 8),
    };
    const struct json *json;
    enum event_verdict verdict = event_decode(r->decoder, ret->body.data, ret->body.len, &json, &r->event);
    ret->unreadable = sqlite3_column_int(s, 6) || verdict != BODY_EVENT;
    ret->truncated = ret->body_bytes > ret->body.len;
    if (sqlite3_column_bytes(s, 10) == DIGEST_SIZE)
        memcpy(ret->digest, sqlite3_column_blob(s, 10), DIGEST_SIZE);
    if (ret->unreadable) {
        ret->kind = RECORD_REQUEST;
    } else {
        ret->event = &r->event;
        ret->json = json;
    }
}

int inbox_reader_next(struct inbox_reader *r, struct record *ret)
{
    sqlite3_stmt *s = r->find;
    if (r->paused) {
        bind_number(s, ":rank", r->rank);
        bind_number(s, ":received", r->received);
        bind_number(s, ":id", r->id);
        r->paused = false;
    }
    int rc = sqlite3_step(s);
    if (rc != SQLITE_ROW) {
        int err = rc == SQLITE_DONE ? 0 : reader_error(r, rc);
        inbox_reader_pause(r);
        return err;
    }
    read_row(r, s, ret);
    r->rank = sqlite3_column_int(s, 11);
    r->received = ret->time;
    r->id = ret->row;
    return 1;
}

int inbox_reader_count(struct inbox_reader *r, int64_t *ret)
{
    cleanup(buffer_done) struct buffer sql = {0};
    sqlite3_stmt *s = NULL;
    buffer_puts(&sql, "SELECT count(*)");
    put_source(&sql, r);
    put_conditions(&sql, r);
    int err = prepare(r, &sql, &s);
    if (err >= 0) {
        int rc = sqlite3_step(s);
        err = rc == SQLITE_ROW ? 0 : reader_error(r, rc);
        if (err == 0)
            *ret = sqlite3_column_int64(s, 0);
    }
    sqlite3_finalize(s);
    return err;
}

const char *inbox_reader_identity(const struct inbox_reader *r)
{
    return r->identity[0] ? r->identity : NULL;
}

/* --- Waiting ------------------------------------------------------------------------------------------- */

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Whether there is another file now, or a log beside one that was read as if nobody wrote to it. */
static bool outdated(const struct inbox_reader *r)
{
    struct stat now;
    return stat(r->path, &now) == 0 && (!same_file(&now, &r->file) || (r->immutable && has_log(r)));
}

/* One that cannot be opened yet is tried again at the next look. */
static int reopen(struct inbox_reader *r)
{
    const char *why;
    struct inbox_reader *now, old = *r;
    if (inbox_reader_open(r->path, &now, &why) < 0)
        return 0;
    *r = *now;
    *now = old;
    inbox_reader_free(now);
    return same_file(&old.file, &r->file) ? 1 : 2;
}

static bool changed(struct inbox_reader *r)
{
    int64_t before = r->version;
    if (sqlite3_step(r->data_version) == SQLITE_ROW)
        r->version = sqlite3_column_int64(r->data_version, 0);
    sqlite3_reset(r->data_version);
    return r->version != before;
}

int inbox_reader_look(struct inbox_reader *r)
{
    inbox_reader_pause(r);
    return outdated(r) ? reopen(r) : changed(r);
}

/* A look that costs no lock. */
static int peek(struct inbox_reader *r, bool file_too)
{
    bool moved = watch_moved(&r->watch);
    if ((moved || file_too) && outdated(r))
        return reopen(r);
    if (moved)
        inbox_reader_pause(r);
    return moved;
}

/* A write to the log comes before the commit that it belongs to, by as long as the disk takes. After a commit was seen
 * the next look waits: under load many readers would else do nothing but look. */
int inbox_reader_wait(struct inbox_reader *r, int most)
{
    bool deaf = r->watch.fd < 0 || r->immutable;
    struct pollfd p = {.fd = r->watch.fd, .events = POLLIN};
    if (r->settle)
        poll(NULL, 0, r->settle < most ? r->settle : most);
    else
        poll(&p, deaf ? 0 : 1, deaf && most > IDLE ? IDLE : most);
    bool heard = watch_take(&r->watch), idle = !r->settle;
    int result = deaf || !r->watch.index ? inbox_reader_look(r) : peek(r, heard || idle);
    if (result > 0)
        r->settle = SETTLE_MOST, r->looks = LOOKS_AFTER;
    else if (heard && !r->settle)
        r->settle = SETTLE, r->looks = LOOKS;
    else if (heard)
        r->looks = LOOKS;
    else if (r->settle && --r->looks <= 0)
        r->settle = 0;
    else if (r->settle)
        r->settle = 2 * r->settle < SETTLE_MOST ? 2 * r->settle : SETTLE_MOST;
    return result;
}
