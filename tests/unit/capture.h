/* capture.h: what a function writes to stdout or stderr, and files for it to read. */
#pragma once

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct capture {
    int fd, saved, memory;
    char text[65536];
};

/* From here on what goes to the descriptor is caught; capture_end() puts it back and returns the text. */
static inline void capture_begin(struct capture *c, int fd)
{
    fflush(NULL);
    c->fd = fd;
    c->saved = dup(fd);
    c->memory = memfd_create("capture", MFD_CLOEXEC);
    dup2(c->memory, fd);
}

static inline const char *capture_end(struct capture *c)
{
    fflush(NULL);
    dup2(c->saved, c->fd);
    ssize_t n = pread(c->memory, c->text, sizeof c->text - 1, 0);
    c->text[n < 0 ? 0 : n] = '\0';
    close(c->saved);
    close(c->memory);
    return c->text;
}

/* A new file in the folder (made with mkdtemp) with these bytes; the path is owned by the caller. */
static inline char *make_file(const char *folder, const char *name, const char *data, size_t len, mode_t mode)
{
    char *path;
    if (asprintf(&path, "%s/%s", folder, name) < 0)
        abort();
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, data, len) != (ssize_t)len || fchmod(fd, mode) < 0)
        abort();
    close(fd);
    return path;
}

/* A new folder; the path is owned by the caller. */
static inline char *make_folder(void)
{
    char *folder = strdup("/tmp/vodhook-test-XXXXXX");
    if (!folder || !mkdtemp(folder))
        abort();
    return folder;
}
