/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Items: what lanes hand to the sequencers, one for each block. An item is one piece of memory that
 * the lane owns: the header below, then whatever it points to, packed behind it. It is immutable
 * from the moment it is pushed, shared by all sinks, and counted: each sequencer that is done gives
 * it back over its own return ring, and the lane frees it when all have.
 *
 * All pointers of an item point into itself or to schema versions (which outlive it), so an item
 * can be written to the spill file as it is, and read back to another address with
 * nw_item_relocate().
 */
#ifndef NW_DECODE_ITEM_H
#define NW_DECODE_ITEM_H

#include <stdbool.h>
#include <stdint.h>

#include "source/block.h"
#include <narwal/sink.h>

#define NW_LANES_MAX 64u

enum nw_item_kind {
    NW_ITEM_BATCH = 1,
    NW_ITEM_EVENT = 2,
    NW_ITEM_COPY_BEGIN = 3, /* of a chunk */
    NW_ITEM_COPY_END = 4,
    NW_ITEM_EPOCH_END = 5,
};

struct nw_item {
    uint32_t size; /* bytes of the whole piece, header included */
    enum nw_item_kind kind;
    uint32_t producer;
    uint32_t lane; /* owner */
    uint64_t ordinal;
    uint64_t epoch;
    int64_t received_ns;
    uint32_t references; /* how many sequencers got it; the lane counts them down elsewhere */
    uint32_t generation;
    bool cut; /* as in the block */
    const struct nw_table *table;
    union {
        struct nw_batch batch;       /* first_row 0, all rows; BATCH */
        struct nw_event event;       /* EVENT */
        struct nw_position position; /* EPOCH_END */
        struct nw_copy_mark mark;    /* COPY_BEGIN, COPY_END */
    } as;
};

/**
 * Mend the pointers of an item whose bytes were moved from `former` (its address when it was
 * packed) to where it is now.
 */
void nw_item_relocate(struct nw_item *item, const struct nw_item *former);

#endif
