/* reader_private.h: the reader's own state, for reader.c and lookup.c. */
#pragma once

#include <sqlite3.h>
#include <sys/stat.h>

#include "event/event.h"
#include "inbox/reader.h"
#include "watch.h"

struct inbox_reader {
    char *path; /* owned */
    sqlite3 *db;
    bool immutable; /* opened as a file that nobody writes to */
    struct stat file;
    struct watch watch;
    int settle; /* milliseconds to the next look after a write; 0 while nothing is expected */
    int looks;  /* left until nothing is expected any more */
    int64_t version;
    sqlite3_stmt *data_version;
    int64_t schema; /* PRAGMA user_version: one of before has not all tables */
    char identity[40];
    struct event_decoder *decoder;
    struct event event;

    /* The query. */
    struct inbox_filter filter;
    int64_t after, up_to;
    sqlite3_stmt *find;
    bool paused;
    sqlite3_stmt *stuck;
    int rank; /* of the last event, and the rest of its place in the order */
    int64_t received, id;
};

/* The negative errno of what SQLite returned. */
int reader_error(struct inbox_reader *r, int rc);
