/* feed.c: reads the inbox for a forwarder, and watches it.
 *
 * A commit writes to the log of the inbox, waits for the disk, and is then visible: the write is what inotify tells
 * of, the rest happens in mapped memory, of which nobody tells. So after each write it is looked every millisecond
 * for a while and then ever more seldom. When nothing is written, a look now and then notices what inotify did not
 * see, as where the folder is another one by now. */
#include "forward/feed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "inbox/reader.h"

static const int64_t MILLISECOND = 1000;
static const int64_t SECOND = 1000 * MILLISECOND;
static const int64_t LOOK_SELDOM = 10 * SECOND;       /* when nothing stirs */
static const int64_t LOOK_UNTOLD = 100 * MILLISECOND; /* where there is no inotify */
static const int64_t LOOK_MISSING = 1 * SECOND;       /* while there is no inbox */

enum {
    LOOKS_FAST = 16, /* this many come a millisecond apart */
    SUMMARY_KEEP = 4096,
};

struct feed {
    sd_event *loop; /* borrowed */
    char *path;     /* owned */
    struct inbox_reader *reader;
    sd_event_source *folder, *log; /* watches; NULL while there is nothing to watch */
    int64_t look_at;
    unsigned looks; /* since something stirred */
    bool missing;
    int64_t at; /* the query goes on behind this id; -1 without one */
    struct buffer summary;
};

/* --- Watching ------------------------------------------------------------------------------------------- */

static void stir(struct feed *f)
{
    f->looks = 0;
    f->look_at = clock_now(CLOCK_MONOTONIC);
}

static int on_write(sd_event_source *source, const struct inotify_event *e, void *userdata)
{
    (void)source;
    struct feed *f = userdata;
    stir(f);
    if (e->mask & IN_IGNORED)
        f->log = sd_event_source_disable_unref(f->log);
    return 0;
}

/* A file came into the folder; the folder itself may go. */
static int on_file(sd_event_source *source, const struct inotify_event *e, void *userdata)
{
    (void)source;
    struct feed *f = userdata;
    const char *name = strrchr(f->path, '/');
    name = name ? name + 1 : f->path;
    if (e->mask & (IN_IGNORED | IN_Q_OVERFLOW) || (e->len && strncmp(e->name, name, strlen(name)) == 0)) {
        f->log = sd_event_source_disable_unref(f->log); /* it may be another one by now */
        stir(f);
    }
    if (e->mask & IN_IGNORED)
        f->folder = sd_event_source_disable_unref(f->folder);
    return 0;
}

/* Of the folder only what comes into it: others may write there as much as they like. */
static void watch(struct feed *f)
{
    if (f->folder && f->log)
        return;
    cleanup_free char *folder = strdup(f->path), *log = NULL;
    char *slash = folder ? strrchr(folder, '/') : NULL;
    if (slash)
        slash[slash == folder] = '\0';
    if (folder && !f->folder &&
        sd_event_add_inotify(f->loop, &f->folder, slash ? folder : ".", IN_CREATE | IN_MOVED_TO | IN_ONLYDIR,
                             on_file, f) < 0)
        f->folder = NULL;
    if (!f->log && asprintf(&log, "%s-wal", f->path) >= 0 &&
        sd_event_add_inotify(f->loop, &f->log, log, IN_MODIFY, on_write, f) < 0)
        f->log = NULL;
}

static int64_t next_look(struct feed *f)
{
    if (f->missing)
        return LOOK_MISSING;
    if (!f->folder)
        return LOOK_UNTOLD;
    unsigned n = f->looks++;
    if (n < LOOKS_FAST)
        return MILLISECOND;
    n -= LOOKS_FAST;
    int64_t step = n < 16 ? MILLISECOND * 2 << n : LOOK_SELDOM;
    return clock_earlier(step, LOOK_SELDOM);
}

int64_t feed_due(const struct feed *f)
{
    return f->look_at;
}

/* --- Looking -------------------------------------------------------------------------------------------- */

/* An inbox that nobody can read yet is like one that is not there yet; said once. */
static int open_reader(struct feed *f)
{
    const char *why;
    int r = inbox_reader_open(f->path, &f->reader, &why);
    if (r >= 0) {
        f->missing = false;
        f->at = -1;
        return FEED_OTHER;
    }
    if (!f->missing && r == -ENOENT)
        log_notice("There is no inbox %s yet; waiting for it", f->path);
    else if (!f->missing)
        log_warning_errno(r, "Failed to read the inbox %s: %s; will retry", f->path,
                          why ? why : strerror(-r));
    f->missing = true;
    return FEED_MISSING;
}

int feed_look(struct feed *f, int64_t now)
{
    watch(f);
    int r = f->reader ? inbox_reader_look(f->reader) : open_reader(f);
    f->look_at = now + next_look(f);
    if (r == FEED_OTHER)
        f->at = -1;
    return r;
}

static int failed(const struct feed *f, int r)
{
    return log_error_errno(r, "Failed to read the inbox %s: %m", f->path);
}

int feed_range(struct feed *f, int64_t *ret_oldest, int64_t *ret_last)
{
    int r = inbox_reader_range(f->reader, ret_oldest, ret_last);
    return r < 0 ? failed(f, r) : 0;
}

/* --- Reading -------------------------------------------------------------------------------------------- */

/* The record with its summary, which format 1 shows. */
static int read_one(struct feed *f, struct record *ret)
{
    int r = inbox_reader_next(f->reader, ret);
    if (r <= 0)
        return r;
    buffer_reset(&f->summary, SUMMARY_KEEP);
    record_summary(&f->summary, ret);
    ret->summary = buffer_slice(&f->summary);
    return f->summary.failed ? -ENOMEM : 1;
}

static int query(struct feed *f, int64_t after, int64_t up_to)
{
    static const struct inbox_filter everything = {
        .since = INT64_MIN, .until = INT64_MAX, .any_trust = true, .in_order_of_id = true};
    f->at = -1;
    return inbox_reader_query(f->reader, &everything, after, up_to);
}

int feed_next(struct feed *f, int64_t after, struct record *ret)
{
    int r = f->at == after && after >= 0 ? 0 : query(f, after, INT64_MAX);
    if (r >= 0)
        r = read_one(f, ret);
    if (r < 0)
        return r == -EBUSY ? 0 : failed(f, r);
    f->at = r > 0 ? ret->row : after;
    return r;
}

int feed_get(struct feed *f, int64_t id, struct record *ret)
{
    int r = query(f, id - 1, id);
    if (r >= 0)
        r = read_one(f, ret);
    return r < 0 ? failed(f, r) : r;
}

int feed_find_time(struct feed *f, int64_t time, int64_t *ret_row)
{
    const struct inbox_filter since = {.since = time, .until = INT64_MAX, .any_trust = true};
    struct record record;
    f->at = -1;
    int r = inbox_reader_query(f->reader, &since, 0, INT64_MAX);
    if (r >= 0 && (r = inbox_reader_next(f->reader, &record)) > 0)
        *ret_row = record.row;
    return r < 0 ? failed(f, r) : r;
}

int feed_find_id(struct feed *f, const char *id, int64_t *ret_row)
{
    char this[RECORD_ID_MAX + 1];
    struct record record;
    int r = query(f, 0, INT64_MAX);
    while (r >= 0 && (r = inbox_reader_next(f->reader, &record)) > 0) {
        record_id(&record, this);
        if (strcmp(this, id) == 0) {
            *ret_row = record.row;
            return 1;
        }
    }
    return r < 0 ? failed(f, r) : r;
}

void feed_pause(struct feed *f)
{
    if (f->reader)
        inbox_reader_pause(f->reader);
}

const char *feed_inbox(const struct feed *f)
{
    const char *identity = f->reader ? inbox_reader_identity(f->reader) : NULL;
    return identity ? identity : "";
}

/* --- Life ----------------------------------------------------------------------------------------------- */

int feed_new(sd_event *loop, const char *path, struct feed **ret)
{
    cleanup(feed_free_p) struct feed *f = calloc(1, sizeof *f);
    if (!f || !(f->path = strdup(path)))
        return log_error_errno(ENOMEM, "%m");
    f->loop = loop;
    f->at = -1;
    *ret = steal_pointer(f);
    return 0;
}

struct feed *feed_free(struct feed *f)
{
    if (!f)
        return NULL;
    sd_event_source_disable_unref(f->folder);
    sd_event_source_disable_unref(f->log);
    inbox_reader_free(f->reader);
    buffer_done(&f->summary);
    free(f->path);
    free(f);
    return NULL;
}
