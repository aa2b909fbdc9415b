/* SPDX-License-Identifier: Apache-2.0 */
/* See handover.h. One row in the state; numbers as text, since SQLite's integers are signed. */
#include "pipeline/handover.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pg/lsn.h"

static const char SCHEMA[] =
    "CREATE TABLE IF NOT EXISTS handover (id INTEGER PRIMARY KEY CHECK (id = 1), text TEXT NOT "
    "NULL) STRICT";

char *nw_handover_text(char text[static NW_HANDOVER_TEXT_SIZE], const struct nw_handover *handover)
{
    char lsn[NW_LSN_TEXT_SIZE];

    (void)snprintf(text, NW_HANDOVER_TEXT_SIZE, "%" PRIu64 ".%" PRIu32 ".%s.%" PRIu64,
                   handover->system_identifier, handover->timeline, nw_lsn_text(lsn, handover->lsn),
                   handover->xid);
    return text;
}

/* The digits up to a dot, or the end. */
static bool number_take(const char **at, char end, uint64_t *number)
{
    size_t size = strspn(*at, "0123456789");
    char *after = NULL;

    if (size == 0 || size > 20 || (*at)[size] != end) {
        return false;
    }
    *number = strtoull(*at, &after, 10);
    *at += size + (end != '\0');
    return true;
}

bool nw_handover_parse(const char *text, struct nw_handover *handover)
{
    char lsn[NW_LSN_TEXT_SIZE] = "";
    uint64_t timeline = 0;
    size_t size = 0;

    *handover = (struct nw_handover){0};
    if (!number_take(&text, '.', &handover->system_identifier) ||
        !number_take(&text, '.', &timeline) || timeline > UINT32_MAX) {
        return false;
    }
    handover->timeline = (uint32_t)timeline;
    size = strcspn(text, ".");
    if (size >= sizeof lsn || text[size] != '.') {
        return false;
    }
    memcpy(lsn, text, size);
    text += size + 1;
    handover->known = nw_lsn_parse(lsn, &handover->lsn) && number_take(&text, '\0', &handover->xid);
    return handover->known;
}

static nw_status db_fail(struct nw_state *state, struct nw_error *err)
{
    return nw_fail(err, NW_FATAL, "NW2002 the hand-over in narwal's state: %s",
                   sqlite3_errmsg(nw_state_database(state)));
}

nw_status nw_handover_read(struct nw_state *state, struct nw_handover *handover,
                           struct nw_error *err)
{
    sqlite3 *db = nw_state_database(state);
    sqlite3_stmt *statement = NULL;
    bool read = false;

    *handover = (struct nw_handover){0};
    if (sqlite3_exec(db, SCHEMA, NULL, NULL, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(db, "SELECT text FROM handover", -1, &statement, NULL) == SQLITE_OK) {
        int result = sqlite3_step(statement);

        read = result == SQLITE_DONE ||
               (result == SQLITE_ROW &&
                nw_handover_parse((const char *)sqlite3_column_text(statement, 0), handover));
    }
    (void)sqlite3_finalize(statement);
    return read ? NW_OK : db_fail(state, err);
}

nw_status nw_handover_write(struct nw_state *state, const struct nw_handover *handover,
                            struct nw_error *err)
{
    sqlite3 *db = nw_state_database(state);
    char text[NW_HANDOVER_TEXT_SIZE];
    sqlite3_stmt *statement = NULL;
    bool written = false;

    if (sqlite3_exec(db, SCHEMA, NULL, NULL, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(db, "INSERT OR REPLACE INTO handover VALUES (1, ?1)", -1, &statement,
                           NULL) == SQLITE_OK &&
        sqlite3_bind_text(statement, 1, nw_handover_text(text, handover), -1, SQLITE_TRANSIENT) ==
            SQLITE_OK) {
        written = sqlite3_step(statement) == SQLITE_DONE;
    }
    (void)sqlite3_finalize(statement);
    return written ? NW_OK : db_fail(state, err);
}

nw_status nw_handover_xid(struct nw_session *session, uint64_t *xid, bool *quiet,
                          struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    nw_status status = nw_session_query(
        session,
        "SELECT pg_catalog.pg_snapshot_xmax(s)::text, pg_catalog.pg_snapshot_xmin(s) = "
        "pg_catalog.pg_snapshot_xmax(s) FROM pg_catalog.pg_current_snapshot() s",
        NULL, 0, NULL, &rows, err);

    if (status == NW_OK) {
        *xid = nw_rows_u64(rows, 0, 0);
        *quiet = nw_rows_bool(rows, 0, 1);
    }
    nw_rows_free(rows);
    return status;
}
