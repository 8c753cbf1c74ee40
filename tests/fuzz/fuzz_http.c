/* fuzz_http.c: a whole request, from what arrived to what stands on stdout: judged, decoded, recorded,
 * written as text and as JSON. No client can break a line, or send a byte that is not safe to show.
 *
 * The input is a request line without its version, header lines, an empty line, and the body; PULL as the
 * method stands for a body that was pulled. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/text.h"
#include "record/stdout.h"
#include "source/intake.h"

enum { HEADERS_MAX = 16 };
enum { TEXT, JSON };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct slice KEY = {"mysignkey", 9}, RIGHT_PATH = {"/right", 6};

struct receiver {
    int files[2]; /* what stands on stdout with --output text, and with json */
    struct recorder *recorder;
    struct intake *intake;
};

static struct receiver *receiver_new(void)
{
    static struct receiver r;
    struct sink *sinks[2];
    for (int i = 0; i < 2; i++) {
        r.files[i] = memfd_create("stdout", MFD_CLOEXEC);
        struct stdout_config config = {
            .fd = r.files[i], .json = i, .log_body = 1000, .buffer_max = 16 * 1024 * 1024};
        if (r.files[i] < 0 || sink_stdout_new(&config, &sinks[i]) < 0)
            abort();
    }
    struct intake_config config = {.sign_key = KEY, .decode_memory_max = 4 * 1024 * 1024};
    if (recorder_new(NULL, sinks, 2, &r.recorder) < 0 || intake_new(&config, r.recorder, &r.intake) < 0)
        abort();
    return &r;
}

/* Takes the text up to the separator off the front of rest, or all of it. */
static struct slice take(struct slice *rest, const char *separator)
{
    size_t n = strlen(separator);
    const char *end = rest->len ? memmem(rest->data, rest->len, separator, n) : NULL;
    struct slice taken = {rest->data, end ? (size_t)(end - rest->data) : rest->len};
    size_t used = end ? taken.len + n : taken.len;
    *rest = (struct slice){used ? rest->data + used : rest->data, rest->len - used};
    return taken;
}

/* Takes back what a sink wrote; owned. */
static struct buffer written(int file)
{
    struct buffer b = {0};
    off_t size = lseek(file, 0, SEEK_CUR);
    char *to = buffer_reserve(&b, (size_t)size + 1);
    if (size <= 0 || !to || pread(file, to, (size_t)size, 0) != size || ftruncate(file, 0) < 0 ||
        lseek(file, 0, SEEK_SET) != 0)
        abort();
    b.len = (size_t)size;
    return b;
}

/* Whole lines of UTF-8 with nothing in them but what may be shown. */
static void check_lines(struct slice text)
{
    assert(text.data[text.len - 1] == '\n');
    for (size_t i = 0, n; i < text.len; i += n) {
        uint32_t code;
        n = text_utf8(text.data + i, text.len - i, &code);
        assert(n > 0);
        assert(code == '\n' || !text_is_unsafe(code));
    }
}

/* One record: a line that begins with the time, and lines that cannot be taken for another. */
static void check_text(int file)
{
    struct buffer b = written(file);
    check_lines(buffer_slice(&b));
    struct slice rest = buffer_slice(&b), first = take(&rest, "\n");
    assert(*first.data == '2');
    while (rest.len) {
        struct slice line = take(&rest, "\n");
        assert(line.len == 0 || *line.data == ' ');
    }
    buffer_done(&b);
}

static void check_json(int file)
{
    struct buffer b = written(file);
    struct json json = {0};
    check_lines(buffer_slice(&b));
    assert(memchr(b.data, '\n', b.len) == b.data + b.len - 1);
    bool valid = json_read(&json, b.data, b.len);
    assert(valid && json.first == '{');
    assert(!(json.flags & (JSON_BAD_UTF8 | JSON_RAW_CONTROL | JSON_UNSAFE | JSON_LONE_SURROGATE)));
    json_done(&json);
    buffer_done(&b);
}

static struct arrival read_request(struct slice rest, struct header headers[HEADERS_MAX])
{
    struct slice head = take(&rest, "\n\n"), line = take(&head, "\n");
    struct arrival a = {
        .source = SOURCE_PUSH,
        .remote = "192.0.2.1:40000",
        .time = INT64_C(1764000000) * 1000000,
        .method = take(&line, " "),
        .target = line,
        .headers = headers,
        .body = rest,
        .body_bytes = rest.len,
    };
    for (; head.len && a.n_headers < HEADERS_MAX; a.n_headers++) {
        struct slice field = take(&head, "\n");
        headers[a.n_headers] = (struct header){take(&field, ": "), field};
    }
    a.post = slice_equal(a.method, slice_of("POST"));
    a.right_path = slice_equal(a.target, RIGHT_PATH);
    a.truncated = a.n_headers == HEADERS_MAX;
    if (a.truncated)
        a.body_bytes += 1000;
    if (slice_equal(a.method, slice_of("PULL"))) {
        a.source = SOURCE_PULL;
        a.remote = "vod.example.com";
        a.post = a.right_path = true;
        a.n_headers = 0;
        a.method = a.target = (struct slice){0};
    }
    return a;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct receiver *r;
    if (!r)
        r = receiver_new();
    struct header headers[HEADERS_MAX];
    struct arrival arrival = read_request((struct slice){(const char *)data, size}, headers);
    int put = intake_put(r->intake, &arrival, NULL), flushed = recorder_flush(r->recorder);
    assert(put == 0 && flushed == 0);
    check_text(r->files[TEXT]);
    check_json(r->files[JSON]);
    return 0;
}
