/* SPDX-License-Identifier: Apache-2.0 */
/* Values that no server sends, and the rims of what one can send. */
#include "decode_blocks.h"

#include "decode/datetime.h"
#include "decode/numeric.h"

#define INT4_ARRAY               1007u
#define TYPMOD(precision, scale) (((precision) << 16 | (scale)) + 4)

static enum nw_value_kind kind_of(uint32_t oid, int32_t typmod, char form, const void *bytes,
                                  size_t size, nw_status *status)
{
    struct nw_column_schema column = column_make("c", oid, typmod);
    struct nw_table table = table_make(&column, 1);
    struct nw_block *block = block_make(NW_BLOCK_CHANGES, &table);
    struct nw_error err;
    struct nw_item *item = NULL;
    enum nw_value_kind kind = NW_VALUE_MISSING;

    block_row(block, 'I');
    block_tuple(block, 'N', 1);
    block_value(block, form, bytes, size);
    item = block_decode(block, status, &err);
    if (item != NULL) {
        kind = nw_batch_value(&item->as.batch, NW_AFTER, 0, 0).kind;
    }
    free(item);
    block_free(block);
    return kind;
}

static void malformed_text_is_corrupt(void **state)
{
    static const struct {
        uint32_t oid;
        const char *text;
    } vectors[] = {
        {NW_OID_BOOL, ""},
        {NW_OID_BOOL, "true"},
        {NW_OID_BOOL, "T"},
        {NW_OID_INT2, "32768"},
        {NW_OID_INT2, "-32769"},
        {NW_OID_INT8, "9223372036854775808"},
        {NW_OID_INT8, "-9223372036854775809"},
        {NW_OID_INT8, "--1"},
        {NW_OID_OID, "-1"},
        {NW_OID_OID, "4294967296"},
        {NW_OID_FLOAT8, ""},
        {NW_OID_FLOAT8, "."},
        {NW_OID_FLOAT8, "-"},
        {NW_OID_FLOAT8, "1e"},
        {NW_OID_FLOAT8, "1e+"},
        {NW_OID_FLOAT8, "1e12345"},
        {NW_OID_FLOAT8, "0x10"},
        {NW_OID_FLOAT8, "inf"},
        {NW_OID_FLOAT8, "nan"},
        {NW_OID_FLOAT8, "1 "},
        {NW_OID_FLOAT8, " 1"},
        {NW_OID_FLOAT8, "1.2.3"},
        {NW_OID_FLOAT4, "1,5"},
        {NW_OID_FLOAT8, "1234567890123456789012345678901234567890123456789012345678901234"},
        {NW_OID_UUID, ""},
        {NW_OID_UUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1"},
        {NW_OID_UUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1g"},
        {NW_OID_UUID, "a0eebc999-c0b-4ef8-bb6d-6bb9bd380a11"},
        {NW_OID_BYTEA, ""},
        {NW_OID_BYTEA, "\\"},
        {NW_OID_BYTEA, "\\x1"},
        {NW_OID_BYTEA, "\\xzz"},
        {NW_OID_BYTEA, "abcd"},
        {NW_OID_DATE, ""},
        {NW_OID_DATE, "2000-13-01"},
        {NW_OID_DATE, "2000-00-01"},
        {NW_OID_DATE, "2000-01-00"},
        {NW_OID_DATE, "2000-01-32"},
        {NW_OID_DATE, "2001-02-29"},
        {NW_OID_DATE, "1900-02-29"},
        {NW_OID_DATE, "0000-01-01"},
        {NW_OID_DATE, "200-01-01"},
        {NW_OID_DATE, "2000-1-01"},
        {NW_OID_DATE, "2000-01-01 "},
        {NW_OID_DATE, "2000-01-01 AD"},
        {NW_OID_DATE, " BC"},
        {NW_OID_DATE, "01/02/2000"},
        {NW_OID_DATE, "4714-11-23 BC"},
        {NW_OID_DATE, "5874898-01-01"},
        {NW_OID_DATE, "Infinity"},
        {NW_OID_TIME, ""},
        {NW_OID_TIME, "24:00:00.000001"},
        {NW_OID_TIME, "23:60:00"},
        {NW_OID_TIME, "23:59:60"},
        {NW_OID_TIME, "1:00:00"},
        {NW_OID_TIME, "01:00:00."},
        {NW_OID_TIME, "01:00:00.1234567"},
        {NW_OID_TIME, "01-00-00"},
        {NW_OID_TIMESTAMP, "2000-01-01"},
        {NW_OID_TIMESTAMP, "2000-01-01T00:00:00"},
        {NW_OID_TIMESTAMP, "2000-01-01 24:00:00"},
        {NW_OID_TIMESTAMP, "2000-01-01 00:00:00+00"},
        {NW_OID_TIMESTAMP, "294278-01-01 00:00:00"},
        {NW_OID_TIMESTAMPTZ, "2000-01-01 00:00:00"},
        {NW_OID_TIMESTAMPTZ, "2000-01-01 00:00:00 UTC"},
        {NW_OID_TIMESTAMPTZ, "2000-01-01 00:00:00+0"},
        {NW_OID_TIMESTAMPTZ, "2000-01-01 00:00:00+00:"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        nw_status status = NW_OK;

        (void)kind_of(vectors[i].oid, -1, 't', vectors[i].text, strlen(vectors[i].text), &status);
        if (status != NW_CORRUPT) {
            fail_msg("type %u took \"%s\"", vectors[i].oid, vectors[i].text);
        }
    }
}

static void malformed_numeric_text_is_corrupt_and_a_misfit_an_exception(void **state)
{
    static const char *const malformed[] = {"",      "-",   ".",    ".5", "5.",  "1..2",
                                            "1.2.3", "+1",  "1e5",  " 1", "--1", "nan",
                                            "NaNN",  "Inf", "-NaN", "1 ", "1,5", "infinity"};
    static const char *const misfits[] = {"NaN",
                                          "Infinity",
                                          "-Infinity",
                                          "1.234",
                                          "99999999999.00",
                                          "12345678901234567890123456789012345678901234567890",
                                          "340282366920938463463374607431768211456",
                                          "-340282366920938463463374607431768211457.00",
                                          "100000000000000000000000000000000000000000000.00"};
    nw_status status = NW_OK;

    (void)state;
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        (void)kind_of(NW_OID_NUMERIC, TYPMOD(12, 2), 't', malformed[i], strlen(malformed[i]),
                      &status);
        assert_int_equal(status, NW_CORRUPT);
    }
    for (size_t i = 0; i < sizeof misfits / sizeof misfits[0]; i++) {
        assert_int_equal(
            kind_of(NW_OID_NUMERIC, TYPMOD(12, 2), 't', misfits[i], strlen(misfits[i]), &status),
            NW_VALUE_EXCEPTION);
    }
}

static void malformed_binary_is_corrupt(void **state)
{
    static const struct {
        uint32_t oid;
        uint32_t size;
        const char *bytes;
    } vectors[] = {
        {NW_OID_BOOL, 0, ""},
        {NW_OID_BOOL, 1, "\2"},
        {NW_OID_BOOL, 2, "\1\1"},
        {NW_OID_CHAR, 0, ""},
        {NW_OID_CHAR, 2, "ab"},
        {NW_OID_INT2, 1, "\1"},
        {NW_OID_INT4, 5, "\1\1\1\1\1"},
        {NW_OID_INT8, 4, "\1\1\1\1"},
        {NW_OID_FLOAT4, 8, "\1\1\1\1\1\1\1\1"},
        {NW_OID_UUID, 15, "\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1"},
        {NW_OID_JSONB, 0, ""},
        {NW_OID_JSONB, 3, "\2{}"},
        {NW_OID_DATE, 4, "\x7f\xff\xff\xfe"},
        {NW_OID_DATE, 4, "\x80\x00\x00\x01"},
        {NW_OID_DATE, 3, "\1\1\1"},
        {NW_OID_TIME, 8, "\xff\xff\xff\xff\xff\xff\xff\xff"},
        {NW_OID_TIME, 8, "\x00\x00\x00\x14\x1d\xd7\x60\x01"},
        {NW_OID_TIMESTAMP, 8, "\x7f\xff\xff\xff\xff\xff\xff\xfe"},
        {NW_OID_TIMESTAMP, 8, "\x80\x00\x00\x00\x00\x00\x00\x01"},
        {NW_OID_TIMETZ, 8, "\0\0\0\0\0\0\0\0"},
        {NW_OID_TIMETZ, 12, "\0\0\0\0\0\0\0\0\x7f\0\0\0"},
        {NW_OID_INTERVAL, 12, "\0\0\0\0\0\0\0\0\0\0\0\0"},
        {NW_OID_INET, 0, ""},
        {NW_OID_INET, 8, "\2\x21\0\4\1\2\3\4"}, /* 33 bits */
        {NW_OID_INET, 8, "\3\x20\0\4\1\2\3\4"}, /* four bytes of IPv6 */
        {NW_OID_INET, 8, "\2\x20\2\4\1\2\3\4"},
        {NW_OID_MACADDR, 5, "\1\2\3\4\5"},
        {NW_OID_PG_LSN, 7, "\1\2\3\4\5\6\7"},
        {NW_OID_VARBIT, 5, "\0\0\0\x09\1"},
        {NW_OID_VARBIT, 5, "\xff\xff\xff\xff\1"},
        {INT4_ARRAY, 0, ""},
        {INT4_ARRAY, 12, "\0\0\0\0\0\0\0\0\0\0\0\x14"}, /* elements of int8 */
        {INT4_ARRAY, 12, "\0\0\0\7\0\0\0\0\0\0\0\x17"}, /* seven dimensions */
        {INT4_ARRAY, 12, "\0\0\0\1\0\0\0\0\0\0\0\x17"}, /* its size is not there */
        {INT4_ARRAY, 20, "\0\0\0\1\0\0\0\0\0\0\0\x17\x7f\xff\xff\xff\0\0\0\1"},
        {INT4_ARRAY, 20, "\0\0\0\1\0\0\0\0\0\0\0\x17\xff\xff\xff\xff\0\0\0\1"},
        {INT4_ARRAY, 28,
         "\0\0\0\1\0\0\0\0\0\0\0\x17\0\0\0\1\0\0\0\1\0\0\0\3\0\0\0\7"}, /* 3 bytes */
        {INT4_ARRAY, 28, "\0\0\0\1\0\0\0\0\0\0\0\x17\0\0\0\2\x7f\xff\xff\xff\0\0\0\4\0\0\0\7"},
        {INT4_ARRAY, 32, "\0\0\0\1\0\0\0\0\0\0\0\x17\0\0\0\1\0\0\0\1\0\0\0\4\0\0\0\7\0\0\0\7"},
        {NW_OID_NUMERIC, 0, ""},
        {NW_OID_NUMERIC, 7, "\0\0\0\0\0\0\0"},
        {NW_OID_NUMERIC, 8, "\0\1\0\0\0\0\0\0"},          /* its digit is not there */
        {NW_OID_NUMERIC, 10, "\0\1\0\0\0\0\0\0\x27\x10"}, /* a digit of 10000 */
        {NW_OID_NUMERIC, 8, "\0\0\0\0\x12\x34\0\0"},      /* no such sign */
        {NW_OID_NUMERIC, 8, "\0\0\0\0\0\0\x40\0"},        /* scale of 16384 */
        {NW_OID_NUMERIC, 12, "\0\1\0\0\0\0\0\0\0\1\0\1"}, /* a digit too many */
    };

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        nw_status status = NW_OK;

        (void)kind_of(vectors[i].oid, -1, 'b', vectors[i].bytes, vectors[i].size, &status);
        if (status != NW_CORRUPT) {
            fail_msg("vector %zu of type %u was taken", i, vectors[i].oid);
        }
    }
}

static size_t numeric_bytes(uint8_t *to, int weight, int scale, const uint16_t *digits,
                            uint16_t count)
{
    uint16_t head[4] = {count, (uint16_t)weight, 0, (uint16_t)scale};

    for (int i = 0; i < 4 + count; i++) {
        uint16_t word = i < 4 ? head[i] : digits[i - 4];

        to[2 * i] = (uint8_t)(word >> 8);
        to[2 * i + 1] = (uint8_t)word;
    }
    return 8 + 2 * (size_t)count;
}

static void check_scaled(int weight, const uint16_t *digits, uint16_t count, uint32_t precision,
                         uint32_t scale, bool fits, uint64_t want)
{
    struct nw_numeric numeric;
    uint8_t bytes[128];
    size_t size = numeric_bytes(bytes, weight, 0, digits, count);
    nw_int128 value = 0;

    assert_true(nw_numeric_read(bytes, size, &numeric));
    assert_int_equal(nw_numeric_scaled(&numeric, precision, scale, &value), fits);
    if (fits) {
        assert_true(value == (nw_int128)want);
    }
}

static void numeric_with_odd_digits_has_its_value_or_none(void **state)
{
    static const uint16_t nines[12] = {9999, 9999, 9999, 9999, 9999, 9999,
                                       9999, 9999, 9999, 9999, 9999, 9999};

    (void)state;
    check_scaled(0, NULL, 0, 5, 2, true, 0);
    check_scaled(32767, NULL, 0, 5, 2, true, 0);
    check_scaled(0, (uint16_t[]){0, 0}, 2, 5, 2, true, 0);
    check_scaled(1, (uint16_t[]){0, 12, 3400}, 3, 5, 2, true, 1234); /* zero in front */
    check_scaled(0, (uint16_t[]){12, 3400, 0, 0}, 4, 5, 2, true, 1234);
    check_scaled(0, (uint16_t[]){12, 3450}, 2, 5, 2, false, 0); /* 12.345 */
    check_scaled(0, (uint16_t[]){12, 3400, 1}, 3, 5, 2, false, 0);
    check_scaled(0, (uint16_t[]){999, 9900}, 2, 5, 2, true, 99999);
    check_scaled(0, (uint16_t[]){1000}, 1, 5, 2, false, 0);
    check_scaled(1, (uint16_t[]){1}, 1, 5, 0, true, 10000);
    check_scaled(1, (uint16_t[]){10}, 1, 5, 0, false, 0);
    check_scaled(32767, (uint16_t[]){1}, 1, 38, 0, false, 0);
    check_scaled(-32768, (uint16_t[]){1}, 1, 38, 38, false, 0);
    check_scaled(9, nines, 12, 38, 0, false, 0);
    check_scaled(9, nines, 10, 38, 0, false, 0);
    check_scaled(8, nines, 12, 38, 12, false, 0);
    check_scaled(0, (uint16_t[]){1}, 1, 19, 18, true, 1000000000000000000);
    check_scaled(0, (uint16_t[]){10}, 1, 38, 37, false, 0);
}

static void numeric_of_extreme_weight_is_printed(void **state)
{
    struct nw_buffer text = {0};
    struct nw_numeric numeric;
    uint8_t bytes[16];
    size_t size = numeric_bytes(bytes, 32767, 0x3fff, (uint16_t[]){7}, 1);

    (void)state;
    assert_true(nw_numeric_read(bytes, size, &numeric));
    assert_true(nw_numeric_print(&numeric, &text));
    assert_int_equal(text.size, 1 + 4 * 32767 + 1 + 0x3fff);
    assert_int_equal(text.at[0], '7');
    assert_int_equal(text.at[1 + 4 * 32767], '.');
    nw_buffer_fini(&text);
    size = numeric_bytes(bytes, -32768, 0x3fff, (uint16_t[]){7}, 1);
    assert_true(nw_numeric_read(bytes, size, &numeric));
    assert_true(nw_numeric_print(&numeric, &text));
    assert_int_equal(text.size, 2 + 0x3fff);
    assert_memory_equal(text.at, "0.000", 5);
    nw_buffer_fini(&text);
}

static void offsets_from_utc_are_subtracted(void **state)
{
    static const struct {
        const char *text;
        int64_t us;
    } vectors[] = {
        {"1970-01-01 00:00:00+00", 0},
        {"1970-01-01 05:30:00+05:30", 0},
        {"1969-12-31 16:00:00-08", 0},
        {"1970-01-01 00:00:01.5+00:00:01", 500000},
        {"0001-01-01 00:00:00+00 BC", INT64_C(-62167219200000000)},
        {"10000-01-01 00:00:00+00", INT64_C(253402300800000000)},
    };
    int64_t us = 0;

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        assert_int_equal(nw_timestamp_parse((const uint8_t *)vectors[i].text,
                                            strlen(vectors[i].text), true, &us),
                         NW_DECODED);
        assert_true(us == vectors[i].us);
    }
}

static void types_without_a_decoder_are_text(void **state)
{
    /* money, float4[], float8[], int4range, xml, a type of an extension */
    static const uint32_t oids[] = {790, 1021, 1022, 3904, 142, 99999};

    (void)state;
    for (size_t i = 0; i < sizeof oids / sizeof oids[0]; i++) {
        assert_int_equal(nw_type_of(oids[i], -1).type, NW_TYPE_TEXT);
        assert_false(nw_type_is_binary(oids[i], 'b'));
    }
    assert_true(nw_type_is_binary(99999, 'e'));
    assert_int_equal(nw_type_of(NW_OID_NUMERIC, TYPMOD(39, 2)).type, NW_TYPE_NUMERIC);
    assert_int_equal(nw_type_of(NW_OID_NUMERIC, TYPMOD(3, 5)).type, NW_TYPE_NUMERIC);
    assert_int_equal(nw_type_of(NW_OID_NUMERIC, TYPMOD(3, 0x7fe)).type, NW_TYPE_NUMERIC);
    assert_int_equal(nw_type_of(NW_OID_NUMERIC, TYPMOD(38, 38)).type, NW_TYPE_DECIMAL);
    assert_int_equal(nw_type_of(NW_OID_NUMERIC, TYPMOD(38, 38)).scale, 38);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_text_is_corrupt),
        cmocka_unit_test(malformed_numeric_text_is_corrupt_and_a_misfit_an_exception),
        cmocka_unit_test(malformed_binary_is_corrupt),
        cmocka_unit_test(numeric_with_odd_digits_has_its_value_or_none),
        cmocka_unit_test(numeric_of_extreme_weight_is_printed),
        cmocka_unit_test(offsets_from_utc_are_subtracted),
        cmocka_unit_test(types_without_a_decoder_are_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
