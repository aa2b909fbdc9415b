/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stream source: an agent that follows a logical slot.
 *
 * It receives pgoutput from a walsender, keeps streamed transactions until they commit, feeds the
 * dealer, decides where epochs end, and sends feedback on time whatever the sinks do. When the
 * connection breaks it reconnects with backoff; the dealer drops what was dealt before.
 *
 * Connecting and catalog reads block, so they run as jobs on the service thread, through the
 * functions in the options: that is also where a model takes the server's place.
 */
#ifndef NW_SOURCE_STREAM_H
#define NW_SOURCE_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "pg/stream.h"
#include "ring/agent.h"
#include "ring/job.h"
#include "source/backlog.h"
#include "source/dealer.h"
#include "source/spool.h"
#include "txn/txns.h"

/** An open walsender connection, START_REPLICATION answered: only CopyData messages follow. */
struct nw_walsender {
    struct nw_receiver *receiver;
    struct nw_transmitter *transmitter;
    bool binary;    /* values are asked for in binary */
    void *context;  /* the connector's own */
    bool text_only; /* set by the source before it connects: values must not come in binary */
};

/** What the catalog is asked, and what it says. */
struct nw_look {
    const struct nw_table *const *tables; /* all that are known */
    uint32_t count;
    const struct nw_table **dropped; /* room for as many; filled: those that sinks are told of */
    uint32_t dropped_count;
    uint64_t dropped_lsn; /* they were dropped in front of it */
};

struct nw_source_options {
    struct nw_env *env;
    struct nw_jobs *jobs;
    struct nw_dealer *dealer;
    struct nw_schemas *schemas;
    struct nw_txns *txns;
    /**
     * Borrow; NULL: none. From the start on what is received is recorded here, and dealt from here
     * after nw_source_release(), until the one has caught up with the other; then it goes.
     */
    struct nw_spool *spool;
    uint64_t spool_lsn; /* everything committed from here on is in the spool, or will be */
    /**
     * Connect, look at the slot and the server's identity, and start from lsn. On the service
     * thread. NW_RETRY: try again later; NW_FATAL: the slot or the server is not what it was.
     */
    nw_status (*connect)(void *context, uint64_t lsn, struct nw_walsender *walsender,
                         struct nw_error *err);
    /** Close it. On the service thread. */
    void (*disconnect)(void *context, struct nw_walsender *walsender);
    /**
     * Read one table from the catalog. On the service thread. *described stays valid until the
     * next call; NULL: there is none.
     * @param xid  what is read should be what this transaction left, or later; 0: it does not
     * matter
     * @return NW_AGAIN: *described is what can be seen, which is without that transaction. A commit
     * is sent before others see it.
     */
    nw_status (*describe)(void *context, uint32_t relation_oid, uint32_t xid,
                          const struct nw_table **described, struct nw_error *err);
    /**
     * Record for good that a table stops. On the service thread, before any epoch ends that lacks
     * rows of it. NULL: there is nothing to record.
     * @param backlog  give: where what comes of it is kept, if stop->keeps; NULL: that is left out
     */
    nw_status (*stop)(void *context, const struct nw_dealer_stop *stop, struct nw_backlog **backlog,
                      struct nw_error *err);
    /**
     * A backlog is not needed any more: remove it. On the service thread.
     * @param resumed  all of it is durable at every sink, else it was given up
     */
    nw_status (*backlog_end)(void *context, struct nw_backlog *backlog, bool resumed,
                             struct nw_error *err);
    /**
     * Look in the catalog for what the stream does not say: dropped tables, partitions that come
     * and go. On the service thread, every ten seconds while it streams. NULL: nobody looks.
     */
    nw_status (*watch)(void *context, struct nw_look *look, struct nw_error *err);
    /** An epoch ended at this LSN, which is in the position that sinks get. NULL: nobody asks. */
    void (*epoch_ended)(void *context, uint64_t lsn);
    void *context;
    int64_t epoch_us_max; /* under load an epoch ends after this */
    uint64_t epoch_bytes_max;
    int64_t status_us;      /* feedback at least this often */
    int64_t idle_us;        /* an idle database: an empty epoch at most this often */
    uint64_t row_bytes_max; /* a larger row is not received whole; 0: every one is */
    uint64_t play_lsn;      /* nothing that was kept is dealt before: some sink was as far */
};

struct nw_source;
NW_MUST_CHECK nw_status nw_source_create(const struct nw_source_options *options,
                                         struct nw_source **source, struct nw_error *err);
/** Its agent and that of its jobs no longer run; the connection is closed here. NULL is fine. */
void nw_source_destroy(struct nw_source *source);
struct nw_agent nw_source_agent(struct nw_source *source);

/* All below: on the source's thread, or before its agent runs. */

/** Follow the slot from here on; before this only epochs of the copy are cut. */
void nw_source_start(struct nw_source *source, uint64_t lsn);
/** How far the copies are whose rows come beside the stream; epochs end for them too. */
enum nw_source_copies {
    NW_COPIES_NONE = 0,
    NW_COPIES_RUNNING,
    NW_COPIES_READ, /* all was read: what is not durable of it yet is not to wait for more */
};
/** Before nw_source_start(), or nw_source_release() with a spool, they run. */
void nw_source_copies(struct nw_source *source, enum nw_source_copies copies);
/** A table that was passed over is followed again: the server may have to send text for it. */
void nw_source_joined(struct nw_source *source);
/** The copy is done: deal what the spool has. Without a spool nothing. */
void nw_source_release(struct nw_source *source);
/**
 * Somebody waits for everything before lsn to be durable: an epoch ends as soon as the server says
 * that there is nothing more before it, also when it has no rows; the server is asked for that.
 */
void nw_source_hurry(struct nw_source *source, uint64_t lsn);
/** Receive no more than the transaction under way; end the epoch, so that all that was received
 * becomes durable. */
void nw_source_drain(struct nw_source *source, int64_t now_ns);
/** Whether all that was received is in an ended epoch (after nw_source_drain), or a transaction
 * does not come to its end, so that it and what is in its epoch are received again. */
bool nw_source_drained(const struct nw_source *source, int64_t now_ns);

/** A table whose changes are kept since before. Give. Before its agent runs. */
void nw_source_backlog(struct nw_source *source, struct nw_backlog *backlog, bool resumes);
/** What was kept of a table is dealt, and it goes on. */
void nw_source_resume(struct nw_source *source, uint32_t relation_oid);
/** Nothing from here on may be acknowledged: it is not durable where it is kept. */
uint64_t nw_source_limit_lsn(const struct nw_source *source);
/** How far what is kept is durable: to be recorded before anything is acknowledged. */
void nw_source_reached(const struct nw_source *source, struct nw_backlog_reached *reached);

/** Everything of this epoch and committed before lsn is durable at every sink: the spool may forget
 * it. */
void nw_source_durable(struct nw_source *source, uint64_t epoch, uint64_t lsn);
/** Everything committed before it is durable in the spool; 0: there is none. */
uint64_t nw_source_spooled_lsn(const struct nw_source *source);
/** The acknowledger's word: may be told to the server from now on. Never moves back. */
void nw_source_acknowledge(struct nw_source *source, uint64_t flush_lsn);
/** Whether some sink has nothing left to commit: then an epoch ends as soon as it can. */
void nw_source_ready(struct nw_source *source, bool ready);

/** An epoch that ended, in order; false: none since the last call. */
bool nw_source_ended(struct nw_source *source, uint64_t *epoch, uint64_t *lsn);

enum nw_source_phase {
    NW_SOURCE_COPYING,    /* nw_source_start() was not called yet */
    NW_SOURCE_CONNECTING, /* a job is under way */
    NW_SOURCE_STREAMING,
    NW_SOURCE_WAITING, /* backs off before the next try */
};

/** What becomes of the spool. */
enum nw_source_spooling {
    NW_SPOOLING_NONE,
    NW_SPOOLING_RECORDING, /* the copy runs */
    NW_SPOOLING_READING,   /* what was recorded is dealt, and more is recorded */
    NW_SPOOLING_READ,      /* the stream is live; it goes once the sinks have what was in it */
};

/** What is kept of a table. */
struct nw_backlog_status {
    uint32_t relation_oid;
    uint64_t changes; /* kept by this process */
    uint64_t bytes;
};

/** For status. */
struct nw_source_status {
    enum nw_source_phase phase;
    int64_t taken_ns;        /* when its thread took these numbers, monotonic; 0: not yet */
    uint64_t received_lsn;   /* of the last message */
    uint64_t server_lsn;     /* the server's WAL end, as it last said */
    int64_t server_ahead_us; /* the server's clock minus ours, as its last message had it */
    uint64_t flush_lsn;      /* told to the server */
    uint64_t reconnects;
    uint32_t streamed; /* transactions in progress that are kept here */
    uint64_t spilled_bytes;
    enum nw_source_spooling spooling;
    struct nw_spool_status spool;
    char spool_blocked[NW_ERROR_TEXT_SIZE]; /* why it is NW_SPOOL_BLOCKED, or "" */
    uint32_t backlogs_count;
    struct nw_backlog_status backlogs[NW_BEHIND_MAX];
    struct nw_dealer_state dealer;
    struct nw_error last_error;
};
void nw_source_status(const struct nw_source *source, struct nw_source_status *status);

#endif
