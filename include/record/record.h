/* record.h: one thing that arrived, an event or another request, with where it came from and what is thought
 * of it: what a source hands to the recorder and the recorder to each sink. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "event/digest.h"

enum record_kind { RECORD_EVENT, RECORD_REQUEST };
/* The way something came: posted by VOD, pulled from its queue, or put together from what its API still
 * knows. */
enum record_source { SOURCE_PUSH, SOURCE_PULL, SOURCE_RECONCILE };
enum record_trust { TRUST_UNCHECKED, TRUST_VERIFIED, TRUST_REFUSED };

struct header {
    struct slice name, value;
};

/* Everything it points to is borrowed for the call it is passed to. */
struct record {
    enum record_kind kind;
    int64_t time; /* when it was complete: microseconds since 1970, UTC */
    enum record_source source;
    const char *remote; /* "1.2.3.4:55012", "[2001:db8::1]:55012", "unix", or the endpoint pulled from */
    enum record_trust trust;
    const char *reason; /* why it is refused, or what is wrong with an unreadable one; NULL where neither */
    bool unreadable;    /* a body on the right path that looks like JSON and is none, or was cut */
    bool truncated;     /* body holds only the head of what arrived */
    bool duplicate;     /* set by the inbox: it has been recorded before */
    int64_t row;        /* set by the inbox: its id there; 0 where there is none */
    uint64_t seen;      /* set by the inbox: how often it has arrived, this time included; 0 where unknown */
    int64_t first_time; /* set by the inbox: `time` of its first delivery; 0 where it is this one */
    bool unrecorded;    /* set by the recorder: the required sink does not have it */
    bool quiet;         /* one of too many: counted, and seen by the required sink only */
    const struct event *event;    /* RECORD_EVENT only, else NULL */
    const struct json *json;      /* RECORD_EVENT only: of body, valid */
    uint8_t digest[DIGEST_SIZE];  /* of an event or an unreadable body, else zeros */
    struct slice body;            /* as it arrived */
    uint64_t body_bytes;          /* how many arrived; more than body.len when truncated */
    struct slice method, target;  /* push only; the target is masked already where it holds the secret path */
    const struct header *headers; /* RECORD_REQUEST only */
    size_t n_headers;
    struct slice summary; /* one line, written by record_summary() before any sink sees the record */
};

/* Appends the summary: of an event its own and then what record knows besides (source=pull, duplicate=yes,
 * trust=refused reason="…"); of a request: POST /x?y 17 bytes, `unreadable` and why. Of a request and of what is
 * refused also who sent it, from=. Everything escaped. */
void record_summary(struct buffer *to, const struct record *r);

/* Appends a request's body for showing: at most max bytes of it, cut between characters, and the value of
 * every member that is called Sign as "***", since one that cannot be read may still hold a good one. Returns
 * whether less is shown than arrived. */
bool record_body(struct buffer *to, const struct record *r, size_t max);

/* Appends the JSON of an event byte for byte, but for the value of a top-level Sign, which becomes "***". */
void record_event(struct buffer *to, const struct record *r);

/* Writes the id: the same on every machine, by every way and at every retry. It is the digest in hex; of an
 * event that may truly happen twice, followed by - and the UNIX second at which it was first received. Empty
 * for a record without a digest. */
enum { RECORD_ID_MAX = 2 * DIGEST_SIZE + 1 + 20 };
void record_id(const struct record *r, char ret[RECORD_ID_MAX + 1]);

/* "verified", "unchecked", "refused"; "push", "pull", "reconcile" */
const char *record_trust_name(enum record_trust t);
const char *record_source_name(enum record_source s);
