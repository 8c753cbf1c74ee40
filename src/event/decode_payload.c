/* decode_payload.c: reads the members of a payload by their names, so that an unknown type that names them
 * alike is read alike. Source of the names: API model of vod 2018-07-17, and the pages of the legacy format.
 */
#include <stddef.h>
#include <string.h>

#include "base/text.h"
#include "decode_private.h"

/* Names are given as a list of paths with a space between them, "MediaBasicInfo.Name FileName"; of an array on
 * the way the first element counts. */

/* Where memory runs out the reading goes on, and the arena remembers. */
struct payload {
    struct event_decoder *d;
    uint32_t root;
    struct event *e;
    const char **files, **sorted; /* the ids found so far, in the order of the event and of their bytes */
    size_t n_files;
    size_t longest;   /* the most elements that one list of files has */
    bool item_failed; /* a sub-task, a file, a snapshot, a publication */
};

/* --- Finding ------------------------------------------------------------------------------------------ */

/* What stands behind a name of a path: the next one, or the space or NUL at the path's end. */
static const char *next_name(const char *path)
{
    while (*path && *path != '.' && *path != ' ')
        path++;
    return path + (*path == '.');
}

static const char *next_path(const char *path)
{
    path = strchrnul(path, ' ');
    return path + (*path == ' ');
}

static bool at_end(const char *path)
{
    return !*path || *path == ' ';
}

static bool is_array(const struct payload *p, uint32_t value)
{
    return decode_is(p->d, value, '[');
}

static bool is_object(const struct payload *p, uint32_t value)
{
    return decode_is(p->d, value, '{');
}

/* A string that is not empty; or a number that cJSON would not keep, which is read as one. */
static bool is_text(const struct payload *p, uint32_t value)
{
    if (value == DECODE_NONE)
        return false;
    struct json_node node = p->d->json.nodes[value];
    return node.flags & JSON_LONG_NUMBER || (json_kind(&p->d->json, value) == '"' && node.end - node.at > 2);
}

/* The first element of an array; any other value itself. */
static uint32_t first_of(const struct payload *p, uint32_t value)
{
    if (!is_array(p, value))
        return value;
    return p->d->json.nodes[value].next > value + 1 ? value + 1 : DECODE_NONE;
}

static uint32_t at_path(const struct payload *p, uint32_t object, const char *path)
{
    for (; object && !at_end(path); path = next_name(path))
        object = decode_member(p->d, first_of(p, object), path);
    return object;
}

/* The text at the first of the paths that has one. */
static const char *text_at(struct payload *p, uint32_t object, const char *paths)
{
    for (; *paths; paths = next_path(paths)) {
        const char *text = decode_text(p->d, first_of(p, at_path(p, object, paths)));
        if (text)
            return text;
    }
    return NULL;
}

/* A number digit for digit, as it is written again; also one that is given as a string. */
static const char *number_at(struct payload *p, const char *paths)
{
    for (; *paths; paths = next_path(paths)) {
        uint32_t node = at_path(p, p->root, paths);
        const cJSON *value = decode_value(p->d, node);
        if (!cJSON_IsNumber(value) || value->valuedouble == value->valueint) {
            const char *text = decode_text_of(p->d, value);
            if (!text)
                continue;
            return json_is_number(slice_of(text)) ? text : NULL;
        }
        struct slice digits = json_raw(&p->d->json, node);
        char *copy = arena_alloc(p->d->arena, digits.len + 1);
        if (copy)
            *(char *)mempcpy(copy, digits.data, digits.len) = '\0';
        return copy;
    }
    return NULL;
}

/* --- Files -------------------------------------------------------------------------------------------- */

/* Past EVENT_FILES_MAX they are not looked at any more, so that a deletion of hundreds of thousands is read in
 * no more time than it takes to find where it ends. */
static void add_file(struct payload *p, uint32_t value)
{
    const char *id = p->n_files < EVENT_FILES_MAX ? decode_text(p->d, value) : NULL;
    size_t low = 0, high = p->n_files;
    if (!id)
        return;
    if (!p->files && !(p->files = arena_alloc(p->d->arena, 2 * EVENT_FILES_MAX * sizeof *p->files)))
        return;
    p->sorted = p->files + EVENT_FILES_MAX;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int r = strcmp(id, p->sorted[middle]);
        if (r == 0)
            return;
        if (r < 0)
            high = middle;
        else
            low = middle + 1;
    }
    memmove(p->sorted + low + 1, p->sorted + low, (p->n_files - low) * sizeof *p->sorted);
    p->sorted[low] = id;
    p->files[p->n_files++] = id;
}

/* The FileId of an object, or of each object of an array and of what it was made into; the array's own texts
 * too (FileIdSet). */
static void add_files_of(struct payload *p, uint32_t value)
{
    if (!is_array(p, value)) {
        add_file(p, is_object(p, value) ? decode_member(p->d, value, "FileId") : value);
        return;
    }
    size_t n = 0;
    json_each(&p->d->json, value, v) {
        n++;
        if (p->n_files == EVENT_FILES_MAX)
            continue;
        add_file(p, is_object(p, v) ? decode_member(p->d, v, "FileId") : v);
        add_file(p, at_path(p, v, "Input.FileId"));
        add_file(p, at_path(p, v, "Output.FileId"));
    }
    p->longest = n > p->longest ? n : p->longest;
}

/* In this order: the file an event is about, what it was made from, what was made, and what that was put
 * together from. What sub-tasks made comes behind. */
static void read_files(struct payload *p)
{
    const char *paths = "FileId SrcFileId Input.FileId InputInfo.FileId MediaBasicInfo.FileId Output.FileId"
                        " FileInfo FileIdSet FileInfoSet FileDeleteResultInfo Output.FileInfos"
                        " Input.FileInfoSet Input.FileInfos";
    for (; *paths; paths = next_path(paths))
        add_files_of(p, at_path(p, p->root, paths));
}

/* --- Codes -------------------------------------------------------------------------------------------- */

static bool is_zero(const char *code)
{
    return strcmp(code, "0") == 0;
}

static bool is_any_of(const char *text, const char *const words[])
{
    for (; text && *words; words++)
        if (strcmp(text, *words) == 0)
            return true;
    return false;
}

static bool says_failed(const char *status)
{
    static const char *const words[] = {"FAIL", "FAILED", "ABORTED", NULL};
    return is_any_of(status, words);
}

/* ErrCodeExt, else ErrCode; NULL when both say that nothing is wrong. */
static const char *code_of(struct payload *p, uint32_t object)
{
    const char *extended = decode_text(p->d, decode_member(p->d, object, "ErrCodeExt"));
    if (extended && !is_zero(extended))
        return extended;
    const char *code = decode_text(p->d, decode_member(p->d, object, "ErrCode"));
    return code && !is_zero(code) ? code : NULL;
}

/* An integer Status is a code: of the legacy format, and of RestoreMedia. */
static const char *status_code_of(struct payload *p, uint32_t object)
{
    uint32_t status = decode_member(p->d, object, "Status");
    const cJSON *value = decode_value(p->d, status);
    const char *code = cJSON_IsNumber(value) ? decode_text_of(p->d, value) : NULL;
    return code && !is_zero(code) ? code : NULL;
}

static void note_failure(struct payload *p, const char *code, const char *message)
{
    p->item_failed = true;
    if (!p->e->err_code)
        p->e->err_code = code;
    if (!p->e->err_message)
        p->e->err_message = message;
}

static const char *message_of(struct payload *p, uint32_t object)
{
    return decode_text(p->d, decode_member(p->d, object, "Message"));
}

/* --- Sub-tasks ---------------------------------------------------------------------------------------- */

/* What holds the result: the item itself where it has a status or an output, else the one object in it. The
 * names of these members follow no rule, and all but one are null. */
static uint32_t result_of(const struct payload *p, uint32_t item)
{
    if (decode_member(p->d, item, "Status") || decode_member(p->d, item, "Output"))
        return item;
    uint32_t found = DECODE_NONE;
    json_each(&p->d->json, item, m)
        if (is_object(p, m + 1) && (!found || !decode_member(p->d, found, "Status")))
            found = m + 1;
    return found;
}

/* Counts the texts at a path, of every element of an array on the way, and writes them to ret unless it is
 * NULL; n stand there before. */
static size_t texts_at(struct payload *p, uint32_t value, const char *path, size_t n, const char **ret)
{
    if (is_array(p, value)) {
        json_each(&p->d->json, value, v)
            n = texts_at(p, v, path, n, ret);
        return n;
    }
    if (!at_end(path)) {
        uint32_t member = decode_member(p->d, value, path);
        return member ? texts_at(p, member, next_name(path), n, ret) : n;
    }
    if (!is_text(p, value))
        return n;
    if (ret && !(ret[n] = decode_text(p->d, value)))
        return n;
    return n + 1;
}

/* In the order of the event. Most members of an output are numbers, which have no name to look up. */
static size_t urls_of(struct payload *p, uint32_t output, const char **ret)
{
    static const char *const paths[] = {
        "Url",
        "CoverUrl",
        "ImageUrlSet",
        "PicInfoSet.Url",
        "WebVttUrl",
        "OutputFiles.Url",
        "CoverSet.CoverUrl",
        "HighlightSet.HighlightUrl",
        "ImgInfo.Url",
        "SegmentSetFileUrl",
        "ImageSpriteUrl",
        "ImageUrl",
        "ImageUrls",
        "UrlList",
        "ResultSetFileUrl",
        "ClassificationSetFileUrl",
        "CoverSetFileUrl",
        "HighlightSetFileUrl",
        "TagSetFileUrl",
        "SegmentSet.SegmentUrl",
        "SubtitleSet.Url",
        "SubtitleUrl",
    };
    size_t n = 0;
    if (!is_object(p, output))
        return 0;
    json_each(&p->d->json, output, m) {
        if (!is_array(p, m + 1) && !is_object(p, m + 1) && !is_text(p, m + 1))
            continue;
        for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
            if (decode_name_is(&p->d->json, m, paths[i]))
                n = texts_at(p, m + 1, next_name(paths[i]), n, ret);
    }
    return n;
}

static void read_urls(struct payload *p, uint32_t output, struct event_task *ret)
{
    size_t n = urls_of(p, output, NULL);
    const char **urls = n ? arena_alloc(p->d->arena, n * sizeof *urls) : NULL;
    if (!urls)
        return;
    ret->n_urls = urls_of(p, output, urls);
    ret->urls = urls;
    ret->url = urls[0];
}

static void read_task(struct payload *p, uint32_t item, const char *type, struct event_task *ret)
{
    uint32_t result = result_of(p, item), output = decode_member(p->d, result, "Output");
    const char *named = text_at(p, item, "Type TaskType");
    *ret = (struct event_task){
        .type = named ? named : type,
        .definition = text_at(p, result, "Input.Definition Output.Definition Definition"),
        .status = decode_text(p->d, decode_member(p->d, result, "Status")),
        .err_code = code_of(p, result),
        .suggestion = decode_text(p->d, decode_member(p->d, output, "Suggestion")),
    };
    read_urls(p, output, ret);
    if (ret->err_code || says_failed(ret->status)) {
        ret->err_message = message_of(p, result);
        note_failure(p, ret->err_code, ret->err_message);
    }
    add_file(p, decode_member(p->d, output, "FileId"));
    add_files_of(p, decode_member(p->d, output, "OutputFiles"));
}

static void read_tasks(struct payload *p)
{
    static const struct {
        const char *name;
        const char *type; /* of an item that does not say its own */
    } sets[] = {
        {"MediaProcessResultSet", "MediaProcess"},
        {"AiContentReviewResultSet", "AiContentReview"},
        {"AiAnalysisResultSet", "AiAnalysis"},
        {"AiRecognitionResultSet", "AiRecognition"},
        {"SubTaskSet", "SubTask"},
        {"ComplexAdaptiveDynamicStreamingTaskResultSet", "AdaptiveDynamicStreaming"},
        /* Legacy. */
        {"ProcessTaskList", "MediaProcess"},
        {"ContentReviewList", "AiContentReview"},
        {"AIAnalysisList", "AiAnalysis"},
    };
    enum { SETS = sizeof sets / sizeof *sets };
    uint32_t found[SETS];
    size_t n = 0;
    for (size_t i = 0; i < SETS; i++) {
        found[i] = decode_member(p->d, p->root, sets[i].name);
        if (found[i])
            json_each(&p->d->json, found[i], item)
                n++;
    }
    struct event_task *tasks = n ? arena_alloc(p->d->arena, n * sizeof *tasks) : NULL;
    if (!tasks)
        return;
    n = 0;
    for (size_t i = 0; i < SETS; i++)
        if (found[i])
            json_each(&p->d->json, found[i], item)
                if (is_object(p, decode_item(&p->d->json, item)))
                    read_task(p, decode_item(&p->d->json, item), sets[i].type, &tasks[n++]);
    p->e->tasks = n ? tasks : NULL;
    p->e->n_tasks = n;
}

static void read_item(struct payload *p, uint32_t item)
{
    const char *code = code_of(p, item);
    if (!code)
        code = status_code_of(p, item);
    if (code || says_failed(decode_text(p->d, decode_member(p->d, item, "Status"))))
        note_failure(p, code, message_of(p, item));
}

/* Items that carry a code of their own and are no sub-tasks: files that were joined or cut, snapshots. */
static void read_items(struct payload *p)
{
    static const char *const sets[] = {"FileInfoSet", "FileInfo", "SnapshotInfoSet", "PicInfo", NULL};
    for (const char *const *set = sets; *set; set++) {
        uint32_t value = decode_member(p->d, p->root, *set);
        if (!is_array(p, value))
            read_item(p, value);
        else
            json_each(&p->d->json, value, item)
                read_item(p, item);
    }
}

/* --- The whole ---------------------------------------------------------------------------------------- */

/* A publication that the other side did not take: it has no code, and its status is all that says why. */
static void read_publication(struct payload *p)
{
    static const char *const refusals[] = {"FAIL", "AUDITNOTPASS", "Failed", "Rejected", NULL};
    const char *status = text_at(p, p->root, "WechatStatus PublishResult");
    if (is_any_of(status, refusals))
        note_failure(p, NULL, status);
}

/* Only a task's status says how it went: a cast that is Working or Stopped neither failed nor succeeded.
 */
static enum event_result result_of_event(struct payload *p)
{
    static const char *const pending[] = {"WAITING", "PROCESSING", NULL};
    static const char *const done[] = {"FINISH", "SUCCESS", "0", NULL};
    const struct event *e = p->e;
    if (p->item_failed || e->err_code || says_failed(e->status))
        return RESULT_FAILED;
    if (is_any_of(e->status, pending))
        return RESULT_PENDING;
    if (is_any_of(e->status, done) || (!e->status && e->known))
        return RESULT_OK;
    return RESULT_UNKNOWN;
}

/* Where each text of an event stands. */
static const struct {
    size_t member; /* of struct event */
    const char *paths;
} texts[] = {
    {offsetof(struct event, task_id), "TaskId VodTaskId CastId"},
    {offsetof(struct event, name),
     "MediaBasicInfo.Name FileName Output.MediaName MediaBasicInfo.MediaBasicInfo.Name"
     " FileInfoSet.Output.MediaBasicInfo.Name"},
    {offsetof(struct event, url),
     "MediaBasicInfo.MediaUrl FileUrl Output.FileUrl Output.Url FileInfo.FileUrl"
     " FileInfoSet.FileUrl FileInfoSet.Output.MediaBasicInfo.MediaUrl PlayInfoSet.Url"
     " PlaySet.Url Output.FileInfos.FileUrl SnapshotInfoSet.Url PicInfo.Url"
     " ImageSpriteUrlSet ImageSpriteUrl WechatUrl Input.Url InputInfo.Url"},
    {offsetof(struct event, status), "Status"},
    {offsetof(struct event, suggestion), "Output.Suggestion"},
    {offsetof(struct event, session_id), "SessionId"},
    {offsetof(struct event, session_context), "SessionContext"},
    {offsetof(struct event, source_context), "MediaBasicInfo.SourceInfo.SourceContext SourceContext"},
    {offsetof(struct event, procedure_task_id), "ProcedureTaskId TranscodeTaskId"},
    {offsetof(struct event, review_task_id), "ReviewAudioVideoTaskId"},
};

/* A file that could not be looked into has a duration and a size of 0. */
static void read_metadata(struct payload *p)
{
    struct event *e = p->e;
    e->duration = number_at(
        p, "MetaData.FloatDuration FloatDuration MetaData.Duration Output.MetaData.Duration Duration");
    e->size = number_at(p, "MetaData.Size Output.MetaData.Size Size FileSize");
    if (e->duration && e->size && is_zero(e->duration) && is_zero(e->size) &&
        !text_at(p, p->root, "MetaData.Container Output.MetaData.Container"))
        e->duration = e->size = NULL;
}

/* The code at the top of a flow is deprecated, but where it is set the flow did fail: a sub-task that was
 * refused is not listed. */
static void read_texts(struct payload *p)
{
    struct event *e = p->e;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        *(const char **)((char *)e + texts[i].member) = text_at(p, p->root, texts[i].paths);
    if (!e->sub_app_id)
        e->sub_app_id = decode_text(p->d, decode_member(p->d, p->root, "SubAppId"));
    e->err_code = code_of(p, p->root);
    if (!e->err_code)
        e->err_code = status_code_of(p, p->root);
    if (e->err_code || says_failed(e->status))
        e->err_message = message_of(p, p->root);
}

void decode_payload(struct event_decoder *d, uint32_t payload, struct event *e)
{
    struct payload p = {.d = d, .root = payload, .e = e};
    read_texts(&p);
    read_metadata(&p);
    read_files(&p);
    read_tasks(&p);
    read_items(&p);
    read_publication(&p);
    e->result = result_of_event(&p);
    e->file_ids = p.files;
    e->n_file_ids = p.n_files;
    e->file_count = p.n_files == EVENT_FILES_MAX && p.longest > p.n_files ? p.longest : p.n_files;
    e->file_id = p.n_files ? p.files[0] : NULL;
    e->of_parts = texts_at(&p, payload, "FileDeleteResultInfo.DeleteParts.Type", 0, NULL);
}

const char *event_result_name(enum event_result r)
{
    static const char *const names[] = {"unknown", "ok", "pending", "failed"};
    return names[r];
}
