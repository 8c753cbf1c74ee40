/* commands.h: the subcommands. Each takes its own argv, argv[0] being its name. */
#pragma once

enum exit_status {
    EXIT_DONE = 0,   /* or stopped by a signal */
    EXIT_FAILED = 1, /* systemd starts the service again */
    EXIT_USAGE = 2,
    EXIT_UNKNOWN = 69,       /* where 0 and 1 are answers, and there is none */
    EXIT_TIMEOUT = 124,      /* as timeout(1) */
    EXIT_CONFIGURATION = 78, /* somebody has to change something before a new start is of use */
};

enum exit_status command_listen(int argc, char *argv[]);
enum exit_status command_events(int argc, char *argv[]);
enum exit_status command_wait(int argc, char *argv[]);
enum exit_status command_pull(int argc, char *argv[]);      /* in vodhook-cloud */
enum exit_status command_settings(int argc, char *argv[]);  /* in vodhook-cloud */
enum exit_status command_reconcile(int argc, char *argv[]); /* in vodhook-cloud */
enum exit_status command_forward(int argc, char *argv[]);   /* in vodhook-forward */
