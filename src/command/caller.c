/* caller.c: makes the connection to the cloud's API that the settings ask for. */
#include "command/caller.h"

#include "base/log.h"

int caller_init(struct caller *c, const struct options *o, bool (*give_up)(void *userdata, bool receiving),
                void *userdata)
{
    endpoint_parse(options_string(o, "endpoint"), &c->endpoint); /* the table has checked it */
    c->sub_app_id = options_number(o, "sub-app-id");
    int r = keys_read(o, &c->keys);
    if (r < 0)
        return r;
    struct cloud_config config = {
        .endpoint = c->endpoint,
        .secret_id = secret_slice(&c->keys.id),
        .secret_key = secret_slice(&c->keys.key),
        .token = secret_slice(&c->keys.token),
        .give_up = give_up,
        .userdata = userdata,
    };
    return cloud_new(&config, &c->cloud);
}

void caller_done(struct caller *c)
{
    c->cloud = cloud_free(c->cloud);
    keys_done(&c->keys);
}
