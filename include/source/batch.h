/* batch.h: what goes into PullEvents and ConfirmEvents, and what comes out of a pull. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/slice.h"
#include "json/json.h"

enum { BATCH_MAX = 16 /* events a pull, handles a confirm. Source: API, PullEvents, ConfirmEvents */ };

/* Appends the body of a call that names nothing but the application; 0 for none. */
void batch_request(struct buffer *to, int64_t sub_app_id);

/* Finds the events in the response of PullEvents. Returns 0 and the node of the array; 0 where EventSet is
 * null or empty. -EBADMSG where there is none. */
int batch_events(const struct json *json, uint32_t response, uint32_t *ret);

/* The handle of an event, raw, quotes included. Returns false where it has none that can be confirmed. */
bool batch_handle(const struct json *json, uint32_t event, struct slice *ret);

/* Appends the handle to an array under way, which begins empty. */
void batch_add_handle(struct buffer *handles, struct slice handle);

/* Appends the body of ConfirmEvents for the handles from a node of the array on, at most so many of them (the
 * API takes BATCH_MAX), and moves *node behind them. end is the node behind the last. Returns how many. */
size_t batch_confirm(struct buffer *to, const struct json *handles, uint32_t *node, uint32_t end, size_t most,
                     int64_t sub_app_id);
