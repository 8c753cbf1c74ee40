/* sign.h: whether a callback proves that its sender knows the key set in the console. */
#pragma once

#include <stdint.h>

#include "event/event.h"

enum sign_verdict { SIGN_GOOD, SIGN_MISSING, SIGN_WRONG, SIGN_EXPIRED };

/* Checks Sign = MD5(key + T) in hex of either case, in constant time, and that T, the UNIX second at which
 * the signature expires, is not before now (seconds). A missing or unusable T is SIGN_WRONG beside a Sign. It
 * proves knowledge of the key and does not cover the body. Source: Tencent Cloud VOD, ModifyEventConfig,
 * SignKey. */
enum sign_verdict sign_check(const struct event *e, struct slice key, int64_t now);
