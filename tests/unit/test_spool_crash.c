/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spool when the disk fails or the power goes: nothing is told to be synced that is not, what
 * was told is there afterwards, and every failure leaves something that can be opened.
 */
#include "spool_kit.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"

/* ---- what must be there ---- */

/* What a story has told so far, in records of the kit's own numbering. */
struct told {
    uint64_t lsn;    /* the highest that was told to be synced */
    uint64_t needed; /* records below were given up by trim() */
    bool began;      /* begin() returned */
    bool reading, removing;
};

static uint64_t own_number(const struct nw_spool_record *record)
{
    return record->lsn / 3;
}

/* Reads all there is: one record after the other, none of those needed missing. @return the last */
static uint64_t assert_whole(struct kit *kit, const struct told *told)
{
    uint64_t last = 0;

    for (;;) {
        struct nw_spool_record record;
        bool end = false;

        assert_int_equal(kit_next(kit, &record, &end), NW_OK);
        if (end) {
            break;
        }
        if (last == 0) {
            assert_true(own_number(&record) <= told->needed || own_number(&record) == 1);
        } else {
            assert_int_equal(own_number(&record), last + 1);
        }
        last = own_number(&record);
        kit_assert_record(&record, last, kit_size(kit, last));
    }
    if (last == 0) { /* nothing was left to be needed */
        last = told->needed - 1;
    }
    assert_true(last <= kit->appended);
    assert_true(kit_reached(last) >= told->lsn);
    return last;
}

static void tell(struct kit *kit, struct told *told)
{
    uint64_t lsn = nw_spool_synced_lsn(kit->spool);

    assert_true(lsn >= told->lsn); /* it never goes back */
    told->lsn = lsn;
}

/* ---- power ---- */

static uint64_t draw(uint64_t *random, uint64_t limit)
{
    *random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*random >> 33) % limit;
}

static void read_some(struct kit *kit, struct told *told, uint64_t count, bool trim)
{
    struct nw_spool_record record = {0};
    bool end = false;

    for (uint64_t i = 0; i < count; i++) {
        assert_int_equal(kit_next(kit, &record, &end), NW_OK);
        if (end) {
            return;
        }
        kit_assert_record(&record, own_number(&record), kit_size(kit, own_number(&record)));
    }
    if (trim && count > 0) {
        nw_spool_trim(kit->spool, record.number + 1);
        told->needed =
            own_number(&record) + 1 > told->needed ? own_number(&record) + 1 : told->needed;
    }
}

/* A few random things, until the process ends. */
static void live(struct kit *kit, struct told *told, uint64_t *random)
{
    uint64_t acts = draw(random, 60);

    for (uint64_t i = 0; i < acts; i++) {
        switch (draw(random, 6)) {
        case 0:
        case 1:
            assert_int_equal(kit_append(kit, draw(random, 12)), NW_OK);
            break;
        case 2:
            read_some(kit, told, draw(random, 20), draw(random, 2) == 0);
            break;
        case 3:
            nw_spool_flush(kit->spool);
            break;
        default:
            assert_int_equal(kit_step(kit), NW_OK);
            break;
        }
        tell(kit, told);
    }
}

static void what_was_told_to_be_synced_survives(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 100; seed++) {
        static const uint32_t survive[] = {0, 10, 50, 90, 100};
        struct told told = {.lsn = KIT_BEGIN_LSN, .needed = 1};
        uint64_t random = seed * 2654435761u + 17;
        struct kit kit;

        kit_make(&kit, seed);
        kit.size_seed = seed;
        kit.states = true;
        for (int round = 0; round < 8; round++) {
            live(&kit, &told, &random);
            kit_drop(&kit);
            if (draw(&random, 4) > 0) { /* else only the process ended */
                nw_env_model_crash(kit.env, survive[draw(&random, 5)]);
            }
            if (kit_open(&kit, told.lsn) != NW_OK) {
                fail_msg("seed %llu, round %d: %s", (unsigned long long)seed, round, kit.err.text);
            }
            assert_non_null(kit.spool);
            tell(&kit, &told);
            kit.appended = assert_whole(&kit, &told);
            kit_drop(&kit);
            assert_int_equal(kit_open(&kit, told.lsn), NW_OK); /* it did not only look so */
            assert_int_equal(assert_whole(&kit, &told), kit.appended);
        }
        kit_free(&kit);
    }
}

/* ---- failures of the disk ---- */

static nw_status story_read(struct kit *kit, uint64_t count, struct told *told)
{
    struct nw_spool_record record = {0};
    bool end = false;
    nw_status status = NW_OK;

    told->reading = true; /* its failures are not for good */
    for (uint64_t i = 0; i < count && status == NW_OK; i++) {
        status = kit_next(kit, &record, &end);
    }
    if (status == NW_OK) {
        told->reading = false;
        nw_spool_trim(kit->spool, record.number + 1);
        told->needed = own_number(&record) + 1;
    }
    return status;
}

static nw_status story_settle(struct kit *kit, struct told *told)
{
    nw_status status = kit_settle(kit);

    tell(kit, told);
    return status;
}

/* A life from begin to remove. */
static nw_status story(struct kit *kit, struct told *told)
{
    nw_status status = nw_spool_begin(&kit->options, KIT_BEGIN_LSN, &kit->spool, &kit->err);

    if (status != NW_OK) {
        return status;
    }
    told->began = true;
    status = kit_append(kit, 90);
    tell(kit, told);
    if (status == NW_OK) {
        status = story_settle(kit, told);
    }
    if (status == NW_OK) {
        status = story_read(kit, 70, told);
    }
    if (status == NW_OK) {
        status = story_settle(kit, told);
    }
    if (status == NW_OK) {
        status = kit_append(kit, 40);
        tell(kit, told);
    }
    if (status == NW_OK) {
        status = story_settle(kit, told);
    }
    if (status == NW_OK) {
        told->removing = true;
        status = kit_remove(kit, NULL);
    }
    return status;
}

static nw_status count_names(void *context, const char *name, bool is_folder, struct nw_error *err)
{
    (void)name;
    (void)is_folder;
    (void)err;
    ++*(int *)context;
    return NW_OK;
}

/* After a failure the disk is well again: what was told is there, or nothing at all. */
static void assert_recovers(struct kit *kit, struct told *told)
{
    int names = 0;

    if (kit_open(kit, told->removing ? 0 : told->lsn) != NW_OK) {
        fail_msg("%s", kit->err.text);
    }
    if (kit->spool == NULL) {
        assert_true(told->removing || !told->began);
    } else {
        uint64_t synced_lsn = nw_spool_synced_lsn(kit->spool);

        (void)assert_whole(kit, told);
        assert_true(synced_lsn >= told->lsn);
        assert_int_equal(kit_remove(kit, NULL), NW_OK);
        kit_drop(kit);
    }
    assert_int_equal(kit->env->ops->folder_list(kit->env, "/", count_names, &names, NULL), NW_OK);
    assert_int_equal(names, 0);
}

static void fault_loop(enum nw_fault_kind kind, int error, bool power_goes)
{
    bool fired = true;
    uint64_t nth = 1;
    int waited_out = 0;

    for (; fired; nth++) {
        struct told told = {.lsn = KIT_BEGIN_LSN, .needed = 1};
        struct nw_env *model = NULL;
        struct nw_env *fault = NULL;
        struct kit kit;
        nw_status status = NW_OK;

        assert_int_equal(nw_env_model_create(nth, &model, NULL), NW_OK);
        assert_int_equal(nw_env_fault_create(model, &fault, NULL), NW_OK);
        kit_options(&kit, fault);
        kit.states = true;
        nw_env_fault_arm(fault, nth, kind, error);
        status = story(&kit, &told);
        fired = nw_env_fault_fired(fault);
        /* The folder's own removal may fail: the spool is gone then. A refusal is waited out. */
        assert_true(fired ? status != NW_OK || told.removing || kit.blocked : status == NW_OK);
        waited_out += kit.blocked && status == NW_OK;
        if (status != NW_OK && kit.spool != NULL && !told.removing) {
            assert_int_equal(kit_step(&kit), told.reading ? NW_OK : status); /* it stays so */
            tell(&kit, &told);
        }
        nw_env_fault_arm(fault, 0, kind, error);
        kit_drop(&kit);
        if (power_goes) {
            nw_env_model_crash(model, 0);
        }
        assert_recovers(&kit, &told);
        nw_env_fault_destroy(fault);
        nw_env_model_destroy(model);
    }
    assert_true(nth > 60);
    assert_true(waited_out > 3);
}

static void every_failure_leaves_what_was_told(void **state)
{
    (void)state;
    fault_loop(NW_FAULT_ERROR, EIO, false);
    fault_loop(NW_FAULT_TORN, ENOSPC, false);
    fault_loop(NW_FAULT_SHORT, EIO, false);
}

static void every_failure_with_a_power_cut_leaves_what_was_told(void **state)
{
    (void)state;
    fault_loop(NW_FAULT_ERROR, EIO, true);
    fault_loop(NW_FAULT_TORN, EIO, true);
}

/* Half removed, and half of that durable: there is all of it, or nothing. */
static void removing_is_all_or_nothing(void **state)
{
    bool fired = true;

    (void)state;
    for (uint64_t nth = 1; fired; nth++) {
        for (uint64_t seed = 0; seed < 12; seed++) {
            struct told told = {.lsn = KIT_BEGIN_LSN, .needed = 1};
            struct nw_env *model = NULL;
            struct nw_env *fault = NULL;
            struct kit kit;

            assert_int_equal(nw_env_model_create(nth * 100 + seed, &model, NULL), NW_OK);
            assert_int_equal(nw_env_fault_create(model, &fault, NULL), NW_OK);
            kit_options(&kit, fault);
            assert_int_equal(nw_spool_begin(&kit.options, KIT_BEGIN_LSN, &kit.spool, &kit.err),
                             NW_OK);
            assert_int_equal(kit_append(&kit, 63), NW_OK);
            assert_int_equal(story_settle(&kit, &told), NW_OK);
            nw_env_fault_arm(fault, nth, NW_FAULT_ERROR, EIO);
            (void)!kit_remove(&kit, NULL);
            fired = nw_env_fault_fired(fault);
            nw_env_fault_arm(fault, 0, NW_FAULT_ERROR, EIO);
            kit_drop(&kit);
            nw_env_model_crash(model, 50);
            if (kit_open(&kit, told.lsn) != NW_OK) {
                fail_msg("failure %llu, seed %llu: %s", (unsigned long long)nth,
                         (unsigned long long)seed, kit.err.text);
            }
            if (kit.spool != NULL) {
                assert_int_equal(assert_whole(&kit, &told), 63);
            }
            kit_drop(&kit);
            nw_env_fault_destroy(fault);
            nw_env_model_destroy(model);
        }
    }
}

/* Opening changes nothing before it is sure, and can be tried again. */
static void opening_fails_and_succeeds_later(void **state)
{
    bool fired = true;

    (void)state;
    for (uint64_t nth = 1; fired; nth++) {
        struct told told = {.lsn = KIT_BEGIN_LSN, .needed = 1};
        struct nw_env *model = NULL;
        struct nw_env *fault = NULL;
        struct nw_spool_status left;
        struct kit kit;
        uint64_t size = 0;
        nw_status status = NW_OK;

        assert_int_equal(nw_env_model_create(nth, &model, NULL), NW_OK);
        assert_int_equal(nw_env_fault_create(model, &fault, NULL), NW_OK);
        kit_options(&kit, fault);
        assert_int_equal(nw_spool_begin(&kit.options, KIT_BEGIN_LSN, &kit.spool, &kit.err), NW_OK);
        assert_int_equal(kit_append(&kit, 33), NW_OK);
        assert_int_equal(kit_settle(&kit), NW_OK);
        nw_spool_status(kit.spool, &left);
        kit_drop(&kit);
        size = kit_file_size(&kit, left.segments); /* something is to be cut off */
        kit_file_truncate(&kit, left.segments, size - 3);
        told.lsn = kit_reached(32);
        nw_env_fault_arm(fault, nth, NW_FAULT_ERROR, EIO);
        status = kit_open(&kit, told.lsn);
        fired = nw_env_fault_fired(fault);
        assert_true(fired == (status != NW_OK));
        assert_true(status == NW_OK || status == NW_RETRY || status == NW_FATAL);
        nw_env_fault_arm(fault, 0, NW_FAULT_ERROR, EIO);
        kit_drop(&kit);
        if (kit_open(&kit, told.lsn) != NW_OK) {
            fail_msg("after failure %llu: %s", (unsigned long long)nth, kit.err.text);
        }
        assert_int_equal(assert_whole(&kit, &told), 32);
        kit_drop(&kit);
        nw_env_fault_destroy(fault);
        nw_env_model_destroy(model);
    }
}

/*
 * After a failed sync the kernel may show what never reached the disk. It is not tried again, and a
 * later process does not take it for good either.
 */
static void a_failed_sync_is_final(void **state)
{
    struct nw_env *model = NULL;
    struct nw_env *fault = NULL;
    struct kit kit;
    uint32_t work = 0;
    nw_status status = NW_OK;

    (void)state;
    assert_int_equal(nw_env_model_create(1, &model, NULL), NW_OK);
    assert_int_equal(nw_env_fault_create(model, &fault, NULL), NW_OK);
    kit_options(&kit, fault);
    kit.options.segment_bytes = 1 << 20;
    assert_int_equal(nw_spool_begin(&kit.options, KIT_BEGIN_LSN, &kit.spool, &kit.err), NW_OK);
    assert_int_equal(kit_append(&kit, 18), NW_OK);
    assert_int_equal(kit_settle(&kit), NW_OK);
    assert_int_equal(kit_append(&kit, 10), NW_OK);
    nw_spool_flush(kit.spool);
    nw_env_fault_arm(fault, 2, NW_FAULT_ERROR, EIO); /* the write, then the sync */
    for (int i = 0; i < 1000 && status == NW_OK; i++) {
        status = nw_spool_step(kit.spool, kit.now_ns, &work, &kit.err);
    }
    assert_int_equal(status, NW_FATAL);
    assert_non_null(strstr(kit.err.text, "cannot sync the spool, /spool/0000000001.spool"));
    assert_memory_equal(kit.err.text, "NW2504", 6);
    assert_int_equal(nw_spool_synced_lsn(kit.spool), kit_reached(18));
    assert_int_equal(kit_append(&kit, 1), NW_FATAL);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(kit_step(&kit), NW_FATAL);
    }
    assert_int_equal(nw_spool_synced_lsn(kit.spool), kit_reached(18));
    kit_drop(&kit);
    assert_int_equal(kit_open(&kit, kit_reached(18)), NW_OK);
    assert_int_equal(nw_spool_synced_lsn(kit.spool), kit_reached(18));
    kit_expect(&kit, 1, 18);
    kit_expect_end(&kit);
    kit_drop(&kit);
    nw_env_fault_destroy(fault);
    nw_env_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_told_to_be_synced_survives),
        cmocka_unit_test(every_failure_leaves_what_was_told),
        cmocka_unit_test(every_failure_with_a_power_cut_leaves_what_was_told),
        cmocka_unit_test(removing_is_all_or_nothing),
        cmocka_unit_test(opening_fails_and_succeeds_later),
        cmocka_unit_test(a_failed_sync_is_final),
    };

    nw_log_setup(2, (enum nw_log_level)0, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
