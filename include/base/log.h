/* log.h: diagnostics on stderr, from the first line on. Events do not come this way: they go to the sinks. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <syslog.h>

struct buffer;

/* Looks whether systemd reads stderr ($JOURNAL_STREAM names its device and inode): then each line begins with
 * <N>, its priority, which journald takes off again; else with "vodhook: ". Before this call the latter
 * holds. Where stdin, stdout or stderr is closed, takes its number, which else the next file opened, the
 * inbox even, would get, and with it what is written there. */
void log_init(const char *name);

/* Whether the descriptor is the stream that systemd connected to the journal, by $JOURNAL_STREAM. */
bool log_is_journal_stream(int fd);

/* Writes one line of the given syslog priority. Control characters in it come out escaped, since the
 * arguments may hold what a stranger sent. Keeps errno. If error is not 0, %m in the format is its text,
 * whatever its sign. Returns -abs(error), so that `return log_error_errno(r, "...")` forwards it.
 *
 * With a message_id, 32 hexadecimal digits, the line is one that the message catalog explains: where systemd
 * reads stderr, it becomes a journal entry with this MESSAGE_ID, unless journald does not take it. */
int log_message(const char *message_id, int priority, int error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The same with fields of journald_field(), borrowed, which the entry has besides. */
int log_fields(const char *message_id, int priority, const struct buffer *fields, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#define log_line(priority, error, ...) log_message(NULL, priority, error, __VA_ARGS__)

#define log_crit(...)                  log_line(LOG_CRIT, 0, __VA_ARGS__)
#define log_error(...)                 log_line(LOG_ERR, 0, __VA_ARGS__)
#define log_warning(...)               log_line(LOG_WARNING, 0, __VA_ARGS__)
#define log_notice(...)                log_line(LOG_NOTICE, 0, __VA_ARGS__)
#define log_info(...)                  log_line(LOG_INFO, 0, __VA_ARGS__)
#define log_crit_errno(e, ...)         log_line(LOG_CRIT, e, __VA_ARGS__)
#define log_error_errno(e, ...)        log_line(LOG_ERR, e, __VA_ARGS__)
#define log_warning_errno(e, ...)      log_line(LOG_WARNING, e, __VA_ARGS__)
