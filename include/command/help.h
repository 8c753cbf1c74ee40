/* help.h: what --help prints. */
#pragma once

#include "command/table.h"

void help_print(enum command command, const struct options *o);
