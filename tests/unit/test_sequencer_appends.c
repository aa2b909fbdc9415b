/* SPDX-License-Identifier: Apache-2.0 */
/* Sinks that keep what they have of a table that is copied again: what their positions say while
 * its changes wait, what comes behind the copy, and what becomes of it when there is none. */
#include "sink_model.h"

#define MARK  950u /* from here on table 0 waits */
#define FENCE 1000u

static struct kit kit;

static void create(void)
{
    memset(kit.ordinals, 0, sizeof kit.ordinals);
    kit.durable_epoch = 0;
    kit_sequence(&kit);
}

static void start_with(const struct nw_sink_ops *given)
{
    static struct nw_sink_ops ops;

    ops = *given;
    ops.flags |= NW_SINK_APPEND_ONLY;
    model_reset();
    kit_init(&kit, &ops, 2);
    assert_int_equal(kit_open(&kit, 1), NW_OK);
    create();
}

static void start(void)
{
    start_with(&model_ops);
}

static int finish(void **state)
{
    (void)state;
    kit_fini(&kit);
    assert_contract_kept();
    return 0;
}

static void joins(uint32_t table, uint64_t lsn)
{
    struct nw_copy_mark said = {.joining_sinks = 1, .place = {lsn, 2}};

    kit_chunk_mark(&kit, NW_PRODUCER_STREAM, table, 5, &said, false);
}

static void leaves(uint32_t table)
{
    struct nw_copy_mark said = {.joining_sinks = 1};

    kit_chunk_mark(&kit, NW_PRODUCER_STREAM, table, 5, &said, true);
}

static void copy_mark(uint32_t table, bool ends)
{
    kit_copy_mark(&kit, 1 + table, table, 5, FENCE, ends);
}

/* An epoch's end whose position says this of tables; it is not waited for. */
static void ends_saying(uint64_t epoch, uint64_t lsn, const struct nw_behind_list *list)
{
    static const struct nw_identity identity = {.slot_name = "narwal"};
    struct nw_item *item = kit_item(&kit, NW_ITEM_EPOCH_END, epoch, NULL, NW_POSITION_BYTES_MAX);
    uint8_t *bytes = (uint8_t *)(item + 1);

    item->as.position = (struct nw_position){
        .bytes = bytes, .size = nw_position_pack(&identity, lsn, list, bytes), .lsn = lsn};
    item->cut = true;
    kit_push(&kit, item, NW_PRODUCER_STREAM);
} /* NOLINT(clang-analyzer-unix.Malloc): the ring has it */

static void ends(uint64_t epoch, uint64_t lsn)
{
    const struct nw_behind_list none = {.count = 0};

    ends_saying(epoch, lsn, &none);
    assert_int_equal(kit_run_for(&kit, 300000000), NW_OK);
    assert_int_equal(kit.durable_epoch, epoch);
}

/* The position says of table 0, and no other, that it lacks what is from this LSN on. */
static void assert_lacks(uint64_t lsn, uint64_t seq)
{
    struct nw_behind_list list = model_behind();

    assert_int_equal(list.count, 1);
    assert_int_equal(list.tables[0].relation_oid, 100);
    assert_int_equal(list.tables[0].place.commit_lsn, lsn);
    assert_int_equal(list.tables[0].place.seq, seq);
    assert_true(list.tables[0].held);
}

/* ---- what the position says ---- */

static void a_position_says_from_where_on_a_table_waits(void **state)
{
    (void)state;
    start();
    joins(0, MARK);
    ends(1, MARK - 10);
    assert_int_equal(model_behind().count, 0); /* all of it is to come */
    kit_row_one(&kit, 0, 2, MARK + 5, 1);
    ends(2, MARK + 10);
    assert_lacks(MARK, 2);
    assert_int_equal(nw_sink_held_lsn(kit.sink), MARK);
    copy_mark(0, false);
    ends(3, MARK + 20);
    assert_lacks(MARK, 2);
    copy_mark(0, true);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(nw_sink_held_lsn(kit.sink), MARK); /* in the log, and not durable */
    ends(4, FENCE + 20);
    assert_int_equal(model_count(0, 1), 1);
    assert_int_equal(model_behind().count, 0);
    assert_true(nw_sink_held_lsn(kit.sink) == UINT64_MAX);
}

/* What waited goes into the epoch that is open when the copy's end comes. */
static void what_is_in_a_later_epoch_is_lacked_by_the_one_before_it(void **state)
{
    const struct nw_behind_list none = {.count = 0};

    (void)state;
    start();
    joins(0, MARK);
    ends(1, MARK - 10);
    kit_row_one(&kit, 0, 2, MARK + 5, 1);
    copy_mark(0, false);
    assert_int_equal(kit_run(&kit), NW_OK);
    ends_saying(2, MARK + 10, &none);
    copy_mark(0, true);
    assert_int_equal(kit_run_for(&kit, 300000000), NW_OK);
    assert_int_equal(kit.durable_epoch, 2);
    assert_int_equal(model_count(0, 1), 0);
    assert_lacks(MARK, 2);
    assert_int_equal(nw_sink_held_lsn(kit.sink), MARK);
    ends(3, FENCE + 20);
    assert_int_equal(model_count(0, 1), 1);
    assert_int_equal(model_behind().count, 0);
}

/* A copy that begins once more before that is durable is of a table that lacks as much. */
static void a_second_copy_lacks_what_the_first_did(void **state)
{
    struct nw_copy_mark again = {.joining_sinks = 1, .place = {FENCE + 30, 0}};

    (void)state;
    start();
    joins(0, MARK);
    ends(1, MARK - 10);
    kit_row_one(&kit, 0, 2, MARK + 5, 1);
    copy_mark(0, false);
    copy_mark(0, true);
    assert_int_equal(kit_run(&kit), NW_OK);
    kit_chunk_mark(&kit, NW_PRODUCER_STREAM, 0, 6, &again, false);
    ends(2, FENCE + 40);
    assert_lacks(MARK, 2);
    assert_int_equal(nw_sink_held_lsn(kit.sink), MARK);
}

/* It stopped while it waits: what is kept begins later than what it lacks. */
static void a_table_whose_changes_are_kept_lacks_what_waits_all_the_same(void **state)
{
    const struct nw_behind_list kept = {.count = 1, .tables = {{100, {MARK + 5, 0}, false}}};
    const struct nw_behind_list less = {.count = 1, .tables = {{100, {MARK - 5, 0}, false}}};

    (void)state;
    start();
    joins(0, MARK);
    ends(1, MARK - 10);
    ends_saying(2, MARK + 10, &kept);
    assert_int_equal(kit_run_for(&kit, 300000000), NW_OK);
    assert_lacks(MARK, 2);
    ends_saying(3, MARK + 20, &less);
    assert_int_equal(kit_run_for(&kit, 300000000), NW_OK);
    assert_int_equal(model_behind().count, 1);
    assert_int_equal(model_behind().tables[0].place.commit_lsn, MARK - 5);
}

/* ---- after a start ---- */

/* The sink has all before 1000, but of table 0. */
static void start_lacking(uint64_t lsn)
{
    const struct nw_behind behind = {100, {lsn, 1}, true};

    start();
    kit_row_one(&kit, 1, 1, 990, 1);
    ends(1, 1000);
    kit_close(&kit);
    assert_int_equal(kit_open(&kit, 1), NW_OK);
    create();
    assert_int_equal(nw_sequencer_behind(kit.sequencer, UINT32_MAX, &behind, true, &kit.err),
                     NW_OK);
}

static void a_table_that_waited_is_told_of_until_it_is_level_with_the_others(void **state)
{
    (void)state;
    start_lacking(900);
    assert_int_equal(nw_sink_held_lsn(kit.sink), 900);
    kit_row_one(&kit, 0, 2, 899, 1);
    kit_batch(&kit, 0, 2, (const struct kit_row[]){{900, 0, 2}, {900, 1, 3}}, 2, true);
    kit_row_one(&kit, 0, 2, 940, 4);
    kit_row_one(&kit, 1, 2, 940, 5);
    ends(2, 1000);
    assert_int_equal(model_count(0, 1) + model_count(0, 2) + model_count(1, 5), 0);
    assert_int_equal(model_count(0, 3) + model_count(0, 4), 2);
    assert_int_equal(nw_sink_held_lsn(kit.sink), 900);
    ends(3, 1001);
    assert_int_equal(model_behind().count, 0);
    assert_true(nw_sink_held_lsn(kit.sink) == UINT64_MAX);
}

/* A commit of copies alone says what the last one did. */
static void a_commit_without_a_position_says_that_it_lacks_as_much(void **state)
{
    (void)state;
    start_lacking(900);
    kit_copy_mark(&kit, 1, 2, 5, FENCE, false);
    kit_copy_mark(&kit, 1, 2, 5, FENCE, true);
    assert_int_equal(kit_run(&kit), NW_OK);
    kit_epoch_end(&kit, 2, 0);
    assert_int_equal(kit_run_for(&kit, 300000000), NW_OK);
    assert_int_equal(kit.durable_epoch, 2);
    assert_lacks(900, 1);
}

/* A copy that begins meanwhile must not say that it lacks less. */
static void a_mark_before_it_is_level_holds_from_there(void **state)
{
    (void)state;
    start_lacking(900);
    joins(0, 920);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(nw_sink_held_lsn(kit.sink), 900);
    kit_row_one(&kit, 0, 2, 930, 4);
    ends(2, 1000);
    assert_lacks(920, 2); /* what was before it came */
    ends(3, 1001);
    assert_lacks(920, 2);
    assert_int_equal(nw_sink_held_lsn(kit.sink), 920);
    copy_mark(0, false);
    copy_mark(0, true);
    assert_int_equal(kit_run(&kit), NW_OK);
    ends(4, 1010);
    assert_int_equal(model_count(0, 4), 1);
    assert_int_equal(model_behind().count, 0);
}

/* It stopped since: what is kept of it the sink does not have, however level it is with the rest.
 */
static void one_that_waited_and_is_kept_now_is_not_taken_for_level(void **state)
{
    const struct nw_behind_list early = {.count = 1, .tables = {{100, {950, 0}, false}}};
    const struct nw_behind_list late = {.count = 1, .tables = {{100, {1500, 0}, false}}};

    (void)state;
    start_lacking(900);
    ends_saying(2, 1000, &early);
    assert_int_equal(kit_run_for(&kit, 300000000), NW_OK);
    assert_int_equal(model_behind().count, 1);
    assert_int_equal(model_behind().tables[0].place.commit_lsn, 950);
    ends(3, 1001);
    assert_int_equal(model_behind().count, 0);
    ends_saying(4, 2000, &late);
    assert_int_equal(kit_run_for(&kit, 300000000), NW_OK);
    assert_int_equal(model_behind().count, 1);
    assert_int_equal(model_behind().tables[0].place.commit_lsn, 1500);
    assert_false(model_behind().tables[0].held);
}

/* ---- more tables than a position has room for ---- */

#define MANY 60u /* as many as the model knows, nearly */

static struct nw_table many[MANY];

/* What it says of copies is more than the model remembers. */
static nw_status many_commit(void *self, const struct nw_commit *commit, enum nw_outcome *outcome,
                             struct nw_error *err)
{
    struct nw_commit less = *commit;

    less.copies_count = 0;
    return model_commit(self, &less, outcome, err);
}

/* Each waits from a place of its own on, the first from the lowest. */
static void many_join(uint32_t count)
{
    struct nw_sink_ops ops = model_ops;

    ops.commit = many_commit;
    start_with(&ops);
    for (uint32_t i = 0; i < count; i++) {
        struct nw_item *item = NULL;

        many[i] = kit_tables[0];
        many[i].relation_oid = 1000 + i;
        item = kit_item(&kit, NW_ITEM_COPY_BEGIN, 0, &many[i], 0);
        item->generation = 5;
        item->as.mark = (struct nw_copy_mark){.joining_sinks = 1, .place = {900 + i, 0}};
        item->cut = true;
        kit_push(&kit, item, NW_PRODUCER_STREAM);
        assert_int_equal(kit_run(&kit), NW_OK);
    }
    ends(1, 890);
    assert_int_equal(model_behind().count, 0); /* it has nothing of what they lack */
}

/* A commit whose position says something of so many others already. */
static void many_end(uint32_t others)
{
    struct nw_behind_list list = {.count = others};

    for (uint32_t i = 0; i < others; i++) {
        list.tables[i] = (struct nw_behind){7 + i, {850, 3}, false};
    }
    ends_saying(2, 2000, &list);
    assert_int_equal(kit_run_for(&kit, 300000000), NW_OK);
    assert_int_equal(kit.durable_epoch, 2);
    assert_int_equal(nw_sink_held_lsn(kit.sink), 900);
}

static void as_many_as_a_position_holds_are_said_one_by_one(void **state)
{
    struct nw_behind_list list;

    (void)state;
    many_join(MANY);
    many_end(NW_BEHIND_MAX - MANY);
    list = model_behind();
    assert_int_equal(list.count, NW_BEHIND_MAX);
    for (uint32_t i = NW_BEHIND_MAX - MANY; i < list.count; i++) {
        assert_int_equal(list.tables[i].place.commit_lsn, list.tables[i].relation_oid - 100);
        assert_true(list.tables[i].held);
    }
}

/* So nothing of any is passed over, and of some more comes than they lack. */
static void more_than_it_holds_share_the_lowest_place(void **state)
{
    const uint32_t others = NW_BEHIND_MAX - MANY + 1;
    struct nw_behind_list list;

    (void)state;
    many_join(MANY);
    many_end(others);
    list = model_behind();
    assert_int_equal(list.count, others + 1);
    for (uint32_t i = 0; i < others; i++) { /* of which it says what it did */
        assert_int_equal(list.tables[i].relation_oid, 7 + i);
        assert_int_equal(list.tables[i].place.commit_lsn, 850);
        assert_false(list.tables[i].held);
    }
    assert_int_equal(list.tables[others].relation_oid, NW_BEHIND_UNFINISHED);
    assert_int_equal(list.tables[others].place.commit_lsn, 900);
    assert_true(list.tables[others].held);
}

/* ---- what comes behind a copy, or without one ---- */

static void what_waits_for_a_copy_that_is_given_up_goes_to_the_sink(void **state)
{
    struct nw_sink_status status;

    (void)state;
    start();
    joins(0, MARK);
    ends(1, MARK - 10);
    kit_row_one(&kit, 0, 2, MARK + 5, 1);
    copy_mark(0, false);
    kit_copy_rows(&kit, 1, 0, 5, (const struct kit_row[]){{FENCE, 0, 50}}, 1);
    assert_int_equal(kit_run(&kit), NW_OK);
    leaves(0);
    ends(2, MARK + 10);
    kit_copy_rows(&kit, 1, 0, 5, (const struct kit_row[]){{FENCE, 1, 51}}, 1);
    copy_mark(0, true); /* its readers do not know yet */
    kit_row_one(&kit, 0, 3, MARK + 15, 2);
    ends(3, FENCE + 10);
    assert_int_equal(model_count(0, 1), 1);
    assert_int_equal(model_count(0, 2), 1);
    assert_int_equal(model_count(0, 51), 0);
    nw_sink_status(kit.sink, &status);
    assert_int_equal(status.copies, 0);
    assert_int_equal(model_behind().count, 0);
    assert_true(nw_sink_held_lsn(kit.sink) == UINT64_MAX);
}

/* Rows that a copy has which was made anew since: they are mended by what the stream has. */
static void all_since_the_mark_comes_whatever_the_snapshot_has(void **state)
{
    (void)state;
    start();
    joins(0, MARK);
    kit_row_one(&kit, 0, 1, MARK - 1, 1); /* has another place in the stream, behind the mark */
    ends(1, MARK - 1);
    kit_row_one(&kit, 0, 2, MARK, 2);
    kit_event(&kit, NW_EVENT_TRUNCATE, 2, MARK + 1, (const uint32_t[]){0}, 1);
    kit_row_one(&kit, 0, 2, FENCE - 1, 3);
    copy_mark(0, false);
    copy_mark(0, true);
    assert_int_equal(kit_run(&kit), NW_OK);
    ends(2, FENCE + 10);
    assert_int_equal(model_count(0, 1), 0);
    assert_int_equal(model_count(0, 2), 1);
    assert_int_equal(model_count(0, 3), 1);
    assert_int_equal(model.events_count, 1);
    assert_int_equal(model.events_order[0], 1); /* between them */
}

/* The part of a table whose copy has the truncate is not sent with the others. */
static void a_truncate_is_split_by_what_each_table_has(void **state)
{
    (void)state;
    start();
    assert_int_equal(nw_sequencer_fence(kit.sequencer, 101, FENCE, &kit.err), NW_OK);
    joins(0, MARK);
    ends(1, MARK - 10);
    kit_event(&kit, NW_EVENT_TRUNCATE, 2, MARK + 1, (const uint32_t[]){0, 1, 2}, 3);
    ends(2, MARK + 10);
    assert_int_equal(model.events_count, 1); /* of table 2 */
    copy_mark(0, false);
    copy_mark(0, true);
    assert_int_equal(kit_run(&kit), NW_OK);
    ends(3, FENCE + 10);
    assert_int_equal(model.events_count, 2); /* and of table 0, behind its copy */
}

/* ---- a table that stops ---- */

static void a_table_whose_rows_are_refused_stopped_where_it_began_to_wait(void **state)
{
    const struct nw_table *refused = NULL;
    uint64_t lsn = 0;

    (void)state;
    start();
    joins(0, MARK);
    ends(1, MARK - 10);
    kit_row_one(&kit, 0, 2, MARK + 5, 7);
    ends(2, MARK + 10);
    model.refuses = 7;
    copy_mark(0, false);
    copy_mark(0, true);
    assert_int_equal(kit_run(&kit), NW_REJECT);
    refused = nw_sequencer_refused(kit.sequencer, &lsn);
    assert_non_null(refused);
    assert_int_equal(refused->relation_oid, 100);
    assert_int_equal(lsn, MARK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_position_says_from_where_on_a_table_waits, finish),
        cmocka_unit_test_teardown(what_is_in_a_later_epoch_is_lacked_by_the_one_before_it, finish),
        cmocka_unit_test_teardown(a_second_copy_lacks_what_the_first_did, finish),
        cmocka_unit_test_teardown(a_table_whose_changes_are_kept_lacks_what_waits_all_the_same,
                                  finish),
        cmocka_unit_test_teardown(a_table_that_waited_is_told_of_until_it_is_level_with_the_others,
                                  finish),
        cmocka_unit_test_teardown(a_commit_without_a_position_says_that_it_lacks_as_much, finish),
        cmocka_unit_test_teardown(a_mark_before_it_is_level_holds_from_there, finish),
        cmocka_unit_test_teardown(one_that_waited_and_is_kept_now_is_not_taken_for_level, finish),
        cmocka_unit_test_teardown(as_many_as_a_position_holds_are_said_one_by_one, finish),
        cmocka_unit_test_teardown(more_than_it_holds_share_the_lowest_place, finish),
        cmocka_unit_test_teardown(what_waits_for_a_copy_that_is_given_up_goes_to_the_sink, finish),
        cmocka_unit_test_teardown(all_since_the_mark_comes_whatever_the_snapshot_has, finish),
        cmocka_unit_test_teardown(a_truncate_is_split_by_what_each_table_has, finish),
        cmocka_unit_test_teardown(a_table_whose_rows_are_refused_stopped_where_it_began_to_wait,
                                  finish),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
