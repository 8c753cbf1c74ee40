/* test_tc3.c: signatures that are published, or were made with Tencent's own client. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "cloud/tc3.h"

#define SECRET_ID  "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE"
#define SECRET_KEY "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE"
#define STARS      "********************************"

static const char instances[] =
    "{\"Limit\": 1, \"Filters\": [{\"Values\": [\"\\u672a\\u547d\\u540d\"], \"Name\": \"instance-name\"}]}";

static struct slice text(const char *s)
{
    return slice_of(s);
}

static struct tc3_request describe_instances(void)
{
    return (struct tc3_request){
        .method = text("POST"),
        .content_type = text("application/json; charset=utf-8"),
        .host = text("cvm.tencentcloudapi.com"),
        .body = text(instances),
        .service = text("cvm"),
        .time = 1551113065,
    };
}

static struct tc3_request vod(const char *body, int64_t time)
{
    return (struct tc3_request){
        .method = text("POST"),
        .content_type = text("application/json"),
        .host = text("vod.tencentcloudapi.com"),
        .body = text(body),
        .service = text("vod"),
        .time = time,
    };
}

static void expect_bytes(const uint8_t bytes[TC3_HASH], const char *hex)
{
    char found[TC3_HEX];
    for (size_t i = 0; i < TC3_HASH; i++)
        snprintf(found + 2 * i, 3, "%02x", bytes[i]);
    assert_string_equal(found, hex);
}

static void expect_signed(const struct tc3_request *r, const char *key, const char *canonical,
                          const char *signature)
{
    char hex[TC3_HEX];
    if (canonical) {
        tc3_canonical_hash(r, hex);
        assert_string_equal(hex, canonical);
    }
    tc3_sign(r, text(key), hex);
    assert_string_equal(hex, signature);
}

/* Source: Tencent Cloud API 3.0, Signature v3, the example of many products' pages. */
static void test_published(void **state)
{
    (void)state;
    struct tc3_request r = describe_instances();
    struct tc3_keys keys;
    expect_signed(&r, SECRET_KEY, "5ffe6a04c0664d6b969fab9a13bdab201d63ee709638e2749d62a09ca18d7031",
                  "72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168");
    tc3_derive(text(SECRET_KEY), "2019-02-25", r.service, &keys);
    expect_bytes(keys.date, "d1308c81fe71cfd4e06437bbc067b2b8a3d2d8c0e375d547f15c41d5214b395a");
    expect_bytes(keys.service, "3c7cb7c7795393edc14fd2e0e6434a518564b4504b88e94f5d11bf59ba3e7050");
    expect_bytes(keys.signing, "ac658d5dde49e9bfdd14e04e062f66b05d9f637d44b8a8d845327d4a77f666b1");
}

/* Source: the same page as it is today, which signs the action, too. */
static void test_with_action(void **state)
{
    (void)state;
    struct tc3_request r = describe_instances();
    struct tc3_keys keys;
    r.action = text("DescribeInstances");
    expect_signed(&r, STARS, "7019a55be8395899b900fb5564e4200d984910f34794a27cb3fb7d10ff6a1e84",
                  "10b1a37a7301a02ca19a647ad722d5e43b4b3cff309d421d85b46093f6ab6c4f");
    tc3_derive(text(STARS), "2019-02-25", r.service, &keys);
    expect_bytes(keys.date, "da98fb70dcf6b112dc21038d1eeeb3a95c74b4dcb12c1131f864f6066bd02be0");
    expect_bytes(keys.service, "8d70cbefb03939f929db64d32dc2ba89b1095620119fe3e050e2b18c5bd2752f");
    expect_bytes(keys.signing, "b596b923aad85185e2d1f6659d2a062e0a86731226e021e61bfe06f7ed05f5af");
}

/* Source: the page of VOD, with the host that its signature was made for. */
static void test_get(void **state)
{
    (void)state;
    struct tc3_request r = {
        .method = text("GET"),
        .query = text("Limit=10&Offset=0"),
        .content_type = text("application/x-www-form-urlencoded"),
        .host = text("cvm.tencentcloudapi.com"),
        .service = text("cvm"),
        .time = 1539084154,
    };
    expect_signed(&r, SECRET_KEY, "91c9c192c14460df6c1ffc69e34e6c5e90708de2a6d282cccf957dbf1aa7f3a7",
                  "5da7a33f6993f0614b047e5df4582db9e9bf4672ba50567dba16c6ccf174c474");
}

/* Made with Tencent's client for Node.js. */
static void test_vod(void **state)
{
    (void)state;
    static const struct {
        const char *body, *canonical, *signature;
    } calls[] = {
        {"{}", "d74a16d017107110de12f3485bfc000e9501a53329c77c44a7d4457f38cb813a",
         "5747b053af7b735076a1cfe421acdaef73173856865229f1017620cd0d746189"},
        {"{\"SubAppId\":1500000001}", "31229a9f1db86924c004bff48031bb052391a34480d2f68a8a10310f9fa09b66",
         "ddaca620e0b29ee9944eca76b675b4ac1c40e055312a4d376b96367f47179510"},
        {"{\"EventHandles\":[\"EventHandle1\",\"EventHandle2\"],\"SubAppId\":1500000001}",
         "ec937f29633d74704f00882255623559d0e71037d10a2577151ec5e791c79f76",
         "a03cf61d8090a1ad34ce83537688d772827ccabf399fb6722ef6ca49a3294b9a"},
        {"{\"Mode\":\"PULL\",\"UploadMediaCompleteEventSwitch\":\"ON\",\"DeleteMediaCompleteEventSwitch\":"
         "\"ON\","
         "\"SubAppId\":1500000001}",
         "e20b95dab2c04d364f4a17946ff8c6118269e2b28511282386d48934679cbaf3",
         "b9c2dbf3de3d926e4b22a200fb6412048b1773837a953aa89739f8ec6d2b3770"},
    };
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        struct tc3_request r = vod(calls[i].body, 1700000000);
        expect_signed(&r, SECRET_KEY, calls[i].canonical, calls[i].signature);
    }
}

static void test_spelling(void **state)
{
    (void)state;
    struct tc3_request r = describe_instances();
    r.host = text("  CVM.TencentCloudAPI.com ");
    r.content_type = text(" Application/JSON; charset=UTF-8");
    expect_signed(&r, SECRET_KEY, NULL, "72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168");
}

/* 1700006400 is 2023-11-15T00:00:00Z: the scope's date goes on there, wherever the machine is. */
static void test_midnight(void **state)
{
    (void)state;
    static const char *const zones[] = {"UTC", "Asia/Shanghai", "XYZ+9", "XYZ-9"};
    static const struct {
        int64_t time;
        const char *authorization;
    } calls[] = {
        {1700006399, "TC3-HMAC-SHA256 Credential=" SECRET_ID "/2023-11-14/vod/tc3_request, "
                     "SignedHeaders=content-type;host, "
                     "Signature=96cf5a0528dfccb0c6865ad73e887cc5793538f583301defb1c5884da9fe5203"},
        {1700006400, "TC3-HMAC-SHA256 Credential=" SECRET_ID "/2023-11-15/vod/tc3_request, "
                     "SignedHeaders=content-type;host, "
                     "Signature=f27f0ce6d613d4afc6ede7c6fefc53b83fdaca0904f2cabc2c7f9d85ec78dd45"},
    };
    for (size_t i = 0; i < 2 * sizeof zones / sizeof *zones; i++) {
        setenv("TZ", zones[i / 2], 1);
        struct tc3_request r = vod("{}", calls[i % 2].time);
        struct buffer b = {0};
        tc3_authorization(&b, &r, text(SECRET_ID), text(SECRET_KEY));
        buffer_putc(&b, '\0');
        assert_string_equal(b.data, calls[i % 2].authorization);
        buffer_done(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published), cmocka_unit_test(test_with_action), cmocka_unit_test(test_get),
        cmocka_unit_test(test_vod),       cmocka_unit_test(test_spelling),    cmocka_unit_test(test_midnight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
