/* show.h: how vodhook events shows an event: as a line, as part of a file's life, in full, or for programs. */
#pragma once

#include <stdbool.h>

#include "base/buffer.h"
#include "record/full_text.h"
#include "record/json_line.h"

enum show_format { SHOW_LINE, SHOW_FULL, SHOW_JSON, SHOW_RAW };

/* Begins zeroed but for the first three. */
struct show {
    enum show_format format;
    bool color;
    bool life; /* the events are those of one file */

    struct buffer out; /* what show_record() appends to */
    struct buffer summary, name;
    struct timestamp time;
    bool any;         /* event was shown */
    int64_t previous; /* when the last of them was received */
};

/* Appends an event; writes its summary. Returns 0 or -ENOMEM. */
int show_record(struct show *s, struct record *r);
void show_done(struct show *s);
