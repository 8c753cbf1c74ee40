/* wait_options.c: the options of vodhook wait. */
#include "command/table.h"

/* clang-format off */
const struct option_row wait_options[] = {
    {.name = "file-id", .type = OPTION_STRING, .argument = "ID", .argv_only = true, .commands = COMMAND_WAIT,
     .heading = "What to wait for",
     .help = "an upload or a flow of this file"},
    {.name = "task-id", .type = OPTION_STRING, .argument = "ID", .argv_only = true, .commands = COMMAND_WAIT,
     .help = "this task"},
    {.name = "context", .type = OPTION_STRING, .argument = "TEXT", .argv_only = true, .commands = COMMAND_WAIT,
     .help = "what was given this source context (of an upload) or session context (of a flow)"},
    {.name = "type", .type = OPTION_STRING, .argument = "TYPE", .argv_only = true, .commands = COMMAND_WAIT,
     .help = "only an event of this type, such as ProcedureStateChanged"},
    {.name = "timeout", .type = OPTION_DURATION, .argument = "TIME", .initial = "10min", .least = 0,
     .most = 36500 * OPTION_DAY, .argv_only = true, .commands = COMMAND_WAIT,
     .help = "wait no longer than that"},

    {.name = "output", .type = OPTION_CHOICE, .choices = "line json", .initial = "line", .argv_only = true,
     .commands = COMMAND_WAIT, .heading = "Output",
     .help = "line: the event as a line; json: for programs"},
    {.name = "inbox", .type = OPTION_PATH, .argument = "FILE", .commands = COMMAND_WAIT,
     .help = "read this inbox (default /var/lib/vodhook/inbox.db where it exists, else "
             "~/.local/state/vodhook/inbox.db)"},
    {0},
};
/* clang-format on */
