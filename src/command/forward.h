/* forward.h: what the files of vodhook forward share: its options, its target, and where its state is. */
#pragma once

#include <limits.h>

#include "base/options.h"
#include "forward/forwarder.h"

#define FORWARD_FOLDER "/etc/vodhook/forward"

enum { FORWARD_COMMAND = 1 /* the one bit of the table */, FORWARD_WORDS_MAX = 64 };

extern const struct option_row forward_table[];

/* Kind and place of a target: of the command line's operands or of the `target` of a file. */
struct forward_target {
    char *text;                               /* owned: where the words of a file stand */
    const char *words[FORWARD_WORDS_MAX + 1]; /* the kind, then its arguments; ends with NULL */
    size_t n;
};

/* Splits a line into words at white space; one may stand in double or single quotes. Returns what is wrong, or NULL. */
const char *forward_target_read(const char *line, struct forward_target *ret);
void forward_target_done(struct forward_target *t);

/* What is wrong with the words, or NULL. */
const char *forward_target_check(const struct forward_target *t);

/* The name that a target has where none is given: its kind and its host, program or topic, of the characters that a name
 * may have. */
void forward_default_name(const struct forward_target *t, char ret[NAME_MAX]);

/* Makes the target. Returns 0, -EINVAL where the settings are wrong, or another negative errno; logged. */
int forward_target_new(const struct options *o, const struct forward_target *t,
                       const struct target_context *context, struct target **ret);

/* Reads the settings of the forwarder. The strings are borrowed from the options, the lists from the result. Returns 0
 * or -EINVAL or -ENOMEM, logged. */
struct forward_lists {
    const char **types, **results, **file_ids, **sources, **trusts;
};
int forward_config_read(const struct options *o, struct forward_lists *lists, struct forwarder_config *ret);
int forward_filter_read(const struct options *o, struct forward_lists *lists, struct forward_filter *ret);
void forward_lists_done(struct forward_lists *lists);

/* The inbox, owned: of --inbox, of the configuration of vodhook, of the service or of the user; NULL where there is no
 * place for one, which is logged. And the file of the state of a target beside it. */
char *forward_inbox(const struct options *o);
char *forward_state_path(const char *inbox, const char *name);

/* Does what --status, --pause and the like ask for, with the operands as names or ids. Returns whether one of them was there, and the exit status. */
bool forward_control(const struct options *o, const struct forward_target *operands, int *ret_status);

/* Shows how a target is, or with NULL every one. Returns 0 or a negative errno, logged. */
int forward_show_status(const char *inbox, const char *name, bool json);
