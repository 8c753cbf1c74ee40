/* pager.h: what goes to a terminal goes through a pager, as with journalctl. */
#pragma once

/* Where stdout is a terminal, puts a pager between: $SYSTEMD_PAGER, $PAGER, or less. An empty one or "cat" is none.
 * Otherwise, and where it fails, does nothing. */
void pager_open(void);

/* Closes stdout and waits until the pager ends; does nothing where there is none. */
void pager_close(void);
