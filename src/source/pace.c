/* pace.c: keeps calls below the rate, and delays them after failures and empty answers. */
#include "source/pace.h"

static const int64_t SECOND = 1000000;
static const int64_t BACK_OFF_MOST = 60;

/* VOD holds a pull of an empty queue back for 5 s. A server that answers at once must not cause a busy loop. */
const int64_t pace_empty_least = 1000000;
const int64_t pace_persistent = 60 * 1000000;

void pace_init(struct pace *p, int64_t rate)
{
    *p = (struct pace){.interval = SECOND / rate};
}

void pace_begin(struct pace *p, int64_t now)
{
    p->next = (p->next > now ? p->next : now) + p->interval;
}

/* The n-th failure in a row waits for up to 2^n seconds, and for half of that at least: between 1 s and 60 s,
 * and those who failed together do not come back together. */
static int64_t back_off(unsigned failures, uint32_t random)
{
    int64_t most = failures < 6 ? INT64_C(1) << failures : BACK_OFF_MOST;
    int64_t half = most * SECOND / 2;
    return half + half * random / UINT32_MAX;
}

int64_t pace_after(struct pace *p, enum pace_outcome outcome, int64_t began, int64_t ended, uint32_t random)
{
    p->failures = outcome == PACE_TROUBLE ? p->failures + 1 : 0;
    switch (outcome) {
    case PACE_EVENTS:
        return ended;
    case PACE_EMPTY:
        return began + pace_empty_least > ended ? began + pace_empty_least : ended;
    case PACE_TROUBLE:
        return ended + back_off(p->failures, random);
    case PACE_PERSISTENT:
        break;
    }
    return ended + pace_persistent;
}
