/* SPDX-License-Identifier: Apache-2.0 */
/* Copies in chunks: one begin, one end, and what a commit says of the chunks between. */
#include "sink_model.h"

#define FENCE 2000u

static struct kit kit;
static uint32_t round_chunks; /* that marks say */

static void start(void)
{
    model_reset();
    kit_init(&kit, &model_ops, 2);
    assert_int_equal(kit_open(&kit, 1), NW_OK);
    kit_sequence(&kit);
}

static int finish(void **state)
{
    (void)state;
    kit_fini(&kit);
    assert_contract_kept();
    return 0;
}

/* A mark of chunk `chunk` of three of table 0, from a reader of its own. */
static void mark(uint32_t generation, uint32_t chunk, bool ends)
{
    struct nw_copy_mark said = {
        .origin = {.fence_lsn = FENCE, .xmin = 700 + generation},
        .range = {100, chunk * 10, chunk == 2 ? NW_COPY_PAGE_END : (chunk + 1) * 10},
        .chunks_count = 3,
        .round_chunks = round_chunks};

    kit_chunk_mark(&kit, 1 + chunk, 0, generation, &said, ends);
}

static void row(uint32_t generation, uint32_t chunk, int64_t id)
{
    kit_copy_rows(&kit, 1 + chunk, 0, generation, (const struct kit_row[]){{FENCE, 0, id}}, 1);
}

static void commit(uint64_t epoch)
{
    assert_int_equal(kit_run(&kit), NW_OK);
    kit_epoch_end(&kit, epoch, 0);
    assert_int_equal(kit_run_for(&kit, 300000000), NW_OK);
    assert_int_equal(kit.durable_epoch, epoch);
}

static struct nw_copy_progress stored(void)
{
    const struct nw_copy_state *copy = &model.copies[0];
    struct nw_copy_progress progress;

    assert_int_equal(model.copies_count, 1);
    assert_int_equal(
        nw_copy_unpack((struct nw_bytes){copy->bytes, copy->size}, &progress, &kit.err), NW_OK);
    assert_int_equal(progress.origin.fence_lsn, FENCE);
    assert_int_equal(progress.chunks_count, 3);
    assert_int_equal(progress.complete, copy->complete);
    return progress;
}

static void chunks_of_several_readers_are_one_copy(void **state)
{
    (void)state;
    start();
    mark(1, 1, false);
    mark(1, 0, false);
    row(1, 0, 1);
    row(1, 1, 2);
    mark(1, 1, true);
    commit(1);
    assert_int_equal(model.begins, 1);
    assert_int_equal(stored().chunks_done, 1);
    assert_int_equal(stored().ranges[0].first_page, 10);
    mark(1, 0, true);
    commit(2);
    assert_int_equal(stored().chunks_done, 2);
    assert_int_equal(stored().ranges_count, 1);
    assert_int_equal(model.ends, 0);
    mark(1, 2, false);
    row(1, 2, 3);
    mark(1, 2, true);
    commit(3);
    assert_int_equal(model.begins, 1);
    assert_int_equal(model.ends, 1);
    assert_true(stored().complete);
    assert_int_equal(model.rows_stored, 3);
}

/* The sink fails at each commit in turn: what was durable of the chunks is said again with the
 * rest. */
static void progress_survives_a_recover(void **state)
{
    (void)state;
    for (uint64_t failing = 1; failing <= 3; failing++) {
        start();
        for (uint32_t chunk = 0; chunk < 3; chunk++) {
            mark(1, chunk, false);
            row(1, chunk, chunk);
            mark(1, chunk, true);
            model.plan = chunk + 1 == failing ? MODEL_NOT_COMMITTED : MODEL_COMMIT;
            commit(chunk + 1);
            assert_int_equal(stored().chunks_done, chunk + 1);
        }
        assert_true(stored().complete);
        assert_int_equal(model.rows_stored, 3);
        kit_fini(&kit);
        assert_contract_kept();
    }
    start();
}

static void a_newer_copy_takes_the_place_of_an_unfinished_one(void **state)
{
    (void)state;
    start();
    mark(1, 0, false);
    row(1, 0, 1);
    mark(1, 0, true);
    mark(1, 1, false);
    commit(1);
    mark(2, 0, false);
    row(1, 1, 7); /* of the former, still on its way */
    mark(1, 1, true);
    row(2, 0, 1);
    mark(2, 0, true);
    commit(2);
    assert_int_equal(model.begins, 2);
    assert_int_equal(model.copies[0].generation, 2);
    assert_int_equal(stored().chunks_done, 1);
    assert_int_equal(model_count(0, 7), 0);
    for (uint32_t chunk = 1; chunk < 3; chunk++) {
        mark(2, chunk, false);
        mark(2, chunk, true);
        commit(chunk + 2);
        assert_int_equal(stored().complete, chunk == 2); /* that of the former does not count */
    }
    assert_int_equal(model.ends, 1);
}

static void a_table_that_the_sink_has_is_not_copied_to_it(void **state)
{
    (void)state;
    start();
    assert_int_equal(nw_sequencer_fence(kit.sequencer, 100, FENCE, &kit.err), NW_OK);
    for (uint32_t chunk = 0; chunk < 3; chunk++) {
        mark(1, chunk, false);
        row(1, chunk, chunk);
        mark(1, chunk, true);
    }
    kit_copy_mark(&kit, 1, 1, 1, 2500, false);
    kit_copy_mark(&kit, 1, 1, 1, 2500, true);
    commit(1);
    assert_int_equal(model.begins, 1); /* the other table's */
    assert_int_equal(model.rows_stored, 0);
    assert_int_equal(nw_sequencer_fence_of(kit.sequencer, 100), FENCE);
    assert_int_equal(nw_sequencer_fence_of(kit.sequencer, 101), 2500);
}

/* Two chunks are durable when the process goes; the next one reads all again, fewer rows of those.
 */
static void a_copy_that_broke_off_is_gone_on_with(void **state)
{
    struct nw_copy_progress former = {.origin = {.fence_lsn = FENCE, .xmin = 701},
                                      .chunks_count = 7};

    (void)state;
    start();
    nw_copy_progress_add(&former, &(struct nw_copy_range){100, 0, 20});
    assert_int_equal(nw_sequencer_resume(kit.sequencer, 100, 1, &former, &kit.err), NW_OK);
    assert_int_equal(nw_sequencer_fence_of(kit.sequencer, 100), FENCE);
    mark(1, 2, false);
    row(1, 2, 3);
    mark(1, 2, true);
    commit(1);
    assert_int_equal(model.begins, 0);
    assert_int_equal(model_count(0, 3), 1);
    assert_int_equal(stored().origin.xmin, 701);
    assert_int_equal(stored().chunks_done, 1);
    assert_int_equal(stored().ranges_count, 1);
    assert_int_equal(stored().ranges[0].first_page, 0);
    assert_int_equal(stored().ranges[0].end_page, NW_COPY_PAGE_END);
    assert_false(stored().complete);
    for (uint32_t chunk = 0; chunk < 2; chunk++) {
        mark(1, chunk, false);
        mark(1, chunk, true);
    }
    commit(2);
    assert_true(stored().complete);
    assert_int_equal(model.ends, 1);
}

static void a_copy_that_broke_off_may_begin_again_all_the_same(void **state)
{
    struct nw_copy_progress former = {.origin = {.fence_lsn = FENCE - 5, .xmin = 3}};

    (void)state;
    start();
    nw_copy_progress_add(&former, &(struct nw_copy_range){100, 0, 20});
    assert_int_equal(nw_sequencer_resume(kit.sequencer, 100, 1, &former, &kit.err), NW_OK);
    mark(2, 1, false);
    mark(2, 1, true);
    commit(1);
    assert_int_equal(model.begins, 1);
    assert_int_equal(stored().ranges_count, 1);
    assert_int_equal(stored().ranges[0].first_page, 10);
    assert_int_equal(stored().origin.xmin, 702);
}

/* The stream's mark: table 0 is copied to these sinks. */
static void joins(uint32_t generation, uint32_t sinks)
{
    struct nw_copy_mark said = {.joining_sinks = sinks};

    kit_chunk_mark(&kit, NW_PRODUCER_STREAM, 0, generation, &said, false);
}

static void commit_at(uint64_t epoch, uint64_t lsn)
{
    assert_int_equal(kit_run(&kit), NW_OK);
    kit_epoch_end(&kit, epoch, lsn);
    assert_int_equal(kit_run_for(&kit, 300000000), NW_OK);
    assert_int_equal(kit.durable_epoch, epoch);
}

static void chunks(uint32_t generation, int64_t first_id)
{
    for (uint32_t chunk = 0; chunk < 3; chunk++) {
        mark(generation, chunk, false);
        row(generation, chunk, first_id + chunk);
        mark(generation, chunk, true);
    }
}

/* Its changes from the fence on come behind the copy, in the epoch of its end; others do not wait.
 */
static void what_the_stream_has_of_a_joining_table_waits_for_its_copy(void **state)
{
    struct nw_sink_status status;

    (void)state;
    start();
    kit_row_one(&kit, 0, 1, 1000, 1); /* it streamed already */
    joins(5, 1);
    kit_row_one(&kit, 0, 1, 1100, 2);
    kit_row_one(&kit, 1, 1, 1100, 3);
    commit_at(1, 1200);
    nw_sink_status(kit.sink, &status);
    assert_int_equal(status.joins_begun, 1);
    assert_int_equal(model.rows_stored, 2);
    assert_int_equal(model_count(0, 2), 0);
    assert_int_equal(model.begins, 1);
    assert_false(model.copies[0].complete);
    assert_int_equal(model.copies[0].generation, 5);

    kit_batch(&kit, 0, 2, (const struct kit_row[]){{FENCE - 1, 0, 4}, {FENCE, 0, 5}}, 2, true);
    kit_event(&kit, NW_EVENT_TRUNCATE, 2, FENCE - 1, (const uint32_t[]){0}, 1);
    kit_event(&kit, NW_EVENT_TRUNCATE, 2, FENCE + 1, (const uint32_t[]){0}, 1);
    kit_row_one(&kit, 0, 2, FENCE + 1, 6);
    chunks(5, 10);
    assert_int_equal(kit_run(&kit), NW_OK);
    kit_row_one(&kit, 0, 2, FENCE + 2, 7);
    commit_at(2, 3000);
    assert_int_equal(model.begins, 1);
    assert_int_equal(model.ends, 1);
    assert_true(stored().complete);
    assert_int_equal(model_count(0, 2), 0);
    assert_int_equal(model_count(0, 4), 0);
    for (int64_t id = 5; id <= 7; id++) {
        assert_int_equal(model_count(0, id), 1);
    }
    assert_int_equal(model.events_count, 1);
    assert_int_equal(model.events[0].commit_lsn, FENCE + 1);
    assert_int_equal(model.rows_stored, 2 + 3 + 3);
    assert_int_equal(model.rows[model.rows_stored - 1].id, 7);
    assert_int_equal(kit.made - kit.returned, 0);
}

/* The sink fails while the table's changes are held, and while they are committed with the copy. */
static void what_is_held_survives_a_recover(void **state)
{
    (void)state;
    for (uint64_t failing = 1; failing <= 3; failing++) {
        start();
        joins(5, 1);
        kit_event(&kit, NW_EVENT_TRUNCATE, 1, FENCE + 1, (const uint32_t[]){0}, 1);
        kit_row_one(&kit, 0, 1, FENCE + 1, 1);
        model.plan = failing == 1 ? MODEL_NOT_COMMITTED : MODEL_COMMIT;
        commit_at(1, FENCE + 2);
        chunks(5, 10);
        model.plan = failing == 2 ? MODEL_UNKNOWN_NOT_DONE : MODEL_COMMIT;
        commit_at(2, FENCE + 3);
        assert_true(stored().complete);
        assert_int_equal(model_count(0, 1), 1);
        assert_int_equal(model.events_count, failing == 2 ? 2 : 1);
        kit_row_one(&kit, 0, 3, FENCE + 4, 2);
        model.plan = failing == 3 ? MODEL_NOT_COMMITTED : MODEL_COMMIT;
        commit_at(3, FENCE + 5);
        assert_int_equal(model.rows_stored, 3 + 2);
        kit_fini(&kit);
        assert_contract_kept();
    }
    start();
}

/* A mark for others says nothing here, and their copy is not for this sink. */
static void a_table_joins_at_the_sinks_of_its_mark_alone(void **state)
{
    (void)state;
    start();
    assert_int_equal(nw_sequencer_fence(kit.sequencer, 100, 0, &kit.err), NW_OK);
    joins(5, 2);
    kit_row_one(&kit, 0, 1, FENCE - 1, 1);
    chunks(5, 10);
    kit_row_one(&kit, 0, 1, FENCE + 1, 2);
    commit_at(1, 3000);
    assert_int_equal(model.begins, 0);
    assert_int_equal(model.rows_stored, 2);
}

/* One of four chunks is of a table that the sink does not take: it counts all the same. */
static void the_commit_with_the_last_of_all_says_so(void **state)
{
    struct nw_copy_mark said = {.origin = {.fence_lsn = FENCE},
                                .range = {101, 0, NW_COPY_PAGE_END},
                                .chunks_count = 1,
                                .round_chunks = 4};

    (void)state;
    start();
    assert_int_equal(nw_sequencer_fence(kit.sequencer, 101, FENCE, &kit.err), NW_OK);
    round_chunks = 4;
    chunks(1, 10);
    commit(1);
    assert_true(stored().complete);
    assert_int_equal(model.given_flags, 0);
    kit_chunk_mark(&kit, 1, 1, 1, &said, false);
    kit_chunk_mark(&kit, 1, 1, 1, &said, true);
    model.plan = MODEL_NOT_COMMITTED;
    commit(2);
    assert_int_equal(model.given_flags, NW_COMMIT_COPIED);
    assert_int_equal(model.begins, 1);
    commit(3);
    assert_int_equal(model.given_flags, 0);
    round_chunks = 0;
}

/* It was rewritten while it was copied: another generation, under a later fence. */
static void a_joining_table_that_begins_again_goes_on_being_held(void **state)
{
    (void)state;
    start();
    joins(5, 1);
    mark(5, 0, false);
    row(5, 0, 10);
    mark(5, 0, true);
    kit_row_one(&kit, 0, 1, FENCE + 1, 1); /* before the later fence */
    commit_at(1, FENCE + 100);
    kit_copy_mark(&kit, 1, 0, 6, FENCE + 50, false);
    kit_copy_rows(&kit, 1, 0, 6, (const struct kit_row[]){{FENCE + 50, 0, 20}}, 1);
    kit_row_one(&kit, 0, 2, FENCE + 200, 2);
    commit_at(2, FENCE + 300);
    kit_copy_mark(&kit, 1, 0, 6, FENCE + 50, true);
    commit_at(3, FENCE + 301);
    assert_int_equal(model_count(0, 1), 0);
    assert_int_equal(model_count(0, 20), 1);
    assert_int_equal(model_count(0, 2), 1);
    assert_true(model.copies[0].complete);
    assert_int_equal(model.copies[0].generation, 6);
}

/* Nothing can set memory free but the copy's end, and that needs memory: the table stops. */
static void what_is_held_and_fills_the_memory_stops_its_table(void **state)
{
    const struct nw_table *refused = NULL;
    uint64_t lsn = 0;

    (void)state;
    start();
    joins(5, 1);
    commit_at(1, FENCE);
    for (uint32_t i = 0; i < 50; i++) {
        kit_row_one(&kit, 0, 2, FENCE + i, i);
    }
    assert_int_equal(kit_run(&kit), NW_OK);
    kit.budget.limit_bytes = kit.budget.used_bytes;
    assert_int_equal(kit_run_for(&kit, 4000000000), NW_OK);
    assert_int_equal(kit_run_for(&kit, 3000000000), NW_REJECT);
    refused = nw_sequencer_refused(kit.sequencer, &lsn);
    assert_non_null(refused);
    assert_int_equal(refused->relation_oid, 100);
    assert_non_null(strstr(kit.err.text, "50 of them"));
}

/* Rows that belong into one order are not parted by a copy that ends between them. */
static void a_copy_that_ends_inside_a_flush_waits_for_the_flush(void **state)
{
    (void)state;
    model_reset();
    kit_init(&kit, &model_ops, 1);
    kit.plugin.ops.flags |= NW_SINK_TOTAL_ORDER;
    assert_int_equal(kit_open(&kit, 1), NW_OK);
    kit_sequence(&kit);
    joins(5, 1);
    kit_row_one(&kit, 0, 1, FENCE + 1, 1);
    kit_batch(&kit, 1, 1, (const struct kit_row[]){{FENCE + 2, 0, 2}}, 1, false);
    assert_int_equal(kit_run(&kit), NW_OK);
    chunks(5, 10);
    assert_int_equal(kit_run(&kit), NW_OK);
    kit_batch(&kit, 0, 1, (const struct kit_row[]){{FENCE + 2, 1, 3}}, 1, true);
    commit_at(1, FENCE + 4);
    assert_int_equal(model.rows_stored, 3 + 3);
    assert_int_equal(model.rows[0].id, 2);
    assert_int_equal(model.rows[4].id, 1);
    assert_int_equal(model.rows[5].id, 3);
}

/* ---- tables that are behind: rows out of a backlog ---- */

static void backlog_row(uint32_t table, uint64_t epoch, uint64_t lsn, uint64_t seq, int64_t id)
{
    const struct kit_row row = {lsn, seq, id};
    struct nw_item *item = kit_rows(&kit, &kit_tables[table], epoch, &row, 1, 0);

    item->backlog_oid = kit_tables[table].relation_oid;
    item->cut = true;
    kit_push(&kit, item, NW_PRODUCER_STREAM);
}

/* An epoch's end that says this of tables. */
static void list_end(uint64_t epoch, uint64_t lsn, const struct nw_behind_list *list)
{
    static const struct nw_identity identity = {.slot_name = "narwal"};
    struct nw_item *item = kit_item(&kit, NW_ITEM_EPOCH_END, epoch, NULL, NW_POSITION_BYTES_MAX);
    uint8_t *bytes = (uint8_t *)(item + 1);

    item->as.position = (struct nw_position){
        .bytes = bytes, .size = nw_position_pack(&identity, lsn, list, bytes), .lsn = lsn};
    item->cut = true;
    kit_push(&kit, item, NW_PRODUCER_STREAM);
    assert_int_equal(kit_run_for(&kit, 300000000), NW_OK);
    assert_int_equal(kit.durable_epoch, epoch);
} /* NOLINT(clang-analyzer-unix.Malloc): the ring has it */

/* One that says how far a table is. */
static void behind_end(uint64_t epoch, uint64_t lsn, uint32_t table, struct nw_place place)
{
    const struct nw_behind_list list = {
        .count = 1, .tables = {{.relation_oid = kit_tables[table].relation_oid, .place = place}}};

    list_end(epoch, lsn, &list);
}

static struct nw_place stored_place(void)
{
    struct nw_behind_list list = model_behind();

    assert_int_equal(list.count, 1);
    return list.tables[0].place;
}

static void rows_of_a_backlog_come_whatever_the_position_is(void **state)
{
    (void)state;
    start();
    kit_row_one(&kit, 1, 1, 5000, 1);
    behind_end(1, 5001, 0, (struct nw_place){3000, 0});
    assert_int_equal(stored_place().commit_lsn, 3000);
    kit_close(&kit);
    assert_int_equal(kit_open(&kit, 1), NW_OK);
    memset(kit.ordinals, 0, sizeof kit.ordinals);
    kit.durable_epoch = 0;
    kit_sequence(&kit);
    assert_int_equal(nw_sequencer_behind(kit.sequencer, UINT32_MAX,
                                         &(struct nw_behind){100, {3000, 2}, false}, false,
                                         &kit.err),
                     NW_OK);
    backlog_row(0, 2, 2999, 0, 2); /* the sink has these three */
    backlog_row(0, 2, 3000, 0, 3);
    backlog_row(0, 2, 3000, 1, 4);
    backlog_row(0, 2, 3000, 2, 5);
    backlog_row(0, 2, 4000, 0, 6);
    backlog_row(1, 2, 4500, 0, 7); /* of this it has all that is before its position */
    kit_row_one(&kit, 0, 2, 4600, 8);
    behind_end(2, 5002, 0, (struct nw_place){2000, 0});
    assert_int_equal(model_count(0, 2) + model_count(0, 3) + model_count(0, 4), 0);
    assert_int_equal(model_count(0, 5), 1);
    assert_int_equal(model_count(0, 6), 1);
    assert_int_equal(model_count(1, 7), 0);
    assert_int_equal(model_count(0, 8), 0);            /* not out of the backlog */
    assert_int_equal(stored_place().commit_lsn, 3000); /* not less than it had */
    assert_int_equal(stored_place().seq, 2);
}

/* Other sinks get it: what the source says of itself does not name it. */
static void a_table_that_is_left_out_here_is_behind_until_it_is_copied(void **state)
{
    const struct nw_behind_list none = {.count = 0};

    (void)state;
    start();
    kit_row_one(&kit, 1, 1, 5000, 1);
    list_end(1, 5001, &none);
    assert_int_equal(model_behind().count, 0);
    kit_close(&kit);
    assert_int_equal(kit_open(&kit, 1), NW_OK);
    memset(kit.ordinals, 0, sizeof kit.ordinals);
    kit.durable_epoch = 0;
    kit_sequence(&kit);
    assert_int_equal(nw_sequencer_fence(kit.sequencer, 100, UINT64_MAX, &kit.err), NW_OK);
    kit_row_one(&kit, 0, 2, 6000, 2);
    list_end(2, 6001, &none);
    assert_int_equal(model_count(0, 2), 0);
    assert_int_equal(model_behind().tables[0].relation_oid, 100);
    assert_int_equal(stored_place().commit_lsn, 5001); /* where the sink was at its start */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(chunks_of_several_readers_are_one_copy, finish),
        cmocka_unit_test_teardown(progress_survives_a_recover, finish),
        cmocka_unit_test_teardown(a_newer_copy_takes_the_place_of_an_unfinished_one, finish),
        cmocka_unit_test_teardown(a_copy_that_broke_off_is_gone_on_with, finish),
        cmocka_unit_test_teardown(a_copy_that_broke_off_may_begin_again_all_the_same, finish),
        cmocka_unit_test_teardown(a_table_that_the_sink_has_is_not_copied_to_it, finish),
        cmocka_unit_test_teardown(what_the_stream_has_of_a_joining_table_waits_for_its_copy,
                                  finish),
        cmocka_unit_test_teardown(what_is_held_survives_a_recover, finish),
        cmocka_unit_test_teardown(a_table_joins_at_the_sinks_of_its_mark_alone, finish),
        cmocka_unit_test_teardown(the_commit_with_the_last_of_all_says_so, finish),
        cmocka_unit_test_teardown(a_joining_table_that_begins_again_goes_on_being_held, finish),
        cmocka_unit_test_teardown(what_is_held_and_fills_the_memory_stops_its_table, finish),
        cmocka_unit_test_teardown(a_copy_that_ends_inside_a_flush_waits_for_the_flush, finish),
        cmocka_unit_test_teardown(rows_of_a_backlog_come_whatever_the_position_is, finish),
        cmocka_unit_test_teardown(a_table_that_is_left_out_here_is_behind_until_it_is_copied,
                                  finish),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
