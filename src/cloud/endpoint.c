/* endpoint.c: reads where the cloud's API is called. */
#include "cloud/endpoint.h"

#include <stdio.h>
#include <string.h>

#include "base/parse.h"

static bool is_loopback(const char *name, size_t len)
{
    static const char *const names[] = {"localhost", "[::1]"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == len && strncasecmp(name, names[i], len) == 0)
            return true;
    /* 127. and then only digits and dots: not the name of another machine. */
    return len > 4 && strncmp(name, "127.", 4) == 0 && strspn(name, "0123456789.") >= len;
}

static size_t host_len(const char *host)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";
    if (host[0] != '[')
        return strspn(host, letters);
    size_t n = 1 + strspn(host + 1, "0123456789abcdefABCDEF:.");
    return host[n] == ']' ? n + 1 : 0;
}

static bool port_is_good(const char *digits, size_t len)
{
    char text[8];
    int64_t port;
    snprintf(text, sizeof text, "%.*s", (int)len, digits);
    return len < sizeof text && parse_count(text, &port) == 0 && port >= 1 && port <= 65535;
}

const char *endpoint_parse(const char *text, struct endpoint *ret)
{
    bool plain = strncmp(text, "http://", 7) == 0;
    const char *host = plain ? text + 7 : strncmp(text, "https://", 8) == 0 ? text + 8 : text;
    size_t name = host_len(host), len = name;
    if (!name)
        return "is neither a host nor a URL";
    if (host[len] == ':') {
        size_t digits = strspn(host + len + 1, "0123456789");
        if (!port_is_good(host + len + 1, digits))
            return "has a port outside 1 to 65535";
        len += 1 + digits;
    }
    if (host[len] && strcmp(host + len, "/") != 0)
        return "is neither a host nor a URL without a path";
    if (len >= ENDPOINT_HOST_MAX)
        return "is too long";
    if (plain && !is_loopback(host, name))
        return "would send the calls unencrypted: http:// is for this machine alone";
    snprintf(ret->host, sizeof ret->host, "%.*s", (int)len, host);
    snprintf(ret->url, sizeof ret->url, "http%s://%s/", plain ? "" : "s", ret->host);
    ret->plain = plain;
    return NULL;
}
