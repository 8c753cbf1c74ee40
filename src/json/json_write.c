/* json_write.c: writes scanned JSON again, on one line, indented, or as cJSON can read it. */
#include <string.h>

#include "base/text.h"
#include "json/json.h"

enum style { STYLE_COMPACT, STYLE_INDENTED, STYLE_READABLE };

enum {
    INDENT = 4,
    INDENTED_TIMES = 4,          /* the size of indented text, as a multiple of the text's */
    INDENTED_LEAST = 256 * 1024, /* that may be passed by so many bytes */
    DIGITS_SAFE = 15,            /* see JSON_LONG_NUMBER */
    CLEANED = JSON_BAD_UTF8 | JSON_RAW_CONTROL | JSON_UNSAFE,
};

static const char mask[] = "\"***\"";

struct writer {
    struct buffer *to;
    const char *at, *end;
    enum style style;
    const char *margin;
    size_t most; /* bytes in the buffer after which it is given up */
    bool mask_sign;
    bool mask_next; /* the value of Sign comes next */
    size_t depth;
    size_t muted; /* the depth whose end ends a masked object or array; 0 outside one */
};

static void put(struct writer *w, const char *data, size_t n)
{
    if (!w->muted)
        buffer_append(w->to, data, n);
}

/* The character at data, made safe. Returns its length; 0 when it may stay as it is. */
static size_t put_cleaned(struct buffer *to, const char *data, size_t len)
{
    uint32_t code = 0;
    size_t n = text_utf8(data, len, &code);
    if (!n)
        buffer_puts(to, "\xEF\xBF\xBD");
    else if (text_is_unsafe(code))
        text_put_code(to, code);
    else
        return 0;
    return n ? n : 1;
}

static size_t char_length(const char *data, size_t len)
{
    uint32_t code;
    size_t n = text_utf8(data, len, &code);
    return n ? n : 1;
}

void json_write_string(struct buffer *to, struct slice text)
{
    buffer_putc(to, '"');
    size_t plain = 0;
    for (size_t i = 0; i < text.len;) {
        i += text_plain(text.data + i, text.len - i);
        if (i == text.len)
            break;
        char c = text.data[i];
        buffer_append(to, text.data + plain, i - plain);
        plain = i;
        if (c == '"' || c == '\\') {
            buffer_putc(to, '\\');
            i++;
            continue;
        }
        size_t n = put_cleaned(to, text.data + i, text.len - i);
        if (n)
            plain = i += n;
        else
            i += char_length(text.data + i, text.len - i);
    }
    if (plain < text.len)
        buffer_append(to, text.data + plain, text.len - plain);
    buffer_putc(to, '"');
}

/* --- Tokens ------------------------------------------------------------------------------------------- */

static unsigned hex4_of(const char *at)
{
    unsigned code = 0;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        code = code << 4 | (unsigned)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return code;
}

/* The \u escape at data of a scanned string. Returns its length; *ret_odd says that cJSON cannot keep it. */
static size_t unicode_escape(const char *at, const char *end, bool *ret_odd)
{
    unsigned code = hex4_of(at + 2);
    *ret_odd = code == 0 || (code & 0xF800) == 0xD800;
    if ((code & 0xFC00) != 0xD800 || end - at < 12 || at[6] != '\\' || at[7] != 'u' ||
        (hex4_of(at + 8) & 0xFC00) != 0xDC00)
        return 6;
    *ret_odd = false;
    return 12;
}

/* The string at w->at, quotes included. */
static void write_string(struct writer *w)
{
    const char *plain = w->at++;
    for (;;) {
        w->at += text_plain(w->at, (size_t)(w->end - w->at));
        if (*w->at == '"')
            break;
        if (*w->at == '\\') {
            bool odd = false;
            size_t n = w->at[1] == 'u' ? unicode_escape(w->at, w->end, &odd) : 2;
            if (odd && w->style == STYLE_READABLE) {
                put(w, plain, (size_t)(w->at - plain));
                put(w, "\\ufffd", 6);
                plain = w->at + n;
            }
            w->at += n;
        } else {
            size_t left = (size_t)(w->end - w->at);
            put(w, plain, (size_t)(w->at - plain));
            plain = w->at;
            struct buffer none = {.failed = true};
            size_t n = put_cleaned(w->muted ? &none : w->to, w->at, left);
            w->at += n ? n : char_length(w->at, left);
            if (n)
                plain = w->at;
        }
    }
    w->at++;
    put(w, plain, (size_t)(w->at - plain));
}

/* A number, true, false or null. */
static void write_word(struct writer *w)
{
    const char *from = w->at;
    size_t digits = 0;
    bool exponent = false;
    while (w->at < w->end && !strchr(",:]} \t\r\n", *w->at)) {
        digits += *w->at >= '0' && *w->at <= '9';
        exponent |= (*w->at | 0x20) == 'e';
        w->at++;
    }
    bool number = *from == '-' || (*from >= '0' && *from <= '9');
    bool quoted = w->style == STYLE_READABLE && number && (digits > DIGITS_SAFE || exponent);
    if (quoted)
        put(w, "\"", 1);
    put(w, from, (size_t)(w->at - from));
    if (quoted)
        put(w, "\"", 1);
}

static void skip_space(struct writer *w)
{
    while (w->at < w->end && (*w->at == ' ' || *w->at == '\t' || *w->at == '\r' || *w->at == '\n'))
        w->at++;
}

static void new_line(struct writer *w)
{
    if (w->style != STYLE_INDENTED || w->muted)
        return;
    buffer_putc(w->to, '\n');
    buffer_puts(w->to, w->margin);
    size_t n = w->depth * INDENT;
    char *space = buffer_reserve(w->to, n);
    if (!space)
        return;
    memset(space, ' ', n);
    w->to->len += n;
}

static void open_level(struct writer *w)
{
    if (w->mask_next) {
        buffer_append(w->to, mask, sizeof mask - 1);
        w->mask_next = false;
        w->muted = w->depth + 1;
    }
    put(w, w->at++, 1);
    w->depth++;
    skip_space(w);
    if (*w->at != ']' && *w->at != '}')
        new_line(w);
}

static void close_level(struct writer *w, bool empty)
{
    w->depth--;
    if (!empty)
        new_line(w);
    put(w, w->at++, 1);
    if (w->muted == w->depth + 1)
        w->muted = 0;
}

static void write_scalar(struct writer *w)
{
    bool masked = w->mask_next;
    if (masked) {
        buffer_append(w->to, mask, sizeof mask - 1);
        w->mask_next = false;
        w->muted = SIZE_MAX;
    }
    const char *from = w->at;
    if (*from == '"')
        write_string(w);
    else
        write_word(w);
    if (masked)
        w->muted = 0;
    else if (w->mask_sign && w->depth == 1 && *from == '"') {
        /* A name, or an element or value that no colon follows. */
        struct slice name = {from, (size_t)(w->at - from)};
        skip_space(w);
        w->mask_next = w->at < w->end && *w->at == ':' && json_string_is(name, "Sign");
    }
}

static void write_text(struct writer *w)
{
    char before = '\0';
    for (skip_space(w); w->at < w->end && w->to->len <= w->most; skip_space(w)) {
        char c = *w->at;
        if (c == '{' || c == '[')
            open_level(w);
        else if (c == '}' || c == ']')
            close_level(w, before == '{' || before == '[');
        else if (c == ',') {
            put(w, w->at++, 1);
            new_line(w);
        } else if (c == ':') {
            put(w, ": ", w->style == STYLE_INDENTED ? 2 : 1);
            w->at++;
        } else
            write_scalar(w);
        before = c;
    }
}

static struct writer writer_of(struct buffer *to, const struct json_scan *scan, enum style style,
                               bool mask_sign, const char *margin)
{
    return (struct writer){
        .to = to,
        .at = scan->text.data,
        .end = scan->text.data + scan->text.len,
        .style = style,
        .margin = margin,
        .most = SIZE_MAX,
        .mask_sign = mask_sign && (scan->flags & JSON_SIGN),
    };
}

static void write_scanned(struct buffer *to, const struct json_scan *scan, enum style style, bool mask_sign)
{
    struct writer w = writer_of(to, scan, style, mask_sign, "");
    write_text(&w);
}

void json_write_compact(struct buffer *to, const struct json_scan *scan, bool mask_sign)
{
    if (scan->flags & (CLEANED | JSON_SPACE) || (mask_sign && scan->flags & JSON_SIGN))
        write_scanned(to, scan, STYLE_COMPACT, mask_sign);
    else
        buffer_append(to, scan->text.data, scan->text.len);
}

void json_write_indented(struct buffer *to, const struct json_scan *scan, bool mask_sign, const char *margin)
{
    size_t start = to->len;
    struct writer w = writer_of(to, scan, STYLE_INDENTED, mask_sign, margin);
    w.most = start + scan->text.len * INDENTED_TIMES + INDENTED_LEAST;
    write_text(&w);
    if (to->len <= w.most)
        return;
    /* Nested so deep that most of it would be margin. */
    to->len = start;
    json_write_compact(to, scan, mask_sign);
}

void json_readable(struct buffer *to, const struct json_scan *scan)
{
    write_scanned(to, scan, STYLE_READABLE, false);
}
