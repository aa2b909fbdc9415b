/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Agents: what a stage is, and the loop that runs them.
 *
 * An agent is stepped by do_work(), which never blocks and says how much it did. Several agents may
 * share a thread; one that blocks (a plugin, SQL) has a thread of its own. In tests and in
 * simulation one thread steps all agents in an order of its choice.
 */
#ifndef NW_RING_AGENT_H
#define NW_RING_AGENT_H

#include <stdint.h>

#include <narwal/status.h>

/** What an idle agent waits for beside its doorbell. */
struct nw_wait {
    int descriptor;      /* to poll; -1: none */
    short events;        /* POLLIN | POLLOUT */
    int64_t deadline_ns; /* monotonic; INT64_MAX: none. The thread wakes no later than this */
};

struct nw_agent {
    const char *name;
    void *self;
    nw_status (*on_start)(void *self, struct nw_error *err); /* on its thread; may be NULL */
    /**
     * Do what can be done now.
     * @param work  added to: how much was done; 0 lets the thread sleep.
     * @return NW_OK, or an error that ends the run.
     */
    nw_status (*do_work)(void *self, int64_t now_ns, uint32_t *work, struct nw_error *err);
    void (*wait)(void *self, int64_t now_ns, struct nw_wait *wait); /* NULL: doorbell only */
    void (*on_close)(void *self);                                   /* on its thread; may be NULL */
};

/**
 * A doorbell wakes the thread that sleeps on it. Whoever pushes to a ring rings the bell of the
 * consumer's thread afterwards; a bell costs one locked instruction while that thread is awake.
 */
struct nw_bell;
NW_MUST_CHECK nw_status nw_bell_create(struct nw_bell **bell, struct nw_error *err);
void nw_bell_destroy(struct nw_bell *bell);
/** Any thread; after what it is rung for was pushed. NULL is fine. */
void nw_bell_ring(struct nw_bell *bell);

/** A thread that runs agents until it is stopped or one of them fails. */
struct nw_thread;
struct nw_thread_options {
    const char *name;        /* at most 15 bytes */
    struct nw_agent *agents; /* borrow until joined */
    uint32_t agents_count;
    struct nw_bell *bell;           /* borrow */
    int core;                       /* to pin to; -1: do not */
    int64_t (*now_ns)(void *clock); /* monotonic */
    void *clock;
    void (*failed)(void *context, const struct nw_agent *agent, const struct nw_error *err);
    void *context;
};
NW_MUST_CHECK nw_status nw_thread_start(const struct nw_thread_options *options,
                                        struct nw_thread **thread, struct nw_error *err);
/** How long the pass under way has taken by now; 0: it sleeps, which no agent can get stuck in. */
int64_t nw_thread_busy_ns(const struct nw_thread *thread, int64_t now_ns);
void nw_thread_stop(struct nw_thread *thread);    /* ask; returns at once */
void nw_thread_destroy(struct nw_thread *thread); /* join and free; NULL is fine */

#endif
