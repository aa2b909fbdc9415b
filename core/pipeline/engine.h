/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine: source, acknowledger, copy readers, lanes and sequencers with the rings between
 * them, for sinks that are open. It knows nothing of configuration or of how a server is reached.
 *
 * nw_engine_create ─► nw_engine_start (threads) or nw_engine_agents (stepped by the caller) ─►
 * nw_engine_stop ─► nw_engine_destroy
 */
#ifndef NW_PIPELINE_ENGINE_H
#define NW_PIPELINE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "io/env.h"
#include "io/plan.h"
#include "pipeline/acknowledge.h"
#include "ring/budget.h"
#include "sink/sink.h"
#include "source/copy.h"
#include "source/stream.h"

#define NW_ENGINE_AGENTS_MAX (4u + NW_PRODUCERS_MAX + NW_LANES_MAX + NW_SEQUENCERS_MAX)

struct nw_engine_options {
    struct nw_env *env;                       /* borrow, as all below */
    struct nw_sink *sinks[NW_SEQUENCERS_MAX]; /* open, every unfinished copy resolved */
    bool refuse_copies[NW_SEQUENCERS_MAX];    /* it has its copies */
    const struct nw_letter_store *letters[NW_SEQUENCERS_MAX]; /* NULL: of this sink none are kept */
    uint32_t sinks_count;
    uint32_t readers_count;       /* copy readers */
    uint64_t copy_bytes_a_second; /* all of them together; 0: no limit */
    /* Borrow, as all: lanes, and which thread runs what. Planned for as many sinks, and for as many
     * readers or more. */
    const struct nw_plan *plan;
    uint64_t memory_bytes;
    uint64_t spill_bytes;
    const char *spill_folder;
    struct nw_schemas *schemas;
    struct nw_identity identity;
    uint64_t flush_lsn;     /* already safe */
    struct nw_spool *spool; /* see nw_source_options; NULL: none */
    uint64_t spool_lsn;
    bool transactions; /* a sink wants begin and commit events */
    int64_t epoch_us_max;
    uint64_t epoch_bytes_max;
    /* See nw_source_options and nw_acknowledger_options. */
    nw_status (*connect)(void *context, uint64_t lsn, struct nw_walsender *walsender,
                         struct nw_error *err);
    void (*disconnect)(void *context, struct nw_walsender *walsender);
    nw_status (*describe)(void *context, uint32_t relation_oid, uint32_t xid,
                          const struct nw_table **described, struct nw_error *err);
    nw_status (*record)(void *context, const struct nw_acknowledgement *what, struct nw_error *err);
    bool (*wanted)(void *context, const struct nw_table *table);
    bool (*stopped)(void *context, const struct nw_table *table);
    bool (*waits)(void *context, const struct nw_table *table);
    /** Whether a copy of this table was asked for, so that it is not paused; NULL: of none. */
    bool (*copied)(void *context, const struct nw_table *table);
    uint64_t (*joins)(void *context, const struct nw_table *table);
    struct nw_table_policy (*policy)(void *context, const struct nw_table *table);
    nw_status (*stop)(void *context, const struct nw_dealer_stop *stop, struct nw_backlog **backlog,
                      struct nw_error *err);
    nw_status (*backlog_end)(void *context, struct nw_backlog *backlog, bool resumed,
                             struct nw_error *err);
    bool keeps; /* stop() can say where the changes of a table that stops are kept */
    uint64_t play_lsn;
    nw_status (*watch)(void *context, struct nw_look *look, struct nw_error *err);
    void (*committed)(void *context, const struct nw_dealer_committed *what);
    void (*epoch_ended)(void *context, uint64_t lsn);
    /** See nw_dealer_options; may be NULL. */
    nw_status (*project)(void *context, const struct nw_table *table,
                         const struct nw_projection **projection, struct nw_error *err);
    void *context;
};

struct nw_engine;
NW_MUST_CHECK nw_status nw_engine_create(const struct nw_engine_options *options,
                                         struct nw_engine **engine, struct nw_error *err);
/** After nw_engine_stop, and after the sinks were stopped. NULL is fine. */
void nw_engine_destroy(struct nw_engine *engine);

NW_MUST_CHECK nw_status nw_engine_start(struct nw_engine *engine, struct nw_error *err);
/** Join the threads; agents run no more. */
void nw_engine_stop(struct nw_engine *engine);
/** All agents, the service's too, for a caller that steps them. @return how many */
uint32_t nw_engine_agents(struct nw_engine *engine, struct nw_agent agents[NW_ENGINE_AGENTS_MAX]);

/** Drop what is older than a finished copy's fence, for one sink. Before it runs. */
NW_MUST_CHECK nw_status nw_engine_fence(struct nw_engine *engine, uint32_t sink,
                                        uint32_t relation_oid, uint64_t fence_lsn,
                                        struct nw_error *err);

/** Leave a table out at one sink, from where it stands on. Before it runs. */
NW_MUST_CHECK static inline nw_status nw_engine_leave_out(struct nw_engine *engine, uint32_t sink,
                                                          uint32_t relation_oid,
                                                          struct nw_error *err)
{
    return nw_engine_fence(engine, sink, relation_oid, UINT64_MAX, err);
}

/** The sequencer of a sink; it is the engine's once that runs. */
struct nw_sequencer *nw_engine_sequencer(struct nw_engine *engine, uint32_t sink);

/** A table was dropped; see nw_dealer_drop_recorded(). Before it runs. */
NW_MUST_CHECK nw_status nw_engine_dropped(struct nw_engine *engine, const struct nw_table *table,
                                          uint64_t lsn, struct nw_error *err);

/** A table whose changes are kept; see nw_source_backlog(). Give. Before it runs. */
void nw_engine_backlog(struct nw_engine *engine, struct nw_backlog *backlog, bool resumes);

/** A table whose changes are left out at every sink; see nw_dealer_lacks(). Before it runs. */
void nw_engine_lacks(struct nw_engine *engine, const struct nw_behind *lacks);
/** The first changes of a transaction are at the sinks; see nw_dealer_dealt(). Before it runs. */
void nw_engine_dealt(struct nw_engine *engine, uint64_t commit_lsn, uint64_t seq);
/** A table that some sinks refused and of which nothing is kept yet; see nw_dealer_apart(). Before
 * it runs. */
void nw_engine_apart(struct nw_engine *engine, const struct nw_apart *apart);

/* What the main thread may ask and tell while the engine runs. */

/** Stop a table and keep its changes; or deal what was kept of it. false: too many are asked for.
 */
bool nw_engine_pause(struct nw_engine *engine, uint32_t relation_oid);
bool nw_engine_resume(struct nw_engine *engine, uint32_t relation_oid);
/** What was kept of it is of no use any more: it is left out, as is recorded. */
bool nw_engine_forget(struct nw_engine *engine, uint32_t relation_oid);

/** Hand a reader its next chunk; false: its ring is full. */
bool nw_engine_copy(struct nw_engine *engine, uint32_t reader, struct nw_copy_task *task);
/** All readers together read no faster from now on; 0: no limit. */
void nw_engine_copy_rate(struct nw_engine *engine, uint64_t bytes_a_second);
/** Somebody waits for the lock of the chunk that this reader has. */
void nw_engine_copy_give_up(struct nw_engine *engine, uint32_t reader, struct nw_copy_task *task);
/** The next task that a reader finished, or NULL. */
struct nw_copy_task *nw_engine_copied(struct nw_engine *engine, uint32_t reader);
void nw_engine_copy_counts(const struct nw_engine *engine, uint64_t *rows, uint64_t *bytes);
void nw_engine_reader_counts(const struct nw_engine *engine, uint32_t reader, uint64_t *rows,
                             uint64_t *bytes);
/**
 * The version that rows of a copy have, from the registry, which is the source thread's; waits for
 * it. See nw_schemas_beside().
 * @param described  copied
 */
NW_MUST_CHECK nw_status nw_engine_register(struct nw_engine *engine,
                                           const struct nw_table *described,
                                           const struct nw_table **table, struct nw_error *err);
/** Tables that are to be copied while the stream goes on: see nw_dealer_join(). */
struct nw_engine_joins {
    const struct nw_dealer_join *tables; /* borrow, until they are dealt or the attempt ends */
    uint32_t count;
};
/** Deal their marks into the stream, and end epochs for rows of copies too. One at a time. */
void nw_engine_join(struct nw_engine *engine, const struct nw_engine_joins *joins);
/** Whether all of them are dealt, and others may be told. */
bool nw_engine_joined(const struct nw_engine *engine);
/** Ask again which tables are stopped: one is, by a command. */
void nw_engine_refresh(struct nw_engine *engine);
/** How far what is copied is; see nw_source_copies(). */
void nw_engine_copies(struct nw_engine *engine, enum nw_source_copies copies);
/** The copy is done: what was spooled is dealt. */
void nw_engine_release(struct nw_engine *engine);
/** The stream begins here; called once. */
void nw_engine_stream(struct nw_engine *engine, uint64_t lsn);
/** Receive no more, make durable what was received. */
void nw_engine_drain(struct nw_engine *engine);
/** Whether that is done and the server may be told. */
bool nw_engine_drained(const struct nw_engine *engine);

/** Why it failed; NW_OK: it runs. */
nw_status nw_engine_failure(struct nw_engine *engine, struct nw_error *err);
/** A table whose rows a sink refused, which made the engine fail with NW_REJECT. */
struct nw_engine_refusal {
    const struct nw_table *table; /* NULL: none was refused */
    uint32_t sink;
    uint64_t lsn; /* the sink has everything before it */
    struct nw_error error;
};
void nw_engine_refused(struct nw_engine *engine, struct nw_engine_refusal *refusal);
/** A copy of the source's numbers, at most 100 ms old while it runs. */
void nw_engine_source_status(struct nw_engine *engine, struct nw_source_status *status);
/** Of each sink: everything committed before it is durable there, as of now; at most 100 ms old. */
void nw_engine_durable(struct nw_engine *engine, uint64_t lsns[NW_SEQUENCERS_MAX]);
/** Somebody waits for that; see nw_source_hurry(). */
void nw_engine_hurry(struct nw_engine *engine, uint64_t lsn);
int64_t nw_engine_memory_used(const struct nw_engine *engine);
/** A thread of those that never block which has been in one pass for so long: a loop that does not
 * end. NULL: none. Plugins, SQL and synced writes have threads of their own, and may take long. */
const char *nw_engine_stuck(const struct nw_engine *engine, int64_t now_ns, int64_t longer_ns);

#endif
