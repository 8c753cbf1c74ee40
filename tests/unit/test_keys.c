/* test_keys.c: where the API key is found, and what is left of it there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/cleanup.h"
#include "capture.h"
#include "command/keys.h"
#include "command/table.h"

static struct capture err;
static char *folder;

static int make(void **state)
{
    (void)state;
    folder = make_folder();
    unsetenv("CREDENTIALS_DIRECTORY");
    unsetenv("TENCENTCLOUD_SECRET_ID");
    unsetenv("TENCENTCLOUD_SECRET_KEY");
    unsetenv("TENCENTCLOUD_SESSION_TOKEN");
    return 0;
}

static int unmake(void **state)
{
    (void)state;
    rmdir(folder);
    free(folder);
    return 0;
}

static int read_file(const char *text, mode_t mode, struct keys *ret)
{
    cleanup_free char *path = make_file(folder, "keys", text, strlen(text), mode);
    capture_begin(&err, STDERR_FILENO);
    int r = keys_read_file(path, ret);
    capture_end(&err);
    unlink(path);
    return r;
}

/* With the settings of a command line. */
static int read_keys(const char *file, struct keys *ret)
{
    cleanup(options_free_p) struct options *o = options_new(option_tables, COMMAND_PULL);
    char *argv[] = {(char[]){"pull"}, (char[]){"--credentials"}, (char *)file};
    int operand;
    assert_int_equal(options_parse_argv(o, file ? 3 : 1, argv, &operand), 0);
    capture_begin(&err, STDERR_FILENO);
    int r = keys_read(o, ret);
    capture_end(&err);
    return r;
}

static void test_file(void **state)
{
    (void)state;
    static const char *const good[] = {
        "secret-id = AKID1\nsecret-key = k3y\nsession-token = t0k\n",
        "# of Tencent's SDKs\n[default]\nsecret_id=AKID1\r\nsecret_key=k3y\r\nregion = "
        "ap-x\r\nsession_token=t0k",
        "; and others\nsecretId = \"AKID1\"\n  secretKey\t=\t\"k3y\"  \nsessionToken = t0k",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        cleanup(keys_done) struct keys k = {0};
        assert_int_equal(read_file(good[i], i ? 0600 : 0440, &k), 0);
        assert_string_equal(k.id.data, "AKID1");
        assert_string_equal(k.key.data, "k3y");
        assert_string_equal(k.token.data, "t0k");
        assert_string_equal(err.text, "");
    }
}

static void test_bad_file(void **state)
{
    (void)state;
    static const char good[] = "secret-id = AKID1\nsecret-key = k3y\n";
    static const struct {
        const char *text;
        mode_t mode;
        const char *said;
    } bad[] = {
        {good, 0644, "other than its owner"},
        {good, 0604, "other than its owner"},
        {good, 0602, "other than its owner"},
        {good, 0620, "other than its owner"},
        {"", 0600, "empty"},
        {"secret-id = AKID1\nsecret-key =\n", 0600, "no secret-key"},
        {"secret-key = k3y\n", 0600, "no secret-id"},
        {"secret-id AKID1\nxsecret-key = k3y\n#secret-id = 1\n", 0600, "no secret-id = "},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cleanup(keys_done) struct keys k = {0};
        assert_true(read_file(bad[i].text, bad[i].mode, &k) < 0);
        if (!strstr(err.text, bad[i].said))
            fail_msg("'%s' has no '%s'", err.text, bad[i].said);
        assert_null(strstr(err.text, "k3y"));
    }
}

static void test_credentials(void **state)
{
    (void)state;
    cleanup(keys_done) struct keys k = {0};
    cleanup_free char *id = make_file(folder, "secret-id", "AKID2\n", 6, 0400);
    setenv("CREDENTIALS_DIRECTORY", folder, 1);
    setenv("TENCENTCLOUD_SECRET_ID", "AKID3", 1);
    setenv("TENCENTCLOUD_SECRET_KEY", "k3y3", 1);
    assert_true(read_keys(NULL, &k) < 0); /* the key of another id is no use */
    assert_non_null(strstr(err.text, "no secret-key in systemd's credentials"));
    keys_done(&k);
    cleanup_free char *key = make_file(folder, "secret-key", "k3y2", 4, 0400);
    assert_int_equal(read_keys(NULL, &k), 0);
    assert_string_equal(k.id.data, "AKID2");
    assert_string_equal(k.key.data, "k3y2");
    assert_null(k.token.data);
    unlink(id);
    unlink(key);
}

static void test_environment(void **state)
{
    (void)state;
    cleanup(keys_done) struct keys k = {0};
    setenv("CREDENTIALS_DIRECTORY", folder, 1);
    assert_int_equal(read_keys(NULL, &k), -EINVAL);
    assert_non_null(strstr(err.text, "There is no API key"));
    setenv("TENCENTCLOUD_SECRET_ID", "AKID3", 1);
    assert_int_equal(read_keys(NULL, &k), -EINVAL);
    keys_done(&k);
    setenv("TENCENTCLOUD_SECRET_ID", "AKID3", 1);
    setenv("TENCENTCLOUD_SECRET_KEY", "k3y3", 1);
    setenv("TENCENTCLOUD_SESSION_TOKEN", "t0k3", 1);
    const char *key = getenv("TENCENTCLOUD_SECRET_KEY");
    assert_int_equal(read_keys(NULL, &k), 0);
    assert_string_equal(k.id.data, "AKID3");
    assert_string_equal(k.key.data, "k3y3");
    assert_string_equal(k.token.data, "t0k3");
    assert_string_equal(key, "");
    assert_null(getenv("TENCENTCLOUD_SECRET_KEY"));
}

static void test_file_wins(void **state)
{
    (void)state;
    cleanup(keys_done) struct keys k = {0};
    static const char text[] = "secret-id = AKID1\nsecret-key = k3y\n";
    cleanup_free char *path = make_file(folder, "keys", text, strlen(text), 0600);
    setenv("TENCENTCLOUD_SECRET_ID", "AKID3", 1);
    setenv("TENCENTCLOUD_SECRET_KEY", "k3y3", 1);
    assert_int_equal(read_keys(path, &k), 0);
    assert_string_equal(k.id.data, "AKID1");
    unlink(path);
    assert_int_equal(read_keys(path, &k), -ENOENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, unmake)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_file),        TEST(test_bad_file),  TEST(test_credentials),
        TEST(test_environment), TEST(test_file_wins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
