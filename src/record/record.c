/* record.c: the summary and the id of a record, and its body with the secret hidden. */
#include "record/record.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"
#include "event/types.h"
#include "json/json_write.h"

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

/* A stranger's word must not pass for several, or for words of the program: it stands bare only where it is all
 * ASCII without spaces and quotes. */
static void put_word(struct buffer *to, struct slice word)
{
    bool bare = word.len && text_plain(word.data, word.len) == word.len && !memchr(word.data, ' ', word.len);
    if (bare)
        buffer_append(to, word.data, word.len);
    else
        text_logfmt_value(to, word);
}

static void request_summary(struct buffer *to, const struct record *r)
{
    if (r->method.len) {
        put_word(to, r->method);
        buffer_putc(to, ' ');
        put_word(to, r->target);
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
    if (r->remote && (r->kind == RECORD_REQUEST || r->trust == TRUST_REFUSED)) {
        buffer_puts(to, " from=");
        text_logfmt_value(to, slice_of(r->remote));
    }
    if (r->unrecorded)
        buffer_puts(to, " recorded=no");
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
        buffer_puts(to, JSON_MASK);
        done = at + sign.len;
    }
    buffer_append(to, shown.data + done, shown.len - done);
    return shown.len < r->body_bytes;
}

void record_event(struct buffer *to, const struct record *r)
{
    const struct slice *text = &r->json->text;
    size_t before = (size_t)(text->data - r->body.data);
    buffer_append(to, r->body.data, before);
    json_write_masked(to, r->json);
    buffer_append(to, text->data + text->len, r->body.len - before - text->len);
}

void record_id(const struct record *r, char ret[RECORD_ID_MAX + 1])
{
    bool kept = r->event || r->unreadable;
    text_hex(r->digest, kept ? DIGEST_SIZE : 0, ret);
    if (r->event && event_may_repeat(r->event))
        snprintf(ret + 2 * DIGEST_SIZE, RECORD_ID_MAX + 1 - 2 * DIGEST_SIZE, "-%" PRId64,
                 (r->first_time ? r->first_time : r->time) / 1000000);
}
