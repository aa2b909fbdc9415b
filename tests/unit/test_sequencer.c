/* SPDX-License-Identifier: Apache-2.0 */
/* The sequencer, its worker and the commit of epochs, against a model sink; on one thread. */
#include "sink_model.h"

static struct kit kit;

static void start(const struct nw_sink_ops *ops, uint32_t lanes, uint32_t workers)
{
    model_reset();
    kit_init(&kit, ops, lanes);
    assert_int_equal(kit_open(&kit, workers), NW_OK);
    kit_sequence(&kit);
}

static int finish(void **state)
{
    (void)state;
    kit_fini(&kit);
    assert_contract_kept();
    return 0;
}

static void rows_arrive_and_become_durable_with_their_epoch(void **state)
{
    (void)state;
    start(&model_ops, 2, 1);
    kit_row_one(&kit, 0, 1, 1000, 1);
    kit_row_one(&kit, 1, 1, 1010, 2);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(model.writes, 2); /* before the epoch ends */
    assert_int_equal(model.rows_stored, 0);
    assert_int_equal(kit.returned, 0); /* kept for a replay */
    kit_epoch_end(&kit, 1, 1100);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(model.rows_stored, 2);
    assert_int_equal(kit.durable_epoch, 1);
    assert_int_equal(kit.returned, 3);
    assert_int_equal(model.position_lsn[0], 1100);
}

static void items_of_one_producer_are_put_in_order_over_all_lanes(void **state)
{
    (void)state;
    start(&model_ops, 3, 1);
    kit.hold_next = true;
    kit_row_one(&kit, 0, 1, 1000, 1);
    for (int64_t id = 2; id < 40; id++) {
        kit_row_one(&kit, 0, 1, 1000 + (uint64_t)id, id);
    }
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(model.writes, 0);
    kit_release_late(&kit);
    kit_epoch_end(&kit, 1, 2000);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(model.rows_stored, 39);
    for (uint32_t i = 0; i < 39; i++) {
        assert_int_equal(model.rows[i].id, i + 1);
    }
}

static void one_lane_that_stands_still_does_not_stop_the_rings_of_the_others(void **state)
{
    (void)state;
    start(&model_ops, 4, 1);
    kit.hold_next = true;
    kit_row_one(&kit, 0, 1, 1000, 1);
    for (int64_t id = 2; id <= 4 * (int64_t)NW_BLOCKS_PER_PRODUCER; id++) {
        kit_row_one(&kit, 0, 1, 1000 + (uint64_t)id, id);
    }
    assert_int_equal(kit_run(&kit), NW_OK);
    for (uint32_t lane = 0; lane < 4; lane++) {
        assert_null(nw_spsc_peek(kit.in[lane])); /* all were taken into the window */
    }
    kit_release_late(&kit);
    kit_epoch_end(&kit, 1, 5000);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(model.rows_stored, 4 * NW_BLOCKS_PER_PRODUCER);
}

static void position_is_given_back_without_its_envelope(void **state)
{
    (void)state;
    start(&model_ops, 1, 1);
    assert_int_equal(kit.recovered.positions_count, 0);
    kit_row_one(&kit, 0, 1, 1000, 1);
    kit_epoch_end(&kit, 1, 1100);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(model.position_size[0], NW_ENVELOPE_SIZE + 4);
    kit_close(&kit);
    assert_int_equal(kit_open(&kit, 1), NW_OK);
    assert_int_equal(kit.recovered.positions_count, 1);
    assert_int_equal(kit.recovered.positions[0].lsn, 1100);
    assert_int_equal(kit.recovered.positions[0].size, 4);
    assert_memory_equal(kit.recovered.positions[0].bytes, "1100", 4);
}

static void second_life_drops_what_the_sink_has_already(void **state)
{
    (void)state;
    start(&model_ops, 2, 1);
    kit_row_one(&kit, 0, 1, 1000, 1);
    kit_epoch_end(&kit, 1, 1100);
    assert_int_equal(kit_run(&kit), NW_OK);
    kit_close(&kit);
    assert_int_equal(kit_open(&kit, 1), NW_OK);
    memset(kit.ordinals, 0, sizeof kit.ordinals);
    kit.durable_epoch = 0;
    kit_sequence(&kit);
    /* The source starts over: one old epoch, then a batch that spans the sink's position. */
    kit_row_one(&kit, 0, 1, 1000, 1);
    kit_epoch_end(&kit, 1, 1050);
    kit_batch(&kit, 0, 2,
              (const struct kit_row[]){{1000, 1, 9}, {1099, 0, 8}, {1100, 0, 2}, {1200, 0, 3}}, 4,
              true);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(kit.durable_epoch, 1); /* nothing was waiting: durable as it is */
    assert_int_equal(model.position_lsn[0], 1100);
    kit_epoch_end(&kit, 2, 1300);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(model.rows_stored, 3);
    assert_int_equal(model_count(0, 1), 1);
    assert_int_equal(model_count(0, 2), 1);
    assert_int_equal(model_count(0, 3), 1);
    assert_int_equal(kit.durable_epoch, 2);
}

static void an_older_epoch_never_takes_the_sinks_position_back(void **state)
{
    (void)state;
    start(&model_ops, 1, 1);
    kit_epoch_end(&kit, 1, 5000);
    assert_int_equal(kit_run(&kit), NW_OK);
    kit_close(&kit);
    assert_int_equal(kit_open(&kit, 1), NW_OK);
    memset(kit.ordinals, 0, sizeof kit.ordinals);
    kit.durable_epoch = 0;
    kit_sequence(&kit);
    kit_copy_mark(&kit, 1, 0, 1, 4000, false);
    assert_int_equal(kit_run(&kit), NW_OK);
    kit_epoch_end(&kit, 1, 4500);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(kit.durable_epoch, 0); /* the copy waits for an epoch that may be committed */
    assert_int_equal(model.position_lsn[0], 5000);
    kit_epoch_end(&kit, 2, 5000);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(kit.durable_epoch, 2);
    assert_int_equal(model.copies_count, 1);
}

static void epoch_of_a_copy_leaves_the_sinks_position_alone(void **state)
{
    (void)state;
    start(&model_ops, 1, 1);
    kit_epoch_end(&kit, 1, 5000);
    assert_int_equal(kit_run(&kit), NW_OK);
    kit_copy_mark(&kit, 1, 0, 1, 6000, false);
    kit_copy_rows(&kit, 1, 0, 1, (const struct kit_row[]){{6000, 0, 1}}, 1);
    assert_int_equal(kit_run(&kit), NW_OK);
    kit_epoch_end(&kit, 2, 0); /* no position */
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(kit.durable_epoch, 2);
    assert_int_equal(model.rows_stored, 1);
    kit_close(&kit);
    assert_int_equal(kit_open(&kit, 1), NW_OK);
    assert_int_equal(kit.recovered.positions[0].lsn, 5000);
    assert_memory_equal(kit.recovered.positions[0].bytes, "5000", 4);
    /* And after a restart too. */
    assert_int_equal(nw_sink_resolve(kit.sink, 100, 1, NW_COPY_DISCARD, &kit.err), NW_OK);
    memset(kit.ordinals, 0, sizeof kit.ordinals);
    kit.durable_epoch = 0;
    kit_sequence(&kit);
    kit_epoch_end(&kit, 1, 0);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(kit.durable_epoch, 1);
    assert_int_equal(model.position_lsn[0], 5000);
}

/* Plans that end in a replay, and how often the row may be there afterwards: once. */
static void every_lost_outcome_leaves_each_row_exactly_once(void **state)
{
    static const enum model_plan plans[] = {MODEL_NOT_COMMITTED, MODEL_UNKNOWN_DONE,
                                            MODEL_UNKNOWN_NOT_DONE, MODEL_RETRY_DONE};

    (void)state;
    for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++) {
        for (uint32_t workers = 1; workers <= 3; workers += 2) {
            start(&model_ops, 2, workers);
            kit_row_one(&kit, 0, 1, 1000, 1);
            kit_epoch_end(&kit, 1, 1100);
            assert_int_equal(kit_run(&kit), NW_OK);
            model.plan = plans[i];
            kit_row_one(&kit, 0, 2, 1200, 2);
            kit_row_one(&kit, 1, 2, 1210, 3);
            kit_epoch_end(&kit, 2, 1300);
            kit_row_one(&kit, 2, 3, 1400, 4);
            assert_int_equal(kit_run(&kit), NW_OK);
            assert_int_equal(model.recovers, 1); /* the pause is not over */
            assert_int_equal(kit_run_for(&kit, 200000000), NW_OK);
            assert_int_equal(model.recovers, 2);
            kit_epoch_end(&kit, 3, 1500);
            assert_int_equal(kit_run(&kit), NW_OK);
            assert_int_equal(model.rows_stored, 4);
            for (int64_t id = 1; id <= 4; id++) {
                assert_int_equal(model_count(0, id) + model_count(1, id) + model_count(2, id), 1);
            }
            assert_int_equal(kit.durable_epoch, 3);
            kit_fini(&kit);
            assert_contract_kept();
        }
    }
    start(&model_ops, 1, 1);
}

static void unknown_outcomes_are_told_apart_while_the_source_has_no_position(void **state)
{
    (void)state;
    for (int done = 0; done < 2; done++) {
        start(&model_ops, 1, 1);
        kit_copy_mark(&kit, 1, 0, 1, 1000, false);
        for (uint64_t epoch = 1; epoch <= 3; epoch++) {
            kit_copy_rows(&kit, 1, 0, 1, (const struct kit_row[]){{0, 0, (int64_t)epoch}}, 1);
            assert_int_equal(kit_run(&kit), NW_OK);
            model.plan = done ? MODEL_UNKNOWN_DONE : MODEL_UNKNOWN_NOT_DONE;
            kit_epoch_end(&kit, epoch, 0);
            assert_int_equal(kit_run_for(&kit, 300000000), NW_OK);
        }
        assert_int_equal(model.rows_stored, 3);
        assert_int_equal(kit.durable_epoch, 3);
        kit_fini(&kit);
        assert_contract_kept();
    }
    start(&model_ops, 1, 1);
}

static void failed_write_is_replayed_with_what_came_before_it_in_its_epoch(void **state)
{
    (void)state;
    start(&model_ops, 2, 2);
    kit_row_one(&kit, 0, 1, 1000, 1);
    kit_row_one(&kit, 1, 1, 1001, 2);
    kit_row_one(&kit, 2, 1, 1002, 3);
    model.write_fail_in = 3;
    model.write_status = NW_RETRY;
    kit_epoch_end(&kit, 1, 1100);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(model.rows_stored, 0);
    assert_int_equal(kit_run_for(&kit, 200000000), NW_OK);
    assert_int_equal(model.rows_stored, 3);
    assert_int_equal(model.tables, 6); /* all three are announced again */
    assert_int_equal(kit.durable_epoch, 1);
}

static void again_is_called_again_after_a_pause(void **state)
{
    (void)state;
    start(&model_ops, 1, 1);
    model.write_fail_in = 1;
    model.write_status = NW_AGAIN;
    model.plan = MODEL_AGAIN;
    kit_row_one(&kit, 0, 1, 1000, 1);
    kit_epoch_end(&kit, 1, 1100);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(model.agains, 1);
    assert_int_equal(kit_run_for(&kit, 100000000), NW_OK);
    assert_int_equal(model.agains, 2);
    assert_int_equal(model.recovers, 1);
    assert_int_equal(kit.durable_epoch, 1);
}

static void pauses_between_recovers_double_up_to_half_a_minute(void **state)
{
    struct nw_sink_status status;
    int64_t from;

    (void)state;
    start(&model_ops, 1, 1);
    model.plan = MODEL_UNKNOWN_NOT_DONE;
    model.recover_fails = 11;
    kit_epoch_end(&kit, 1, 1100);
    assert_int_equal(kit_run(&kit), NW_OK);
    nw_sink_status(kit.sink, &status);
    assert_int_equal(status.state, NW_SINK_STATE_RETRYING);
    assert_string_equal(status.reason, "NW2402 commit of epoch 1 has an unknown outcome");
    from = kit.now_ns;
    while (model.recovers < 6) {
        assert_int_equal(kit_run_for(&kit, 10000000), NW_OK);
    }
    assert_in_range(kit.now_ns - from, 3100000000, 3200000000); /* 100+200+400+800+1600 ms */
    while (model.recovers < 11) {
        assert_int_equal(kit_run_for(&kit, 10000000), NW_OK);
    }
    from = kit.now_ns;
    while (model.recovers < 13) {
        assert_int_equal(kit_run_for(&kit, 10000000), NW_OK);
    }
    assert_in_range(kit.now_ns - from, 60000000000 - 20000000, 60100000000);
    assert_int_equal(kit_run(&kit), NW_OK);
    nw_sink_status(kit.sink, &status);
    assert_int_equal(status.state, NW_SINK_STATE_RUNNING);
    assert_int_equal(status.epoch_durable, 1);
}

static void foreign_position_stops_the_run(void **state)
{
    (void)state;
    start(&model_ops, 1, 1);
    kit_epoch_end(&kit, 1, 1100);
    assert_int_equal(kit_run(&kit), NW_OK);
    model.lie = true;
    model.plan = MODEL_UNKNOWN_NOT_DONE;
    kit_epoch_end(&kit, 2, 1200);
    assert_int_equal(kit_run_for(&kit, 300000000), NW_FATAL);
    assert_non_null(strstr(kit.err.text, "another process writes to this sink"));
    assert_memory_equal(kit.err.text, "NW2406", 6);
}

static void refusals_stop_the_run_with_table_and_reason(void **state)
{
    struct nw_sink_status status;

    (void)state;
    start(&model_ops, 1, 1);
    model.write_fail_in = 1;
    model.write_status = NW_REJECT;
    kit_row_one(&kit, 2, 1, 1000, 1);
    assert_int_equal(kit_run(&kit), NW_REJECT);
    assert_string_equal(
        kit.err.text,
        "NW2403 sink model refuses rows of table public.t2: the write failed on purpose");
    nw_sink_status(kit.sink, &status);
    assert_int_equal(status.state, NW_SINK_STATE_STOPPED);
}

static void fatal_and_odd_answers_stop_the_run(void **state)
{
    static const enum model_plan plans[] = {MODEL_FATAL, MODEL_ODD, MODEL_REJECT};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        start(&model_ops, 1, 1);
        model.plan = plans[i];
        kit_epoch_end(&kit, 1, 1100);
        assert_int_equal(kit_run(&kit), plans[i] == MODEL_REJECT ? NW_REJECT : NW_FATAL);
        assert_memory_equal(kit.err.text, plans[i] == MODEL_ODD ? "NW2411" : "NW2401", 6);
        assert_int_equal(kit.durable_epoch, 0);
        kit_fini(&kit);
    }
    start(&model_ops, 1, 1);
}

static void late_answer_makes_all_epochs_up_to_it_durable(void **state)
{
    (void)state;
    start(&model_ops, 1, 1);
    model.plan = MODEL_PENDING;
    kit_row_one(&kit, 0, 1, 1000, 1);
    kit_epoch_end(&kit, 1, 1100);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(model.commits, 1);
    assert_int_equal(kit.durable_epoch, 0);
    kit_row_one(&kit, 0, 2, 1200, 2); /* one epoch ahead is allowed */
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(model.writes, 2);
    kit_epoch_end(&kit, 2, 1300);
    kit_row_one(&kit, 0, 3, 1400, 3); /* two are not */
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(model.writes, 2);
    assert_int_equal(model.commits, 1); /* one at a time */
    model_answer(1, NW_COMMITTED);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(kit.durable_epoch, 2);
    assert_int_equal(model.writes, 3);
}

static void late_answer_not_committed_replays(void **state)
{
    (void)state;
    start(&model_ops, 1, 3);
    model.plan = MODEL_PENDING;
    kit_row_one(&kit, 0, 1, 1000, 1);
    kit_epoch_end(&kit, 1, 1100);
    kit_row_one(&kit, 0, 2, 1200, 2);
    assert_int_equal(kit_run(&kit), NW_OK);
    model_answer(1, NW_NOT_COMMITTED);
    assert_int_equal(kit_run_for(&kit, 200000000), NW_OK);
    kit_epoch_end(&kit, 2, 1300);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(model_count(0, 1), 1);
    assert_int_equal(model_count(0, 2), 1);
    assert_int_equal(kit.durable_epoch, 2);
}

static void answer_of_a_former_try_is_not_taken_for_the_new_one(void **state)
{
    (void)state;
    start(&model_ops, 1, 1);
    model.plan = MODEL_PENDING;
    model.plan_stays = true;
    kit_row_one(&kit, 0, 1, 1000, 1);
    kit_epoch_end(&kit, 1, 1100);
    kit_row_one(&kit, 0, 2, 1200, 2);
    assert_int_equal(kit_run(&kit), NW_OK);
    model.write_fail_in = 1;
    model.write_status = NW_RETRY;
    kit_row_one(&kit, 0, 2, 1201, 3);
    assert_int_equal(kit_run(&kit), NW_OK);
    model.host->commit_done(model.host, 1, NW_COMMITTED, NULL); /* a lie from before recover() */
    assert_int_equal(kit_run_for(&kit, 200000000), NW_OK);
    assert_int_equal(model.commits, 2);
    assert_int_equal(kit.durable_epoch, 0);
    model.plan_stays = false;
    model.plan = MODEL_COMMIT;
    model_answer(1, NW_COMMITTED);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(kit.durable_epoch, 1);
}

static void late_sink_gets_waiting_epochs_as_one(void **state)
{
    (void)state;
    start(&model_ops, 2, 1);
    model.plan = MODEL_PENDING;
    kit_row_one(&kit, 0, 1, 1000, 1);
    kit_epoch_end(&kit, 1, 1100);
    assert_int_equal(kit_run(&kit), NW_OK);
    kit_row_one(&kit, 0, 2, 1200, 2);
    assert_int_equal(kit_run(&kit), NW_OK);
    for (uint64_t epoch = 2; epoch <= 20; epoch++) {
        kit_row_one(&kit, 0, epoch, 1200 + epoch * 10, (int64_t)epoch + 1);
        kit_epoch_end(&kit, epoch, 1205 + epoch * 10);
    }
    assert_int_equal(kit_run(&kit), NW_OK);
    model_answer(1, NW_COMMITTED);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(kit.durable_epoch, 20);
    assert_in_range(model.commits, 2, 4);
    assert_int_equal(model.rows_stored, 21);
}

static void sink_that_allows_no_epoch_ahead_gets_none(void **state)
{
    struct nw_sink_ops ops = model_ops;

    (void)state;
    ops.epochs_ahead_max = 0;
    start(&ops, 1, 1);
    model.plan = MODEL_PENDING;
    kit_row_one(&kit, 0, 1, 1000, 1);
    kit_epoch_end(&kit, 1, 1100);
    kit_row_one(&kit, 0, 2, 1200, 2);
    kit_epoch_end(&kit, 2, 1300);
    /* Both were there when the epoch began: they are one. */
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(model.writes, 2);
    kit_row_one(&kit, 0, 3, 1400, 3);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(model.writes, 2);
    model_answer(2, NW_COMMITTED);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(model.writes, 3);
    assert_int_equal(kit.durable_epoch, 2);
}

static void fence_drops_what_the_copy_has_and_no_more(void **state)
{
    (void)state;
    start(&model_ops, 2, 1);
    kit_copy_mark(&kit, 1, 0, 1, 2000, false);
    kit_copy_rows(&kit, 1, 0, 1, (const struct kit_row[]){{2000, 0, 1}, {2000, 0, 2}}, 2);
    kit_copy_mark(&kit, 1, 0, 1, 2000, true);
    assert_int_equal(kit_run(&kit), NW_OK);
    kit_batch(&kit, 0, 1, (const struct kit_row[]){{1900, 0, 1}, {1999, 0, 2}, {2000, 0, 3}}, 3,
              true);
    kit_row_one(&kit, 1, 1, 1900, 50); /* another table has no fence */
    kit_event(&kit, NW_EVENT_TRUNCATE, 1, 1950, (const uint32_t[]){0, 1}, 2);
    kit_event(&kit, NW_EVENT_TRUNCATE, 1, 1960, (const uint32_t[]){0}, 1);
    kit_epoch_end(&kit, 1, 2100);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(model.rows_stored, 4);
    assert_int_equal(model_count(0, 3), 1);
    assert_int_equal(model.events_count, 1);
    assert_int_equal(model.events[0].tables_count, 1);
    assert_int_equal(model.copies_count, 1);
    assert_true(model.copies[0].complete);
    assert_int_equal(model.copies[0].generation, 1);
}

static void fence_of_a_former_run_is_told_by_the_pipeline(void **state)
{
    (void)state;
    start(&model_ops, 1, 1);
    assert_int_equal(nw_sequencer_fence(kit.sequencer, 101, 3000, &kit.err), NW_OK);
    for (uint32_t oid = 5000; oid < 6000; oid++) { /* the table grows */
        assert_int_equal(nw_sequencer_fence(kit.sequencer, oid, oid, &kit.err), NW_OK);
    }
    kit_row_one(&kit, 1, 1, 2999, 1);
    kit_row_one(&kit, 1, 1, 3000, 2);
    kit_epoch_end(&kit, 1, 3100);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(model.rows_stored, 1);
    assert_int_equal(model_count(1, 2), 1);
    assert_int_equal(nw_sequencer_fence_of(kit.sequencer, 5999), 5999);
}

static void copy_that_a_recover_interrupts_is_resumed_without_doubles(void **state)
{
    (void)state;
    for (uint32_t when = 1; when <= 4; when++) {
        start(&model_ops, 2, 1);
        kit_copy_mark(&kit, 1, 0, 1, 2000, false);
        model.plan = when == 1 ? MODEL_UNKNOWN_NOT_DONE : MODEL_COMMIT;
        kit_epoch_end(&kit, 1, 0);
        assert_int_equal(kit_run_for(&kit, 200000000), NW_OK);
        kit_copy_rows(&kit, 1, 0, 1, (const struct kit_row[]){{2000, 0, 1}}, 1);
        assert_int_equal(kit_run(&kit), NW_OK);
        model.plan = when == 2 ? MODEL_UNKNOWN_DONE : MODEL_COMMIT;
        kit_epoch_end(&kit, 2, 0);
        assert_int_equal(kit_run_for(&kit, 200000000), NW_OK);
        kit_copy_rows(&kit, 1, 0, 1, (const struct kit_row[]){{2000, 0, 2}}, 1);
        assert_int_equal(kit_run(&kit), NW_OK);
        model.plan = when == 3 ? MODEL_NOT_COMMITTED : MODEL_COMMIT;
        kit_copy_mark(&kit, 1, 0, 1, 2000, true);
        assert_int_equal(kit_run(&kit), NW_OK);
        kit_epoch_end(&kit, 3, 2500);
        assert_int_equal(kit_run_for(&kit, 200000000), NW_OK);
        assert_int_equal(model.rows_stored, 2);
        assert_int_equal(model_count(0, 1), 1);
        assert_int_equal(model_count(0, 2), 1);
        assert_int_equal(model.copies_count, 1);
        assert_true(model.copies[0].complete);
        assert_int_equal(model.resolves, when == 2 || when == 3 ? 1 : 0);
        kit_fini(&kit);
        assert_contract_kept();
    }
    start(&model_ops, 1, 1);
}

static void verdict_of_the_start_is_repeated_after_a_recover(void **state)
{
    (void)state;
    start(&model_ops, 1, 1);
    kit_copy_mark(&kit, 1, 0, 1, 2000, false);
    kit_copy_rows(&kit, 1, 0, 1, (const struct kit_row[]){{2000, 0, 1}}, 1);
    assert_int_equal(kit_run(&kit), NW_OK);
    kit_epoch_end(&kit, 1, 0);
    assert_int_equal(kit_run(&kit), NW_OK);
    kit_close(&kit);
    assert_int_equal(kit_open(&kit, 1), NW_OK);
    assert_int_equal(kit.recovered.copies_count, 1);
    assert_false(kit.recovered.copies[0].complete);
    assert_int_equal(nw_sink_resolve(kit.sink, 100, 1, NW_COPY_DISCARD, &kit.err), NW_OK);
    assert_int_equal(model.rows_stored, 0);
    /* A sink that forgets the verdict unless it was committed. */
    model.copies[model.copies_count++] = (struct nw_copy_state){
        .relation_oid = 100, .generation = 1, .bytes = model.copy_bytes[0], .size = 4};
    memset(kit.ordinals, 0, sizeof kit.ordinals);
    kit.durable_epoch = 0;
    kit_sequence(&kit);
    kit_copy_mark(&kit, 1, 0, 2, 2200, false);
    model.plan = MODEL_NOT_COMMITTED;
    assert_int_equal(kit_run(&kit), NW_OK);
    kit_epoch_end(&kit, 1, 0);
    assert_int_equal(kit_run_for(&kit, 200000000), NW_OK);
    assert_int_equal(model.last_verdict, NW_COPY_DISCARD);
    assert_int_equal(model.copies_count, 1);
    assert_int_equal(model.copies[0].generation, 2);
}

static void total_order_is_delivered_in_runs(void **state)
{
    struct nw_sink_ops ops = model_ops;

    (void)state;
    ops.flags = NW_SINK_TOTAL_ORDER | NW_SINK_TRANSACTIONS;
    ops.workers_max = 1;
    start(&ops, 3, 1);
    kit_batch(&kit, 0, 1,
              (const struct kit_row[]){{1000, 0, 1}, {1000, 1, 2}, {1000, 4, 5}, {1200, 0, 7}}, 4,
              false);
    kit_batch(&kit, 1, 1, (const struct kit_row[]){{1000, 2, 3}, {1000, 3, 4}, {1300, 0, 8}}, 3,
              false);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(model.writes, 0); /* not complete yet */
    kit_batch(&kit, 2, 1, (const struct kit_row[]){{1100, 0, 6}}, 1, true);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(model.writes, 6);
    kit_batch(&kit, 0, 1, (const struct kit_row[]){{1400, 1, 10}}, 1, false);
    kit_batch(&kit, 1, 1, (const struct kit_row[]){{1400, 0, 9}}, 1, false);
    kit_event(&kit, NW_EVENT_COMMIT, 1, 1500, NULL, 0);
    kit_epoch_end(&kit, 1, 1600);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(model.rows_stored, 10);
    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(model.rows[i].id, i + 1);
    }
    assert_int_equal(model.rows[0].order, model.rows[1].order); /* one run, one call */
    assert_int_equal(model.events_count, 1);
}

/* A filter kept none of a block's rows, and that block was the last of its flush. */
static void a_batch_without_rows_ends_its_flush_all_the_same(void **state)
{
    struct nw_sink_ops ops = model_ops;

    (void)state;
    ops.flags = NW_SINK_TOTAL_ORDER;
    ops.workers_max = 1;
    start(&ops, 2, 1);
    for (uint64_t flush = 0; flush < 2000; flush++) { /* more than can lie between two cuts */
        kit_batch(&kit, 0, 1, (const struct kit_row[]){{1000 + flush, 0, (int64_t)flush + 1}}, 1,
                  false);
        kit_batch(&kit, 1, 1, NULL, 0, true);
        assert_int_equal(kit_run(&kit), NW_OK);
        assert_int_equal(model.writes, flush + 1);
    }
    kit_epoch_end(&kit, 1, 9000);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(model.rows_stored, 2000);
}

static void total_order_is_the_same_after_a_replay(void **state)
{
    struct nw_sink_ops ops = model_ops;

    (void)state;
    ops.flags = NW_SINK_TOTAL_ORDER;
    ops.workers_max = 1;
    start(&ops, 2, 1);
    for (uint64_t group = 0; group < 30; group++) {
        uint64_t lsn = 1000 + group * 10;

        kit_batch(&kit, 0, 1,
                  (const struct kit_row[]){{lsn, 0, (int64_t)group * 4},
                                           {lsn, 2, (int64_t)group * 4 + 2}},
                  2, false);
        kit_batch(&kit, 1, 1,
                  (const struct kit_row[]){{lsn, 1, (int64_t)group * 4 + 1},
                                           {lsn, 3, (int64_t)group * 4 + 3}},
                  2, true);
    }
    model.write_fail_in = 61;
    model.write_status = NW_RETRY;
    kit_epoch_end(&kit, 1, 2000);
    assert_int_equal(kit_run_for(&kit, 200000000), NW_OK);
    assert_int_equal(model.rows_stored, 120);
    for (uint32_t i = 0; i < 120; i++) {
        assert_int_equal(model.rows[i].id, i);
    }
}

static void events_go_where_they_belong_and_only_if_wanted(void **state)
{
    (void)state;
    start(&model_ops, 1, 4);
    kit_event(&kit, NW_EVENT_BEGIN, 1, 1000, NULL, 0); /* not asked for */
    kit_event(&kit, NW_EVENT_MESSAGE, 1, 1000, NULL, 0);
    kit_event(&kit, NW_EVENT_SCHEMA, 1, 1001, (const uint32_t[]){2}, 1);
    kit_event(&kit, NW_EVENT_TRUNCATE, 1, 1002, (const uint32_t[]){0, 1, 2, 3}, 4);
    kit_epoch_end(&kit, 1, 1100);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(kit.durable_epoch, 1);
    for (uint32_t i = 0, tables = 0; i < model.events_count; i++) {
        if (model.events[i].kind == NW_EVENT_MESSAGE) {
            assert_int_equal(model.events_worker[i], 0);
        } else if (model.events[i].kind == NW_EVENT_SCHEMA) {
            assert_int_equal(model.events_worker[i], nw_sequencer_shard(kit.sequencer, 102));
        } else {
            assert_int_equal(model.events[i].kind, NW_EVENT_TRUNCATE);
            tables += model.events[i].tables_count;
            assert_true(tables <= 4);
        }
    }
    assert_true(model.events_count >= 3);
}

static void value_without_exact_form_stops_a_sink_that_cannot_take_it(void **state)
{
    static const struct nw_exception nan = {.row = 0, .column = 1, .side = NW_AFTER, .size = 3};
    struct nw_sink_ops ops = model_ops;
    struct nw_item *item;

    (void)state;
    for (int takes = 0; takes < 2; takes++) {
        ops.flags = takes ? NW_SINK_EXCEPTIONS : 0;
        start(&ops, 1, 1);
        item = kit_rows(&kit, &kit_tables[1], 1, (const struct kit_row[]){{1000, 0, 1}}, 1, 0);
        item->as.batch.exceptions = &nan;
        item->as.batch.exceptions_count = 1;
        item->as.batch.exception_bytes = (const uint8_t *)"NaN";
        kit_push(&kit, item, NW_PRODUCER_STREAM);
        assert_int_equal(kit_run(&kit), takes ? NW_OK : NW_REJECT);
        if (!takes) {
            assert_non_null(strstr(kit.err.text, "public.t1, column note"));
            assert_memory_equal(kit.err.text, "NW2404", 6);
        }
        kit_fini(&kit);
        assert_contract_kept();
    }
    start(&model_ops, 1, 1);
}

static void status_shows_the_oldest_row_that_is_not_durable(void **state)
{
    struct nw_sink_status status;
    int64_t then;

    (void)state;
    start(&model_ops, 1, 1);
    nw_sink_status(kit.sink, &status);
    assert_int_equal(status.oldest_undurable_ns, 0);
    model.plan = MODEL_PENDING;
    then = kit.now_ns;
    kit_row_one(&kit, 0, 1, 1000, 1);
    kit.now_ns += 5;
    kit_row_one(&kit, 0, 1, 1001, 2);
    kit_epoch_end(&kit, 1, 1100);
    assert_int_equal(kit_run(&kit), NW_OK);
    kit.now_ns += 5;
    kit_row_one(&kit, 0, 2, 1200, 3);
    assert_int_equal(kit_run(&kit), NW_OK);
    nw_sink_status(kit.sink, &status);
    assert_int_equal(status.oldest_undurable_ns, then);
    assert_int_equal(status.epoch_received, 1);
    assert_int_equal(status.epoch_written, 1);
    assert_int_equal(status.epoch_durable, 0);
    assert_true(status.held_bytes > 0);
    model_answer(1, NW_COMMITTED);
    assert_int_equal(kit_run(&kit), NW_OK);
    nw_sink_status(kit.sink, &status);
    assert_int_equal(status.oldest_undurable_ns, then + 10);
    assert_int_equal(status.rows, 3);
    assert_int_equal(status.epoch_durable, 1);
}

static void lag_is_known_for_each_table(void **state)
{
    struct nw_sink_lag lags[8];
    int64_t then;

    (void)state;
    start(&model_ops, 1, 1);
    assert_int_equal(nw_sink_lags(kit.sink, lags, 8), 0);
    then = kit.now_ns;
    kit_row_one(&kit, 1, 1, 1000, 1);
    kit.now_ns += 7;
    kit_row_one(&kit, 2, 1, 1001, 2);
    kit_row_one(&kit, 1, 1, 1002, 3);
    assert_int_equal(kit_run_for(&kit, 600000000), NW_OK);
    assert_int_equal(nw_sink_lags(kit.sink, lags, 8), 2);
    assert_int_equal(lags[0].relation_oid, 101);
    assert_int_equal(lags[0].oldest_ns, then);
    assert_int_equal(lags[0].batches, 2);
    assert_int_equal(lags[1].relation_oid, 102);
    assert_int_equal(lags[1].oldest_ns, then + 7);
    assert_int_equal(nw_sink_lags(kit.sink, lags, 1), 1);
    kit_epoch_end(&kit, 1, 1100);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(nw_sink_lags(kit.sink, lags, 8), 0); /* at once */
}

#define CASE(name) cmocka_unit_test_teardown(name, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(rows_arrive_and_become_durable_with_their_epoch),
        CASE(items_of_one_producer_are_put_in_order_over_all_lanes),
        CASE(one_lane_that_stands_still_does_not_stop_the_rings_of_the_others),
        CASE(position_is_given_back_without_its_envelope),
        CASE(second_life_drops_what_the_sink_has_already),
        CASE(an_older_epoch_never_takes_the_sinks_position_back),
        CASE(epoch_of_a_copy_leaves_the_sinks_position_alone),
        CASE(every_lost_outcome_leaves_each_row_exactly_once),
        CASE(unknown_outcomes_are_told_apart_while_the_source_has_no_position),
        CASE(failed_write_is_replayed_with_what_came_before_it_in_its_epoch),
        CASE(again_is_called_again_after_a_pause),
        CASE(pauses_between_recovers_double_up_to_half_a_minute),
        CASE(foreign_position_stops_the_run),
        CASE(refusals_stop_the_run_with_table_and_reason),
        CASE(fatal_and_odd_answers_stop_the_run),
        CASE(late_answer_makes_all_epochs_up_to_it_durable),
        CASE(late_answer_not_committed_replays),
        CASE(answer_of_a_former_try_is_not_taken_for_the_new_one),
        CASE(late_sink_gets_waiting_epochs_as_one),
        CASE(sink_that_allows_no_epoch_ahead_gets_none),
        CASE(fence_drops_what_the_copy_has_and_no_more),
        CASE(fence_of_a_former_run_is_told_by_the_pipeline),
        CASE(copy_that_a_recover_interrupts_is_resumed_without_doubles),
        CASE(verdict_of_the_start_is_repeated_after_a_recover),
        CASE(total_order_is_delivered_in_runs),
        CASE(a_batch_without_rows_ends_its_flush_all_the_same),
        CASE(total_order_is_the_same_after_a_replay),
        CASE(events_go_where_they_belong_and_only_if_wanted),
        CASE(value_without_exact_form_stops_a_sink_that_cannot_take_it),
        CASE(lag_is_known_for_each_table),
        CASE(status_shows_the_oldest_row_that_is_not_durable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
