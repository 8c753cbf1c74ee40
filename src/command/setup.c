/* setup.c: what every command does before its own work. */
#include "command/setup.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/secret.h"
#include "command/commands.h"
#include "command/help.h"
#include "command/keys.h"
#include "command/outputs.h"

static int read_config(enum command command, struct options *o)
{
    const char *path = options_string(o, "config");
    /* The file of the service may hold secrets; who may not read it may still look into an inbox. */
    if (!path && command == COMMAND_EVENTS && access(CONFIG_DEFAULT, R_OK) < 0 && errno == EACCES)
        return 0;
    int r = options_parse_file(o, path ? path : CONFIG_DEFAULT);
    if (r != -ENOENT)
        return r;
    return path ? log_error_errno(r, "Failed to open the configuration file %s: %m", path) : 0;
}

/* Writes the name of the credential's file. Returns whether systemd passed it. */
static bool find_credential(const char *name, char *ret_path, size_t size)
{
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    if (!directory)
        return false;
    int n = snprintf(ret_path, size, "%s/%s", directory, name);
    return n > 0 && (size_t)n < size && access(ret_path, F_OK) == 0;
}

static int read_credentials(struct options *o)
{
    char file[PATH_MAX];
    cleanup(secret_done) struct secret path = {0};
    if (find_credential("path", file, sizeof file)) {
        int r = secret_read(file, &path);
        if (r < 0)
            return r;
        if (strlen(path.data) != path.len)
            return log_error_errno(EINVAL, "The credential path has a NUL byte in it");
        r = options_set(o, "path", path.data, "credential path");
        if (r < 0)
            return r;
    }
    if (find_credential("sign-key", file, sizeof file))
        return options_set(o, "sign-key-file", file, "credential sign-key");
    return 0;
}

static int read_settings(enum command command, struct options *o)
{
    int r = read_config(command, o);
    return r >= 0 && command == COMMAND_LISTEN ? read_credentials(o) : r;
}

/* Returns SETUP_GO_ON, or the exit status. */
static int check_outputs(enum command command, const struct options *o)
{
    if (!(command & (COMMAND_LISTEN | COMMAND_PULL)) || outputs_check(o) >= 0)
        return SETUP_GO_ON;
    return options_is_from_command_line(o, "output") ? EXIT_USAGE : EXIT_CONFIGURATION;
}

/* What the settings name has to be usable, too. */
static int check_settings(enum command command, const struct options *o)
{
    cleanup(secret_done) struct secret key = {0};
    cleanup(keys_done) struct keys keys = {0};
    const char *file =
        command & (COMMAND_LISTEN | COMMAND_SETTINGS) ? options_string(o, "sign-key-file") : NULL;
    if (file && secret_read(file, &key) < 0)
        return EXIT_CONFIGURATION;
    file = command & (COMMAND_PULL | COMMAND_SETTINGS) ? options_string(o, "credentials") : NULL;
    if (file && keys_read_file(file, &keys) < 0)
        return EXIT_CONFIGURATION;
    int r = check_outputs(command, o);
    if (r != SETUP_GO_ON)
        return r;
    puts("The configuration is fine");
    return EXIT_SUCCESS;
}

/* Returns an exit status, or SETUP_GO_ON when the settings are needed. */
static int read_command_line(enum command command, int argc, char *argv[], struct options *o)
{
    int operand;
    int r = options_parse_argv(o, argc, argv, &operand);
    if (r < 0)
        return r == -EINVAL ? EXIT_USAGE : EXIT_FAILURE;
    if (options_flag(o, "help")) {
        help_print(command, o);
        return EXIT_SUCCESS;
    }
    if (options_flag(o, "version")) {
        puts("vodhook " VODHOOK_VERSION);
        return EXIT_SUCCESS;
    }
    if (operand < argc) {
        log_error("'%.64s' is one argument too many: see --help", argv[operand]);
        return EXIT_USAGE;
    }
    return SETUP_GO_ON;
}

int setup(enum command command, int argc, char *argv[], struct options **ret)
{
    cleanup(options_free_p) struct options *o = options_new(option_table, command);
    if (!o) {
        log_error_errno(ENOMEM, "%m");
        return EXIT_FAILURE;
    }
    int r = read_command_line(command, argc, argv, o);
    if (r != SETUP_GO_ON)
        return r;
    r = read_settings(command, o);
    if (r < 0)
        return r == -ENOMEM ? EXIT_FAILURE : EXIT_CONFIGURATION;
    if (options_flag(o, "check"))
        return check_settings(command, o);
    if (options_flag(o, "dump-config")) {
        options_print_config(o);
        return EXIT_SUCCESS;
    }
    r = check_outputs(command, o);
    if (r != SETUP_GO_ON)
        return r;
    *ret = steal_pointer(o);
    return SETUP_GO_ON;
}
