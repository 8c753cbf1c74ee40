/* listener.h: the sockets that requests come in on: opened here, or passed in by systemd. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

enum { LISTENERS_MAX = 32 };

/* systemd passed no socket, and the sandbox allows none: trying again does not help. */
enum listeners_result { LISTENERS_FORBIDDEN = 1 };

struct listener {
    int fd;            /* non-blocking, listening */
    char name[128];    /* "port 8080", "unix:/run/vodhook.sock": what the banner says */
    char *unlink_path; /* owned: of a unix socket that was made here */
    struct stat file;  /* of that path, as it was made */
};

struct listeners {
    struct listener list[LISTENERS_MAX];
    size_t n;
    bool passed; /* they came from systemd */
};

/* Takes the sockets that systemd passed. Returns how many (0 when none), or a negative errno, logged, when
 * one of them is no listening stream socket of IPv4, IPv6 or unix. */
int listeners_take_passed(struct listeners *l);

/* Opens and adds one socket for an address of parse_address(). The IPv6 one for every address takes IPv4 too,
 * and is an IPv4 one where the kernel has no IPv6. Returns 0, LISTENERS_FORBIDDEN or a
 * negative errno, logged with what to do. */
int listeners_open(struct listeners *l, const char *address);

/* Closes the sockets and removes the files of unix ones made here, unless others took their place. */
void listeners_done(struct listeners *l);
