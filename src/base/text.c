/* text.c: escaping of what a stranger sent. */
#include "base/text.h"

#include <endian.h>
#include <string.h>

size_t text_utf8(const char *data, size_t len, uint32_t *ret_code)
{
    const unsigned char *s = (const unsigned char *)data;
    size_t need;
    uint32_t code, least;
    if (s[0] < 0x80) {
        *ret_code = s[0];
        return 1;
    }
    if (s[0] >= 0xC2 && s[0] <= 0xDF) {
        need = 2, code = s[0] & 0x1F, least = 0x80;
    } else if ((s[0] & 0xF0) == 0xE0) {
        need = 3, code = s[0] & 0x0F, least = 0x800;
    } else if (s[0] >= 0xF0 && s[0] <= 0xF4) {
        need = 4, code = s[0] & 0x07, least = 0x10000;
    } else {
        return 0;
    }
    if (len < need)
        return 0;
    for (size_t i = 1; i < need; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
        code = code << 6 | (s[i] & 0x3F);
    }
    if (code < least || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
        return 0;
    *ret_code = code;
    return need;
}

bool text_is_unsafe(uint32_t code)
{
    return code < 0x20 || (code >= 0x7F && code <= 0x9F) || code == 0x061C || code == 0x200E ||
           code == 0x200F || (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069) ||
           code == 0xFEFF;
}

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Eight bytes at a time: a term sets the top bit of each byte that is below 0x20, the quote, the backslash,
 * DEL or not ASCII. A borrow may set it in bytes above such a one, never below, so the lowest bit that is set
 * tells the truth. */
size_t text_plain(const char *data, size_t len)
{
    size_t i = 0;
    for (uint64_t x; len - i >= sizeof x; i += sizeof x) {
        memcpy(&x, data + i, sizeof x);
        x = le64toh(x);
        uint64_t quote = x ^ EACH('"'), backslash = x ^ EACH('\\'), del = x ^ EACH(0x7F);
        uint64_t hit = (x - EACH(0x20)) | (quote - EACH(1)) | (backslash - EACH(1)) | (del - EACH(1)) | x;
        hit &= EACH(0x80);
        if (hit)
            return i + (size_t)__builtin_ctzll(hit) / 8;
    }
    while (i < len && data[i] >= 0x20 && data[i] < 0x7F && data[i] != '"' && data[i] != '\\')
        i++;
    return i;
}

/* A stranger may send nothing but what has to be escaped, so this is no place for printf(). */
static void put_hex(struct buffer *to, char kind, uint32_t number, int digits)
{
    char text[2 + 8] = {'\\', kind};
    for (int i = 0; i < digits; i++)
        text[2 + i] = "0123456789abcdef"[number >> 4 * (digits - 1 - i) & 15];
    buffer_append(to, text, 2 + (size_t)digits);
}

void text_put_code(struct buffer *to, uint32_t code)
{
    put_hex(to, 'u', code, code > 0xFFFF ? 6 : 4);
}

static void text_escape_with(struct buffer *to, struct slice text, bool quoted)
{
    size_t plain = 0; /* start of the run that is copied as it is */
    for (size_t i = 0; i < text.len;) {
        i += text_plain(text.data + i, text.len - i);
        if (i == text.len)
            break;
        uint32_t code = 0;
        size_t n = text_utf8(text.data + i, text.len - i, &code);
        bool backslash = quoted && n == 1 && (code == '"' || code == '\\');
        if (n && !backslash && !text_is_unsafe(code)) {
            i += n;
            continue;
        }
        buffer_append(to, text.data + plain, i - plain);
        if (backslash)
            buffer_printf(to, "\\%c", (int)code);
        else if (!n)
            put_hex(to, 'x', (unsigned char)text.data[i], 2);
        else if (code == '\n')
            buffer_puts(to, "\\n");
        else if (code == '\r')
            buffer_puts(to, "\\r");
        else if (code == '\t')
            buffer_puts(to, "\\t");
        else
            text_put_code(to, code);
        i += n ? n : 1;
        plain = i;
    }
    if (plain < text.len)
        buffer_append(to, text.data + plain, text.len - plain);
}

void text_escape(struct buffer *to, struct slice text)
{
    text_escape_with(to, text, false);
}

void text_logfmt_value(struct buffer *to, struct slice value)
{
    bool bare = value.len > 0 && text_plain(value.data, value.len) == value.len &&
                !memchr(value.data, ' ', value.len) && !memchr(value.data, '=', value.len);
    if (bare) {
        buffer_append(to, value.data, value.len);
        return;
    }
    buffer_putc(to, '"');
    text_escape_with(to, value, true);
    buffer_putc(to, '"');
}

void text_hex(const uint8_t *bytes, size_t n, char *ret)
{
    for (size_t i = 0; i < n; i++) {
        *ret++ = "0123456789abcdef"[bytes[i] >> 4];
        *ret++ = "0123456789abcdef"[bytes[i] & 15];
    }
    *ret = '\0';
}

bool text_equal_secret(struct slice a, struct slice b)
{
    if (a.len != b.len)
        return false;
    unsigned char different = 0;
    for (size_t i = 0; i < a.len; i++)
        different |= (unsigned char)(a.data[i] ^ b.data[i]);
    return different == 0;
}
