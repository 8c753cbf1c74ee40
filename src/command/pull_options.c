/* pull_options.c: the options of vodhook pull alone. */
#include "command/table.h"

/* clang-format off */
const struct option_row pull_options[] = {
    {.name = "once", .type = OPTION_FLAG, .argv_only = true, .commands = COMMAND_PULL, .heading = "Pulling",
     .help = "empty the queue and exit"},
    {.name = "rate", .type = OPTION_COUNT, .argument = "N", .initial = "100", .least = 1, .most = 1000,
     .commands = COMMAND_PULL,
     .help = "at most N pulls and N confirms a second; VOD allows 100 of each"},
    {0},
};
/* clang-format on */
