/* test_secret.c: keys from files: what belongs to them, and what is no key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/cleanup.h"
#include "base/secret.h"
#include "capture.h"

static struct capture err;

static int read_key(const char *data, size_t len, mode_t mode, struct secret *ret)
{
    cleanup_free char *folder = make_folder();
    cleanup_free char *path = make_file(folder, "key", data, len, mode);
    capture_begin(&err, STDERR_FILENO);
    int r = secret_read(path, ret);
    capture_end(&err);
    unlink(path);
    rmdir(folder);
    return r;
}

static void expect_key(const char *data, size_t len, const char *key, size_t key_len)
{
    cleanup(secret_done) struct secret s = {0};
    assert_int_equal(read_key(data, len, 0600, &s), 0);
    assert_string_equal(err.text, "");
    assert_true(slice_equal(secret_slice(&s), (struct slice){key, key_len}));
    assert_int_equal(s.data[s.len], '\0');
}

static void expect_no_key(const char *data, size_t len, int status, const char *said)
{
    struct secret s = {0};
    assert_int_equal(read_key(data, len, 0600, &s), status);
    assert_null(s.data);
    assert_non_null(strstr(err.text, said));
}

static void test_newline(void **state)
{
    (void)state;
    expect_key("k3y", 3, "k3y", 3);
    expect_key("k3y\n", 4, "k3y", 3);
    expect_key("k3y\r\n", 5, "k3y", 3);
    expect_key("k3y\n\n", 5, "k3y\n", 4);
    expect_key(" k\0y ", 5, " k\0y ", 5);
    expect_key("k\r", 2, "k\r", 2);
}

static void test_size(void **state)
{
    (void)state;
    char key[5000];
    memset(key, 'k', sizeof key);
    expect_key(key, 4096, key, 4096);
    expect_no_key(key, 4097, -EFBIG, "has more than 4096 bytes");
    expect_no_key(key, sizeof key, -EFBIG, "has more than 4096 bytes");
    key[4096] = '\n';
    expect_key(key, 4097, key, 4096);
    expect_no_key("", 0, -ENODATA, "is empty");
    expect_no_key("\n", 1, -ENODATA, "is empty");
    expect_no_key("\r\n", 2, -ENODATA, "is empty");
}

static void test_files(void **state)
{
    (void)state;
    cleanup(secret_done) struct secret s = {0};
    assert_int_equal(read_key("k", 1, 0644, &s), 0);
    assert_non_null(strstr(err.text, "Every user of this machine can read the key file"));
    struct secret none = {0};
    capture_begin(&err, STDERR_FILENO);
    int missing = secret_read("/nowhere/key", &none), folder = secret_read("/tmp", &none);
    assert_string_equal(capture_end(&err),
                        "vodhook: Failed to open the key file /nowhere/key: No such file or directory\n"
                        "vodhook: Failed to read the key file /tmp: Is a directory\n");
    assert_int_equal(missing, -ENOENT);
    assert_int_equal(folder, -EISDIR);
    secret_done(&none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_newline),
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
