/* trouble.c: when to say that something fails, and that it works again. */
#include "base/trouble.h"

#include <stdio.h>
#include <string.h>

static const int64_t SAY_AGAIN = INT64_C(3600) * 1000000;

bool trouble_begin(struct trouble *t, int64_t now, const char *reason, int64_t patience)
{
    if (!t->since)
        t->since = now;
    if (now - t->since < patience)
        return false;
    bool same = strncmp(t->reason, reason, sizeof t->reason - 1) == 0;
    if (t->said_at && same && now - t->said_at < SAY_AGAIN)
        return false;
    t->said_at = now;
    snprintf(t->reason, sizeof t->reason, "%s", reason);
    return true;
}

bool trouble_end(struct trouble *t, struct trouble *ret)
{
    if (!t->since)
        return false;
    *ret = *t;
    *t = (struct trouble){0};
    return ret->said_at;
}
