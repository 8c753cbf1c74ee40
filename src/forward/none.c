/* none.c: the target that takes every event and keeps none. */
#include "forward/none.h"

#include <errno.h>
#include <stdlib.h>

enum { NONE_IN_FLIGHT = 256, NONE_BYTES = 4 * 1024 * 1024 };

struct none {
    struct target target;
    sd_event_source *turn; /* in which the outcomes are told */
    const struct target_event *taken[NONE_IN_FLIGHT];
    size_t n_taken;
};

static void none_describe(const struct target *t, struct buffer *to)
{
    (void)t;
    buffer_puts(to, "none");
}

static void tell_outcomes(struct none *n)
{
    static const struct target_outcome done = {.result = TARGET_DONE};
    size_t count = n->n_taken;
    n->n_taken = 0;
    for (size_t i = 0; i < count; i++)
        n->target.context.outcome(n->target.context.userdata, n->taken[i], &done);
}

static int on_turn(sd_event_source *source, void *userdata)
{
    (void)source;
    tell_outcomes(userdata);
    return 0;
}

static int none_offer(struct target *t, const struct target_event *e)
{
    struct none *n = (struct none *)t;
    if (n->n_taken == NONE_IN_FLIGHT)
        return TARGET_FULL;
    n->taken[n->n_taken++] = e;
    return sd_event_source_set_enabled(n->turn, SD_EVENT_ONESHOT);
}

static void none_cancel(struct target *t)
{
    tell_outcomes((struct none *)t);
}

static void none_free(struct target *t)
{
    struct none *n = (struct none *)t;
    sd_event_source_disable_unref(n->turn);
    free(n);
}

static const struct target_ops none_ops = {
    .name = "none",
    .describe = none_describe,
    .offer = none_offer,
    .cancel = none_cancel,
    .free = none_free,
};

int target_none_new(const struct target_context *context, struct target **ret)
{
    struct none *n = calloc(1, sizeof *n);
    if (!n)
        return -ENOMEM;
    n->target = (struct target){
        .ops = &none_ops,
        .context = *context,
        .max_in_flight = NONE_IN_FLIGHT,
        .max_bytes = NONE_BYTES,
    };
    int r = sd_event_add_defer(context->loop, &n->turn, on_turn, n);
    if (r >= 0)
        r = sd_event_source_set_enabled(n->turn, SD_EVENT_OFF);
    if (r < 0) {
        none_free(&n->target);
        return r;
    }
    *ret = &n->target;
    return 0;
}
