/* setup.h: what every command does before its own work: read its settings, and serve --help, --version,
 * --check and --dump-config. */
#pragma once

#include "command/table.h"

#define CONFIG_DEFAULT "/etc/vodhook.conf"

enum { SETUP_GO_ON = -1 };

/* Reads the settings from command line, configuration file and, for listen, the credentials `path` and
 * `sign-key`. Returns SETUP_GO_ON and the settings, owned; or an exit status when the command is done: 0, 2
 * for usage, 78 for configuration, everything having been said. */
int setup(enum command command, int argc, char *argv[], struct options **ret);
