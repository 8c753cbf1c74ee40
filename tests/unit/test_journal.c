/* test_journal.c: what a real journald has of a record, and what becomes of records while it is busy or away.
 * Runs itself beside a journald of its own; skips where that takes rights it does not have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <systemd/sd-journal.h>

#include "base/journald.h"
#include "base/log.h"
#include "record/journal.h"
#include "record/message_ids.h"
#include "records.h"

enum { LOG_BODY = 16, DEADLINE = 60 * 1000 * 1000 };

static struct json json;
static sd_journal *journal;
static struct sink *sink;
static bool inside; /* beside a journald of its own */

/* --- The journald beside this test ------------------------------------------------------------------- */

static pid_t journald_pid(void)
{
    int pid = 0;
    FILE *f = fopen("/run/journald.pid", "re");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%d", &pid), 1);
    fclose(f);
    return pid;
}

static void journald_signal(int number)
{
    pid_t pid = journald_pid();
    assert_int_equal(kill(pid, number), 0);
    if (number != SIGSTOP)
        return;
    /* The signal has done its work when the process is stopped. */
    char path[32], state = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    while (state != 'T') {
        FILE *f = fopen(path, "re");
        assert_non_null(f);
        assert_int_equal(fscanf(f, "%*d %*s %c", &state), 1);
        fclose(f);
    }
}

static void journald_kill(void)
{
    journald_signal(SIGKILL);
    struct journald probe;
    assert_int_equal(journald_init(&probe, JOURNAL_SOCKET), 0);
    while (journald_send(&probe, slice_of("TEST=probe\n")) != -ECONNREFUSED)
        ;
    journald_done(&probe);
}

static void journald_start(void)
{
    assert_int_equal(system(FIXTURES "/../journald-run --start"), 0);
}

/* --- Reading ----------------------------------------------------------------------------------------- */

static void need_journald(void)
{
    if (!inside)
        skip();
}

/* From here on only entries with the tag count. */
static void start(const char *tag, bool required)
{
    char match[64];
    need_journald();
    assert_int_equal(sink_journal_new(LOG_BODY, required, &sink), 0);
    assert_int_equal(sd_journal_open(&journal, SD_JOURNAL_LOCAL_ONLY), 0);
    sd_journal_set_data_threshold(journal, 0);
    snprintf(match, sizeof match, "VOD_REMOTE=%s", tag);
    assert_int_equal(sd_journal_add_match(journal, match, 0), 0);
}

static int stop(void **state)
{
    (void)state;
    sink = sink_free(sink);
    sd_journal_close(journal);
    journal = NULL;
    stderr_end();
    return 0;
}

static int count_entries(void)
{
    int n = 0;
    sd_journal_seek_head(journal);
    while (sd_journal_next(journal) > 0)
        n++;
    return n;
}

/* Waits until there are n entries, and sees that no more come with what was sent before an entry of our own.
 */
static void assert_entries(int n)
{
    for (int waited = 0; count_entries() < n && waited < DEADLINE; waited += 100000)
        sd_journal_wait(journal, 100000);
    assert_int_equal(system("journalctl --sync"), 0);
    sd_journal_process(journal);
    assert_int_equal(count_entries(), n);
}

/* The field of the last entry, as a string, without its name; NULL where it has none. */
static const char *field(const char *name, size_t *ret_len)
{
    static char *value;
    const void *data;
    size_t len, skip = strlen(name) + 1;
    sd_journal_seek_tail(journal);
    assert_int_equal(sd_journal_previous(journal), 1);
    if (sd_journal_get_data(journal, name, &data, &len) < 0)
        return NULL;
    free(value);
    value = calloc(1, len - skip + 1);
    memcpy(value, (const char *)data + skip, len - skip);
    if (ret_len)
        *ret_len = len - skip;
    return value;
}

#define assert_field(name, expected) assert_string_equal(field(name, NULL), expected)
#define assert_no_field(name)        assert_null(field(name, NULL))

static int put(struct record r, const char *tag)
{
    r.remote = tag;
    r.summary = slice_of("the summary");
    return sink->ops->put(sink, &r);
}

static struct record small_event(const struct event *event)
{
    return event_record(event, &json, slice_of("{\"EventType\":\"X\"}"));
}

/* --- Fields ------------------------------------------------------------------------------------------ */

static void test_event(void **state)
{
    (void)state;
    const char *const files[] = {"53", "54"};
    const struct event event = {
        .type = "ProcedureStateChanged",
        .file_ids = files,
        .n_file_ids = 2,
        .task_id = "125-procedure-1",
        .name = "\xe5\x8b\x95\nx",
        .status = "FINISH",
        .result = RESULT_FAILED,
        .err_code = "70000",
        .sub_app_id = "1500000001",
    };
    const char body[] = "\xef\xbb\xbf{\"a\" :\n\"\xff\0\",\"Sign\" : \"secret\"}\n";
    const char kept[] = "\xef\xbb\xbf{\"a\" :\n\"\xff\0\",\"Sign\" : \"***\"}\n";
    start("event", true);
    struct record r = event_record(&event, &json, (struct slice){body, sizeof body - 1});
    r.duplicate = true;
    assert_int_equal(put(r, "event"), 0);
    assert_entries(1);
    assert_field("MESSAGE", "the summary");
    assert_field("MESSAGE_ID", MESSAGE_EVENT_FAILED);
    assert_field("PRIORITY", "4");
    assert_field("SYSLOG_IDENTIFIER", "vodhook");
    assert_field("VOD_EVENT_TYPE", "ProcedureStateChanged");
    assert_field("VOD_TASK_ID", "125-procedure-1");
    assert_field("VOD_STATUS", "FINISH");
    assert_field("VOD_RESULT", "failed");
    assert_field("VOD_ERR_CODE", "70000");
    assert_field("VOD_NAME", "\xe5\x8b\x95\nx");
    assert_field("VOD_SUB_APP_ID", "1500000001");
    assert_field("VOD_SOURCE", "push");
    assert_field("VOD_TRUST", "unchecked");
    assert_field("VOD_DUPLICATE", "yes");
    assert_no_field("VOD_REASON");
    assert_no_field("VOD_FILE_ID_COUNT");
    assert_no_field("VOD_BODY");
    size_t len;
    const char *event_json = field("VOD_EVENT", &len);
    assert_int_equal(len, sizeof kept - 1);
    assert_memory_equal(event_json, kept, len);
    for (size_t i = 0; i < 2; i++) {
        char match[32];
        snprintf(match, sizeof match, "VOD_FILE_ID=%s", files[i]);
        sd_journal_add_match(journal, match, 0);
        assert_int_equal(count_entries(), 1);
    }
}

static void test_priorities(void **state)
{
    (void)state;
    struct event event = {.type = "X", .result = RESULT_OK};
    struct record r = small_event(&event);
    start("priorities", true);
    assert_int_equal(put(r, "priorities"), 0);
    assert_entries(1);
    assert_field("MESSAGE_ID", MESSAGE_EVENT);
    assert_field("PRIORITY", "6");
    assert_no_field("VOD_RECORDED");
    assert_no_field("VOD_DUPLICATE");
    assert_no_field("VOD_FILE_ID");

    r.unrecorded = true;
    assert_int_equal(put(r, "priorities"), 0);
    assert_entries(2);
    assert_field("MESSAGE_ID", MESSAGE_EVENT_HELD);
    assert_field("PRIORITY", "4");
    assert_field("VOD_RECORDED", "no");
    assert_field("VOD_EVENT_TYPE", "X");

    r.unrecorded = false;
    event.result = RESULT_FAILED;
    r.trust = TRUST_REFUSED;
    r.reason = "no Sign";
    assert_int_equal(put(r, "priorities"), 0);
    assert_entries(3);
    assert_field("MESSAGE_ID", MESSAGE_EVENT_REFUSED);
    assert_field("PRIORITY", "5");
    assert_field("VOD_TRUST", "refused");
    assert_field("VOD_REASON", "no Sign");

    r = request_record("GET", "/", (struct slice){0});
    r.trust = TRUST_REFUSED;
    assert_int_equal(put(r, "priorities"), 0);
    assert_entries(4);
    assert_field("MESSAGE_ID", MESSAGE_REQUEST);
    assert_field("PRIORITY", "5");
}

static void test_requests(void **state)
{
    (void)state;
    const struct header headers[] = {{slice_of("Host"), slice_of("a")}, {slice_of("X"), slice_of("b")}};
    struct record r = request_record("POST", "/x?y", slice_of("{\"Sign\":\"abcde\",\"more\""));
    r.headers = headers;
    r.n_headers = 2;
    start("requests", true);
    assert_int_equal(put(r, "requests"), 0);
    assert_entries(1);
    assert_field("MESSAGE_ID", MESSAGE_REQUEST);
    assert_field("PRIORITY", "6");
    assert_field("VOD_METHOD", "POST");
    assert_field("VOD_TARGET", "/x?y");
    assert_field("VOD_HEADERS", "Host: a\nX: b\n");
    assert_field("VOD_BODY", "{\"Sign\":\"***\",");
    assert_field("VOD_BODY_BYTES", "22");
    assert_no_field("VOD_EVENT");

    r.unreadable = true;
    r.reason = "why";
    assert_int_equal(put(r, "requests"), 0);
    assert_entries(2);
    assert_field("MESSAGE_ID", MESSAGE_UNREADABLE);
    assert_field("PRIORITY", "5");
    assert_field("VOD_REASON", "why");
}

static void test_many_files(void **state)
{
    (void)state;
    static char names[2000][12];
    const char *files[2000];
    for (int i = 0; i < 2000; i++) {
        snprintf(names[i], sizeof names[i], "%d", i);
        files[i] = names[i];
    }
    const struct event event = {
        .type = "FileDeleted", .file_ids = files, .n_file_ids = 1000, .file_count = 2000};
    start("files", true);
    assert_int_equal(put(small_event(&event), "files"), 0);
    assert_entries(1);
    assert_field("VOD_FILE_ID_COUNT", "2000");
    int n = 0;
    const void *data;
    size_t len;
    SD_JOURNAL_FOREACH_DATA(journal, data, len)
        n += len > 12 && memcmp(data, "VOD_FILE_ID=", 12) == 0;
    assert_int_equal(n, 256);
}

static void test_large_event(void **state)
{
    (void)state;
    enum { SIZE = 5 * 1024 * 1024 };
    const struct event event = {.type = "X"};
    start("large", true);
    char *body = malloc(SIZE);
    memset(body, 'x', SIZE);
    memcpy(body, "{\"EventType\":\"X\",\n\"a\":\"", 23);
    memcpy(body + SIZE - 2, "\"}", 2);
    assert_int_equal(put(event_record(&event, &json, (struct slice){body, SIZE}), "large"), 0);
    assert_entries(1);
    size_t len;
    const char *kept = field("VOD_EVENT", &len);
    assert_int_equal(len, SIZE);
    assert_memory_equal(kept, body, SIZE);
    free(body);
}

/* --- A journald that is busy or away ----------------------------------------------------------------- */

/* A required journal says of each event whether journald has it: what it has is there once, the rest is not.
 */
static void test_required_while_stopped(void **state)
{
    (void)state;
    const struct event event = {.type = "X"};
    struct record r = small_event(&event);
    start("stopped", true);
    stderr_begin();
    journald_signal(SIGSTOP);
    int taken = 0, err;
    while ((err = put(r, "stopped")) == 0 && taken < 100000)
        taken++;
    assert_int_equal(err, -EAGAIN);
    /* The wait for it is not made for each event. */
    for (int i = 0; i < 1000; i++)
        assert_int_equal(put(r, "stopped"), -EAGAIN);
    assert_int_equal(stderr_count("journald is too busy"), 1);
    journald_signal(SIGCONT);
    while ((err = put(r, "stopped")) == -EAGAIN)
        ;
    assert_int_equal(err, 0);
    assert_int_equal(stderr_count("takes events again"), 1);
    assert_int_equal(stderr_count("\n"), 2);
    assert_entries(taken + 1);
}

static void test_required_while_away(void **state)
{
    (void)state;
    const struct event event = {.type = "X"};
    struct record r = small_event(&event);
    start("away", true);
    stderr_begin();
    journald_kill();
    for (int i = 0; i < 3; i++)
        assert_int_equal(put(r, "away"), -ECONNREFUSED);
    assert_int_equal(stderr_count("\n"), 1);
    journald_start();
    assert_int_equal(put(r, "away"), 0);
    assert_int_equal(stderr_count("takes events again after 0 s, 0 were dropped"), 1);
    assert_entries(1);
}

/* One that is not required never holds anything up, and catches up. */
static void test_queued_while_stopped(void **state)
{
    (void)state;
    const struct event event = {.type = "X"};
    struct record r = small_event(&event);
    start("queued", false);
    stderr_begin();
    journald_signal(SIGSTOP);
    for (int i = 0; i < 3000; i++)
        assert_int_equal(put(r, "queued"), 0);
    assert_true(sink->ops->flush(sink) > 0);
    journald_signal(SIGCONT);
    while (sink->ops->flush(sink) != 0)
        ;
    assert_int_equal(stderr_count("\n"), 0);
    assert_entries(3000);
}

static void test_queue_is_bounded(void **state)
{
    (void)state;
    const struct event event = {.type = "X"};
    start("bounded", false);
    char *body = malloc(1024 * 1024);
    memset(body, ' ', 1024 * 1024);
    memcpy(body, "{}", 2);
    struct record r = event_record(&event, &json, (struct slice){body, 1024 * 1024});
    stderr_begin();
    journald_kill();
    int taken = 0;
    while (put(r, "bounded") == 0 && taken < 100)
        taken++;
    assert_in_range(taken, 12, 16);
    for (int i = 0; i < 4; i++)
        assert_int_equal(put(r, "bounded"), -ENOBUFS);
    assert_int_equal(sink->ops->flush(sink), -EAGAIN);
    journald_start();
    assert_int_equal(stderr_count("\n"), 1);
    while (sink->ops->flush(sink) != 0)
        ;
    assert_int_equal(stderr_count(" s, 5 were dropped"), 1);
    assert_int_equal(put(r, "bounded"), 0);
    while (sink->ops->flush(sink) != 0) /* a busy journald has it wait in the queue */
        ;
    assert_int_equal(stderr_count("\n"), 2);
    assert_entries(taken + 1);
    free(body);
}

static void test_rest_at_the_end(void **state)
{
    (void)state;
    const struct event event = {.type = "X"};
    struct record r = small_event(&event);
    start("rest", false);
    stderr_begin();
    journald_kill();
    for (int i = 0; i < 100; i++)
        assert_int_equal(put(r, "rest"), 0);
    journald_start();
    sink = sink_free(sink);
    assert_entries(100);

    journald_kill();
    assert_int_equal(sink_journal_new(LOG_BODY, false, &sink), 0);
    assert_int_equal(put(r, "rest"), 0);
    sink = sink_free(sink);
    assert_int_equal(stderr_count("1 events could not be written to the journal"), 1);
    journald_start();
}

/* A line that the catalog explains is an entry with its MESSAGE_ID, and a line on stderr where that cannot
 * be. */
static void test_log(void **state)
{
    (void)state;
    struct stat st;
    char stream[64];
    need_journald();
    assert_int_equal(sd_journal_open(&journal, SD_JOURNAL_LOCAL_ONLY), 0);
    assert_int_equal(sd_journal_add_match(journal, "MESSAGE_ID=" MESSAGE_STARTED, 0), 0);
    stderr_begin();
    assert_int_equal(fstat(STDERR_FILENO, &st), 0);
    snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    log_init("vodhook");
    assert_int_equal(log_message(MESSAGE_STARTED, LOG_NOTICE, ENOENT, "one: %m"), -ENOENT);
    assert_int_equal(stderr_count("one"), 0);
    assert_entries(1);
    assert_field("MESSAGE", "one: No such file or directory");
    assert_field("PRIORITY", "5");
    assert_field("SYSLOG_IDENTIFIER", "vodhook");
    log_notice("plain");
    assert_int_equal(stderr_count("<5>plain\n"), 1);

    journald_kill();
    log_message(MESSAGE_STARTED, LOG_NOTICE, 0, "two\n");
    assert_int_equal(stderr_count("<5>two\\n\n"), 1);
    journald_start();
    unsetenv("JOURNAL_STREAM");
    log_init("vodhook");
    log_message(MESSAGE_STARTED, LOG_NOTICE, 0, "three");
    assert_int_equal(stderr_count("vodhook: three\n"), 1);
    assert_entries(1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_event, stop),
        cmocka_unit_test_teardown(test_priorities, stop),
        cmocka_unit_test_teardown(test_requests, stop),
        cmocka_unit_test_teardown(test_many_files, stop),
        cmocka_unit_test_teardown(test_large_event, stop),
        cmocka_unit_test_teardown(test_required_while_stopped, stop),
        cmocka_unit_test_teardown(test_required_while_away, stop),
        cmocka_unit_test_teardown(test_queued_while_stopped, stop),
        cmocka_unit_test_teardown(test_queue_is_bounded, stop),
        cmocka_unit_test_teardown(test_rest_at_the_end, stop),
        cmocka_unit_test_teardown(test_log, stop),
    };
    inside = argc > 1;
    if (!inside) {
        if (geteuid() == 0 && system("unshare --mount --pid --fork true 2>/dev/null") == 0)
            return execl(FIXTURES "/../journald-run", "journald-run", argv[0], "inside", (char *)NULL);
        fprintf(stderr, "a journald of its own needs root and namespaces\n");
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
