/* options_read.c: settings from the command line and from a configuration file. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "options_private.h"

enum {
    NAME_MAX_LEN = 64,           /* letters of an option */
    FILE_MAX_SIZE = 1024 * 1024, /* bytes of a configuration file; a larger file is another kind of file */
    WRONG_LINES_MAX = 20,        /* reported errors; a file with more is another kind of file, too */
};

/* --- Names that are nearly right --------------------------------------------------------------------- */

/* How many letters have to be put in, left out or replaced. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[NAME_MAX_LEN + 1], len = strlen(b);
    for (size_t j = 0; j <= len; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < len; j++) {
            size_t best = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            if (best > row[j] + 1)
                best = row[j] + 1;
            row[j + 1] = best < diagonal + 1 ? best : diagonal + 1;
        }
    }
    return row[len];
}

/* The name that was meant, or NULL when none is near. */
static const char *nearest_name(const struct options *o, const char *name, bool in_file)
{
    const char *nearest = NULL;
    size_t len = strlen(name), least = 2 + len / 4;
    if (len > NAME_MAX_LEN)
        return NULL;
    for (struct setting *s = NULL; (s = options_next(o, s));) {
        const struct option_row *row = s->row;
        if (row->retired || (in_file ? row->argv_only : !setting_is_ours(o, s)))
            continue;
        bool abbreviated = len >= 3 && strncmp(row->name, name, len) == 0;
        size_t distance = abbreviated ? 1 : edit_distance(name, row->name);
        if (distance < least) {
            least = distance;
            nearest = row->name;
        }
    }
    return nearest;
}

/* --- The command line -------------------------------------------------------------------------------- */

static int unknown_option(const struct options *o, const char *name)
{
    const char *meant = nearest_name(o, name, false);
    if (meant)
        return log_error_errno(EINVAL, "There is no option --%.64s: did you mean --%s?", name, meant);
    return log_error_errno(EINVAL, "There is no option --%.64s: see --help", name);
}

/* Takes the option at argv[*i], and the argument after it where it has one. */
static int parse_long_option(struct options *o, int argc, char *const argv[], int *i)
{
    const char *arg = argv[*i] + 2, *value = strchr(arg, '=');
    char name[NAME_MAX_LEN + 1];
    snprintf(name, sizeof name, "%.*s", value ? (int)(value - arg) : (int)strlen(arg), arg);
    struct setting *s = options_find(o, name);
    const struct option_row *row = s ? s->row : NULL;
    if (!row || strlen(row->name) != (value ? (size_t)(value - arg) : strlen(arg)))
        return unknown_option(o, name);
    if (row->retired)
        return log_error_errno(EINVAL, "--%s is not an option any more: %s", row->name, row->retired);
    if (row->type == OPTION_FLAG) {
        if (value)
            return log_error_errno(EINVAL, "--%s takes no value", row->name);
        return setting_take(s, RANK_COMMAND_LINE, "command line", "yes");
    }
    bool stands_alone = row->alone && (*i + 1 == argc || argv[*i + 1][0] == '-');
    if (value)
        value++;
    else if (stands_alone)
        value = row->alone;
    else if (*i + 1 < argc)
        value = argv[++*i];
    else
        return log_error_errno(EINVAL, "--%s needs a value: --%s %s", row->name, row->name,
                               row->argument ? row->argument : row->choices);
    if (row->secret)
        log_warning("--%s is a secret, and every user of this machine can read command lines: put it in the "
                    "configuration file or a credential",
                    row->name);
    return setting_take(s, RANK_COMMAND_LINE, "command line", value);
}

static int parse_short_option(struct options *o, const char *arg)
{
    const char *name = strcmp(arg, "-h") == 0 ? "help" : strcmp(arg, "-V") == 0 ? "version" : NULL;
    struct setting *s = name ? options_find(o, name) : NULL;
    if (!s)
        return log_error_errno(EINVAL, "There is no option %.64s: see --help", arg);
    return setting_take(s, RANK_COMMAND_LINE, "command line", "yes");
}

int options_parse_argv(struct options *o, int argc, char *const argv[], int *ret_operand)
{
    int i = 1;
    for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        int r = argv[i][1] == '-' ? parse_long_option(o, argc, argv, &i) : parse_short_option(o, argv[i]);
        if (r < 0)
            return r;
    }
    *ret_operand = i;
    return 0;
}

/* --- The configuration file -------------------------------------------------------------------------- */

static int read_whole_file(const char *path, struct buffer *ret, bool *ret_public)
{
    struct stat st;
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return -ENOENT;
    if (fd < 0 && errno == EACCES)
        return log_error_errno(errno,
                               "Failed to open the configuration file %s: %m. Let the service read it: chgrp "
                               "vodhook %s && chmod 0640 %s",
                               path, path, path);
    if (fd < 0 || fstat(fd, &st) < 0)
        return log_error_errno(errno, "Failed to open the configuration file %s: %m", path);
    *ret_public = st.st_mode & S_IROTH;
    for (;;) {
        char *to = buffer_reserve(ret, 4096);
        ssize_t n = to ? read(fd, to, 4096) : (errno = ENOMEM, -1);
        if (n < 0)
            return log_error_errno(errno, "Failed to read the configuration file %s: %m", path);
        if (n == 0)
            return 0;
        ret->len += (size_t)n;
        if (ret->len > FILE_MAX_SIZE)
            return log_error_errno(EFBIG, "%s is over 1 MB: that is no configuration file", path);
    }
}

static char *skip_blanks(char *s)
{
    return s + strspn(s, " \t");
}

/* Ends the text before the white space at its end. */
static void cut_blanks(char *s)
{
    size_t len = strlen(s);
    while (len && strchr(" \t\r", s[len - 1]))
        len--;
    s[len] = '\0';
}

/* Takes the quotes off in place; after the closing one only a comment may stand. Returns what is wrong, or
 * NULL. */
static const char *unquote(char *s)
{
    char *to = s;
    for (s++; *s != '"'; *to++ = *s++) {
        if (*s == '\\' && (s[1] == '"' || s[1] == '\\'))
            s++;
        if (!*s)
            return "the closing quote is missing";
    }
    s = skip_blanks(s + 1);
    *to = '\0';
    return *s && *s != '#' && *s != ';' ? "only a comment may follow the closing quote" : NULL;
}

/* Takes `name = value` apart in place. Returns what is wrong, or NULL. */
static const char *split_line(char *line, char **ret_name, char **ret_value)
{
    char *equals = strchr(line, '=');
    if (!equals)
        return "expected a line of the form name = value";
    *equals = '\0';
    cut_blanks(line);
    *ret_name = line;
    *ret_value = skip_blanks(equals + 1);
    if (**ret_value == '"')
        return unquote(*ret_value);
    char *comment = *ret_value;
    while (*comment && !(*comment == '#' && (comment == *ret_value || strchr(" \t", comment[-1]))))
        comment++;
    *comment = '\0';
    cut_blanks(*ret_value);
    return NULL;
}

/* What a name in a file means: this command's own, else another's, which is only checked. */
static struct setting *find_in_file(const struct options *o, const char *name)
{
    struct setting *found = NULL;
    for (struct setting *s = NULL; (s = options_next(o, s));)
        if (!s->row->argv_only && strcmp(s->row->name, name) == 0 && (!found || setting_is_ours(o, s)))
            found = s;
    return found;
}

static int file_name_unknown(const struct options *o, const char *name, const char *where)
{
    const char *meant = nearest_name(o, name, true);
    for (struct setting *s = NULL; (s = options_next(o, s));)
        if (strcmp(s->row->name, name) == 0)
            return log_error_errno(EINVAL, "%s: %s is for the command line only", where, name);
    if (meant)
        return log_error_errno(EINVAL, "%s: there is no setting '%.64s': did you mean %s?", where, name,
                               meant);
    return log_error_errno(EINVAL, "%s: there is no setting '%.64s': see --help", where, name);
}

/* An upgrade must not stop the service: what an older version took is passed over. */
static int pass_retired(const struct options *o, const struct setting *s, const char *where)
{
    if (setting_is_ours(o, s))
        log_warning("%s: %s is not a setting any more, ignoring: %s", where, s->row->name, s->row->retired);
    return 0;
}

/* Takes one line, which is changed. Returns 1 when it set a secret of this command, 0 otherwise, or a
 * negative errno, logged. */
static int parse_line(struct options *o, char *line, const char *where)
{
    char *name, *value, why[256];
    int64_t number;
    line = skip_blanks(line);
    cut_blanks(line);
    if (!*line || *line == '#' || *line == ';')
        return 0;
    const char *wrong = split_line(line, &name, &value);
    if (wrong)
        return log_error_errno(EINVAL, "%s: %s", where, wrong);
    struct setting *s = find_in_file(o, name);
    if (!s)
        return file_name_unknown(o, name, where);
    if (s->row->retired)
        return pass_retired(o, s, where);
    if (s->row->secret && strcmp(value, "***") == 0)
        return log_error_errno(EINVAL, "%s: %s: *** stands for a secret that was not shown: put it there",
                               where, name);
    if (!setting_is_ours(o, s)) {
        if (option_check(s->row, value, &number, why, sizeof why) < 0)
            return log_error_errno(EINVAL, "%s: %s: %s", where, name, why);
        return 0;
    }
    if (s->rank == RANK_FILE && !s->row->repeatable)
        return log_error_errno(EINVAL, "%s: %s stands in %s already", where, name, s->values[0].origin);
    int r = setting_take(s, RANK_FILE, where, value);
    return r < 0 ? r : s->row->secret;
}

int options_parse_file(struct options *o, const char *path)
{
    cleanup(buffer_done) struct buffer text = {0};
    bool public = false, secret = false;
    int wrong = 0;
    int result = read_whole_file(path, &text, &public);
    if (result < 0)
        return result;
    buffer_putc(&text, '\n');
    if (text.failed)
        return log_error_errno(ENOMEM, "%m");

    char *line = text.data, *end = text.data + text.len, *newline;
    if (text.len > 3 && memcmp(line, "\xEF\xBB\xBF", 3) == 0)
        line += 3;
    for (size_t n = 1; line < end; n++, line = newline + 1) {
        newline = memchr(line, '\n', (size_t)(end - line));
        *newline = '\0';
        char where[4096 + 32];
        snprintf(where, sizeof where, "%s:%zu", path, n);
        int r = strlen(line) < (size_t)(newline - line)
                    ? log_error_errno(EINVAL, "%s: a NUL byte: the file is no plain text", where)
                    : parse_line(o, line, where);
        if (r < 0)
            result = r;
        if (r < 0 && ++wrong == WRONG_LINES_MAX)
            return log_error_errno(EINVAL, "%s: stopped after %d errors", path, wrong);
        secret |= r > 0;
    }
    if (secret && public)
        log_warning(
            "%s holds a secret, and every user of this machine can read it: chgrp vodhook %s && chmod 0640 "
            "%s",
            path, path, path);
    return result;
}
