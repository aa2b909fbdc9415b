/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables whose rows some sinks refused. The others go on; what comes of the table is kept for those
 * (source/backlog.h), from the place on that such a sink has, as soon as something comes. What is
 * recorded of the table at each sink says for which it is; an attempt begins with that and changes
 * nothing of it but by marks in the stream, so whatever else happens to such a table ends the
 * attempt.
 */
#include <string.h>

#include "base/log.h"
#include "pipeline/run_private.h"

int nw_run_sink_index(const struct nw_run *run, const char *name)
{
    for (uint32_t i = 0; i < run->options->sinks_count; i++) {
        if (strcmp(run->options->sinks[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

/* ---- at a start ---- */

static struct nw_run_apart *apart_of(struct nw_run *run, uint32_t relation_oid)
{
    for (uint32_t i = 0; i < run->aparts_count; i++) {
        if (run->aparts[i].apart.relation_oid == relation_oid) {
            return &run->aparts[i];
        }
    }
    return NULL;
}

/* Where the sink's copy of the table ends; 0: it has none of its own. false: it is not whole. */
static bool copy_place(const struct nw_run_member *member, uint32_t relation_oid, uint64_t *lsn)
{
    const struct nw_copy_state *copy = nw_run_copy_of(member, relation_oid);
    struct nw_copy_progress progress;
    struct nw_error ignored;

    *lsn = 0;
    if (copy == NULL) {
        return member->lsn != 0;
    }
    if (!copy->complete ||
        nw_copy_unpack((struct nw_bytes){copy->bytes, copy->size}, &progress, &ignored) != NW_OK) {
        return false;
    }
    *lsn = progress.origin.fence_lsn;
    return true;
}

/* From where on the sink lacks what the stream has of the table. false: it has no whole copy. */
static bool place_of(const struct nw_run *run, uint32_t sink, uint32_t relation_oid, uint64_t *lsn)
{
    const struct nw_run_member *member = &run->members[sink];
    uint64_t copied_lsn = 0;
    bool behind = false;

    *lsn = member->lsn;
    for (uint32_t p = 0; p < member->recovered.positions_count; p++) {
        struct nw_behind_list list;

        nw_run_behind_read(member, p, &list);
        for (uint32_t t = 0; t < list.count; t++) {
            if (list.tables[t].relation_oid == relation_oid) {
                *lsn = list.tables[t].place.commit_lsn;
                behind = true;
            }
        }
    }
    if (!copy_place(member, relation_oid, &copied_lsn)) {
        return false;
    }
    *lsn = !behind && copied_lsn > *lsn ? copied_lsn : *lsn;
    return true;
}

/* What is known of a table when its first sink is found. @param apart  NULL: it cannot be gone on
 * with, which is recorded */
static nw_status apart_open(struct nw_run *run, const struct nw_table_trouble *table,
                            struct nw_run_apart **apart, struct nw_error *err)
{
    struct nw_run_apart made = {
        .apart = {.relation_oid = table->relation_oid, .from_lsn = UINT64_MAX}};
    uint64_t reached_lsn = 0;
    nw_status status = NW_OK;

    *apart = apart_of(run, table->relation_oid);
    if (*apart != NULL) {
        return NW_OK;
    }
    if (run->backlogs_count + run->aparts_count >= NW_BEHIND_MAX) {
        return nw_run_backlog_gone(run, table,
                                   "NW2514 the changes of too many tables are kept already", err);
    }
    status = nw_tables_reached_lsn(run->table_states, table->relation_oid, &reached_lsn, err);
    if (status == NW_OK && reached_lsn != 0) {
        status = nw_run_backlog_open(run, table, &made.backlog, err);
    }
    if (status == NW_OK && (reached_lsn == 0 || made.backlog != NULL)) {
        *apart = &run->aparts[run->aparts_count++];
        **apart = made;
    }
    return status;
}

/* Nothing of the table is lacked from there on by any sink that has it. */
static uint64_t lowest_place(const struct nw_run *run, uint32_t relation_oid)
{
    uint64_t lowest = UINT64_MAX;

    for (uint32_t s = 0; s < run->options->sinks_count; s++) {
        uint64_t lsn = 0;

        if (place_of(run, s, relation_oid, &lsn) && lsn < lowest) {
            lowest = lsn;
        }
    }
    return lowest;
}

/* What was kept of the table for other sinks is for this one too: a backlog begins with what any
 * sink lacked then, and none has less now. */
static nw_status apart_add(struct nw_run *run, const struct nw_table_trouble *table, uint32_t sink,
                           uint64_t place_lsn, struct nw_error *err)
{
    struct nw_run_apart *apart = NULL;
    nw_status status = apart_open(run, table, &apart, err);

    if (status != NW_OK || apart == NULL) {
        return status;
    }
    if (apart->backlog != NULL && place_lsn < apart->backlog->from.commit_lsn) {
        return nw_run_backlog_gone(run, table,
                                   "NW2514 what is kept of it for another sink begins later", err);
    }
    apart->apart.sinks |= 1u << sink;
    apart->apart.from_lsn = lowest_place(run, table->relation_oid);
    apart->resumes = apart->resumes || table->condition == NW_TABLE_RESUMING;
    return NW_OK;
}

static nw_status find_one(struct nw_run *run, const struct nw_table_trouble *table, bool *removed,
                          struct nw_error *err)
{
    int sink = nw_run_sink_index(run, table->sink);
    uint64_t from_lsn = 0;

    *removed = false;
    if (sink < 0) {
        return NW_OK; /* it is not configured any more, and may be again */
    }
    if (nw_tables_kept(run->table_states, table->relation_oid) ||
        nw_tables_stopped(run->table_states, table->relation_oid) ||
        nw_tables_dropped(run->table_states, table->relation_oid)) {
        *removed = true; /* the whole table is kept, or stopped, or it is gone */
        return nw_tables_remove(run->table_states, table->relation_oid, table->sink, err);
    }
    if (nw_schemas_find(run->schemas, table->relation_oid) == NULL) {
        return nw_run_backlog_gone(run, table,
                                   "NW2515 it is not published any more, or was dropped", err);
    }
    if (!place_of(run, (uint32_t)sink, table->relation_oid, &from_lsn)) {
        return nw_run_backlog_gone(run, table, "NW2514 that sink has no whole copy of it", err);
    }
    return apart_add(run, table, (uint32_t)sink, from_lsn, err);
}

/* Those that no sink could be gone on with are none. */
static void aparts_pack(struct nw_run *run)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < run->aparts_count; i++) {
        if (run->aparts[i].apart.sinks != 0) {
            run->aparts[kept++] = run->aparts[i];
        } else {
            nw_backlog_destroy(run->aparts[i].backlog);
        }
    }
    run->aparts_count = kept;
}

nw_status nw_run_aparts_find(struct nw_run *run, struct nw_error *err)
{
    struct nw_table_trouble table;
    nw_status status = NW_OK;
    uint32_t i = 0;

    run->aparts_count = 0;
    while (status == NW_OK && nw_tables_at(run->table_states, i, &table)) {
        bool removed = false;

        if (table.sink[0] != '\0' && nw_table_condition_keeps(table.condition)) {
            status = find_one(run, &table, &removed, err);
        }
        i += !removed;
    }
    aparts_pack(run);
    return status;
}

nw_status nw_run_aparts_give(struct nw_run *run, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < run->aparts_count; i++) {
        struct nw_run_apart *apart = &run->aparts[i];
        uint32_t oid = apart->apart.relation_oid;

        for (uint32_t s = 0; s < run->options->sinks_count && status == NW_OK; s++) {
            status = nw_sequencer_apart(nw_engine_sequencer(run->engine, s), oid,
                                        (apart->apart.sinks >> s & 1u) != 0, err);
        }
        if (apart->backlog != NULL) {
            apart->backlog->sinks = apart->apart.sinks;
            nw_engine_backlog(run->engine, apart->backlog, apart->resumes);
        } else {
            nw_engine_apart(run->engine, &apart->apart);
            if (apart->resumes && !nw_engine_resume(run->engine, oid)) {
                nw_log(NW_LOG_WARN,
                       "NW2101 too many tables go on at once: ask again for those that "
                       "narwal table list shows as resuming");
            }
        }
    }
    run->aparts_count = 0; /* they are the engine's */
    return status;
}

/* ---- while it runs ---- */

/* Records of the table at these sinks what became of what is kept for them. */
static nw_status condition_set(struct nw_run *run, const struct nw_dealer_stop *stop,
                               enum nw_table_condition condition, const char *reason,
                               struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t s = 0; s < run->options->sinks_count && status == NW_OK; s++) {
        struct nw_table_trouble trouble;

        if ((stop->sinks >> s & 1u) == 0) {
            continue;
        }
        nw_run_trouble_of(run, stop->table, stop->lsn, &trouble);
        trouble.condition = condition;
        (void)snprintf(trouble.sink, sizeof trouble.sink, "%s", run->options->sinks[s].name);
        (void)snprintf(trouble.reason, sizeof trouble.reason, "%s", reason);
        status = nw_run_trouble_record(run, &trouble, err);
    }
    return status;
}

nw_status nw_run_apart_stop(struct nw_run *run, const struct nw_dealer_stop *stop,
                            struct nw_backlog **backlog, struct nw_error *err)
{
    struct nw_error why = {0};

    if (!nw_tables_keeps(run->table_states, stop->table->relation_oid)) {
        return NW_OK; /* a copy of it was asked for meanwhile */
    }
    if (stop->given_up != NULL) {
        return condition_set(run, stop, NW_TABLE_STOPPED, stop->reason, err);
    }
    if (stop->playing != NULL) {
        return condition_set(run, stop, NW_TABLE_KEPT, stop->reason, err);
    }
    if (!stop->keeps) {
        return condition_set(run, stop, NW_TABLE_STOPPED,
                             "NW2514 the changes of too many tables are kept already", err);
    }
    return nw_run_backlog_begin(run, stop, backlog, &why) == NW_OK
               ? NW_OK
               : condition_set(run, stop, NW_TABLE_STOPPED, why.text, err);
}

nw_status nw_run_apart_resumed(struct nw_run *run, const struct nw_backlog *backlog,
                               struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t s = 0; s < run->options->sinks_count && status == NW_OK; s++) {
        if ((backlog->sinks >> s & 1u) != 0) {
            status = nw_tables_remove(run->table_states, backlog->relation_oid,
                                      run->options->sinks[s].name, err);
        }
    }
    return status;
}

nw_status nw_run_apart_record(struct nw_run *run, const struct nw_table_trouble *trouble,
                              struct nw_error *err)
{
    struct nw_table_trouble known;
    nw_status status = NW_OK;
    bool whole = nw_tables_kept(run->table_states, trouble->relation_oid);

    if (!nw_tables_keeps(run->table_states, trouble->relation_oid)) {
        status = nw_tables_reached(run->table_states, trouble->relation_oid, 0, err);
    }
    /* Nothing more of it goes to anyone until it is asked for again: or this sink would refuse the
     * same rows for ever. */
    for (uint32_t i = 0; status == NW_OK && nw_tables_at(run->table_states, i, &known); i++) {
        if (known.relation_oid == trouble->relation_oid && known.condition == NW_TABLE_RESUMING) {
            known.condition = NW_TABLE_KEPT;
            (void)snprintf(known.reason, sizeof known.reason, "%s", trouble->reason);
            status = known.sink[0] == '\0' ? nw_run_trouble_record(run, &known, err)
                                           : nw_tables_set(run->table_states, &known, err);
        }
    }
    return status == NW_OK && !whole ? nw_run_trouble_record(run, trouble, err) : status;
}
