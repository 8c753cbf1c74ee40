/* pager.c: puts a pager between the output and a terminal, as journalctl does. */
#include "pager.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Runs the pager in $1; where that is missing, one that most machines have. */
static const char RUN_PAGER[] = "[ -z \"$1\" ] || ! command -v ${1%% *} >/dev/null || exec $1\n"
                                "for pager in pager less more; do\n"
                                "    ! command -v $pager >/dev/null || exec $pager\n"
                                "done\n"
                                "exec cat";

static pid_t pager;

/* less: quit where all fits on a screen, keep colors, do not fold lines, verbose prompt, leave the screen, end on ^C. */
static void run_pager(const char *command)
{
    const char *less = getenv("SYSTEMD_LESS");
    setenv("LESS", less ? less : "FRSXMK", 1);
    if (getenv("SUDO_UID"))
        setenv("LESSSECURE", "1", 1); /* under sudo less opens no shell and no other files */
    execl("/bin/sh", "sh", "-c", RUN_PAGER, "pager", command ? command : "", (char *)NULL);
    _exit(EXIT_FAILURE);
}

void pager_open(void)
{
    const char *command = getenv("SYSTEMD_PAGER");
    if (!command)
        command = getenv("PAGER");
    if (!isatty(STDOUT_FILENO) || (command && (!*command || strcmp(command, "cat") == 0)))
        return;
    int pipes[2];
    if (pipe2(pipes, O_CLOEXEC) < 0)
        return;
    cleanup_close int out = pipes[0], in = pipes[1];
    pid_t pid = fork();
    if (pid == 0) {
        if (dup2(out, STDIN_FILENO) >= 0)
            run_pager(command);
        _exit(EXIT_FAILURE);
    }
    if (pid < 0)
        return;
    pager = pid;
    /* ^C is for the pager; once it has ended, a write fails. */
    signal(SIGINT, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    dup2(in, STDOUT_FILENO);
}

void pager_close(void)
{
    if (pager <= 0)
        return;
    close(STDOUT_FILENO);
    while (waitpid(pager, NULL, 0) < 0)
        ;
    pager = 0;
}
