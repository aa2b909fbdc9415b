/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Debezium says of a change beside its row, from a batch: see struct nw_change.
 *
 *   source.sequence  ["26751912","26752088"]: where the transaction's commit is in the WAL, and the
 *                    change. Debezium has the commit before it, which is not known here; both rise
 *                    in a table from one change to the next.
 *   copied rows      op r, snapshot true; the time is that of the writing, and there is no txId.
 *
 * Owned by one thread.
 */
#ifndef NW_SINKS_LIB_FORMAT_CHANGE_H
#define NW_SINKS_LIB_FORMAT_CHANGE_H

#include <narwal/sink.h>

#include "lib/format/envelope.h"

#define NW_CHANGE_SEQUENCE_SIZE 64u
#define NW_CHANGE_ORIGIN_SIZE   520u /* names of replication origins have at most 512 bytes */

#define NW_CHANGE_STEPS_MAX 3u

/** The texts that a change borrows. */
struct nw_change_texts {
    char sequence[NW_CHANGE_SEQUENCE_SIZE];
    char origin[NW_CHANGE_ORIGIN_SIZE];
};

/**
 * @param now_ns  the wall clock, nanoseconds since 1970
 * @return valid until the next call with these texts.
 */
struct nw_change nw_change_of_row(struct nw_change_texts *texts, const struct nw_batch *batch,
                                  uint32_t row, int64_t now_ns);

/** Of a TRUNCATE or a logical message. */
struct nw_change nw_change_of_event(struct nw_change_texts *texts, const struct nw_event *event,
                                    int64_t now_ns);

/** One of the events that a change becomes. */
struct nw_change_step {
    bool tombstone;        /* it has a key and no value */
    int key_side;          /* the image that its key is read from */
    const char *other_key; /* the header with the key of the other side; NULL: none */
    struct nw_change change;
};

/**
 * Which events a row's change becomes, as Debezium has them: an insert or update one; a delete one
 * with the row that was, and a tombstone; an update that changes the key both for the former key,
 * and an insert.
 *
 * @param of  the row's own change; what it borrows the steps borrow too
 * @return how many
 */
uint32_t nw_change_steps(const struct nw_change *of, bool key_changed,
                         struct nw_change_step steps[static NW_CHANGE_STEPS_MAX]);

/** How many changes of a transaction were a table's; for its rows in their order. */
struct nw_change_order {
    uint64_t commit_lsn, seq, count;
    char transaction[48];
};

/**
 * Say which of its transaction's changes one is, and which of its table's. May be asked again for
 * the same change. Nothing is said of what has no transaction (commit_lsn 0).
 *
 * @param order  outlives the change, which borrows from it
 */
void nw_change_order_set(struct nw_change_order *order, uint64_t commit_lsn, uint64_t seq,
                         struct nw_change *change);

#endif
