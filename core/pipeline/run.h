/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run: from a resolved configuration to a pipeline that copies, streams, and stops in order.
 *
 * An attempt starts from what the sinks and the server say, as after a crash, and goes on until it
 * is stopped or something fails; after an outside fault the next attempt follows with backoff.
 * Blocking; on the main thread.
 */
#ifndef NW_PIPELINE_RUN_H
#define NW_PIPELINE_RUN_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "io/env.h"
#include "io/plan.h"
#include "pipeline/alarms.h"
#include "pipeline/detached.h"
#include "pipeline/letters.h"
#include "pipeline/policies.h"
#include "pipeline/primary.h"
#include "pipeline/server.h"
#include "pipeline/table_list.h"
#include "pipeline/tables.h"
#include "pipeline/where.h"
#include "sink/sink.h"
#include "transform/transform.h"

/** What becomes of a table that newly matches. */
enum nw_new_tables { NW_NEW_TABLES_COPY, NW_NEW_TABLES_IGNORE, NW_NEW_TABLES_STOP };

enum nw_snapshot_mode { NW_SNAPSHOT_INITIAL, NW_SNAPSHOT_NEVER, NW_SNAPSHOT_ONLY };

/** A sink of the configuration, its plugin loaded and its options resolved. */
struct nw_run_sink {
    const char *name;
    const struct nw_plugin *plugin;
    const struct nw_config *config;
    uint32_t workers_count;
    bool dead_letters;           /* rows that it refuses are kept; false: their table stops */
    uint64_t dead_letters_bytes; /* quota */
    uint32_t dead_letter_rows;   /* most within one commit */
    bool detaches;               /* left out when it takes nothing for so long while others go on */
    int64_t stalled_after_us;
};

struct nw_run_status;

/**
 * What to run. All borrowed until nw_run() returns; until the process ends, when *left_running says
 * that a plugin is still in a call then.
 */
struct nw_run_options {
    const char *name;
    const char *teardown; /* the command that removes what a run leaves behind */
    const char *state_folder;
    const char *spill_folder;
    const char *spool_folder;
    uint64_t spool_bytes;        /* quota */
    uint64_t backlog_bytes;      /* quota of each table that is paused or stopped */
    uint64_t retained_wal_bytes; /* most that the slot may hold back; 0: no limit */
    bool drop_slot;              /* when it holds back more; false: only warn */
    int64_t snapshot_age_us;     /* oldest that a copy's snapshot should become; 0: no limit */
    bool renew_snapshot;         /* past it the copy goes on under a new one; false: only warn */
    bool ack_spool;              /* what is spooled is acknowledged while the copy runs */
    const char *heartbeat;       /* a statement that is run while changes are streamed; NULL */
    int64_t heartbeat_us;        /* how often */
    struct nw_env *env;
    struct nw_server_options server;
    enum nw_snapshot_mode snapshot;
    enum nw_new_tables new_tables;
    uint32_t copy_workers;
    uint64_t copy_chunk_bytes; /* 0: chosen */
    uint64_t copy_rate_bytes;  /* a second, all workers together; 0: no limit */
    int64_t lock_timeout_us;
    struct nw_copy_wheres copy_where; /* which rows first copies have */
    struct nw_policies policies;      /* what changes of tables mean */
    const struct nw_transform_rules *transforms;
    struct nw_run_sink sinks[NW_SEQUENCERS_MAX];
    uint32_t sinks_count;
    const struct nw_plan *plan; /* which thread runs what, for these sinks and copy workers */
    uint64_t memory_bytes;
    uint64_t spill_bytes;
    int64_t epoch_us_max;
    uint64_t epoch_bytes_max;
    int64_t drain_us;   /* how long a stop may take */
    bool standby;       /* wait until the slot's owner is gone, and take its place */
    int64_t standby_us; /* for how long it has to be */
    /** Called about twice a second on the main thread while it runs. */
    void (*tick)(void *context, const struct nw_run_status *status);
    /**
     * What of each sink is durable: everything committed before this LSN. On the main thread, when
     * it changes. What is kept of tables that are paused, stopped or copied does not count.
     */
    void (*durable)(void *context, const uint64_t *lsns);
    /** The highest LSN that somebody waits for to be so; 0: none. */
    uint64_t (*wanted)(void *context);
    /** Whether other options are to hold: the attempt ends in order, and the next begins with those
     * that renew() has filled in. NULL: never. */
    bool (*renews)(void *context);
    void (*renew)(void *context);
    bool until_now;     /* run until what is committed at its start is durable at every sink; */
    uint64_t until_lsn; /* or what is committed before this; 0: until it is stopped */
    /** Called now and then on the main thread while it and the engine's threads go on, also while
     * it waits for the server: not called for long, something hangs for good. NULL: nobody asks. */
    void (*alive)(void *context);
    int64_t stuck_ns; /* a thread whose pass takes longer hangs */
    /** A command's line that waits for its answer, or NULL; the same until it is answered. */
    const char *(*asked)(void *context);
    /** Answer it. @param well  it is done, or will be */
    void (*answer)(void *context, bool well, const char *text);
    void *context;
    const volatile sig_atomic_t *stop; /* set by a signal handler: drain and end */
    bool *left_running;                /* filled; see above */
};

enum nw_run_phase {
    NW_RUN_STARTING,
    NW_RUN_COPYING,
    NW_RUN_STREAMING,
    NW_RUN_DRAINING,
    NW_RUN_PAUSED,  /* by a user: nothing is received, and the slot holds WAL */
    NW_RUN_STANDBY, /* another narwal has the slot: nothing of the sinks is open */
};

/** Everything that status, the live line and metrics show. */
struct nw_run_status {
    const struct nw_run_options *options;
    enum nw_run_phase phase;
    int64_t now_ns;
    int64_t wall_us;       /* our clock */
    int64_t server_now_us; /* the server's wall clock, as far as we know it */
    int64_t started_ns;
    struct nw_identity identity;
    int server_version;
    const char *database, *host;
    uint64_t copy_rows, copy_bytes;
    uint64_t copy_tables, copy_tables_done;
    uint64_t copy_chunks, copy_chunks_done;
    uint64_t copy_total_bytes; /* on the server's disk */
    uint64_t copy_done_bytes;  /* of that, read */
    struct nw_primary primary; /* what is held back there, when it was last looked at */
    struct nw_alarm alarms[NW_ALARMS_COUNT];
    uint64_t copy_rows_again;  /* rows that were read in vain, of tables that began again */
    uint64_t copy_chunks_kept; /* durable from a former run: of them what changed since is read */
    uint64_t copy_rows_reread; /* of those */
    struct nw_source_status source;
    const struct nw_detached *detached;             /* valid during tick() */
    struct nw_sink_status sinks[NW_SEQUENCERS_MAX]; /* as they are configured */
    struct nw_sink *members[NW_SEQUENCERS_MAX];     /* for nw_sink_lags(); NULL: not open */
    struct nw_tables *tables;         /* that do not go on as the others; valid during tick() */
    const struct nw_table_list *list; /* all of them; valid during tick() */
    bool copies;                      /* something is copied, or is about to be */
    bool copy_paused;                 /* by a user */
    double copy_rows_a_second, copy_bytes_a_second;
    char copy_waits_for[NW_ERROR_TEXT_SIZE]; /* why nothing of it is read now; "" */
    char standby_for[NW_ERROR_TEXT_SIZE];    /* what a standby sees of the slot's owner; "" */
    int64_t standby_seen_ns;                 /* when it did */
    struct nw_letters_tally letters;         /* dead letters, of all sinks that ever were */
    int64_t memory_used;
    uint32_t attempts;
    struct nw_error last_error;
};

/** @return NW_OK after an ordered stop (or a finished `only`), else why it ended. */
NW_MUST_CHECK nw_status nw_run(const struct nw_run_options *options, struct nw_error *err);

#endif
