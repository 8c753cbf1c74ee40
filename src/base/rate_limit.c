/* rate_limit.c: a token bucket and a count. */
#include "base/rate_limit.h"

#include <inttypes.h>

#include "base/log.h"

enum { REPORT_INTERVAL = 1000000 };

void rate_limit_init(struct rate_limit *l, const char *what, double rate, double burst)
{
    *l = (struct rate_limit){.what = what, .rate = rate, .burst = burst, .tokens = burst};
}

bool rate_limit_allow(struct rate_limit *l, int64_t now)
{
    if (now > l->last) {
        l->tokens += (double)(now - l->last) * l->rate / 1e6;
        if (l->tokens > l->burst)
            l->tokens = l->burst;
        l->last = now;
    }
    if (l->tokens >= 1) {
        l->tokens--;
        return true;
    }
    if (!l->left_out++)
        l->first_left_out = now;
    return false;
}

bool rate_limit_report(struct rate_limit *l, int64_t now)
{
    if (!l->left_out)
        return false;
    if (now - l->first_left_out < REPORT_INTERVAL)
        return true;
    log_notice("%" PRIu64 " %s were left out of the log in the last %.1f s", l->left_out, l->what,
               (double)(now - l->first_left_out) / 1e6);
    l->left_out = 0;
    return false;
}
