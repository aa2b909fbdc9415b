/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables that are paused by command, or stop for what a user does not want downstream, and go on
 * later (core/pipeline/run_backlogs.c): what comes of them is kept on a disk that outlives every
 * life, and loses what was not synced when the power goes.
 */
#include "sim.h"

#include "io/env_model.h"
#include "sink/position.h"
#include "sink/sequencer.h"

#define FOLDERS "/backlogs"

static struct nw_backlog_options options_of(const struct sim *sim, uint32_t table, char folder[32])
{
    (void)snprintf(folder, 32, FOLDERS "/%u", SIM_OID + table);
    return (struct nw_backlog_options){
        .env = sim->backlogs.env,
        .folder = folder,
        .identity = {.system_identifier = 1, .timeline = 1, .slot_name = "narwal"},
        .quota_bytes = sim->backlogs.quota_bytes};
}

void sim_backlogs_init(struct sim *sim)
{
    struct sim_backlogs *backlogs = &sim->backlogs;
    struct nw_error err = {0};

    backlogs->random.state = sim->seed ^ 0x6b657074u;
    backlogs->wanted = !sim->joins.wanted && sim_chance(&backlogs->random, 700);
    backlogs->wanted = backlogs->wanted || sim_about == SIM_REFUSALS;
    backlogs->refuses = sim_chance(&backlogs->random, 500) || sim_about == SIM_REFUSALS;
    backlogs->quota_bytes = 1ull << (22 + sim_below(&backlogs->random, 6));
    if (nw_env_model_create(sim->seed ^ 0x6b65707432u, &backlogs->env, &err) != NW_OK ||
        backlogs->env->ops->folder_create(backlogs->env, FOLDERS, &err) != NW_OK ||
        backlogs->env->ops->folder_sync(backlogs->env, "/", &err) != NW_OK) {
        sim_fail(sim, "%s", err.text);
    }
}

void sim_backlogs_free(struct sim *sim)
{
    nw_env_model_destroy(sim->backlogs.env);
}

bool sim_backlogs_recorded(const struct sim *sim)
{
    for (uint32_t t = 0; t < SIM_TABLES; t++) {
        if (sim->backlogs.states[t] != SIM_FOLLOWED || sim->backlogs.apart[t] != 0) {
            return true;
        }
    }
    return false;
}

/* ---- at a start ---- */

/* What a sink's position says of tables that are behind. */
static void behind_of(const struct sim *sim, uint32_t sink, struct nw_behind_list *behind)
{
    struct nw_envelope_content content = {0};
    struct nw_identity identity;
    struct nw_error err = {0};
    uint64_t lsn = 0;

    behind->count = 0;
    if (sim->sinks[sink].has_position &&
        (nw_envelope_read(&(struct nw_position){.bytes = sim->sinks[sink].position,
                                                .size = sim->sinks[sink].position_size},
                          &content, &err) != NW_OK ||
         nw_position_unpack((struct nw_bytes){content.position.bytes, content.position.size},
                            &identity, &lsn, behind, &err) != NW_OK)) {
        sim_fail(sim, "sink %u has a position that is none: %s", sink, err.text);
    }
}

void sim_backlogs_find(struct sim *sim)
{
    struct sim_backlogs *backlogs = &sim->backlogs;
    struct nw_error err = {0};

    backlogs->play_lsn = 0;
    for (uint32_t i = 0; i < sim->sinks_count; i++) {
        uint64_t lsn = sim->sinks[i].has_position ? sim->sinks[i].durable_lsn : 0;

        backlogs->play_lsn = lsn > backlogs->play_lsn ? lsn : backlogs->play_lsn;
    }
    for (uint32_t t = 0; t < SIM_TABLES; t++) {
        char folder[32];
        struct nw_backlog_options options = options_of(sim, t, folder);
        nw_status status = NW_OK;
        bool kept = false;

        backlogs->found[t] = NULL;
        if (backlogs->states[t] != SIM_FOLLOWED) {
            backlogs->apart[t] = 0; /* now it is kept for all */
        }
        kept = backlogs->states[t] != SIM_FOLLOWED ||
               (backlogs->apart[t] != 0 && backlogs->apart_begun[t]);
        backlogs->was_behind[t] = kept || backlogs->apart[t] != 0;
        if (!kept) {
            status = nw_backlog_discard(&options, &err);
        } else {
            SIM_COUNT(backlogs_found);
            status = nw_backlog_open(&options, SIM_OID + t, backlogs->reached[t],
                                     &backlogs->found[t], &err);
        }
        if (status != NW_OK || (kept && backlogs->found[t] == NULL)) {
            sim_fail(sim, "what was kept of %u is lost: %s", SIM_OID + t, err.text);
        }
        if (backlogs->found[t] != NULL && sim->start_lsn > sim->server.confirmed_lsn) {
            sim->start_lsn = sim->server.confirmed_lsn;
            if (sim->spool.spool == NULL) {
                sim->stream_lsn = sim->start_lsn;
            }
        }
    }
}

static bool all_have_positions(const struct sim *sim)
{
    for (uint32_t i = 0; i < sim->sinks_count; i++) {
        if (!sim->sinks[i].has_position) {
            return false;
        }
    }
    return true;
}

/* The place from which on a sink is to get the table out of what is kept. */
static uint64_t sink_place(const struct sim *sim, uint32_t sink, uint32_t table)
{
    struct nw_behind_list behind;

    behind_of(sim, sink, &behind);
    return sim_extent(&behind, sim->sinks[sink].durable_lsn, SIM_OID + table).commit_lsn;
}

/* A table that some sinks refused. */
static void apart_give(struct sim *sim, struct nw_engine *engine, uint32_t table)
{
    struct sim_backlogs *backlogs = &sim->backlogs;
    struct nw_apart apart = {
        .relation_oid = SIM_OID + table, .sinks = backlogs->apart[table], .from_lsn = UINT64_MAX};
    struct nw_error err = {0};

    for (uint32_t i = 0; i < sim->sinks_count && apart.sinks != 0; i++) {
        bool kept = (apart.sinks >> i & 1u) != 0;
        uint64_t lsn = sink_place(sim, i, table);

        apart.from_lsn = lsn < apart.from_lsn ? lsn : apart.from_lsn;
        if (kept && backlogs->found[table] != NULL &&
            lsn < backlogs->found[table]->from.commit_lsn) {
            sim_fail(sim, "sink %u lacks what was not kept of %u", i, SIM_OID + table);
        }
        if (nw_sequencer_apart(nw_engine_sequencer(engine, i), apart.relation_oid, kept, &err) !=
            NW_OK) {
            sim_fail(sim, "%s", err.text);
        }
    }
    backlogs->apart_goes_on[table] = backlogs->apart_goes_on[table] || sim->server.quiet;
    if (apart.sinks != 0 && backlogs->found[table] != NULL) {
        backlogs->found[table]->sinks = apart.sinks;
    } else if (apart.sinks != 0) {
        nw_engine_apart(engine, &apart);
        if (backlogs->apart_goes_on[table]) {
            (void)nw_engine_resume(engine, apart.relation_oid);
        }
    }
}

void sim_backlogs_give(struct sim *sim, struct nw_engine *engine)
{
    struct sim_backlogs *backlogs = &sim->backlogs;
    struct nw_behind_list behind;
    struct nw_error err = {0};

    for (uint32_t i = 0; i < sim->sinks_count; i++) {
        behind_of(sim, i, &behind);
        for (uint32_t b = 0; b < behind.count; b++) {
            bool held = behind.tables[b].held;

            if (held && !sim_joins_held_at(sim, i, behind.tables[b].relation_oid - SIM_OID)) {
                continue;
            }
            sim_counters.topics_told += held;
            if (nw_sequencer_behind(nw_engine_sequencer(engine, i), UINT32_MAX, &behind.tables[b],
                                    held, &err) != NW_OK) {
                sim_fail(sim, "%s", err.text);
            }
            if (backlogs->wanted &&
                backlogs->states[behind.tables[b].relation_oid - SIM_OID] == SIM_FOLLOWED &&
                (backlogs->apart[behind.tables[b].relation_oid - SIM_OID] >> i & 1u) == 0) {
                sim_fail(sim, "sink %u lacks what was kept of %u, which is nowhere", i,
                         behind.tables[b].relation_oid);
            }
        }
    }
    for (uint32_t t = 0; t < SIM_TABLES; t++) {
        if (sim->joins.passed[t]) {
            nw_engine_lacks(engine, &(struct nw_behind){.relation_oid = SIM_OID + t});
        }
        if (backlogs->found[t] != NULL) {
            if (sim->server.quiet && backlogs->apart[t] == 0) { /* in the end everything goes on */
                backlogs->states[t] = SIM_RESUMING;
            }
        }
        apart_give(sim, engine, t);
        if (backlogs->found[t] != NULL) {
            nw_engine_backlog(engine, backlogs->found[t],
                              backlogs->apart[t] != 0 ? backlogs->apart_goes_on[t]
                                                      : backlogs->states[t] == SIM_RESUMING);
            backlogs->found[t] = NULL;
        }
        backlogs->stops[t] = backlogs->wanted && !sim->server.quiet && all_have_positions(sim) &&
                             sim_chance(&backlogs->random, 150);
    }
}

/* ---- while it runs ---- */

nw_status sim_backlog_stop(void *context, const struct nw_dealer_stop *stop,
                           struct nw_backlog **backlog, struct nw_error *err)
{
    struct sim *sim = context;
    struct sim_backlogs *backlogs = &sim->backlogs;
    uint32_t t = stop->table->relation_oid - SIM_OID;
    char folder[32];
    struct nw_backlog_options options = options_of(sim, t, folder);

    if (stop->given_up != NULL || (stop->playing == NULL && !stop->keeps) ||
        (stop->sinks != 0 && stop->sinks != backlogs->apart[t])) {
        sim_fail(sim, "what is kept of %u is given up: %s", stop->table->relation_oid,
                 stop->reason);
    }
    if (stop->playing != NULL) {
        SIM_COUNT(stopped_in_play);
        if (stop->sinks != 0) {
            backlogs->apart_goes_on[t] = false;
        } else {
            backlogs->states[t] = stop->paused ? SIM_PAUSED : SIM_KEPT;
        }
        return NW_OK;
    }
    if (nw_backlog_begin(&options, stop->table, stop->seen, stop->place, backlog, err) != NW_OK) {
        sim_fail(sim, "nothing of %u can be kept: %s", stop->table->relation_oid, err->text);
    }
    backlogs->reached[t] = stop->place.commit_lsn;
    if (stop->sinks != 0) {
        backlogs->apart_begun[t] = true;
        return NW_OK;
    }
    sim_counters.tables_paused += stop->paused;
    sim_counters.tables_kept += !stop->paused;
    backlogs->states[t] = stop->paused ? SIM_PAUSED : SIM_KEPT;
    backlogs->was_behind[t] = true;
    return NW_OK;
}

nw_status sim_backlog_end(void *context, struct nw_backlog *backlog, bool resumed,
                          struct nw_error *err)
{
    struct sim *sim = context;
    uint32_t t = backlog->relation_oid - SIM_OID;

    if (!resumed) {
        sim_fail(sim, "what is kept of %u was given up", backlog->relation_oid);
    }
    SIM_COUNT(tables_resumed);
    if (backlog->sinks != 0 && sim->backlogs.apart_goes_on[t]) {
        SIM_COUNT(aparts_resumed);
        sim->backlogs.apart[t] = 0;
        sim->backlogs.apart_goes_on[t] = false;
    }
    if (sim->backlogs.states[t] == SIM_RESUMING) {
        sim->backlogs.states[t] = SIM_FOLLOWED;
    }
    return nw_backlog_remove(backlog, err);
}

void sim_backlogs_reached(struct sim *sim, const struct nw_backlog_reached *reached)
{
    for (uint32_t i = 0; i < reached->count; i++) {
        sim->backlogs.reached[reached->tables[i].relation_oid - SIM_OID] = reached->tables[i].lsn;
    }
}

bool sim_backlogs_refuses(struct sim *sim)
{
    struct sim_backlogs *backlogs = &sim->backlogs;

    return backlogs->wanted && backlogs->refuses && !sim->server.quiet && all_have_positions(sim) &&
           sim_chance(&backlogs->random, 10);
}

void sim_backlogs_refused(struct sim *sim, struct nw_engine *engine)
{
    struct sim_backlogs *backlogs = &sim->backlogs;

    for (uint32_t i = 0; i < sim->sinks_count; i++) {
        uint64_t lsn = 0;
        const struct nw_table *table = nw_sequencer_refused(nw_engine_sequencer(engine, i), &lsn);
        uint32_t t = table == NULL ? 0 : table->relation_oid - SIM_OID;

        if (table == NULL) {
            continue;
        }
        SIM_COUNT(refused_by_some);
        if (backlogs->states[t] == SIM_RESUMING) {
            backlogs->states[t] = SIM_KEPT; /* nothing of it goes on */
        }
        if (backlogs->states[t] == SIM_FOLLOWED) {
            backlogs->apart_begun[t] = backlogs->apart_begun[t] && backlogs->apart[t] != 0;
            backlogs->apart[t] |= 1u << i;
        }
        backlogs->apart_goes_on[t] = false;
    }
}

void sim_backlogs_step(struct sim *sim, struct nw_engine *engine)
{
    struct sim_backlogs *backlogs = &sim->backlogs;
    uint32_t t = sim_below(&backlogs->random, SIM_TABLES);

    if (!backlogs->wanted || !all_have_positions(sim)) {
        return;
    }
    switch (backlogs->states[t]) {
    case SIM_FOLLOWED:
        if (backlogs->apart[t] != 0 && !backlogs->apart_goes_on[t] &&
            (sim->server.quiet || sim_chance(&backlogs->random, 100))) {
            backlogs->apart_goes_on[t] = true;
            (void)nw_engine_resume(engine, SIM_OID + t);
        }
        if (!sim->server.quiet && SIM_OID + t != sim->unwanted_oid &&
            sim_chance(&backlogs->random, backlogs->apart[t] == 0 ? 100 : 3)) {
            (void)nw_engine_pause(engine, SIM_OID + t);
        }
        break;
    case SIM_PAUSED:
    case SIM_KEPT:
        if (sim->server.quiet || sim_chance(&backlogs->random, 100)) {
            backlogs->states[t] = SIM_RESUMING;
            (void)nw_engine_resume(engine, SIM_OID + t);
        }
        break;
    case SIM_RESUMING:
        break;
    }
}

/* ---- the end of a life ---- */

void sim_backlogs_power(struct sim *sim)
{
    if (sim->backlogs.wanted && sim_chance(&sim->backlogs.random, 600)) {
        SIM_COUNT(power_cuts);
        sim->backlogs.off = true;
        nw_env_model_power_off(sim->backlogs.env);
    }
}

void sim_backlogs_end(struct sim *sim)
{
    static const uint32_t survive_percent[] = {0, 0, 30, 90};
    struct sim_backlogs *backlogs = &sim->backlogs;

    if (backlogs->off) {
        backlogs->off = false;
        nw_env_model_crash(backlogs->env, survive_percent[sim_below(&backlogs->random, 4)]);
    }
}
