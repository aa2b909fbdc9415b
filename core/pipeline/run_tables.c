/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables that stop while the others go on: what the engine asks of them, and what is recorded. See
 * tables.h for who may call what when.
 */
#include <stdlib.h>
#include <string.h>

#include "base/code.h"
#include "base/crash.h"
#include "base/log.h"
#include "pg/lsn.h"
#include "pipeline/run_private.h"

#define RESUME                                                                                     \
    "its changes are kept from there on, and all other tables go on; narwal table resume deals "   \
    "them once that is mended, narwal table repair copies it again"
#define REPAIR                                                                                     \
    "its rows are left out from there on, and all other tables go on; narwal table repair copies " \
    "it "                                                                                          \
    "again"

void nw_run_trouble_of(const struct nw_run *run, const struct nw_table *table, uint64_t lsn,
                       struct nw_table_trouble *trouble)
{
    *trouble = (struct nw_table_trouble){.relation_oid = table->relation_oid,
                                         .condition = NW_TABLE_STOPPED,
                                         .lsn = lsn,
                                         .since_us = run->env->ops->wall_us(run->env)};
    (void)snprintf(trouble->schema_name, sizeof trouble->schema_name, "%s", table->schema_name);
    (void)snprintf(trouble->table_name, sizeof trouble->table_name, "%s", table->name);
}

nw_status nw_run_trouble_record(struct nw_run *run, const struct nw_table_trouble *trouble,
                                struct nw_error *err)
{
    char lsn[NW_LSN_TEXT_SIZE];
    nw_status status = NW_OK;

    nw_crash_point("stopping");
    status = nw_tables_set(run->table_states, trouble, err);
    if (status == NW_OK) {
        nw_crash_point("stopped");
        if (trouble->condition == NW_TABLE_PAUSED) {
            nw_log(NW_LOG_INFO, "table %s.%s is paused from %s on, and its changes are kept",
                   trouble->schema_name, trouble->table_name, nw_lsn_text(lsn, trouble->lsn));
            return NW_OK;
        }
        if (trouble->condition == NW_TABLE_DROPPED) {
            nw_log(NW_LOG_WARN, "%.6s table %s.%s: %s", nw_code_or(trouble->reason, "NW2101"),
                   trouble->schema_name, trouble->table_name, nw_code_rest(trouble->reason));
            return NW_OK;
        }
        nw_log(NW_LOG_ERROR, "%.6s table %s.%s stopped at %s%s%s: %.700s; %s",
               nw_code_or(trouble->reason, "NW2101"), trouble->schema_name, trouble->table_name,
               nw_lsn_text(lsn, trouble->lsn), trouble->sink[0] == '\0' ? "" : " at sink ",
               trouble->sink, nw_code_rest(trouble->reason),
               trouble->condition == NW_TABLE_KEPT ? RESUME : REPAIR);
    }
    return status;
}

nw_status nw_run_table_trouble(struct nw_run *run, const struct nw_table *table,
                               enum nw_table_condition condition, const char *reason,
                               struct nw_error *err)
{
    struct nw_table_trouble trouble;
    nw_status status = NW_OK;

    nw_run_trouble_of(run, table, 0, &trouble);
    trouble.condition = condition;
    (void)snprintf(trouble.reason, sizeof trouble.reason, "%s", reason);
    if (condition == NW_TABLE_DOUBTFUL && nw_tables_kept(run->table_states, table->relation_oid)) {
        nw_log(NW_LOG_WARN, "%.6s table %s.%s: %s", nw_code_or(reason, "NW2101"),
               table->schema_name, table->name, nw_code_rest(reason));
        return NW_OK; /* what is kept of it must not be forgotten */
    }
    if (condition == NW_TABLE_STOPPED) {
        return nw_run_trouble_record(run, &trouble, err);
    }
    status = nw_tables_set(run->table_states, &trouble, err);
    if (status == NW_OK) {
        if (nw_code_find(reason) != NULL) {
            nw_log(NW_LOG_WARN, "%.6s table %s.%s: %s", nw_code_or(reason, "NW2101"),
                   table->schema_name, table->name, nw_code_rest(reason));
        } else { /* as the configuration has it */
            nw_log(NW_LOG_INFO, "table %s.%s: %s", table->schema_name, table->name, reason);
        }
    }
    return status;
}

/* Begins to keep what comes of the table; without that it stops all the same. */
static void keep_begin(struct nw_run *run, const struct nw_dealer_stop *stop,
                       struct nw_table_trouble *trouble, struct nw_backlog **backlog)
{
    struct nw_error why = {0};

    if (nw_run_backlog_begin(run, stop, backlog, &why) == NW_OK) {
        trouble->condition = stop->paused ? NW_TABLE_PAUSED : NW_TABLE_KEPT;
    } else {
        nw_log(NW_LOG_WARN, "NW2514 what comes of table %s.%s cannot be kept: %s",
               trouble->schema_name, trouble->table_name, nw_code_rest(why.text));
    }
}

nw_status nw_run_table_stop(void *context, const struct nw_dealer_stop *stop,
                            struct nw_backlog **backlog, struct nw_error *err)
{
    struct nw_run *run = context;
    struct nw_table_trouble trouble;

    if (stop->sinks != 0) {
        return nw_run_apart_stop(run, stop, backlog, err);
    }
    nw_run_trouble_of(run, stop->table, stop->lsn, &trouble);
    (void)snprintf(trouble.reason, sizeof trouble.reason, "%s", stop->reason);
    if (stop->given_up != NULL && !nw_tables_kept(run->table_states, trouble.relation_oid)) {
        return NW_OK; /* a copy of it was asked for meanwhile */
    }
    if (stop->dropped) {
        trouble.condition = NW_TABLE_DROPPED;
    } else if (stop->playing != NULL && stop->given_up == NULL) {
        trouble.condition = stop->paused ? NW_TABLE_PAUSED : NW_TABLE_KEPT;
    } else if (stop->keeps) {
        keep_begin(run, stop, &trouble, backlog);
    }
    return nw_run_trouble_record(run, &trouble, err);
}

bool nw_run_table_stopped(void *context, const struct nw_table *table)
{
    const struct nw_run *run = context;

    return nw_tables_stopped(run->table_states, table->relation_oid);
}

bool nw_run_table_waits_for_mark(void *context, const struct nw_table *table)
{
    struct nw_run *run = context;

    return atomic_load_explicit(&run->streams, memory_order_relaxed) &&
           (nw_tables_waits(run->table_states, table->relation_oid, "") ||
            nw_run_news_meet(run, table));
}

bool nw_run_table_is_copied(void *context, const struct nw_table *table)
{
    struct nw_run *run = context;

    if (!nw_tables_waits(run->table_states, table->relation_oid, "") &&
        !nw_tables_asked(run->table_states, table->relation_oid)) {
        return false;
    }
    nw_log(NW_LOG_WARN, "NW1505 %s.%s is not paused: a copy of it was asked for meanwhile",
           table->schema_name, table->name);
    return true;
}

static bool names_only(const struct nw_run *run)
{
    for (uint32_t s = 0; s < run->options->sinks_count; s++) {
        if ((run->options->sinks[s].plugin->ops.flags &
             (NW_SINK_NAMES_ONLY | NW_SINK_STORES_NOTHING)) == 0) {
            return false;
        }
    }
    return true;
}

struct nw_table_policy nw_run_table_policy(void *context, const struct nw_table *table)
{
    const struct nw_run *run = context;

    return nw_policies_find(&run->options->policies, names_only(run), table->schema_name,
                            table->name);
}

/* ---- tables that are copied again ---- */

nw_status nw_run_joining_note(struct nw_run *run, struct nw_error *err)
{
    struct nw_table_trouble trouble;
    uint32_t count = nw_tables_count(run->table_states);

    run->joins_lsn = nw_conductor_fence_lsn(run->conductor);
    run->joining = calloc(count + 1u, sizeof *run->joining);
    if (run->joining == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for tables that are copied again");
    }
    for (uint32_t i = 0; i < count && nw_tables_at(run->table_states, i, &trouble); i++) {
        if (trouble.condition == NW_TABLE_WAITING && trouble.sink[0] == '\0') {
            run->joining[run->joining_count++] = trouble.relation_oid;
        }
    }
    return NW_OK;
}

uint64_t nw_run_table_joins(void *context, const struct nw_table *table)
{
    const struct nw_run *run = context;

    for (uint32_t i = 0; i < run->joining_count; i++) {
        if (run->joining[i] == table->relation_oid) {
            return run->joins_lsn;
        }
    }
    return 0;
}

bool nw_run_table_waits(const struct nw_run *run, uint32_t sink, uint32_t relation_oid)
{
    return nw_tables_waits(run->table_states, relation_oid, "") ||
           nw_tables_asked(run->table_states, relation_oid) ||
           nw_tables_waits(run->table_states, relation_oid, run->options->sinks[sink].name);
}

/* Whether the table's rows do not go on to the sink, for good or until it is resumed. */
static bool is_stop(const struct nw_table_trouble *trouble)
{
    return trouble->condition == NW_TABLE_STOPPED || trouble->condition == NW_TABLE_KEPT ||
           trouble->condition == NW_TABLE_PAUSED || trouble->condition == NW_TABLE_RESUMING;
}

bool nw_run_trouble_is_at(const struct nw_run *run, const struct nw_table_trouble *trouble,
                          uint32_t sink)
{
    return trouble->sink[0] == '\0' || strcmp(trouble->sink, run->options->sinks[sink].name) == 0;
}

bool nw_run_left_out(const struct nw_run *run, uint32_t sink, uint32_t relation_oid)
{
    struct nw_table_trouble trouble;

    for (uint32_t i = 0; nw_tables_at(run->table_states, i, &trouble); i++) {
        if (trouble.relation_oid == relation_oid && is_stop(&trouble) &&
            nw_run_trouble_is_at(run, &trouble, sink)) {
            return true;
        }
    }
    return false;
}

/* Whether sinks lack changes of it, and no backlog has them. */
static bool lacks(const struct nw_table_trouble *trouble)
{
    return trouble->condition == NW_TABLE_STOPPED || trouble->condition == NW_TABLE_LEFT_OUT ||
           trouble->condition == NW_TABLE_WAITING;
}

nw_status nw_run_leave_out(struct nw_run *run, struct nw_error *err)
{
    struct nw_table_trouble trouble;
    nw_status status = NW_OK;

    for (uint32_t i = 0; status == NW_OK && nw_tables_at(run->table_states, i, &trouble); i++) {
        if (trouble.sink[0] == '\0' && lacks(&trouble)) {
            nw_engine_lacks(
                run->engine,
                &(struct nw_behind){trouble.relation_oid, {.commit_lsn = trouble.lsn}, false});
        }
        for (uint32_t s = 0; s < run->options->sinks_count && status == NW_OK; s++) {
            if (trouble.condition == NW_TABLE_STOPPED &&
                strcmp(trouble.sink, run->options->sinks[s].name) == 0) {
                status = nw_engine_leave_out(run->engine, s, trouble.relation_oid, err);
            }
        }
    }
    return status;
}

nw_status nw_run_drops_tell(struct nw_run *run, struct nw_error *err)
{
    struct nw_table_trouble trouble;
    nw_status status = NW_OK;

    for (uint32_t i = 0; status == NW_OK && nw_tables_at(run->table_states, i, &trouble); i++) {
        const struct nw_table table = {.relation_oid = trouble.relation_oid,
                                       .schema_name = trouble.schema_name,
                                       .name = trouble.table_name};

        if (trouble.condition == NW_TABLE_DROPPED && trouble.lsn > run->start_lsn) {
            status = nw_engine_dropped(run->engine, &table, trouble.lsn, err);
        }
    }
    return status;
}

bool nw_run_refusal(struct nw_run *run, const struct nw_error *err,
                    struct nw_table_trouble *trouble)
{
    struct nw_engine_refusal refusal = {0};

    nw_engine_refused(run->engine, &refusal);
    if (refusal.table == NULL) {
        const struct nw_table *table = nw_conductor_refused(run->conductor);

        if (table != NULL) {
            nw_run_trouble_of(run, table, 0, trouble);
            (void)snprintf(trouble->reason, sizeof trouble->reason, "%s", err->text);
        }
        return table != NULL;
    }
    nw_run_trouble_of(run, refusal.table, refusal.lsn, trouble);
    (void)snprintf(trouble->sink, sizeof trouble->sink, "%s",
                   run->options->sinks[refusal.sink].name);
    (void)snprintf(trouble->reason, sizeof trouble->reason, "%s", refusal.error.text);
    if (run->status.phase != NW_RUN_COPYING && !nw_run_joins_has(run, trouble->relation_oid)) {
        trouble->condition = NW_TABLE_KEPT;
    }
    return true;
}

nw_status nw_run_refusal_record(struct nw_run *run, const struct nw_table_trouble *trouble,
                                struct nw_error *err)
{
    nw_status status = trouble->condition == NW_TABLE_KEPT
                           ? nw_run_apart_record(run, trouble, err)
                           : nw_run_trouble_record(run, trouble, err);

    /* As after a crash: the sink goes back to its position, and on from there without the table. */
    return status == NW_OK ? nw_fail(err, NW_RETRY, "NW2101 going on%s%s without table %s.%s",
                                     trouble->sink[0] == '\0' ? "" : " at sink ", trouble->sink,
                                     trouble->schema_name, trouble->table_name)
                           : status;
}

void nw_run_tables_say(const struct nw_run *run)
{
    struct nw_table_trouble trouble;
    char lsn[NW_LSN_TEXT_SIZE];

    for (uint32_t i = 0; nw_tables_at(run->table_states, i, &trouble); i++) {
        if (is_stop(&trouble)) {
            nw_log(NW_LOG_WARN, "%.6s table %s.%s is %s since %s%s%s: %.700s; %s",
                   nw_code_or(trouble.reason, "NW2101"), trouble.schema_name, trouble.table_name,
                   nw_table_condition_name(trouble.condition), nw_lsn_text(lsn, trouble.lsn),
                   trouble.sink[0] == '\0' ? "" : " at sink ", trouble.sink,
                   nw_code_rest(trouble.reason),
                   trouble.condition == NW_TABLE_STOPPED ? REPAIR : RESUME);
        }
    }
}
