/* open_inbox.c: finds and opens the inbox that a command reads, and says what to do where that fails. */
#include "open_inbox.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "command/outputs.h"

#define SERVICE_INBOX "/var/lib/vodhook/inbox.db"

/* Without access to its folder nobody can see whether the file is there. */
static char *find_inbox(const struct options *o)
{
    const char *given = options_string(o, "inbox");
    if (given)
        return strdup(given);
    if (access(SERVICE_INBOX, F_OK) == 0 || errno == EACCES)
        return strdup(SERVICE_INBOX);
    return outputs_inbox_default();
}

/* Says which group may read what the caller may not. */
static int say_group(const char *path)
{
    cleanup_free char *at = strdup(path);
    struct stat st;
    while (at && stat(at, &st) < 0) {
        char *slash = strrchr(at, '/');
        if (!slash || slash == at)
            break;
        *slash = 0;
    }
    if (!at || stat(at, &st) < 0 || !(st.st_mode & (S_ISDIR(st.st_mode) ? S_IXGRP : S_IRGRP)))
        return log_error_errno(EACCES, "Failed to read the inbox %s: %m", path);
    const struct group *group = getgrgid(st.st_gid);
    const struct passwd *user = getpwuid(geteuid());
    if (!group || !user)
        return log_error_errno(EACCES, "Failed to read the inbox %s: %m; group %u may", path,
                               (unsigned)st.st_gid);
    return log_error_errno(
        EACCES,
        "Only members of group %s may read the inbox %s. 'sudo usermod -aG %s %s' makes you "
        "one, from your next login on",
        group->gr_name, path, group->gr_name, user->pw_name);
}

int open_inbox_at(const char *path, struct inbox_reader **ret)
{
    const char *why;
    int r = inbox_reader_open(path, ret, &why);
    switch (r) {
    case 0:
        return 0;
    case -ENOENT:
        return log_error_errno(
            r, "There is no inbox %s yet: vodhook listen begins it. --inbox FILE names another", path);
    case -EACCES:
        return say_group(path);
    case -EUCLEAN:
        return log_error_errno(
            r,
            "The inbox %s is damaged, or another kind of file. To recover its events: sqlite3 %s .dump | "
            "sed 's/^ROLLBACK.*/COMMIT;/' | sqlite3 recovered.db",
            path, path);
    }
    return log_error_errno(r, "Failed to read the inbox %s: %s", path, why ? why : strerror(-r));
}

int open_inbox(const struct options *o, struct inbox_reader **ret)
{
    cleanup_free char *path = find_inbox(o);
    if (!path)
        return log_error_errno(EINVAL, "There is no place where an inbox would be: --inbox FILE names one");
    if (strcmp(path, "none") == 0)
        return log_error_errno(ENOENT, "There is no inbox: %s says so", options_origin(o, "inbox"));
    return open_inbox_at(path, ret);
}
