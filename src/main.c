/* main.c: picks the command. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "command/commands.h"
#include "command/external.h"

/* A line each. */
/* clang-format off */
static const struct {
    const char *name;
    int (*run)(int argc, char *argv[]);
} commands[] = {
    {"listen", command_listen},
    {"pull", command_external},
    {"events", command_events},
    {"forward", command_external},
    {"settings", command_external},
};
/* clang-format on */

int main(int argc, char *argv[])
{
    log_init("vodhook");
    if (argc < 2 || argv[1][0] == '-')
        return command_listen(argc, argv);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    log_error("'%s' is no command: see vodhook --help", argv[1]);
    return EXIT_USAGE;
}
