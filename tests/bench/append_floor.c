/* append_floor.c: what the disk gives at best: appends EVENTS copies of a body to a file, GROUP of them with
 * each fdatasync(2), and prints as load.c does how long each group took. */
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

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

/* What one sync covers: the body so many times. */
static char *read_group(const char *path, size_t group, size_t *ret_len)
{
    struct stat about;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &about) < 0)
        err(1, "%s", path);
    size_t len = (size_t)about.st_size;
    char *text = malloc(len * group);
    if (!text || read(fd, text, len) != (ssize_t)len)
        err(1, "%s", path);
    close(fd);
    for (size_t i = 1; i < group; i++)
        memcpy(text + i * len, text, len);
    *ret_len = len * group;
    return text;
}

int main(int argc, char *argv[])
{
    if (argc != 5)
        errx(2, "usage: append_floor FILE GROUP EVENTS BODY");
    size_t group = strtoul(argv[2], NULL, 10), events = strtoul(argv[3], NULL, 10), len;
    size_t groups = group ? events / group : 0;
    if (groups == 0)
        errx(2, "there is no group to write");
    char *text = read_group(argv[4], group, &len);
    double *took = calloc(groups, sizeof *took);
    int fd = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || !took)
        err(1, "%s", argv[1]);
    double begun = now();
    for (size_t i = 0; i < groups; i++) {
        double before = now();
        if (write(fd, text, len) != (ssize_t)len || fdatasync(fd) < 0)
            err(1, "%s", argv[1]);
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
    free(took);
    free(text);
    return 0;
}
