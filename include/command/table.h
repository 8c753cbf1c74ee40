/* table.h: every option of every command, with its default and its limits. */
#pragma once

#include "base/options.h"

enum command { COMMAND_LISTEN = 1, COMMAND_PULL = 2, COMMAND_EVENTS = 4, COMMAND_SETTINGS = 8 };

/* Ends with a row without a name. A name stands in more than one row where commands differ in what it means.
 */
extern const struct option_row option_table[];
