/* event.h: what a VOD notification means: its type, the file and task it is about, and how it went. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/slice.h"
#include "json/json.h"

enum event_result { RESULT_UNKNOWN, RESULT_OK, RESULT_PENDING, RESULT_FAILED };

/* One sub-task of a flow. Strings are NUL-terminated UTF-8 and NULL where absent. */
struct event_task {
    const char *type;       /* "Transcode", "Porn.Asr", "MediaProcess.Transcode" ... */
    const char *definition; /* the template's number, as text */
    const char *status;     /* "SUCCESS", "FAIL", "PROCESSING" ... */
    const char *err_code;   /* ErrCodeExt, else ErrCode unless it is 0 */
    const char *err_message;
    const char *url; /* its first output */
    const char *const *urls;
    size_t n_urls;
    const char *suggestion; /* of a content review: pass, review, block */
};

enum { EVENT_FILES_MAX = 1000 /* ids of files that are kept of one event */ };

/* A decoded event. Everything it points to belongs to the decoder (or to the body, or is constant) and is
 * valid until the next event_decode() with it. Strings are NUL-terminated UTF-8, NULL where the event has
 * none. */
struct event {
    const char *type;        /* EventType; from the payload key where that is missing or contradicts it */
    const char *said_type;   /* the EventType that was wrong; NULL where it was right or missing */
    bool type_missing;       /* there was no EventType: the payload key decided */
    bool known;              /* the type stands in the table */
    bool legacy;             /* the v2.0 envelope: version, eventType, data */
    const char *payload_key; /* "FileUploadEvent", "data" ...; NULL where no payload was found */

    const char *file_id;         /* the first of file_ids */
    const char *const *file_ids; /* the files the event is about, each once; EVENT_FILES_MAX at most */
    size_t n_file_ids;
    size_t file_count;   /* n_file_ids; where more are named, the length of the longest list of them */
    bool of_parts;       /* a deletion of parts of files, not of the files: it may come again */
    const char *task_id; /* TaskId, vodTaskId; CastId of MediaCastStatusChanged */
    const char *name;    /* the media's name */
    const char *status;  /* Status as text, an integer one too */
    enum event_result result;
    const char *err_code;    /* ErrCodeExt where not empty, else ErrCode as text unless 0 */
    const char *err_message; /* Message, where there is an err_code or a failure; also of a failed sub-task */
    const char *url;         /* of the media */
    const char *duration;    /* seconds: a JSON number with the digits it came with */
    const char *size;        /* bytes: the same. NULL, as duration, where both are 0: unknown */
    const char *source_context;
    const char *session_context;
    const char *session_id;
    const char *procedure_task_id; /* of a file: the tasks that its upload began */
    const char *review_task_id;
    const char *suggestion; /* of a review: pass, review, block */
    const char *sub_app_id; /* where the event names it */
    const struct event_task *tasks;
    size_t n_tasks;

    struct slice sign;     /* top-level Sign, the characters of the string; data NULL where there is none */
    const char *sign_time; /* top-level T as text, from a number or a string; NULL where there is none */
};

/* What a body is. */
enum event_verdict {
    BODY_EVENT,      /* an object with a string EventType/eventType, or with a known payload key: an event */
    BODY_OTHER,      /* anything else: valid JSON that is no event, an empty body, a form, a picture */
    BODY_UNREADABLE, /* it begins like a JSON object or array but is none, or needs more memory than the
                      * decoder may use: json->error says why */
};

struct event_decoder;

/* A decoder that holds at most memory_max bytes for the nodes and the values of one event. Returns 0 or -ENOMEM. There may be
 * several, but only one is in use at a time: cJSON's allocation hooks are global. */
int event_decoder_new(size_t memory_max, struct event_decoder **ret);
struct event_decoder *event_decoder_free(struct event_decoder *d);

/* Says what the body is and, for BODY_EVENT, what it means. Borrows body until the next call. ret_json, the
 * decoder's own, is always written, ret_event for BODY_EVENT only. Never fails otherwise: what cannot be
 * understood is BODY_UNREADABLE. */
enum event_verdict event_decode(struct event_decoder *d, const char *body, size_t len,
                                const struct json **ret_json, struct event *ret_event);

/* Appends the one-line summary: the type, then logfmt (see text_logfmt_value()):
 * NewFileUpload file=… name="…" result=ok duration=60.2s size=10.6MB url=https://…
 * sizes in units of 1,000. Then the sub-tasks, Transcode(10)=SUCCESS:https://… or =FAIL:code; a code that is
 * shown there is not shown before. Every value is escaped; at most SUMMARY_TASKS_MAX sub-tasks are listed,
 * then a count of the others. */
enum { SUMMARY_TASKS_MAX = 32, SUMMARY_VALUE_MAX = 1024 /* bytes of one value, cut at a character */ };
void event_summary(struct buffer *to, const struct event *e);

/* "ok", "pending", "failed", "unknown" */
const char *event_result_name(enum event_result r);

static inline void event_decoder_free_p(struct event_decoder **d)
{
    event_decoder_free(*d);
}
