/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What sinks asked for and is not done yet, in narwal's own state: whoever asks does not ask again
 * when narwal ends meanwhile. Any thread; what is written is synced on return.
 */
#ifndef NW_PIPELINE_WISHED_H
#define NW_PIPELINE_WISHED_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/state.h"

/** One of them, in the order of their numbers, from 1. @param later  see run_wishes.c. All borrow.
 */
typedef void (*nw_wished_fn)(void *context, int64_t number, const char *sink, const char *command,
                             bool later);

/** Read what is recorded. */
NW_MUST_CHECK nw_status nw_wished_read(struct nw_state *state, nw_wished_fn each, void *context,
                                       struct nw_error *err);
NW_MUST_CHECK nw_status nw_wished_add(struct nw_state *state, int64_t number, const char *sink,
                                      const char *command, bool later, struct nw_error *err);
NW_MUST_CHECK nw_status nw_wished_remove(struct nw_state *state, int64_t number,
                                         struct nw_error *err);

#endif
