/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The acknowledger: the only one that says what the server may forget.
 *
 * flush_lsn = what every sink has durable, min over sinks of the position of their last durable
 * epoch, or what the spool has synced, whichever is more. It never moves back. It
 * is recorded and synced in narwal's own state before the source may tell the server. Runs on the
 * source's thread.
 */
#ifndef NW_PIPELINE_ACKNOWLEDGE_H
#define NW_PIPELINE_ACKNOWLEDGE_H

#include "ring/agent.h"
#include "ring/job.h"
#include "source/stream.h"

/** What is recorded before the server is told. */
struct nw_acknowledgement {
    uint64_t lsn;
    const char *why;
    struct nw_backlog_reached reached; /* where else the rest of it is */
};

struct nw_acknowledger_options {
    struct nw_source *source;
    struct nw_jobs *jobs;
    uint32_t sinks_count;
    struct nw_spsc *durable[16];     /* from each sequencer: see nw_durable_pop() */
    const struct nw_sink *sinks[16]; /* borrow: theirs; for nw_sink_held_lsn() */
    uint64_t flush_lsn;              /* known to be safe at the start */
    /** Record it for good, and why it is safe; on the service thread. `why` is static. */
    nw_status (*record)(void *context, const struct nw_acknowledgement *what, struct nw_error *err);
    void *context;
};

struct nw_acknowledger;
NW_MUST_CHECK nw_status nw_acknowledger_create(const struct nw_acknowledger_options *options,
                                               struct nw_acknowledger **acknowledger,
                                               struct nw_error *err);
void nw_acknowledger_destroy(struct nw_acknowledger *acknowledger); /* NULL is fine */
struct nw_agent nw_acknowledger_agent(struct nw_acknowledger *acknowledger);

/** Source's thread: whether every epoch that ended is durable everywhere, and recorded. */
bool nw_acknowledger_settled(const struct nw_acknowledger *acknowledger);
/** Source's thread: of each sink, everything committed before it is durable there; 0: not known. */
void nw_acknowledger_durable(const struct nw_acknowledger *acknowledger, uint64_t lsns[16]);
/** Source's thread: recorded and told to the source. */
uint64_t nw_acknowledger_flush_lsn(const struct nw_acknowledger *acknowledger);

#endif
