/* test_json_line.c: the line of JSON, member by member. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <cjson/cJSON.h>
#include <stdio.h>

#include "record/json_line.h"
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

/* The end of an id. */
#define ZEROS "00000000000000000000000000000000000000000000000000000000000000"

static void test_event(void **state)
{
    (void)state;
    const char *const files[] = {"53", "54"}, *const urls[] = {"https://cdn.example.net/c.jpg", "u2"};
    const struct event_task tasks[] = {
        {.type = "Transcode",
         .definition = "10",
         .status = "FAIL",
         .err_code = "SourceFileError",
         .err_message = "why"},
        {.type = "Porn",
         .status = "SUCCESS",
         .suggestion = "pass",
         .url = urls[0],
         .urls = urls,
         .n_urls = 2},
    };
    const struct event event = {
        .type = "ProcedureStateChanged",
        .file_id = "53",
        .file_ids = files,
        .n_file_ids = 2,
        .file_count = 2000,
        .task_id = "125-procedure-1",
        .sub_app_id = "1500000001",
        .name = "\xe5\x8b\x95 \"x\"",
        .status = "FINISH",
        .result = RESULT_FAILED,
        .err_code = "70000",
        .err_message = "no",
        .suggestion = "review",
        .url = "https://cdn.example.net/v.mp4",
        .duration = "60.20",
        .size = "18446744073709551616",
        .source_context = "source",
        .session_context = "ctx",
        .session_id = "s",
        .procedure_task_id = "p",
        .review_task_id = "r",
        .tasks = tasks,
        .n_tasks = 2,
    };
    struct record r = event_record(&event, &json, slice_of("{\"EventType\": 1.50,\t\"x\":[ ]}"));
    r.duplicate = true;
    r.seen = 3;
    r.digest[0] = 0xA5;
    assert_line(&r,
                "{'time':'2026-11-24T03:37:05.123Z','format':1,'id':'a5" ZEROS "',"
                "'key':'ProcedureStateChanged/125-procedure-1/FINISH','kind':'event','source':'push',"
                "'remote':'192.0.2.7:55012','trust':'unchecked','reason':null,'duplicate':true,'seen':3,"
                "'summary':'the \\'summary\\'','result':'failed','type':'ProcedureStateChanged',"
                "'file_id':'53','task_id':'125-procedure-1','sub_app_id':'1500000001',"
                "'name':'\xe5\x8b\x95 \\'x\\'','status':'FINISH','err_code':'70000','err_message':'no',"
                "'suggestion':'review','url':'https://cdn.example.net/v.mp4','duration':60.20,"
                "'size':18446744073709551616,'source_context':'source','session_context':'ctx',"
                "'session_id':'s','procedure_task_id':'p','review_task_id':'r','file_ids':['53','54'],"
                "'file_count':2000,'tasks':[{'type':'Transcode','definition':'10','status':'FAIL',"
                "'err_code':'SourceFileError','err_message':'why','suggestion':null,'url':null,'urls':null},"
                "{'type':'Porn','definition':null,'status':'SUCCESS','err_code':null,'err_message':null,"
                "'suggestion':'pass','url':'https://cdn.example.net/c.jpg',"
                "'urls':['https://cdn.example.net/c.jpg','u2']}],"
                "'event':{'EventType': 1.50,\t'x':[ ]},'method':null,'target':null,'headers':null,"
                "'body':null,'body_bytes':28,'truncated':false,'unreadable':false}");
}

#define NO_SUBJECT                                                                                       \
    "'file_id':null,'task_id':null,'sub_app_id':null,'name':null,'status':null,'err_code':null,"         \
    "'err_message':null,'suggestion':null,'url':null,'duration':null,'size':null,'source_context':null," \
    "'session_context':null,'session_id':null,'procedure_task_id':null,'review_task_id':null,"           \
    "'file_ids':null,'file_count':0,'tasks':null,"

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
                "{'time':'2026-11-24T03:37:05.123Z','format':1,'id':'00" ZEROS "-1795491425',"
                "'key':'X/00" ZEROS "-1795491425','kind':'event','source':'pull',"
                "'remote':'vod.tencentcloudapi.com','trust':'refused','reason':'no Sign','duplicate':false,"
                "'seen':null,'summary':'the \\'summary\\'','result':'unknown','type':'X'," NO_SUBJECT
                "'event':{'EventType':'X'},'method':null,'target':null,'headers':null,'body':null,"
                "'body_bytes':17,'truncated':false,'unreadable':false}");
}

static void assert_key(const struct event *event, const char *expected)
{
    struct record r = event_record(event, &json, slice_of("{}"));
    struct buffer key = {0};
    r.first_time = INT64_C(1764000600999999);
    record_key(&key, &r);
    buffer_putc(&key, 0);
    assert_string_equal(key.data, expected);
    buffer_done(&key);
}

static void test_keys(void **state)
{
    (void)state;
    assert_key(&(struct event){.type = "NewFileUpload", .file_id = "5"}, "NewFileUpload/5");
    assert_key(&(struct event){.type = "A", .file_id = "5", .task_id = "t", .status = "FINISH"},
               "A/t/FINISH");
    assert_key(&(struct event){.type = "B", .file_id = "5", .status = "0"}, "B/5/0");
    assert_key(&(struct event){.type = "C"}, "C/00" ZEROS "-1764000600");
    assert_key(&(struct event){.type = "NewFileUpload"}, "NewFileUpload/00" ZEROS);
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
                "{'time':'2026-11-24T03:37:05.123Z','format':1,'id':'00" ZEROS "','key':null,"
                "'kind':'request','source':'push','remote':'[2001:db8::1]:55012','trust':'unchecked',"
                "'reason':'why','duplicate':false,'seen':null,'summary':'the \\'summary\\'','result':null,"
                "'type':null," NO_SUBJECT
                "'event':null,'method':'POST','target':'/x?\\u0085','headers':{'Host':'h\\'1',"
                "'Accept':'a, b, c','X':'\xef\xbf\xbd\\u001b'},'body':'a\\u000a\xef\xbf\xbd\\u0000 and more "
                "th','body_bytes':28,'truncated':true,'unreadable':true}");

    r = request_record("GET", "/", (struct slice){0});
    assert_non_null(strstr(write_line(&r), "\"format\":1,\"id\":null,\"key\":null,"));
    assert_non_null(strstr(write_line(&r), "\"method\":\"GET\",\"target\":\"/\",\"headers\":{},\"body\":\"\","
                                           "\"body_bytes\":0,\"truncated\":false,\"unreadable\":false}"));
    r.method = r.target = (struct slice){0};
    assert_non_null(
        strstr(write_line(&r), "\"method\":null,\"target\":null,\"headers\":null,\"body\":\"\","));
}

/* Both kinds have the same members in the same order, those that the schema requires. */
static void test_members(void **state)
{
    (void)state;
    const struct event event = {.type = "X"};
    struct record e = event_record(&event, &json, slice_of("{}"));
    struct record r = request_record("GET", "/", (struct slice){0});
    struct slice schema = json_line_schema();
    cJSON *a = cJSON_Parse(write_line(&e)), *b = cJSON_Parse(write_line(&r));
    cJSON *described = cJSON_ParseWithLength(schema.data, schema.len);
    const cJSON *required = cJSON_GetObjectItem(described, "required"), *name;
    assert_int_equal(cJSON_GetArraySize(required), cJSON_GetArraySize(a));
    cJSON_ArrayForEach(name, required) assert_true(cJSON_HasObjectItem(a, cJSON_GetStringValue(name)));
    cJSON_Delete(described);
    assert_int_equal(cJSON_GetArraySize(a), 41);
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
        {"{\"a\": \"\\ud800x\\ud83d\\ude00\\u0000\"}", "{\"a\":\"\\ufffdx\\ud83d\\ude00\\u0000\"}"},
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
        cmocka_unit_test(test_event),   cmocka_unit_test(test_sparse_event),
        cmocka_unit_test(test_keys),    cmocka_unit_test(test_request),
        cmocka_unit_test(test_members), cmocka_unit_test(test_event_is_rewritten_where_needed),
    };
    return cmocka_run_group_tests(tests, NULL, done);
}
