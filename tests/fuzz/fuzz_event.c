/* fuzz_event.c: any body through the pass, the writers, the decoder and the summary. What is written must be
 * JSON that is safe to show and is written the same again. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "event/digest.h"
#include "event/event.h"
#include "json/json_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The nodes lie within each other, in the order of the text. */
static void check_nodes(const struct json *j)
{
    assert(j->nodes[0].next == j->n && j->nodes[0].end == j->text.len);
    for (uint32_t i = 0; i < j->n; i++) {
        const struct json_node *node = &j->nodes[i];
        bool name = node->flags & JSON_NAME;
        char kind = json_kind(j, i);
        assert(node->at < node->end && node->end <= j->text.len);
        assert(node->next > i && node->next <= j->n);
        if (name)
            assert(node->next == j->nodes[i + 1].next && node->end < j->nodes[i + 1].at);
        else if (kind != '{' && kind != '[')
            assert(node->next == i + 1);
        else
            json_each(j, i, child)
                assert(j->nodes[child].end < node->end &&
                       !(j->nodes[child].flags & JSON_NAME) == (kind == '['));
    }
}

/* Reads one that has just been written. */
static void read_again(struct json *j, const struct buffer *text)
{
    assert(json_read(j, text->data, text->len));
    check_nodes(j);
}

static void check_written(const struct json *json)
{
    const unsigned cleaned =
        JSON_SPACE | JSON_NEWLINE | JSON_BAD_UTF8 | JSON_RAW_CONTROL | JSON_UNSAFE | JSON_LONE_SURROGATE;
    struct buffer once = {0}, twice = {0}, other = {0};
    struct json again = {0};
    json_write_compact(&once, json, true);
    read_again(&again, &once);
    assert(!(again.flags & cleaned));
    json_write_compact(&twice, &again, true);
    assert(slice_equal(buffer_slice(&once), buffer_slice(&twice)));

    json_write_indented(&other, json, true, "    ");
    read_again(&again, &other);
    buffer_reset(&twice, 0);
    json_write_compact(&twice, &again, true);
    assert(slice_equal(buffer_slice(&once), buffer_slice(&twice)));

    buffer_reset(&other, 0);
    json_write_masked(&other, json);
    read_again(&again, &other);
    buffer_reset(&twice, 0);
    json_write_compact(&twice, &again, true);
    assert(slice_equal(buffer_slice(&once), buffer_slice(&twice)));

    buffer_reset(&other, 0);
    json_write_mended(&other, json, 0);
    read_again(&again, &other);
    assert(again.n == json->n && !(again.flags & JSON_MISREAD));
    cJSON *tree = cJSON_ParseWithLength(other.data, other.len);
    assert(tree);
    cJSON_Delete(tree);
    buffer_done(&once);
    buffer_done(&twice);
    buffer_done(&other);
    json_done(&again);
}

/* Written as it is, so that it must be a number and nothing else. */
static void check_number(const char *text)
{
    for (const char *c = text; c && *c; c++)
        assert(strchr("+-.0123456789eE", *c));
}

static void check_event(const struct event *e)
{
    assert(e->type);
    check_number(e->duration);
    check_number(e->size);
    for (size_t i = 0; i < e->n_file_ids; i++)
        assert(*e->file_ids[i]);
    for (size_t i = 0; i < e->n_tasks; i++)
        assert(*e->tasks[i].type);
    struct buffer summary = {0};
    event_summary(&summary, e);
    assert(summary.len > 0);
    for (size_t i = 0; i < summary.len; i++)
        assert((unsigned char)summary.data[i] >= 0x20 && summary.data[i] != 0x7F);
    buffer_done(&summary);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct event_decoder *decoder;
    if (!decoder && event_decoder_new(4 * 1024 * 1024, &decoder) < 0)
        abort();
    static struct json text;
    const struct json *json;
    struct event event;
    uint8_t digest[DIGEST_SIZE];
    bool valid = json_read(&text, (const char *)data, size);
    if (valid) {
        check_nodes(&text);
        check_written(&text);
    }
    enum event_verdict verdict = event_decode(decoder, (const char *)data, size, &json, &event);
    if (verdict == BODY_EVENT) {
        check_event(&event);
        assert(digest_event(&event, json, digest) == 0);
    }
    /* What is valid, cJSON can read: it is unreadable only for lack of memory. */
    assert(verdict != BODY_UNREADABLE || !valid || size > 16 * 1024);
    assert(verdict != BODY_EVENT || valid);
    return 0;
}
