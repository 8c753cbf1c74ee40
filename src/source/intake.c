/* intake.c: decodes what arrived, says who is believed, and hands it to the recorder. */
#include "source/intake.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "event/sign.h"

struct intake {
    struct intake_config config;
    struct recorder *recorder;
    struct event_decoder *decoder;
};

int intake_new(const struct intake_config *config, struct recorder *recorder, struct intake **ret)
{
    struct intake *i = calloc(1, sizeof *i);
    if (!i)
        return -ENOMEM;
    i->config = *config;
    i->recorder = recorder;
    int r = event_decoder_new(config->decode_memory_max, &i->decoder);
    if (r < 0) {
        free(i);
        return r;
    }
    *ret = i;
    return 0;
}

struct intake *intake_free(struct intake *i)
{
    if (i)
        event_decoder_free(i->decoder);
    free(i);
    return NULL;
}

/* A pulled event came over a signed call to VOD itself, so nothing is left to check. */
static enum record_trust judge(const struct intake *i, const struct arrival *a, const struct event *e,
                               const char **ret_reason)
{
    *ret_reason = NULL;
    if (a->source != SOURCE_PUSH)
        return TRUST_VERIFIED;
    if (!a->right_path) {
        *ret_reason = "wrong path";
        return TRUST_REFUSED;
    }
    if (!e || !i->config.sign_key.data)
        return TRUST_UNCHECKED;
    switch (sign_check(e, i->config.sign_key, a->time / 1000000)) {
    case SIGN_GOOD:
        return TRUST_VERIFIED;
    case SIGN_MISSING:
        *ret_reason = "no Sign";
        break;
    case SIGN_WRONG:
        *ret_reason = "wrong Sign";
        break;
    case SIGN_EXPIRED:
        *ret_reason = "expired";
        break;
    }
    return TRUST_REFUSED;
}

/* What a stranger can cause is limited. */
static bool log_allows(const struct intake *i, const struct record *r)
{
    struct rate_limit *limit = r->unreadable ? i->config.unreadable : i->config.requests;
    return (r->kind == RECORD_EVENT && r->trust != TRUST_REFUSED) || !limit ||
           rate_limit_allow(limit, clock_now(CLOCK_MONOTONIC));
}

/* A body that is no event is kept as unreadable where it must be VOD's: pulled, or posted to the secret path or
 * a receiver with a sign key, in whatever form it came. Elsewhere only what looks like JSON and is none. */
static bool is_unreadable(const struct intake *i, const struct arrival *a, enum event_verdict verdict)
{
    if (!a->right_path || !a->post)
        return false;
    bool from_vod =
        a->source != SOURCE_PUSH || ((a->secret_path || i->config.sign_key.data) && a->body_bytes);
    return from_vod || verdict == BODY_UNREADABLE;
}

int intake_put(struct intake *i, const struct arrival *a, int64_t *ret_row)
{
    const struct json *json;
    struct event event;
    enum event_verdict verdict = event_decode(i->decoder, a->body.data, a->body.len, &json, &event);
    struct record record = {
        .kind = verdict == BODY_EVENT ? RECORD_EVENT : RECORD_REQUEST,
        .time = a->time,
        .source = a->source,
        .remote = a->remote,
        .truncated = a->truncated,
        .body = a->body,
        .body_bytes = a->body_bytes,
        .method = a->method,
        .target = a->target,
    };
    record.trust = judge(i, a, verdict == BODY_EVENT ? &event : NULL, &record.reason);
    if (verdict == BODY_EVENT) {
        record.event = &event;
        record.json = json;
    } else {
        record.headers = a->headers;
        record.n_headers = a->n_headers;
        record.unreadable = is_unreadable(i, a, verdict);
        if (record.unreadable && !record.reason)
            record.reason = a->truncated                 ? "the body is too large, its head is kept"
                            : verdict == BODY_UNREADABLE ? json->error
                                                         : "neither an event type nor a known payload";
    }
    if (a->given_up) {
        if (record.trust != TRUST_REFUSED || log_allows(i, &record))
            recorder_give_up(i->recorder, &record, a->given_up);
        return -ECANCELED;
    }
    int r = verdict == BODY_EVENT ? digest_event(&event, json, record.digest) : 0;
    if (r < 0)
        return r;
    if (record.unreadable)
        digest_bytes(a->body, a->body_bytes, record.digest);
    record.quiet = !a->again && !log_allows(i, &record);
    r = recorder_put(i->recorder, &record, a->again);
    if (ret_row)
        *ret_row = record.row;
    return r;
}
