/* SPDX-License-Identifier: Apache-2.0 */
/* See copy_watch.h. */
#include "pipeline/copy_watch.h"

#include <stdlib.h>

#include "base/assert.h"

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
