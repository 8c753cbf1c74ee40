/* test_intake.c: what a body is taken for, and who is believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "source/intake.h"

/* A sink that remembers the last record's flags. */
struct memory {
    struct sink sink;
    int n;
    enum record_kind kind;
    enum record_trust trust;
    bool unreadable, truncated;
    char reason[128];
};

static int memory_put(struct sink *s, struct record *r)
{
    struct memory *m = (struct memory *)s;
    m->n++;
    m->kind = r->kind;
    m->trust = r->trust;
    m->unreadable = r->unreadable;
    m->truncated = r->truncated;
    snprintf(m->reason, sizeof m->reason, "%s", r->reason ? r->reason : "");
    return 0;
}

static void memory_free(struct sink *s)
{
    (void)s;
}

static const struct sink_ops memory_ops = {.name = "memory", .put = memory_put, .free = memory_free};

static struct memory memory;
static struct recorder *recorder;
static struct intake *intake;
static const struct arrival push = {
    .source = SOURCE_PUSH, .remote = "test", .right_path = true, .post = true};

static void start(struct intake_config config)
{
    memory = (struct memory){.sink = {&memory_ops}};
    struct sink *others[] = {&memory.sink};
    config.decode_memory_max = 1024 * 1024;
    assert_int_equal(recorder_new(NULL, others, 1, &recorder), 0);
    assert_int_equal(intake_new(&config, recorder, &intake), 0);
}

static int stop(void **state)
{
    (void)state;
    intake = intake_free(intake);
    recorder = recorder_free(recorder);
    return 0;
}

static void give(struct arrival a, const char *body)
{
    a.body = slice_of(body);
    a.body_bytes = a.body.len;
    a.time = INT64_C(1764000000) * 1000000;
    memory.n = 0;
    assert_int_equal(intake_put(intake, &a, NULL), 0);
}

static void test_kinds(void **state)
{
    (void)state;
    start((struct intake_config){0});
    give(push, "{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"FileId\":\"1\"}}");
    assert_int_equal(memory.kind, RECORD_EVENT);
    assert_int_equal(memory.trust, TRUST_UNCHECKED);
    give(push, "{\"hello\":1}");
    assert_int_equal(memory.kind, RECORD_REQUEST);
    assert_false(memory.unreadable);
    give(push, "");
    assert_int_equal(memory.kind, RECORD_REQUEST);
    assert_false(memory.unreadable);
    give(push, "{\"EventType\":\"NewFileUpload\"} x");
    assert_int_equal(memory.kind, RECORD_REQUEST);
    assert_true(memory.unreadable);
    assert_true(strlen(memory.reason) > 0);
    struct arrival get = push;
    get.post = false;
    give(get, "{\"EventType\":");
    assert_false(memory.unreadable);
}

static void test_wrong_path(void **state)
{
    (void)state;
    start((struct intake_config){0});
    struct arrival wrong = push;
    wrong.right_path = false;
    give(wrong, "{\"EventType\":\"NewFileUpload\"}");
    assert_int_equal(memory.kind, RECORD_EVENT);
    assert_int_equal(memory.trust, TRUST_REFUSED);
    assert_string_equal(memory.reason, "wrong path");
    give(wrong, "{\"EventType\":");
    assert_false(memory.unreadable);
    give(push, "{\"EventType\":\"NewFileUpload\"}");
    assert_int_equal(memory.trust, TRUST_UNCHECKED);
}

/* MD5("mysignkey" + "1764000600"), a published vector. */
static void test_sign(void **state)
{
    (void)state;
    start((struct intake_config){.sign_key = slice_of("mysignkey")});
    give(push,
         "{\"EventType\":\"NewFileUpload\",\"Sign\":\"46473246a29cede666bca8dafd731005\",\"T\":1764000600}");
    assert_int_equal(memory.trust, TRUST_VERIFIED);
    give(push, "{\"EventType\":\"NewFileUpload\",\"Sign\":\"46473246A29CEDE666BCA8DAFD731005\",\"T\":"
               "\"1764000600\"}");
    assert_int_equal(memory.trust, TRUST_VERIFIED);
    give(push,
         "{\"EventType\":\"NewFileUpload\",\"Sign\":\"46473246a29cede666bca8dafd731006\",\"T\":1764000600}");
    assert_int_equal(memory.trust, TRUST_REFUSED);
    assert_string_equal(memory.reason, "wrong Sign");
    give(push, "{\"EventType\":\"NewFileUpload\"}");
    assert_int_equal(memory.trust, TRUST_REFUSED);
    assert_string_equal(memory.reason, "no Sign");
}

static void test_pulled_is_believed_and_kept(void **state)
{
    (void)state;
    start((struct intake_config){.sign_key = slice_of("mysignkey")});
    struct arrival pull = push;
    pull.source = SOURCE_PULL;
    give(pull, "{\"EventType\":\"NewFileUpload\"}");
    assert_int_equal(memory.trust, TRUST_VERIFIED);
    give(pull, "{\"EventHandle\":\"1\"}");
    assert_true(memory.unreadable);
}

static void test_limits(void **state)
{
    (void)state;
    struct rate_limit requests, unreadable;
    rate_limit_init(&requests, "requests", 0, 2);
    rate_limit_init(&unreadable, "unreadable", 0, 1);
    start((struct intake_config){.requests = &requests, .unreadable = &unreadable});
    int requests_seen = 0, unreadable_seen = 0, events_seen = 0;
    for (int i = 0; i < 5; i++) {
        give(push, "hello");
        requests_seen += memory.n;
        give(push, "{");
        unreadable_seen += memory.n;
        give(push, "{\"EventType\":\"NewFileUpload\"}");
        events_seen += memory.n;
    }
    assert_int_equal(requests_seen, 2);
    assert_int_equal(unreadable_seen, 1);
    assert_int_equal(events_seen, 5);
    assert_int_equal(requests.left_out, 3);
    assert_int_equal(unreadable.left_out, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_kinds, stop),
        cmocka_unit_test_teardown(test_wrong_path, stop),
        cmocka_unit_test_teardown(test_sign, stop),
        cmocka_unit_test_teardown(test_pulled_is_believed_and_kept, stop),
        cmocka_unit_test_teardown(test_limits, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
