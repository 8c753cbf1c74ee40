/* main_cloud.c: vodhook-cloud: the commands that call the cloud's API; vodhook starts it. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "command/commands.h"

int main(int argc, char *argv[])
{
    log_init("vodhook");
    if (argc >= 2 && strcmp(argv[1], "pull") == 0)
        return command_pull(argc - 1, argv + 1);
    if (argc >= 2 && strcmp(argv[1], "settings") == 0)
        return command_settings(argc - 1, argv + 1);
    log_error("This is a part of vodhook: run vodhook pull or vodhook settings");
    return EXIT_USAGE;
}
