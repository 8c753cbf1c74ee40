/* caller.c: makes the connection to the cloud's API that the settings ask for. */
#include "command/caller.h"

#include "base/log.h"
#include "base/text.h"

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

static bool same(const struct secret *a, const struct secret *b)
{
    return text_equal_secret(secret_slice(a), secret_slice(b));
}

enum queue_keys caller_read_keys(struct caller *c, const struct options *o)
{
    struct keys keys = {0};
    bool fixed = c->keys.fixed;
    if (keys_can_be_read(o) && keys_read(o, &keys) >= 0 &&
        !(same(&keys.id, &c->keys.id) && same(&keys.key, &c->keys.key) &&
          same(&keys.token, &c->keys.token)) &&
        cloud_set_keys(c->cloud, secret_slice(&keys.id), secret_slice(&keys.key),
                       secret_slice(&keys.token)) >= 0) {
        keys_done(&c->keys);
        c->keys = keys;
        return QUEUE_KEYS_NEW;
    }
    keys_done(&keys);
    return fixed ? QUEUE_KEYS_FIXED : QUEUE_KEYS_SAME;
}

void caller_done(struct caller *c)
{
    c->cloud = cloud_free(c->cloud);
    keys_done(&c->keys);
}
