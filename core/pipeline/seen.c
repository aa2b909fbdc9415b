/* SPDX-License-Identifier: Apache-2.0 */
/* See seen.h. */
#include "pipeline/seen.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_A_STATEMENT 1000u /* each is synced once */
#define ROW_COLUMNS      5

struct nw_seen {
    struct sqlite3 *db;
    struct nw_seen_table *tables;
    uint32_t count, capacity;
};

static const char SCHEMA[] =
    "CREATE TABLE IF NOT EXISTS seen (relation_oid INTEGER PRIMARY KEY, schema_name TEXT NOT NULL, "
    "table_name TEXT NOT NULL, partitions TEXT, published TEXT) STRICT";

static nw_status db_fail(const struct nw_seen *seen, const char *what, struct nw_error *err)
{
    return nw_fail(err, NW_FATAL, "NW2002 cannot %s what was seen of tables in narwal's state: %s",
                   what, sqlite3_errmsg(seen->db));
}

static nw_status no_memory(struct nw_error *err)
{
    return nw_fail(err, NW_FATAL, "out of memory for what was seen of tables");
}

static struct nw_seen_table *table_of(struct nw_seen *seen, uint32_t relation_oid)
{
    struct nw_seen_table *grown = NULL;

    for (uint32_t i = 0; i < seen->count; i++) {
        if (seen->tables[i].relation_oid == relation_oid) {
            return &seen->tables[i];
        }
    }
    if (seen->count == seen->capacity) {
        uint32_t capacity = seen->capacity == 0 ? 64 : seen->capacity * 2;

        grown = reallocarray(seen->tables, capacity, sizeof *grown);
        if (grown == NULL) {
            return NULL;
        }
        seen->tables = grown;
        seen->capacity = capacity;
    }
    seen->tables[seen->count] = (struct nw_seen_table){.relation_oid = relation_oid};
    return &seen->tables[seen->count++];
}

static void table_fini(struct nw_seen_table *table)
{
    free(table->partitions);
    free(table->published);
}

/* A copy of the text in its place. */
static bool text_put(char **place, const char *text)
{
    char *copy = text == NULL ? NULL : strdup(text);

    if (copy == NULL && text != NULL) {
        return false;
    }
    free(*place);
    *place = copy;
    return true;
}

static const char *column_text(sqlite3_stmt *statement, int column)
{
    return (const char *)sqlite3_column_text(statement, column);
}

static nw_status row_read(struct nw_seen *seen, sqlite3_stmt *statement, struct nw_error *err)
{
    struct nw_seen_table *table = table_of(seen, (uint32_t)sqlite3_column_int64(statement, 0));

    if (table == NULL || !text_put(&table->partitions, column_text(statement, 3)) ||
        !text_put(&table->published, column_text(statement, 4))) {
        return no_memory(err);
    }
    (void)snprintf(table->schema_name, sizeof table->schema_name, "%s", column_text(statement, 1));
    (void)snprintf(table->table_name, sizeof table->table_name, "%s", column_text(statement, 2));
    return NW_OK;
}

static nw_status rows_read(struct nw_seen *seen, struct nw_error *err)
{
    sqlite3_stmt *statement = NULL;
    int result = SQLITE_ERROR;
    nw_status status = NW_OK;

    if (sqlite3_prepare_v2(seen->db,
                           "SELECT relation_oid, schema_name, table_name, partitions, published "
                           "FROM seen",
                           -1, &statement, NULL) != SQLITE_OK) {
        return db_fail(seen, "read", err);
    }
    while (status == NW_OK && (result = sqlite3_step(statement)) == SQLITE_ROW) {
        status = row_read(seen, statement, err);
    }
    (void)sqlite3_finalize(statement);
    return status == NW_OK && result != SQLITE_DONE ? db_fail(seen, "read", err) : status;
}

nw_status nw_seen_open(struct nw_state *state, struct nw_seen **seen, struct nw_error *err)
{
    struct nw_seen *made = calloc(1, sizeof *made);
    nw_status status = NW_OK;

    if (made == NULL) {
        return no_memory(err);
    }
    made->db = nw_state_database(state);
    status = sqlite3_exec(made->db, SCHEMA, NULL, NULL, NULL) == SQLITE_OK
                 ? rows_read(made, err)
                 : db_fail(made, "read", err);
    if (status != NW_OK) {
        nw_seen_close(made);
        return status;
    }
    *seen = made;
    return NW_OK;
}

void nw_seen_close(struct nw_seen *seen)
{
    if (seen != NULL) {
        for (uint32_t i = 0; i < seen->count; i++) {
            table_fini(&seen->tables[i]);
        }
        free(seen->tables);
        free(seen);
    }
}

uint32_t nw_seen_count(const struct nw_seen *seen)
{
    return seen->count;
}

const struct nw_seen_table *nw_seen_at(const struct nw_seen *seen, uint32_t index)
{
    return &seen->tables[index];
}

const struct nw_seen_table *nw_seen_of(struct nw_seen *seen, uint32_t relation_oid)
{
    return table_of(seen, relation_oid);
}

static nw_status text_take(struct nw_seen_table *table, char **place, const char *text,
                           struct nw_error *err)
{
    if (*place != NULL && strcmp(*place, text) == 0) {
        return NW_OK;
    }
    table->changed = true;
    return text_put(place, text) ? NW_OK : no_memory(err);
}

nw_status nw_seen_partitions(struct nw_seen *seen, uint32_t relation_oid, const char *partitions,
                             struct nw_error *err)
{
    struct nw_seen_table *table = table_of(seen, relation_oid);

    return table == NULL ? no_memory(err) : text_take(table, &table->partitions, partitions, err);
}

nw_status nw_seen_published(struct nw_seen *seen, uint32_t relation_oid, const char *published,
                            struct nw_error *err)
{
    struct nw_seen_table *table = table_of(seen, relation_oid);

    return table == NULL ? no_memory(err) : text_take(table, &table->published, published, err);
}

void nw_seen_name(struct nw_seen *seen, uint32_t relation_oid, const char *schema_name,
                  const char *table_name)
{
    struct nw_seen_table *table = table_of(seen, relation_oid);

    if (table != NULL && (strcmp(table->schema_name, schema_name) != 0 ||
                          strcmp(table->table_name, table_name) != 0)) {
        (void)snprintf(table->schema_name, sizeof table->schema_name, "%s", schema_name);
        (void)snprintf(table->table_name, sizeof table->table_name, "%s", table_name);
        table->changed = true;
    }
}

static bool row_bind(sqlite3_stmt *statement, int at, const struct nw_seen_table *table)
{
    const char *const texts[] = {table->schema_name, table->table_name, table->partitions,
                                 table->published};
    bool bound = sqlite3_bind_int64(statement, at + 1, table->relation_oid) == SQLITE_OK;

    for (int i = 0; i < ROW_COLUMNS - 1 && bound; i++) { /* of NULL it makes a NULL */
        bound = sqlite3_bind_text(statement, at + 2 + i, texts[i], -1, SQLITE_STATIC) == SQLITE_OK;
    }
    return bound;
}

/* The changed ones from *at on, as many as one statement takes: all of them, or none. */
static nw_status rows_write(struct nw_seen *seen, uint32_t *at, uint32_t count,
                            struct nw_error *err)
{
    sqlite3_stmt *statement = NULL;
    char *text = nw_state_insert("seen", ROW_COLUMNS, count);
    uint32_t bound = 0;
    uint32_t end = *at;
    bool written =
        text != NULL && sqlite3_prepare_v2(seen->db, text, -1, &statement, NULL) == SQLITE_OK;

    for (; written && bound < count; end++) {
        if (seen->tables[end].changed) {
            written = row_bind(statement, (int)bound * ROW_COLUMNS, &seen->tables[end]);
            bound++;
        }
    }
    written = written && sqlite3_step(statement) == SQLITE_DONE;
    (void)sqlite3_finalize(statement);
    free(text);
    for (; written && *at < end; ++*at) {
        seen->tables[*at].changed = false;
    }
    return written ? NW_OK : db_fail(seen, "write", err);
}

nw_status nw_seen_save(struct nw_seen *seen, struct nw_error *err)
{
    uint32_t changed = 0;
    uint32_t at = 0;
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < seen->count; i++) {
        changed += seen->tables[i].changed ? 1 : 0;
    }
    while (changed > 0 && status == NW_OK) {
        uint32_t count = changed < ROWS_A_STATEMENT ? changed : ROWS_A_STATEMENT;

        status = rows_write(seen, &at, count, err);
        changed -= count;
    }
    return status;
}

nw_status nw_seen_forget(struct nw_seen *seen, uint32_t relation_oid, struct nw_error *err)
{
    sqlite3_stmt *statement = NULL;
    uint32_t kept = 0;
    bool written = false;

    for (uint32_t i = 0; i < seen->count; i++) {
        if (relation_oid == 0 || seen->tables[i].relation_oid == relation_oid) {
            table_fini(&seen->tables[i]);
        } else {
            seen->tables[kept++] = seen->tables[i];
        }
    }
    if (kept == seen->count) {
        return NW_OK;
    }
    seen->count = kept;
    written = sqlite3_prepare_v2(seen->db, "DELETE FROM seen WHERE ?1 IN (0, relation_oid)", -1,
                                 &statement, NULL) == SQLITE_OK &&
              sqlite3_bind_int64(statement, 1, relation_oid) == SQLITE_OK &&
              sqlite3_step(statement) == SQLITE_DONE;
    (void)sqlite3_finalize(statement);
    return written ? NW_OK : db_fail(seen, "write", err);
}
