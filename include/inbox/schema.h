/* schema.h: the tables of the inbox. They are an interface, described in vodhook(1): a released version
 * never changes, a new one is a further step. */
#pragma once

/* PRAGMA application_id: "VODH". */
#define INBOX_APPLICATION_ID 0x564F4448

/* Of an event with a task: it tells of the end. */
#define INBOX_IS_FINAL "(result IN ('ok', 'failed') OR status IN ('FINISH', 'ABORTED'))"

/* The newest uploads, with bodies that SQLite can read. */
#define INBOX_UPLOADS                                                                                   \
    "SELECT id, CASE WHEN json_valid(CAST(body AS TEXT)) THEN CAST(body AS TEXT) ELSE '{}' END AS body" \
    " FROM (SELECT id, body FROM event WHERE type = 'NewFileUpload' AND trust <> 'refused'"             \
    " ORDER BY received DESC LIMIT 10000)"

/* The n-th step leads from version n to version n + 1 (PRAGMA user_version); an empty file has version 0.
 *
 * An id is never given twice, since readers go on from the last one they saw. Times are microseconds since
 * 1970. `type` is null where the body could not be read; what is said of it beside its columns stands in
 * event_note.
 *
 * Step 2: event_began has a row for each task that an event says has begun: an upload names it, or a status is
 * WAITING or PROCESSING; `ended` is the event that told of its end, and `said` when it was told of as stuck.
 * `confirmed` is 0 or 1 for a pulled event that may
 * happen again, else null. `reconciled` marks an event that was put together from the API; the body of the real one
 * takes its place when it comes. inbox_clock says from which id on the clock was ahead of the time that really passed,
 * and by how much; inbox_quarantine what strangers' events take. Only the newest uploads of an older inbox get rows in
 * event_began, since a step has to be quick. */
#define INBOX_SCHEMA_STEPS                                                                                   \
    {                                                                                                        \
        "CREATE TABLE event ("                                                                               \
        " id INTEGER PRIMARY KEY AUTOINCREMENT,"                                                             \
        " received INTEGER NOT NULL,"                                                                        \
        " source TEXT NOT NULL,"                                                                             \
        " remote TEXT,"                                                                                      \
        " trust TEXT NOT NULL,"                                                                              \
        " type TEXT,"                                                                                        \
        " task_id TEXT,"                                                                                     \
        " status TEXT,"                                                                                      \
        " result TEXT,"                                                                                      \
        " err_code TEXT,"                                                                                    \
        " name TEXT,"                                                                                        \
        " digest BLOB NOT NULL,"                                                                             \
        " seen INTEGER NOT NULL DEFAULT 1,"                                                                  \
        " last_seen INTEGER NOT NULL,"                                                                       \
        " body BLOB NOT NULL);"                                                                              \
        "CREATE INDEX event_received ON event (received);"                                                   \
        "CREATE INDEX event_type ON event (type, received);"                                                 \
        "CREATE INDEX event_task ON event (task_id) WHERE task_id IS NOT NULL;"                              \
        "CREATE INDEX event_digest ON event (digest);"                                                       \
        "CREATE INDEX event_refused ON event (received) WHERE trust = 'refused';"                            \
        "CREATE TABLE event_file ("                                                                          \
        " event_id INTEGER NOT NULL,"                                                                        \
        " file_id TEXT NOT NULL,"                                                                            \
        " PRIMARY KEY (event_id, file_id)) WITHOUT ROWID;"                                                   \
        "CREATE INDEX event_file_file ON event_file (file_id);"                                              \
        "CREATE TABLE event_note ("                                                                          \
        " event_id INTEGER PRIMARY KEY,"                                                                     \
        " reason TEXT,"                                                                                      \
        " body_bytes INTEGER);"                                                                              \
        "CREATE TRIGGER event_deleted AFTER DELETE ON event BEGIN"                                           \
        " DELETE FROM event_file WHERE event_id = old.id;"                                                   \
        " DELETE FROM event_note WHERE event_id = old.id;"                                                   \
        "END;",                                                                                              \
            "ALTER TABLE event ADD COLUMN source_context TEXT;"                                              \
            "ALTER TABLE event ADD COLUMN session_context TEXT;"                                             \
            "ALTER TABLE event ADD COLUMN confirmed INTEGER;"                                                \
            "ALTER TABLE event ADD COLUMN reconciled INTEGER;"                                               \
            "CREATE TABLE event_context ("                                                                   \
            " context TEXT NOT NULL,"                                                                        \
            " event_id INTEGER NOT NULL,"                                                                    \
            " PRIMARY KEY (context, event_id)) WITHOUT ROWID;"                                               \
            "CREATE TABLE event_began ("                                                                     \
            " event_id INTEGER NOT NULL,"                                                                    \
            " task_id TEXT NOT NULL,"                                                                        \
            " ended INTEGER,"                                                                                \
            " said INTEGER,"                                                                                 \
            " PRIMARY KEY (event_id, task_id)) WITHOUT ROWID;"                                               \
            "INSERT OR IGNORE INTO event_began (event_id, task_id)"                                          \
            " SELECT id, task FROM ("                                                                        \
            "SELECT id, json_extract(body, '$.FileUploadEvent.ProcedureTaskId') AS task FROM "               \
            "(" INBOX_UPLOADS ")"                                                                            \
            " UNION ALL "                                                                                    \
            "SELECT id, json_extract(body, '$.FileUploadEvent.ReviewAudioVideoTaskId') FROM (" INBOX_UPLOADS \
            "))"                                                                                             \
            " WHERE task <> '';"                                                                             \
            "UPDATE event_began SET ended = (SELECT id FROM event WHERE event.task_id = event_began.task_id" \
            " AND trust <> 'refused' AND " INBOX_IS_FINAL " LIMIT 1);"                                       \
            "CREATE INDEX event_began_task ON event_began (task_id);"                                        \
            "CREATE INDEX event_began_open ON event_began (task_id) WHERE ended IS NULL;"                    \
            "CREATE INDEX event_began_unsaid ON event_began (event_id)"                                      \
            " WHERE ended IS NULL AND said IS NULL;"                                                         \
            "CREATE INDEX event_began_over ON event_began (event_id)"                                        \
            " WHERE said IS NOT NULL AND ended IS NOT NULL;"                                                 \
            "CREATE TABLE inbox_info (name TEXT PRIMARY KEY, value) WITHOUT ROWID;"                          \
            "INSERT INTO inbox_info VALUES ('uuid', lower(hex(randomblob(16))));"                            \
            "CREATE TABLE inbox_clock ("                                                                     \
            " first_id INTEGER PRIMARY KEY,"                                                                 \
            " since INTEGER NOT NULL,"                                                                       \
            " lag INTEGER NOT NULL);"                                                                        \
            "CREATE TABLE inbox_quarantine ("                                                                \
            " kind INTEGER PRIMARY KEY,"                                                                     \
            " rows INTEGER NOT NULL,"                                                                        \
            " bytes INTEGER NOT NULL);"                                                                      \
            "DROP TRIGGER event_deleted;"                                                                    \
            "CREATE TRIGGER event_deleted AFTER DELETE ON event BEGIN"                                       \
            " DELETE FROM event_file WHERE event_id = old.id;"                                               \
            " DELETE FROM event_note WHERE event_id = old.id;"                                               \
            " DELETE FROM event_began WHERE event_id = old.id;"                                              \
            " DELETE FROM event_context WHERE context IN (old.source_context, old.session_context)"          \
            " AND event_id = old.id;"                                                                        \
            "END;",                                                                                          \
    }
