/* SPDX-License-Identifier: Apache-2.0 */
/* See cgroup.h. */
#include "io/cgroup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_SIZE        4096
#define MEMORY_UNLIMITED (INT64_C(1) << 60) /* version 1 says "none" by a huge number */

static void narrow(int64_t *limit, int64_t value)
{
    if (value > 0 && (*limit == 0 || value < *limit)) {
        *limit = value;
    }
}

/* @return false when the file is not there or has no first line */
static bool line_read(const char *folder, const char *name, char *line, size_t size)
{
    char path[PATH_SIZE + 64];
    FILE *file = NULL;
    bool read = false;

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "re");
    if (file != NULL) {
        read = fgets(line, (int)size, file) != NULL;
        (void)fclose(file);
    }
    return read;
}

/* @return -1 when the text does not begin with a whole number ("max", "-1") */
static int64_t number_of(const char *text, char **end)
{
    int64_t number = 0;

    errno = 0;
    number = strtoll(text, end, 10);
    return errno != 0 || *end == text || number < 0 ? -1 : number;
}

static int64_t thousandths(int64_t quota_us, int64_t period_us)
{
    return quota_us > 0 && period_us > 0 && quota_us < INT64_MAX / 1000
               ? (quota_us * 1000 + period_us - 1) / period_us
               : 0;
}

static void folder_read_v2(const char *folder, struct nw_cgroup_limits *limits)
{
    char line[128];
    char *end = NULL;

    if (line_read(folder, "cpu.max", line, sizeof line)) {
        int64_t quota_us = number_of(line, &end);

        narrow(&limits->cpu_thousandths, thousandths(quota_us, number_of(end, &end)));
    }
    if (line_read(folder, "memory.max", line, sizeof line)) {
        narrow(&limits->memory_bytes, number_of(line, &end));
    }
}

static void folder_read_v1(const char *folder, struct nw_cgroup_limits *limits)
{
    char quota[64];
    char period[64];
    char *end = NULL;

    if (line_read(folder, "cpu.cfs_quota_us", quota, sizeof quota) &&
        line_read(folder, "cpu.cfs_period_us", period, sizeof period)) {
        narrow(&limits->cpu_thousandths,
               thousandths(number_of(quota, &end), number_of(period, &end)));
    }
    if (line_read(folder, "memory.limit_in_bytes", quota, sizeof quota)) {
        int64_t bytes = number_of(quota, &end);

        narrow(&limits->memory_bytes, bytes < MEMORY_UNLIMITED ? bytes : 0);
    }
}

/* Our group and those above it. In a container ours may not be visible: then only those above. */
static void groups_read(const char *root, const char *group,
                        void (*folder_read)(const char *, struct nw_cgroup_limits *),
                        struct nw_cgroup_limits *limits)
{
    char path[PATH_SIZE];
    size_t root_size = strlen(root);
    size_t group_size = strlen(group);

    if (root_size >= sizeof path || group_size >= sizeof path - root_size) {
        return;
    }
    memcpy(path, root, root_size);
    memcpy(path + root_size, group, group_size + 1);
    for (;;) {
        char *slash = NULL;

        folder_read(path, limits);
        slash = strrchr(path + root_size, '/');
        if (slash == NULL) {
            return;
        }
        *slash = '\0';
    }
}

/* Whether a list as "cpu,cpuacct" has this controller. */
static bool has_controller(const char *list, const char *name)
{
    size_t size = strlen(name);

    for (const char *at = list; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, size) == 0 && (at[size] == ',' || at[size] == '\0')) {
            return true;
        }
    }
    return false;
}

/* A line of /proc/self/cgroup: "hierarchy:controllers:group". */
static void membership_read(const char *mount, char *line, struct nw_cgroup_limits *limits)
{
    char root[PATH_SIZE / 2];
    char *controllers = strchr(line, ':');
    char *group = controllers == NULL ? NULL : strchr(controllers + 1, ':');

    if (group == NULL) {
        return;
    }
    *controllers++ = '\0';
    *group++ = '\0';
    group[strcspn(group, "\n")] = '\0';
    if (controllers[0] == '\0') {
        groups_read(mount, group, folder_read_v2, limits);
        (void)snprintf(root, sizeof root, "%s/unified", mount);
        groups_read(root, group, folder_read_v2, limits);
    } else if (has_controller(controllers, "cpu") || has_controller(controllers, "memory")) {
        (void)snprintf(root, sizeof root, "%s/%s", mount, controllers);
        groups_read(root, group, folder_read_v1, limits);
    }
}

struct nw_cgroup_limits nw_cgroup_read(const char *mount, const char *membership)
{
    struct nw_cgroup_limits limits = {0};
    FILE *file = fopen(membership, "re");
    char line[PATH_SIZE];

    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        membership_read(mount, line, &limits);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return limits;
}
