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
#include <stddef.h>
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
    NW_ITEM_PACK = 6, /* items of one table, one behind the other: a sequencer's own */
};

/** Items, and the arrays in them, begin at multiples of this: the widest value is 16 bytes. */
#define NW_ITEM_ALIGN 16u

struct nw_item {
    uint32_t size; /* bytes of the whole piece, header included; PACK: those that are used */
    enum nw_item_kind kind;
    uint32_t producer;
    uint32_t lane; /* owner */
    uint64_t ordinal;
    uint64_t epoch;
    int64_t received_ns;
    uint32_t references; /* how many sequencers got it; the lane counts them down elsewhere */
    uint32_t generation;
    uint32_t backlog_oid; /* as in the block */
    bool cut;             /* as in the block */
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
void nw_item_relocate(struct nw_item *item, uintptr_t former);

/** Bytes that something of this size takes in a row of items. */
static inline size_t nw_item_padded(size_t size)
{
    return (size + NW_ITEM_ALIGN - 1) & ~(size_t)(NW_ITEM_ALIGN - 1);
}

/** The size of a pack that has no item yet; where its first one begins. */
#define NW_PACK_EMPTY ((uint32_t)nw_item_padded(sizeof(struct nw_item)))

/** Copy an item behind those of a pack, which has room for nw_item_padded(item->size) more. */
void nw_pack_add(struct nw_item *pack, const struct nw_item *item);
/**
 * The item of a pack that begins `at` bytes behind the pack's beginning; `at` moves behind it. It
 * begins as NW_PACK_EMPTY. @return NULL when there is none any more
 */
struct nw_item *nw_pack_next(struct nw_item *pack, uint32_t *at);

#endif
