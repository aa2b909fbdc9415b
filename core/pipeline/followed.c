/* SPDX-License-Identifier: Apache-2.0 */
/* See followed.h. */
#include "pipeline/followed.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#define ROWS_A_STATEMENT 1000u /* each is synced once */

struct nw_followed {
    struct sqlite3 *db;
    pthread_mutex_t mutex; /* guards all below */
    uint32_t *oids;
    struct nw_followed_table *tables; /* the same places, with names */
    uint32_t count, capacity;
};

static const char SCHEMA[] =
    "CREATE TABLE IF NOT EXISTS followed (relation_oid INTEGER PRIMARY KEY, schema_name TEXT NOT "
    "NULL, table_name TEXT NOT NULL) STRICT";

static nw_status db_fail(const struct nw_followed *followed, const char *what, struct nw_error *err)
{
    return nw_fail(err, NW_FATAL,
                   "NW2002 cannot %s which tables are followed in narwal's state: %s", what,
                   sqlite3_errmsg(followed->db));
}

static bool find(const struct nw_followed *followed, uint32_t relation_oid, uint32_t *index)
{
    for (uint32_t i = 0; i < followed->count; i++) {
        if (followed->oids[i] == relation_oid) {
            *index = i;
            return true;
        }
    }
    return false;
}

static nw_status places_grow(struct nw_followed *followed, struct nw_error *err)
{
    uint32_t capacity = followed->capacity == 0 ? 64 : followed->capacity * 2;
    uint32_t *oids = reallocarray(followed->oids, capacity, sizeof *oids);
    struct nw_followed_table *tables = NULL;

    followed->oids = oids != NULL ? oids : followed->oids;
    if (oids != NULL) {
        tables = reallocarray(followed->tables, capacity, sizeof *tables);
    }
    if (tables == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for tables that are followed");
    }
    followed->tables = tables;
    followed->capacity = capacity;
    return NW_OK;
}

static nw_status table_put(struct nw_followed *followed, const struct nw_followed_table *table,
                           struct nw_error *err)
{
    uint32_t index = followed->count;
    nw_status status = NW_OK;

    if (!find(followed, table->relation_oid, &index) && followed->count == followed->capacity) {
        status = places_grow(followed, err);
    }
    if (status == NW_OK) {
        followed->oids[index] = table->relation_oid;
        followed->tables[index] = *table;
        followed->count += index == followed->count;
    }
    return status;
}

static nw_status rows_read(struct nw_followed *followed, struct nw_error *err)
{
    sqlite3_stmt *statement = NULL;
    int result = SQLITE_ERROR;
    nw_status status = NW_OK;

    if (sqlite3_prepare_v2(followed->db,
                           "SELECT relation_oid, schema_name, table_name FROM followed", -1,
                           &statement, NULL) != SQLITE_OK) {
        return db_fail(followed, "read", err);
    }
    while (status == NW_OK && (result = sqlite3_step(statement)) == SQLITE_ROW) {
        struct nw_followed_table table = {.relation_oid =
                                              (uint32_t)sqlite3_column_int64(statement, 0)};

        (void)snprintf(table.schema_name, sizeof table.schema_name, "%s",
                       (const char *)sqlite3_column_text(statement, 1));
        (void)snprintf(table.table_name, sizeof table.table_name, "%s",
                       (const char *)sqlite3_column_text(statement, 2));
        status = table_put(followed, &table, err);
    }
    (void)sqlite3_finalize(statement);
    return status == NW_OK && result != SQLITE_DONE ? db_fail(followed, "read", err) : status;
}

nw_status nw_followed_open(struct nw_state *state, struct nw_followed **followed,
                           struct nw_error *err)
{
    struct nw_followed *made = calloc(1, sizeof *made);
    nw_status status = NW_OK;

    if (made == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for tables that are followed");
    }
    made->db = nw_state_database(state);
    (void)pthread_mutex_init(&made->mutex, NULL);
    status = sqlite3_exec(made->db, SCHEMA, NULL, NULL, NULL) == SQLITE_OK
                 ? rows_read(made, err)
                 : db_fail(made, "read", err);
    if (status != NW_OK) {
        nw_followed_close(made);
        return status;
    }
    *followed = made;
    return NW_OK;
}

void nw_followed_close(struct nw_followed *followed)
{
    if (followed != NULL) {
        (void)pthread_mutex_destroy(&followed->mutex);
        free(followed->oids);
        free(followed->tables);
        free(followed);
    }
}

bool nw_followed_has(struct nw_followed *followed, uint32_t relation_oid)
{
    uint32_t index = 0;
    bool has = false;

    (void)pthread_mutex_lock(&followed->mutex);
    has = find(followed, relation_oid, &index);
    (void)pthread_mutex_unlock(&followed->mutex);
    return has;
}

uint32_t nw_followed_count(struct nw_followed *followed)
{
    uint32_t count = 0;

    (void)pthread_mutex_lock(&followed->mutex);
    count = followed->count;
    (void)pthread_mutex_unlock(&followed->mutex);
    return count;
}

bool nw_followed_at(struct nw_followed *followed, uint32_t index, struct nw_followed_table *table)
{
    bool there = false;

    (void)pthread_mutex_lock(&followed->mutex);
    there = index < followed->count;
    if (there) {
        *table = followed->tables[index];
    }
    (void)pthread_mutex_unlock(&followed->mutex);
    return there;
}

void nw_followed_rename(struct nw_followed *followed, uint32_t relation_oid,
                        const char *schema_name, const char *name)
{
    uint32_t index = 0;

    (void)pthread_mutex_lock(&followed->mutex);
    if (find(followed, relation_oid, &index)) {
        struct nw_followed_table *table = &followed->tables[index];

        (void)snprintf(table->schema_name, sizeof table->schema_name, "%s", schema_name);
        (void)snprintf(table->table_name, sizeof table->table_name, "%s", name);
    }
    (void)pthread_mutex_unlock(&followed->mutex);
}

/* One statement: all of them, or none, and one sync. */
static nw_status rows_write(struct nw_followed *followed, const struct nw_followed_table *tables,
                            uint32_t count, struct nw_error *err)
{
    sqlite3_stmt *statement = NULL;
    char *text = nw_state_insert("followed", 3, count);
    bool written =
        text != NULL && sqlite3_prepare_v2(followed->db, text, -1, &statement, NULL) == SQLITE_OK;

    for (uint32_t i = 0; i < count && written; i++) {
        int at = (int)i * 3;

        written = sqlite3_bind_int64(statement, at + 1, tables[i].relation_oid) == SQLITE_OK &&
                  sqlite3_bind_text(statement, at + 2, tables[i].schema_name, -1, SQLITE_STATIC) ==
                      SQLITE_OK &&
                  sqlite3_bind_text(statement, at + 3, tables[i].table_name, -1, SQLITE_STATIC) ==
                      SQLITE_OK;
    }
    written = written && sqlite3_step(statement) == SQLITE_DONE;
    (void)sqlite3_finalize(statement);
    free(text);
    return written ? NW_OK : db_fail(followed, "write", err);
}

nw_status nw_followed_add(struct nw_followed *followed, const struct nw_followed_table *tables,
                          uint32_t count, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t at = 0; at < count && status == NW_OK; at += ROWS_A_STATEMENT) {
        uint32_t left = count - at;

        status = rows_write(followed, tables + at,
                            left < ROWS_A_STATEMENT ? left : ROWS_A_STATEMENT, err);
    }
    (void)pthread_mutex_lock(&followed->mutex);
    for (uint32_t i = 0; i < count && status == NW_OK; i++) {
        status = table_put(followed, &tables[i], err);
    }
    (void)pthread_mutex_unlock(&followed->mutex);
    return status;
}

nw_status nw_followed_remove(struct nw_followed *followed, uint32_t relation_oid,
                             struct nw_error *err)
{
    sqlite3_stmt *statement = NULL;
    uint32_t index = 0;
    bool written = sqlite3_prepare_v2(followed->db, "DELETE FROM followed WHERE relation_oid = ?1",
                                      -1, &statement, NULL) == SQLITE_OK &&
                   sqlite3_bind_int64(statement, 1, relation_oid) == SQLITE_OK &&
                   sqlite3_step(statement) == SQLITE_DONE;

    (void)sqlite3_finalize(statement);
    (void)pthread_mutex_lock(&followed->mutex);
    if (find(followed, relation_oid, &index)) {
        followed->count--;
        followed->oids[index] = followed->oids[followed->count];
        followed->tables[index] = followed->tables[followed->count];
    }
    (void)pthread_mutex_unlock(&followed->mutex);
    return written ? NW_OK : db_fail(followed, "write", err);
}
