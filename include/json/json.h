/* json.h: the one pass that says whether bytes are JSON (RFC 8259), and the writers that show them again.
 * cJSON accepts much that is no JSON, and keeps numbers as doubles; so what is valid is decided here, what is
 * logged and kept are the bytes themselves, and cJSON only reads a text that json_readable() made safe for
 * it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/slice.h"

enum {
    JSON_DEPTH_MAX =
        500, /* nesting; deeper text is refused: cJSON ends at 1,000, readers of the output sooner */
};

/* What the pass saw, beside that the text is valid. */
enum json_flags {
    JSON_BOM = 1 << 0,         /* it began with a byte order mark */
    JSON_SPACE = 1 << 1,       /* white space outside strings */
    JSON_NEWLINE = 1 << 2,     /* a CR or LF outside strings */
    JSON_BAD_UTF8 = 1 << 3,    /* bytes in a string that are no UTF-8 */
    JSON_RAW_CONTROL = 1 << 4, /* an unescaped control character in a string, NUL included */
    JSON_UNSAFE = 1 << 5,      /* a character of text_is_unsafe() in a string, unescaped, but no C0 control */
    JSON_ODD_ESCAPE = 1 << 6,  /* \u0000, or an escaped surrogate without its partner */
    JSON_LONG_NUMBER = 1 << 7, /* a number that a double may not hold digit for digit */
    JSON_SIGN = 1 << 8,        /* the top-level object has a member whose name, unescaped, is Sign */
};

struct json_scan {
    unsigned flags;      /* of enum json_flags */
    struct slice text;   /* the text without the mark before it and white space around it */
    char first;          /* its first character: '{', '[', '"', a digit ... */
    size_t error_offset; /* where it stopped being JSON, in bytes from the start of the data */
    const char *error;   /* why, a constant; NULL for valid text */
};

/* Reads the bytes once. Raw control characters and bad UTF-8 inside a string are let pass, with their flag;
 * all else outside RFC 8259, and nesting past JSON_DEPTH_MAX, is an error. Borrows data for as long as ret is
 * used. Returns 0, or -EBADMSG with error and error_offset set (text and flags are then of no use). */
int json_scan(const char *data, size_t len, struct json_scan *ret);

/* Append valid, safe JSON of one scanned text: bad UTF-8 as U+FFFD, raw control characters and unsafe ones as
 * \u00XX, everything else as it arrived, digit for digit. mask_sign shows the value of a top-level Sign as
 * "***". compact: one line, without white space outside strings. indented: as people read it, each line after
 * the first begun with `margin`; four spaces a level; [] and {} closed up; but on one line where
 * that would be far longer than the text, being deeply nested. */
void json_write_compact(struct buffer *to, const struct json_scan *scan, bool mask_sign);
void json_write_indented(struct buffer *to, const struct json_scan *scan, bool mask_sign, const char *margin);

/* Appends any bytes as one JSON string, quotes included, by the same rules. */
void json_write_string(struct buffer *to, struct slice text);

/* Appends the text as cJSON can read it without loss that matters: \u0000 and lone surrogates as \ufffd, long
 * numbers as strings of their digits, and what the writers above replace. Unneeded (and not called) when none
 * of the flags but JSON_SPACE, JSON_NEWLINE, JSON_UNSAFE and JSON_SIGN is set: then scan->text serves. */
void json_readable(struct buffer *to, const struct json_scan *scan);

/* Whether a string of scanned JSON, quotes included, is this ASCII name once its escapes are resolved. */
bool json_string_is(struct slice string, const char *name);

/* Walk valid JSON without a tree, to take raw parts out of it. json_member() finds the first member of an
 * object by its name (compared unescaped) and gives the raw bytes of its value; json_next() gives the next
 * element of an array: begin with *rest = the array's text, and go on until it returns false. */
bool json_member(struct slice object, const char *name, struct slice *ret_value);
bool json_next(struct slice *rest, struct slice *ret_element);
