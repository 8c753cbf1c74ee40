/* test_inbox_vfs.c: what is gathered of the log, and that nobody looks for it before it is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../src/inbox/inbox_private.h"

static char folder[] = "/tmp/vodhook-vfs-XXXXXX", path[64], log_path[80];
static sqlite3 *writer;

static int execute(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

static int setup(void **state)
{
    (void)state;
    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/a.db", folder);
    snprintf(log_path, sizeof log_path, "%s-wal", path);
    return sqlite3_open_v2(path, &writer, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, inbox_vfs()) ||
           execute(writer, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=20;"
                           "CREATE TABLE t (n INTEGER PRIMARY KEY, text BLOB)");
}

static int teardown(void **state)
{
    (void)state;
    int rc = sqlite3_close(writer);
    unlink(path);
    return rc || rmdir(folder);
}

/* The first column of the first row as text, asked by a connection of its own. */
static const char *asked(const char *sql)
{
    static char answer[64];
    sqlite3 *db;
    sqlite3_stmt *s;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    snprintf(answer, sizeof answer, "%s", (const char *)sqlite3_column_text(s, 0));
    sqlite3_finalize(s);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return answer;
}

/* Rows that fill some hundred pages: more than the cache has, and than is gathered. */
static void add_rows(void)
{
    assert_int_equal(execute(writer, "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c"
                                     " WHERE n < 600) INSERT INTO t (text) SELECT randomblob(1500) FROM c"),
                     SQLITE_OK);
}

static int64_t log_size(void)
{
    struct stat st;
    assert_int_equal(stat(log_path, &st), 0);
    return st.st_size;
}

static void a_commit_is_there_for_others(void **state)
{
    (void)state;
    for (int n = 1; n <= 50; n++) {
        char expected[16];
        snprintf(expected, sizeof expected, "%d", n);
        assert_int_equal(execute(writer, "INSERT INTO t (text) VALUES (randomblob(2000))"), SQLITE_OK);
        assert_string_equal(asked("SELECT count(*) FROM t"), expected);
    }
    assert_string_equal(asked("PRAGMA integrity_check"), "ok");
}

static void what_is_not_committed_is_gathered(void **state)
{
    (void)state;
    int64_t before = log_size();
    assert_int_equal(execute(writer, "BEGIN IMMEDIATE; INSERT INTO t (text) VALUES (randomblob(2000))"),
                     SQLITE_OK);
    assert_int_equal(log_size(), before);
    assert_int_equal(execute(writer, "COMMIT"), SQLITE_OK);
    assert_true(log_size() > before);
}

static void a_transaction_may_be_larger_than_what_is_gathered(void **state)
{
    (void)state;
    assert_int_equal(execute(writer, "BEGIN IMMEDIATE"), SQLITE_OK);
    add_rows();
    assert_int_equal(execute(writer, "UPDATE t SET text = randomblob(1600) WHERE n % 3 = 0"), SQLITE_OK);
    assert_string_equal(asked("SELECT count(*) FROM t"), "0");
    assert_int_equal(execute(writer, "COMMIT"), SQLITE_OK);
    assert_string_equal(asked("SELECT count(*) || ' ' || sum(length(text) = 1600) FROM t"), "600 200");
    assert_string_equal(asked("PRAGMA integrity_check"), "ok");
}

static void what_is_undone_leaves_nothing(void **state)
{
    (void)state;
    assert_int_equal(execute(writer, "BEGIN IMMEDIATE"), SQLITE_OK);
    add_rows();
    assert_int_equal(execute(writer, "ROLLBACK; INSERT INTO t (text) VALUES ('a')"), SQLITE_OK);
    assert_string_equal(asked("SELECT group_concat(text) FROM t"), "a");
    assert_string_equal(asked("PRAGMA integrity_check"), "ok");
}

static void the_log_moves_and_begins_anew(void **state)
{
    (void)state;
    for (int n = 0; n < 5; n++) {
        add_rows();
        int logged, moved;
        assert_int_equal(sqlite3_wal_checkpoint_v2(writer, NULL, SQLITE_CHECKPOINT_TRUNCATE, &logged, &moved),
                         SQLITE_OK);
        assert_int_equal(log_size(), 0);
    }
    assert_string_equal(asked("SELECT count(*) FROM t"), "3000");
    assert_string_equal(asked("PRAGMA integrity_check"), "ok");
}

static void commits_that_are_not_synced_are_not_gathered(void **state)
{
    (void)state;
    assert_int_equal(execute(writer, "PRAGMA synchronous=NORMAL"), SQLITE_OK);
    add_rows();
    inbox_vfs_gather(writer, false);
    for (int n = 1; n <= 50; n++) {
        char expected[16];
        snprintf(expected, sizeof expected, "%d", 600 - n);
        assert_int_equal(execute(writer, "DELETE FROM t WHERE n IN (SELECT min(n) FROM t)"), SQLITE_OK);
        assert_string_equal(asked("SELECT count(*) FROM t"), expected);
    }
    inbox_vfs_gather(writer, true);
    assert_int_equal(execute(writer, "PRAGMA synchronous=FULL; DELETE FROM t"), SQLITE_OK);
    assert_string_equal(asked("SELECT count(*) FROM t"), "0");
}

/* RLIMIT_FSIZE stands for a full disk. */
static void a_log_that_cannot_be_written_undoes_the_commit(void **state)
{
    (void)state;
    struct rlimit before, small;
    assert_int_equal(execute(writer, "INSERT INTO t (text) VALUES ('a')"), SQLITE_OK);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    small = before;
    small.rlim_cur = (rlim_t)log_size();
    setrlimit(RLIMIT_FSIZE, &small);
    assert_int_not_equal(execute(writer, "INSERT INTO t (text) VALUES ('b')"), SQLITE_OK);
    assert_string_equal(asked("SELECT group_concat(text) FROM t"), "a");
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(execute(writer, "INSERT INTO t (text) VALUES ('c')"), SQLITE_OK);
    assert_string_equal(asked("SELECT group_concat(text) FROM t"), "a,c");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_commit_is_there_for_others, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_committed_is_gathered, setup, teardown),
        cmocka_unit_test_setup_teardown(a_transaction_may_be_larger_than_what_is_gathered, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_undone_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(the_log_moves_and_begins_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(commits_that_are_not_synced_are_not_gathered, setup, teardown),
        cmocka_unit_test_setup_teardown(a_log_that_cannot_be_written_undoes_the_commit, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
