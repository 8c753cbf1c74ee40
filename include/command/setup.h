/* setup.h: what every command does before its own work: read its settings, and serve --help, --version,
 * --check and --dump-config. */
#pragma once

#include "command/commands.h"
#include "command/table.h"

#define CONFIG_DEFAULT "/etc/vodhook.conf"

/* Reads the settings from command line, configuration file and, for listen, the credentials `path` and
 * `sign-key`. Returns them, owned; or NULL and the exit status when the command is done: it was asked for its help,
 * or a mistake has been reported. */
struct options *setup(enum command command, int argc, char *argv[], enum exit_status *ret_status);
