/* test_options.c: what the command line, a file and others may set, which of them wins, and what each mistake
 * is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/cleanup.h"
#include "base/options.h"
#include "capture.h"

enum { SERVE = 1, LOOK = 2 };

static const char *check_slash(const char *value)
{
    return value[0] == '/' ? NULL : "does not begin with /";
}

/* clang-format off */
static const struct option_row table[] = {
    {.name = "listen", .type = OPTION_STRING, .argument = "ADDRESS", .initial = ":8080", .repeatable = true,
     .commands = SERVE, .heading = "First things", .help = "listen there"},
    {.name = "output", .type = OPTION_CHOICE, .choices = "text json none", .repeatable = true, .commands = SERVE,
     .help = "what to write"},
    {.name = "output", .type = OPTION_CHOICE, .choices = "text raw", .initial = "text", .argv_only = true,
     .commands = LOOK, .help = "what to print"},
    {.name = "max-body", .type = OPTION_SIZE, .argument = "BYTES", .initial = "8M", .least = 1024, .most = 64 << 20,
     .commands = SERVE, .help = "a limit"},
    {.name = "timeout", .type = OPTION_DURATION, .argument = "TIME", .initial = "10s", .least = 10, .most = 86400000,
     .commands = SERVE | LOOK, .help = "a time"},
    {.name = "count", .type = OPTION_COUNT, .argument = "N", .least = 1, .most = 10, .commands = SERVE,
     .help = "a number"},
    {.name = "follow", .type = OPTION_FLAG, .commands = SERVE | LOOK, .help = "a flag"},
    {.name = "key", .type = OPTION_STRING, .argument = "KEY", .secret = true, .check = check_slash,
     .commands = SERVE, .heading = "Secrets", .help = "a secret"},
    {.name = "file", .type = OPTION_PATH, .argument = "FILE", .check = check_slash, .commands = SERVE | LOOK,
     .help = "a file"},
    {.name = "limit", .type = OPTION_COUNT, .argument = "N", .least = 1, .most = 99, .commands = LOOK,
     .heading = "Only to look", .help = "another number"},
    {0},
};
static const struct option_row second_table[] = {
    {.name = "old-limit", .commands = SERVE, .retired = "the limit is 8M"},
    {.name = "help", .type = OPTION_FLAG, .argv_only = true, .commands = SERVE | LOOK, .help = "print this"},
    {.name = "version", .type = OPTION_FLAG, .argv_only = true, .commands = SERVE, .help = "print the version"},
    {0},
};
/* clang-format on */
static const struct option_row *const tables[] = {table, second_table, NULL};

static struct capture out;
static const char *said; /* on stderr, by the last function that was tried */

static int parse(struct options *o, const char *const *arguments, int *ret_operand)
{
    int argc = 0;
    while (arguments[argc])
        argc++;
    capture_begin(&out, STDERR_FILENO);
    int r = options_parse_argv(o, argc, (char *const *)arguments, ret_operand);
    said = capture_end(&out);
    return r;
}

#define PARSE(o, ...) parse(o, (const char *const[]){"vodhook", __VA_ARGS__, NULL}, &(int){0})

static int parse_text(struct options *o, const char *text, size_t len)
{
    cleanup_free char *folder = make_folder();
    cleanup_free char *path = make_file(folder, "conf", text, len, 0600);
    capture_begin(&out, STDERR_FILENO);
    int r = options_parse_file(o, path);
    /* The folder's name is never the same. */
    char *from = capture_end(&out) ? out.text : NULL, *at;
    while ((at = strstr(from, path))) {
        memmove(at + 4, at + strlen(path), strlen(at + strlen(path)) + 1);
        memcpy(at, "conf", 4);
    }
    said = out.text;
    unlink(path);
    rmdir(folder);
    return r;
}

#define FILE_TEXT(o, text) parse_text(o, text, strlen(text))

static void test_defaults(void **state)
{
    (void)state;
    cleanup(options_free_p) struct options *o = options_new(tables, SERVE);
    assert_string_equal(options_string(o, "listen"), ":8080");
    assert_int_equal(options_count(o, "listen"), 1);
    assert_int_equal(options_number(o, "max-body"), 8 << 20);
    assert_int_equal(options_number(o, "timeout"), 10000);
    assert_int_equal(options_number(o, "count"), 0);
    assert_null(options_string(o, "key"));
    assert_int_equal(options_count(o, "output"), 0);
    assert_false(options_flag(o, "follow"));
    assert_true(options_is_default(o, "max-body"));
    assert_string_equal(options_origin(o, "max-body"), "default");
    assert_string_equal(options_origin(o, "key"), "default");
}

static void test_argv(void **state)
{
    (void)state;
    cleanup(options_free_p) struct options *o = options_new(tables, SERVE);
    assert_int_equal(PARSE(o, "--max-body", "9M", "--listen=:1", "--listen", "[::1]:2", "--follow",
                           "--max-body=16K", "--output", "json", "--file=/a=b", "-h"),
                     0);
    assert_string_equal(said, "");
    assert_int_equal(options_number(o, "max-body"), 16384);
    assert_int_equal(options_count(o, "listen"), 2);
    assert_string_equal(options_nth(o, "listen", 0), ":1");
    assert_string_equal(options_nth(o, "listen", 1), "[::1]:2");
    assert_string_equal(options_string(o, "file"), "/a=b");
    assert_true(options_flag(o, "follow"));
    assert_true(options_flag(o, "help"));
    assert_false(options_flag(o, "version"));
    assert_string_equal(options_origin(o, "listen"), "command line");
    assert_false(options_is_default(o, "listen"));
}

static void test_operands(void **state)
{
    (void)state;
    cleanup(options_free_p) struct options *o = options_new(tables, SERVE);
    int operand = 0;
    const char *none[] = {"vodhook", "--follow", NULL}, *dash[] = {"vodhook", "-", "--follow", NULL},
               *some[] = {"vodhook", "--follow", "more", NULL},
               *ended[] = {"vodhook", "--", "--follow", NULL};
    assert_int_equal(parse(o, none, &operand), 0);
    assert_int_equal(operand, 2);
    assert_int_equal(parse(o, some, &operand), 0);
    assert_int_equal(operand, 2);
    assert_int_equal(parse(o, dash, &operand), 0);
    assert_int_equal(operand, 1);
    assert_int_equal(parse(o, ended, &operand), 0);
    assert_int_equal(operand, 2);
}

/* Each mistake on a command line of its own, and what is said about it. */
static void test_argv_mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *arguments[3], *said;
    } mistakes[] = {
        {{"--max-bdy", "3"}, "There is no option --max-bdy: did you mean --max-body?"},
        {{"--max"}, "There is no option --max: did you mean --max-body?"},
        {{"--max-b=3"}, "There is no option --max-b: did you mean --max-body?"},
        {{"--zebra=secret"}, "There is no option --zebra: see --help"},
        {{"--limit=3"}, "There is no option --limit: see --help"},
        {{"--"
          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
         "There is no option --aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: see --help"},
        {{"-x"}, "There is no option -x: see --help"},
        {{"-help"}, "There is no option -help: see --help"},
        {{"--=3"}, "There is no option --: see --help"},
        {{"--max-body"}, "--max-body needs a value: --max-body BYTES"},
        {{"--output"}, "--output needs a value: --output text json none"},
        {{"--max-body="}, "--max-body: the value is empty"},
        {{"--listen", ""}, "--listen: the value is empty"},
        {{"--listen", "a\nb"}, "--listen: the value has a control character in it"},
        {{"--max-body", "8X"},
         "--max-body: '8X' is not a size: a whole number of bytes, or one with K, M or G"},
        {{"--max-body", "1023"}, "--max-body: '1023' is out of range: from 1K to 64M"},
        {{"--max-body", "65M"}, "--max-body: '65M' is out of range: from 1K to 64M"},
        {{"--max-body", "99999999999999999999"},
         "--max-body: '99999999999999999999' is out of range: from 1K to 64M"},
        {{"--timeout", "9ms"}, "--timeout: '9ms' is out of range: from 10ms to 1d"},
        {{"--timeout", "1w"}, "--timeout: '1w' is not a time: a whole number with ms, s, min, h or d"},
        {{"--timeout", "30"}, "--timeout: 30 what? 30d, 30h or 30s"},
        {{"--old-limit", "30"}, "--old-limit is not an option any more: the limit is 8M"},
        {{"--old-limit=x"}, "--old-limit is not an option any more: the limit is 8M"},
        {{"--old-limi=x"}, "There is no option --old-limi: see --help"},
        {{"--count", "-1"}, "--count: '-1' is not a whole number"},
        {{"--count", "11"}, "--count: '11' is out of range: from 1 to 10"},
        {{"--output", "xml"}, "--output: 'xml' is not one of: text json none"},
        {{"--output", "tex"}, "--output: 'tex' is not one of: text json none"},
        {{"--output", "raw"}, "--output: 'raw' is not one of: text json none"},
        {{"--follow=yes"}, "--follow takes no value"},
        {{"--file", "a"}, "--file: 'a' does not begin with /"},
    };
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        cleanup(options_free_p) struct options *o = options_new(tables, SERVE);
        const char *const *a = mistakes[i].arguments;
        char expected[256];
        snprintf(expected, sizeof expected, "vodhook: %s\n", mistakes[i].said);
        assert_int_equal(PARSE(o, a[0], a[1]), -EINVAL);
        assert_string_equal(said, expected);
    }
}

static void test_secret_in_argv(void **state)
{
    (void)state;
    cleanup(options_free_p) struct options *o = options_new(tables, SERVE);
    assert_int_equal(PARSE(o, "--key", "/hush"), 0);
    assert_non_null(strstr(said, "--key is a secret"));
    assert_null(strstr(said, "hush"));
    assert_string_equal(options_string(o, "key"), "/hush");
    assert_int_equal(PARSE(o, "--key=hush"), -EINVAL);
    assert_non_null(strstr(said, "--key: does not begin with /"));
    assert_null(strstr(said, "hush"));
}

static void test_file(void **state)
{
    (void)state;
    cleanup(options_free_p) struct options *o = options_new(tables, SERVE);
    const char text[] = "\xEF\xBB\xBF# A comment\n"
                        "; another\r\n"
                        "\n"
                        "   max-body=9M\r\n"
                        "\tlisten \t= 127.0.0.1:1  # with a comment\n"
                        "listen = 127.0.0.1:2\n"
                        "follow = on\n"
                        "key = /a#b ; c\n"
                        "limit = 3\n"
                        "file = \"/with \\\"quotes\\\" # and \\\\ all \" # a comment\n"
                        "output = json";
    assert_int_equal(FILE_TEXT(o, text), 0);
    assert_string_equal(said, "");
    assert_int_equal(options_number(o, "max-body"), 9 << 20);
    assert_int_equal(options_count(o, "listen"), 2);
    assert_string_equal(options_nth(o, "listen", 0), "127.0.0.1:1");
    assert_string_equal(options_nth(o, "listen", 1), "127.0.0.1:2");
    assert_true(options_flag(o, "follow"));
    assert_string_equal(options_string(o, "key"), "/a#b ; c");
    assert_string_equal(options_string(o, "file"), "/with \"quotes\" # and \\ all ");
    assert_string_equal(options_string(o, "output"), "json");
    const char *origin = options_origin(o, "output");
    assert_string_equal(origin + strlen(origin) - strlen("/conf:11"), "/conf:11");
}

static void test_file_mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *text, *said;
    } mistakes[] = {
        {"max-body 9M", "conf:1: expected a line of the form name = value"},
        {"\n[server]\n", "conf:2: expected a line of the form name = value"},
        {"max-boby = 9M", "conf:1: there is no setting 'max-boby': did you mean max-body?"},
        {"--max-body = 9M", "conf:1: there is no setting '--max-body': did you mean max-body?"},
        {"zebra = 9M", "conf:1: there is no setting 'zebra': see --help"},
        {"= 9M", "conf:1: there is no setting '': see --help"},
        {"version = yes", "conf:1: version is for the command line only"},
        {"max-body =", "conf:1: max-body: the value is empty"},
        {"max-body = # 9M", "conf:1: max-body: the value is empty"},
        {"max-body = \"\"", "conf:1: max-body: the value is empty"},
        {"max-body = 9M;",
         "conf:1: max-body: '9M;' is not a size: a whole number of bytes, or one with K, M or G"},
        {"max-body = 1", "conf:1: max-body: '1' is out of range: from 1K to 64M"},
        {"max-body = 1M\n\nmax-body = 2M", "conf:3: max-body stands in conf:1 already"},
        {"timeout = 30", "conf:1: timeout: 30 what? 30d, 30h or 30s"},
        {"follow = maybe", "conf:1: follow: 'maybe' is neither yes nor no"},
        {"output = raw", "conf:1: output: 'raw' is not one of: text json none"},
        {"limit = 100", "conf:1: limit: '100' is out of range: from 1 to 99"},
        {"listen = \":1", "conf:1: the closing quote is missing"},
        {"listen = \":1\\", "conf:1: the closing quote is missing"},
        {"listen = \":1\" :2", "conf:1: only a comment may follow the closing quote"},
        {"listen = a\x07"
         "b",
         "conf:1: listen: the value has a control character in it"},
        {"key = hush", "conf:1: key: does not begin with /"},
        {"key = ***", "conf:1: key: *** stands for a secret that was not shown: put it there"},
    };
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        cleanup(options_free_p) struct options *o = options_new(tables, SERVE);
        char expected[256];
        snprintf(expected, sizeof expected, "vodhook: %s\n", mistakes[i].said);
        assert_int_equal(FILE_TEXT(o, mistakes[i].text), -EINVAL);
        assert_string_equal(said, expected);
    }
}

static void test_file_tells_every_mistake(void **state)
{
    (void)state;
    cleanup(options_free_p) struct options *o = options_new(tables, SERVE);
    assert_int_equal(FILE_TEXT(o, "max-body = 1\ncount = 3\ncuont = 4\nnonsense\n"), -EINVAL);
    assert_string_equal(said, "vodhook: conf:1: max-body: '1' is out of range: from 1K to 64M\n"
                              "vodhook: conf:3: there is no setting 'cuont': did you mean count?\n"
                              "vodhook: conf:4: expected a line of the form name = value\n");
    char prose[1000];
    memset(prose, '\n', sizeof prose);
    for (size_t i = 0; i < sizeof prose; i += 2)
        prose[i] = 'x';
    assert_int_equal(parse_text(o, prose, sizeof prose), -EINVAL);
    assert_non_null(strstr(said, "conf:20: "));
    assert_null(strstr(said, "conf:21: "));
    assert_non_null(strstr(said, "conf: stopped after 20 errors\n"));
}

static void test_file_that_is_no_text(void **state)
{
    (void)state;
    cleanup(options_free_p) struct options *o = options_new(tables, SERVE);
    const char nul[] = "count = 3\nlisten = a\0b\n";
    assert_int_equal(parse_text(o, nul, sizeof nul - 1), -EINVAL);
    assert_string_equal(said, "vodhook: conf:2: a NUL byte: the file is no plain text\n");

    cleanup_free char *large = calloc(1, 2 << 20);
    assert_int_equal(parse_text(o, large, 2 << 20), -EFBIG);
    assert_string_equal(said, "vodhook: conf is over 1 MB: that is no configuration file\n");
    assert_int_equal(parse_text(o, "", 0), 0);

    capture_begin(&out, STDERR_FILENO);
    int folder = options_parse_file(o, "/tmp"), missing = options_parse_file(o, "/nowhere/conf");
    said = capture_end(&out);
    assert_int_equal(folder, -EISDIR);
    assert_int_equal(missing, -ENOENT);
    assert_string_equal(said, "vodhook: Failed to read the configuration file /tmp: Is a directory\n");
}

static void test_public_secret(void **state)
{
    (void)state;
    cleanup(options_free_p) struct options *o = options_new(tables, SERVE),
                                           *other = options_new(tables, LOOK);
    cleanup_free char *folder = make_folder();
    cleanup_free char *path = make_file(folder, "conf", "key = /hush\n", 12, 0644);
    capture_begin(&out, STDERR_FILENO);
    int r = options_parse_file(o, path), with_other = options_parse_file(other, path);
    said = capture_end(&out);
    unlink(path);
    rmdir(folder);
    assert_int_equal(r, 0);
    assert_int_equal(with_other, 0);
    assert_non_null(
        strstr(said, "conf holds a secret, and every user of this machine can read it: chgrp vodhook /"));
    assert_non_null(strstr(said, "/conf && chmod 0640 /"));
    assert_string_equal(strchr(said, '\n'), "\n");
}

/* An upgrade finds a file that an older version took. */
static void test_retired(void **state)
{
    (void)state;
    cleanup(options_free_p) struct options *o = options_new(tables, SERVE),
                                           *other = options_new(tables, LOOK);
    assert_int_equal(FILE_TEXT(o, "count = 3\nold-limit = whatever\nold-limit = again\n"), 0);
    assert_string_equal(said,
                        "vodhook: conf:2: old-limit is not a setting any more, ignoring: the limit is 8M\n"
                        "vodhook: conf:3: old-limit is not a setting any more, ignoring: the limit is 8M\n");
    assert_int_equal(options_number(o, "count"), 3);
    assert_int_equal(FILE_TEXT(other, "old-limit = 3\n"), 0);
    assert_string_equal(said, "");
}

/* A computed default gives way to everything else. */
static void test_computed_default(void **state)
{
    (void)state;
    cleanup(options_free_p) struct options *o = options_new(tables, SERVE);
    assert_int_equal(options_set_default(o, "output", "json", "computed"), 0);
    assert_string_equal(options_string(o, "output"), "json");
    assert_string_equal(options_origin(o, "output"), "computed");
    assert_true(options_is_default(o, "output"));
    assert_int_equal(FILE_TEXT(o, "output = text"), 0);
    assert_int_equal(options_set_default(o, "output", "json", "computed"), 0);
    assert_int_equal(options_count(o, "output"), 1);
    assert_string_equal(options_string(o, "output"), "text");
}

/* Whatever the order they come in: the command line, then the file, then what options_set() was told. */
static void test_ranks(void **state)
{
    (void)state;
    cleanup(options_free_p) struct options *o = options_new(tables, SERVE);
    assert_int_equal(options_set(o, "key", "/set", "credential key"), 0);
    assert_string_equal(options_string(o, "key"), "/set");
    assert_string_equal(options_origin(o, "key"), "credential key");
    assert_false(options_is_default(o, "key"));
    assert_int_equal(PARSE(o, "--listen=:1", "--max-body=2M"), 0);
    assert_int_equal(FILE_TEXT(o, "listen = :2\nlisten = :3\nkey = /file\noutput = text\noutput = json"), 0);
    assert_int_equal(options_set(o, "key", "/late", "credential key"), 0);
    assert_int_equal(options_set(o, "max-body", "3M", "elsewhere"), 0);
    assert_int_equal(options_count(o, "listen"), 1);
    assert_string_equal(options_string(o, "listen"), ":1");
    assert_string_equal(options_string(o, "key"), "/file");
    assert_int_equal(options_number(o, "max-body"), 2 << 20);
    assert_int_equal(options_count(o, "output"), 2);

    capture_begin(&out, STDERR_FILENO);
    int r = options_set(o, "key", "wrong", "credential key");
    assert_string_equal(capture_end(&out), "vodhook: credential key: key: does not begin with /\n");
    assert_int_equal(r, -EINVAL);
}

/* A file is for all commands: what it says of another's option, or of one that this command has on the
 * command line only, is none of this command's business. */
static void test_rows_of_one_name(void **state)
{
    (void)state;
    cleanup(options_free_p) struct options *o = options_new(tables, LOOK);
    assert_int_equal(FILE_TEXT(o, "output = json\nmax-body = 1M\nlimit = 3\nkey = /hush\n"), 0);
    assert_string_equal(options_string(o, "output"), "text");
    assert_int_equal(options_number(o, "limit"), 3);
    assert_int_equal(FILE_TEXT(o, "max-body = 1"), -EINVAL);
    assert_int_equal(PARSE(o, "--output=raw"), 0);
    assert_string_equal(options_string(o, "output"), "raw");
    assert_int_equal(PARSE(o, "--output=json"), -EINVAL);
}

static void test_print_config(void **state)
{
    (void)state;
    cleanup(options_free_p) struct options *o = options_new(tables, SERVE);
    assert_int_equal(PARSE(o, "--key=/hush", "--listen=#1", "--listen=a \"b\" \\ #", "--count=3"), 0);
    capture_begin(&out, STDOUT_FILENO);
    options_print_config(o);
    cleanup_free char *config = strdup(capture_end(&out));
    assert_string_equal(config, "listen = \"#1\"  # command line\n"
                                "listen = \"a \\\"b\\\" \\\\ #\"  # command line\n"
                                "# output is not set\n"
                                "max-body = 8M  # default\n"
                                "timeout = 10s  # default\n"
                                "count = 3  # command line\n"
                                "# follow is not set\n"
                                "key = ***  # command line\n"
                                "# file is not set\n");

    /* It reads back, once the secret is put in. */
    cleanup(options_free_p) struct options *again = options_new(tables, SERVE);
    assert_int_equal(FILE_TEXT(again, config), -EINVAL);
    char *masked = strstr(config, "key = ***");
    memcpy(masked, "key = /aa", 9);
    cleanup(options_free_p) struct options *third = options_new(tables, SERVE);
    assert_int_equal(FILE_TEXT(third, config), 0);
    assert_string_equal(options_nth(third, "listen", 1), "a \"b\" \\ #");
    assert_string_equal(options_string(third, "key"), "/aa");
}

static void test_print_help(void **state)
{
    (void)state;
    cleanup(options_free_p) struct options *o = options_new(tables, LOOK);
    capture_begin(&out, STDOUT_FILENO);
    options_print_help(o);
    assert_string_equal(capture_end(&out), "\nFirst things:\n"
                                           "  --output text|raw           what to print (default text)\n"
                                           "  --timeout TIME              a time (default 10s)\n"
                                           "  --follow                    a flag\n"
                                           "\nSecrets:\n"
                                           "  --file FILE                 a file\n"
                                           "\nOnly to look:\n"
                                           "  --limit N                   another number\n"
                                           "  -h, --help                  print this\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_argv),
        cmocka_unit_test(test_retired),
        cmocka_unit_test(test_computed_default),
        cmocka_unit_test(test_operands),
        cmocka_unit_test(test_argv_mistakes),
        cmocka_unit_test(test_secret_in_argv),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_file_mistakes),
        cmocka_unit_test(test_file_tells_every_mistake),
        cmocka_unit_test(test_file_that_is_no_text),
        cmocka_unit_test(test_public_secret),
        cmocka_unit_test(test_ranks),
        cmocka_unit_test(test_rows_of_one_name),
        cmocka_unit_test(test_print_config),
        cmocka_unit_test(test_print_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
