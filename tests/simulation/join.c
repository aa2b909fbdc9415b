/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables that are copied while the others stream, in rounds (core/pipeline/run_joins.c): by command
 * at any moment, and at a start those that a sink lacks while it, or another one, streams. A mark
 * in the stream, then a fence, the copy, and what the sinks held meanwhile.
 */
#include "sim.h"

#include "sink/sequencer.h"

bool sim_any_appends(const struct sim *sim, uint32_t sinks)
{
    for (uint32_t i = 0; i < sim->sinks_count; i++) {
        if ((sinks >> i & 1u) != 0 && sim->sinks[i].appends) {
            return true;
        }
    }
    return false;
}

/* It is recorded that the table waits for a copy for all, and streams at none until then. */
static bool waits_everywhere(const struct sim *sim, uint32_t table)
{
    return sim->joins.waits[table] == (1u << sim->sinks_count) - 1 && sim->joins.asked[table] == 0;
}

/* It was left out in a former life, so that the server could forget it. */
static bool is_lost(const struct sim *sim, const struct sim_sink *sink, uint32_t table)
{
    struct nw_place place = sim_extent(&sink->topics.behind, sink->durable_lsn, SIM_OID + table);

    return sink->gap[table] && place.commit_lsn < sim->server.confirmed_lsn;
}

bool sim_joins_held_at(const struct sim *sim, uint32_t sink, uint32_t table)
{
    return !is_lost(sim, &sim->sinks[sink], table) && sim->sinks[sink].appends &&
           !sim->joins.passed[table] && !waits_everywhere(sim, table) &&
           (sim->joins.stopped[table] >> sink & 1u) == 0;
}

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

/*
 * A table that waits at all sinks may be passed over from the beginning, until it is taken up as
 * the catalog has it by then. What comes until then, and of one that stopped, no sink gets. (A
 * transaction of which all is passed over is not told: the sinks that hear of them would not know.)
 */
static void pass_over(struct sim *sim, uint32_t table)
{
    struct sim_joins *joins = &sim->joins;
    bool told = sim->sinks[0].transactions || sim->sinks[1].transactions;

    if (waits_everywhere(sim, table) && !joins->passed[table] && !told &&
        sim_chance(&sim->random, 700)) {
        SIM_COUNT(tables_passed_over);
        joins->passed[table] = true;
    }
    for (uint32_t i = 0; i < sim->sinks_count; i++) {
        bool left_out = joins->passed[table] || (joins->stopped[table] >> i & 1u) != 0;

        sim->sinks[i].gap[table] = sim->sinks[i].gap[table] || left_out;
    }
}

/* What was held of a table that stopped, or waits for all, is lost. */
static void held_forget(struct sim *sim, uint32_t table)
{
    for (uint32_t i = 0; i < sim->sinks_count; i++) {
        struct sim_topics *topics = &sim->sinks[i].topics;

        for (uint32_t b = 0; b < topics->behind.count; b++) {
            if (topics->behind.tables[b].held &&
                topics->behind.tables[b].relation_oid == SIM_OID + table &&
                !sim_joins_held_at(sim, i, table)) {
                topics->begins[table] = topics->gaps[table] = true;
            }
        }
    }
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
        pass_over(sim, t);
        held_forget(sim, t);
    }
}

bool sim_joins_recorded(const struct sim *sim)
{
    bool any = lists(sim->joins.stopped);

    for (uint32_t t = 0; t < SIM_TABLES; t++) {
        any = any || sim->joins.passed[t];
        for (uint32_t i = 0; i < sim->sinks_count; i++) {
            any = any || sim->sinks[i].gap[t]; /* it waits, and looks whole at the sink */
        }
    }
    return any;
}

bool sim_joins_waits(void *context, const struct nw_table *table)
{
    return ((const struct sim *)context)->joins.passed[table->relation_oid - SIM_OID];
}

void sim_joins_refused(struct sim *sim, struct nw_engine *engine)
{
    struct sim_joins *joins = &sim->joins;
    uint32_t found = 0;

    for (uint32_t i = 0; i < sim->sinks_count; i++) {
        uint64_t lsn = 0;
        const struct nw_table *table = nw_sequencer_refused(nw_engine_sequencer(engine, i), &lsn);
        uint32_t t = table == NULL ? 0 : table->relation_oid - SIM_OID;

        found += table != NULL;
        if (table != NULL && joins->streaming && !joins->passed[t]) {
            joins->stopped[t] |= 1u << i;
            joins->waits[t] &= ~(1u << i);
            joins->asked[t] &= ~(1u << i);
        }
    }
    if (found == 0) {
        sim_fail(sim, "a sink refuses rows of no table");
    }
}

void sim_joins_repair(struct sim *sim)
{
    for (uint32_t t = 0; t < SIM_TABLES; t++) {
        sim->joins.asked[t] = sim->joins.stopped[t] == 0 ? sim->joins.asked[t] : 0;
        sim->joins.waits[t] |= sim->joins.stopped[t];
        sim->joins.stopped[t] = 0;
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

/* What goes together moves to the round: tables at single sinks first. @return false: a lock is in
 * the way */
static bool round_take(struct sim *sim)
{
    struct sim_joins *joins = &sim->joins;
    bool taken_up = true;

    for (uint32_t t = 0; t < SIM_TABLES; t++) {
        taken_up = taken_up && (joins->queue[t] == 0 || joins->passed[t]);
    }
    if (taken_up && !sim->server.quiet && sim_chance(&sim->random, 500)) {
        SIM_COUNT(rounds_postponed);
        return false;
    }
    for (uint32_t t = 0; t < SIM_TABLES; t++) {
        if (joins->passed[t] == taken_up) {
            joins->round[t] = joins->queue[t];
            joins->queue[t] = 0;
        }
    }
    return true;
}

static struct nw_dealer_join mark_of(struct sim *sim, uint32_t table)
{
    struct sim_joins *joins = &sim->joins;
    struct nw_dealer_join mark = {.relation_oid = SIM_OID + table,
                                  .sinks = joins->round[table],
                                  .generation = joins->generations[table],
                                  .stream_lsn = sim->stream_lsn};

    if (joins->passed[table]) {
        SIM_COUNT(tables_taken_up);
        if (!sim->server.quiet && sim_chance(&sim->random, 500)) {
            sim_server_alter(&sim->server, table); /* the stream is not as far as the catalog */
        }
        mark.from_lsn = sim->server.lsn;
        mark.described =
            sim_server_describe(&sim->server, SIM_OID + table, &joins->descriptions[table]);
    }
    return mark;
}

void sim_joins_begin(struct sim *sim, struct nw_engine *engine, struct nw_sink *const *sinks)
{
    struct sim_joins *joins = &sim->joins;
    uint32_t count = 0;

    if (!lists(joins->queue) || !round_take(sim)) {
        return;
    }
    SIM_COUNT(join_rounds);
    for (uint32_t t = 0; t < SIM_TABLES; t++) {
        if (joins->round[t] == 0) {
            continue;
        }
        sim_counters.joins_for_one += sim->sinks_count > 1 && joins->round[t] != 3;
        joins->generations[t] = sim->copy.generation + 1;
        joins->marks[count++] = mark_of(sim, t);
        for (uint32_t i = 0; i < sim->sinks_count; i++) {
            sim->sinks[i].missing[t] = (joins->round[t] >> i & 1u) != 0;
        }
    }
    bases_note(sim, sinks);
    joins->phase = SIM_JOINS_MARKED;
    joins->slow = sim_chance(&sim->random, 600) ? 800 : 0;
    nw_engine_join(engine, &(struct nw_engine_joins){joins->marks, count});
}

/* Of a table that streams all sinks are given a copy where one of them keeps what it has: it is
 * recorded that it streams on. @return for which sinks it is */
static uint32_t asked_of(struct sim *sim, uint32_t table, uint32_t sinks)
{
    struct sim_joins *joins = &sim->joins;

    if (!sim_any_appends(sim, UINT32_MAX)) {
        return sinks;
    }
    if (joins->stopped[table] != 0) {
        joins->asked[table] = 0;
        return joins->stopped[table] | joins->waits[table]; /* a repair */
    }
    if (joins->waits[table] == 0) {
        SIM_COUNT(joins_asked);
        joins->asked[table] = (1u << sim->sinks_count) - 1;
    }
    return (1u << sim->sinks_count) - 1;
}

/* Somebody asks for copies of some tables for some sinks; that is recorded before it is done. */
static void command_give(struct sim *sim)
{
    struct sim_joins *joins = &sim->joins;
    uint32_t sinks = 1 + sim_below(&sim->random, (1u << sim->sinks_count) - 1);
    uint32_t permille = lists(joins->stopped) ? 700 : 150;

    if (!joins->wanted || sim->server.quiet || !sim_chance(&sim->random, permille)) {
        return;
    }
    SIM_COUNT(join_commands);
    for (uint32_t t = 0; t < SIM_TABLES; t++) {
        if (SIM_OID + t != sim->unwanted_oid && !joins->passed[t] &&
            sim_chance(&sim->random, 400)) {
            uint32_t asked = asked_of(sim, t, sinks);

            sim_counters.repairs += (joins->stopped[t] & asked) != 0;
            joins->queue[t] = asked;
            joins->waits[t] |= asked;
            joins->stopped[t] &= ~asked;
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

/* The marks are at the sinks: tables that waited go on from there. */
static void held_record(struct sim *sim)
{
    struct sim_joins *joins = &sim->joins;

    for (uint32_t t = 0; t < SIM_TABLES; t++) {
        if (waits_everywhere(sim, t) && sim_any_appends(sim, joins->round[t])) {
            joins->asked[t] = joins->waits[t];
            joins->passed[t] = false;
        }
    }
}

/* One fence for all tables of the round. @return false: the life ends here */
static bool round_copy(struct sim *sim, struct nw_schemas *schemas)
{
    if (sim->copy.plans_count + SIM_TABLES > SIM_PLANS_MAX) {
        return false;
    }
    held_record(sim);
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
        joins->asked[t] &= ~joins->round[t];
        joins->passed[t] = joins->passed[t] && joins->round[t] == 0;
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
