/* test_recorder.c: who is offered what, and what the source is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "memory_sink.h"
#include "record/recorder.h"
#include "records.h"

static struct memory_sink required, others[2];
static struct recorder *recorder;
static struct json json;
static struct event event;
static struct record record;

/* A recorder with the required sink, or none where ops is NULL, and two others. */
static void start(const struct sink_ops *ops)
{
    required = (struct memory_sink){.sink = {ops}};
    others[0] = others[1] = (struct memory_sink){.sink = {&memory_output}};
    struct sink *list[] = {&others[0].sink, &others[1].sink};
    assert_int_equal(recorder_new(ops ? &required.sink : NULL, list, 2, &recorder), 0);
    event = (struct event){.type = "NewFileUpload", .known = true, .result = RESULT_OK};
    record = event_record(&event, &json, slice_of("{\"EventType\":\"NewFileUpload\"}"));
}

static int stop(void **state)
{
    (void)state;
    recorder = recorder_free(recorder);
    return 0;
}

static void assert_offered(int to_required, int to_others)
{
    assert_int_equal(required.n_put, to_required);
    assert_int_equal(others[0].n_put, to_others);
    assert_int_equal(others[1].n_put, to_others);
}

static void test_none_required(void **state)
{
    (void)state;
    start(NULL);
    others[0].put_error = -ENOBUFS;
    assert_int_equal(recorder_put(recorder, &record, false), 0);
    assert_offered(0, 1);
    assert_int_equal(recorder_commit(recorder), 0);
}

static void test_required_without_commit(void **state)
{
    (void)state;
    start(&memory_output);
    assert_int_equal(recorder_put(recorder, &record, false), 0);
    assert_offered(1, 1);
    assert_int_equal(recorder_commit(recorder), 0);
}

static void test_required_with_commit(void **state)
{
    (void)state;
    start(&memory_inbox);
    assert_int_equal(recorder_put(recorder, &record, false), 1);
    assert_offered(1, 1);
    assert_int_equal(required.n_commit, 0);
    assert_int_equal(recorder_commit(recorder), 0);
    assert_int_equal(required.n_commit, 1);
}

/* The others have the event at once, and only once. */
static void test_again_after_failed_put(void **state)
{
    (void)state;
    start(&memory_inbox);
    required.put_error = -EBUSY;
    assert_int_equal(recorder_put(recorder, &record, false), -EBUSY);
    assert_int_equal(recorder_put(recorder, &record, true), -EBUSY);
    required.put_error = 0;
    assert_int_equal(recorder_put(recorder, &record, true), 0);
    assert_offered(3, 1);
    assert_int_equal(recorder_stats(recorder)->events, 1);
}

static void test_again_after_failed_commit(void **state)
{
    (void)state;
    start(&memory_inbox);
    required.commit_error = -ENOSPC;
    assert_int_equal(recorder_put(recorder, &record, false), 1);
    assert_int_equal(recorder_commit(recorder), -ENOSPC);
    required.commit_error = 0;
    assert_int_equal(recorder_put(recorder, &record, true), 0);
    assert_int_equal(recorder_commit(recorder), 0);
    assert_offered(2, 1);
}

static const char *health(void)
{
    static struct buffer b;
    buffer_reset(&b, 0);
    recorder_write_health(recorder, &b, "CANNOT RECORD", "closed unanswered");
    buffer_putc(&b, '\0');
    return b.data;
}

static void test_health(void **state)
{
    (void)state;
    start(&memory_inbox);
    assert_string_equal(health(), "");
    required.commit_error = -ENOSPC;
    recorder_put(recorder, &record, false);
    recorder_commit(recorder);
    const struct recorder_health *h = recorder_health(recorder);
    int64_t since = h->since;
    assert_true(since > 0);
    assert_string_equal(h->why, "No space left on device");
    required.put_error = -EIO;
    required.sink.problem = "it is gone";
    recorder_put(recorder, &record, true);
    assert_true(h->since == since);
    assert_non_null(strstr(health(), ": it is gone"));

    stderr_begin();
    recorder_give_up(recorder, &record, "its connection is closed without an answer");
    recorder_give_up(recorder, &record, "its connection is closed without an answer");
    assert_int_equal(stderr_count("NewFileUpload"), 2);
    assert_int_equal(stderr_count("could not be recorded: its connection is closed without an answer"), 2);
    stderr_end();
    assert_int_equal(strncmp(health(), "CANNOT RECORD since ", 20), 0);
    assert_non_null(strstr(health(), ": it is gone, 2 events closed unanswered"));

    required.put_error = required.commit_error = 0;
    recorder_put(recorder, &record, true);
    recorder_commit(recorder);
    assert_true(h->since == 0);
    assert_string_equal(health(), "");
}

/* A commit of nothing does not mean that records can be kept again. */
static void test_health_after_an_empty_commit(void **state)
{
    (void)state;
    start(&memory_inbox);
    required.put_error = -EBUSY;
    recorder_put(recorder, &record, false);
    assert_int_equal(recorder_commit(recorder), 0);
    assert_true(recorder_health(recorder)->since > 0);
}

/* While the required sink fails, the others hear whether it has the event. */
static void test_unrecorded_is_said(void **state)
{
    (void)state;
    start(&memory_inbox);
    required.commit_error = -ENOSPC;
    assert_int_equal(recorder_put(recorder, &record, false), 1);
    assert_null(strstr(others[0].last_summary, "recorded=no"));
    assert_int_equal(recorder_commit(recorder), -ENOSPC);
    assert_int_equal(recorder_put(recorder, &record, false), -ENOSPC);
    assert_non_null(strstr(others[0].last_summary, " recorded=no"));
    required.commit_error = 0;
    assert_int_equal(recorder_put(recorder, &record, false), 0);
    assert_null(strstr(others[0].last_summary, "recorded=no"));
    assert_int_equal(recorder_put(recorder, &record, false), 1);
    assert_int_equal(recorder_commit(recorder), 0);

    /* Without an inbox the journal decides. */
    stop(NULL);
    start(&memory_output);
    required.put_error = -ENOENT;
    assert_int_equal(recorder_put(recorder, &record, false), -ENOENT);
    assert_non_null(strstr(others[1].last_summary, " recorded=no"));
    assert_true(recorder_health(recorder)->since > 0);
    required.put_error = 0;
    assert_int_equal(recorder_put(recorder, &record, false), 0);
    assert_true(recorder_health(recorder)->since == 0);
}

static void test_requests(void **state)
{
    (void)state;
    struct record request = request_record("GET", "/favicon.ico", (struct slice){0});
    start(&memory_inbox);
    assert_int_equal(recorder_put(recorder, &request, false), 0);
    assert_offered(0, 1);
    request.unreadable = true;
    assert_int_equal(recorder_put(recorder, &request, false), 1);
    assert_offered(1, 2);
}

/* A journal is offered every request, but no answer waits for one that is nothing of VOD's. */
static void test_requests_without_commit(void **state)
{
    (void)state;
    struct record request = request_record("GET", "/", (struct slice){0});
    start(&memory_output);
    required.put_error = -ENOENT;
    assert_int_equal(recorder_put(recorder, &request, false), 0);
    assert_offered(1, 1);
    request.unreadable = true;
    assert_int_equal(recorder_put(recorder, &request, false), -ENOENT);
}

static void test_duplicate_is_said_everywhere(void **state)
{
    (void)state;
    start(&memory_inbox);
    required.makes_duplicates = true;
    assert_int_equal(recorder_put(recorder, &record, false), 1);
    assert_null(strstr(required.last_summary, "duplicate"));
    assert_non_null(strstr(others[0].last_summary, " duplicate=yes"));
    assert_int_equal(recorder_stats(recorder)->duplicates, 1);
}

static void test_stats(void **state)
{
    (void)state;
    start(NULL);
    recorder_put(recorder, &record, false);
    event.result = RESULT_FAILED;
    recorder_put(recorder, &record, false);
    record.trust = TRUST_REFUSED;
    record.time++;
    recorder_put(recorder, &record, false);
    struct record request = request_record("GET", "/", (struct slice){0});
    recorder_put(recorder, &request, false);
    request.unreadable = true;
    recorder_put(recorder, &request, false);

    const struct recorder_stats *s = recorder_stats(recorder);
    assert_int_equal(s->events, 2);
    assert_int_equal(s->failed, 1);
    assert_int_equal(s->refused, 1);
    assert_int_equal(s->duplicates, 0);
    assert_int_equal(s->requests, 1);
    assert_int_equal(s->unreadable, 1);
    assert_true(s->last_event == RECORD_TIME);
}

static void test_confirmed(void **state)
{
    (void)state;
    const int64_t confirmed[] = {1, 2, 3};
    start(&memory_inbox);
    assert_int_equal(recorder_confirmed(recorder, confirmed, 3), 0);
    assert_int_equal(required.n_confirmed, 3);
    stop(NULL);
    start(&memory_output);
    assert_int_equal(recorder_confirmed(recorder, confirmed, 3), 0);
    assert_int_equal(required.n_confirmed, 0);
}

/* With two outputs that wait, neither waits for the other's descriptor. */
static void test_flush(void **state)
{
    (void)state;
    start(&memory_inbox);
    assert_int_equal(recorder_flush(recorder), 0);
    others[0].flush_result = 7;
    assert_int_equal(recorder_flush(recorder), -EAGAIN);
    others[0].flush_result = 0;
    others[1].flush_result = -EAGAIN;
    assert_int_equal(recorder_flush(recorder), -EAGAIN);
    assert_int_equal(others[0].n_flush, 3);
    assert_int_equal(others[1].n_flush, 3);
    stop(NULL);

    required = (struct memory_sink){.sink = {&memory_output}, .flush_result = 7};
    assert_int_equal(recorder_new(&required.sink, NULL, 0, &recorder), 0);
    assert_int_equal(recorder_flush(recorder), 7);
}

static void test_takes_its_sinks(void **state)
{
    (void)state;
    start(&memory_inbox);
    stop(NULL);
    assert_int_equal(required.n_free, 1);
    assert_int_equal(others[0].n_free, 1);
    assert_int_equal(others[1].n_free, 1);
    struct sink *too_many[RECORDER_SINKS_MAX + 1] = {0};
    assert_int_equal(recorder_new(NULL, too_many, RECORDER_SINKS_MAX + 1, &recorder), -E2BIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_none_required, stop),
        cmocka_unit_test_teardown(test_required_without_commit, stop),
        cmocka_unit_test_teardown(test_required_with_commit, stop),
        cmocka_unit_test_teardown(test_again_after_failed_put, stop),
        cmocka_unit_test_teardown(test_again_after_failed_commit, stop),
        cmocka_unit_test_teardown(test_health, stop),
        cmocka_unit_test_teardown(test_health_after_an_empty_commit, stop),
        cmocka_unit_test_teardown(test_unrecorded_is_said, stop),
        cmocka_unit_test_teardown(test_requests, stop),
        cmocka_unit_test_teardown(test_requests_without_commit, stop),
        cmocka_unit_test_teardown(test_duplicate_is_said_everywhere, stop),
        cmocka_unit_test_teardown(test_stats, stop),
        cmocka_unit_test_teardown(test_confirmed, stop),
        cmocka_unit_test_teardown(test_flush, stop),
        cmocka_unit_test_teardown(test_takes_its_sinks, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
