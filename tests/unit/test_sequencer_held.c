/* SPDX-License-Identifier: Apache-2.0 */
/* A busy table's changes while its copy is read: packed, spilled, bounded, and delivered once. */
#include <errno.h>
#include <unistd.h>

#include "sink_model.h"

#define MIB   ((int64_t)1 << 20)
#define FENCE 1000u
#define FIRST 1 /* id of the first row that is behind the fence */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BUSY_BATCHES 60000u
#define RSS_KNOWN    false /* the sanitizer's own memory is in it */
#else
#define BUSY_BATCHES 1000000u
#define RSS_KNOWN    true
#endif
#define BUSY_ROWS 2u /* in each */

static struct kit kit;
static char folder[64];
static struct nw_sequencer_options options;

static void start_with(const struct nw_sink_ops *ops, uint32_t workers, int64_t budget,
                       uint64_t quota)
{
    model_reset();
    kit_init(&kit, ops, 2);
    kit.budget.limit_bytes = budget;
    assert_int_equal(nw_env_system_create(NW_IO_AUTO, &kit.system, &kit.err), NW_OK);
    (void)snprintf(folder, sizeof folder, "/tmp/nw-held-XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(kit_open(&kit, workers), NW_OK);
    options = kit_sequencer_options(&kit);
    options.spill_folder = folder;
    options.spill_quota_bytes = quota;
    assert_int_equal(nw_sequencer_create(kit.sink, &options, &kit.sequencer, &kit.err), NW_OK);
}

static void start(void)
{
    start_with(&model_ops, 1, 2 * MIB, 1u << 30);
}

static int finish(void **state)
{
    (void)state;
    kit_fini(&kit);
    assert_int_equal(rmdir(folder), 0);
    nw_env_system_destroy(kit.system);
    assert_int_equal(kit.budget.used_bytes, 0);
    assert_contract_kept();
    return 0;
}

static int64_t used(void)
{
    return atomic_load(&kit.budget.used_bytes);
}

/* Runs until nothing moves and the files are done. */
static void settle(void)
{
    do {
        assert_int_equal(kit_run(&kit), NW_OK);
        if (atomic_load(&kit.operations) > 0) {
            (void)usleep(20);
        }
    } while (atomic_load(&kit.operations) > 0);
}

/* One step of everything. @return the most memory that was used between */
static int64_t step(void)
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
    if (work == 0 && atomic_load(&kit.operations) > 0) {
        (void)usleep(20);
    }
    return most;
}

static void joins_as(uint32_t table, uint32_t generation)
{
    struct nw_copy_mark said = {.joining_sinks = 1};

    kit_chunk_mark(&kit, NW_PRODUCER_STREAM, table, generation, &said, false);
}

static void joins(uint32_t table)
{
    joins_as(table, 5);
}

static void copy_begins(uint32_t table)
{
    kit_copy_mark(&kit, 1 + table, table, 5, FENCE, false);
}

static void copy_ends(uint32_t table)
{
    kit_copy_mark(&kit, 1 + table, table, 5, FENCE, true);
    settle();
}

/* The end of an epoch, until it is durable. @return the most memory that was used meanwhile */
static int64_t commit(uint64_t epoch, uint64_t lsn)
{
    int64_t most = 0;

    kit_epoch_end(&kit, epoch, lsn);
    for (uint32_t i = 0; kit.durable_epoch < epoch && i < 100000000; i++) {
        int64_t now_used = step();

        most = now_used > most ? now_used : most;
        kit.now_ns += 1000000;
    }
    assert_int_equal(kit.durable_epoch, epoch);
    return most;
}

static struct nw_sink_status status_of(void)
{
    struct nw_sink_status status;

    nw_sink_status(kit.sink, &status);
    return status;
}

/* One row of table 0, `pad` bytes wide. */
static void wide_row(uint64_t epoch, uint64_t lsn, int64_t id, uint32_t pad)
{
    struct nw_item *item =
        kit_rows(&kit, &kit_tables[0], epoch, (const struct kit_row[]){{lsn, 0, id}}, 1, pad);

    item->cut = true;
    kit_push(&kit, item, NW_PRODUCER_STREAM);
}

/* ---- more changes than there may be entries ---- */

static struct {
    int64_t next; /* id that has to come */
    uint64_t rows;
    bool wrong;
} busy;

static nw_status busy_recover(void *self, struct nw_recovery *recovery, struct nw_error *err)
{
    busy.next = FIRST;
    return model_recover(self, recovery, err);
}

static nw_status busy_write(void *self, uint32_t worker, const struct nw_batch *batch,
                            struct nw_error *err)
{
    (void)self;
    (void)worker;
    (void)err;
    for (uint32_t i = 0; i < batch->rows_count; i++) {
        int64_t id = nw_batch_value(batch, NW_AFTER, i, 0).as.integer;

        busy.wrong |= id != busy.next || batch->commit_lsn[batch->first_row + i] < FENCE;
        busy.next++;
        busy.rows++;
    }
    return NW_OK;
}

static int64_t resident_bytes(void)
{
    long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*s %lld", &pages), 1);
    assert_int_equal(fclose(file), 0);
    return pages * sysconf(_SC_PAGESIZE);
}

/* The changes of hours: rows 1, 2, ... from the fence on, two of one transaction in each flush. */
static void busy_stream(uint64_t epoch)
{
    for (uint32_t i = 0; i < BUSY_BATCHES; i++) {
        int64_t id = FIRST + (int64_t)i * BUSY_ROWS;

        kit_batch(&kit, 0, epoch,
                  (const struct kit_row[]){{FENCE + i, 0, id}, {FENCE + i, 1, id + 1}}, BUSY_ROWS,
                  true);
        if (i % 32 == 31) {
            (void)step();
        }
        while (used() > kit.budget.limit_bytes) {
            (void)step(); /* as a lane would wait */
        }
    }
    settle();
}

static void what_is_held_is_bounded_by_the_quota_and_not_by_its_number(void **state)
{
    struct nw_sink_ops ops = model_ops;
    const int64_t limit = 16 * MIB;
    int64_t resident = resident_bytes();
    int64_t most = 0;

    (void)state;
    ops.recover = busy_recover;
    ops.write = busy_write;
    memset(&busy, 0, sizeof busy);
    start_with(&ops, 1, limit, 8ull << 30);
    joins(0);
    (void)commit(1, FENCE - 100);
    copy_begins(0);
    busy_stream(2);
    assert_int_equal(status_of().waiting_rows, BUSY_BATCHES * BUSY_ROWS);
    assert_true(used() <= limit);
    assert_true(kit.sequencer->entries_used < BUSY_BATCHES / 100);
    if (RSS_KNOWN) {
        print_message("%llu MiB wait, %lld MiB more memory than before\n",
                      (unsigned long long)status_of().waiting_bytes >> 20,
                      (long long)(resident_bytes() - resident) >> 20);
        assert_true(resident_bytes() - resident < limit + 16 * MIB);
    }
    copy_ends(0);
    model.plan = MODEL_UNKNOWN_NOT_DONE; /* all of it once more */
    most = commit(2, FENCE + BUSY_BATCHES);
    assert_int_equal(busy.next, FIRST + (int64_t)BUSY_BATCHES * BUSY_ROWS);
    assert_int_equal(busy.rows, 2ull * BUSY_BATCHES * BUSY_ROWS);
    assert_false(busy.wrong);
    assert_true(most <= limit + 4 * MIB);
    assert_true(!RSS_KNOWN || resident_bytes() - resident < limit + 16 * MIB);
    settle();
    assert_int_equal(status_of().waiting_rows, 0);
    assert_int_equal(status_of().waiting_bytes, 0);
    assert_int_equal(status_of().spilled_bytes, 0);
}

/* ---- packs ---- */

static void rows_in_order(int64_t first, int64_t count)
{
    int64_t next = first;

    for (uint32_t i = 0; i < model.rows_stored; i++) {
        if (model.rows[i].oid == 100 && model.rows[i].generation == 0) {
            assert_int_equal(model.rows[i].id, next);
            next++;
        }
    }
    assert_int_equal(next, first + count);
}

/* Large items are not packed, and stay between those that were before and behind them. */
static void large_and_small_ones_keep_their_order(void **state)
{
    (void)state;
    for (uint32_t memory = 0; memory < 2; memory++) {
        start_with(&model_ops, 1, (memory == 0 ? 2 : 1000) * MIB, 1u << 30);
        joins(0);
        (void)commit(1, FENCE - 1);
        for (uint32_t i = 0; i < 400; i++) {
            wide_row(2, FENCE + i, i, i % 7 == 3 ? 300u << 10 : i * 13);
            settle();
        }
        copy_begins(0);
        copy_ends(0);
        (void)commit(2, FENCE + 1000);
        rows_in_order(0, 400);
        assert_true((status_of().spilled_total_bytes > 0) == (memory == 0));
        if (memory == 0) {
            finish(NULL);
        }
    }
}

/* The fence lies inside a pack, whose events are told apart by it too. */
static void rows_and_events_before_the_fence_stay_in_the_pack(void **state)
{
    (void)state;
    start();
    joins(0);
    (void)commit(1, FENCE - 100);
    for (uint32_t i = 0; i < 40; i++) {
        kit_row_one(&kit, 0, 2, FENCE - 20 + i, (int64_t)i - 20);
        kit_event(&kit, NW_EVENT_TRUNCATE, 2, FENCE - 20 + i, (const uint32_t[]){0}, 1);
    }
    settle();
    assert_int_equal(status_of().waiting_rows, 80);
    copy_begins(0);
    copy_ends(0);
    (void)commit(2, FENCE + 100);
    rows_in_order(0, 20);
    assert_int_equal(model.events_count, 20);
    assert_int_equal(model.events[0].commit_lsn, FENCE);
    assert_int_equal(model.events_order[0], 1); /* behind the row before it */
    assert_int_equal(model.events_order[19], 20);
}

static void packs_before_the_fence_go_when_it_is_known(void **state)
{
    (void)state;
    start();
    joins(0);
    joins(1);
    (void)commit(1, FENCE - 900);
    for (uint32_t i = 0; i < 500; i++) {
        kit_row_one(&kit, 0, 2, FENCE - 800 + i, i);
        kit_row_one(&kit, 1, 2, FENCE - 800 + i, i);
        settle();
    }
    copy_begins(0);
    settle();
    assert_int_equal(status_of().waiting_rows, 500);
    wide_row(2, FENCE + 1, 0, 8);
    copy_ends(0);
    copy_begins(1);
    (void)commit(2, FENCE + 2);
    rows_in_order(0, 1);
    assert_int_equal(status_of().waiting_rows, 0);
    kit_row_one(&kit, 1, 3, FENCE + 3, 77);
    copy_ends(1);
    (void)commit(3, FENCE + 4);
    assert_int_equal(model_count(1, 77), 1);
    assert_int_equal(model.rows_stored, 2);
}

/* Nothing was left to spill but what was being filled, and that is closed later. */
static void packs_that_fill_up_under_pressure_are_spilled(void **state)
{
    (void)state;
    start();
    joins(0);
    (void)commit(1, FENCE - 1);
    nw_budget_overdraw(&kit.budget, (size_t)(3 * MIB)); /* somebody else's */
    for (uint32_t i = 0; i < 2000; i++) {
        wide_row(2, FENCE + i, i, 200);
        settle();
    }
    assert_true(status_of().waiting_bytes > (uint64_t)MIB);
    assert_true(used() - 3 * MIB < MIB / 8);
    nw_budget_release(&kit.budget, (size_t)(3 * MIB));
    copy_begins(0);
    copy_ends(0);
    (void)commit(2, FENCE + 3000);
    rows_in_order(0, 2000);
}

/* ---- a copy that does not come ---- */

static void a_copy_that_is_given_up_takes_along_what_waits_for_it(void **state)
{
    struct nw_copy_mark other = {.joining_sinks = 2};
    struct nw_copy_mark said = {.joining_sinks = 1};

    (void)state;
    start();
    joins(0);
    joins(1);
    (void)commit(1, FENCE - 900);
    kit_row_one(&kit, 0, 2, FENCE + 1, 1);
    kit_row_one(&kit, 1, 2, FENCE + 1, 2);
    copy_begins(0);
    kit_chunk_mark(&kit, NW_PRODUCER_STREAM, 0, 5, &other, true); /* of another sink */
    settle();
    assert_int_equal(status_of().waiting_rows, 2);
    kit_chunk_mark(&kit, NW_PRODUCER_STREAM, 0, 5, &said, true);
    copy_ends(0); /* its readers do not know yet */
    (void)commit(2, FENCE + 3);
    assert_int_equal(status_of().waiting_rows, 1);
    copy_begins(1);
    copy_ends(1);
    (void)commit(3, FENCE + 4);
    assert_int_equal(model.rows_stored, 1);
    assert_int_equal(model_count(1, 2), 1);
    assert_int_equal(status_of().copies, 1);
    joins_as(0, 6); /* and once more */
    kit_row_one(&kit, 0, 4, FENCE + 5, 4);
    kit_copy_mark(&kit, 1, 0, 6, FENCE, false);
    kit_copy_mark(&kit, 1, 0, 6, FENCE, true);
    settle();
    (void)commit(4, FENCE + 6);
    assert_int_equal(model_count(0, 4), 1);
}

static void a_table_that_is_dropped_waits_for_no_copy(void **state)
{
    (void)state;
    start();
    joins(0);
    (void)commit(1, FENCE - 900);
    kit_row_one(&kit, 0, 2, FENCE + 1, 1);
    kit_event(&kit, NW_EVENT_DROP, 2, FENCE + 2, (const uint32_t[]){0}, 1);
    copy_begins(0);
    copy_ends(0);
    (void)commit(2, FENCE + 3);
    assert_int_equal(status_of().waiting_rows, 0);
    assert_int_equal(model.rows_stored, 0);
    assert_int_equal(model.events_count, 1);
    assert_int_equal(model.events[0].kind, NW_EVENT_DROP);
}

/* ---- a sink that keeps what it has ---- */

static void start_appending(void)
{
    struct nw_copy_mark said = {.joining_sinks = 1, .place = {FENCE - 50, 0}};
    struct nw_sink_ops ops = model_ops;

    ops.flags |= NW_SINK_APPEND_ONLY;
    start_with(&ops, 1, 2 * MIB, 1u << 30);
    kit_chunk_mark(&kit, NW_PRODUCER_STREAM, 0, 5, &said, false);
    (void)commit(1, FENCE - 60);
}

static void what_came_since_the_mark_follows_the_copy(void **state)
{
    (void)state;
    start_appending();
    for (uint32_t i = 0; i < 40; i++) {
        kit_row_one(&kit, 0, 2, FENCE - 20 + i, i);
    }
    settle();
    assert_int_equal(nw_sink_held_lsn(kit.sink), FENCE - 50);
    copy_begins(0);
    settle();
    assert_int_equal(status_of().waiting_rows, 40);
    copy_ends(0);
    assert_int_equal(nw_sink_held_lsn(kit.sink), FENCE - 50);
    (void)commit(2, FENCE + 100);
    rows_in_order(0, 40);
    assert_true(nw_sink_held_lsn(kit.sink) == UINT64_MAX);
}

/* Else rows from before it would come behind it. */
static void a_truncate_of_several_tables_waits_where_one_of_them_does(void **state)
{
    (void)state;
    start_appending();
    kit_row_one(&kit, 0, 2, FENCE - 20, 0);
    kit_event(&kit, NW_EVENT_TRUNCATE, 2, FENCE - 10, (const uint32_t[]){0, 1}, 2);
    (void)commit(2, FENCE - 5);
    assert_int_equal(model.events_count, 1); /* of the other table */
    assert_int_equal(model.rows_stored, 0);
    copy_begins(0);
    copy_ends(0);
    (void)commit(3, FENCE + 100);
    rows_in_order(0, 1);
    assert_int_equal(model.events_count, 2);
    assert_int_equal(model.events_order[1], 1); /* behind the row before it */
}

/* ---- faults ---- */

static void a_disk_that_fails_for_a_while_costs_nothing(void **state)
{
    (void)state;
    start();
    joins(0);
    (void)commit(1, FENCE - 1);
    kit.write_result = -ENOSPC;
    for (uint32_t i = 0; i < 60; i++) {
        wide_row(2, FENCE + i, i, 64u << 10);
        settle();
    }
    assert_true(used() > 3 * MIB);
    kit.write_result = 0;
    kit.now_ns += 11000000000; /* it is tried again */
    settle();
    assert_true(used() <= 2 * MIB);
    for (uint32_t i = 60; i < 100; i++) {
        wide_row(2, FENCE + i, i, 64u << 10);
        settle();
    }
    copy_begins(0);
    copy_ends(0);
    (void)commit(2, FENCE + 1000);
    rows_in_order(0, 100);
}

/* Past the quota: the busiest table stops at this sink, with what to do about it. */
static void more_than_the_quota_stops_the_table(void **state)
{
    const struct nw_table *refused = NULL;
    nw_status status = NW_OK;
    uint64_t lsn = 0;

    (void)state;
    start_with(&model_ops, 1, 2 * MIB, 8ull * MIB);
    joins(0);
    joins(1);
    (void)commit(1, FENCE - 1);
    kit_row_one(&kit, 1, 2, FENCE, 0); /* of which little is held */
    for (uint32_t i = 0; i < 100000 && used() <= 2 * MIB; i++) {
        wide_row(2, FENCE + i, i, 100);
        settle();
    }
    assert_true(status_of().waiting_bytes > 8ull * MIB);
    for (int i = 0; i < 60 && status == NW_OK; i++) {
        kit.now_ns += 100000000;
        status = kit_run(&kit);
    }
    assert_int_equal(status, NW_REJECT);
    refused = nw_sequencer_refused(kit.sequencer, &lsn);
    assert_non_null(refused);
    assert_int_equal(refused->relation_oid, 100);
    assert_non_null(strstr(kit.err.text, "raise them"));
    assert_memory_equal(kit.err.text, "NW2416", 6);
    assert_non_null(strstr(kit.err.text, "Copy it again"));
}

/* A worker that committed alone is not sent what it has; what was held then is not among that. */
static void what_was_held_at_a_commit_of_one_worker_is_delivered_later(void **state)
{
    uint32_t own = 0;

    (void)state;
    start_with(&model_ops, 4, 2 * MIB, 1u << 30);
    model.per_worker_positions = true;
    joins(0);
    (void)commit(1, FENCE - 5);
    model.plan = MODEL_UNKNOWN_NOT_DONE; /* the host learns that each worker has a position */
    (void)commit(2, FENCE - 4);
    own = nw_sequencer_shard(kit.sequencer, 100);
    kit_row_one(&kit, 0, 3, FENCE + 1, 0);
    wide_row(3, FENCE + 1, 1, 300u << 10);
    kit_row_one(&kit, 0, 3, FENCE + 1, 2);
    model.plan = MODEL_UNKNOWN_DONE;
    model.only_worker = own + 1;
    kit_epoch_end(&kit, 3, FENCE + 2);
    assert_int_equal(kit_run(&kit), NW_OK);
    model.only_worker = 0;
    assert_int_equal(kit_run_for(&kit, 400000000), NW_OK);
    assert_int_equal(kit.durable_epoch, 3);
    copy_begins(0);
    copy_ends(0);
    (void)commit(4, FENCE + 3);
    rows_in_order(0, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(what_is_held_is_bounded_by_the_quota_and_not_by_its_number,
                                  finish),
        cmocka_unit_test_teardown(large_and_small_ones_keep_their_order, finish),
        cmocka_unit_test_teardown(rows_and_events_before_the_fence_stay_in_the_pack, finish),
        cmocka_unit_test_teardown(packs_before_the_fence_go_when_it_is_known, finish),
        cmocka_unit_test_teardown(packs_that_fill_up_under_pressure_are_spilled, finish),
        cmocka_unit_test_teardown(a_copy_that_is_given_up_takes_along_what_waits_for_it, finish),
        cmocka_unit_test_teardown(a_table_that_is_dropped_waits_for_no_copy, finish),
        cmocka_unit_test_teardown(what_came_since_the_mark_follows_the_copy, finish),
        cmocka_unit_test_teardown(a_truncate_of_several_tables_waits_where_one_of_them_does,
                                  finish),
        cmocka_unit_test_teardown(a_disk_that_fails_for_a_while_costs_nothing, finish),
        cmocka_unit_test_teardown(more_than_the_quota_stops_the_table, finish),
        cmocka_unit_test_teardown(what_was_held_at_a_commit_of_one_worker_is_delivered_later,
                                  finish),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
