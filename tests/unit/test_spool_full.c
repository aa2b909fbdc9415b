/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spool on a disk that is full: what it has stays, nothing is told to be synced that is not,
 * and once there is room it goes on as if nothing had been.
 */
#include "spool_kit.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"

#define SECOND_NS 1000000000LL

/* Appends until no more is taken. @return records taken */
static uint64_t append_all_it_takes(struct kit *kit)
{
    uint64_t before = kit->appended;
    uint8_t bytes[4096];
    int refusals = 0;

    while (refusals < 50) {
        uint64_t number = kit->appended + 1;
        struct nw_spool_record record = kit_record(number, bytes, kit_size(kit, number));
        nw_status status = nw_spool_append(kit->spool, &record, &kit->err);

        assert_true(kit->appended < 100000);
        assert_true(status == NW_OK || status == NW_AGAIN);
        kit->appended += status == NW_OK;
        refusals = status == NW_OK ? 0 : refusals + 1;
        if (status == NW_AGAIN) {
            assert_int_equal(kit_step(kit), NW_OK);
        }
    }
    return kit->appended - before;
}

static void steps(struct kit *kit, int64_t ns)
{
    for (int64_t end_ns = kit->now_ns + ns; kit->now_ns < end_ns;) {
        assert_int_equal(kit_step(kit), NW_OK);
    }
}

/* How many records one finds who comes after a power cut. */
static uint64_t records_left(struct kit *kit, uint64_t told_lsn)
{
    struct nw_spool_record record;
    uint64_t count = 0;
    bool end = false;

    kit_drop(kit);
    nw_env_model_crash(kit->env, 0);
    nw_env_model_limit(kit->env, 0);
    if (kit_open(kit, told_lsn) != NW_OK) {
        fail_msg("%s", kit->err.text);
    }
    for (;;) {
        assert_int_equal(kit_next(kit, &record, &end), NW_OK);
        if (end) {
            return count;
        }
        count++;
        kit_assert_record(&record, count, kit_size(kit, count));
    }
}

static void it_waits_for_room_and_goes_on(void **state)
{
    (void)state;
    for (uint64_t room = 300; room < 40000; room += 701) {
        struct nw_spool_status status;
        struct kit kit;
        uint64_t told_lsn = 0;

        kit_make(&kit, room);
        kit.size_seed = room;
        nw_env_model_limit(kit.env, room);
        assert_true(append_all_it_takes(&kit) > 50); /* into memory */
        steps(&kit, 3 * SECOND_NS);
        nw_spool_status(kit.spool, &status);
        assert_int_equal(status.pressure, NW_SPOOL_BLOCKED);
        assert_int_equal(nw_spool_pressure(kit.spool), NW_SPOOL_BLOCKED);
        assert_non_null(nw_spool_blocked(kit.spool));
        assert_non_null(strstr(nw_spool_blocked(kit.spool), "No space left on device"));
        assert_true(nw_env_model_used(kit.env) <= room);
        told_lsn = nw_spool_synced_lsn(kit.spool);
        assert_true(told_lsn < kit_reached(kit.appended));
        if (room % 2 == 0) { /* it does not get there */
            assert_true(kit_reached(records_left(&kit, told_lsn)) >= told_lsn);
        } else {
            nw_env_model_limit(kit.env, 0);
            steps(&kit, SECOND_NS + SECOND_NS / 100);
            assert_null(nw_spool_blocked(kit.spool));
            assert_int_equal(kit_append(&kit, 30), NW_OK);
            assert_int_equal(kit_settle(&kit), NW_OK);
            assert_int_equal(nw_spool_synced_lsn(kit.spool), kit_reached(kit.appended));
            kit_expect(&kit, 1, kit.appended);
            kit_expect_end(&kit);
            assert_int_equal(records_left(&kit, kit_reached(kit.appended)), kit.appended);
        }
        kit_free(&kit);
    }
}

/* What was read of it meanwhile came from memory, and in order. */
static void it_is_read_while_the_disk_is_full(void **state)
{
    struct kit kit;
    uint64_t half = 0;

    (void)state;
    kit_make(&kit, 1);
    nw_env_model_limit(kit.env, 20000);
    (void)append_all_it_takes(&kit);
    steps(&kit, SECOND_NS);
    half = kit.appended / 2;
    kit_expect(&kit, 1, half);
    steps(&kit, SECOND_NS);
    kit_expect(&kit, half + 1, kit.appended);
    kit_expect_end(&kit);
    nw_env_model_limit(kit.env, 0);
    assert_int_equal(kit_settle(&kit), NW_OK);
    kit_free(&kit);
}

/* What fitted is synced soon, though more waits behind it. */
static void what_was_written_is_synced_all_the_same(void **state)
{
    struct kit kit;

    (void)state;
    kit_make_of(&kit, 1, 1 << 20);
    assert_int_equal(kit_append(&kit, 8), NW_OK);
    assert_int_equal(kit_step(&kit), NW_OK);
    nw_spool_flush(kit.spool);
    while (nw_env_model_used(kit.env) == KIT_HEADER) {
        assert_int_equal(kit_step(&kit), NW_OK);
    }
    nw_env_model_limit(kit.env, nw_env_model_used(kit.env));
    (void)append_all_it_takes(&kit);
    steps(&kit, SECOND_NS);
    assert_int_equal(nw_spool_synced_lsn(kit.spool), kit_reached(8));
    kit_free(&kit);
}

static void it_tries_once_a_second_and_sleeps_meanwhile(void **state)
{
    struct nw_env *model = NULL;
    struct nw_env *counting = NULL;
    struct kit kit;
    int woken = 0;
    int64_t end_ns = 0;

    (void)state;
    assert_int_equal(nw_env_model_create(3, &model, NULL), NW_OK);
    assert_int_equal(nw_env_fault_create(model, &counting, NULL), NW_OK);
    kit_options(&kit, counting);
    assert_int_equal(nw_spool_begin(&kit.options, KIT_BEGIN_LSN, &kit.spool, &kit.err), NW_OK);
    nw_env_model_limit(model, 30000);
    (void)append_all_it_takes(&kit);
    steps(&kit, SECOND_NS);
    nw_env_fault_arm(counting, 0, NW_FAULT_ERROR, EIO);
    for (end_ns = kit.now_ns + 20 * SECOND_NS; kit.now_ns < end_ns; woken++) {
        int64_t deadline_ns = nw_spool_deadline(kit.spool, kit.now_ns);
        uint32_t work = 0;

        assert_true(deadline_ns >= kit.now_ns && deadline_ns <= kit.now_ns + SECOND_NS);
        kit.now_ns = deadline_ns == kit.now_ns ? kit.now_ns + 1000000 : deadline_ns;
        assert_int_equal(nw_spool_step(kit.spool, kit.now_ns, &work, &kit.err), NW_OK);
    }
    assert_in_range(nw_env_fault_count(counting), 19, 20 * 10);
    assert_in_range(woken, 20, 1000); /* a model's operation may take a few looks */
    kit_drop(&kit);
    nw_env_fault_destroy(counting);
    nw_env_model_destroy(model);
}

/* What the pages hold may be gone: there is no other try. */
static void a_sync_without_room_is_final_and_says_why(void **state)
{
    struct nw_env *model = NULL;
    struct nw_env *fault = NULL;
    struct kit kit;

    (void)state;
    assert_int_equal(nw_env_model_create(1, &model, NULL), NW_OK);
    assert_int_equal(nw_env_fault_create(model, &fault, NULL), NW_OK);
    kit_options(&kit, fault);
    kit.options.segment_bytes = 1 << 20;
    assert_int_equal(nw_spool_begin(&kit.options, KIT_BEGIN_LSN, &kit.spool, &kit.err), NW_OK);
    assert_int_equal(kit_append(&kit, 10), NW_OK);
    nw_env_fault_arm(fault, 2, NW_FAULT_ERROR, ENOSPC); /* the write, then the sync */
    assert_int_equal(kit_settle(&kit), NW_FATAL);
    assert_non_null(strstr(kit.err.text, "cannot sync the spool"));
    assert_memory_equal(kit.err.text, "NW2504", 6);
    assert_non_null(strstr(kit.err.text, "Free space there, then start narwal again"));
    assert_int_equal(nw_spool_synced_lsn(kit.spool), KIT_BEGIN_LSN);
    assert_int_equal(kit_append(&kit, 1), NW_FATAL);
    kit_drop(&kit);
    nw_env_fault_destroy(fault);
    nw_env_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_waits_for_room_and_goes_on),
        cmocka_unit_test(it_is_read_while_the_disk_is_full),
        cmocka_unit_test(what_was_written_is_synced_all_the_same),
        cmocka_unit_test(it_tries_once_a_second_and_sleeps_meanwhile),
        cmocka_unit_test(a_sync_without_room_is_final_and_says_why),
    };

    nw_log_setup(2, (enum nw_log_level)0, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
