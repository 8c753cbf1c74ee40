/* endpoint.h: where the cloud's API is called, read from what a user gives. */
#pragma once

#include <stdbool.h>

enum { ENDPOINT_HOST_MAX = 256 };

struct endpoint {
    char url[ENDPOINT_HOST_MAX + 16]; /* "https://vod.tencentcloudapi.com/" */
    char host[ENDPOINT_HOST_MAX];     /* with the port where one was given: the Host header */
    bool plain;                       /* http, without TLS: to this machine only */
};

/* Reads a host, host:port, or an http(s) URL without path. Returns NULL, or what is wrong with it. Hosts of
 * VOD: vod.tencentcloudapi.com, vod.intl.tencentcloudapi.com, and inside of Tencent's network
 * vod.internal.tencentcloudapi.com. */
const char *endpoint_parse(const char *text, struct endpoint *ret);
