/* SPDX-License-Identifier: Apache-2.0 */
/* Producers: a pool of blocks, numbered in the order in which they are dealt. */
#include "dealer_kit.h"

static struct kit kit;

static int setup_of(uint32_t blocks_max)
{
    memset(&kit, 0, sizeof kit);
    kit_producer_make(&kit, blocks_max);
    return 0;
}

static int setup_small(void **state)
{
    (void)state;
    return setup_of(4);
}

static int setup_large(void **state)
{
    (void)state;
    return setup_of(NW_BLOCKS_PER_PRODUCER);
}

static int teardown(void **state)
{
    (void)state;
    kit_fini(&kit);
    return 0;
}

static void the_pool_has_so_many_blocks_and_no_more(void **state)
{
    struct nw_block *blocks[4];

    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        blocks[i] = nw_producer_take(kit.producer);
        assert_non_null(blocks[i]);
    }
    assert_null(nw_producer_take(kit.producer));
    nw_producer_put(kit.producer, blocks[2]);
    assert_ptr_equal(nw_producer_take(kit.producer), blocks[2]);
    assert_null(nw_producer_take(kit.producer));
    assert_true(nw_producer_idle(kit.producer)); /* none was dealt */
    for (uint32_t i = 0; i < 4; i++) {
        nw_producer_put(kit.producer, blocks[i]);
    }
}

static void a_block_comes_empty(void **state)
{
    struct nw_block *block = nw_producer_take(kit.producer);
    uint32_t offset = 0;

    (void)state;
    assert_true(nw_block_append(block, "bytes", 5, &offset));
    block->frames_count = 3;
    block->transactions_count = 2;
    block->names_size = 9;
    block->cut = true;
    nw_producer_put(kit.producer, block);
    assert_ptr_equal(nw_producer_take(kit.producer), block);
    assert_int_equal(block->frames_count, 0);
    assert_int_equal(block->transactions_count, 0);
    assert_int_equal(block->bytes_size, 0);
    assert_int_equal(block->names_size, 1);
    assert_string_equal(block->names, "");
    assert_null(block->table);
    assert_false(block->cut);
    nw_producer_put(kit.producer, block);
}

static void ordinals_go_round_the_lanes(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 10; i++) {
        struct nw_block *block = nw_producer_take(kit.producer);

        nw_producer_deal(kit.producer, block);
        assert_int_equal(block->ordinal, i);
    }
    for (uint32_t i = 0; i < 10; i++) {
        kit_back(&kit, kit_next(&kit)); /* looks for it in the lane of its ordinal */
    }
    assert_true(nw_producer_idle(kit.producer));
}

static void the_oldest_block_bounds_the_window(void **state)
{
    struct nw_block *blocks[NW_BLOCKS_PER_PRODUCER];

    (void)state;
    for (uint32_t i = 0; i < NW_BLOCKS_PER_PRODUCER; i++) {
        assert_int_equal(nw_producer_room(kit.producer), NW_BLOCKS_PER_PRODUCER - i);
        nw_producer_deal(kit.producer, nw_producer_take(kit.producer));
        blocks[i] = kit_next(&kit);
    }
    assert_int_equal(nw_producer_room(kit.producer), 0);
    for (uint32_t i = NW_BLOCKS_PER_PRODUCER - 1; i > 0; i--) { /* all but the oldest */
        kit_back(&kit, blocks[i]);
        assert_int_equal(nw_producer_room(kit.producer), 0);
    }
    assert_false(nw_producer_idle(kit.producer));
    kit_back(&kit, blocks[0]);
    assert_int_equal(nw_producer_room(kit.producer), NW_BLOCKS_PER_PRODUCER);
    assert_true(nw_producer_idle(kit.producer));
}

static void bytes_grow_and_keep_what_is_there(void **state)
{
    struct nw_block *block = nw_producer_take(kit.producer);
    uint32_t offset = 1;

    (void)state;
    for (uint32_t i = 0; i < 200000; i++) {
        assert_true(nw_block_append(block, &i, sizeof i, &offset));
        assert_int_equal(offset, i * sizeof i);
    }
    for (uint32_t i = 0; i < 200000; i++) {
        assert_memory_equal(block->bytes + i * sizeof i, &i, sizeof i);
    }
    assert_true(nw_block_append(block, NULL, 0, &offset));
    assert_null(nw_block_reserve(block, UINT32_MAX)); /* more than a block may hold */
    assert_null(nw_block_reserve(block, SIZE_MAX));
    assert_int_equal(block->bytes_size, 200000 * sizeof(uint32_t));
    nw_producer_put(kit.producer, block);
}

static void the_memory_of_a_huge_row_is_not_kept(void **state)
{
    struct nw_block *block = nw_producer_take(kit.producer);

    (void)state;
    assert_non_null(nw_block_reserve(block, 8 * NW_BLOCK_BYTES));
    assert_true(block->bytes_capacity >= 8 * NW_BLOCK_BYTES);
    nw_producer_put(kit.producer, block);
    assert_int_equal(block->bytes_capacity, 0);
    assert_ptr_equal(nw_producer_take(kit.producer), block);
    assert_non_null(nw_block_reserve(block, 100));
    nw_producer_put(kit.producer, block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_pool_has_so_many_blocks_and_no_more, setup_small,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_block_comes_empty, setup_small, teardown),
        cmocka_unit_test_setup_teardown(ordinals_go_round_the_lanes, setup_large, teardown),
        cmocka_unit_test_setup_teardown(the_oldest_block_bounds_the_window, setup_large, teardown),
        cmocka_unit_test_setup_teardown(bytes_grow_and_keep_what_is_there, setup_small, teardown),
        cmocka_unit_test_setup_teardown(the_memory_of_a_huge_row_is_not_kept, setup_small,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
