/* inbox_floor.c: what SQLite gives at best with the inbox's tables: inserts EVENTS events with the same body,
 * each with a file of its own, GROUP of them with each commit, and prints as load.c does how long each group
 * took. */
#include <err.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../../include/inbox/schema.h"

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void must(sqlite3 *db, int rc)
{
    if (rc != SQLITE_OK && rc != SQLITE_DONE && rc != SQLITE_ROW)
        errx(1, "%s", sqlite3_errmsg(db));
}

static sqlite3 *open_database(const char *path)
{
    static const char *const steps[] = INBOX_SCHEMA_STEPS;
    static const char *const beside[] = {"", "-wal", "-shm"};
    char name[4096];
    sqlite3 *db;
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++) {
        snprintf(name, sizeof name, "%s%s", path, beside[i]);
        unlink(name);
    }
    must(NULL, sqlite3_open(path, &db));
    must(db, sqlite3_exec(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL", NULL, NULL, NULL));
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        must(db, sqlite3_exec(db, steps[i], NULL, NULL, NULL));
    return db;
}

static void *read_body(const char *path, int *ret_len)
{
    struct stat about;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &about) < 0)
        err(1, "%s", path);
    void *body = malloc((size_t)about.st_size);
    if (!body || read(fd, body, (size_t)about.st_size) != about.st_size)
        err(1, "%s", path);
    close(fd);
    *ret_len = (int)about.st_size;
    return body;
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *s;
    must(db, sqlite3_prepare_v2(db, sql, -1, &s, NULL));
    return s;
}

static void run(sqlite3 *db, sqlite3_stmt *s)
{
    must(db, sqlite3_step(s));
    must(db, sqlite3_reset(s));
}

int main(int argc, char *argv[])
{
    if (argc != 5)
        errx(2, "usage: inbox_floor FILE GROUP EVENTS BODY");
    size_t group = strtoul(argv[2], NULL, 10), groups = group ? strtoul(argv[3], NULL, 10) / group : 0;
    if (groups == 0)
        errx(2, "there is no group to write");
    int len;
    void *body = read_body(argv[4], &len);
    double *took = calloc(groups, sizeof *took);
    if (!took)
        err(1, NULL);
    sqlite3 *db = open_database(argv[1]);
    sqlite3_stmt *begin = prepare(db, "BEGIN IMMEDIATE"), *commit = prepare(db, "COMMIT");
    sqlite3_stmt *event = prepare(
        db,
        "INSERT INTO event (received, source, remote, trust, type, task_id, status, result, name, digest,"
        " last_seen, body) VALUES (?1, 'push', '192.0.2.7:55012', 'unchecked', 'ProcedureStateChanged',"
        " '1500000001-procedurev2-' || hex(randomblob(16)), 'FINISH', 'ok', 'holiday.mp4', randomblob(32),"
        " ?1, ?2)");
    sqlite3_stmt *file = prepare(db, "INSERT INTO event_file VALUES (last_insert_rowid(), abs(random()))");
    must(db, sqlite3_bind_blob(event, 2, body, len, SQLITE_STATIC));
    double begun = now();
    for (size_t i = 0; i < groups; i++) {
        double before = now();
        run(db, begin);
        for (size_t k = 0; k < group; k++) {
            must(db, sqlite3_bind_int64(event, 1, (int64_t)(now() * 1e6)));
            run(db, event);
            run(db, file);
        }
        run(db, commit);
        took[i] = now() - before;
    }
    double seconds = now() - begun;
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    qsort(took, groups, sizeof *took, compare);
    printf("{\"requests\":%zu,\"seconds\":%.6f,\"p50\":%.1f,\"p99\":%.1f,\"max\":%.1f,\"cpu\":%.6f}\n",
           groups * group, seconds, took[groups / 2] * 1e6, took[groups * 99 / 100] * 1e6,
           took[groups - 1] * 1e6,
           (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
               (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
    sqlite3_stmt *all[] = {begin, commit, event, file};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        sqlite3_finalize(all[i]);
    sqlite3_close(db);
    free(took);
    free(body);
    return 0;
}
