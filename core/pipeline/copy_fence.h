/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fences: the snapshot of a slot, and the LSN at which it was taken. A transaction that committed
 * before it is in what the snapshot sees; one that commits at or after it is streamed.
 *
 * The main slot's own when narwal makes that slot, a temporary slot's later. The temporary slot
 * goes at once, so that it holds back no WAL: a session of its own imports the snapshot and exports
 * it again, and keeps it as long as the fence lives.
 *
 * PostgreSQL documentation, "Streaming Replication Protocol", CREATE_REPLICATION_SLOT;
 * "System Administration Functions", pg_export_snapshot.
 */
#ifndef NW_PIPELINE_COPY_FENCE_H
#define NW_PIPELINE_COPY_FENCE_H

#include <pthread.h>
#include <stdatomic.h>

#include "pipeline/server.h"

#define NW_SNAPSHOT_SIZE 64u

struct nw_copy_fence {
    uint64_t lsn;
    char snapshot[NW_SNAPSHOT_SIZE]; /* for SET TRANSACTION SNAPSHOT */
    char *text;                      /* what pg_current_snapshot() says under it; own memory */
    uint64_t xmin;                   /* of it: all transactions below had ended */
    uint64_t next_xid;               /* about: what it sees is below */
    struct nw_session *holder;       /* its transaction sees the snapshot and keeps it alive */
};

void nw_copy_fence_end(struct nw_copy_fence *fence); /* an empty one is fine */
/** Begin a transaction of a plain session that sees an exported snapshot. */
NW_MUST_CHECK nw_status nw_copy_snapshot_enter(struct nw_session *session, const char *snapshot,
                                               struct nw_error *err);

/**
 * A fence that is made by a thread of its own, while its owner goes on: that takes as long as
 * transactions run that began before, or until connection->stopping() of the server's options.
 */
struct nw_copy_fencer {
    const struct nw_server *server;
    bool make_slot; /* the main slot, else a temporary one */
    bool started;
    atomic_bool stop; /* only a flag: nothing is handed over by it */
    pthread_t thread;
    atomic_int backend_pid; /* of the session that waits; 0: none does. Only a number */
    atomic_bool done;       /* released by the thread: what follows is filled */
    nw_status status;
    struct nw_copy_fence fence;
    struct nw_error error;
};

NW_MUST_CHECK nw_status nw_copy_fencer_start(struct nw_copy_fencer *fencer,
                                             const struct nw_server *server, bool make_slot,
                                             struct nw_error *err);
/** NW_AGAIN: not yet. NW_OK: the fence is the caller's. Another status: why there is none. */
NW_MUST_CHECK nw_status nw_copy_fencer_take(struct nw_copy_fencer *fencer,
                                            struct nw_copy_fence *fence, struct nw_error *err);
/** Tells the thread to stop and waits for it, about 100 ms; not started is fine. */
void nw_copy_fencer_end(struct nw_copy_fencer *fencer);

#endif
