/* SPDX-License-Identifier: Apache-2.0 */
/* Sinks that store no position: what they are sent again is what the host saw of their commits. */
#include "sink_model.h"

#include "said.h"

static struct kit kit;
static struct nw_sink_ops ops;

static void start(uint32_t flags, uint32_t workers)
{
    model_reset();
    model.forgets = true;
    ops = model_ops;
    ops.flags |= flags;
    kit_init(&kit, &ops, 2);
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

/* One committed epoch, and the next under way. */
static void one_epoch_and_a_half(void)
{
    kit_row_one(&kit, 0, 1, 1000, 1);
    kit_epoch_end(&kit, 1, 1100);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(kit.durable_epoch, 1);
    kit_row_one(&kit, 0, 2, 1200, 2);
    kit_row_one(&kit, 1, 2, 1210, 3);
}

static void rows_are_there_once(int64_t last)
{
    assert_int_equal(model.rows_stored, (uint32_t)last);
    for (int64_t id = 1; id <= last; id++) {
        assert_int_equal(model_count(0, id) + model_count(1, id) + model_count(2, id), 1);
    }
}

static void a_failed_write_is_sent_again_from_the_last_commit(void **state)
{
    (void)state;
    for (uint32_t declared = 0; declared <= NW_SINK_STORES_NOTHING;
         declared += NW_SINK_STORES_NOTHING) {
        for (uint32_t workers = 1; workers <= 3; workers += 2) {
            start(declared, workers);
            said_begin();
            model.write_fail_in = 3;
            model.write_status = NW_RETRY;
            one_epoch_and_a_half();
            kit_epoch_end(&kit, 2, 1300);
            assert_int_equal(kit_run_for(&kit, 200000000), NW_OK);
            assert_int_equal(model.recovers, 2);
            assert_int_equal(kit.durable_epoch, 2);
            assert_true(said("NW2402 sink model: "));
            assert_int_equal(said("NW2412 sink model gives no position back"), declared == 0);
            said_end();
            rows_are_there_once(3);
            kit_fini(&kit);
            assert_contract_kept();
        }
    }
    start(0, 1);
}

static void a_commit_that_did_not_succeed_is_sent_again(void **state)
{
    static const enum model_plan plans[] = {MODEL_NOT_COMMITTED, MODEL_UNKNOWN_NOT_DONE,
                                            MODEL_RETRY_NOT_DONE};

    (void)state;
    for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++) {
        start(0, 1);
        one_epoch_and_a_half();
        model.plan = plans[i];
        kit_epoch_end(&kit, 2, 1300);
        kit_row_one(&kit, 2, 3, 1400, 4);
        kit_epoch_end(&kit, 3, 1500);
        assert_int_equal(kit_run_for(&kit, 500000000), NW_OK);
        assert_int_equal(model.recovers, 2);
        assert_int_equal(kit.durable_epoch, 3);
        rows_are_there_once(4);
        kit_fini(&kit);
        assert_contract_kept();
    }
    start(0, 1);
}

static void a_commit_that_it_answered_is_not_sent_again(void **state)
{
    (void)state;
    start(0, 1);
    one_epoch_and_a_half();
    model.plan = MODEL_PENDING;
    kit_epoch_end(&kit, 2, 1300);
    assert_int_equal(kit_run(&kit), NW_OK);
    model.write_fail_in = 1;
    model.write_status = NW_RETRY;
    kit_row_one(&kit, 2, 3, 1400, 4);
    assert_int_equal(kit_run(&kit), NW_OK);
    model_answer(2, NW_COMMITTED); /* while narwal waits to recover */
    kit_epoch_end(&kit, 3, 1500);
    assert_int_equal(kit_run_for(&kit, 500000000), NW_OK);
    assert_int_equal(model.recovers, 2);
    assert_int_equal(kit.durable_epoch, 3);
    rows_are_there_once(4);
}

static void agents_step(uint32_t first, uint32_t last)
{
    uint32_t work = 0;

    for (uint32_t a = first; a <= last; a++) {
        for (uint32_t i = 0; i < 8; i++) {
            assert_int_equal(kit.agents[a].do_work(kit.agents[a].self, kit.now_ns, &work, &kit.err),
                             NW_OK);
        }
    }
}

/* The commit's answer and the failed write of another worker come back at the same time. */
static void a_commit_that_ends_beside_a_failed_write_is_not_sent_again(void **state)
{
    uint32_t work = 0;

    (void)state;
    start(0, 3);
    one_epoch_and_a_half();
    kit_epoch_end(&kit, 2, 1300);
    while (!kit.sink->control_out) { /* until the commit is handed to the coordinator */
        assert_int_equal(kit_step_sequencer(&kit, &work), NW_OK);
        agents_step(0, 2);
    }
    kit_row_one(&kit, 2, 3, 1400, 4);
    assert_int_equal(kit_step_sequencer(&kit, &work), NW_OK);
    model.write_fail_in = 1;
    model.write_status = NW_RETRY;
    agents_step(0, 3);
    assert_int_equal(model.write_fail_in, 0);
    assert_int_equal(model.commits, 2);
    kit_epoch_end(&kit, 3, 1500);
    assert_int_equal(kit_run_for(&kit, 500000000), NW_OK);
    assert_int_equal(model.recovers, 2);
    assert_int_equal(kit.durable_epoch, 3);
    rows_are_there_once(4);
}

static void a_sink_that_loses_its_position_stops_the_run(void **state)
{
    (void)state;
    start(0, 1);
    model.forgets = false;
    one_epoch_and_a_half();
    model.plan = MODEL_UNKNOWN_NOT_DONE;
    kit_epoch_end(&kit, 2, 1300);
    assert_int_equal(kit_run_for(&kit, 300000000), NW_OK); /* gives its position back */
    assert_int_equal(kit.durable_epoch, 2);
    model.forgets = true;
    model.plan = MODEL_UNKNOWN_NOT_DONE;
    kit_epoch_end(&kit, 3, 1400);
    assert_int_equal(kit_run_for(&kit, 300000000), NW_FATAL);
    assert_non_null(strstr(kit.err.text, "the sink's data was removed"));
    assert_memory_equal(kit.err.text, "NW2405", 6);
}

static void a_position_of_a_sink_that_declares_to_have_none_stops_the_run(void **state)
{
    (void)state;
    start(NW_SINK_STORES_NOTHING, 1);
    model.forgets = false;
    one_epoch_and_a_half();
    model.plan = MODEL_UNKNOWN_NOT_DONE;
    kit_epoch_end(&kit, 2, 1300);
    assert_int_equal(kit_run_for(&kit, 300000000), NW_FATAL);
    assert_non_null(strstr(kit.err.text, "NW_SINK_STORES_NOTHING"));
    assert_memory_equal(kit.err.text, "NW2411", 6);
}

#define CASE(name) cmocka_unit_test_teardown(name, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_failed_write_is_sent_again_from_the_last_commit),
        CASE(a_commit_that_did_not_succeed_is_sent_again),
        CASE(a_commit_that_it_answered_is_not_sent_again),
        CASE(a_commit_that_ends_beside_a_failed_write_is_not_sent_again),
        CASE(a_sink_that_loses_its_position_stops_the_run),
        CASE(a_position_of_a_sink_that_declares_to_have_none_stops_the_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
