/* test_summary.c: one line, whatever the event holds. The fixtures of test_decode.c have the common cases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "event/event.h"

static void assert_summary(const struct event *e, const char *expected)
{
    struct buffer b = {0};
    event_summary(&b, e);
    buffer_putc(&b, '\0');
    assert_string_equal(b.data, expected);
    buffer_done(&b);
}

static void test_example(void **state)
{
    (void)state;
    assert_summary(&(struct event){.type = "NewFileUpload",
                                   .file_id = "5285890784246869930",
                                   .n_file_ids = 1,
                                   .name = "動物世界.mp4 2",
                                   .result = RESULT_OK,
                                   .duration = "60.2",
                                   .size = "10556963",
                                   .url = "https://x/f"},
                   "NewFileUpload file=5285890784246869930 name=\"動物世界.mp4 2\" result=ok duration=60.2s "
                   "size=10.6MB url=https://x/f");
}

static void test_sizes(void **state)
{
    (void)state;
    assert_summary(&(struct event){.type = "X", .size = "0"}, "X result=unknown size=0B");
    assert_summary(&(struct event){.type = "X", .size = "999"}, "X result=unknown size=999B");
    assert_summary(&(struct event){.type = "X", .size = "1000"}, "X result=unknown size=1.0KB");
    assert_summary(&(struct event){.type = "X", .size = "999999"}, "X result=unknown size=1.0MB");
    assert_summary(&(struct event){.type = "X", .size = "5000000000"}, "X result=unknown size=5.0GB");
}

static void test_nothing_breaks_the_line(void **state)
{
    (void)state;
    assert_summary(&(struct event){.type = "A\nB", .name = "a\x1b[31m\n \xE2\x80\xAE", .task_id = "x=y"},
                   "\"A\\nB\" task=\"x=y\" name=\"a\\u001b[31m\\n \\u202e\" result=unknown");
    assert_summary(&(struct event){.type = ""}, "\"\" result=unknown");
    struct event_task task = {.type = "x result=ok", .definition = "1 ", .status = "FAIL", .url = "a b"};
    assert_summary(&(struct event){.type = "X", .result = RESULT_FAILED, .tasks = &task, .n_tasks = 1},
                   "X result=failed \"x result=ok\"(\"1 \")=\"FAIL:a b\"");
}

/* The code of a sub-task is not shown twice. */
static void test_failed_task(void **state)
{
    (void)state;
    struct event_task tasks[] = {
        {.type = "Transcode",
         .definition = "10",
         .status = "FAIL",
         .err_code = "SourceFileError.NoVideoMedia"},
        {.type = "CoverBySnapshot", .definition = "10", .status = "SUCCESS", .url = "https://x/c.jpg"},
    };
    struct event e = {
        .type = "ProcedureStateChanged",
        .file_id = "5",
        .n_file_ids = 1,
        .task_id = "t",
        .status = "FINISH",
        .result = RESULT_FAILED,
        .err_code = "SourceFileError.NoVideoMedia",
        .tasks = tasks,
        .n_tasks = 2,
    };
    assert_summary(
        &e, "ProcedureStateChanged file=5 task=t status=FINISH result=failed "
            "Transcode(10)=FAIL:SourceFileError.NoVideoMedia CoverBySnapshot(10)=SUCCESS:https://x/c.jpg");
    e.err_message = "no video";
    assert_summary(
        &e, "ProcedureStateChanged file=5 task=t status=FINISH result=failed "
            "Transcode(10)=FAIL:SourceFileError.NoVideoMedia CoverBySnapshot(10)=SUCCESS:https://x/c.jpg"
            " message=\"no video\"");
    e.err_code = "InternalError";
    e.n_tasks = 0;
    assert_summary(&e, "ProcedureStateChanged file=5 task=t status=FINISH result=failed error=InternalError "
                       "message=\"no video\"");
}

static void test_numbers_that_are_nonsense(void **state)
{
    (void)state;
    char digits[302] = "-";
    memset(digits + 1, '9', 300);
    struct event e = {.type = "X", .file_count = 380000, .file_id = "5", .duration = digits, .size = digits};
    assert_summary(&e, "X file=5 files=380000 result=unknown");
    e.duration = e.size = digits + 1;
    assert_summary(&e, "X file=5 files=380000 result=unknown");
    e.duration = "-1.5";
    assert_summary(&e, "X file=5 files=380000 result=unknown duration=-1.5s");
}

static void test_long_values_are_cut(void **state)
{
    (void)state;
    char name[SUMMARY_VALUE_MAX + 10];
    memset(name, 'n', sizeof name);
    memcpy(name + SUMMARY_VALUE_MAX - 1, "\xE5\x8B\x95zzz", 7);
    struct buffer b = {0};
    event_summary(&b, &(struct event){.type = "X", .name = name});
    assert_int_equal(b.len, strlen("X name=") + SUMMARY_VALUE_MAX - 1 + strlen(" result=unknown"));
    buffer_done(&b);
}

static void test_many_tasks(void **state)
{
    (void)state;
    struct event_task tasks[SUMMARY_TASKS_MAX + 3];
    for (size_t i = 0; i < SUMMARY_TASKS_MAX + 3; i++)
        tasks[i] = (struct event_task){.type = "T", .status = "SUCCESS"};
    struct buffer b = {0};
    event_summary(&b, &(struct event){.type = "X", .tasks = tasks, .n_tasks = SUMMARY_TASKS_MAX + 3});
    buffer_putc(&b, '\0');
    assert_string_equal(b.data + b.len - 1 - strlen(" T=SUCCESS more=3"), " T=SUCCESS more=3");
    buffer_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_nothing_breaks_the_line),
        cmocka_unit_test(test_failed_task),
        cmocka_unit_test(test_numbers_that_are_nonsense),
        cmocka_unit_test(test_long_values_are_cut),
        cmocka_unit_test(test_many_tasks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
