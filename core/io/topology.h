/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine as far as this process may use it: its cores, their NUMA nodes, and the limits that
 * control groups set. Read once, before threads are started; constant afterwards.
 */
#ifndef NW_IO_TOPOLOGY_H
#define NW_IO_TOPOLOGY_H

#include <stdbool.h>
#include <stdint.h>

#include <narwal/status.h>

#define NW_CORES_MAX 1024u /* CPU_SETSIZE */
#define NW_NODES_MAX 64u

/** What the kernel calls a CPU: a core, or one of its hardware threads. */
struct nw_core {
    int number;       /* the kernel's */
    uint32_t node;    /* NUMA node, counted from 0 */
    uint32_t sibling; /* 0: the first hardware thread of its core, 1: the second ... */
};

struct nw_topology {
    uint32_t cores_count; /* that this process may use */
    uint32_t cores_machine;
    uint32_t nodes_count;
    bool bound;              /* someone bound this process to fewer cores than its group allows */
    bool synthetic;          /* described by a text, not this machine */
    int64_t cpu_thousandths; /* processor time that the control group leaves; 0: no limit */
    int64_t memory_bytes;    /* of the machine; 0: not known */
    int64_t memory_limit_bytes;         /* of the control group; 0: none */
    struct nw_core cores[NW_CORES_MAX]; /* by node, then by sibling, then by number */
};

/** This machine. @param topology  give. */
NW_MUST_CHECK nw_status nw_topology_read(struct nw_topology **topology, struct nw_error *err);
/**
 * A made-up machine.
 * @param description  hwloc's: "node:2 core:32 pu:1"
 * @param topology     give
 */
NW_MUST_CHECK nw_status nw_topology_synthetic(const char *description,
                                              struct nw_topology **topology, struct nw_error *err);
/** NULL is fine. */
void nw_topology_destroy(struct nw_topology *topology);

/** Cores whose time is ours: at most the quota, rounded down, but at least one. */
uint32_t nw_topology_usable(const struct nw_topology *topology);

#endif
