/* options_print.c: the settings as --help lists them and as --dump-config shows them. */
#include <stdio.h>
#include <string.h>

#include "options_private.h"

enum {
    HELP_COLUMN = 30, /* where the text begins */
    HELP_WIDTH = 100,
};

/* Prints words from the column on, in lines that all begin there. at is where the cursor stands. */
static void print_wrapped(const char *text, int column, int at)
{
    for (const char *p = text; *p; p += strspn(p, " ")) {
        int n = (int)strcspn(p, " ");
        if (at > column && at + 1 + n > HELP_WIDTH) {
            putchar('\n');
            at = 0;
        }
        /* A gap of one space between words, and as much as it takes to where a line begins. */
        int gap = at < column ? column - at : at > column;
        printf("%*s%.*s", gap, "", n, p);
        at += gap + n;
        p += n;
    }
    putchar('\n');
}

/* "--output text|json|none" */
static void format_usage(const struct option_row *row, char *buffer, size_t size)
{
    const char *shorter = strcmp(row->name, "help") == 0      ? "-h, "
                          : strcmp(row->name, "version") == 0 ? "-V, "
                                                              : "";
    const char *argument = row->argument ? row->argument : row->choices;
    snprintf(buffer, size, "%s--%s%s%s", shorter, row->name, argument ? " " : "", argument ? argument : "");
    if (!row->argument && row->choices)
        for (char *p = strchr(buffer, ' ') + 1; (p = strchr(p, ' '));)
            *p = '|';
}

static void print_row(const struct option_row *row)
{
    char usage[128], text[1024];
    format_usage(row, usage, sizeof usage);
    snprintf(text, sizeof text, "%s%s%s%s%s", row->help,
             row->repeatable ? "; may be given more than once" : "", row->initial ? " (default " : "",
             row->initial ? row->initial : "", row->initial ? ")" : "");
    int at = printf("  %s", usage);
    if (at > HELP_COLUMN - 2) {
        putchar('\n');
        at = 0;
    }
    print_wrapped(text, HELP_COLUMN, at);
}

void options_print_help(const struct options *o)
{
    const char *heading = NULL;
    for (struct setting *s = NULL; (s = options_next(o, s));) {
        if (s->row->heading)
            heading = s->row->heading;
        if (!setting_is_ours(o, s) || s->row->retired)
            continue;
        if (heading)
            printf("\n%s:\n", heading);
        heading = NULL;
        print_row(s->row);
    }
}

/* A value as parse_file reads it back: in quotes where it needs them. */
static void print_value(const char *text)
{
    if (text[0] != '"' && text[0] != ' ' && text[0] != '#' && !strstr(text, " #") &&
        text[strlen(text) - 1] != ' ') {
        fputs(text, stdout);
        return;
    }
    putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            putchar('\\');
        putchar(*text);
    }
    putchar('"');
}

void options_print_config(const struct options *o)
{
    for (struct setting *s = NULL; (s = options_next(o, s));) {
        const struct option_row *row = s->row;
        if (row->argv_only || row->retired || !setting_is_ours(o, s))
            continue;
        if (!s->n)
            printf("# %s is not set\n", row->name);
        for (size_t i = 0; i < s->n; i++) {
            printf("%s = ", row->name);
            print_value(row->secret ? "***" : s->values[i].text);
            printf("  # %s\n", s->values[i].origin);
        }
    }
}
