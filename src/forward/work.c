/* work.c: the events that a forwarder has in memory, and how far the cursor may go while they are not over. */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "forwarder_private.h"

int work_new(struct forwarder *f, const struct record *r, struct work **ret)
{
    struct work *w = calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    int err = parcel_fill(&w->parcel, f->config.format, f->target->wants_fields, &f->time, r);
    if (err < 0) {
        parcel_done(&w->parcel);
        free(w);
        return err;
    }
    w->parcel.event.userdata = w;
    w->item.key = w->parcel.event.key;
    w->number = f->next_number++;
    TAILQ_INSERT_TAIL(&f->all, w, any);
    f->n_all++;
    f->bytes += w->parcel.event.body.len;
    *ret = w;
    return 0;
}

void work_free(struct forwarder *f, struct work *w)
{
    TAILQ_REMOVE(&f->all, w, any);
    f->n_all--;
    f->bytes -= w->parcel.event.body.len;
    parcel_done(&w->parcel);
    free(w);
}

/* --- The window ----------------------------------------------------------------------------------------- */

int window_new(struct window *w, size_t size)
{
    w->rows = calloc(size, sizeof *w->rows);
    w->size = size;
    return w->rows ? 0 : -ENOMEM;
}

static struct window_row *at(const struct window *w, size_t i)
{
    return &w->rows[(w->first + i) % w->size];
}

void window_add(struct window *w, int64_t row)
{
    *at(w, w->n++) = (struct window_row){.row = row};
}

void window_end(struct window *w, int64_t row)
{
    size_t low = 0, high = w->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (at(w, middle)->row < row)
            low = middle + 1;
        else
            high = middle;
    }
    struct window_row *found = low < w->n ? at(w, low) : NULL;
    if (!found || found->row != row || found->over)
        return;
    found->over = true;
    w->n_over++;
}

static void drop_what_is_over(struct window *w)
{
    while (w->n && at(w, 0)->over) {
        w->first = (w->first + 1) % w->size;
        w->n--;
        w->n_over--;
    }
}

/* The event stays in memory, and the state tells of it, too. */
static int hold_first(struct forwarder *f)
{
    int64_t row = at(&f->window, 0)->row;
    struct work *w;
    TAILQ_FOREACH(w, &f->all, any)
        if (w->parcel.event.row == row && !w->held && !w->foreign)
            break;
    window_end(&f->window, row);
    if (!w)
        return 0;
    const struct target_event *e = &w->parcel.event;
    const struct state_held held = {
        .row = row,
        .key = e->key,
        .id = e->id,
        .attempts = w->attempts,
        .first = w->first,
        .due = STATE_TAKEN,
    };
    w->held = true;
    f->numbers.held++;
    return state_hold(f->state, &held);
}

int window_settle(struct forwarder *f)
{
    struct window *w = &f->window;
    drop_what_is_over(w);
    while (!f->target->ordered && w->n_over > STATE_AHEAD_MAX) {
        int r = hold_first(f);
        if (r < 0)
            return r;
        drop_what_is_over(w);
    }
    f->facts->cursor = w->n ? at(w, 0)->row - 1 : f->read;
    f->facts->n_ahead = 0;
    for (size_t i = 0; i < w->n && f->facts->n_ahead < STATE_AHEAD_MAX && w->n_over; i++)
        if (at(w, i)->over)
            f->facts->ahead[f->facts->n_ahead++] = at(w, i)->row;
    for (size_t i = 0; i < f->n_skip && f->facts->n_ahead < STATE_AHEAD_MAX; i++)
        if (f->skip[i] > f->read)
            f->facts->ahead[f->facts->n_ahead++] = f->skip[i];
    return 0;
}
