/* SPDX-License-Identifier: Apache-2.0 */
/* Preflight of what was left behind: slots and publications of narwal's that nobody uses. */
#include <stdio.h>

#include "base/text.h"
#include "pipeline/preflight_private.h"
#include "pipeline/tail.h"

static nw_status slots_look(struct nw_examination *x, struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    char size[NW_NUMBER_TEXT_SIZE];
    nw_status status = nw_session_query(
        x->session,
        "SELECT slot_name, database, greatest(0, CASE WHEN pg_is_in_recovery() THEN "
        "pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END - restart_lsn), wal_status = 'lost'"
        " FROM pg_replication_slots WHERE slot_name LIKE 'narwal\\_%' AND slot_name <> $1 AND"
        " plugin = 'pgoutput' AND NOT active AND NOT temporary ORDER BY 3 DESC NULLS LAST LIMIT 20",
        (const char *const[]){x->options->server.slot_name}, 1, NULL, &rows, err);

    for (int i = 0; i < nw_rows_count(rows) && status == NW_OK; i++) {
        const char *slot = nw_rows_text(rows, i, 0);
        bool lost = nw_rows_text(rows, i, 3) != NULL && nw_rows_bool(rows, i, 3);

        nw_preflight_add(x->report, NW_FINDING_WARN, "NW1319",
                         "slot %s of database %s is read by nobody, and holds %s of WAL: a narwal "
                         "that is stopped, or was forgotten",
                         slot, nw_rows_text(rows, i, 1),
                         lost ? "nothing" : nw_size_text(size, (double)nw_rows_u64(rows, i, 2)))
            ->otherwise = nw_preflight_text(
            x->report,
            "narwal teardown of its configuration; or SELECT pg_drop_replication_slot('%s');",
            slot);
    }
    nw_rows_free(rows);
    return status;
}

/* Those that were named like a slot that is not there any more, and those of tails. */
static nw_status publications_look(struct nw_examination *x, struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    nw_status status = nw_session_query(
        x->session,
        "SELECT pubname FROM pg_publication WHERE pubname LIKE 'narwal\\_%' AND pubname NOT LIKE"
        " 'narwal\\_tail\\_%' AND pubname NOT IN ($1::text, $1::text || '_insert_only') AND NOT "
        "EXISTS"
        " (SELECT FROM pg_replication_slots WHERE database = current_database() AND slot_name IN"
        " (pubname, regexp_replace(pubname, '_insert_only$', ''))) ORDER BY 1 LIMIT 20",
        (const char *const[]){x->options->server.publication.name}, 1, NULL, &rows, err);

    for (int i = 0; i < nw_rows_count(rows) && status == NW_OK; i++) {
        char quoted[160] = "";

        status =
            nw_session_quote_name(x->session, nw_rows_text(rows, i, 0), quoted, sizeof quoted, err);
        nw_preflight_add(x->report, NW_FINDING_WARN, "NW1320",
                         "publication %s is named like one of narwal's, and there is no slot of "
                         "that name",
                         nw_rows_text(rows, i, 0))
            ->otherwise = nw_preflight_text(x->report, "DROP PUBLICATION %s;", quoted);
    }
    nw_rows_free(rows);
    return status;
}

static nw_status tails_look(struct nw_examination *x, struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    nw_status status = nw_tail_orphans(x->session, &rows, err);

    for (int i = 0; i < nw_rows_count(rows) && status == NW_OK; i++) {
        nw_preflight_add(x->report, NW_FINDING_WARN, "NW1320",
                         "publication %s was left by a narwal tail that was killed; the next tail, "
                         "or narwal teardown, removes it",
                         nw_rows_text(rows, i, 0))
            ->otherwise =
            nw_preflight_text(x->report, "DROP PUBLICATION %s;", nw_rows_text(rows, i, 0));
    }
    nw_rows_free(rows);
    return status;
}

nw_status nw_preflight_left(struct nw_examination *x, struct nw_error *err)
{
    nw_status status = x->options->setup_all ? NW_OK : slots_look(x, err);

    if (status == NW_OK && !x->options->setup_all) {
        status = publications_look(x, err);
    }
    return status == NW_OK && !x->options->setup_all ? tails_look(x, err) : status;
}
