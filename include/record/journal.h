/* journal.h: the sink that writes native journal entries. */
#pragma once

#include "record/sink.h"

/* One entry a record, its fields as vodhook(1) lists them. A required one says 0 only when journald has the entry,
 * and waits a moment for a busy one; any other keeps what journald does not take at once and sends it later.
 * Returns 0 and an owned sink, or a negative errno, logged. */
int sink_journal_new(size_t log_body, bool required, struct sink **ret);
