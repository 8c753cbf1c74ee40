/* fuzz_event.c: any body through the scan, the writers, the decoder and the summary. What is written must be
 * JSON that is safe to show and is written the same again. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "event/digest.h"
#include "event/event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_written(const struct json_scan *scan)
{
    const unsigned cleaned =
        JSON_BOM | JSON_SPACE | JSON_NEWLINE | JSON_BAD_UTF8 | JSON_RAW_CONTROL | JSON_UNSAFE;
    struct buffer once = {0}, twice = {0}, indented = {0}, readable = {0};
    struct json_scan again;
    json_write_compact(&once, scan, true);
    assert(json_scan(once.data, once.len, &again) == 0);
    assert(!(again.flags & cleaned));
    json_write_compact(&twice, &again, true);
    assert(slice_equal(buffer_slice(&once), buffer_slice(&twice)));

    json_write_indented(&indented, scan, true, "    ");
    assert(json_scan(indented.data, indented.len, &again) == 0);
    buffer_reset(&twice, 0);
    json_write_compact(&twice, &again, true);
    assert(slice_equal(buffer_slice(&once), buffer_slice(&twice)));

    json_readable(&readable, scan);
    cJSON *tree = cJSON_ParseWithLength(readable.data, readable.len);
    assert(tree);
    cJSON_Delete(tree);
    buffer_done(&once);
    buffer_done(&twice);
    buffer_done(&indented);
    buffer_done(&readable);
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
    struct json_scan scan;
    struct event event;
    bool valid = json_scan((const char *)data, size, &scan) == 0;
    if (valid)
        check_written(&scan);
    enum event_verdict verdict = event_decode(decoder, (const char *)data, size, &scan, &event);
    if (verdict == BODY_EVENT)
        check_event(&event);
    /* What is valid, cJSON can read: it is unreadable only for lack of memory. */
    assert(verdict != BODY_UNREADABLE || !valid || size > 16 * 1024);
    assert(verdict != BODY_EVENT || valid);
    return 0;
}
