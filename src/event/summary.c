/* summary.c: an event in one line. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "event/event.h"

/* The start of a value that is too long, cut between two characters. */
static struct slice shown(const char *value)
{
    size_t len = strnlen(value, SUMMARY_VALUE_MAX + 1);
    if (len <= SUMMARY_VALUE_MAX)
        return (struct slice){value, len};
    len = SUMMARY_VALUE_MAX;
    while (len && ((unsigned char)value[len] & 0xC0) == 0x80)
        len--;
    return (struct slice){value, len};
}

static void put(struct buffer *to, const char *name, const char *value)
{
    if (!value)
        return;
    buffer_putc(to, ' ');
    buffer_puts(to, name);
    buffer_putc(to, '=');
    text_logfmt_value(to, shown(value));
}

/* Past it a number is nonsense, and would be hundreds of digits. */
static const double SHOWN_NUMBER_MAX = 1e18;

static bool is_shown(const char *number, double *ret)
{
    *ret = number ? strtod(number, NULL) : SHOWN_NUMBER_MAX;
    return *ret > -SHOWN_NUMBER_MAX && *ret < SHOWN_NUMBER_MAX;
}

/* As printf("%.1f") does, which takes a third of a microsecond: it is left what is too near the middle of two tenths
 * for a double, and what is large or not positive. */
static void put_tenths(struct buffer *to, double n)
{
    bool small = n > 0 && n < 1e9;
    uint64_t tenths = small ? (uint64_t)(n * 10) : 0;
    double rest = small ? n * 10 - (double)tenths : 0.5;
    if (rest > 0.499 && rest < 0.501) {
        buffer_printf(to, "%.1f", n);
        return;
    }
    tenths += rest > 0.5;
    char text[20], *at = text + sizeof text;
    *--at = (char)('0' + tenths % 10);
    *--at = '.';
    do
        *--at = (char)('0' + (tenths /= 10) % 10);
    while (tenths >= 10);
    buffer_append(to, at, (size_t)(text + sizeof text - at));
}

/* "10.6MB": of 1,000 each, as the console shows sizes. */
static void put_size(struct buffer *to, double n)
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB", "PB"};
    size_t unit = 0;
    while (n >= 999.95 && unit + 1 < sizeof units / sizeof *units) {
        n /= 1000;
        unit++;
    }
    buffer_puts(to, " size=");
    if (unit)
        put_tenths(to, n);
    else
        buffer_printf(to, "%.0f", n);
    buffer_puts(to, units[unit]);
}

/* Transcode(10)=FAIL:SourceFileError.NoVideoMedia, Porn=SUCCESS:block */
static void put_task(struct buffer *to, const struct event_task *t)
{
    struct buffer value = {0};
    buffer_puts(&value, t->status ? t->status : "unknown");
    const char *more = t->err_code ? t->err_code : t->suggestion ? t->suggestion : t->url;
    if (more) {
        struct slice cut = shown(more);
        buffer_putc(&value, ':');
        buffer_append(&value, cut.data, cut.len);
    }
    buffer_putc(to, ' ');
    text_logfmt_value(to, shown(t->type));
    if (t->definition) {
        buffer_putc(to, '(');
        text_logfmt_value(to, shown(t->definition));
        buffer_putc(to, ')');
    }
    buffer_putc(to, '=');
    text_logfmt_value(to, buffer_slice(&value));
    to->failed |= value.failed;
    buffer_done(&value);
}

/* Whether one of the first n sub-tasks shows the code of the event, which then is not shown twice. */
static bool code_is_of_task(const struct event *e, size_t n)
{
    for (size_t i = 0; e->err_code && i < n; i++)
        if (e->tasks[i].err_code && strcmp(e->tasks[i].err_code, e->err_code) == 0)
            return true;
    return false;
}

void event_summary(struct buffer *to, const struct event *e)
{
    size_t n = e->n_tasks < SUMMARY_TASKS_MAX ? e->n_tasks : SUMMARY_TASKS_MAX;
    bool of_task = code_is_of_task(e, n);
    text_logfmt_value(to, shown(e->type));
    put(to, "said", e->said_type);
    if (e->type_missing)
        put(to, "type", "missing");
    put(to, "file", e->file_id);
    if (e->file_count > 1)
        buffer_printf(to, " files=%zu", e->file_count);
    put(to, "task", e->task_id);
    put(to, "name", e->name);
    put(to, "status", e->status);
    put(to, "result", event_result_name(e->result));
    if (!of_task) {
        put(to, "error", e->err_code);
        put(to, "message", e->err_message);
    }
    put(to, "suggestion", e->suggestion);
    double number;
    if (is_shown(e->duration, &number)) {
        buffer_puts(to, " duration=");
        put_tenths(to, number);
        buffer_putc(to, 's');
    }
    if (is_shown(e->size, &number))
        put_size(to, number);
    put(to, "url", e->url);
    for (size_t i = 0; i < n; i++)
        put_task(to, &e->tasks[i]);
    if (n < e->n_tasks)
        buffer_printf(to, " more=%zu", e->n_tasks - n);
    if (of_task)
        put(to, "message", e->err_message);
}
