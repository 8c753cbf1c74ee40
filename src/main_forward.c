/* main_forward.c: vodhook-forward: the command that hands events on; vodhook starts it. */
#include <string.h>

#include "base/log.h"
#include "command/commands.h"

int main(int argc, char *argv[])
{
    log_init("vodhook");
    if (argc >= 2 && strcmp(argv[1], "forward") == 0)
        return command_forward(argc - 1, argv + 1);
    log_error("This is a part of vodhook: run vodhook forward");
    return EXIT_USAGE;
}
