/* SPDX-License-Identifier: Apache-2.0 */
/* See topology.h. hwloc knows the machine; it leaves out what a cpuset of our group forbids. */
#include "io/topology.h"

#include <errno.h>
#include <hwloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/errno.h"
#include "io/cgroup.h"

static int cores_compare(const void *left, const void *right)
{
    const struct nw_core *a = left;
    const struct nw_core *b = right;

    if (a->node != b->node) {
        return a->node < b->node ? -1 : 1;
    }
    if (a->sibling != b->sibling) {
        return a->sibling < b->sibling ? -1 : 1;
    }
    return a->number < b->number ? -1 : a->number > b->number;
}

/* Which of our numbers a processing unit's memory has: nodes are counted as hwloc lists them. */
static uint32_t node_of(hwloc_topology_t machine, hwloc_obj_t unit)
{
    for (uint32_t i = 0; i < NW_NODES_MAX; i++) {
        hwloc_obj_t node = hwloc_get_obj_by_type(machine, HWLOC_OBJ_NUMANODE, i);

        if (node == NULL) {
            break;
        }
        if (hwloc_bitmap_isset(node->cpuset, unit->os_index)) {
            return i;
        }
    }
    return 0;
}

static uint32_t sibling_of(hwloc_topology_t machine, hwloc_obj_t unit)
{
    hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(machine, HWLOC_OBJ_CORE, unit);
    uint32_t sibling = 0;

    if (core == NULL) {
        return 0;
    }
    for (int other = hwloc_bitmap_first(core->cpuset);
         other >= 0 && (unsigned)other < unit->os_index;
         other = hwloc_bitmap_next(core->cpuset, other)) {
        sibling++;
    }
    return sibling;
}

/* @param ours  the cores that this thread is bound to; NULL: all */
static void cores_list(hwloc_topology_t machine, hwloc_const_bitmap_t ours,
                       struct nw_topology *topology)
{
    hwloc_obj_t unit = NULL;

    while ((unit = hwloc_get_next_obj_by_type(machine, HWLOC_OBJ_PU, unit)) != NULL) {
        topology->cores_machine++;
        if (ours != NULL && !hwloc_bitmap_isset(ours, unit->os_index)) {
            topology->bound = true;
        } else if (topology->cores_count < NW_CORES_MAX && unit->os_index < NW_CORES_MAX) {
            topology->cores[topology->cores_count++] =
                (struct nw_core){.number = (int)unit->os_index,
                                 .node = node_of(machine, unit),
                                 .sibling = sibling_of(machine, unit)};
        }
    }
    qsort(topology->cores, topology->cores_count, sizeof *topology->cores, cores_compare);
}

static nw_status machine_read(hwloc_topology_t machine, struct nw_topology *topology,
                              struct nw_error *err)
{
    hwloc_bitmap_t ours = NULL;
    int nodes = 0;

    if (hwloc_topology_load(machine) != 0) {
        return nw_fail(err, NW_FATAL, "NW2009 cannot read the machine's topology: %s",
                       nw_errno_text(errno));
    }
    if (!topology->synthetic) {
        ours = hwloc_bitmap_alloc();
        if (ours != NULL && hwloc_get_cpubind(machine, ours, HWLOC_CPUBIND_THREAD) != 0) {
            hwloc_bitmap_free(ours);
            ours = NULL;
        }
    }
    cores_list(machine, ours, topology);
    hwloc_bitmap_free(ours);
    nodes = hwloc_get_nbobjs_by_type(machine, HWLOC_OBJ_NUMANODE);
    topology->nodes_count = nodes > 1 ? (uint32_t)nodes : 1;
    if (!topology->synthetic) {
        topology->memory_bytes = (int64_t)hwloc_get_root_obj(machine)->total_memory;
    }
    return topology->cores_count > 0
               ? NW_OK
               : nw_fail(err, NW_FATAL,
                         "NW2009 this process may not run on any core that hwloc knows");
}

static nw_status topology_make(const char *description, struct nw_topology **topology,
                               struct nw_error *err)
{
    struct nw_topology *made = calloc(1, sizeof *made);
    hwloc_topology_t machine = NULL;
    nw_status status = NW_OK;

    if (made == NULL || hwloc_topology_init(&machine) != 0) {
        free(made);
        return nw_fail(err, NW_FATAL, "out of memory for the machine's topology");
    }
    made->synthetic = description != NULL;
    if (description != NULL && hwloc_topology_set_synthetic(machine, description) != 0) {
        status = nw_fail(err, NW_FATAL,
                         "NW1501 \"%s\" describes no machine; an example: node:2 core:4 pu:1",
                         description);
    } else {
        status = machine_read(machine, made, err);
    }
    hwloc_topology_destroy(machine);
    if (status != NW_OK) {
        free(made);
        return status;
    }
    *topology = made;
    return NW_OK;
}

nw_status nw_topology_read(struct nw_topology **topology, struct nw_error *err)
{
    nw_status status = topology_make(NULL, topology, err);

    if (status == NW_OK) {
        struct nw_cgroup_limits limits = nw_cgroup_read("/sys/fs/cgroup", "/proc/self/cgroup");

        (*topology)->cpu_thousandths = limits.cpu_thousandths;
        (*topology)->memory_limit_bytes =
            limits.memory_bytes < (*topology)->memory_bytes ? limits.memory_bytes : 0;
    }
    return status;
}

nw_status nw_topology_synthetic(const char *description, struct nw_topology **topology,
                                struct nw_error *err)
{
    return topology_make(description, topology, err);
}

void nw_topology_destroy(struct nw_topology *topology)
{
    free(topology);
}

uint32_t nw_topology_usable(const struct nw_topology *topology)
{
    int64_t quota = topology->cpu_thousandths / 1000;

    if (topology->cpu_thousandths == 0 || quota >= (int64_t)topology->cores_count) {
        return topology->cores_count;
    }
    return quota < 1 ? 1 : (uint32_t)quota;
}
