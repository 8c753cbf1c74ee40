/* rebuild.h: puts an event together again from what the API still knows of its task or file. Pure.
 * Source: API model of vod 2018-07-17: the one member of DescribeTaskDetail that is not null has the type of the
 * event's payload; FileUploadTask's members are those of SearchMedia's MediaInfo. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/slice.h"
#include "json/json.h"

/* Longer than any id that was seen: of a task about 60 characters, of a file 20. A row with one that does not fit
 * is broken. */
enum { REBUILD_ID_MAX = 256, REBUILD_WORD_MAX = 64 };

/* A row of DescribeTasks. Times are microseconds since 1970, 0 where there is none. */
struct rebuild_task {
    char id[REBUILD_ID_MAX], file_id[REBUILD_ID_MAX];
    char status[REBUILD_WORD_MAX], type[REBUILD_WORD_MAX];
    int64_t created, ended;
};

/* A row of SearchMedia. */
struct rebuild_file {
    char id[REBUILD_ID_MAX];
    int64_t created;
    struct slice basic, meta; /* raw, of the json that was read; data NULL where the row lacks them */
};

enum rebuild_result {
    REBUILD_DONE,
    REBUILD_NOT_OVER, /* the task goes on, whatever its row said */
    REBUILD_NO_EVENT, /* VOD sends none: its type has no event yet, or its submitter asked for none */
    REBUILD_BROKEN,   /* the answer has not the shape that it should have */
};

/* Read one row. Return whether it has an id. */
bool rebuild_read_task(const struct json *json, uint32_t row, struct rebuild_task *ret);
bool rebuild_read_file(const struct json *json, uint32_t row, struct rebuild_file *ret);

/* Appends the final event of a task, from the response of DescribeTaskDetail, byte for byte. */
enum rebuild_result rebuild_task_event(struct buffer *to, const struct json *json, uint32_t detail);

/* Appends the NewFileUpload of a file. The ids of its two tasks are left out where they are empty. */
void rebuild_upload_event(struct buffer *to, const struct rebuild_file *file, const char *procedure_task_id,
                          const char *review_task_id);
