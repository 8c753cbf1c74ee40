/* test_rebuild.c: an event that is put together again is the one that VOD would have sent, byte for byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "event/types.h"
#include "source/rebuild.h"

static struct buffer event;

static int done(void **state)
{
    (void)state;
    buffer_done(&event);
    return 0;
}

static struct json json;

static bool read_task(struct slice row, struct rebuild_task *ret)
{
    assert_true(json_read(&json, row.data, row.len));
    return rebuild_read_task(&json, 0, ret);
}

static bool read_file(struct slice row, struct rebuild_file *ret)
{
    assert_true(json_read(&json, row.data, row.len));
    return rebuild_read_file(&json, 0, ret);
}

static enum rebuild_result rebuild(const char *detail)
{
    buffer_reset(&event, 0);
    assert_true(json_read(&json, detail, strlen(detail)));
    return rebuild_task_event(&event, &json, 0);
}

static void expect_event(const char *text)
{
    assert_int_equal(event.len, strlen(text));
    assert_memory_equal(event.data, text, event.len);
}

/* --- Tasks ------------------------------------------------------------------------------------------ */

static void test_every_member_of_the_table(void **state)
{
    (void)state;
    char detail[4096], expected[512];
    size_t n = 0;
    for (const struct event_type *t = event_types; t->name; t++) {
        if (!t->task_member)
            continue;
        int len = snprintf(detail, sizeof detail, "{\"TaskType\":\"x\",\"Status\":\"FINISH\"");
        for (const struct event_type *other = event_types; other->name; other++)
            if (other->task_member && other != t)
                len +=
                    snprintf(detail + len, sizeof detail - (size_t)len, ",\"%s\":null", other->task_member);
        snprintf(
            detail + len, sizeof detail - (size_t)len,
            ",\"%s\":{\"TaskId\":\"t-1\", \"Status\":\"FINISH\",\"n\":1.50,\"big\":12345678901234567890},"
            "\"RequestId\":\"r\"}",
            t->task_member);
        assert_int_equal(rebuild(detail), REBUILD_DONE);
        snprintf(expected, sizeof expected,
                 "{\"EventType\":\"%s\",\"%s\":{\"TaskId\":\"t-1\", \"Status\":\"FINISH\",\"n\":1.50,"
                 "\"big\":12345678901234567890}}",
                 t->name, t->payload_key);
        expect_event(expected);
        n++;
    }
    assert_int_equal(n, 31);
}

static void test_the_key_is_not_derived_from_the_member(void **state)
{
    (void)state;
    static const char *const pairs[][3] = {
        {"ProcedureTask", "ProcedureStateChanged", "ProcedureStateChangeEvent"},
        {"PullUploadTask", "PullComplete", "PullCompleteEvent"},
        {"SnapshotByTimeOffsetTask", "CreateSnapshotByTimeOffsetComplete",
         "SnapshotByTimeOffsetCompleteEvent"},
        {"AigcImageTask", "AigcImageTaskComplete", "AigcImageCompleteEvent"},
        {"RemoveWatermarkTask", "RemoveWatermark", "RemoveWatermarkCompleteEvent"},
        {"ExtractBlindWatermarkTask", "ExtractBlindWatermarkComplete", "ExtractBlindWatermarkComplete"},
        {"ProcessImageAsyncTask", "ProcessImageAsyncCompleteEvent", "ProcessImageAsyncCompleteEvent"},
        {"SceneAigcImageTask", "SceneAigcImageCompleteEvent", "SceneAigcImageCompleteEvent"},
    };
    char detail[256], expected[256];
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        snprintf(detail, sizeof detail, "{\"Status\":\"FINISH\",\"%s\":{}}", pairs[i][0]);
        snprintf(expected, sizeof expected, "{\"EventType\":\"%s\",\"%s\":{}}", pairs[i][1], pairs[i][2]);
        assert_int_equal(rebuild(detail), REBUILD_DONE);
        expect_event(expected);
    }
}

static void test_tasks_without_an_event(void **state)
{
    (void)state;
    static const char *const details[] = {
        "{\"Status\":\"FINISH\",\"SceneAigcVideoTask\":{\"TaskId\":\"t\"},\"ProcedureTask\":null}",
        "{\"Status\":\"FINISH\",\"ImportMediaKnowledge\":{}}",
        "{\"Status\":\"ABORTED\",\"ProcedureTask\":null}",
        "{\"Status\":\"FINISH\"}",
        "{\"Status\":\"FINISH\",\"ProcedureTask\":{\"TaskId\":\"t\",\"TasksNotifyMode\":\"None\"}}",
    };
    for (size_t i = 0; i < sizeof details / sizeof *details; i++)
        assert_int_equal(rebuild(details[i]), REBUILD_NO_EVENT);
}

static void test_a_task_that_goes_on(void **state)
{
    (void)state;
    assert_int_equal(rebuild("{\"Status\":\"PROCESSING\",\"ProcedureTask\":{}}"), REBUILD_NOT_OVER);
    assert_int_equal(rebuild("{\"Status\":\"WAITING\",\"ProcedureTask\":{}}"), REBUILD_NOT_OVER);
}

static void test_a_broken_answer(void **state)
{
    (void)state;
    assert_int_equal(rebuild("{}"), REBUILD_BROKEN);
    assert_int_equal(rebuild("{\"Status\":7,\"ProcedureTask\":{}}"), REBUILD_BROKEN);
}

static void test_an_aborted_task_does_not_go_on(void **state)
{
    (void)state;
    rebuild(
        "{\"Status\":\"ABORTED\",\"ProcedureTask\":{\"TaskId\":\"t\",\"Status\":\"PROCESSING\",\"x\":1.0}}");
    expect_event("{\"EventType\":\"ProcedureStateChanged\",\"ProcedureStateChangeEvent\":"
                 "{\"TaskId\":\"t\",\"Status\":\"ABORTED\",\"x\":1.0}}");
    rebuild("{\"Status\":\"ABORTED\",\"ProcedureTask\":{\"TaskId\":\"t\",\"Status\":\"FINISH\"}}");
    expect_event("{\"EventType\":\"ProcedureStateChanged\",\"ProcedureStateChangeEvent\":"
                 "{\"TaskId\":\"t\",\"Status\":\"FINISH\"}}");
}

/* --- Rows ------------------------------------------------------------------------------------------- */

static void test_a_row_of_tasks(void **state)
{
    (void)state;
    struct rebuild_task t;
    assert_true(read_task(
        slice_of(
            "{\"TaskId\":\"t\\u002d1\",\"Status\":\"FINISH\",\"FileId\":\"52\",\"TaskType\":\"Procedure\","
            "\"CreateTime\":\"2026-11-24T00:00:00Z\",\"FinishTime\":\"2026-11-24T08:00:10+08:00\","
            "\"SessionId\":null}"),
        &t));
    assert_string_equal(t.id, "t-1");
    assert_string_equal(t.file_id, "52");
    assert_string_equal(t.type, "Procedure");
    assert_int_equal(t.created, INT64_C(1795478400000000));
    assert_int_equal(t.ended, INT64_C(1795478410000000));

    assert_true(read_task(
        slice_of(
            "{\"TaskId\":\"t\",\"FileId\":null,\"CreateTime\":\"0000-00-00T00:00:00Z\",\"FinishTime\":\"\"}"),
        &t));
    assert_int_equal(t.created, 0);
    assert_int_equal(t.ended, 0);
    assert_string_equal(t.file_id, "");

    assert_false(read_task(slice_of("{\"TaskId\":null}"), &t));
    assert_false(read_task(slice_of("{\"TaskId\":7}"), &t));
    assert_false(read_task(slice_of("7"), &t));
    char row[REBUILD_ID_MAX + 64] = "{\"TaskId\":\"";
    memset(row + strlen(row), 'a', REBUILD_ID_MAX);
    strcat(row, "\"}");
    assert_false(read_task(slice_of(row), &t));
}

static void expect_upload(const char *row, const char *procedure, const char *review, const char *expected)
{
    struct rebuild_file file;
    assert_true(read_file(slice_of(row), &file));
    buffer_reset(&event, 0);
    rebuild_upload_event(&event, &file, procedure, review);
    expect_event(expected);
}

static void test_uploads(void **state)
{
    (void)state;
    expect_upload(
        "{\"FileId\":\"52\",\"BasicInfo\":{\"Name\":\"a\", \"ClassId\":0,\"CreateTime\":"
        "\"2026-11-24T00:00:00Z\"},\"MetaData\":{\"Duration\":60.10,\"Size\":null}}",
        "p\"1", "r1",
        "{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"FileId\":\"52\",\"MediaBasicInfo\":"
        "{\"Name\":\"a\", \"ClassId\":0,\"CreateTime\":\"2026-11-24T00:00:00Z\"},\"MetaData\":"
        "{\"Duration\":60.10,\"Size\":null},\"ProcedureTaskId\":\"p\\\"1\","
        "\"ReviewAudioVideoTaskId\":\"r1\"}}");
    expect_upload(
        "{\"FileId\":\"52\",\"BasicInfo\":null,\"MetaData\":null,\"TranscodeInfo\":null}", "", "",
        "{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"FileId\":\"52\",\"MediaBasicInfo\":null,"
        "\"MetaData\":null}}");
    expect_upload("{\"FileId\":\"52\"}", "", "r",
                  "{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"FileId\":\"52\","
                  "\"ReviewAudioVideoTaskId\":\"r\"}}");
    struct rebuild_file file;
    assert_false(read_file(slice_of("{\"FileId\":\"\"}"), &file));
    assert_true(read_file(
        slice_of("{\"FileId\":\"5\",\"BasicInfo\":{\"CreateTime\":\"2026-11-24T00:00:00Z\"}}"), &file));
    assert_int_equal(file.created, INT64_C(1795478400000000));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_member_of_the_table),
        cmocka_unit_test(test_the_key_is_not_derived_from_the_member),
        cmocka_unit_test(test_tasks_without_an_event),
        cmocka_unit_test(test_a_task_that_goes_on),
        cmocka_unit_test(test_a_broken_answer),
        cmocka_unit_test(test_an_aborted_task_does_not_go_on),
        cmocka_unit_test(test_a_row_of_tasks),
        cmocka_unit_test(test_uploads),
    };
    return cmocka_run_group_tests_name("rebuild", tests, NULL, done);
}
