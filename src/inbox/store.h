/* store.h: a record as rows of the inbox, and whether it has been recorded before. */
#pragma once

#include "database.h"
#include "record/record.h"

enum store_statement {
    STORE_LOOK, /* whether anything was put together from the API, and whether a task has begun and not ended */
    STORE_FIND,        /* the rows of a digest, the newest first, among the refused or among the others */
    STORE_FIND_TASK,   /* a final event of a task; of those that were put together from the API, or of all */
    STORE_FIND_UPLOAD, /* the same of the upload of a file */
    STORE_SEE,         /* counts a duplicate */
    STORE_REPLACE,     /* the same, and puts the real event in the place of one that was put together */
    STORE_ADD,         /* an event, */
    STORE_ADD_FILE,    /* and what belongs to it */
    STORE_ADD_NOTE,
    STORE_ADD_CONTEXT,
    STORE_NAME_TASK,  /* that an upload began */
    STORE_BEGIN_TASK, /* that a status tells of, unless it has begun already */
    STORE_END_TASK,
    STORE_CONFIRM,
    STORE_REMEMBER, /* a number by its name */
    STORE_STATEMENTS,
};

enum { STORE_PULLED_MAX = 64 /* more than VOD gives in one answer */ };

struct store {
    struct database *db;
    sqlite3_stmt *statements[STORE_STATEMENTS];
    /* Rows of events that may repeat and were pulled in the last transaction: each stands for one event of the answer. */
    int64_t pulled[STORE_PULLED_MAX];
    size_t n_pulled;
    bool any_reconciled,
        any_open; /* as STORE_LOOK found in this transaction; what is not there need not be searched */
};

/* The database is borrowed and need not be open yet. */
void store_init(struct store *s, struct database *db);

/* To be called after the database was opened, and before it is closed. */
int store_open(struct store *s);
void store_close(struct store *s);

/* To be called when a transaction begins that records are put in. */
int store_begin(struct store *s);

/* Writes a record in the open transaction, and says in it whether it is a duplicate, in which row it is, how often it has
 * come, and when first. A duplicate of one that was put together from the API gets the digest of that, so that its id
 * stays. */
int store_put(struct store *s, struct record *r);

/* Notes in the open transaction that VOD has taken the confirmation of these rows. */
int store_confirm(struct store *s, const int64_t *rows, size_t n);

/* Keeps a number by its name in the open transaction. */
int store_remember(struct store *s, const char *name, int64_t value);
