/* json.c: the pass over a text that says whether it is JSON and notes where its values are. */
#include "json/json.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

enum {
    JSON_DIGITS_SAFE = 15, /* significant digits that every double keeps */
    JSON_NUMBER_MAX = 60,  /* characters; cJSON cuts a number at 63 */
    NODES_LEAST = 256,
    NODES_KEEP = 16 * 1024, /* more are given back before the next text */
};

/* What is done for every value, which the compiler leaves as calls at two thirds of the speed. */
#define ALWAYS_INLINE static inline __attribute__((always_inline))

struct reader {
    const char *at, *end;
    unsigned flags; /* of the string or number that is read */
    struct json *json;
};

static bool fail(struct reader *r, const char *error)
{
    r->json->error = error;
    return false;
}

ALWAYS_INLINE void skip_space(struct reader *r)
{
    if (__builtin_expect(r->at < r->end && (unsigned char)*r->at > ' ', true))
        return;
    for (; r->at < r->end; r->at++) {
        if (*r->at == '\n' || *r->at == '\r')
            r->json->flags |= JSON_NEWLINE | JSON_SPACE;
        else if (*r->at == ' ' || *r->at == '\t')
            r->json->flags |= JSON_SPACE;
        else
            return;
    }
}

/* Adds a node for what begins here. Returns NULL when it would need too much memory. */
ALWAYS_INLINE struct json_node *add_node(struct reader *r)
{
    struct json *j = r->json;
    if (j->n == j->cap) {
        size_t cap = j->cap ? 2 * (size_t)j->cap : NODES_LEAST, size = cap * sizeof(struct json_node);
        bool allowed = (!j->memory_max || size <= j->memory_max) && cap <= UINT32_MAX;
        struct json_node *nodes = allowed ? realloc(j->nodes, size) : NULL;
        if (!nodes) {
            j->too_large = true;
            fail(r, "it needs more memory than may be used");
            return NULL;
        }
        j->nodes = nodes;
        j->cap = (uint32_t)cap;
    }
    struct json_node *node = &j->nodes[j->n++];
    *node = (struct json_node){.at = (uint32_t)(r->at - j->text.data), .next = j->n};
    return node;
}

static void end_node(struct reader *r, struct json_node *node)
{
    node->end = (uint32_t)(r->at - r->json->text.data);
    node->flags |= r->flags;
    r->json->flags |= r->flags;
    r->flags = 0;
}

/* --- Strings ------------------------------------------------------------------------------------------ */

/* Reads four hex digits. Returns the number, or -1. */
static int hex4(const char *at, const char *end)
{
    int code = 0;
    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int c = (unsigned char)at[i], lower = c | 0x20;
        if (c >= '0' && c <= '9')
            code = code << 4 | (c - '0');
        else if (lower >= 'a' && lower <= 'f')
            code = code << 4 | (lower - 'a' + 10);
        else
            return -1;
    }
    return code;
}

size_t json_unescape(const char *at, const char *end, uint32_t *ret_code)
{
    static const char names[] = "bfnrt", values[] = "\b\f\n\r\t";
    if (at[1] != 'u') {
        const char *name = memchr(names, at[1], sizeof names - 1);
        *ret_code = (unsigned char)(name ? values[name - names] : at[1]);
        return 2;
    }
    uint32_t code = (uint32_t)hex4(at + 2, end);
    *ret_code = code;
    if (code >> 10 != 0xD800 >> 10 || end - at < 12 || at[6] != '\\' || at[7] != 'u')
        return 6;
    int low = hex4(at + 8, end);
    if (low >> 10 != 0xDC00 >> 10)
        return 6;
    *ret_code = 0x10000 + ((code & 0x3FF) << 10 | (low & 0x3FF));
    return 12;
}

static size_t encode(uint32_t code, char ret[4])
{
    static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, code >>= 6)
        ret[i] = (char)(0x80 | (code & 0x3F));
    ret[0] = (char)(lead[n] | code);
    return n;
}

/* The escape at its backslash. */
static bool read_escape(struct reader *r)
{
    if (r->end - r->at < 2)
        return fail(r, "a string does not end");
    if (!r->at[1] || !strchr("\"\\/bfnrtu", r->at[1]))
        return fail(r, "an escape that JSON does not have");
    if (r->at[1] == 'u' && hex4(r->at + 2, r->end) < 0)
        return fail(r, "\\u without four hex digits");
    uint32_t code;
    r->at += json_unescape(r->at, r->end, &code);
    r->flags |= JSON_ESCAPED | (!code ? JSON_NUL : json_is_surrogate(code) ? JSON_LONE_SURROGATE : 0);
    return true;
}

static void read_other(struct reader *r)
{
    uint32_t code;
    size_t n = text_utf8(r->at, (size_t)(r->end - r->at), &code);
    if (!n)
        r->flags |= JSON_BAD_UTF8;
    else if (code < 0x20)
        r->flags |= JSON_RAW_CONTROL | (code ? 0 : JSON_NUL);
    else if (text_is_unsafe(code))
        r->flags |= JSON_UNSAFE;
    r->at += n ? n : 1;
}

/* A string, from its opening quote past its closing one. */
ALWAYS_INLINE bool read_string(struct reader *r)
{
    r->at++;
    for (;;) {
        r->at += text_plain(r->at, (size_t)(r->end - r->at));
        if (r->at == r->end)
            return fail(r, "a string does not end");
        if (*r->at == '"')
            break;
        if (*r->at != '\\')
            read_other(r);
        else if (!read_escape(r))
            return false;
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
    const char *from = r->at;
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
        if (!read_digits(r))
            return fail(r, "a decimal point without digits");
    }
    bool exponent = r->at < r->end && (*r->at | 0x20) == 'e';
    if (exponent) {
        r->at++;
        if (r->at < r->end && (*r->at == '+' || *r->at == '-'))
            r->at++;
        if (!read_digits(r))
            return fail(r, "an exponent without digits");
    }
    if (digits > JSON_DIGITS_SAFE || exponent || r->at - from > JSON_NUMBER_MAX)
        r->flags |= JSON_LONG_NUMBER;
    return true;
}

bool json_is_number(struct slice text)
{
    struct json none = {0};
    struct reader r = {.at = text.data, .end = text.data + text.len, .json = &none};
    bool begins = text.len && (text.data[0] == '-' || (text.data[0] >= '0' && text.data[0] <= '9'));
    return begins && read_number(&r) && r.at == r.end;
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

/* The name of a member and its colon. */
static bool read_name(struct reader *r, bool top)
{
    if (r->at == r->end || *r->at != '"')
        return fail(r, "the name of a member is missing");
    struct json_node *node = add_node(r);
    if (!node || !read_string(r))
        return false;
    end_node(r, node);
    node->flags |= JSON_NAME;
    node->next++;
    if (top && json_is(r->json, r->json->n - 1, "Sign"))
        r->json->flags |= JSON_SIGN;
    skip_space(r);
    if (r->at == r->end || *r->at != ':')
        return fail(r, "a colon is missing after the name of a member");
    r->at++;
    skip_space(r);
    return true;
}

/* Closes the containers that end here. Returns false where the text ends instead, or goes on wrongly. */
static bool read_ends(struct reader *r, const uint32_t open[], size_t *depth)
{
    struct json *j = r->json;
    while (*depth) {
        struct json_node *node = &j->nodes[open[*depth - 1]];
        char opened = j->text.data[node->at];
        skip_space(r);
        if (r->at == r->end)
            return fail(r, "it ends too early");
        if (*r->at != (opened == '{' ? '}' : ']')) {
            if (*r->at == ',')
                return true;
            return fail(r, opened == '{' ? "neither , nor } after a member"
                                         : "neither , nor ] after an element");
        }
        r->at++;
        end_node(r, node);
        node->next = j->n;
        if (node > j->nodes && node[-1].flags & JSON_NAME)
            node[-1].next = j->n;
        --*depth;
    }
    return true;
}

/* One value with all that is in it. */
static bool read_value(struct reader *r)
{
    uint32_t open[JSON_DEPTH_MAX]; /* the nodes of the containers that are open */
    size_t depth = 0;
    for (;;) {
        struct json_node *node = add_node(r);
        if (!node)
            return false;
        if (r->at == r->end)
            return fail(r, "it ends too early");
        char c = *r->at;
        bool more = false;
        if (c == '{' || c == '[') {
            if (depth == JSON_DEPTH_MAX)
                return fail(r, "nested too deep");
            open[depth++] = r->json->n - 1;
            r->at++;
            skip_space(r);
            more = r->at == r->end || *r->at != (c == '{' ? '}' : ']');
        } else {
            if (!read_scalar(r))
                return false;
            end_node(r, node);
        }
        if (!more) {
            if (!read_ends(r, open, &depth))
                return false;
            if (!depth)
                return true;
            r->at++;
            skip_space(r);
        }
        if (r->json->text.data[r->json->nodes[open[depth - 1]].at] == '{' && !read_name(r, depth == 1))
            return false;
    }
}

bool json_read(struct json *j, const char *data, size_t len)
{
    static const char mark[] = "\xEF\xBB\xBF";
    struct reader r = {.at = data, .end = data + len, .json = j};
    if (j->cap > NODES_KEEP)
        json_done(j);
    *j = (struct json){.memory_max = j->memory_max, .nodes = j->nodes, .cap = j->cap};
    if (len >= 3 && memcmp(data, mark, 3) == 0)
        r.at += 3;
    skip_space(&r);
    j->flags = 0;
    j->first = r.at < r.end ? *r.at : '\0';
    j->text = (struct slice){r.at, 0};
    j->too_large = len >= UINT32_MAX;
    bool valid = !j->too_large ? read_value(&r) : fail(&r, "it is too long");
    if (valid) {
        unsigned inside = j->flags;
        j->text.len = (size_t)(r.at - j->text.data);
        skip_space(&r);
        j->flags = inside;
        valid = r.at == r.end || fail(&r, "something follows the value");
    }
    j->error_offset = (size_t)(r.at - data);
    return valid;
}

void json_done(struct json *j)
{
    free(j->nodes);
    j->nodes = NULL;
    j->cap = 0;
    j->n = 0;
}

/* --- Walking ------------------------------------------------------------------------------------------ */

struct json_string json_string_of(const struct json *j, uint32_t node)
{
    struct slice raw = json_raw(j, node);
    return (struct json_string){.at = raw.data + 1, .end = raw.data + raw.len - 1};
}

int json_string_next(struct json_string *s)
{
    if (s->i == s->n) {
        if (s->at == s->end)
            return -1;
        if (*s->at != '\\')
            return (unsigned char)*s->at++;
        uint32_t code;
        s->at += json_unescape(s->at, s->end, &code);
        s->n = encode(code, s->bytes);
        s->i = 0;
    }
    return (unsigned char)s->bytes[s->i++];
}

bool json_is_unescaped(const struct json *j, uint32_t node, const char *text)
{
    struct json_string s = json_string_of(j, node);
    while (*text)
        if (json_string_next(&s) != (unsigned char)*text++)
            return false;
    return json_string_next(&s) < 0;
}

uint32_t json_member(const struct json *j, uint32_t object, const char *name)
{
    if (json_kind(j, object) == '{')
        json_each(j, object, member)
            if (json_is(j, member, name))
                return member + 1;
    return 0;
}
