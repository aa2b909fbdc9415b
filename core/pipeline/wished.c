/* SPDX-License-Identifier: Apache-2.0 */
/* See wished.h. */
#include "pipeline/wished.h"

#include <sqlite3.h>

static const char SCHEMA[] =
    "CREATE TABLE IF NOT EXISTS wished (number INTEGER PRIMARY KEY, sink TEXT NOT NULL, command "
    "TEXT NOT NULL, later INTEGER NOT NULL) STRICT";

static nw_status db_fail(struct nw_state *state, const char *what, struct nw_error *err)
{
    return nw_fail(err, NW_FATAL, "NW2002 cannot %s in narwal's state what sinks asked for: %s",
                   what, sqlite3_errmsg(nw_state_database(state)));
}

nw_status nw_wished_read(struct nw_state *state, nw_wished_fn each, void *context,
                         struct nw_error *err)
{
    struct sqlite3 *db = nw_state_database(state);
    sqlite3_stmt *statement = NULL;
    int result = SQLITE_ERROR;

    if (sqlite3_exec(db, SCHEMA, NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, "SELECT number, sink, command, later FROM wished ORDER BY number",
                           -1, &statement, NULL) != SQLITE_OK) {
        return db_fail(state, "read", err);
    }
    while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
        each(context, sqlite3_column_int64(statement, 0),
             (const char *)sqlite3_column_text(statement, 1),
             (const char *)sqlite3_column_text(statement, 2),
             sqlite3_column_int(statement, 3) != 0);
    }
    (void)sqlite3_finalize(statement);
    return result == SQLITE_DONE ? NW_OK : db_fail(state, "read", err);
}

nw_status nw_wished_add(struct nw_state *state, int64_t number, const char *sink,
                        const char *command, bool later, struct nw_error *err)
{
    sqlite3_stmt *statement = NULL;
    bool written =
        sqlite3_prepare_v2(nw_state_database(state), "INSERT INTO wished VALUES (?1, ?2, ?3, ?4)",
                           -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_bind_int64(statement, 1, number) == SQLITE_OK &&
        sqlite3_bind_text(statement, 2, sink, -1, SQLITE_STATIC) == SQLITE_OK &&
        sqlite3_bind_text(statement, 3, command, -1, SQLITE_STATIC) == SQLITE_OK &&
        sqlite3_bind_int(statement, 4, later) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_DONE;

    (void)sqlite3_finalize(statement);
    return written ? NW_OK : db_fail(state, "write", err);
}

nw_status nw_wished_remove(struct nw_state *state, int64_t number, struct nw_error *err)
{
    sqlite3_stmt *statement = NULL;
    bool written =
        sqlite3_prepare_v2(nw_state_database(state), "DELETE FROM wished WHERE number = ?1", -1,
                           &statement, NULL) == SQLITE_OK &&
        sqlite3_bind_int64(statement, 1, number) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_DONE;

    (void)sqlite3_finalize(statement);
    return written ? NW_OK : db_fail(state, "write", err);
}
