/* test_reply.c: what an answer of the API is taken for, and what is said to do about it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cloud/reply.h"

static struct reply reply;
static struct json json;

static int read_reply(const char *body, long status)
{
    return reply_read(&json, slice_of(body), status, &reply);
}

static int read_error(const char *code)
{
    char body[256];
    snprintf(body, sizeof body,
             "{\"Response\":{\"Error\":{\"Code\":\"%s\",\"Message\":\"m\"},\"RequestId\":\"r\"}}", code);
    return read_reply(body, 200);
}

static void test_done(void **state)
{
    (void)state;
    assert_int_equal(read_reply(" {\"Response\": {\"EventSet\": [], \"RequestId\": \"8e-1\"}}\n", 200),
                     REPLY_DONE);
    assert_true(slice_equal(json_raw(reply.json, reply.response),
                            slice_of("{\"EventSet\": [], \"RequestId\": \"8e-1\"}")));
    assert_string_equal(reply.request_id, "8e-1");
    assert_string_equal(reply.code, "");
    assert_int_equal(read_reply("{\"Response\":{\"Error\":null,\"RequestId\":\"r\"}}", 200), REPLY_DONE);
}

static void test_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *code;
        int kind;
    } codes[] = {
        {"ResourceNotFound", REPLY_NOTHING},
        {"InternalError", REPLY_BUSY},
        {"RequestLimitExceeded", REPLY_BUSY},
        {"RequestLimitExceeded.UinLimitExceeded", REPLY_BUSY},
        {"FailedOperation", REPLY_BUSY},
        {"ADayMayComeError", REPLY_BUSY},
        {"AuthFailureOfSomeSort", REPLY_BUSY},
        {"AuthFailure.SignatureExpire", REPLY_REFUSED},
        {"AuthFailure.SignatureFailure", REPLY_REFUSED},
        {"AuthFailure.SecretIdNotFound", REPLY_REFUSED},
        {"AuthFailure.TokenFailure", REPLY_REFUSED},
        {"AuthFailure.MFAFailure", REPLY_REFUSED},
        {"AuthFailure.UnauthorizedOperation", REPLY_REFUSED},
        {"UnauthorizedOperation", REPLY_REFUSED},
        {"UnauthorizedOperation.CamNoAuth", REPLY_REFUSED},
        {"InvalidParameterValue", REPLY_REFUSED},
        {"InvalidParameterValue.SubAppId", REPLY_REFUSED},
        {"MissingParameter", REPLY_REFUSED},
        {"FailedOperation.InvalidVodUser", REPLY_REFUSED},
        {"ResourceNotFound.UserNotExist", REPLY_REFUSED},
        {"InvalidAction", REPLY_REFUSED},
        {"NoSuchVersion", REPLY_REFUSED},
        {"UnsupportedRegion", REPLY_REFUSED},
    };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        assert_int_equal(read_error(codes[i].code), codes[i].kind);
        assert_string_equal(reply.code, codes[i].code);
    }
    /* An error is one whatever the status is, and whatever is missing in it. */
    assert_int_equal(read_reply("{\"Response\":{\"Error\":{\"Code\":\"AuthFailure\"}}}", 401), REPLY_REFUSED);
    assert_int_equal(read_reply("{\"Response\":{\"Error\":{}}}", 200), REPLY_BUSY);
    assert_int_equal(read_reply("{\"Response\":{\"Error\":{\"Code\":7}}}", 200), REPLY_BUSY);
}

static void test_no_answer_of_the_api(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "",
        "<html></html>",
        "{\"Response\":{\"EventSet\":[",
        "[]",
        "7",
        "null",
        "{\"response\":{}}",
        "{\"Response\":[]}",
        "{\"Response\":null}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        assert_int_equal(read_reply(bodies[i], 200), -EBADMSG);
        assert_string_not_equal(reply.message, "");
        assert_int_equal(reply.response, 0);
        assert_int_equal(read_reply(bodies[i], 502), -EREMOTEIO);
        assert_non_null(strstr(reply.message, "502"));
    }
    assert_int_equal(read_reply("{\"Response\":{\"RequestId\":\"r\"}}", 500), -EREMOTEIO);
}

static void test_text(void **state)
{
    (void)state;
    char text[8];
    const char *object = "{\"a\":\"a\\\"\\u00e9\\/\",\"b\":\"0123456789\",\"c\":12,\"d\":\"x\\u0000y\"}";
    assert_true(json_read(&json, object, strlen(object)));
    assert_true(reply_text(&json, 0, "a", text, sizeof text));
    assert_string_equal(text, "a\"\xc3\xa9/");
    assert_true(reply_text(&json, 0, "b", text, sizeof text));
    assert_string_equal(text, "0123456");
    assert_false(reply_text(&json, 0, "c", text, sizeof text));
    assert_string_equal(text, "");
    assert_true(reply_text(&json, 0, "d", text, sizeof text));
    assert_string_equal(text, "x?y");
    assert_false(reply_text(&json, 0, "e", text, sizeof text));
}

/* --- What to do ------------------------------------------------------------------------------------- */

static struct reply_caller caller = {
    .action = "PullEvents", .endpoint = "vod.example.com", .secret_id = {"AKIDtest", 8}};

static void expect_advice(int r, const char *expected)
{
    struct buffer b = {0};
    reply_explain(&b, r, &reply, &caller);
    buffer_putc(&b, '\0');
    if (!strstr(b.data, expected))
        fail_msg("'%s' has no '%s'", b.data, expected);
    assert_null(strchr(b.data, '\n'));
    buffer_done(&b);
}

static void test_advice(void **state)
{
    (void)state;
    static const struct {
        const char *code, *advice;
    } codes[] = {
        {"AuthFailure.SignatureFailure", "does not belong to the key id AKIDtest"},
        {"AuthFailure.SecretIdNotFound", "there is no key id AKIDtest"},
        {"AuthFailure.InvalidSecretId", "the key id AKIDtest is not"},
        {"AuthFailure.TokenFailure", "session token of the key id AKIDtest"},
        {"AuthFailure.MFAFailure", "second factor"},
        {"AuthFailure.NewOne", "check the key id AKIDtest"},
        {"AuthFailure.UnauthorizedOperation", "vod:PullEvents for the key id AKIDtest"},
        {"UnauthorizedOperation", "vod:PullEvents for the key id AKIDtest"},
        {"InvalidParameterValue", "give --sub-app-id"},
        {"FailedOperation.InvalidVodUser", "has no VOD"},
        {"NoSuchVersion", "check --endpoint"},
    };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        assert_int_equal(read_error(codes[i].code), REPLY_REFUSED);
        reply.skew = REPLY_SKEW_UNKNOWN;
        expect_advice(REPLY_REFUSED, codes[i].advice);
        expect_advice(REPLY_REFUSED, "(m): ");
        expect_advice(REPLY_REFUSED, "[RequestId r]");
    }
    caller.sub_app_id = 1500000001;
    read_error("InvalidParameterValue");
    expect_advice(REPLY_REFUSED, "is --sub-app-id 1500000001 an application");
    caller.sub_app_id = 0;
}

static void test_clock(void **state)
{
    (void)state;
    read_error("AuthFailure.SignatureExpire");
    reply.skew = 1234;
    expect_advice(REPLY_REFUSED, "clock is 1234 s fast");
    reply.skew = -301;
    expect_advice(REPLY_REFUSED, "clock is 301 s slow");
    reply.skew = 2;
    expect_advice(REPLY_REFUSED, "compare this machine's clock with that of vod.example.com");
    read_error("UnauthorizedOperation");
    reply.skew = 1234;
    expect_advice(REPLY_REFUSED, "vod:PullEvents");
}

static void test_network(void **state)
{
    (void)state;
    reply = (struct reply){.message = "Could not resolve host"};
    expect_advice(-EHOSTUNREACH, "PullEvents at vod.example.com failed: Could not resolve host");
    reply.message[0] = '\0';
    expect_advice(-ENOMEM, "Cannot allocate memory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_done),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_no_answer_of_the_api),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_advice),
        cmocka_unit_test(test_clock),
        cmocka_unit_test(test_network),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
