/* forward_target.c: which target vodhook forward was given, and how it is made. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "forward.h"
#include "forward/exec.h"
#include "forward/http.h"
#include "forward/kafka.h"
#include "forward/none.h"

/* --- The words ------------------------------------------------------------------------------------------ */

/* Takes one word out of the line, unquoted in place. Returns where the next begins, or NULL for a quote that does not
 * end. */
static char *take_word(char *at)
{
    char *to = at, quote = '\0';
    for (; *at && (quote || !isspace((unsigned char)*at)); at++) {
        if (quote ? *at == quote : *at == '"' || *at == '\'')
            quote = quote ? '\0' : *at;
        else
            *to++ = *at;
    }
    if (quote)
        return NULL;
    while (isspace((unsigned char)*at))
        at++;
    *to = '\0';
    return at;
}

const char *forward_target_read(const char *line, struct forward_target *ret)
{
    char *at = ret->text = strdup(line);
    ret->n = 0;
    if (!at)
        return "needs more memory";
    while (isspace((unsigned char)*at))
        at++;
    while (*at) {
        if (ret->n == FORWARD_WORDS_MAX)
            return "has too many words";
        ret->words[ret->n++] = at;
        at = take_word(at);
        if (!at)
            return "has a quote that does not end";
    }
    ret->words[ret->n] = NULL;
    return NULL;
}

void forward_target_done(struct forward_target *t)
{
    free(t->text);
    *t = (struct forward_target){0};
}

const char *forward_target_check(const struct forward_target *t)
{
    const char *kind = t->n ? t->words[0] : "";
    if (strcmp(kind, "http") == 0)
        return t->n == 2 ? http_check_url(t->words[1]) : "is not 'http URL'";
    if (strcmp(kind, "exec") == 0)
        return t->n < 2 ? "is not 'exec PROGRAM [ARG...]'" : NULL;
    if (strcmp(kind, "kafka") == 0)
        return t->n == 3 ? NULL : "is not 'kafka BROKER[,BROKER...] TOPIC'";
    if (strcmp(kind, "none") == 0)
        return t->n == 1 ? NULL : "is not 'none'";
    return "is neither http, exec, kafka nor none";
}

void forward_default_name(const struct forward_target *t, char ret[NAME_MAX])
{
    const char *place = t->n > 1 ? t->words[t->n == 3 && strcmp(t->words[0], "kafka") == 0 ? 2 : 1] : "";
    const char *slash = strrchr(place, '/'), *scheme = strstr(place, "://");
    size_t len;
    if (strcmp(t->words[0], "http") == 0 && scheme) {
        place = scheme + 3;
        const char *at = memchr(place, '@', strcspn(place, "/?#"));
        place = at ? at + 1 : place;
        len = strcspn(place, "/?#");
    } else {
        place = slash ? slash + 1 : place;
        len = strlen(place);
    }
    snprintf(ret, NAME_MAX, len ? "%s-%.*s" : "%s", t->words[0], len < 100 ? (int)len : 100, place);
    for (char *p = ret; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("._-", *p))
            *p = '-';
}

/* --- Making it ------------------------------------------------------------------------------------------ */

static const char **read_list(const struct options *o, const char *name, size_t *ret_n)
{
    *ret_n = options_count(o, name);
    const char **list = calloc(*ret_n + 1, sizeof *list);
    for (size_t i = 0; list && i < *ret_n; i++)
        list[i] = options_nth(o, name, i);
    return list;
}

static int make_http(const struct options *o, const struct forward_target *t,
                     const struct target_context *context, struct target **ret)
{
    size_t n;
    cleanup_free const char **headers = read_list(o, "header", &n);
    struct http_config config = {
        .url = t->words[1],
        .connections = (size_t)options_number(o, "connections"),
        .timeout = options_number(o, "timeout"),
        .ca_file = options_string(o, "ca-file"),
        .cert_file = options_string(o, "cert-file"),
        .key_file = options_string(o, "key-file"),
        .token_file = options_string(o, "token-file"),
        .headers = headers,
        .n_headers = n,
    };
    if (!headers)
        return log_error_errno(ENOMEM, "%m");
    const char *keys = options_string(o, "sign-key-file");
    int r = keys ? signature_read_keys(keys, &config.keys) : 0;
    if (r >= 0)
        r = target_http_new(&config, context, ret);
    explicit_bzero(&config.keys, sizeof config.keys);
    return r;
}

static int make_exec(const struct options *o, const struct forward_target *t,
                     const struct target_context *context, struct target **ret)
{
    const struct exec_config config = {
        .argv = t->words + 1,
        .connections = (size_t)options_number(o, "connections"),
        .timeout = options_number(o, "timeout"),
    };
    return target_exec_new(&config, context, ret);
}

static int make_kafka(const struct options *o, const struct forward_target *t,
                      const struct target_context *context, struct target **ret)
{
    struct kafka_config config = {.brokers = t->words[1], .topic = t->words[2]};
    cleanup_free const char **settings = read_list(o, "set", &config.n_settings);
    cleanup_free const char **files = read_list(o, "set-file", &config.n_setting_files);
    if (!settings || !files)
        return log_error_errno(ENOMEM, "%m");
    config.settings = settings;
    config.setting_files = files;
    return target_kafka_new(context, &config, ret);
}

int forward_target_new(const struct options *o, const struct forward_target *t,
                       const struct target_context *context, struct target **ret)
{
    if (strcmp(t->words[0], "http") == 0)
        return make_http(o, t, context, ret);
    if (strcmp(t->words[0], "exec") == 0)
        return make_exec(o, t, context, ret);
    if (strcmp(t->words[0], "kafka") == 0)
        return make_kafka(o, t, context, ret);
    return target_none_new(context, ret);
}
