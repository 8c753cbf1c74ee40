/* table.c: the options that commands share, and the list of all tables: what drives the command line, the
 * configuration file, --help and --dump-config. */
#include "command/table.h"

#include "cloud/endpoint.h"

enum {
    RECEIVING = COMMAND_LISTEN | COMMAND_PULL | COMMAND_RECONCILE,
    CALLING = COMMAND_PULL | COMMAND_SETTINGS | COMMAND_RECONCILE, /* the cloud's API */
    EVERY = -1,
};

static const char *check_endpoint(const char *value)
{
    struct endpoint endpoint;
    return endpoint_parse(value, &endpoint);
}

/* clang-format off */
static const struct option_row shared_options[] = {
    {.name = "endpoint", .type = OPTION_STRING, .argument = "HOST", .initial = "vod.tencentcloudapi.com",
     .commands = CALLING, .check = check_endpoint, .heading = "The cloud",
     .help = "call the API there: a host, or a URL; plain http only to this machine"},
    {.name = "sub-app-id", .type = OPTION_COUNT, .argument = "ID", .least = 1, .most = INT64_MAX,
     .commands = CALLING,
     .help = "the VOD application; accounts opened since 2023-12-25 must name one"},
    {.name = "credentials", .type = OPTION_PATH, .argument = "FILE", .commands = CALLING,
     .help = "read the API key from FILE; else from credentials of systemd or the environment"},

    {.name = "output", .type = OPTION_CHOICE, .choices = "text json journal none", .repeatable = true,
     .commands = RECEIVING, .heading = "Output",
     .help = "where events are shown: text or json on stdout, the journal, or nowhere; text unless given, "
             "or journal when systemd connected stdout to it"},

    {.name = "inbox", .type = OPTION_PATH, .argument = "FILE|none", .commands = RECEIVING,
     .heading = "The inbox",
     .help = "record every event in this SQLite database before it is acknowledged (default "
             "$STATE_DIRECTORY/inbox.db under systemd, else ~/.local/state/vodhook/inbox.db)"},
    {.name = "inbox-keep", .type = OPTION_DURATION, .argument = "TIME", .initial = "30d", .least = 3600 * OPTION_SECOND,
     .most = 36500 * OPTION_DAY, .commands = RECEIVING,
     .help = "keep events for that time; at least 5d where events are pulled"},
    {.name = "inbox-max", .type = OPTION_SIZE, .argument = "BYTES", .initial = "4G", .least = OPTION_MIB,
     .most = (OPTION_MIB << 30), .commands = RECEIVING,
     .help = "remove the oldest events when the database is larger"},

    {.name = "expect-within", .type = OPTION_DURATION, .argument = "TIME", .least = OPTION_SECOND,
     .most = 36500 * OPTION_DAY, .commands = COMMAND_LISTEN | COMMAND_PULL, .heading = "What is expected",
     .help = "warn once of a task that has not ended within TIME of its beginning"},
    {.name = "expect-event-every", .type = OPTION_DURATION, .argument = "TIME", .least = OPTION_SECOND,
     .most = 36500 * OPTION_DAY, .commands = COMMAND_LISTEN | COMMAND_PULL,
     .help = "warn once when no event came for TIME"},

    {.name = "config", .type = OPTION_PATH, .argument = "FILE", .argv_only = true, .commands = EVERY,
     .heading = "General",
     .help = "read settings from FILE, lines of the form name = value with the names of these options "
             "(default /etc/vodhook.conf where it exists); the command line wins"},
    {.name = "check", .type = OPTION_FLAG, .argv_only = true, .commands = EVERY,
     .help = "say whether the configuration is fine, and exit; as the service sees it: sudo -u vodhook "
             "vodhook --check"},
    {.name = "dump-config", .type = OPTION_FLAG, .argv_only = true, .commands = EVERY,
     .help = "print the settings in force and where each is from, and exit"},
    {.name = "help", .type = OPTION_FLAG, .argv_only = true, .commands = EVERY,
     .help = "print this, and exit"},
    {.name = "version", .type = OPTION_FLAG, .argv_only = true, .commands = EVERY,
     .help = "print the version, and exit"},

    /* An upgrade must not stop on a configuration file that has them. */
    OPTION_RETIRED("log-body", RECEIVING, "16K of a body are shown"),
    OPTION_RETIRED("output-buffer", RECEIVING, "4M wait for a slow reader of stdout"),
    OPTION_RETIRED("inbox-min-free", RECEIVING, "a disk with less than 64M free is warned of"),
    OPTION_RETIRED("decode-memory", RECEIVING, "reading one event may take 64M"),
    {0},
};
/* clang-format on */

const struct option_row *const option_tables[] = {
    listen_options, pull_options,     reconcile_options, events_options,
    wait_options,   settings_options, shared_options,    NULL,
};
