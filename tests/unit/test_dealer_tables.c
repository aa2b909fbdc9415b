/* SPDX-License-Identifier: Apache-2.0 */
/* The dealer: what it deals of tables as such, that join with a copy or were dropped. */
#include "dealer_kit.h"

/* Some sinks get a copy: the mark parts what they get now from what they hold. */
static void a_mark_lies_between_the_rows_before_and_behind_it(void **state)
{
    const struct nw_dealer_join join = {.relation_oid = 100, .sinks = 2, .generation = 7};
    struct nw_block *open[4] = {NULL};
    struct nw_block *block = NULL;
    struct kit kit;

    (void)state;
    kit_init(&kit, 4, false);
    kit_know(&kit, 100);
    kit_begin(&kit, 1000);
    kit_row(&kit, 100, 1);
    assert_int_equal(nw_dealer_join(kit.dealer, &join, &kit.err), NW_OK);
    kit_row(&kit, 100, 2);
    kit_commit(&kit, 1000);
    kit_flush(&kit);
    open[0] = kit_expect(&kit, NW_BLOCK_CHANGES);
    assert_int_equal(open[0]->frames[0].seq, 0);
    open[1] = kit_expect(&kit, NW_BLOCK_COPY_BEGIN);
    assert_int_equal(open[1]->mark.joining_sinks, 2);
    assert_int_equal(open[1]->generation, 7);
    assert_int_equal(open[1]->table->relation_oid, 100);
    assert_true(open[1]->cut);
    open[2] = kit_expect(&kit, NW_BLOCK_CHANGES);
    assert_int_equal(open[2]->frames[0].seq, 1);
    assert_int_equal(nw_dealer_join(kit.dealer, &join, &kit.err), NW_OK);
    open[3] = kit_expect(&kit, NW_BLOCK_COPY_BEGIN);
    assert_int_equal(nw_dealer_join(kit.dealer, &join, &kit.err), NW_AGAIN); /* no block is left */
    for (uint32_t i = 0; i < 4; i++) {
        kit_back(&kit, open[i]);
    }
    assert_int_equal(nw_dealer_join(kit.dealer, &join, &kit.err), NW_OK);
    block = kit_expect(&kit, NW_BLOCK_COPY_BEGIN);
    kit_back(&kit, block);
    kit_fini(&kit);
}

/* The catalog that a mark brings may be ahead of a message that waits for its own look at it. */
static void a_mark_does_not_pass_a_relation_message_that_waits(void **state)
{
    const struct nw_dealer_join join = {.relation_oid = 100, .sinks = 1, .generation = 7};
    struct nw_table described = kit_table(101);
    struct kit kit;

    (void)state;
    kit_init(&kit, 4, false);
    kit_know(&kit, 100);
    kit_begin(&kit, 1000);
    kit_relation_wire(&kit, 101);
    assert_int_equal(kit_take(&kit, 1), NW_AGAIN);
    assert_int_equal(nw_dealer_join(kit.dealer, &join, &kit.err), NW_AGAIN);
    assert_int_equal(nw_dealer_describe(kit.dealer, &described, &kit.err), NW_OK);
    assert_int_equal(nw_dealer_join(kit.dealer, &join, &kit.err), NW_OK);
    kit_back(&kit, kit_expect(&kit, NW_BLOCK_COPY_BEGIN));
    kit_fini(&kit);
}

/* It was passed over: from the LSN on at which the catalog was read it comes as it is described. */
static void a_table_that_waits_comes_from_its_mark_on(void **state)
{
    struct nw_table described;
    struct nw_dealer_join join = {.relation_oid = 100,
                                  .sinks = 1,
                                  .generation = 7,
                                  .from_lsn = 1500,
                                  .described = &described};
    struct nw_block *block = NULL;
    struct kit kit;

    (void)state;
    kit_init(&kit, 8, false);
    kit_know(&kit, 100);
    kit.waiting_oid = 100;
    described = *nw_schemas_find(kit.schemas, 100);
    described.name = "renamed";
    kit_begin(&kit, 1000);
    kit_row(&kit, 100, 1);
    kit_commit(&kit, 1000);
    kit_flush(&kit);
    assert_null(kit_next(&kit));
    assert_int_equal(nw_dealer_join(kit.dealer, &join, &kit.err), NW_OK);
    block = kit_expect(&kit, NW_BLOCK_COPY_BEGIN);
    assert_string_equal(block->table->name, "renamed");
    kit_back(&kit, block);
    kit_begin(&kit, 1400); /* in front of the LSN */
    kit_row(&kit, 100, 2);
    kit_commit(&kit, 1400);
    kit_begin(&kit, 1500);
    kit_row(&kit, 100, 3);
    kit_commit(&kit, 1500);
    kit_flush(&kit);
    block = kit_expect(&kit, NW_BLOCK_CHANGES);
    assert_int_equal(block->frames_count, 1);
    assert_int_equal(block->transactions[0].commit_lsn, 1500);
    assert_string_equal(block->table->name, "renamed");
    kit_back(&kit, block);
    assert_null(kit_next(&kit));
    kit_fini(&kit);
}

/* Its copy is given up: it is passed over again, until the next mark. */
static void a_table_that_leaves_is_passed_over_again(void **state)
{
    struct nw_table described;
    struct nw_dealer_join join = {.relation_oid = 100,
                                  .sinks = 3,
                                  .generation = 7,
                                  .from_lsn = 1500,
                                  .described = &described};
    struct nw_block *block = NULL;
    struct kit kit;

    (void)state;
    kit_init(&kit, 8, false);
    kit_know(&kit, 100);
    kit.waiting_oid = 100;
    described = *nw_schemas_find(kit.schemas, 100);
    for (uint32_t i = 0; i < 2; i++) {
        join.leaves = false;
        assert_int_equal(nw_dealer_join(kit.dealer, &join, &kit.err), NW_OK);
        kit_back(&kit, kit_expect(&kit, NW_BLOCK_COPY_BEGIN));
        kit_begin(&kit, 1500 + i * 100);
        kit_row(&kit, 100, 1);
        join.leaves = true;
        assert_int_equal(nw_dealer_join(kit.dealer, &join, &kit.err), NW_OK);
        kit_row(&kit, 100, 2);
        kit_commit(&kit, 1500 + i * 100);
        kit_flush(&kit);
        block = kit_expect(&kit, NW_BLOCK_CHANGES);
        assert_int_equal(block->frames_count, 1);
        kit_back(&kit, block);
        block = kit_expect(&kit, NW_BLOCK_COPY_END);
        assert_int_equal(block->mark.joining_sinks, 3);
        assert_int_equal(block->generation, 7);
        kit_back(&kit, block);
        assert_null(kit_next(&kit));
    }
    kit_fini(&kit);
}

/* Recorded before it can be reached, dealt before an epoch ends there; also of a table that only
 * its record names. */
static void a_drop_is_dealt_where_it_was_recorded_and_no_epoch_ends_before(void **state)
{
    const struct nw_table gone = {.relation_oid = 77, .schema_name = "s", .name = "gone"};
    struct kit kit;
    struct nw_block *block = NULL;

    (void)state;
    kit_init(&kit, 8, false);
    kit_know(&kit, 100);
    nw_dealer_advance(kit.dealer, 5000);
    assert_true(nw_dealer_dropped(kit.dealer, nw_schemas_find(kit.schemas, 100), 4000));
    assert_true(nw_dealer_stopping(kit.dealer)->dropped);
    assert_int_equal(nw_dealer_stopping(kit.dealer)->lsn, 5001); /* 5000 may be committed already */
    assert_int_equal(nw_dealer_drops_deal(kit.dealer, 5, &kit.err), NW_AGAIN);
    nw_dealer_reconnected(kit.dealer); /* the stream will not say it again */
    assert_non_null(nw_dealer_stopping(kit.dealer));
    assert_false(nw_dealer_dropped(kit.dealer, nw_schemas_find(kit.schemas, 100), 6000));
    assert_int_equal(nw_dealer_stopped(kit.dealer, NULL, &kit.err), NW_OK);
    assert_true(nw_dealer_dropped(kit.dealer, nw_schemas_find(kit.schemas, 100), 6000));
    assert_null(nw_dealer_stopping(kit.dealer)); /* once is enough */
    assert_int_equal(nw_dealer_drop_recorded(kit.dealer, &gone, 5002, &kit.err), NW_OK);
    assert_int_equal(nw_dealer_drops_deal(kit.dealer, 5, &kit.err), NW_OK);
    assert_null(kit_next(&kit));
    nw_dealer_advance(kit.dealer, 5001);
    assert_int_equal(nw_dealer_drops_deal(kit.dealer, 5, &kit.err), NW_OK);
    block = kit_expect(&kit, NW_BLOCK_EVENT);
    assert_int_equal(block->event.kind, NW_EVENT_DROP);
    assert_int_equal(block->event.lsn, 5001);
    assert_int_equal(block->event.commit_lsn, 5001);
    assert_int_equal(block->event.tables[0]->relation_oid, 100);
    assert_int_equal(kit_state(&kit).epoch_rows, 1);
    kit_back(&kit, block);
    nw_dealer_advance(kit.dealer, 5010);
    assert_int_equal(nw_dealer_drops_deal(kit.dealer, 5, &kit.err), NW_OK);
    block = kit_expect(&kit, NW_BLOCK_EVENT);
    assert_int_equal(block->event.lsn, 5002);
    assert_string_equal(block->event.tables[0]->name, "gone");
    kit_back(&kit, block);
    assert_int_equal(nw_dealer_drops_deal(kit.dealer, 5, &kit.err), NW_OK);
    assert_null(kit_next(&kit));
    assert_int_equal(nw_dealer_drop_recorded(kit.dealer, &gone, 9000, &kit.err), NW_OK);
    kit_fini(&kit); /* frees what was never due */
}

/* What an earlier run dealt of a transaction is not dealt; what it was told is said once. */
static void columns_are_looked_at_before_changes_that_were_dealt(void **state)
{
    static const struct wire_column past[2] = {{"id", 20, -1, true}, {"was", 25, -1, false}};
    struct nw_table described = kit_table(100);
    struct nw_block *block = NULL;
    struct kit kit;

    (void)state;
    kit_init(&kit, 8, false);
    kit_know(&kit, 100);
    nw_dealer_dealt(kit.dealer, 1000, 1);
    kit_begin(&kit, 1000);
    wire_clear(&kit.wire);
    wire_relation(&kit.wire, 0, 100, "t", 'd', past, 2);
    assert_int_equal(kit_take(&kit, 1), NW_AGAIN);
    assert_int_equal(nw_dealer_describe(kit.dealer, &described, &kit.err), NW_OK);
    assert_int_equal(kit_take(&kit, 1), NW_OK);
    kit_row(&kit, 100, 1);
    kit_row(&kit, 100, 2);
    nw_dealer_reconnected(kit.dealer);
    kit_begin(&kit, 1000);
    wire_clear(&kit.wire);
    wire_relation(&kit.wire, 0, 100, "t", 'd', past, 2);
    assert_int_equal(kit_take(&kit, 1), NW_OK); /* now it is known */
    kit_row(&kit, 100, 1);
    kit_row(&kit, 100, 2);
    kit_commit(&kit, 1000);
    kit_flush(&kit);
    kit_back(&kit, kit_expect(&kit, NW_BLOCK_EVENT));
    block = kit_expect(&kit, NW_BLOCK_CHANGES);
    assert_int_equal(block->frames_count, 1);
    assert_int_equal(block->frames[0].seq, 1);
    assert_string_equal(block->table->columns[1].name, "was");
    kit_back(&kit, block);
    kit_fini(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mark_lies_between_the_rows_before_and_behind_it),
        cmocka_unit_test(a_mark_does_not_pass_a_relation_message_that_waits),
        cmocka_unit_test(a_table_that_waits_comes_from_its_mark_on),
        cmocka_unit_test(a_table_that_leaves_is_passed_over_again),
        cmocka_unit_test(columns_are_looked_at_before_changes_that_were_dealt),
        cmocka_unit_test(a_drop_is_dealt_where_it_was_recorded_and_no_epoch_ends_before),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
