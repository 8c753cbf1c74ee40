/* json_write.c: writes JSON that has been read. */
#include "json/json_write.h"

#include <string.h>

#include "base/text.h"

enum {
    INDENT = 4,
    INDENTED_TIMES = 4,          /* the size of indented text, as a multiple of the text's */
    INDENTED_LEAST = 256 * 1024, /* bytes that are allowed beyond that */
    CLEANED = JSON_BAD_UTF8 | JSON_RAW_CONTROL | JSON_UNSAFE | JSON_LONE_SURROGATE,
};

static void put_slice(struct buffer *to, struct slice text)
{
    buffer_append(to, text.data, text.len);
}

/* --- Strings ------------------------------------------------------------------------------------------ */

/* What a string is made of. */
enum source { SOURCE_BYTES, SOURCE_JSON, SOURCE_JSON_FOR_CJSON };

/* Finds what takes the place of the character or escape at data. Returns its length; *ret stays NULL where
 * it may stay as it is. */
static size_t replacement(const char *data, const char *end, enum source source, char space[8],
                          const char **ret)
{
    uint32_t code = 0;
    size_t n;
    if (*data == '\\' && source != SOURCE_BYTES) {
        n = json_unescape(data, end, &code);
        if (json_is_surrogate(code) || (!code && source == SOURCE_JSON_FOR_CJSON))
            *ret = "\\ufffd";
        return n;
    }
    n = text_utf8(data, (size_t)(end - data), &code);
    if (!n || (!code && source == SOURCE_JSON_FOR_CJSON)) {
        *ret = "\xEF\xBF\xBD";
    } else if (code == '"' || code == '\\') {
        *ret = code == '"' ? "\\\"" : "\\\\";
    } else if (text_is_unsafe(code)) {
        struct buffer escape = {.data = space, .cap = 8};
        text_put_code(&escape, code);
        space[escape.len] = '\0';
        *ret = space;
    }
    return n ? n : 1;
}

static void put_characters(struct buffer *to, struct slice text, enum source source)
{
    const char *at = text.data, *end = at + text.len, *plain = at;
    char space[8];
    while (at < end) {
        at += text_plain(at, (size_t)(end - at));
        if (at == end)
            break;
        const char *other = NULL;
        size_t n = replacement(at, end, source, space, &other);
        if (other) {
            buffer_append(to, plain, (size_t)(at - plain));
            buffer_puts(to, other);
            plain = at + n;
        }
        at += n;
    }
    if (plain < end)
        buffer_append(to, plain, (size_t)(end - plain));
}

void json_write_string(struct buffer *to, struct slice text)
{
    buffer_putc(to, '"');
    put_characters(to, text, SOURCE_BYTES);
    buffer_putc(to, '"');
}

static void put_string(struct buffer *to, struct slice string, enum source source)
{
    buffer_putc(to, '"');
    put_characters(to, (struct slice){string.data + 1, string.len - 2}, source);
    buffer_putc(to, '"');
}

/* A string, a number, true, false or null. */
static void put_scalar(struct buffer *to, const struct json *j, uint32_t node)
{
    if (j->nodes[node].flags & CLEANED)
        put_string(to, json_raw(j, node), SOURCE_JSON);
    else
        put_slice(to, json_raw(j, node));
}

/* --- On one line and indented --------------------------------------------------------------------------- */

struct writer {
    struct buffer *to;
    const struct json *json;
    const char *margin; /* NULL on one line */
    size_t most;        /* bytes in the buffer after which it is given up */
    bool mask_sign;
    size_t depth;
};

static void new_line(struct writer *w)
{
    if (!w->margin)
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

static void put_value(struct writer *w, uint32_t node);

static void put_member(struct writer *w, uint32_t name)
{
    put_scalar(w->to, w->json, name);
    buffer_puts(w->to, w->margin ? ": " : ":");
    if (w->mask_sign && w->depth == 1 && json_is(w->json, name, "Sign"))
        buffer_puts(w->to, JSON_MASK);
    else
        put_value(w, name + 1);
}

/* Recursion ends at JSON_DEPTH_MAX. */
static void put_value(struct writer *w, uint32_t node)
{
    char c = json_kind(w->json, node);
    bool object = c == '{', empty = true;
    if (!object && c != '[') {
        put_scalar(w->to, w->json, node);
        return;
    }
    buffer_putc(w->to, c);
    w->depth++;
    json_each(w->json, node, item) {
        if (w->to->len > w->most)
            return;
        if (!empty)
            buffer_putc(w->to, ',');
        empty = false;
        new_line(w);
        if (object)
            put_member(w, item);
        else
            put_value(w, item);
    }
    w->depth--;
    if (!empty)
        new_line(w);
    buffer_putc(w->to, object ? '}' : ']');
}

void json_write_compact(struct buffer *to, const struct json *j, bool mask_sign)
{
    struct writer w = {.to = to, .json = j, .most = SIZE_MAX, .mask_sign = mask_sign};
    if (j->flags & (CLEANED | JSON_SPACE) || (mask_sign && j->flags & JSON_SIGN))
        put_value(&w, 0);
    else
        put_slice(to, j->text);
}

void json_write_indented(struct buffer *to, const struct json *j, bool mask_sign, const char *margin)
{
    size_t start = to->len, most = start + j->text.len * INDENTED_TIMES + INDENTED_LEAST;
    struct writer w = {.to = to, .json = j, .margin = margin, .most = most, .mask_sign = mask_sign};
    put_value(&w, 0);
    if (to->len <= most)
        return;
    /* Nested so deep that most of it would be margin. */
    to->len = start;
    json_write_compact(to, j, mask_sign);
}

/* --- As it came, but for parts ------------------------------------------------------------------------- */

/* Appends the text from *done to the node, and moves *done behind the node. */
static void put_up_to(struct buffer *to, const struct json *j, uint32_t node, size_t *done)
{
    buffer_append(to, j->text.data + *done, j->nodes[node].at - *done);
    *done = j->nodes[node].end;
}

static void put_rest(struct buffer *to, const struct json *j, size_t done)
{
    buffer_append(to, j->text.data + done, j->text.len - done);
}

void json_write_masked(struct buffer *to, const struct json *j)
{
    size_t done = 0;
    if (j->flags & JSON_SIGN)
        json_each(j, 0, name)
            if (json_is(j, name, "Sign")) {
                put_up_to(to, j, name + 1, &done);
                buffer_puts(to, JSON_MASK);
            }
    put_rest(to, j, done);
}

void json_write_mended(struct buffer *to, const struct json *j, uint32_t from)
{
    size_t done = j->nodes[from].at;
    uint32_t last = j->nodes[from].flags & JSON_NAME ? from + 1 : j->nodes[from].next;
    for (uint32_t node = from; node < last; node++) {
        unsigned flags = j->nodes[node].flags & JSON_MISREAD;
        if (!flags)
            continue;
        put_up_to(to, j, node, &done);
        if (flags & JSON_LONG_NUMBER)
            json_write_string(to, json_raw(j, node));
        else
            put_string(to, json_raw(j, node), SOURCE_JSON_FOR_CJSON);
    }
    buffer_append(to, j->text.data + done, j->nodes[from].end - done);
}
