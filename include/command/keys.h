/* keys.h: the key that calls of the cloud's API are signed with. */
#pragma once

#include "base/options.h"
#include "base/secret.h"

struct keys {
    bool fixed; /* from the environment or systemd's credentials: only a new start can bring others */
    struct secret id, key;
    struct secret token; /* of temporary keys; data NULL for none */
};

/* Takes them from the file --credentials names, else from systemd's credentials secret-id, secret-key and
 * session-token, else from the environment, TENCENTCLOUD_SECRET_ID, TENCENTCLOUD_SECRET_KEY and
 * TENCENTCLOUD_SESSION_TOKEN, which is cleared. Returns 0 or a negative errno, logged. */
int keys_read(const struct options *o, struct keys *ret);

/* Reads a file of lines name = value, with the names of the credentials; that of Tencent's SDKs
 * (secret_id, secret_key) is one, too. Nobody but its owner and group may read it. Returns as keys_read(). */
int keys_read_file(const char *path, struct keys *ret);

/* Whether keys_read() would find anything a second time: it clears the environment. */
bool keys_can_be_read(const struct options *o);

/* Clears the memory that held them. */
void keys_done(struct keys *k);
