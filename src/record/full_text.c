/* full_text.c: a record as people read it. */
#include "record/full_text.h"

#include <inttypes.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "json/json_write.h"

#define MARGIN "    "
#define RED    "\x1b[31m"
#define YELLOW "\x1b[33m"
#define PLAIN  "\x1b[0m"

static const char *color_of(const struct record *r)
{
    if (r->unreadable || r->trust == TRUST_REFUSED)
        return YELLOW;
    return r->kind == RECORD_EVENT && r->event->result == RESULT_FAILED ? RED : NULL;
}

static void put_headers(struct buffer *to, const struct record *r)
{
    for (size_t i = 0; i < r->n_headers; i++) {
        buffer_puts(to, MARGIN);
        text_escape(to, r->headers[i].name);
        buffer_puts(to, ": ");
        text_escape(to, r->headers[i].value);
        buffer_putc(to, '\n');
    }
}

/* Line by line, so that a form or a broken JSON stays readable; each line begins with the margin, and
 * so cannot pass for a record. */
static void put_body(struct buffer *to, const struct record *r, size_t log_body)
{
    cleanup(buffer_done) struct buffer body = {0};
    bool cut = record_body(&body, r, log_body);
    to->failed |= body.failed;
    if (body.len && r->n_headers)
        buffer_puts(to, "\n");
    for (size_t done = 0; done < body.len;) {
        const char *line = body.data + done, *end = memchr(line, '\n', body.len - done);
        size_t len = end ? (size_t)(end - line) : body.len - done;
        done += len + (end != NULL);
        if (end && len && line[len - 1] == '\r')
            len--;
        buffer_puts(to, MARGIN);
        text_escape(to, (struct slice){line, len});
        buffer_putc(to, '\n');
    }
    if (cut)
        buffer_printf(to, MARGIN "... (cut: %" PRIu64 " bytes arrived)\n", r->body_bytes);
}

void record_line(struct buffer *to, struct timestamp *cache, const struct record *r, bool color)
{
    const char *paint = color ? color_of(r) : NULL;
    if (paint)
        buffer_puts(to, paint);
    timestamp_local(to, cache, r->time);
    buffer_putc(to, ' ');
    buffer_append(to, r->summary.data, r->summary.len);
    if (paint)
        buffer_puts(to, PLAIN);
    buffer_putc(to, '\n');
}

void record_text(struct buffer *to, struct timestamp *cache, const struct record *r, size_t log_body,
                 bool color)
{
    record_line(to, cache, r, color);
    if (r->kind == RECORD_EVENT) {
        buffer_puts(to, MARGIN);
        json_write_indented(to, r->json, true, MARGIN);
        buffer_putc(to, '\n');
    } else {
        put_headers(to, r);
        put_body(to, r, log_body);
    }
}
