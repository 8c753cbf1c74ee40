/* records.h: records to test with, made without a decoder, and a stderr to look at. */
#pragma once

#include <assert.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "record/record.h"

static const int64_t RECORD_TIME = INT64_C(1795491425123456); /* 2026-11-24T03:37:05.123Z */

/* An event whose meaning the caller has filled in; all of it is borrowed. */
static inline struct record event_record(const struct event *event, struct json *json, struct slice body)
{
    bool valid = json_read(json, body.data, body.len);
    assert(valid);
    (void)valid;
    return (struct record){
        .kind = RECORD_EVENT,
        .time = RECORD_TIME,
        .source = SOURCE_PUSH,
        .remote = "192.0.2.7:55012",
        .event = event,
        .json = json,
        .body = body,
        .body_bytes = body.len,
        .method = slice_of("POST"),
        .target = slice_of("/"),
    };
}

static inline struct record request_record(const char *method, const char *target, struct slice body)
{
    return (struct record){
        .kind = RECORD_REQUEST,
        .time = RECORD_TIME,
        .source = SOURCE_PUSH,
        .remote = "[2001:db8::1]:55012",
        .body = body,
        .body_bytes = body.len,
        .method = slice_of(method),
        .target = slice_of(target),
    };
}

/* From stderr_begin() to stderr_end() stderr is a file in memory. A test that may fail in between calls the
 * latter in its teardown, too. */
static int stderr_saved = -1;

static inline void stderr_begin(void)
{
    int fd = memfd_create("stderr", MFD_CLOEXEC);
    stderr_saved = dup(STDERR_FILENO);
    dup2(fd, STDERR_FILENO);
    close(fd);
}

static inline void stderr_end(void)
{
    if (stderr_saved < 0)
        return;
    dup2(stderr_saved, STDERR_FILENO);
    close(stderr_saved);
    stderr_saved = -1;
}

/* How often a text stands in what was written so far. */
static inline int stderr_count(const char *text)
{
    char said[8192];
    ssize_t len = pread(STDERR_FILENO, said, sizeof said - 1, 0);
    said[len < 0 ? 0 : len] = 0;
    int n = 0;
    for (const char *p = said; (p = strstr(p, text)) != NULL; p++)
        n++;
    return n;
}
