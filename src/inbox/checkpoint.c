/* checkpoint.c: moves the write-ahead log into the database.
 *
 * A RESTART checkpoint takes the lock of the writers, copies the log, syncs the database, and lets the next
 * transaction begin the log anew. A PASSIVE one does not take the lock: of two processes that write, one would always be
 * in the other's way, and the log would grow without end.
 *
 * A reader that holds an old state of the database keeps SQLite from copying what is newer. SQLite then notes what it
 * did copy as done without a sync of the database, and never copies it again; so that sync is made here. */
#include "checkpoint.h"

#include "base/log.h"
#include "record/message_ids.h"

enum {
    PAGES_DUE = 4000,   /* of the log, at which it is copied: 16 MB, as long as one checkpoint may take */
    PAGES_AGAIN = 1000, /* more, at which it is tried again where something was in the way */
    PAGES_HELD = 16000, /* at which the one in the way is spoken of: 64 MB */
};

/* How long the one in the way is waited for once a try has failed, in microseconds: all who write wait, too. */
static const int64_t WAIT_AGAIN = 1000;

static int on_commit(void *userdata, sqlite3 *sqlite, const char *name, int pages)
{
    (void)sqlite;
    (void)name;
    struct checkpoint *c = userdata;
    if (pages < c->pages)
        c->due = PAGES_DUE; /* it has begun anew */
    c->pages = pages;
    return SQLITE_OK;
}

void checkpoint_begin(struct checkpoint *c, struct database *db)
{
    *c = (struct checkpoint){.db = db, .due = PAGES_DUE, .held = c->held};
    sqlite3_wal_hook(db->sqlite, on_commit, c);
}

static int sync_database(struct database *db)
{
    sqlite3_file *file = NULL;
    sqlite3_file_control(db->sqlite, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    int rc = file && file->pMethods ? file->pMethods->xSync(file, SQLITE_SYNC_NORMAL) : SQLITE_OK;
    return rc == SQLITE_OK ? INBOX_OK : database_result(db, rc);
}

static void say_held(struct checkpoint *c)
{
    bool held = c->pages >= PAGES_HELD;
    if (held == c->held)
        return;
    c->held = held;
    if (held)
        log_message(MESSAGE_WAL_HELD, LOG_WARNING, 0,
                    "The log of the inbox %s has grown to %d MiB, since another program has been reading the "
                    "inbox all "
                    "the while: 'fuser %s' names it",
                    c->db->given, (int)((int64_t)c->pages * DATABASE_PAGE >> 20), c->db->wal_path);
    else
        log_message(MESSAGE_WAL_RELEASED, LOG_NOTICE, 0,
                    "The log of the inbox %s is short again: the program that read the inbox has let go",
                    c->db->given);
}

int checkpoint_step(struct checkpoint *c)
{
    if (c->pages < c->due || c->db->unsynced)
        return INBOX_OK;
    int logged = 0, copied = 0;
    int64_t wait = c->db->busy_wait;
    if (c->due > PAGES_DUE && wait > WAIT_AGAIN)
        c->db->busy_wait = WAIT_AGAIN;
    int rc = sqlite3_wal_checkpoint_v2(c->db->sqlite, NULL, SQLITE_CHECKPOINT_RESTART, &logged, &copied);
    c->db->busy_wait = wait;
    int r = rc == SQLITE_OK || rc == SQLITE_BUSY ? INBOX_OK : database_result(c->db, rc);
    if (r == INBOX_OK && copied < logged)
        r = sync_database(c->db);
    if (r != INBOX_OK) {
        c->db->distrusted = true;
        return r;
    }
    c->due = c->pages + PAGES_AGAIN;
    if (rc == SQLITE_OK) {
        c->pages = 0;
        c->due = PAGES_DUE;
    }
    say_held(c);
    return INBOX_OK;
}
