/* main.c: picks the command. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "command/commands.h"
#include "command/external.h"

/* A line each. */
/* clang-format off */
static const struct {
    const char *name;
    enum exit_status (*run)(int argc, char *argv[]);
} commands[] = {
    {"listen", command_listen},
    {"pull", command_external},
    {"events", command_events},
    {"wait", command_wait},
    {"forward", command_external},
    {"settings", command_external},
    {"reconcile", command_external},
};
/* clang-format on */

static enum exit_status run(int argc, char *argv[])
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[0], commands[i].name) == 0)
            return commands[i].run(argc, argv);
    log_error("'%s' is not a command: see vodhook help", argv[0]);
    return EXIT_USAGE;
}

int main(int argc, char *argv[])
{
    static char listen[] = "listen", help[] = "--help", version[] = "--version";
    log_init("vodhook");
    if (argc < 2 || argv[1][0] == '-')
        return command_listen(argc, argv);
    bool asks_help = strcmp(argv[1], "help") == 0, asks_version = strcmp(argv[1], "version") == 0;
    if ((asks_help && argc > 3) || (asks_version && argc > 2)) {
        log_error("Unexpected argument '%s': see vodhook help", argv[argc - 1]);
        return EXIT_USAGE;
    }
    /* vodhook help COMMAND is vodhook COMMAND --help. */
    char *args[] = {asks_help && argc == 3 ? argv[2] : listen, asks_help ? help : version, NULL};
    return asks_help || asks_version ? run(2, args) : run(argc - 1, argv + 1);
}
