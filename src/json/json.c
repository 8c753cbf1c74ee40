/* json.c: one pass over bytes that says whether they are JSON, and walks through JSON without a tree. */
#include "json/json.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"

enum { JSON_DIGITS_SAFE = 15 /* significant digits that every double keeps */ };

struct reader {
    const char *at, *end;
    unsigned flags;
    const char *error;
};

static bool fail(struct reader *r, const char *error)
{
    r->error = error;
    return false;
}

static void skip_space(struct reader *r)
{
    for (; r->at < r->end; r->at++) {
        if (*r->at == '\n' || *r->at == '\r')
            r->flags |= JSON_NEWLINE | JSON_SPACE;
        else if (*r->at == ' ' || *r->at == '\t')
            r->flags |= JSON_SPACE;
        else
            return;
    }
}

/* --- Strings ------------------------------------------------------------------------------------------ */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads four hex digits. Returns the number, or -1. */
static int hex4(const char *at, const char *end)
{
    int code = 0;
    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(at[i]);
        if (digit < 0)
            return -1;
        code = code << 4 | digit;
    }
    return code;
}

static bool is_high(int code)
{
    return code >= 0xD800 && code <= 0xDBFF;
}

static bool is_low(int code)
{
    return code >= 0xDC00 && code <= 0xDFFF;
}

/* The escape at its backslash. */
static bool read_escape(struct reader *r)
{
    if (r->end - r->at < 2)
        return fail(r, "a string does not end");
    char c = r->at[1];
    if (c != 'u') {
        if (!c || !strchr("\"\\/bfnrt", c))
            return fail(r, "an escape that JSON does not have");
        r->at += 2;
        return true;
    }
    int code = hex4(r->at + 2, r->end);
    if (code < 0)
        return fail(r, "\\u without four hex digits");
    r->at += 6;
    if (is_high(code) && r->end - r->at >= 6 && r->at[0] == '\\' && r->at[1] == 'u' &&
        is_low(hex4(r->at + 2, r->end)))
        r->at += 6;
    else if (!code || is_high(code) || is_low(code))
        r->flags |= JSON_ODD_ESCAPE;
    return true;
}

static void read_other(struct reader *r)
{
    uint32_t code;
    size_t n = text_utf8(r->at, (size_t)(r->end - r->at), &code);
    if (!n)
        r->flags |= JSON_BAD_UTF8;
    else if (code < 0x20)
        r->flags |= JSON_RAW_CONTROL;
    else if (text_is_unsafe(code))
        r->flags |= JSON_UNSAFE;
    r->at += n ? n : 1;
}

/* A string, from its opening quote past its closing one. */
static bool read_string(struct reader *r)
{
    r->at++;
    for (;;) {
        r->at += text_plain(r->at, (size_t)(r->end - r->at));
        if (r->at == r->end)
            return fail(r, "a string does not end");
        if (*r->at == '"')
            break;
        if (*r->at == '\\') {
            if (!read_escape(r))
                return false;
        } else {
            read_other(r);
        }
    }
    r->at++;
    return true;
}

/* --- Numbers and words -------------------------------------------------------------------------------- */

static size_t read_digits(struct reader *r)
{
    const char *from = r->at;
    while (r->at < r->end && *r->at >= '0' && *r->at <= '9')
        r->at++;
    return (size_t)(r->at - from);
}

static bool read_number(struct reader *r)
{
    if (*r->at == '-')
        r->at++;
    bool zero = r->at < r->end && *r->at == '0';
    size_t digits = read_digits(r);
    if (!digits)
        return fail(r, "a minus sign without a number");
    if (zero && digits > 1)
        return fail(r, "a number that begins with 0");
    if (r->at < r->end && *r->at == '.') {
        r->at++;
        size_t fraction = read_digits(r);
        if (!fraction)
            return fail(r, "a decimal point without digits");
        digits += fraction;
    }
    bool exponent = r->at < r->end && (*r->at | 0x20) == 'e';
    if (exponent) {
        r->at++;
        if (r->at < r->end && (*r->at == '+' || *r->at == '-'))
            r->at++;
        if (!read_digits(r))
            return fail(r, "an exponent without digits");
    }
    if (digits > JSON_DIGITS_SAFE || exponent)
        r->flags |= JSON_LONG_NUMBER;
    return true;
}

static bool read_word(struct reader *r, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(r->end - r->at) < n || memcmp(r->at, word, n) != 0)
        return fail(r, "a word that is none of true, false and null");
    r->at += n;
    return true;
}

/* Anything that is neither an object nor an array. */
static bool read_scalar(struct reader *r)
{
    switch (*r->at) {
    case '"':
        return read_string(r);
    case 't':
        return read_word(r, "true");
    case 'f':
        return read_word(r, "false");
    case 'n':
        return read_word(r, "null");
    case '-':
    case '0' ... '9':
        return read_number(r);
    }
    return fail(r, "a value is missing");
}

/* --- The text ----------------------------------------------------------------------------------------- */

/* Whether a string, quotes included, is this name once its escapes are resolved. name is plain ASCII. */
bool json_string_is(struct slice string, const char *name)
{
    const char *at = string.data + 1, *end = string.data + string.len - 1;
    for (; *name; name++) {
        if (at == end)
            return false;
        int code = (unsigned char)*at;
        if (code != '\\') {
            at++;
        } else if (at[1] == 'u') {
            code = hex4(at + 2, end);
            at += 6;
        } else {
            return false; /* no name has what the short escapes stand for */
        }
        if (code != (unsigned char)*name)
            return false;
    }
    return at == end;
}

/* The name of a member and its colon. */
static bool read_name(struct reader *r, bool top)
{
    const char *from = r->at;
    if (r->at == r->end || *r->at != '"')
        return fail(r, "the name of a member is missing");
    if (!read_string(r))
        return false;
    if (top && json_string_is((struct slice){from, (size_t)(r->at - from)}, "Sign"))
        r->flags |= JSON_SIGN;
    skip_space(r);
    if (r->at == r->end || *r->at != ':')
        return fail(r, "a colon is missing after the name of a member");
    r->at++;
    skip_space(r);
    return true;
}

/* One value with all that is in it. The stack says of each open level whether it is an object. */
static bool read_value(struct reader *r)
{
    bool object[JSON_DEPTH_MAX];
    size_t depth = 0;
    for (;;) {
        if (r->at == r->end)
            return fail(r, "it ends too early");
        char c = *r->at;
        bool opened = c == '{' || c == '[';
        if (opened) {
            if (depth == JSON_DEPTH_MAX)
                return fail(r, "nested too deep");
            object[depth++] = c == '{';
            r->at++;
            skip_space(r);
            opened = r->at == r->end || *r->at != (c == '{' ? '}' : ']');
        } else if (!read_scalar(r)) {
            return false;
        }
        if (opened) {
            if (object[depth - 1] && !read_name(r, depth == 1))
                return false;
            continue;
        }
        /* A value is complete: close what ends with it, and go on behind the next comma. */
        for (;;) {
            if (!depth)
                return true;
            skip_space(r);
            if (r->at == r->end)
                return fail(r, "it ends too early");
            c = *r->at;
            if (c != (object[depth - 1] ? '}' : ']'))
                break;
            r->at++;
            depth--;
        }
        if (c != ',')
            return fail(r, object[depth - 1] ? "neither , nor } after a member"
                                             : "neither , nor ] after an element");
        r->at++;
        skip_space(r);
        if (object[depth - 1] && !read_name(r, depth == 1))
            return false;
    }
}

int json_scan(const char *data, size_t len, struct json_scan *ret)
{
    static const char mark[] = "\xEF\xBB\xBF";
    struct reader r = {.at = data, .end = data + len};
    if (len >= 3 && memcmp(data, mark, 3) == 0) {
        r.flags |= JSON_BOM;
        r.at += 3;
    }
    skip_space(&r);
    const char *text = r.at;
    *ret = (struct json_scan){.first = r.at < r.end ? *r.at : '\0'};
    bool valid = read_value(&r);
    const char *text_end = r.at;
    if (valid) {
        unsigned inside = r.flags;
        skip_space(&r);
        r.flags = inside;
        if (r.at < r.end)
            valid = fail(&r, "something follows the value");
    }
    if (!valid) {
        ret->error = r.error;
        ret->error_offset = (size_t)(r.at - data);
        return -EBADMSG;
    }
    ret->flags = r.flags;
    ret->text = (struct slice){text, (size_t)(text_end - text)};
    return 0;
}

/* --- Walking ------------------------------------------------------------------------------------------ */

static struct slice take_value(struct reader *r)
{
    const char *from = r->at;
    read_value(r);
    struct slice value = {from, (size_t)(r->at - from)};
    skip_space(r);
    return value;
}

bool json_member(struct slice object, const char *name, struct slice *ret_value)
{
    struct reader r = {.at = object.data, .end = object.data + object.len};
    skip_space(&r);
    if (r.at == r.end || *r.at != '{')
        return false;
    r.at++;
    skip_space(&r);
    while (r.at < r.end && *r.at == '"') {
        const char *from = r.at;
        read_string(&r);
        struct slice string = {from, (size_t)(r.at - from)};
        skip_space(&r);
        if (r.at == r.end || *r.at++ != ':')
            return false;
        skip_space(&r);
        struct slice value = take_value(&r);
        if (json_string_is(string, name)) {
            *ret_value = value;
            return true;
        }
        if (r.at == r.end || *r.at++ != ',')
            return false;
        skip_space(&r);
    }
    return false;
}

/* What is left begins with the bracket before the first element, or the comma before a later one. */
bool json_next(struct slice *rest, struct slice *ret_element)
{
    struct reader r = {.at = rest->data, .end = rest->data + rest->len};
    skip_space(&r);
    if (r.at == r.end || (*r.at != '[' && *r.at != ','))
        return false;
    r.at++;
    skip_space(&r);
    if (r.at == r.end || *r.at == ']')
        return false;
    *ret_element = take_value(&r);
    *rest = (struct slice){r.at, (size_t)(r.end - r.at)};
    return true;
}
