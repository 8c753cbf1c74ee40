/* batch.h: what goes into PullEvents and ConfirmEvents, and what comes out of a pull. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/slice.h"

enum { BATCH_MAX = 16 /* events a pull, handles a confirm. Source: API, PullEvents, ConfirmEvents */ };

/* Appends the body of a call that names nothing but the application; 0 for none. */
void batch_request(struct buffer *to, int64_t sub_app_id);

/* Finds the events in the response of PullEvents. Returns 0 and the array's raw text, walked with
 * json_next(); data NULL where EventSet is null or empty. -EBADMSG where there is none. */
int batch_events(struct slice response, struct slice *ret);

/* The handle of an event, raw, quotes included. Returns false where it has none that can be confirmed. */
bool batch_handle(struct slice event, struct slice *ret);

/* Appends the handle to an array under way, which begins empty. */
void batch_add_handle(struct buffer *handles, struct slice handle);

/* Appends the body of ConfirmEvents for the next handles of the array, so many at most (the API takes
 * BATCH_MAX): begin with *rest = "[...]". Returns how many. */
size_t batch_confirm(struct buffer *to, struct slice *rest, size_t most, int64_t sub_app_id);
