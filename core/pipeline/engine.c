/* SPDX-License-Identifier: Apache-2.0 */
/* See engine.h. Built and destroyed by the main thread while nothing runs. */
#include "pipeline/engine_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"

static_assert(NW_PLAN_LANES_MAX == NW_LANES_MAX && NW_PLAN_SINKS_MAX == NW_SEQUENCERS_MAX &&
                  NW_PLAN_READERS_MAX == NW_PRODUCERS_MAX - 1,
              "a plan has room for all that an engine may have");

#define OUT_CAPACITY      256u   /* items from a lane to a sequencer */
#define RETURN_CAPACITY   16384u /* items back to a lane */
#define DURABLE_CAPACITY  1024u
#define STATUS_US         10000000LL /* feedback to the server at least this often */
#define IDLE_US           60000000LL /* an idle database's empty epochs */
#define BLOCKS_FOR_READER 8u
#define ROW_SHARE         4u /* a row is held in the receiver, a block and an item */
#define BLOCK_BYTES_USUAL                                                                          \
    (2 * (uint64_t)NW_BLOCK_BYTES) /* what a block in use takes, for the budget's share */

/* ---- building ---- */

static struct nw_bell *lane_bell(const struct nw_engine *engine, uint32_t lane)
{
    return engine->bells[engine->options.plan->lane_threads[lane]];
}

static struct nw_bell *sequencer_bell(const struct nw_engine *engine, uint32_t sequencer)
{
    return engine->bells[engine->options.plan->sequencer_threads[sequencer]];
}

static nw_status bells_make(struct nw_engine *engine, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < engine->options.plan->engine_threads_count && status == NW_OK; i++) {
        status = nw_bell_create(&engine->bells[i], err);
    }
    return status;
}

/* A ring there and one back. */
static nw_status ring_pair_make(size_t capacity, struct nw_spsc **there, size_t back_capacity,
                                struct nw_spsc **back, struct nw_error *err)
{
    nw_status status = nw_spsc_create(capacity, there, err);

    return status == NW_OK ? nw_spsc_create(back_capacity, back, err) : status;
}

static nw_status lane_rings_make(struct nw_engine *engine, uint32_t lane, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t p = 0; p < engine->producers_count && status == NW_OK; p++) {
        status = ring_pair_make(NW_BLOCKS_PER_PRODUCER, &engine->in[lane][p],
                                NW_BLOCKS_PER_PRODUCER, &engine->block_return[lane][p], err);
    }
    for (uint32_t s = 0; s < engine->options.sinks_count && status == NW_OK; s++) {
        status = ring_pair_make(OUT_CAPACITY, &engine->out[lane][s], RETURN_CAPACITY,
                                &engine->item_return[lane][s], err);
    }
    return status;
}

static nw_status rings_make(struct nw_engine *engine, struct nw_error *err)
{
    nw_status status = nw_spsc_create(NW_ENGINE_COMMANDS, &engine->commands, err);

    for (uint32_t lane = 0; lane < engine->options.plan->lanes_count && status == NW_OK; lane++) {
        status = lane_rings_make(engine, lane, err);
    }
    for (uint32_t s = 0; s < engine->options.sinks_count && status == NW_OK; s++) {
        status = nw_spsc_create(DURABLE_CAPACITY, &engine->durable[s], err);
    }
    for (uint32_t r = 0; r < engine->options.readers_count && status == NW_OK; r++) {
        status = ring_pair_make(NW_COPY_TASKS_MAX, &engine->readers[r].tasks, NW_COPY_TASKS_MAX,
                                &engine->readers[r].done, err);
    }
    return status;
}

static nw_status producer_make(struct nw_engine *engine, uint32_t index, uint32_t blocks_max,
                               struct nw_producer **producer, struct nw_error *err)
{
    struct nw_producer_options options = {
        .index = index, .lanes_count = engine->options.plan->lanes_count, .blocks_max = blocks_max};

    for (uint32_t lane = 0; lane < engine->options.plan->lanes_count; lane++) {
        options.in[lane] = engine->in[lane][index];
        options.block_return[lane] = engine->block_return[lane][index];
        options.lane_bell[lane] = lane_bell(engine, lane);
    }
    return nw_producer_create(&options, producer, err);
}

static nw_status lanes_make(struct nw_engine *engine, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t lane = 0; lane < engine->options.plan->lanes_count && status == NW_OK; lane++) {
        struct nw_lane_options options = {.index = lane,
                                          .producers_count = engine->producers_count,
                                          .sequencers_count = engine->options.sinks_count,
                                          .budget = &engine->budget};

        for (uint32_t p = 0; p < engine->producers_count; p++) {
            options.in[p] = engine->in[lane][p];
            options.block_return[p] = engine->block_return[lane][p];
            options.producer_bell[p] = p == NW_PRODUCER_STREAM
                                           ? nw_engine_source_bell(engine)
                                           : nw_engine_reader_bell(engine, p - 1);
        }
        for (uint32_t s = 0; s < engine->options.sinks_count; s++) {
            options.out[s] = engine->out[lane][s];
            options.item_return[s] = engine->item_return[lane][s];
            options.sequencer_bell[s] = sequencer_bell(engine, s);
        }
        status = nw_lane_create(&options, &engine->lanes[lane], err);
    }
    return status;
}

static nw_status sequencers_make(struct nw_engine *engine, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t s = 0; s < engine->options.sinks_count && status == NW_OK; s++) {
        struct nw_sequencer_options options = {
            .lanes_count = engine->options.plan->lanes_count,
            .producers_count = engine->producers_count,
            .bell = sequencer_bell(engine, s),
            .budget = &engine->budget,
            .durable = engine->durable[s],
            .durable_bell = nw_engine_source_bell(engine),
            .spill_quota_bytes = engine->options.spill_bytes,
            .refuse_copies = engine->options.refuse_copies[s],
            .letters = engine->options.letters[s],
            .index = s,
        };

        for (uint32_t lane = 0; lane < engine->options.plan->lanes_count; lane++) {
            options.in[lane] = engine->out[lane][s];
            options.item_return[lane] = engine->item_return[lane][s];
            options.lane_bell[lane] = lane_bell(engine, lane);
        }
        if (asprintf(&engine->spill_folders[s], "%s/sink-%u", engine->options.spill_folder, s) <
            0) {
            return nw_fail(err, NW_FATAL, "out of memory");
        }
        options.spill_folder = engine->spill_folders[s];
        status =
            nw_sequencer_create(engine->options.sinks[s], &options, &engine->sequencers[s], err);
    }
    return status;
}

/* Blocks for the stream: an eighth of the memory, as far as the window goes. */
static uint32_t stream_blocks(const struct nw_engine *engine)
{
    uint64_t blocks = engine->options.memory_bytes / 8 / BLOCK_BYTES_USUAL;

    return blocks < 8                        ? 8
           : blocks > NW_BLOCKS_PER_PRODUCER ? NW_BLOCKS_PER_PRODUCER
                                             : (uint32_t)blocks;
}

static nw_status source_make(struct nw_engine *engine, struct nw_error *err)
{
    const struct nw_engine_options *o = &engine->options;
    struct nw_txns_options txns = {
        .env = o->env, .folder = engine->txn_folder, .quota_bytes = o->spill_bytes};
    struct nw_dealer_options dealer = {.schemas = o->schemas,
                                       .identity = o->identity,
                                       .transactions = o->transactions,
                                       .wanted = o->wanted,
                                       .stopped = o->stopped,
                                       .waits = o->waits,
                                       .copied = o->copied,
                                       .joins = o->joins,
                                       .policy = o->policy,
                                       .project = o->project,
                                       .context = o->context,
                                       .keeps = o->keeps,
                                       .committed = o->committed,
                                       .row_bytes_max = o->memory_bytes / ROW_SHARE};
    struct nw_source_options source = {.env = o->env,
                                       .schemas = o->schemas,
                                       .connect = o->connect,
                                       .disconnect = o->disconnect,
                                       .describe = o->describe,
                                       .stop = o->stop,
                                       .backlog_end = o->backlog_end,
                                       .play_lsn = o->play_lsn,
                                       .watch = o->watch,
                                       .epoch_ended = o->epoch_ended,
                                       .context = o->context,
                                       .epoch_us_max = o->epoch_us_max,
                                       .epoch_bytes_max = o->epoch_bytes_max,
                                       .status_us = STATUS_US,
                                       .idle_us = IDLE_US,
                                       .row_bytes_max = o->memory_bytes / ROW_SHARE};
    nw_status status =
        producer_make(engine, NW_PRODUCER_STREAM, stream_blocks(engine), &engine->producer, err);

    if (status == NW_OK) {
        status = nw_jobs_create(engine->bells[o->plan->service_thread],
                                nw_engine_source_bell(engine), &engine->jobs, err);
    }
    if (status == NW_OK) {
        status = nw_txns_create(&txns, &engine->txns, err);
    }
    if (status == NW_OK) {
        dealer.producer = engine->producer;
        status = nw_dealer_create(&dealer, &engine->dealer, err);
    }
    if (status == NW_OK) {
        source.jobs = engine->jobs;
        source.spool = o->spool;
        source.spool_lsn = o->spool_lsn;
        if (o->spool != NULL) {
            nw_spool_use(o->spool, engine->jobs);
        }
        source.dealer = engine->dealer;
        source.txns = engine->txns;
        status = nw_source_create(&source, &engine->source, err);
    }
    return status;
}

static nw_status acknowledger_make(struct nw_engine *engine, struct nw_error *err)
{
    struct nw_acknowledger_options options = {.source = engine->source,
                                              .jobs = engine->jobs,
                                              .sinks_count = engine->options.sinks_count,
                                              .flush_lsn = engine->options.flush_lsn,
                                              .record = engine->options.record,
                                              .context = engine->options.context};

    memcpy(options.durable, engine->durable, sizeof options.durable);
    for (uint32_t i = 0; i < options.sinks_count; i++) {
        options.sinks[i] = engine->options.sinks[i];
    }
    return nw_acknowledger_create(&options, &engine->acknowledger, err);
}

static nw_status readers_make(struct nw_engine *engine, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t r = 0; r < engine->options.readers_count && status == NW_OK; r++) {
        struct nw_engine_reader *reader = &engine->readers[r];
        struct nw_copy_reader_options options = {.row_bytes_max =
                                                     engine->options.memory_bytes / ROW_SHARE,
                                                 .tasks = reader->tasks,
                                                 .done = reader->done,
                                                 .rate = &engine->copy_rate};

        status = producer_make(engine, r + 1, BLOCKS_FOR_READER, &reader->producer, err);
        if (status == NW_OK) {
            options.producer = reader->producer;
            status = nw_copy_reader_create(&options, &reader->agent, err);
        }
    }
    return status;
}

static void agent_add(struct nw_engine *engine, struct nw_agent agent)
{
    NW_ASSERT(engine->agents_count < NW_ENGINE_AGENTS_MAX);
    engine->agents[engine->agents_count++] = agent;
}

/* The agents of one thread of the plan, in the order in which rows pass them. */
static void thread_agents_list(struct nw_engine *engine, uint32_t thread)
{
    const struct nw_plan *plan = engine->options.plan;

    if (thread == 0) {
        agent_add(engine, nw_source_agent(engine->source));
    }
    for (uint32_t r = 0; r < engine->options.readers_count; r++) {
        if (plan->reader_threads[r] == thread) {
            agent_add(engine, nw_copy_reader_agent(engine->readers[r].agent));
        }
    }
    for (uint32_t lane = 0; lane < plan->lanes_count; lane++) {
        if (plan->lane_threads[lane] == thread) {
            agent_add(engine, nw_lane_agent(engine->lanes[lane]));
        }
    }
    for (uint32_t s = 0; s < engine->options.sinks_count; s++) {
        if (plan->sequencer_threads[s] == thread) {
            agent_add(engine, nw_sequencer_agent(engine->sequencers[s]));
        }
    }
    if (thread == 0) {
        agent_add(engine, nw_acknowledger_agent(engine->acknowledger));
        agent_add(engine, nw_engine_control(engine));
    }
    if (thread == plan->service_thread) {
        agent_add(engine, nw_jobs_agent(engine->jobs));
    }
}

static void agents_list(struct nw_engine *engine)
{
    uint32_t thread = 0;

    for (; thread < engine->options.plan->engine_threads_count; thread++) {
        engine->first_agents[thread] = engine->agents_count;
        thread_agents_list(engine, thread);
    }
    engine->first_agents[thread] = engine->agents_count;
}

nw_status nw_engine_create(const struct nw_engine_options *options, struct nw_engine **engine,
                           struct nw_error *err)
{
    struct nw_engine *made = calloc(1, sizeof *made);
    nw_status status = NW_OK;

    if (made == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for the engine");
    }
    made->options = *options;
    nw_engine_copy_rate(made, options->copy_bytes_a_second);
    made->budget.limit_bytes = (int64_t)options->memory_bytes;
    made->producers_count = options->readers_count + 1;
    (void)pthread_mutex_init(&made->mutex, NULL);
    if (asprintf(&made->txn_folder, "%s/transactions", options->spill_folder) < 0) {
        made->txn_folder = NULL;
        status = nw_fail(err, NW_FATAL, "out of memory for the engine");
    }
    status = status != NW_OK ? status : bells_make(made, err);
    status = status != NW_OK ? status : rings_make(made, err);
    status = status != NW_OK ? status : source_make(made, err);
    status = status != NW_OK ? status : readers_make(made, err);
    status = status != NW_OK ? status : lanes_make(made, err);
    status = status != NW_OK ? status : sequencers_make(made, err);
    status = status != NW_OK ? status : acknowledger_make(made, err);
    if (status != NW_OK) {
        nw_engine_destroy(made);
        return status;
    }
    agents_list(made);
    *engine = made;
    return NW_OK;
}

static void rings_destroy(struct nw_engine *engine)
{
    for (uint32_t lane = 0; lane < engine->options.plan->lanes_count; lane++) {
        for (uint32_t p = 0; p < engine->producers_count; p++) {
            nw_spsc_destroy(engine->in[lane][p]);
            nw_spsc_destroy(engine->block_return[lane][p]);
        }
        for (uint32_t s = 0; s < engine->options.sinks_count; s++) {
            nw_spsc_destroy(engine->out[lane][s]);
            nw_spsc_destroy(engine->item_return[lane][s]);
        }
    }
    for (uint32_t s = 0; s < engine->options.sinks_count; s++) {
        nw_spsc_destroy(engine->durable[s]);
    }
    for (uint32_t r = 0; r < engine->options.readers_count; r++) {
        nw_spsc_destroy(engine->readers[r].tasks);
        nw_spsc_destroy(engine->readers[r].done);
    }
    nw_spsc_destroy(engine->commands);
}

void nw_engine_destroy(struct nw_engine *engine)
{
    if (engine == NULL) {
        return;
    }
    NW_ASSERT(engine->threads_count == 0);
    for (uint32_t s = 0; s < engine->options.sinks_count; s++) {
        nw_sequencer_destroy(engine->sequencers[s]);
        if (nw_sink_hangs(engine->options.sinks[s])) { /* who returns from the call rings it */
            engine->bells[engine->options.plan->sequencer_threads[s]] = NULL;
        }
        free(engine->spill_folders[s]);
    }
    for (uint32_t lane = 0; lane < engine->options.plan->lanes_count; lane++) {
        nw_lane_destroy(engine->lanes[lane]);
    }
    nw_source_destroy(engine->source); /* first: it takes in all finished jobs */
    nw_acknowledger_destroy(engine->acknowledger);
    nw_dealer_destroy(engine->dealer);
    for (uint32_t r = 0; r < engine->options.readers_count; r++) {
        nw_copy_reader_destroy(engine->readers[r].agent);
        nw_producer_destroy(engine->readers[r].producer);
    }
    nw_producer_destroy(engine->producer);
    nw_txns_destroy(engine->txns);
    nw_jobs_destroy(engine->jobs);
    rings_destroy(engine);
    for (uint32_t i = 0; i < engine->options.plan->engine_threads_count; i++) {
        if (engine->bells[i] != NULL) {
            nw_bell_destroy(engine->bells[i]);
        }
    }
    free(engine->txn_folder);
    (void)pthread_mutex_destroy(&engine->mutex);
    free(engine);
}

/* ---- running ---- */

static int64_t env_now(void *clock)
{
    struct nw_env *env = clock;

    return env->ops->now_ns(env);
}

static nw_status thread_start(struct nw_engine *engine, uint32_t index, struct nw_error *err)
{
    const struct nw_plan_thread *planned = &engine->options.plan->threads[index];
    uint32_t first = engine->first_agents[index];
    struct nw_thread_options options = {.name = planned->name,
                                        .agents = &engine->agents[first],
                                        .agents_count = engine->first_agents[index + 1] - first,
                                        .bell = engine->bells[index],
                                        .core = planned->core,
                                        .now_ns = env_now,
                                        .clock = engine->options.env,
                                        .failed = nw_engine_agent_failed,
                                        .context = engine};
    nw_status status = NW_OK;

    if (options.agents_count == 0) { /* a reader's, when nothing is copied */
        return NW_OK;
    }
    engine->planned[engine->threads_count] = planned;
    status = nw_thread_start(&options, &engine->threads[engine->threads_count], err);
    engine->threads_count += status == NW_OK;
    return status;
}

nw_status nw_engine_start(struct nw_engine *engine, struct nw_error *err)
{
    nw_status status = NW_OK;

    /* The source's comes last: all that it feeds is there. */
    for (uint32_t i = engine->options.plan->engine_threads_count; i > 0 && status == NW_OK; i--) {
        status = thread_start(engine, i - 1, err);
    }
    if (status != NW_OK) {
        nw_engine_stop(engine);
    }
    return status;
}

void nw_engine_stop(struct nw_engine *engine)
{
    for (uint32_t i = 0; i < engine->threads_count; i++) {
        nw_thread_stop(engine->threads[i]);
    }
    for (uint32_t i = 0; i < engine->threads_count; i++) {
        nw_thread_destroy(engine->threads[i]);
    }
    engine->threads_count = 0;
}

const char *nw_engine_stuck(const struct nw_engine *engine, int64_t now_ns, int64_t longer_ns)
{
    for (uint32_t i = 0; i < engine->threads_count; i++) {
        if (!engine->planned[i]->blocks &&
            nw_thread_busy_ns(engine->threads[i], now_ns) > longer_ns) {
            return engine->planned[i]->name;
        }
    }
    return NULL;
}

uint32_t nw_engine_agents(struct nw_engine *engine, struct nw_agent agents[NW_ENGINE_AGENTS_MAX])
{
    memcpy(agents, engine->agents, engine->agents_count * sizeof *agents);
    return engine->agents_count;
}

nw_status nw_engine_fence(struct nw_engine *engine, uint32_t sink, uint32_t relation_oid,
                          uint64_t fence_lsn, struct nw_error *err)
{
    return nw_sequencer_fence(engine->sequencers[sink], relation_oid, fence_lsn, err);
}

struct nw_sequencer *nw_engine_sequencer(struct nw_engine *engine, uint32_t sink)
{
    return engine->sequencers[sink];
}

void nw_engine_backlog(struct nw_engine *engine, struct nw_backlog *backlog, bool resumes)
{
    nw_dealer_backlog(engine->dealer, backlog);
    nw_source_backlog(engine->source, backlog, resumes);
}

nw_status nw_engine_dropped(struct nw_engine *engine, const struct nw_table *table, uint64_t lsn,
                            struct nw_error *err)
{
    return nw_dealer_drop_recorded(engine->dealer, table, lsn, err);
}

void nw_engine_apart(struct nw_engine *engine, const struct nw_apart *apart)
{
    nw_dealer_apart(engine->dealer, apart);
}

void nw_engine_dealt(struct nw_engine *engine, uint64_t commit_lsn, uint64_t seq)
{
    nw_dealer_dealt(engine->dealer, commit_lsn, seq);
}

void nw_engine_lacks(struct nw_engine *engine, const struct nw_behind *lacks)
{
    nw_dealer_lacks(engine->dealer, lacks);
}
