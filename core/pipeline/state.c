/* SPDX-License-Identifier: Apache-2.0 */
/* See state.h. One row; LSNs and identifiers are stored as text, since SQLite's integers are
 * signed. */
#include "pipeline/state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/errno.h"
#include "base/folder.h"
#include "pg/lsn.h"

#define FORMAT_VERSION      1
#define FORMAT_VERSION_TEXT "1"

struct nw_state {
    sqlite3 *db;
    sqlite3_stmt *acknowledge;
    int lock_file;
    bool made;    /* the file was made by this start */
    bool has_row; /* and there is something in it */
    char *folder;
};

static const char SCHEMA[] =
    "CREATE TABLE IF NOT EXISTS source ("
    " id INTEGER PRIMARY KEY CHECK (id = 1), system_identifier TEXT NOT NULL,"
    " timeline INTEGER NOT NULL, database_oid INTEGER NOT NULL, slot_name TEXT NOT NULL,"
    " acknowledged_lsn TEXT NOT NULL, acknowledged_why TEXT NOT NULL,"
    " generation INTEGER NOT NULL) STRICT;"
    "CREATE TABLE IF NOT EXISTS copying ("
    " id INTEGER PRIMARY KEY CHECK (id = 1), slot_name TEXT NOT NULL, lsn TEXT NOT NULL) STRICT;"
    "PRAGMA user_version = " FORMAT_VERSION_TEXT ";";

static nw_status db_fail(struct nw_state *state, const char *what, struct nw_error *err)
{
    return nw_fail(err, NW_FATAL, "NW2002 %s: %s", what,
                   state->db == NULL ? "out of memory" : sqlite3_errmsg(state->db));
}

static nw_status lock_take(struct nw_state *state, const char *folder, struct nw_error *err)
{
    char path[4096 + 8];

    (void)snprintf(path, sizeof path, "%s/lock", folder);
    state->lock_file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (state->lock_file < 0) {
        return nw_fail(err, NW_FATAL, "NW2002 cannot open %s: %s", path, nw_errno_text(errno));
    }
    if (flock(state->lock_file, LOCK_EX | LOCK_NB) != 0) {
        return nw_fail(
            err, NW_FATAL,
            "NW2001 another narwal runs with the state folder %s: stop it first, or give this "
            "one another name",
            folder);
    }
    return NW_OK;
}

static nw_status version_check(struct nw_state *state, const char *folder, struct nw_error *err)
{
    sqlite3_stmt *statement = NULL;
    int version = -1;

    if (sqlite3_prepare_v2(state->db, "PRAGMA user_version", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        version = sqlite3_column_int(statement, 0);
    }
    (void)sqlite3_finalize(statement);
    if (version < 0) {
        return db_fail(state, "cannot read narwal's state", err);
    }
    if (version > FORMAT_VERSION) {
        return nw_fail(
            err, NW_FATAL,
            "NW2003 the state in %s has format %d, written by a newer narwal: this one reads up "
            "to %d; upgrade narwal",
            folder, version, FORMAT_VERSION);
    }
    return NW_OK;
}

/* SQLite makes its files as the umask says, the others with the mode of the first: make that first.
 * Those of an older narwal may be open to others. */
nw_status nw_private_file(const char *path, bool *made, struct nw_error *err)
{
    static const char *const others[] = {"-wal", "-shm"};
    char name[4096 + 32];
    int file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    *made = file >= 0;
    if (file < 0 && (errno != EEXIST || chmod(path, 0600) != 0)) {
        return nw_fail(err, NW_FATAL, "NW2002 cannot open %s: %s", path, nw_errno_text(errno));
    }
    if (file >= 0) {
        (void)close(file);
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        (void)snprintf(name, sizeof name, "%s%s", path, others[i]);
        if (chmod(name, 0600) != 0 && errno != ENOENT) {
            return nw_fail(err, NW_FATAL, "NW2002 cannot make %s private: %s", name,
                           nw_errno_text(errno));
        }
    }
    return NW_OK;
}

/* Files of a start that had nothing to remember. The lock is ours until its file is gone. */
static void files_remove(const struct nw_state *state)
{
    static const char *const names[] = {"state.db-wal", "state.db-shm", "state.db", "lock"};
    char path[4096 + 16];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", state->folder, names[i]);
        (void)unlink(path);
    }
}

nw_status nw_state_open(const char *folder, struct nw_state **state, struct nw_error *err)
{
    struct nw_state *made = calloc(1, sizeof *made);
    char path[4096 + 16];
    nw_status status = NW_OK;

    if (made == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for narwal's state");
    }
    made->lock_file = -1;
    status = nw_state_folder_make(folder, err);
    if (status == NW_OK) {
        status = lock_take(made, folder, err);
    }
    if (status != NW_OK) {
        goto out;
    }
    (void)snprintf(path, sizeof path, "%s/state.db", folder);
    made->folder = strdup(folder);
    status = made->folder == NULL ? nw_fail(err, NW_FATAL, "out of memory for narwal's state")
                                  : nw_private_file(path, &made->made, err);
    if (status != NW_OK) {
        goto out;
    }
    if (sqlite3_open_v2(path, &made->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX,
                        NULL) != SQLITE_OK ||
        sqlite3_exec(made->db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;", NULL, NULL,
                     NULL) != SQLITE_OK) {
        status = db_fail(made, path, err);
        goto out;
    }
    status = version_check(made, folder, err);
    if (status == NW_OK && sqlite3_exec(made->db, SCHEMA, NULL, NULL, NULL) != SQLITE_OK) {
        status = db_fail(made, path, err);
    }
    if (status == NW_OK &&
        sqlite3_prepare_v2(made->db,
                           "UPDATE source SET acknowledged_lsn = ?1, acknowledged_why = ?2", -1,
                           &made->acknowledge, NULL) != SQLITE_OK) {
        status = db_fail(made, path, err);
    }

out:
    if (status != NW_OK) {
        nw_state_close(made);
        return status;
    }
    *state = made;
    return NW_OK;
}

void nw_state_close(struct nw_state *state)
{
    if (state == NULL) {
        return;
    }
    (void)sqlite3_finalize(state->acknowledge);
    (void)sqlite3_close(state->db);
    if (state->made && !state->has_row) {
        files_remove(state);
    }
    if (state->lock_file >= 0) {
        (void)close(state->lock_file);
    }
    free(state->folder);
    free(state);
}

nw_status nw_state_hold(const char *folder, int *lock, struct nw_state_source *source,
                        struct nw_error *err)
{
    struct nw_state state = {0};
    struct nw_error ignored = {0};
    char path[4096 + 16];

    memset(source, 0, sizeof *source);
    (void)snprintf(path, sizeof path, "%s/lock", folder);
    *lock = open(path, O_RDWR | O_CLOEXEC);
    if (*lock < 0) {
        return errno == ENOENT || errno == ENOTDIR
                   ? NW_OK
                   : nw_fail(err, NW_FATAL, "NW2002 cannot open %s: %s", path,
                             nw_errno_text(errno));
    }
    if (flock(*lock, LOCK_EX | LOCK_NB) != 0) {
        (void)close(*lock);
        *lock = -1;
        return nw_fail(err, NW_FATAL,
                       "NW2001 a narwal runs with the state folder %s: stop it first", folder);
    }
    (void)snprintf(path, sizeof path, "%s/state.db", folder);
    if (sqlite3_open_v2(path, &state.db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
        nw_state_source_read(&state, source, &ignored) != NW_OK) {
        memset(source, 0, sizeof *source); /* damaged, or of another format: it goes all the same */
    }
    (void)sqlite3_close(state.db);
    return NW_OK;
}

struct sqlite3 *nw_state_database(struct nw_state *state)
{
    return state->db;
}

char *nw_state_insert(const char *table, uint32_t columns, uint32_t rows)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);

    if (stream == NULL) {
        return NULL;
    }
    (void)fprintf(stream, "INSERT OR REPLACE INTO %s VALUES ", table);
    for (uint32_t value = 0; value < rows * columns; value++) {
        bool first = value % columns == 0;
        bool last = value % columns == columns - 1;

        (void)fprintf(stream, "%s?%s", !first ? ", " : value == 0 ? "(" : ", (", last ? ")" : "");
    }
    (void)fclose(stream);
    return text;
}

static const char *column_text(sqlite3_stmt *statement, int column)
{
    const unsigned char *text = sqlite3_column_text(statement, column);

    return text == NULL ? "" : (const char *)text;
}

nw_status nw_state_source_read(struct nw_state *state, struct nw_state_source *source,
                               struct nw_error *err)
{
    sqlite3_stmt *statement = NULL;
    int result = 0;

    memset(source, 0, sizeof *source);
    if (sqlite3_prepare_v2(state->db,
                           "SELECT system_identifier, timeline, database_oid, slot_name,"
                           " acknowledged_lsn, generation FROM source",
                           -1, &statement, NULL) != SQLITE_OK) {
        return db_fail(state, "cannot read narwal's state", err);
    }
    result = sqlite3_step(statement);
    if (result == SQLITE_ROW) {
        source->known = true;
        source->identity.system_identifier = strtoull(column_text(statement, 0), NULL, 10);
        source->identity.timeline = (uint32_t)sqlite3_column_int64(statement, 1);
        source->identity.database_oid = (uint32_t)sqlite3_column_int64(statement, 2);
        (void)snprintf(source->identity.slot_name, sizeof source->identity.slot_name, "%s",
                       column_text(statement, 3));
        (void)nw_lsn_parse(column_text(statement, 4), &source->acknowledged_lsn);
        source->generation = (uint32_t)sqlite3_column_int64(statement, 5);
    }
    (void)sqlite3_finalize(statement);
    return result == SQLITE_ROW || result == SQLITE_DONE
               ? NW_OK
               : db_fail(state, "cannot read narwal's state", err);
}

nw_status nw_state_source_write(struct nw_state *state, const struct nw_state_source *source,
                                struct nw_error *err)
{
    sqlite3_stmt *statement = NULL;
    char system_identifier[24];
    char lsn[NW_LSN_TEXT_SIZE];
    bool written = false;

    (void)snprintf(system_identifier, sizeof system_identifier, "%" PRIu64,
                   source->identity.system_identifier);
    if (sqlite3_prepare_v2(state->db,
                           "INSERT OR REPLACE INTO source VALUES (1, ?1, ?2, ?3, ?4, ?5, '', ?6)",
                           -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_bind_text(statement, 1, system_identifier, -1, SQLITE_TRANSIENT) == SQLITE_OK &&
        sqlite3_bind_int64(statement, 2, source->identity.timeline) == SQLITE_OK &&
        sqlite3_bind_int64(statement, 3, source->identity.database_oid) == SQLITE_OK &&
        sqlite3_bind_text(statement, 4, source->identity.slot_name, -1, SQLITE_TRANSIENT) ==
            SQLITE_OK &&
        sqlite3_bind_text(statement, 5, nw_lsn_text(lsn, source->acknowledged_lsn), -1,
                          SQLITE_TRANSIENT) == SQLITE_OK &&
        sqlite3_bind_int64(statement, 6, source->generation) == SQLITE_OK) {
        written = sqlite3_step(statement) == SQLITE_DONE;
    }
    (void)sqlite3_finalize(statement);
    state->has_row = state->has_row || written;
    return written ? NW_OK : db_fail(state, "cannot write narwal's state", err);
}

nw_status nw_state_copying_write(struct nw_state *state, const char *slot_name, uint64_t lsn,
                                 struct nw_error *err)
{
    sqlite3_stmt *statement = NULL;
    char text[NW_LSN_TEXT_SIZE];
    bool written =
        sqlite3_prepare_v2(state->db, "INSERT OR REPLACE INTO copying VALUES (1, ?1, ?2)", -1,
                           &statement, NULL) == SQLITE_OK &&
        sqlite3_bind_text(statement, 1, slot_name, -1, SQLITE_TRANSIENT) == SQLITE_OK &&
        sqlite3_bind_text(statement, 2, nw_lsn_text(text, lsn), -1, SQLITE_TRANSIENT) ==
            SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_DONE;

    (void)sqlite3_finalize(statement);
    return written ? NW_OK : db_fail(state, "cannot write narwal's state", err);
}

nw_status nw_state_copying_end(struct nw_state *state, struct nw_error *err)
{
    return sqlite3_exec(state->db, "DELETE FROM copying", NULL, NULL, NULL) == SQLITE_OK
               ? NW_OK
               : db_fail(state, "cannot write narwal's state", err);
}

nw_status nw_state_copying_read(struct nw_state *state, const char *slot_name, uint64_t *lsn,
                                struct nw_error *err)
{
    sqlite3_stmt *statement = NULL;
    int result = SQLITE_ERROR;

    *lsn = 0;
    if (sqlite3_prepare_v2(state->db, "SELECT lsn FROM copying WHERE slot_name = ?1", -1,
                           &statement, NULL) == SQLITE_OK &&
        sqlite3_bind_text(statement, 1, slot_name, -1, SQLITE_TRANSIENT) == SQLITE_OK) {
        result = sqlite3_step(statement);
    }
    if (result == SQLITE_ROW) {
        (void)nw_lsn_parse(column_text(statement, 0), lsn);
    }
    (void)sqlite3_finalize(statement);
    return result == SQLITE_ROW || result == SQLITE_DONE
               ? NW_OK
               : db_fail(state, "cannot read narwal's state", err);
}

nw_status nw_state_acknowledge(struct nw_state *state, uint64_t lsn, const char *why,
                               struct nw_error *err)
{
    char text[NW_LSN_TEXT_SIZE];
    bool written = false;

    (void)nw_lsn_text(text, lsn);
    if (sqlite3_bind_text(state->acknowledge, 1, text, -1, SQLITE_TRANSIENT) == SQLITE_OK &&
        sqlite3_bind_text(state->acknowledge, 2, why, -1, SQLITE_TRANSIENT) == SQLITE_OK) {
        written = sqlite3_step(state->acknowledge) == SQLITE_DONE;
    }
    (void)sqlite3_reset(state->acknowledge);
    return written ? NW_OK : db_fail(state, "cannot write narwal's state", err);
}
