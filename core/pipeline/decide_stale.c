/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of a narwal that comes back after another one was the owner: it is of a former time.
 * That shows in the slot: what is acknowledged is recorded here before the server is told. On the
 * main thread, before anything is done with what is recorded.
 */
#include "pipeline/run_private.h"

#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "pg/lsn.h"

/* Whether the sinks have all that was acknowledged, and more of it than we ever did. */
static bool is_stale(const struct nw_run *run)
{
    const struct nw_state_source *known = &run->source;
    bool positions = true;

    for (uint32_t i = 0; i < run->options->sinks_count; i++) {
        positions = positions && run->members[i].lsn >= run->confirmed_lsn;
    }
    return known->known && run->slot_found && positions &&
           known->identity.system_identifier == run->server.identity.system_identifier &&
           known->identity.database_oid == run->server.identity.database_oid &&
           strcmp(known->identity.slot_name, run->server.identity.slot_name) == 0 &&
           known->acknowledged_lsn != 0 && known->acknowledged_lsn < run->confirmed_lsn;
}

/* Nobody knows what the other one did with it: a copy is right in any case. */
static nw_status copied_again(struct nw_run *run, struct nw_table_trouble *table, uint32_t *count,
                              struct nw_error *err)
{
    if (table->condition != NW_TABLE_STOPPED && !nw_table_condition_keeps(table->condition)) {
        return NW_OK;
    }
    table->condition = NW_TABLE_WAITING;
    (void)snprintf(
        table->reason, sizeof table->reason,
        "NW2015 another narwal was the owner meanwhile, and what is recorded here of the "
        "table is of a former time: it is copied again");
    (*count)++;
    return nw_tables_set(run->table_states, table, err);
}

nw_status nw_run_stale_check(struct nw_run *run, struct nw_error *err)
{
    struct nw_table_trouble table;
    char acknowledged[NW_LSN_TEXT_SIZE];
    char confirmed[NW_LSN_TEXT_SIZE];
    uint32_t count = 0;
    nw_status status = NW_OK;

    if (!is_stale(run)) {
        return NW_OK;
    }
    nw_run_wishes_drop(run); /* whoever asked may have asked the other one again */
    for (uint32_t i = 0; status == NW_OK && nw_tables_at(run->table_states, i, &table); i++) {
        status = copied_again(run, &table, &count, err);
    }
    if (status == NW_OK && count > 0) {
        nw_log(
            NW_LOG_WARN,
            "NW2015 another narwal was the owner since this one acknowledged %s, and has come to "
            "%s: %" PRIu32 " tables that were stopped or paused here are copied again",
            nw_lsn_text(acknowledged, run->source.acknowledged_lsn),
            nw_lsn_text(confirmed, run->confirmed_lsn), count);
    }
    return status;
}
