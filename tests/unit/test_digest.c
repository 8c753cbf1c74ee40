/* test_digest.c: which spellings of an event are one, and which are two. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <nettle/sha2.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "event/digest.h"

/* As the decoder fills it in for the events below. */
static const struct event upload = {.type = "NewFileUpload", .known = true, .payload_key = "FileUploadEvent"};

static void digest_of(const struct event *e, struct slice body, uint8_t ret[DIGEST_SIZE])
{
    struct json json = {0};
    assert_true(json_read(&json, body.data, body.len));
    assert_int_equal(digest_event(e, &json, ret), 0);
    json_done(&json);
}

static bool same(const struct event *e, const char *a, const char *b)
{
    uint8_t x[DIGEST_SIZE], y[DIGEST_SIZE];
    digest_of(e, slice_of(a), x);
    digest_of(e, slice_of(b), y);
    return memcmp(x, y, DIGEST_SIZE) == 0;
}

static void assert_canonical(const struct event *e, struct slice body, struct slice canonical)
{
    uint8_t x[DIGEST_SIZE], y[DIGEST_SIZE];
    struct sha256_ctx hash;
    sha256_init(&hash);
    sha256_update(&hash, canonical.len, (const uint8_t *)canonical.data);
    sha256_digest(&hash, DIGEST_SIZE, y);
    digest_of(e, body, x);
    assert_memory_equal(x, y, DIGEST_SIZE);
}

#define LITERAL(s) ((struct slice){s, sizeof(s) - 1})

static void the_canonical_form_is_as_documented(void **state)
{
    (void)state;
    assert_canonical(
        &upload,
        LITERAL(" { \"EventType\" : \"NewFileUpload\" , \"Sign\":\"aa\", \"T\":1,\n\"FileUploadEvent\""
                " : {\"b\" : [ 1 , null, {} , \"x\\/y\" ] , \"a\\u0062\" : -0.50E+1, \"n\":null,"
                "\"a\":\"\\u0000\\ud83d\\ude00\\ud800\\\\\\\"\\t\"} } \n"),
        LITERAL("\"NewFileUpload\"{\"\":{\"a\":\"\0\xF0\x9F\x98\x80\xED\xA0\x80\\\\\\\"\t\","
                "\"ab\":-0.50E+1,\"b\":[1,null,{},\"x/y\"]}}"));
}

static void what_the_spelling_changes_is_the_same(void **state)
{
    (void)state;
    const char *plain =
        "{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"FileId\":\"12\",\"Name\":\"a/\u00e9\","
        "\"Sizes\":[1,2],\"Meta\":{\"W\":1,\"H\":2}}}";
    const char *others[] = {
        "\n{ \"FileUploadEvent\": {\"Meta\":{\"H\":2,\"W\":1},\"Sizes\":[ 1,\t2 ],\"Name\":\"a\\/\\u00e9\","
        "\"FileId\":\"\\u0031\\u0032\"}, \"EventType\": \"NewFileUpload\"}\n",
        "{\"EventHandle\":\"77\",\"EventType\":\"NewFileUpload\",\"FileDeleteEvent\":null,"
        "\"FileUploadEvent\":{"
        "\"FileId\":\"12\",\"Nothing\":null,\"N\\u0061me\":\"a/"
        "\u00e9\",\"Sizes\":[1,2],\"Meta\":{\"W\":1,\"H\":2,"
        "\"R\":null}},\"PullCompleteEvent\":null}",
        "{\"EventType\":\"NewFileUpload\",\"T\":1764000600,\"Sig\\u006e\":\"0123\",\"FileUploadEvent\":{"
        "\"FileId\":"
        "\"12\",\"Name\":\"a/\\u00E9\",\"Sizes\":[1,2],\"Meta\":{\"W\":1,\"H\":2}}}",
        "{\"FileUploadEvent\":{\"FileId\":\"12\",\"Name\":\"a/"
        "\u00e9\",\"Sizes\":[1,2],\"Meta\":{\"W\":1,\"H\":2}}}",
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_true(same(&upload, plain, others[i]));
}

#define UPLOAD(payload) "{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":" payload "}"

static void what_the_content_changes_is_another(void **state)
{
    (void)state;
    const char *distinct[] = {
        UPLOAD("{}"),
        UPLOAD("[]"),
        UPLOAD("{\"a\":12345678901234567890}"),
        UPLOAD("{\"a\":12345678901234567891}"),
        UPLOAD("{\"a\":\"12345678901234567890\"}"),
        UPLOAD("{\"a\":1}"),
        UPLOAD("{\"a\":1.0}"),
        UPLOAD("{\"a\":true}"),
        UPLOAD("{\"a\":\"x\\u0000y\"}"),
        UPLOAD("{\"a\":\"x\\u0000z\"}"),
        UPLOAD("{\"a\":\"\\ud800\"}"),
        UPLOAD("{\"a\":\"\\udc00\"}"),
        UPLOAD("{\"a\":\"\\ufffd\"}"),
        UPLOAD("{\"a\":\"\\\",\\\"b\\\":\\\"\"}"),
        UPLOAD("{\"a\":\"\",\"b\":\"\"}"),
        UPLOAD("{\"a\":[1,2]}"),
        UPLOAD("{\"a\":[2,1]}"),
        UPLOAD("{\"a\":[1,null,2]}"),
        UPLOAD("{\"a\":[[1],2]}"),
        UPLOAD("{\"a\":{\"Sign\":\"1\"}}"),
        UPLOAD("{\"a\":{\"T\":1}}"),
        UPLOAD("{\"A\":1}"),
        UPLOAD("{\"a\":1},\"Other\":{\"a\":1}"),
    };
    const size_t n = sizeof distinct / sizeof *distinct;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++)
            assert_int_equal(same(&upload, distinct[i], distinct[k]), i == k);
}

static void names_that_are_repeated_keep_their_order(void **state)
{
    (void)state;
    const char *twice = UPLOAD("{\"a\":1,\"b\":0,\"a\":2}");
    assert_true(same(&upload, twice, UPLOAD("{\"\\u0061\":1,\"a\":2,\"b\":0}")));
    assert_false(same(&upload, twice, UPLOAD("{\"a\":2,\"a\":1,\"b\":0}")));
    assert_false(same(&upload, twice, UPLOAD("{\"a\":1,\"b\":0}")));
}

static void names_are_sorted_by_their_bytes(void **state)
{
    (void)state;
    assert_canonical(
        &upload, LITERAL(UPLOAD("{\"ab\":1,\"\":2,\"a\":3,\"\\u0061\\u0000\":4,\"Z\":5,\"\\u00e9\":6}")),
        LITERAL("\"NewFileUpload\"{\"\":{\"\":2,\"Z\":5,\"a\":3,\"a\0\":4,\"ab\":1,\"\xC3\xA9\":6}}"));
}

static void both_spellings_of_a_payload_key_are_one(void **state)
{
    (void)state;
    struct event one = {.type = "EditMediaComplete", .known = true, .payload_key = "EditMediaCompleteEvent"};
    struct event other = {.type = "EditMediaComplete", .known = true, .payload_key = "EditMediaComplete"};
    uint8_t x[DIGEST_SIZE], y[DIGEST_SIZE];
    digest_of(&one,
              slice_of("{\"EventType\":\"EditMediaComplete\",\"EditMediaCompleteEvent\":{\"TaskId\":\"t\"}}"),
              x);
    digest_of(&other,
              slice_of("{\"EventType\":\"EditMediaComplete\",\"EditMediaComplete\":{\"TaskId\":\"t\"}}"), y);
    assert_memory_equal(x, y, DIGEST_SIZE);
}

static void an_unknown_type_counts_byte_for_byte(void **state)
{
    (void)state;
    struct event e = {.type = "New\xEF\xBF\xBD"};
    assert_false(
        same(&e, "{\"EventType\":\"New\\u0000\",\"X\":{}}", "{\"EventType\":\"New\\ufffd\",\"X\":{}}"));
    assert_true(same(&e, "{\"EventType\":\"N\\u0065w\",\"X\":{}}", "{\"X\":{},\"EventType\":\"New\"}"));
}

static void the_version_of_the_legacy_format_does_not_count(void **state)
{
    (void)state;
    struct event e = {.type = "NewFileUpload", .known = true, .legacy = true, .payload_key = "data"};
    assert_true(same(&e, "{\"version\":\"4.0\",\"eventType\":\"NewFileUpload\",\"data\":{\"fileId\":\"1\"}}",
                     "{\"data\":{\"fileId\":\"1\"},\"version\":4,\"eventType\":\"NewFileUpload\"}"));
    assert_false(same(&upload, UPLOAD("{},\"version\":1"), UPLOAD("{},\"version\":2")));
}

/* The depth and the number of members that are the worst for a reader that looks ahead for each level. */
static void deep_and_wide_bodies_cost_little(void **state)
{
    (void)state;
    enum { DEPTH = JSON_DEPTH_MAX - 2, WIDE = 100000 };
    cleanup(buffer_done) struct buffer body = {0};
    buffer_puts(&body, "{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":");
    for (int i = 0; i < DEPTH; i++)
        buffer_puts(&body, i % 2 ? "[" : "{\"a\":");
    buffer_putc(&body, '{');
    for (int i = WIDE; i > 0; i--)
        buffer_printf(&body, "\"\\u0061%d\":\"%d\"%s", i, i, i > 1 ? "," : "}");
    for (int i = DEPTH; i > 0; i--)
        buffer_putc(&body, i % 2 ? '}' : ']');
    buffer_putc(&body, '}');
    uint8_t x[DIGEST_SIZE], y[DIGEST_SIZE];
    digest_of(&upload, buffer_slice(&body), x);
    digest_of(&upload, buffer_slice(&body), y);
    assert_memory_equal(x, y, DIGEST_SIZE);
}

static void other_bodies_count_byte_for_byte(void **state)
{
    (void)state;
    uint8_t x[DIGEST_SIZE], y[DIGEST_SIZE];
    digest_bytes(slice_of("{\"a\":1"), 6, x);
    digest_bytes(slice_of("{\"a\":1"), 6, y);
    assert_memory_equal(x, y, DIGEST_SIZE);
    digest_bytes(slice_of("{\"a\": 1"), 7, y);
    assert_memory_not_equal(x, y, DIGEST_SIZE);
    digest_bytes(slice_of("{\"a\":1"), 7, y);
    assert_memory_not_equal(x, y, DIGEST_SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_canonical_form_is_as_documented),
        cmocka_unit_test(what_the_spelling_changes_is_the_same),
        cmocka_unit_test(what_the_content_changes_is_another),
        cmocka_unit_test(names_that_are_repeated_keep_their_order),
        cmocka_unit_test(names_are_sorted_by_their_bytes),
        cmocka_unit_test(both_spellings_of_a_payload_key_are_one),
        cmocka_unit_test(an_unknown_type_counts_byte_for_byte),
        cmocka_unit_test(the_version_of_the_legacy_format_does_not_count),
        cmocka_unit_test(deep_and_wide_bodies_cost_little),
        cmocka_unit_test(other_bodies_count_byte_for_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
