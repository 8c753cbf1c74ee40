/* reply.c: reads the envelope of the API's answers, and knows what to do about each error. */
#include "cloud/reply.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SKEW_ALLOWED = 300 /* seconds. Source: Signature v3, AuthFailure.SignatureExpire */ };

bool reply_text(const struct json *j, uint32_t object, const char *name, char *ret, size_t size)
{
    uint32_t node = json_member(j, object, name);
    bool found = node && json_kind(j, node) == '"';
    size_t n = 0;
    if (found) {
        struct json_string string = json_string_of(j, node);
        for (int c; n + 1 < size && (c = json_string_next(&string)) >= 0;)
            ret[n++] = (char)(c ? c : '?');
    }
    ret[n] = '\0';
    return found;
}

/* --- Which kind of error ---------------------------------------------------------------------------- */

static bool code_is(const char *code, const char *name)
{
    size_t n = strlen(name);
    return strncmp(code, name, n) == 0 && (code[n] == '\0' || code[n] == '.');
}

#define NOT_VOD "is ", " an endpoint of the VOD API? check --endpoint"

/* What the words of an advice are put around. */
enum about { ABOUT_KEY, ABOUT_ACTION, ABOUT_ENDPOINT, ABOUT_APPLICATION };

/* The errors that somebody has to do something about, and what: a code, or a family of codes, before those it is a part
 * of. Others pass by themselves: those of an overloaded or failing service, and any that is not known yet, since a needless
 * try is better than an event that waits for a restart. Source: Tencent Cloud API 3.0, Error Codes. */
static const struct refusal {
    const char *code;
    enum about about;
    const char *before, *after;
} refusals[] = {
    {"AuthFailure.SignatureExpire", ABOUT_ENDPOINT, "compare this machine's clock with that of ", ""},
    {"AuthFailure.SignatureFailure", ABOUT_KEY, "the secret key does not belong to the key id ",
     ": check both"},
    {"AuthFailure.SecretIdNotFound", ABOUT_KEY, "there is no key id ",
     " or it is disabled: check it in the console (CAM, API keys)"},
    {"AuthFailure.InvalidSecretId", ABOUT_KEY, "the key id ", " is not one of the cloud's API: check it"},
    {"AuthFailure.TokenFailure", ABOUT_KEY, "the session token of the key id ",
     " is wrong, missing or has expired: get new temporary keys"},
    {"AuthFailure.MFAFailure", ABOUT_KEY, "the key id ",
     " asks for a second factor: use a key that does not"},
    {"AuthFailure.UnauthorizedOperation", ABOUT_ACTION, "allow it in the console (CAM): the action vod:", ""},
    {"UnauthorizedOperation", ABOUT_ACTION, "allow it in the console (CAM): the action vod:", ""},
    {"AuthFailure", ABOUT_KEY, "check the key id ", " in the console (CAM, API keys)"},
    {"FailedOperation.InvalidVodUser", ABOUT_KEY, "the account of the key id ",
     " has no VOD: activate it in the console, or use the key of the account that has"},
    {"ResourceNotFound", ABOUT_KEY, "what it names does not exist for the account of the key id ",
     ": activate VOD in the console, or use the key of the account that has it"},
    {"InvalidParameterValue", ABOUT_APPLICATION, "", ""},
    {"InvalidParameter", ABOUT_APPLICATION, "", ""},
    {"MissingParameter", ABOUT_APPLICATION, "", ""},
    {"UnknownParameter", ABOUT_ENDPOINT, NOT_VOD},
    {"InvalidAction", ABOUT_ENDPOINT, NOT_VOD},
    {"NoSuchVersion", ABOUT_ENDPOINT, NOT_VOD},
    {"NoSuchProduct", ABOUT_ENDPOINT, NOT_VOD},
    {"UnsupportedRegion", ABOUT_ENDPOINT, NOT_VOD},
    {"UnsupportedProtocol", ABOUT_ENDPOINT, NOT_VOD},
};

static const struct refusal *find_refusal(const char *code)
{
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        if (code_is(code, refusals[i].code))
            return &refusals[i];
    return NULL;
}

/* ResourceNotFound alone means an empty queue; ResourceNotFound.UserNotExist does not. */
static enum reply_kind kind_of(const char *code)
{
    if (strcmp(code, "ResourceNotFound") == 0)
        return REPLY_NOTHING;
    return find_refusal(code) ? REPLY_REFUSED : REPLY_BUSY;
}

int reply_read(struct json *json, struct slice body, long status, struct reply *ret)
{
    uint32_t response = 0, error = 0;
    ret->json = json;
    ret->response = 0;
    ret->code[0] = ret->message[0] = ret->request_id[0] = '\0';
    if (json_read(json, body.data, body.len))
        response = json_member(json, 0, "Response");
    if (response && json_kind(json, response) != '{')
        response = 0;
    if (response) {
        reply_text(json, response, "RequestId", ret->request_id, sizeof ret->request_id);
        error = json_member(json, response, "Error");
    }
    if (error && json_kind(json, error) == '{') {
        reply_text(json, error, "Message", ret->message, sizeof ret->message);
        if (!reply_text(json, error, "Code", ret->code, sizeof ret->code))
            snprintf(ret->code, sizeof ret->code, "an error without a code");
        return kind_of(ret->code);
    }
    if (status != 200) {
        snprintf(ret->message, sizeof ret->message, "the answer has the HTTP status %ld", status);
        return -EREMOTEIO;
    }
    if (!response) {
        snprintf(ret->message, sizeof ret->message, "the answer is not the API's: %s",
                 json->error ? json->error : "there is no Response in it");
        return -EBADMSG;
    }
    ret->response = response;
    return REPLY_DONE;
}

/* --- What to do about it ---------------------------------------------------------------------------- */

static void advise_clock(struct buffer *to, int64_t skew)
{
    buffer_printf(to, "this machine's clock is %" PRId64 " s %s: set it right (timedatectl set-ntp true)",
                  skew < 0 ? -skew : skew, skew < 0 ? "slow" : "fast");
}

static void advise_sub_app_id(struct buffer *to, int64_t sub_app_id)
{
    if (sub_app_id)
        buffer_printf(to, "is --sub-app-id %" PRId64 " an application of this account?", sub_app_id);
    else
        buffer_puts(to, "give --sub-app-id: accounts opened since 2023-12-25 must name the application");
}

static void advise(struct buffer *to, const struct reply *a, const struct reply_caller *caller)
{
    bool skewed = a->skew != REPLY_SKEW_UNKNOWN && (a->skew > SKEW_ALLOWED || a->skew < -SKEW_ALLOWED);
    const struct refusal *refusal = find_refusal(a->code);
    if (skewed && code_is(a->code, "AuthFailure"))
        return advise_clock(to, a->skew);
    if (refusal->about == ABOUT_APPLICATION)
        return advise_sub_app_id(to, caller->sub_app_id);
    buffer_puts(to, refusal->before);
    if (refusal->about == ABOUT_KEY)
        buffer_append(to, caller->secret_id.data, caller->secret_id.len);
    else if (refusal->about == ABOUT_ENDPOINT)
        buffer_puts(to, caller->endpoint);
    else
        buffer_printf(to, "%s for the key id %.*s", caller->action, (int)caller->secret_id.len,
                      caller->secret_id.data);
    buffer_puts(to, refusal->after);
}

void reply_explain(struct buffer *to, int r, const struct reply *a, const struct reply_caller *caller)
{
    buffer_puts(to, caller->action);
    if (r < 0) {
        buffer_printf(to, " at %s failed: %s", caller->endpoint, a->message[0] ? a->message : strerror(-r));
        return;
    }
    buffer_printf(to, " failed: %s", a->code);
    if (a->message[0])
        buffer_printf(to, " (%s)", a->message);
    if (r == REPLY_REFUSED) {
        buffer_puts(to, ": ");
        advise(to, a, caller);
    }
    if (a->request_id[0])
        buffer_printf(to, " [RequestId %s]", a->request_id);
}
