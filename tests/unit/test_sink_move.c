/* SPDX-License-Identifier: Apache-2.0 */
/* A sink that is given another position, and copies that are to begin anew, without a sequencer. */
#include "sink_model.h"

static struct kit kit;
static const uint8_t PLACE[] = "another server";
static const struct nw_position POSITION = {PLACE, sizeof PLACE, 5000};

static int finish(void **state)
{
    (void)state;
    kit_fini(&kit);
    assert_contract_kept();
    return 0;
}

static void begin(const struct nw_sink_ops *ops, uint32_t workers)
{
    model_reset();
    kit_init(&kit, ops, 1);
    assert_int_equal(kit_open(&kit, workers), NW_OK);
}

/* What a later process finds. */
static void again(uint32_t workers)
{
    kit_close(&kit);
    assert_int_equal(kit_open(&kit, workers), NW_OK);
}

static void assert_moved(bool moved)
{
    const struct nw_position *position = &kit.recovered.positions[0];

    if (!moved) {
        assert_true(kit.recovered.positions_count == 0 || position->size == 0);
        return;
    }
    for (uint32_t i = 0; i < kit.recovered.positions_count; i++) {
        assert_int_equal(position[i].lsn, POSITION.lsn);
        assert_int_equal(position[i].size, POSITION.size);
        assert_memory_equal(position[i].bytes, PLACE, sizeof PLACE);
    }
    assert_true(kit.recovered.positions_count > 0);
}

static void every_worker_has_the_position_and_copies_begin(void **state)
{
    const struct nw_sink_recopy copies[] = {{&kit_tables[0], 7}, {&kit_tables[2], 7}};

    (void)state;
    begin(&model_ops, 3);
    model.per_worker_positions = true;
    assert_int_equal(nw_sink_move(kit.sink, &POSITION, copies, 2, &kit.err), NW_OK);
    assert_int_equal(model.given_flags, NW_COMMIT_MOVES);
    assert_int_equal(model.seals, 3);
    assert_int_equal(model.begins, 2);
    again(3);
    assert_moved(true);
    assert_int_equal(kit.recovered.copies_count, 2);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(kit.recovered.copies[i].relation_oid, copies[i].table->relation_oid);
        assert_int_equal(kit.recovered.copies[i].generation, 7);
        assert_false(kit.recovered.copies[i].complete);
        assert_int_equal(nw_sink_resolve(kit.sink, kit.recovered.copies[i].relation_oid, 7,
                                         NW_COPY_DISCARD, &kit.err),
                         NW_OK);
    }
}

static void what_did_not_surely_happen_is_said(void **state)
{
    static const struct {
        enum model_plan plan;
        nw_status status;
        bool moved;
    } vectors[] = {
        {MODEL_COMMIT, NW_OK, true},
        {MODEL_AGAIN, NW_OK, true},
        {MODEL_NOT_COMMITTED, NW_RETRY, false},
        {MODEL_UNKNOWN_DONE, NW_RETRY, true},
        {MODEL_UNKNOWN_NOT_DONE, NW_RETRY, false},
        {MODEL_RETRY_DONE, NW_RETRY, true},
        {MODEL_RETRY_NOT_DONE, NW_RETRY, false},
        {MODEL_FATAL, NW_FATAL, false},
        {MODEL_ODD, NW_RETRY, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        begin(&model_ops, 1);
        model.plan = vectors[i].plan;
        assert_int_equal(nw_sink_move(kit.sink, &POSITION, NULL, 0, &kit.err), vectors[i].status);
        again(1);
        assert_moved(vectors[i].moved);
        if (i + 1 < sizeof vectors / sizeof vectors[0]) {
            kit_fini(&kit);
        }
    }
}

static nw_status commit_later(void *self, const struct nw_commit *commit, enum nw_outcome *outcome,
                              struct nw_error *err)
{
    nw_status status = NW_OK;

    model.plan = MODEL_PENDING;
    status = model_commit(self, commit, outcome, err);
    model_answer(commit->epoch, NW_COMMITTED);
    return status;
}

static void an_answer_that_comes_later_is_waited_for(void **state)
{
    static struct nw_sink_ops ops;

    (void)state;
    ops = model_ops;
    ops.commit = commit_later;
    begin(&ops, 1);
    assert_int_equal(nw_sink_move(kit.sink, &POSITION, NULL, 0, &kit.err), NW_OK);
    again(1);
    assert_moved(true);
}

static void each_worker_keeps_its_place_in_other_words(void **state)
{
    static const uint8_t words[3][2] = {{1, 2}, {3, 4}, {5, 6}};
    struct nw_position positions[3];

    (void)state;
    begin(&model_ops, 3);
    model.per_worker_positions = true;
    assert_int_equal(nw_sink_move(kit.sink, &POSITION, NULL, 0, &kit.err), NW_OK);
    again(3); /* now it has one for each */
    model.seals = 0;
    for (uint32_t i = 0; i < 3; i++) {
        positions[i] = (struct nw_position){words[i], sizeof words[i], 100 + i};
    }
    assert_int_equal(nw_sink_restate(kit.sink, positions, 3, &kit.err), NW_OK);
    assert_int_equal(model.given_flags, 0);
    assert_int_equal(model.seals, 3);
    again(3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(kit.recovered.positions[i].lsn, positions[i].lsn);
        assert_memory_equal(kit.recovered.positions[i].bytes, words[i], sizeof words[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(every_worker_has_the_position_and_copies_begin, finish),
        cmocka_unit_test_teardown(each_worker_keeps_its_place_in_other_words, finish),
        cmocka_unit_test_teardown(what_did_not_surely_happen_is_said, finish),
        cmocka_unit_test_teardown(an_answer_that_comes_later_is_waited_for, finish),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
