/* SPDX-License-Identifier: Apache-2.0 */
/* The record of the latest transactions: what is written is read, and a gap is never overlooked. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "pipeline/recent.h"

static char folder[] = "/tmp/narwal-recent-XXXXXX";
static const struct nw_identity IDENTITY = {
    .system_identifier = 7, .timeline = 1, .database_oid = 5};
static const struct nw_table ORDERS = {
    .relation_oid = 16384, .schema_name = "shop", .name = "orders"};
static const struct nw_table LINES = {
    .relation_oid = 16390, .schema_name = "shop", .name = "lines"};

static void file_path(char path[64], unsigned place)
{
    (void)snprintf(path, 64, "%s/recent.%u", folder, place);
}

static int begin(void **state)
{
    char path[64];

    (void)state;
    for (unsigned place = 0; place < 2; place++) {
        file_path(path, place);
        (void)unlink(path);
    }
    return 0;
}

static struct nw_recent *opened(uint64_t lsn)
{
    struct nw_recent *recent = NULL;
    struct nw_error err = {0};

    assert_int_equal(nw_recent_open(folder, &recent, &err), NW_OK);
    nw_recent_begin(recent, &IDENTITY, lsn);
    return recent;
}

static void commit(struct nw_recent *recent, uint64_t lsn, uint32_t xid, uint32_t tables_count)
{
    struct nw_dealer_committed what = {.commit_lsn = lsn,
                                       .end_lsn = lsn + 8,
                                       .commit_ts = 1764440000000000,
                                       .xid = xid,
                                       .tables_count = tables_count};

    for (uint32_t i = 0; i < tables_count && i < NW_COMMITTED_TABLES_MAX; i++) {
        what.tables[i] = (struct nw_table_count){i % 2 == 0 ? &ORDERS : &LINES, 30 + i};
    }
    nw_recent_add(recent, &what);
}

static struct nw_recent_list read_all(void)
{
    struct nw_recent_list list;
    struct nw_error err = {0};

    assert_int_equal(nw_recent_read(folder, &list, &err), NW_OK);
    return list;
}

static void what_was_dealt_is_read_by_name(void **state)
{
    struct nw_recent *recent = opened(100);
    struct nw_recent_list list;
    char text[256];

    (void)state;
    commit(recent, 110, 1067, 2);
    nw_recent_write(recent);
    list = read_all();
    assert_int_equal(list.to_lsn, 0); /* its epoch has not ended */
    nw_recent_fini(&list);
    nw_recent_reach(recent, 130);
    nw_recent_write(recent);
    nw_recent_close(recent);

    list = read_all();
    assert_int_equal(list.from_lsn, 100);
    assert_int_equal(list.to_lsn, 130);
    assert_int_equal(list.commits_count, 1);
    assert_string_equal(nw_recent_text(&list, 0, text, sizeof text),
                        "transaction 1067 at 0/6E, 2025-11-29 18:13:20 UTC: shop.orders (30 rows), "
                        "shop.lines (31 rows)");
    assert_true(nw_recent_covers(&list, 100, 130));
    assert_false(nw_recent_covers(&list, 99, 130));
    assert_false(nw_recent_covers(&list, 100, 131));
    assert_int_equal(nw_recent_extra(&list, 0, 117), 0);
    assert_int_equal(nw_recent_extra(&list, 0, 118), 1);
    nw_recent_fini(&list);
}

static void a_restart_goes_on_and_says_things_once(void **state)
{
    struct nw_recent *recent = opened(100);
    struct nw_recent_list list;

    (void)state;
    commit(recent, 110, 1, 1);
    commit(recent, 120, 2, 1);
    nw_recent_reach(recent, 130);
    nw_recent_write(recent);
    nw_recent_close(recent);
    recent = opened(118); /* the sinks had no more */
    commit(recent, 120, 2, 1);
    commit(recent, 140, 3, 1);
    nw_recent_reach(recent, 150);
    nw_recent_write(recent);
    nw_recent_close(recent);
    list = read_all();
    assert_true(nw_recent_covers(&list, 100, 150));
    assert_int_equal(list.commits_count, 3);
    nw_recent_fini(&list);
}

static void a_gap_begins_the_record_anew(void **state)
{
    struct nw_recent *recent = opened(100);
    struct nw_recent_list list;

    (void)state;
    commit(recent, 110, 1, 1);
    nw_recent_reach(recent, 130);
    nw_recent_write(recent);
    nw_recent_close(recent);
    recent = opened(131); /* killed before the last batch was written */
    commit(recent, 140, 2, 1);
    nw_recent_reach(recent, 150);
    nw_recent_write(recent);
    nw_recent_close(recent);
    list = read_all();
    assert_int_equal(list.from_lsn, 131);
    assert_int_equal(list.commits_count, 1);
    nw_recent_fini(&list);
}

static void too_many_tables_are_not_all_known(void **state)
{
    struct nw_recent *recent = opened(100);
    struct nw_recent_list list;

    (void)state;
    commit(recent, 110, 1, NW_COMMITTED_TABLES_MAX + 1);
    nw_recent_reach(recent, 130);
    nw_recent_write(recent);
    nw_recent_close(recent);
    list = read_all();
    assert_false(nw_recent_covers(&list, 100, 130));
    assert_true(nw_recent_covers(&list, 118, 130)); /* it is before that */
    nw_recent_fini(&list);
}

static void commit_of(struct nw_recent *recent, uint64_t lsn, const struct nw_table *table)
{
    struct nw_dealer_committed what = {
        .commit_lsn = lsn, .end_lsn = lsn + 8, .xid = 1, .tables_count = 1};

    what.tables[0] = (struct nw_table_count){table, 3};
    nw_recent_add(recent, &what);
}

/* The changes of a table were kept, and are played while the stream is idle. */
static void what_is_played_later_is_added_to_its_transaction(void **state)
{
    struct nw_recent *recent = opened(100);
    struct nw_recent_list list;
    char text[256];

    (void)state;
    commit_of(recent, 110, &ORDERS);
    nw_recent_reach(recent, 130);
    nw_recent_write(recent);
    commit_of(recent, 110, &LINES);
    commit_of(recent, 110, &ORDERS);
    nw_recent_write(recent);
    nw_recent_close(recent);
    list = read_all();
    assert_true(nw_recent_covers(&list, 100, 130));
    assert_int_equal(list.commits_count, 1);
    assert_non_null(strstr(nw_recent_text(&list, 0, text, sizeof text),
                           ": shop.orders (3 rows), shop.lines (3 rows)"));
    nw_recent_fini(&list);
}

/* Of two entries neither has all tables, or there are more than fit: it is not all known. */
static void tables_that_do_not_fit_when_joined_are_not_known(void **state)
{
    struct nw_recent *recent = opened(100);
    struct nw_recent_list list;

    (void)state;
    commit(recent, 110, 1, NW_COMMITTED_TABLES_MAX + 1);
    nw_recent_reach(recent, 130);
    nw_recent_write(recent);
    commit_of(recent, 110, &LINES);
    nw_recent_write(recent);
    nw_recent_close(recent);
    list = read_all();
    assert_int_equal(list.commits_count, 1);
    assert_false(nw_recent_covers(&list, 100, 130));
    nw_recent_fini(&list);
}

static void files_may_have(rlim_t bytes)
{
    struct rlimit limit;

    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes == 0 ? limit.rlim_max : bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* What could not be written may be beyond the last epoch's end: nothing up to its end is known. */
static void a_failed_write_is_a_gap_up_to_the_last_entry(void **state)
{
    struct nw_recent *recent = opened(100);
    struct nw_recent_list list;

    (void)state;
    commit(recent, 110, 1, 1);
    nw_recent_reach(recent, 130);
    nw_recent_write(recent);
    commit(recent, 140, 2, 1);
    nw_recent_reach(recent, 150);
    commit(recent, 160, 3, 1); /* to 168, of the next epoch */
    files_may_have(16);
    nw_recent_write(recent);
    files_may_have(0);
    commit(recent, 200, 4, 1);
    nw_recent_reach(recent, 210);
    nw_recent_write(recent);
    nw_recent_close(recent);
    list = read_all();
    assert_int_equal(list.from_lsn, 168);
    assert_true(nw_recent_covers(&list, 168, 210));
    assert_int_equal(list.commits_count, 1);
    nw_recent_fini(&list);
}

/* Nor may a restart go on from a record without what was played and could not be written. */
static void a_failed_write_of_what_is_played_voids_the_record(void **state)
{
    struct nw_recent *recent = opened(100);
    struct nw_recent_list list;

    (void)state;
    commit_of(recent, 110, &ORDERS);
    nw_recent_reach(recent, 130);
    nw_recent_write(recent);
    commit_of(recent, 110, &LINES);
    files_may_have(16);
    nw_recent_write(recent);
    files_may_have(0);
    nw_recent_close(recent);
    recent = opened(130);
    nw_recent_reach(recent, 150);
    nw_recent_write(recent);
    nw_recent_close(recent);
    list = read_all();
    assert_false(nw_recent_covers(&list, 100, 150));
    assert_true(nw_recent_covers(&list, 130, 150));
    nw_recent_fini(&list);
}

static void what_does_not_fit_is_a_gap_up_to_the_last_entry(void **state)
{
    struct nw_recent *recent = opened(100);
    struct nw_recent_list list;
    uint64_t lsn = 100;

    (void)state;
    for (int i = 0; i < 100000; i++) {
        lsn += 16;
        commit(recent, lsn, (uint32_t)lsn, 8);
    }
    nw_recent_reach(recent, 200);
    nw_recent_write(recent);
    commit(recent, lsn + 16, 7, 1);
    nw_recent_reach(recent, lsn + 32);
    nw_recent_write(recent);
    nw_recent_close(recent);
    list = read_all();
    assert_int_equal(list.from_lsn, lsn + 8);
    assert_int_equal(list.to_lsn, lsn + 32);
    assert_int_equal(list.commits_count, 1);
    nw_recent_fini(&list);
}

/* Cut anywhere, and any byte turned over: what is left is right, and never reaches further. */
static void damage_is_found(void **state)
{
    struct nw_recent *recent = opened(100);
    struct nw_recent_list list;
    unsigned char bytes[512];
    char path[64];
    size_t size = 0;
    FILE *file = NULL;

    (void)state;
    commit(recent, 110, 1, 1);
    nw_recent_reach(recent, 130);
    nw_recent_write(recent);
    nw_recent_close(recent);
    file_path(path, 0);
    file = fopen(path, "rb");
    assert_non_null(file);
    size = fread(bytes, 1, sizeof bytes, file);
    (void)fclose(file);
    assert_in_range(size, 100, sizeof bytes - 1);
    for (size_t i = 0; i < 2 * size; i++) {
        file = fopen(path, "wb");
        assert_non_null(file);
        bytes[i / 2] ^= i % 2 == 0 ? 0x40 : 0;
        assert_int_equal(fwrite(bytes, 1, i % 2 == 0 ? size : i / 2, file),
                         i % 2 == 0 ? size : i / 2);
        bytes[i / 2] ^= i % 2 == 0 ? 0x40 : 0;
        (void)fclose(file);
        list = read_all();
        assert_int_equal(list.to_lsn, 0);
        assert_int_equal(list.commits_count, 0);
        nw_recent_fini(&list);
    }
}

/* Version 1 as it was first written: it has to be read for ever. */
static void a_file_of_version_1_is_read(void **state)
{
    static const uint8_t V1[] = {
        0x01, 0x52, 0x38, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x07, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x64, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x82, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x6e, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x76, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x70, 0x6d, 0xb3, 0xbf, 0x44, 0x06, 0x00,
        0x2b, 0x04, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x40, 0x00, 0x00, 0x22, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x73, 0x68, 0x6f, 0x70, 0x06, 0x6f, 0x72,
        0x64, 0x65, 0x72, 0x73, 0x35, 0xc9, 0x7e, 0x8f, 0x52, 0x48, 0x29, 0xe9,
    };
    struct nw_recent_list list;
    char path[64];
    FILE *file = NULL;

    (void)state;
    file_path(path, 1);
    file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(V1, 1, sizeof V1, file), sizeof V1);
    (void)fclose(file);
    list = read_all();
    assert_true(nw_recent_covers(&list, 100, 130));
    assert_int_equal(list.system_identifier, 7);
    assert_int_equal(list.commits_count, 1);
    assert_int_equal(list.tables_count, 1);
    assert_string_equal(list.tables[0].name, "orders");
    nw_recent_fini(&list);
}

static void the_files_are_written_in_turn(void **state)
{
    struct nw_recent *recent = opened(100);
    struct nw_recent_list list;
    uint64_t lsn = 100;

    (void)state;
    for (int batch = 0; batch < 30; batch++) { /* about 12 MB */
        for (int i = 0; i < 2000; i++) {
            lsn += 16;
            commit(recent, lsn, (uint32_t)lsn, 8);
        }
        nw_recent_reach(recent, lsn + 8);
        nw_recent_write(recent);
    }
    nw_recent_close(recent);
    list = read_all();
    assert_int_equal(list.to_lsn, lsn + 8);
    assert_true(list.from_lsn > 100);
    assert_true(nw_recent_covers(&list, list.from_lsn, lsn + 8));
    assert_in_range(list.commits_count, 10000, 40000);
    nw_recent_fini(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_was_dealt_is_read_by_name, begin),
        cmocka_unit_test_setup(a_restart_goes_on_and_says_things_once, begin),
        cmocka_unit_test_setup(a_gap_begins_the_record_anew, begin),
        cmocka_unit_test_setup(too_many_tables_are_not_all_known, begin),
        cmocka_unit_test_setup(what_is_played_later_is_added_to_its_transaction, begin),
        cmocka_unit_test_setup(tables_that_do_not_fit_when_joined_are_not_known, begin),
        cmocka_unit_test_setup(a_failed_write_is_a_gap_up_to_the_last_entry, begin),
        cmocka_unit_test_setup(a_failed_write_of_what_is_played_voids_the_record, begin),
        cmocka_unit_test_setup(what_does_not_fit_is_a_gap_up_to_the_last_entry, begin),
        cmocka_unit_test_setup(damage_is_found, begin),
        cmocka_unit_test_setup(a_file_of_version_1_is_read, begin),
        cmocka_unit_test_setup(the_files_are_written_in_turn, begin),
    };
    int failed = 0;

    if (mkdtemp(folder) == NULL) {
        return 1;
    }
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)begin(NULL);
    (void)rmdir(folder);
    return failed;
}
