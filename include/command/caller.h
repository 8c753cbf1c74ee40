/* caller.h: what pull and settings share: the key, the endpoint and the connection to it. */
#pragma once

#include "base/options.h"
#include "cloud/cloud.h"
#include "command/keys.h"
#include "source/queue.h"

struct caller {
    struct endpoint endpoint;
    struct keys keys;
    struct cloud *cloud;
    int64_t sub_app_id; /* 0 where none is given */
};

/* give_up may be NULL; see cloud.h. Returns 0; -EINVAL, -EPERM or another negative errno, logged: the
 * configuration is wrong. */
int caller_init(struct caller *c, const struct options *o, bool (*give_up)(void *userdata, bool receiving),
                void *userdata);
/* Reads the key again from where it was, and calls with it where it is another one. */
enum queue_keys caller_read_keys(struct caller *c, const struct options *o);

void caller_done(struct caller *c);
