/* parse.c: checked reading of numbers, sizes, durations and addresses. */
#include "base/parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct unit {
    const char *name;
    int64_t factor;
};

/* Reads decimal digits and then the rest, which must be one of the units; the list ends with an empty name,
 * whose factor holds where no unit is given. */
static int parse_with_unit(const char *s, const struct unit *units, int64_t *ret)
{
    int64_t n = 0;
    bool overflow = false;
    const char *p = s;
    for (; *p >= '0' && *p <= '9'; p++)
        overflow |= __builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *p - '0', &n);
    if (p == s)
        return -EINVAL;
    while (*units->name && strcmp(p, units->name) != 0)
        units++;
    if (strcmp(p, units->name) != 0)
        return -EINVAL;
    if (overflow || __builtin_mul_overflow(n, units->factor, &n))
        return -ERANGE;
    *ret = n;
    return 0;
}

int parse_count(const char *s, int64_t *ret)
{
    static const struct unit units[] = {{"", 1}};
    return parse_with_unit(s, units, ret);
}

int parse_size(const char *s, int64_t *ret)
{
    static const struct unit units[] = {{"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {"", 1}};
    return parse_with_unit(s, units, ret);
}

int parse_duration(const char *s, int64_t *ret)
{
    static const struct unit units[] = {{"ms", 1},      {"s", 1000},     {"min", 60000}, {"m", 60000},
                                        {"h", 3600000}, {"d", 86400000}, {"", 0}};
    /* 30 may be meant as seconds or as days. */
    return s[strspn(s, "0123456789")] ? parse_with_unit(s, units, ret) : -EINVAL;
}

static int parse_unix(const char *path, struct address *ret)
{
    size_t len = strlen(path);
    if (path[0] != '/')
        return -EINVAL;
    if (len >= sizeof ret->un.sun_path)
        return -ENAMETOOLONG;
    *ret = (struct address){.un.sun_family = AF_UNIX, .len = sizeof ret->un};
    memcpy(ret->un.sun_path, path, len);
    return 0;
}

/* An IPv6 address between brackets; a link-local one may name its interface after a percent sign. */
static int parse_host6(char *host, struct sockaddr_in6 *ret)
{
    char *zone = strchr(host, '%');
    if (zone) {
        *zone++ = '\0';
        ret->sin6_scope_id = if_nametoindex(zone);
        if (!ret->sin6_scope_id)
            return -EINVAL;
    }
    return inet_pton(AF_INET6, host, &ret->sin6_addr) == 1 ? 0 : -EINVAL;
}

int parse_address(const char *s, struct address *ret)
{
    if (strncmp(s, "unix:", 5) == 0)
        return parse_unix(s + 5, ret);

    const char *colon = strrchr(s, ':');
    size_t host_len = colon ? (size_t)(colon - s) : 0;
    char host[64 + IF_NAMESIZE];
    int64_t port;
    int r = parse_count(colon ? colon + 1 : s, &port);
    if (r < 0)
        return r;
    if (port > UINT16_MAX)
        return -ERANGE;
    if (host_len >= sizeof host)
        return -EINVAL;
    memcpy(host, s, host_len);
    host[host_len] = '\0';

    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, host, &four.sin_addr) == 1) {
        *ret = (struct address){.len = sizeof four};
        memcpy(&ret->storage, &four, sizeof four);
        return 0;
    }
    if (host_len > 2 && host[0] == '[' && host[host_len - 1] == ']') {
        host[host_len - 1] = '\0';
        r = parse_host6(host + 1, &six);
    } else if (host_len > 0 && strcmp(host, "*") != 0) {
        r = -EINVAL;
    }
    if (r < 0)
        return r;
    *ret = (struct address){.len = sizeof six};
    memcpy(&ret->storage, &six, sizeof six);
    return 0;
}

void format_address(const struct sockaddr *address, socklen_t len, char *buffer, size_t size)
{
    char host[INET6_ADDRSTRLEN];
    sa_family_t family = len >= sizeof family ? address->sa_family : AF_UNSPEC;
    if (family == AF_INET && len >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in four;
        memcpy(&four, address, sizeof four);
        inet_ntop(AF_INET, &four.sin_addr, host, sizeof host);
        snprintf(buffer, size, "%s:%u", host, ntohs(four.sin_port));
    } else if (family == AF_INET6 && len >= sizeof(struct sockaddr_in6)) {
        struct sockaddr_in6 six;
        memcpy(&six, address, sizeof six);
        bool mapped = IN6_IS_ADDR_V4MAPPED(&six.sin6_addr);
        if (mapped)
            inet_ntop(AF_INET, &six.sin6_addr.s6_addr[12], host, sizeof host);
        else
            inet_ntop(AF_INET6, &six.sin6_addr, host, sizeof host);
        snprintf(buffer, size, mapped ? "%s:%u" : "[%s]:%u", host, ntohs(six.sin6_port));
    } else {
        snprintf(buffer, size, "%s", family == AF_UNIX || len == 0 ? "unix" : "unknown");
    }
}
