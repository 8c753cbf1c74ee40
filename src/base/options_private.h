/* options_private.h: what the files of the options share: options.c (the settings), options_read.c (the
 * command line and the file) and options_print.c; nobody else's. */
#pragma once

#include "base/options.h"

/* Where a value is from; a source of a higher rank replaces what one of a lower rank gave. */
enum option_rank { RANK_DEFAULT, RANK_ELSEWHERE, RANK_FILE, RANK_COMMAND_LINE };

struct option_value {
    char *text;   /* owned, as it was given */
    char *origin; /* owned */
    int64_t number;
};

/* What is set of one row. */
struct setting {
    const struct option_row *row;
    struct option_value *values; /* owned */
    size_t n;
    enum option_rank rank;
};

struct options {
    option_commands command;
    struct setting *settings; /* owned; one for each row of all tables */
    size_t n;
};

/* In order: for (struct setting *s = NULL; (s = options_next(o, s));) */
struct setting *options_next(const struct options *o, const struct setting *s);

/* That of the name for this command, or NULL. */
struct setting *options_find(const struct options *o, const char *name);

static inline bool setting_is_ours(const struct options *o, const struct setting *s)
{
    return s->row->commands & o->command;
}

/* Checks a value without taking it. Returns 0, or -EINVAL or -ERANGE and writes what is wrong. */
int option_check(const struct option_row *row, const char *text, int64_t *ret_number, char *ret_why,
                 size_t size);

/* Checks the value and takes it, unless a source of a higher rank gave one. Returns 0, -EINVAL or -ENOMEM,
 * logged. */
int setting_take(struct setting *s, enum option_rank rank, const char *origin, const char *text);

/* Appends a number as its type is written, in the largest unit that is exact: 8M, 10s. */
void option_format_number(enum option_type type, int64_t number, char *buffer, size_t size);
