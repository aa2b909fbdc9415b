/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables that are copied while the others stream, in rounds (core/pipeline/run_joins.c): by command
 * at any moment, and at a start those that a sink lacks while it, or another one, streams. A mark
 * in the stream, then a fence, the copy, and what the sinks held meanwhile.
 */
#include "sim.h"

static bool lists(const uint32_t tables[SIM_TABLES])
{
    uint32_t any = 0;

    for (uint32_t t = 0; t < SIM_TABLES; t++) {
        any |= tables[t];
    }
    return any != 0;
}

bool sim_joins_busy(const struct sim *sim)
{
    return sim->joins.phase != SIM_JOINS_REST || lists(sim->joins.queue);
}

bool sim_joins_has(const struct sim *sim, uint32_t sink, uint32_t oid, uint32_t generation)
{
    const struct sim_joins *joins = &sim->joins;

    return joins->phase != SIM_JOINS_REST && joins->generations[oid - SIM_OID] == generation &&
           (joins->round[oid - SIM_OID] >> sink & 1u) != 0;
}

void sim_joins_decide(struct sim *sim, bool streaming)
{
    struct sim_joins *joins = &sim->joins;

    joins->phase = SIM_JOINS_REST;
    joins->streaming = streaming;
    memset(joins->queue, 0, sizeof joins->queue);
    memset(joins->round, 0, sizeof joins->round);
    for (uint32_t t = 0; t < SIM_TABLES && streaming; t++) {
        for (uint32_t i = 0; i < sim->sinks_count; i++) {
            joins->queue[t] |= sim->sinks[i].missing[t] ? 1u << i : 0;
        }
        sim_counters.joins_at_start += joins->queue[t] != 0;
    }
}

/* ---- a round begins ---- */

/* Where the counters of the sinks will be when their marks came. */
static void bases_note(struct sim *sim, struct nw_sink *const *sinks)
{
    struct sim_joins *joins = &sim->joins;

    for (uint32_t i = 0; i < sim->sinks_count; i++) {
        struct nw_sink_status status;

        nw_sink_status(sinks[i], &status);
        joins->copies_base[i] = status.copies;
        joins->marks_wanted[i] = status.joins_begun;
        for (uint32_t t = 0; t < SIM_TABLES; t++) {
            joins->marks_wanted[i] += joins->round[t] >> i & 1u;
        }
    }
}

void sim_joins_begin(struct sim *sim, struct nw_engine *engine, struct nw_sink *const *sinks)
{
    struct sim_joins *joins = &sim->joins;
    uint32_t count = 0;

    if (!lists(joins->queue)) {
        return;
    }
    SIM_COUNT(join_rounds);
    memcpy(joins->round, joins->queue, sizeof joins->round);
    memset(joins->queue, 0, sizeof joins->queue);
    for (uint32_t t = 0; t < SIM_TABLES; t++) {
        if (joins->round[t] == 0) {
            continue;
        }
        sim_counters.joins_for_one += sim->sinks_count > 1 && joins->round[t] != 3;
        joins->generations[t] = sim->copy.generation + 1;
        joins->marks[count++] = (struct nw_dealer_join){.relation_oid = SIM_OID + t,
                                                        .sinks = joins->round[t],
                                                        .generation = joins->generations[t]};
        for (uint32_t i = 0; i < sim->sinks_count; i++) {
            sim->sinks[i].missing[t] = (joins->round[t] >> i & 1u) != 0;
        }
    }
    bases_note(sim, sinks);
    joins->phase = SIM_JOINS_MARKED;
    joins->slow = sim_chance(&sim->random, 600) ? 800 : 0;
    nw_engine_join(engine, &(struct nw_engine_joins){joins->marks, count});
}

/* Somebody asks for copies of some tables for some sinks; that is recorded before it is done. */
static void command_give(struct sim *sim)
{
    struct sim_joins *joins = &sim->joins;
    uint32_t sinks = 1 + sim_below(&sim->random, (1u << sim->sinks_count) - 1);

    if (!joins->wanted || sim->server.quiet || !sim_chance(&sim->random, 150)) {
        return;
    }
    SIM_COUNT(join_commands);
    for (uint32_t t = 0; t < SIM_TABLES; t++) {
        if (SIM_OID + t != sim->unwanted_oid && sim_chance(&sim->random, 400)) {
            joins->queue[t] = sinks;
            joins->waits[t] |= sinks;
        }
    }
}

/* ---- a round goes on ---- */

static bool marks_arrived(const struct sim *sim, struct nw_sink *const *sinks)
{
    for (uint32_t i = 0; i < sim->sinks_count; i++) {
        struct nw_sink_status status;

        nw_sink_status(sinks[i], &status);
        if (status.joins_begun < sim->joins.marks_wanted[i]) {
            return false;
        }
    }
    return true;
}

/* One fence for all tables of the round. @return false: the life ends here */
static bool round_copy(struct sim *sim, struct nw_schemas *schemas)
{
    if (sim->copy.plans_count + SIM_TABLES > SIM_PLANS_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < sim->copy.plans_count; i++) {
        sim->copy.plans[i]->void_ = true; /* of former copies, which are whole */
    }
    sim->copy.generation++;
    for (uint32_t t = 0; t < SIM_TABLES; t++) {
        if (sim->joins.round[t] != 0) {
            sim_plan_add(sim, t, schemas);
        }
    }
    sim->joins.phase = SIM_JOINS_COPYING;
    return true;
}

static bool round_is_durable(const struct sim *sim, struct nw_sink *const *sinks)
{
    for (uint32_t i = 0; i < sim->sinks_count; i++) {
        struct nw_sink_status status;
        uint64_t wanted = sim->joins.copies_base[i];

        nw_sink_status(sinks[i], &status);
        for (uint32_t t = 0; t < SIM_TABLES; t++) {
            wanted += sim->joins.round[t] >> i & 1u;
        }
        if (status.copies < wanted) {
            return false;
        }
    }
    return true;
}

static void round_end(struct sim *sim, struct nw_engine *engine)
{
    struct sim_joins *joins = &sim->joins;

    for (uint32_t i = 0; i < sim->sinks_count; i++) {
        sim_copy_check(sim, &sim->sinks[i]);
        memset(sim->sinks[i].missing, 0, sizeof sim->sinks[i].missing);
    }
    for (uint32_t t = 0; t < SIM_TABLES; t++) {
        sim_counters.joins_done += joins->round[t] != 0;
        joins->waits[t] &= ~joins->round[t];
    }
    memset(joins->round, 0, sizeof joins->round);
    joins->phase = SIM_JOINS_REST;
    nw_engine_copies(engine, NW_COPIES_NONE);
}

bool sim_joins_step(struct sim *sim, struct nw_engine *engine, struct nw_schemas *schemas,
                    struct nw_sink *const *sinks)
{
    struct sim_joins *joins = &sim->joins;
    bool everything = false;

    switch (joins->phase) {
    case SIM_JOINS_REST:
        command_give(sim);
        sim_joins_begin(sim, engine, sinks);
        return true;
    case SIM_JOINS_MARKED:
        return !marks_arrived(sim, sinks) || round_copy(sim, schemas);
    case SIM_JOINS_COPYING:
        if (!sim->server.quiet && sim_chance(&sim->random, joins->slow)) {
            return true; /* the stream passes the fence meanwhile */
        }
        if (!sim_copy_read(sim, engine, schemas, &everything)) {
            return false;
        }
        if (everything) {
            joins->phase = SIM_JOINS_READ;
            nw_engine_copies(engine, NW_COPIES_READ);
        }
        return true;
    case SIM_JOINS_READ:
        break;
    }
    if (round_is_durable(sim, sinks)) {
        round_end(sim, engine);
    }
    return true;
}
