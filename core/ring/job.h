/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs: work that blocks (SQL, connecting, a synced write), handed by agents that must not block to
 * a service thread. One client thread, one service thread; jobs run in the order of submission.
 */
#ifndef NW_RING_JOB_H
#define NW_RING_JOB_H

#include <stdbool.h>

#include "ring/agent.h"
#include "ring/spsc.h"

#define NW_JOBS_MAX 256u /* under way at a time: two of each spool, and some */

/** A job; part of the client's own struct. `run` finds that struct by its context. */
struct nw_job {
    nw_status (*run)(void *context, struct nw_error *err); /* on the service thread */
    void *context;
    nw_status status; /* valid once done */
    struct nw_error error;
    bool pending; /* client's: submitted and not yet collected */
};

struct nw_jobs;

/** @param client_bell  rung when a job is done; borrow */
NW_MUST_CHECK nw_status nw_jobs_create(struct nw_bell *service_bell, struct nw_bell *client_bell,
                                       struct nw_jobs **jobs, struct nw_error *err);
void nw_jobs_destroy(struct nw_jobs *jobs); /* NULL is fine */

/** The agent of the service thread. */
struct nw_agent nw_jobs_agent(struct nw_jobs *jobs);

/** Client only. The job must not be pending. */
void nw_jobs_submit(struct nw_jobs *jobs, struct nw_job *job);
/** Client only: clear `pending` of the jobs that are done. @return how many */
unsigned nw_jobs_collect(struct nw_jobs *jobs);

#endif
