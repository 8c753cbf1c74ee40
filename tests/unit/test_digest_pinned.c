/* test_digest_pinned.c: the digests that stand in users' inboxes: they may never change. */
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
#include "event/digest.h"

static struct event_decoder *decoder;

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

/* The digest of an event in hex. */
static const char *digest_of(struct slice body)
{
    static char hex[2 * DIGEST_SIZE + 1];
    const struct json *json;
    struct event event;
    uint8_t digest[DIGEST_SIZE];
    assert_int_equal(event_decode(decoder, body.data, body.len, &json, &event), BODY_EVENT);
    assert_int_equal(digest_event(&event, json, digest), 0);
    for (size_t i = 0; i < DIGEST_SIZE; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    return hex;
}

static void assert_digest(const char *name, struct slice body, const char *expected)
{
    const char *digest = digest_of(body);
    if (strcmp(digest, expected) != 0)
        fail_msg("%s: %s, not %s", name, digest, expected);
}

#define BODY(text)             \
    {                          \
        text, sizeof(text) - 1 \
    }

static const struct {
    const char *name;
    struct slice body;
    const char *digest;
} odd[] = {
    {"spaces",
     BODY(" \011\015\012{ \"EventType\" : \"NewFileUpload\" ,\012\"FileUploadEvent\" : { \"FileId\""
          " : \"1\" } }\015\012 "),
     "1ec731d57cc367aaaaf7b9636970d3001bc3a1db98ee0ca552677ce7e47768df"},
    {"byte order mark",
     BODY("\357\273\277{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"FileId\":\"1\"}}"),
     "1ec731d57cc367aaaaf7b9636970d3001bc3a1db98ee0ca552677ce7e47768df"},
    {"short escapes",
     BODY("{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"FileId\":\"1\",\"x\":\"\\\"\\\\"
          "\\/\\b\\f\\n\\r\\t\"}}"),
     "967e49778d0343bc0913b915e2f701d2d0a9343844926d72be31d00f362c3547"},
    {"unicode escapes",
     BODY("{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"FileId\":\"1\",\"x\":\"\\u0041\\"
          "u00e9\\u4e2d\\uD83D\\uDE00\\u007f\\u2028\"}}"),
     "10a48e17ceec67b7afd535ecaa4f1144e8da21cb697d43f96effb4a72b5a0830"},
    {"the same raw",
     BODY("{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"FileId\":\"1\",\"x\":\"A\303\251"
          "\344\270\255\360\237\230\200\177\342\200\250\"}}"),
     "10a48e17ceec67b7afd535ecaa4f1144e8da21cb697d43f96effb4a72b5a0830"},
    {"escaped NUL",
     BODY("{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"FileId\":\"1\",\"x\":\"a\\u0000b"
          "\"}}"),
     "9ca557183b489484b03add6e89051e22fee45ad3876ee56be41a42e0bce0b515"},
    {"raw NUL",
     BODY("{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"FileId\":\"1\",\"x\":\"a\000b\"}"
          "}"),
     "9ca557183b489484b03add6e89051e22fee45ad3876ee56be41a42e0bce0b515"},
    {"raw control characters",
     BODY("{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"FileId\":\"1\",\"x\":\"\001\012"
          "\011\037\"}}"),
     "dae350dd9adbf59bd978523264d8d4d10a2e3de2215fdcd596156082dfb7e1d0"},
    {"bad UTF-8",
     BODY("{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"FileId\":\"1\",\"x\":\"\377\300"
          "\200\355\240\200\344\270\"}}"),
     "6e15a1bae750d5ea3e686e610eab48652bb7a5cf2a82dc3d75c9c063071ee0db"},
    {"bad UTF-8 in a name",
     BODY("{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"FileId\":\"1\",\"\377\":1,\"\376"
          "\":2}}"),
     "b2880a337d9c140f429859343a9a97e0e2820fa55d18b6061454e62a3a8c16c5"},
    {"lone high surrogate", BODY("{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"x\":\"\\ud800\"}}"),
     "130f6d5c4f226090d7250684832f8625550390c686b613d5d8801e830542b425"},
    {"lone low surrogate",
     BODY("{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"x\":\"\\udc00\\ud800\"}}"),
     "1a523253f3a27be16babaaf5b0d3de753178d5a2a0c9694c0e0774792bf26ce7"},
    {"high surrogate before a letter",
     BODY("{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"x\":\"\\ud83dA\\ud83d\\u0041\\ud"
          "83d\\ud83d\\ude00\"}}"),
     "c7100ac04bdcef5c0b9e7f6a6915efadd9cb4dd542f95cc753460c067b31b925"},
    {"escaped backslash before u",
     BODY("{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"x\":\"\\\\u0041\",\"y\":\"\\\\\\"
          "\\\\\\\\\"\"}}"),
     "0e9a88c667ca721b1ba82916e895c54cd726c211512848a654ce4da247c53a63"},
    {"escaped names",
     BODY("{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"\\u0062\":1,\"\\u0061\":2,\"a\\u"
          "0000\":3,\"\":4,\"\\ud800\":5,\"\\\"\":6}}"),
     "a4018ba7864169e3a9fb10a3aa33a32eb861253736555f6017f7fc2601f835f4"},
    {"duplicate names",
     BODY("{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"a\":1,\"b\":0,\"a\":2,\"\\u0061"
          "\":3}}"),
     "d165719525f692fc5e22b06a64fd5f3b2d78c6012394be0f381964d2fb7aff9f"},
    {"names with one prefix",
     BODY("{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"abcdefgh2\":1,\"abcdefgh1\":2,\""
          "abcdefgh\":3,\"abcdefg\":4,\"abcdefg\\u0000\":5}}"),
     "b2153983ef4e99ebe5b337d665d266a5e0dbd84714f8a832e9041a8bbf889c05"},
    {"names not ASCII",
     BODY("{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"\303\251\":1,\"z\":2,\"\344\270"
          "\255\":3,\"Z\":4}}"),
     "bd982cdeac6353d1db9569e654dc6d1c99d6ceefa0eb981b0777238a3908e92f"},
    {"nulls",
     BODY("{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"a\":null,\"b\":[null,1,null],\"c"
          "\":{\"d\":null}}}"),
     "16b9a1d0a726ef80a353da7f5051dab64acb4c138eb3b2acd086e0e209f16786"},
    {"numbers",
     BODY("{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"a\":0,\"b\":-0,\"c\":1.0,\"d\":1"
          ".50,\"e\":1e3,\"f\":1E+3,\"g\":-1.5e-10}}"),
     "ceedb34e4eae4bf5663e12bbf4b15d7a5cbe37c18507400e11b29271567bf573"},
    {"long numbers",
     BODY("{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"a\":14508071098244959037,\"b\":5"
          "2.20833206176758,\"c\":0.1234567890123456789,\"d\":9999999999999999999999999999999999999"
          "9999999999999999999999999999999999999999999999999999999999999999999999999999999999999999"
          "9999999999999999999999999999999999999999999999999999999999999999999999999999999999999999"
          "999999999999999999999999999999999999999999999999999999999999999999999999999999999999999,"
          "\"e\":0.33333333333333333333333333333333333333333333333333333333333333333333333333333333"
          "3333333333333333333333333333333333333333333333333333333333333333333333333333333333333333"
          "3333333333333333333333333333333333333333333333333333333333333333333333333333333333333333"
          "33333333333333333333333333333333333333333333,\"f\":1e400}}"),
     "2d6be187f8225df71f70741399b1eb52a6c08725c23f2a4c8a06904ff58bb690"},
    {"words",
     BODY("{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"a\":true,\"b\":false,\"c\":[true"
          ",false]}}"),
     "cc78db37eb6f2401d4fb61b3ee490386d0b767183266d14088b625376a9e0525"},
    {"empty containers",
     BODY("{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"a\":{},\"b\":[],\"c\":[[],{}],\""
          "d\":[{}]}}"),
     "fba24a4a6c5de112cfc898a79f272cf2e6343ef759a3a24077866d5ae9a706a5"},
    {"nested arrays",
     BODY("{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":[[1,[2,[3,{\"a\":[4]}]]],5]}"),
     "3340bd834873094bac2a55c41a3158cea4499d6c87065b7a97ff1f0f86803657"},
    {"payload is a string", BODY("{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":\"text\"}"),
     "53b7eb960e59cdd85562375a4ad73a55cfe98d0e1285312c0862c51052fa5853"},
    {"payload is null", BODY("{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":null}"),
     "877c6999b748851383082ef50823c8161dcded6beb1be7c1125ca92fd3681761"},
    {"payload twice",
     BODY("{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"FileId\":\"1\"},\"FileUploadEven"
          "t\":{\"FileId\":\"2\"}}"),
     "16e817b11cdf8a9651246e9d27fb659f150a96f80b31593edf042ec9e8e1b997"},
    {"type twice",
     BODY("{\"EventType\":\"NewFileUpload\",\"EventType\":\"FileDeleted\",\"FileUploadEvent\":{\"Fi"
          "leId\":\"1\"}}"),
     "1ec731d57cc367aaaaf7b9636970d3001bc3a1db98ee0ca552677ce7e47768df"},
    {"both spellings of the type",
     BODY("{\"EventType\":\"NewFileUpload\",\"eventType\":\"x\",\"FileUploadEvent\":{\"FileId\":\"1"
          "\"}}"),
     "1ec731d57cc367aaaaf7b9636970d3001bc3a1db98ee0ca552677ce7e47768df"},
    {"type missing", BODY("{\"FileUploadEvent\":{\"FileId\":\"1\"}}"),
     "1ec731d57cc367aaaaf7b9636970d3001bc3a1db98ee0ca552677ce7e47768df"},
    {"type wrong", BODY("{\"EventType\":\"NewFileUpload\",\"FileDeleteEvent\":{\"FileIdSet\":[\"1\"]}}"),
     "431dfc24fe981cbebe135760bfce914c6881776f427290e6a5f7b980052265e5"},
    {"type escaped", BODY("{\"EventType\":\"NewFile\\u0055pload\",\"FileUploadEvent\":{\"FileId\":\"1\"}}"),
     "1ec731d57cc367aaaaf7b9636970d3001bc3a1db98ee0ca552677ce7e47768df"},
    {"type unknown",
     BODY("{\"EventType\":\"Brand\",\"BrandEvent\":{\"FileId\":\"1\"},\"Sign\":\"a\",\"T\":1}"),
     "726c5753f245c1c2c4d461b42ab76b97e1372bd25710e5649289c7b2788cfb93"},
    {"type unknown, two payloads",
     BODY("{\"EventType\":\"Brand\",\"A\":{\"FileId\":\"1\"},\"B\":{\"FileId\":\"2\"}}"),
     "63b5448d94f9c666aeed58e922f6a6bcb9f9f7822b57673f8eb0ed7cbb6dbb34"},
    {"type with a NUL", BODY("{\"EventType\":\"Bra\\u0000nd\",\"BrandEvent\":{\"FileId\":\"1\"}}"),
     "132435af0cb44267da5368bac7aa7e5ac601dacf2799c0c9760d20e9f8e2ed0c"},
    {"type with a lone surrogate", BODY("{\"EventType\":\"Bra\\ud800nd\",\"BrandEvent\":{\"FileId\":\"1\"}}"),
     "792600c7d8633faaa7e1c5bd26ff774936c24ffc1aa83d953ed1cb34c2a648da"},
    {"type only", BODY("{\"EventType\":\"Brand\"}"),
     "a2ad04408613cb29f75625b154e19a9b9ec2f4eda10ba0ef017c8a877e24e03d"},
    {"known type only", BODY("{\"EventType\":\"FileDeleted\"}"),
     "f18c8b953f65d0caf4046345ccb5d31068299631cea5b718b4dad1c5b810e087"},
    {"signed",
     BODY("{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"FileId\":\"1\"},\"Sign\":\"0123"
          "\",\"T\":1764000600}"),
     "1ec731d57cc367aaaaf7b9636970d3001bc3a1db98ee0ca552677ce7e47768df"},
    {"signed in escapes",
     BODY("{\"S\\u0069gn\":\"0123\",\"\\u0054\":1764000600,\"EventType\":\"NewFileUpload\",\"FileUp"
          "loadEvent\":{\"FileId\":\"1\"}}"),
     "1ec731d57cc367aaaaf7b9636970d3001bc3a1db98ee0ca552677ce7e47768df"},
    {"signed within",
     BODY("{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"FileId\":\"1\",\"Sign\":\"0123\""
          ",\"T\":1,\"EventHandle\":\"h\",\"EventType\":\"x\"}}"),
     "7b8583eead05195394f679ca80cc367f161e4e6f4a43f663827bb6f859e099fe"},
    {"pulled",
     BODY("{\"EventHandle\":\"1234567890123456789\",\"EventType\":\"NewFileUpload\",\"FileUploadEve"
          "nt\":{\"FileId\":\"1\"},\"FileDeleteEvent\":null}"),
     "1ec731d57cc367aaaaf7b9636970d3001bc3a1db98ee0ca552677ce7e47768df"},
    {"application named",
     BODY("{\"EventType\":\"NewFileUpload\",\"SubAppId\":1500000001,\"FileUploadEvent\":{\"FileId\""
          ":\"1\"}}"),
     "7ba944b432a51a4200b1886103aefac29e8dc267e56a13f2181a7e08dfc682a6"},
    {"other object beside the payload",
     BODY("{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"FileId\":\"1\"},\"Extra\":{\"a\""
          ":[1]}}"),
     "aff0ea837d5ddfd9edd9510f7293c60b29557941e1dc91f1e593f44890e6f43f"},
    {"2019 key", BODY("{\"EventType\":\"EditMediaComplete\",\"EditMediaComplete\":{\"TaskId\":\"t\"}}"),
     "1d6314fad0379ddc8085b64c7861f6ae9dd136b16bc0be216474b109bfacd317"},
    {"today's key",
     BODY("{\"EventType\":\"EditMediaComplete\",\"EditMediaCompleteEvent\":{\"TaskId\":\"t\"}}"),
     "1d6314fad0379ddc8085b64c7861f6ae9dd136b16bc0be216474b109bfacd317"},
    {"key that is escaped",
     BODY("{\"EventType\":\"EditMediaComplete\",\"EditMedia\\u0043ompleteEvent\":{\"TaskId\":\"t\"}"
          "}"),
     "1d6314fad0379ddc8085b64c7861f6ae9dd136b16bc0be216474b109bfacd317"},
    {"legacy", BODY("{\"version\":\"4.0\",\"eventType\":\"NewFileUpload\",\"data\":{\"fileId\":\"1\"}}"),
     "b84c893e37fd9be62534951a3e5597bf10f3ede3b3ea4502968ed6e553158d0c"},
    {"legacy, version a number",
     BODY("{\"data\":{\"fileId\":\"1\"},\"version\":4,\"eventType\":\"NewFileUpload\"}"),
     "b84c893e37fd9be62534951a3e5597bf10f3ede3b3ea4502968ed6e553158d0c"},
    {"legacy, type unknown",
     BODY("{\"version\":\"4.0\",\"eventType\":\"Brand\",\"data\":{\"fileId\":\"1\"}}"),
     "290bc40fdd59628cf43b5a4a484ad04dc4c8facb2fe8f65856134c9fe28cfd1e"},
    {"legacy, type of today beside it",
     BODY("{\"version\":\"4.0\",\"EventType\":\"NewFileUpload\",\"data\":{\"fileId\":\"1\"}}"),
     "69889dfa9ca44dd09acfbbec13766d4f24b4514d228977f355773653d3baec32"},
    {"key with a backslash",
     BODY("{\"EventType\":\"NewFileUpload\",\"FileU\\\\ploadEvent\":{\"FileId\":\"1\"},\"a\":1}"),
     "7708a0a58a9626d8e4d9ee35daf1934722c650036f9321fe54f078f22fc447c1"},
    {"cast",
     BODY("{\"EventType\":\"MediaCastStatusChanged\",\"MediaCastStatusChangedEvent\":{\"CastId\":\""
          "c\",\"Status\":\"Idle\"}}"),
     "46168b076f32e92a2b76270fe45eb79522d374f81e1aadb2a3b0cc42d8c05132"},
};

static void odd_bodies(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        assert_digest(odd[i].name, odd[i].body, odd[i].digest);
}

static struct slice read_fixture(struct buffer *to, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, FIXTURES "/events/%s", name);
    cleanup_fclose FILE *f = fopen(path, "r");
    assert_non_null(f);
    char *space = buffer_reserve(to, 64 * 1024);
    assert_non_null(space);
    to->len = fread(space, 1, 64 * 1024, f);
    return buffer_slice(to);
}

/* tests/fixtures/digests holds a line for each: the digest and the name. */
static void fixtures(void **state)
{
    (void)state;
    cleanup_fclose FILE *list = fopen(FIXTURES "/digests", "r");
    char digest[80], name[200];
    size_t n = 0;
    assert_non_null(list);
    for (; fscanf(list, "%79s %199s", digest, name) == 2; n++) {
        cleanup(buffer_done) struct buffer body = {0};
        assert_digest(name, read_fixture(&body, name), digest);
    }
    assert_true(n > 100);
}

/* As deep as JSON may be, and an object of as many members as no stack would hold. */
static void deep_and_wide(void **state)
{
    (void)state;
    cleanup(buffer_done) struct buffer body = {0};
    buffer_puts(&body, "{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":");
    for (int i = 0; i < JSON_DEPTH_MAX - 2; i++)
        buffer_puts(&body, i % 2 ? "[" : "{\"b\":null,\"a\":");
    buffer_putc(&body, '{');
    for (int i = 20000; i > 0; i--)
        buffer_printf(&body, "\"%d\":%d%s", i % 15000, i, i > 1 ? "," : "}");
    for (int i = JSON_DEPTH_MAX - 2; i > 0; i--)
        buffer_putc(&body, i % 2 ? '}' : ']');
    buffer_putc(&body, '}');
    assert_digest("deep and wide", buffer_slice(&body),
                  "2935e1d4ba2ec0303cfffffa65f897e0b391fff2c14dc5dbeb6e45b811589b52");
}

static void other_bodies(void **state)
{
    (void)state;
    static const struct {
        struct slice body;
        uint64_t body_bytes;
        const char *digest;
    } rows[] = {
        {BODY(""), 0, "9a271f2a916b0b6ee6cecb2426f0b3206ef074578be55d9bc94f6f3fe3ab86aa"},
        {BODY("{\"a\":1"), 6, "f8e18e0cca7d54cc204fbb5268102fc3b5e90fb64e33e574e7110ba69e3d6c63"},
        {BODY("{\"a\":1"), 9000000000, "9c4280f162d8e5d7d13c1142c9df9f32967a740a3ae470fb40bf05c45c6b38d7"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t digest[DIGEST_SIZE];
        char hex[2 * DIGEST_SIZE + 1];
        digest_bytes(rows[i].body, rows[i].body_bytes, digest);
        for (size_t k = 0; k < DIGEST_SIZE; k++)
            snprintf(hex + 2 * k, 3, "%02x", digest[k]);
        assert_string_equal(hex, rows[i].digest);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(odd_bodies),
        cmocka_unit_test(fixtures),
        cmocka_unit_test(deep_and_wide),
        cmocka_unit_test(other_bodies),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
