/* time_parse.c: reads times as people type them. */
#include "base/time_parse.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "base/parse.h"

enum { SECOND = 1000000 };

/* Reads exactly n digits. */
static bool take_digits(const char **s, int n, int *ret)
{
    int value = 0;
    for (int i = 0; i < n; i++, ++*s) {
        if (!isdigit((unsigned char)**s))
            return false;
        value = value * 10 + (**s - '0');
    }
    *ret = value;
    return true;
}

static bool take(const char **s, char c)
{
    bool there = **s == c;
    *s += there;
    return there;
}

/* ".123", as microseconds; further digits are dropped. */
static bool take_fraction(const char **s, int *ret)
{
    int unit = SECOND / 10, value = 0;
    if (!take(s, '.'))
        return true;
    if (!isdigit((unsigned char)**s))
        return false;
    for (; isdigit((unsigned char)**s); ++*s, unit /= 10)
        value += (**s - '0') * unit;
    *ret = value;
    return true;
}

/* "Z", "+08:00" or nothing, which is the local zone. */
static bool take_zone(const char **s, bool *ret_local, int *ret_offset)
{
    int hours, minutes;
    char sign = **s;
    *ret_local = sign == 0;
    *ret_offset = 0;
    if (sign == 0 || take(s, 'Z'))
        return true;
    if (!take(s, '+') && !take(s, '-'))
        return false;
    if (!take_digits(s, 2, &hours) || !take(s, ':') || !take_digits(s, 2, &minutes))
        return false;
    *ret_offset = (hours * 60 + minutes) * (sign == '-' ? -60 : 60);
    return true;
}

/* mktime() takes the 31st of February for the 3rd of March. */
static int to_time(struct tm tm, bool local, int offset, int64_t *ret)
{
    struct tm asked = tm;
    time_t t = local ? mktime(&tm) : timegm(&tm);
    if (tm.tm_mday != asked.tm_mday || tm.tm_mon != asked.tm_mon || tm.tm_min != asked.tm_min ||
        asked.tm_hour > 23 || asked.tm_sec > 60)
        return -ERANGE;
    *ret = ((int64_t)t - offset) * SECOND;
    return 0;
}

static int parse_date(const char *s, int64_t *ret)
{
    struct tm tm = {.tm_isdst = -1};
    int fraction = 0, offset = 0;
    bool local = true;
    if (!take_digits(&s, 4, &tm.tm_year) || !take(&s, '-') || !take_digits(&s, 2, &tm.tm_mon) ||
        !take(&s, '-') || !take_digits(&s, 2, &tm.tm_mday))
        return -EINVAL;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    if (take(&s, 'T') || take(&s, ' ')) {
        if (!take_digits(&s, 2, &tm.tm_hour) || !take(&s, ':') || !take_digits(&s, 2, &tm.tm_min))
            return -EINVAL;
        if (take(&s, ':') && (!take_digits(&s, 2, &tm.tm_sec) || !take_fraction(&s, &fraction)))
            return -EINVAL;
        if (!take_zone(&s, &local, &offset))
            return -EINVAL;
    }
    if (*s)
        return -EINVAL;
    int r = to_time(tm, local, offset, ret);
    if (r == 0)
        *ret += fraction;
    return r;
}

/* The beginning of a day so many days from now. */
static int day_from(int64_t now, int days, int64_t *ret)
{
    struct tm tm;
    time_t t = (time_t)(now / SECOND);
    if (!localtime_r(&t, &tm))
        return -ERANGE;
    tm.tm_mday += days;
    tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
    tm.tm_isdst = -1;
    *ret = (int64_t)mktime(&tm) * SECOND;
    return 0;
}

int parse_time(const char *s, int64_t now, int64_t *ret)
{
    int64_t before;
    if (strcmp(s, "today") == 0)
        return day_from(now, 0, ret);
    if (strcmp(s, "yesterday") == 0)
        return day_from(now, -1, ret);
    if (strcmp(s, "now") == 0)
        before = 0;
    else if (*s != '-')
        return parse_date(s, ret);
    else if (parse_duration(s + 1, &before) < 0 || before > INT64_MAX / 1000)
        return -EINVAL;
    *ret = now - before * 1000;
    return 0;
}
