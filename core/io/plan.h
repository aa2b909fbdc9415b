/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan: which agents run on which thread, on which core, and why. Made once from the topology
 * and from what is to run; constant afterwards.
 *
 * - What blocks (plugins, SQL, synced writes) has threads of its own, on one core too: the source,
 *   acknowledging and serving never wait behind it.
 * - On 1 to 3 cores all that does not block shares one thread. From 4 cores lanes have threads of
 *   their own, from 16 copy readers and sequencers too.
 * - Threads that do not block are pinned where the machine is ours; all on one NUMA node while it
 *   has room. Memory follows by first touch. Threads that block are not pinned: threads that
 *   a plugin starts would inherit it. They are kept off the pinned cores (nw_plan_confine).
 */
#ifndef NW_IO_PLAN_H
#define NW_IO_PLAN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "io/topology.h"

#define NW_PLAN_SINKS_MAX   16u
#define NW_PLAN_WORKERS_MAX 16u
#define NW_PLAN_READERS_MAX 32u
#define NW_PLAN_LANES_MAX   64u
/** Engine, service, readers, lanes, sequencers; then sinks' workers and coordinators. */
#define NW_PLAN_ENGINE_THREADS_MAX                                                                 \
    (2u + NW_PLAN_READERS_MAX + NW_PLAN_LANES_MAX + NW_PLAN_SINKS_MAX)
#define NW_PLAN_THREADS_MAX                                                                        \
    (NW_PLAN_ENGINE_THREADS_MAX + NW_PLAN_SINKS_MAX * (NW_PLAN_WORKERS_MAX + 1u))

/** What is to run. */
struct nw_plan_sink {
    const char *name;
    uint32_t workers_count;
};
struct nw_demand {
    struct nw_plan_sink sinks[NW_PLAN_SINKS_MAX];
    uint32_t sinks_count;
    uint32_t readers_count; /* tables copied side by side */
    uint32_t lanes_count;   /* 0: the plan decides */
    uint32_t cores_count;   /* to plan for; 0: all that the topology leaves */
    bool never_pin;
};

struct nw_plan_thread {
    char name[16];
    char agents[96];
    bool blocks;
    int core; /* to pin to; -1: do not */
    int node; /* of that core; -1: any */
    char reason[96];
};

struct nw_plan {
    const struct nw_topology *topology; /* borrow */
    uint32_t cores_count;               /* planned for */
    uint32_t lanes_count;
    bool pinned;
    char pin_reason[128]; /* why, or why not */

    /* Where agents are: indexes of threads[]. The source, the acknowledger and control are on 0. */
    uint32_t service_thread;
    uint32_t reader_threads[NW_PLAN_READERS_MAX];
    uint32_t lane_threads[NW_PLAN_LANES_MAX];
    uint32_t sequencer_threads[NW_PLAN_SINKS_MAX];

    uint32_t engine_threads_count; /* the first of threads[]; those after are the sinks' own */
    uint32_t threads_count;
    struct nw_plan_thread threads[NW_PLAN_THREADS_MAX];
};

/** @param plan  filled; large: not for the stack. The topology must outlive it. */
void nw_plan_make(const struct nw_topology *topology, const struct nw_demand *demand,
                  struct nw_plan *plan);
void nw_plan_print(const struct nw_plan *plan, FILE *out);
/**
 * Keep the calling thread, and all it starts, off the cores that are pinned; those that pin
 * themselves leave again. Does nothing when nothing is pinned or no core would be left.
 */
void nw_plan_confine(const struct nw_plan *plan);

#endif
