/* settings_options.c: the options of vodhook settings alone. */
#include "command/table.h"

#include <string.h>

static const char *check_url(const char *value)
{
    bool http = strncmp(value, "http://", 7) == 0 || strncmp(value, "https://", 8) == 0;
    return http ? NULL : "is no URL that begins with http:// or https://";
}

/* clang-format off */
const struct option_row settings_options[] = {
    {.name = "mode", .type = OPTION_CHOICE, .choices = "push pull", .argv_only = true,
     .commands = COMMAND_SETTINGS, .heading = "What to change",
     .help = "how VOD delivers: push calls the URL, pull queues for vodhook pull"},
    {.name = "url", .type = OPTION_STRING, .argument = "URL", .argv_only = true, .commands = COMMAND_SETTINGS,
     .check = check_url,
     .help = "where VOD posts events in push mode: http://1.2.3.4:8080"},
    {.name = "upload", .type = OPTION_CHOICE, .choices = "on off", .argv_only = true,
     .commands = COMMAND_SETTINGS,
     .help = "events of finished uploads"},
    {.name = "delete", .type = OPTION_CHOICE, .choices = "on off", .argv_only = true,
     .commands = COMMAND_SETTINGS,
     .help = "events of finished deletions"},
    {.name = "persistence", .type = OPTION_CHOICE, .choices = "on off", .argv_only = true,
     .commands = COMMAND_SETTINGS,
     .help = "events of finished persistence"},
    {.name = "sign-key-file", .type = OPTION_PATH, .argument = "FILE", .argv_only = true,
     .commands = COMMAND_SETTINGS,
     .help = "let VOD sign events with the key in FILE"},
    {.name = "yes", .type = OPTION_FLAG, .argv_only = true, .commands = COMMAND_SETTINGS,
     .help = "do not ask before another URL or mode is replaced"},

    {.name = "output", .type = OPTION_CHOICE, .choices = "text json", .initial = "text", .argv_only = true,
     .commands = COMMAND_SETTINGS, .heading = "Output",
     .help = "text for people, json for programs"},
    {0},
};
/* clang-format on */
