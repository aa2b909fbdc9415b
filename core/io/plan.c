/* SPDX-License-Identifier: Apache-2.0 */
/* See plan.h. */
#include "io/plan.h"

#include <sched.h>
#include <stdarg.h>
#include <string.h>

#include "base/assert.h"
#include "base/text.h"

#define CORES_FOR_LANES 4u  /* from here lanes have threads of their own, and threads are pinned */
#define CORES_FOR_ALL   16u /* from here copy readers and sequencers have threads too */
#define LANES_AUTO_MAX  16u

/* ---- who runs where ---- */

NW_PRINTF(2, 3) static uint32_t thread_add(struct nw_plan *plan, const char *name, ...)
{
    struct nw_plan_thread *thread = &plan->threads[plan->threads_count];
    va_list args;

    NW_ASSERT(plan->threads_count < NW_PLAN_THREADS_MAX);
    *thread = (struct nw_plan_thread){.core = -1, .node = -1};
    va_start(args, name);
    (void)vsnprintf(thread->name, sizeof thread->name, name, args);
    va_end(args);
    return plan->threads_count++;
}

NW_PRINTF(3, 4)
static void agents_add(struct nw_plan *plan, uint32_t thread, const char *format, ...)
{
    char *text = plan->threads[thread].agents;
    size_t room = sizeof plan->threads[thread].agents;
    size_t used = strlen(text);
    va_list args;

    if (used > 0) {
        used += (size_t)snprintf(text + used, room - used, ", ");
    }
    va_start(args, format);
    if (used < room) {
        (void)vsnprintf(text + used, room - used, format, args);
    }
    va_end(args);
}

static void reason_set(struct nw_plan *plan, uint32_t thread, const char *reason)
{
    (void)snprintf(plan->threads[thread].reason, sizeof plan->threads[thread].reason, "%s", reason);
}

static void readers_share(struct nw_plan *plan, const struct nw_demand *demand)
{
    if (demand->readers_count > 0) {
        agents_add(plan, 0, "copy readers (%u)", demand->readers_count);
    }
}

/* On one thread: everything that does not block. */
static void share(struct nw_plan *plan, const struct nw_demand *demand)
{
    readers_share(plan, demand);
    agents_add(plan, 0, "lane");
    agents_add(plan, 0, "sequencers (%u)", demand->sinks_count);
    agents_add(plan, 0, "acknowledger, control");
    reason_set(plan, 0,
               "fewer than 4 cores: a hand-over to another thread costs more than it gains");
}

static void lanes_place(struct nw_plan *plan)
{
    for (uint32_t i = 0; i < plan->lanes_count; i++) {
        plan->lane_threads[i] = thread_add(plan, "lane-%u", i);
        agents_add(plan, plan->lane_threads[i], "lane %u", i);
        reason_set(plan, plan->lane_threads[i], "decoding is most of the work");
    }
}

static void readers_place(struct nw_plan *plan, const struct nw_demand *demand)
{
    for (uint32_t i = 0; i < demand->readers_count; i++) {
        plan->reader_threads[i] = thread_add(plan, "copy-%u", i);
        agents_add(plan, plan->reader_threads[i], "copy reader %u", i);
        reason_set(plan, plan->reader_threads[i], "one connection each; asleep after the copy");
    }
}

static void sequencers_place(struct nw_plan *plan, const struct nw_demand *demand)
{
    for (uint32_t i = 0; i < demand->sinks_count; i++) {
        plan->sequencer_threads[i] = thread_add(plan, "order-%.9s", demand->sinks[i].name);
        agents_add(plan, plan->sequencer_threads[i], "sequencer of %s", demand->sinks[i].name);
        reason_set(plan, plan->sequencer_threads[i], "order, spill and commits of one sink");
    }
}

static void spread(struct nw_plan *plan, const struct nw_demand *demand)
{
    if (plan->cores_count < CORES_FOR_ALL) {
        readers_share(plan, demand);
        agents_add(plan, 0, "sequencers (%u)", demand->sinks_count);
    }
    agents_add(plan, 0, "acknowledger, control");
    reason_set(plan, 0, "receives and hands on; reports to the server on time");
    lanes_place(plan);
    if (plan->cores_count >= CORES_FOR_ALL) {
        sequencers_place(plan, demand);
        readers_place(plan, demand);
    }
}

static void worker_place(struct nw_plan *plan, const struct nw_plan_sink *sink, uint32_t index)
{
    uint32_t thread = thread_add(plan, "sink-%.7s-%u", sink->name, index);

    plan->threads[thread].blocks = true;
    agents_add(plan, thread, "%s of %s",
               sink->workers_count == 1 ? "worker and coordinator" : "worker", sink->name);
    reason_set(plan, thread, "a plugin may block: never shared");
}

static void coordinator_place(struct nw_plan *plan, const struct nw_plan_sink *sink)
{
    uint32_t thread = thread_add(plan, "sink-%.7s", sink->name);

    plan->threads[thread].blocks = true;
    agents_add(plan, thread, "coordinator of %s", sink->name);
    reason_set(plan, thread, "commits block, and must not hold up writes");
}

static void blockers_place(struct nw_plan *plan, const struct nw_demand *demand)
{
    for (uint32_t s = 0; s < demand->sinks_count; s++) {
        const struct nw_plan_sink *sink = &demand->sinks[s];

        NW_ASSERT(sink->workers_count <= NW_PLAN_WORKERS_MAX);
        for (uint32_t i = 0; i < sink->workers_count; i++) {
            worker_place(plan, sink, i);
        }
        if (sink->workers_count > 1) {
            coordinator_place(plan, sink);
        }
    }
}

/* ---- pinning ---- */

static void pin_decide(struct nw_plan *plan, const struct nw_demand *demand)
{
    const struct nw_topology *topology = plan->topology;
    const char *reason = "this machine is ours: from 4 cores on, neither bound nor throttled";
    bool pinned = false;

    if (demand->never_pin) {
        reason = "the configuration says so";
    } else if (plan->cores_count < CORES_FOR_LANES) {
        reason = "fewer than 4 cores: the scheduler knows better";
    } else if (plan->cores_count > topology->cores_count) {
        reason = "planned for more cores than there are";
    } else if (topology->bound) {
        reason = "this process was bound to some cores by whoever started it";
    } else if (nw_topology_usable(topology) < topology->cores_count) {
        reason =
            "the control group gives less time than cores: a throttled pinned thread stalls all";
    } else {
        pinned = true;
    }
    plan->pinned = pinned;
    (void)snprintf(plan->pin_reason, sizeof plan->pin_reason, "%s", reason);
}

/* The node with most cores. */
static uint32_t node_choose(const struct nw_topology *topology)
{
    uint32_t counts[NW_NODES_MAX] = {0};
    uint32_t best = 0;

    for (uint32_t i = 0; i < topology->cores_count; i++) {
        counts[topology->cores[i].node]++;
    }
    for (uint32_t i = 1; i < NW_NODES_MAX; i++) {
        best = counts[i] > counts[best] ? i : best;
    }
    return best;
}

/* The next free core, of our node first. @return NULL when all are taken */
static const struct nw_core *core_take(const struct nw_topology *topology, uint32_t home,
                                       bool taken[NW_CORES_MAX])
{
    for (uint32_t pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < topology->cores_count; i++) {
            if (!taken[i] && (pass == 1 || topology->cores[i].node == home)) {
                taken[i] = true;
                return &topology->cores[i];
            }
        }
    }
    return NULL;
}

static void pin(struct nw_plan *plan)
{
    uint32_t home = node_choose(plan->topology);
    uint32_t left = plan->cores_count - 1; /* one stays free for what blocks */
    bool taken[NW_CORES_MAX] = {false};

    for (uint32_t i = 0; i < plan->engine_threads_count; i++) {
        struct nw_plan_thread *thread = &plan->threads[i];
        size_t used = strlen(thread->reason);
        const struct nw_core *core = NULL;

        if (thread->blocks || left == 0) {
            continue;
        }
        core = core_take(plan->topology, home, taken);
        if (core == NULL) {
            return;
        }
        left--;
        thread->core = core->number;
        thread->node = (int)core->node;
        if (plan->topology->nodes_count > 1) {
            (void)snprintf(thread->reason + used, sizeof thread->reason - used, "%s",
                           core->node == home ? "; its memory is local by first touch"
                                              : "; the source's node is full");
        }
    }
}

void nw_plan_make(const struct nw_topology *topology, const struct nw_demand *demand,
                  struct nw_plan *plan)
{
    uint32_t lanes = demand->lanes_count;

    NW_ASSERT(demand->sinks_count <= NW_PLAN_SINKS_MAX);
    NW_ASSERT(demand->readers_count <= NW_PLAN_READERS_MAX);
    memset(plan, 0, sizeof *plan);
    plan->topology = topology;
    plan->cores_count =
        demand->cores_count > 0 ? demand->cores_count : nw_topology_usable(topology);
    if (lanes == 0) {
        lanes = plan->cores_count / 2 > LANES_AUTO_MAX ? LANES_AUTO_MAX : plan->cores_count / 2;
    }
    plan->lanes_count = plan->cores_count < CORES_FOR_LANES ? 1
                        : lanes > NW_PLAN_LANES_MAX         ? NW_PLAN_LANES_MAX
                                                            : lanes;
    (void)thread_add(plan, "engine");
    agents_add(plan, 0, "source");
    if (plan->cores_count < CORES_FOR_LANES) {
        share(plan, demand);
    } else {
        spread(plan, demand);
    }
    plan->service_thread = thread_add(plan, "service");
    plan->threads[plan->service_thread].blocks = true;
    agents_add(plan, plan->service_thread, "SQL, connecting, synced state");
    reason_set(plan, plan->service_thread, "blocks: never shared");
    plan->engine_threads_count = plan->threads_count;
    blockers_place(plan, demand);
    pin_decide(plan, demand);
    if (plan->pinned) {
        pin(plan);
    }
}

/* ---- showing and applying ---- */

static void topology_print(const struct nw_topology *topology, FILE *out)
{
    char text[NW_NUMBER_TEXT_SIZE];

    (void)fprintf(out, "cores    %u", topology->cores_machine);
    if (topology->cores_count < topology->cores_machine) {
        (void)fprintf(out, ", of which this process may use %u", topology->cores_count);
    }
    (void)fprintf(out, "; %u NUMA node%s\n", topology->nodes_count,
                  topology->nodes_count == 1 ? "" : "s");
    if (topology->cpu_thousandths > 0) {
        (void)fprintf(out, "quota    the control group gives the time of %.1f cores\n",
                      (double)topology->cpu_thousandths / 1000);
    }
    if (topology->memory_bytes > 0) {
        (void)fprintf(out, "memory   %s", nw_size_text(text, (double)topology->memory_bytes));
        if (topology->memory_limit_bytes > 0) {
            (void)fprintf(out, ", of which the control group gives %s",
                          nw_size_text(text, (double)topology->memory_limit_bytes));
        }
        (void)fprintf(out, "\n");
    }
}

void nw_plan_print(const struct nw_plan *plan, FILE *out)
{
    topology_print(plan->topology, out);
    (void)fprintf(out, "plan     for %u core%s: %u lane%s, %u threads\n", plan->cores_count,
                  plan->cores_count == 1 ? "" : "s", plan->lanes_count,
                  plan->lanes_count == 1 ? "" : "s", plan->threads_count);
    (void)fprintf(out, "pinning  %s: %s\n\n", plan->pinned ? "on" : "off", plan->pin_reason);
    (void)fprintf(out, "%-15s %4s %4s  %s\n", "THREAD", "CORE", "NODE", "RUNS (WHY)");
    for (uint32_t i = 0; i < plan->threads_count; i++) {
        const struct nw_plan_thread *thread = &plan->threads[i];

        if (thread->core >= 0) {
            (void)fprintf(out, "%-15s %4d %4d", thread->name, thread->core, thread->node);
        } else {
            (void)fprintf(out, "%-15s %4s %4s", thread->name, "any", "any");
        }
        (void)fprintf(out, "  %s (%s)\n", thread->agents, thread->reason);
    }
}

void nw_plan_confine(const struct nw_plan *plan)
{
    cpu_set_t cores;

    CPU_ZERO(&cores);
    for (uint32_t i = 0; i < plan->topology->cores_count; i++) {
        CPU_SET((unsigned)plan->topology->cores[i].number, &cores);
    }
    for (uint32_t i = 0; i < plan->threads_count; i++) {
        if (plan->threads[i].core >= 0) {
            CPU_CLR((unsigned)plan->threads[i].core, &cores);
        }
    }
    if (plan->pinned && !plan->topology->synthetic && CPU_COUNT(&cores) > 0) {
        /* As with pinning itself: the plan says where, not whether. */
        (void)sched_setaffinity(0, sizeof cores, &cores);
    }
}
