/* test_inbox_query.c: what is found in an inbox, in which order, and when something new is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <sqlite3.h>

#include "base/cleanup.h"
#include "inbox/lookup.h"
#include "inboxes.h"

static const int64_t SECOND = 1000000;
static struct inbox_reader *reader;

static const struct inbox_filter everything = {.since = INT64_MIN, .until = INT64_MAX};

#define UPLOAD(id)  "{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"FileId\":\"" id "\"}}"
#define DELETED(id) "{\"EventType\":\"FileDeleted\",\"FileDeleteEvent\":{\"FileIdSet\":[\"" id "\",\"99\"]}}"
#define TASK(id, task, code)                                                                           \
    "{\"EventType\":\"PullComplete\",\"PullCompleteEvent\":{\"TaskId\":\"" task "\",\"ErrCode\":" code \
    ",\"FileId\":\"" id "\",\"Status\":\"FINISH\"}}"

static struct delivery at(int64_t seconds)
{
    struct delivery d = pushed;
    d.time += seconds * SECOND;
    return d;
}

/* Eight rows, whose ids are their places here. */
static int setup(void **state)
{
    int r = inbox_setup(state);
    struct delivery refused = at(6), pulled = at(7);
    refused.trust = TRUST_REFUSED;
    pulled.source = SOURCE_PULL;
    deliver(at(0), DELETED("1"));
    deliver(at(1), TASK("1", "t-1", "0"));
    deliver(at(2), UPLOAD("1"));
    deliver(at(3), UPLOAD("2"));
    deliver(at(4), TASK("2", "t-2", "70000"));
    deliver(at(5), "{\"broken");
    deliver(refused, UPLOAD("3"));
    deliver(pulled, TASK("1", "t-3", "0"));
    const char *why;
    return r ? r : inbox_reader_open(path, &reader, &why);
}

static int teardown(void **state)
{
    reader = inbox_reader_free(reader);
    return inbox_teardown(state);
}

/* The ids that are found, as text, in their order. */
static const char *found_between(struct inbox_filter f, int64_t after, int64_t up_to, bool pausing)
{
    static char ids[256];
    struct record record;
    int r;
    ids[0] = 0;
    assert_int_equal(inbox_reader_query(reader, &f, after, up_to), 0);
    while ((r = inbox_reader_next(reader, &record)) > 0) {
        snprintf(ids + strlen(ids), sizeof ids - strlen(ids), "%d ", (int)record.row);
        if (pausing)
            inbox_reader_pause(reader);
    }
    assert_int_equal(r, 0);
    return ids;
}

static const char *found(struct inbox_filter f)
{
    return found_between(f, 0, 1000, false);
}

#define FILTER(...) ((struct inbox_filter){.since = INT64_MIN, .until = INT64_MAX, __VA_ARGS__})

static void filters_choose(void **state)
{
    (void)state;
    assert_string_equal(found(everything), "1 2 3 4 5 6 8 ");
    assert_string_equal(found(FILTER(.reverse = true)), "8 6 5 4 3 2 1 ");
    assert_string_equal(found(FILTER(.refused = true)), "7 ");
    assert_string_equal(found(FILTER(.task_id = "t-2")), "5 ");
    assert_string_equal(found(FILTER(.type = "NewFileUpload")), "3 4 ");
    assert_string_equal(found(FILTER(.result = "failed")), "5 ");
    assert_string_equal(found(FILTER(.source = "pull")), "8 ");
    assert_string_equal(found(FILTER(.type = "PullComplete", .result = "ok", .reverse = true)), "8 2 ");
    assert_string_equal(found(FILTER(.file_id = "77")), "");
    struct inbox_filter times = everything;
    times.since = at(2).time;
    times.until = at(5).time;
    assert_string_equal(found(times), "3 4 5 ");
}

static void an_upload_is_found_by_its_contexts_and_the_tasks_it_names(void **state)
{
    (void)state;
    deliver(
        at(10),
        "{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"FileId\":\"9\",\"ProcedureTaskId\":\"p\","
        "\"ReviewAudioVideoTaskId\":\"v\",\"SourceContext\":\"order 9\"}}");
    deliver(at(11),
            "{\"EventType\":\"ProcedureStateChanged\",\"ProcedureStateChangeEvent\":{\"TaskId\":\"p\","
            "\"Status\":\"FINISH\",\"FileId\":\"9\",\"SessionContext\":\"order 9\"}}");
    assert_string_equal(found(FILTER(.task_id = "p")), "9 10 ");
    assert_string_equal(found(FILTER(.task_id = "v")), "9 ");
    assert_string_equal(found(FILTER(.context = "order 9")), "9 10 ");
    assert_string_equal(found(FILTER(.context = "order")), "");
    struct inbox_stuck stuck;
    assert_int_equal(inbox_reader_stuck(reader, INT64_MAX), 0);
    assert_int_equal(inbox_reader_stuck_next(reader, &stuck), 1);
    assert_string_equal(stuck.task_id, "v");
    assert_int_equal(inbox_reader_stuck_next(reader, &stuck), 0);
}

static void a_file_is_read_as_its_life(void **state)
{
    (void)state;
    assert_string_equal(found(FILTER(.file_id = "1")), "3 2 8 1 ");
    assert_string_equal(found(FILTER(.file_id = "1", .reverse = true)), "1 8 2 3 ");
    assert_string_equal(found(FILTER(.file_id = "99")), "1 ");
}

static void a_paused_query_goes_on_where_it_was(void **state)
{
    (void)state;
    assert_string_equal(found_between(everything, 0, 1000, true), "1 2 3 4 5 6 8 ");
    assert_string_equal(found_between(FILTER(.reverse = true), 0, 1000, true), "8 6 5 4 3 2 1 ");
    assert_string_equal(found_between(FILTER(.file_id = "1"), 0, 1000, true), "3 2 8 1 ");
    assert_string_equal(found_between(everything, 3, 5, true), "4 5 ");
}

static void a_count_counts_what_is_found(void **state)
{
    (void)state;
    int64_t n, newest;
    struct inbox_filter f = FILTER(.type = "PullComplete");
    assert_int_equal(inbox_reader_newest(reader, &newest), 0);
    assert_int_equal(newest, 8);
    assert_int_equal(inbox_reader_query(reader, &f, 0, newest), 0);
    assert_int_equal(inbox_reader_count(reader, &n), 0);
    assert_int_equal(n, 3);
}

static void an_event_comes_out_as_it_went_in(void **state)
{
    (void)state;
    struct record record;
    deliver(at(60), UPLOAD("1"));
    assert_int_equal(inbox_reader_query(reader, &everything, 2, 3), 0);
    assert_int_equal(inbox_reader_next(reader, &record), 1);
    assert_true(slice_equal(record.body, slice_of(UPLOAD("1"))));
    assert_int_equal(record.time, at(2).time);
    assert_int_equal(record.seen, 2);
    assert_int_equal(record.body_bytes, record.body.len);
    assert_int_equal(record.source, SOURCE_PUSH);
    assert_string_equal(record.remote, "192.0.2.7:55012");
    assert_int_equal(record.trust, TRUST_UNCHECKED);
    assert_string_equal(record.event->type, "NewFileUpload");
    assert_string_equal(record.event->file_id, "1");
    assert_null(record.reason);
    assert_false(record.unreadable);
    assert_int_equal(inbox_reader_query(reader, &everything, 5, 6), 0);
    assert_int_equal(inbox_reader_next(reader, &record), 1);
    assert_true(record.unreadable);
    assert_string_equal(record.reason, "broken");
}

static void what_is_asked_of_tasks_and_uploads_is_answered(void **state)
{
    (void)state;
    assert_int_equal(strlen(inbox_reader_identity(reader)), 32);
    assert_int_equal(inbox_reader_has_task(reader, "t-1"), 1);
    assert_int_equal(inbox_reader_has_task(reader, "t-9"), 0);
    assert_int_equal(inbox_reader_has_upload(reader, "1"), 1);
    assert_int_equal(inbox_reader_has_upload(reader, "3"), 0); /* it was refused */
    assert_int_equal(inbox_reader_has_upload(reader, NULL), 1);
}

#define BEGUN(task)                                                                                    \
    "{\"EventType\":\"PullComplete\",\"PullCompleteEvent\":{\"TaskId\":\"" task "\",\"FileId\":\"7\"," \
    "\"Status\":\"PROCESSING\"}}"

static void a_task_that_began_and_did_not_end_is_found(void **state)
{
    (void)state;
    struct inbox_stuck stuck;
    struct delivery refused = at(50);
    refused.trust = TRUST_REFUSED;
    deliver(at(20), BEGUN("late"));
    deliver(at(30), BEGUN("t-4"));
    deliver(at(40), TASK("7", "t-4", "0"));
    deliver(at(45), BEGUN("t-3")); /* whose end overtook it */
    deliver(refused, BEGUN("not VOD's"));
    assert_int_equal(inbox_reader_stuck(reader, at(20).time), 0);
    assert_int_equal(inbox_reader_stuck_next(reader, &stuck), 0);
    assert_int_equal(inbox_reader_stuck(reader, at(100).time), 0);
    assert_int_equal(inbox_reader_stuck_next(reader, &stuck), 1);
    assert_string_equal(stuck.task_id, "late");
    assert_string_equal(stuck.file_id, "7");
    assert_string_equal(stuck.type, "PullComplete");
    assert_int_equal(stuck.since, at(20).time);
    assert_int_equal(inbox_reader_stuck_next(reader, &stuck), 0);
    deliver(at(60), TASK("7", "late", "0"));
    assert_int_equal(inbox_reader_stuck(reader, at(100).time), 0);
    assert_int_equal(inbox_reader_stuck_next(reader, &stuck), 0);
}

/* Waits until what the inbox does now is seen. Returns what the wait did. */
static int wait_for_news(void)
{
    int r = 0;
    for (int k = 0; r == 0 && k < 100; k++)
        r = inbox_reader_wait(reader, 100);
    return r;
}

static void what_is_new_is_seen(void **state)
{
    (void)state;
    while (inbox_reader_wait(reader, 100) > 0)
        ;
    assert_int_equal(inbox_reader_wait(reader, 100), 0);
    deliver(at(100), UPLOAD("5"));
    assert_int_equal(wait_for_news(), 1);
    assert_string_equal(found_between(everything, 8, 1000, false), "9 ");
}

static void another_file_at_the_path_is_opened(void **state)
{
    (void)state;
    char moved[160];
    snprintf(moved, sizeof moved, "%s.moved", path);
    while (inbox_reader_wait(reader, 100) > 0)
        ;
    assert_int_equal(rename(path, moved), 0);
    assert_int_equal(inbox_reader_wait(reader, 100), 0);
    deliver(at(100), UPLOAD("5"));
    assert_int_equal(wait_for_news(), 2);
    assert_string_equal(found(everything), "1 ");
}

/* A program of the administrator's may remove log and index when it was the last that had the file open. */
static void a_file_without_its_log_is_read_and_the_log_noticed(void **state)
{
    (void)state;
    sqlite3 *other;
    reader = inbox_reader_free(reader);
    sink = sink_free(sink);
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(other, "PRAGMA journal_mode=WAL; DELETE FROM event WHERE id > 6", NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(other);
    char wal[160];
    snprintf(wal, sizeof wal, "%s-wal", path);
    assert_int_equal(access(wal, F_OK), -1);
    const char *why;
    assert_int_equal(inbox_reader_open(path, &reader, &why), 0);
    assert_string_equal(found(everything), "1 2 3 4 5 6 ");
    assert_int_equal(sink_inbox_new(&config, &sink), 0);
    deliver(at(100), UPLOAD("5"));
    assert_true(wait_for_news() > 0);
    assert_string_equal(found_between(everything, 8, 1000, false), "9 ");
}

static void a_clock_that_leaps_does_not_change_the_order_of_ids(void **state)
{
    (void)state;
    struct inbox_filter in_order = everything;
    in_order.in_order_of_id = in_order.any_trust = true;
    deliver(at(-1000), UPLOAD("4"));
    assert_string_equal(found(in_order), "1 2 3 4 5 6 7 8 9 ");
    int64_t oldest, last;
    assert_int_equal(inbox_reader_range(reader, &oldest, &last), 0);
    assert_int_equal(oldest, 1);
    assert_int_equal(last, 9);
}

static void a_look_does_not_wait(void **state)
{
    (void)state;
    while (inbox_reader_look(reader) > 0)
        ;
    assert_int_equal(inbox_reader_look(reader), 0);
    deliver(at(100), UPLOAD("5"));
    assert_int_equal(inbox_reader_look(reader), 1);
    assert_int_equal(inbox_reader_look(reader), 0);
}

static int open_other(const char *name, const char *sql)
{
    sqlite3 *other;
    const char *why;
    struct inbox_reader *r = NULL;
    char file[160];
    snprintf(file, sizeof file, "%s/%s", folder, name);
    if (sql) {
        assert_int_equal(sqlite3_open(file, &other), SQLITE_OK);
        assert_int_equal(sqlite3_exec(other, sql, NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(other);
    }
    int err = inbox_reader_open(file, &r, &why);
    inbox_reader_free(r);
    return err;
}

static void what_is_no_inbox_is_told_apart(void **state)
{
    (void)state;
    assert_int_equal(open_other("missing.db", NULL), -ENOENT);
    assert_int_equal(open_other("empty.db", ""), -ENOENT);
    assert_int_equal(open_other("other.db", "CREATE TABLE t (a)"), -EINVAL);
    assert_int_equal(open_other("a%20?b#c.db", "CREATE TABLE t (a)"), -EINVAL);
    assert_int_equal(open_other("state/vodhook/inbox.db", "PRAGMA user_version=99"), -EINVAL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(filters_choose),
        TEST(an_upload_is_found_by_its_contexts_and_the_tasks_it_names),
        TEST(a_file_is_read_as_its_life),
        TEST(a_paused_query_goes_on_where_it_was),
        TEST(a_count_counts_what_is_found),
        TEST(an_event_comes_out_as_it_went_in),
        TEST(what_is_asked_of_tasks_and_uploads_is_answered),
        TEST(a_task_that_began_and_did_not_end_is_found),
        TEST(what_is_new_is_seen),
        TEST(a_clock_that_leaps_does_not_change_the_order_of_ids),
        TEST(a_look_does_not_wait),
        TEST(another_file_at_the_path_is_opened),
        TEST(a_file_without_its_log_is_read_and_the_log_noticed),
        TEST(what_is_no_inbox_is_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
