/* outputs.c: makes the sinks that the settings ask for. */
#include "command/outputs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "record/sinks.h"

struct wanted {
    bool text, json, journal;
};

static struct wanted outputs_wanted(const struct options *o)
{
    struct wanted w = {0};
    size_t n = options_count(o, "output");
    if (!n) {
        w.journal = log_is_journal_stream(STDOUT_FILENO);
        w.text = !w.journal;
    }
    for (size_t i = 0; i < n; i++) {
        const char *word = options_nth(o, "output", i);
        w.text |= strcmp(word, "text") == 0;
        w.json |= strcmp(word, "json") == 0;
        w.journal |= strcmp(word, "journal") == 0;
    }
    return w;
}

static bool wants_color(void)
{
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
    return isatty(STDOUT_FILENO) && !(no_color && *no_color) && term && strcmp(term, "dumb") != 0;
}

static int make_stdout(const struct options *o, bool json, struct sink **ret)
{
    struct stdout_config config = {
        .fd = STDOUT_FILENO,
        .json = json,
        .color = !json && wants_color(),
        .log_body = (size_t)options_number(o, "log-body"),
        .buffer_max = (size_t)options_number(o, "output-buffer"),
    };
    return sink_stdout_new(&config, ret);
}

int outputs_new(const struct options *o, struct outputs *ret)
{
    struct wanted w = outputs_wanted(o);
    cleanup(sink_free_p) struct sink *text = NULL, *json = NULL, *journal = NULL;
    struct sink *others[2];
    size_t n = 0;
    int r = 0;
    if (w.text && w.json)
        return log_error_errno(EINVAL, "--output text and --output json both write to stdout: choose one");
    if (w.text && (r = make_stdout(o, false, &text)) < 0)
        return r;
    if (w.json && (r = make_stdout(o, true, &json)) < 0)
        return r;
    if (w.journal && (r = sink_journal_new((size_t)options_number(o, "log-body"), true, &journal)) < 0)
        return r;
    if (text || json)
        others[n++] = text ? text : json;
    r = recorder_new(journal, others, n, &ret->recorder);
    if (r < 0)
        return log_error_errno(r, "Failed to put the outputs together: %m");
    ret->required = journal ? "journal" : NULL;
    ret->text_on_stdout = w.text;
    text = json = journal = NULL;
    return 0;
}

void outputs_done(struct outputs *o)
{
    recorder_free(o->recorder);
    free(o->inbox_path);
    *o = (struct outputs){0};
}
