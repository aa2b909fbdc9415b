/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Applications before copies: a look at who waits behind the locks of our copy sessions. Main
 * thread.
 */
#ifndef NW_PIPELINE_COPY_WATCH_H
#define NW_PIPELINE_COPY_WATCH_H

#include "pg/session.h"

#define NW_COPY_WATCHED_MAX 32u

/**
 * Cancel the statements of those sessions for whose lock on a table somebody waits: DDL, which
 * whoever comes next would queue behind.
 * @param pids       backends of ours that copy; 0: none
 * @param cancelled  filled: bit i is set when pids[i] was told to stop
 */
NW_MUST_CHECK nw_status nw_copy_watch(struct nw_session *session, const int *pids,
                                      uint32_t pids_count, uint32_t *cancelled,
                                      struct nw_error *err);

/** Cancel the statements of those sessions. */
NW_MUST_CHECK nw_status nw_copy_cancel(struct nw_session *session, const int *pids,
                                       uint32_t pids_count, struct nw_error *err);

#define NW_COPY_HOLDER_SIZE 192u

/**
 * Who holds the lock that the copy of a table waits for: "process 123 (psql)"; "": that cannot be
 * learned, or nobody does any more.
 * @param session  NULL is fine
 */
void nw_copy_lock_holder(struct nw_session *session, uint32_t oid,
                         char holder[static NW_COPY_HOLDER_SIZE]);
/**
 * Whose transaction a backend waits for, for the longest time: "process 123 (psql), in a
 * transaction for 2 min"; "": it waits for none.
 * @param session  NULL is fine
 */
void nw_copy_blocker(struct nw_session *session, int backend_pid,
                     char blocker[static NW_COPY_HOLDER_SIZE]);

#endif
