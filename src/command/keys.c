/* keys.c: finds the key of the cloud's API, and clears it where it was found. */
#include "command/keys.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

static const struct key_name {
    const char *credential, *environment;
    size_t offset; /* in struct keys */
    bool needed;
} key_names[] = {
    {"secret-id", "TENCENTCLOUD_SECRET_ID", offsetof(struct keys, id), true},
    {"secret-key", "TENCENTCLOUD_SECRET_KEY", offsetof(struct keys, key), true},
    {"session-token", "TENCENTCLOUD_SESSION_TOKEN", offsetof(struct keys, token), false},
};

enum { KEY_NAMES = sizeof key_names / sizeof *key_names };

static struct secret *key_of(struct keys *k, size_t i)
{
    return (struct secret *)((char *)k + key_names[i].offset);
}

void keys_done(struct keys *k)
{
    for (size_t i = 0; i < KEY_NAMES; i++)
        secret_done(key_of(k, i));
}

static int keep(struct secret *s, const char *value, size_t len)
{
    secret_done(s);
    s->data = strndup(value, len);
    if (!s->data)
        return log_error_errno(ENOMEM, "%m");
    s->len = len;
    return 0;
}

/* Returns 1 for a complete key, 0 for none, or -EINVAL, logged, for a part of one. */
static int complete(struct keys *k, const char *origin)
{
    bool any = false;
    for (size_t i = 0; i < KEY_NAMES; i++)
        any |= key_of(k, i)->data != NULL;
    for (size_t i = 0; any && i < KEY_NAMES; i++)
        if (key_names[i].needed && !key_of(k, i)->data)
            return log_error_errno(EINVAL, "There is no %s in %s", key_names[i].credential, origin);
    return any;
}

/* --- A file ----------------------------------------------------------------------------------------- */

/* secret-id, secret_id and secretId are the same. */
static bool is_name(const char *text, size_t len, const char *name)
{
    size_t i = 0;
    for (; *name; name++) {
        if (*name == '-')
            continue;
        if (i < len && (text[i] == '-' || text[i] == '_'))
            i++;
        if (i >= len || tolower((unsigned char)text[i]) != *name)
            return false;
        i++;
    }
    return i == len;
}

static void trim(const char **text, size_t *len)
{
    for (; *len && isspace((unsigned char)**text); ++*text)
        --*len;
    while (*len && isspace((unsigned char)(*text)[*len - 1]))
        --*len;
    if (*len >= 2 && **text == '"' && (*text)[*len - 1] == '"') {
        ++*text;
        *len -= 2;
    }
}

/* Ignores other names: the SDKs' file may have a region in it. */
static int read_line(const char *line, size_t len, struct keys *ret)
{
    const char *equals = memchr(line, '=', len);
    if (!equals || line[strspn(line, " \t")] == '#' || line[strspn(line, " \t")] == ';')
        return 0;
    const char *value = equals + 1;
    size_t name_len = (size_t)(equals - line), value_len = len - name_len - 1;
    trim(&line, &name_len);
    trim(&value, &value_len);
    for (size_t i = 0; i < KEY_NAMES; i++)
        if (value_len && is_name(line, name_len, key_names[i].credential))
            return keep(key_of(ret, i), value, value_len);
    return 0;
}

int keys_read_file(const char *path, struct keys *ret)
{
    struct stat st;
    cleanup(secret_done) struct secret file = {0};
    if (stat(path, &st) < 0)
        return log_error_errno(errno, "Failed to open the key file %s: %m", path);
    if (st.st_mode & (S_IRWXO | S_IWGRP))
        return log_error_errno(
            EPERM, "Users other than its owner may read or change the key file %s: chmod 600 %s", path, path);
    int r = secret_read(path, &file);
    const char *line = file.data;
    while (r >= 0 && line) {
        size_t len = strcspn(line, "\n");
        r = read_line(line, len, ret);
        line = line[len] ? line + len + 1 : NULL;
    }
    if (r >= 0)
        r = complete(ret, path);
    if (r == 0)
        r = log_error_errno(EINVAL, "There is no secret-id = ... and no secret-key = ... in %s", path);
    return r < 0 ? r : 0;
}

/* --- Elsewhere -------------------------------------------------------------------------------------- */

static int read_credentials(struct keys *ret)
{
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    char path[PATH_MAX];
    for (size_t i = 0; directory && i < KEY_NAMES; i++) {
        int n = snprintf(path, sizeof path, "%s/%s", directory, key_names[i].credential);
        if (n < 0 || (size_t)n >= sizeof path || access(path, F_OK) < 0)
            continue;
        int r = secret_read(path, key_of(ret, i));
        if (r < 0)
            return r;
    }
    return complete(ret, "systemd's credentials");
}

static int read_environment(struct keys *ret)
{
    for (size_t i = 0; i < KEY_NAMES; i++) {
        char *value = getenv(key_names[i].environment);
        if (!value || !*value)
            continue;
        int r = keep(key_of(ret, i), value, strlen(value));
        if (r < 0)
            return r;
        explicit_bzero(value, strlen(value));
        unsetenv(key_names[i].environment);
    }
    return complete(ret, "the environment (TENCENTCLOUD_SECRET_ID, TENCENTCLOUD_SECRET_KEY)");
}

bool keys_can_be_read(const struct options *o)
{
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    char path[PATH_MAX];
    return options_string(o, "credentials") ||
           (directory &&
            snprintf(path, sizeof path, "%s/%s", directory, key_names[0].credential) < PATH_MAX &&
            access(path, F_OK) == 0);
}

int keys_read(const struct options *o, struct keys *ret)
{
    const char *file = options_string(o, "credentials");
    if (file)
        return keys_read_file(file, ret);
    ret->fixed = true;
    int r = read_credentials(ret);
    if (r == 0)
        r = read_environment(ret);
    if (r == 0)
        return log_error_errno(
            EINVAL, "There is no API key: give --credentials FILE, the credentials secret-id and secret-key "
                    "(systemd), or TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY");
    return r < 0 ? r : 0;
}
