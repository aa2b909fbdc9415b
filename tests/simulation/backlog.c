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
        if (sim->backlogs.states[t] != SIM_FOLLOWED) {
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

        backlogs->found[t] = NULL;
        backlogs->was_behind[t] = backlogs->states[t] != SIM_FOLLOWED;
        if (backlogs->states[t] == SIM_FOLLOWED) {
            status = nw_backlog_discard(&options, &err);
        } else {
            SIM_COUNT(backlogs_found);
            status = nw_backlog_open(&options, SIM_OID + t, backlogs->reached[t],
                                     &backlogs->found[t], &err);
        }
        if (status != NW_OK ||
            (backlogs->states[t] != SIM_FOLLOWED && backlogs->found[t] == NULL)) {
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

void sim_backlogs_give(struct sim *sim, struct nw_engine *engine)
{
    struct sim_backlogs *backlogs = &sim->backlogs;
    struct nw_behind_list behind;
    struct nw_error err = {0};

    for (uint32_t i = 0; i < sim->sinks_count; i++) {
        behind_of(sim, i, &behind);
        for (uint32_t b = 0; b < behind.count; b++) {
            if (nw_sequencer_behind(nw_engine_sequencer(engine, i), UINT32_MAX, &behind.tables[b],
                                    &err) != NW_OK) {
                sim_fail(sim, "%s", err.text);
            }
            if (backlogs->states[behind.tables[b].relation_oid - SIM_OID] == SIM_FOLLOWED) {
                sim_fail(sim, "sink %u lacks what was kept of %u, which is nowhere", i,
                         behind.tables[b].relation_oid);
            }
        }
    }
    for (uint32_t t = 0; t < SIM_TABLES; t++) {
        if (backlogs->found[t] != NULL) {
            if (sim->server.quiet) { /* in the end everything goes on */
                backlogs->states[t] = SIM_RESUMING;
            }
            nw_engine_backlog(engine, backlogs->found[t], backlogs->states[t] == SIM_RESUMING);
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

    if (stop->given_up != NULL || (stop->playing == NULL && !stop->keeps)) {
        sim_fail(sim, "what is kept of %u is given up: %s", stop->table->relation_oid,
                 stop->reason);
    }
    if (stop->playing != NULL) {
        SIM_COUNT(stopped_in_play);
        backlogs->states[t] = SIM_KEPT;
        return NW_OK;
    }
    if (nw_backlog_begin(&options, stop->table, stop->place, backlog, err) != NW_OK) {
        sim_fail(sim, "nothing of %u can be kept: %s", stop->table->relation_oid, err->text);
    }
    sim_counters.tables_paused += stop->paused;
    sim_counters.tables_kept += !stop->paused;
    backlogs->reached[t] = stop->place.commit_lsn;
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

void sim_backlogs_step(struct sim *sim, struct nw_engine *engine)
{
    struct sim_backlogs *backlogs = &sim->backlogs;
    uint32_t t = sim_below(&backlogs->random, SIM_TABLES);

    if (!backlogs->wanted || !all_have_positions(sim)) {
        return;
    }
    switch (backlogs->states[t]) {
    case SIM_FOLLOWED:
        if (!sim->server.quiet && SIM_OID + t != sim->unwanted_oid &&
            sim_chance(&backlogs->random, 100)) {
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
