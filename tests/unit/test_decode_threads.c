/* SPDX-License-Identifier: Apache-2.0 */
/* A producer, two lanes and two sequencers on threads of their own, under a small budget. */
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>

#include "decode_blocks.h"

#include "decode/lane.h"

#define LANES        2u
#define SEQUENCERS   2u
#define POOL         8u
#define RING_SIZE    8u
#define BLOCKS_COUNT 4000u
#define ROWS_MAX     50u

static struct nw_column_schema columns[2];
static struct nw_table table;
static struct nw_budget budget = {.limit_bytes = 64 * 1024};
static struct nw_spsc *in[LANES], *back[LANES];
static struct nw_spsc *out[LANES][SEQUENCERS], *item_return[LANES][SEQUENCERS];
static struct nw_lane *lanes[LANES];
static _Atomic bool stop;

static struct nw_spsc *ring_make(size_t capacity)
{
    struct nw_spsc *ring = NULL;
    struct nw_error err;

    assert_int_equal(nw_spsc_create(capacity, &ring, &err), NW_OK);
    return ring;
}

static void fill(struct nw_block *block, uint64_t ordinal)
{
    char text[32];

    block->ordinal = ordinal;
    block->frames_count = 0;
    block->bytes_size = 0;
    for (uint64_t i = 0; i <= ordinal % ROWS_MAX; i++) {
        block_row(block, 'I');
        block_tuple(block, 'N', 2);
        (void)snprintf(text, sizeof text, "%" PRIu64, ordinal * ROWS_MAX + i);
        block_text(block, text);
        block_text(block, text);
    }
}

static void *produce(void *context)
{
    struct nw_block *blocks[POOL];
    uint32_t free_count = POOL;

    (void)context;
    for (uint32_t i = 0; i < POOL; i++) {
        blocks[i] = block_make(NW_BLOCK_CHANGES, &table);
    }
    for (uint64_t ordinal = 0; ordinal < BLOCKS_COUNT || free_count < POOL;) {
        for (uint32_t lane = 0; lane < LANES; lane++) {
            struct nw_block *block = nw_spsc_pop(back[lane]);

            if (block != NULL) {
                blocks[free_count++] = block;
            }
        }
        if (ordinal < BLOCKS_COUNT && free_count > 0) {
            struct nw_block *block = blocks[--free_count];

            fill(block, ordinal);
            if (!nw_spsc_push(in[ordinal % LANES], block)) {
                abort();
            }
            ordinal++;
        } else {
            (void)sched_yield();
        }
    }
    for (uint32_t i = 0; i < POOL; i++) {
        block_free(blocks[i]);
    }
    return NULL;
}

static void *run_lane(void *context)
{
    struct nw_agent agent = nw_lane_agent(context);

    while (!atomic_load_explicit(&stop, memory_order_acquire)) {
        struct nw_error err;
        uint32_t work = 0;

        if (agent.do_work(agent.self, 0, &work, &err) != NW_OK) {
            abort();
        }
        if (work == 0) {
            (void)sched_yield();
        }
    }
    return NULL;
}

static void check(const struct nw_item *item, uint64_t ordinal)
{
    const struct nw_batch *batch = &item->as.batch;

    if (item->ordinal != ordinal || batch->rows_count != ordinal % ROWS_MAX + 1) {
        abort();
    }
    for (uint32_t row = 0; row < batch->rows_count; row++) {
        struct nw_value value = nw_batch_value(batch, NW_AFTER, row, 0);

        if ((uint64_t)value.as.integer != ordinal * ROWS_MAX + row) {
            abort();
        }
    }
}

/* Takes items in the order of their ordinals, keeps a few for a while. */
static void *sequence(void *context)
{
    uintptr_t self = (uintptr_t)context;
    struct nw_item *kept[3] = {NULL};

    for (uint64_t ordinal = 0; ordinal < BLOCKS_COUNT + 3;) {
        struct nw_item **slot = &kept[ordinal % 3];
        struct nw_item *item = NULL;

        if (*slot != NULL) {
            if (!nw_spsc_push(item_return[(*slot)->lane][self], *slot)) {
                abort();
            }
            *slot = NULL;
        }
        if (ordinal >= BLOCKS_COUNT) {
            ordinal++;
            continue;
        }
        item = nw_spsc_pop(out[ordinal % LANES][self]);
        if (item == NULL) {
            (void)sched_yield();
            continue;
        }
        check(item, ordinal);
        *slot = item;
        ordinal++;
    }
    return NULL;
}

static void make_lane(uint32_t index)
{
    struct nw_lane_options options = {
        .index = index, .producers_count = 1, .sequencers_count = SEQUENCERS, .budget = &budget};
    struct nw_error err;

    options.in[0] = in[index] = ring_make(POOL);
    options.block_return[0] = back[index] = ring_make(POOL);
    for (uint32_t i = 0; i < SEQUENCERS; i++) {
        options.out[i] = out[index][i] = ring_make(RING_SIZE);
        options.item_return[i] = item_return[index][i] = ring_make(4 * RING_SIZE);
    }
    assert_int_equal(nw_lane_create(&options, &lanes[index], &err), NW_OK);
}

static void every_sequencer_sees_every_row_and_all_memory_comes_back(void **state)
{
    pthread_t producer;
    pthread_t lane_threads[LANES];
    pthread_t sequencers[SEQUENCERS];

    (void)state;
    columns[0] = column_make("id", NW_OID_INT8, -1);
    columns[1] = column_make("body", NW_OID_TEXT, -1);
    table = table_make(columns, 2);
    for (uint32_t i = 0; i < LANES; i++) {
        make_lane(i);
        assert_int_equal(pthread_create(&lane_threads[i], NULL, run_lane, lanes[i]), 0);
    }
    for (uintptr_t i = 0; i < SEQUENCERS; i++) {
        assert_int_equal(pthread_create(&sequencers[i], NULL, sequence, (void *)i), 0);
    }
    assert_int_equal(pthread_create(&producer, NULL, produce, NULL), 0);
    assert_int_equal(pthread_join(producer, NULL), 0);
    for (uint32_t i = 0; i < SEQUENCERS; i++) {
        assert_int_equal(pthread_join(sequencers[i], NULL), 0);
    }
    atomic_store_explicit(&stop, true, memory_order_release);
    for (uint32_t i = 0; i < LANES; i++) {
        assert_int_equal(pthread_join(lane_threads[i], NULL), 0);
        nw_lane_destroy(lanes[i]);
        nw_spsc_destroy(in[i]);
        nw_spsc_destroy(back[i]);
        for (uint32_t s = 0; s < SEQUENCERS; s++) {
            nw_spsc_destroy(out[i][s]);
            nw_spsc_destroy(item_return[i][s]);
        }
    }
    assert_int_equal(budget.used_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sequencer_sees_every_row_and_all_memory_comes_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
