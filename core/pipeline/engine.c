/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See engine.h. Built and destroyed by the main thread while nothing runs. While it runs the main
 * thread reaches the source through the control agent: commands over a ring, numbers under a mutex.
 */
#include "pipeline/engine.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/log.h"

static_assert(NW_PLAN_LANES_MAX == NW_LANES_MAX && NW_PLAN_SINKS_MAX == NW_SEQUENCERS_MAX &&
                  NW_PLAN_READERS_MAX == NW_PRODUCERS_MAX - 1,
              "a plan has room for all that an engine may have");

#define OUT_CAPACITY      256u   /* items from a lane to a sequencer */
#define RETURN_CAPACITY   16384u /* items back to a lane */
#define DURABLE_CAPACITY  1024u
#define COMMANDS_CAPACITY 8u
#define STATUS_NS         100000000LL
#define STATUS_US         10000000LL /* feedback to the server at least this often */
#define IDLE_US           60000000LL /* an idle database's empty epochs */
#define BLOCKS_FOR_READER 8u
#define ROW_SHARE         4u /* a row is held in the receiver, a block and an item */
#define BLOCK_BYTES_USUAL                                                                          \
    (2 * (uint64_t)NW_BLOCK_BYTES) /* what a block in use takes, for the budget's share */

#define REGISTER_POLL_NS 1000000L

enum command_kind {
    COMMAND_STREAM = 1,
    COMMAND_ALL_READ,
    COMMAND_RELEASE,
    COMMAND_DRAIN,
    COMMAND_REGISTER
};

/* Asked and answered: the main thread waits for it. */
struct registration {
    const struct nw_table *described;
    const struct nw_table *table;
    nw_status status;
    struct nw_error error;
    atomic_bool done; /* released by the source's thread */
};

struct command {
    enum command_kind kind;
    uint64_t lsn;
};

struct reader {
    struct nw_copy_reader *agent;
    struct nw_producer *producer;
    struct nw_spsc *tasks;
    struct nw_spsc *done;
};

struct nw_engine {
    struct nw_engine_options options;
    struct nw_budget budget;
    struct nw_copy_rate copy_rate;
    uint32_t producers_count;

    struct nw_bell *bells[NW_PLAN_ENGINE_THREADS_MAX]; /* of the plan's threads */

    struct nw_spsc *in[NW_LANES_MAX][NW_PRODUCERS_MAX];
    struct nw_spsc *block_return[NW_LANES_MAX][NW_PRODUCERS_MAX];
    struct nw_spsc *out[NW_LANES_MAX][NW_SEQUENCERS_MAX];
    struct nw_spsc *item_return[NW_LANES_MAX][NW_SEQUENCERS_MAX];
    struct nw_spsc *durable[NW_SEQUENCERS_MAX];

    struct nw_jobs *jobs;
    struct nw_txns *txns;
    struct nw_producer *producer;
    struct nw_dealer *dealer;
    struct nw_source *source;
    struct nw_acknowledger *acknowledger;
    struct reader readers[NW_PRODUCERS_MAX - 1];
    struct nw_lane *lanes[NW_LANES_MAX];
    struct nw_sequencer *sequencers[NW_SEQUENCERS_MAX];
    char *txn_folder;
    char *spill_folders[NW_SEQUENCERS_MAX];

    struct nw_spsc *commands; /* main to control */
    struct command command_slots[COMMANDS_CAPACITY];
    uint32_t commands_sent;
    struct registration registration; /* one at a time */
    bool draining;                    /* control's */
    int64_t published_ns;             /* control's */

    pthread_mutex_t mutex; /* guards all below */
    struct nw_source_status published;
    bool drained;
    struct nw_error failure; /* of the first agent that failed */
    struct nw_engine_refusal refusal;

    struct nw_agent agents[NW_ENGINE_AGENTS_MAX]; /* thread by thread */
    uint32_t agents_count;
    uint32_t first_agents[NW_PLAN_ENGINE_THREADS_MAX + 1]; /* where each thread's begin */
    struct nw_thread *threads[NW_PLAN_ENGINE_THREADS_MAX];
    uint32_t threads_count;
};

/* ---- the control agent, on the source's thread ---- */

static void register_answer(struct nw_engine *engine)
{
    struct registration *registration = &engine->registration;

    registration->status = nw_schemas_add(engine->options.schemas, registration->described, 0,
                                          &registration->table, &registration->error);
    /* Release: pairs with the acquire in nw_engine_register(). */
    atomic_store_explicit(&registration->done, true, memory_order_release);
}

static nw_status control_work(void *self, int64_t now_ns, uint32_t *work, struct nw_error *err)
{
    struct nw_engine *engine = self;
    struct command *command = NULL;

    (void)err;
    while ((command = nw_spsc_pop(engine->commands)) != NULL) {
        switch (command->kind) {
        case COMMAND_STREAM:
            nw_source_start(engine->source, command->lsn);
            break;
        case COMMAND_ALL_READ:
            nw_source_copied(engine->source);
            break;
        case COMMAND_RELEASE:
            nw_source_release(engine->source);
            break;
        case COMMAND_DRAIN:
            engine->draining = true;
            nw_source_drain(engine->source);
            break;
        case COMMAND_REGISTER:
            register_answer(engine);
            break;
        }
        *work += 1;
    }
    if (now_ns - engine->published_ns >= STATUS_NS || engine->draining) {
        bool drained = engine->draining && nw_source_drained(engine->source) &&
                       nw_acknowledger_settled(engine->acknowledger);

        engine->published_ns = now_ns;
        (void)pthread_mutex_lock(&engine->mutex);
        nw_source_status(engine->source, &engine->published);
        engine->drained = drained && (engine->published.phase != NW_SOURCE_STREAMING ||
                                      engine->published.flush_lsn >=
                                          nw_acknowledger_flush_lsn(engine->acknowledger));
        (void)pthread_mutex_unlock(&engine->mutex);
    }
    return NW_OK;
}

static void control_wait(void *self, int64_t now_ns, struct nw_wait *wait)
{
    struct nw_engine *engine = self;
    int64_t deadline = engine->published_ns + STATUS_NS;

    *wait = (struct nw_wait){
        .descriptor = -1,
        .deadline_ns = engine->draining || deadline < now_ns ? now_ns + STATUS_NS / 20 : deadline};
}

/* What a sequencer refused; on its own thread. */
static void refusal_note(struct nw_engine *engine, const struct nw_agent *agent,
                         const struct nw_error *err)
{
    for (uint32_t s = 0; s < engine->options.sinks_count && err->status == NW_REJECT; s++) {
        if (agent->self == engine->sequencers[s]) {
            engine->refusal.table =
                nw_sequencer_refused(engine->sequencers[s], &engine->refusal.lsn);
            engine->refusal.sink = s;
            engine->refusal.error = *err;
        }
    }
}

static void agent_failed(void *context, const struct nw_agent *agent, const struct nw_error *err)
{
    struct nw_engine *engine = context;

    (void)pthread_mutex_lock(&engine->mutex);
    if (engine->failure.status == NW_OK) {
        engine->failure = *err;
        refusal_note(engine, agent, err);
    }
    (void)pthread_mutex_unlock(&engine->mutex);
}

/* ---- building ---- */

static struct nw_bell *source_bell(const struct nw_engine *engine)
{
    return engine->bells[0];
}

static struct nw_bell *lane_bell(const struct nw_engine *engine, uint32_t lane)
{
    return engine->bells[engine->options.plan->lane_threads[lane]];
}

static struct nw_bell *reader_bell(const struct nw_engine *engine, uint32_t reader)
{
    return engine->bells[engine->options.plan->reader_threads[reader]];
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
    nw_status status = nw_spsc_create(COMMANDS_CAPACITY, &engine->commands, err);

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
            options.producer_bell[p] =
                p == NW_PRODUCER_STREAM ? source_bell(engine) : reader_bell(engine, p - 1);
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
            .durable_bell = source_bell(engine),
            .spill_quota_bytes = engine->options.spill_bytes,
            .refuse_copies = engine->options.refuse_copies[s],
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
                                       .joins = o->joins,
                                       .policy = o->policy,
                                       .project = o->project,
                                       .context = o->context,
                                       .row_bytes_max = o->memory_bytes / ROW_SHARE};
    struct nw_source_options source = {.env = o->env,
                                       .schemas = o->schemas,
                                       .connect = o->connect,
                                       .disconnect = o->disconnect,
                                       .describe = o->describe,
                                       .stop = o->stop,
                                       .watch = o->watch,
                                       .context = o->context,
                                       .epoch_us_max = o->epoch_us_max,
                                       .epoch_bytes_max = o->epoch_bytes_max,
                                       .status_us = STATUS_US,
                                       .idle_us = IDLE_US,
                                       .row_bytes_max = o->memory_bytes / ROW_SHARE};
    nw_status status =
        producer_make(engine, NW_PRODUCER_STREAM, stream_blocks(engine), &engine->producer, err);

    if (status == NW_OK) {
        status = nw_jobs_create(engine->bells[o->plan->service_thread], source_bell(engine),
                                &engine->jobs, err);
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
    return nw_acknowledger_create(&options, &engine->acknowledger, err);
}

static nw_status readers_make(struct nw_engine *engine, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t r = 0; r < engine->options.readers_count && status == NW_OK; r++) {
        struct reader *reader = &engine->readers[r];
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
        agent_add(engine, (struct nw_agent){.name = "control",
                                            .self = engine,
                                            .do_work = control_work,
                                            .wait = control_wait});
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
    made->copy_rate.bytes_a_second = options->copy_bytes_a_second;
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
        nw_bell_destroy(engine->bells[i]);
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
                                        .failed = agent_failed,
                                        .context = engine};
    nw_status status = NW_OK;

    if (options.agents_count == 0) { /* a reader's, when nothing is copied */
        return NW_OK;
    }
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

nw_status nw_engine_dropped(struct nw_engine *engine, const struct nw_table *table, uint64_t lsn,
                            struct nw_error *err)
{
    return nw_dealer_drop_recorded(engine->dealer, table, lsn, err);
}

bool nw_engine_copy(struct nw_engine *engine, uint32_t reader, struct nw_copy_task *task)
{
    bool pushed = nw_spsc_push(engine->readers[reader].tasks, task);

    nw_bell_ring(reader_bell(engine, reader));
    return pushed;
}

void nw_engine_copy_give_up(struct nw_engine *engine, uint32_t reader, struct nw_copy_task *task)
{
    atomic_store_explicit(&task->give_up, true, memory_order_relaxed);
    nw_bell_ring(reader_bell(engine, reader));
}

struct nw_copy_task *nw_engine_copied(struct nw_engine *engine, uint32_t reader)
{
    return nw_spsc_pop(engine->readers[reader].done);
}

void nw_engine_copy_counts(const struct nw_engine *engine, uint64_t *rows, uint64_t *bytes)
{
    *rows = *bytes = 0;
    for (uint32_t r = 0; r < engine->options.readers_count; r++) {
        uint64_t reader_rows = 0;
        uint64_t reader_bytes = 0;

        nw_copy_reader_counts(engine->readers[r].agent, &reader_rows, &reader_bytes);
        *rows += reader_rows;
        *bytes += reader_bytes;
    }
}

static void command_send(struct nw_engine *engine, struct command sent)
{
    struct command *command = &engine->command_slots[engine->commands_sent++ % COMMANDS_CAPACITY];
    bool pushed = false;

    *command = sent;
    pushed = nw_spsc_push(engine->commands, command);
    NW_ASSERT(pushed); /* start and drain once in a life; a registration is waited for */
    nw_bell_ring(source_bell(engine));
}

nw_status nw_engine_register(struct nw_engine *engine, const struct nw_table *described,
                             const struct nw_table **table, struct nw_error *err)
{
    struct registration *registration = &engine->registration;
    struct timespec pause = {.tv_nsec = REGISTER_POLL_NS};

    registration->described = described;
    atomic_store_explicit(&registration->done, false, memory_order_relaxed);
    command_send(engine, (struct command){.kind = COMMAND_REGISTER});
    /* Acquire: pairs with the release in register_answer(). */
    while (!atomic_load_explicit(&registration->done, memory_order_acquire)) {
        nw_status status = nw_engine_failure(engine, err);

        if (status != NW_OK) {
            return status; /* the source's thread may run no more */
        }
        (void)nanosleep(&pause, NULL);
    }
    *table = registration->table;
    *err = registration->error;
    return registration->status;
}

void nw_engine_stream(struct nw_engine *engine, uint64_t lsn)
{
    command_send(engine, (struct command){.kind = COMMAND_STREAM, .lsn = lsn});
}

void nw_engine_all_read(struct nw_engine *engine)
{
    command_send(engine, (struct command){.kind = COMMAND_ALL_READ});
}

void nw_engine_release(struct nw_engine *engine)
{
    command_send(engine, (struct command){.kind = COMMAND_RELEASE});
}

void nw_engine_drain(struct nw_engine *engine)
{
    command_send(engine, (struct command){.kind = COMMAND_DRAIN});
}

static struct nw_engine *locked(const struct nw_engine *engine)
{
    struct nw_engine *mutable_engine = (struct nw_engine *)(uintptr_t)engine;

    (void)pthread_mutex_lock(&mutable_engine->mutex);
    return mutable_engine;
}

bool nw_engine_drained(const struct nw_engine *engine)
{
    struct nw_engine *held = locked(engine);
    bool drained = held->drained;

    (void)pthread_mutex_unlock(&held->mutex);
    return drained;
}

nw_status nw_engine_failure(struct nw_engine *engine, struct nw_error *err)
{
    nw_status status = NW_OK;

    (void)locked(engine);
    status = engine->failure.status;
    if (status != NW_OK) {
        *err = engine->failure;
    }
    (void)pthread_mutex_unlock(&engine->mutex);
    return status;
}

void nw_engine_refused(struct nw_engine *engine, struct nw_engine_refusal *refusal)
{
    (void)locked(engine);
    *refusal = engine->refusal;
    (void)pthread_mutex_unlock(&engine->mutex);
}

void nw_engine_source_status(struct nw_engine *engine, struct nw_source_status *status)
{
    (void)locked(engine);
    *status = engine->published;
    (void)pthread_mutex_unlock(&engine->mutex);
}

int64_t nw_engine_memory_used(const struct nw_engine *engine)
{
    return atomic_load_explicit(&engine->budget.used_bytes, memory_order_relaxed);
}
