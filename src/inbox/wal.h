/* wal.h: what SQLite leaves open about a write-ahead log that is found with content. */
#pragma once

/* Makes sure that the disk has what the kernel shows of the log. Nobody else may write to it meanwhile. Returns 0, also
 * where there is none, or a negative errno. */
int wal_renew(const char *wal_path);

/* Gives a log without a database a file beside it with an empty page, without which SQLite would delete the log.
 * Returns 0 or a negative errno. */
int wal_adopt(const char *path);
