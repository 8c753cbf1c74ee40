/* json.h: one pass over a text says whether it is JSON (RFC 8259) and leaves an array of its values, which every
 * other reader walks. cJSON accepts much that JSON does not allow, and keeps numbers as doubles: so this pass
 * decides whether a text is valid, and the program logs and keeps the bytes themselves. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum {
    JSON_DEPTH_MAX = 500, /* deeper text is refused: cJSON ends at 1,000, readers of the output sooner */
};

/* What the pass saw. A node has the flags of its characters, the text has those of all nodes. */
enum json_flags {
    JSON_BAD_UTF8 = 1 << 0,    /* bytes in a string that are no UTF-8 */
    JSON_RAW_CONTROL = 1 << 1, /* an unescaped control character in a string, NUL included */
    JSON_UNSAFE = 1 << 2,      /* a character of text_is_unsafe() in a string, unescaped, but no C0 control */
    JSON_NUL = 1 << 3,         /* a NUL in a string, escaped or not */
    JSON_LONE_SURROGATE = 1 << 4, /* an escaped surrogate without its partner */
    JSON_LONG_NUMBER = 1 << 5,    /* a number that cJSON would not keep: over 15 digits before the point, an
                                   * exponent, or longer than JSON_NUMBER_MAX */
    JSON_ESCAPED = 1 << 6,        /* a backslash in a string */
    JSON_NAME = 1 << 7,           /* the name of a member, whose value is the next node */
    /* Of the text only. */
    JSON_SPACE = 1 << 8,   /* white space outside strings */
    JSON_NEWLINE = 1 << 9, /* a CR or LF outside strings */
    JSON_SIGN = 1 << 10,   /* the top-level object has a member whose name, unescaped, is Sign */
};

/* A value, or the name of a member. Nodes stand in the order of the text: a container, then all that is in
 * it; a name, then its value. */
struct json_node {
    uint32_t at, end; /* its text, from the start of json.text; a string with its quotes */
    uint32_t next;    /* the index of the node behind it and all that is in it; of a name, behind its value */
    uint32_t flags;   /* of enum json_flags */
};

/* Reads one text after the other. Begins zeroed but for memory_max; json_done() frees it. */
struct json {
    size_t memory_max;       /* bytes that the nodes may take; 0 for as many as they need */
    struct json_node *nodes; /* [0] is the whole value */
    uint32_t n;
    unsigned flags;      /* of enum json_flags */
    struct slice text;   /* without the byte order mark before it and white space around it; borrowed */
    char first;          /* its first character: '{', '[', '"', a digit ...; set for invalid text too */
    size_t error_offset; /* where it stopped being JSON, in bytes from the start of the data */
    const char *error;   /* why, a constant; NULL for valid text */
    bool too_large;      /* the error is that the nodes need more memory */
    uint32_t cap;
};

/* Reads the bytes once, and borrows them for as long as the nodes are used. Raw control characters and bad
 * UTF-8 inside a string are let pass, with their flag; all else outside RFC 8259, and nesting past
 * JSON_DEPTH_MAX, is an error. Returns whether it is JSON; error and error_offset say why not. */
bool json_read(struct json *j, const char *data, size_t len);
void json_done(struct json *j);

/* The text of a node as it came, and its first character, which tells its kind. */
static inline struct slice json_raw(const struct json *j, uint32_t node)
{
    return (struct slice){j->text.data + j->nodes[node].at, j->nodes[node].end - j->nodes[node].at};
}

static inline char json_kind(const struct json *j, uint32_t node)
{
    return j->text.data[j->nodes[node].at];
}

/* Each element of an array, or each name in an object. An empty one, and any other value, has none.
 * NOLINTNEXTLINE(bugprone-macro-parentheses) */
#define json_each(j, box, i) for (uint32_t i = (box) + 1; i < (j)->nodes[box].next; i = (j)->nodes[i].next)

/* The value of the first member of that name (compared unescaped); 0 where there is none, or where the
 * node is no object. */
uint32_t json_member(const struct json *j, uint32_t object, const char *name);

/* Whether the node is a string or a name that, unescaped, is this text. Inlined: the text is a constant mostly, whose
 * length and first bytes the compiler compares at once. */
bool json_is_unescaped(const struct json *j, uint32_t node, const char *text);
static inline bool json_is(const struct json *j, uint32_t node, const char *text)
{
    if (j->nodes[node].flags & JSON_ESCAPED)
        return json_is_unescaped(j, node, text);
    struct slice raw = json_raw(j, node);
    size_t n = strlen(text);
    return raw.len == n + 2 && raw.data[0] == '"' && memcmp(raw.data + 1, text, n) == 0;
}

/* Gives the bytes of a string or a name, unescaped, one by one, then -1. A lone surrogate is the three bytes
 * that UTF-8 would give it. */
struct json_string {
    const char *at, *end;
    char bytes[4]; /* of the last escape */
    size_t n, i;
};
struct json_string json_string_of(const struct json *j, uint32_t node);
int json_string_next(struct json_string *s);

/* The character that an escape of valid JSON stands for, a lone surrogate by itself; at is its backslash.
 * Returns its length. */
size_t json_unescape(const char *at, const char *end, uint32_t *ret_code);

/* Whether a text is a JSON number and nothing else. */
bool json_is_number(struct slice text);

static inline bool json_is_surrogate(uint32_t code)
{
    return code >> 11 == 0xD800 >> 11;
}
