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
    if (!path && command & (COMMAND_EVENTS | COMMAND_WAIT) && access(CONFIG_DEFAULT, R_OK) < 0 &&
        errno == EACCES)
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
    if (r >= 0 && command == COMMAND_LISTEN)
        r = read_credentials(o);
    return r >= 0 && command & (COMMAND_LISTEN | COMMAND_PULL | COMMAND_RECONCILE) ? outputs_set_defaults(o)
                                                                                   : r;
}

/* What the settings name has to be usable, too. */
static enum exit_status check_settings(enum command command, const struct options *o)
{
    cleanup(secret_done) struct secret key = {0};
    cleanup(keys_done) struct keys keys = {0};
    const char *file =
        command & (COMMAND_LISTEN | COMMAND_SETTINGS) ? options_string(o, "sign-key-file") : NULL;
    if (file && secret_read(file, &key) < 0)
        return EXIT_CONFIGURATION;
    file = command & (COMMAND_PULL | COMMAND_SETTINGS | COMMAND_RECONCILE) ? options_string(o, "credentials")
                                                                           : NULL;
    if (file && keys_read_file(file, &keys) < 0)
        return EXIT_CONFIGURATION;
    puts("The configuration is fine");
    return EXIT_DONE;
}

/* Returns whether the command is to go on; else *ret_status is set. */
static bool read_all(enum command command, int argc, char *argv[], struct options *o,
                     enum exit_status *ret_status)
{
    int operand;
    *ret_status = EXIT_USAGE;
    if (options_parse_argv(o, argc, argv, &operand) < 0)
        return false;
    bool help = options_flag(o, "help"), version = options_flag(o, "version");
    if (operand < argc && !help && !version) {
        log_error("Unexpected argument '%.64s': see --help", argv[operand]);
        return false;
    }
    *ret_status = EXIT_DONE;
    if (help)
        help_print(command, o);
    else if (version)
        puts("vodhook " VODHOOK_VERSION);
    if (help || version)
        return false;
    *ret_status = EXIT_CONFIGURATION;
    if (read_settings(command, o) < 0)
        return false;
    if (!(command & (COMMAND_LISTEN | COMMAND_PULL | COMMAND_RECONCILE)) || outputs_check(o) >= 0)
        return true;
    *ret_status = options_is_from_command_line(o, "output") ? EXIT_USAGE : EXIT_CONFIGURATION;
    return false;
}

struct options *setup(enum command command, int argc, char *argv[], enum exit_status *ret_status)
{
    cleanup(options_free_p) struct options *o = options_new(option_tables, command);
    *ret_status = EXIT_FAILED;
    if (!o)
        return log_error_errno(ENOMEM, "%m"), NULL;
    if (!read_all(command, argc, argv, o, ret_status))
        return NULL;
    bool check = options_flag(o, "check"), dump = options_flag(o, "dump-config");
    if (check)
        *ret_status = check_settings(command, o);
    else if (dump)
        options_print_config(o);
    if (dump && !check)
        *ret_status = EXIT_DONE;
    return check || dump ? NULL : steal_pointer(o);
}
