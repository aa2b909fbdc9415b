/* SPDX-License-Identifier: Apache-2.0 */
/* See producer.h. All state belongs to the source agent's thread. */
#include "source/producer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define BLOCK_BYTES_FIRST 65536u

struct nw_producer {
    struct nw_producer_options options;
    struct nw_block *in_flight[NW_BLOCKS_PER_PRODUCER]; /* by ordinal; NULL: given back */
    uint64_t next_ordinal;
    struct nw_block *free_blocks[NW_BLOCKS_PER_PRODUCER];
    uint32_t free_count;
    uint32_t blocks_count; /* made so far */
    struct nw_block *blocks[NW_BLOCKS_PER_PRODUCER];
};

static_assert((NW_BLOCKS_PER_PRODUCER & (NW_BLOCKS_PER_PRODUCER - 1)) == 0, "used as a mask");

nw_status nw_producer_create(const struct nw_producer_options *options,
                             struct nw_producer **producer, struct nw_error *err)
{
    struct nw_producer *made = calloc(1, sizeof *made);

    NW_ASSERT(options->lanes_count >= 1 && options->lanes_count <= NW_PRODUCER_LANES_MAX);
    NW_ASSERT(options->blocks_max >= 4 && options->blocks_max <= NW_BLOCKS_PER_PRODUCER);
    if (made == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for a producer");
    }
    made->options = *options;
    *producer = made;
    return NW_OK;
}

static void block_destroy(struct nw_block *block)
{
    if (block != NULL) {
        free(block->frames);
        free(block->transactions);
        free(block->names);
        free(block->bytes);
        free(block->tables);
        free(block);
    }
}

void nw_producer_destroy(struct nw_producer *producer)
{
    if (producer == NULL) {
        return;
    }
    for (uint32_t i = 0; i < producer->blocks_count; i++) {
        block_destroy(producer->blocks[i]);
    }
    free(producer);
}

static struct nw_block *block_create(struct nw_producer *producer)
{
    struct nw_block *block = calloc(1, sizeof *block);

    if (block == NULL) {
        return NULL;
    }
    /* Row arrays are made whole: pages that no row touches cost no memory. */
    block->frames = malloc(NW_BLOCK_ROWS_MAX * sizeof *block->frames);
    block->transactions = malloc(NW_BLOCK_ROWS_MAX * sizeof *block->transactions);
    block->names_capacity = 256;
    block->names = malloc(block->names_capacity);
    if (block->frames == NULL || block->transactions == NULL || block->names == NULL) {
        block_destroy(block);
        return NULL;
    }
    block->producer = producer->options.index;
    producer->blocks[producer->blocks_count++] = block;
    return block;
}

/* Collects what the lanes gave back. */
static void collect(struct nw_producer *producer)
{
    for (uint32_t lane = 0; lane < producer->options.lanes_count; lane++) {
        struct nw_block *block = NULL;

        while ((block = nw_spsc_pop(producer->options.block_return[lane])) != NULL) {
            struct nw_block **slot =
                &producer->in_flight[block->ordinal & (NW_BLOCKS_PER_PRODUCER - 1)];

            NW_ASSERT(*slot == block);
            *slot = NULL;
            nw_producer_put(producer, block);
        }
    }
}

struct nw_block *nw_producer_take(struct nw_producer *producer)
{
    struct nw_block *block = NULL;

    if (producer->free_count == 0) {
        collect(producer);
    }
    if (producer->free_count > 0) {
        block = producer->free_blocks[--producer->free_count];
    } else if (producer->blocks_count < producer->options.blocks_max) {
        block = block_create(producer);
    }
    if (block != NULL) {
        block->frames_count = 0;
        block->transactions_count = 0;
        block->bytes_size = 0;
        block->names[0] = '\0';
        block->names_size = 1;
        block->table = NULL;
        block->projection = NULL;
        block->backlog_oid = 0;
        block->cut = false;
    }
    return block;
}

void nw_producer_put(struct nw_producer *producer, struct nw_block *block)
{
    if (block->bytes_capacity > 2 * NW_BLOCK_BYTES) { /* one huge row must not be kept for good */
        free(block->bytes);
        block->bytes = NULL;
        block->bytes_capacity = 0;
    }
    NW_ASSERT(producer->free_count < NW_BLOCKS_PER_PRODUCER);
    producer->free_blocks[producer->free_count++] = block;
}

uint32_t nw_producer_room(struct nw_producer *producer)
{
    uint32_t room = 0;

    collect(producer);
    while (room < NW_BLOCKS_PER_PRODUCER &&
           producer->in_flight[(producer->next_ordinal + room) & (NW_BLOCKS_PER_PRODUCER - 1)] ==
               NULL) {
        room++;
    }
    return room;
}

void nw_producer_deal(struct nw_producer *producer, struct nw_block *block)
{
    uint64_t ordinal = producer->next_ordinal++;
    uint32_t lane = (uint32_t)(ordinal % producer->options.lanes_count);
    bool pushed = false;

    NW_ASSERT(producer->in_flight[ordinal & (NW_BLOCKS_PER_PRODUCER - 1)] == NULL);
    producer->in_flight[ordinal & (NW_BLOCKS_PER_PRODUCER - 1)] = block;
    block->ordinal = ordinal;
    pushed = nw_spsc_push(producer->options.in[lane], block);
    NW_ASSERT(pushed); /* the ring holds a whole window */
    nw_bell_ring(producer->options.lane_bell[lane]);
}

bool nw_producer_idle(struct nw_producer *producer)
{
    return nw_producer_room(producer) == NW_BLOCKS_PER_PRODUCER;
}

uint8_t *nw_block_reserve(struct nw_block *block, size_t size)
{
    size_t capacity = block->bytes_capacity;
    uint8_t *bytes = NULL;

    if (size <= capacity - block->bytes_size) {
        return block->bytes + block->bytes_size;
    }
    if (size > UINT32_MAX / 2 || block->bytes_size > UINT32_MAX / 2 - (uint32_t)size) {
        return NULL;
    }
    capacity = capacity == 0 ? BLOCK_BYTES_FIRST : capacity;
    while (capacity - block->bytes_size < size) {
        capacity *= 2;
    }
    bytes = realloc(block->bytes, capacity);
    if (bytes == NULL) {
        return NULL;
    }
    block->bytes = bytes;
    block->bytes_capacity = (uint32_t)capacity;
    return bytes + block->bytes_size;
}

bool nw_block_append(struct nw_block *block, const void *bytes, size_t size, uint32_t *offset)
{
    uint8_t *to = nw_block_reserve(block, size);

    if (to == NULL) {
        return false;
    }
    if (size > 0) {
        memcpy(to, bytes, size);
    }
    *offset = block->bytes_size;
    block->bytes_size += (uint32_t)size;
    return true;
}
