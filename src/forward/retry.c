/* retry.c: the schedule of attempts. */
#include "forward/retry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/parse.h"

enum { STEP_TEXT_MAX = 24, JITTER_PART = 10 };

static const int64_t STEP_MAX = INT64_C(366) * 86400 * 1000; /* milliseconds */

/* A minute is m here, since that is how retry schedules are written. */
static int parse_step(const char *text, size_t len, int64_t *ret)
{
    char step[STEP_TEXT_MAX];
    int64_t milliseconds;
    if (len == 0 || len > sizeof step - 3)
        return -EINVAL;
    snprintf(step, sizeof step, "%.*s%s", (int)len, text, text[len - 1] == 'm' ? "in" : "");
    if (parse_duration(step, &milliseconds) < 0 || milliseconds > STEP_MAX)
        return -EINVAL;
    *ret = milliseconds * 1000;
    return 0;
}

int retry_parse(const char *text, struct retry *ret)
{
    struct retry r = {0};
    if (strcmp(text, "none") == 0) {
        *ret = r;
        return 0;
    }
    for (;;) {
        size_t len = strcspn(text, ",");
        if (r.n == RETRY_STEPS_MAX || parse_step(text, len, &r.steps[r.n++]) < 0)
            return -EINVAL;
        if (!text[len])
            break;
        text += len + 1;
    }
    *ret = r;
    return 0;
}

int64_t retry_delay(const struct retry *r, unsigned failed)
{
    uint32_t random = 0;
    if (failed == 0 || failed > r->n)
        return -1;
    int64_t step = r->steps[failed - 1];
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random)
        random = 0;
    return step + (int64_t)((double)step / JITTER_PART * ((double)random / UINT32_MAX));
}
