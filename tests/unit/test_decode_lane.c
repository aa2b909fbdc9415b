/* SPDX-License-Identifier: Apache-2.0 */
/* The lane as an agent: order, back-pressure, the budget, items given back. */
#include "decode_blocks.h"

#include "decode/lane.h"

#define PRODUCERS  3u
#define SEQUENCERS 2u
#define RING_SIZE  4u
#define BLOCKS_MAX 32u

static struct nw_column_schema columns[1];
static struct nw_table table;

/* One lane with its rings, and the blocks that were given to it. */
struct bench {
    struct nw_budget budget;
    struct nw_lane_options options;
    struct nw_lane *lane;
    struct nw_agent agent;
    struct nw_error err;
    struct nw_block *blocks[BLOCKS_MAX];
    uint32_t blocks_count;
};

static struct nw_spsc *ring_make(size_t capacity)
{
    struct nw_spsc *ring = NULL;
    struct nw_error err;

    assert_int_equal(nw_spsc_create(capacity, &ring, &err), NW_OK);
    return ring;
}

static int set_up(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);

    columns[0] = column_make("body", NW_OID_TEXT, -1);
    table = table_make(columns, 1);
    bench->budget.limit_bytes = 1 << 20;
    bench->options = (struct nw_lane_options){.index = 1,
                                              .producers_count = PRODUCERS,
                                              .sequencers_count = SEQUENCERS,
                                              .budget = &bench->budget};
    for (uint32_t i = 0; i < PRODUCERS; i++) {
        bench->options.in[i] = ring_make(BLOCKS_MAX);
        bench->options.block_return[i] = ring_make(BLOCKS_MAX);
    }
    for (uint32_t i = 0; i < SEQUENCERS; i++) {
        bench->options.out[i] = ring_make(RING_SIZE);
        bench->options.item_return[i] = ring_make(BLOCKS_MAX);
    }
    assert_int_equal(nw_lane_create(&bench->options, &bench->lane, &bench->err), NW_OK);
    bench->agent = nw_lane_agent(bench->lane);
    *state = bench;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;

    nw_lane_destroy(bench->lane);
    assert_int_equal(bench->budget.used_bytes, 0);
    for (uint32_t i = 0; i < PRODUCERS; i++) {
        nw_spsc_destroy(bench->options.in[i]);
        nw_spsc_destroy(bench->options.block_return[i]);
    }
    for (uint32_t i = 0; i < SEQUENCERS; i++) {
        nw_spsc_destroy(bench->options.out[i]);
        nw_spsc_destroy(bench->options.item_return[i]);
    }
    for (uint32_t i = 0; i < bench->blocks_count; i++) {
        block_free(bench->blocks[i]);
    }
    free(bench);
    return 0;
}

static void give_block(struct bench *bench, uint32_t producer, uint64_t ordinal, const char *text)
{
    struct nw_block *block = block_make(NW_BLOCK_CHANGES, &table);

    block_row(block, 'I');
    block_tuple(block, 'N', 1);
    block_text(block, text);
    block->producer = producer;
    block->ordinal = ordinal;
    bench->blocks[bench->blocks_count++] = block;
    assert_true(nw_spsc_push(bench->options.in[producer], block));
}

/* Steps until the lane has nothing to do any more. */
static uint32_t run(struct bench *bench)
{
    uint32_t total = 0;
    uint32_t work = 0;

    do {
        work = 0;
        assert_int_equal(bench->agent.do_work(bench->agent.self, 0, &work, &bench->err), NW_OK);
        total += work;
    } while (work > 0);
    return total;
}

static struct nw_item *take_item(struct bench *bench, uint32_t sequencer)
{
    return nw_spsc_pop(bench->options.out[sequencer]);
}

static void return_item(struct bench *bench, uint32_t sequencer, struct nw_item *item)
{
    assert_true(nw_spsc_push(bench->options.item_return[sequencer], item));
}

static void every_sequencer_gets_the_same_item_and_the_block_goes_back(void **state)
{
    struct bench *bench = *state;
    struct nw_item *item = NULL;

    give_block(bench, 2, 17, "abc");
    assert_int_equal(run(bench), 1);
    item = take_item(bench, 0);
    assert_non_null(item);
    assert_ptr_equal(take_item(bench, 1), item);
    assert_int_equal(item->producer, 2);
    assert_int_equal(item->ordinal, 17);
    assert_int_equal(item->lane, 1);
    assert_ptr_equal(nw_spsc_pop(bench->options.block_return[2]), bench->blocks[0]);
    assert_true(bench->budget.used_bytes >= (int64_t)item->size);
    return_item(bench, 0, item);
    run(bench);
    assert_true(bench->budget.used_bytes > 0);
    return_item(bench, 1, item);
    run(bench);
    assert_int_equal(bench->budget.used_bytes, 0);
    assert_int_equal(nw_lane_counts(bench->lane).rows, 1);
}

static void full_output_ring_holds_the_block_until_there_is_room(void **state)
{
    struct bench *bench = *state;
    struct nw_item *items[RING_SIZE + 2];
    struct nw_wait wait = {.deadline_ns = INT64_MAX};

    for (uint32_t i = 0; i < RING_SIZE + 2; i++) {
        give_block(bench, 0, i, "x");
    }
    run(bench);
    for (uint32_t i = 0; i < RING_SIZE; i++) {
        assert_non_null(nw_spsc_pop(bench->options.block_return[0]));
        items[i] = take_item(bench, 0); /* the other sequencer does not take any */
    }
    assert_null(nw_spsc_pop(bench->options.block_return[0]));
    assert_int_equal(run(bench), 0);
    bench->agent.wait(bench->agent.self, 0, &wait);
    assert_true(wait.deadline_ns < INT64_MAX); /* looks again by itself */
    for (uint32_t i = 0; i < RING_SIZE; i++) {
        assert_ptr_equal(take_item(bench, 1), items[i]);
        return_item(bench, 0, items[i]);
        return_item(bench, 1, items[i]);
    }
    run(bench);
    for (uint32_t i = RING_SIZE; i < RING_SIZE + 2; i++) {
        items[i] = take_item(bench, 0);
        assert_int_equal(items[i]->ordinal, i);
        assert_ptr_equal(take_item(bench, 1), items[i]);
        return_item(bench, 0, items[i]);
        return_item(bench, 1, items[i]);
    }
    run(bench);
    assert_int_equal(bench->budget.used_bytes, 0);
}

static void used_up_budget_holds_the_block_and_does_no_work(void **state)
{
    struct bench *bench = *state;
    struct nw_item *item = NULL;

    bench->budget.limit_bytes = 100;
    bench->budget.used_bytes = 76; /* someone else's: pressed */
    give_block(bench, 0, 0, "x");
    assert_int_equal(run(bench), 0);
    assert_null(take_item(bench, 0));
    assert_null(nw_spsc_pop(bench->options.block_return[0]));
    bench->budget.used_bytes = 75; /* not pressed: then it may be larger than the whole budget */
    assert_int_equal(run(bench), 1);
    item = take_item(bench, 0);
    assert_non_null(item);
    assert_non_null(nw_spsc_pop(bench->options.block_return[0]));
    return_item(bench, 0, item);
    return_item(bench, 1, take_item(bench, 1));
    run(bench);
    bench->budget.used_bytes -= 75;
}

static void producers_take_turns(void **state)
{
    struct bench *bench = *state;
    uint32_t seen[PRODUCERS] = {0};

    for (uint32_t i = 0; i < 2; i++) {
        for (uint32_t producer = 0; producer < PRODUCERS; producer++) {
            give_block(bench, producer, i, "x");
        }
    }
    run(bench);
    for (uint32_t i = 0; i < PRODUCERS; i++) { /* the first round has one of each */
        struct nw_item *item = take_item(bench, 0);

        assert_int_equal(item->ordinal, 0);
        seen[item->producer]++;
        return_item(bench, 0, item);
    }
    for (uint32_t i = 0; i < PRODUCERS; i++) {
        assert_int_equal(seen[i], 1);
    }
}

static void malformed_block_stops_the_lane(void **state)
{
    struct bench *bench = *state;
    uint32_t work = 0;

    give_block(bench, 0, 0, "x");
    bench->blocks[0]->frames[0].size--;
    assert_int_equal(bench->agent.do_work(bench->agent.self, 0, &work, &bench->err), NW_CORRUPT);
    assert_int_equal(work, 0);
    assert_null(take_item(bench, 0));
}

/* tear_down() finds leaks: items never taken, taken by one only, and packed but not pushed. */
static void destroy_frees_what_nobody_took(void **state)
{
    struct bench *bench = *state;

    for (uint32_t i = 0; i < RING_SIZE + 1; i++) {
        give_block(bench, 0, i, "x");
    }
    run(bench);
    return_item(bench, 1, take_item(bench, 1));
    return_item(bench, 1, take_item(bench, 1));
}

static void events_pass_with_their_content(void **state)
{
    struct bench *bench = *state;
    struct nw_block *block = block_make(NW_BLOCK_EPOCH_END, NULL);
    struct nw_item *item = NULL;

    block->position = (struct nw_position){.bytes = (const uint8_t *)"abc", .size = 3, .lsn = 9};
    block->epoch = 4;
    bench->blocks[bench->blocks_count++] = block;
    assert_true(nw_spsc_push(bench->options.in[0], block));
    assert_int_equal(run(bench), 1);
    item = take_item(bench, 0);
    assert_int_equal(item->kind, NW_ITEM_EPOCH_END);
    assert_int_equal(item->epoch, 4);
    assert_int_equal(item->as.position.lsn, 9);
    assert_memory_equal(item->as.position.bytes, "abc", 3);
    assert_int_equal(nw_lane_counts(bench->lane).rows, 0);
    return_item(bench, 0, item);
    return_item(bench, 1, take_item(bench, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_sequencer_gets_the_same_item_and_the_block_goes_back,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(full_output_ring_holds_the_block_until_there_is_room,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(used_up_budget_holds_the_block_and_does_no_work, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(producers_take_turns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(malformed_block_stops_the_lane, set_up, tear_down),
        cmocka_unit_test_setup_teardown(destroy_frees_what_nobody_took, set_up, tear_down),
        cmocka_unit_test_setup_teardown(events_pass_with_their_content, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
