/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables that were to be copied while the others stream, and are not to be any more: dropped,
 * taken out of the publication, renamed out of the patterns, or stopped. The others of their round
 * go on. What sinks hold of such a table goes; what they had of it stays. Main thread.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "pipeline/run_private.h"

/* ---- what becomes of one ---- */

static nw_status waits_no_more(struct nw_run *run, const struct nw_table *table,
                               struct nw_error *err)
{
    return nw_tables_copied(run->table_states, table->relation_oid, err);
}

nw_status nw_run_waiting_unpublished(struct nw_run *run, const struct nw_table *table,
                                     struct nw_error *err)
{
    nw_status status = nw_run_table_trouble(run, table, NW_TABLE_STOPPED,
                                            "NW2111 it left the publication while it waited for "
                                            "its copy, or was copied: put it in again "
                                            "(ALTER PUBLICATION ... ADD TABLE) first",
                                            err);

    return status == NW_OK ? waits_no_more(run, table, err) : status;
}

/* As the policy says. Where sinks are to hear of it the watch over the catalog finds it, too. */
static nw_status dropped(struct nw_run *run, const struct nw_run_join *join,
                         const struct nw_table *table, struct nw_error *err)
{
    nw_status status = NW_OK;

    nw_conductor_say_dropped(table->schema_name, table->name);
    switch (nw_run_table_policy(run, table).drop_table) {
    case NW_RULE_APPLY:
        return join->everywhere ? NW_OK : waits_no_more(run, table, err);
    case NW_RULE_STOP:
        status = nw_run_table_trouble(run, table, NW_TABLE_STOPPED,
                                      "NW2106 it was dropped, and tables.drop_table is stop", err);
        break;
    case NW_RULE_KEEP:
        break;
    }
    return status == NW_OK ? waits_no_more(run, table, err) : status;
}

static nw_status unmatched(struct nw_run *run, const struct nw_table *table, struct nw_error *err)
{
    nw_status status = nw_followed_remove(run->followed_tables, table->relation_oid, err);

    nw_log(NW_LOG_INFO,
           "table %s.%s does not match the configuration any more, and is not copied: what sinks "
           "have of it stays",
           table->schema_name, table->name);
    return status == NW_OK ? waits_no_more(run, table, err) : status;
}

/* Why it is not copied is what the catalog says of it now. */
static nw_status table_leave(struct nw_run *run, const struct nw_run_join *join,
                             struct nw_error *err)
{
    struct nw_table table = {
        .relation_oid = join->relation_oid, .schema_name = join->schema_name, .name = join->name};
    struct nw_rows *rows = NULL;
    nw_status status = nw_server_control_open(&run->server, err);

    if (nw_tables_stopped(run->table_states, join->relation_oid)) {
        return NW_OK; /* recorded, and said */
    }
    if (status == NW_OK) {
        status = nw_catalog_name(run->server.control, join->relation_oid, &rows, err);
    }
    if (status == NW_OK && nw_rows_count(rows) == 0) {
        status = dropped(run, join, &table, err);
    } else if (status == NW_OK) {
        table.schema_name = nw_rows_text(rows, 0, 0);
        table.name = nw_rows_text(rows, 0, 1);
        status = nw_table_filter_match(&run->options->server.publication.filter, table.schema_name,
                                       table.name)
                     ? nw_run_waiting_unpublished(run, &table, err)
                     : unmatched(run, &table, err);
    }
    nw_rows_free(rows);
    return status;
}

nw_status nw_run_queue_leave(struct nw_run *run, struct nw_error *err)
{
    struct nw_run_joins *joins = &run->joins;
    nw_status status = NW_OK;

    for (uint32_t i = joins->queued; i-- > 0 && status == NW_OK;) {
        const struct nw_run_join join = joins->queue[i];

        if (!join.fresh || !nw_tables_kept(run->table_states, join.relation_oid)) {
            continue; /* sinks may hold what came of it, until they have its copy */
        }
        nw_log(NW_LOG_WARN,
               "NW1505 %s.%s is not copied: it stopped before its copy began, and what came of it "
               "since is kept: narwal table resume delivers that, then ask for the copy again",
               join.schema_name, join.name);
        nw_run_joins_remove(run, &joins->queue[i]);
        status = nw_chosen_set(run->state, join.relation_oid, NULL, err);
    }
    return status;
}

/* ---- and of its round ---- */

/* The sinks give up what they hold of it. */
static nw_status marks_send(struct nw_run *run, struct nw_error *err)
{
    struct nw_run_joins *joins = &run->joins;
    uint32_t count = 0;

    free(joins->left);
    joins->left = calloc(joins->round_count, sizeof *joins->left);
    if (joins->left == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for tables that leave");
    }
    for (uint32_t i = 0; i < joins->round_count; i++) {
        if (joins->round[i].leaves) {
            nw_conductor_leave(run->conductor, joins->round[i].relation_oid);
            joins->left[count++] =
                (struct nw_dealer_join){.relation_oid = joins->round[i].relation_oid,
                                        .sinks = joins->round[i].sinks,
                                        .generation = joins->generation,
                                        .from_lsn = joins->lsn,
                                        .leaves = true};
        }
    }
    nw_engine_join(run->engine, &(struct nw_engine_joins){joins->left, count});
    return NW_OK;
}

nw_status nw_run_round_leave(struct nw_run *run, bool dealt, struct nw_error *err)
{
    struct nw_run_joins *joins = &run->joins;
    uint32_t kept = 0;
    nw_status status = dealt ? marks_send(run, err) : NW_OK;

    for (uint32_t i = 0; i < joins->round_count && status == NW_OK; i++) {
        if (joins->round[i].leaves) {
            status = table_leave(run, &joins->round[i], err);
        } else {
            joins->round[kept++] = joins->round[i];
        }
    }
    if (status == NW_OK) {
        joins->round_count = kept;
    }
    return status;
}
