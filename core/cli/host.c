/* SPDX-License-Identifier: Apache-2.0 */
/* See host.h. */
#include "cli/host.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

uint64_t nw_host_free_bytes(const char *path)
{
    char at[PATH_MAX];
    struct statvfs status;

    if (path == NULL || snprintf(at, sizeof at, "%s", path) >= (int)sizeof at) {
        return UINT64_MAX;
    }
    while (statvfs(at, &status) != 0) {
        char *slash = strrchr(at, '/');

        if (slash == NULL || slash == at) {
            (void)snprintf(at, sizeof at, "%s", slash == NULL && strcmp(at, ".") != 0 ? "." : "/");
            return statvfs(at, &status) == 0 ? (uint64_t)status.f_bavail * status.f_frsize
                                             : UINT64_MAX;
        }
        *slash = '\0';
    }
    return (uint64_t)status.f_bavail * status.f_frsize;
}

uint32_t nw_host_cores(const struct nw_run_config *config)
{
    cpu_set_t cores;

    if (config->cpus > 0) {
        return (uint32_t)config->cpus;
    }
    return sched_getaffinity(0, sizeof cores, &cores) == 0 ? (uint32_t)CPU_COUNT(&cores) : 1;
}
