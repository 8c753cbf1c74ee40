/* external.c: starts vodhook-cloud, so that vodhook itself has no HTTP client in it. */
#include "command/external.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

#define PROGRAM "vodhook-cloud"

/* Writes the name of the program in the folder that this one is in. Returns whether it is there. */
static bool find_beside(char ret[PATH_MAX])
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0)
        return false;
    self[n] = '\0';
    char *slash = strrchr(self, '/');
    if (!slash)
        return false;
    *slash = '\0';
    int len = snprintf(ret, PATH_MAX, "%s/" PROGRAM, self);
    return len > 0 && len < PATH_MAX && access(ret, X_OK) == 0;
}

int command_external(int argc, char *argv[])
{
    static const char installed[] = VODHOOK_LIBEXECDIR "/" PROGRAM;
    char beside[PATH_MAX] = "", name[] = PROGRAM;
    const char *path = find_beside(beside) ? beside : installed;
    cleanup_free char **args = calloc((size_t)argc + 2, sizeof *args);
    if (!args) {
        log_error_errno(ENOMEM, "%m");
        return EXIT_FAILURE;
    }
    args[0] = name;
    memcpy(args + 1, argv, (size_t)argc * sizeof *args);
    execv(path, args);
    log_error_errno(
        errno,
        "vodhook %s needs the program %s, which cannot be started: %m. Install vodhook anew, or build it",
        argv[0], path);
    return EXIT_FAILURE;
}
