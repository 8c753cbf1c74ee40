/* parse.h: checked reading of numbers, sizes, durations and addresses. Nothing is read half: a whole string
 * is what is meant, or -EINVAL; a number past its range is -ERANGE. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

int parse_count(const char *s, int64_t *ret);
int parse_size(const char *s, int64_t *ret); /* "8M" -> 8388608 */
/* "10s", "500ms", "2min", "1h", "30d" -> milliseconds; a number without a unit is -EINVAL */
int parse_duration(const char *s, int64_t *ret);

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_storage storage;
        struct sockaddr_un un;
    };
    socklen_t len;
};

/* "127.0.0.1:8080", "[::1]:8080", "*:8080" and ":8080" (every address, IPv6 and IPv4), "unix:/path"; a bare
 * "8080" is a port too. Names are not looked up. */
int parse_address(const char *s, struct address *ret);

/* "1.2.3.4:55012", "[2001:db8::1]:55012", "unix"; an IPv4-mapped address as the IPv4 one. size >= 64. */
void format_address(const struct sockaddr *address, socklen_t len, char *buffer, size_t size);
