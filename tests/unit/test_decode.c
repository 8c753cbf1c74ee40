/* test_decode.c: what is an event, and what it means; the fixtures, each against its expected summary. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "event/event.h"
#include "event/types.h"

static struct event_decoder *decoder;
static const struct json *json;
static struct event event;

static int setup(void **state)
{
    (void)state;
    return event_decoder_new(16 * 1024 * 1024, &decoder);
}

static int teardown(void **state)
{
    (void)state;
    decoder = event_decoder_free(decoder);
    return 0;
}

static enum event_verdict decode(const char *body)
{
    return event_decode(decoder, body, strlen(body), &json, &event);
}

static void test_what_is_an_event(void **state)
{
    (void)state;
    assert_int_equal(decode("{\"EventType\":\"X\"}"), BODY_EVENT);
    assert_int_equal(decode("{\"eventType\":\"X\",\"data\":{}}"), BODY_EVENT);
    assert_int_equal(decode("{\"FileUploadEvent\":{}}"), BODY_EVENT);
    assert_int_equal(decode("{\"EventType\":5,\"FileUploadEvent\":{}}"), BODY_EVENT);
    assert_true(event.type_missing);
    assert_string_equal(event.type, "NewFileUpload");
    assert_int_equal(decode("{\"EventType\":5}"), BODY_OTHER);
    assert_int_equal(decode("{\"eventtype\":\"X\"}"), BODY_OTHER);
    assert_int_equal(decode("{}"), BODY_OTHER);
    assert_int_equal(decode("[{\"EventType\":\"X\"}]"), BODY_OTHER);
    assert_int_equal(decode("\"EventType\""), BODY_OTHER);
    assert_int_equal(decode(""), BODY_OTHER);
    assert_int_equal(decode("a=b&c=d"), BODY_OTHER);
    assert_int_equal(decode("nonsense {"), BODY_OTHER);
    assert_int_equal(decode("{\"EventType\":\"X\"} x"), BODY_UNREADABLE);
    assert_int_equal(decode("{\"EventType\":\"X\",\"n\":01}"), BODY_UNREADABLE);
    assert_int_equal(decode("  [1,"), BODY_UNREADABLE);
    assert_int_equal(decode("\xEF\xBB\xBF{\"EventType\":\"X\"}"), BODY_EVENT);
}

static void test_payload_key_decides(void **state)
{
    (void)state;
    decode("{\"EventType\":\"NewFileUpload\",\"FileDeleteEvent\":{\"FileIdSet\":[\"1\"]}}");
    assert_string_equal(event.type, "FileDeleted");
    assert_string_equal(event.said_type, "NewFileUpload");
    decode("{\"EventType\":\"FileDeleted\",\"FileUploadEvent\":{},\"FileDeleteEvent\":{}}");
    assert_string_equal(event.type, "FileDeleted");
    assert_null(event.said_type);
    decode("{\"FileUploadEvent\":null,\"PullCompleteEvent\":{},\"EventType\":\"PullComplete\"}");
    assert_string_equal(event.payload_key, "PullCompleteEvent");
    decode(
        "{\"EventType\":\"Brand new\",\"A\":null,\"BrandEvent\":{\"FileId\":\"7\",\"Status\":\"FINISH\"}}");
    assert_string_equal(event.payload_key, "BrandEvent");
    assert_string_equal(event.file_id, "7");
    assert_false(event.known);
    assert_int_equal(event.result, RESULT_OK);
    decode("{\"EventType\":\"New\",\"A\":{\"FileId\":\"1\"},\"B\":{\"FileId\":\"2\"}}");
    assert_null(event.payload_key);
    decode("{\"EventType\":\"New\",\"A\":{\"FileId\":\"1\"},\"NewEvent\":{\"FileId\":\"2\"}}");
    assert_string_equal(event.file_id, "2");
}

static void test_members(void **state)
{
    (void)state;
    decode(
        "{\"EventType\":\"PullComplete\",\"PullCompleteEvent\":{\"TaskId\":\"t\",\"FileId\":"
        "\"18446744073709551615\","
        "\"MetaData\":{\"Duration\":52.20833206176758,\"Size\":9007199254740993},\"Status\":\"FINISH\","
        "\"ErrCode\":0,\"ErrCodeExt\":\"\",\"Message\":\"SUCCESS\",\"SessionContext\":\"{\\\"a\\\":1}\"}}");
    assert_string_equal(event.file_id, "18446744073709551615");
    assert_string_equal(event.task_id, "t");
    assert_string_equal(event.duration, "52.20833206176758");
    assert_string_equal(event.size, "9007199254740993");
    assert_string_equal(event.session_context, "{\"a\":1}");
    assert_null(event.err_code);
    assert_null(event.err_message);
    decode("{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"FileId\":14508071098244959037,"
           "\"MetaData\":{\"Size\":\"many\",\"Duration\":null}}}");
    assert_string_equal(event.file_id, "14508071098244959037");
    assert_null(event.size);
    assert_null(event.duration);
}

/* A number is written as it stands, so that a text is one only where nothing else is in it. */
static void test_numbers_in_strings(void **state)
{
    (void)state;
    decode("{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"MetaData\":{\"Size\":\"5\","
           "\"Duration\":\"-1.5e3\"}}}");
    assert_string_equal(event.size, "5");
    assert_string_equal(event.duration, "-1.5e3");
    static const char *const others[] = {"\\n5", "5 ",  "\\ufeff5",  "5\\n", "05",
                                         "5,6",  "[5]", "\\\"5\\\"", ""};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        char body[200];
        snprintf(body, sizeof body,
                 "{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"MetaData\":{\"Size\":\"%s\","
                 "\"Duration\":\"%s\"}}}",
                 others[i], others[i]);
        assert_int_equal(decode(body), BODY_EVENT);
        if (event.size || event.duration)
            fail_msg("taken for a number: %s", others[i]);
    }
}

static void assert_files(const char *type, const char *payload, const char *expected)
{
    char body[1024];
    struct buffer ids = {0};
    snprintf(body, sizeof body, "{\"EventType\":\"%s\",\"SomeEvent\":%s}", type, payload);
    assert_int_equal(decode(body), BODY_EVENT);
    for (size_t i = 0; i < event.n_file_ids; i++)
        buffer_printf(&ids, "%s ", event.file_ids[i]);
    buffer_putc(&ids, '\0');
    assert_string_equal(ids.data, expected);
    if (event.n_file_ids)
        assert_ptr_equal(event.file_id, event.file_ids[0]);
    else
        assert_null(event.file_id);
    buffer_done(&ids);
}

/* Also those of a type that is not known. */
static void test_files(void **state)
{
    (void)state;
    assert_files("New", "{\"Output\":{\"FileId\":\"2\"},\"Input\":{\"FileId\":\"1\"}}", "1 2 ");
    assert_files("New",
                 "{\"Output\":{\"FileId\":\"9\"},\"Input\":{\"FileInfoSet\":[{\"FileId\":\"1\"},"
                 "{\"FileId\":\"2\"},{\"FileId\":\"1\"}]}}",
                 "9 1 2 ");
    assert_files("New",
                 "{\"FileInfoSet\":[{\"Input\":{\"FileId\":\"1\"},\"Output\":{\"FileId\":\"2\"}},null,"
                 "{\"Input\":{\"FileId\":\"1\"},\"Output\":{\"FileId\":\"3\"}}]}",
                 "1 2 3 ");
    assert_files("New",
                 "{\"FileIdSet\":[\"1\",2,\"\",null,\"1\"],\"FileDeleteResultInfo\":[{\"FileId\":\"3\"}]}",
                 "1 2 3 ");
    assert_files("New", "{\"SrcFileId\":\"1\",\"FileInfo\":{\"FileId\":\"2\"}}", "1 2 ");
    assert_files("New", "{\"InputInfo\":{\"FileId\":\"1\"}}", "1 ");
    assert_files("New",
                 "{\"Input\":{\"FileInfos\":[{\"FileId\":\"1\"}]},\"Output\":{\"FileInfos\":"
                 "[{\"FileId\":\"2\"},{\"FileId\":\"3\"}]}}",
                 "2 3 1 ");
    assert_files("New",
                 "{\"FileId\":\"1\",\"MediaProcessResultSet\":[{\"Type\":\"Transcode\",\"TranscodeTask\":"
                 "{\"Status\":\"SUCCESS\",\"Output\":{\"FileId\":\"2\"}}}],\"SubTaskSet\":[{\"TaskType\":"
                 "\"X\",\"Output\":{\"OutputFiles\":[{\"FileId\":\"3\"},{\"FileId\":\"4\"}]}}]}",
                 "1 2 3 4 ");
    assert_files("New", "{\"FileId\":{\"FileId\":null},\"FileInfoSet\":\"\",\"Output\":[]}", "");
}

static void expect_metadata(const char *payload, const char *duration, const char *size)
{
    char body[2048];
    snprintf(body, sizeof body, "{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{%s}}", payload);
    assert_int_equal(decode(body), BODY_EVENT);
    if (duration)
        assert_string_equal(event.duration, duration);
    else
        assert_null(event.duration);
    if (size)
        assert_string_equal(event.size, size);
    else
        assert_null(event.size);
}

static void test_metadata(void **state)
{
    (void)state;
    expect_metadata("\"MetaData\":{\"Duration\":0,\"Size\":0}", NULL, NULL);
    expect_metadata("\"MetaData\":{\"Duration\":0.0,\"Size\":0,\"Container\":\"\"}", NULL, NULL);
    expect_metadata("\"MetaData\":{\"Duration\":0,\"Size\":0,\"Container\":\"mp4\"}", "0", "0");
    expect_metadata("\"MetaData\":{\"Duration\":0,\"Size\":9}", "0", "9");
    expect_metadata("\"MetaData\":{\"Duration\":52.50,\"Size\":9}", "52.50", "9");
    expect_metadata("\"metaData\":{\"duration\":3601,\"floatDuration\":3601.40833,\"size\":9}", "3601.40833",
                    "9");
    expect_metadata("\"duration\":21,\"floatDuration\":20.96,\"fileSize\":9", "20.96", "9");
    /* The digits are those of the first member of that name, in an array those of its first element. */
    expect_metadata(
        "\"a\":{\"Duration\":1.5},\"MetaData\":[{\"x\":[],\"Duration\":52.20833206176758,\"Duration\":1.5}]",
        "52.20833206176758", NULL);
}

/* However long a number is, it is read, and kept digit for digit where it is written again. */
static void test_long_numbers(void **state)
{
    (void)state;
    char nines[301], body[2048], fraction[320];
    memset(nines, '9', 300);
    nines[300] = '\0';
    snprintf(fraction, sizeof fraction, "0.%s", nines);
    snprintf(body, sizeof body, "\"MetaData\":{\"Duration\":%s,\"Size\":-%s},\"x\":[-%s.5,%s]", fraction,
             nines, nines, fraction);
    char size[320];
    snprintf(size, sizeof size, "-%s", nines);
    expect_metadata(body, fraction, size);
    snprintf(body, sizeof body,
             "{\"EventType\":\"X\",\"T\":%s,\"XEvent\":{\"TaskId\":%s,\"Status\":%s,\"ErrCode\":%s}}", nines,
             nines, fraction, nines);
    assert_int_equal(decode(body), BODY_EVENT);
    assert_string_equal(event.task_id, nines);
    assert_string_equal(event.err_code, nines);
    assert_string_equal(event.sign_time, nines);
    assert_string_equal(event.status, fraction);
}

static void put_ids(struct buffer *to, size_t n, size_t different)
{
    for (size_t i = 0; i < n; i++)
        buffer_printf(to, "%s\"%zu\"", i ? "," : "", 1000000 + i % different);
}

/* A deletion of so many files, its list of them repeated as VOD does. */
static void deletion(struct buffer *to, size_t n, size_t different)
{
    buffer_puts(to, "{\"EventType\":\"FileDeleted\",\"FileDeleteEvent\":{\"FileIdSet\":[");
    put_ids(to, n, different);
    buffer_puts(to, "],\"FileDeleteResultInfo\":[");
    for (size_t i = 0; i < n; i++)
        buffer_printf(to, "%s{\"FileId\":\"%zu\",\"DeleteParts\":[]}", i ? "," : "", 1000000 + i % different);
    buffer_puts(to, "]}}");
    assert_false(to->failed);
}

/* Past a limit ids are counted and not kept. */
static void test_many_files(void **state)
{
    (void)state;
    static const struct {
        size_t n, different, kept, count;
    } rows[] = {
        {7, 7, 7, 7},
        {999, 999, 999, 999},
        {2000, 500, 500, 500},
        {1000, 1000, 1000, 1000},
        {1001, 1001, 1000, 1001},
        {30000, 30000, 1000, 30000},
    };
    struct event_decoder *large;
    assert_int_equal(event_decoder_new(64 * 1024 * 1024, &large), 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buffer b = {0};
        char last[16];
        deletion(&b, rows[i].n, rows[i].different);
        assert_int_equal(event_decode(large, b.data, b.len, &json, &event), BODY_EVENT);
        assert_int_equal(event.n_file_ids, rows[i].kept);
        assert_int_equal(event.file_count, rows[i].count);
        assert_false(event.of_parts);
        snprintf(last, sizeof last, "%zu", 1000000 + rows[i].kept - 1);
        assert_string_equal(event.file_ids[0], "1000000");
        assert_string_equal(event.file_ids[rows[i].kept - 1], last);
        buffer_done(&b);
    }
    event_decoder_free(large);
}

/* The nodes and the values together stay within the limit, and never is a part taken for all. */
static void test_memory(void **state)
{
    (void)state;
    struct event_decoder *d;
    struct buffer b = {0};
    size_t whole = 0;
    deletion(&b, 20000, 20000);
    for (size_t memory = 1 << 20; memory <= 16 << 20; memory += 1 << 20) {
        assert_int_equal(event_decoder_new(memory, &d), 0);
        if (event_decode(d, b.data, b.len, &json, &event) == BODY_EVENT) {
            assert_int_equal(event.file_count, 20000);
            whole++;
        } else {
            assert_non_null(strstr(json->error, "64 MiB of memory"));
        }
        assert_int_equal(event_decode(d, "{\"EventType\":\"X\"}", 17, &json, &event), BODY_EVENT);
        event_decoder_free(d);
    }
    assert_in_range(whole, 1, 15);
    buffer_done(&b);
}

static void test_parts(void **state)
{
    (void)state;
    decode("{\"EventType\":\"FileDeleted\",\"FileDeleteEvent\":{\"FileIdSet\":[\"1\",\"2\"],"
           "\"FileDeleteResultInfo\":["
           "{\"FileId\":\"1\",\"DeleteParts\":[]},{\"FileId\":\"2\",\"DeleteParts\":[{\"Type\":"
           "\"OriginalFiles\","
           "\"Definition\":0}]}]}}");
    assert_true(event.of_parts);
}

static void assert_result(enum event_result expected, const char *payload_members)
{
    char body[1024];
    snprintf(body, sizeof body,
             "{\"EventType\":\"ProcedureStateChanged\",\"ProcedureStateChangeEvent\":{%s}}", payload_members);
    assert_int_equal(decode(body), BODY_EVENT);
    if (event.result != expected)
        fail_msg("%s: %s", payload_members, event_result_name(event.result));
}

static void test_result(void **state)
{
    (void)state;
    assert_result(RESULT_OK, "\"Status\":\"FINISH\"");
    assert_result(RESULT_FAILED, "\"Status\":\"FINISH\",\"ErrCode\":70000,\"Message\":\"why\"");
    assert_string_equal(event.err_code, "70000");
    assert_string_equal(event.err_message, "why");
    assert_result(RESULT_FAILED,
                  "\"Status\":\"FINISH\",\"ErrCode\":70000,\"Message\":\"why\","
                  "\"MediaProcessResultSet\":[{\"Type\":\"Transcode\",\"TranscodeTask\":"
                  "{\"Status\":\"FAIL\",\"ErrCodeExt\":\"InternalError\",\"Message\":\"other\"}}]");
    assert_string_equal(event.err_code, "70000");
    assert_string_equal(event.err_message, "why");
    assert_string_equal(event.tasks[0].err_code, "InternalError");
    assert_string_equal(event.tasks[0].err_message, "other");
    assert_result(RESULT_PENDING, "\"Status\":\"PROCESSING\"");
    assert_result(RESULT_PENDING, "\"Status\":\"WAITING\"");
    assert_result(RESULT_FAILED, "\"Status\":\"ABORTED\"");
    assert_result(RESULT_UNKNOWN, "\"Status\":\"Working\"");
    assert_result(RESULT_FAILED,
                  "\"Status\":\"PROCESSING\",\"MediaProcessResultSet\":[{\"Type\":\"Transcode\","
                  "\"TranscodeTask\":{\"Status\":\"FAIL\",\"ErrCode\":0}}]");
    assert_result(RESULT_FAILED,
                  "\"Status\":\"FINISH\",\"MediaProcessResultSet\":[{\"Type\":\"Transcode\","
                  "\"TranscodeTask\":{\"Status\":\"SUCCESS\",\"ErrCodeExt\":\"InternalError\"}}]");
    assert_result(RESULT_OK,
                  "\"Status\":\"FINISH\",\"MediaProcessResultSet\":[null,5,{},{\"Type\":\"Transcode\","
                  "\"TranscodeTask\":{\"Status\":\"SUCCESS\",\"Progress\":0}}]");
    assert_result(RESULT_OK, "");
    decode("{\"EventType\":\"New\",\"NewEvent\":{\"FileId\":\"1\"}}");
    assert_int_equal(event.result, RESULT_UNKNOWN);
}

/* There the code of a flow is a code. */
static void test_legacy_flow(void **state)
{
    (void)state;
    decode("{\"data\":{\"vodTaskId\":\"t\",\"status\":\"FINISH\",\"errCode\":30010,\"message\":\"no\"},"
           "\"eventType\":\"ProcedureStateChanged\",\"version\":\"4.0\"}");
    assert_true(event.legacy);
    assert_int_equal(event.result, RESULT_FAILED);
    assert_string_equal(event.err_code, "30010");
    assert_string_equal(event.err_message, "no");
    decode("{\"EventType\":null,\"eventType\":\"ProcedureStateChanged\",\"data\":{\"status\":\"FINISH\","
           "\"errCode\":0,\"message\":\"no\",\"contentReviewList\":[{\"status\":\"SUCCESS\"}]}}");
    assert_true(event.legacy);
    assert_int_equal(event.result, RESULT_OK);
    assert_null(event.err_message);
    assert_string_equal(event.tasks[0].type, "AiContentReview");
}

static void test_sub_tasks(void **state)
{
    (void)state;
    decode("{\"EventType\":\"ProcedureStateChanged\",\"ProcedureStateChangeEvent\":{\"Status\":\"FINISH\","
           "\"AiContentReviewResultSet\":[{\"Type\":\"Porn.Asr\",\"Progress\":100,\"PornTask\":null,"
           "\"PornAsrTask\":"
           "{\"Status\":\"SUCCESS\",\"ErrCode\":\"0\",\"Input\":{\"Definition\":10},\"Output\":"
           "{\"Suggestion\":\"block\"}}}],\"MediaProcessResultSet\":[{\"Type\":\"AnimatedGraphics\","
           "\"AnimatedGraphicTask\":{\"Status\":\"FAIL\",\"ErrCodeExt\":\"\",\"ErrCode\":60000,\"Message\":"
           "\"why\","
           "\"Input\":{\"Definition\":20000},\"Output\":null}}]}}");
    assert_int_equal(event.n_tasks, 2);
    assert_string_equal(event.tasks[0].type, "AnimatedGraphics");
    assert_string_equal(event.tasks[0].definition, "20000");
    assert_string_equal(event.tasks[0].err_code, "60000");
    assert_string_equal(event.tasks[1].suggestion, "block");
    assert_null(event.tasks[1].err_code);
    assert_string_equal(event.err_code, "60000");
    assert_string_equal(event.err_message, "why");
}

/* --- The fixtures --------------------------------------------------------------------------------------- */

static char *read_file(const char *path, size_t *ret_len)
{
    cleanup_fclose FILE *f = fopen(path, "re");
    if (!f)
        fail_msg("%s is missing", path);
    char *data = calloc(1, 1 << 16);
    *ret_len = fread(data, 1, (1 << 16) - 1, f);
    return data;
}

/* Returns how many there are. */
static int check_folder(const char *folder, bool legacy, bool *seen)
{
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    int n = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        char *end = strstr(entry->d_name, ".json"), path[512];
        if (!end)
            continue;
        size_t len, expected_len;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        cleanup_free char *body = read_file(path, &len);
        snprintf(path, sizeof path, "%s/%.*s.expected", folder, (int)(end - entry->d_name), entry->d_name);
        cleanup_free char *expected = read_file(path, &expected_len);
        if (event_decode(decoder, body, len, &json, &event) != BODY_EVENT)
            fail_msg("%s is no event", entry->d_name);
        assert_int_equal(event.legacy, legacy);
        struct buffer summary = {0};
        event_summary(&summary, &event);
        buffer_puts(&summary, "\n");
        buffer_putc(&summary, '\0');
        if (strcmp(summary.data, expected) != 0)
            fail_msg("%s:\n got %s want %s", entry->d_name, summary.data, expected);
        buffer_done(&summary);
        const struct event_type *type = event_type_by_name(slice_of(event.type));
        if (type)
            seen[type - event_types] = true;
        n++;
    }
    closedir(dir);
    return n;
}

static void test_fixtures(void **state)
{
    (void)state;
    bool seen[100] = {false};
    assert_true(check_folder(FIXTURES "/events", false, seen) > 0);
    assert_true(check_folder(FIXTURES "/events/old", true, seen) > 0);
    for (size_t i = 0; event_types[i].name; i++)
        if (!seen[i])
            fail_msg("no fixture of %s", event_types[i].name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_an_event),
        cmocka_unit_test(test_payload_key_decides),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_many_files),
        cmocka_unit_test(test_result),
        cmocka_unit_test(test_sub_tasks),
        cmocka_unit_test(test_numbers_in_strings),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_metadata),
        cmocka_unit_test(test_long_numbers),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_legacy_flow),
        cmocka_unit_test(test_fixtures),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
