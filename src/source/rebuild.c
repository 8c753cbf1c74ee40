/* rebuild.c: puts an event together again from the raw bytes of the API's answers. */
#include "source/rebuild.h"

#include <string.h>

#include "base/time_parse.h"
#include "cloud/reply.h"
#include "event/types.h"
#include "json/json_write.h"

/* Returns whether the member is a text that fits; it is empty where it is missing or null. */
static bool read_text(const struct json *j, uint32_t object, const char *name, char *ret, size_t size)
{
    uint32_t value = json_member(j, object, name);
    *ret = '\0';
    if (!value || json_kind(j, value) == 'n')
        return true;
    return reply_text(j, object, name, ret, size) && strlen(ret) < size - 1;
}

/* A task that has not come that far has an empty time, or 0000-00-00T00:00:00Z. */
static int64_t read_time(const struct json *j, uint32_t object, const char *name)
{
    char text[REBUILD_WORD_MAX];
    int64_t time;
    bool read = read_text(j, object, name, text, sizeof text) && parse_time(text, 0, &time) == 0;
    return read && time > 0 ? time : 0;
}

bool rebuild_read_task(const struct json *json, uint32_t row, struct rebuild_task *ret)
{
    if (!read_text(json, row, "TaskId", ret->id, sizeof ret->id) ||
        !read_text(json, row, "FileId", ret->file_id, sizeof ret->file_id) ||
        !read_text(json, row, "Status", ret->status, sizeof ret->status) ||
        !read_text(json, row, "TaskType", ret->type, sizeof ret->type))
        return false;
    ret->created = read_time(json, row, "CreateTime");
    ret->ended = read_time(json, row, "FinishTime");
    return *ret->id;
}

bool rebuild_read_file(const struct json *json, uint32_t row, struct rebuild_file *ret)
{
    *ret = (struct rebuild_file){0};
    if (!read_text(json, row, "FileId", ret->id, sizeof ret->id))
        return false;
    uint32_t basic = json_member(json, row, "BasicInfo"), meta = json_member(json, row, "MetaData");
    if (basic) {
        ret->basic = json_raw(json, basic);
        ret->created = read_time(json, basic, "CreateTime");
    }
    if (meta)
        ret->meta = json_raw(json, meta);
    return *ret->id;
}

/* --- The event of a task ---------------------------------------------------------------------------- */

/* The one member that holds the task, and the row of its type. Returns 0 where no event of it is known. */
static uint32_t find_task(const struct json *j, uint32_t detail, const struct event_type **ret_type)
{
    for (const struct event_type *t = event_types; t->name; t++) {
        uint32_t task = t->task_member ? json_member(j, detail, t->task_member) : 0;
        if (task && json_kind(j, task) == '{') {
            *ret_type = t;
            return task;
        }
    }
    return 0;
}

static bool is_word(const char *text, const char *a, const char *b)
{
    return strcmp(text, a) == 0 || strcmp(text, b) == 0;
}

/* A task that was aborted may have been left with the status that it had: then the detail's own word is put in
 * its place, since what the event says of an ended task must not be that it goes on. */
static void put_task(struct buffer *to, const struct json *j, uint32_t node, const char *status)
{
    struct slice task = json_raw(j, node);
    char word[REBUILD_WORD_MAX];
    if (!reply_text(j, node, "Status", word, sizeof word) || !is_word(word, "WAITING", "PROCESSING")) {
        buffer_append(to, task.data, task.len);
        return;
    }
    struct slice said = json_raw(j, json_member(j, node, "Status"));
    buffer_append(to, task.data, (size_t)(said.data - task.data));
    json_write_string(to, slice_of(status));
    buffer_append(to, said.data + said.len, (size_t)(task.data + task.len - said.data) - said.len);
}

enum rebuild_result rebuild_task_event(struct buffer *to, const struct json *json, uint32_t detail)
{
    char status[REBUILD_WORD_MAX], notify[REBUILD_WORD_MAX];
    const struct event_type *type;
    if (!read_text(json, detail, "Status", status, sizeof status) || !*status)
        return REBUILD_BROKEN;
    if (!is_word(status, "FINISH", "ABORTED"))
        return REBUILD_NOT_OVER;
    uint32_t task = find_task(json, detail, &type);
    if (!task)
        return REBUILD_NO_EVENT;
    if (read_text(json, task, "TasksNotifyMode", notify, sizeof notify) && strcmp(notify, "None") == 0)
        return REBUILD_NO_EVENT;
    buffer_printf(to, "{\"EventType\":\"%s\",\"%s\":", type->name, type->payload_key);
    put_task(to, json, task, status);
    buffer_putc(to, '}');
    return REBUILD_DONE;
}

/* --- The event of a file ---------------------------------------------------------------------------- */

static void put_raw(struct buffer *to, const char *name, struct slice value)
{
    if (!value.data)
        return;
    buffer_printf(to, ",\"%s\":", name);
    buffer_append(to, value.data, value.len);
}

static void put_id(struct buffer *to, const char *name, const char *id)
{
    if (!*id)
        return;
    buffer_printf(to, ",\"%s\":", name);
    json_write_string(to, slice_of(id));
}

void rebuild_upload_event(struct buffer *to, const struct rebuild_file *file, const char *procedure_task_id,
                          const char *review_task_id)
{
    buffer_puts(to, "{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"FileId\":");
    json_write_string(to, slice_of(file->id));
    put_raw(to, "MediaBasicInfo", file->basic);
    put_raw(to, "MetaData", file->meta);
    put_id(to, "ProcedureTaskId", procedure_task_id);
    put_id(to, "ReviewAudioVideoTaskId", review_task_id);
    buffer_puts(to, "}}");
}
