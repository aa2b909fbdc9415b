/* SPDX-License-Identifier: Apache-2.0 */
/* The sequencer with several workers, against a model sink; stepped on one thread. */
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

static void tables_keep_their_worker_and_their_order(void **state)
{
    (void)state;
    start(&model_ops, 3, 4);
    for (uint64_t i = 0; i < 200; i++) {
        kit_row_one(&kit, (uint32_t)(i % KIT_TABLES), 1 + i / 50, 1000 + i, (int64_t)i);
        if (i % 50 == 49) {
            kit_epoch_end(&kit, 1 + i / 50, 1001 + i);
            assert_int_equal(kit_run(&kit), NW_OK);
        }
    }
    assert_int_equal(model.rows_stored, 200);
    for (uint32_t i = 0; i < 200; i++) {
        for (uint32_t j = i + 1; j < 200; j++) {
            if (model.rows[i].oid == model.rows[j].oid) {
                assert_int_equal(model.rows[i].worker, model.rows[j].worker);
                assert_true(model.rows[i].id < model.rows[j].id);
                break;
            }
        }
    }
    assert_int_equal(model.commits, 4); /* once for the sink, not for each worker */
}

static void workers_that_committed_alone_get_only_what_they_lack(void **state)
{
    uint32_t only;

    (void)state;
    start(&model_ops, 2, 4);
    model.per_worker_positions = true;
    for (uint32_t t = 0; t < KIT_TABLES; t++) {
        kit_row_one(&kit, t, 1, 1000 + t, (int64_t)t);
    }
    kit_epoch_end(&kit, 1, 1100);
    assert_int_equal(kit_run(&kit), NW_OK);
    /* A first recover tells the host that there is a position for each worker. */
    model.plan = MODEL_UNKNOWN_NOT_DONE;
    kit_epoch_end(&kit, 2, 1200);
    assert_int_equal(kit_run_for(&kit, 200000000), NW_OK);
    assert_int_equal(kit.durable_epoch, 2);
    only = nw_sequencer_shard(kit.sequencer, 100);
    model.plan = MODEL_UNKNOWN_DONE;
    model.only_worker = only + 1;
    for (uint32_t t = 0; t < KIT_TABLES; t++) {
        kit_row_one(&kit, t, 3, 1300 + t, 10 + (int64_t)t);
    }
    kit_epoch_end(&kit, 3, 1400);
    assert_int_equal(kit_run(&kit), NW_OK);
    model.only_worker = 0;
    assert_int_equal(kit_run_for(&kit, 200000000), NW_OK);
    assert_int_equal(kit.durable_epoch, 3);
    for (uint32_t t = 0; t < KIT_TABLES; t++) {
        assert_int_equal(model_count(t, 10 + (int64_t)t), 1);
    }
    assert_int_equal(model.given_count, 4);
}

static void worker_that_is_epochs_ahead_is_not_taken_back_by_a_smaller_commit(void **state)
{
    uint64_t commits;

    (void)state;
    start(&model_ops, 2, 4);
    model.per_worker_positions = true;
    model.plan = MODEL_UNKNOWN_NOT_DONE;
    kit_epoch_end(&kit, 1, 1100);
    assert_int_equal(kit_run_for(&kit, 200000000), NW_OK);
    assert_int_equal(kit.durable_epoch, 1);
    /* Epochs 2 to 4 are committed as one, by one worker alone. */
    model.plan = MODEL_UNKNOWN_DONE;
    model.only_worker = nw_sequencer_shard(kit.sequencer, 100) + 1;
    for (uint64_t epoch = 2; epoch <= 4; epoch++) {
        for (uint32_t t = 0; t < KIT_TABLES; t++) {
            kit_row_one(&kit, t, epoch, 1100 + epoch * 10, (int64_t)epoch);
        }
        kit_epoch_end(&kit, epoch, 1105 + epoch * 10);
    }
    assert_int_equal(kit_run(&kit), NW_OK);
    model.only_worker = 0;
    commits = model.commits;
    assert_int_equal(kit_run_for(&kit, 400000000), NW_OK);
    assert_int_equal(kit.durable_epoch, 4);
    assert_int_equal(model.commits, commits + 1); /* at once to where that worker is */
    assert_int_equal(model.rows_stored, 3 * KIT_TABLES);
}

static void workers_at_different_positions_are_filtered_apart_after_a_restart(void **state)
{
    uint32_t only;

    (void)state;
    start(&model_ops, 1, 4);
    model.per_worker_positions = true;
    kit_epoch_end(&kit, 1, 1000);
    assert_int_equal(kit_run(&kit), NW_OK);
    kit_close(&kit);
    assert_int_equal(kit_open(&kit, 4), NW_OK);
    assert_int_equal(kit.recovered.positions_count, 4);
    memset(kit.ordinals, 0, sizeof kit.ordinals);
    kit.durable_epoch = 0;
    kit_sequence(&kit);
    only = nw_sequencer_shard(kit.sequencer, 100);
    model.plan = MODEL_UNKNOWN_DONE;
    model.only_worker = only + 1;
    for (uint32_t t = 0; t < KIT_TABLES; t++) {
        kit_row_one(&kit, t, 1, 1100 + t, (int64_t)t);
    }
    kit_epoch_end(&kit, 1, 1200);
    assert_int_equal(kit_run(&kit), NW_OK);
    model.only_worker = 0;
    kit_close(&kit); /* the process ends before recover */
    assert_int_equal(kit_open(&kit, 4), NW_OK);
    assert_int_equal(kit.recovered.positions[only].lsn, 1200);
    assert_int_equal(kit.recovered.positions[(only + 1) % 4].lsn, 1000);
    memset(kit.ordinals, 0, sizeof kit.ordinals);
    kit_sequence(&kit);
    for (uint32_t t = 0; t < KIT_TABLES; t++) {
        kit_row_one(&kit, t, 1, 1100 + t, (int64_t)t);
    }
    kit_epoch_end(&kit, 1, 1150);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(model.position_lsn[only], 1200); /* not taken back */
    kit_epoch_end(&kit, 2, 1300);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(model.rows_stored, KIT_TABLES);
    for (uint32_t t = 0; t < KIT_TABLES; t++) {
        assert_int_equal(model_count(t, (int64_t)t), 1);
    }
}

/* The first commit of all: one worker's happened, and then the process ended. */
static void workers_without_a_position_begin_at_the_beginning(void **state)
{
    uint32_t only;

    (void)state;
    start(&model_ops, 1, 4);
    model.per_worker_positions = true;
    only = nw_sequencer_shard(kit.sequencer, 100);
    model.plan = MODEL_UNKNOWN_DONE;
    model.only_worker = only + 1;
    for (uint32_t t = 0; t < KIT_TABLES; t++) {
        kit_row_one(&kit, t, 1, 1100 + t, (int64_t)t);
    }
    kit_epoch_end(&kit, 1, 1200);
    assert_int_equal(kit_run(&kit), NW_OK);
    model.only_worker = 0;
    kit_close(&kit);
    assert_int_equal(kit_open(&kit, 4), NW_OK);
    assert_int_equal(kit.recovered.positions_count, 4);
    assert_int_equal(kit.recovered.positions[only].lsn, 1200);
    assert_int_equal(kit.recovered.positions[(only + 1) % 4].size, 0);
    memset(kit.ordinals, 0, sizeof kit.ordinals);
    kit.durable_epoch = 0;
    kit_sequence(&kit);
    for (uint32_t t = 0; t < KIT_TABLES; t++) {
        kit_row_one(&kit, t, 1, 1100 + t, (int64_t)t);
    }
    kit_epoch_end(&kit, 1, 1200);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(model.rows_stored, KIT_TABLES);
    for (uint32_t t = 0; t < KIT_TABLES; t++) {
        assert_int_equal(model_count(t, (int64_t)t), 1);
    }
}

static void another_number_of_workers_needs_equal_positions(void **state)
{
    (void)state;
    start(&model_ops, 1, 4);
    model.per_worker_positions = true;
    kit_epoch_end(&kit, 1, 1000);
    assert_int_equal(kit_run(&kit), NW_OK);
    kit_close(&kit);
    assert_int_equal(kit_open(&kit, 2), NW_OK);
    assert_int_equal(kit.recovered.positions_count, 2);
    kit_close(&kit);
    model.position[1][17]++;
    assert_int_equal(kit_open(&kit, 2), NW_FATAL);
    assert_non_null(strstr(kit.err.text, "run once with workers: 4"));
    assert_memory_equal(kit.err.text, "NW2407", 6);
    model.positions_count = 0;
    kit_close(&kit);
    assert_int_equal(kit_open(&kit, 1), NW_OK);
}

#define CASE(name) cmocka_unit_test_teardown(name, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(tables_keep_their_worker_and_their_order),
        CASE(workers_that_committed_alone_get_only_what_they_lack),
        CASE(worker_that_is_epochs_ahead_is_not_taken_back_by_a_smaller_commit),
        CASE(workers_at_different_positions_are_filtered_apart_after_a_restart),
        CASE(workers_without_a_position_begin_at_the_beginning),
        CASE(another_number_of_workers_needs_equal_positions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
