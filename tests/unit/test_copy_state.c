/* SPDX-License-Identifier: Apache-2.0 */
/* The progress of a table's copy: what is done, as a string that a sink keeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "source/copy_state.h"

static nw_status unpack(const uint8_t *bytes, uint32_t size, struct nw_copy_progress *progress)
{
    struct nw_error err = {0};

    return nw_copy_unpack((struct nw_bytes){bytes, size}, progress, &err);
}

static void add(struct nw_copy_progress *progress, uint32_t oid, uint32_t first, uint32_t end)
{
    nw_copy_progress_add(progress, &(struct nw_copy_range){oid, first, end});
}

static void range_is(const struct nw_copy_progress *progress, uint16_t at, uint32_t oid,
                     uint32_t first, uint32_t end)
{
    assert_true(at < progress->ranges_count);
    assert_int_equal(progress->ranges[at].relation_oid, oid);
    assert_int_equal(progress->ranges[at].first_page, first);
    assert_int_equal(progress->ranges[at].end_page, end);
}

static void chunks_in_any_order_become_one_range(void **state)
{
    (void)state;
    for (unsigned order = 0; order < 720; order++) {
        struct nw_copy_progress progress = {0};
        uint32_t left[6] = {0, 1, 2, 3, 4, 5};
        unsigned code = order;

        for (unsigned count = 6; count > 0; count--) {
            unsigned pick = code % count;
            uint32_t chunk = left[pick];

            code /= count;
            memmove(&left[pick], &left[pick + 1], (count - pick - 1) * sizeof left[0]);
            add(&progress, 7, chunk * 100, chunk == 5 ? NW_COPY_PAGE_END : (chunk + 1) * 100);
        }
        assert_int_equal(progress.ranges_count, 1);
        assert_int_equal(progress.chunks_done, 6);
        range_is(&progress, 0, 7, 0, NW_COPY_PAGE_END);
    }
}

static void ranges_of_other_relations_stay_apart(void **state)
{
    struct nw_copy_progress progress = {0};

    (void)state;
    add(&progress, 9, 0, 100);
    add(&progress, 8, 100, NW_COPY_PAGE_END);
    add(&progress, 9, 200, 300);
    add(&progress, 8, 0, 50);
    assert_int_equal(progress.ranges_count, 4);
    range_is(&progress, 0, 8, 0, 50);
    range_is(&progress, 1, 8, 100, NW_COPY_PAGE_END);
    range_is(&progress, 2, 9, 0, 100);
    range_is(&progress, 3, 9, 200, 300);
    add(&progress, 9, 100, 200);
    assert_int_equal(progress.ranges_count, 3);
    range_is(&progress, 2, 9, 0, 300);
}

static void pages_are_done_or_up_to_the_next_that_are(void **state)
{
    struct nw_copy_progress progress = {0};
    uint32_t end = 0;

    (void)state;
    add(&progress, 7, 100, 200);
    add(&progress, 7, 300, NW_COPY_PAGE_END);
    add(&progress, 8, 0, 50);
    assert_false(nw_copy_progress_at(&progress, 7, 0, &end));
    assert_int_equal(end, 100);
    assert_true(nw_copy_progress_at(&progress, 7, 100, &end));
    assert_int_equal(end, 200);
    assert_false(nw_copy_progress_at(&progress, 7, 200, &end));
    assert_int_equal(end, 300);
    assert_true(nw_copy_progress_at(&progress, 7, 5000, &end));
    assert_int_equal(end, NW_COPY_PAGE_END);
    assert_false(nw_copy_progress_at(&progress, 8, 50, &end));
    assert_int_equal(end, NW_COPY_PAGE_END);
}

static void two_sinks_have_what_both_have(void **state)
{
    struct nw_copy_progress one = {.origin = {.fence_lsn = 5}};
    struct nw_copy_progress other = {0};

    (void)state;
    add(&one, 7, 0, 100);
    add(&one, 7, 200, NW_COPY_PAGE_END);
    add(&one, 9, 0, 100);
    add(&other, 7, 50, 300);
    add(&other, 8, 0, 100);
    nw_copy_progress_meet(&one, &other);
    assert_int_equal(one.origin.fence_lsn, 5);
    assert_int_equal(one.ranges_count, 2);
    range_is(&one, 0, 7, 50, 100);
    range_is(&one, 1, 7, 200, 300);
}

static void what_has_no_room_is_counted_all_the_same(void **state)
{
    struct nw_copy_progress progress = {0};
    struct nw_copy_progress found;
    uint8_t bytes[NW_COPY_BYTES_MAX];
    uint32_t size = 0;

    (void)state;
    for (uint32_t i = 0; i < NW_COPY_RANGES_MAX + 10; i++) {
        add(&progress, 7, i * 10, i * 10 + 1);
    }
    assert_int_equal(progress.chunks_done, NW_COPY_RANGES_MAX + 10);
    assert_int_equal(progress.ranges_count, NW_COPY_RANGES_MAX);
    size = nw_copy_pack(&progress, bytes);
    assert_int_equal(size, NW_COPY_BYTES_MAX);
    assert_int_equal(unpack(bytes, size, &found), NW_OK);
    assert_memory_equal(&found, &progress, sizeof found);
}

static void a_progress_comes_back_as_it_was_and_no_part_of_it_is_one(void **state)
{
    struct nw_copy_progress progress = {
        .origin = {0x1122334455667788, 0x99aabbcc, 0xddeeff}, .complete = true, .chunks_count = 5};
    uint8_t bytes[NW_COPY_BYTES_MAX];
    uint32_t whole = 0;

    (void)state;
    add(&progress, 7, 3, 4);
    add(&progress, 8, 0, NW_COPY_PAGE_END);
    whole = nw_copy_pack(&progress, bytes);
    for (uint32_t size = 0; size <= whole + 1; size++) {
        struct nw_copy_progress found;
        nw_status status = unpack(bytes, size, &found);

        assert_int_equal(status, size == whole ? NW_OK : NW_CORRUPT);
        if (status == NW_OK) {
            assert_memory_equal(&found, &progress, sizeof found);
        }
    }
}

static void a_state_of_the_first_format_is_read(void **state)
{
    static const uint8_t bytes[] = {1, 'C', 8, 7, 6, 5, 4, 3, 2, 1, 1};
    struct nw_copy_progress found;

    (void)state;
    assert_int_equal(unpack(bytes, sizeof bytes, &found), NW_OK);
    assert_int_equal(found.origin.fence_lsn, 0x0102030405060708);
    assert_true(found.complete);
    assert_int_equal(found.ranges_count, 0);
}

static void a_state_of_the_second_format_is_read(void **state)
{
    static const uint8_t bytes[] = {2, 'C', 8, 7, 6, 5, 4, 3, 2, 1, 0, 5, 0, 0, 0, 1, 0,
                                    0, 0,   1, 0, 7, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0};
    struct nw_copy_progress found;

    (void)state;
    for (uint32_t size = 0; size < sizeof bytes; size++) {
        assert_int_equal(unpack(bytes, size, &found), NW_CORRUPT);
    }
    assert_int_equal(unpack(bytes, sizeof bytes, &found), NW_OK);
    assert_int_equal(found.origin.fence_lsn, 0x0102030405060708);
    assert_int_equal(found.origin.xmin, 0);
    assert_false(found.complete);
    assert_int_equal(found.ranges_count, 1);
}

static void what_is_no_state_is_refused(void **state)
{
    uint8_t bytes[NW_COPY_BYTES_MAX];
    struct nw_copy_progress progress = {.origin = {.fence_lsn = 5}};
    uint32_t size = nw_copy_pack(&progress, bytes);

    (void)state;
    bytes[0] = 4; /* a newer narwal's */
    assert_int_equal(unpack(bytes, size, &progress), NW_FATAL);
    bytes[0] = 0;
    assert_int_equal(unpack(bytes, size, &progress), NW_CORRUPT);
    bytes[0] = 3;
    bytes[1] = 'P';
    assert_int_equal(unpack(bytes, size, &progress), NW_CORRUPT);
    bytes[1] = 'C';
    bytes[size - 1] = 0xff; /* more ranges than there may be */
    assert_int_equal(unpack(bytes, size, &progress), NW_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_in_any_order_become_one_range),
        cmocka_unit_test(ranges_of_other_relations_stay_apart),
        cmocka_unit_test(pages_are_done_or_up_to_the_next_that_are),
        cmocka_unit_test(two_sinks_have_what_both_have),
        cmocka_unit_test(what_has_no_room_is_counted_all_the_same),
        cmocka_unit_test(a_progress_comes_back_as_it_was_and_no_part_of_it_is_one),
        cmocka_unit_test(a_state_of_the_first_format_is_read),
        cmocka_unit_test(a_state_of_the_second_format_is_read),
        cmocka_unit_test(what_is_no_state_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
