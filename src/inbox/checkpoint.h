/* checkpoint.h: keeps the write-ahead log of the inbox short, whoever else writes to it or reads it. */
#pragma once

#include "database.h"

struct checkpoint {
    struct database *db;
    int pages; /* that the log has after this process's last commit */
    int due;   /* pages at which the next try is */
    bool held; /* another program's reader keeps the log from beginning anew, which was said */
};

/* Begins to look after a database that has just been opened. */
void checkpoint_begin(struct checkpoint *c, struct database *db);

/* Copies the log into the database and lets it begin anew when it is long enough; to be called between
 * transactions. Returns INBOX_OK also when it is not due or could not be done now; any other result is a failure
 * after which the database has to be closed. */
int checkpoint_step(struct checkpoint *c);
