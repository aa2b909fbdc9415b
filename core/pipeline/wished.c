/* SPDX-License-Identifier: Apache-2.0 */
/* See wished.h. */
#include "pipeline/wished.h"

#include <sqlite3.h>
#include <stdio.h>

/* `asked` has for each key the numbers of what was asked for by it, from the first to the last. */
static const char SCHEMA[] =
    "CREATE TABLE IF NOT EXISTS wished (number INTEGER PRIMARY KEY, sink TEXT NOT NULL, command "
    "TEXT NOT NULL, later INTEGER NOT NULL) STRICT;"
    "CREATE TABLE IF NOT EXISTS asked (number INTEGER PRIMARY KEY, last INTEGER NOT NULL, sink "
    "TEXT "
    "NOT NULL, key TEXT NOT NULL, note TEXT NOT NULL, UNIQUE (sink, key)) STRICT";

static nw_status db_fail(struct nw_state *state, const char *what, struct nw_error *err)
{
    return nw_fail(err, NW_FATAL, "NW2002 cannot %s in narwal's state what sinks asked for: %s",
                   what, sqlite3_errmsg(nw_state_database(state)));
}

nw_status nw_wished_read(struct nw_state *state, nw_wished_fn each, void *context, int64_t *last,
                         struct nw_error *err)
{
    struct sqlite3 *db = nw_state_database(state);
    sqlite3_stmt *statement = NULL;
    int result = SQLITE_ERROR;

    *last = 0;
    if (sqlite3_exec(db, SCHEMA, NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db,
                           "SELECT number, sink, command, later FROM wished UNION ALL SELECT "
                           "max(last), NULL, NULL, 0 FROM asked ORDER BY number",
                           -1, &statement, NULL) != SQLITE_OK) {
        return db_fail(state, "read", err);
    }
    while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
        const char *sink = (const char *)sqlite3_column_text(statement, 1);
        const char *command = (const char *)sqlite3_column_text(statement, 2);

        *last =
            sqlite3_column_int64(statement, 0) > *last ? sqlite3_column_int64(statement, 0) : *last;
        if (sink != NULL && command != NULL) {
            each(context, sqlite3_column_int64(statement, 0), sink, command,
                 sqlite3_column_int(statement, 3) != 0);
        }
    }
    (void)sqlite3_finalize(statement);
    return result == SQLITE_DONE ? NW_OK : db_fail(state, "read", err);
}

/* @return whether it is written */
static bool wish_write(struct sqlite3 *db, int64_t number, const char *sink, const char *command,
                       bool later)
{
    sqlite3_stmt *statement = NULL;
    bool written = sqlite3_prepare_v2(db, "INSERT INTO wished VALUES (?1, ?2, ?3, ?4)", -1,
                                      &statement, NULL) == SQLITE_OK &&
                   sqlite3_bind_int64(statement, 1, number) == SQLITE_OK &&
                   sqlite3_bind_text(statement, 2, sink, -1, SQLITE_STATIC) == SQLITE_OK &&
                   sqlite3_bind_text(statement, 3, command, -1, SQLITE_STATIC) == SQLITE_OK &&
                   sqlite3_bind_int(statement, 4, later) == SQLITE_OK &&
                   sqlite3_step(statement) == SQLITE_DONE;

    (void)sqlite3_finalize(statement);
    return written;
}

nw_status nw_wished_add(struct nw_state *state, int64_t number, const char *sink,
                        const char *command, bool later, struct nw_error *err)
{
    return wish_write(nw_state_database(state), number, sink, command, later)
               ? NW_OK
               : db_fail(state, "write", err);
}

/* ---- all that is asked for at once ---- */

/* The key, if it is new. @param known  filled: it is not */
static bool key_write(struct sqlite3 *db, int64_t first, const char *sink,
                      const struct nw_request *request, bool *known)
{
    sqlite3_stmt *statement = NULL;
    bool written =
        sqlite3_prepare_v2(
            db, "INSERT INTO asked VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (sink, key) DO NOTHING",
            -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_bind_int64(statement, 1, first) == SQLITE_OK &&
        sqlite3_bind_int64(statement, 2, first + request->commands_count - 1) == SQLITE_OK &&
        sqlite3_bind_text(statement, 3, sink, -1, SQLITE_STATIC) == SQLITE_OK &&
        sqlite3_bind_text(statement, 4, request->key, -1, SQLITE_STATIC) == SQLITE_OK &&
        sqlite3_bind_text(statement, 5, request->note == NULL ? "" : request->note, -1,
                          SQLITE_STATIC) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_DONE;

    (void)sqlite3_finalize(statement);
    *known = written && sqlite3_changes(db) == 0;
    return written && (*known || sqlite3_exec(db,
                                              "DELETE FROM asked WHERE number IN (SELECT number "
                                              "FROM asked ORDER BY number DESC LIMIT -1 OFFSET "
                                              "1024)",
                                              NULL, NULL, NULL) == SQLITE_OK);
}

/* In a transaction. */
static bool request_write(struct sqlite3 *db, int64_t first, const char *sink,
                          struct nw_request *request)
{
    bool written = request->key == NULL || key_write(db, first, sink, request, &request->again);

    for (uint32_t i = 0; written && !request->again && i < request->commands_count; i++) {
        written = wish_write(db, first + i, sink, request->commands[i], false);
    }
    return written;
}

nw_status nw_wished_ask(struct nw_state *state, int64_t first, const char *sink,
                        struct nw_request *request, struct nw_error *err)
{
    struct sqlite3 *db = nw_state_database(state);
    nw_status status = NW_OK;

    request->again = false;
    sqlite3_mutex_enter(sqlite3_db_mutex(db)); /* what other threads write is not a part of it */
    if (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK ||
        !request_write(db, first, sink, request) ||
        sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) {
        status = db_fail(state, "write", err);
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    }
    sqlite3_mutex_leave(sqlite3_db_mutex(db));
    return status;
}

/* ---- what is done ---- */

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

nw_status nw_wished_clear(struct nw_state *state, struct nw_error *err)
{
    return sqlite3_exec(nw_state_database(state), "DELETE FROM wished", NULL, NULL, NULL) ==
                   SQLITE_OK
               ? NW_OK
               : db_fail(state, "write", err);
}

static void text_read(sqlite3_stmt *statement, int column, char to[static NW_REQUEST_TEXT_SIZE])
{
    const char *text = (const char *)sqlite3_column_text(statement, column);

    (void)snprintf(to, NW_REQUEST_TEXT_SIZE, "%s", text == NULL ? "" : text);
}

nw_status nw_wished_name(struct nw_state *state, int64_t number, const char *sink,
                         struct nw_wished_name *name, struct nw_error *err)
{
    sqlite3_stmt *statement = NULL;
    int result = SQLITE_ERROR;

    *name = (struct nw_wished_name){.key = ""};
    if (sqlite3_prepare_v2(
            nw_state_database(state),
            "SELECT key, note FROM asked WHERE sink = ?1 AND ?2 BETWEEN number AND last", -1,
            &statement, NULL) == SQLITE_OK &&
        sqlite3_bind_text(statement, 1, sink, -1, SQLITE_STATIC) == SQLITE_OK &&
        sqlite3_bind_int64(statement, 2, number) == SQLITE_OK) {
        result = sqlite3_step(statement);
    }
    if (result == SQLITE_ROW) {
        text_read(statement, 0, name->key);
        text_read(statement, 1, name->note);
    }
    (void)sqlite3_finalize(statement);
    return result == SQLITE_ROW || result == SQLITE_DONE ? NW_OK : db_fail(state, "read", err);
}
