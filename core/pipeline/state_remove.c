/* SPDX-License-Identifier: Apache-2.0 */
/* See state_remove.h. nftw() has no context, so what it gathers is this file's, of one thread. */
#include "pipeline/state_remove.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/errno.h"

#define OPEN_FOLDERS_MAX 16

static struct nw_state_size *counted; /* NULL: files are removed */
static bool backlogs;                 /* the walk is in that folder */
static int failure;                   /* errno of the first that stays */
static char failed_path[PATH_MAX];

static bool ends_with(const char *name, const char *end)
{
    size_t size = strlen(name);
    size_t end_size = strlen(end);

    return size >= end_size && strcmp(name + size - end_size, end) == 0;
}

/* Names that core/source/spool, core/sink/spill and core/txn give their files. */
static bool is_ours(const char *name)
{
    return ends_with(name, ".spool") || ends_with(name, ".spill") ||
           strncmp(name, "txn-", 4) == 0 || strcmp(name, "begin.tmp") == 0;
}

static void file_count(const char *name, uint64_t bytes)
{
    counted->files++;
    counted->bytes += bytes;
    if (ends_with(name, ".spool")) {
        *(backlogs ? &counted->backlog_bytes : &counted->spool_bytes) += bytes;
    }
}

static void failed(const char *path)
{
    if (failure == 0 && errno != ENOENT) {
        failure = errno;
        (void)snprintf(failed_path, sizeof failed_path, "%s", path);
    }
}

static int entry(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    const char *name = path + place->base;

    if (kind == FTW_F && is_ours(name)) {
        if (counted != NULL) {
            file_count(name, (uint64_t)status->st_size);
        } else if (unlink(path) != 0) {
            failed(path);
        }
    } else if (kind == FTW_DP && counted == NULL && rmdir(path) != 0 && errno != ENOTEMPTY &&
               errno != EEXIST) {
        failed(path);
    } else if (kind == FTW_DNR) {
        errno = EACCES;
        failed(path);
    }
    return 0;
}

static void walk(const char *folder)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): commands have one thread */
    (void)nftw(folder, entry, OPEN_FOLDERS_MAX, FTW_DEPTH | FTW_PHYS);
}

static void backlogs_walk(const struct nw_state_folders *folders)
{
    char path[PATH_MAX];

    (void)snprintf(path, sizeof path, "%s/backlogs", folders->state);
    backlogs = true;
    walk(path);
    backlogs = false;
}

/* The lock goes last: until then nobody else can have the folder. */
static const char *const NAMES[] = {"control.sock",
                                    "recent.0",
                                    "recent.1",
                                    "dead-letters.db-wal",
                                    "dead-letters.db-shm",
                                    "dead-letters.db",
                                    "state.db-wal",
                                    "state.db-shm",
                                    "state.db",
                                    "lock"};

static void names_walk(const char *folder)
{
    char path[PATH_MAX + 16];
    struct stat status;

    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, NAMES[i]);
        if (counted != NULL && lstat(path, &status) == 0) {
            counted->files++;
            counted->bytes += (uint64_t)status.st_size;
        } else if (counted == NULL && unlink(path) != 0) {
            failed(path);
        }
    }
}

void nw_state_measure(const struct nw_state_folders *folders, struct nw_state_size *size)
{
    *size = (struct nw_state_size){0};
    counted = size;
    walk(folders->spool);
    walk(folders->spill);
    backlogs_walk(folders);
    names_walk(folders->state);
    counted = NULL;
}

nw_status nw_state_remove(const struct nw_state_folders *folders, struct nw_error *err)
{
    failure = 0;
    walk(folders->spool);
    walk(folders->spill);
    backlogs_walk(folders);
    names_walk(folders->state);
    if (failure == 0 && rmdir(folders->state) != 0 && errno == ENOTEMPTY) {
        return nw_fail(err, NW_FATAL,
                       "NW2509 folder %s has something in it that is not narwal's, and stays",
                       folders->state);
    }
    return failure == 0 ? NW_OK
                        : nw_fail(err, NW_FATAL, "NW2501 cannot remove %s: %s", failed_path,
                                  nw_errno_text(failure));
}
