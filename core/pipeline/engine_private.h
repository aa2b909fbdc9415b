/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's state, shared by engine.c (building, threads) and engine_control.c. Not for others.
 */
#ifndef NW_PIPELINE_ENGINE_PRIVATE_H
#define NW_PIPELINE_ENGINE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "pipeline/engine.h"

#define NW_ENGINE_COMMANDS 8u  /* on their way to the control agent */
#define NW_ENGINE_WISHES   64u /* the same, about tables that are to be paused or resumed */

enum nw_engine_command_kind {
    COMMAND_STREAM = 1,
    COMMAND_COPIES,
    COMMAND_JOIN,
    COMMAND_REFRESH,
    COMMAND_RELEASE,
    COMMAND_DRAIN,
    COMMAND_REGISTER
};

/* Asked and answered: the main thread waits for it. */
struct nw_engine_registration {
    const struct nw_table *described;
    const struct nw_table *table;
    nw_status status;
    struct nw_error error;
    atomic_bool done; /* released by the source's thread */
};

struct nw_engine_command {
    enum nw_engine_command_kind kind;
    uint64_t lsn;
    enum nw_source_copies copies;
    struct nw_engine_joins joins;
};

struct nw_engine_reader {
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
    struct nw_engine_reader readers[NW_PRODUCERS_MAX - 1];
    struct nw_lane *lanes[NW_LANES_MAX];
    struct nw_sequencer *sequencers[NW_SEQUENCERS_MAX];
    char *txn_folder;
    char *spill_folders[NW_SEQUENCERS_MAX];

    struct nw_spsc *commands; /* main to control */
    struct nw_engine_command command_slots[NW_ENGINE_COMMANDS];
    uint32_t commands_sent;
    struct nw_engine_registration registration; /* one at a time */
    bool draining;                              /* control's, as the next two */
    struct nw_engine_joins joins;
    uint32_t joins_dealt;
    bool joins_open;             /* the control agent's: not all of them are dealt */
    atomic_bool joins_pending;   /* set by the main thread, cleared when all are dealt */
    atomic_bool refresh_pending; /* the same; one that waits is as good as two */
    _Atomic uint64_t hurry_lsn;  /* the main thread's wish, relaxed */
    int64_t published_ns;        /* control's */

    atomic_uint wishes_count; /* of those below, for the control agent to look at */

    pthread_mutex_t mutex; /* guards all below */
    struct nw_engine_wish {
        uint32_t relation_oid;
        enum nw_engine_wish_kind { WISH_PAUSE, WISH_RESUME, WISH_FORGET } kind;
    } wishes[NW_ENGINE_WISHES];
    struct nw_source_status published;
    uint64_t durable_lsns[NW_SEQUENCERS_MAX];
    bool drained;
    struct nw_error failure; /* of the first agent that failed */
    struct nw_engine_refusal refusal;

    struct nw_agent agents[NW_ENGINE_AGENTS_MAX]; /* thread by thread */
    uint32_t agents_count;
    uint32_t first_agents[NW_PLAN_ENGINE_THREADS_MAX + 1]; /* where each thread's begin */
    struct nw_thread *threads[NW_PLAN_ENGINE_THREADS_MAX];
    const struct nw_plan_thread *planned[NW_PLAN_ENGINE_THREADS_MAX]; /* of those */
    uint32_t threads_count;
};

static inline struct nw_bell *nw_engine_source_bell(const struct nw_engine *engine)
{
    return engine->bells[0];
}

static inline struct nw_bell *nw_engine_reader_bell(const struct nw_engine *engine, uint32_t reader)
{
    return engine->bells[engine->options.plan->reader_threads[reader]];
}

/* engine_control.c */

/** The agent that does on the source's thread what the main thread asks for. */
struct nw_agent nw_engine_control(struct nw_engine *engine);
/** See nw_thread_options.failed; context is the engine. */
void nw_engine_agent_failed(void *context, const struct nw_agent *agent,
                            const struct nw_error *err);

#endif
