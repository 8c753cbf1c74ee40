/* reconcile_options.c: the options of vodhook reconcile alone. */
#include <string.h>

#include "base/parse.h"
#include "base/time_parse.h"
#include "command/table.h"

/* reconcile.c reads the rest. */
static const char *check_since(const char *value)
{
    int64_t time;
    bool known =
        strcmp(value, "last") == 0 || parse_duration(value, &time) == 0 || parse_time(value, 0, &time) == 0;
    return known ? NULL : "is neither a time such as 24h or 2026-11-24 nor last";
}

/* clang-format off */
const struct option_row reconcile_options[] = {
    {.name = "since", .type = OPTION_STRING, .argument = "TIME|last", .initial = "24h", .argv_only = true,
     .commands = COMMAND_RECONCILE, .check = check_since, .heading = "What to look for",
     .help = "what ended within that time, such as 72h, which is as far back as VOD knows tasks; last: since "
             "everything was found settled, 72h at most"},
    {.name = "grace", .type = OPTION_DURATION, .argument = "TIME", .initial = "10min", .least = 0,
     .most = OPTION_DAY, .commands = COMMAND_RECONCILE,
     .help = "leave to VOD what ended within that time"},
    {.name = "uploads", .type = OPTION_CHOICE, .choices = "auto on off", .initial = "auto", .alone = "on",
     .commands = COMMAND_RECONCILE,
     .help = "look for uploads, too; auto: where VOD is set to send their events"},
    {.name = "check-only", .type = OPTION_FLAG, .argv_only = true, .commands = COMMAND_RECONCILE,
     .help = "say what is missing and record nothing; exit 0 for nothing, 1 for something"},
    {.name = "rate", .type = OPTION_COUNT, .argument = "N", .initial = "20", .least = 1, .most = 100,
     .argv_only = true, .commands = COMMAND_RECONCILE,
     .help = "at most N calls a second"},
    {0},
};
/* clang-format on */
