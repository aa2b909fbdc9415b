/* SPDX-License-Identifier: Apache-2.0 */
/* Spilling under a pressed budget: what leaves memory, what comes back, and what faults do. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "sink_model.h"

#include "said.h"

#define PAD (64u << 10)
#define MIB ((int64_t)1 << 20)

static struct kit kit;
static char folder[64];
static struct nw_sequencer_options options;

static void start_with(const struct nw_sink_ops *ops, uint32_t lanes, enum nw_io_choice choice,
                       uint64_t quota)
{
    model_reset();
    kit_init(&kit, ops, lanes);
    kit.budget.limit_bytes = 2 * MIB;
    assert_int_equal(nw_env_system_create(choice, &kit.system, &kit.err), NW_OK);
    (void)snprintf(folder, sizeof folder, "/tmp/nw-spill-XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(kit_open(&kit, 1), NW_OK);
    options = kit_sequencer_options(&kit);
    options.spill_folder = folder;
    options.spill_quota_bytes = quota;
    assert_int_equal(nw_sequencer_create(kit.sink, &options, &kit.sequencer, &kit.err), NW_OK);
}

static void start(void)
{
    start_with(&model_ops, 2, NW_IO_AUTO, 1u << 30);
}

static uint32_t files_count(void)
{
    DIR *dir = opendir(folder);
    uint32_t count = 0;

    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        count += entry->d_name[0] != '.';
    }
    assert_int_equal(closedir(dir), 0);
    return count;
}

static int finish(void **state)
{
    (void)state;
    kit_fini(&kit);
    assert_int_equal(files_count(), 0);
    assert_int_equal(rmdir(folder), 0);
    nw_env_system_destroy(kit.system);
    assert_int_equal(kit.budget.used_bytes, 0);
    assert_contract_kept();
    return 0;
}

/* One row of 64 KiB for each id. */
static void fat_row(uint32_t table, uint64_t epoch, uint64_t lsn, int64_t id, bool cut)
{
    struct nw_item *item =
        kit_rows(&kit, &kit_tables[table], epoch, (const struct kit_row[]){{lsn, 0, id}}, 1, PAD);

    item->cut = cut;
    kit_push(&kit, item, NW_PRODUCER_STREAM);
}

static int64_t used(void)
{
    return atomic_load(&kit.budget.used_bytes);
}

/* Lets the files work: they take as long as they take, and the kit's clock stands still meanwhile.
 * @return whether there is something to wait for */
static bool files_work(void)
{
    bool waits = atomic_load(&kit.operations) > 0;

    if (waits) {
        (void)usleep(50);
    }
    return waits;
}

/* Runs until nothing moves and the files are done. @return the most memory that was used between */
static int64_t settle(void)
{
    int64_t most = 0;

    do {
        assert_int_equal(kit_run(&kit), NW_OK);
        most = used() > most ? used() : most;
    } while (files_work());
    return most;
}

/* The same over and over, a millisecond of the kit's time apart, until this epoch is durable. */
static void settle_until_durable(uint64_t epoch, int64_t used_max)
{
    for (int tries = 0; kit.durable_epoch < epoch && tries < 2000; tries++) {
        kit.now_ns += 1000000;
        assert_true(settle() <= used_max);
    }
    assert_int_equal(kit.durable_epoch, epoch);
}

/* More rows than fit, while the sink does not commit. */
static void flood(uint32_t rows, uint64_t epoch)
{
    for (uint32_t i = 0; i < rows; i++) {
        fat_row(i % 2, epoch, 1000 * epoch + i, (int64_t)(epoch * 10000 + i), true);
        assert_int_equal(kit_run(&kit), NW_OK);
        if (used() > 2 * MIB) {
            (void)settle();
        }
        assert_true(used() <= 2 * MIB + 65536);
    }
}

static void rows_intact(uint32_t count, uint64_t epoch)
{
    uint32_t at = 0;

    for (uint32_t i = 0; i < model.rows_stored; i++) {
        if (model.rows[i].commit_lsn / 1000 == epoch) {
            assert_int_equal(model.rows[i].id, epoch * 10000 + at);
            at++;
        }
    }
    assert_int_equal(at, count);
}

static void memory_stays_within_the_budget_while_the_sink_stands_still(void **state)
{
    struct nw_sink_status status;
    static const enum nw_io_choice choices[] = {NW_IO_AUTO, NW_IO_PREAD};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        start_with(&model_ops, 2, choices[i], 1u << 30);
        model.plan = MODEL_PENDING;
        kit_epoch_end(&kit, 1, 900);
        flood(200, 2); /* delivered, one epoch ahead */
        kit_epoch_end(&kit, 2, 2990);
        flood(200, 3); /* waits */
        kit_epoch_end(&kit, 3, 3990);
        (void)settle();
        nw_sink_status(kit.sink, &status);
        assert_true(status.spilled_bytes > 20 * (uint64_t)MIB);
        assert_true(kit.returned > 300);
        assert_int_equal(model.rows_stored, 0);
        model_answer(1, NW_COMMITTED);
        assert_true(settle() <= 3 * MIB);
        assert_int_equal(kit.durable_epoch, 3);
        rows_intact(200, 2);
        rows_intact(200, 3);
        (void)settle();
        nw_sink_status(kit.sink, &status);
        assert_int_equal(status.spilled_bytes, 0);
        assert_int_equal(status.held_bytes, 0);
        assert_in_range(files_count(), 0, 1);
        finish(NULL);
    }
    start();
}

static void replay_reads_back_what_was_delivered_and_spilled(void **state)
{
    (void)state;
    start();
    flood(100, 1);
    model.plan = MODEL_NOT_COMMITTED;
    kit_epoch_end(&kit, 1, 1990);
    (void)settle();
    assert_int_equal(model.writes, 100);
    assert_int_equal(model.rows_stored, 0);
    settle_until_durable(1, 3 * MIB);
    assert_int_equal(model.writes, 200);
    rows_intact(100, 1);
    assert_int_equal(model.rows_stored, 100);
}

static void total_order_comes_back_from_the_spill_as_it_was(void **state)
{
    struct nw_sink_ops ops = model_ops;

    (void)state;
    ops.flags = NW_SINK_TOTAL_ORDER;
    ops.workers_max = 1;
    start_with(&ops, 2, NW_IO_AUTO, 1u << 30);
    model.plan = MODEL_PENDING;
    kit_epoch_end(&kit, 1, 900);
    assert_int_equal(kit_run(&kit), NW_OK);
    kit_epoch_end(&kit, 2, 950);
    assert_int_equal(kit_run(&kit), NW_OK);
    for (uint32_t i = 0; i < 120; i++) {
        fat_row((i + 1) % 3, 3, 3000 + i, 30000 + i, i % 4 == 3);
        assert_int_equal(kit_run(&kit), NW_OK);
    }
    kit_epoch_end(&kit, 3, 3990);
    (void)settle();
    assert_true(kit.returned > 50);
    model_answer(1, NW_COMMITTED);
    (void)settle();
    rows_intact(120, 3);
}

static const struct nw_sink_ops *ordered_ops(void)
{
    static struct nw_sink_ops ops;

    ops = model_ops;
    ops.flags = NW_SINK_TOTAL_ORDER;
    ops.workers_max = 1;
    return &ops;
}

#define WIDE_ROWS  8u /* of 64 KiB, in one batch */
#define WIDE_BYTES ((int64_t)WIDE_ROWS * PAD)
#define WIDE_COUNT 40u

/* One of WIDE_COUNT batches whose rows alternate with those of the others: 20 MiB before a cut. */
static void wide_batch(uint64_t epoch, uint32_t index, bool cut)
{
    struct kit_row rows[WIDE_ROWS];
    struct nw_item *item = NULL;

    for (uint32_t i = 0; i < WIDE_ROWS; i++) {
        uint32_t at = i * WIDE_COUNT + index;

        rows[i] = (struct kit_row){1000 * epoch + at, 0, (int64_t)(10000 * epoch + at)};
    }
    item = kit_rows(&kit, &kit_tables[index % 3], epoch, rows, WIDE_ROWS, PAD);
    item->cut = cut;
    kit_push(&kit, item, NW_PRODUCER_STREAM);
}

/* One step of everything. @return the memory that is used after the sequencer's. */
static int64_t step_once(void)
{
    uint32_t work = 0;
    int64_t most = 0;

    assert_int_equal(kit_step_sequencer(&kit, &work), NW_OK);
    most = used();
    for (uint32_t i = 0; i < kit.agents_count; i++) {
        assert_int_equal(kit.agents[i].do_work(kit.agents[i].self, kit.now_ns, &work, &kit.err),
                         NW_OK);
    }
    kit_collect(&kit);
    return most;
}

static void rows_before_a_cut_may_be_more_than_the_budget(void **state)
{
    int64_t most = 0;

    (void)state;
    start_with(ordered_ops(), 2, NW_IO_AUTO, 1u << 30);
    for (uint32_t i = 0; i < WIDE_COUNT; i++) {
        wide_batch(1, i, i + 1 == WIDE_COUNT);
        /* A lane needs room for the next one, or the cut would never come. */
        (void)settle();
        assert_true(used() <= 2 * MIB / 4 * 3 + WIDE_BYTES || i + 1 == WIDE_COUNT);
    }
    kit_epoch_end(&kit, 1, 1990);
    for (int idle = 0; kit.durable_epoch < 1 && idle < 20000; idle += files_work() ? 0 : 1) {
        int64_t now_used = step_once();

        most = now_used > most ? now_used : most;
    }
    assert_int_equal(kit.durable_epoch, 1);
    rows_intact(WIDE_ROWS * WIDE_COUNT, 1);
    print_message("%lld KiB used of %lld, for %lld KiB between two cuts\n", (long long)most >> 10,
                  (long long)(2 * MIB) >> 10, (long long)(WIDE_BYTES * WIDE_COUNT) >> 10);
    assert_true(most <= 2 * MIB + 2 * WIDE_BYTES);
}

static void rows_before_a_cut_are_the_same_after_a_replay(void **state)
{
    (void)state;
    start_with(ordered_ops(), 2, NW_IO_AUTO, 1u << 30);
    model.write_fail_in = 150; /* in the middle of the merge */
    model.write_status = NW_RETRY;
    for (uint32_t i = 0; i < WIDE_COUNT; i++) {
        wide_batch(1, i, i + 1 == WIDE_COUNT);
        (void)settle();
    }
    kit_epoch_end(&kit, 1, 1990);
    settle_until_durable(1, INT64_MAX);
    assert_int_equal(model.recovers, 2);
    rows_intact(WIDE_ROWS * WIDE_COUNT, 1);
}

static void rows_before_a_cut_that_fit_nowhere_end_the_run(void **state)
{
    nw_status status = NW_OK;

    (void)state;
    start_with(ordered_ops(), 2, NW_IO_AUTO, (uint64_t)MIB);
    for (uint32_t i = 0; i < 10; i++) {
        wide_batch(1, i, false); /* lanes wait from here on: the cut will never come */
    }
    (void)settle();
    kit.now_ns += 20000000000;
    (void)settle();
    for (int i = 0; i < 100 && status == NW_OK; i++) {
        kit.now_ns += 1000000000;
        status = kit_run(&kit);
    }
    assert_int_equal(status, NW_FATAL);
    assert_non_null(strstr(kit.err.text, "more than limits.memory and limits.spill"));
    assert_memory_equal(kit.err.text, "NW2415", 6);
}

static void used_up_quota_leaves_the_rest_in_memory(void **state)
{
    struct nw_sink_status status;

    (void)state;
    start_with(&model_ops, 2, NW_IO_AUTO, (uint64_t)MIB);
    model.plan = MODEL_PENDING;
    kit_epoch_end(&kit, 1, 900);
    for (uint32_t i = 0; i < 60; i++) {
        fat_row(0, 2, 2000 + i, 20000 + i, true);
    }
    (void)settle();
    nw_sink_status(kit.sink, &status);
    assert_in_range(status.spilled_bytes, MIB / 2, MIB);
    assert_true(used() > 2 * MIB); /* lanes wait from here on */
    kit_epoch_end(&kit, 2, 2990);
    model_answer(1, NW_COMMITTED);
    (void)settle();
    assert_int_equal(kit.durable_epoch, 2);
    rows_intact(60, 2);
}

/* Rows of one epoch, given as fast as there is room; at most a minute of the kit's time. */
static void trickle(uint32_t rows, uint64_t epoch)
{
    for (uint32_t i = 0; i < rows; i++) {
        for (int tries = 0; used() > 2 * MIB && tries < 6000; tries++) {
            kit.now_ns += 10000000;
            (void)settle();
        }
        assert_true(used() <= 2 * MIB);
        fat_row(0, epoch, 1000 * epoch + i, (int64_t)(epoch * 10000 + i), true);
        assert_int_equal(kit_run(&kit), NW_OK);
    }
}

static void epoch_larger_than_memory_and_quota_still_comes_through(void **state)
{
    (void)state;
    for (int spills = 0; spills < 2; spills++) {
        start_with(&model_ops, 2, NW_IO_AUTO, spills ? (uint64_t)MIB : 0);
        trickle(300, 1);
        kit_epoch_end(&kit, 1, 1990);
        (void)settle();
        assert_int_equal(kit.durable_epoch, 1);
        rows_intact(300, 1);
        /* The next one can be replayed again. */
        model.plan = MODEL_NOT_COMMITTED;
        fat_row(0, 2, 2000, 20000, true);
        kit_epoch_end(&kit, 2, 2990);
        assert_int_equal(kit_run_for(&kit, 300000000), NW_OK);
        assert_int_equal(kit.durable_epoch, 2);
        finish(NULL);
    }
    start();
}

static void epoch_that_was_given_up_begins_the_run_again_when_the_sink_fails(void **state)
{
    (void)state;
    start_with(&model_ops, 2, NW_IO_AUTO, (uint64_t)MIB);
    trickle(300, 1);
    model.plan = MODEL_NOT_COMMITTED;
    kit_epoch_end(&kit, 1, 1990);
    assert_int_equal(kit_run(&kit), NW_RETRY);
    assert_non_null(strstr(kit.err.text, "the server has to send it again (nothing is lost)"));
    assert_memory_equal(kit.err.text, "NW2414", 6);
}

static void full_disk_is_waited_for(void **state)
{
    struct nw_sink_status status;

    (void)state;
    start();
    said_begin();
    kit.write_result = -ENOSPC;
    model.plan = MODEL_PENDING;
    kit_epoch_end(&kit, 1, 900);
    for (uint32_t i = 0; i < 60; i++) {
        fat_row(0, 2, 2000 + i, 20000 + i, true);
    }
    (void)settle();
    nw_sink_status(kit.sink, &status);
    assert_int_equal(status.spilled_bytes, 0);
    assert_true(said("NW2510 sink model: cannot spill to "));
    assert_true(said(": No space left on device; waiting for room"));
    said_end();
    kit.write_result = 0;
    kit.now_ns += 11000000000;
    (void)settle();
    nw_sink_status(kit.sink, &status);
    assert_true(status.spilled_bytes > 0);
    kit_epoch_end(&kit, 2, 2990);
    model_answer(1, NW_COMMITTED);
    (void)settle();
    assert_int_equal(kit.durable_epoch, 2);
    rows_intact(60, 2);
}

static void changed_bytes_in_the_file_stop_the_run(void **state)
{
    char path[128];
    int file;
    nw_status status = NW_OK;

    (void)state;
    start();
    flood(60, 1);
    (void)settle();
    (void)snprintf(path, sizeof path, "%s/0.spill", folder);
    file = open(path, O_WRONLY);
    assert_true(file >= 0);
    for (off_t at = 100; at < 2 * MIB; at += 30000) {
        assert_int_equal(pwrite(file, "?", 1, at), 1);
    }
    assert_int_equal(close(file), 0);
    model.plan = MODEL_NOT_COMMITTED;
    kit_epoch_end(&kit, 1, 1990);
    for (int tries = 0; status == NW_OK && tries < 2000; tries += files_work() ? 0 : 1) {
        kit.now_ns += atomic_load(&kit.operations) > 0 ? 0 : 1000000;
        status = kit_run(&kit);
    }
    assert_int_equal(status, NW_FATAL);
    assert_non_null(strstr(kit.err.text, "gave back other bytes than were written"));
    assert_memory_equal(kit.err.text, "NW2511", 6);
}

static void windows_are_spilled_while_they_wait_for_one_lane(void **state)
{
    (void)state;
    start();
    kit.hold_next = true;
    fat_row(0, 1, 1000, 10000, true);
    for (uint32_t i = 1; i < 100; i++) {
        fat_row(i % 2, 1, 1000 + i, 10000 + i, true);
    }
    (void)settle();
    /* One item is left out, and nothing can be delivered; still there is room for it. */
    assert_int_equal(model.writes, 0);
    assert_true(used() < 2 * MIB);
    kit_release_late(&kit);
    kit_epoch_end(&kit, 1, 1990);
    (void)settle();
    assert_int_equal(kit.durable_epoch, 1);
    rows_intact(100, 1);
}

static void files_of_a_former_run_are_removed_and_strange_ones_refused(void **state)
{
    char path[128];
    struct nw_sequencer *second = NULL;
    int file;

    (void)state;
    start();
    kit_close(&kit);
    (void)snprintf(path, sizeof path, "%s/7.spill", folder);
    file = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(file >= 0);
    assert_int_equal(close(file), 0);
    assert_int_equal(kit_open(&kit, 1), NW_OK);
    assert_int_equal(nw_sequencer_create(kit.sink, &options, &kit.sequencer, &kit.err), NW_OK);
    assert_int_equal(files_count(), 0);
    (void)snprintf(path, sizeof path, "%s/diary.txt", folder);
    file = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(file >= 0);
    assert_int_equal(close(file), 0);
    assert_int_equal(nw_sequencer_create(kit.sink, &options, &second, &kit.err), NW_FATAL);
    assert_non_null(strstr(kit.err.text, "diary.txt, which is not narwal's"));
    assert_memory_equal(kit.err.text, "NW2512", 6);
    assert_int_equal(unlink(path), 0);
}

static void item_behind_an_exported_array_is_not_spilled(void **state)
{
    (void)state;
    start();
    model.plan = MODEL_PENDING;
    kit_epoch_end(&kit, 1, 900);
    fat_row(0, 2, 2000, 20000, true);
    (void)settle();
    assert_int_equal(model.writes, 1);
    kit.sequencer->log.last->exports = 1; /* as batch_export() does */
    for (uint32_t i = 1; i < 60; i++) {
        fat_row(0, 2, 2000 + i, 20000 + i, true);
    }
    (void)settle();
    assert_true(kit.returned > 10);
    assert_non_null(kit.sequencer->log.first->next->item);
    kit.sequencer->log.first->next->exports = 0;
    (void)settle();
    kit_epoch_end(&kit, 2, 2990);
    model_answer(1, NW_COMMITTED);
    (void)settle();
    assert_int_equal(kit.durable_epoch, 2);
}

#define CASE(name) cmocka_unit_test_teardown(name, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(memory_stays_within_the_budget_while_the_sink_stands_still),
        CASE(replay_reads_back_what_was_delivered_and_spilled),
        CASE(total_order_comes_back_from_the_spill_as_it_was),
        CASE(rows_before_a_cut_may_be_more_than_the_budget),
        CASE(rows_before_a_cut_are_the_same_after_a_replay),
        CASE(rows_before_a_cut_that_fit_nowhere_end_the_run),
        CASE(used_up_quota_leaves_the_rest_in_memory),
        CASE(epoch_larger_than_memory_and_quota_still_comes_through),
        CASE(epoch_that_was_given_up_begins_the_run_again_when_the_sink_fails),
        CASE(full_disk_is_waited_for),
        CASE(changed_bytes_in_the_file_stop_the_run),
        CASE(windows_are_spilled_while_they_wait_for_one_lane),
        CASE(files_of_a_former_run_are_removed_and_strange_ones_refused),
        CASE(item_behind_an_exported_array_is_not_spilled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
