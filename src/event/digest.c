/* digest.c: the canonical form of an event, put straight into SHA-256 from the bytes that arrived: no tree,
 * and no byte read more than a few times however deep it is nested. */
#include "event/digest.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buffer.h"

enum {
    SCRATCH_KEEP = 256 * 1024, /* bytes of scratch that are kept between events */
    PENDING = 1024,            /* bytes that are hashed at once: most pieces are far smaller */
};

/* One an object or array, in the order they begin. */
struct container {
    uint32_t end;  /* behind its closing bracket */
    uint32_t next; /* the container that begins next behind it */
};

struct member {
    uint64_t prefix;         /* the name's first bytes as a number that sorts as they do */
    uint32_t name, name_end; /* between the quotes */
    uint32_t value;
    uint32_t container; /* the first that begins at the value or behind it */
    bool escaped;       /* the name has to be unescaped, and the prefix says nothing */
};

struct digester {
    struct buffer containers, members; /* of the structs above; members is a stack */
    const char *text;
    const struct event *event;
    struct sha256_ctx hash;
    size_t n_pending; /* bytes to be hashed yet */
    uint8_t pending[PENDING];
};

int digester_new(struct digester **ret)
{
    struct digester *d = calloc(1, sizeof *d);
    if (!d)
        return -ENOMEM;
    *ret = d;
    return 0;
}

struct digester *digester_free(struct digester *d)
{
    if (!d)
        return NULL;
    buffer_done(&d->containers);
    buffer_done(&d->members);
    free(d);
    return NULL;
}

static void hash_pending(struct digester *d)
{
    sha256_update(&d->hash, d->n_pending, d->pending);
    d->n_pending = 0;
}

static void put(struct digester *d, const char *data, size_t n)
{
    if (n > PENDING - d->n_pending)
        hash_pending(d);
    if (n > PENDING) {
        sha256_update(&d->hash, n, (const uint8_t *)data);
        return;
    }
    memcpy(d->pending + d->n_pending, data, n);
    d->n_pending += n;
}

/* --- Finding one's way in valid JSON ------------------------------------------------------------------- */

static uint32_t skip_space(const char *text, uint32_t at)
{
    while (text[at] == ' ' || text[at] == '\t' || text[at] == '\n' || text[at] == '\r')
        at++;
    return at;
}

/* From behind the opening quote to the closing one, which is the first with an even number of backslashes
 * before it. */
static uint32_t string_end(const char *text, uint32_t at)
{
    for (const char *quote = text + at;; quote++) {
        quote = rawmemchr(quote, '"');
        const char *p = quote;
        while (p > text + at && p[-1] == '\\')
            p--;
        if ((quote - p) % 2 == 0)
            return (uint32_t)(quote - text);
    }
}

/* Of a number, true, false or null; some bracket always follows. */
static uint32_t word_end(const char *text, uint32_t at)
{
    while (text[at] > ' ' && text[at] != ',' && text[at] != '}' && text[at] != ']')
        at++;
    return at;
}

static struct container *container_at(const struct digester *d, uint32_t i)
{
    return (struct container *)(void *)d->containers.data + i;
}

static struct member *member_at(const struct digester *d, size_t i)
{
    return (struct member *)(void *)d->members.data + i;
}

/* Notes where every object and array ends, so that each can be stepped over. */
static int find_containers(struct digester *d, struct slice text)
{
    uint32_t open[JSON_DEPTH_MAX + 1], depth = 0, n = 0;
    for (uint32_t at = 0; at < text.len; at++) {
        switch (text.data[at]) {
        case '"':
            at = string_end(text.data, at + 1);
            break;
        case '{':
        case '[':
            assert(depth < sizeof open / sizeof *open);
            open[depth++] = n++;
            buffer_append(&d->containers, (const char *)&(struct container){0}, sizeof(struct container));
            if (d->containers.failed)
                return -ENOMEM;
            break;
        case '}':
        case ']':
            assert(depth > 0);
            *container_at(d, open[--depth]) = (struct container){at + 1, n};
            break;
        }
    }
    return 0;
}

/* Returns where the value ends; *container moves behind what is in it. */
static uint32_t value_end(const struct digester *d, uint32_t at, uint32_t *container)
{
    switch (d->text[at]) {
    case '"':
        return string_end(d->text, at + 1) + 1;
    case '{':
    case '[':
        at = container_at(d, *container)->end;
        *container = container_at(d, *container)->next;
        return at;
    }
    return word_end(d->text, at);
}

/* --- Strings ------------------------------------------------------------------------------------------- */

static uint32_t hex4(const char *p)
{
    uint32_t code = 0;
    for (int i = 0; i < 4; i++) {
        uint32_t c = (unsigned char)p[i];
        code = code << 4 | (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return code;
}

static size_t encode(uint32_t code, char *ret)
{
    size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = n - 1; i > 0; i--, code >>= 6)
        ret[i] = (char)(0x80 | (code & 0x3F));
    ret[0] = (char)(lead[n] | code);
    return n;
}

/* Unescapes what begins with a backslash at p. Returns its length, and the bytes that it stands for. */
static size_t unescape(const char *p, const char *end, char ret[4], size_t *ret_len)
{
    static const char names[] = "bfnrt", values[] = "\b\f\n\r\t";
    const char *name = memchr(names, p[1], sizeof names - 1);
    *ret_len = 1;
    if (p[1] != 'u') {
        ret[0] = name ? values[name - names] : p[1];
        return 2;
    }
    uint32_t code = hex4(p + 2);
    size_t len = 6;
    if (code >> 10 == 0xD800 >> 10 && end - p >= 12 && p[6] == '\\' && p[7] == 'u') {
        uint32_t low = hex4(p + 8);
        if (low >> 10 == 0xDC00 >> 10) {
            code = 0x10000 + ((code & 0x3FF) << 10 | (low & 0x3FF));
            len = 12;
        }
    }
    *ret_len = encode(code, ret);
    return len;
}

static void put_string(struct digester *d, const char *p, const char *end)
{
    put(d, "\"", 1);
    while (p < end) {
        const char *escape = memchr(p, '\\', (size_t)(end - p));
        put(d, p, (size_t)((escape ? escape : end) - p));
        if (!escape)
            break;
        char bytes[4];
        size_t n;
        p = escape + unescape(escape, end, bytes, &n);
        if (n == 1 && (bytes[0] == '"' || bytes[0] == '\\'))
            put(d, "\\", 1);
        put(d, bytes, n);
    }
    put(d, "\"", 1);
}

/* Gives the bytes of an escaped string one by one. */
struct reader {
    const char *p, *end;
    char bytes[4];
    size_t n, i;
};

static int reader_next(struct reader *r)
{
    if (r->i == r->n) {
        if (r->p == r->end)
            return -1;
        if (*r->p != '\\')
            return (unsigned char)*r->p++;
        r->p += unescape(r->p, r->end, r->bytes, &r->n);
        r->i = 0;
    }
    return (unsigned char)r->bytes[r->i++];
}

static int compare_plain(struct slice a, struct slice b)
{
    int r = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);
    return r ? r : (a.len > b.len) - (a.len < b.len);
}

static int compare_escaped(struct slice a, struct slice b)
{
    struct reader x = {.p = a.data, .end = a.data + a.len}, y = {.p = b.data, .end = b.data + b.len};
    int p, q;
    do {
        p = reader_next(&x);
        q = reader_next(&y);
    } while (p == q && p >= 0);
    return (p > q) - (p < q);
}

/* --- Objects ------------------------------------------------------------------------------------------- */

static struct slice member_name(const struct digester *d, const struct member *m)
{
    return (struct slice){d->text + m->name, m->name_end - m->name};
}

static int compare_members(const void *a, const void *b, void *userdata)
{
    const struct member *x = a, *y = b;
    bool escaped = x->escaped || y->escaped;
    if (!escaped && x->prefix != y->prefix)
        return x->prefix < y->prefix ? -1 : 1;
    int r = (escaped ? compare_escaped : compare_plain)(member_name(userdata, x), member_name(userdata, y));
    return r ? r : (x->name > y->name) - (x->name < y->name);
}

static bool name_is(const struct digester *d, const struct member *m, const char *name)
{
    struct slice given = member_name(d, m), wanted = slice_of(name);
    return m->escaped ? compare_escaped(given, wanted) == 0 : slice_equal(given, wanted);
}

/* Whether a member at the top belongs to the envelope, which differs from delivery to delivery. */
static bool is_envelope(const struct digester *d, const struct member *m)
{
    const struct event *e = d->event;
    if (name_is(d, m, "Sign") || name_is(d, m, "T") || name_is(d, m, "EventHandle"))
        return true;
    if (e->known && (name_is(d, m, "EventType") || name_is(d, m, "eventType")))
        return true;
    return e->legacy && name_is(d, m, "version");
}

static bool is_payload(const struct digester *d, const struct member *m)
{
    return d->event->payload_key && name_is(d, m, d->event->payload_key);
}

static uint64_t prefix_of(struct slice name)
{
    uint64_t prefix = 0;
    memcpy(&prefix, name.data, name.len < sizeof prefix ? name.len : sizeof prefix);
    return be64toh(prefix);
}

/* Pushes the members of the object that count. */
static int collect_members(struct digester *d, uint32_t at, uint32_t container, bool top)
{
    for (at = skip_space(d->text, at + 1); d->text[at] != '}';) {
        struct member m = {.name = at + 1, .name_end = string_end(d->text, at + 1)};
        m.value = skip_space(d->text, skip_space(d->text, m.name_end + 1) + 1);
        m.container = container;
        at = skip_space(d->text, value_end(d, m.value, &container));
        if (d->text[at] == ',')
            at = skip_space(d->text, at + 1);
        struct slice name = member_name(d, &m);
        m.escaped = memchr(name.data, '\\', name.len);
        if (d->text[m.value] == 'n' || (top && is_envelope(d, &m)))
            continue;
        if (top && is_payload(d, &m)) {
            m.name_end = m.name;
            name.len = 0;
        }
        m.prefix = prefix_of(name);
        buffer_append(&d->members, (const char *)&m, sizeof m);
        if (d->members.failed)
            return -ENOMEM;
    }
    return 0;
}

static int put_value(struct digester *d, uint32_t at, uint32_t container);

static int put_object(struct digester *d, uint32_t at, uint32_t container, bool top)
{
    size_t mark = d->members.len, first = mark / sizeof(struct member);
    int r = collect_members(d, at, container + 1, top);
    if (r < 0)
        return r;
    size_t end = d->members.len / sizeof(struct member);
    if (end - first > 1)
        qsort_r(member_at(d, first), end - first, sizeof(struct member), compare_members, d);
    put(d, "{", 1);
    for (size_t i = first; i < end; i++) {
        struct member m = *member_at(d, i);
        if (i > first)
            put(d, ",", 1);
        put_string(d, d->text + m.name, d->text + m.name_end);
        put(d, ":", 1);
        r = put_value(d, m.value, m.container);
        if (r < 0)
            return r;
    }
    put(d, "}", 1);
    d->members.len = mark;
    return 0;
}

static int put_array(struct digester *d, uint32_t at, uint32_t container)
{
    put(d, "[", 1);
    container++;
    for (at = skip_space(d->text, at + 1); d->text[at] != ']';) {
        int r = put_value(d, at, container);
        if (r < 0)
            return r;
        at = skip_space(d->text, value_end(d, at, &container));
        if (d->text[at] == ',') {
            put(d, ",", 1);
            at = skip_space(d->text, at + 1);
        }
    }
    put(d, "]", 1);
    return 0;
}

static int put_value(struct digester *d, uint32_t at, uint32_t container)
{
    switch (d->text[at]) {
    case '{':
        return put_object(d, at, container, false);
    case '[':
        return put_array(d, at, container);
    case '"':
        put_string(d, d->text + at + 1, d->text + string_end(d->text, at + 1));
        return 0;
    }
    put(d, d->text + at, word_end(d->text, at) - at);
    return 0;
}

/* --- Digests ------------------------------------------------------------------------------------------- */

int digest_event(struct digester *d, const struct event *e, const struct json_scan *scan,
                 uint8_t ret[DIGEST_SIZE])
{
    if (scan->text.len >= UINT32_MAX)
        return -EFBIG;
    assert(scan->first == '{');
    buffer_reset(&d->containers, SCRATCH_KEEP);
    buffer_reset(&d->members, SCRATCH_KEEP);
    d->text = scan->text.data;
    d->event = e;
    sha256_init(&d->hash);
    d->n_pending = 0;
    if (e->known)
        put_string(d, e->type, e->type + strlen(e->type));
    int r = find_containers(d, scan->text);
    if (r >= 0)
        r = put_object(d, 0, 0, true);
    hash_pending(d);
    if (r >= 0)
        sha256_digest(&d->hash, DIGEST_SIZE, ret);
    return r;
}

void digest_bytes(struct slice body, uint64_t body_bytes, uint8_t ret[DIGEST_SIZE])
{
    struct sha256_ctx hash;
    char size[32];
    int n = snprintf(size, sizeof size, "%" PRIu64 "\n", body_bytes);
    sha256_init(&hash);
    sha256_update(&hash, (size_t)n, (const uint8_t *)size);
    sha256_update(&hash, body.len, (const uint8_t *)body.data);
    sha256_digest(&hash, DIGEST_SIZE, ret);
}
