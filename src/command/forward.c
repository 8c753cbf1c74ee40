/* forward.c: vodhook forward: hands the events of the inbox on to one target. */
#include "forward.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/service.h"
#include "command/commands.h"
#include "record/message_ids.h"

static const int64_t LOOK_FOR_COMMANDS = INT64_C(500000); /* where nobody tells of them */
static const int64_t STOP_MAX = 10 * INT64_C(1000000);    /* for what is in flight */

struct forward {
    struct options *options;
    struct forward_target words;
    char name[NAME_MAX];
    struct forward_lists lists;
    struct forwarder_config config;
    char *inbox, *state_path;

    struct service *service;
    struct feed *feed;
    struct state *state;
    struct forwarder *forwarder;
    struct target *target;
    sd_event_source *commands; /* tells of commands that changed the state */
};

/* --- Running -------------------------------------------------------------------------------------------- */

static int64_t do_chores(void *userdata, int64_t now)
{
    struct forward *f = userdata;
    if (f->commands)
        return forwarder_turn(f->forwarder, now);
    forwarder_stir(f->forwarder);
    return clock_earlier(forwarder_turn(f->forwarder, now), now + LOOK_FOR_COMMANDS);
}

static void put_status(void *userdata, struct buffer *to)
{
    forwarder_status(((struct forward *)userdata)->forwarder, to);
}

static uint64_t state_number(void *userdata)
{
    return forwarder_state(((struct forward *)userdata)->forwarder);
}

static int on_stop(void *userdata)
{
    struct forward *f = userdata;
    forwarder_stop(f->forwarder, service_stop_by(f->service));
    return 0;
}

/* The forwarder keeps its own files open, so that whoever closes one of them was a command. */
static int on_command(sd_event_source *source, const struct inotify_event *event, void *userdata)
{
    (void)source;
    struct forward *f = userdata;
    const char *name = strrchr(f->state_path, '/') + 1;
    if (event->len && strncmp(event->name, name, strlen(name)) == 0)
        forwarder_stir(f->forwarder);
    return 0;
}

static int watch_commands(struct forward *f)
{
    cleanup_free char *folder = strdup(f->state_path);
    if (!folder)
        return log_error_errno(ENOMEM, "%m");
    *strrchr(folder, '/') = '\0';
    int r =
        sd_event_add_inotify(service_loop(f->service), &f->commands, folder, IN_CLOSE_WRITE, on_command, f);
    return r < 0 ? log_error_errno(r, "Failed to watch %s: %m", folder) : 0;
}

static int open_state(struct forward *f)
{
    int r = state_open(f->state_path, STATE_OWN, &f->state);
    if (r == -EBUSY)
        return log_error_errno(r,
                               "Another vodhook forward hands on to %s already: --name gives a second target "
                               "a name",
                               f->name);
    if (r >= 0 && options_flag(f->options, "paused"))
        r = state_pause(f->state, clock_now(CLOCK_REALTIME), "begun with --paused");
    return r;
}

static void print_start_line(const struct forward *f)
{
    const struct state_facts *facts = state_facts(f->state);
    char where[64] = "a new target";
    if (facts->begun)
        snprintf(where, sizeof where, "behind event %" PRId64, facts->cursor);
    if (facts->begun && options_is_from_command_line(f->options, "from"))
        log_notice("Target %s has begun already: --from is for new ones, --replay hands events on once more",
                   f->name);
    log_message(MESSAGE_STARTED, LOG_INFO, 0, "vodhook %s hands on the events of %s to %s (%s), %s",
                VODHOOK_VERSION, f->inbox, f->name, facts->target, where);
}

static int run(struct forward *f)
{
    const struct service_config service = {
        .chores = do_chores,
        .status = put_status,
        .state = state_number,
        .stop = on_stop,
        .stop_max = STOP_MAX,
        .userdata = f,
    };
    int r = service_new(&service, &f->service);
    if (r >= 0)
        r = open_state(f);
    if (r >= 0)
        r = feed_new(service_loop(f->service), f->inbox, &f->feed);
    if (r >= 0)
        r = forwarder_new(&f->config, service_loop(f->service), f->feed, f->state, &f->forwarder);
    if (r < 0)
        return EXIT_FAILED;
    struct target_context context = forwarder_context(f->forwarder);
    r = forward_target_new(f->options, &f->words, &context, &f->target);
    if (r < 0)
        return r == -EINVAL ? EXIT_CONFIGURATION : EXIT_FAILED;
    r = forwarder_use(f->forwarder, f->target);
    if (r >= 0)
        r = watch_commands(f);
    if (r < 0)
        return EXIT_FAILED;
    print_start_line(f);
    r = service_ready(f->service);
    if (r >= 0)
        r = service_serve(f->service);
    log_message(MESSAGE_STOPPED, LOG_INFO, 0, "Stopped after event %" PRId64 "; handed on so far: %" PRIu64,
                state_facts(f->state)->cursor, state_facts(f->state)->handed_on);
    return r == 0 ? EXIT_DONE : EXIT_FAILED;
}

/* --- Settings ------------------------------------------------------------------------------------------- */

/* Options may stand behind operands, but for a program, whose arguments are its own. Returns 0 or -EINVAL. */
static int read_command_line(struct forward *f, int argc, char *const argv[])
{
    struct forward_target *t = &f->words;
    bool all = false;
    for (int at = 1; at < argc; at++) {
        if (!all) {
            int operand, r = options_parse_argv(f->options, argc - at + 1, argv + at - 1, &operand);
            if (r < 0)
                return r;
            at += operand - 1;
            all = at > 1 && strcmp(argv[at - 1], "--") == 0;
        }
        if (at >= argc)
            break;
        if (t->n == FORWARD_WORDS_MAX)
            return log_error_errno(EINVAL, "There are too many arguments");
        t->words[t->n++] = argv[at];
        all |= t->n == 2 && strcmp(t->words[0], "exec") == 0;
    }
    return 0;
}

static void take_credential(struct options *o, const char *name, const char *option)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    char file[PATH_MAX];
    if (!folder || snprintf(file, sizeof file, "%s/%s", folder, name) >= (int)sizeof file ||
        access(file, F_OK) < 0)
        return;
    options_set(o, option, file, "a credential");
}

static int read_file(struct forward *f)
{
    const char *path = options_string(f->options, "config"), *name = options_string(f->options, "name");
    char of_name[PATH_MAX];
    bool given = path;
    if (!path && name) {
        snprintf(of_name, sizeof of_name, FORWARD_FOLDER "/%s.conf", name);
        path = of_name;
    }
    int r = path ? options_parse_file(f->options, path) : 0;
    if (r == -ENOENT && !given && (f->words.n || options_string(f->options, "target")))
        r = 0;
    if (r == -ENOENT)
        return log_error_errno(r, "Failed to open the configuration file %s: %m", path);
    take_credential(f->options, "sign-key", "sign-key-file");
    take_credential(f->options, "token", "token-file");
    take_credential(f->options, "client-key", "key-file");
    return r;
}

/* The target of the command line, else of the file. */
static int find_target(struct forward *f)
{
    const char *line = options_string(f->options, "target");
    const char *wrong = f->words.n || !line ? NULL : forward_target_read(line, &f->words);
    if (!f->words.n)
        return log_error_errno(
            EINVAL, "There is no target: vodhook forward http URL, exec PROGRAM, kafka BROKERS TOPIC "
                    "or none; or --name NAME with a file " FORWARD_FOLDER "/NAME.conf");
    if (!wrong)
        wrong = forward_target_check(&f->words);
    if (wrong)
        return log_error_errno(EINVAL, "The target '%s' %s: see --help", f->words.words[0], wrong);
    const char *name = options_string(f->options, "name");
    if (name)
        snprintf(f->name, sizeof f->name, "%s", name);
    else
        forward_default_name(&f->words, f->name);
    return 0;
}

static int check(struct forward *f)
{
    const struct target_context context = {.loop = service_loop(f->service)};
    int r = forward_target_new(f->options, &f->words, &context, &f->target);
    if (r < 0)
        return r == -EINVAL ? EXIT_CONFIGURATION : EXIT_FAILED;
    puts("The configuration is fine");
    r = f->target->ops->check ? f->target->ops->check(f->target) : 0;
    return r < 0 ? EXIT_FAILED : EXIT_DONE;
}

static void print_help(const struct options *o)
{
    puts("Usage: vodhook forward http URL [OPTION]...\n"
         "       vodhook forward exec [OPTION]... PROGRAM [ARG]...\n"
         "       vodhook forward kafka BROKER[,BROKER...] TOPIC [OPTION]...\n"
         "       vodhook forward none [OPTION]...\n"
         "       vodhook forward --name NAME          with " FORWARD_FOLDER "/NAME.conf\n"
         "       vodhook forward --status [NAME]\n"
         "\n"
         "Hands the recorded events on to a service, a program or a Kafka topic: each at least once, those "
         "of a\n"
         "file in order. What cannot be handed on is tried again; its place is kept beside the inbox.\n"
         "none only counts.");
    options_print_help(o);
    puts("\nvodhook-forward(1) explains everything.");
}

/* Returns whether the command is done, and its exit status. */
static bool is_over(struct forward *f, int argc, char *const argv[], int *ret)
{
    f->options = options_new((const struct option_row *const[]){forward_table, NULL}, FORWARD_COMMAND);
    *ret = EXIT_FAILED;
    if (!f->options)
        return log_error_errno(ENOMEM, "%m");
    *ret = EXIT_USAGE;
    if (read_command_line(f, argc, argv) < 0)
        return true;
    *ret = EXIT_DONE;
    if (options_flag(f->options, "help"))
        return print_help(f->options), true;
    if (options_flag(f->options, "version"))
        return puts("vodhook " VODHOOK_VERSION), true;
    if (forward_control(f->options, &f->words, ret))
        return true;
    *ret = EXIT_CONFIGURATION;
    if (read_file(f) < 0)
        return true;
    if (options_flag(f->options, "dump-config")) {
        options_print_config(f->options);
        *ret = EXIT_DONE;
        return true;
    }
    if (find_target(f) < 0) {
        *ret = options_string(f->options, "target") ? EXIT_CONFIGURATION : EXIT_USAGE;
        return true;
    }
    return false;
}

static int go_on(struct forward *f)
{
    if (options_flag(f->options, "check")) {
        const struct service_config nothing = {0};
        return service_new(&nothing, &f->service) < 0 ? EXIT_FAILED : check(f);
    }
    if (forward_config_read(f->options, &f->lists, &f->config) < 0)
        return EXIT_CONFIGURATION;
    f->inbox = forward_inbox(f->options);
    f->state_path = f->inbox ? forward_state_path(f->inbox, f->name) : NULL;
    return f->state_path ? run(f) : EXIT_CONFIGURATION;
}

enum exit_status command_forward(int argc, char *argv[])
{
    struct forward f = {0};
    int status;
    if (!is_over(&f, argc, argv, &status))
        status = go_on(&f);
    sd_event_source_disable_unref(f.commands);
    target_free(f.target);
    forwarder_free(f.forwarder);
    state_free(f.state);
    feed_free(f.feed);
    service_free(f.service);
    forward_lists_done(&f.lists);
    forward_target_done(&f.words);
    options_free(f.options);
    free(f.inbox);
    free(f.state_path);
    return status;
}
