/* decode_payload.c: reads the members of a payload by their names, so that an unknown type that names them
 * alike is read alike. Source of the names: API model of vod 2018-07-17, and the pages of the legacy format.
 */
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>

#include "base/text.h"
#include "decode_private.h"

/* The ids found so far and a hash table over them: a deletion may name hundreds of thousands. */
struct files {
    const char **ids;
    const char **slots; /* twice the capacity, a power of two */
    size_t n, cap;
};

/* Where memory runs out the reading goes on, and the arena remembers. */
struct payload {
    struct arena *arena;
    const cJSON *root; /* NULL for none */
    struct event *e;
    struct files files;
    bool item_failed; /* a sub-task, a file, a snapshot, a publication */
};

/* --- Finding ------------------------------------------------------------------------------------------ */

/* The member at a path of names, "MediaBasicInfo.Name"; of an array the first element. */
static const cJSON *at_path(const cJSON *object, const char *path)
{
    char name[64];
    while (object && *path) {
        size_t n = strcspn(path, ".");
        if (n >= sizeof name)
            return NULL;
        memcpy(name, path, n);
        name[n] = '\0';
        if (cJSON_IsArray(object))
            object = object->child;
        object = decode_member(object, name);
        path += path[n] ? n + 1 : n;
    }
    return object;
}

/* The text at the first of the paths that has one. */
static const char *text_at(struct payload *p, const cJSON *object, const char *const paths[])
{
    for (; *paths; paths++) {
        const cJSON *value = at_path(object, *paths);
        if (cJSON_IsArray(value))
            value = value->child;
        const char *text = decode_text(p->arena, value);
        if (text)
            return text;
    }
    return NULL;
}

/* A number's own text, where it is one in JSON and nothing else: it is written as it is. */
static const char *number_at(struct payload *p, const char *const paths[])
{
    const char *text = text_at(p, p->root, paths);
    struct json_scan scan;
    if (!text || json_scan(text, strlen(text), &scan) < 0 || scan.text.len != strlen(text))
        return NULL;
    return scan.first == '-' || (scan.first >= '0' && scan.first <= '9') ? text : NULL;
}

/* --- Files -------------------------------------------------------------------------------------------- */

/* A polynomial at a point that a stranger cannot know, modulo the prime 2^31 - 1: no ids can be chosen that
 * fall together and make the table slow. */
static size_t hash_of(const char *id)
{
    const uint64_t prime = (UINT64_C(1) << 31) - 1;
    uint32_t point;
    /* getauxval(3) gives an address as a number. NOLINTNEXTLINE(performance-no-int-to-ptr) */
    memcpy(&point, (const void *)getauxval(AT_RANDOM), sizeof point);
    uint64_t h = 0;
    while (*id)
        h = (h * (point & prime) + (unsigned char)*id++) % prime;
    return h;
}

static void files_insert(struct files *f, const char *id)
{
    size_t slots = f->cap * 2;
    size_t i = hash_of(id) & (slots - 1);
    while (f->slots[i])
        i = (i + 1) & (slots - 1);
    f->slots[i] = id;
}

static bool files_have(const struct files *f, const char *id)
{
    size_t slots = f->cap * 2;
    for (size_t i = slots ? hash_of(id) & (slots - 1) : 0; slots && f->slots[i]; i = (i + 1) & (slots - 1))
        if (strcmp(f->slots[i], id) == 0)
            return true;
    return false;
}

static bool files_grow(struct payload *p, struct files *f)
{
    struct files larger = {.n = f->n, .cap = f->cap ? f->cap * 4 : 8};
    larger.ids = arena_alloc(p->arena, larger.cap * sizeof *larger.ids);
    larger.slots = arena_alloc(p->arena, larger.cap * 2 * sizeof *larger.slots);
    if (!larger.ids || !larger.slots)
        return false;
    memset(larger.slots, 0, larger.cap * 2 * sizeof *larger.slots);
    for (size_t i = 0; i < f->n; i++) {
        larger.ids[i] = f->ids[i];
        files_insert(&larger, f->ids[i]);
    }
    *f = larger;
    return true;
}

static void add_file(struct payload *p, const cJSON *value)
{
    struct files *f = &p->files;
    const char *id = decode_text(p->arena, value);
    if (!id || files_have(f, id) || (f->n == f->cap && !files_grow(p, f)))
        return;
    f->ids[f->n++] = id;
    files_insert(f, id);
}

/* The FileId of an object, or of each object of an array and of what it was made into; the array's own texts
 * too (FileIdSet). */
static void add_files_of(struct payload *p, const cJSON *value)
{
    if (!cJSON_IsArray(value)) {
        add_file(p, cJSON_IsObject(value) ? decode_member(value, "FileId") : value);
        return;
    }
    for (const cJSON *v = value->child; v; v = v->next) {
        add_file(p, cJSON_IsObject(v) ? decode_member(v, "FileId") : v);
        add_file(p, at_path(v, "Input.FileId"));
        add_file(p, at_path(v, "Output.FileId"));
    }
}

/* In this order: the file an event is about, what it was made from, what was made, and what that was put
 * together from. What sub-tasks made comes behind. */
static void read_files(struct payload *p)
{
    static const char *const paths[] = {
        "FileId",
        "SrcFileId",
        "Input.FileId",
        "InputInfo.FileId",
        "MediaBasicInfo.FileId",
        "Output.FileId",
        "FileInfo",
        "FileIdSet",
        "FileInfoSet",
        "FileDeleteResultInfo",
        "Output.FileInfos",
        "Input.FileInfoSet",
        "Input.FileInfos",
        NULL,
    };
    for (const char *const *path = paths; *path; path++)
        add_files_of(p, at_path(p->root, *path));
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
static const char *code_of(struct payload *p, const cJSON *object)
{
    const char *extended = decode_text(p->arena, decode_member(object, "ErrCodeExt"));
    if (extended && !is_zero(extended))
        return extended;
    const char *code = decode_text(p->arena, decode_member(object, "ErrCode"));
    return code && !is_zero(code) ? code : NULL;
}

/* An integer Status is a code: of the legacy format, and of RestoreMedia. */
static const char *status_code_of(struct payload *p, const cJSON *object)
{
    const cJSON *status = decode_member(object, "Status");
    const char *code = cJSON_IsNumber(status) ? decode_text(p->arena, status) : NULL;
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

static const char *message_of(struct payload *p, const cJSON *object)
{
    return decode_text(p->arena, decode_member(object, "Message"));
}

/* --- Sub-tasks ---------------------------------------------------------------------------------------- */

/* What holds the result: the item itself where it has a status or an output, else the one object in it. The
 * names of these members follow no rule, and all but one are null. */
static const cJSON *result_of(const cJSON *item)
{
    if (decode_member(item, "Status") || decode_member(item, "Output"))
        return item;
    const cJSON *found = NULL;
    for (const cJSON *m = item->child; m; m = m->next)
        if (cJSON_IsObject(m) && (!found || !decode_member(found, "Status")))
            found = m;
    return found;
}

static void read_task(struct payload *p, const cJSON *item, const char *type, struct event_task *ret)
{
    static const char *const definitions[] = {"Input.Definition", "Output.Definition", "Definition", NULL};
    static const char *const urls[] = {
        "Output.Url",
        "Output.CoverUrl",
        "Output.ImageUrlSet",
        "Output.PicInfoSet.Url",
        "Output.WebVttUrl",
        "Output.OutputFiles.Url",
        "Output.CoverSet.CoverUrl",
        "Output.HighlightSet.HighlightUrl",
        "Output.ImgInfo.Url",
        "Output.SegmentSetFileUrl",
        "Output.ImageSpriteUrl",
        "Output.ImageUrl",
        "Output.ImageUrls",
        "Output.UrlList",
        NULL,
    };
    static const char *const types[] = {"Type", "TaskType", NULL};
    const cJSON *result = result_of(item);
    const char *named = text_at(p, item, types);
    *ret = (struct event_task){
        .type = named ? named : type,
        .definition = text_at(p, result, definitions),
        .status = decode_text(p->arena, decode_member(result, "Status")),
        .err_code = code_of(p, result),
        .url = text_at(p, result, urls),
        .suggestion = decode_text(p->arena, at_path(result, "Output.Suggestion")),
    };
    if (ret->err_code || says_failed(ret->status))
        note_failure(p, ret->err_code, message_of(p, result));
    add_file(p, at_path(result, "Output.FileId"));
    add_files_of(p, at_path(result, "Output.OutputFiles"));
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
    const cJSON *found[SETS];
    size_t n = 0;
    for (size_t i = 0; i < SETS; i++) {
        found[i] = decode_member(p->root, sets[i].name);
        n += (size_t)cJSON_GetArraySize(found[i]);
    }
    struct event_task *tasks = n ? arena_alloc(p->arena, n * sizeof *tasks) : NULL;
    if (!tasks)
        return;
    n = 0;
    for (size_t i = 0; i < SETS; i++)
        for (const cJSON *item = found[i] ? found[i]->child : NULL; item; item = item->next)
            if (cJSON_IsObject(item))
                read_task(p, item, sets[i].type, &tasks[n++]);
    p->e->tasks = n ? tasks : NULL;
    p->e->n_tasks = n;
}

/* Items that carry a code of their own and are no sub-tasks: files that were joined or cut, snapshots. */
static void read_items(struct payload *p)
{
    static const char *const sets[] = {"FileInfoSet", "FileInfo", "SnapshotInfoSet", "PicInfo", NULL};
    for (const char *const *set = sets; *set; set++) {
        const cJSON *value = decode_member(p->root, *set);
        bool array = cJSON_IsArray(value);
        for (const cJSON *item = array ? value->child : value; item; item = array ? item->next : NULL) {
            const char *code = code_of(p, item);
            if (!code)
                code = status_code_of(p, item);
            if (code || says_failed(decode_text(p->arena, decode_member(item, "Status"))))
                note_failure(p, code, message_of(p, item));
        }
    }
}

/* --- The whole ---------------------------------------------------------------------------------------- */

/* A publication that the other side did not take: it has no code, and its status is all that says why. */
static void read_publication(struct payload *p)
{
    static const char *const refusals[] = {"FAIL", "AUDITNOTPASS", "Failed", "Rejected", NULL};
    static const char *const paths[] = {"WechatStatus", "PublishResult", NULL};
    const char *status = text_at(p, p->root, paths);
    if (is_any_of(status, refusals))
        note_failure(p, NULL, status);
}

/* The status of what is no task, such as a cast that is Working or Stopped, does not say how anything went.
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

/* The top-level code of a flow is deprecated and says nothing; its sub-tasks do. Not so in the legacy format.
 */
static bool has_dead_code(const struct event *e)
{
    return !e->legacy && strcmp(e->type, "ProcedureStateChanged") == 0;
}

static void read_texts(struct payload *p)
{
    static const char *const task_ids[] = {"TaskId", "VodTaskId", "CastId", NULL};
    static const char *const names[] = {"MediaBasicInfo.Name",
                                        "FileName",
                                        "Output.MediaName",
                                        "MediaBasicInfo.MediaBasicInfo.Name",
                                        "FileInfoSet.Output.MediaBasicInfo.Name",
                                        NULL};
    static const char *const urls[] = {
        "MediaBasicInfo.MediaUrl",
        "FileUrl",
        "Output.FileUrl",
        "Output.Url",
        "FileInfo.FileUrl",
        "FileInfoSet.FileUrl",
        "FileInfoSet.Output.MediaBasicInfo.MediaUrl",
        "PlayInfoSet.Url",
        "PlaySet.Url",
        "Output.FileInfos.FileUrl",
        "SnapshotInfoSet.Url",
        "PicInfo.Url",
        "ImageSpriteUrlSet",
        "ImageSpriteUrl",
        "WechatUrl",
        "Input.Url",
        "InputInfo.Url",
        NULL,
    };
    static const char *const durations[] = {"MetaData.Duration", "Output.MetaData.Duration", "Duration",
                                            NULL};
    static const char *const sizes[] = {"MetaData.Size", "Output.MetaData.Size", "Size", "FileSize", NULL};
    struct event *e = p->e;
    e->task_id = text_at(p, p->root, task_ids);
    e->name = text_at(p, p->root, names);
    e->url = text_at(p, p->root, urls);
    e->status = decode_text(p->arena, decode_member(p->root, "Status"));
    e->duration = number_at(p, durations);
    e->size = number_at(p, sizes);
    e->suggestion = decode_text(p->arena, at_path(p->root, "Output.Suggestion"));
    e->session_context = decode_text(p->arena, decode_member(p->root, "SessionContext"));
    if (!e->sub_app_id)
        e->sub_app_id = decode_text(p->arena, decode_member(p->root, "SubAppId"));
    if (has_dead_code(e))
        return;
    e->err_code = code_of(p, p->root);
    if (!e->err_code)
        e->err_code = status_code_of(p, p->root);
    if (e->err_code || says_failed(e->status))
        e->err_message = message_of(p, p->root);
}

void decode_payload(struct arena *arena, const cJSON *payload, struct event *e)
{
    struct payload p = {.arena = arena, .root = payload, .e = e};
    read_texts(&p);
    read_files(&p);
    read_tasks(&p);
    read_items(&p);
    read_publication(&p);
    e->result = result_of_event(&p);
    e->file_ids = p.files.ids;
    e->n_file_ids = p.files.n;
    e->file_id = p.files.n ? p.files.ids[0] : NULL;
}

const char *event_result_name(enum event_result r)
{
    static const char *const names[] = {"unknown", "ok", "pending", "failed"};
    return names[r];
}
