/* events_options.c: the options of vodhook events. */
#include "command/table.h"

/* clang-format off */
const struct option_row events_options[] = {
    {.name = "file-id", .type = OPTION_STRING, .argument = "ID", .argv_only = true,
     .commands = COMMAND_EVENTS, .heading = "Which events",
     .help = "of this file: its life, from the upload to the deletion"},
    {.name = "task-id", .type = OPTION_STRING, .argument = "ID", .argv_only = true,
     .commands = COMMAND_EVENTS,
     .help = "of this task"},
    {.name = "type", .type = OPTION_STRING, .argument = "TYPE", .argv_only = true, .commands = COMMAND_EVENTS,
     .help = "of this type, such as NewFileUpload"},
    {.name = "result", .type = OPTION_CHOICE, .choices = "ok failed pending unknown", .argv_only = true,
     .commands = COMMAND_EVENTS,
     .help = "with this result"},
    {.name = "source", .type = OPTION_CHOICE, .choices = "push pull reconcile", .argv_only = true,
     .commands = COMMAND_EVENTS,
     .help = "that came this way"},
    {.name = "since", .type = OPTION_STRING, .argument = "TIME", .argv_only = true,
     .commands = COMMAND_EVENTS,
     .help = "received at TIME or later: 2026-11-24, 2026-11-24T03:00, -2h, today"},
    {.name = "until", .type = OPTION_STRING, .argument = "TIME", .argv_only = true,
     .commands = COMMAND_EVENTS,
     .help = "received before TIME"},
    {.name = "refused", .type = OPTION_FLAG, .argv_only = true, .commands = COMMAND_EVENTS,
     .help = "those that were refused, instead of the others"},
    {.name = "limit", .type = OPTION_COUNT, .argument = "N", .least = 1, .most = INT64_MAX, .argv_only = true,
     .commands = COMMAND_EVENTS,
     .help = "at most N of them"},
    {.name = "reverse", .type = OPTION_FLAG, .argv_only = true, .commands = COMMAND_EVENTS,
     .help = "the newest first"},

    {.name = "output", .type = OPTION_CHOICE, .choices = "line full text json raw", .initial = "line",
     .argv_only = true, .commands = COMMAND_EVENTS, .heading = "How to show them",
     .help = "line: a line for each event; full: with its JSON (text is the same); json: for programs; "
             "raw: the bodies as they arrived"},
    {.name = "no-pager", .type = OPTION_FLAG, .argv_only = true, .commands = COMMAND_EVENTS,
     .help = "do not page on a terminal"},
    {.name = "schema", .type = OPTION_FLAG, .argv_only = true, .commands = COMMAND_EVENTS,
     .help = "print the JSON Schema of --output json, and nothing else"},
    {.name = "count", .type = OPTION_FLAG, .argv_only = true, .commands = COMMAND_EVENTS,
     .help = "only say how many there are"},
    {.name = "follow", .type = OPTION_FLAG, .argv_only = true, .commands = COMMAND_EVENTS,
     .help = "go on with new events as they come"},
    {.name = "inbox", .type = OPTION_PATH, .argument = "FILE", .commands = COMMAND_EVENTS,
     .help = "read this inbox (default /var/lib/vodhook/inbox.db where it exists, else "
             "~/.local/state/vodhook/inbox.db)"},
    {0},
};
/* clang-format on */
