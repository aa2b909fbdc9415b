/* SPDX-License-Identifier: Apache-2.0 */
/* Rows that a sink refuses and that are kept, against a model sink; on one thread. */
#include "sink_model.h"

#include "sink/letter.h"

#define KEPT_MAX 4096u
#define FENCE    900u

static struct kit kit;

/* What is kept, as on a disk. */
static struct {
    struct nw_letter_key keys[KEPT_MAX];
    char rows[KEPT_MAX][160];
    char reason[160]; /* of the last */
    uint32_t count;
    uint32_t writes;
    uint64_t commits_before; /* commits that had happened when the last came */
    struct nw_letter_copy copied;
    nw_status fails;
} kept;

static nw_status kept_write(void *context, const struct nw_letter_write *what, struct nw_error *err)
{
    assert_ptr_equal(context, &kept);
    kept.writes++;
    if (kept.fails != NW_OK) {
        return nw_fail(err, kept.fails, "NW2420 the disk is full");
    }
    for (uint32_t i = 0; i < what->letters_count; i++) {
        assert_true(kept.count < KEPT_MAX);
        kept.keys[kept.count] = what->letters[i].key;
        (void)snprintf(kept.rows[kept.count++], sizeof kept.rows[0], "%s", what->letters[i].row);
        (void)snprintf(kept.reason, sizeof kept.reason, "%s", what->letters[i].reason);
        kept.commits_before = model.commits;
    }
    for (uint32_t i = 0; i < what->copies_count; i++) {
        kept.copied = what->copies[i];
    }
    return NW_OK;
}

static struct nw_letter_store store = {
    .write = kept_write, .context = &kept, .quota_bytes = 1 << 20, .refusals_max = 100};

static void sequence(void)
{
    struct nw_sequencer_options options = kit_sequencer_options(&kit);

    options.letters = &store;
    assert_int_equal(nw_sequencer_create(kit.sink, &options, &kit.sequencer, &kit.err), NW_OK);
}

static void start(uint32_t flags, uint32_t workers)
{
    struct nw_sink_ops ops = model_ops;

    ops.flags = flags;
    ops.workers_max = flags == 0 ? ops.workers_max : 1;
    model_reset();
    memset(&kept, 0, sizeof kept);
    store.quota_bytes = 1 << 20;
    store.refusals_max = 100;
    kit_init(&kit, &ops, 2);
    assert_int_equal(kit_open(&kit, workers), NW_OK);
    sequence();
}

/* The process ends, and the next one begins with what is stored and kept. */
static void start_again(void)
{
    kit_close(&kit);
    memset(kit.ordinals, 0, sizeof kit.ordinals);
    kit.durable_epoch = 0;
    assert_int_equal(kit_open(&kit, 1), NW_OK);
    sequence();
    for (uint32_t i = 0; i < kept.count; i++) {
        assert_int_equal(nw_sequencer_letter(kit.sequencer, &kept.keys[i], &kit.err), NW_OK);
    }
}

static int finish(void **state)
{
    (void)state;
    kit_fini(&kit);
    assert_contract_kept();
    return 0;
}

/* Ids first .. first + count - 1 of a table, each a transaction of its own. */
static void rows(uint32_t table, uint64_t epoch, int64_t first, uint32_t count)
{
    struct kit_row list[256];

    for (uint32_t i = 0; i < count; i++) {
        list[i] = (struct kit_row){1000 + (uint64_t)first + i, 0, first + i};
    }
    kit_batch(&kit, table, epoch, list, count, true);
}

static uint32_t kept_count(uint32_t table, int64_t id)
{
    uint32_t count = 0;
    char text[32];

    (void)snprintf(text, sizeof text, "\"id\":%d,", (int)id);
    for (uint32_t i = 0; i < kept.count; i++) {
        count += kept.keys[i].relation_oid == 100 + table && strstr(kept.rows[i], text) != NULL;
    }
    return count;
}

/* Each once: kept if it is a multiple, else at the sink. */
static void assert_parts(uint32_t table, int64_t first, int64_t last)
{
    for (int64_t id = first; id <= last; id++) {
        bool refused = model.refuses > 0 && id % model.refuses == 0;

        assert_int_equal(model_count(table, id), !refused);
        assert_int_equal(kept_count(table, id), refused);
    }
}

static void what_is_refused_is_kept_and_the_rest_arrives(void **state)
{
    (void)state;
    start(0, 1);
    model.refuses = 3;
    rows(0, 1, 1, 10);
    rows(1, 1, 11, 1);
    kit_epoch_end(&kit, 1, 2000);
    assert_int_equal(kit_run(&kit), NW_OK); /* without waiting */
    assert_parts(0, 1, 10);
    assert_int_equal(model_count(1, 11), 1);
    assert_int_equal(kept.writes, 1); /* all of one commit at once */
    assert_int_equal(kept.commits_before, 0);
    assert_int_equal(model.commits, 1);
    assert_int_equal(model.recovers, 1 + 1 + 3); /* the start's, the batch's, and each row's */
    assert_int_equal(kept.keys[0].commit_lsn, 1003);
    assert_non_null(strstr(kept.rows[0], "{\"name\":\"note\",\"type\":\"text\",\"key\":false}"));
    assert_string_equal(kept.reason, "no multiples of 3");
    rows(0, 2, 13, 2); /* what is not refused is given as ever */
    kit_epoch_end(&kit, 2, 2100);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(model.recovers, 5);
    assert_int_equal(kit.returned, kit.made);
}

static void nothing_is_committed_before_what_it_lacks_is_kept(void **state)
{
    uint64_t lsn = 0;

    (void)state;
    start(0, 1);
    model.refuses = 3;
    kept.fails = NW_FATAL;
    rows(2, 1, 1, 4);
    kit_epoch_end(&kit, 1, 2000);
    assert_int_equal(kit_run(&kit), NW_REJECT);
    assert_int_equal(kept.writes, 1);
    assert_int_equal(model.commits, 0);
    assert_ptr_equal(nw_sequencer_refused(kit.sequencer, &lsn), &kit_tables[2]);
    assert_non_null(strstr(kit.err.text, "NW2420"));
    assert_non_null(strstr(kit.err.text, "the disk is full"));
}

static void a_row_that_is_kept_already_is_neither_sent_nor_kept_again(void **state)
{
    (void)state;
    start(0, 1);
    model.refuses = 3;
    model.plan = MODEL_FATAL; /* it is kept, and not committed */
    rows(0, 1, 1, 7);
    kit_epoch_end(&kit, 1, 2000);
    assert_int_equal(kit_run(&kit), NW_FATAL);
    assert_int_equal(kept.count, 2);
    assert_int_equal(model.rows_stored, 0);
    start_again();
    model.recovers = 0;
    rows(0, 1, 1, 7);
    rows(0, 1, 9, 1); /* new */
    kit_epoch_end(&kit, 1, 2000);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_parts(0, 1, 7);
    assert_int_equal(kept_count(0, 9), 1);
    assert_int_equal(model.recovers, 1); /* for the new one */
    start_again();
    model.refuses = 0; /* it would take them now: they are letters all the same */
    rows(0, 1, 1, 7);
    kit_epoch_end(&kit, 1, 2100);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(kept.count, 3);
    assert_int_equal(model.rows_stored, 5);
}

static void of_a_copied_row_what_it_says_is_known_again(void **state)
{
    struct kit_row list[6];

    (void)state;
    start(0, 1);
    model.refuses = 3;
    for (uint32_t turn = 0; turn < 2; turn++) {
        for (uint32_t i = 0; i < 6; i++) {
            /* Read again under a later fence, in another order. */
            list[i] = (struct kit_row){FENCE + turn, 0, turn == 0 ? i + 1 : 6 - i};
        }
        kit_copy_mark(&kit, 1, 0, 5, FENCE, false);
        kit_copy_rows(&kit, 1, 0, 5, list, 6);
        kit_copy_mark(&kit, 1, 0, 5, FENCE, true);
        assert_int_equal(kit_run(&kit), NW_OK);
        kit_epoch_end(&kit, 1, 0);
        model.plan = turn == 0 ? MODEL_FATAL : MODEL_COMMIT;
        assert_int_equal(kit_run(&kit), turn == 0 ? NW_FATAL : NW_OK);
        if (turn == 0) {
            start_again();
            model.recovers = 0;
        }
    }
    assert_int_equal(model.recovers, 0); /* nothing was asked for */
    assert_int_equal(kept.count, 2);
    assert_parts(0, 1, 6);
    assert_int_equal(kept.copied.relation_oid, 100); /* it is whole: older ones are of no use */
    assert_int_equal(kept.copied.generation, 5);
    assert_int_equal(kept.copied.fence_lsn, FENCE);
}

static void two_rows_of_a_copy_that_say_the_same_are_two_letters(void **state)
{
    const struct kit_row list[3] = {{FENCE, 0, 3}, {FENCE, 0, 1}, {FENCE, 0, 3}};

    (void)state;
    start(0, 1);
    model.refuses = 3;
    kit_copy_mark(&kit, 1, 0, 5, FENCE, false);
    kit_copy_rows(&kit, 1, 0, 5, list, 3);
    kit_copy_mark(&kit, 1, 0, 5, FENCE, true);
    assert_int_equal(kit_run(&kit), NW_OK);
    kit_epoch_end(&kit, 1, 0);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(kept.count, 2);
    assert_int_equal(model.rows_stored, 1);
}

static void too_many_within_one_commit_stop_the_table(void **state)
{
    uint64_t lsn = 0;

    (void)state;
    start(0, 1);
    store.refusals_max = 3;
    model.refuses = 2;
    rows(0, 1, 1, 6); /* three */
    kit_epoch_end(&kit, 1, 1500);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(kept.count, 3);
    rows(0, 2, 11, 8); /* four */
    kit_epoch_end(&kit, 2, 2000);
    assert_int_equal(kit_run(&kit), NW_REJECT);
    assert_ptr_equal(nw_sequencer_refused(kit.sequencer, &lsn), &kit_tables[0]);
    assert_int_equal(lsn, 1500);
    assert_non_null(strstr(kit.err.text, "NW2419"));
    assert_non_null(strstr(kit.err.text, "no multiples of 2"));
    assert_non_null(strstr(kit.err.text, "dead_letter_rows"));
}

static void a_row_that_is_larger_than_the_quota_stops_the_table(void **state)
{
    (void)state;
    start(0, 1);
    store.quota_bytes = 100;
    model.refuses = 3;
    rows(0, 1, 3, 1);
    assert_int_equal(kit_run(&kit), NW_REJECT);
    assert_non_null(strstr(kit.err.text, "larger than dead_letters"));
    assert_int_equal(kept.count, 0);
}

static void events_that_are_refused_stop_as_before(void **state)
{
    (void)state;
    start(0, 1);
    model.plan = MODEL_REJECT;
    rows(0, 1, 1, 1);
    kit_epoch_end(&kit, 1, 2000);
    assert_int_equal(kit_run(&kit), NW_REJECT);
    assert_int_equal(kept.count, 0);
}

static void values_that_the_sink_cannot_read_are_known_without_asking(void **state)
{
    static const struct nw_exception exceptions[2] = {{.row = 1, .column = 1, .side = NW_AFTER},
                                                      {.row = 2, .column = 1, .side = NW_AFTER}};
    struct kit_row list[4];
    struct nw_item *item = NULL;

    (void)state;
    start(0, 1);
    for (uint32_t i = 0; i < 4; i++) {
        list[i] = (struct kit_row){1000 + i, 0, i + 1};
    }
    item = kit_rows(&kit, &kit_tables[0], 1, list, 4, 0);
    item->as.batch.exceptions = exceptions;
    item->as.batch.exception_bytes = (const uint8_t *)"NaN";
    item->as.batch.exceptions_count = 2;
    item->cut = true;
    kit_push(&kit, item, NW_PRODUCER_STREAM);
    kit_epoch_end(&kit, 1, 2000);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(model.recovers, 1);
    assert_int_equal(model_count(0, 1) + model_count(0, 4), 2);
    assert_int_equal(kept_count(0, 2) + kept_count(0, 3), 2);
    assert_int_equal(model.rows_stored, 2);
    assert_non_null(strstr(kept.reason, "NW2404"));
}

static uint32_t chance(uint64_t *seed, uint32_t of)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33) % of;
}

/* Commits fail in every way meanwhile, and writes too. */
static void whatever_fails_each_row_is_in_one_place(void **state)
{
    static const uint32_t flags[] = {0, NW_SINK_TOTAL_ORDER};

    (void)state;
    for (uint64_t round = 0; round < 30; round++) {
        uint64_t seed = round * 7919 + 1;
        int64_t id = 1;

        start(flags[round % 2], round % 2 == 1 ? 1 : 1 + chance(&seed, 3));
        model.refuses = 2 + chance(&seed, 9);
        store.refusals_max = UINT32_MAX;
        for (uint64_t epoch = 1; epoch <= 6; epoch++) {
            for (uint32_t b = 1 + chance(&seed, 4); b > 0; b--) {
                uint32_t count = 1 + chance(&seed, 150); /* more than there are tasks */

                rows(chance(&seed, 3), epoch, id, count);
                id += count;
            }
            kit_epoch_end(&kit, epoch, 1000 + (uint64_t)id);
            model.plan = (enum model_plan)(
                chance(&seed, 3) == 0 ? MODEL_NOT_COMMITTED + chance(&seed, 5) : MODEL_COMMIT);
            if (chance(&seed, 4) == 0) {
                model.write_fail_in = 1 + chance(&seed, 200);
                model.write_status = NW_RETRY;
            }
            assert_int_equal(kit_run_for(&kit, 2000000000), NW_OK);
        }
        assert_int_equal(kit_run_for(&kit, 60000000000), NW_OK);
        for (int64_t at = 1; at < id; at++) {
            bool refused = at % model.refuses == 0;
            uint32_t stored = model_count(0, at) + model_count(1, at) + model_count(2, at);
            uint32_t letters = kept_count(0, at) + kept_count(1, at) + kept_count(2, at);

            assert_int_equal(stored, !refused);
            assert_int_equal(letters, refused);
        }
        assert_int_equal(kit.returned, kit.made);
        if (round < 29) {
            (void)finish(NULL);
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, finish)
    const struct CMUnitTest tests[] = {
        TEST(what_is_refused_is_kept_and_the_rest_arrives),
        TEST(nothing_is_committed_before_what_it_lacks_is_kept),
        TEST(a_row_that_is_kept_already_is_neither_sent_nor_kept_again),
        TEST(of_a_copied_row_what_it_says_is_known_again),
        TEST(two_rows_of_a_copy_that_say_the_same_are_two_letters),
        TEST(too_many_within_one_commit_stop_the_table),
        TEST(a_row_that_is_larger_than_the_quota_stops_the_table),
        TEST(events_that_are_refused_stop_as_before),
        TEST(values_that_the_sink_cannot_read_are_known_without_asking),
        TEST(whatever_fails_each_row_is_in_one_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
