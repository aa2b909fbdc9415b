/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streamed transactions: changes of transactions still in progress, kept per top-level xid until
 * they commit or abort.
 *
 * Small ones stay in memory; what outgrows a chunk, or the memory that all share, goes to a scratch
 * file of its own. The files are never acknowledged and never read by another process: after a
 * restart the server sends it all again. Messages keep their place (Relation and Type messages
 * too), so replaying a committed transaction looks like receiving it whole.
 *
 * Owned by the stream source's thread. No call blocks: writes and reads are under way in the I/O
 * queue, and NW_AGAIN asks to come back. NW_RETRY is a failed disk: what is stored is not whole
 * any more; reset, and receive again from the server.
 */
#ifndef NW_TXN_TXNS_H
#define NW_TXN_TXNS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cursor.h"
#include "io/env.h"
#include <narwal/status.h>

/* All transactions together hold so much in memory; only one message that is larger passes it. */
#define NW_TXNS_MEMORY_BYTES_MAX (16u << 20)

struct nw_txns;

struct nw_txns_options {
    struct nw_env *env;
    const char *folder;   /* scratch; made, and emptied, at create. Borrow */
    uint64_t quota_bytes; /* most that all files together may hold */
};

/** A message to store: its type, and what follows (without the xid that streams put between). */
struct nw_txn_change {
    uint32_t subxid;
    uint8_t type;
    uint64_t lsn;
    struct nw_bytes rest; /* borrow */
};

/** A message read back: type and rest in one. Borrowed until the next call. */
struct nw_txn_record {
    uint32_t subxid;
    uint64_t lsn;
    struct nw_bytes message;
};

/* The files need `env` to be used by the calling thread alone for its I/O queue. */
NW_MUST_CHECK nw_status nw_txns_create(const struct nw_txns_options *options, struct nw_txns **txns,
                                       struct nw_error *err);
void nw_txns_destroy(struct nw_txns *txns); /* NULL is fine */

/** Forget everything: the connection is gone, and the server will send it again. */
void nw_txns_reset(struct nw_txns *txns);

/** Store one message of a transaction, which is opened by its first. */
NW_MUST_CHECK nw_status nw_txns_append(struct nw_txns *txns, uint32_t xid,
                                       const struct nw_txn_change *change, struct nw_error *err);
/**
 * Subtransaction subxid is undone; with subxid == xid all of it. A transaction that is not known is
 * ignored: servers send aborts of what they never sent.
 */
NW_MUST_CHECK nw_status nw_txns_abort(struct nw_txns *txns, uint32_t xid, uint32_t subxid,
                                      struct nw_error *err);

/** Start to read a transaction back, without what was undone. One at a time. */
NW_MUST_CHECK nw_status nw_txns_open(struct nw_txns *txns, uint32_t xid, struct nw_error *err);
/** The next message; *end is set, and the transaction is freed, after the last. */
NW_MUST_CHECK nw_status nw_txns_next(struct nw_txns *txns, struct nw_txn_record *record, bool *end,
                                     struct nw_error *err);

/** For status: transactions held, and bytes of them in memory and on disk. */
uint32_t nw_txns_count(const struct nw_txns *txns);
uint64_t nw_txns_memory_bytes(const struct nw_txns *txns);
uint64_t nw_txns_spilled_bytes(const struct nw_txns *txns);

#endif
