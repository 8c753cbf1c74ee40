/* timestamp.c: times as RFC 3339 writes them, put together once a second. */
#include "record/timestamp.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"

enum { SECOND = 1000000 };

static void timestamp_write(struct buffer *to, struct timestamp *cache, int64_t time,
                            struct tm *(*split)(const time_t *, struct tm *))
{
    int64_t second = time / SECOND - (time % SECOND < 0);
    if (second != cache->second || !cache->date[0]) {
        struct tm tm;
        time_t t = (time_t)second;
        if (!split(&t, &tm)) {
            buffer_puts(to, "0000-00-00T00:00:00.000Z");
            return;
        }
        long minutes = tm.tm_gmtoff / 60;
        strftime(cache->date, sizeof cache->date, "%Y-%m-%dT%H:%M:%S", &tm);
        snprintf(cache->offset, sizeof cache->offset, "%c%02ld:%02ld", minutes < 0 ? '-' : '+',
                 labs(minutes) / 60 % 100, labs(minutes) % 60);
        if (split == gmtime_r)
            memcpy(cache->offset, "Z", 2);
        cache->second = second;
    }
    unsigned ms = (unsigned)((time - second * SECOND) / 1000);
    const char fraction[] = {'.', (char)('0' + ms / 100), (char)('0' + ms / 10 % 10), (char)('0' + ms % 10)};
    buffer_puts(to, cache->date);
    buffer_append(to, fraction, sizeof fraction);
    buffer_puts(to, cache->offset);
}

void timestamp_utc(struct buffer *to, struct timestamp *cache, int64_t time)
{
    timestamp_write(to, cache, time, gmtime_r);
}

void timestamp_local(struct buffer *to, struct timestamp *cache, int64_t time)
{
    timestamp_write(to, cache, time, localtime_r);
}

void timestamp_clock(struct buffer *to, int64_t time)
{
    time_t then = (time_t)(time / SECOND), now = (time_t)(clock_now(CLOCK_REALTIME) / SECOND);
    struct tm t, today;
    char text[32] = "?";
    if (localtime_r(&then, &t) && localtime_r(&now, &today)) {
        bool same = t.tm_yday == today.tm_yday && t.tm_year == today.tm_year;
        strftime(text, sizeof text, same ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &t);
    }
    buffer_puts(to, text);
}
