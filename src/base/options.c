/* options.c: the settings: one value or several for each row of the table, checked, with their origin. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/parse.h"
#include "options_private.h"

struct setting *options_next(const struct options *o, const struct setting *s)
{
    size_t i = s ? (size_t)(s - o->settings) + 1 : 0;
    return i < o->n ? &o->settings[i] : NULL;
}

struct setting *options_find(const struct options *o, const char *name)
{
    for (struct setting *s = NULL; (s = options_next(o, s));)
        if (setting_is_ours(o, s) && strcmp(s->row->name, name) == 0)
            return s;
    return NULL;
}

/* --- Checking ---------------------------------------------------------------------------------------- */

void option_format_number(enum option_type type, int64_t number, char *buffer, size_t size)
{
    static const struct {
        enum option_type type;
        const char *name;
        int64_t factor;
    } units[] = {
        {OPTION_SIZE, "G", 1 << 30},      {OPTION_SIZE, "M", 1 << 20},     {OPTION_SIZE, "K", 1 << 10},
        {OPTION_DURATION, "d", 86400000}, {OPTION_DURATION, "h", 3600000}, {OPTION_DURATION, "min", 60000},
        {OPTION_DURATION, "s", 1000},     {OPTION_DURATION, "ms", 1},
    };
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (units[i].type == type && number && number % units[i].factor == 0) {
            snprintf(buffer, size, "%" PRId64 "%s", number / units[i].factor, units[i].name);
            return;
        }
    snprintf(buffer, size, "%" PRId64, number);
}

static bool word_in(const char *words, const char *word)
{
    size_t len = strlen(word);
    for (const char *p = words; *p; p += strspn(p, " ")) {
        size_t n = strcspn(p, " ");
        if (n == len && memcmp(p, word, n) == 0)
            return true;
        p += n;
    }
    return false;
}

/* What a value should have been. */
static const char *option_expectation(enum option_type type)
{
    switch (type) {
    case OPTION_FLAG:
        return "neither yes nor no";
    case OPTION_COUNT:
        return "not a whole number";
    case OPTION_SIZE:
        return "not a size: a whole number of bytes, or one with K, M or G";
    default:
        return "not a time: a whole number with ms, s, min, h or d";
    }
}

/* Returns as parse_count(). */
static int option_read_number(enum option_type type, const char *text, int64_t *ret)
{
    switch (type) {
    case OPTION_FLAG:
        if (!word_in("yes true on 1 no false off 0", text))
            return -EINVAL;
        *ret = word_in("yes true on 1", text);
        return 0;
    case OPTION_COUNT:
        return parse_count(text, ret);
    case OPTION_SIZE:
        return parse_size(text, ret);
    case OPTION_DURATION:
        return parse_duration(text, ret);
    default:
        return 0;
    }
}

static int option_check_range(const struct option_row *row, const char *text, int64_t number, char *ret_why,
                              size_t size)
{
    char least[32], most[32];
    if (row->type == OPTION_FLAG || (number >= row->least && number <= row->most))
        return 0;
    option_format_number(row->type, row->least, least, sizeof least);
    option_format_number(row->type, row->most, most, sizeof most);
    snprintf(ret_why, size, "'%.100s' is out of range: from %s to %s", text, least, most);
    return -ERANGE;
}

static int option_check_text(const struct option_row *row, const char *text, char *ret_why, size_t size)
{
    const char *wrong = row->check ? row->check(text) : NULL;
    if (!wrong && row->type == OPTION_CHOICE && !word_in(row->choices, text)) {
        snprintf(ret_why, size, "'%.100s' is not one of: %s", text, row->choices);
        return -EINVAL;
    }
    if (!wrong)
        return 0;
    if (row->secret)
        snprintf(ret_why, size, "%s", wrong);
    else
        snprintf(ret_why, size, "'%.100s' %s", text, wrong);
    return -EINVAL;
}

int option_check(const struct option_row *row, const char *text, int64_t *ret_number, char *ret_why,
                 size_t size)
{
    *ret_number = 0;
    if (!*text) {
        snprintf(ret_why, size, "the value is empty");
        return -EINVAL;
    }
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7F) {
            snprintf(ret_why, size, "the value has a control character in it");
            return -EINVAL;
        }
    switch (row->type) {
    case OPTION_STRING:
    case OPTION_PATH:
    case OPTION_CHOICE:
        return option_check_text(row, text, ret_why, size);
    default:
        break;
    }
    int r = option_read_number(row->type, text, ret_number);
    if (r == -EINVAL && row->type == OPTION_DURATION && !text[strspn(text, "0123456789")])
        snprintf(ret_why, size, "%.20s what? %.20sd, %.20sh or %.20ss", text, text, text, text);
    else if (r == -EINVAL)
        snprintf(ret_why, size, "'%.100s' is %s", text, option_expectation(row->type));
    if (r == -ERANGE)
        *ret_number = INT64_MAX;
    return r == -EINVAL ? r : option_check_range(row, text, *ret_number, ret_why, size);
}

/* --- Settings ---------------------------------------------------------------------------------------- */

static void setting_clear(struct setting *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->values[i].text);
        free(s->values[i].origin);
    }
    free(s->values);
    *s = (struct setting){.row = s->row};
}

static int setting_add(struct setting *s, const char *text, const char *origin, int64_t number)
{
    struct option_value *values = realloc(s->values, (s->n + 1) * sizeof *values);
    if (!values)
        return -ENOMEM;
    s->values = values;
    cleanup_free char *own_text = strdup(text), *own_origin = strdup(origin);
    if (!own_text || !own_origin)
        return -ENOMEM;
    values[s->n++] = (struct option_value){steal_pointer(own_text), steal_pointer(own_origin), number};
    return 0;
}

int setting_take(struct setting *s, enum option_rank rank, const char *origin, const char *text)
{
    char why[256];
    int64_t number;
    int r = option_check(s->row, text, &number, why, sizeof why);
    if (r < 0 && rank == RANK_COMMAND_LINE)
        log_error("--%s: %s", s->row->name, why);
    else if (r < 0)
        log_error("%s: %s: %s", origin, s->row->name, why);
    if (r < 0)
        return -EINVAL;
    if (rank < s->rank)
        return 0;
    if (rank > s->rank || !s->row->repeatable)
        setting_clear(s);
    s->rank = rank;
    r = setting_add(s, text, origin, number);
    return r < 0 ? log_error_errno(r, "%m") : 0;
}

struct options *options_new(const struct option_row *const *tables, option_commands command)
{
    cleanup(options_free_p) struct options *o = calloc(1, sizeof *o);
    size_t n = 0;
    for (size_t t = 0; tables[t]; t++)
        for (const struct option_row *row = tables[t]; row->name; row++)
            n++;
    if (!o || !(o->settings = calloc(n, sizeof *o->settings)))
        return NULL;
    o->command = command;
    for (size_t t = 0; tables[t]; t++)
        for (const struct option_row *row = tables[t]; row->name; row++) {
            struct setting *s = &o->settings[o->n++];
            s->row = row;
            int r = row->initial ? setting_take(s, RANK_DEFAULT, "default", row->initial) : 0;
            assert(r != -EINVAL); /* the table's own mistake */
            if (r < 0)
                return NULL;
        }
    return steal_pointer(o);
}

struct options *options_free(struct options *o)
{
    if (!o)
        return NULL;
    for (struct setting *s = NULL; (s = options_next(o, s));)
        setting_clear(s);
    free(o->settings);
    free(o);
    return NULL;
}

static const struct setting *setting_of(const struct options *o, const char *name)
{
    const struct setting *s = options_find(o, name);
    assert(s); /* a name the caller made up */
    return s;
}

bool options_flag(const struct options *o, const char *name)
{
    return options_number(o, name) != 0;
}

const char *options_string(const struct options *o, const char *name)
{
    const struct setting *s = setting_of(o, name);
    return s->n ? s->values[0].text : NULL;
}

int64_t options_number(const struct options *o, const char *name)
{
    const struct setting *s = setting_of(o, name);
    return s->n ? s->values[0].number : 0;
}

size_t options_count(const struct options *o, const char *name)
{
    return setting_of(o, name)->n;
}

const char *options_nth(const struct options *o, const char *name, size_t i)
{
    const struct setting *s = setting_of(o, name);
    assert(i < s->n);
    return s->values[i].text;
}

const char *options_origin(const struct options *o, const char *name)
{
    const struct setting *s = setting_of(o, name);
    return s->n ? s->values[0].origin : "default";
}

bool options_is_default(const struct options *o, const char *name)
{
    return setting_of(o, name)->rank == RANK_DEFAULT;
}

bool options_is_from_command_line(const struct options *o, const char *name)
{
    return setting_of(o, name)->rank == RANK_COMMAND_LINE;
}

int options_set(struct options *o, const char *name, const char *value, const char *origin)
{
    return setting_take(options_find(o, name), RANK_ELSEWHERE, origin, value);
}

int options_set_default(struct options *o, const char *name, const char *value, const char *origin)
{
    return setting_take(options_find(o, name), RANK_DEFAULT, origin, value);
}
