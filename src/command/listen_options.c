/* listen_options.c: the options of vodhook listen alone, and those it once had. */
#include "command/table.h"

#include <string.h>

#include "base/parse.h"

static const char *check_address(const char *value)
{
    struct address address;
    return parse_address(value, &address) < 0 ? "is not ADDRESS:PORT, [ADDRESS]:PORT, :PORT or unix:/PATH"
                                              : NULL;
}

/* The value is a secret: the text must not need it. */
static const char *check_target(const char *value)
{
    if (value[0] != '/')
        return "the path of a URL begins with /";
    return strpbrk(value, "?# ") ? "the path of a URL ends before ?, # and white space" : NULL;
}

/* clang-format off */
const struct option_row listen_options[] = {
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

    {.name = "log-requests", .type = OPTION_COUNT, .argument = "N", .initial = "20", .least = 0,
     .most = 1000000, .commands = COMMAND_LISTEN, .heading = "Limits",
     .help = "lines a second about requests that are refused or not events, ten times as many in one burst; the "
             "others are counted"},
    {.name = "max-memory", .type = OPTION_SIZE, .argument = "BYTES", .initial = "64M", .least = OPTION_MIB,
     .most = (OPTION_MIB << 20), .commands = COMMAND_LISTEN,
     .help = "memory for bodies over 64K under way; past it the connection is closed without an answer"},
    {.name = "max-connections", .type = OPTION_COUNT, .argument = "N", .initial = "1024", .least = 1,
     .most = 1000000, .commands = COMMAND_LISTEN,
     .help = "for a new one the oldest without a complete request is closed"},
    {.name = "request-timeout", .type = OPTION_DURATION, .argument = "TIME", .initial = "10s", .least = 10,
     .most = OPTION_DAY, .commands = COMMAND_LISTEN,
     .help = "time for the request line, and again for the rest of the request"},

    /* An upgrade must not stop on a configuration file that has them. */
    OPTION_RETIRED("max-body", COMMAND_LISTEN, "a body is kept up to 8M"),
    OPTION_RETIRED("max-head", COMMAND_LISTEN, "request line and headers may take 24K"),
    OPTION_RETIRED("idle-timeout", COMMAND_LISTEN, "a kept connection is closed after 60s"),
    OPTION_RETIRED("hold-timeout", COMMAND_LISTEN, "recording an event is tried for 6s"),
    OPTION_RETIRED("when-unrecorded", COMMAND_LISTEN, "an event that cannot be recorded is not answered"),
    OPTION_RETIRED("log-requests-burst", COMMAND_LISTEN, "ten times log-requests may come in one burst"),
    OPTION_RETIRED("log-unreadable", COMMAND_LISTEN, "100 lines a second tell of unreadable events"),
    {0},
};
/* clang-format on */
