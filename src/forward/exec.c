/* exec.c: starts a program for each event, without a shell: the event on its stdin, what it is about in its
 * environment, what it says in the journal. */
#include "forward/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/journald.h"
#include "base/log.h"

enum {
    BYTES_IN_FLIGHT = 4 * 1024 * 1024,
    LINE_MAX_BYTES = 8 * 1024, /* of the program's output; a longer one is split */
    ENVIRONMENT_MAX = 32,      /* variables that are added */
    VALUE_MAX = 32 * 1024,     /* of one of them: the kernel takes 128 KiB */
    LINES_MAX = 1000,          /* of one run that are logged */
};

static const uint64_t KILL_AFTER = 2000000; /* microseconds after SIGTERM */

struct exec;

/* A program that runs. */
struct run {
    struct exec *exec;
    const struct target_event *event; /* NULL while the place is free, or its outcome was told */
    pid_t pid;                        /* 0 while the place is free, -1 for one that did not start */
    int error;                        /* why not */
    int output;                       /* its stdout and stderr; -1 for none */
    sd_event_source *child, *output_source, *timer;
    struct buffer line;
    unsigned lines;
    char last[200]; /* line, for the error */
    bool timed_out;
    char id[96], file_id[64]; /* of the event, which may be gone before the program is */
};

struct exec {
    struct target target;
    struct exec_config config;
    char *program; /* owned: where it is */
    struct run *runs;
    struct journald journald;
    bool to_journal;
};

/* --- Output --------------------------------------------------------------------------------------------- */

static bool send_to_journal(const struct run *r, struct slice line)
{
    cleanup(buffer_done) struct buffer entry = {0};
    struct exec *x = r->exec;
    if (!x->to_journal)
        return false;
    journald_field(&entry, "MESSAGE", line);
    journald_field(&entry, "PRIORITY", slice_of("6"));
    journald_field(&entry, "SYSLOG_IDENTIFIER", slice_of("vodhook"));
    journald_field(&entry, "VOD_ID", slice_of(r->id));
    if (r->file_id[0])
        journald_field(&entry, "VOD_FILE_ID", slice_of(r->file_id));
    return !entry.failed && journald_send(&x->journald, buffer_slice(&entry)) >= 0;
}

static void put_line(struct run *r, struct slice line)
{
    if (line.len == 0)
        return;
    snprintf(r->last, sizeof r->last, "%.*s", (int)line.len, line.data);
    if (r->lines++ >= LINES_MAX) {
        if (r->lines == LINES_MAX + 1)
            log_warning("The program writes more than %d lines for event %s: the others are left out",
                        LINES_MAX, r->id);
        return;
    }
    if (!send_to_journal(r, line))
        log_info("%s: %.*s", r->id, (int)line.len, line.data);
}

static void put_lines(struct run *r, bool all)
{
    for (;;) {
        const char *end = r->line.len ? memchr(r->line.data, '\n', r->line.len) : NULL;
        size_t len = end ? (size_t)(end - r->line.data) : r->line.len;
        if (!end && !(all && len) && len < LINE_MAX_BYTES)
            return;
        put_line(r, (struct slice){r->line.data, len});
        buffer_consume(&r->line, len + (end != NULL));
    }
}

static void close_output(struct run *r)
{
    put_lines(r, true);
    r->output_source = sd_event_source_disable_unref(r->output_source);
    if (r->output >= 0)
        close(r->output);
    r->output = -1;
}

/* Returns whether there may be more. */
static bool read_output(struct run *r)
{
    char *to = buffer_reserve(&r->line, LINE_MAX_BYTES);
    ssize_t n = to ? read(r->output, to, LINE_MAX_BYTES) : 0;
    if (n < 0)
        return errno == EINTR;
    if (n == 0) {
        close_output(r);
        return false;
    }
    r->line.len += (size_t)n;
    put_lines(r, false);
    return true;
}

static int on_output(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    (void)source;
    (void)fd;
    (void)events;
    read_output(userdata);
    return 0;
}

/* --- The end of a program ------------------------------------------------------------------------------- */

static void free_run(struct run *r)
{
    close_output(r);
    r->child = sd_event_source_disable_unref(r->child);
    r->timer = sd_event_source_disable_unref(r->timer);
    buffer_reset(&r->line, LINE_MAX_BYTES);
    r->pid = 0;
    r->lines = 0;
    r->last[0] = '\0';
    r->timed_out = false;
}

static void tell_outcome(struct run *r, enum target_result result, const char *error)
{
    struct target *t = &r->exec->target;
    const struct target_event *e = r->event;
    const struct target_outcome o = {.result = result, .error = error};
    r->event = NULL;
    if (e)
        t->context.outcome(t->context.userdata, e, &o);
}

static int on_end(sd_event_source *source, const siginfo_t *info, void *userdata)
{
    (void)source;
    struct run *r = userdata;
    char error[256];
    while (r->output >= 0 && read_output(r))
        ;
    enum target_result result = TARGET_RETRY;
    bool exited = info->si_code == CLD_EXITED;
    if (r->timed_out)
        snprintf(error, sizeof error, "did not end in time");
    else if (exited)
        snprintf(error, sizeof error, "exit status %d%s%.150s", info->si_status, r->last[0] ? ": " : "",
                 r->last);
    else
        snprintf(error, sizeof error, "killed by SIG%s", sigabbrev_np(info->si_status) ?: "?");
    if (exited && !r->timed_out && info->si_status == 0)
        result = TARGET_DONE;
    else if (exited && !r->timed_out && info->si_status == EX_DATAERR)
        result = TARGET_DEAD;
    /* What it has started in its group ends with it. */
    kill(-r->pid, SIGKILL);
    free_run(r);
    tell_outcome(r, result, error);
    return 0;
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
    (void)usec;
    struct run *r = userdata;
    kill(-r->pid, r->timed_out ? SIGKILL : SIGTERM);
    r->timed_out = true;
    if (sd_event_source_set_time_relative(source, KILL_AFTER) >= 0)
        sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    return 0;
}

/* The outcome of one that did not start is told from the loop like any other. */
static int on_not_started(sd_event_source *source, void *userdata)
{
    (void)source;
    struct run *r = userdata;
    char error[256];
    snprintf(error, sizeof error, "cannot be started: %s", strerror(-r->error));
    free_run(r);
    tell_outcome(r, TARGET_RETRY, error);
    return 0;
}

/* --- The start of a program ----------------------------------------------------------------------------- */

/* A file in memory: the program reads it at its own pace, or not at all. */
static int make_input(struct slice body)
{
    int fd = memfd_create("event", MFD_CLOEXEC);
    for (size_t at = 0; fd >= 0 && at < body.len;) {
        ssize_t n = write(fd, body.data + at, body.len - at);
        if (n < 0) {
            close(fd);
            return -errno;
        }
        at += (size_t)n;
    }
    if (fd >= 0)
        lseek(fd, 0, SEEK_SET);
    return fd < 0 ? -errno : fd;
}

static bool is_ours(const char *variable)
{
    static const char *const not_passed[] = {"NOTIFY_SOCKET=", "WATCHDOG_", "LISTEN_",
                                             "CREDENTIALS_DIRECTORY="};
    if (strncmp(variable, "VOD_", 4) == 0)
        return true;
    for (size_t i = 0; i < sizeof not_passed / sizeof *not_passed; i++)
        if (strncmp(variable, not_passed[i], strlen(not_passed[i])) == 0)
            return true;
    return false;
}

/* Returns the environment, whose first *ret_n variables are owned, or NULL. */
static char **make_environment(const struct target_event *e, size_t *ret_n)
{
    size_t n_old = 0, n = 0;
    while (environ[n_old])
        n_old++;
    char **variables = calloc(n_old + ENVIRONMENT_MAX + 1, sizeof *variables);
    if (!variables)
        return NULL;
    for (size_t i = 0; i < e->n_fields && n < ENVIRONMENT_MAX - 2; i++)
        if (e->fields[i].value.len < VALUE_MAX &&
            asprintf(&variables[n], "%s=%s", e->fields[i].name.data, e->fields[i].value.data) > 0)
            n++;
    if (asprintf(&variables[n], "VOD_ATTEMPT=%u", e->attempt) > 0)
        n++;
    if (e->replay && (variables[n] = strdup("VOD_REPLAY=yes")))
        n++;
    *ret_n = n;
    for (size_t i = 0; i < n_old; i++)
        if (!is_ours(environ[i]))
            variables[n++] = environ[i];
    variables[n] = NULL;
    return variables;
}

static void free_environment(char **variables, size_t n)
{
    for (size_t i = 0; variables && i < n; i++)
        free(variables[i]);
    free(variables);
}

static int spawn(struct run *r, int input, int output, char **variables)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, output, STDERR_FILENO);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    int error = posix_spawn(&r->pid, r->exec->program, &files, &attributes,
                            (char *const *)r->exec->config.argv, variables);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    return -error;
}

static int watch(struct run *r)
{
    sd_event *loop = r->exec->target.context.loop;
    int e = sd_event_add_child(loop, &r->child, r->pid, WEXITED, on_end, r);
    if (e >= 0)
        e = sd_event_add_io(loop, &r->output_source, r->output, EPOLLIN, on_output, r);
    if (e >= 0)
        e = sd_event_add_time_relative(loop, &r->timer, CLOCK_MONOTONIC,
                                       (uint64_t)r->exec->config.timeout * 1000, 1000, on_time, r);
    return e;
}

static int start(struct run *r, const struct target_event *e)
{
    int pipe_fds[2];
    size_t n_variables = 0;
    cleanup_close int input = make_input(e->body), write_end = -1;
    if (input < 0)
        return input;
    if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    r->output = pipe_fds[0];
    write_end = pipe_fds[1];
    fcntl(write_end, F_SETFL, 0);
    char **variables = make_environment(e, &n_variables);
    int error = variables ? spawn(r, input, write_end, variables) : -ENOMEM;
    free_environment(variables, n_variables);
    if (error < 0)
        r->pid = 0;
    else if ((error = watch(r)) < 0)
        kill(-r->pid, SIGKILL);
    return error;
}

/* --- What the forwarder calls --------------------------------------------------------------------------- */

static void exec_describe(const struct target *t, struct buffer *to)
{
    buffer_printf(to, "exec %s", ((const struct exec *)t)->config.argv[0]);
}

static int exec_offer(struct target *t, const struct target_event *e)
{
    struct exec *x = (struct exec *)t;
    struct run *r = NULL;
    for (size_t i = 0; i < x->config.connections && !r; i++)
        if (!x->runs[i].pid)
            r = &x->runs[i];
    if (!r)
        return TARGET_FULL;
    snprintf(r->id, sizeof r->id, "%s", e->id);
    snprintf(r->file_id, sizeof r->file_id, "%s", e->file_id ? e->file_id : "");
    int error = start(r, e);
    if (error == -EAGAIN || error == -ENOMEM || error == -EMFILE) {
        free_run(r);
        return TARGET_FULL;
    }
    r->event = e;
    if (error >= 0)
        return 0;
    r->error = error;
    r->pid = -1;
    return sd_event_add_defer(x->target.context.loop, &r->child, on_not_started, r);
}

/* A program that is given up has its outcome now, and may still end in its own time. */
static void exec_cancel(struct target *t)
{
    struct exec *x = (struct exec *)t;
    for (size_t i = 0; i < x->config.connections; i++)
        if (x->runs[i].event) {
            if (x->runs[i].pid > 0)
                kill(-x->runs[i].pid, SIGTERM);
            tell_outcome(&x->runs[i], TARGET_RETRY, "given up");
        }
}

static int exec_check(struct target *t)
{
    printf("The program is %s\n", ((struct exec *)t)->program);
    return 0;
}

static void exec_free(struct target *t)
{
    struct exec *x = (struct exec *)t;
    for (size_t i = 0; x->runs && i < x->config.connections; i++) {
        struct run *r = &x->runs[i];
        if (r->pid > 0)
            kill(-r->pid, SIGKILL);
        r->event = NULL;
        free_run(r);
        buffer_done(&r->line);
    }
    if (x->to_journal)
        journald_done(&x->journald);
    free(x->runs);
    free(x->program);
    free(x);
}

static const struct target_ops exec_ops = {
    .name = "exec",
    .describe = exec_describe,
    .offer = exec_offer,
    .cancel = exec_cancel,
    .check = exec_check,
    .free = exec_free,
};

/* --- Life ----------------------------------------------------------------------------------------------- */

/* Looked up once, as a shell would: a program that is not there is a mistake in the configuration. */
static char *find_program(const char *name)
{
    const char *path = getenv("PATH");
    if (strchr(name, '/'))
        return access(name, X_OK) == 0 ? realpath(name, NULL) : NULL;
    for (path = path ? path : "/usr/local/bin:/usr/bin:/bin"; *path; path += strspn(path, ":")) {
        char *file = NULL;
        size_t len = strcspn(path, ":");
        if (len && asprintf(&file, "%.*s/%s", (int)len, path, name) >= 0 && access(file, X_OK) == 0)
            return file;
        free(file);
        path += len;
    }
    errno = ENOENT;
    return NULL;
}

int target_exec_new(const struct exec_config *config, const struct target_context *context,
                    struct target **ret)
{
    sigset_t child;
    cleanup(target_free_p) struct target *t = NULL;
    struct exec *x = calloc(1, sizeof *x);
    if (!x)
        return log_error_errno(ENOMEM, "%m");
    x->config = *config;
    x->target = (struct target){
        .ops = &exec_ops,
        .context = *context,
        .max_in_flight = config->connections,
        .max_bytes = BYTES_IN_FLIGHT,
        .wants_fields = true,
    };
    t = &x->target;
    x->runs = calloc(config->connections, sizeof *x->runs);
    if (!x->runs)
        return log_error_errno(ENOMEM, "%m");
    for (size_t i = 0; i < config->connections; i++) {
        x->runs[i].exec = x;
        x->runs[i].output = -1;
    }
    x->program = find_program(config->argv[0]);
    if (!x->program)
        return log_error_errno(EINVAL, "Failed to find the program %s: %s", config->argv[0], strerror(errno));
    x->to_journal = log_is_journal_stream(STDERR_FILENO) && journald_init(&x->journald, JOURNAL_SOCKET) >= 0;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    *ret = steal_pointer(t);
    return 0;
}
