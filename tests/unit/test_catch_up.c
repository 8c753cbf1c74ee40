/* test_catch_up.c: what is missing is found, taken once, and what cannot be settled is left for the next run. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "capture.h"
#include "source/catch_up.h"

static const int64_t SECOND = 1000000;
static const int64_t NOON = INT64_C(1795521600) * 1000000; /* 2026-11-24T12:00:00Z */

static struct capture err;

/* --- The world -------------------------------------------------------------------------------------- */

/* What the cloud answers to a call. */
struct step {
    const char *action; /* that has to be called */
    int result;
    const char *response; /* or the code of the error */
};

static struct world {
    const struct step *steps;
    size_t n_steps, at, stop_at; /* the call after which a stop is asked for */
    int64_t now, skew;
    char bodies[32][512];
    const char *there; /* "t-1 t-2 52": what is recorded */
    bool all_there;    /* what is taken turns out to be */
    int take_error;
    char taken[16][1024];
    size_t n_taken;
    struct json json;
    struct catch_up *catch_up;
} w;

static int world_call(void *userdata, const char *action, struct slice body, struct reply *ret)
{
    (void)userdata;
    assert_true(w.at < w.n_steps);
    const struct step *s = &w.steps[w.at];
    assert_string_equal(action, s->action);
    snprintf(w.bodies[w.at++], sizeof w.bodies[0], "%.*s", (int)body.len, body.data);
    *ret = (struct reply){.skew = w.skew, .sent = true};
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

static int64_t world_wall(void *userdata)
{
    (void)userdata;
    return NOON;
}

static void world_wait(void *userdata, int64_t until)
{
    (void)userdata;
    assert_true(until > w.now);
    w.now = until;
}

static bool world_stopping(void *userdata)
{
    (void)userdata;
    return w.at >= w.stop_at;
}

static int world_has(void *userdata, const char *id)
{
    (void)userdata;
    return w.there && (!id || strstr(w.there, id));
}

static int world_take(void *userdata, struct slice event)
{
    (void)userdata;
    snprintf(w.taken[w.n_taken++], sizeof w.taken[0], "%.*s", (int)event.len, event.data);
    return w.take_error ? w.take_error : !w.all_there;
}

static int world_done(void **state)
{
    (void)state;
    w.catch_up = catch_up_free(w.catch_up);
    json_done(&w.json);
    return 0;
}

static const struct catch_up_stats *run(const struct step *steps, size_t n, const struct world *more,
                                        enum catch_up_uploads uploads, int result)
{
    struct world before = more ? *more : (struct world){0};
    world_done(NULL);
    w = before;
    w.steps = steps;
    w.n_steps = n;
    w.now = 1000 * SECOND;
    w.stop_at = w.stop_at ? w.stop_at : SIZE_MAX;
    w.skew = w.skew ? w.skew : REPLY_SKEW_UNKNOWN;
    struct catch_up_config config = {
        .world = {world_call, world_now, world_wall, world_wait, world_stopping, world_has, world_has,
                  world_take, NULL},
        .remote = "vod.example.com",
        .secret_id = slice_of("AKIDtest"),
        .sub_app_id = 1500000001,
        .rate = 20,
        .grace = 600 * SECOND,
        .tasks_from = NOON - 86400 * SECOND,
        .uploads_from = NOON - 86400 * SECOND,
        .uploads = uploads,
    };
    assert_int_equal(catch_up_new(&config, &w.catch_up), 0);
    assert_int_equal(catch_up_run(w.catch_up), result);
    assert_int_equal(w.at, n);
    return catch_up_stats(w.catch_up);
}

#define RUN(steps, more, uploads, result) run(steps, sizeof(steps) / sizeof *(steps), more, uploads, result)
#define TASKS(steps, more, result)        RUN(steps, more, CATCH_UP_UPLOADS_OFF, result)

#define ROW(id, status, minute)                                                                     \
    "{\"TaskId\":\"" id "\",\"Status\":\"" status "\",\"FileId\":\"5\",\"TaskType\":\"Procedure\"," \
    "\"CreateTime\":\"2026-11-24T10:00:00Z\",\"FinishTime\":\"2026-11-24T11:" minute ":00Z\"}"
#define PAGE(rows, token) "{\"TaskSet\":[" rows "],\"ScrollToken\":\"" token "\",\"RequestId\":\"r\"}"
#define DETAIL(id)                                                                      \
    "{\"Status\":\"FINISH\",\"EditMediaTask\":null,\"ProcedureTask\":{\"TaskId\":\"" id \
    "\",\"Status\":\"FINISH\",\"n\":1.50}}"
#define EVENT(id)                                                                              \
    "{\"EventType\":\"ProcedureStateChanged\",\"ProcedureStateChangeEvent\":{\"TaskId\":\"" id \
    "\",\"Status\":\"FINISH\",\"n\":1.50}}"

/* --- Tasks ------------------------------------------------------------------------------------------ */

static void test_nothing_is_missing(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"DescribeTasks", REPLY_DONE, PAGE(ROW("t-1", "FINISH", "10") "," ROW("t-2", "ABORTED", "20"), "")},
    };
    const struct world there = {.there = "t-1 t-2"};
    const struct catch_up_stats *s = TASKS(steps, &there, 0);
    assert_int_equal(s->tasks, 2);
    assert_int_equal(s->missing, 0);
    assert_int_equal(s->calls, 1);
    assert_int_equal(s->tasks_until, NOON - 600 * SECOND);
    assert_int_equal(s->uploads_until, 0);
    assert_string_equal(
        w.bodies[0], "{\"SubAppId\":1500000001,\"FinishTime\":{\"After\":\"2026-11-23T12:00:00Z\"},\"Sort\":"
                     "{\"Field\":\"FinishTime\",\"Order\":\"Asc\"},\"Limit\":100}");
}

static void test_what_is_missing_is_taken(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"DescribeTasks", REPLY_DONE,
         PAGE(ROW("t-1", "FINISH", "10") "," ROW("t-2", "FINISH", "20") "," ROW("t-3", "PROCESSING", "21"),
              "next")},
        {"DescribeTaskDetail", REPLY_DONE, DETAIL("t-2")},
        {"DescribeTasks", REPLY_DONE, PAGE(ROW("t-4", "ABORTED", "30"), "")},
        {"DescribeTaskDetail", REPLY_DONE, DETAIL("t-4")},
    };
    const struct world there = {.there = "t-1"};
    const struct catch_up_stats *s = TASKS(steps, &there, 0);
    assert_int_equal(s->missing, 2);
    assert_int_equal(s->tasks, 4);
    assert_string_equal(w.taken[0], EVENT("t-2"));
    assert_string_equal(w.taken[1], EVENT("t-4"));
    assert_string_equal(w.bodies[1], "{\"SubAppId\":1500000001,\"TaskId\":\"t-2\"}");
    assert_non_null(strstr(w.bodies[2], ",\"ScrollToken\":\"next\"}"));
    assert_true(w.now >= 1000 * SECOND + 3 * SECOND / 20); /* the rate */
}

static void test_what_turns_out_to_be_there_is_not_missing(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"DescribeTasks", REPLY_DONE, PAGE(ROW("t-1", "FINISH", "10"), "")},
        {"DescribeTaskDetail", REPLY_DONE, DETAIL("t-1")},
    };
    const struct world there = {.all_there = true};
    assert_int_equal(TASKS(steps, &there, 0)->missing, 0);
}

static void test_the_young_are_left_to_vod(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"DescribeTasks", REPLY_DONE,
         PAGE(ROW("t-1", "FINISH", "49") "," ROW("t-2", "FINISH", "51"), "next")},
        {"DescribeTaskDetail", REPLY_DONE, DETAIL("t-1")},
    };
    const struct catch_up_stats *s = TASKS(steps, NULL, 0);
    assert_int_equal(s->missing, 1);
    assert_int_equal(s->young, 1);
    assert_int_equal(s->tasks_until, NOON - 600 * SECOND);
}

/* A clock that is 3 minutes ahead takes a task of 8 minutes for one of 11. */
static void test_times_are_vods(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"DescribeTasks", REPLY_DONE, PAGE(ROW("t-1", "FINISH", "49"), "")},
    };
    const struct world ahead = {.skew = 180};
    const struct catch_up_stats *s = TASKS(steps, &ahead, 0);
    assert_int_equal(s->young, 1);
    assert_int_equal(s->tasks_until, NOON - 660 * SECOND);
}

static void test_tasks_without_an_event_are_counted(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"DescribeTasks", REPLY_DONE, PAGE(ROW("t-1", "FINISH", "10") "," ROW("t-2", "FINISH", "11"), "")},
        {"DescribeTaskDetail", REPLY_DONE, "{\"Status\":\"FINISH\",\"AigcAudioTask\":{\"TaskId\":\"t-1\"}}"},
        {"DescribeTaskDetail", REPLY_DONE, "{\"Status\":\"PROCESSING\",\"ProcedureTask\":{}}"},
    };
    const struct catch_up_stats *s = TASKS(steps, NULL, 0);
    assert_int_equal(s->silent, 1);
    assert_int_equal(s->missing, 0);
    assert_int_equal(s->tasks_until, NOON - 49 * 60 * SECOND); /* one goes on */
}

/* --- Trouble ---------------------------------------------------------------------------------------- */

static void test_a_broken_answer_costs_its_task_only(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"DescribeTasks", REPLY_DONE,
         PAGE(ROW("t-1", "FINISH", "10") "," ROW("t-2", "FINISH", "11") "," ROW(
                  "t-3", "FINISH", "12") ",{\"x\":1}," ROW("t-4", "FINISH", "13"),
              "")},
        {"DescribeTaskDetail", -EBADMSG, NULL},
        {"DescribeTaskDetail", REPLY_DONE, "{\"RequestId\":\"r\"}"},
        {"DescribeTaskDetail", REPLY_NOTHING, "ResourceNotFound"},
        {"DescribeTaskDetail", REPLY_DONE, DETAIL("t-4")},
    };
    capture_begin(&err, STDERR_FILENO);
    const struct catch_up_stats *s = TASKS(steps, NULL, 0);
    const char *said = capture_end(&err);
    assert_int_equal(s->missing, 1);
    assert_int_equal(s->broken, 4);
    assert_int_equal(s->tasks_until, NOON - 50 * 60 * SECOND);
    for (const char *id = "123"; *id; id++) {
        char text[] = "Task t-N is left out";
        text[strlen("Task t-")] = *id;
        assert_non_null(strstr(said, text));
    }
}

static void test_what_passes_is_waited_out(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"DescribeTasks", REPLY_BUSY, "RequestLimitExceeded"},
        {"DescribeTasks", -ECONNRESET, NULL},
        {"DescribeTasks", REPLY_DONE, PAGE(ROW("t-1", "FINISH", "10"), "")},
        {"DescribeTaskDetail", REPLY_BUSY, "InternalError"},
        {"DescribeTaskDetail", REPLY_DONE, DETAIL("t-1")},
    };
    capture_begin(&err, STDERR_FILENO);
    assert_int_equal(TASKS(steps, NULL, 0)->missing, 1);
    assert_non_null(strstr(capture_end(&err), "RequestLimitExceeded"));
    assert_true(w.now >= 1000 * SECOND + 4 * SECOND); /* 1 to 2, 2 to 4, 1 to 2 */
}

static void test_a_service_that_is_down_ends_the_run(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"DescribeTasks", -ECONNREFUSED, NULL}, {"DescribeTasks", -ECONNREFUSED, NULL},
        {"DescribeTasks", -ECONNREFUSED, NULL}, {"DescribeTasks", -ECONNREFUSED, NULL},
        {"DescribeTasks", -ECONNREFUSED, NULL}, {"DescribeTasks", -ECONNREFUSED, NULL},
    };
    capture_begin(&err, STDERR_FILENO);
    TASKS(steps, NULL, -ECONNREFUSED);
    assert_non_null(strstr(capture_end(&err), "DescribeTasks at vod.example.com failed"));
}

static void test_a_key_without_the_right(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"DescribeTasks", REPLY_DONE, PAGE(ROW("t-1", "FINISH", "10") "," ROW("t-2", "FINISH", "11"), "")},
        {"DescribeTaskDetail", REPLY_REFUSED, "UnauthorizedOperation"},
    };
    capture_begin(&err, STDERR_FILENO);
    TASKS(steps, NULL, -EACCES);
    assert_non_null(strstr(capture_end(&err), "vod:DescribeTaskDetail"));
}

static void test_an_old_token_begins_the_list_anew(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"DescribeTasks", REPLY_DONE, PAGE(ROW("t-1", "FINISH", "10"), "old")},
        {"DescribeTasks", REPLY_REFUSED, "InvalidParameterValue"},
        {"DescribeTasks", REPLY_DONE, PAGE(ROW("t-1", "FINISH", "10"), "")},
    };
    const struct world there = {.there = "t-1"};
    TASKS(steps, &there, 0);
    assert_non_null(strstr(w.bodies[1], "old"));
    assert_null(strstr(w.bodies[2], "old"));
    assert_non_null(strstr(w.bodies[2], "\"After\":\"2026-11-24T11:10:00Z\""));
}

static void test_a_stop(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"DescribeTasks", REPLY_DONE, PAGE(ROW("t-1", "FINISH", "10"), "")},
    };
    const struct world stop = {.stop_at = 1};
    TASKS(steps, &stop, -ECANCELED);
    assert_int_equal(w.n_taken, 0);
}

static void test_what_cannot_be_recorded_ends_the_run(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"DescribeTasks", REPLY_DONE, PAGE(ROW("t-1", "FINISH", "10") "," ROW("t-2", "FINISH", "11"), "")},
        {"DescribeTaskDetail", REPLY_DONE, DETAIL("t-1")},
    };
    const struct world full = {.take_error = -ENOSPC};
    TASKS(steps, &full, -ENOSPC);
}

/* --- Files ------------------------------------------------------------------------------------------ */

#define FILE_ROW(id, minute)                                                                  \
    "{\"FileId\":\"" id "\",\"BasicInfo\":{\"CreateTime\":\"2026-11-24T11:" minute ":00Z\"}," \
    "\"MetaData\":null}"
#define FILES(total, rows) "{\"TotalCount\":" total ",\"MediaInfoSet\":[" rows "],\"RequestId\":\"r\"}"
#define NO_TASKS                                  \
    {                                             \
        "DescribeTasks", REPLY_DONE, PAGE("", "") \
    }

static void test_an_upload_that_is_missing(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"DescribeEventConfig", REPLY_DONE, "{\"Mode\":\"PUSH\",\"UploadMediaCompleteEventSwitch\":\"ON\"}"},
        {"SearchMedia", REPLY_DONE, FILES("2", FILE_ROW("51", "10") "," FILE_ROW("52", "20"))},
        {"DescribeTasks", REPLY_DONE,
         PAGE(ROW("p-1", "FINISH", "10") "," ROW(
                  "p-2", "FINISH", "10") ",{\"TaskId\":\"r-1\",\"TaskType\":\"ReviewAudioVideo\"}",
              "")},
        NO_TASKS,
    };
    const struct world there = {.there = "51"};
    const struct catch_up_stats *s = RUN(steps, &there, CATCH_UP_UPLOADS_AUTO, 0);
    assert_int_equal(s->missing, 1);
    assert_int_equal(s->files, 2);
    assert_string_equal(
        w.taken[0],
        "{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"FileId\":\"52\",\"MediaBasicInfo\":"
        "{\"CreateTime\":\"2026-11-24T11:20:00Z\"},\"MetaData\":null,\"ProcedureTaskId\":\"p-1\","
        "\"ReviewAudioVideoTaskId\":\"r-1\"}}");
    assert_string_equal(w.bodies[0], "{\"SubAppId\":1500000001}");
    assert_string_equal(
        w.bodies[1],
        "{\"SubAppId\":1500000001,\"CreateTime\":{\"After\":\"2026-11-23T12:00:00Z\",\"Before\":"
        "\"2026-11-24T11:50:00Z\"},\"Sort\":{\"Field\":\"CreateTime\",\"Order\":\"Asc\"},\"Filters\":"
        "[\"basicInfo\",\"metaData\"],\"Offset\":0,\"Limit\":100}");
    assert_non_null(strstr(w.bodies[2], "\"FileId\":\"52\""));
    assert_int_equal(s->uploads_until, NOON - 600 * SECOND);
}

static void test_uploads_that_vod_does_not_tell_of(void **state)
{
    (void)state;
    static const struct step off[] = {
        {"DescribeEventConfig", REPLY_DONE, "{\"UploadMediaCompleteEventSwitch\":\"OFF\"}"},
        NO_TASKS,
    };
    RUN(off, NULL, CATCH_UP_UPLOADS_AUTO, 0);
    static const struct step unknown[] = {{"DescribeEventConfig", REPLY_REFUSED, "UnauthorizedOperation"},
                                          NO_TASKS};
    capture_begin(&err, STDERR_FILENO);
    RUN(unknown, NULL, CATCH_UP_UPLOADS_AUTO, 0);
    assert_non_null(strstr(capture_end(&err), "vod:DescribeEventConfig"));
    static const struct step known[] = {
        {"DescribeEventConfig", REPLY_REFUSED, "AuthFailure.UnauthorizedOperation"},
        {"SearchMedia", REPLY_DONE, FILES("0", "")},
        NO_TASKS,
    };
    const struct world there = {.there = "51"};
    RUN(known, &there, CATCH_UP_UPLOADS_AUTO, 0);
}

static void test_a_key_that_may_not_search_may_list_tasks(void **state)
{
    (void)state;
    static const struct step steps[] = {{"SearchMedia", REPLY_REFUSED, "UnauthorizedOperation"}, NO_TASKS};
    capture_begin(&err, STDERR_FILENO);
    RUN(steps, NULL, CATCH_UP_UPLOADS_ON, -EACCES);
    assert_non_null(strstr(capture_end(&err), "vod:SearchMedia"));
}

/* 5,000 means 5,000 or more: the span of time is halved until there are fewer. */
static void test_a_span_with_too_many_files_is_halved(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"SearchMedia", REPLY_DONE, FILES("5000", FILE_ROW("51", "10"))},
        {"SearchMedia", REPLY_DONE, FILES("1", FILE_ROW("51", "10"))},
        {"SearchMedia", REPLY_DONE, FILES("2", FILE_ROW("52", "20"))},
        {"SearchMedia", REPLY_DONE, FILES("2", FILE_ROW("53", "20"))},
        NO_TASKS,
    };
    const struct world there = {.there = "51 52 53"};
    const struct catch_up_stats *s = RUN(steps, &there, CATCH_UP_UPLOADS_ON, 0);
    assert_int_equal(s->files, 3);
    assert_non_null(
        strstr(w.bodies[1], "\"After\":\"2026-11-23T12:00:00Z\",\"Before\":\"2026-11-23T23:55:00Z\""));
    assert_non_null(
        strstr(w.bodies[2], "\"After\":\"2026-11-23T23:55:01Z\",\"Before\":\"2026-11-24T11:50:00Z\""));
    assert_non_null(
        strstr(w.bodies[3], "\"After\":\"2026-11-23T23:55:01Z\",\"Before\":\"2026-11-24T11:50:00Z\""));
    assert_non_null(strstr(w.bodies[3], "\"Offset\":1,"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_missing),
        cmocka_unit_test(test_what_is_missing_is_taken),
        cmocka_unit_test(test_what_turns_out_to_be_there_is_not_missing),
        cmocka_unit_test(test_the_young_are_left_to_vod),
        cmocka_unit_test(test_times_are_vods),
        cmocka_unit_test(test_tasks_without_an_event_are_counted),
        cmocka_unit_test(test_a_broken_answer_costs_its_task_only),
        cmocka_unit_test(test_what_passes_is_waited_out),
        cmocka_unit_test(test_a_service_that_is_down_ends_the_run),
        cmocka_unit_test(test_a_key_without_the_right),
        cmocka_unit_test(test_an_old_token_begins_the_list_anew),
        cmocka_unit_test(test_a_stop),
        cmocka_unit_test(test_what_cannot_be_recorded_ends_the_run),
        cmocka_unit_test(test_an_upload_that_is_missing),
        cmocka_unit_test(test_uploads_that_vod_does_not_tell_of),
        cmocka_unit_test(test_a_key_that_may_not_search_may_list_tasks),
        cmocka_unit_test(test_a_span_with_too_many_files_is_halved),
    };
    log_init("vodhook");
    return cmocka_run_group_tests_name("catch_up", tests, NULL, world_done);
}
