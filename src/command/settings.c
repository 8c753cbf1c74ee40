/* settings.c: vodhook settings: shows and changes how VOD delivers events. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/text.h"
#include "command/caller.h"
#include "command/commands.h"
#include "command/setup.h"
#include "source/batch.h"
#include "json/json_write.h"

enum { SIGN_KEY_MAX = 32 /* letters and digits. Source: API, ModifyEventConfig */ };

enum field { FIELD_MODE, FIELD_URL, FIELD_UPLOAD, FIELD_DELETE, FIELD_PERSISTENCE, FIELDS };

static const struct {
    const char *option; /* and the name in the output */
    const char *title;
    const char *member; /* of the API */
} fields[FIELDS] = {
    [FIELD_MODE] = {"mode", "Mode", "Mode"},
    [FIELD_URL] = {"url", "URL", "NotificationUrl"},
    [FIELD_UPLOAD] = {"upload", "Upload", "UploadMediaCompleteEventSwitch"},
    [FIELD_DELETE] = {"delete", "Delete", "DeleteMediaCompleteEventSwitch"},
    [FIELD_PERSISTENCE] = {"persistence", "Persistence", "PersistenceCompleteEventSwitch"},
};

/* How VOD delivers, in the words of the options; empty where VOD does not say. */
struct state {
    char value[FIELDS][2048];
    int64_t waiting; /* events in the queue; -1 where unknown */
};

struct settings {
    struct caller caller;
    const struct options *o;
    struct secret sign_key;
    bool json;
};

/* --- Calls ------------------------------------------------------------------------------------------ */

/* Returns 0, or -EIO after saying what is wrong. */
static int call(struct settings *s, const char *action, struct slice body, struct reply *ret)
{
    int r = cloud_call(s->caller.cloud, action, body, ret);
    if (r == REPLY_DONE)
        return 0;
    struct reply_caller caller = {
        .action = action,
        .endpoint = s->caller.endpoint.host,
        .secret_id = secret_slice(&s->caller.keys.id),
        .sub_app_id = s->caller.sub_app_id,
    };
    cleanup(buffer_done) struct buffer b = {0};
    reply_explain(&b, r, ret, &caller);
    return log_error_errno(EIO, "%.*s", (int)b.len, b.data);
}

static int call_plainly(struct settings *s, const char *action, struct reply *ret)
{
    cleanup(buffer_done) struct buffer body = {0};
    batch_request(&body, s->caller.sub_app_id);
    return call(s, action, buffer_slice(&body), ret);
}

static void read_state(const struct reply *reply, struct state *ret)
{
    for (int f = 0; f < FIELDS; f++) {
        reply_text(reply->json, reply->response, fields[f].member, ret->value[f], sizeof ret->value[f]);
        for (char *c = ret->value[f]; f != FIELD_URL && *c; c++)
            *c = (char)tolower((unsigned char)*c);
    }
}

static int64_t read_count(const struct reply *reply)
{
    uint32_t node = json_member(reply->json, reply->response, "CountOfEventsToPull");
    struct slice value = json_raw(reply->json, node);
    char digits[24];
    int64_t n;
    if (!node || value.len >= sizeof digits)
        return -1;
    snprintf(digits, sizeof digits, "%.*s", (int)value.len, value.data);
    return parse_count(digits, &n) == 0 ? n : -1;
}

/* Without the number of waiting events the rest is shown. */
static int describe(struct settings *s, struct state *ret)
{
    struct reply reply;
    int r = call_plainly(s, "DescribeEventConfig", &reply);
    if (r < 0)
        return r;
    read_state(&reply, ret);
    ret->waiting = call_plainly(s, "DescribeEventsState", &reply) < 0 ? -1 : read_count(&reply);
    return 0;
}

/* --- Showing ---------------------------------------------------------------------------------------- */

static void show_text(const struct state *state)
{
    cleanup(buffer_done) struct buffer b = {0};
    for (int f = 0; f < FIELDS; f++) {
        const char *value = state->value[f];
        buffer_printf(&b, "%-12s ", fields[f].title);
        text_escape(&b, slice_of(*value ? value : f == FIELD_URL ? "none" : "unknown"));
        if (f == FIELD_MODE)
            buffer_puts(&b, strcmp(value, "pull") == 0   ? " (VOD queues, vodhook pull takes)"
                            : strcmp(value, "push") == 0 ? " (VOD posts to the URL)"
                                                         : "");
        buffer_putc(&b, '\n');
    }
    if (state->waiting >= 0)
        buffer_printf(&b, "%-12s %" PRId64 " events in the queue, some minutes ago\n", "Waiting",
                      state->waiting);
    else
        buffer_printf(&b, "%-12s unknown\n", "Waiting");
    if (!b.failed)
        fwrite(b.data, 1, b.len, stdout);
}

static void show_json(struct buffer *to, const struct state *state)
{
    buffer_putc(to, '{');
    for (int f = 0; f < FIELDS; f++) {
        const char *value = state->value[f];
        buffer_printf(to, "\"%s\":", fields[f].option);
        if (*value)
            json_write_string(to, slice_of(value));
        else
            buffer_puts(to, "null");
        buffer_putc(to, ',');
    }
    if (state->waiting >= 0)
        buffer_printf(to, "\"events_waiting\":%" PRId64 "}", state->waiting);
    else
        buffer_puts(to, "\"events_waiting\":null}");
}

static void show(const struct settings *s, const struct state *before, const struct state *after)
{
    cleanup(buffer_done) struct buffer b = {0};
    if (!s->json) {
        if (after)
            puts("\nAfter:");
        show_text(after ? after : before);
        return;
    }
    if (after) {
        buffer_puts(&b, "{\"before\":");
        show_json(&b, before);
        buffer_puts(&b, ",\"after\":");
        show_json(&b, after);
        buffer_putc(&b, '}');
    } else {
        show_json(&b, before);
    }
    if (!b.failed)
        printf("%.*s\n", (int)b.len, b.data);
}

/* --- Changing --------------------------------------------------------------------------------------- */

/* The value an option asks for, or NULL where it is not given. */
static const char *wanted(const struct settings *s, int field)
{
    return options_string(s->o, fields[field].option);
}

static bool wants_change(const struct settings *s)
{
    bool any = s->sign_key.data;
    for (int f = 0; f < FIELDS; f++)
        any |= wanted(s, f) != NULL;
    return any;
}

/* Sends only what was given: an empty URL would clear it. */
static void write_change(const struct settings *s, struct buffer *to)
{
    const char *comma = "{";
    for (int f = 0; f < FIELDS; f++) {
        const char *value = wanted(s, f);
        if (!value)
            continue;
        buffer_printf(to, "%s\"%s\":", comma, fields[f].member);
        comma = ",";
        if (f == FIELD_URL) {
            json_write_string(to, slice_of(value));
            continue;
        }
        buffer_putc(to, '"');
        for (; *value; value++)
            buffer_putc(to, (char)toupper((unsigned char)*value));
        buffer_putc(to, '"');
    }
    if (s->sign_key.data) {
        buffer_printf(to, "%s\"SignKey\":\"%s\"", comma, s->sign_key.data);
        comma = ",";
    }
    if (s->caller.sub_app_id)
        buffer_printf(to, "%s\"SubAppId\":%" PRId64, comma, s->caller.sub_app_id);
    buffer_putc(to, '}');
}

/* Whether the change takes something away that somebody may rely on: the mode, or a URL. */
static bool replaces(const struct settings *s, const struct state *before, int field)
{
    const char *value = wanted(s, field), *now = before->value[field];
    return (field == FIELD_MODE || field == FIELD_URL) && value && *now && strcmp(value, now) != 0;
}

/* Asks on stderr: programs read stdout. Anything but yes is no. */
static bool may_replace(const struct settings *s, const struct state *before)
{
    cleanup(buffer_done) struct buffer b = {0};
    char answer[16] = "";
    for (int f = 0; f < FIELDS; f++) {
        if (!replaces(s, before, f))
            continue;
        buffer_printf(&b, "%s %s: ", b.len ? "," : "Replace", fields[f].option);
        text_escape(&b, slice_of(before->value[f]));
        buffer_puts(&b, " by ");
        text_escape(&b, slice_of(wanted(s, f)));
    }
    if (!b.len || options_flag(s->o, "yes"))
        return true;
    fflush(stdout);
    fprintf(stderr, "%.*s? [y/N] ", (int)b.len, b.data);
    if (!fgets(answer, sizeof answer, stdin))
        fputc('\n', stderr);
    return strcasecmp(answer, "y\n") == 0 || strcasecmp(answer, "yes\n") == 0;
}

static int change(struct settings *s)
{
    struct state before, after;
    struct reply reply;
    struct buffer body = {0};
    int r = describe(s, &before);
    if (r < 0)
        return r;
    if (!s->json) {
        puts("Before:");
        show_text(&before);
    }
    if (!may_replace(s, &before))
        return log_error_errno(ECANCELED, "Nothing was changed; --yes does not ask");
    write_change(s, &body);
    r = body.failed ? log_error_errno(ENOMEM, "%m")
                    : call(s, "ModifyEventConfig", buffer_slice(&body), &reply);
    if (body.data)
        explicit_bzero(body.data, body.len);
    buffer_done(&body);
    if (r < 0 || (r = describe(s, &after)) < 0)
        return r;
    show(s, &before, &after);
    if (strcmp(after.value[FIELD_MODE], "push") == 0 && !after.value[FIELD_URL][0])
        log_warning("There is no URL that VOD could post to: give --url");
    return 0;
}

static int look(struct settings *s)
{
    struct state state;
    int r = describe(s, &state);
    if (r >= 0)
        show(s, &state, NULL);
    return r;
}

/* --- The command ------------------------------------------------------------------------------------ */

static int read_sign_key(struct settings *s)
{
    const char *file = options_string(s->o, "sign-key-file");
    int r = file ? secret_read(file, &s->sign_key) : 0;
    if (r < 0)
        return r;
    for (size_t i = 0; i < s->sign_key.len; i++)
        if (!isascii(s->sign_key.data[i]) || !isalnum((unsigned char)s->sign_key.data[i]) ||
            i == SIGN_KEY_MAX)
            return log_error_errno(EINVAL, "VOD does not take the key in %s: at most %d letters and digits",
                                   file, SIGN_KEY_MAX);
    return 0;
}

enum exit_status command_settings(int argc, char *argv[])
{
    enum exit_status status;
    cleanup(options_free_p) struct options *o = setup(COMMAND_SETTINGS, argc, argv, &status);
    if (!o)
        return status;
    struct settings s = {.o = o, .json = strcmp(options_string(o, "output"), "json") == 0};
    status = EXIT_CONFIGURATION;
    if (read_sign_key(&s) >= 0 && caller_init(&s.caller, o, NULL, NULL) >= 0) {
        int r = wants_change(&s) ? change(&s) : look(&s);
        if (fflush(stdout) != 0 && r >= 0)
            r = log_error_errno(errno, "Failed to write: %m");
        status = r < 0 ? EXIT_FAILED : EXIT_DONE;
    }
    caller_done(&s.caller);
    secret_done(&s.sign_key);
    return status;
}
