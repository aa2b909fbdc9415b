/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads that call a plugin, and the tasks they are given.
 *
 * A worker calls table, copy_begin, copy_end, write, event and seal; the coordinator calls open,
 * recover, copy_resolve, commit, tick and close. A sink with one worker has both on one thread.
 * Each do_work makes at most one call into the plugin, which may block. Tasks come from the
 * sequencer over a ring and go back over another, in order, with their result.
 *
 * A task that the plugin answered with NW_AGAIN is held and tried again after a pause. After any
 * other failure the worker skips all tasks of the same round; the sequencer then counts the round
 * up, waits until every task is back, and recovers.
 */
#ifndef NW_SINK_WORKER_H
#define NW_SINK_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "sink/figures.h"
#include "sink/flow.h"
#include "sink/host.h"
#include "sink/letter.h"
#include "sink/position.h"
#include "sink/sink.h"

/** Tasks under way at a worker: the capacity of its rings. */
#define NW_SINK_TASKS 64u
/** How long a held task waits until it is tried again: doubling between these. */
#define NW_SINK_AGAIN_NS_MIN 200000
#define NW_SINK_AGAIN_NS_MAX 20000000
/** From one tick() to the next. */
#define NW_SINK_TICK_NS 100000000

struct nw_entry; /* core/sink/sequencer.h */

enum nw_task_kind {
    NW_TASK_TABLE = 1,
    NW_TASK_COPY_BEGIN,
    NW_TASK_COPY_END,
    NW_TASK_WRITE,
    NW_TASK_EVENT,
    NW_TASK_SEAL,
    /* The coordinator's. */
    NW_TASK_OPEN,
    NW_TASK_RECOVER,
    NW_TASK_RESOLVE,
    NW_TASK_COMMIT,
    NW_TASK_LETTERS, /* of the host's: before the commit */
    NW_TASK_CLOSE,
};

/** A call to make. Owned by whoever holds it: the sequencer, or the worker between the rings. */
struct nw_task {
    enum nw_task_kind kind;
    nw_status status;        /* filled: the plugin's answer */
    bool skipped;            /* filled: not called, its round is over */
    enum nw_outcome outcome; /* filled: COMMIT */
    uint64_t round;
    uint64_t epoch;
    const struct nw_table *table;   /* TABLE, COPY_BEGIN, COPY_END */
    uint32_t generation;            /* COPY_BEGIN, COPY_END, RESOLVE */
    uint32_t relation_oid;          /* RESOLVE */
    enum nw_copy_verdict verdict;   /* RESOLVE */
    struct nw_entry *entry;         /* WRITE, EVENT: whose it is; counts exported arrays */
    const struct nw_batch *batch;   /* WRITE: the item's */
    uint32_t first_row;             /* WRITE */
    uint32_t rows_count;            /* WRITE */
    struct nw_event event;          /* EVENT */
    const struct nw_table **tables; /* EVENT: the list inside event when it is our own; else NULL */
    struct nw_commit commit;        /* COMMIT */
    struct nw_letter_write letters; /* LETTERS, as the next line */
    const struct nw_letter_store *store;
    struct nw_recovery recovery; /* RECOVER: filled */
    struct nw_error error;       /* filled unless status is NW_OK */
};

struct nw_worker {
    struct nw_sink *sink;
    uint32_t index;
    char name[16];
    struct nw_bell *bell;
    struct nw_thread *thread;
    struct nw_spsc *tasks;      /* sequencer to worker; NULL: a coordinator only */
    struct nw_spsc *done;       /* worker to sequencer */
    struct nw_spsc *control;    /* to the coordinator; NULL: a worker only */
    struct nw_spsc *controlled; /* and back */
    uint64_t posted;            /* the sequencer's: tasks given and */
    uint64_t returned;          /* taken back */

    /* The worker thread's own. */
    struct nw_task *held;
    int64_t held_pause_ns;
    int64_t held_until_ns;
    struct nw_task *held_control;
    int64_t control_pause_ns;
    int64_t control_until_ns;
    int64_t tick_ns;       /* when tick() is due; 0: it is not called now */
    uint64_t failed_round; /* tasks of this round are skipped; 0: none */
    struct nw_batch batch; /* what the plugin sees in write(); its address finds the entry */
    struct nw_entry *writing;
};

/** The answer to a commit that was pending. */
struct nw_answer {
    bool set;
    uint64_t epoch;
    enum nw_outcome outcome;
    struct nw_error error;
};

/** A verdict that is told again after every recover. */
struct nw_verdict {
    uint32_t relation_oid;
    uint32_t generation;
    enum nw_copy_verdict verdict;
};

struct nw_sink {
    struct nw_env *env;
    const struct nw_plugin *plugin;
    const struct nw_config *config;
    uint32_t flags; /* NW_SINK_...: with this configuration */
    /* See the options. */
    nw_status (*ask)(void *context, const char *sink, struct nw_request *request,
                     struct nw_error *err);
    nw_status (*requests)(void *context, const char *sink, nw_request_fn each, void *each_context,
                          struct nw_error *err);
    nw_status (*copies_of)(void *context, const char *sink, const char *command, char *names,
                           size_t size, size_t *used);
    void *ask_context;
    struct nw_host host; /* context points back to this struct */
    struct nw_host_files files;
    void *self;   /* the plugin's; NULL: not open. The coordinator's */
    bool started; /* threads run */
    bool opened;
    uint32_t workers_count;
    uint32_t agents_count;
    int cores[NW_SINK_AGENTS_MAX];
    struct nw_worker workers[NW_SINK_AGENTS_MAX];
    struct nw_agent agents[NW_SINK_AGENTS_MAX];
    struct nw_worker *coordinator; /* workers[0], or the last one */
    struct nw_task control;        /* the one task of the coordinator that may be under way */
    bool control_out;              /* it is; the poster's */
    int64_t open_us_max;           /* 0: for ever */
    bool hangs;                    /* a call was given up waiting for */
    atomic_bool leaves;            /* it is to be closed; relaxed, calls that wait ask for it */
    _Atomic uint64_t round; /* written by the sequencer; tasks of former rounds are skipped */

    _Atomic(struct nw_bell *) sequencer_bell; /* NULL until there is a sequencer */

    pthread_mutex_t lock; /* guards answer, reason, state, retries, lags */
    struct nw_answer answer;
    enum nw_sink_state state;
    uint32_t retries;
    struct nw_sink_lag lags[NW_SINK_LAGS_MAX];
    uint32_t lags_count;
    char reason[NW_ERROR_TEXT_SIZE];

    /* What is durable, as envelopes: one, or one for each worker. The sequencer's after open. */
    bool position_per_worker; /* recover() gave one for each worker */
    bool position_given;      /* recover() gave any, since the sink was opened */
    uint64_t opening;         /* random */
    uint64_t commits;         /* counts envelopes */
    struct nw_envelope durable[NW_SINK_WORKERS_MAX];
    uint64_t durable_lsn[NW_SINK_WORKERS_MAX]; /* as recovered at open: rows before are there */
    struct nw_copy_state *copies;              /* as recovered at open, own memory */
    uint32_t copies_count;
    struct nw_verdict *verdicts;
    uint32_t verdicts_count, verdicts_capacity;

    /* Counters for status; relaxed. */
    _Atomic uint64_t rows, batches, commits_done, copies_done, joins_begun;
    _Atomic uint64_t epoch_received, epoch_written, epoch_durable;
    _Atomic int64_t oldest_undurable_ns, oldest_commit_ts;
    _Atomic uint64_t held_bytes, spilled_bytes, spilled_total_bytes;
    _Atomic uint64_t waiting_rows, waiting_bytes;
    _Atomic uint64_t held_lsn; /* see nw_sink_held_lsn() */
    _Atomic uint64_t letters_written;
    struct nw_flow flow;
    struct nw_figures figures; /* the plugin's own */
};

/** The worker of a table: Fibonacci hashing; it is the same in every run. */
static inline uint32_t nw_sink_shard(const struct nw_sink *sink, uint32_t relation_oid)
{
    return (uint32_t)(((uint64_t)relation_oid * 11400714819323198485u) >> 32) % sink->workers_count;
}

/** The agent of one worker or coordinator. */
struct nw_agent nw_worker_agent(struct nw_worker *worker);
/** What the agent does: at most one call into the plugin. */
nw_status nw_worker_step(struct nw_worker *worker, int64_t now_ns, uint32_t *work);

/** Remember a verdict, or change it. */
NW_MUST_CHECK nw_status nw_sink_verdict_keep(struct nw_sink *sink, uint32_t relation_oid,
                                             uint32_t generation, enum nw_copy_verdict verdict,
                                             struct nw_error *err);
/** NULL: none was given. */
const struct nw_verdict *nw_sink_verdict_find(const struct nw_sink *sink, uint32_t relation_oid,
                                              uint32_t generation);
/** Hand the control task to the coordinator. Its former run is back. */
void nw_sink_control_post(struct nw_sink *sink, enum nw_task_kind kind);
/** @return the control task when it has come back just now, else NULL. */
struct nw_task *nw_sink_control_take(struct nw_sink *sink);
/** Hand a task to a worker; its ring has room for as many as there are tasks. */
void nw_worker_post(struct nw_worker *worker, struct nw_task *task);
/** @return the next task that came back, NULL when none. */
struct nw_task *nw_worker_take(struct nw_worker *worker);
/** Look at what recover() returned: bounds only. */
NW_MUST_CHECK nw_status nw_sink_recovery_check(const struct nw_sink *sink,
                                               const struct nw_recovery *recovery,
                                               struct nw_error *err);
/** Change the state that status shows. reason may be NULL. */
void nw_sink_state_set(struct nw_sink *sink, enum nw_sink_state state, const char *reason);

#endif
