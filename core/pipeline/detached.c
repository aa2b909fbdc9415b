/* SPDX-License-Identifier: Apache-2.0 */
/* See detached.h. */
#include "pipeline/detached.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

static const char SCHEMA[] =
    "CREATE TABLE IF NOT EXISTS detached (sink TEXT PRIMARY KEY, since_us INTEGER NOT NULL, lsn "
    "INTEGER NOT NULL, attaches INTEGER NOT NULL, reason TEXT NOT NULL) STRICT";

static nw_status db_fail(struct nw_state *state, const char *what, struct nw_error *err)
{
    return nw_fail(err, NW_FATAL, "NW2002 cannot %s which sinks are detached in narwal's state: %s",
                   what, sqlite3_errmsg(nw_state_database(state)));
}

static void row_take(sqlite3_stmt *statement, struct nw_detached *detached)
{
    struct nw_detached_sink *sink = &detached->sinks[detached->count];

    if (detached->count == NW_DETACHED_MAX) {
        return;
    }
    (void)snprintf(sink->name, sizeof sink->name, "%s",
                   (const char *)sqlite3_column_text(statement, 0));
    sink->since_us = sqlite3_column_int64(statement, 1);
    sink->lsn = (uint64_t)sqlite3_column_int64(statement, 2);
    sink->attaches = sqlite3_column_int(statement, 3) != 0;
    (void)snprintf(sink->reason, sizeof sink->reason, "%s",
                   (const char *)sqlite3_column_text(statement, 4));
    detached->count++;
}

nw_status nw_detached_read(struct nw_state *state, struct nw_detached *detached,
                           struct nw_error *err)
{
    struct sqlite3 *db = nw_state_database(state);
    sqlite3_stmt *statement = NULL;
    int result = SQLITE_ERROR;

    detached->count = 0;
    if (sqlite3_exec(db, SCHEMA, NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(
            db, "SELECT sink, since_us, lsn, attaches, reason FROM detached ORDER BY since_us", -1,
            &statement, NULL) != SQLITE_OK) {
        return db_fail(state, "read", err);
    }
    while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
        row_take(statement, detached);
    }
    (void)sqlite3_finalize(statement);
    return result == SQLITE_DONE ? NW_OK : db_fail(state, "read", err);
}

const struct nw_detached_sink *nw_detached_find(const struct nw_detached *detached,
                                                const char *name)
{
    for (uint32_t i = 0; i < detached->count; i++) {
        if (strcmp(detached->sinks[i].name, name) == 0) {
            return &detached->sinks[i];
        }
    }
    return NULL;
}

nw_status nw_detached_set(struct nw_state *state, struct nw_detached *detached,
                          const struct nw_detached_sink *sink, struct nw_error *err)
{
    sqlite3_stmt *statement = NULL;
    bool written = sqlite3_prepare_v2(nw_state_database(state),
                                      "INSERT OR REPLACE INTO detached VALUES (?1, ?2, ?3, ?4, ?5)",
                                      -1, &statement, NULL) == SQLITE_OK &&
                   sqlite3_bind_text(statement, 1, sink->name, -1, SQLITE_STATIC) == SQLITE_OK &&
                   sqlite3_bind_int64(statement, 2, sink->since_us) == SQLITE_OK &&
                   sqlite3_bind_int64(statement, 3, (int64_t)sink->lsn) == SQLITE_OK &&
                   sqlite3_bind_int(statement, 4, sink->attaches) == SQLITE_OK &&
                   sqlite3_bind_text(statement, 5, sink->reason, -1, SQLITE_STATIC) == SQLITE_OK &&
                   sqlite3_step(statement) == SQLITE_DONE;

    (void)sqlite3_finalize(statement);
    return written ? nw_detached_read(state, detached, err) : db_fail(state, "write", err);
}

nw_status nw_detached_remove(struct nw_state *state, struct nw_detached *detached, const char *name,
                             struct nw_error *err)
{
    sqlite3_stmt *statement = NULL;
    bool written =
        sqlite3_prepare_v2(nw_state_database(state), "DELETE FROM detached WHERE sink = ?1", -1,
                           &statement, NULL) == SQLITE_OK &&
        sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_DONE;

    (void)sqlite3_finalize(statement);
    return written ? nw_detached_read(state, detached, err) : db_fail(state, "write", err);
}
