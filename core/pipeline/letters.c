/* SPDX-License-Identifier: Apache-2.0 */
/* See letters.h. */
#include "pipeline/letters.h"

#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/errno.h"
#include "base/folder.h"
#include "base/log.h"
#include "pipeline/state.h"

#define FORMAT_VERSION      1
#define FORMAT_VERSION_TEXT "1"
#define BUSY_MS             30000 /* another sink writes, or a command discards */
#define LOOK_BUSY_MS        2000  /* whoever looks is in a hurry */
#define PATH_SIZE           4200
#define ROW_OVERHEAD_BYTES  200u /* of a letter on disk, beside its row and reason */

struct nw_letters_file {
    sqlite3 *db; /* NULL: there is no file yet */
    struct nw_letters_options options;
    struct nw_letter_store store;
    char source[24];
    char path[PATH_SIZE];
};

static const char SCHEMA[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE IF NOT EXISTS letter ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, sink TEXT NOT NULL, source TEXT NOT NULL,"
    " relation_oid INTEGER NOT NULL, schema_name TEXT NOT NULL, table_name TEXT NOT NULL,"
    " op TEXT NOT NULL, generation INTEGER NOT NULL, commit_lsn INTEGER NOT NULL,"
    " row_lsn INTEGER NOT NULL, seq INTEGER NOT NULL, xid INTEGER NOT NULL,"
    " commit_us INTEGER NOT NULL, refused_us INTEGER NOT NULL, reason TEXT NOT NULL,"
    " row TEXT NOT NULL, bytes INTEGER NOT NULL, hash INTEGER NOT NULL) STRICT;"
    "CREATE INDEX IF NOT EXISTS letter_of ON letter (sink, relation_oid, generation, commit_lsn);"
    "CREATE TABLE IF NOT EXISTS tally ("
    " sink TEXT NOT NULL, relation_oid INTEGER NOT NULL, schema_name TEXT NOT NULL,"
    " table_name TEXT NOT NULL, letters INTEGER NOT NULL, bytes INTEGER NOT NULL,"
    " PRIMARY KEY (sink, relation_oid)) STRICT, WITHOUT ROWID;"
    "CREATE TRIGGER IF NOT EXISTS letter_in AFTER INSERT ON letter BEGIN"
    " INSERT INTO tally VALUES (new.sink, new.relation_oid, new.schema_name, new.table_name, 1,"
    "  new.bytes) ON CONFLICT (sink, relation_oid) DO UPDATE SET letters = letters + 1,"
    "  bytes = bytes + new.bytes, schema_name = new.schema_name, table_name = new.table_name;"
    " END;"
    "CREATE TRIGGER IF NOT EXISTS letter_out AFTER DELETE ON letter BEGIN"
    " UPDATE tally SET letters = letters - 1, bytes = bytes - old.bytes"
    "  WHERE sink = old.sink AND relation_oid = old.relation_oid;"
    " DELETE FROM tally WHERE sink = old.sink AND relation_oid = old.relation_oid AND letters = 0;"
    " END;"
    "PRAGMA user_version = " FORMAT_VERSION_TEXT ";"
    "COMMIT;";

/* ---- statements ---- */

static nw_status db_fail(const struct nw_letters_file *file, struct nw_error *err)
{
    return nw_fail(err, NW_FATAL, "NW2420 dead letters in %s: %s", file->path,
                   file->db == NULL ? "out of memory" : sqlite3_errmsg(file->db));
}

/* NULL: err says why. */
static sqlite3_stmt *prepare(const struct nw_letters_file *file, const char *text,
                             struct nw_error *err)
{
    sqlite3_stmt *statement = NULL;

    if (sqlite3_prepare_v2(file->db, text, -1, &statement, NULL) != SQLITE_OK) {
        (void)db_fail(file, err);
        return NULL;
    }
    return statement;
}

static nw_status execute(const struct nw_letters_file *file, const char *text, struct nw_error *err)
{
    return sqlite3_exec(file->db, text, NULL, NULL, NULL) == SQLITE_OK ? NW_OK : db_fail(file, err);
}

static void bind_text(sqlite3_stmt *statement, int at, const char *text)
{
    (void)sqlite3_bind_text(statement, at, text, -1, SQLITE_TRANSIENT);
}

static void bind_number(sqlite3_stmt *statement, int at, uint64_t number)
{
    (void)sqlite3_bind_int64(statement, at, (sqlite3_int64)number);
}

static const char *column_text(sqlite3_stmt *statement, int column)
{
    const unsigned char *text = sqlite3_column_text(statement, column);

    return text == NULL ? "" : (const char *)text;
}

static uint64_t column_number(sqlite3_stmt *statement, int column)
{
    return (uint64_t)sqlite3_column_int64(statement, column);
}

/* Runs it to its end. */
static nw_status finish(const struct nw_letters_file *file, sqlite3_stmt *statement,
                        struct nw_error *err)
{
    bool done = sqlite3_step(statement) == SQLITE_DONE;

    if (!done) {
        (void)db_fail(file, err);
    }
    (void)sqlite3_reset(statement);
    return done ? NW_OK : NW_FATAL;
}

/* ---- opening ---- */

/* @param version  filled; 0: there is nothing in it yet */
static nw_status version_read(const struct nw_letters_file *file, int *version,
                              struct nw_error *err)
{
    sqlite3_stmt *statement = prepare(file, "PRAGMA user_version", err);

    *version = -1;
    if (statement == NULL) {
        return NW_FATAL;
    }
    if (sqlite3_step(statement) == SQLITE_ROW) {
        *version = sqlite3_column_int(statement, 0);
    }
    (void)sqlite3_finalize(statement);
    if (*version < 0) {
        return db_fail(file, err);
    }
    if (*version > FORMAT_VERSION) {
        return nw_fail(err, NW_FATAL,
                       "NW2003 the dead letters in %s have format %d, written by a newer narwal: "
                       "this one reads up to %d; upgrade narwal",
                       file->path, *version, FORMAT_VERSION);
    }
    return NW_OK;
}

/* @param make  if there is none. Without, db stays NULL then. */
static nw_status database_open(struct nw_letters_file *file, bool make, int busy_ms,
                               struct nw_error *err)
{
    bool made = false;
    int version = 0;
    nw_status status = NW_OK;

    if (!make && access(file->path, F_OK) != 0) {
        return errno == ENOENT || errno == ENOTDIR
                   ? NW_OK
                   : nw_fail(err, NW_FATAL, "NW2420 cannot look at %s: %s", file->path,
                             nw_errno_text(errno));
    }
    status = make ? nw_private_file(file->path, &made, err) : NW_OK;
    if (status != NW_OK) {
        return status;
    }
    if (sqlite3_open_v2(file->path, &file->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX,
                        NULL) != SQLITE_OK ||
        sqlite3_busy_timeout(file->db, busy_ms) != SQLITE_OK) {
        return db_fail(file, err);
    }
    status = version_read(file, &version, err);
    if (status == NW_OK) {
        status = execute(file,
                         "PRAGMA auto_vacuum = FULL; PRAGMA journal_mode = WAL;"
                         "PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;"
                         "PRAGMA foreign_keys = OFF;",
                         err);
    }
    return status == NW_OK && version == 0 ? execute(file, SCHEMA, err) : status;
}

static nw_status store_write(void *context, const struct nw_letter_write *what,
                             struct nw_error *err);

static struct nw_letters_file *file_make(const char *folder)
{
    struct nw_letters_file *made = calloc(1, sizeof *made);

    if (made != NULL) {
        (void)snprintf(made->path, sizeof made->path, "%s/" NW_LETTERS_FILE, folder);
    }
    return made;
}

nw_status nw_letters_open(const struct nw_letters_options *options, struct nw_letters_file **file,
                          struct nw_error *err)
{
    struct nw_letters_file *made = file_make(options->state_folder);
    nw_status status = NW_OK;

    if (made == NULL) {
        return nw_fail(err, NW_RETRY, "out of memory for dead letters");
    }
    made->options = *options;
    (void)snprintf(made->source, sizeof made->source, "%" PRIu64, options->system_identifier);
    made->store = (struct nw_letter_store){.write = store_write,
                                           .context = made,
                                           .quota_bytes = options->quota_bytes,
                                           .refusals_max = options->refusals_max};
    status = database_open(made, false, BUSY_MS, err);
    if (status != NW_OK) {
        nw_letters_close(made);
        return status;
    }
    *file = made;
    return NW_OK;
}

nw_status nw_letters_look(const char *state_folder, struct nw_letters_file **file,
                          struct nw_error *err)
{
    struct nw_letters_file *made = file_make(state_folder);
    nw_status status = NW_OK;

    *file = NULL;
    if (made == NULL) {
        return nw_fail(err, NW_RETRY, "out of memory for dead letters");
    }
    status = database_open(made, false, LOOK_BUSY_MS, err);
    if (status != NW_OK || made->db == NULL) {
        nw_letters_close(made);
        return status;
    }
    *file = made;
    return NW_OK;
}

void nw_letters_close(struct nw_letters_file *file)
{
    if (file != NULL) {
        (void)sqlite3_close(file->db);
        free(file);
    }
}

const struct nw_letter_store *nw_letters_store(struct nw_letters_file *file)
{
    return &file->store;
}

/* ---- writing ---- */

/* Of everything that a letter says but its id, in one order. */
static uint64_t hash_of(const struct nw_letters_line *line)
{
    const uint64_t numbers[] = {line->relation_oid,
                                line->generation,
                                line->commit_lsn,
                                line->row_lsn,
                                line->seq,
                                line->xid,
                                (uint64_t)line->commit_us,
                                (uint64_t)line->refused_us};
    const char *const texts[] = {line->sink, line->source, line->schema_name, line->table_name,
                                 line->op,   line->reason, line->row};
    uint64_t hash = XXH3_64bits(numbers, sizeof numbers);

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        hash = XXH3_64bits_withSeed(texts[i], strlen(texts[i]), hash);
    }
    return hash;
}

static void letter_bind(sqlite3_stmt *statement, const struct nw_letters_line *line)
{
    bind_text(statement, 1, line->sink);
    bind_text(statement, 2, line->source);
    bind_number(statement, 3, line->relation_oid);
    bind_text(statement, 4, line->schema_name);
    bind_text(statement, 5, line->table_name);
    bind_text(statement, 6, line->op);
    bind_number(statement, 7, line->generation);
    bind_number(statement, 8, line->commit_lsn);
    bind_number(statement, 9, line->row_lsn);
    bind_number(statement, 10, line->seq);
    bind_number(statement, 11, line->xid);
    bind_number(statement, 12, (uint64_t)line->commit_us);
    bind_number(statement, 13, (uint64_t)line->refused_us);
    bind_text(statement, 14, line->reason);
    bind_text(statement, 15, line->row);
    bind_number(statement, 16, line->bytes);
    bind_number(statement, 17, hash_of(line));
}

/* A row of the stream that is there already is the same one: it is not written twice. */
static const char INSERT[] =
    "INSERT INTO letter (sink, source, relation_oid, schema_name, table_name, op, generation,"
    " commit_lsn, row_lsn, seq, xid, commit_us, refused_us, reason, row, bytes, hash)"
    " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17"
    " WHERE ?7 <> 0 OR NOT EXISTS (SELECT 1 FROM letter WHERE sink = ?1 AND relation_oid = ?3"
    "  AND generation = 0 AND commit_lsn = ?8 AND seq = ?10 AND source = ?2)";

static nw_status letters_insert(struct nw_letters_file *file, const struct nw_letter_write *what,
                                struct nw_error *err)
{
    sqlite3_stmt *statement = prepare(file, INSERT, err);
    nw_status status = statement == NULL ? NW_FATAL : NW_OK;

    for (uint32_t i = 0; i < what->letters_count && status == NW_OK; i++) {
        const struct nw_letter *letter = &what->letters[i];
        const char op[2] = {(char)letter->op, '\0'};
        const struct nw_letters_line line = {
            .sink = file->options.sink,
            .source = file->source,
            .schema_name = letter->table->schema_name,
            .table_name = letter->table->name,
            .op = op,
            .reason = letter->reason,
            .row = letter->row,
            .relation_oid = letter->key.relation_oid,
            .generation = letter->key.generation,
            .xid = letter->xid,
            .commit_lsn = letter->commit_lsn,
            .row_lsn = letter->row_lsn,
            .seq = letter->key.seq,
            .bytes = letter->row_size + strlen(letter->reason) + ROW_OVERHEAD_BYTES,
            .commit_us = letter->commit_ts,
            .refused_us = letter->wall_us,
        };

        letter_bind(statement, &line);
        status = finish(file, statement, err);
    }
    (void)sqlite3_finalize(statement);
    return status;
}

static nw_status copies_apply(struct nw_letters_file *file, const struct nw_letter_copy *copies,
                              uint32_t count, struct nw_error *err)
{
    sqlite3_stmt *statement =
        prepare(file,
                "DELETE FROM letter WHERE sink = ?1 AND relation_oid = ?2 AND iif(source <> ?3, ?6,"
                " iif(generation = 0, commit_lsn < ?4, generation < ?5))",
                err);
    nw_status status = statement == NULL ? NW_FATAL : NW_OK;

    for (uint32_t i = 0; i < count && status == NW_OK; i++) {
        bind_text(statement, 1, file->options.sink);
        bind_number(statement, 2, copies[i].relation_oid);
        bind_text(statement, 3, file->source);
        bind_number(statement, 4, copies[i].fence_lsn);
        bind_number(statement, 5, copies[i].generation);
        bind_number(statement, 6, copies[i].read_now);
        status = finish(file, statement, err);
        if (status == NW_OK && sqlite3_changes(file->db) > 0) {
            nw_log(NW_LOG_INFO,
                   "%d dead letters of table %u at sink %s are gone: it was copied again",
                   sqlite3_changes(file->db), copies[i].relation_oid, file->options.sink);
        }
    }
    (void)sqlite3_finalize(statement);
    return status;
}

static nw_status quota_check(struct nw_letters_file *file, struct nw_error *err)
{
    sqlite3_stmt *statement =
        prepare(file, "SELECT coalesce(sum(bytes), 0) FROM tally WHERE sink = ?1", err);
    uint64_t bytes = UINT64_MAX;

    if (statement == NULL) {
        return NW_FATAL;
    }
    bind_text(statement, 1, file->options.sink);
    if (sqlite3_step(statement) == SQLITE_ROW) {
        bytes = column_number(statement, 0);
    }
    (void)sqlite3_finalize(statement);
    return bytes == UINT64_MAX ? db_fail(file, err)
           : bytes <= file->options.quota_bytes
               ? NW_OK
               : nw_fail(err, NW_REJECT,
                         "NW2419 the dead letters of sink %s would be more than dead_letters, "
                         "which is %" PRIu64 " bytes",
                         file->options.sink, file->options.quota_bytes);
}

static nw_status store_write(void *context, const struct nw_letter_write *what,
                             struct nw_error *err)
{
    struct nw_letters_file *file = context;
    nw_status status = NW_OK;

    if (file->db == NULL && what->letters_count == 0) {
        return NW_OK; /* of none nothing is of no use */
    }
    if (file->db == NULL) {
        status = nw_state_folder_make(file->options.state_folder, err);
        status = status == NW_OK ? database_open(file, true, BUSY_MS, err) : status;
    }
    status = status == NW_OK ? execute(file, "BEGIN IMMEDIATE", err) : status;
    if (status != NW_OK) {
        return status;
    }
    status = copies_apply(file, what->copies, what->copies_count, err);
    if (status == NW_OK && what->letters_count > 0) {
        status = letters_insert(file, what, err);
        status = status == NW_OK ? quota_check(file, err) : status;
    }
    status = status == NW_OK ? execute(file, "COMMIT", err) : status;
    if (status != NW_OK) {
        (void)sqlite3_exec(file->db, "ROLLBACK", NULL, NULL, NULL);
    }
    return status;
}

nw_status nw_letters_copied(struct nw_letters_file *file, const struct nw_letter_copy *copies,
                            uint32_t count, struct nw_error *err)
{
    const struct nw_letter_write what = {.copies = copies, .copies_count = count};

    return store_write(file, &what, err);
}

/* ---- reading ---- */

nw_status nw_letters_keys(struct nw_letters_file *file,
                          nw_status (*each)(void *context, const struct nw_letter_key *key,
                                            struct nw_error *err),
                          void *context, struct nw_error *err)
{
    sqlite3_stmt *statement = NULL;
    nw_status status = NW_OK;
    int result = SQLITE_ROW;

    if (file->db == NULL) {
        return NW_OK;
    }
    statement = prepare(file,
                        "SELECT relation_oid, generation, commit_lsn, seq FROM letter"
                        " WHERE sink = ?1 AND source = ?2",
                        err);
    if (statement == NULL) {
        return NW_FATAL;
    }
    bind_text(statement, 1, file->options.sink);
    bind_text(statement, 2, file->source);
    while (status == NW_OK && (result = sqlite3_step(statement)) == SQLITE_ROW) {
        struct nw_letter_key key = {.relation_oid = (uint32_t)column_number(statement, 0),
                                    .generation = (uint32_t)column_number(statement, 1),
                                    .commit_lsn = column_number(statement, 2),
                                    .seq = column_number(statement, 3)};

        key.commit_lsn = key.generation != 0 ? 0 : key.commit_lsn;
        status = each(context, &key, err);
    }
    if (status == NW_OK && result != SQLITE_DONE) {
        status = db_fail(file, err);
    }
    (void)sqlite3_finalize(statement);
    return status;
}

static void name_take(char to[static NW_LETTERS_NAME_SIZE], const char *from)
{
    (void)snprintf(to, NW_LETTERS_NAME_SIZE, "%s", from);
}

static void tally_add(struct nw_letters_tally *tally, const struct nw_letters_count *line)
{
    uint32_t at = 0;

    tally->letters += line->letters;
    tally->bytes += line->bytes;
    if (tally->tables_count < NW_LETTERS_TABLES_MAX) {
        tally->tables[tally->tables_count] = *line;
    }
    tally->tables_count++;
    while (at < tally->sinks_count && strcmp(tally->sinks[at].sink, line->sink) != 0) {
        at++;
    }
    if (at == NW_LETTERS_SINKS_MAX) {
        return;
    }
    if (at == tally->sinks_count) {
        tally->sinks_count++;
        tally->sinks[at] = (struct nw_letters_count){.letters = 0};
        name_take(tally->sinks[at].sink, line->sink);
    }
    tally->sinks[at].letters += line->letters;
    tally->sinks[at].bytes += line->bytes;
}

nw_status nw_letters_tally(struct nw_letters_file *file, struct nw_letters_tally *tally,
                           struct nw_error *err)
{
    sqlite3_stmt *statement = NULL;
    int result = SQLITE_ROW;

    *tally = (struct nw_letters_tally){.letters = 0};
    if (file->db == NULL) {
        return NW_OK;
    }
    statement = prepare(file,
                        "SELECT sink, schema_name, table_name, relation_oid, letters, bytes"
                        " FROM tally ORDER BY letters DESC, sink, relation_oid",
                        err);
    if (statement == NULL) {
        return NW_FATAL;
    }
    while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
        struct nw_letters_count line = {.relation_oid = (uint32_t)column_number(statement, 3),
                                        .letters = column_number(statement, 4),
                                        .bytes = column_number(statement, 5)};

        name_take(line.sink, column_text(statement, 0));
        name_take(line.schema_name, column_text(statement, 1));
        name_take(line.table_name, column_text(statement, 2));
        tally_add(tally, &line);
    }
    (void)sqlite3_finalize(statement);
    return result == SQLITE_DONE ? NW_OK : db_fail(file, err);
}

#define CHOSEN                                                                                     \
    " FROM letter WHERE (?1 IS NULL OR sink = ?1)"                                                 \
    " AND (?2 IS NULL OR schema_name || '.' || table_name = ?2)"                                   \
    " AND (?3 IS NULL OR id = ?3)"

static void choice_bind(sqlite3_stmt *statement, const struct nw_letters_choice *choice,
                        uint32_t at)
{
    (void)sqlite3_reset(statement);
    (void)sqlite3_clear_bindings(statement);
    if (choice->sink != NULL) {
        bind_text(statement, 1, choice->sink);
    }
    if (choice->table != NULL) {
        bind_text(statement, 2, choice->table);
    }
    if (choice->ids_count > 0) {
        (void)sqlite3_bind_int64(statement, 3, choice->ids[at]);
    }
}

static nw_status line_read(sqlite3_stmt *statement, struct nw_letters_line *line,
                           struct nw_error *err)
{
    *line = (struct nw_letters_line){
        .id = sqlite3_column_int64(statement, 0),
        .sink = column_text(statement, 1),
        .source = column_text(statement, 2),
        .relation_oid = (uint32_t)column_number(statement, 3),
        .schema_name = column_text(statement, 4),
        .table_name = column_text(statement, 5),
        .op = column_text(statement, 6),
        .generation = (uint32_t)column_number(statement, 7),
        .commit_lsn = column_number(statement, 8),
        .row_lsn = column_number(statement, 9),
        .seq = column_number(statement, 10),
        .xid = (uint32_t)column_number(statement, 11),
        .commit_us = sqlite3_column_int64(statement, 12),
        .refused_us = sqlite3_column_int64(statement, 13),
        .reason = column_text(statement, 14),
        .row = column_text(statement, 15),
        .bytes = column_number(statement, 16),
    };
    return hash_of(line) == column_number(statement, 17)
               ? NW_OK
               : nw_fail(err, NW_CORRUPT,
                         "NW2420 dead letter %lld says something else than was written",
                         (long long)line->id);
}

nw_status nw_letters_each(struct nw_letters_file *file, const struct nw_letters_choice *choice,
                          nw_status (*each)(void *context, const struct nw_letters_line *line,
                                            struct nw_error *err),
                          void *context, struct nw_error *err)
{
    uint32_t turns = choice->ids_count > 0 ? choice->ids_count : 1;
    sqlite3_stmt *statement =
        prepare(file,
                "SELECT id, sink, source, relation_oid, schema_name, table_name, op, generation,"
                " commit_lsn, row_lsn, seq, xid, commit_us, refused_us, reason, row, bytes,"
                " hash" CHOSEN " ORDER BY id",
                err);
    nw_status status = statement == NULL ? NW_FATAL : NW_OK;

    for (uint32_t i = 0; i < turns && status == NW_OK; i++) {
        int result = SQLITE_ROW;

        choice_bind(statement, choice, i);
        while (status == NW_OK && (result = sqlite3_step(statement)) == SQLITE_ROW) {
            struct nw_letters_line line;

            status = line_read(statement, &line, err);
            status = status == NW_OK ? each(context, &line, err) : status;
        }
        if (status == NW_OK && result != SQLITE_DONE) {
            status = db_fail(file, err);
        }
    }
    (void)sqlite3_finalize(statement);
    return status;
}

nw_status nw_letters_discard(struct nw_letters_file *file, const struct nw_letters_choice *choice,
                             uint64_t *removed, struct nw_error *err)
{
    uint32_t turns = choice->ids_count > 0 ? choice->ids_count : 1;
    nw_status status = execute(file, "BEGIN IMMEDIATE", err);
    sqlite3_stmt *statement = NULL;

    *removed = 0;
    if (status != NW_OK) {
        return status;
    }
    statement = prepare(file, "DELETE" CHOSEN, err);
    status = statement == NULL ? NW_FATAL : NW_OK;
    for (uint32_t i = 0; i < turns && status == NW_OK; i++) {
        choice_bind(statement, choice, i);
        status = finish(file, statement, err);
        *removed += status == NW_OK ? (uint64_t)sqlite3_changes(file->db) : 0;
    }
    (void)sqlite3_finalize(statement);
    status = status == NW_OK ? execute(file, "COMMIT", err) : status;
    if (status != NW_OK) {
        (void)sqlite3_exec(file->db, "ROLLBACK", NULL, NULL, NULL);
        return status;
    }
    /* The WAL has them still; busy readers keep it until they are done. */
    (void)sqlite3_exec(file->db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
    return NW_OK;
}
