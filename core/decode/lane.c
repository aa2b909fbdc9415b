/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See lane.h. All state belongs to the thread that steps the agent, but for the counters.
 *
 * A block goes through three steps, each of which may have to wait: decoded (into the builder),
 * packed (once the budget has room), pushed (once every output ring has room).
 */
#include "decode/lane.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/assert.h"
#include "decode/builder.h"

/* Blocks of one step: agents that share the thread read sockets, and a full one of those may be
 * decoded for a millisecond, in which a server fills what the kernel holds for it. */
#define BLOCKS_PER_STEP 1u
/* How often a lane that waits for the budget looks again: nobody rings for it. */
#define BUDGET_POLL_NS INT64_C(500000)

/* Lies before each item. Not in the item itself: a sequencer may be writing that to its spill file
 * while another one gives it back. */
struct piece {
    alignas(16) uint32_t references;
    uint32_t size; /* of the item, as charged to the budget */
    struct nw_item item[];
};

struct nw_lane {
    struct nw_lane_options options;
    struct nw_builder *builder;
    uint32_t next_producer; /* where to look first, round-robin */
    struct nw_block *block; /* being worked on */
    bool decoded;           /* the builder has it, in item_size bytes */
    size_t item_size;
    struct piece *packed; /* not pushed yet */
    /* Counters for other threads, relaxed: they stand for themselves. */
    _Atomic uint64_t rows, bytes, exceptions;
};

nw_status nw_lane_create(const struct nw_lane_options *options, struct nw_lane **lane,
                         struct nw_error *err)
{
    struct nw_lane *made = calloc(1, sizeof *made);
    nw_status status = NW_OK;

    NW_ASSERT(options->producers_count <= NW_PRODUCERS_MAX);
    NW_ASSERT(options->sequencers_count <= NW_SEQUENCERS_MAX);
    if (made == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for a decode lane");
    }
    made->options = *options;
    status = nw_builder_create(&made->builder, err);
    if (status != NW_OK) {
        free(made);
        return status;
    }
    *lane = made;
    return NW_OK;
}

static struct piece *piece_of(struct nw_item *item)
{
    return (struct piece *)(void *)((uint8_t *)item - offsetof(struct piece, item));
}

static void piece_free(struct nw_lane *lane, struct piece *piece)
{
    nw_budget_release(lane->options.budget, piece->size);
    free(piece);
}

static void give_back(struct nw_lane *lane, struct nw_item *item)
{
    struct piece *piece = piece_of(item);

    NW_ASSERT(piece->references > 0 && item->lane == lane->options.index);
    if (--piece->references == 0) {
        piece_free(lane, piece);
    }
}

/* Takes back the items that sequencers are done with. */
static uint32_t collect(struct nw_lane *lane)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < lane->options.sequencers_count; i++) {
        struct nw_item *item = NULL;

        while ((item = nw_spsc_pop(lane->options.item_return[i])) != NULL) {
            give_back(lane, item);
            count++;
        }
    }
    return count;
}

void nw_lane_destroy(struct nw_lane *lane)
{
    if (lane == NULL) {
        return;
    }
    collect(lane);
    for (uint32_t i = 0; i < lane->options.sequencers_count; i++) {
        struct nw_item *item = NULL;

        /* Never seen by a sequencer: nobody runs any more. */
        while ((item = nw_spsc_pop(lane->options.out[i])) != NULL) {
            give_back(lane, item);
        }
    }
    if (lane->packed != NULL) {
        piece_free(lane, lane->packed);
    }
    nw_builder_destroy(lane->builder);
    free(lane);
}

static struct nw_block *next_block(struct nw_lane *lane)
{
    uint32_t count = lane->options.producers_count;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t producer = (lane->next_producer + i) % count;
        struct nw_block *block = nw_spsc_pop(lane->options.in[producer]);

        if (block != NULL) {
            NW_ASSERT(block->producer == producer);
            lane->next_producer = (producer + 1) % count;
            return block;
        }
    }
    return NULL;
}

/* Turns what was decoded into an item. NW_AGAIN: the budget is used up. */
static nw_status pack(struct nw_lane *lane, struct nw_error *err)
{
    struct piece *piece = NULL;

    if (!nw_budget_charge(lane->options.budget, lane->item_size)) {
        return NW_AGAIN;
    }
    piece = malloc(sizeof *piece + lane->item_size);
    if (piece == NULL) {
        nw_budget_release(lane->options.budget, lane->item_size);
        return nw_fail(err, NW_FATAL, "out of memory for %zu bytes of rows", lane->item_size);
    }
    atomic_fetch_add_explicit(&lane->exceptions, nw_builder_exceptions(lane->builder),
                              memory_order_relaxed);
    nw_builder_pack(lane->builder, piece->item);
    piece->size = (uint32_t)lane->item_size;
    piece->references = lane->options.sequencers_count;
    piece->item->lane = lane->options.index;
    piece->item->references = lane->options.sequencers_count;
    if (piece->item->kind == NW_ITEM_BATCH) {
        atomic_fetch_add_explicit(&lane->rows, piece->item->as.batch.rows_count,
                                  memory_order_relaxed);
    }
    atomic_fetch_add_explicit(&lane->bytes, lane->block->bytes_size, memory_order_relaxed);
    lane->packed = piece;
    return NW_OK;
}

/* Hands the item to all sequencers, and the block back. False when a ring is full. */
static bool push(struct nw_lane *lane)
{
    struct nw_lane_options *options = &lane->options;
    struct nw_block *block = lane->block;
    uint32_t producer = block->producer; /* once pushed, the block is not ours to look at */
    bool pushed = false;

    NW_ASSERT(lane->packed != NULL);
    for (uint32_t i = 0; i < options->sequencers_count; i++) {
        if (nw_spsc_room(options->out[i]) == 0) {
            return false;
        }
    }
    for (uint32_t i = 0; i < options->sequencers_count; i++) {
        pushed = nw_spsc_push(options->out[i], lane->packed->item);
        NW_ASSERT(pushed);
        nw_bell_ring(options->sequencer_bell[i]);
    }
    if (options->sequencers_count == 0) {
        piece_free(lane, lane->packed);
    }
    lane->packed = NULL;
    lane->decoded = false;
    lane->block = NULL;
    pushed = nw_spsc_push(options->block_return[producer], block);
    NW_ASSERT(pushed); /* the ring holds all blocks of its producer */
    nw_bell_ring(options->producer_bell[producer]);
    return true;
}

/* Takes one block as far as it goes. NW_AGAIN: none there, or it has to wait. */
static nw_status work_block(struct nw_lane *lane, struct nw_error *err)
{
    nw_status status = NW_OK;

    if (lane->block == NULL) {
        lane->block = next_block(lane);
        if (lane->block == NULL) {
            return NW_AGAIN;
        }
    }
    if (!lane->decoded) {
        status = nw_builder_decode(lane->builder, lane->block, &lane->item_size, err);
        if (status != NW_OK) {
            return status;
        }
        lane->decoded = true;
    }
    if (lane->packed == NULL) {
        status = pack(lane, err);
        if (status != NW_OK) {
            return status;
        }
    }
    return push(lane) ? NW_OK : NW_AGAIN;
}

static nw_status lane_work(void *self, int64_t now_ns, uint32_t *work, struct nw_error *err)
{
    struct nw_lane *lane = self;
    nw_status status = NW_OK;

    (void)now_ns;
    *work += collect(lane);
    for (uint32_t i = 0; i < BLOCKS_PER_STEP && status == NW_OK; i++) {
        status = work_block(lane, err);
        *work += status == NW_OK ? 1 : 0;
    }
    return status == NW_AGAIN ? NW_OK : status;
}

static void lane_wait(void *self, int64_t now_ns, struct nw_wait *wait)
{
    const struct nw_lane *lane = self;

    if (lane->block != NULL && now_ns + BUDGET_POLL_NS < wait->deadline_ns) {
        wait->deadline_ns = now_ns + BUDGET_POLL_NS;
    }
}

struct nw_agent nw_lane_agent(struct nw_lane *lane)
{
    return (struct nw_agent){.name = "lane", .self = lane, .do_work = lane_work, .wait = lane_wait};
}

struct nw_lane_counts nw_lane_counts(const struct nw_lane *lane)
{
    return (struct nw_lane_counts){
        .rows = atomic_load_explicit(&lane->rows, memory_order_relaxed),
        .bytes = atomic_load_explicit(&lane->bytes, memory_order_relaxed),
        .exceptions = atomic_load_explicit(&lane->exceptions, memory_order_relaxed),
    };
}
