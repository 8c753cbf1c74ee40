/* inbox.c: the sink that records in SQLite. What was put since the last commit is one transaction; where any
 * of it fails, all of it is to be put again. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "inbox_private.h"
#include "record/message_ids.h"

static const int64_t MILLISECOND = 1000;
/* After a failure, others that come at once fail without a try. It is shorter than the time until the next.
 */
static const int64_t FAIL_FAST = 50 * MILLISECOND;
/* Another's lock is no trouble before it has lasted this long. */
static const int64_t BUSY_UNSAID = 1000 * MILLISECOND;

/* --- Trouble ------------------------------------------------------------------------------------------- */

static void say_trouble(struct inbox *i, int r)
{
    i->said = true;
    if (r == -EBUSY)
        log_message(
            MESSAGE_INBOX_TROUBLE, LOG_CRIT, 0,
            "The inbox %s is locked by another program: nothing can be recorded or acknowledged, will "
            "retry",
            i->path);
    else
        log_message(
            MESSAGE_INBOX_TROUBLE, LOG_CRIT, r,
            "Failed to record in the inbox %s: %m (%s): nothing can be recorded or acknowledged, will "
            "retry",
            i->path, i->problem);
}

static void note_failure(struct inbox *i, int r)
{
    int64_t now = clock_now(CLOCK_MONOTONIC);
    if (!i->failed_at)
        i->trouble_since = now;
    i->failed_at = now;
    i->failed_with = r;
    if (!i->said && (r != -EBUSY || now - i->trouble_since >= BUSY_UNSAID))
        say_trouble(i, r);
}

static void note_success(struct inbox *i)
{
    if (i->said)
        log_message(MESSAGE_INBOX_RECOVERED, LOG_NOTICE, 0,
                    "The inbox %s can be written again, after %" PRId64 " s", i->path,
                    (clock_now(CLOCK_MONOTONIC) - i->trouble_since) / (1000 * MILLISECOND));
    i->failed_at = 0;
    i->failed_with = 0;
    i->said = false;
}

/* A damaged file is not trouble that lasts: the next try begins a new one. */
int inbox_failed(struct inbox *i, int r)
{
    if (r == -EUCLEAN) {
        inbox_close(i);
        int err = inbox_set_aside(i);
        if (err < 0)
            note_failure(i, err);
        return r;
    }
    char problem[sizeof i->problem];
    memcpy(problem, i->problem, sizeof problem);
    inbox_rollback(i);
    memcpy(i->problem, problem, sizeof problem);
    note_failure(i, r);
    return r;
}

/* --- The transaction ----------------------------------------------------------------------------------- */

static int ensure_open(struct inbox *i)
{
    if (i->db && inbox_moved(i)) {
        strcpy(i->problem, "it was moved or deleted");
        note_failure(i, -ESTALE);
        inbox_leave(i);
    }
    return i->db ? 0 : inbox_open(i);
}

int inbox_start(struct inbox *i)
{
    int r = inbox_run(i, INBOX_BEGIN);
    if (r < 0)
        return r;
    i->begun = true;
    memcpy(i->apart_before, i->apart, sizeof i->apart);
    return 0;
}

int inbox_commit_started(struct inbox *i)
{
    int r = inbox_run(i, INBOX_COMMIT);
    i->begun = r < 0;
    return r;
}

void inbox_rollback(struct inbox *i)
{
    if (!i->begun)
        return;
    if (!sqlite3_get_autocommit(i->db))
        inbox_run(i, INBOX_ROLLBACK);
    memcpy(i->apart, i->apart_before, sizeof i->apart);
    i->begun = false;
}

static int begin(struct inbox *i)
{
    int r = i->begun ? 0 : ensure_open(i);
    return r < 0 || i->begun ? r : inbox_start(i);
}

static int inbox_put(struct sink *sink, struct record *r)
{
    struct inbox *i = (struct inbox *)sink;
    if (i->lost)
        return -ECANCELED;
    if (i->failed_at && clock_now(CLOCK_MONOTONIC) - i->failed_at < FAIL_FAST)
        return i->failed_with;
    int err = begin(i);
    if (err >= 0)
        err = inbox_write(i, r);
    if (err < 0) {
        i->lost = i->n_put > 0;
        i->n_put = 0;
        return inbox_failed(i, err);
    }
    i->n_put++;
    return 0;
}

static int inbox_commit(struct sink *sink)
{
    struct inbox *i = (struct inbox *)sink;
    if (i->lost) {
        i->lost = false;
        return -ECANCELED;
    }
    if (!i->begun)
        return 0;
    i->n_put = 0;
    int r = inbox_commit_started(i);
    if (r < 0)
        return inbox_failed(i, r);
    if (inbox_moved(i)) {
        strcpy(i->problem, "it was moved or deleted meanwhile");
        return inbox_failed(i, -ESTALE);
    }
    note_success(i);
    return 0;
}

/* --- Life ---------------------------------------------------------------------------------------------- */

static void inbox_free(struct sink *sink)
{
    struct inbox *i = (struct inbox *)sink;
    inbox_rollback(i);
    inbox_close(i);
    digester_free(i->digester);
    free(i->path);
    free(i->wal_path);
    free(i->shm_path);
    free(i);
}

static const struct sink_ops inbox_ops = {
    .name = "inbox", .put = inbox_put, .commit = inbox_commit, .free = inbox_free};

/* SQLite takes file: and :memory: for something else. */
static int make_paths(struct inbox *i, const char *path)
{
    if (asprintf(&i->path, "%s%s", path[0] == '/' ? "" : "./", path) < 0)
        return i->path = NULL, -ENOMEM;
    if (asprintf(&i->wal_path, "%s-wal", i->path) < 0)
        return i->wal_path = NULL, -ENOMEM;
    if (asprintf(&i->shm_path, "%s-shm", i->path) < 0)
        return i->shm_path = NULL, -ENOMEM;
    return 0;
}

/* What may pass by itself, while the program runs. */
static bool may_pass(int r)
{
    return r == -EBUSY || r == -ENOSPC || r == -EDQUOT || r == -EIO;
}

int sink_inbox_new(const struct inbox_config *config, struct sink **ret)
{
    struct inbox *i = calloc(1, sizeof *i);
    if (!i)
        return log_error_errno(ENOMEM, "Failed to open the inbox %s: %m", config->path);
    i->sink.ops = &inbox_ops;
    i->file_fd = -1;
    i->config = *config;
    i->config.path = NULL;
    int r = make_paths(i, config->path);
    if (r >= 0)
        r = digester_new(&i->digester);
    if (r >= 0)
        r = inbox_open(i);
    if (may_pass(r)) {
        note_failure(i, r);
        r = 0;
    }
    if (r < 0) {
        log_error_errno(r, "Failed to open the inbox %s: %m (%s)", config->path, i->problem);
        inbox_free(&i->sink);
        return r;
    }
    *ret = &i->sink;
    return 0;
}
