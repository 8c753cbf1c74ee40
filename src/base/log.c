/* log.c: one write(2) a line, escaped, with a priority where systemd reads it. */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/journald.h"
#include "base/text.h"

enum { LOG_LINE_MAX = 4096 };

/* What log_init() found out; the process has one stderr, so this is a property of the process. */
static const char *log_name = "vodhook";
static bool log_priorities = false;

bool log_is_journal_stream(int fd)
{
    const char *stream = getenv("JOURNAL_STREAM");
    uintmax_t device, inode;
    struct stat st;
    if (!stream || sscanf(stream, "%ju:%ju", &device, &inode) != 2 || fstat(fd, &st) < 0)
        return false;
    return st.st_dev == device && st.st_ino == inode;
}

/* Read only: a write to it fails, as one to a closed descriptor does. */
static void take_closed_numbers(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

void log_init(const char *name)
{
    take_closed_numbers();
    log_name = name;
    log_priorities = log_is_journal_stream(STDERR_FILENO);
}

static bool log_to_journal(const char *message_id, int priority, const struct buffer *fields,
                           const struct buffer *text)
{
    const char digit[] = {(char)('0' + priority)};
    struct journald journald;
    struct buffer entry = {0};
    journald_field(&entry, "MESSAGE", buffer_slice(text));
    journald_field(&entry, "MESSAGE_ID", slice_of(message_id));
    journald_field(&entry, "PRIORITY", (struct slice){digit, 1});
    journald_field(&entry, "SYSLOG_IDENTIFIER", slice_of(log_name));
    if (fields)
        buffer_append(&entry, fields->data, fields->len);
    int r = entry.failed ? -ENOMEM : journald_init(&journald, JOURNAL_SOCKET);
    if (r >= 0) {
        r = journald_send(&journald, buffer_slice(&entry));
        journald_done(&journald);
    }
    buffer_done(&entry);
    return r >= 0;
}

static void begin_line(struct buffer *line, int priority)
{
    if (log_priorities)
        buffer_printf(line, "<%d>", priority);
    else
        buffer_printf(line, "%s: ", log_name);
}

/* A reader that stalls (2>&1 | less) must not stop the program: lines it does not take are counted. */
static void log_to_stderr(int priority, const struct buffer *text)
{
    static unsigned long dropped;
    struct buffer line = {0};
    if (poll(&(struct pollfd){.fd = STDERR_FILENO, .events = POLLOUT}, 1, 0) == 0) {
        dropped++;
        return;
    }
    if (dropped) {
        begin_line(&line, LOG_NOTICE);
        buffer_printf(&line, "%lu lines were dropped, since nobody read them\n", dropped);
        dropped = 0;
    }
    begin_line(&line, priority);
    buffer_append(&line, text->data, text->len);
    buffer_putc(&line, '\n');
    /* Nothing can be done about a stderr that does not take the line. */
    if (!line.failed && write(STDERR_FILENO, line.data, line.len) < 0)
        (void)0;
    buffer_done(&line);
}

__attribute__((format(printf, 5, 0))) static int write_message(const char *message_id, int priority,
                                                               int error, const struct buffer *fields,
                                                               const char *format, va_list ap)
{
    int saved = errno;
    if (error < 0)
        error = -error;
    char message[LOG_LINE_MAX];
    errno = error;
    int n = vsnprintf(message, sizeof message, format, ap);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof message ? (size_t)n : sizeof message - 1;

    struct buffer text = {0};
    text_escape(&text, (struct slice){message, len});
    if (!message_id || !log_priorities || !log_to_journal(message_id, priority, fields, &text))
        log_to_stderr(priority, &text);
    buffer_done(&text);
    errno = saved;
    return -error;
}

int log_message(const char *message_id, int priority, int error, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int r = write_message(message_id, priority, error, NULL, format, ap);
    va_end(ap);
    return r;
}

int log_fields(const char *message_id, int priority, const struct buffer *fields, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int r = write_message(message_id, priority, 0, fields, format, ap);
    va_end(ap);
    return r;
}
