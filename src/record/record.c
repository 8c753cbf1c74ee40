/* record.c: what is said of a record in one line, and the parts of it that are shown with a secret hidden. */
#include "record/record.h"

#include <inttypes.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "record/format.h"

static const char MASK[] = "\"***\"";

const char *record_trust_name(enum record_trust t)
{
    switch (t) {
    case TRUST_VERIFIED:
        return "verified";
    case TRUST_REFUSED:
        return "refused";
    case TRUST_UNCHECKED:
        break;
    }
    return "unchecked";
}

/* A target with a space in it could pass for the words after it. */
static void request_summary(struct buffer *to, const struct record *r)
{
    if (r->method.len) {
        text_escape(to, r->method);
        buffer_putc(to, ' ');
        if (memchr(r->target.data, ' ', r->target.len))
            text_logfmt_value(to, r->target);
        else
            text_escape(to, r->target);
    } else {
        buffer_puts(to, "Body of");
    }
    buffer_printf(to, " %" PRIu64 " bytes", r->body_bytes);
    if (r->unreadable)
        buffer_puts(to, " unreadable");
}

const char *record_source_name(enum record_source s)
{
    static const char *const names[] = {"push", "pull", "reconcile"};
    return names[s];
}

void record_summary(struct buffer *to, const struct record *r)
{
    if (r->kind == RECORD_EVENT)
        event_summary(to, r->event);
    else
        request_summary(to, r);
    if (r->source != SOURCE_PUSH)
        buffer_printf(to, " source=%s", record_source_name(r->source));
    if (r->duplicate)
        buffer_puts(to, " duplicate=yes");
    if (r->trust == TRUST_REFUSED)
        buffer_puts(to, " trust=refused");
    if (r->reason) {
        buffer_puts(to, " reason=");
        text_logfmt_value(to, slice_of(r->reason));
    }
}

static const char *skip_space(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
        p++;
    return p;
}

/* The string that follows `"Sign":`, quotes included, somewhere in text[from..); its end may be missing. */
static bool find_sign(struct slice text, size_t from, struct slice *ret)
{
    static const char name[] = "\"Sign\"";
    const char *end = text.data + text.len;
    for (const char *p = text.data + from;
         (p = memmem(p, (size_t)(end - p), name, sizeof name - 1)) != NULL;) {
        p += sizeof name - 1;
        const char *value = skip_space(p, end);
        if (value == end || *value != ':')
            continue;
        value = skip_space(value + 1, end);
        if (value == end || *value != '"')
            continue;
        const char *close = value + 1;
        while (close < end && *close != '"')
            close += *close == '\\' && close + 1 < end ? 2 : 1;
        *ret = (struct slice){value, (size_t)(close - value) + (close < end)};
        return true;
    }
    return false;
}

/* The length of the text that ends with a whole character; it is cut right behind data[max - 1]. */
static size_t cut_at_character(const char *data, size_t max)
{
    for (size_t back = 1; back <= 4 && back <= max; back++) {
        unsigned char c = (unsigned char)data[max - back];
        if ((c & 0xC0) == 0x80)
            continue;
        size_t need = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 1;
        return need > back ? max - back : max;
    }
    return max;
}

bool record_body(struct buffer *to, const struct record *r, size_t max)
{
    struct slice shown = r->body;
    if (shown.len > max)
        shown.len = cut_at_character(shown.data, max);
    if (shown.len == 0)
        return r->body_bytes > 0;
    size_t done = 0;
    for (struct slice sign; find_sign(shown, done, &sign);) {
        size_t at = (size_t)(sign.data - shown.data);
        buffer_append(to, shown.data + done, at - done);
        buffer_append(to, MASK, sizeof MASK - 1);
        done = at + sign.len;
    }
    buffer_append(to, shown.data + done, shown.len - done);
    return shown.len < r->body_bytes;
}

/* json_member() finds the first Sign only. Those behind it are found in a copy in which the comma after the
 * one found begins an object. */
void record_event(struct buffer *to, const struct record *r)
{
    if (!(r->scan->flags & JSON_SIGN)) {
        buffer_append(to, r->body.data, r->body.len);
        return;
    }
    cleanup(buffer_done) struct buffer copy = {0};
    buffer_append(&copy, r->body.data, r->body.len);
    to->failed |= copy.failed;
    if (to->failed)
        return;
    char *object = copy.data + (r->scan->text.data - r->body.data), *end = object + r->scan->text.len;
    size_t done = 0;
    for (struct slice sign; json_member((struct slice){object, (size_t)(end - object)}, "Sign", &sign);) {
        size_t at = (size_t)(sign.data - copy.data);
        buffer_append(to, r->body.data + done, at - done);
        buffer_append(to, MASK, sizeof MASK - 1);
        done = at + sign.len;
        object = copy.data + (skip_space(copy.data + done, end) - copy.data);
        if (*object != ',')
            break;
        *object = '{';
    }
    buffer_append(to, r->body.data + done, r->body.len - done);
}
