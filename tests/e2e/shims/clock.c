/* clock.c: preloaded: a CLOCK_REALTIME that is ahead by the seconds in the file that SHIM_CLOCK names. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *t)
{
    int r = (int)syscall(SYS_clock_gettime, clock, t);
    const char *path = getenv("SHIM_CLOCK");
    char text[32] = "";
    int fd = clock == CLOCK_REALTIME && path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        if (read(fd, text, sizeof text - 1) > 0)
            t->tv_sec += strtol(text, NULL, 10);
        close(fd);
    }
    return r;
}
