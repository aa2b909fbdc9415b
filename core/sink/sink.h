/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sink as the pipeline sees it: a plugin that was opened, the threads that call it, and the
 * sequencer that feeds them.
 *
 *   nw_plugin_load ─► nw_sink_create ─► nw_sink_start ─► nw_sink_open ─► nw_sink_resolve* ─►
 *   nw_sequencer_create ─► (step the agent of the sequencer) ─► nw_sink_stop ─► nw_sink_destroy
 *
 * Threads: the sink owns one thread for each worker, and one more for the coordinator when there
 * are several workers. In tests and in simulation nw_sink_start is not called; then nw_sink_open
 * and nw_sink_stop step the sink's agents themselves, and nw_sink_agents gives them to the caller
 * for the time between. The sequencer is one agent that never blocks; the pipeline places it.
 *
 * Positions: what a sink stores is the source's position in an envelope (core/sink/position.h) that
 * makes every commit unique. The pipeline sees only the source's own bytes.
 */
#ifndef NW_SINK_SINK_H
#define NW_SINK_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include "decode/item.h"
#include "decode/lane.h"
#include "io/env.h"
#include "ring/agent.h"
#include "ring/budget.h"
#include "ring/spsc.h"
#include "sink/plugin.h"
#include <narwal/sink.h>

#define NW_SINK_WORKERS_MAX 16u
#define NW_SINK_AGENTS_MAX  (NW_SINK_WORKERS_MAX + 1u)
/** Most bytes of a source's position; the rest of NW_POSITION_SIZE_MAX is the envelope. */
#define NW_SINK_POSITION_SIZE_MAX (NW_POSITION_SIZE_MAX - 32u)

struct nw_sink;
struct nw_sequencer;

struct nw_sink_options {
    struct nw_env *env;             /* borrow until destroyed */
    const struct nw_plugin *plugin; /* borrow until destroyed */
    const struct nw_config *config; /* borrow until destroyed: settings in the order of its table */
    uint32_t workers_count;         /* 1 .. min(plugin's workers_max, NW_SINK_WORKERS_MAX) */
    const char *database;           /* nw_host.database; borrow until destroyed; NULL: not known */
    /* nw_host.ask_all, with the sink's name; from any thread. NULL: nothing may be asked for */
    nw_status (*ask)(void *context, const char *sink, struct nw_request *request,
                     struct nw_error *err);
    /* nw_host.requests, with the sink's name; NULL: there are none */
    nw_status (*requests)(void *context, const char *sink, nw_request_fn each, void *each_context,
                          struct nw_error *err);
    /* nw_host.copies, with the sink's name; NULL: it is never known */
    nw_status (*copies)(void *context, const char *sink, const char *command, char *names,
                        size_t size, size_t *used);
    void *context;
    bool takes_over;     /* NW_HOST_TAKES_OVER */
    int64_t open_us_max; /* longest that nw_sink_open waits; 0: for ever */
    const int *cores;    /* to pin the threads to, agents_count of them; NULL: do not */
};

/** @param sink  give. Nothing of the plugin is called yet. */
NW_MUST_CHECK nw_status nw_sink_create(const struct nw_sink_options *options, struct nw_sink **sink,
                                       struct nw_error *err);
/** Whether the plugin takes the configuration: open() and close(), which touch nothing stored. On
 * the caller's thread. */
NW_MUST_CHECK nw_status nw_sink_try(const struct nw_sink_options *options, struct nw_error *err);
/** After nw_sink_stop; the sequencer was destroyed before. NULL is fine. */
void nw_sink_destroy(struct nw_sink *sink);

/** Start the sink's threads; they sleep until nw_sink_open. */
NW_MUST_CHECK nw_status nw_sink_start(struct nw_sink *sink, struct nw_error *err);
/** The agents, for a caller that steps them instead of nw_sink_start. @return how many. */
uint32_t nw_sink_agents(struct nw_sink *sink, struct nw_agent agents[NW_SINK_AGENTS_MAX]);

struct nw_behind;     /* core/source/position.h */
struct nw_letter_key; /* core/sink/letter.h, as the next line */
struct nw_letter_store;

/** What the sink had stored, without the envelope. Owned by the sink until nw_sink_destroy. */
struct nw_sink_recovered {
    uint32_t positions_count; /* 0: the sink is empty; 1; or one for each worker */
    struct nw_position positions[NW_SINK_WORKERS_MAX];
    uint32_t copies_count;
    const struct nw_copy_state *copies;
    uint64_t fencing;
    uint64_t ahead_lsn; /* as in nw_recovery */
};

/**
 * open() and recover(), on the sink's own thread; blocks the caller until they are done. NW_RETRY
 * is the caller's to try again (nw_sink_open may be called again), unless nw_sink_hangs().
 */
NW_MUST_CHECK nw_status nw_sink_open(struct nw_sink *sink, struct nw_sink_recovered *recovered,
                                     struct nw_error *err);
/**
 * The verdict for a copy that was not complete in nw_sink_recovered; blocks. Each must get one
 * before the sequencer is created. The sink is told the same again after later recovers.
 */
NW_MUST_CHECK nw_status nw_sink_resolve(struct nw_sink *sink, uint32_t relation_oid,
                                        uint32_t generation, enum nw_copy_verdict verdict,
                                        struct nw_error *err);
/** A table that is to be copied anew. */
struct nw_sink_recopy {
    const struct nw_table *table; /* as the sink is to see it */
    uint32_t generation;          /* higher than any that the sink had */
};
/**
 * Instead of a sequencer: commit another position, and with it that copies of these tables began,
 * of which nothing came, so that whoever goes on from there copies them. Blocks. What of copies the
 * sink had unfinished has its verdicts.
 * @return NW_RETRY when it did not happen or is not known to have: open the sink again and look.
 */
NW_MUST_CHECK nw_status nw_sink_move(struct nw_sink *sink, const struct nw_position *position,
                                     const struct nw_sink_recopy *copies, uint32_t copies_count,
                                     struct nw_error *err);
/**
 * The same with the positions that the sink has, in other bytes: the source calls itself otherwise,
 * and what it sends stays the same.
 * @param positions  as many as nw_sink_open() gave
 */
NW_MUST_CHECK nw_status nw_sink_restate(struct nw_sink *sink, const struct nw_position *positions,
                                        uint32_t positions_count, struct nw_error *err);
/**
 * Stop the threads and call close(); the sequencer's agent no longer runs.
 * @return NW_OK, or NW_RETRY when a plugin call did not return by the deadline (monotonic, of
 *         env). The sink must then be left alone, not destroyed, until the process ends.
 */
NW_MUST_CHECK nw_status nw_sink_stop(struct nw_sink *sink, int64_t deadline_ns,
                                     struct nw_error *err);

/** Whether nw_sink_open() or nw_sink_stop() gave up waiting for a call: the sink and all that it
 * was lent stay until the process ends, but for what nw_sequencer_destroy() can take from it. */
bool nw_sink_hangs(const struct nw_sink *sink);

/** How long the call has taken that is under way, the longest of its threads'; 0: none is. */
int64_t nw_sink_busy_ns(const struct nw_sink *sink, int64_t now_ns);

struct nw_sequencer_options {
    uint32_t lanes_count;
    uint32_t producers_count;
    struct nw_spsc *in[NW_LANES_MAX];          /* struct nw_item, from each lane */
    struct nw_spsc *item_return[NW_LANES_MAX]; /* struct nw_item, back to its lane */
    struct nw_bell *lane_bell[NW_LANES_MAX];
    struct nw_bell *bell; /* of the thread that runs the sequencer */
    struct nw_budget *budget;
    struct nw_spsc *durable; /* out: see nw_durable_pop; NULL: nobody listens */
    struct nw_bell *durable_bell;
    const char *spill_folder; /* this sink's own, emptied at start; NULL: no spill */
    uint64_t spill_quota_bytes;
    bool refuse_copies; /* this sink has its copies: what others still copy is not for it */
    uint32_t index;     /* of the sink, as marks in the stream name it */
    const struct nw_letter_store *letters; /* borrow; NULL: a row that is refused stops its table */
};

/** @param sequencer  give. The sink is open and every unfinished copy has its verdict. */
NW_MUST_CHECK nw_status nw_sequencer_create(struct nw_sink *sink,
                                            const struct nw_sequencer_options *options,
                                            struct nw_sequencer **sequencer, struct nw_error *err);
/**
 * Its agent no longer runs and the sink is stopped, or hangs: then what is in its calls stays, and
 * the sequencer's bell must stay too. Items it still holds go back to their lanes (or are
 * forgotten, when a plugin kept an exported array: a lane must not free those). NULL is fine.
 */
void nw_sequencer_destroy(struct nw_sequencer *sequencer);
/** The agent that steps it; it fails when the sink stops the run (NW_REJECT, NW_FATAL). */
struct nw_agent nw_sequencer_agent(struct nw_sequencer *sequencer);
/**
 * What the position of a sink's worker says of a table that is behind: rows that are dealt out of a
 * backlog are for the sink from there on, and its commits never say less. Before it runs.
 * @param worker  UINT32_MAX: the position is that of all
 */
NW_MUST_CHECK nw_status nw_sequencer_behind(struct nw_sequencer *sequencer, uint32_t worker,
                                            const struct nw_behind *behind, bool streams,
                                            struct nw_error *err);
/**
 * What comes of a table is kept for some sinks, which refused rows of it: for this one, so that it
 * is to get the table out of the backlog until a mark says otherwise, or for others, so that it is
 * to get nothing out of that. Before it runs.
 */
NW_MUST_CHECK nw_status nw_sequencer_apart(struct nw_sequencer *sequencer, uint32_t relation_oid,
                                           bool kept, struct nw_error *err);
/**
 * Drop rows and truncates of this table with commit_lsn < fence_lsn, as a finished copy of an
 * earlier run demands; UINT64_MAX: all of it, copies too. Before the agent runs; copies of this run
 * bring their fence along.
 */
NW_MUST_CHECK nw_status nw_sequencer_fence(struct nw_sequencer *sequencer, uint32_t relation_oid,
                                           uint64_t fence_lsn, struct nw_error *err);

/**
 * Go on with a copy that broke off in an earlier run, whose verdict was NW_COPY_RESUME: marks and
 * rows of this generation are taken as those of the former run were, and what is durable of it is
 * said again in every commit. Before the agent runs.
 */
NW_MUST_CHECK nw_status nw_sequencer_resume(struct nw_sequencer *sequencer, uint32_t relation_oid,
                                            uint32_t generation,
                                            const struct nw_copy_progress *durable,
                                            struct nw_error *err);

/**
 * The table whose rows the sink refused, which made the agent fail with NW_REJECT; NULL: none.
 * After it failed, on its thread or once that ended.
 * @param lsn  filled: the sink has everything of the table that committed before it.
 */
const struct nw_table *nw_sequencer_refused(const struct nw_sequencer *sequencer, uint64_t *lsn);

/**
 * A row of this sink is kept already as a dead letter: should it come, it is left out. Before the
 * agent runs; the options have a store.
 */
NW_MUST_CHECK nw_status nw_sequencer_letter(struct nw_sequencer *sequencer,
                                            const struct nw_letter_key *key, struct nw_error *err);

/** Before it runs: a former copy of the table broke off, and the sink keeps what it brought. All
 * that the stream has from there on is for it. */
NW_MUST_CHECK nw_status nw_sequencer_copied_from(struct nw_sequencer *sequencer,
                                                 uint32_t relation_oid, uint64_t lsn,
                                                 struct nw_error *err);
/** Consumer of nw_sequencer_options.durable: the next epoch that is durable, 0 when none. */
static inline uint64_t nw_durable_pop(struct nw_spsc *durable)
{
    return (uint64_t)(uintptr_t)nw_spsc_pop(durable);
}

enum nw_sink_state {
    NW_SINK_STATE_STARTING = 0,
    NW_SINK_STATE_RUNNING = 1,
    NW_SINK_STATE_RETRYING = 2, /* reason says why */
    NW_SINK_STATE_STOPPED = 3,  /* reason says why */
    NW_SINK_STATE_DETACHED = 4, /* the pipeline's: it is left out, and there is no sink */
};

/** For status and metrics. */
struct nw_sink_status {
    enum nw_sink_state state;
    uint32_t retries; /* recovers since the last durable epoch */
    uint64_t rows;    /* written, replays counted again */
    uint64_t batches;
    uint64_t commits;
    uint64_t copies;              /* tables whose copy is whole and durable here, in this run */
    uint64_t joins_begun;         /* tables whose changes wait, or waited, for a copy */
    uint64_t epoch_received;      /* last epoch that ended at the sequencer */
    uint64_t epoch_written;       /* last one that every worker sealed */
    uint64_t epoch_durable;       /* last one this process made durable; 0: none yet */
    int64_t oldest_undurable_ns;  /* received_ns of the oldest row not durable here; 0: none */
    int64_t oldest_commit_ts;     /* its commit time, on the server's clock; 0: none */
    uint64_t held_bytes;          /* items in memory, of all that are not durable */
    uint64_t spilled_bytes;       /* the same, in the spill file */
    uint64_t spilled_total_bytes; /* ever written to it */
    uint64_t waiting_rows;        /* changes and events that wait for the copies of their tables */
    uint64_t waiting_bytes;       /* of them, in memory and in the spill file */
    uint64_t letters;             /* rows that it refused and that were kept, since it was opened */
    char reason[NW_ERROR_TEXT_SIZE];
};
/**
 * From here on the sink lacks changes of some table, whatever its positions and durable epochs say:
 * they wait for a copy, and exist nowhere else. UINT64_MAX: of none. Read it behind the durable
 * epochs. Any thread.
 */
uint64_t nw_sink_held_lsn(const struct nw_sink *sink);

/** What of a table is not durable at a sink. */
struct nw_sink_lag {
    const struct nw_table *table; /* a version of it; lives as long as the source */
    uint32_t relation_oid;
    uint32_t batches;
    int64_t oldest_ns;        /* received_ns of its oldest change that is not durable */
    int64_t oldest_commit_ts; /* the same change's commit time, on the server's clock */
    uint64_t bytes;           /* as held by narwal, in memory or spilled */
};
/** Tables of one sink whose lag is kept; those that come after them are left out. */
#define NW_SINK_LAGS_MAX 1024u
/**
 * The tables that have changes which are not durable; at most half a second old. Any thread.
 * @param lags  lags_max of them, filled, in no order.
 * @return how many
 */
uint32_t nw_sink_lags(struct nw_sink *sink, struct nw_sink_lag *lags, uint32_t lags_max);

/** Rows of a table that became durable since the sink was opened. Any thread. */
uint64_t nw_sink_rows_durable(const struct nw_sink *sink, uint32_t relation_oid);
struct nw_figure_value; /* figures.h */
/** What the plugin says of itself. Any thread. @param values  NW_FIGURES_MAX. @return how many */
uint32_t nw_sink_figures(const struct nw_sink *sink, struct nw_figure_value *values);
/** Any thread. */
void nw_sink_status(struct nw_sink *sink, struct nw_sink_status *status);

/** What `narwal files verify` asks of a plugin. All borrowed. */
struct nw_sink_verification {
    struct nw_env *env;
    const struct nw_plugin *plugin;
    const char *path;
    void (*report)(void *context, const char *line);
    void *context;
};
/** Let a plugin check what it stored at a path; nothing is changed. */
NW_MUST_CHECK nw_status nw_sink_verify(const struct nw_sink_verification *verification,
                                       struct nw_error *err);

#endif
