/* options.h: one table of options drives the command line, the configuration file, --help and --dump-config.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_type {
    OPTION_FLAG,     /* no argument on the command line; yes/no/true/false/on/off/1/0 in a file */
    OPTION_STRING,   /* any text that is not empty */
    OPTION_PATH,     /* a file name; --dump-config and messages show it as it is */
    OPTION_COUNT,    /* a whole number, least to most */
    OPTION_SIZE,     /* bytes: a whole number, or one with K, M or G (1024 each), least to most */
    OPTION_DURATION, /* a whole number with ms, s, min, h or d; kept in milliseconds, least to most */
    OPTION_CHOICE,   /* one of the words in `choices` */
};

/* Which commands have the option; a bit each. The table's owner gives the bits their meaning. */
typedef unsigned option_commands;

struct option_row {
    const char *name; /* "max-body"; on the command line --max-body */
    enum option_type type;
    const char *argument; /* "BYTES", as --help shows it; NULL for a flag, and to show the choices */
    const char *initial;  /* the default, as text; NULL for none */
    option_commands commands;
    bool repeatable;     /* may be given more than once; a source of settings replaces those before it */
    bool secret;         /* shown as ***; a warning when given on the command line */
    bool argv_only;      /* not in a file: --config, --check, --help ... */
    int64_t least, most; /* of a number, in the unit that is kept */
    const char *choices; /* "text json journal none" */
    const char
        *alone; /* on the command line: the choice that the option means without a value; NULL for none */
    const char *(*check)(const char *value); /* of a text: what is wrong with it, or NULL; NULL for nothing */
    const char *help;                        /* one sentence, without a full stop */
    const char *heading;                     /* begins a group in --help; NULL within one */
    const char *retired; /* not an option any more: what holds instead. A file may still have it */
};

/* The row of an option that was removed, of the commands that had it. */
#define OPTION_RETIRED(option, had_by, holds)                      \
    {                                                              \
        .name = (option), .commands = (had_by), .retired = (holds) \
    }

struct options;

/* Settings that hold every row's default. The list of tables ends with NULL, each table with a row without a name;
 * the rows are borrowed for ever. command is one bit. Returns NULL when memory runs out. */
struct options *options_new(const struct option_row *const *tables, option_commands command);
struct options *options_free(struct options *o);

/* Reads argv[1..argc) in the manner of getopt_long(3): --name value, --name=value, unambiguous abbreviations
 * are refused, -h and -V stand for --help and --version, and `--` ends options. Returns 0 and the index of
 * the first operand, or -EINVAL after saying on stderr what is wrong (usage: exit 2). A later value replaces
 * an earlier one of the same option that may not be repeated. */
int options_parse_argv(struct options *o, int argc, char *const argv[], int *ret_operand);

/* Reads `name = value` lines; # and ; begin a comment line, and # after white space a comment; white space
 * around name and value is dropped, a value may stand in double quotes, with \" and \\ in it. What the
 * command line gave stays. An option that only other commands have is checked and passed over; a retired one is
 * passed over, with a warning that says what holds now. Returns 0,
 * -ENOENT (not logged), or another negative errno after saying file:line: what is wrong for every line that
 * is wrong (exit 78). */
int options_parse_file(struct options *o, const char *path);

/* Values. The name must stand in the table; a number is in the unit kept. A string is borrowed until free. */
bool options_flag(const struct options *o, const char *name);
const char *options_string(const struct options *o, const char *name); /* NULL when not set */
int64_t options_number(const struct options *o, const char *name);
size_t options_count(const struct options *o, const char *name); /* how often a repeatable one was given */
const char *options_nth(const struct options *o, const char *name, size_t i);

/* Where the value is from: "default", "command line", "/etc/vodhook.conf:12" or what options_set() was told.
 */
const char *options_origin(const struct options *o, const char *name);
bool options_is_default(const struct options *o, const char *name);
bool options_is_from_command_line(const struct options *o, const char *name);

/* Sets a value from elsewhere (a credential), unless the command line or a file gave one; or a default that is
 * computed, unless anything gave one. Returns 0 or -EINVAL (logged with origin) or -ENOMEM. */
int options_set(struct options *o, const char *name, const char *value, const char *origin);
int options_set_default(struct options *o, const char *name, const char *value, const char *origin);

/* --help's list of the command's options, wrapped at 100 columns, with defaults; --dump-config's
 * `name = value  # origin` lines, which read back as a configuration file once its secrets are put in. */
void options_print_help(const struct options *o);
void options_print_config(const struct options *o);

static inline void options_free_p(struct options **o)
{
    options_free(*o);
}
