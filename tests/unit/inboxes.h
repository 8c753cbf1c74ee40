/* inboxes.h: an inbox in a folder of its own, and bodies that are delivered to it as the intake would. */
#pragma once

#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>

#include "inbox/sink.h"
#include "records.h"

static char folder[64], path[128];
static struct inbox_config config;
static struct sink *sink;
static struct event_decoder *decoder;

static int remove_one(const char *name, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(name);
}

static int inbox_setup(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/test_inbox.XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/state/vodhook/inbox.db", folder);
    config = (struct inbox_config){.path = path, .keep = INT64_C(36500) * 86400, .max = UINT64_C(1) << 32};
    assert_int_equal(event_decoder_new(1 << 20, &decoder), 0);
    stderr_begin();
    return sink_inbox_new(&config, &sink);
}

static int inbox_teardown(void **state)
{
    (void)state;
    sink = sink_free(sink);
    decoder = event_decoder_free(decoder);
    stderr_end();
    return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

struct delivery {
    enum record_source source;
    enum record_trust trust;
    int64_t time;
};

static const struct delivery pushed = {SOURCE_PUSH, TRUST_UNCHECKED, INT64_C(1795491425123456)};

/* Puts one body as the intake would. Returns what the sink says; what it wrote of the record, which points to nothing
 * any more, is in ret where that is 0. */
static int put_record(struct delivery d, struct slice body, struct record *ret)
{
    const struct json *json;
    struct event event;
    enum event_verdict verdict = event_decode(decoder, body.data, body.len, &json, &event);
    struct record r = {
        .kind = verdict == BODY_EVENT ? RECORD_EVENT : RECORD_REQUEST,
        .time = d.time,
        .source = d.source,
        .remote = "192.0.2.7:55012",
        .trust = d.trust,
        .reason = d.trust == TRUST_REFUSED ? "wrong Sign" : NULL,
        .body = body,
        .body_bytes = body.len,
    };
    if (verdict == BODY_EVENT) {
        r.event = &event;
        r.json = json;
        int digested = digest_event(&event, json, r.digest);
        assert(digested == 0);
        (void)digested;
    } else {
        r.unreadable = true;
        r.reason = "broken";
        digest_bytes(body, body.len, r.digest);
    }
    int err = sink->ops->put(sink, &r);
    if (err == 0)
        *ret = r;
    return err;
}

static int put(struct delivery d, struct slice body, bool *ret_duplicate)
{
    struct record r;
    int err = put_record(d, body, &r);
    if (err == 0)
        *ret_duplicate = r.duplicate;
    return err;
}

/* Puts and commits. Returns whether it was a duplicate. */
static bool deliver(struct delivery d, const char *body)
{
    bool duplicate = false;
    assert_int_equal(put(d, slice_of(body), &duplicate), 0);
    assert_int_equal(sink->ops->commit(sink), 0);
    return duplicate;
}
