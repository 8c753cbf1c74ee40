/* commands.h: the subcommands. Each takes its own argv, argv[0] being its name, and returns the exit status:
 * 0, 1 for a failure, 2 for usage, 78 for configuration. */
#pragma once

enum { EXIT_USAGE = 2, EXIT_CONFIGURATION = 78 };

int command_listen(int argc, char *argv[]);
int command_events(int argc, char *argv[]);
int command_pull(int argc, char *argv[]);     /* in vodhook-cloud */
int command_settings(int argc, char *argv[]); /* in vodhook-cloud */
int command_forward(int argc, char *argv[]);  /* in vodhook-forward */
