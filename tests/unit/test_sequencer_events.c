/* SPDX-License-Identifier: Apache-2.0 */
/* Where events come between rows, for a sink that wants transactions, in both orders. */
#include "sink_model.h"

#include "sink/behind.h"

static struct kit kit;
static struct nw_sink_ops ops;

static void start(uint32_t flags, uint32_t workers)
{
    model_reset();
    ops = model_ops;
    ops.flags = flags | NW_SINK_TRANSACTIONS;
    ops.workers_max = workers;
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

/* Two transactions as a dealer deals them: rows; then truncate, rows of two tables, truncate. */
static void deal_two_transactions(void)
{
    kit_event(&kit, NW_EVENT_BEGIN, 1, 1000, NULL, 0);
    kit_batch(&kit, 0, 1, (const struct kit_row[]){{1000, 0, 1}, {1000, 2, 3}}, 2, false);
    kit_batch(&kit, 1, 1, (const struct kit_row[]){{1000, 1, 2}}, 1, true);
    kit_event(&kit, NW_EVENT_COMMIT, 1, 1000, NULL, 0);
    kit_event(&kit, NW_EVENT_BEGIN, 1, 1100, NULL, 0);
    kit_event(&kit, NW_EVENT_TRUNCATE, 1, 1100, (const uint32_t[]){0, 1}, 2);
    kit_batch(&kit, 0, 1, (const struct kit_row[]){{1100, 1, 4}, {1100, 3, 6}}, 2, false);
    kit_batch(&kit, 1, 1, (const struct kit_row[]){{1100, 2, 5}}, 1, true);
    kit_event(&kit, NW_EVENT_TRUNCATE, 1, 1100, (const uint32_t[]){1}, 1);
    kit_event(&kit, NW_EVENT_COMMIT, 1, 1100, NULL, 0);
    kit_epoch_end(&kit, 1, 1200);
}

/* What one worker was told since event `first`, in its order: b c t, and rows by their last digit.
 */
static void story_tell(uint32_t worker, uint32_t first, uint32_t first_row, char *story)
{
    static const char letters[] = "?bctmsx";
    uint32_t row = first_row;

    for (uint32_t i = first; i <= model.events_count; i++) {
        uint64_t order = i < model.events_count ? model.events_order[i] : UINT64_MAX;

        for (; row < model.rows_count && model.rows[row].order < order; row++) {
            if (model.rows[row].worker == worker) {
                *story++ = (char)('0' + model.rows[row].id % 10);
            }
        }
        if (i < model.events_count && model.events_worker[i] == worker) {
            *story++ = letters[model.events[i].kind];
        }
    }
    *story = '\0';
}

static void a_begin_comes_before_the_truncate_of_its_transaction_in_both_orders(void **state)
{
    static const struct {
        uint32_t flags;
        const char *story;
    } orders[] = {{0, "b132cbt465tc"}, {NW_SINK_TOTAL_ORDER, "b123cbt456tc"}};
    char story[64];

    (void)state;
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        start(orders[i].flags, 1);
        deal_two_transactions();
        assert_int_equal(kit_run(&kit), NW_OK);
        assert_int_equal(kit.durable_epoch, 1);
        story_tell(0, 0, 0, story);
        assert_string_equal(story, orders[i].story);
        kit_fini(&kit);
        assert_contract_kept();
    }
    start(0, 1);
}

static void the_order_is_the_same_after_a_recover(void **state)
{
    static const uint32_t flags[] = {0, NW_SINK_TOTAL_ORDER};
    static const char *const stories[] = {"b132cbt465tc", "b123cbt456tc"};
    char story[64];

    (void)state;
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        uint32_t events_before = 0;

        start(flags[i], 1);
        model.plan = MODEL_NOT_COMMITTED;
        deal_two_transactions();
        assert_int_equal(kit_run(&kit), NW_OK);
        events_before = model.events_count;
        assert_int_equal(kit_run_for(&kit, 200000000), NW_OK);
        assert_int_equal(kit.durable_epoch, 1);
        story_tell(0, events_before, 0, story);
        assert_string_equal(story, stories[i]);
        kit_fini(&kit);
        assert_contract_kept();
    }
    start(0, 1);
}

/* Of several workers only the first hears of transactions; each hears of its own tables in order.
 */
static void each_worker_gets_the_truncates_of_its_tables_between_their_rows(void **state)
{
    char story[2][64];
    uint32_t worker_of[2];

    (void)state;
    start(0, 4);
    deal_two_transactions();
    assert_int_equal(kit_run(&kit), NW_OK);
    for (uint32_t t = 0; t < 2; t++) {
        worker_of[t] = nw_sequencer_shard(kit.sequencer, 100 + t);
        story_tell(worker_of[t], 0, 0, story[t]);
    }
    assert_int_not_equal(worker_of[0], worker_of[1]);
    for (uint32_t t = 0; t < 2; t++) {
        char expected[64];
        const char *own = t == 0 ? "13|t46|" : "2|t5t|";
        char *to = expected;

        /* The first worker has the begins and commits too, at their places. */
        *to = '\0';
        for (const char *at = own; *at != '\0'; at++) {
            if (worker_of[t] == 0 && at == own) {
                *to++ = 'b';
            }
            if (*at == '|' && worker_of[t] == 0) {
                *to++ = 'c';
                if (at[1] != '\0') {
                    *to++ = 'b';
                }
            } else if (*at != '|') {
                *to++ = *at;
            }
        }
        *to = '\0';
        assert_string_equal(story[t], expected);
    }
}

/* Its place is its LSN: who has a position there was told, and who stopped the table is not. */
static void a_drop_is_told_where_the_position_does_not_say_that_it_was(void **state)
{
    struct nw_event event = {.kind = NW_EVENT_DROP, .lsn = 1000, .commit_lsn = 1000};

    (void)state;
    assert_false(nw_event_before(&event, 0));
    assert_false(nw_event_before(&event, 999));
    assert_true(nw_event_before(&event, 1000));
    assert_true(nw_event_before(&event, 1001));
    start(0, 4);
    assert_int_equal(nw_sequencer_fence(kit.sequencer, 101, UINT64_MAX, &kit.err), NW_OK);
    kit_event(&kit, NW_EVENT_DROP, 1, 1000, (const uint32_t[]){0}, 1);
    kit_event(&kit, NW_EVENT_DROP, 1, 1000, (const uint32_t[]){1}, 1);
    kit_epoch_end(&kit, 1, 1000);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(model.events_count, 1);
    assert_int_equal(model.events[0].kind, NW_EVENT_DROP);
    assert_int_not_equal(nw_sequencer_shard(kit.sequencer, 100),
                         nw_sequencer_shard(kit.sequencer, 101));
    assert_int_equal(model.events_worker[0], nw_sequencer_shard(kit.sequencer, 100));
}

#define CASE(name) cmocka_unit_test_teardown(name, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_begin_comes_before_the_truncate_of_its_transaction_in_both_orders),
        CASE(the_order_is_the_same_after_a_recover),
        CASE(a_drop_is_told_where_the_position_does_not_say_that_it_was),
        CASE(each_worker_gets_the_truncates_of_its_tables_between_their_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
