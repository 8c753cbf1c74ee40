/* test_inbox.c: what the inbox keeps, what it takes for the same, what it lets go, and what it does when it
 * cannot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "inbox/schema.h"
#include "inboxes.h"

static const int64_t SECOND = 1000000;
static const int64_t HOUR = 3600 * INT64_C(1000000);

static void reopen(void)
{
    sink = sink_free(sink);
    assert_int_equal(sink_inbox_new(&config, &sink), 0);
}

static struct delivery later(struct delivery d, int64_t by)
{
    d.time += by;
    return d;
}

#define UPLOAD(id) "{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"FileId\":\"" id "\"}}"
#define RESTORE(id) \
    "{\"EventType\":\"RestoreMediaComplete\",\"RestoreMediaCompleteEvent\":{\"FileId\":\"" id "\"}}"
#define TASK(id, progress)                                                                                \
    "{\"EventType\":\"PullComplete\",\"PullCompleteEvent\":{\"TaskId\":\"" id "\",\"Progress\":" progress \
    ",\"FileId\":\"31\",\"Status\":\"FINISH\",\"MediaBasicInfo\":{\"Name\":\"a.mp4\"}}}"
#define CAST(id, status)                                                                          \
    "{\"EventType\":\"MediaCastStatusChanged\",\"MediaCastStatusChangedEvent\":{\"CastId\":\"" id \
    "\",\"Status\":\"" status "\"}}"
#define PARTS_DELETED(id)                                                      \
    "{\"EventType\":\"FileDeleted\",\"FileDeleteEvent\":{\"FileIdSet\":[\"" id \
    "\"],\"FileDeleteResultInfo\":"                                            \
    "[{\"FileId\":\"" id "\",\"DeleteParts\":[{\"Type\":\"TranscodeFiles\",\"Definition\":100010}]}]}}"

/* --- What is there ------------------------------------------------------------------------------------- */

/* The answer to a query, as text, its columns parted by |. Read as another process would. */
static const char *ask(const char *sql)
{
    static char answer[1024];
    sqlite3 *db;
    sqlite3_stmt *s;
    answer[0] = 0;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
    if (sqlite3_step(s) == SQLITE_ROW)
        for (int i = 0; i < sqlite3_column_count(s); i++) {
            const char *text = (const char *)sqlite3_column_text(s, i);
            strcat(answer, i ? "|" : "");
            strncat(answer, text ? text : "null", sizeof answer - strlen(answer) - 2);
        }
    sqlite3_finalize(s);
    sqlite3_close(db);
    return answer;
}

static int rows(void)
{
    return atoi(ask("SELECT count(*) FROM event"));
}

static void an_event_is_kept_as_it_arrived(void **state)
{
    (void)state;
    assert_false(deliver(pushed, " " TASK("t-1", "100") "\n"));
    assert_string_equal(
        ask("SELECT received,source,remote,trust,type,task_id,status,result,err_code,name,length(digest),"
            "seen,last_seen FROM event"),
        "1795491425123456|push|192.0.2.7:55012|unchecked|PullComplete|t-1|FINISH|ok|null|a.mp4|32|1|"
        "1795491425123456");
    assert_string_equal(ask("SELECT body FROM event"), " " TASK("t-1", "100") "\n");
    assert_string_equal(ask("SELECT file_id FROM event JOIN event_file ON id = event_id"), "31");
    assert_string_equal(ask("PRAGMA integrity_check"), "ok");
}

static void every_file_of_an_event_finds_it(void **state)
{
    (void)state;
    deliver(pushed,
            "{\"EventType\":\"FileDeleted\",\"FileDeleteEvent\":{\"FileIdSet\":[\"7\",\"8\",\"9\"]}}");
    assert_string_equal(ask("SELECT count(*), min(file_id), max(file_id) FROM event_file"), "3|7|9");
}

static void a_body_that_cannot_be_read_is_kept_byte_for_byte(void **state)
{
    (void)state;
    bool duplicate;
    struct slice body = {"{\"EventType\":\0\xFF", 15};
    assert_int_equal(put(pushed, body, &duplicate), 0);
    assert_int_equal(sink->ops->commit(sink), 0);
    assert_string_equal(
        ask("SELECT hex(body), type, reason, body_bytes FROM event JOIN event_note ON id=event_id"),
        "7B224576656E7454797065223A00FF|null|broken|15");
    assert_int_equal(put(pushed, body, &duplicate), 0);
    assert_true(duplicate);
}

static void a_group_is_committed_together(void **state)
{
    (void)state;
    bool duplicate;
    assert_int_equal(put(pushed, slice_of(UPLOAD("1")), &duplicate), 0);
    assert_int_equal(put(pushed, slice_of(UPLOAD("2")), &duplicate), 0);
    assert_int_equal(put(pushed, slice_of(UPLOAD("1")), &duplicate), 0);
    assert_true(duplicate);
    assert_int_equal(rows(), 0);
    assert_int_equal(sink->ops->commit(sink), 0);
    assert_int_equal(rows(), 2);
    assert_int_equal(sink->ops->commit(sink), 0);
}

/* --- Twice is once ------------------------------------------------------------------------------------- */

static void the_same_event_is_one_row_however_late_and_by_which_way(void **state)
{
    (void)state;
    const struct delivery pulled = {SOURCE_PULL, TRUST_VERIFIED, pushed.time + 500 * 24 * HOUR};
    assert_false(deliver(pushed, UPLOAD("1")));
    assert_false(deliver(pushed, TASK("t", "1")));
    reopen();
    assert_true(deliver(pulled, "{\"EventHandle\":\"h\",\"FileUploadEvent\":{\"FileId\":\"\\u0031\"},"
                                "\"EventType\":\"NewFileUpload\",\"PullCompleteEvent\":null}"));
    assert_true(deliver(pulled, TASK("t", "1")));
    assert_false(deliver(pulled, TASK("t", "2")));
    assert_int_equal(rows(), 3);
    assert_string_equal(ask("SELECT seen, trust, source, last_seen - received FROM event WHERE id = 1"),
                        "2|verified|push|43200000000000");
    assert_string_equal(ask("SELECT seen FROM event WHERE id = 3"), "1");
}

static const struct delivery pulled = {SOURCE_PULL, TRUST_VERIFIED, INT64_C(1795491425123456)};

static void what_is_pushed_and_may_happen_again_is_a_duplicate_for_ten_minutes(void **state)
{
    (void)state;
    static const char *const again[] = {RESTORE("5"), CAST("c-5", "Working"), PARTS_DELETED("5"),
                                        "{\"EventType\":\"New\",\"NewEvent\":{\"A\":1}}", "{\"broken"};
    for (size_t k = 0; k < sizeof again / sizeof *again; k++) {
        assert_false(deliver(pushed, again[k]));
        assert_true(deliver(later(pushed, 600 * SECOND - 1), again[k]));
        assert_false(deliver(later(pushed, 600 * SECOND), again[k]));
        assert_true(deliver(later(pushed, 900 * SECOND), again[k]));
        assert_false(deliver(pushed, again[k])); /* the clock was put back */
    }
    assert_int_equal(rows(), 15);
}

static int64_t row_of(struct delivery d, const char *body)
{
    struct record r;
    assert_int_equal(put_record(d, slice_of(body), &r), 0);
    return r.row;
}

static void what_was_pulled_and_confirmed_may_happen_again(void **state)
{
    (void)state;
    int64_t first = row_of(pulled, RESTORE("5"));
    assert_int_equal(sink->ops->commit(sink), 0);
    assert_int_equal(row_of(later(pulled, 60 * SECOND), RESTORE("5")), first); /* its confirmation was lost */
    assert_int_equal(sink->ops->commit(sink), 0);
    assert_int_equal(sink->ops->confirmed(sink, &first, 1), 0);
    int64_t second = row_of(later(pulled, 61 * SECOND), RESTORE("5"));
    assert_int_equal(sink->ops->commit(sink), 0);
    assert_int_equal(second, first + 1);
    reopen();
    assert_int_equal(row_of(later(pulled, 4 * 24 * HOUR), RESTORE("5")), second);
    assert_int_equal(row_of(later(pulled, 5 * 24 * HOUR), RESTORE("5")), second + 1);
    assert_int_equal(sink->ops->commit(sink), 0);
    assert_string_equal(ask("SELECT group_concat(confirmed) FROM event"), "1,0,0");
}

static void a_task_stays_one_event_when_it_was_confirmed(void **state)
{
    (void)state;
    int64_t row = row_of(pulled, TASK("t", "100"));
    assert_int_equal(sink->ops->commit(sink), 0);
    assert_int_equal(sink->ops->confirmed(sink, &row, 1), 0);
    assert_true(deliver(later(pulled, 60 * SECOND), TASK("t", "100")));
    assert_string_equal(ask("SELECT confirmed, seen FROM event"), "null|2");
}

/* A cast that goes on, off and on again, all in one answer; and the same answer once more. */
static void two_events_of_one_answer_are_never_the_same(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        row_of(later(pulled, k * 30 * SECOND), CAST("c", "Working"));
        row_of(later(pulled, k * 30 * SECOND), CAST("c", "Idle"));
        row_of(later(pulled, k * 30 * SECOND), CAST("c", "Working"));
        assert_int_equal(sink->ops->commit(sink), 0);
        assert_string_equal(ask("SELECT count(*), sum(seen) FROM event"), k ? "3|6" : "3|3");
    }
}

/* --- What was put together from the API ---------------------------------------------------------------- */

static void the_real_event_takes_the_place_of_one_that_was_put_together(void **state)
{
    (void)state;
    const struct delivery found = {SOURCE_RECONCILE, TRUST_VERIFIED, pushed.time};
    static char digest[80];
    assert_false(deliver(found, TASK("t", "99")));
    assert_false(deliver(found, UPLOAD("1")));
    strcpy(digest, ask("SELECT hex(digest) FROM event WHERE id = 1"));
    assert_true(deliver(later(pushed, HOUR), TASK("t", "100"))); /* that nobody vouches for */
    assert_string_equal(ask("SELECT source, seen, trust, body FROM event WHERE id = 1"),
                        "reconcile|2|verified|" TASK("t", "99"));
    struct record r;
    assert_int_equal(put_record(later(pulled, HOUR), slice_of(TASK("t", "100")), &r), 0);
    assert_int_equal(sink->ops->commit(sink), 0);
    assert_true(r.duplicate);
    assert_int_equal(r.row, 1);
    assert_int_equal(r.seen, 3);
    assert_string_equal(ask("SELECT source, seen, trust, body FROM event WHERE id = 1"),
                        "pull|3|verified|" TASK("t", "100"));
    assert_string_equal(ask("SELECT hex(digest) FROM event WHERE id = 1"), digest);
    assert_true(deliver(later(pulled, 2 * HOUR), TASK("t", "100")));
    assert_true(
        deliver(pulled, "{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"FileId\":\"1\",\"N\":1}}"));
    assert_string_equal(ask("SELECT count(*), sum(seen) FROM event"), "2|6");
}

static void what_is_there_is_not_put_together_again(void **state)
{
    (void)state;
    const struct delivery found = {SOURCE_RECONCILE, TRUST_VERIFIED, pushed.time};
    const struct delivery refused = {SOURCE_PUSH, TRUST_REFUSED, pushed.time};
    assert_false(deliver(pushed, TASK("t", "100")));
    assert_false(deliver(refused, UPLOAD("1")));
    assert_true(deliver(found, TASK("t", "99")));
    assert_true(deliver(found, TASK("t", "100")));
    assert_false(deliver(found, UPLOAD("1"))); /* what is refused counts for nothing */
    assert_false(deliver(refused, TASK("t", "98")));
    assert_string_equal(ask("SELECT group_concat(source || seen) FROM event"),
                        "push1,push1,reconcile1,push1");
}

static void what_is_refused_never_stands_for_what_is_believed(void **state)
{
    (void)state;
    const struct delivery refused = {SOURCE_PUSH, TRUST_REFUSED, pushed.time};
    const struct delivery verified = {SOURCE_PUSH, TRUST_VERIFIED, pushed.time};
    assert_false(deliver(refused, UPLOAD("1")));
    assert_false(deliver(verified, UPLOAD("1")));
    assert_true(deliver(refused, UPLOAD("1")));
    assert_true(deliver(verified, UPLOAD("1")));
    assert_false(deliver(verified, UPLOAD("2")));
    assert_false(deliver(refused, UPLOAD("2")));
    assert_string_equal(ask("SELECT group_concat(trust || seen) FROM (SELECT * FROM event ORDER BY id)"),
                        "refused2,verified2,verified1,refused1");
    assert_string_equal(ask("SELECT count(*), min(reason) FROM event_note"), "2|wrong Sign");
}

/* A body that no decoder takes for an event, but whose bytes are the canonical form of one. */
static void a_body_that_cannot_be_read_never_stands_for_an_event(void **state)
{
    (void)state;
    deliver(pushed, "\"NewFileUpload\"{\"\":{\"FileId\":\"1\"}}");
    assert_false(deliver(pushed, UPLOAD("1")));
}

/* --- What goes ----------------------------------------------------------------------------------------- */

/* Until nothing is due any more. */
static void maintain(void)
{
    for (int in; (in = sink_inbox_maintain(sink)) < 1000;)
        poll(NULL, 0, in);
}

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * SECOND;
}

static void deliver_many(struct delivery d, int from, int to, size_t padding)
{
    cleanup(buffer_done) struct buffer body = {0};
    for (int k = from; k < to; k++) {
        buffer_reset(&body, SIZE_MAX);
        buffer_printf(&body, UPLOAD("%d"), k);
        body.len -= 2;
        buffer_puts(&body, ",\"Padding\":\"");
        memset(buffer_reserve(&body, padding), 'x', padding);
        body.len += padding;
        buffer_puts(&body, "\"}}");
        bool duplicate;
        assert_int_equal(put(d, buffer_slice(&body), &duplicate), 0);
        assert_false(duplicate);
        if (k % 64 == 63)
            assert_int_equal(sink->ops->commit(sink), 0);
        if (k % 64 == 63)
            sink_inbox_maintain(sink);
    }
    assert_int_equal(sink->ops->commit(sink), 0);
}

static void what_is_too_old_goes(void **state)
{
    (void)state;
    config.keep = 24 * 3600;
    reopen();
    struct delivery d = {SOURCE_PUSH, TRUST_UNCHECKED, now() - 25 * HOUR};
    deliver_many(d, 0, 300, 10);
    deliver_many(later(d, 2 * HOUR), 300, 400, 10);
    reopen();
    maintain();
    assert_string_equal(ask("SELECT count(*), min(id) FROM event"), "100|301");
    assert_string_equal(ask("SELECT count(*), min(event_id) FROM event_file"), "100|301");
    assert_int_equal(stderr_count("--inbox-max"), 0);
}

static void what_belongs_to_an_event_goes_with_it(void **state)
{
    (void)state;
    config.keep = 24 * 3600;
    reopen();
    struct delivery d = {SOURCE_PUSH, TRUST_VERIFIED, now() - 25 * HOUR};
    deliver(
        d, "{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"FileId\":\"9\",\"ProcedureTaskId\":\"p\","
           "\"SourceContext\":\"order 9\"}}");
    d.trust = TRUST_REFUSED;
    deliver(d, UPLOAD("1"));
    maintain();
    assert_string_equal(
        ask("SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM event_file),"
            " (SELECT count(*) FROM event_note), (SELECT count(*) FROM event_began),"
            " (SELECT count(*) FROM event_context), (SELECT sum(rows) FROM inbox_quarantine)"),
        "0|0|0|0|0|0");
    assert_int_equal(stderr_count("Removed 2 events from the inbox"), 1);
}

static void what_was_pulled_stays_while_it_may_come_again(void **state)
{
    (void)state;
    config.keep = 24 * 3600;
    reopen();
    struct delivery d = {SOURCE_PULL, TRUST_VERIFIED, now() - 5 * 24 * HOUR - HOUR};
    deliver_many(d, 0, 100, 10);
    deliver_many(later(d, 2 * HOUR), 100, 200, 10);
    reopen();
    maintain();
    assert_string_equal(ask("SELECT count(*), min(id) FROM event"), "100|101");
}

static void the_oldest_go_when_the_inbox_is_too_large(void **state)
{
    (void)state;
    config.max = 4 << 20;
    reopen();
    struct delivery d = {SOURCE_PUSH, TRUST_UNCHECKED, now()};
    deliver_many(d, 0, 2000, 4000);
    maintain();
    int left = rows();
    assert_in_range(left, 400, 1000);
    assert_int_equal(atoi(ask("SELECT max(id) FROM event")), 2000);
    assert_int_equal(atoi(ask("SELECT min(id) FROM event")), 2001 - left);
    assert_int_equal(stderr_count("--inbox-max"), 1);
    assert_string_equal(ask("PRAGMA integrity_check"), "ok");
}

static void what_strangers_send_is_bounded_and_pushes_nothing_out(void **state)
{
    (void)state;
    config.max = 4 << 20;
    reopen();
    struct delivery good = {SOURCE_PUSH, TRUST_VERIFIED, now()}, bad = {SOURCE_PUSH, TRUST_REFUSED, now()};
    deliver_many(good, 0, 600, 4000);
    maintain();
    int before = rows();
    deliver_many(bad, 0, 1000, 4000);
    maintain();
    assert_int_equal(atoi(ask("SELECT count(*) FROM event WHERE trust = 'verified'")), before);
    assert_in_range(atoi(ask("SELECT count(*) FROM event WHERE trust = 'refused'")), 10, 64);
    assert_int_equal(atoi(ask("SELECT max(id) FROM event")), 1600);
}

/* It names very many files, each of which would be a row in two trees. */
static void one_refused_event_pushes_nothing_out(void **state)
{
    (void)state;
    config.max = 8 << 20;
    reopen();
    struct delivery good = {SOURCE_PUSH, TRUST_VERIFIED, now()}, bad = {SOURCE_PUSH, TRUST_REFUSED, now()};
    deliver_many(good, 0, 1000, 4000);
    maintain();
    int before = rows();
    cleanup(buffer_done) struct buffer body = {0};
    buffer_puts(&body, "{\"EventType\":\"FileDeleted\",\"FileDeleteEvent\":{\"FileIdSet\":[\"0\"");
    for (int k = 1; k < 100000; k++)
        buffer_printf(&body, ",\"528589078%07d\"", k);
    buffer_puts(&body, "]}}");
    buffer_putc(&body, 0);
    deliver(bad, body.data);
    maintain();
    deliver(later(bad, SECOND), "{\"EventType\":\"another\"}");
    maintain();
    assert_int_equal(atoi(ask("SELECT count(*) FROM event WHERE trust = 'verified'")), before);
    assert_string_equal(
        ask("SELECT count(*) FROM event_file JOIN event ON id = event_id WHERE trust = 'refused'"), "0");
    assert_string_equal(ask("PRAGMA integrity_check"), "ok");
}

static void bodies_that_cannot_be_read_are_bounded(void **state)
{
    (void)state;
    config.max = 4 << 20;
    reopen();
    for (int k = 0; k < 300; k++) {
        char body[64];
        snprintf(body, sizeof body, "{%d", k);
        deliver(pushed, body);
    }
    reopen();
    maintain();
    assert_in_range(atoi(ask("SELECT count(*) FROM event WHERE type IS NULL")), 100, 128);
}

/* --- When it cannot ------------------------------------------------------------------------------------ */

static void a_lock_makes_it_fail_and_is_said_when_it_lasts(void **state)
{
    (void)state;
    bool duplicate;
    sqlite3 *other;
    deliver(pushed, UPLOAD("1"));
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(put(pushed, slice_of(UPLOAD("2")), &duplicate), -EBUSY);
    assert_int_equal(stderr_count("locked"), 0);
    for (int k = 0; k < 500 && !stderr_count("locked"); k++) {
        assert_int_equal(put(pushed, slice_of(UPLOAD("2")), &duplicate), -EBUSY);
        poll(NULL, 0, 10);
    }
    assert_int_equal(stderr_count("locked"), 1);
    assert_int_equal(sink->ops->commit(sink), 0);
    sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL);
    sqlite3_close(other);
    while (put(pushed, slice_of(UPLOAD("2")), &duplicate) < 0)
        poll(NULL, 0, 10);
    assert_int_equal(sink->ops->commit(sink), 0);
    assert_int_equal(stderr_count("can be written again"), 1);
    assert_int_equal(rows(), 2);
}

static void after_a_failed_put_nothing_of_the_group_is_recorded(void **state)
{
    (void)state;
    bool duplicate;
    static char large[300000]; /* for which pages have to be allocated, whatever SQLite has at hand */
    snprintf(large, sizeof large, "{\"EventType\":\"X\",\"padding\":\"%0*d\"}", (int)sizeof large - 100, 0);
    assert_int_equal(put(pushed, slice_of(UPLOAD("1")), &duplicate), 0);
    assert_int_equal(sqlite3_hard_heap_limit64(1) >= 0, 1);
    int failed = put(pushed, slice_of(large), &duplicate);
    sqlite3_hard_heap_limit64(0);
    assert_int_equal(failed, -ENOMEM);
    assert_true(put(pushed, slice_of(UPLOAD("3")), &duplicate) < 0);
    assert_true(sink->ops->commit(sink) < 0);
    assert_int_equal(rows(), 0);
    for (int k = 0; k < 3; k++) {
        char body[128];
        snprintf(body, sizeof body, UPLOAD("%d"), k);
        int r;
        while ((r = put(pushed, slice_of(body), &duplicate)) < 0 && r != -ECANCELED)
            poll(NULL, 0, 10);
        assert_int_equal(r, 0);
        assert_false(duplicate);
    }
    assert_int_equal(sink->ops->commit(sink), 0);
    assert_int_equal(rows(), 3);
}

static void a_file_that_is_taken_away_is_begun_anew(void **state)
{
    (void)state;
    bool duplicate;
    char moved[160];
    snprintf(moved, sizeof moved, "%s.moved", path);
    deliver(pushed, UPLOAD("1"));
    assert_int_equal(rename(path, moved), 0);
    assert_false(deliver(pushed, UPLOAD("1")));
    assert_int_equal(rows(), 1);

    assert_int_equal(put(pushed, slice_of(UPLOAD("2")), &duplicate), 0);
    assert_int_equal(unlink(path), 0);
    assert_true(sink->ops->commit(sink) < 0);
    while (put(pushed, slice_of(UPLOAD("2")), &duplicate) < 0)
        poll(NULL, 0, 10);
    assert_false(duplicate);
    assert_int_equal(sink->ops->commit(sink), 0);
    assert_int_equal(rows(), 1);
    strcpy(path, moved);
    assert_int_equal(rows(), 1);
}

static int overwrite(const char *name, off_t at, size_t n)
{
    int fd = open(name, O_WRONLY);
    char garbage[4096];
    memset(garbage, 0x5A, sizeof garbage);
    for (; n > 0; n -= sizeof garbage, at += (off_t)sizeof garbage)
        if (pwrite(fd, garbage, sizeof garbage, at) < 0)
            return -1;
    return close(fd);
}

static int n_aside;
static int count_aside(const char *name, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    n_aside += strstr(name, ".damaged-") && !strstr(name, "-wal") && !strstr(name, "-shm");
    return 0;
}

static void a_damaged_file_is_set_aside(void **state)
{
    (void)state;
    deliver_many(pushed, 0, 640, 100);
    sink = sink_free(sink);
    assert_int_equal(overwrite(path, 0, 4096), 0);
    assert_int_equal(sink_inbox_new(&config, &sink), 0);
    assert_int_equal(stderr_count(" .dump | "), 1);
    assert_false(deliver(pushed, UPLOAD("1")));

    bool duplicate;
    deliver_many(pushed, 1000, 1640, 100);
    reopen();
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(overwrite(path, 4096, (size_t)st.st_size - 4096), 0);
    int failed = put(pushed, slice_of(UPLOAD("2")), &duplicate);
    assert_int_equal(failed, -EUCLEAN);
    assert_int_equal(stderr_count(" .dump | "), 2);
    assert_false(deliver(pushed, UPLOAD("2")));
    assert_int_equal(rows(), 1);
    nftw(folder, count_aside, 8, FTW_PHYS);
    assert_int_equal(n_aside, 2);
}

static void what_is_no_inbox_is_left_alone(void **state)
{
    (void)state;
    sqlite3 *other;
    struct inbox_config wrong = config;
    char name[160];
    snprintf(name, sizeof name, "%s/other.db", folder);
    wrong.path = name;
    assert_int_equal(sqlite3_open(name, &other), SQLITE_OK);
    sqlite3_exec(other, "CREATE TABLE t (a)", NULL, NULL, NULL);
    sqlite3_close(other);
    struct sink *s;
    assert_int_equal(sink_inbox_new(&wrong, &s), -EINVAL);
    assert_int_equal(stderr_count("another program"), 1);
    ask("PRAGMA user_version=99");
    sink = sink_free(sink);
    assert_int_equal(sink_inbox_new(&config, &s), -EINVAL);
    assert_int_equal(stderr_count("newer vodhook"), 1);
    ask("PRAGMA user_version=2");
    wrong.path = folder;
    assert_int_equal(sink_inbox_new(&wrong, &s), -EINVAL);
}

/* As version 0.1 left it. */
static void an_inbox_of_the_first_version_is_brought_up_to_date(void **state)
{
    (void)state;
    static const char *const steps[] = INBOX_SCHEMA_STEPS;
    static const char rows_then[] =
        "PRAGMA journal_mode=WAL; PRAGMA application_id=1448035400; PRAGMA user_version=1;"
        "INSERT INTO event (received, source, trust, type, task_id, status, result, digest, last_seen, body) "
        "VALUES"
        " (1, 'push', 'unchecked', 'NewFileUpload', NULL, NULL, 'ok', x'01', 1,"
        "  CAST('{\"FileUploadEvent\":{\"FileId\":\"1\",\"ProcedureTaskId\":\"p-1\"}}' AS BLOB)),"
        " (2, 'push', 'unchecked', 'ProcedureStateChanged', 'p-1', 'FINISH', 'failed', x'02', 2, x'7B'),"
        " (3, 'push', 'unchecked', 'NewFileUpload', NULL, NULL, 'ok', x'03', 3,"
        "  CAST('{\"FileUploadEvent\":{\"FileId\":\"2\",\"ReviewAudioVideoTaskId\":\"r-2\"}}' AS BLOB)),"
        " (4, 'push', 'unchecked', 'NewFileUpload', NULL, NULL, 'ok', x'04', 4, x'7BFF');";
    sqlite3 *old;
    sink = sink_free(sink);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(sqlite3_open(path, &old), SQLITE_OK);
    assert_int_equal(sqlite3_exec(old, steps[0], NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(old, rows_then, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sink_inbox_new(&config, &sink), 0); /* while another program has it open */
    assert_string_equal(
        ask("SELECT group_concat(event_id || task_id || ifnull(ended, '-')) FROM event_began"),
        "1p-12,3r-2-");
    assert_string_equal(ask("SELECT count(*), sum(length(body)) FROM event"), "4|126");
    assert_string_equal(ask("SELECT length(value) FROM inbox_info WHERE name = 'uuid'"), "32");
    assert_int_equal(
        sqlite3_exec(old,
                     "INSERT INTO event (received, source, trust, digest, last_seen, body) VALUES (5, 'push',"
                     " 'unchecked', x'05', 5, ''); DELETE FROM event WHERE id = 1",
                     NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(old);
    deliver(pushed, UPLOAD("3"));
    maintain();
    assert_string_equal(ask("SELECT count(*), (SELECT count(*) FROM event_began) FROM event"), "5|1");
    assert_string_equal(ask("PRAGMA integrity_check"), "ok");
}

static void only_owner_and_group_may_read(void **state)
{
    (void)state;
    struct stat st;
    static const char *const files[] = {"", "-wal", "-shm"};
    deliver(pushed, UPLOAD("1"));
    for (size_t k = 0; k < 3; k++) {
        char name[160];
        snprintf(name, sizeof name, "%s%s", path, files[k]);
        assert_int_equal(stat(name, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0640);
    }
    sink = sink_free(sink);
    char wal[160];
    snprintf(wal, sizeof wal, "%s-wal", path);
    assert_int_equal(stat(wal, &st), 0); /* who may not write could not make it */
    assert_int_equal(st.st_size, 0);
}

static void little_room_is_said_early(void **state)
{
    (void)state;
    config.min_free = UINT64_MAX;
    reopen();
    maintain();
    assert_int_equal(stderr_count(" MiB left, less than "), 1);
}

/* --- The log ------------------------------------------------------------------------------------------- */

static const off_t LOG_MOST = 64 << 20;

static off_t log_size(void)
{
    struct stat st;
    char wal[160];
    snprintf(wal, sizeof wal, "%s-wal", path);
    assert_int_equal(stat(wal, &st), 0);
    return st.st_size;
}

/* Commits events of 200 KB, one by one, without a chore between them, as a busy pull does. Returns the longest that one
 * took, in microseconds. */
static int64_t deliver_large(int from, int to)
{
    static char body[200000];
    int64_t longest = 0;
    for (int k = from; k < to; k++) {
        bool duplicate;
        snprintf(body, sizeof body, UPLOAD("%d"), k);
        memset(body + strlen(body), ' ', sizeof body - 1 - strlen(body));
        int64_t begun = clock_now(CLOCK_MONOTONIC);
        while (put(pushed, slice_of(body), &duplicate) < 0 || sink->ops->commit(sink) < 0)
            poll(NULL, 0, 10);
        int64_t took = clock_now(CLOCK_MONOTONIC) - begun;
        longest = took > longest ? took : longest;
        assert_true(log_size() < LOG_MOST);
    }
    return longest;
}

static void the_log_is_bounded_without_chores(void **state)
{
    (void)state;
    deliver_large(0, 500);
    assert_int_equal(rows(), 500);
}

static void two_writers_keep_the_log_bounded_and_take_turns(void **state)
{
    (void)state;
    sink = sink_free(sink);
    pid_t pid = fork();
    assert_int_equal(sink_inbox_new(&config, &sink), 0);
    int64_t longest = deliver_large(pid == 0 ? 1000000 : 0, pid == 0 ? 1000250 : 250);
    sink = sink_free(sink);
    if (pid == 0)
        _exit(longest > SECOND);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_true(longest < SECOND); /* far above the 0.1 s of a quiet machine */
    assert_int_equal(rows(), 500);
}

static void a_reader_that_holds_the_log_is_said_once_and_when_it_lets_go(void **state)
{
    (void)state;
    static char body[200000];
    sqlite3 *reader;
    deliver(pushed, UPLOAD("first"));
    assert_int_equal(sqlite3_open(path, &reader), SQLITE_OK);
    assert_int_equal(sqlite3_exec(reader, "BEGIN; SELECT * FROM event", NULL, NULL, NULL), SQLITE_OK);
    for (int k = 0; k < 400; k++) {
        snprintf(body, sizeof body, UPLOAD("%d"), k);
        memset(body + strlen(body), ' ', sizeof body - 1 - strlen(body));
        deliver(pushed, body);
        sink_inbox_maintain(sink);
    }
    assert_int_equal(stderr_count("has grown to"), 1);
    assert_int_equal(stderr_count("short again"), 0);
    sqlite3_close(reader);
    for (int k = 400; k < 440; k++) {
        snprintf(body, sizeof body, UPLOAD("%d"), k);
        memset(body + strlen(body), ' ', sizeof body - 1 - strlen(body));
        deliver(pushed, body);
    }
    assert_int_equal(stderr_count("has grown to"), 1);
    assert_int_equal(stderr_count("short again"), 1);
    assert_true(log_size() < LOG_MOST);
    assert_int_equal(rows(), 441);
}

/* It is in the way of each try to begin the log anew, and is waited for at the first one alone. */
static void a_reader_that_holds_the_log_is_waited_for_once(void **state)
{
    (void)state;
    sqlite3 *reader;
    deliver(pushed, UPLOAD("first"));
    assert_int_equal(sqlite3_open(path, &reader), SQLITE_OK);
    assert_int_equal(sqlite3_exec(reader, "BEGIN; SELECT * FROM event", NULL, NULL, NULL), SQLITE_OK);
    int waits = 0;
    for (int k = 0; k < 250; k++)
        waits += deliver_large(k, k + 1) >= SECOND / 10;
    sqlite3_close(reader);
    assert_true(log_size() > LOG_MOST / 2);
    assert_in_range(waits, 0, 4); /* it was tried ten times; a busy machine may be slow at others */
}

/* Two processes write at once, as listen and pull do: nothing twice, and neither fails. */
static void two_writers_share_it(void **state)
{
    (void)state;
    sink = sink_free(sink);
    pid_t pid = fork();
    assert_int_equal(sink_inbox_new(&config, &sink), 0);
    for (int k = 0; k < 200; k++) {
        char body[128];
        bool duplicate;
        snprintf(body, sizeof body, UPLOAD("%d"), k);
        while (put(pushed, slice_of(body), &duplicate) < 0 || sink->ops->commit(sink) < 0)
            poll(NULL, 0, 10);
    }
    sink = sink_free(sink);
    if (pid == 0)
        _exit(0);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_string_equal(ask("SELECT count(*), count(DISTINCT digest), sum(seen) FROM event"), "200|200|400");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, inbox_setup, inbox_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_event_is_kept_as_it_arrived),
        TEST(every_file_of_an_event_finds_it),
        TEST(a_body_that_cannot_be_read_is_kept_byte_for_byte),
        TEST(a_group_is_committed_together),
        TEST(the_same_event_is_one_row_however_late_and_by_which_way),
        TEST(what_is_pushed_and_may_happen_again_is_a_duplicate_for_ten_minutes),
        TEST(what_was_pulled_and_confirmed_may_happen_again),
        TEST(a_task_stays_one_event_when_it_was_confirmed),
        TEST(two_events_of_one_answer_are_never_the_same),
        TEST(the_real_event_takes_the_place_of_one_that_was_put_together),
        TEST(what_is_there_is_not_put_together_again),
        TEST(what_is_refused_never_stands_for_what_is_believed),
        TEST(a_body_that_cannot_be_read_never_stands_for_an_event),
        TEST(what_belongs_to_an_event_goes_with_it),
        TEST(what_was_pulled_stays_while_it_may_come_again),
        TEST(what_is_too_old_goes),
        TEST(the_oldest_go_when_the_inbox_is_too_large),
        TEST(what_strangers_send_is_bounded_and_pushes_nothing_out),
        TEST(one_refused_event_pushes_nothing_out),
        TEST(bodies_that_cannot_be_read_are_bounded),
        TEST(a_lock_makes_it_fail_and_is_said_when_it_lasts),
        TEST(after_a_failed_put_nothing_of_the_group_is_recorded),
        TEST(a_file_that_is_taken_away_is_begun_anew),
        TEST(a_damaged_file_is_set_aside),
        TEST(what_is_no_inbox_is_left_alone),
        TEST(an_inbox_of_the_first_version_is_brought_up_to_date),
        TEST(only_owner_and_group_may_read),
        TEST(little_room_is_said_early),
        TEST(two_writers_share_it),
        TEST(the_log_is_bounded_without_chores),
        TEST(two_writers_keep_the_log_bounded_and_take_turns),
        TEST(a_reader_that_holds_the_log_is_said_once_and_when_it_lets_go),
        TEST(a_reader_that_holds_the_log_is_waited_for_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
