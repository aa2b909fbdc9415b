/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does what adopt.c decided: the slot, then each sink, then narwal's own state. It may be broken
 * off anywhere and run again.
 */
#include <string.h>

#include "base/code.h"
#include "base/crash.h"
#include "base/log.h"
#include "pg/lsn.h"
#include "pipeline/adopt.h"
#include "pipeline/seen.h"
#include "pipeline/slot_make.h"

#define SINK_STOP_NS 10000000000LL

/* ---- the slot ---- */

static nw_status slot_drop(struct nw_adopt *adopt, struct nw_error *err)
{
    struct nw_session *session = NULL;
    nw_status status = nw_server_session(&adopt->server, true, &session, err);

    if (status == NW_OK) {
        status =
            nw_replication_drop_slot(session, adopt->options->server.slot_name, false, NULL, err);
    }
    nw_session_close(session);
    return status;
}

/* What was proved before may not hold any more: the slot says from where on everything comes. */
static nw_status proof_repeat(struct nw_adopt *adopt, struct nw_error *err)
{
    struct nw_error why = {0};
    nw_status status = NW_OK;

    if (!adopt->proved) {
        return NW_OK; /* it does not rest on it */
    }
    status = nw_adopt_prove(adopt, err);
    if (status == NW_OK && adopt->proved) {
        return NW_OK;
    }
    if (slot_drop(adopt, &why) != NW_OK) {
        nw_log(NW_LOG_WARN, "NW2323 slot %s stays behind: %s", adopt->options->server.slot_name,
               nw_code_rest(why.text));
    }
    return status != NW_OK ? status
                           : nw_fail(err, NW_FATAL,
                                     "NW2340 something was written while the slot was made, and "
                                     "might be missing: nothing was changed");
}

static nw_status slot_make(struct nw_adopt *adopt, struct nw_error *err)
{
    struct nw_session *session = NULL;
    struct nw_slot_created created = {0};
    nw_status status = nw_server_session(&adopt->server, true, &session, err);

    if (status == NW_OK) {
        status = nw_slot_make(&adopt->server, &adopt->server.options.connection, session, false,
                              &created, err);
    }
    nw_session_close(session);
    adopt->slot_lsn = created.consistent_lsn;
    nw_crash_point("adopt-slot");
    return status == NW_OK ? proof_repeat(adopt, err) : status;
}

/* ---- the sinks ---- */

static uint32_t generation_next(const struct nw_adopt *adopt)
{
    uint32_t highest = adopt->source.generation;

    for (uint32_t i = 0; i < adopt->options->sinks_count; i++) {
        const struct nw_sink_recovered *recovered = &adopt->sinks[i].recovered;

        for (uint32_t c = 0; c < recovered->copies_count; c++) {
            highest = recovered->copies[c].generation > highest ? recovered->copies[c].generation
                                                                : highest;
        }
    }
    return highest + 1;
}

static bool is_wanted(const struct nw_adopt *adopt, const struct nw_table *table)
{
    return nw_table_filter_match(&adopt->options->server.publication.filter, table->schema_name,
                                 table->name);
}

/* The tables that the sink is to get a copy of, as it sees them. */
static nw_status copies_list(struct nw_adopt *adopt, const struct nw_adopt_sink *sink,
                             struct nw_sink_recopy *copies, uint32_t *count, struct nw_error *err)
{
    uint32_t generation = generation_next(adopt);
    nw_status status = NW_OK;

    *count = 0;
    if (sink->decision.copies == NW_ADOPT_NONE) {
        return NW_OK;
    }
    for (uint32_t i = 0; i < nw_schemas_count(adopt->schemas) && status == NW_OK; i++) {
        const struct nw_table *table = nw_schemas_at(adopt->schemas, i);
        const struct nw_projection *projection = NULL;

        if (!is_wanted(adopt, table) || (sink->decision.copies == NW_ADOPT_TOUCHED &&
                                         !nw_adopt_touched(adopt, sink, table->relation_oid))) {
            continue;
        }
        status = nw_transforms_project(adopt->transforms, table, &projection, err);
        copies[(*count)++] = (struct nw_sink_recopy){nw_table_seen(table, projection), generation};
    }
    return status;
}

static bool is_among(const struct nw_sink_recopy *copies, uint32_t count, uint32_t oid)
{
    for (uint32_t i = 0; i < count; i++) {
        if (copies[i].table->relation_oid == oid) {
            return true;
        }
    }
    return false;
}

/* Verdicts on copies that broke off: they may go on, but for those that begin anew. */
static nw_status copies_resolve(struct nw_adopt_sink *sink, const struct nw_sink_recopy *copies,
                                uint32_t count, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t c = 0; c < sink->recovered.copies_count && status == NW_OK; c++) {
        const struct nw_copy_state *copy = &sink->recovered.copies[c];
        enum nw_copy_verdict verdict =
            is_among(copies, count, copy->relation_oid) ? NW_COPY_DISCARD : NW_COPY_RESUME;

        if (!copy->complete) {
            status =
                nw_sink_resolve(sink->sink, copy->relation_oid, copy->generation, verdict, err);
        }
    }
    return status;
}

/* What of a table was missing stays missing; places are of the former history. */
static void behind_move(struct nw_behind_list *behind, uint64_t lsn)
{
    for (uint32_t i = 0; i < behind->count; i++) {
        behind->tables[i].held = false; /* the stream of this server does not have it */
        if (behind->tables[i].place.commit_lsn > lsn) {
            behind->tables[i].place = (struct nw_place){.commit_lsn = lsn};
        }
    }
}

static nw_status sink_move(struct nw_adopt *adopt, uint32_t index, struct nw_error *err)
{
    struct nw_adopt_sink *sink = &adopt->sinks[index];
    struct nw_sink_recopy *copies =
        nw_arena_array(&adopt->arena, nw_schemas_count(adopt->schemas) + 1u, sizeof *copies);
    struct nw_behind_list behind = sink->behind;
    uint8_t bytes[NW_POSITION_BYTES_MAX];
    struct nw_position position = {.bytes = bytes,
                                   .lsn = sink->to_lsn != 0 ? sink->to_lsn : adopt->slot_lsn};
    char lsn[NW_LSN_TEXT_SIZE];
    uint32_t count = 0;
    nw_status status = NW_OK;

    if (copies == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for the list of tables");
    }
    behind_move(&behind, position.lsn);
    position.size = nw_position_pack(&adopt->server.identity, position.lsn, &behind, bytes);
    status = copies_list(adopt, sink, copies, &count, err);
    if (status == NW_OK) {
        status = copies_resolve(sink, copies, count, err);
    }
    if (status == NW_OK) {
        status = nw_sink_move(sink->sink, &position, copies, count, err);
    }
    if (status == NW_OK) {
        nw_log(NW_LOG_INFO, "sink %s goes on from %s of system %llu, timeline %u%s",
               adopt->options->sinks[index].name, nw_lsn_text(lsn, position.lsn),
               (unsigned long long)adopt->server.identity.system_identifier,
               adopt->server.identity.timeline,
               count == 0 ? "" : ", with copies of its tables to come");
    }
    nw_crash_point("adopt-sink");
    return status;
}

/* ---- the state ---- */

/* What was kept of a table is of the former server: it stays out until it is copied again. */
static nw_status kept_stop(struct nw_tables *tables, struct nw_error *err)
{
    struct nw_table_trouble trouble;
    nw_status status = NW_OK;

    for (uint32_t i = 0; status == NW_OK && nw_tables_at(tables, i, &trouble); i++) {
        if (!nw_table_condition_keeps(trouble.condition)) {
            continue;
        }
        trouble.condition = NW_TABLE_STOPPED;
        (void)snprintf(trouble.reason, sizeof trouble.reason,
                       "NW2346 what was kept of it is of the server that was followed before");
        status = nw_tables_set(tables, &trouble, err);
    }
    return status;
}

/* A table that is here was not dropped here. */
static nw_status dropped_forget(struct nw_adopt *adopt, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < nw_schemas_count(adopt->schemas) && status == NW_OK; i++) {
        uint32_t oid = nw_schemas_at(adopt->schemas, i)->relation_oid;

        if (nw_tables_dropped(adopt->table_states, oid)) {
            status = nw_tables_remove(adopt->table_states, oid, "", err);
        }
    }
    return status;
}

static nw_status tables_update(struct nw_adopt *adopt, struct nw_error *err)
{
    struct nw_seen *seen = NULL;
    nw_status status = dropped_forget(adopt, err);

    if (status == NW_OK) {
        status = nw_seen_open(adopt->state, &seen, err);
    }
    if (status == NW_OK) {
        status = nw_seen_forget(seen, 0, err); /* partitions and publications have other oids */
    }
    nw_seen_close(seen);
    return status;
}

static nw_status state_update(struct nw_adopt *adopt, struct nw_error *err)
{
    const struct nw_identity *here = &adopt->server.identity;
    struct nw_state_source *source = &adopt->source;
    nw_status status = NW_OK;

    if (!source->known || (adopt->moves == 0 && !nw_adopt_state_lags(adopt))) {
        return NW_OK;
    }
    status = tables_update(adopt, err);
    source->identity = *here;
    source->acknowledged_lsn = adopt->slot_lsn;
    /* Also that of copies which began before this was killed. */
    source->generation = generation_next(adopt) - (adopt->copies == NW_ADOPT_NONE ? 1 : 0);
    return status == NW_OK ? nw_state_source_write(adopt->state, source, err) : status;
}

static nw_status sinks_move(struct nw_adopt *adopt, struct nw_error *err)
{
    uint32_t left = adopt->moves;
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < adopt->options->sinks_count && status == NW_OK; i++) {
        enum nw_adopt_verdict verdict = adopt->sinks[i].decision.verdict;

        if (adopt->sinks[i].lsn == 0 ||
            (verdict != NW_ADOPT_MOVES && verdict != NW_ADOPT_GOES_BACK)) {
            continue;
        }
        /* After the last one the record is of no sink's history; whoever runs this again needs it
         * for that one at most, and copies more without. */
        if (--left == 0) {
            nw_recent_void(adopt->options->state_folder);
        }
        status = nw_claim_check(adopt->claim, err);
        if (status == NW_OK) {
            status = sink_move(adopt, i, err);
        }
    }
    return status;
}

nw_status nw_adopt_finish(struct nw_adopt *adopt, struct nw_error *err)
{
    nw_status status = adopt->makes_slot ? slot_make(adopt, err) : NW_OK;

    /* Before a sink is of this server: killed in between, it would be given what was kept. */
    if (status == NW_OK && adopt->moves > 0) {
        status = kept_stop(adopt->table_states, err);
    }
    if (status == NW_OK) {
        status = sinks_move(adopt, err);
    }
    return status == NW_OK ? state_update(adopt, err) : status;
}

nw_status nw_adopt_end(struct nw_adopt *adopt, struct nw_error *err)
{
    struct nw_env *env = adopt->options->env;
    int64_t deadline_ns = env->ops->now_ns(env) + SINK_STOP_NS;
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < adopt->options->sinks_count; i++) {
        struct nw_adopt_sink *sink = &adopt->sinks[i];

        if (sink->sink == NULL) {
            continue;
        }
        if (nw_sink_stop(sink->sink, deadline_ns, err) == NW_OK) {
            nw_sink_destroy(sink->sink);
        } else {
            status = NW_RETRY;
        }
    }
    if (adopt->server_open) {
        nw_server_close(&adopt->server);
    }
    if (status == NW_OK) { /* no sink is held any more; else it is held to the process's end */
        nw_claim_destroy(adopt->claim);
    }
    nw_transforms_destroy(adopt->transforms);
    nw_schemas_destroy(adopt->schemas);
    nw_tables_close(adopt->table_states);
    nw_state_close(adopt->state);
    nw_recent_fini(&adopt->recent);
    nw_arena_fini(&adopt->arena);
    return status;
}
