/* json_write.h: writes JSON that has been read: on one line, indented, with the secret hidden, or mended for
 * cJSON. Names and numbers stay as they came, digit for digit. */
#pragma once

#include "base/buffer.h"
#include "json/json.h"

/* Shown in place of a top-level Sign, which proves knowledge of a secret. */
#define JSON_MASK "\"***\""

/* Append valid, safe JSON: bad UTF-8 and lone surrogates as U+FFFD, raw control characters and unsafe ones as
 * \u00XX. mask_sign shows the value of a top-level Sign as "***". compact: one line, without white space
 * outside strings. indented: as people read it, each line after the first begun with `margin`; four spaces a
 * level; [] and {} closed up; but on one line where that would be far longer than the text, being deeply
 * nested. */
void json_write_compact(struct buffer *to, const struct json *j, bool mask_sign);
void json_write_indented(struct buffer *to, const struct json *j, bool mask_sign, const char *margin);

/* Appends the text as it came, but for the value of a top-level Sign, which becomes "***". */
void json_write_masked(struct buffer *to, const struct json *j);

/* Appends the text of a node, and all in it, as it came, but for what cJSON would misread: of a string NUL, lone surrogates and bad
 * UTF-8, as U+FFFD; a long number, as a string of its digits. Needed where any of JSON_MISREAD is set. */
void json_write_mended(struct buffer *to, const struct json *j, uint32_t from);
enum { JSON_MISREAD = JSON_NUL | JSON_LONE_SURROGATE | JSON_BAD_UTF8 | JSON_LONG_NUMBER };

/* Appends any bytes as one JSON string, quotes included, by the same rules. */
void json_write_string(struct buffer *to, struct slice text);
