/* forward_options.c: the options of vodhook forward, and what they mean to a forwarder. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/time_parse.h"
#include "command/outputs.h"
#include "command/setup.h"
#include "event/digest.h"
#include "forward.h"
#include "forward/http.h"
#include "forward/kafka.h"

#define SERVICE_INBOX "/var/lib/vodhook/inbox.db"

#define SECOND        INT64_C(1000)
#define HOUR          (3600 * SECOND)

static const char *check_target(const char *value)
{
    struct forward_target t = {0};
    const char *wrong = forward_target_read(value, &t);
    if (!wrong)
        wrong = forward_target_check(&t);
    forward_target_done(&t);
    return wrong;
}

static const char *check_name(const char *value)
{
    size_t len = strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
    return value[len] || len == 0 || len > 128 || value[0] == '.'
               ? "has other characters than A-Z a-z 0-9 . _ -"
               : NULL;
}

static const char *check_retry(const char *value)
{
    struct retry retry;
    return retry_parse(value, &retry) < 0 ? "is no list of times such as 5s,5m,2h" : NULL;
}

static const char *check_from(const char *value)
{
    int64_t number;
    if (strcmp(value, "start") == 0 || strcmp(value, "now") == 0 || parse_count(value, &number) >= 0 ||
        parse_time(value, clock_now(CLOCK_REALTIME), &number) >= 0 ||
        strspn(value, "0123456789abcdef") == 2 * DIGEST_SIZE)
        return NULL;
    return "is neither start, now, a time nor an event's id";
}

#define NAME_OF_TARGET .type = OPTION_STRING, .argument = "NAME", .argv_only = true, .check = check_name

/* A row stays in a few lines. */
/* clang-format off */
const struct option_row forward_table[] = {
    {.name = "name", .type = OPTION_STRING, .argument = "NAME", .argv_only = true, .commands = FORWARD_COMMAND,
     .check = check_name, .heading = "The target",
     .help = "call the target that; its settings are read from " FORWARD_FOLDER "/NAME.conf where that is there "
             "(default: from the target)"},
    {.name = "target", .type = OPTION_STRING, .argument = "TARGET", .commands = FORWARD_COMMAND,
     .check = check_target,
     .help = "in a file, what else stands on the command line: http URL, exec PROGRAM ARG..., kafka BROKERS TOPIC "
             "or none"},
    {.name = "inbox", .type = OPTION_PATH, .argument = "FILE", .commands = FORWARD_COMMAND,
     .help = "read this inbox (default: that of the service, else ~/.local/state/vodhook/inbox.db)"},
    {.name = "from", .type = OPTION_STRING, .argument = "WHERE", .initial = "now", .commands = FORWARD_COMMAND,
     .check = check_from,
     .help = "begin a new target there: start, now, a time such as 2026-11-24T03:00 or -2h, or an event's id"},

    {.name = "type", .type = OPTION_STRING, .argument = "TYPE", .repeatable = true, .commands = FORWARD_COMMAND,
     .heading = "Which events", .help = "only of this type, such as NewFileUpload"},
    {.name = "result", .type = OPTION_CHOICE, .choices = "ok failed pending unknown", .repeatable = true,
     .commands = FORWARD_COMMAND, .help = "only with this result"},
    {.name = "file-id", .type = OPTION_STRING, .argument = "ID", .repeatable = true, .commands = FORWARD_COMMAND,
     .help = "only of this file"},
    {.name = "source", .type = OPTION_CHOICE, .choices = "push pull reconcile", .repeatable = true,
     .commands = FORWARD_COMMAND, .help = "only those that came this way"},
    {.name = "trust", .type = OPTION_CHOICE, .choices = "verified unchecked refused", .repeatable = true,
     .commands = FORWARD_COMMAND, .help = "only those that are believed so far (default: all but refused)"},

    {.name = "format", .type = OPTION_CHOICE, .choices = "1 raw cloudevents", .initial = "1",
     .commands = FORWARD_COMMAND, .heading = "How",
     .help = "as one JSON object with the result worked out, as VOD sent it, or as a CloudEvent"},
    {.name = "cloudevents", .type = OPTION_CHOICE, .choices = "binary structured", .initial = "binary",
     .commands = FORWARD_COMMAND, .help = "the attributes of a CloudEvent in headers or in the body"},
    {.name = "connections", .type = OPTION_COUNT, .argument = "N", .initial = "8", .least = 1, .most = 256,
     .commands = FORWARD_COMMAND, .help = "events in flight at a time: connections of http, programs of exec"},
    {.name = "timeout", .type = OPTION_DURATION, .argument = "TIME", .initial = "15s", .least = 10,
     .most = HOUR, .commands = FORWARD_COMMAND, .help = "for one attempt"},
    {.name = "retry", .type = OPTION_STRING, .argument = "TIMES", .initial = RETRY_DEFAULT,
     .commands = FORWARD_COMMAND, .check = check_retry,
     .help = "try again after these times, each longer by up to a tenth; then the event is a dead letter"},
    {.name = "lanes-held", .type = OPTION_COUNT, .argument = "N", .initial = "10000", .least = 1,
     .most = 1000000, .commands = FORWARD_COMMAND,
     .help = "when so many files and tasks wait for a retry, the target as a whole waits"},
    {.name = "sign-key-file", .type = OPTION_PATH, .argument = "FILE", .commands = FORWARD_COMMAND,
     .help = "http: sign with the keys in FILE, one or two lines whsec_...; or the credential 'sign-key'"},
    {.name = "header", .type = OPTION_STRING, .argument = "'NAME: VALUE'", .repeatable = true,
     .commands = FORWARD_COMMAND, .check = http_check_header, .help = "http: send this header, too"},
    {.name = "token-file", .type = OPTION_PATH, .argument = "FILE", .commands = FORWARD_COMMAND,
     .help = "http: send the bearer token in FILE; or the credential 'token'"},
    {.name = "ca-file", .type = OPTION_PATH, .argument = "FILE", .commands = FORWARD_COMMAND,
     .help = "http: trust these certificate authorities instead of the system's"},
    {.name = "cert-file", .type = OPTION_PATH, .argument = "FILE", .commands = FORWARD_COMMAND,
     .help = "http: show this client certificate (PEM)"},
    {.name = "key-file", .type = OPTION_PATH, .argument = "FILE", .commands = FORWARD_COMMAND,
     .help = "http: the key of the client certificate; or the credential 'client-key'"},
    {.name = "set", .type = OPTION_STRING, .argument = "NAME=VALUE", .repeatable = true,
     .commands = FORWARD_COMMAND, .check = kafka_setting_error, .help = "kafka: set this property of librdkafka"},
    {.name = "set-file", .type = OPTION_STRING, .argument = "NAME=FILE", .repeatable = true,
     .commands = FORWARD_COMMAND, .check = kafka_setting_file_error,
     .help = "kafka: the same, with the value in FILE, as for a password"},
    {.name = "once", .type = OPTION_FLAG, .argv_only = true, .commands = FORWARD_COMMAND,
     .help = "hand on what is there, and exit"},
    {.name = "paused", .type = OPTION_FLAG, .argv_only = true, .commands = FORWARD_COMMAND,
     .help = "begin paused"},

    {.name = "status", .type = OPTION_FLAG, .argv_only = true, .commands = FORWARD_COMMAND,
     .heading = "Looking at targets and changing them, also while they run",
     .help = "say how the targets are, or the one that is named"},
    {.name = "output", .type = OPTION_CHOICE, .choices = "text json", .initial = "text", .argv_only = true,
     .commands = FORWARD_COMMAND, .help = "of --status, --dead and --dry-run: for people or for programs"},
    {.name = "pause", NAME_OF_TARGET, .commands = FORWARD_COMMAND,
     .help = "hand nothing on until --resume; the target keeps its place"},
    {.name = "resume", NAME_OF_TARGET, .commands = FORWARD_COMMAND, .help = "go on"},
    {.name = "dead", NAME_OF_TARGET, .commands = FORWARD_COMMAND, .help = "list the dead letters"},
    {.name = "retry-dead", NAME_OF_TARGET, .commands = FORWARD_COMMAND,
     .help = "hand dead letters on again: those whose ids follow, else all"},
    {.name = "drop-dead", NAME_OF_TARGET, .commands = FORWARD_COMMAND,
     .help = "forget the dead letters whose ids follow"},
    {.name = "yes", .type = OPTION_FLAG, .argv_only = true, .commands = FORWARD_COMMAND,
     .help = "drop them without asking"},
    {.name = "replay", NAME_OF_TARGET, .commands = FORWARD_COMMAND,
     .help = "hand recorded events on once more: those whose ids follow, or that the filters choose"},
    {.name = "since", .type = OPTION_STRING, .argument = "TIME", .argv_only = true, .commands = FORWARD_COMMAND,
     .help = "replay what was received then or later"},
    {.name = "until", .type = OPTION_STRING, .argument = "TIME", .argv_only = true, .commands = FORWARD_COMMAND,
     .help = "replay what was received before"},
    {.name = "dry-run", .type = OPTION_FLAG, .argv_only = true, .commands = FORWARD_COMMAND,
     .help = "say which events a replay would hand on"},

    {.name = "config", .type = OPTION_PATH, .argument = "FILE", .argv_only = true, .commands = FORWARD_COMMAND,
     .heading = "General",
     .help = "read settings from FILE instead, lines of the form name = value with the names of these options"},
    {.name = "check", .type = OPTION_FLAG, .argv_only = true, .commands = FORWARD_COMMAND,
     .help = "say whether the configuration is fine and the target answers, and exit"},
    {.name = "dump-config", .type = OPTION_FLAG, .argv_only = true, .commands = FORWARD_COMMAND,
     .help = "print the settings in force and where each is from, and exit"},
    {.name = "help", .type = OPTION_FLAG, .argv_only = true, .commands = FORWARD_COMMAND,
     .help = "print this, and exit"},
    {.name = "version", .type = OPTION_FLAG, .argv_only = true, .commands = FORWARD_COMMAND,
     .help = "print the version, and exit"},
    {0},
};
/* clang-format on */

/* --- What they mean ------------------------------------------------------------------------------------- */

static int read_list(const struct options *o, const char *name, const char ***ret_list,
                     struct forward_choice *ret)
{
    size_t n = options_count(o, name);
    free(*ret_list);
    *ret_list = calloc(n + 1, sizeof **ret_list);
    if (!*ret_list)
        return log_error_errno(ENOMEM, "%m");
    for (size_t i = 0; i < n; i++)
        (*ret_list)[i] = options_nth(o, name, i);
    *ret = (struct forward_choice){*ret_list, n};
    return 0;
}

int forward_filter_read(const struct options *o, struct forward_lists *lists, struct forward_filter *ret)
{
    int r = read_list(o, "type", &lists->types, &ret->types);
    if (r >= 0)
        r = read_list(o, "result", &lists->results, &ret->results);
    if (r >= 0)
        r = read_list(o, "file-id", &lists->file_ids, &ret->file_ids);
    if (r >= 0)
        r = read_list(o, "source", &lists->sources, &ret->sources);
    return r < 0 ? r : read_list(o, "trust", &lists->trusts, &ret->trusts);
}

void forward_lists_done(struct forward_lists *lists)
{
    free(lists->types);
    free(lists->results);
    free(lists->file_ids);
    free(lists->sources);
    free(lists->trusts);
    *lists = (struct forward_lists){0};
}

/* An id of an event is as long as a digest; a shorter number is a row of the inbox. */
static void read_from(const char *text, struct forwarder_config *ret)
{
    if (strcmp(text, "now") == 0)
        ret->from = FROM_NOW;
    else if (strcmp(text, "start") == 0)
        ret->from = FROM_START;
    else if (strspn(text, "0123456789abcdef") == 2 * DIGEST_SIZE) {
        ret->from = FROM_ID;
        ret->from_id = text;
    } else if (parse_count(text, &ret->from_value) >= 0)
        ret->from = FROM_ROW;
    else if (parse_time(text, clock_now(CLOCK_REALTIME), &ret->from_value) >= 0)
        ret->from = FROM_TIME;
}

int forward_config_read(const struct options *o, struct forward_lists *lists, struct forwarder_config *ret)
{
    const char *format = options_string(o, "format");
    bool structured = strcmp(options_string(o, "cloudevents"), "structured") == 0;
    *ret = (struct forwarder_config){
        .lanes_held = options_number(o, "lanes-held"),
        .once = options_flag(o, "once"),
        .format = strcmp(format, "raw") == 0 ? FORWARD_RAW
                  : strcmp(format, "1") == 0 ? FORWARD_V1
                  : structured               ? FORWARD_CLOUDEVENTS_STRUCTURED
                                             : FORWARD_CLOUDEVENTS,
    };
    retry_parse(options_string(o, "retry"), &ret->retry);
    read_from(options_string(o, "from"), ret);
    return forward_filter_read(o, lists, &ret->filter);
}

/* --- Where things are ----------------------------------------------------------------------------------- */

/* What the receivers were told, in their own file. */
static char *inbox_of_receivers(void)
{
    cleanup(options_free_p) struct options *o = options_new(option_tables, COMMAND_EVENTS);
    if (!o || access(CONFIG_DEFAULT, R_OK) < 0 || options_parse_file(o, CONFIG_DEFAULT) < 0)
        return NULL;
    const char *inbox = options_string(o, "inbox");
    return inbox ? strdup(inbox) : NULL;
}

/* Who may not look into its folder does not see whether it is there. */
char *forward_inbox(const struct options *o)
{
    const char *given = options_string(o, "inbox");
    char *path = given ? strdup(given) : inbox_of_receivers();
    if (!path && !getenv("STATE_DIRECTORY") && (access(SERVICE_INBOX, F_OK) == 0 || errno == EACCES))
        path = strdup(SERVICE_INBOX);
    if (!path)
        path = outputs_inbox_default();
    if (path && strcmp(path, "none") == 0) {
        free(path);
        path = NULL;
    }
    if (!path)
        log_error("There is no inbox to hand on: --inbox FILE names one");
    return path;
}

char *forward_state_path(const char *inbox, const char *name)
{
    const char *slash = strrchr(inbox, '/');
    char *path = NULL;
    int n = asprintf(&path, "%.*sforward/%s.db", slash ? (int)(slash + 1 - inbox) : 0, inbox, name);
    return n < 0 ? NULL : path;
}
