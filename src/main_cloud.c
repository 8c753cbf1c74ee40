/* main_cloud.c: vodhook-cloud: the commands that call the cloud's API; vodhook starts it. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "command/commands.h"

static const struct {
    const char *name;
    enum exit_status (*run)(int argc, char *argv[]);
} commands[] = {
    {"pull", command_pull},
    {"settings", command_settings},
    {"reconcile", command_reconcile},
};

int main(int argc, char *argv[])
{
    log_init("vodhook");
    for (size_t i = 0; argc >= 2 && i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    log_error("This is a part of vodhook: run vodhook pull, reconcile or settings");
    return EXIT_USAGE;
}
