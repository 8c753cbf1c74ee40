/* digest.h: a fingerprint of what an event says, by which a second delivery of it is known. */
#pragma once

#include <stdint.h>

#include "base/slice.h"
#include "event/event.h"

enum { DIGEST_SIZE = 32 };

/* SHA-256 over the canonical form of an event, which is the same however it was delivered and spelled: the
 * type, where it is a known one, as a string; then the body as JSON without white space, members sorted by
 * the bytes of their names (those of one name in the order they came), those that are null left out, numbers
 * as they were spelled, and in strings only " and \ escaped, by a backslash: all else stands for itself, as
 * UTF-8, a surrogate without its partner as the three bytes UTF-8 would give it. Of the members at the top,
 * those of the envelope (Sign, T, EventHandle, a type that is known, the version of the legacy format) are
 * left out, and the payload goes by the name "", since it is published under more than one.
 * json is of the body that e was decoded from. Returns 0 or -ENOMEM. */
int digest_event(const struct event *e, const struct json *json, uint8_t ret[DIGEST_SIZE]);

/* SHA-256 over a body that is no event, with the size it had when it arrived; it is never that of an event.
 */
void digest_bytes(struct slice body, uint64_t body_bytes, uint8_t ret[DIGEST_SIZE]);
