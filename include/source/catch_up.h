/* catch_up.h: compares what the API knows of tasks and files with what is recorded, and hands over what is missing
 * as the event that VOD would have sent. One plain loop, which reaches the world through struct catch_up_world
 * alone. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cloud/reply.h"

struct catch_up_world {
    int (*call)(void *userdata, const char *action, struct slice body,
                struct reply *ret);  /* as cloud_call() */
    int64_t (*now)(void *userdata);  /* monotonic microseconds */
    int64_t (*wall)(void *userdata); /* microseconds since 1970 */
    /* Waits until then (monotonic); earlier when a stop is asked for. */
    void (*wait)(void *userdata, int64_t until);
    bool (*stopping)(void *userdata);

    /* Whether the final event of a task is recorded, and the NewFileUpload of a file; of NULL, whether any
     * NewFileUpload ever came from VOD. Return 1, 0 or a negative errno. */
    int (*has_task)(void *userdata, const char *task_id);
    int (*has_upload)(void *userdata, const char *file_id);

    /* Takes an event that is missing. Returns 1, 0 where it turned out to be there, or a negative errno, which
     * ends the run. */
    int (*take)(void *userdata, struct slice event);
    void *userdata;
};

/* Whether uploads are looked for. */
enum catch_up_uploads {
    CATCH_UP_UPLOADS_AUTO, /* where VOD is set to send their events */
    CATCH_UP_UPLOADS_ON,
    CATCH_UP_UPLOADS_OFF,
};

struct catch_up_config {
    struct catch_up_world world;
    const char *remote; /* the endpoint, for what is said. Borrowed, as secret_id is */
    struct slice secret_id;
    int64_t sub_app_id;   /* 0 for none */
    int64_t rate;         /* calls a second */
    int64_t grace;        /* microseconds that are left to VOD after the end of a task or upload */
    int64_t tasks_from;   /* tasks that ended then or later: microseconds since 1970 */
    int64_t uploads_from; /* files that were created then or later */
    enum catch_up_uploads uploads;
};

struct catch_up_stats {
    uint64_t calls;
    uint64_t tasks, files; /* that were looked at */
    uint64_t missing;      /* that were taken */
    uint64_t young;        /* left to VOD */
    uint64_t silent;       /* ended tasks that no event is sent for */
    uint64_t broken;       /* that could not be looked into; said */
    int64_t tasks_until;   /* everything that ended before then is settled: microseconds since 1970 */
    int64_t uploads_until; /* everything that was created before then; 0 where uploads were not looked for */
};

struct catch_up;

/* Returns 0 or -ENOMEM. */
int catch_up_new(const struct catch_up_config *config, struct catch_up **ret);
struct catch_up *catch_up_free(struct catch_up *c);

/* Runs once from the beginning to the end. Returns 0, also where single answers were broken; -ECANCELED when a
 * stop was asked for; another negative errno when calls are refused or fail in a row, which is said, or as
 * world.take() and the look-ups did. */
int catch_up_run(struct catch_up *c);

const struct catch_up_stats *catch_up_stats(const struct catch_up *c);

static inline void catch_up_free_p(struct catch_up **c)
{
    catch_up_free(*c);
}
