/* text.h: makes bytes that a stranger sent safe to show on one line of a terminal or a log. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

/* Reads one UTF-8 character at data[0..len). Returns its length in bytes (1 to 4) and its code point, or 0
 * where the bytes are no UTF-8 (overlong forms, surrogates and values past U+10FFFF are none). len must not
 * be 0. */
size_t text_utf8(const char *data, size_t len, uint32_t *ret_code);

/* Whether a character would break or forge a line: C0 and C1 controls, DEL, U+2028 and U+2029, the
 * bidirectional controls (U+061C, U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069), and U+FEFF. */
bool text_is_unsafe(uint32_t code);

/* How many bytes at the start are printable ASCII other than the quote and the backslash: what every writer
 * copies as it is. */
size_t text_plain(const char *data, size_t len);

/* Appends a character as \\uXXXX; as one with more digits where it has more. */
void text_put_code(struct buffer *to, uint32_t code);

/* Appends the text with everything unsafe escaped: \n, \r, \t, else \u202e by code point; a byte that is no
 * UTF-8 as \xff. Other characters, the backslash included, stay as they are. */
void text_escape(struct buffer *to, struct slice text);

/* Appends a logfmt value: bare when it is not empty and all printable ASCII without space, quote, equals sign
 * and backslash; else in double quotes, with " and \ escaped by a backslash and the unsafe as in
 * text_escape(). */
void text_logfmt_value(struct buffer *to, struct slice value);

/* Writes bytes as hex digits, and a NUL: 2 * n + 1 characters. */
void text_hex(const uint8_t *bytes, size_t n, char *ret);

/* Whether two byte strings are the same, in a time that depends on their lengths only. */
bool text_equal_secret(struct slice a, struct slice b);
