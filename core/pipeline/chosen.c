/* SPDX-License-Identifier: Apache-2.0 */
/* See chosen.h. */
#include "pipeline/chosen.h"

#include <sqlite3.h>
#include <stdio.h>

static const char SCHEMA[] = "CREATE TABLE IF NOT EXISTS chosen (relation_oid INTEGER PRIMARY KEY, "
                             "filter TEXT NOT NULL) STRICT";

static nw_status db_fail(struct nw_state *state, const char *what, struct nw_error *err)
{
    return nw_fail(err, NW_FATAL, "NW2002 cannot %s in narwal's state which rows are copied: %s",
                   what, sqlite3_errmsg(nw_state_database(state)));
}

static bool prepare(struct nw_state *state, const char *sql, uint32_t relation_oid,
                    sqlite3_stmt **statement)
{
    struct sqlite3 *db = nw_state_database(state);

    *statement = NULL;
    return sqlite3_exec(db, SCHEMA, NULL, NULL, NULL) == SQLITE_OK &&
           sqlite3_prepare_v2(db, sql, -1, statement, NULL) == SQLITE_OK &&
           sqlite3_bind_int64(*statement, 1, relation_oid) == SQLITE_OK;
}

nw_status nw_chosen_read(struct nw_state *state, uint32_t relation_oid, bool *found,
                         char filter[static NW_CHOSEN_SIZE], struct nw_error *err)
{
    sqlite3_stmt *statement = NULL;
    int result = SQLITE_ERROR;

    filter[0] = '\0';
    if (prepare(state, "SELECT filter FROM chosen WHERE relation_oid = ?1", relation_oid,
                &statement)) {
        result = sqlite3_step(statement);
    }
    *found = result == SQLITE_ROW;
    if (*found) {
        (void)snprintf(filter, NW_CHOSEN_SIZE, "%s",
                       (const char *)sqlite3_column_text(statement, 0));
    }
    (void)sqlite3_finalize(statement);
    return result == SQLITE_ROW || result == SQLITE_DONE ? NW_OK : db_fail(state, "read", err);
}

nw_status nw_chosen_set(struct nw_state *state, uint32_t relation_oid, const char *filter,
                        struct nw_error *err)
{
    sqlite3_stmt *statement = NULL;
    bool written = prepare(state,
                           filter == NULL ? "DELETE FROM chosen WHERE relation_oid = ?1"
                                          : "INSERT OR REPLACE INTO chosen VALUES (?1, ?2)",
                           relation_oid, &statement) &&
                   (filter == NULL ||
                    sqlite3_bind_text(statement, 2, filter, -1, SQLITE_STATIC) == SQLITE_OK) &&
                   sqlite3_step(statement) == SQLITE_DONE;

    (void)sqlite3_finalize(statement);
    return written ? NW_OK : db_fail(state, "write", err);
}
