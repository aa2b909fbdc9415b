/* SPDX-License-Identifier: Apache-2.0 */
/* See copy_watch.h. */
#include "pipeline/copy_watch.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/log.h"

/* {1,2,3}, without the zeros. @return how many there are */
static uint32_t pids_print(const int *pids, uint32_t pids_count, char *text, size_t size)
{
    uint32_t count = 0;
    size_t at = 1;

    text[0] = '{';
    for (uint32_t i = 0; i < pids_count; i++) {
        if (pids[i] != 0) {
            int printed = snprintf(text + at, size - at, "%s%d", count > 0 ? "," : "", pids[i]);

            NW_ASSERT(printed > 0 && (size_t)printed < size - at - 1);
            at += (size_t)printed;
            count++;
        }
    }
    text[at] = '}';
    text[at + 1] = '\0';
    return count;
}

nw_status nw_copy_watch(struct nw_session *session, const int *pids, uint32_t pids_count,
                        uint32_t *cancelled, struct nw_error *err)
{
    static const char sql[] =
        "SELECT pid, pg_catalog.pg_cancel_backend(pid) FROM (SELECT DISTINCT h.pid "
        "FROM pg_catalog.pg_locks h JOIN pg_catalog.pg_locks w ON w.locktype = 'relation' "
        "AND w.database = h.database AND w.relation = h.relation AND NOT w.granted "
        "AND w.mode = 'AccessExclusiveLock' "
        "WHERE h.locktype = 'relation' AND h.granted AND h.pid = ANY($1::pg_catalog.int4[])) p";
    char list[NW_COPY_WATCHED_MAX * 12 + 3];
    const char *params[1] = {list};
    struct nw_rows *rows = NULL;
    nw_status status = NW_OK;

    NW_ASSERT(pids_count <= NW_COPY_WATCHED_MAX);
    *cancelled = 0;
    if (pids_print(pids, pids_count, list, sizeof list) == 0) {
        return NW_OK;
    }
    status = nw_session_query(session, sql, params, 1, NULL, &rows, err);
    for (int row = 0; status == NW_OK && row < nw_rows_count(rows); row++) {
        for (uint32_t i = 0; i < pids_count; i++) {
            if ((uint64_t)pids[i] == nw_rows_u64(rows, row, 0)) {
                *cancelled |= 1u << i;
            }
        }
    }
    nw_rows_free(rows);
    return status;
}

nw_status nw_copy_cancel(struct nw_session *session, const int *pids, uint32_t pids_count,
                         struct nw_error *err)
{
    static const char sql[] =
        "SELECT pg_catalog.pg_cancel_backend(p) FROM pg_catalog.unnest($1::pg_catalog.int4[]) p";
    char list[NW_COPY_WATCHED_MAX * 12 + 3];
    const char *params[1] = {list};

    NW_ASSERT(pids_count <= NW_COPY_WATCHED_MAX);
    return pids_print(pids, pids_count, list, sizeof list) == 0
               ? NW_OK
               : nw_session_query(session, sql, params, 1, NULL, NULL, err);
}

/* The first row's text; "" without one. */
static void text_query(struct nw_session *session, const char *sql, const char *param,
                       char text[static NW_COPY_HOLDER_SIZE])
{
    struct nw_rows *rows = NULL;
    struct nw_error why = {0};
    const char *params[1] = {param};

    text[0] = '\0';
    if (session == NULL) {
        return;
    }
    if (nw_session_query(session, sql, params, 1, NULL, &rows, &why) != NW_OK) {
        nw_log(NW_LOG_DEBUG, "who is waited for is not known: %s", why.text);
    } else if (nw_rows_count(rows) > 0 && nw_rows_text(rows, 0, 0) != NULL) {
        (void)snprintf(text, NW_COPY_HOLDER_SIZE, "%s", nw_rows_text(rows, 0, 0));
    }
    nw_rows_free(rows);
}

void nw_copy_lock_holder(struct nw_session *session, uint32_t oid,
                         char holder[static NW_COPY_HOLDER_SIZE])
{
    static const char sql[] =
        "SELECT CASE WHEN l.pid IS NULL THEN 'a prepared transaction' ELSE 'process ' || l.pid || "
        "coalesce(' (' || coalesce(nullif(a.application_name, ''), a.backend_type) || ')', '') END "
        "FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a USING (pid) WHERE "
        "l.locktype = 'relation' AND l.granted AND l.mode = 'AccessExclusiveLock' AND l.relation = "
        "$1::pg_catalog.oid AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE "
        "datname = pg_catalog.current_database()) LIMIT 1";
    char text[16];

    (void)snprintf(text, sizeof text, "%" PRIu32, oid);
    text_query(session, sql, text, holder);
}

void nw_copy_blocker(struct nw_session *session, int backend_pid,
                     char blocker[static NW_COPY_HOLDER_SIZE])
{
    /* A prepared transaction has no process: its number is what the lock is of. */
    static const char sql[] =
        "SELECT CASE WHEN b.pid = 0 THEN coalesce((SELECT 'prepared transaction ' || "
        "pg_catalog.quote_literal(x.gid) || ', prepared ' || pg_catalog.date_trunc('second', "
        "pg_catalog.now() - x.prepared) || ' ago' FROM pg_catalog.pg_locks l JOIN "
        "pg_catalog.pg_prepared_xacts x ON x.transaction = l.transactionid WHERE l.pid = "
        "$1::pg_catalog.int4 AND NOT l.granted LIMIT 1), 'a prepared transaction') ELSE 'process ' "
        "|| b.pid || coalesce(' (' || coalesce(nullif(a.application_name, ''), a.backend_type) || "
        "')', '') || coalesce(', in a transaction for ' || pg_catalog.date_trunc('second', "
        "pg_catalog.now() - a.xact_start), '') END FROM "
        "pg_catalog.unnest(pg_catalog.pg_blocking_pids($1::pg_catalog.int4)) AS b(pid) LEFT JOIN "
        "pg_catalog.pg_stat_activity a USING (pid) ORDER BY a.xact_start NULLS LAST LIMIT 1";
    char text[16];

    (void)snprintf(text, sizeof text, "%d", backend_pid);
    text_query(session, sql, text, blocker);
}
