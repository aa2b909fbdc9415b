/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What control groups leave us of the machine: processor time and memory, versions 1 and 2.
 * Formats: Linux, Documentation/admin-guide/cgroup-v2.rst (cpu.max, memory.max) and cgroup-v1 and
 * scheduler/sched-bwc.rst (cpu.cfs_quota_us, memory.limit_in_bytes). Pure but for reading files.
 */
#ifndef NW_IO_CGROUP_H
#define NW_IO_CGROUP_H

#include <stdint.h>

struct nw_cgroup_limits {
    int64_t cpu_thousandths; /* of a core's time; 0: no limit */
    int64_t memory_bytes;    /* 0: no limit */
};

/**
 * The narrowest limit of our group and of all groups above it. What cannot be read limits nothing.
 *
 * @param mount       where the hierarchies are: "/sys/fs/cgroup"
 * @param membership  which groups are ours: "/proc/self/cgroup"
 */
struct nw_cgroup_limits nw_cgroup_read(const char *mount, const char *membership);

#endif
