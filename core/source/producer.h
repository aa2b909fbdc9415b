/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A producer: a pool of blocks, numbered and dealt round-robin to the decode lanes.
 *
 * Owned by one source agent's thread. At most NW_BLOCKS_PER_PRODUCER ordinals are in flight at
 * once, counted from the oldest that no lane has given back: that bounds the reorder window of the
 * sequencers.
 */
#ifndef NW_SOURCE_PRODUCER_H
#define NW_SOURCE_PRODUCER_H

#include "ring/agent.h"
#include "ring/spsc.h"
#include "source/block.h"

#define NW_PRODUCER_LANES_MAX 64u

struct nw_producer_options {
    uint32_t index; /* 0: the stream */
    uint32_t lanes_count;
    uint32_t blocks_max;                       /* 4 .. NW_BLOCKS_PER_PRODUCER */
    struct nw_spsc *in[NW_PRODUCER_LANES_MAX]; /* to the lanes; of NW_BLOCKS_PER_PRODUCER or more */
    struct nw_spsc *block_return[NW_PRODUCER_LANES_MAX]; /* from the lanes; same */
    struct nw_bell *lane_bell[NW_PRODUCER_LANES_MAX];
};

struct nw_producer;

NW_MUST_CHECK nw_status nw_producer_create(const struct nw_producer_options *options,
                                           struct nw_producer **producer, struct nw_error *err);
/** The lanes must not hold blocks of it any more, or not run any more. NULL is fine. */
void nw_producer_destroy(struct nw_producer *producer);

/** An empty block, NULL while all are in use. It is the caller's until it is dealt or put back. */
struct nw_block *nw_producer_take(struct nw_producer *producer);
/** Give an unused block back to the pool. */
void nw_producer_put(struct nw_producer *producer, struct nw_block *block);
/** How many nw_producer_deal() calls are sure to succeed now. */
uint32_t nw_producer_room(struct nw_producer *producer);
/** Number a block and hand it to its lane. nw_producer_room() must not be 0. */
void nw_producer_deal(struct nw_producer *producer, struct nw_block *block);
/** Whether every dealt block was given back: all of its items are with the sequencers. */
bool nw_producer_idle(struct nw_producer *producer);

/** Make room for size more bytes. @return where to write them, NULL when memory is short. */
uint8_t *nw_block_reserve(struct nw_block *block, size_t size);
/** Copy bytes in. @return false when memory is short. */
bool nw_block_append(struct nw_block *block, const void *bytes, size_t size, uint32_t *offset);

#endif
