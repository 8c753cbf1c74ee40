/* schema.h: the tables of the inbox. They are an interface, described in vodhook(1): a released version
 * never changes, a new one is a further step. */
#pragma once

/* PRAGMA application_id: "VODH". */
#define INBOX_APPLICATION_ID 0x564F4448

/* The n-th step leads from version n to version n + 1 (PRAGMA user_version); an empty file has version 0.
 *
 * An id is never given twice, since readers go on from the last one they saw. Times are microseconds since
 * 1970. `type` is null where the body could not be read; what is said of it beside its columns stands in
 * event_note. */
#define INBOX_SCHEMA_STEPS                                                        \
    {                                                                             \
        "CREATE TABLE event ("                                                    \
        " id INTEGER PRIMARY KEY AUTOINCREMENT,"                                  \
        " received INTEGER NOT NULL,"                                             \
        " source TEXT NOT NULL,"                                                  \
        " remote TEXT,"                                                           \
        " trust TEXT NOT NULL,"                                                   \
        " type TEXT,"                                                             \
        " task_id TEXT,"                                                          \
        " status TEXT,"                                                           \
        " result TEXT,"                                                           \
        " err_code TEXT,"                                                         \
        " name TEXT,"                                                             \
        " digest BLOB NOT NULL,"                                                  \
        " seen INTEGER NOT NULL DEFAULT 1,"                                       \
        " last_seen INTEGER NOT NULL,"                                            \
        " body BLOB NOT NULL);"                                                   \
        "CREATE INDEX event_received ON event (received);"                        \
        "CREATE INDEX event_type ON event (type, received);"                      \
        "CREATE INDEX event_task ON event (task_id) WHERE task_id IS NOT NULL;"   \
        "CREATE INDEX event_digest ON event (digest);"                            \
        "CREATE INDEX event_refused ON event (received) WHERE trust = 'refused';" \
        "CREATE TABLE event_file ("                                               \
        " event_id INTEGER NOT NULL,"                                             \
        " file_id TEXT NOT NULL,"                                                 \
        " PRIMARY KEY (event_id, file_id)) WITHOUT ROWID;"                        \
        "CREATE INDEX event_file_file ON event_file (file_id);"                   \
        "CREATE TABLE event_note ("                                               \
        " event_id INTEGER PRIMARY KEY,"                                          \
        " reason TEXT,"                                                           \
        " body_bytes INTEGER);"                                                   \
        "CREATE TRIGGER event_deleted AFTER DELETE ON event BEGIN"                \
        " DELETE FROM event_file WHERE event_id = old.id;"                        \
        " DELETE FROM event_note WHERE event_id = old.id;"                        \
        "END;",                                                                   \
    }
