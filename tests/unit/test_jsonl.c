/* test_jsonl.c: the line of JSON, member by member. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <cjson/cJSON.h>
#include <stdio.h>

#include "record/format.h"
#include "records.h"

static struct json json;
static struct buffer line;

/* The line, without its end, as a string. */
static const char *write_line(struct record *r)
{
    struct timestamp cache = {0};
    buffer_reset(&line, 0);
    r->summary = slice_of("the \"summary\"");
    record_json(&line, &cache, r, 16);
    assert_false(line.failed);
    assert_int_equal(line.data[line.len - 1], '\n');
    assert_null(memchr(line.data, '\n', line.len - 1));
    line.data[line.len - 1] = 0;
    return line.data;
}

/* The expected line is written with ' in place of ". */
static void assert_line(struct record *r, const char *expected)
{
    char text[4096];
    size_t n = 0;
    for (; expected[n] && n < sizeof text - 1; n++)
        text[n] = expected[n] == '\'' ? '"' : expected[n];
    text[n] = 0;
    assert_string_equal(write_line(r), text);
}

static int done(void **state)
{
    (void)state;
    buffer_done(&line);
    return 0;
}

static void test_event(void **state)
{
    (void)state;
    const char *const files[] = {"53", "54"};
    const struct event_task tasks[] = {
        {.type = "Transcode", .definition = "10", .status = "FAIL", .err_code = "SourceFileError"},
        {.type = "Cover", .status = "SUCCESS", .url = "https://cdn.example.net/c.jpg"},
    };
    const struct event event = {
        .type = "ProcedureStateChanged",
        .file_id = "53",
        .file_ids = files,
        .n_file_ids = 2,
        .task_id = "125-procedure-1",
        .name = "\xe5\x8b\x95 \"x\"",
        .status = "FINISH",
        .result = RESULT_FAILED,
        .err_code = "70000",
        .err_message = "no",
        .url = "https://cdn.example.net/v.mp4",
        .duration = "60.20",
        .size = "18446744073709551616",
        .session_context = "ctx",
        .tasks = tasks,
        .n_tasks = 2,
    };
    struct record r = event_record(&event, &json, slice_of("{\"EventType\": 1.50,\t\"x\":[ ]}"));
    r.duplicate = true;
    assert_line(&r,
                "{'time':'2026-11-24T03:37:05.123Z','source':'push','remote':'192.0.2.7:55012',"
                "'kind':'event','type':'ProcedureStateChanged','file_id':'53','file_ids':['53','54'],"
                "'task_id':'125-procedure-1','name':'\xe5\x8b\x95 \\'x\\'','status':'FINISH',"
                "'result':'failed','err_code':'70000','err_message':'no',"
                "'url':'https://cdn.example.net/v.mp4','duration':60.20,'size':18446744073709551616,"
                "'session_context':'ctx','trust':'unchecked','reason':null,'duplicate':true,"
                "'summary':'the \\'summary\\'','tasks':[{'type':'Transcode','definition':'10',"
                "'status':'FAIL','err_code':'SourceFileError','url':null},{'type':'Cover','definition':null,"
                "'status':'SUCCESS','err_code':null,'url':'https://cdn.example.net/c.jpg'}],"
                "'event':{'EventType': 1.50,\t'x':[ ]},'method':null,'target':null,'headers':null,"
                "'body':null,'body_bytes':28,'truncated':false,'unreadable':false}");
}

static void test_sparse_event(void **state)
{
    (void)state;
    const struct event event = {.type = "X", .result = RESULT_UNKNOWN};
    struct record r = event_record(&event, &json, slice_of("{\"EventType\":\"X\"}"));
    r.source = SOURCE_PULL;
    r.remote = "vod.tencentcloudapi.com";
    r.trust = TRUST_REFUSED;
    r.reason = "no Sign";
    assert_line(&r,
                "{'time':'2026-11-24T03:37:05.123Z','source':'pull','remote':'vod.tencentcloudapi.com',"
                "'kind':'event','type':'X','file_id':null,'file_ids':null,'task_id':null,'name':null,"
                "'status':null,'result':'unknown','err_code':null,'err_message':null,'url':null,"
                "'duration':null,'size':null,'session_context':null,'trust':'refused','reason':'no Sign',"
                "'duplicate':false,'summary':'the \\'summary\\'','tasks':null,'event':{'EventType':'X'},"
                "'method':null,'target':null,'headers':null,'body':null,'body_bytes':17,'truncated':false,"
                "'unreadable':false}");
}

static void test_request(void **state)
{
    (void)state;
    const struct header headers[] = {
        {slice_of("Host"), slice_of("h\"1")}, {slice_of("Accept"), slice_of("a")},
        {slice_of("ACCEPT"), slice_of("b")},  {slice_of("X"), slice_of("\xff\x1b")},
        {slice_of("accept"), slice_of("c")},
    };
    struct record r =
        request_record("POST", "/x?\xc2\x85", (struct slice){"a\n\xff\0 and more than is shown", 28});
    r.headers = headers;
    r.n_headers = 5;
    r.unreadable = true;
    r.reason = "why";
    assert_line(&r,
                "{'time':'2026-11-24T03:37:05.123Z','source':'push','remote':'[2001:db8::1]:55012',"
                "'kind':'request','type':null,'file_id':null,'file_ids':null,'task_id':null,'name':null,"
                "'status':null,'result':null,'err_code':null,'err_message':null,'url':null,'duration':null,"
                "'size':null,'session_context':null,'trust':'unchecked','reason':'why','duplicate':false,"
                "'summary':'the \\'summary\\'','tasks':null,'event':null,'method':'POST',"
                "'target':'/x?\\u0085','headers':{'Host':'h\\'1','Accept':'a, b, c',"
                "'X':'\xef\xbf\xbd\\u001b'},'body':'a\\u000a\xef\xbf\xbd\\u0000 and more th','body_bytes':28,"
                "'truncated':true,'unreadable':true}");

    r = request_record("GET", "/", (struct slice){0});
    assert_non_null(strstr(write_line(&r), "\"method\":\"GET\",\"target\":\"/\",\"headers\":{},\"body\":\"\","
                                           "\"body_bytes\":0,\"truncated\":false,\"unreadable\":false}"));
    r.method = r.target = (struct slice){0};
    assert_non_null(
        strstr(write_line(&r), "\"method\":null,\"target\":null,\"headers\":null,\"body\":\"\","));
}

/* Both kinds have the same members in the same order. */
static void test_members(void **state)
{
    (void)state;
    const struct event event = {.type = "X"};
    struct record e = event_record(&event, &json, slice_of("{}"));
    struct record r = request_record("GET", "/", (struct slice){0});
    cJSON *a = cJSON_Parse(write_line(&e)), *b = cJSON_Parse(write_line(&r));
    assert_int_equal(cJSON_GetArraySize(a), 30);
    const cJSON *x = a->child, *y = b->child;
    for (; x && y; x = x->next, y = y->next)
        assert_string_equal(x->string, y->string);
    assert_true(!x && !y);
    cJSON_Delete(a);
    cJSON_Delete(b);
}

/* What would break the line, or is to be hidden, is not passed on as it is. */
static void test_event_is_rewritten_where_needed(void **state)
{
    (void)state;
    const struct event event = {.type = "X"};
    const char *const bodies[][2] = {
        {"{\"a\": 1,\r\n\"b\":[1, 2]}", "{\"a\":1,\"b\":[1,2]}"},
        {"{\"a\": \"\xff\"}", "{\"a\":\"\xef\xbf\xbd\"}"},
        {"{\"a\": \"\n\"}", "{\"a\":\"\\u000a\"}"},
        {"{\"a\": \"\xe2\x80\xa8\"}", "{\"a\":\"\\u2028\"}"},
        {"{\"Sign\": \"secret\", \"b\": {\"Sign\":\"s\"}}", "{\"Sign\":\"***\",\"b\":{\"Sign\":\"s\"}}"},
        {"\xef\xbb\xbf {\"a\": 1} ", "{\"a\": 1}"},
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        char expected[128];
        struct record r = event_record(&event, &json, slice_of(bodies[i][0]));
        snprintf(expected, sizeof expected, "\"event\":%s,\"method\"", bodies[i][1]);
        if (!strstr(write_line(&r), expected))
            fail_msg("%s is not in %s", expected, line.data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_event),
        cmocka_unit_test(test_sparse_event),
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_event_is_rewritten_where_needed),
    };
    return cmocka_run_group_tests(tests, NULL, done);
}
