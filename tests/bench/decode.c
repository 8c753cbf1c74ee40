/* decode.c: how many microseconds of CPU the bytes of one event cost before it is recorded. For the file that it
 * is given it prints the least of several rounds: to read the JSON, to digest it, and to decode it, which reads it
 * too. */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "event/digest.h"

enum { ROUNDS = 9, TIMES = 5000 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double least(double so_far, double began)
{
    double took = (now() - began) / TIMES;
    return took < so_far ? took : so_far;
}

int main(int argc, char **argv)
{
    static char body[1 << 20];
    FILE *f = argc == 2 ? fopen(argv[1], "r") : NULL;
    if (!f)
        err(1, "usage: decode FILE");
    size_t len = fread(body, 1, sizeof body, f);
    fclose(f);

    struct event_decoder *decoder;
    struct event event;
    const struct json *of_event;
    struct json json = {0};
    uint8_t digest[DIGEST_SIZE];
    double read = 1e9, digested = 1e9, decoded = 1e9;
    if (event_decoder_new(64 << 20, &decoder) < 0 ||
        event_decode(decoder, body, len, &of_event, &event) != BODY_EVENT)
        errx(1, "%s: no event", argv[1]);
    for (int round = 0; round < ROUNDS; round++) {
        double began = now();
        for (int i = 0; i < TIMES; i++)
            json_read(&json, body, len);
        read = least(read, began);
        began = now();
        for (int i = 0; i < TIMES; i++)
            digest_event(&event, of_event, digest);
        digested = least(digested, began);
        began = now();
        for (int i = 0; i < TIMES; i++)
            event_decode(decoder, body, len, &of_event, &event);
        decoded = least(decoded, began);
    }
    printf("%zu %.2f %.2f %.2f\n", len, read, digested, decoded);
    json_done(&json);
    event_decoder_free(decoder);
}
