/* table.c: the one table of options: what drives the command line, the configuration file, --help and
 * --dump-config of all commands, and where every limit has its name and its default. */
#include "command/table.h"

#include <string.h>

#include "base/parse.h"
#include "cloud/endpoint.h"
#include "source/body.h"

enum {
    RECEIVING = COMMAND_LISTEN | COMMAND_PULL,
    CALLING = COMMAND_PULL | COMMAND_SETTINGS, /* the cloud's API */
    EVERY = COMMAND_LISTEN | COMMAND_PULL | COMMAND_EVENTS | COMMAND_SETTINGS,
};

#define KIB    INT64_C(1024)
#define MIB    (1024 * KIB)
#define GIB    (1024 * MIB)
#define SECOND INT64_C(1000)
#define HOUR   (3600 * SECOND)
#define DAY    (24 * HOUR)

static const char *check_address(const char *value)
{
    struct address address;
    return parse_address(value, &address) < 0 ? "is not ADDRESS:PORT, [ADDRESS]:PORT, :PORT or unix:/PATH"
                                              : NULL;
}

/* The value is a secret, so that what is wrong stands by itself. */
static const char *check_target(const char *value)
{
    if (value[0] != '/')
        return "the path of a URL begins with /";
    return strpbrk(value, "?# ") ? "the path of a URL ends before ?, # and white space" : NULL;
}

static const char *check_url(const char *value)
{
    bool http = strncmp(value, "http://", 7) == 0 || strncmp(value, "https://", 8) == 0;
    return http ? NULL : "is no URL that begins with http:// or https://";
}

static const char *check_endpoint(const char *value)
{
    struct endpoint endpoint;
    return endpoint_parse(value, &endpoint);
}

/* A row stays in a few lines. */
/* clang-format off */
const struct option_row option_table[] = {
    {.name = "listen", .type = OPTION_STRING, .argument = "ADDRESS:PORT", .initial = ":8080",
     .repeatable = true, .commands = COMMAND_LISTEN, .check = check_address, .heading = "Listening",
     .help = "accept requests there: 127.0.0.1:8080, [::1]:8080, :8080 (every address), unix:/PATH; port 0 "
             "takes a free one; not used when systemd passes sockets"},

    {.name = "path", .type = OPTION_STRING, .argument = "PATH", .secret = true, .commands = COMMAND_LISTEN,
     .check = check_target, .heading = "Who is believed",
     .help = "only requests for this secret path are VOD's; better in the configuration file or the "
             "credential 'path' than here, where every user can read it"},
    {.name = "sign-key-file", .type = OPTION_PATH, .argument = "FILE", .commands = COMMAND_LISTEN,
     .help = "check the signature of events with the key in FILE, the callback key of the VOD console; or "
             "the credential 'sign-key'"},

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
    {.name = "source", .type = OPTION_CHOICE, .choices = "push pull", .argv_only = true,
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

    {.name = "once", .type = OPTION_FLAG, .argv_only = true, .commands = COMMAND_PULL, .heading = "Pulling",
     .help = "empty the queue and exit"},
    {.name = "rate", .type = OPTION_COUNT, .argument = "N", .initial = "50", .least = 1, .most = 1000,
     .commands = COMMAND_PULL,
     .help = "at most N calls a second, pulls and confirms together; VOD allows 100 of each"},

    {.name = "endpoint", .type = OPTION_STRING, .argument = "HOST", .initial = "vod.tencentcloudapi.com",
     .commands = CALLING, .check = check_endpoint, .heading = "The cloud",
     .help = "call the API there: a host, or a URL; plain http only to this machine"},
    {.name = "sub-app-id", .type = OPTION_COUNT, .argument = "ID", .least = 1, .most = INT64_MAX,
     .commands = CALLING,
     .help = "the VOD application; accounts opened since 2023-12-25 must name one"},
    {.name = "credentials", .type = OPTION_PATH, .argument = "FILE", .commands = CALLING,
     .help = "read the API key from FILE; else from credentials of systemd or the environment"},

    {.name = "output", .type = OPTION_CHOICE, .choices = "text json", .initial = "text", .argv_only = true,
     .commands = COMMAND_SETTINGS, .heading = "Output",
     .help = "text for people, json for programs"},

    {.name = "output", .type = OPTION_CHOICE, .choices = "text json journal none", .repeatable = true,
     .commands = RECEIVING, .heading = "Output",
     .help = "where events are shown: text or json on stdout, the journal, or nowhere; text unless given, "
             "or journal when systemd connected stdout to it"},
    {.name = "log-body", .type = OPTION_SIZE, .argument = "BYTES", .initial = "16K", .least = 0,
     .most = BODY_ABANDON, .commands = RECEIVING,
     .help = "show that much of the body of a request that is no event"},
    {.name = "log-requests", .type = OPTION_COUNT, .argument = "N", .initial = "20", .least = 0,
     .most = 1000000, .commands = COMMAND_LISTEN,
     .help = "lines a second about requests that are no events; the others are counted"},
    {.name = "log-requests-burst", .type = OPTION_COUNT, .argument = "N", .initial = "200", .least = 1,
     .most = 1000000, .commands = COMMAND_LISTEN,
     .help = "the same after a quiet time, at once"},
    {.name = "log-unreadable", .type = OPTION_COUNT, .argument = "N", .initial = "100", .least = 1,
     .most = 1000000, .commands = COMMAND_LISTEN,
     .help = "lines a second about unreadable events"},
    {.name = "output-buffer", .type = OPTION_SIZE, .argument = "BYTES", .initial = "4M", .least = 64 * KIB,
     .most = GIB, .commands = RECEIVING,
     .help = "keep that much for a reader of stdout that stalls; whole lines past it are dropped and "
             "counted"},

    {.name = "inbox", .type = OPTION_PATH, .argument = "FILE|none", .commands = RECEIVING,
     .heading = "The inbox",
     .help = "record every event in this SQLite database before it is acknowledged (default "
             "$STATE_DIRECTORY/inbox.db under systemd, else ~/.local/state/vodhook/inbox.db)"},
    {.name = "inbox-keep", .type = OPTION_DURATION, .argument = "TIME", .initial = "30d", .least = SECOND,
     .most = 36500 * DAY, .commands = RECEIVING,
     .help = "keep events that long; at least 5d where events are pulled"},
    {.name = "inbox-max", .type = OPTION_SIZE, .argument = "BYTES", .initial = "4G", .least = MIB,
     .most = 1048576 * GIB, .commands = RECEIVING,
     .help = "let the oldest events go when it is larger"},
    {.name = "inbox-min-free", .type = OPTION_SIZE, .argument = "BYTES", .initial = "64M", .least = 0,
     .most = 1048576 * GIB, .commands = RECEIVING,
     .help = "warn when its disk has less free space"},
    {.name = "when-unrecorded", .type = OPTION_CHOICE, .choices = "close answer", .initial = "close",
     .commands = COMMAND_LISTEN,
     .help = "what becomes of the request of an event that could not be recorded in time: close its "
             "connection, so that VOD sends it again, or answer 200 all the same"},
    {.name = "hold-timeout", .type = OPTION_DURATION, .argument = "TIME", .initial = "6s", .least = 0,
     .most = HOUR, .commands = COMMAND_LISTEN,
     .help = "the time for that; recording is tried again every 200 ms; VOD waits 5 s"},

    {.name = "max-body", .type = OPTION_SIZE, .argument = "BYTES", .initial = "8M", .least = KIB,
     .most = BODY_ABANDON, .commands = COMMAND_LISTEN, .heading = "Limits",
     .help = "of a body; of a larger one the first 64K are kept, and it is flagged"},
    {.name = "max-memory", .type = OPTION_SIZE, .argument = "BYTES", .initial = "64M", .least = MIB,
     .most = 1024 * GIB, .commands = COMMAND_LISTEN,
     .help = "that bodies under way hold together; past it a body over 64K is cut and flagged"},
    {.name = "max-head", .type = OPTION_SIZE, .argument = "BYTES", .initial = "24K", .least = KIB,
     .most = MIB, .commands = COMMAND_LISTEN,
     .help = "of request line and headers"},
    {.name = "max-connections", .type = OPTION_COUNT, .argument = "N", .initial = "1024", .least = 1,
     .most = 1000000, .commands = COMMAND_LISTEN,
     .help = "the oldest one without a complete request is closed for a new one"},
    {.name = "request-timeout", .type = OPTION_DURATION, .argument = "TIME", .initial = "10s", .least = 10,
     .most = DAY, .commands = COMMAND_LISTEN,
     .help = "for the request line, and again for the rest of the request, however slowly it drips"},
    {.name = "idle-timeout", .type = OPTION_DURATION, .argument = "TIME", .initial = "60s", .least = 10,
     .most = DAY, .commands = COMMAND_LISTEN,
     .help = "for the next request on a kept connection"},
    {.name = "decode-memory", .type = OPTION_SIZE, .argument = "BYTES", .initial = "64M", .least = MIB,
     .most = 4 * GIB, .commands = RECEIVING,
     .help = "for reading one event"},

    {.name = "config", .type = OPTION_PATH, .argument = "FILE", .argv_only = true, .commands = EVERY,
     .heading = "General",
     .help = "read settings from FILE, lines of the form name = value with the names of these options "
             "(default /etc/vodhook.conf where it exists); the command line wins"},
    {.name = "check", .type = OPTION_FLAG, .argv_only = true, .commands = EVERY,
     .help = "say whether the configuration is fine, and exit"},
    {.name = "dump-config", .type = OPTION_FLAG, .argv_only = true, .commands = EVERY,
     .help = "print the settings in force and where each is from, and exit"},
    {.name = "help", .type = OPTION_FLAG, .argv_only = true, .commands = EVERY,
     .help = "print this, and exit"},
    {.name = "version", .type = OPTION_FLAG, .argv_only = true, .commands = EVERY,
     .help = "print the version, and exit"},
    {0},
};
/* clang-format on */
