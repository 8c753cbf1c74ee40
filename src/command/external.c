/* external.c: starts the programs beside vodhook, so that vodhook itself links neither an HTTP client nor Kafka's. */
#include "command/external.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

/* The program of a command, and the package that brings it. */
struct program {
    char name[32];
    const char *package;
};

static struct program program_of(const char *command)
{
    if (strcmp(command, "forward") == 0)
        return (struct program){"vodhook-forward", "vodhook-forward"};
    return (struct program){"vodhook-cloud", "vodhook"};
}

/* Writes the name of the program in the folder that this one is in. Returns whether it is there. */
static bool find_beside(const char *program, char ret[PATH_MAX])
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
    int len = snprintf(ret, PATH_MAX, "%s/%s", self, program);
    return len > 0 && len < PATH_MAX && access(ret, X_OK) == 0;
}

enum exit_status command_external(int argc, char *argv[])
{
    struct program program = program_of(argv[0]);
    char beside[PATH_MAX] = "", installed[PATH_MAX];
    snprintf(installed, sizeof installed, VODHOOK_LIBEXECDIR "/%s", program.name);
    const char *path = find_beside(program.name, beside) ? beside : installed;
    cleanup_free char **args = calloc((size_t)argc + 2, sizeof *args);
    if (!args) {
        log_error_errno(ENOMEM, "%m");
        return EXIT_FAILED;
    }
    args[0] = program.name;
    memcpy(args + 1, argv, (size_t)argc * sizeof *args);
    execv(path, args);
    log_error_errno(
        errno,
        "vodhook %s needs the program %s, which cannot be started: %m. Install the package %s, or build it",
        argv[0], path, program.package);
    return EXIT_FAILED;
}
