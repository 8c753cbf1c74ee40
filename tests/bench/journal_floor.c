/* journal_floor.c: what journald takes at most: sends the entries of a journal export read from stdin
 * (journalctl
 * --output=export) again, by bare sd_journal_sendv(3) loops in as many processes as argv[1] says, and prints
 * how many went in a second. Fields that journald adds by itself are left out. */
#include <endian.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <systemd/sd-journal.h>
#include <time.h>
#include <unistd.h>

enum { FIELDS_MAX = 64 };

struct entry {
    struct iovec fields[FIELDS_MAX];
    int n;
};

static char *read_all(FILE *f, size_t *ret_len)
{
    char *data = NULL;
    size_t len = 0, cap = 0;
    do {
        if (len == cap) {
            cap = cap ? 2 * cap : 1 << 20;
            data = realloc(data, cap);
            if (!data)
                exit(EXIT_FAILURE);
        }
        len += fread(data + len, 1, cap - len, f);
    } while (len == cap);
    *ret_len = len;
    return data;
}

/* Takes one field off the export: NAME=text, or NAME, its length in eight bytes, and its bytes, which are
 * made one run NAME=bytes in place. Returns where the next begins. */
static char *next_field(char *at, char *end, struct iovec *ret)
{
    char *line_end = memchr(at, '\n', (size_t)(end - at));
    if (!line_end)
        exit(EXIT_FAILURE);
    size_t name = (size_t)(line_end - at);
    *ret = (struct iovec){at, name};
    if (memchr(at, '=', name) || name == 0)
        return line_end + 1;
    uint64_t len;
    memcpy(&len, line_end + 1, sizeof len);
    len = le64toh(len);
    char *value = line_end + 1 + sizeof len;
    char *start = value - 1 - name;
    memmove(start, at, name);
    start[name] = '=';
    *ret = (struct iovec){start, name + 1 + len};
    return value + len + 1;
}

static size_t read_entries(char *data, size_t len, struct entry **ret)
{
    struct entry *entries = NULL, now = {.n = 0};
    size_t n = 0;
    for (char *at = data, *end = data + len; at < end;) {
        struct iovec field;
        at = next_field(at, end, &field);
        if (field.iov_len > 0 && *(char *)field.iov_base != '_' && now.n < FIELDS_MAX) {
            now.fields[now.n++] = field;
        } else if (field.iov_len == 0 && now.n > 0) {
            entries = realloc(entries, (n + 1) * sizeof *entries);
            if (!entries)
                exit(EXIT_FAILURE);
            entries[n++] = now;
            now.n = 0;
        }
    }
    *ret = entries;
    return n;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char *argv[])
{
    size_t senders = argc > 1 ? strtoul(argv[1], NULL, 10) : 1, len;
    char *data = read_all(stdin, &len);
    struct entry *entries;
    size_t n = read_entries(data, len, &entries);
    double start = now();
    for (size_t s = 0; s < senders; s++)
        if (fork() == 0) {
            for (size_t i = s; i < n; i += senders)
                if (sd_journal_sendv(entries[i].fields, entries[i].n) < 0)
                    _exit(EXIT_FAILURE);
            _exit(EXIT_SUCCESS);
        }
    int status, failed = 0;
    while (wait(&status) > 0)
        failed |= status;
    printf("%zu %.6f\n", n, start);
    free(entries);
    free(data);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
