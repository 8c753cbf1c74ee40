/* test_log.c: the line on stderr: its prefix, its escaping, and errno across it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/log.h"
#include "capture.h"

static struct capture err;

static void test_line(void **state)
{
    (void)state;
    capture_begin(&err, STDERR_FILENO);
    errno = EPERM;
    assert_int_equal(log_error("Failed to do %s", "it"), 0);
    assert_int_equal(log_warning_errno(ENOENT, "No file: %m"), -ENOENT);
    assert_int_equal(log_error_errno(-ENOSPC, "Full: %m"), -ENOSPC);
    assert_int_equal(errno, EPERM);
    assert_string_equal(capture_end(&err), "vodhook: Failed to do it\n"
                                           "vodhook: No file: No such file or directory\n"
                                           "vodhook: Full: No space left on device\n");
}

static void test_escaped(void **state)
{
    (void)state;
    capture_begin(&err, STDERR_FILENO);
    log_info("name '%s'", "a\nvodhook: forged\x1b[2J");
    assert_string_equal(capture_end(&err), "vodhook: name 'a\\nvodhook: forged\\u001b[2J'\n");
}

static void test_long(void **state)
{
    (void)state;
    char text[10000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    capture_begin(&err, STDERR_FILENO);
    log_notice("%s", text);
    const char *line = capture_end(&err);
    assert_in_range(strlen(line), 4000, 4200);
    assert_int_equal(line[strlen(line) - 1], '\n');
}

/* The stream's device and inode, as systemd tells them. */
static void test_journal_stream(void **state)
{
    (void)state;
    struct stat st;
    char stream[64];
    int other = memfd_create("other", MFD_CLOEXEC);
    capture_begin(&err, STDERR_FILENO);
    fstat(STDERR_FILENO, &st);
    snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    log_init("vodhook");
    assert_true(log_is_journal_stream(STDERR_FILENO));
    assert_false(log_is_journal_stream(other));
    log_error("broken");
    log_warning("odd");
    log_crit("lost");
    const char *wrong[] = {"", "nonsense", "1:2"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        setenv("JOURNAL_STREAM", wrong[i], 1);
        assert_false(log_is_journal_stream(STDERR_FILENO));
    }
    unsetenv("JOURNAL_STREAM");
    assert_false(log_is_journal_stream(STDERR_FILENO));
    log_init("vodhook");
    log_info("plain again");
    assert_string_equal(capture_end(&err), "<3>broken\n<4>odd\n<2>lost\nvodhook: plain again\n");
    close(other);
}

/* Nothing is to be done about it, and nothing breaks. */
static void test_closed_stderr(void **state)
{
    (void)state;
    int saved = dup(STDERR_FILENO);
    close(STDERR_FILENO);
    errno = EPERM;
    assert_int_equal(log_error_errno(EIO, "nobody reads this"), -EIO);
    assert_int_equal(errno, EPERM);
    dup2(saved, STDERR_FILENO);
    close(saved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line),          cmocka_unit_test(test_escaped),
        cmocka_unit_test(test_long),          cmocka_unit_test(test_journal_stream),
        cmocka_unit_test(test_closed_stderr),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
