/* store.h: a record as rows of the inbox, and whether it has been recorded before. */
#pragma once

#include "database.h"
#include "record/record.h"

enum store_statement {
    STORE_FIND,       /* the newest row of a digest, among the refused or among the others */
    STORE_SEE,        /* counts a duplicate */
    STORE_ADD,        /* an event */
    STORE_ADD_FILE,   /* of an event */
    STORE_ADD_NOTE,   /* of an event */
    STORE_BEGIN_TASK, /* one that a status tells of, unless it has begun already */
    STORE_END_TASK,
    STORE_STATEMENTS,
};

struct store {
    struct database *db;
    sqlite3_stmt *statements[STORE_STATEMENTS];
};

/* The database is borrowed and need not be open yet. */
void store_init(struct store *s, struct database *db);

/* To be called after the database was opened, and before it is closed. */
int store_open(struct store *s);
void store_close(struct store *s);

/* Writes a record in the open transaction, and says in it whether it is a duplicate. */
int store_put(struct store *s, struct record *r);
