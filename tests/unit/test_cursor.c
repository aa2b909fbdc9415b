/* SPDX-License-Identifier: Apache-2.0 */
/* The bounds-checked reader. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cursor.h"

static const uint8_t bytes[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 'a', 0, 'b'};

static void numbers_are_read_in_both_byte_orders(void **state)
{
    struct nw_cursor cursor = nw_cursor_of(bytes, sizeof bytes);

    (void)state;
    assert_int_equal(nw_cursor_u64be(&cursor), 0x0102030405060708);
    cursor = nw_cursor_of(bytes, sizeof bytes);
    assert_int_equal(nw_cursor_u64le(&cursor), 0x0807060504030201);
    cursor = nw_cursor_of(bytes, sizeof bytes);
    assert_int_equal(nw_cursor_u32be(&cursor), 0x01020304);
    assert_int_equal(nw_cursor_u32le(&cursor), 0x08070605);
    cursor = nw_cursor_of(bytes, sizeof bytes);
    assert_int_equal(nw_cursor_u8(&cursor), 1);
    assert_int_equal(nw_cursor_u16be(&cursor), 0x0203);
    assert_int_equal(nw_cursor_u16le(&cursor), 0x0504);
    assert_int_equal(cursor.left, sizeof bytes - 5);
    assert_false(cursor.failed);
}

static void short_read_latches_and_consumes_nothing(void **state)
{
    struct nw_cursor cursor = nw_cursor_of(bytes, 3);

    (void)state;
    assert_int_equal(nw_cursor_u32be(&cursor), 0);
    assert_true(cursor.failed);
    assert_int_equal(cursor.left, 3);
    assert_int_equal(nw_cursor_u8(&cursor), 0); /* there is a byte, but it failed before */
    assert_int_equal(cursor.left, 3);
    assert_false(nw_cursor_done(&cursor));
}

static void bytes_are_borrowed_or_none(void **state)
{
    struct nw_cursor cursor = nw_cursor_of(bytes, sizeof bytes);
    struct nw_bytes slice = nw_cursor_bytes(&cursor, 8);

    (void)state;
    assert_ptr_equal(slice.at, bytes);
    assert_int_equal(slice.size, 8);
    slice = nw_cursor_bytes(&cursor, SIZE_MAX); /* no overflow */
    assert_null(slice.at);
    assert_int_equal(slice.size, 0);
    assert_true(cursor.failed);
}

static void text_needs_its_nul(void **state)
{
    struct nw_cursor cursor = nw_cursor_of(bytes + 8, 3);

    (void)state;
    assert_string_equal(nw_cursor_text(&cursor), "a");
    assert_string_equal(nw_cursor_text(&cursor), "");
    assert_true(cursor.failed);
    assert_int_equal(cursor.left, 1);
}

static void empty_slice_is_done_and_gives_nothing(void **state)
{
    struct nw_cursor cursor = nw_cursor_of(NULL, 0);

    (void)state;
    assert_true(nw_cursor_done(&cursor));
    assert_int_equal(nw_cursor_bytes(&cursor, 0).size, 0);
    assert_true(nw_cursor_done(&cursor));
    assert_string_equal(nw_cursor_text(&cursor), "");
    assert_false(nw_cursor_done(&cursor));
}

static void done_means_all_was_read(void **state)
{
    struct nw_cursor cursor = nw_cursor_of(bytes, 2);

    (void)state;
    (void)nw_cursor_u8(&cursor);
    assert_false(nw_cursor_done(&cursor));
    (void)nw_cursor_u8(&cursor);
    assert_true(nw_cursor_done(&cursor));
    (void)nw_cursor_u8(&cursor);
    assert_false(nw_cursor_done(&cursor));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read_in_both_byte_orders),
        cmocka_unit_test(short_read_latches_and_consumes_nothing),
        cmocka_unit_test(bytes_are_borrowed_or_none),
        cmocka_unit_test(text_needs_its_nul),
        cmocka_unit_test(empty_slice_is_done_and_gives_nothing),
        cmocka_unit_test(done_means_all_was_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
