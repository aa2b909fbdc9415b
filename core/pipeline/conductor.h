/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conductor of the first copy: takes the snapshot, opens the readers' sessions, hands out
 * tables, largest first. Blocking; main thread.
 */
#ifndef NW_PIPELINE_CONDUCTOR_H
#define NW_PIPELINE_CONDUCTOR_H

#include "pipeline/engine.h"
#include "pipeline/server.h"

struct nw_conductor_options {
    struct nw_server *server; /* borrow */
    uint32_t workers_count;   /* readers, 1 .. NW_PRODUCERS_MAX - 1 */
    uint32_t generation;      /* of this copy */
    bool make_slot;           /* make the main slot, and use its snapshot */
    bool watch_slot;          /* the main slot is needed: end when it becomes unusable */
    int64_t lock_timeout_us;  /* how long a table's lock may be waited for */
    bool (*wanted)(void *context, const struct nw_table *table);
    void *context;
};

struct nw_conductor;

/**
 * Take the snapshot, register the tables as it sees them, open the readers' sessions.
 */
NW_MUST_CHECK nw_status nw_conductor_create(const struct nw_conductor_options *options,
                                            struct nw_conductor **conductor, struct nw_error *err);
/** After the engine with its readers was destroyed. NULL is fine. */
void nw_conductor_destroy(struct nw_conductor *conductor);

/** For nw_engine_options.readers. */
struct nw_stream *nw_conductor_stream(const struct nw_conductor *conductor, uint32_t reader);
uint64_t nw_conductor_fence_lsn(const struct nw_conductor *conductor);

/**
 * Hand out and take in what can be, without waiting.
 * @param finished  set when every table was read
 * @return NW_RETRY: the copy has to begin again as a new generation.
 */
NW_MUST_CHECK nw_status nw_conductor_step(struct nw_conductor *conductor, struct nw_engine *engine,
                                          bool *finished, struct nw_error *err);
/** All was read: end the snapshot and the sessions. */
void nw_conductor_release(struct nw_conductor *conductor);

/** For status. */
struct nw_conductor_progress {
    size_t tables, tables_done;
    uint64_t bytes; /* on the server's disk, of all tables */
};
void nw_conductor_progress(const struct nw_conductor *conductor,
                           struct nw_conductor_progress *progress);

#endif
