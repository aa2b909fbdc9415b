/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spool of a story, and what a run does with the one that it finds (core/pipeline/
 * decide_spool.c). Its disk, core/io/env_model.c, outlives every life, and when the power goes
 * it keeps little of what was not synced. So that opening it, which reads all of it, also says
 * whether the server was told the truth.
 */
#include "server.h"

#include "io/env_model.h"

#define FOLDER "/spool"

/* The disk of some stories takes its time, so that much happens while a sync is under way. */
static struct {
    struct nw_env_ops ops;
    const struct nw_env_ops *model;
    struct sim_random random;
    uint32_t idle; /* permille of looks that find nothing done */
} slow;

/* NOLINTNEXTLINE(readability-function-size): the signature of nw_env_ops */
static nw_status slow_reap(struct nw_env *env, struct nw_io *io, bool wait,
                           struct nw_file_op **done, size_t done_max, size_t *done_count,
                           struct nw_error *err)
{
    if (!wait && sim_chance(&slow.random, slow.idle)) {
        *done_count = 0;
        return NW_OK;
    }
    return slow.model->io_reap(env, io, wait, done, done_max, done_count, err);
}

/* Sometimes the disk is full for a while. */
void sim_spool_step(struct sim *sim)
{
    struct nw_env *env = sim->spool.env;

    if (sim->spool.spool == NULL || !sim->spool.fills_up || sim->spool.off) {
        return;
    }
    if (sim->spool.filled) {
        sim->spool.blocked = sim->spool.blocked || nw_spool_blocked(sim->spool.spool) != NULL;
        if (sim_chance(&slow.random, 250)) {
            sim->spool.filled = false;
            nw_env_model_limit(env, 0);
        }
    } else if (sim_chance(&slow.random, 400)) {
        sim->spool.filled = true;
        nw_env_model_limit(env, nw_env_model_used(env) + 1 + sim_below(&slow.random, 4000));
    }
}

static void slow_init(struct sim *sim, struct nw_env *env)
{
    slow.model = env->ops;
    slow.ops = *env->ops;
    slow.ops.io_reap = slow_reap;
    slow.random.state = sim->seed ^ 0x736c6f77u;
    slow.idle = sim_chance(&slow.random, 400) ? 980 : 0;
    sim->spool.fills_up = sim_chance(&slow.random, 500);
    env->ops = &slow.ops;
}

static struct nw_spool_options options_of(const struct sim *sim)
{
    return (struct nw_spool_options){
        .env = sim->spool.env,
        .folder = FOLDER,
        .identity = {.system_identifier = 1, .timeline = 1, .slot_name = "narwal"},
        .quota_bytes = sim->spool.quota_bytes,
        .segment_bytes = sim->spool.segment_bytes};
}

void sim_spool_init(struct sim *sim)
{
    struct sim_spool *spool = &sim->spool;
    uint32_t shift = sim->server.note_max > 1000 ? 18 : 14; /* a row is to fit */
    struct nw_error err = {0};

    spool->wanted = sim->copies && (sim_chance(&sim->random, 600) || sim_about == SIM_SPOOLS);
    spool->quota_bytes = 1ull << (shift + sim_below(&sim->random, 6));
    spool->segment_bytes = spool->quota_bytes >> (2 + sim_below(&sim->random, 3));
    if (nw_env_model_create(sim->seed ^ 0x73706f6f6cu, &spool->env, &err) != NW_OK) {
        sim_fail(sim, "%s", err.text);
    }
    slow_init(sim, spool->env);
}

void sim_spool_free(struct sim *sim)
{
    nw_env_model_destroy(sim->spool.env);
}

/* What the server still has, or nobody needs, is received again, or not at all. */
static void spool_discard(struct sim *sim)
{
    struct nw_spool_options options = options_of(sim);
    struct nw_error err = {0};

    if (nw_spool_discard(&options, &err) != NW_OK) {
        sim_fail(sim, "a spool is not discarded: %s", err.text);
    }
}

/* Opens what is there, which must reach as far as the server was told. */
static void spool_open(struct sim *sim, uint64_t need_lsn, uint64_t until_lsn,
                       struct nw_spool_status *found)
{
    struct nw_spool_options options = options_of(sim);
    struct nw_error err = {0};

    if (nw_spool_open(&options, until_lsn, &sim->spool.spool, &err) != NW_OK) {
        sim_fail(sim, "the spool does not open: %s", err.text);
    }
    if (sim->spool.spool == NULL) {
        sim_fail(sim, "sinks have %" PRIu64 ", the server forgot up to %" PRIu64 ", no spool",
                 need_lsn, until_lsn);
    }
    nw_spool_status(sim->spool.spool, found);
    if (found->first_lsn > need_lsn || found->end_lsn < until_lsn) {
        sim_fail(sim, "the spool has %" PRIu64 " to %" PRIu64 " of %" PRIu64 " to %" PRIu64,
                 found->first_lsn, found->end_lsn, need_lsn, until_lsn);
    }
}

void sim_spool_find(struct sim *sim, uint64_t need_lsn)
{
    uint64_t confirmed_lsn = sim->server.confirmed_lsn;
    uint64_t until_lsn = sim->recorded_lsn > confirmed_lsn ? sim->recorded_lsn : confirmed_lsn;
    struct nw_spool_status found;

    if (!sim->server.has_slot || need_lsn >= confirmed_lsn) {
        spool_discard(sim);
        return;
    }
    if (confirmed_lsn > sim->recorded_lsn) {
        sim_fail(sim, "the server forgot up to %" PRIu64 ", recorded is %" PRIu64, confirmed_lsn,
                 sim->recorded_lsn);
    }
    spool_open(sim, need_lsn, until_lsn, &found);
    if (sim_chance(&sim->random, 300)) { /* the power goes when the server was told of its end */
        SIM_COUNT(power_cuts);
        nw_spool_destroy(sim->spool.spool);
        nw_env_model_crash(sim->spool.env, 0);
        spool_open(sim, need_lsn, found.end_lsn, &found);
    }
    if (found.first_record > 1) {
        sim->spool.found_trimmed = true;
        SIM_COUNT(spools_found_trimmed);
    }
    sim->stream_lsn = found.first_lsn;
    sim->start_lsn = found.end_lsn;
    SIM_COUNT(spools_found);
}

void sim_spool_begin(struct sim *sim)
{
    struct nw_spool_options options = options_of(sim);
    struct nw_error err = {0};

    if (sim->spool.spool != NULL || !sim->copy.running || !sim->spool.wanted) {
        return;
    }
    if (nw_spool_begin(&options, sim->start_lsn, &sim->spool.spool, &err) != NW_OK) {
        sim_fail(sim, "no spool: %s", err.text);
    }
    sim->stream_lsn = sim->start_lsn;
    SIM_COUNT(spools);
}

static nw_status name_seen(void *context, const char *name, bool is_folder, struct nw_error *err)
{
    (void)name;
    (void)is_folder;
    (void)err;
    *(bool *)context = true;
    return NW_OK;
}

bool sim_spool_has(const struct sim *sim, uint64_t lsn)
{
    struct nw_env *env = sim->spool.env;
    bool there = false;
    struct nw_error ignored;

    return sim->spool.spool != NULL && lsn <= nw_spool_synced_lsn(sim->spool.spool) &&
           env->ops->folder_list(env, FOLDER, name_seen, &there, &ignored) == NW_OK && there;
}

void sim_spool_power(struct sim *sim)
{
    if (sim->spool.spool != NULL && sim_chance(&sim->random, 600)) {
        SIM_COUNT(power_cuts);
        sim->spool.off = true;
        nw_env_model_power_off(sim->spool.env);
    }
}

void sim_spool_end(struct sim *sim)
{
    static const uint32_t survive_percent[] = {0, 0, 30, 90};
    struct sim_spool *spool = &sim->spool;
    struct nw_spool_status status;

    if (spool->spool == NULL) {
        return;
    }
    nw_spool_status(spool->spool, &status);
    sim_counters.spools_full += status.pressure == NW_SPOOL_FULL;
    sim_counters.spools_of_several_segments += status.segments > 1;
    sim_counters.spools_blocked += spool->blocked;
    sim_counters.spools_trimmed += status.first_record > 1 && !spool->found_trimmed;
    spool->found_trimmed = false;
    spool->filled = spool->blocked = false;
    nw_env_model_limit(spool->env, 0);
    nw_spool_use(spool->spool, NULL); /* those jobs are gone with the engine */
    nw_spool_destroy(spool->spool);
    spool->spool = NULL;
    if (spool->off) {
        spool->off = false;
        nw_env_model_crash(spool->env, survive_percent[sim_below(&sim->random, 4)]);
    }
}
