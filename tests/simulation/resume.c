/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies that broke off in a former life and go on in this one: the rules of
 * core/pipeline/copy_resume.h over the model's history. Rows are on the pages of their numbers, in
 * the order of commits, so that what changed since a fence are the rows behind those that were
 * there.
 */
#include "sim.h"

#include "pipeline/engine.h"

static bool unpack(const struct nw_copy_state *copy, struct nw_copy_progress *progress)
{
    struct nw_error err = {0};

    return nw_copy_unpack((struct nw_bytes){copy->bytes, copy->size}, progress, &err) == NW_OK &&
           !copy->complete && progress->origin.xmin != 0 && progress->ranges_count > 0;
}

static const struct nw_copy_state *copy_of(const struct nw_sink_recovered *recovered, uint32_t oid)
{
    for (uint32_t i = 0; i < recovered->copies_count; i++) {
        if (recovered->copies[i].relation_oid == oid) {
            return &recovered->copies[i];
        }
    }
    return NULL;
}

/* What all sinks that lack the table have of one generation of it; generation 0: nothing. */
static struct sim_former former_of(const struct sim *sim, uint32_t table,
                                   const struct nw_sink_recovered *recovered)
{
    struct sim_former former = {0};

    for (uint32_t i = 0; i < sim->sinks_count; i++) {
        const struct nw_copy_state *copy = copy_of(&recovered[i], SIM_OID + table);
        struct nw_copy_progress progress;

        if (!sim->sinks[i].missing[table]) {
            continue;
        }
        if (copy == NULL || !unpack(copy, &progress) ||
            (former.generation != 0 && former.generation != copy->generation)) {
            return (struct sim_former){0};
        }
        if (former.generation != 0) {
            nw_copy_progress_meet(&former.progress, &progress);
        } else {
            former.progress = progress;
        }
        former.generation = copy->generation;
    }
    return former;
}

void sim_resume_decide(struct sim *sim, bool streaming, const struct nw_sink_recovered *recovered)
{
    for (uint32_t t = 0; t < SIM_TABLES; t++) {
        sim->copy.former[t] = sim->server.has_slot && !streaming && sim_chance(&sim->random, 800)
                                  ? former_of(sim, t, recovered)
                                  : (struct sim_former){0};
    }
}

/* Since the first fence the table was not emptied, altered, or more than a snapshot has rows for.
 */
bool sim_resume_fits(const struct sim *sim, const struct sim_plan *plan)
{
    const struct nw_copy_origin *origin = &sim->copy.former[plan->table].progress.origin;

    if (sim->copy.former[plan->table].generation == 0 || origin->hash != plan->origin.hash ||
        plan->contents.count >= SIM_ROWS_MAX) {
        return false;
    }
    for (size_t i = 0; i < sim->server.items_count; i++) {
        const struct sim_item *item = &sim->server.items[i];

        if (item->kind == 'T' && item->table == SIM_OID + plan->table &&
            item->commit_lsn >= origin->xmin) {
            return false;
        }
    }
    return true;
}

void sim_resume_tell(struct sim *sim, struct nw_engine *engine)
{
    struct nw_error err = {0};

    for (uint32_t i = 0; i < sim->sinks_count; i++) {
        for (uint32_t t = 0; t < SIM_TABLES; t++) {
            const struct sim_copied *copied = &sim->sinks[i].copies[t];
            struct nw_copy_state copy = {.bytes = copied->bytes, .size = copied->size};
            struct nw_copy_progress progress;

            if (sim->copy.former[t].generation == 0 || !sim->sinks[i].missing[t] ||
                !unpack(&copy, &progress)) {
                continue;
            }
            if (nw_sequencer_resume(nw_engine_sequencer(engine, i), SIM_OID + t, copied->generation,
                                    &progress, &err) != NW_OK) {
                sim_fail(sim, "%s", err.text);
            }
        }
    }
}
