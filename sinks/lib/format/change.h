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

#endif
