/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sinks that are configured and get nothing, in narwal's own state: their positions hold nothing
 * back. One that is to come back stays recorded until it is with the others again. Main thread, or
 * a command while no narwal runs; what is written is synced on return.
 */
#ifndef NW_PIPELINE_DETACHED_H
#define NW_PIPELINE_DETACHED_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/state.h"

#define NW_DETACHED_MAX       64u /* more than can be configured: some are not any more */
#define NW_DETACHED_NAME_SIZE 64u

struct nw_detached_sink {
    char name[NW_DETACHED_NAME_SIZE];
    int64_t since_us; /* wall clock */
    uint64_t lsn;     /* all before it was durable there, as far as is known; 0 */
    bool attaches;    /* it is to come back, with copies of its tables */
    char reason[NW_ERROR_TEXT_SIZE];
};

struct nw_detached {
    struct nw_detached_sink sinks[NW_DETACHED_MAX];
    uint32_t count;
};

/** Read what is recorded. */
NW_MUST_CHECK nw_status nw_detached_read(struct nw_state *state, struct nw_detached *detached,
                                         struct nw_error *err);
/** NULL: it is attached. */
const struct nw_detached_sink *nw_detached_find(const struct nw_detached *detached,
                                                const char *name);
/** Record it, or change what is recorded of it. */
NW_MUST_CHECK nw_status nw_detached_set(struct nw_state *state, struct nw_detached *detached,
                                        const struct nw_detached_sink *sink, struct nw_error *err);
/** It is with the others again. */
NW_MUST_CHECK nw_status nw_detached_remove(struct nw_state *state, struct nw_detached *detached,
                                           const char *name, struct nw_error *err);

#endif
