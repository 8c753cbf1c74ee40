/* pager.h: puts a pager between the output and a terminal, as journalctl does. */
#pragma once

/* Starts $SYSTEMD_PAGER, $PAGER or less where stdout is a terminal, and has stdout lead to it. Does nothing where the
 * variable is empty or "cat", and where starting it fails. */
void pager_open(void);

/* Closes stdout and waits until the pager ends; does nothing where none runs. */
void pager_close(void);
