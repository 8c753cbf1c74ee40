/* test_setup.c: what every command does first, and the table of options itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>

#include "base/cleanup.h"
#include "capture.h"
#include "command/commands.h"
#include "command/setup.h"

static struct capture out, err;
static char *folder; /* of each test */

static int make(void **state)
{
    (void)state;
    folder = make_folder();
    return setenv("CREDENTIALS_DIRECTORY", folder, 1);
}

static int clean(void **state)
{
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", folder);
    free(folder);
    unsetenv("CREDENTIALS_DIRECTORY");
    return system(command);
}

enum { GOES_ON = -1 };

static int run(enum command command, const char *const *arguments, struct options **ret)
{
    int argc = 0;
    while (arguments[argc])
        argc++;
    capture_begin(&out, STDOUT_FILENO);
    capture_begin(&err, STDERR_FILENO);
    enum exit_status status;
    *ret = setup(command, argc, (char **)arguments, &status);
    capture_end(&err);
    capture_end(&out);
    return *ret ? GOES_ON : (int)status;
}

#define RUN(command, o, ...) run(command, (const char *const[]){"vodhook", __VA_ARGS__, NULL}, o)

static void test_asked(void **state)
{
    (void)state;
    struct options *o = NULL;
    static const enum command commands[] = {COMMAND_LISTEN, COMMAND_PULL, COMMAND_EVENTS, COMMAND_SETTINGS};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(RUN(commands[i], &o, "--help", "--config=/nowhere"), EXIT_SUCCESS);
        assert_ptr_equal(strstr(out.text, "Usage: vodhook "), out.text);
        assert_non_null(strstr(out.text, "\nExit status:\n"));
        for (const char *line = out.text; *line; line = strchr(line, '\n') + 1)
            assert_in_range(strchr(line, '\n') - line, 0, 110);
        assert_int_equal(RUN(commands[i], &o, "-V"), EXIT_SUCCESS);
        assert_string_equal(out.text, "vodhook " VODHOOK_VERSION "\n");
        assert_int_equal(RUN(commands[i], &o, "--config=/dev/null", "--check"), EXIT_SUCCESS);
        assert_string_equal(out.text, "The configuration is fine\n");
        assert_int_equal(RUN(commands[i], &o, "--config=/dev/null", "--dump-config"), EXIT_SUCCESS);
        assert_null(strstr(out.text, "config"));
        assert_string_equal(err.text, "");
    }
    assert_null(o);
}

static void test_usage(void **state)
{
    (void)state;
    struct options *o = NULL;
    assert_int_equal(RUN(COMMAND_LISTEN, &o, "--nonsense"), EXIT_USAGE);
    assert_int_equal(RUN(COMMAND_LISTEN, &o, "--max-memory=x", "--config=/dev/null"), EXIT_USAGE);
    assert_int_equal(RUN(COMMAND_LISTEN, &o, "more"), EXIT_USAGE);
    assert_string_equal(err.text, "vodhook: Unexpected argument 'more': see --help\n");
    assert_int_equal(RUN(COMMAND_LISTEN, &o, "--listen=localhost:80"), EXIT_USAGE);
    assert_int_equal(RUN(COMMAND_LISTEN, &o, "--path=nowhere"), EXIT_USAGE);
    assert_int_equal(RUN(COMMAND_SETTINGS, &o, "--url=1.2.3.4"), EXIT_USAGE);
    assert_string_equal(out.text, "");
    assert_null(o);
}

static void test_config(void **state)
{
    (void)state;
    struct options *o = NULL;
    cleanup_free char *good = make_file(folder, "good", "max-memory = 1M\n", 16, 0600),
                      *bad = make_file(folder, "bad", "max-memory = 1\n", 15, 0600);
    assert_int_equal(RUN(COMMAND_LISTEN, &o, "--config", bad, "--check"), EXIT_CONFIGURATION);
    assert_non_null(strstr(err.text, "/bad:1: max-memory: '1' is out of range: from 1M to 1024G\n"));
    assert_int_equal(RUN(COMMAND_LISTEN, &o, "--config", bad), EXIT_CONFIGURATION);
    assert_int_equal(RUN(COMMAND_LISTEN, &o, "--config=/nowhere/conf"), EXIT_CONFIGURATION);
    assert_string_equal(
        err.text,
        "vodhook: Failed to open the configuration file /nowhere/conf: No such file or directory\n");
    assert_null(o);
    assert_int_equal(RUN(COMMAND_LISTEN, &o, "--config", good), GOES_ON);
    assert_int_equal(options_number(o, "max-memory"), 1 << 20);
    options_free(o);
}

static void test_credentials(void **state)
{
    (void)state;
    struct options *o = NULL;
    free(make_file(folder, "path", "/hush\n", 6, 0400));
    cleanup_free char *key = make_file(folder, "sign-key", "k3y\n", 4, 0400),
                      *conf = make_file(folder, "conf", "path = /other\n", 14, 0600);
    assert_int_equal(RUN(COMMAND_LISTEN, &o, "--config=/dev/null"), GOES_ON);
    assert_string_equal(options_string(o, "path"), "/hush");
    assert_string_equal(options_origin(o, "path"), "credential path");
    assert_string_equal(options_string(o, "sign-key-file"), key);
    options_free(o);
    assert_int_equal(RUN(COMMAND_LISTEN, &o, "--config", conf), GOES_ON);
    assert_string_equal(options_string(o, "path"), "/other");
    options_free(o);
    assert_int_equal(RUN(COMMAND_LISTEN, &o, "--config=/dev/null", "--dump-config"), EXIT_SUCCESS);
    assert_non_null(strstr(out.text, "path = ***  # credential path\n"));
    assert_null(strstr(out.text, "hush"));

    /* The key in VOD's settings changes only when that is asked for. */
    assert_int_equal(RUN(COMMAND_SETTINGS, &o, "--config=/dev/null"), GOES_ON);
    assert_null(options_string(o, "sign-key-file"));
    options_free(o);
}

static void test_bad_credentials(void **state)
{
    (void)state;
    struct options *o = NULL;
    static const struct {
        const char *name, *data;
        size_t len;
        const char *said;
    } bad[] = {
        {"path", "hush", 4, "credential path: path: the path of a URL begins with /"},
        {"path", "\n", 1, "is empty"},
        {"path", "/a\0b", 4, "The credential path has a NUL byte in it"},
        {"sign-key", "", 0, "is empty"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cleanup_free char *path = make_file(folder, bad[i].name, bad[i].data, bad[i].len, 0400);
        assert_int_equal(RUN(COMMAND_LISTEN, &o, "--config=/dev/null", "--check"), EXIT_CONFIGURATION);
        assert_non_null(strstr(err.text, bad[i].said));
        assert_null(strstr(err.text, "hush"));
        assert_string_equal(out.text, "");
        unlink(path);
    }
    assert_int_equal(RUN(COMMAND_LISTEN, &o, "--config=/dev/null", "--sign-key-file=/nowhere", "--check"),
                     EXIT_CONFIGURATION);
    assert_null(o);
}

/* What every row has to be, whoever adds one. */
static void check_row(const struct option_row *row)
{
    assert_in_range(strlen(row->name), 3, 40);
    assert_int_equal(row->name[strspn(row->name, "abcdefghijklmnopqrstuvwxyz-")], '\0');
    assert_true(row->commands);
    if (row->retired)
        return;
    assert_true(row->help && islower((unsigned char)row->help[0]));
    assert_int_not_equal(row->help[strlen(row->help) - 1], '.');
    assert_int_equal(row->type == OPTION_FLAG, !row->argument && !row->choices);
    assert_int_equal(row->type == OPTION_CHOICE, row->choices != NULL);
    bool number = row->type == OPTION_COUNT || row->type == OPTION_SIZE || row->type == OPTION_DURATION;
    assert_int_equal(number, row->least < row->most);
}

static void test_tables(void **state)
{
    (void)state;
    const struct option_row *rows[256];
    size_t n = 0;
    for (size_t t = 0; option_tables[t]; t++)
        for (const struct option_row *row = option_tables[t]; row->name; row++) {
            check_row(row);
            for (size_t i = 0; i < n; i++)
                assert_false(strcmp(row->name, rows[i]->name) == 0 && row->commands & rows[i]->commands);
            assert_true(n < sizeof rows / sizeof *rows);
            rows[n++] = row;
        }
}

/* An inbox that is emptied after half a minute was meant to be kept for a month. */
static void test_inbox_keep(void **state)
{
    (void)state;
    struct options *o = NULL;
    assert_int_equal(RUN(COMMAND_LISTEN, &o, "--inbox-keep=30", "--config=/dev/null"), EXIT_USAGE);
    assert_string_equal(err.text, "vodhook: --inbox-keep: 30 what? 30d, 30h or 30s\n");
    assert_int_equal(RUN(COMMAND_LISTEN, &o, "--inbox-keep=30s", "--config=/dev/null"), EXIT_USAGE);
    assert_non_null(strstr(err.text, "from 1h to "));
    assert_int_equal(RUN(COMMAND_LISTEN, &o, "--inbox-keep=1h", "--config=/dev/null"), GOES_ON);
    options_free(o);
}

/* What is in force includes what was computed. */
static void test_dump_names_defaults(void **state)
{
    (void)state;
    struct options *o = NULL;
    setenv("STATE_DIRECTORY", "/var/lib/vodhook", 1);
    assert_int_equal(RUN(COMMAND_LISTEN, &o, "--config=/dev/null", "--dump-config"), EXIT_DONE);
    assert_non_null(strstr(out.text, "inbox = /var/lib/vodhook/inbox.db  # default"));
    assert_non_null(strstr(out.text, "output = text  # default"));
    assert_int_equal(
        RUN(COMMAND_PULL, &o, "--config=/dev/null", "--inbox=none", "--output=json", "--dump-config"),
        EXIT_DONE);
    assert_non_null(strstr(out.text, "inbox = none  # command line"));
    assert_non_null(strstr(out.text, "output = json  # command line"));
    unsetenv("STATE_DIRECTORY");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_asked, make, clean),
        cmocka_unit_test_setup_teardown(test_usage, make, clean),
        cmocka_unit_test_setup_teardown(test_config, make, clean),
        cmocka_unit_test_setup_teardown(test_credentials, make, clean),
        cmocka_unit_test_setup_teardown(test_bad_credentials, make, clean),
        cmocka_unit_test(test_tables),
        cmocka_unit_test_setup_teardown(test_inbox_keep, make, clean),
        cmocka_unit_test_setup_teardown(test_dump_names_defaults, make, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
