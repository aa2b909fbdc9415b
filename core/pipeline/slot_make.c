/* SPDX-License-Identifier: Apache-2.0 */
/* See slot_make.h. */
#include "pipeline/slot_make.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/code.h"
#include "base/log.h"
#include "pg/lsn.h"

#define TRIES_MAX    10 /* DDL that never pauses must not keep narwal from its work for ever */
#define XID_SIZE     24
#define CHANGED_SIZE 200

/* What the walsender reads the catalog for: the files, columns and identities of all permanent
 * tables, published or not, their schemas, and the publications. The parameter is the next xid at a
 * moment before: a row of a younger transaction is new. Of a frozen row xmin may be of any age,
 * also below 0. */
static const char changed_sql[] =
    "WITH since AS MATERIALIZED (SELECT age($1::xid8::xid) AS xids),"
    " tables AS MATERIALIZED (SELECT oid, relkind, xmin FROM pg_class"
    "  WHERE relpersistence = 'p' AND relkind IN ('r', 'p', 'm', 't')),"
    " changed AS (SELECT t.oid, t.relkind FROM tables t, since"
    "   WHERE age(t.xmin) BETWEEN 0 AND since.xids"
    "  UNION ALL SELECT t.oid, t.relkind FROM since, pg_attribute a JOIN tables t"
    "   ON t.oid = a.attrelid WHERE a.attnum > 0 AND age(a.xmin) BETWEEN 0 AND since.xids"
    "  UNION ALL SELECT t.oid, t.relkind FROM since, pg_index i JOIN tables t"
    "   ON t.oid = i.indrelid WHERE (i.indisprimary OR i.indisreplident)"
    "   AND age(i.xmin) BETWEEN 0 AND since.xids"
    "  UNION ALL SELECT p.prrelid, 'r' FROM since, pg_publication_rel p"
    "   WHERE age(p.xmin) BETWEEN 0 AND since.xids)"
    " (SELECT 'table ' || oid::regclass::text FROM changed ORDER BY relkind = 't' LIMIT 1)"
    " UNION ALL (SELECT 'schema ' || n.nspname FROM since, pg_namespace n"
    "  WHERE n.nspname !~ '^pg_' AND age(n.xmin) BETWEEN 0 AND since.xids LIMIT 1)"
    " UNION ALL (SELECT 'publication ' || p.pubname FROM since, pg_publication p"
    "  WHERE age(p.xmin) BETWEEN 0 AND since.xids LIMIT 1)";

/* One value of a session of its own: the wait for a consistent point may last hours. */
static nw_status ask(const struct nw_pg_options *connection, const char *sql, const char *parameter,
                     char *answer, size_t size, struct nw_error *err)
{
    struct nw_session *session = NULL;
    struct nw_rows *rows = NULL;
    nw_status status = nw_session_open(connection, false, &session, err);

    answer[0] = '\0';
    if (status == NW_OK) {
        status = nw_session_query(session, sql, parameter == NULL ? NULL : &parameter,
                                  parameter == NULL ? 0 : 1, NULL, &rows, err);
    }
    if (status == NW_OK && nw_rows_count(rows) > 0) {
        (void)snprintf(answer, size, "%s", nw_rows_text(rows, 0, 0));
    }
    nw_rows_free(rows);
    nw_session_close(session);
    return status;
}

static nw_status make_once(const struct nw_pg_options *connection, struct nw_session *walsender,
                           const struct nw_slot_request *request, struct nw_slot_created *created,
                           char changed[static CHANGED_SIZE], struct nw_error *err)
{
    char since[XID_SIZE];
    nw_status status = ask(
        connection, "SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text",
        NULL, since, sizeof since, err);

    if (status != NW_OK) {
        return status;
    }
    nw_log(NW_LOG_INFO, "waiting for a consistent point (running transactions must end first)");
    nw_session_wait_mark(walsender);
    status = nw_replication_create_slot(walsender, request, NULL, created, err);
    nw_session_wait_mark(NULL);
    if (status != NW_OK) {
        return status;
    }
    status = ask(connection, changed_sql, since, changed, CHANGED_SIZE, err);
    if (status != NW_OK) { /* it is not known to be sound; who cannot be asked may not hear this */
        struct nw_error why;

        if (nw_replication_drop_slot(walsender, request->name, false, NULL, &why) != NW_OK) {
            nw_log(NW_LOG_WARN, "NW2323 slot %s stays behind: %s", request->name,
                   nw_code_rest(why.text));
        }
    }
    return status;
}

nw_status nw_slot_make(const struct nw_server *server, const struct nw_pg_options *connection,
                       struct nw_session *walsender, bool exports, struct nw_slot_created *created,
                       struct nw_error *err)
{
    struct nw_slot_request request = {.name = server->options.slot_name,
                                      .failover = server->options.failover,
                                      .snapshot = exports ? NW_SLOT_SNAPSHOT_EXPORT
                                                          : NW_SLOT_SNAPSHOT_NONE};
    char changed[CHANGED_SIZE];
    char lsn[NW_LSN_TEXT_SIZE];
    nw_status status = make_once(connection, walsender, &request, created, changed, err);

    for (int tries = 1; status == NW_OK && changed[0] != '\0'; tries++) {
        if (tries == TRIES_MAX) {
            nw_log(NW_LOG_WARN,
                   "NW2322 DDL was committed each time that slot %s was made, last to %s: it is "
                   "used as it "
                   "is. If the stream ends with \"could not map filenumber\", a new copy is needed",
                   request.name, changed);
            break;
        }
        nw_log(NW_LOG_INFO,
               "slot %s is made again: DDL was committed to %s meanwhile, and the server could not "
               "decode rows that were written beside it",
               request.name, changed);
        status = nw_replication_drop_slot(walsender, request.name, false, NULL, err);
        if (status == NW_OK) {
            status = make_once(connection, walsender, &request, created, changed, err);
        }
    }
    if (status == NW_OK) {
        nw_log(NW_LOG_INFO, "slot %s made at %s", request.name,
               nw_lsn_text(lsn, created->consistent_lsn));
    }
    return status;
}
