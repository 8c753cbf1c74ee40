/* service.h: the frame of every process that stays: its loop, the signals that end it, what systemd is told
 * of it, the watchdog, and one timer for chores.
 *
 * A process that serves adds its sources to the loop and calls service_serve(). One that calls out calls
 * service_wait() between two calls that block, and asks service_stop_by() whether to go on. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/buffer.h"

/* Each may be NULL. Times are monotonic microseconds. */
struct service_config {
    /* Does what is due beside the work: called after every round of the loop, and when the time has come that
     * it returned last. Returns when it is due again whether or not anything happens, INT64_MAX for never. */
    int64_t (*chores)(void *userdata, int64_t now);

    /* Appends one line for STATUS=. It is sent every 10 s, and at once when state() changes its number. */
    void (*status)(void *userdata, struct buffer *to);
    uint64_t (*state)(void *userdata);

    /* A stop is asked for: the process is to end by itself soon, by sd_event_exit() where it serves; without
     * this function it ends at once. Returns 0 or a negative errno, which ends it. */
    int (*stop)(void *userdata);
    int64_t stop_max; /* the time that service_stop_by() allows */
    void *userdata;
};

struct service;

/* Makes the loop, with the watchdog where systemd asks for one. From then on a write that fails is an error
 * and no signal. Until service_ready() signals end the process as usual. Returns 0 or a negative errno,
 * logged. */
int service_new(const struct service_config *config, struct service **ret);
struct service *service_free(struct service *s);

/* Borrowed: for the sources of the process. */
sd_event *service_loop(const struct service *s);

/* Takes the signals, and tells systemd READY=1 and the first status. SIGTERM and SIGINT ask for a stop, and
 * the second one ends the process at once; SIGHUP says that there is no reload. Returns 0 or a negative
 * errno, logged. */
int service_ready(struct service *s);

/* Runs the loop until its end. Returns its exit code or a negative errno, logged. */
int service_serve(struct service *s);

/* Serves the loop until then, and does the chores, at least once. Returns earlier when a stop is asked for,
 * each time. Not to be called by a source of the loop. Returns 0 or a negative errno, logged. */
int service_wait(struct service *s, int64_t until);

/* By when the process is to have ended: INT64_MAX while no stop is asked for. The second signal makes it now.
 */
int64_t service_stop_by(const struct service *s);

static inline void service_free_p(struct service **s)
{
    service_free(*s);
}
