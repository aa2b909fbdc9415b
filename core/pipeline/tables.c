/* SPDX-License-Identifier: Apache-2.0 */
/* See tables.h. */
#include "pipeline/tables.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "pg/lsn.h"

struct nw_tables {
    struct sqlite3 *db;
    pthread_mutex_t mutex; /* guards all below */
    struct nw_table_trouble *items;
    uint32_t count, capacity;
};

static const char SCHEMA[] =
    "CREATE TABLE IF NOT EXISTS tables ("
    " relation_oid INTEGER NOT NULL, sink TEXT NOT NULL, schema_name TEXT NOT NULL,"
    " table_name TEXT NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL, lsn TEXT NOT NULL,"
    " since INTEGER NOT NULL, PRIMARY KEY (relation_oid, sink)) STRICT;"
    "CREATE TABLE IF NOT EXISTS backlogs (relation_oid INTEGER PRIMARY KEY, lsn TEXT NOT NULL) "
    "STRICT";

static const char *const CONDITIONS[] = {"",         "stopped", "dropped", "doubtful", "waiting",
                                         "left out", "kept",    "paused",  "resuming", "asked"};

const char *nw_table_condition_name(enum nw_table_condition condition)
{
    if (condition == NW_TABLE_KEPT) {
        return CONDITIONS[NW_TABLE_STOPPED];
    }
    return CONDITIONS[condition == NW_TABLE_ASKED ? NW_TABLE_WAITING : condition];
}

static nw_status db_fail(const struct nw_tables *tables, const char *what, struct nw_error *err)
{
    return nw_fail(err, NW_FATAL, "NW2002 cannot %s the tables' states in narwal's state: %s", what,
                   sqlite3_errmsg(tables->db));
}

/* Adds, or replaces the one of the same table and sink. */
static nw_status item_put(struct nw_tables *tables, const struct nw_table_trouble *trouble,
                          struct nw_error *err)
{
    for (uint32_t i = 0; i < tables->count; i++) {
        if (tables->items[i].relation_oid == trouble->relation_oid &&
            strcmp(tables->items[i].sink, trouble->sink) == 0) {
            tables->items[i] = *trouble;
            return NW_OK;
        }
    }
    if (tables->count == tables->capacity) {
        uint32_t capacity = tables->capacity == 0 ? 16 : tables->capacity * 2;
        struct nw_table_trouble *items = reallocarray(tables->items, capacity, sizeof *items);

        if (items == NULL) {
            return nw_fail(err, NW_FATAL, "out of memory for the tables' states");
        }
        tables->items = items;
        tables->capacity = capacity;
    }
    tables->items[tables->count++] = *trouble;
    return NW_OK;
}

static void text_take(sqlite3_stmt *statement, int column, char *text, size_t size)
{
    const unsigned char *stored = sqlite3_column_text(statement, column);

    (void)snprintf(text, size, "%s", stored == NULL ? "" : (const char *)stored);
}

static void row_take(sqlite3_stmt *statement, struct nw_table_trouble *trouble)
{
    char text[32];

    memset(trouble, 0, sizeof *trouble);
    trouble->relation_oid = (uint32_t)sqlite3_column_int64(statement, 0);
    text_take(statement, 1, trouble->sink, sizeof trouble->sink);
    text_take(statement, 2, trouble->schema_name, sizeof trouble->schema_name);
    text_take(statement, 3, trouble->table_name, sizeof trouble->table_name);
    text_take(statement, 4, text, sizeof text);
    trouble->condition = NW_TABLE_STOPPED;
    for (int i = NW_TABLE_STOPPED; i <= NW_TABLE_ASKED; i++) {
        if (strcmp(text, CONDITIONS[i]) == 0) {
            trouble->condition = (enum nw_table_condition)i;
        }
    }
    text_take(statement, 5, trouble->reason, sizeof trouble->reason);
    text_take(statement, 6, text, sizeof text);
    (void)nw_lsn_parse(text, &trouble->lsn);
    trouble->since_us = sqlite3_column_int64(statement, 7);
}

static nw_status rows_read(struct nw_tables *tables, struct nw_error *err)
{
    sqlite3_stmt *statement = NULL;
    int result = SQLITE_ERROR;
    nw_status status = NW_OK;

    if (sqlite3_prepare_v2(tables->db,
                           "SELECT relation_oid, sink, schema_name, table_name, state, reason, lsn,"
                           " since FROM tables ORDER BY since, relation_oid",
                           -1, &statement, NULL) != SQLITE_OK) {
        return db_fail(tables, "read", err);
    }
    while (status == NW_OK && (result = sqlite3_step(statement)) == SQLITE_ROW) {
        struct nw_table_trouble trouble;

        row_take(statement, &trouble);
        status = item_put(tables, &trouble, err);
    }
    (void)sqlite3_finalize(statement);
    return status == NW_OK && result != SQLITE_DONE ? db_fail(tables, "read", err) : status;
}

nw_status nw_tables_open(struct nw_state *state, struct nw_tables **tables, struct nw_error *err)
{
    struct nw_tables *made = calloc(1, sizeof *made);
    nw_status status = NW_OK;

    if (made == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for the tables' states");
    }
    made->db = nw_state_database(state);
    (void)pthread_mutex_init(&made->mutex, NULL);
    status = sqlite3_exec(made->db, SCHEMA, NULL, NULL, NULL) == SQLITE_OK
                 ? rows_read(made, err)
                 : db_fail(made, "read", err);
    if (status != NW_OK) {
        nw_tables_close(made);
        return status;
    }
    *tables = made;
    return NW_OK;
}

void nw_tables_close(struct nw_tables *tables)
{
    if (tables != NULL) {
        (void)pthread_mutex_destroy(&tables->mutex);
        free(tables->items);
        free(tables);
    }
}

static bool row_bind(sqlite3_stmt *statement, const struct nw_table_trouble *trouble)
{
    char lsn[NW_LSN_TEXT_SIZE];
    const char *texts[] = {trouble->sink,       trouble->schema_name,
                           trouble->table_name, CONDITIONS[trouble->condition],
                           trouble->reason,     nw_lsn_text(lsn, trouble->lsn)};
    bool bound = sqlite3_bind_int64(statement, 1, trouble->relation_oid) == SQLITE_OK &&
                 sqlite3_bind_int64(statement, 8, trouble->since_us) == SQLITE_OK;

    for (int i = 0; i < 6 && bound; i++) {
        bound = sqlite3_bind_text(statement, i + 2, texts[i], -1, SQLITE_TRANSIENT) == SQLITE_OK;
    }
    return bound;
}

nw_status nw_tables_set(struct nw_tables *tables, const struct nw_table_trouble *trouble,
                        struct nw_error *err)
{
    sqlite3_stmt *statement = NULL;
    bool written =
        sqlite3_prepare_v2(tables->db,
                           "INSERT OR REPLACE INTO tables VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                           -1, &statement, NULL) == SQLITE_OK &&
        row_bind(statement, trouble) && sqlite3_step(statement) == SQLITE_DONE;
    nw_status status = written ? NW_OK : db_fail(tables, "write", err);

    (void)sqlite3_finalize(statement);
    if (status == NW_OK) {
        (void)pthread_mutex_lock(&tables->mutex);
        status = item_put(tables, trouble, err);
        (void)pthread_mutex_unlock(&tables->mutex);
    }
    return status;
}

/* Tables in this state have it no more; all of them (0), or one. */
static nw_status rows_delete(struct nw_tables *tables, enum nw_table_condition condition,
                             uint32_t relation_oid, struct nw_error *err)
{
    sqlite3_stmt *statement = NULL;
    uint32_t kept = 0;
    bool written =
        sqlite3_prepare_v2(tables->db,
                           "DELETE FROM tables WHERE state = ?2 AND (?1 = 0 OR relation_oid = ?1)",
                           -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_bind_int64(statement, 1, relation_oid) == SQLITE_OK &&
        sqlite3_bind_text(statement, 2, CONDITIONS[condition], -1, SQLITE_STATIC) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_DONE;

    (void)sqlite3_finalize(statement);
    if (!written) {
        return db_fail(tables, "write", err);
    }
    (void)pthread_mutex_lock(&tables->mutex);
    for (uint32_t i = 0; i < tables->count; i++) {
        if (tables->items[i].condition != condition ||
            (relation_oid != 0 && tables->items[i].relation_oid != relation_oid)) {
            tables->items[kept++] = tables->items[i];
        }
    }
    tables->count = kept;
    (void)pthread_mutex_unlock(&tables->mutex);
    return NW_OK;
}

nw_status nw_tables_copied(struct nw_tables *tables, uint32_t relation_oid, struct nw_error *err)
{
    nw_status status = rows_delete(tables, NW_TABLE_WAITING, relation_oid, err);

    return status == NW_OK ? rows_delete(tables, NW_TABLE_ASKED, relation_oid, err) : status;
}

nw_status nw_tables_resumed(struct nw_tables *tables, uint32_t relation_oid, struct nw_error *err)
{
    return rows_delete(tables, NW_TABLE_RESUMING, relation_oid, err);
}

nw_status nw_tables_remove(struct nw_tables *tables, uint32_t relation_oid, const char *sink,
                           struct nw_error *err)
{
    sqlite3_stmt *statement = NULL;
    bool written =
        sqlite3_prepare_v2(tables->db, "DELETE FROM tables WHERE relation_oid = ?1 AND sink = ?2",
                           -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_bind_int64(statement, 1, relation_oid) == SQLITE_OK &&
        sqlite3_bind_text(statement, 2, sink, -1, SQLITE_STATIC) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_DONE;
    uint32_t kept = 0;

    (void)sqlite3_finalize(statement);
    if (!written) {
        return db_fail(tables, "write", err);
    }
    (void)pthread_mutex_lock(&tables->mutex);
    for (uint32_t i = 0; i < tables->count; i++) {
        if (tables->items[i].relation_oid != relation_oid ||
            strcmp(tables->items[i].sink, sink) != 0) {
            tables->items[kept++] = tables->items[i];
        }
    }
    tables->count = kept;
    (void)pthread_mutex_unlock(&tables->mutex);
    return NW_OK;
}

nw_status nw_tables_reached_lsn(struct nw_tables *tables, uint32_t relation_oid, uint64_t *lsn,
                                struct nw_error *err)
{
    sqlite3_stmt *statement = NULL;
    char text[NW_LSN_TEXT_SIZE] = "";
    int result = SQLITE_ERROR;

    *lsn = 0;
    if (sqlite3_prepare_v2(tables->db, "SELECT lsn FROM backlogs WHERE relation_oid = ?1", -1,
                           &statement, NULL) == SQLITE_OK &&
        sqlite3_bind_int64(statement, 1, relation_oid) == SQLITE_OK) {
        result = sqlite3_step(statement);
    }
    if (result == SQLITE_ROW) {
        text_take(statement, 0, text, sizeof text);
        (void)nw_lsn_parse(text, lsn);
    }
    (void)sqlite3_finalize(statement);
    return result == SQLITE_ROW || result == SQLITE_DONE ? NW_OK : db_fail(tables, "read", err);
}

nw_status nw_tables_reached(struct nw_tables *tables, uint32_t relation_oid, uint64_t lsn,
                            struct nw_error *err)
{
    sqlite3_stmt *statement = NULL;
    char text[NW_LSN_TEXT_SIZE];
    bool written =
        sqlite3_prepare_v2(tables->db,
                           "INSERT INTO backlogs VALUES (?1, ?2) ON CONFLICT (relation_oid) "
                           "DO UPDATE SET lsn = ?2 WHERE lsn <> ?2",
                           -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_bind_int64(statement, 1, relation_oid) == SQLITE_OK &&
        sqlite3_bind_text(statement, 2, nw_lsn_text(text, lsn), -1, SQLITE_STATIC) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_DONE;

    (void)sqlite3_finalize(statement);
    return written ? NW_OK : db_fail(tables, "write", err);
}

/* Whether the table is in this condition at a sink; "": at every sink. */
static bool is_in(struct nw_tables *tables, uint32_t relation_oid, const char *sink,
                  enum nw_table_condition condition)
{
    bool found = false;

    (void)pthread_mutex_lock(&tables->mutex);
    for (uint32_t i = 0; i < tables->count && !found; i++) {
        found = tables->items[i].relation_oid == relation_oid &&
                tables->items[i].condition == condition && strcmp(tables->items[i].sink, sink) == 0;
    }
    (void)pthread_mutex_unlock(&tables->mutex);
    return found;
}

bool nw_tables_stopped(struct nw_tables *tables, uint32_t relation_oid)
{
    return is_in(tables, relation_oid, "", NW_TABLE_STOPPED) ||
           is_in(tables, relation_oid, "", NW_TABLE_LEFT_OUT);
}

bool nw_tables_kept(struct nw_tables *tables, uint32_t relation_oid)
{
    return is_in(tables, relation_oid, "", NW_TABLE_KEPT) ||
           is_in(tables, relation_oid, "", NW_TABLE_PAUSED) ||
           is_in(tables, relation_oid, "", NW_TABLE_RESUMING);
}

bool nw_tables_keeps(struct nw_tables *tables, uint32_t relation_oid)
{
    bool found = false;

    (void)pthread_mutex_lock(&tables->mutex);
    for (uint32_t i = 0; i < tables->count && !found; i++) {
        found = tables->items[i].relation_oid == relation_oid &&
                nw_table_condition_keeps(tables->items[i].condition);
    }
    (void)pthread_mutex_unlock(&tables->mutex);
    return found;
}

bool nw_tables_dropped(struct nw_tables *tables, uint32_t relation_oid)
{
    return is_in(tables, relation_oid, "", NW_TABLE_DROPPED);
}

bool nw_tables_waits(struct nw_tables *tables, uint32_t relation_oid, const char *sink)
{
    return is_in(tables, relation_oid, sink, NW_TABLE_WAITING);
}

bool nw_tables_asked(struct nw_tables *tables, uint32_t relation_oid)
{
    return is_in(tables, relation_oid, "", NW_TABLE_ASKED);
}

bool nw_tables_has(struct nw_tables *tables, uint32_t relation_oid)
{
    bool has = false;

    (void)pthread_mutex_lock(&tables->mutex);
    for (uint32_t i = 0; i < tables->count && !has; i++) {
        has = tables->items[i].relation_oid == relation_oid && tables->items[i].sink[0] == '\0';
    }
    (void)pthread_mutex_unlock(&tables->mutex);
    return has;
}

uint32_t nw_tables_count(struct nw_tables *tables)
{
    uint32_t count = 0;

    (void)pthread_mutex_lock(&tables->mutex);
    count = tables->count;
    (void)pthread_mutex_unlock(&tables->mutex);
    return count;
}

bool nw_tables_at(struct nw_tables *tables, uint32_t index, struct nw_table_trouble *trouble)
{
    bool there = false;

    (void)pthread_mutex_lock(&tables->mutex);
    there = index < tables->count;
    if (there) {
        *trouble = tables->items[index];
    }
    (void)pthread_mutex_unlock(&tables->mutex);
    return there;
}
