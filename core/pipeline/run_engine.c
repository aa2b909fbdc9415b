/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine of an attempt: made from what was decided, with what it asks and tells the run. These
 * calls come from the engine's threads.
 */
#include "pipeline/run_private.h"

#include "base/crash.h"

static nw_status record(void *context, const struct nw_acknowledgement *what, struct nw_error *err)
{
    struct nw_run *run = context;
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < what->reached.count && status == NW_OK; i++) {
        status = nw_tables_reached(run->table_states, what->reached.tables[i].relation_oid,
                                   what->reached.tables[i].lsn, err);
    }
    if (status == NW_OK) {
        status = nw_state_acknowledge(run->state, what->lsn, what->why, err);
    }

    nw_crash_point("acknowledge");
    return status;
}

static nw_status run_connect(void *context, uint64_t lsn, struct nw_walsender *walsender,
                             struct nw_error *err)
{
    struct nw_run *run = context;

    return nw_server_connect(&run->server, lsn, walsender, err);
}

static void run_disconnect(void *context, struct nw_walsender *walsender)
{
    struct nw_run *run = context;

    nw_server_disconnect(&run->server, walsender);
}

static nw_status run_describe(void *context, uint32_t oid, uint32_t xid,
                              const struct nw_table **described, struct nw_error *err)
{
    struct nw_run *run = context;

    return nw_server_describe(&run->server, oid, xid, described, err);
}

/* Changes older than a finished copy are in it, and it is not to be copied again. */
static nw_status member_fences_set(struct nw_run *run, uint32_t index, struct nw_error *err)
{
    struct nw_run_member *member = &run->members[index];
    nw_status status = NW_OK;

    for (uint32_t c = 0; c < member->recovered.copies_count && status == NW_OK; c++) {
        const struct nw_copy_state *copy = &member->recovered.copies[c];
        const struct nw_table *table = nw_schemas_find(run->schemas, copy->relation_oid);
        struct nw_copy_progress progress;

        if (copy->complete && !member->copies_void &&
            (table == NULL || !nw_run_table_missing(member, table))) {
            status = nw_copy_unpack((struct nw_bytes){copy->bytes, copy->size}, &progress, err);
            if (status == NW_OK) {
                status = nw_engine_fence(run->engine, index, copy->relation_oid,
                                         progress.origin.fence_lsn, err);
            }
        }
    }
    return status;
}

/* What a sink is to get a copy of is left out there until the stream says that it comes; but one
 * that keeps what it has of the table, and streams, must hear of what is deleted until then. */
static nw_status missing_leave_out(struct nw_run *run, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t t = 0; t < run->joins.queued && status == NW_OK; t++) {
        for (uint32_t s = 0; s < run->options->sinks_count && status == NW_OK; s++) {
            if ((run->joins.queue[t].sinks >> s & 1u) != 0 &&
                !(nw_run_appends(run, s) && run->members[s].lsn != 0)) {
                status = nw_engine_leave_out(run->engine, s, run->joins.queue[t].relation_oid, err);
            }
        }
    }
    return status;
}

static nw_status fences_set(struct nw_run *run, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < run->options->sinks_count && status == NW_OK; i++) {
        status = member_fences_set(run, i, err);
        status = status == NW_OK ? nw_run_copied_tell(run, i, err) : status;
        status = status == NW_OK ? nw_run_copies_resume(run, i, err) : status;
    }
    status = status == NW_OK ? nw_run_letters_give(run, err) : status;
    return status == NW_OK ? missing_leave_out(run, err) : status;
}

static void committed(void *context, const struct nw_dealer_committed *what)
{
    struct nw_run *run = context;

    nw_recent_add(run->recent, what);
}

static void epoch_ended(void *context, uint64_t lsn)
{
    struct nw_run *run = context;

    nw_recent_reach(run->recent, lsn);
}

/* What the engine is told before it starts. */
static nw_status engine_prepare(struct nw_run *run, struct nw_error *err)
{
    nw_status status = fences_set(run, err);

    if (status == NW_OK) {
        status = nw_run_leave_out(run, err);
    }
    if (status == NW_OK) {
        status = nw_run_drops_tell(run, err);
    }
    if (status == NW_OK) {
        status = nw_run_backlogs_give(run, err);
    }
    if (status == NW_OK) {
        status = nw_run_taken_tell(run, err);
    }
    return status;
}

nw_status nw_run_engine_make(struct nw_run *run, struct nw_error *err)
{
    const struct nw_run_options *o = run->options;
    struct nw_engine_options options = {.env = run->env,
                                        .sinks_count = o->sinks_count,
                                        .plan = o->plan,
                                        .memory_bytes = o->memory_bytes,
                                        .spill_bytes = o->spill_bytes,
                                        .spill_folder = o->spill_folder,
                                        .schemas = run->schemas,
                                        .identity = run->server.identity,
                                        .flush_lsn = run->start_lsn,
                                        .spool = run->spool,
                                        .spool_lsn = run->spool_lsn,
                                        .epoch_us_max = o->epoch_us_max,
                                        .epoch_bytes_max = o->epoch_bytes_max,
                                        .connect = run_connect,
                                        .disconnect = run_disconnect,
                                        .describe = run_describe,
                                        .record = record,
                                        .wanted = nw_run_table_wanted,
                                        .stopped = nw_run_table_stopped,
                                        .waits = nw_run_table_waits_for_mark,
                                        .copied = nw_run_table_is_copied,
                                        .joins = nw_run_table_joins,
                                        .policy = nw_run_table_policy,
                                        .stop = nw_run_table_stop,
                                        .backlog_end = nw_run_backlog_end,
                                        .keeps = true,
                                        .play_lsn = nw_run_play_lsn(run),
                                        .watch = nw_run_watch,
                                        .committed = committed,
                                        .epoch_ended = epoch_ended,
                                        .project = nw_run_table_project,
                                        .context = run};
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < o->sinks_count; i++) {
        options.letters[i] = nw_run_letters_store(run, i);
        options.sinks[i] = run->members[i].sink;
        options.refuse_copies[i] = !run->members[i].needs_copy || run->conductor == NULL;
        options.transactions =
            options.transactions ||
            (nw_plugin_flags(o->sinks[i].plugin, o->sinks[i].config) & NW_SINK_TRANSACTIONS) != 0;
    }
    options.readers_count = o->copy_workers;
    options.copy_bytes_a_second = o->copy_rate_bytes;
    nw_recent_begin(run->recent, &run->server.identity, run->start_lsn);
    status = nw_engine_create(&options, &run->engine, err);
    if (status == NW_OK) {
        status = engine_prepare(run, err);
    }
    return status == NW_OK ? nw_engine_start(run->engine, err) : status;
}
