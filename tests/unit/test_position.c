/* SPDX-License-Identifier: Apache-2.0 */
/* Positions and copy states: what a sink gives back is what it was given, or is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "source/position.h"

static const struct nw_identity identity = {.system_identifier = 0x1122334455667788,
                                            .timeline = 3,
                                            .database_oid = 16384,
                                            .slot_name = "narwal"};

/* Unpacks a copy of exactly this size, so that a sanitizer sees any read past its end. */
static nw_status unpack(const uint8_t *bytes, uint32_t size, struct nw_identity *found,
                        uint64_t *lsn, struct nw_error *err)
{
    uint8_t *copy = malloc(size == 0 ? 1 : size);
    nw_status status = NW_OK;

    assert_non_null(copy);
    memcpy(copy, bytes, size);
    status = nw_position_unpack((struct nw_bytes){copy, size}, found, lsn, NULL, err);
    free(copy);
    return status;
}

static void a_position_comes_back_as_it_was(void **state)
{
    struct nw_identity named = identity;
    struct nw_identity found;
    struct nw_error err = {0};
    uint8_t bytes[NW_POSITION_BYTES_MAX];
    uint64_t lsn = 0;

    (void)state;
    for (size_t length = 0; length < NW_SLOT_NAME_SIZE; length++) {
        uint32_t size = 0;

        memset(named.slot_name, 0, sizeof named.slot_name);
        memset(named.slot_name, 'n', length);
        size = nw_position_pack(&named, 0xfedcba9876543210, NULL, bytes);
        assert_true(size <= NW_POSITION_BYTES_MAX);
        assert_int_equal(unpack(bytes, size, &found, &lsn, &err), NW_OK);
        assert_int_equal(lsn, 0xfedcba9876543210);
        assert_memory_equal(&found, &named, sizeof named);
    }
}

static struct nw_behind_list behind_list(uint32_t count)
{
    struct nw_behind_list list = {.count = count};

    for (uint32_t i = 0; i < count; i++) {
        list.tables[i] = (struct nw_behind){16384 + i, {0x1000 + i, i * 7}, i % 3 == 1};
    }
    return list;
}

static void tables_that_are_behind_are_said(void **state)
{
    struct nw_identity found;
    struct nw_error err = {0};
    uint8_t bytes[NW_POSITION_BYTES_MAX];
    uint64_t lsn = 0;

    (void)state;
    for (uint32_t count = 0; count <= NW_BEHIND_MAX + 1; count++) {
        struct nw_behind_list list = behind_list(count);
        struct nw_behind_list back = {.count = 99};
        uint32_t size = nw_position_pack(&identity, 5, &list, bytes);

        assert_true(size <= NW_POSITION_BYTES_MAX);
        assert_int_equal(bytes[0], count == 0 ? 1 : 2); /* older ones read it if they can */
        assert_int_equal(
            nw_position_unpack((struct nw_bytes){bytes, size}, &found, &lsn, &back, &err), NW_OK);
        assert_int_equal(lsn, 5);
        assert_int_equal(back.count, count);
        for (uint32_t i = 0; i < count; i++) {
            assert_int_equal(back.tables[i].relation_oid, list.tables[i].relation_oid);
            assert_int_equal(back.tables[i].place.commit_lsn, list.tables[i].place.commit_lsn);
            assert_int_equal(back.tables[i].place.seq, list.tables[i].place.seq);
            assert_int_equal(back.tables[i].held, list.tables[i].held);
        }
        for (uint32_t part = 0; part < size; part++) {
            assert_int_not_equal(unpack(bytes, part, &found, &lsn, &err), NW_OK);
        }
    }
}

static void no_part_of_a_position_is_one(void **state)
{
    struct nw_identity found;
    struct nw_error err = {0};
    uint8_t bytes[NW_POSITION_BYTES_MAX + 1] = {0};
    uint32_t whole = nw_position_pack(&identity, 5, NULL, bytes);
    uint64_t lsn = 0;

    (void)state;
    for (uint32_t size = 0; size <= whole + 1; size++) {
        assert_int_equal(unpack(bytes, size, &found, &lsn, &err),
                         size == whole ? NW_OK : NW_CORRUPT);
    }
}

static void a_newer_format_asks_for_a_newer_narwal(void **state)
{
    struct nw_identity found;
    struct nw_error err = {0};
    uint8_t bytes[NW_POSITION_BYTES_MAX];
    uint32_t size = nw_position_pack(&identity, 5, NULL, bytes);
    uint64_t lsn = 0;

    (void)state;
    bytes[0] = 3;
    assert_int_equal(unpack(bytes, size, &found, &lsn, &err), NW_FATAL);
    assert_non_null(strstr(err.text, "upgrade"));
    assert_memory_equal(err.text, "NW2408", 6);
}

static void what_is_no_position_is_refused(void **state)
{
    struct nw_identity found;
    struct nw_error err = {0};
    uint8_t bytes[NW_POSITION_BYTES_MAX];
    uint32_t size = nw_position_pack(&identity, 5, NULL, bytes);
    uint64_t lsn = 0;

    (void)state;
    bytes[1] = 'C'; /* a copy's state */
    assert_int_equal(unpack(bytes, size, &found, &lsn, &err), NW_CORRUPT);
    bytes[1] = 'P';
    bytes[size - 1 - strlen("narwal")] = NW_SLOT_NAME_SIZE; /* a name longer than names are */
    assert_int_equal(unpack(bytes, size, &found, &lsn, &err), NW_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_position_comes_back_as_it_was),
        cmocka_unit_test(tables_that_are_behind_are_said),
        cmocka_unit_test(no_part_of_a_position_is_one),
        cmocka_unit_test(a_newer_format_asks_for_a_newer_narwal),
        cmocka_unit_test(what_is_no_position_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
