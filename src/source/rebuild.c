/* rebuild.c: puts an event together again from the raw bytes of the API's answers. */
#include "source/rebuild.h"

#include <string.h>

#include "base/time_parse.h"
#include "cloud/reply.h"
#include "event/types.h"
#include "json/json.h"

/* Returns whether the member is a text that fits; it is empty where it is missing or null. */
static bool read_text(struct slice object, const char *name, char *ret, size_t size)
{
    struct slice value;
    *ret = '\0';
    if (!json_member(object, name, &value) || value.data[0] == 'n')
        return true;
    return reply_text(value, ret, size) && strlen(ret) < size - 1;
}

/* A task that has not come that far has an empty time, or 0000-00-00T00:00:00Z. */
static int64_t read_time(struct slice object, const char *name)
{
    char text[REBUILD_WORD_MAX];
    int64_t time;
    return read_text(object, name, text, sizeof text) && parse_time(text, 0, &time) == 0 && time > 0 ? time
                                                                                                     : 0;
}

bool rebuild_read_task(struct slice row, struct rebuild_task *ret)
{
    if (row.data[0] != '{' || !read_text(row, "TaskId", ret->id, sizeof ret->id) ||
        !read_text(row, "FileId", ret->file_id, sizeof ret->file_id) ||
        !read_text(row, "Status", ret->status, sizeof ret->status) ||
        !read_text(row, "TaskType", ret->type, sizeof ret->type))
        return false;
    ret->created = read_time(row, "CreateTime");
    ret->ended = read_time(row, "FinishTime");
    return *ret->id;
}

bool rebuild_read_file(struct slice row, struct rebuild_file *ret)
{
    *ret = (struct rebuild_file){0};
    if (row.data[0] != '{' || !read_text(row, "FileId", ret->id, sizeof ret->id))
        return false;
    if (json_member(row, "BasicInfo", &ret->basic) && ret->basic.data[0] == '{')
        ret->created = read_time(ret->basic, "CreateTime");
    if (!json_member(row, "MetaData", &ret->meta))
        ret->meta = (struct slice){0};
    return *ret->id;
}

/* --- The event of a task ---------------------------------------------------------------------------- */

/* The one member that holds the task, and the row of its type; the latter is NULL where no event is known. */
static bool find_task(struct slice detail, struct slice *ret_task, const struct event_type **ret_type)
{
    for (const struct event_type *t = event_types; t->name; t++)
        if (t->task_member && json_member(detail, t->task_member, ret_task) && ret_task->data[0] == '{') {
            *ret_type = t;
            return true;
        }
    return false;
}

static bool is_word(const char *text, const char *a, const char *b)
{
    return strcmp(text, a) == 0 || strcmp(text, b) == 0;
}

/* A task that was aborted may have been left with the status that it had: then the detail's own word is put in
 * its place, since what the event says of an ended task must not be that it goes on. */
static void put_task(struct buffer *to, struct slice task, const char *status)
{
    struct slice said;
    char word[REBUILD_WORD_MAX];
    if (!json_member(task, "Status", &said) || !reply_text(said, word, sizeof word) ||
        !is_word(word, "WAITING", "PROCESSING")) {
        buffer_append(to, task.data, task.len);
        return;
    }
    buffer_append(to, task.data, (size_t)(said.data - task.data));
    json_write_string(to, slice_of(status));
    buffer_append(to, said.data + said.len, (size_t)(task.data + task.len - said.data) - said.len);
}

enum rebuild_result rebuild_task_event(struct buffer *to, struct slice detail)
{
    char status[REBUILD_WORD_MAX], notify[REBUILD_WORD_MAX];
    struct slice task;
    const struct event_type *type;
    if (!read_text(detail, "Status", status, sizeof status) || !*status)
        return REBUILD_BROKEN;
    if (!is_word(status, "FINISH", "ABORTED"))
        return REBUILD_NOT_OVER;
    if (!find_task(detail, &task, &type))
        return REBUILD_NO_EVENT;
    if (read_text(task, "TasksNotifyMode", notify, sizeof notify) && strcmp(notify, "None") == 0)
        return REBUILD_NO_EVENT;
    buffer_printf(to, "{\"EventType\":\"%s\",\"%s\":", type->name, type->payload_key);
    put_task(to, task, status);
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
