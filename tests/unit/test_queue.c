/* test_queue.c: pulling, recording and confirming in a world where time passes only when somebody waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "memory_sink.h"
#include "source/batch.h"
#include "source/pace.h"
#include "source/queue.h"

static const int64_t SECOND = 1000000;

/* --- The world -------------------------------------------------------------------------------------- */

/* What the cloud answers to a call, after how long. */
struct step {
    const char *action; /* that has to be called */
    int result;
    const char *response; /* or the code of the error */
    int64_t lasts;
    bool not_sent;
};

static struct world {
    const struct step *steps;
    size_t n_steps, at;
    int64_t now, stop_at, heal_at;
    int64_t called[32]; /* when each call began */
    char bodies[32][256];
    struct json json;
    struct memory_sink inbox, shown;
    struct recorder *recorder;
    struct intake *intake;
    struct queue *queue;
    enum queue_keys keys; /* what reading them again comes to */
    int n_read_keys;
} w;

static const struct secret secret_id = {(char *)"AKIDtest", 8};

static int world_call(void *userdata, const char *action, struct slice body, struct reply *ret)
{
    (void)userdata;
    assert_true(w.at < w.n_steps);
    const struct step *s = &w.steps[w.at];
    assert_string_equal(action, s->action);
    snprintf(w.bodies[w.at], sizeof w.bodies[0], "%.*s", (int)body.len, body.data);
    w.called[w.at++] = w.now;
    w.now += s->lasts;
    /* When the script is at its end, somebody wants the program to stop. */
    if (w.at == w.n_steps && w.stop_at == INT64_MAX)
        w.stop_at = w.now;
    *ret = (struct reply){.skew = REPLY_SKEW_UNKNOWN, .sent = !s->not_sent};
    if (s->result == REPLY_DONE) {
        assert_true(json_read(&w.json, s->response, strlen(s->response)));
        ret->json = &w.json;
    }
    if (s->result > 0)
        snprintf(ret->code, sizeof ret->code, "%s", s->response);
    return s->result;
}

static int64_t world_now(void *userdata)
{
    (void)userdata;
    return w.now;
}

static void world_wait(void *userdata, int64_t until)
{
    (void)userdata;
    assert_true(until > w.now);
    w.now = until;
    if (w.now >= w.heal_at)
        w.inbox.commit_error = w.inbox.put_error = 0;
}

static int64_t world_stop_by(void *userdata)
{
    (void)userdata;
    return w.now >= w.stop_at ? w.stop_at + 8 * SECOND : INT64_MAX;
}

static enum queue_keys world_read_keys(void *userdata)
{
    (void)userdata;
    w.n_read_keys++;
    return w.keys;
}

static int run(const struct step *steps, size_t n, bool once)
{
    w = (struct world){
        .steps = steps,
        .n_steps = n,
        .now = 1000 * SECOND,
        .stop_at = INT64_MAX,
        .heal_at = INT64_MAX,
        .keys = QUEUE_KEYS_SAME,
        .inbox.sink.ops = &memory_inbox,
        .shown.sink.ops = &memory_output,
    };
    struct sink *others[] = {&w.shown.sink};
    struct intake_config intake = {.decode_memory_max = 1024 * 1024};
    struct queue_config queue = {
        .world = {world_call, world_now, world_wait, world_stop_by, world_read_keys, NULL},
        .remote = "vod.example.com",
        .secret_id = &secret_id,
        .sub_app_id = 1500000001,
        .rate = 100,
        .once = once,
    };
    assert_int_equal(recorder_new(&w.inbox.sink, others, 1, &w.recorder), 0);
    assert_int_equal(intake_new(&intake, w.recorder, &w.intake), 0);
    assert_int_equal(queue_new(&queue, w.intake, w.recorder, &w.queue), 0);
    return 0;
}

static int world_done(void **state)
{
    (void)state;
    w.queue = queue_free(w.queue);
    json_done(&w.json);
    w.intake = intake_free(w.intake);
    w.recorder = recorder_free(w.recorder);
    return 0;
}

#define START(steps, once) run(steps, sizeof(steps) / sizeof *(steps), once)

static void expect_all_called(int result)
{
    assert_int_equal(queue_run(w.queue), result);
    assert_int_equal(w.at, w.n_steps);
}

#define UPLOAD(handle)                                                                                       \
    "{\"EventHandle\":\"" handle "\",\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"FileId\":\"1\"}" \
    "}"
#define EVENTS(list) "{\"EventSet\":[" list "],\"RequestId\":\"r\"}"
#define ONE          EVENTS(UPLOAD("h1"))

/* --- The loop --------------------------------------------------------------------------------------- */

static void test_confirms_what_is_recorded(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"PullEvents", REPLY_DONE, EVENTS(UPLOAD("h1") "," UPLOAD("h2")), 0, 0},
        {"ConfirmEvents", REPLY_DONE, "{}", 0, 0},
        {"PullEvents", REPLY_NOTHING, "ResourceNotFound", 0, 0},
    };
    START(steps, true);
    expect_all_called(0);
    assert_string_equal(w.bodies[0], "{\"SubAppId\":1500000001}");
    assert_string_equal(w.bodies[1], "{\"EventHandles\":[\"h1\",\"h2\"],\"SubAppId\":1500000001}");
    assert_int_equal(w.inbox.n_put, 2);
    assert_int_equal(w.inbox.n_commit, 1);
    assert_int_equal(w.shown.n_put, 2);
    assert_int_equal(queue_stats(w.queue)->confirmed, 2);
}

static void test_empty_queues(void **state)
{
    (void)state;
    static const struct step found_nothing[] = {
        {"PullEvents", REPLY_NOTHING, "ResourceNotFound", 0, 0},
        {"PullEvents", REPLY_DONE, "{\"EventSet\":null}", 0, 0},
        {"PullEvents", REPLY_DONE, EVENTS(""), 5 * SECOND, 0},
        {"PullEvents", REPLY_NOTHING, "ResourceNotFound", 0, 0},
    };
    START(found_nothing, false);
    expect_all_called(0);
    /* A server that answers at once is asked once a second; one that holds the pull back, at once. */
    assert_true(w.called[1] - w.called[0] >= SECOND);
    assert_true(w.called[2] - w.called[1] >= SECOND);
    assert_int_equal(w.called[3] - w.called[2], 5 * SECOND);
    assert_null(queue_stats(w.queue)->trouble);
    world_done(NULL);
    for (size_t i = 0; i < 4; i++) {
        run(found_nothing + i, 1, true);
        expect_all_called(0);
        world_done(NULL);
    }
}

static void test_what_is_not_understood_is_confirmed(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"PullEvents", REPLY_DONE,
         EVENTS("{\"EventHandle\":\"h1\",\"New\":1},7,{\"EventHandle\":8}," UPLOAD("h2")), 0, 0},
        {"ConfirmEvents", REPLY_DONE, "{}", 0, 0},
        {"PullEvents", REPLY_NOTHING, "ResourceNotFound", 0, 0},
    };
    START(steps, true);
    expect_all_called(0);
    assert_string_equal(w.bodies[1], "{\"EventHandles\":[\"h1\",\"h2\"],\"SubAppId\":1500000001}");
    assert_int_equal(w.inbox.n_put, 4);
    assert_int_equal(recorder_stats(w.recorder)->unreadable, 3);
}

/* The inbox fails for a while: less than the window, and more. */
static void test_window(void **state)
{
    (void)state;
    static const struct step in_time[] = {
        {"PullEvents", REPLY_DONE, ONE, SECOND, 0},
        {"ConfirmEvents", REPLY_DONE, "{}", 0, 0},
        {"PullEvents", REPLY_NOTHING, "ResourceNotFound", 0, 0},
    };
    static const struct step too_late[] = {
        {"PullEvents", REPLY_DONE, ONE, SECOND, 0},
        {"PullEvents", REPLY_DONE, EVENTS(UPLOAD("h2")), 0, 0},
        {"ConfirmEvents", REPLY_DONE, "{}", 0, 0},
        {"PullEvents", REPLY_NOTHING, "ResourceNotFound", 40 * SECOND, 0},
    };
    START(in_time, true);
    w.inbox.commit_error = -ENOSPC;
    w.heal_at = w.now + 29 * SECOND;
    expect_all_called(0);
    assert_true(w.called[1] - w.called[0] < 30 * SECOND);
    world_done(NULL);

    START(too_late, true);
    w.inbox.put_error = -ENOSPC;
    w.heal_at = w.now + 31 * SECOND;
    expect_all_called(0);
    assert_string_equal(w.bodies[2], "{\"EventHandles\":[\"h2\"],\"SubAppId\":1500000001}");
    assert_int_equal(queue_stats(w.queue)->unconfirmed, 1);
    assert_int_equal(w.shown.n_put, 2); /* however often it was tried, each delivery is shown once */
}

static void test_slow_confirm_is_given_up(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"PullEvents", REPLY_DONE, ONE, 0, 0},
        {"ConfirmEvents", -ETIMEDOUT, NULL, 10 * SECOND, 0},
        {"ConfirmEvents", -ETIMEDOUT, NULL, 10 * SECOND, 0},
        {"ConfirmEvents", -ETIMEDOUT, NULL, 10 * SECOND, 0},
        {"PullEvents", REPLY_NOTHING, "ResourceNotFound", 0, 0},
    };
    START(steps, false);
    expect_all_called(0);
    assert_true(w.called[3] - w.called[0] < 30 * SECOND);
    assert_int_equal(queue_stats(w.queue)->unconfirmed, 1);
}

static void test_failed_confirm_is_tried_again(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"PullEvents", REPLY_DONE, ONE, 0, 0},
        {"ConfirmEvents", -ECONNRESET, NULL, 0, 0},
        {"ConfirmEvents", REPLY_BUSY, "RequestLimitExceeded", 0, 0},
        {"ConfirmEvents", REPLY_DONE, "{}", 0, 0},
        {"PullEvents", REPLY_NOTHING, "ResourceNotFound", 0, 0},
    };
    START(steps, true);
    expect_all_called(0);
    assert_string_equal(w.bodies[3], w.bodies[1]);
    assert_true(w.called[2] - w.called[1] >= SECOND);
    assert_int_equal(queue_stats(w.queue)->confirmed, 1);
}

/* It is no reason to stop, nor to ask for an application's id. */
static void test_late_confirm(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"PullEvents", REPLY_DONE, ONE, 0, 0},
        {"ConfirmEvents", REPLY_REFUSED, "InvalidParameterValue", 0, 0},
        {"PullEvents", REPLY_DONE, EVENTS(UPLOAD("h2")), 0, 0},
        {"ConfirmEvents", REPLY_DONE, "{}", 0, 0},
        {"PullEvents", REPLY_NOTHING, "ResourceNotFound", 33 * SECOND, 0},
    };
    START(steps, true);
    expect_all_called(0);
    assert_true(w.called[2] - w.called[1] < SECOND);
    assert_null(queue_stats(w.queue)->trouble);
}

/* One that is refused does not keep the others from being confirmed. */
static void test_a_refused_handle_is_confirmed_apart(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"PullEvents", REPLY_DONE, EVENTS(UPLOAD("h1") "," UPLOAD("h2") "," UPLOAD("h3")), 0, 0},
        {"ConfirmEvents", REPLY_REFUSED, "InvalidParameterValue", 0, 0},
        {"ConfirmEvents", REPLY_DONE, "{}", 0, 0},
        {"ConfirmEvents", REPLY_REFUSED, "InvalidParameterValue", 0, 0},
        {"ConfirmEvents", REPLY_DONE, "{}", 0, 0},
        {"PullEvents", REPLY_NOTHING, "ResourceNotFound", 33 * SECOND, 0},
    };
    START(steps, true);
    expect_all_called(0);
    assert_string_equal(w.bodies[1], "{\"EventHandles\":[\"h1\",\"h2\",\"h3\"],\"SubAppId\":1500000001}");
    assert_string_equal(w.bodies[3], "{\"EventHandles\":[\"h2\"],\"SubAppId\":1500000001}");
    assert_int_equal(queue_stats(w.queue)->confirmed, 2);
    assert_int_equal(queue_stats(w.queue)->unconfirmed, 1);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"PullEvents", REPLY_REFUSED, "AuthFailure.SignatureFailure", 0, 0},
        {"PullEvents", REPLY_REFUSED, "UnauthorizedOperation", 0, 0},
        {"PullEvents", REPLY_DONE, ONE, 0, 0},
        {"ConfirmEvents", REPLY_REFUSED, "UnauthorizedOperation", 0, 0},
        {"PullEvents", REPLY_NOTHING, "ResourceNotFound", 0, 0},
    };
    START(steps, false);
    expect_all_called(0);
    assert_int_equal(w.called[1] - w.called[0], 60 * SECOND);
    assert_int_equal(w.called[2] - w.called[1], 60 * SECOND);
    assert_true(w.called[4] - w.called[3] >= 60 * SECOND);
    world_done(NULL);
    run(steps, 1, true);
    expect_all_called(0); /* as a stop is asked for, too */
    world_done(NULL);
    START(steps, true);
    assert_int_equal(queue_run(w.queue), QUEUE_FAILED);
    assert_int_equal(w.at, 1);
}

/* VOD allows 100 pulls and 100 confirms a second. */
static void test_pulls_and_confirms_are_counted_apart(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"PullEvents", REPLY_DONE, ONE, 0, 0}, {"ConfirmEvents", REPLY_DONE, "{}", 0, 0},
        {"PullEvents", REPLY_DONE, ONE, 0, 0}, {"ConfirmEvents", REPLY_DONE, "{}", 0, 0},
        {"PullEvents", REPLY_DONE, ONE, 0, 0}, {"ConfirmEvents", REPLY_DONE, "{}", 0, 0},
    };
    START(steps, false);
    expect_all_called(0);
    assert_int_equal(w.called[4] - w.called[0], SECOND / 50);
    assert_int_equal(w.called[1], w.called[0]);
}

/* Those that failed after the event was taken out of the queue. */
static void test_once_waits_after_errors_of_the_server(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"PullEvents", -EREMOTEIO, NULL, 0, 0},
        {"PullEvents", REPLY_NOTHING, "ResourceNotFound", 20 * SECOND, 0},
        {"PullEvents", REPLY_DONE, ONE, 9 * SECOND, 0},
        {"ConfirmEvents", REPLY_DONE, "{}", 0, 0},
        {"PullEvents", REPLY_NOTHING, "ResourceNotFound", 5 * SECOND, 0},
    };
    struct step internal[sizeof steps / sizeof *steps];
    START(steps, true);
    expect_all_called(0);
    world_done(NULL);
    memcpy(internal, steps, sizeof steps);
    internal[0] = (struct step){"PullEvents", REPLY_BUSY, "InternalError", 0, 0};
    run(internal, sizeof steps / sizeof *steps, true);
    expect_all_called(0);
}

static void test_another_key_is_used_at_once(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"PullEvents", REPLY_REFUSED, "AuthFailure.SecretIdNotFound", 0, 0},
        {"PullEvents", REPLY_DONE, ONE, 0, 0},
        {"ConfirmEvents", REPLY_DONE, "{}", 0, 0},
        {"PullEvents", REPLY_REFUSED, "UnauthorizedOperation", 0, 0},
    };
    START(steps, false);
    w.keys = QUEUE_KEYS_NEW;
    expect_all_called(0);
    assert_true(w.called[1] - w.called[0] < SECOND);
    assert_int_equal(w.n_read_keys, 1); /* what the key may not do is no matter of the key */
}

static void test_a_key_that_only_a_new_start_changes(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"PullEvents", REPLY_REFUSED, "AuthFailure.TokenFailure", 0, 0},
        {"PullEvents", REPLY_REFUSED, "AuthFailure.TokenFailure", 0, 0},
        {"PullEvents", REPLY_REFUSED, "AuthFailure.TokenFailure", 0, 0},
        {"PullEvents", REPLY_REFUSED, "AuthFailure.TokenFailure", 0, 0},
        {"PullEvents", REPLY_REFUSED, "AuthFailure.TokenFailure", 0, 0},
    };
    START(steps, false);
    w.keys = QUEUE_KEYS_FIXED;
    assert_int_equal(queue_run(w.queue), QUEUE_RESTART);
    assert_int_equal(w.at, 4);
    world_done(NULL);
    START(steps, false); /* another one may be put into the file */
    w.keys = QUEUE_KEYS_SAME;
    expect_all_called(0);
    assert_int_equal(w.n_read_keys, 5);
}

/* The inbox hears which rows are over: not those whose confirmation was refused. */
static void test_confirmed_rows(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"PullEvents", REPLY_DONE, EVENTS(UPLOAD("h1") ",{\"New\":1}," UPLOAD("h2") "," UPLOAD("h3")), 0, 0},
        {"ConfirmEvents", REPLY_REFUSED, "InvalidParameterValue", 0, 0},
        {"ConfirmEvents", REPLY_DONE, "{}", 0, 0},
        {"ConfirmEvents", REPLY_REFUSED, "InvalidParameterValue", 0, 0},
        {"ConfirmEvents", REPLY_DONE, "{}", 0, 0},
    };
    START(steps, false);
    expect_all_called(0);
    assert_int_equal(w.inbox.n_confirmed, 2);
    assert_int_equal(w.inbox.confirmed[0], 1);
    assert_int_equal(w.inbox.confirmed[1], 4);
}

static void test_back_off(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"PullEvents", -EHOSTUNREACH, NULL, 0, true}, {"PullEvents", REPLY_BUSY, "InternalError", 0, 0},
        {"PullEvents", -EBADMSG, NULL, 0, 0},         {"PullEvents", REPLY_DONE, "{\"EventSet\":7}", 0, 0},
        {"PullEvents", -EREMOTEIO, NULL, 0, 0},       {"PullEvents", -EFBIG, NULL, 0, 0},
        {"PullEvents", -EPROTO, NULL, 0, true},       {"PullEvents", REPLY_NOTHING, "ResourceNotFound", 0, 0},
        {"PullEvents", -ECONNREFUSED, NULL, 0, true}, {"PullEvents", REPLY_NOTHING, "ResourceNotFound", 0, 0},
    };
    static const int64_t most[] = {2, 4, 8, 16, 32, 60, 60};
    START(steps, false);
    expect_all_called(0);
    for (size_t i = 0; i < 7; i++) {
        int64_t waited = w.called[i + 1] - w.called[i];
        assert_in_range(waited, most[i] * SECOND / 2, most[i] * SECOND);
    }
    assert_in_range(w.called[9] - w.called[8], SECOND, 2 * SECOND);
    world_done(NULL);

    START(steps, true);
    assert_int_equal(queue_run(w.queue), QUEUE_FAILED);
    assert_int_equal(w.at, 6);
}

/* What an answer that was cut took out of the queue is waited for. */
static void test_once_waits_for_what_comes_back(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"PullEvents", -ECONNRESET, NULL, 0, 0},
        {"PullEvents", REPLY_NOTHING, "ResourceNotFound", 20 * SECOND, 0},
        {"PullEvents", REPLY_DONE, ONE, 9 * SECOND, 0},
        {"ConfirmEvents", REPLY_DONE, "{}", 0, 0},
        {"PullEvents", REPLY_NOTHING, "ResourceNotFound", 5 * SECOND, 0},
    };
    START(steps, true);
    expect_all_called(0);
}

/* The batch in hand is recorded and confirmed though a stop is asked for before it came. */
static void test_stop(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"PullEvents", REPLY_DONE, ONE, 2 * SECOND, 0},
        {"ConfirmEvents", REPLY_DONE, "{}", 0, 0},
    };
    START(steps, false);
    w.stop_at = w.now + SECOND;
    w.inbox.commit_error = -EIO;
    w.heal_at = w.now + 4 * SECOND;
    expect_all_called(0);
    world_done(NULL);

    run(steps, 1, false);
    w.stop_at = w.now + SECOND;
    w.inbox.commit_error = -EIO;
    int64_t stop_at = w.stop_at;
    expect_all_called(0);
    assert_true(w.now <= stop_at + 8 * SECOND);
    assert_int_equal(queue_stats(w.queue)->unconfirmed, 1);
}

static void test_more_than_sixteen(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"PullEvents", REPLY_DONE,
         EVENTS(UPLOAD("1") "," UPLOAD("2") "," UPLOAD("3") "," UPLOAD("4") "," UPLOAD("5") "," UPLOAD("6") "," UPLOAD("7") "," UPLOAD("8") "," UPLOAD(
             "9") "," UPLOAD("10") "," UPLOAD("11") "," UPLOAD("12") "," UPLOAD("13") "," UPLOAD("14") "," UPLOAD("15") "," UPLOAD("16") "," UPLOAD("17")),
         0, 0},
        {"ConfirmEvents", REPLY_DONE, "{}", 0, 0},
        {"ConfirmEvents", REPLY_DONE, "{}", 0, 0},
        {"PullEvents", REPLY_NOTHING, "ResourceNotFound", 0, 0},
    };
    START(steps, true);
    expect_all_called(0);
    assert_string_equal(w.bodies[1],
                        "{\"EventHandles\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"10\","
                        "\"11\",\"12\",\"13\",\"14\",\"15\",\"16\"],\"SubAppId\":1500000001}");
    assert_string_equal(w.bodies[2], "{\"EventHandles\":[\"17\"],\"SubAppId\":1500000001}");
    assert_int_equal(queue_stats(w.queue)->confirmed, 17);
    /* 100 confirms a second */
    assert_true(w.called[2] - w.called[1] >= SECOND / 100);
}

/* --- The parts -------------------------------------------------------------------------------------- */

/* The node of the events in a response, or why there is none. */
static int events_of(const char *response)
{
    uint32_t events;
    assert_true(json_read(&w.json, response, strlen(response)));
    int r = batch_events(&w.json, 0, &events);
    return r < 0 ? r : (int)events;
}

static bool handle_of(const char *event, struct slice *ret)
{
    assert_true(json_read(&w.json, event, strlen(event)));
    return batch_handle(&w.json, 0, ret);
}

static void test_batch_bodies(void **state)
{
    (void)state;
    struct buffer b = {0};
    struct slice handle;
    batch_request(&b, 0);
    assert_true(slice_equal(buffer_slice(&b), slice_of("{}")));
    buffer_reset(&b, 0);
    uint32_t node = 1;
    json_read(&w.json, "[\"a\\u0041\",\"b\"]", 15);
    assert_int_equal(batch_confirm(&b, &w.json, &node, w.json.n, 1, 0), 1);
    assert_int_equal(node, 2);
    assert_true(slice_equal(buffer_slice(&b), slice_of("{\"EventHandles\":[\"a\\u0041\"]}")));
    buffer_done(&b);
    assert_int_equal(events_of("{\"EventSet\":{}}"), -EBADMSG);
    assert_int_equal(events_of("{\"RequestId\":\"r\"}"), -EBADMSG);
    assert_int_equal(events_of("{\"EventSet\":[ ]}"), 0);
    assert_int_equal(events_of("{\"EventSet\":null}"), 0);
    assert_int_equal(events_of("{\"EventSet\":[{}]}"), 2);
    assert_false(handle_of("{\"EventHandle\":\"\"}", &handle));
    assert_false(handle_of("[\"EventHandle\"]", &handle));
    assert_true(handle_of("{\"a\":1,\"EventHandle\":\"x\"}", &handle));
    assert_true(slice_equal(handle, slice_of("\"x\"")));
}

static void test_pace_extremes(void **state)
{
    (void)state;
    struct pace p;
    pace_init(&p, 50);
    for (int i = 0; i < 100; i++) {
        int64_t least = pace_after(&p, PACE_TROUBLE, 0, 0, 0);
        p.failures--;
        int64_t most = pace_after(&p, PACE_TROUBLE, 0, 0, UINT32_MAX);
        assert_true(least >= SECOND && most <= 60 * SECOND && least < most);
    }
    assert_int_equal(pace_after(&p, PACE_EVENTS, 0, 7, 0), 7);
    assert_int_equal(p.failures, 0);
    pace_begin(&p, 100);
    assert_int_equal(p.next, 100 + 20000);
    pace_begin(&p, 100);
    assert_int_equal(p.next, 100 + 40000);
    pace_begin(&p, SECOND);
    assert_int_equal(p.next, SECOND + 20000);
}

#define TEST(name) cmocka_unit_test_teardown(name, world_done)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_confirms_what_is_recorded),
        TEST(test_empty_queues),
        TEST(test_what_is_not_understood_is_confirmed),
        TEST(test_window),
        TEST(test_slow_confirm_is_given_up),
        TEST(test_failed_confirm_is_tried_again),
        TEST(test_late_confirm),
        TEST(test_a_refused_handle_is_confirmed_apart),
        TEST(test_refused),
        TEST(test_pulls_and_confirms_are_counted_apart),
        TEST(test_once_waits_after_errors_of_the_server),
        TEST(test_another_key_is_used_at_once),
        TEST(test_a_key_that_only_a_new_start_changes),
        TEST(test_confirmed_rows),
        TEST(test_back_off),
        TEST(test_once_waits_for_what_comes_back),
        TEST(test_stop),
        TEST(test_more_than_sixteen),
        cmocka_unit_test(test_batch_bodies),
        cmocka_unit_test(test_pace_extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
