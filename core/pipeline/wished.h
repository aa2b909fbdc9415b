/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What sinks asked for and is not done yet, in narwal's own state: whoever asks does not ask again
 * when narwal ends meanwhile. And by which keys they asked of late, so that what comes again is
 * known. Any thread; what is written is synced on return.
 */
#ifndef NW_PIPELINE_WISHED_H
#define NW_PIPELINE_WISHED_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/state.h"
#include <narwal/sink.h>

/** One of them, in the order of their numbers, from 1. @param later  see run_wishes.c. All borrow.
 */
typedef void (*nw_wished_fn)(void *context, int64_t number, const char *sink, const char *command,
                             bool later);

/** Read what is recorded. @param last  filled: the highest number that was ever given */
NW_MUST_CHECK nw_status nw_wished_read(struct nw_state *state, nw_wished_fn each, void *context,
                                       int64_t *last, struct nw_error *err);
NW_MUST_CHECK nw_status nw_wished_add(struct nw_state *state, int64_t number, const char *sink,
                                      const char *command, bool later, struct nw_error *err);
/**
 * All that a sink asks for at once, or nothing of it, in one write.
 * @param first    the number of its first command; those of the others follow
 * @param request  `again` is filled: if true nothing was written
 */
NW_MUST_CHECK nw_status nw_wished_ask(struct nw_state *state, int64_t first, const char *sink,
                                      struct nw_request *request, struct nw_error *err);
NW_MUST_CHECK nw_status nw_wished_remove(struct nw_state *state, int64_t number,
                                         struct nw_error *err);
/** Remove all, but for the keys. */
NW_MUST_CHECK nw_status nw_wished_clear(struct nw_state *state, struct nw_error *err);

/** By which key and with which note one was asked for. */
struct nw_wished_name {
    char key[NW_REQUEST_TEXT_SIZE]; /* "": by none */
    char note[NW_REQUEST_TEXT_SIZE];
};
NW_MUST_CHECK nw_status nw_wished_name(struct nw_state *state, int64_t number, const char *sink,
                                       struct nw_wished_name *name, struct nw_error *err);

#endif
