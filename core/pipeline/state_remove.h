/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a state folder: for `narwal teardown`. Only what narwal itself writes is removed, by
 * name, so that a folder that was shared with something else keeps that. Blocking; one thread.
 */
#ifndef NW_PIPELINE_STATE_REMOVE_H
#define NW_PIPELINE_STATE_REMOVE_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/state.h"

/** Where narwal's own files are. Borrowed. */
struct nw_state_folders {
    const char *state, *spool, *spill;
};

/** What is there. */
struct nw_state_size {
    uint64_t files;
    uint64_t spool_bytes;   /* changes that may be nowhere else */
    uint64_t backlog_bytes; /* likewise */
    uint64_t bytes;         /* of all */
};

/** Count narwal's own files. */
void nw_state_measure(const struct nw_state_folders *folders, struct nw_state_size *size);

/**
 * Remove them, and the folders that are empty then. The caller holds the lock.
 * @return NW_FATAL with the first file that could not be removed; the others are gone all the same.
 */
NW_MUST_CHECK nw_status nw_state_remove(const struct nw_state_folders *folders,
                                        struct nw_error *err);

#endif
