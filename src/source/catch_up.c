/* catch_up.c: the comparison of what VOD's API knows with what is recorded.
 *
 * Files come first and tasks after them, so that the events of one file are recorded in the order of its life. Both are
 * listed oldest first: whatever stops the run, all that is older than the last one looked at is settled.
 *
 * Times are VOD's own: this machine's clock, corrected by what the Date header of the last answer told.
 *
 * A page of a list is copied, since the next call overwrites it, and looked at row by row. A row is settled when its
 * event is recorded, or none is sent. One that is not (too young, or the answer about it was broken) holds the mark
 * back up to which everything is settled, so that a later run that begins there meets it again. */
#include "source/catch_up.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "source/pace.h"
#include "source/rebuild.h"
#include "json/json_write.h"

static const int64_t SECOND = 1000000;

enum {
    PAGE = 100,         /* rows a page. Source: API, DescribeTasks, at most */
    SEARCH_MAX = 5000,  /* rows that SearchMedia shows of one search. Source: API, SearchMedia */
    TRIES = 6,          /* of a call that fails in a way that passes: half a minute of back-off */
    FAILURES_MAX = 2,   /* tasks in a row whose calls failed to the end: then the service is down */
    SAID_MAX = 20,      /* broken answers that are said one by one */
    PAGE_KEEP = 1 << 20 /* bytes */
};

struct catch_up {
    struct catch_up_config config;
    struct catch_up_stats stats;
    struct pace pace;
    struct reply reply;
    struct buffer request, page, event, text;
    struct json rows;  /* of the page */
    char token[1024];  /* of the next page of tasks; empty for none */
    unsigned failures; /* tasks in a row */
    bool refused;      /* the call that ended a part of the run was */
    int64_t skew;      /* microseconds this machine's clock is ahead of VOD's */
};

int catch_up_new(const struct catch_up_config *config, struct catch_up **ret)
{
    struct catch_up *c = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    c->config = *config;
    pace_init(&c->pace, config->rate);
    *ret = c;
    return 0;
}

struct catch_up *catch_up_free(struct catch_up *c)
{
    if (!c)
        return NULL;
    buffer_done(&c->request);
    buffer_done(&c->page);
    json_done(&c->rows);
    buffer_done(&c->event);
    buffer_done(&c->text);
    free(c);
    return NULL;
}

const struct catch_up_stats *catch_up_stats(const struct catch_up *c)
{
    return &c->stats;
}

/* --- Calls ------------------------------------------------------------------------------------------ */

static void begin_request(struct catch_up *c)
{
    buffer_reset(&c->request, PAGE_KEEP);
    buffer_putc(&c->request, '{');
    if (c->config.sub_app_id)
        buffer_printf(&c->request, "\"SubAppId\":%" PRId64 ",", c->config.sub_app_id);
}

static void put_time(struct buffer *to, const char *name, int64_t time)
{
    char text[32];
    time_t t = (time_t)(time / SECOND);
    struct tm tm = {0};
    gmtime_r(&t, &tm);
    if (strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm))
        buffer_printf(to, "\"%s\":\"%s\"", name, text);
}

static void explain(struct catch_up *c, const char *action, int r)
{
    struct reply_caller caller = {
        .action = action,
        .endpoint = c->config.remote,
        .secret_id = c->config.secret_id,
        .sub_app_id = c->config.sub_app_id,
    };
    buffer_reset(&c->text, PAGE_KEEP);
    reply_explain(&c->text, r, &c->reply, &caller);
    buffer_putc(&c->text, '\0');
}

static const char *explained(const struct catch_up *c)
{
    return c->text.failed ? "out of memory" : c->text.data;
}

static bool is_answer_broken(int r)
{
    return r == -EBADMSG || r == -EFBIG;
}

static bool may_pass(int r)
{
    return r == REPLY_BUSY || (r < 0 && !is_answer_broken(r) && r != -ENOMEM && r != -ECANCELED);
}

static bool stopping(const struct catch_up *c)
{
    return c->config.world.stopping(c->config.world.userdata);
}

static int64_t now_of(const struct catch_up *c)
{
    return c->config.world.now(c->config.world.userdata);
}

static void wait_until(struct catch_up *c, int64_t until)
{
    if (until > now_of(c) && !stopping(c))
        c->config.world.wait(c->config.world.userdata, until);
}

/* VOD's clock. */
static int64_t wall(const struct catch_up *c)
{
    return c->config.world.wall(c->config.world.userdata) - c->skew;
}

/* Calls until there is an answer, or it has failed too often. Returns as cloud_call(). */
static int call(struct catch_up *c, const char *action)
{
    buffer_putc(&c->request, '}');
    if (c->request.failed)
        return -ENOMEM;
    for (unsigned n = 1;; n++) {
        wait_until(c, c->pace.next);
        if (stopping(c))
            return -ECANCELED;
        int64_t began = now_of(c);
        pace_begin(&c->pace, began);
        c->stats.calls++;
        int r = c->config.world.call(c->config.world.userdata, action, buffer_slice(&c->request), &c->reply);
        if (c->reply.skew != REPLY_SKEW_UNKNOWN)
            c->skew = c->reply.skew * SECOND;
        if (!may_pass(r) || n == TRIES) {
            c->pace.failures = 0;
            return r;
        }
        explain(c, action, r);
        if (n == 1)
            log_warning("%s, will retry", explained(c));
        wait_until(c,
                   pace_after(&c->pace, PACE_TROUBLE, began, now_of(c), (uint32_t)now_of(c) * 2654435761U));
    }
}

/* Says why the run cannot go on. Returns a negative errno. */
static int give_up(struct catch_up *c, const char *action, int r)
{
    if (r == -ECANCELED || r == -ENOMEM)
        return r;
    explain(c, action, r);
    c->refused = r == REPLY_REFUSED;
    return log_error_errno(r < 0 ? r : r == REPLY_REFUSED ? EACCES : EIO, "%s", explained(c));
}

/* --- What was not settled --------------------------------------------------------------------------- */

static void hold_back(int64_t *mark, int64_t time)
{
    *mark = clock_earlier(*mark, time);
}

static bool is_young(struct catch_up *c, int64_t time)
{
    return time > wall(c) - c->config.grace;
}

/* One that could not be looked into costs nobody else anything. */
static void note_broken(struct catch_up *c, const char *what, const char *id, const char *why)
{
    if (c->stats.broken++ < SAID_MAX)
        log_warning("%s %s is left out, and looked at again in the next run: %s", what, id, why);
}

static bool code_begins(const struct catch_up *c, int r, const char *with)
{
    return r == REPLY_REFUSED && strncmp(c->reply.code, with, strlen(with)) == 0;
}

static bool is_not_allowed(const struct catch_up *c, int r)
{
    return code_begins(c, r, "UnauthorizedOperation") ||
           code_begins(c, r, "AuthFailure.UnauthorizedOperation");
}

/* A call about one task or file did not work. Returns 0 when the others may, else a negative errno. */
static int note_failed(struct catch_up *c, const char *action, int r, const char *what, const char *id)
{
    if (r == -ECANCELED || r == -ENOMEM || is_not_allowed(c, r) || code_begins(c, r, "AuthFailure"))
        return give_up(c, action, r);
    c->failures = may_pass(r) ? c->failures + 1 : 0;
    if (c->failures >= FAILURES_MAX)
        return give_up(c, action, r);
    explain(c, action, r);
    note_broken(c, what, id, explained(c));
    return 0;
}

/* --- Tasks ------------------------------------------------------------------------------------------ */

static int take(struct catch_up *c)
{
    if (c->event.failed)
        return -ENOMEM;
    int r = c->config.world.take(c->config.world.userdata, buffer_slice(&c->event));
    c->stats.missing += r > 0;
    return r < 0 ? r : 0;
}

/* Takes the event of an ended task that is not recorded. */
static int take_task(struct catch_up *c, const struct rebuild_task *task)
{
    begin_request(c);
    buffer_puts(&c->request, "\"TaskId\":");
    json_write_string(&c->request, slice_of(task->id));
    int r = call(c, "DescribeTaskDetail");
    if (r != REPLY_DONE) {
        hold_back(&c->stats.tasks_until, task->ended);
        return note_failed(c, "DescribeTaskDetail", r, "Task", task->id);
    }
    c->failures = 0;
    buffer_reset(&c->event, PAGE_KEEP);
    switch (rebuild_task_event(&c->event, c->reply.json, c->reply.response)) {
    case REBUILD_DONE:
        return take(c);
    case REBUILD_NO_EVENT:
        c->stats.silent++;
        return 0;
    case REBUILD_NOT_OVER:
        hold_back(&c->stats.tasks_until, task->ended);
        return 0;
    case REBUILD_BROKEN:
        break;
    }
    hold_back(&c->stats.tasks_until, task->ended);
    note_broken(c, "Task", task->id, "the answer of DescribeTaskDetail has no Status");
    return 0;
}

static int look_at_task(struct catch_up *c, uint32_t row, int64_t *ret_ended)
{
    struct rebuild_task task;
    if (!rebuild_read_task(&c->rows, row, &task)) {
        note_broken(c, "Task", "?", "its row in the answer of DescribeTasks has no TaskId");
        return 0;
    }
    if (!task.ended)
        task.ended = task.created;
    *ret_ended = task.ended;
    c->stats.tasks++;
    if (is_young(c, task.ended)) {
        c->stats.young++;
        hold_back(&c->stats.tasks_until, task.ended);
        return 0;
    }
    if (strcmp(task.status, "FINISH") != 0 && strcmp(task.status, "ABORTED") != 0)
        return 0;
    int r = c->config.world.has_task(c->config.world.userdata, task.id);
    return r != 0 ? (r < 0 ? r : 0) : take_task(c, &task);
}

/* Copies the list of an answer, an empty one where there is none, and reads its rows. Returns 0 or -ENOMEM. */
static int copy_page(struct catch_up *c, const char *list)
{
    uint32_t node = json_member(c->reply.json, c->reply.response, list);
    struct slice rows = json_raw(c->reply.json, node);
    if (!node || rows.data[0] != '[')
        rows = slice_of("[]");
    buffer_reset(&c->page, PAGE_KEEP);
    buffer_append(&c->page, rows.data, rows.len);
    return !c->page.failed && json_read(&c->rows, c->page.data, c->page.len) ? 0 : -ENOMEM;
}

static void write_task_request(struct catch_up *c, int64_t from)
{
    begin_request(c);
    buffer_puts(&c->request, "\"FinishTime\":{");
    put_time(&c->request, "After", from);
    buffer_printf(&c->request, "},\"Sort\":{\"Field\":\"FinishTime\",\"Order\":\"Asc\"},\"Limit\":%d", PAGE);
    if (*c->token) {
        buffer_puts(&c->request, ",\"ScrollToken\":");
        json_write_string(&c->request, slice_of(c->token));
    }
}

/* A token may be too old by the time that a page's tasks have been looked into: the list then begins anew at the
 * last task, once for each place. */
static bool can_begin_anew(struct catch_up *c, int r, int64_t from, int64_t last)
{
    return *c->token && last > from && code_begins(c, r, "Invalid");
}

static int read_token(struct catch_up *c)
{
    if (reply_text(c->reply.json, c->reply.response, "ScrollToken", c->token, sizeof c->token) &&
        strlen(c->token) == sizeof c->token - 1)
        return log_error_errno(EBADMSG, "The ScrollToken of DescribeTasks is too long");
    return 0;
}

/* Looks at the tasks of a page. Those behind a young one are younger. */
static int look_at_tasks(struct catch_up *c, int64_t *last)
{
    int r = read_token(c);
    uint64_t young = c->stats.young;
    if (r >= 0)
        r = copy_page(c, "TaskSet");
    if (r < 0)
        return r;
    json_each(&c->rows, 0, row)
        if ((r = look_at_task(c, row, last)) < 0)
            return r;
    if (c->rows.n == 1 || c->stats.young > young)
        *c->token = '\0';
    return r;
}

static int catch_up_tasks(struct catch_up *c)
{
    int64_t from = c->config.tasks_from, last = from;
    c->stats.tasks_until = wall(c) - c->config.grace;
    for (;;) {
        write_task_request(c, from);
        int r = call(c, "DescribeTasks");
        if (can_begin_anew(c, r, from, last)) {
            from = last;
            *c->token = '\0';
            continue;
        }
        if (r != REPLY_DONE)
            return give_up(c, "DescribeTasks", r);
        r = look_at_tasks(c, &last);
        if (r < 0 || !*c->token)
            return r;
    }
}

/* --- Files ------------------------------------------------------------------------------------------ */

/* The first task of each kind that a file had is that of its upload. */
static void find_upload_tasks(const struct reply *reply, char procedure[REBUILD_ID_MAX],
                              char review[REBUILD_ID_MAX])
{
    uint32_t rows = json_member(reply->json, reply->response, "TaskSet");
    struct rebuild_task task;
    if (!rows || json_kind(reply->json, rows) != '[')
        return;
    json_each(reply->json, rows, row) {
        if (!rebuild_read_task(reply->json, row, &task))
            continue;
        if (!*procedure && strcmp(task.type, "Procedure") == 0)
            memcpy(procedure, task.id, sizeof task.id);
        if (!*review && strcmp(task.type, "ReviewAudioVideo") == 0)
            memcpy(review, task.id, sizeof task.id);
    }
}

static int take_file(struct catch_up *c, const struct rebuild_file *file)
{
    char procedure[REBUILD_ID_MAX] = "", review[REBUILD_ID_MAX] = "";
    begin_request(c);
    buffer_puts(&c->request, "\"FileId\":");
    json_write_string(&c->request, slice_of(file->id));
    buffer_printf(&c->request, ",\"Sort\":{\"Field\":\"CreateTime\",\"Order\":\"Asc\"},\"Limit\":%d", PAGE);
    int r = call(c, "DescribeTasks");
    if (r != REPLY_DONE) {
        hold_back(&c->stats.uploads_until, file->created);
        return note_failed(c, "DescribeTasks", r, "File", file->id);
    }
    c->failures = 0;
    find_upload_tasks(&c->reply, procedure, review);
    buffer_reset(&c->event, PAGE_KEEP);
    rebuild_upload_event(&c->event, file, procedure, review);
    return take(c);
}

static int look_at_file(struct catch_up *c, uint32_t row)
{
    struct rebuild_file file;
    if (!rebuild_read_file(&c->rows, row, &file)) {
        note_broken(c, "File", "?", "its row in the answer of SearchMedia has no FileId");
        return 0;
    }
    c->stats.files++;
    if (is_young(c, file.created)) {
        c->stats.young++;
        hold_back(&c->stats.uploads_until, file.created);
        return 0;
    }
    int r = c->config.world.has_upload(c->config.world.userdata, file.id);
    return r != 0 ? (r < 0 ? r : 0) : take_file(c, &file);
}

/* Both ends are included, and whole seconds. */
static int search(struct catch_up *c, int64_t from, int64_t to, int64_t offset, int64_t *ret_total)
{
    char digits[24];
    begin_request(c);
    buffer_puts(&c->request, "\"CreateTime\":{");
    put_time(&c->request, "After", from);
    buffer_putc(&c->request, ',');
    put_time(&c->request, "Before", to);
    buffer_printf(&c->request,
                  "},\"Sort\":{\"Field\":\"CreateTime\",\"Order\":\"Asc\"},"
                  "\"Filters\":[\"basicInfo\",\"metaData\"],\"Offset\":%" PRId64 ",\"Limit\":%d",
                  offset, PAGE);
    int r = call(c, "SearchMedia");
    if (r != REPLY_DONE)
        return give_up(c, "SearchMedia", r);
    uint32_t node = json_member(c->reply.json, c->reply.response, "TotalCount");
    struct slice total = json_raw(c->reply.json, node);
    if (node && total.len < sizeof digits) {
        snprintf(digits, sizeof digits, "%.*s", (int)total.len, total.data);
        if (parse_count(digits, ret_total) == 0)
            return 0;
    }
    return log_error_errno(EBADMSG, "There is no TotalCount in the answer of SearchMedia");
}

/* Looks at the files that were found between the two times, the first page of which is there. */
static int look_at_files(struct catch_up *c, int64_t from, int64_t to, int64_t total)
{
    for (int64_t offset = 0;;) {
        int64_t before = offset;
        int r = copy_page(c, "MediaInfoSet");
        if (r < 0)
            return r;
        json_each(&c->rows, 0, row) {
            if ((r = look_at_file(c, row)) < 0)
                return r;
            offset++;
        }
        if (offset == before || offset >= total || offset + PAGE > SEARCH_MAX)
            return 0;
        r = search(c, from, to, offset, &total);
        if (r < 0)
            return r;
    }
}

/* A span of which there are more files than one search shows is halved until there are not; the next one begins
 * behind it, and may be twice as long. */
static int catch_up_files(struct catch_up *c)
{
    int64_t from = c->config.uploads_from / SECOND, end = (wall(c) - c->config.grace) / SECOND, to = end,
            total = 0;
    c->stats.uploads_until = end * SECOND;
    while (from <= end) {
        int r = search(c, from * SECOND, to * SECOND, 0, &total);
        if (r < 0)
            return r;
        if (total >= SEARCH_MAX && to > from) {
            to = from + (to - from) / 2;
            continue;
        }
        if (total >= SEARCH_MAX)
            log_warning("VOD lists no more than %d files of one second, so that others may be missing",
                        SEARCH_MAX);
        r = look_at_files(c, from * SECOND, to * SECOND, total);
        if (r < 0)
            return r;
        int64_t span = to - from + 1;
        from = to + 1;
        to = clock_earlier(end, from + 2 * span);
    }
    return 0;
}

/* Who may not ask how VOD is set is told by what VOD has sent. */
static int wants_uploads(struct catch_up *c)
{
    char word[8];
    if (c->config.uploads != CATCH_UP_UPLOADS_AUTO)
        return c->config.uploads == CATCH_UP_UPLOADS_ON;
    begin_request(c);
    if (c->config.sub_app_id)
        c->request.len--; /* the comma */
    int r = call(c, "DescribeEventConfig");
    if (r == REPLY_DONE)
        return reply_text(c->reply.json, c->reply.response, "UploadMediaCompleteEventSwitch", word,
                          sizeof word) &&
               strcmp(word, "ON") == 0;
    if (!is_not_allowed(c, r))
        return give_up(c, "DescribeEventConfig", r);
    r = c->config.world.has_upload(c->config.world.userdata, NULL);
    if (r >= 0)
        log_notice(
            "The key may not ask whether VOD sends events of uploads (vod:DescribeEventConfig); %s, so that "
            "uploads are %s. --uploads says it",
            r ? "some are recorded" : "none is recorded", r ? "looked for" : "left out");
    return r;
}

int catch_up_run(struct catch_up *c)
{
    int r = wants_uploads(c);
    if (r < 0)
        return r;
    int files = r ? catch_up_files(c) : 0;
    /* A key that may not search may still list tasks. */
    if (files < 0 && !c->refused)
        return files;
    r = catch_up_tasks(c);
    return r < 0 ? r : files;
}
