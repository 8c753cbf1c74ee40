/* external.h: commands that are a program of their own. */
#pragma once

#include "command/commands.h"

/* Becomes vodhook-cloud or vodhook-forward with the same arguments, argv[0] being the command's name: the one beside this
 * program, as in the folder it was built in, else the one that was installed. Returns only
 * when it cannot be started, which is said. */
enum exit_status command_external(int argc, char *argv[]);
