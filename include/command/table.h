/* table.h: every option of every command, with its default and its limits. A command whose options nobody shares
 * keeps them in a table of its own beside its .c file, which has no part in them, so that every program knows all of
 * them: an option of another command in the configuration file is no mistake. */
#pragma once

#include "base/options.h"

enum command {
    COMMAND_LISTEN = 1,
    COMMAND_PULL = 2,
    COMMAND_EVENTS = 4,
    COMMAND_SETTINGS = 8,
    COMMAND_RECONCILE = 16,
    COMMAND_WAIT = 32,
};

/* Ends with NULL, each table with a row without a name. A name stands in more than one row where commands differ in
 * what it means. --help lists the options in this order. */
extern const struct option_row *const option_tables[];

extern const struct option_row listen_options[], pull_options[], reconcile_options[], events_options[],
    wait_options[], settings_options[];

/* The units that rows are written in: bytes, milliseconds. */
#define OPTION_MIB    INT64_C(1048576)
#define OPTION_SECOND INT64_C(1000)
#define OPTION_DAY    (86400 * OPTION_SECOND)
