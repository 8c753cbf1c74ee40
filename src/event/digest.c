/* digest.c: the canonical form of an event, put straight into SHA-256 from the bytes that arrived. */
#include "event/digest.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    PENDING = 1024,   /* bytes that are hashed at once: most pieces are far smaller */
    MEMBERS_FEW = 32, /* of an object, that are sorted without asking for memory */
};

struct digester {
    const struct json *json;
    const struct event *event;
    struct slice payload_key; /* none where there is no payload */
    struct sha256_ctx hash;
    size_t n_pending; /* bytes to be hashed yet */
    uint8_t pending[PENDING];
};

/* A member that counts, with the first bytes of its name as a number that sorts as they do. */
struct member {
    uint64_t prefix; /* says nothing of a name that is escaped */
    uint32_t name;
    bool escaped;
    bool payload; /* goes by the name "" */
};

static void hash_pending(struct digester *d)
{
    sha256_update(&d->hash, d->n_pending, d->pending);
    d->n_pending = 0;
}

/* Inlined by force: most pieces are a few bytes. */
static inline __attribute__((always_inline)) void put(struct digester *d, const char *data, size_t n)
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

/* --- Strings ------------------------------------------------------------------------------------------- */

/* A string or a name. */
static void put_string(struct digester *d, uint32_t node)
{
    struct slice raw = json_raw(d->json, node);
    if (!(d->json->nodes[node].flags & JSON_ESCAPED)) {
        put(d, raw.data, raw.len);
        return;
    }
    struct json_string s = json_string_of(d->json, node);
    put(d, "\"", 1);
    for (int c; (c = json_string_next(&s)) >= 0;) {
        if (c == '"' || c == '\\')
            put(d, "\\", 1);
        put(d, &(char){(char)c}, 1);
    }
    put(d, "\"", 1);
}

/* --- Objects ------------------------------------------------------------------------------------------- */

static struct json_string name_of(const struct digester *d, const struct member *m)
{
    static const char none[] = "";
    return m->payload ? (struct json_string){.at = none, .end = none} : json_string_of(d->json, m->name);
}

/* There are that many bytes behind nearly every name: those that are not its own are taken off. */
static uint64_t prefix_of(const struct digester *d, struct json_string name)
{
    uint64_t prefix = 0;
    size_t len = (size_t)(name.end - name.at);
    if (len && d->json->text.data + d->json->text.len - name.at >= (ptrdiff_t)sizeof prefix) {
        memcpy(&prefix, name.at, sizeof prefix);
        prefix = be64toh(prefix);
        return len >= sizeof prefix ? prefix : prefix & ~(UINT64_MAX >> 8 * len);
    }
    for (int shift = 56; name.at < name.end; shift -= 8)
        prefix |= (uint64_t)(unsigned char)*name.at++ << shift;
    return prefix;
}

static int compare_names(const struct digester *d, const struct member *x, const struct member *y)
{
    struct json_string s = name_of(d, x), t = name_of(d, y);
    int p, q;
    do {
        p = json_string_next(&s);
        q = json_string_next(&t);
    } while (p == q && p >= 0);
    return p != q ? (p > q) - (p < q) : (x->name > y->name) - (x->name < y->name);
}

static inline int compare_members(const void *a, const void *b, void *userdata)
{
    const struct member *x = a, *y = b;
    if (!x->escaped && !y->escaped && x->prefix != y->prefix)
        return x->prefix < y->prefix ? -1 : 1;
    return compare_names(userdata, x, y);
}

static void sort_members(const struct digester *d, struct member *members, size_t n)
{
    if (n > MEMBERS_FEW) {
        qsort_r(members, n, sizeof *members, compare_members, (void *)d);
        return;
    }
    for (size_t i = 1; i < n; i++) {
        struct member m = members[i];
        size_t to = i;
        for (; to && compare_members(&members[to - 1], &m, (void *)d) > 0; to--)
            members[to] = members[to - 1];
        members[to] = m;
    }
}

/* Whether a member at the top belongs to the envelope, which differs from delivery to delivery. */
static bool is_envelope(const struct digester *d, uint32_t name)
{
    const struct event *e = d->event;
    const struct json *j = d->json;
    if (json_is(j, name, "Sign") || json_is(j, name, "T") || json_is(j, name, "EventHandle"))
        return true;
    if (e->known && (json_is(j, name, "EventType") || json_is(j, name, "eventType")))
        return true;
    return e->legacy && json_is(j, name, "version");
}

/* A payload key with a backslash in it stays: so it is in the digests that inboxes hold. */
static bool is_payload(const struct digester *d, uint32_t name)
{
    const char *key = d->payload_key.data;
    struct slice raw = json_raw(d->json, name);
    if (!key || d->json->nodes[name].flags & JSON_ESCAPED)
        return key && json_is(d->json, name, key);
    return raw.len == d->payload_key.len + 2 && memcmp(raw.data + 1, key, d->payload_key.len) == 0;
}

/* Writes the members of the object that count, and returns how many. */
static size_t collect_members(const struct digester *d, uint32_t object, struct member *ret)
{
    const struct json *j = d->json;
    size_t n = 0;
    json_each(j, object, name) {
        if (json_kind(j, name + 1) == 'n' || (object == 0 && is_envelope(d, name)))
            continue;
        struct member *m = &ret[n++];
        *m = (struct member){.name = name, .escaped = j->nodes[name].flags & JSON_ESCAPED};
        m->payload = object == 0 && is_payload(d, name);
        m->prefix = prefix_of(d, name_of(d, m));
    }
    return n;
}

static int put_value(struct digester *d, uint32_t node);

/* Most members are a name and a scalar side by side, which are one piece. */
static int put_member(struct digester *d, const struct member *m)
{
    const struct json_node *name = &d->json->nodes[m->name], *value = name + 1;
    const char *text = d->json->text.data;
    if (m->payload)
        put(d, "\"\"", 2);
    else if (value->at != name->end + 1 || (name->flags | value->flags) & JSON_ESCAPED ||
             text[value->at] == '{' || text[value->at] == '[')
        put_string(d, m->name);
    else {
        put(d, text + name->at, value->end - name->at);
        return 0;
    }
    put(d, ":", 1);
    return put_value(d, m->name + 1);
}

static int put_members(struct digester *d, uint32_t object, struct member *members)
{
    size_t n = collect_members(d, object, members);
    sort_members(d, members, n);
    put(d, "{", 1);
    for (size_t i = 0; i < n; i++) {
        if (i)
            put(d, ",", 1);
        int r = put_member(d, &members[i]);
        if (r < 0)
            return r;
    }
    put(d, "}", 1);
    return 0;
}

static int put_object(struct digester *d, uint32_t object)
{
    struct member few[MEMBERS_FEW];
    size_t n = 0;
    json_each(d->json, object, name)
        n++;
    if (n <= MEMBERS_FEW)
        return put_members(d, object, few);
    struct member *many = malloc(n * sizeof *many);
    int r = many ? put_members(d, object, many) : -ENOMEM;
    free(many);
    return r;
}

static int put_array(struct digester *d, uint32_t array)
{
    put(d, "[", 1);
    json_each(d->json, array, element) {
        if (element > array + 1)
            put(d, ",", 1);
        int r = put_value(d, element);
        if (r < 0)
            return r;
    }
    put(d, "]", 1);
    return 0;
}

/* Recursion ends at JSON_DEPTH_MAX. */
static int put_value(struct digester *d, uint32_t node)
{
    struct slice raw = json_raw(d->json, node);
    switch (raw.data[0]) {
    case '{':
        return put_object(d, node);
    case '[':
        return put_array(d, node);
    case '"':
        put_string(d, node);
        return 0;
    }
    put(d, raw.data, raw.len);
    return 0;
}

/* --- Digests ------------------------------------------------------------------------------------------- */

int digest_event(const struct event *e, const struct json *json, uint8_t ret[DIGEST_SIZE])
{
    struct digester d;
    d.json = json;
    d.event = e;
    d.payload_key = slice_of(e->payload_key && !strchr(e->payload_key, '\\') ? e->payload_key : NULL);
    d.n_pending = 0;
    sha256_init(&d.hash);
    if (e->known) {
        put(&d, "\"", 1);
        put(&d, e->type, strlen(e->type));
        put(&d, "\"", 1);
    }
    int r = put_object(&d, 0);
    hash_pending(&d);
    if (r >= 0)
        sha256_digest(&d.hash, DIGEST_SIZE, ret);
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
