/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fields of flattened rows changed step by step. What values have to be is what Connect 4.3's Cast,
 * MaskField and TimestampConverter made of the same, through JsonConverter; and Java's
 * SimpleDateFormat of the same times.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/format/avro_row.h"
#include "lib/format/format.h"
#include "lib/format/json_forms.h"
#include "row_kit.h"

#define OID_BOOL       16
#define OID_BYTEA      17
#define OID_INT8       20
#define OID_INT2       21
#define OID_FLOAT4     700
#define OID_FLOAT8     701
#define OID_INT4_ARRAY 1007
#define OID_DATE       1082
#define OID_TIME       1083
#define OID_NUMERIC    1700
#define OID_POINT      600

#define NUMERIC(precision, scale) (((precision) << 16 | (scale)) + 4)

/* ---- times ---- */

static void times_are_printed_as_java_does(void **state)
{
    static const struct {
        const char *pattern;
        int64_t ms;
        const char *text;
    } cases[] = {
        {"yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", INT64_C(1717245296107), "2024-06-01T12:34:56.107Z"},
        {"yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", INT64_C(0), "1970-01-01T00:00:00.000Z"},
        {"yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", INT64_C(-1), "1969-12-31T23:59:59.999Z"},
        {"yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", INT64_C(-12219292800001), "1582-10-04T23:59:59.999Z"},
        {"yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", INT64_C(-62135596800001), "0001-01-02T23:59:59.999Z"},
        {"yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", INT64_C(253402300800000), "10000-01-01T00:00:00.000Z"},
        {"yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", INT64_C(43200000), "1970-01-01T12:00:00.000Z"},
        {"yy/M/d h:m:s.S a", INT64_C(1717245296107), "24/6/1 12:34:56.107 PM"},
        {"yy/M/d h:m:s.S a", INT64_C(0), "70/1/1 12:0:0.0 AM"},
        {"yy/M/d h:m:s.S a", INT64_C(-1), "69/12/31 11:59:59.999 PM"},
        {"yy/M/d h:m:s.S a", INT64_C(-12219292800001), "82/10/4 11:59:59.999 PM"},
        {"yy/M/d h:m:s.S a", INT64_C(-62135596800001), "01/1/2 11:59:59.999 PM"},
        {"yy/M/d h:m:s.S a", INT64_C(253402300800000), "00/1/1 12:0:0.0 AM"},
        {"yy/M/d h:m:s.S a", INT64_C(43200000), "70/1/1 12:0:0.0 PM"},
        {"EEEE, d MMMM yyyy G", INT64_C(1717245296107), "Saturday, 1 June 2024 AD"},
        {"EEEE, d MMMM yyyy G", INT64_C(0), "Thursday, 1 January 1970 AD"},
        {"EEEE, d MMMM yyyy G", INT64_C(-1), "Wednesday, 31 December 1969 AD"},
        {"EEEE, d MMMM yyyy G", INT64_C(-12219292800001), "Thursday, 4 October 1582 AD"},
        {"EEEE, d MMMM yyyy G", INT64_C(-62135596800001), "Sunday, 2 January 0001 AD"},
        {"EEEE, d MMMM yyyy G", INT64_C(253402300800000), "Saturday, 1 January 10000 AD"},
        {"EEEE, d MMMM yyyy G", INT64_C(43200000), "Thursday, 1 January 1970 AD"},
        {"EEE MMM dd kk KK z Z X XXX", INT64_C(1717245296107), "Sat Jun 01 12 00 UTC +0000 Z Z"},
        {"EEE MMM dd kk KK z Z X XXX", INT64_C(0), "Thu Jan 01 24 00 UTC +0000 Z Z"},
        {"EEE MMM dd kk KK z Z X XXX", INT64_C(-1), "Wed Dec 31 23 11 UTC +0000 Z Z"},
        {"EEE MMM dd kk KK z Z X XXX", INT64_C(-12219292800001), "Thu Oct 04 23 11 UTC +0000 Z Z"},
        {"EEE MMM dd kk KK z Z X XXX", INT64_C(-62135596800001), "Sun Jan 02 23 11 UTC +0000 Z Z"},
        {"EEE MMM dd kk KK z Z X XXX", INT64_C(253402300800000), "Sat Jan 01 24 00 UTC +0000 Z Z"},
        {"EEE MMM dd kk KK z Z X XXX", INT64_C(43200000), "Thu Jan 01 12 00 UTC +0000 Z Z"},
        {"yyyyMMddHHmmss", INT64_C(1717245296107), "20240601123456"},
        {"yyyyMMddHHmmss", INT64_C(0), "19700101000000"},
        {"yyyyMMddHHmmss", INT64_C(-1), "19691231235959"},
        {"yyyyMMddHHmmss", INT64_C(-12219292800001), "15821004235959"},
        {"yyyyMMddHHmmss", INT64_C(-62135596800001), "00010102235959"},
        {"yyyyMMddHHmmss", INT64_C(253402300800000), "100000101000000"},
        {"yyyyMMddHHmmss", INT64_C(43200000), "19700101120000"},
        {"SSSSSS D u ''yy''", INT64_C(1717245296107), "000107 153 6 '24'"},
        {"SSSSSS D u ''yy''", INT64_C(0), "000000 1 4 '70'"},
        {"SSSSSS D u ''yy''", INT64_C(-1), "000999 365 3 '69'"},
        {"SSSSSS D u ''yy''", INT64_C(-12219292800001), "000999 277 4 '82'"},
        {"SSSSSS D u ''yy''", INT64_C(-62135596800001), "000999 2 7 '01'"},
        {"SSSSSS D u ''yy''", INT64_C(253402300800000), "000000 1 6 '00'"},
        {"SSSSSS D u ''yy''", INT64_C(43200000), "000000 1 4 '70'"},
        {"y yyyyy zzzz L LLL", INT64_C(1717245296107),
         "2024 02024 Coordinated Universal Time 6 Jun"},
        {"y yyyyy zzzz L LLL", INT64_C(0), "1970 01970 Coordinated Universal Time 1 Jan"},
        {"y yyyyy zzzz L LLL", INT64_C(-1), "1969 01969 Coordinated Universal Time 12 Dec"},
        {"y yyyyy zzzz L LLL", INT64_C(-12219292800001),
         "1582 01582 Coordinated Universal Time 10 Oct"},
        {"y yyyyy zzzz L LLL", INT64_C(-62135596800001),
         "1 00001 Coordinated Universal Time 1 Jan"},
        {"y yyyyy zzzz L LLL", INT64_C(253402300800000),
         "10000 10000 Coordinated Universal Time 1 Jan"},
        {"y yyyyy zzzz L LLL", INT64_C(43200000), "1970 01970 Coordinated Universal Time 1 Jan"},
    };
    struct nw_out out = {0};

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct nw_java_time format;
        const char *why = NULL;

        assert_true(nw_java_time_read(&format, cases[i].pattern, &why));
        nw_java_time_print(&format, cases[i].ms, &out);
        is_text(&out, cases[i].text);
    }
    nw_out_fini(&out);
}

static void times_are_read_as_java_does(void **state)
{
    static const struct {
        const char *pattern, *text;
        int64_t ms; /* -1: it is none */
    } cases[] = {
        {"yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'", "2024-06-01T12:34:56.100000Z", INT64_C(1717245396000)},
        {"yyyy-MM-dd'T'HH:mm:ss'Z'", "2024-06-01T12:34:56Z", INT64_C(1717245296000)},
        {"yyyy-MM-dd'T'HH:mm:ss'Z'", "2024-06-01T12:34:56.1Z", -1},
        {"yyyy-MM-dd'T'HH:mm:ss", "2024-06-01T12:34:56.1Z", INT64_C(1717245296000)},
        {"yyyy-MM-dd HH:mm:ssXXX", "2024-06-01 12:34:56+02:00", INT64_C(1717238096000)},
        {"yyyy-MM-dd HH:mm:ss Z", "2024-06-01 12:34:56 +0200", INT64_C(1717238096000)},
        {"yyyyMMddHHmmss", "20240229235960", INT64_C(1709251200000)},
        {"yyyy-MM-dd", "2024-13-45", INT64_C(1739491200000)},
        {"yyyy-MM-dd", "1500-02-29", INT64_C(-14825894400000)},
        {"yyyy-MM-dd", "1582-10-10", INT64_C(-12218860800000)},
        {"EEE, d MMM yyyy hh:mm a", "Sat, 1 June 2024 01:02 pm", INT64_C(1717246920000)},
        {"yyyy-MM-dd hh:mm a", "2024-06-01 12:00 AM", INT64_C(1717200000000)},
        {"yyyy-MM-dd kk", "2024-06-01 24", INT64_C(1717200000000)},
        {"yyyy", "x", -1},
        {"yyyy-MM-dd", "99999-01-01", INT64_C(3093496444800000)},
        {"yyyy-MM-dd", "2024- 6- 1", INT64_C(1717200000000)},
        {"yyyy-MM-dd", "24-06-01", INT64_C(-61396876800000)},
        {"yyyy-MM-dd'T'HH:mm:ss z", "2024-06-01T12:34:56 UTC", INT64_C(1717245296000)},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct nw_java_time format;
        const char *why = NULL;
        int64_t ms = -1;

        assert_true(nw_java_time_read(&format, cases[i].pattern, &why));
        assert_true(nw_java_time_reads(&format));
        if (nw_java_time_parse(&format, cases[i].text, strlen(cases[i].text), &ms) !=
                (cases[i].ms != -1) ||
            ms != cases[i].ms) {
            fail_msg("%s %s: %lld", cases[i].pattern, cases[i].text, (long long)ms);
        }
    }
}

static void patterns_that_are_none_are_said(void **state)
{
    static const char *const none[] = {"yyyy-ww", "'a", "", "YYYY", "yyyy-MM-dd'T"};
    static const char *const unread[] = {"yy-MM-dd", "yyyy-D", "yyyy u", "G yyyy"};
    struct nw_java_time format;
    const char *why = NULL;

    (void)state;
    for (size_t i = 0; i < COUNT(none); i++) {
        assert_false(nw_java_time_read(&format, none[i], &why));
    }
    for (size_t i = 0; i < COUNT(unread); i++) {
        assert_true(nw_java_time_read(&format, unread[i], &why));
        assert_false(nw_java_time_reads(&format));
    }
}

/* ---- one field ---- */

/* A row's JSON behind a step, or what refuses it. To be freed. */
static char *reshaped(const struct nw_column_schema *columns, uint16_t count,
                      const char *const *texts, const char *const *steps, bool schemas)
{
    const struct nw_table table = {.size = sizeof table,
                                   .schema_name = "shop",
                                   .name = "t",
                                   .columns = columns,
                                   .columns_count = count};
    static const struct nw_origin origin = {.name = "dbz", .schema = "shop", .table = "t"};
    static const struct nw_change change = {.op = 'c', .after = true, .snapshot = "false"};
    struct nw_connect_options options = nw_connect_options_default();
    struct nw_flat_options wanted = {.deletes = NW_FLAT_TOMBSTONE, .schemas = schemas};
    struct nw_connect_table *made = NULL;
    struct nw_flat flat = {0};
    struct nw_error err = {0};
    struct nw_out out = {0};
    struct one one;
    char *text = NULL;

    options.times = NW_TIMES_CONNECT;
    made = nw_connect_table_create(&table, "dbz.shop.t", &options);
    assert_non_null(made);
    one_set(&one, &table, NULL, texts);
    const struct nw_row row = {.table = made,
                               .batch = &one.batch,
                               .origin = &origin,
                               .change = &change,
                               .scratch = nw_connect_scratch_create(made)};
    if (nw_reshape_options_read(steps, "reshape", &wanted.reshape, &err) == NW_OK) {
        assert_true(nw_flat_init(&flat, made, &wanted));
        if (nw_flat_reshape(&flat, made, "dbz.shop.t", &err) == NW_OK &&
            nw_json_flat(&out, &flat, &row, &err) == NW_OK) {
            nw_out_bytes(&out, "", 1);
            text = strdup((char *)out.bytes);
        }
        nw_flat_fini(&flat);
    }
    text = text == NULL ? strdup(err.text) : text;
    nw_reshape_options_destroy(wanted.reshape);
    nw_out_fini(&out);
    nw_connect_scratch_destroy(row.scratch);
    nw_connect_table_destroy(made);
    return text;
}

static void values_are_changed_as_connect_does(void **state)
{
    static const struct {
        uint32_t oid;
        int32_t typmod;
        const char *text, *step, *json; /* json NULL: the row is refused */
    } cases[] = {
        {OID_INT8, -1, "4294967299", "cast f: int8", "3"},
        {OID_INT8, -1, "4294967299", "cast f: int16", "3"},
        {OID_INT8, -1, "4294967299", "cast f: int32", "3"},
        {OID_INT8, -1, "4294967299", "cast f: int64", "4294967299"},
        {OID_INT8, -1, "4294967299", "cast f: float32", "4.2949673E9"},
        {OID_INT8, -1, "4294967299", "cast f: float64", "4.294967299E9"},
        {OID_INT8, -1, "4294967299", "cast f: boolean", "true"},
        {OID_INT8, -1, "4294967299", "cast f: string", "\"4294967299\""},
        {OID_INT8, -1, "16777217", "cast f: float32", "1.6777216E7"},
        {OID_INT8, -1, "-129", "cast f: int8", "127"},
        {OID_INT8, -1, "-129", "cast f: boolean", "true"},
        {OID_FLOAT8, -1, "1e+10", "cast f: int8", "-1"},
        {OID_FLOAT8, -1, "1e+10", "cast f: int16", "-1"},
        {OID_FLOAT8, -1, "1e+10", "cast f: int32", "2147483647"},
        {OID_FLOAT8, -1, "1e+10", "cast f: int64", "10000000000"},
        {OID_FLOAT8, -1, "1e+10", "cast f: float32", "1.0E10"},
        {OID_FLOAT8, -1, "1e+10", "cast f: float64", "1.0E10"},
        {OID_FLOAT8, -1, "1e+10", "cast f: boolean", "true"},
        {OID_FLOAT8, -1, "1e+10", "cast f: string", "\"1.0E10\""},
        {OID_FLOAT8, -1, "-1.5", "cast f: int8", "-1"},
        {OID_FLOAT8, -1, "-1.5", "cast f: int16", "-1"},
        {OID_FLOAT8, -1, "-1.5", "cast f: int32", "-1"},
        {OID_FLOAT8, -1, "-1.5", "cast f: int64", "-1"},
        {OID_FLOAT8, -1, "-1.5", "cast f: float32", "-1.5"},
        {OID_FLOAT8, -1, "-1.5", "cast f: float64", "-1.5"},
        {OID_FLOAT8, -1, "-1.5", "cast f: boolean", "true"},
        {OID_FLOAT8, -1, "-1.5", "cast f: string", "\"-1.5\""},
        {OID_FLOAT8, -1, "NaN", "cast f: int8", "0"},
        {OID_FLOAT8, -1, "NaN", "cast f: int16", "0"},
        {OID_FLOAT8, -1, "NaN", "cast f: int32", "0"},
        {OID_FLOAT8, -1, "NaN", "cast f: int64", "0"},
        {OID_FLOAT8, -1, "NaN", "cast f: float32", "\"NaN\""},
        {OID_FLOAT8, -1, "NaN", "cast f: float64", "\"NaN\""},
        {OID_FLOAT8, -1, "NaN", "cast f: boolean", "false"},
        {OID_FLOAT8, -1, "NaN", "cast f: string", "\"NaN\""},
        {OID_FLOAT8, -1, "0.1", "cast f: float32", "0.1"},
        {OID_FLOAT4, -1, "0.1", "cast f: float64", "0.10000000149011612"},
        {OID_FLOAT4, -1, "0.1", "cast f: string", "\"0.1\""},
        {OID_FLOAT8, -1, "300.7", "cast f: int8", "44"},
        {OID_FLOAT8, -1, "300.7", "cast f: int16", "300"},
        {OID_FLOAT8, -1, "300.7", "cast f: int32", "300"},
        {OID_FLOAT8, -1, "300.7", "cast f: int64", "300"},
        {OID_FLOAT8, -1, "300.7", "cast f: float32", "300.7"},
        {OID_FLOAT8, -1, "300.7", "cast f: float64", "300.7"},
        {OID_FLOAT8, -1, "300.7", "cast f: boolean", "true"},
        {OID_FLOAT8, -1, "300.7", "cast f: string", "\"300.7\""},
        {OID_FLOAT8, -1, "1e+300", "cast f: int64", "9223372036854775807"},
        {OID_FLOAT8, -1, "1e+300", "cast f: int16", "-1"},
        {OID_FLOAT8, -1, "1e+300", "cast f: float32", "\"Infinity\""},
        {OID_BOOL, -1, "t", "cast f: int8", "1"},
        {OID_BOOL, -1, "t", "cast f: int16", "1"},
        {OID_BOOL, -1, "t", "cast f: int32", "1"},
        {OID_BOOL, -1, "t", "cast f: int64", "1"},
        {OID_BOOL, -1, "t", "cast f: float32", "1.0"},
        {OID_BOOL, -1, "t", "cast f: float64", "1.0"},
        {OID_BOOL, -1, "t", "cast f: boolean", "true"},
        {OID_BOOL, -1, "t", "cast f: string", "\"true\""},
        {OID_BOOL, -1, "f", "cast f: int32", "0"},
        {OID_BOOL, -1, "f", "cast f: string", "\"false\""},
        {OID_TEXT, -1, "127", "cast f: int8", "127"},
        {OID_TEXT, -1, "127", "cast f: int16", "127"},
        {OID_TEXT, -1, "127", "cast f: int32", "127"},
        {OID_TEXT, -1, "127", "cast f: int64", "127"},
        {OID_TEXT, -1, "127", "cast f: float32", "127.0"},
        {OID_TEXT, -1, "127", "cast f: float64", "127.0"},
        {OID_TEXT, -1, "127", "cast f: boolean", "false"},
        {OID_TEXT, -1, "127", "cast f: string", "\"127\""},
        {OID_TEXT, -1, "128", "cast f: int8", NULL},
        {OID_TEXT, -1, "129", "cast f: int8", NULL},
        {OID_TEXT, -1, "18446744073709551617", "cast f: int64", NULL},
        {OID_TEXT, -1, "-128", "cast f: int8", "-128"},
        {OID_TEXT, -1, "+7", "cast f: int32", "7"},
        {OID_TEXT, -1, "+7", "cast f: float64", "7.0"},
        {OID_TEXT, -1, " 7", "cast f: int32", NULL},
        {OID_TEXT, -1, " 7", "cast f: float64", "7.0"},
        {OID_TEXT, -1, "TrUe", "cast f: boolean", "true"},
        {OID_TEXT, -1, "yes", "cast f: boolean", "false"},
        {OID_TEXT, -1, "1e3f", "cast f: float32", "1000.0"},
        {OID_TEXT, -1, "-9223372036854775808", "cast f: int64", "-9223372036854775808"},
        {OID_TEXT, -1, "9223372036854775808", "cast f: int64", NULL},
        {OID_TEXT, -1, "NaN", "cast f: float64", "\"NaN\""},
        {OID_TEXT, -1, "", "cast f: int32", NULL},
        {OID_NUMERIC, NUMERIC(9, 2), "12.50", "cast f: int8", "12"},
        {OID_NUMERIC, NUMERIC(9, 2), "12.50", "cast f: int16", "12"},
        {OID_NUMERIC, NUMERIC(9, 2), "12.50", "cast f: int32", "12"},
        {OID_NUMERIC, NUMERIC(9, 2), "12.50", "cast f: int64", "12"},
        {OID_NUMERIC, NUMERIC(9, 2), "12.50", "cast f: float32", "12.5"},
        {OID_NUMERIC, NUMERIC(9, 2), "12.50", "cast f: float64", "12.5"},
        {OID_NUMERIC, NUMERIC(9, 2), "12.50", "cast f: boolean", "true"},
        {OID_NUMERIC, NUMERIC(9, 2), "12.50", "cast f: string", "\"12.50\""},
        {OID_NUMERIC, NUMERIC(9, 2), "-300.99", "cast f: int8", "-44"},
        {OID_NUMERIC, NUMERIC(9, 2), "-300.99", "cast f: int16", "-300"},
        {OID_NUMERIC, NUMERIC(9, 2), "-300.99", "cast f: int32", "-300"},
        {OID_NUMERIC, NUMERIC(9, 2), "-300.99", "cast f: int64", "-300"},
        {OID_NUMERIC, NUMERIC(9, 2), "-300.99", "cast f: float32", "-300.99"},
        {OID_NUMERIC, NUMERIC(9, 2), "-300.99", "cast f: float64", "-300.99"},
        {OID_NUMERIC, NUMERIC(9, 2), "-300.99", "cast f: boolean", "true"},
        {OID_NUMERIC, NUMERIC(9, 2), "-300.99", "cast f: string", "\"-300.99\""},
        {OID_NUMERIC, NUMERIC(9, 2), "-2.56", "cast f: string", "\"-2.56\""},
        {OID_NUMERIC, NUMERIC(12, 8), "0.00000001", "cast f: int8", "0"},
        {OID_NUMERIC, NUMERIC(12, 8), "0.00000001", "cast f: int16", "0"},
        {OID_NUMERIC, NUMERIC(12, 8), "0.00000001", "cast f: int32", "0"},
        {OID_NUMERIC, NUMERIC(12, 8), "0.00000001", "cast f: int64", "0"},
        {OID_NUMERIC, NUMERIC(12, 8), "0.00000001", "cast f: float32", "1.0E-8"},
        {OID_NUMERIC, NUMERIC(12, 8), "0.00000001", "cast f: float64", "1.0E-8"},
        {OID_NUMERIC, NUMERIC(12, 8), "0.00000001", "cast f: boolean", "false"},
        {OID_NUMERIC, NUMERIC(12, 8), "0.00000001", "cast f: string", "\"1E-8\""},
        {OID_NUMERIC, NUMERIC(12, 8), "0.00000000", "cast f: string", "\"0E-8\""},
        {OID_NUMERIC, NUMERIC(12, 8), "0.00000123", "cast f: string", "\"0.00000123\""},
        {OID_NUMERIC, NUMERIC(12, 8), "-0.00000012", "cast f: string", "\"-1.2E-7\""},
        {OID_NUMERIC, NUMERIC(30, 0), "18446744073709551617", "cast f: int8", "1"},
        {OID_NUMERIC, NUMERIC(30, 0), "18446744073709551617", "cast f: int16", "1"},
        {OID_NUMERIC, NUMERIC(30, 0), "18446744073709551617", "cast f: int32", "1"},
        {OID_NUMERIC, NUMERIC(30, 0), "18446744073709551617", "cast f: int64", "1"},
        {OID_NUMERIC, NUMERIC(30, 0), "18446744073709551617", "cast f: float32", "1.8446744E19"},
        {OID_NUMERIC, NUMERIC(30, 0), "18446744073709551617", "cast f: float64",
         "1.8446744073709552E19"},
        {OID_NUMERIC, NUMERIC(30, 0), "18446744073709551617", "cast f: boolean", "true"},
        {OID_NUMERIC, NUMERIC(30, 0), "18446744073709551617", "cast f: string",
         "\"18446744073709551617\""},
        {OID_INT4, -1, "7", "mask f", "0"},
        {OID_INT8, -1, "7", "mask f = 12.9", "12"},
        {OID_INT8, -1, "7", "mask f = 1e3", "1000"},
        {OID_FLOAT4, -1, "1.0", "mask f", "0.0"},
        {OID_FLOAT8, -1, "1.0", "mask f = 2.5", "2.5"},
        {OID_TEXT, -1, "x", "mask f", "\"\""},
        {OID_TEXT, -1, "x", "mask f = ***", "\"***\""},
        {OID_BOOL, -1, "t", "mask f", "false"},
        {OID_NUMERIC, NUMERIC(9, 2), "12.50", "mask f = 9.99", "\"A+c=\""},
        {OID_INT2, -1, "7", "mask f = 70000", "4464"},
        {OID_INT8, -1, "1717245296107999", "time f: Timestamp us", "1717245296107"},
        {OID_INT8, -1, "1717245296107999", "time f: Timestamp s", "1717245296107999000"},
        {OID_INT8, -1, "-1500", "time f: Date s", "-1"},
        {OID_INT8, -1, "-1500", "time f: Time s", "84900000"},
        {OID_INT8, -1, "-1500", "time f: Time us", "86399999"},
        {OID_INT8, -1, "-1500", "time f: unix us", "-1000"},
        {OID_INT8, -1, "-1500", "time f: Date ns", "0"},
        {OID_TIMESTAMP, -1, "2024-06-01 12:34:56.107", "time f: unix s", "1717245296"},
        {OID_TIMESTAMP, -1, "2024-06-01 12:34:56.107", "time f: unix ns", "1717245296107000000"},
        {OID_TIMESTAMP, -1, "2024-06-01 12:34:56.107",
         "time f: string = yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", "\"2024-06-01T12:34:56.107Z\""},
        {OID_TIMESTAMP, -1, "2024-06-01 12:34:56.1", "cast f: string",
         "\"2024-06-01T12:34:56.100Z\""},
        {OID_TIMESTAMP, -1, "2024-06-01 12:34:56.1", "cast f: int32", "-741622300"},
        {OID_DATE, -1, "2024-02-29", "cast f: string", "\"2024-02-29\""},
        {OID_DATE, -1, "2024-02-29", "cast f: int32", "19782"},
        {OID_DATE, -1, "2024-02-29", "time f: Timestamp", "1709164800000"},
        {OID_DATE, -1, "1969-12-30", "time f: string = yyyy-MM-dd", "\"1969-12-30\""},
        {OID_TIME, -1, "12:34:56.789", "cast f: string", "\"12:34:56.789Z\""},
        {OID_TIME, -1, "12:34:56.789", "time f: string = HH:mm:ss", "\"12:34:56\""},
        {OID_TIME, -1, "12:34:56.789", "time f: Date", "0"},
        {OID_TEXT, -1, "2024-06-01T12:34:56Z", "time f: unix = yyyy-MM-dd'T'HH:mm:ss'Z'",
         "1717245296000"},
        {OID_TEXT, -1, "2024-06-01T12:34:56.1Z", "time f: unix = yyyy-MM-dd'T'HH:mm:ss'Z'", NULL},
        {OID_BYTEA, -1, "\\x0001ff", "cast f: string", "\"AAH/\""},
        {OID_INT4_ARRAY, -1, "{1,2}", "mask f", "[]"},
        {OID_TIMESTAMP, -1, "2024-06-01 12:34:56.1", "mask f", "0"},
        {OID_DATE, -1, "2024-02-29", "mask f", "0"},
        {OID_NUMERIC, NUMERIC(9, 2), "12.50", "mask f", "\"AA==\""},
        {OID_NUMERIC, NUMERIC(9, 2), "12.50", "mask f = 9.9", "\"A94=\""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct nw_column_schema column = {.name = "f",
                                                .type_oid = cases[i].oid,
                                                .base_type_oid = cases[i].oid,
                                                .typmod = cases[i].typmod,
                                                .type = NW_TYPE_TEXT};
        char *text =
            reshaped(&column, 1, &cases[i].text, (const char *[]){cases[i].step, NULL}, false);
        char wanted[256] = "NW2720 shop.t: field f has a value that cannot be what `reshape` says";

        if (cases[i].json != NULL) {
            (void)snprintf(wanted, sizeof wanted, "{\"f\":%s}", cases[i].json);
        }
        if (strcmp(text, wanted) != 0) {
            fail_msg("%s of %s: %s", cases[i].step, cases[i].text, text);
        }
        free(text);
    }
}

static void types_that_a_step_cannot_take_are_refused(void **state)
{
    static const struct {
        uint32_t oid;
        const char *step, *why;
    } cases[] = {
        {OID_POINT, "mask f", "structs cannot be masked"},
        {OID_BYTEA, "mask f", "bytes and structs"},
        {OID_BOOL, "mask f = 1", "only numbers and strings"},
        {OID_TIMESTAMP, "mask f = 1", "only numbers and strings"},
        {OID_INT4, "mask f = x", "none of its type"},
        {OID_INT4_ARRAY, "cast f: string", "cannot be cast"},
        {OID_BYTEA, "cast f: int32", "to a string only"},
        {OID_INT4, "time f: Date", "a time is"},
        {OID_TEXT, "time f: Date", "without a pattern"},
        {OID_TEXT, "time f: Date = yy", "without a pattern"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct nw_column_schema column = {.name = "f", OPTIONAL(cases[i].oid)};
        char *text = reshaped(&column, 1, (const char *[]){NULL},
                              (const char *[]){cases[i].step, NULL}, false);

        if (strncmp(text, "NW2727 shop.t: field f", 22) != 0 ||
            strstr(text, cases[i].why) == NULL) {
            fail_msg("%s: %s", cases[i].step, text);
        }
        free(text);
    }
}

static void what_is_no_step_is_refused(void **state)
{
    static const char *const cases[] = {
        "hide f",      "mask",         "mask f,",         "mask f = ",      "cast f",
        "cast f: int", "time f: date", "time f: string",  "time f: unix m", "time f: string = w",
        "rename f",    "rename f:",    "insert f",        "insert = x",     "envelope f: g",
        "defaults f",  "keep",         "time f, g: Date", "topic",          ""};

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct nw_reshape_options *made = NULL;
        struct nw_error err = {0};

        if (nw_reshape_options_read((const char *[]){cases[i], NULL}, "reshape", &made, &err) !=
                NW_FATAL ||
            strncmp(err.text, "NW1003 reshape: ", 16) != 0) {
            fail_msg("%s: %s", cases[i], err.text);
        }
        assert_null(made);
    }
}

/* ---- rows ---- */

static const struct nw_column_schema columns[] = {
    {.name = "id", REQUIRED(OID_INT8)},
    {.name = "a", OPTIONAL(OID_TEXT), .default_expr = "'x'::text"},
    {.name = "n", OPTIONAL(OID_INT4), .default_expr = "300"},
    {.name = "at", OPTIONAL(OID_TIMESTAMP)}};

static void steps_see_what_those_in_front_of_them_left(void **state)
{
    static const struct {
        const char *steps[6];
        const char *json;
    } cases[] = {
        {{"rename id: a, a: id"}, "{\"a\":7,\"id\":null,\"n\":null,\"at\":0}"},
        {{"rename id: key", "cast key: string, id: boolean"},
         "{\"key\":\"7\",\"a\":null,\"n\":null,\"at\":0}"},
        {{"defaults", "mask a", "cast n: int8"}, "{\"id\":7,\"a\":\"\",\"n\":44,\"at\":0}"},
        {{"mask a = *", "cast n: int8", "defaults"}, "{\"id\":7,\"a\":\"x\",\"n\":44,\"at\":0}"},
        {{"keep n, id, none", "insert by = a = b, c", "topic of!", "envelope op: what"},
         "{\"id\":7,\"n\":null,\"by\":\"a = b, c\",\"of\":\"dbz.shop.t\",\"what\":\"c\"}"},
        {{"drop id, a, n", "time at: string = yyyy", "cast at: int16", "cast at: string",
          "rename at: year"},
         "{\"year\":\"1970\"}"},
        {{"drop id, a, n, at"}, "{}"},
        {{"keep a, n", "mask a = *", "envelope op: a"}, "{\"a\":\"c\",\"n\":null}"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *text = reshaped(columns, COUNT(columns),
                              (const char *const[]){"7", NULL, NULL, "1970-01-01 00:00:00"},
                              cases[i].steps, false);

        assert_string_equal(text, cases[i].json);
        free(text);
    }
}

static void a_default_is_for_null_alone(void **state)
{
    char *text = reshaped(columns, COUNT(columns),
                          (const char *const[]){"7", "y", NULL, "1970-01-01 00:00:00"},
                          (const char *const[]){"defaults", NULL}, false);

    (void)state;
    assert_string_equal(text, "{\"id\":7,\"a\":\"y\",\"n\":300,\"at\":0}");
    free(text);
}

static void schemas_are_those_that_connect_makes(void **state)
{
    static const char *const steps[] = {"time at: Date", "cast id: string, n: int8", "mask a",
                                        "insert by! = me", NULL};
    char *text = reshaped(columns, COUNT(columns),
                          (const char *const[]){"7", "b", "1", "1970-01-02 00:00:01"}, steps, true);

    (void)state;
    assert_string_equal(text,
                        "{\"schema\":{\"type\":\"struct\",\"fields\":["
                        "{\"type\":\"string\",\"optional\":false,\"field\":\"id\"},"
                        "{\"type\":\"string\",\"optional\":true,\"default\":\"x\",\"field\":\"a\"},"
                        "{\"type\":\"int8\",\"optional\":true,\"default\":44,\"field\":\"n\"},"
                        "{\"type\":\"int32\",\"optional\":true,\"name\":"
                        "\"org.apache.kafka.connect.data.Date\",\"version\":1,\"field\":\"at\"},"
                        "{\"type\":\"string\",\"optional\":false,\"field\":\"by\"}],"
                        "\"optional\":false,\"name\":\"dbz.shop.t.Value\"},"
                        "\"payload\":{\"id\":\"7\",\"a\":\"\",\"n\":1,\"at\":1,\"by\":\"me\"}}");
    free(text);
}

static void deletes_and_avro_are_changed_too(void **state)
{
    static const char *const steps[] = {"cast id: string", "mask a = *", "drop n, at",
                                        "cast __deleted: boolean", NULL};
    const struct nw_table table = {.size = sizeof table,
                                   .schema_name = "shop",
                                   .name = "t",
                                   .columns = columns,
                                   .columns_count = COUNT(columns)};
    static const struct nw_origin origin = {.name = "dbz", .schema = "shop", .table = "t"};
    static const struct nw_change change = {.op = 'd', .before = true, .snapshot = "false"};
    struct nw_connect_table *made = connect_table(&table, "dbz.shop.t");
    struct nw_flat_options options = {.deletes = NW_FLAT_REWRITE};
    struct one one;
    const struct nw_row row = {.table = made,
                               .batch = &one.batch,
                               .origin = &origin,
                               .change = &change,
                               .scratch = nw_connect_scratch_create(made)};
    struct nw_flat flat;
    struct nw_out out = {0};
    struct nw_out hex = {0};
    struct nw_error err;

    (void)state;
    assert_int_equal(nw_reshape_options_read(steps, "reshape", &options.reshape, &err), NW_OK);
    assert_true(nw_flat_init(&flat, made, &options));
    assert_int_equal(nw_flat_reshape(&flat, made, "t", &err), NW_OK);
    one_set(&one, &table, (const char *const[]){"7", "b", "1", NULL}, NULL);
    assert_int_equal(nw_json_flat(&out, &flat, &row, &err), NW_OK);
    is_text(&out, "{\"id\":\"7\",\"a\":\"*\",\"__deleted\":true}");
    assert_int_equal(nw_avro_flat(&out, &flat, &row, &err), NW_OK);
    nw_out_hex(&hex, out.bytes, out.used);
    is_text(&hex, "0237"
                  "00022a"
                  "0201"); /* the default of a is first in its union */
    out.used = 0;
    nw_avro_schema(&out, &flat.schema);
    is_text(&out,
            "{\"type\":\"record\",\"name\":\"Value\",\"namespace\":\"dbz.shop.t\",\"fields\":["
            "{\"name\":\"id\",\"type\":\"string\"},"
            "{\"name\":\"a\",\"type\":[{\"type\":\"string\",\"connect.default\":\"x\"},\"null\"],"
            "\"default\":\"x\"},"
            "{\"name\":\"__deleted\",\"type\":[\"null\",\"boolean\"],\"default\":null}],"
            "\"connect.name\":\"dbz.shop.t.Value\"}");
    nw_out_fini(&out);
    nw_out_fini(&hex);
    nw_flat_fini(&flat);
    nw_reshape_options_destroy(options.reshape);
    nw_connect_scratch_destroy(row.scratch);
    nw_connect_table_destroy(made);
}

static void two_fields_of_one_name_are_refused(void **state)
{
    static const struct {
        const char *step, *text;
    } cases[] = {
        {"rename n: a", "NW2727 shop.t: field a cannot be what `reshape` says: there is another "
                        "field of that name"},
        {"rename id: b, a: b", "NW2727 shop.t: field b cannot be what `reshape` says: there is "
                               "another field of that name"},
        {"insert id = x", "NW2727 shop.t: field id cannot be what `reshape` says: there is another "
                          "field of that name"},
        {"topic at!", "NW2727 shop.t: field at cannot be what `reshape` says: there is another "
                      "field of that name"},
        {"envelope op: id", "NW2727 shop.t: field id cannot be what `reshape` says: it is there, "
                            "and has another type"},
        {"envelope ts_ms: at", "NW2727 shop.t: field at cannot be what `reshape` says: it is "
                               "there, and has another type"},
        {"rename none: a", "{\"id\":7,\"a\":null,\"n\":null,\"at\":null}"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *text = reshaped(columns, COUNT(columns), (const char *const[]){"7", NULL, NULL, NULL},
                              (const char *[]){cases[i].step, NULL}, false);

        assert_string_equal(text, cases[i].text);
        free(text);
    }
}

static void any_text_is_a_boolean(void **state)
{
    static char long_text[1000];
    static const char *const cases[][2] = {
        {"tRuE", "{\"f\":true}"}, {"true ", "{\"f\":false}"}, {long_text, "{\"f\":false}"}};
    static const struct nw_column_schema column = {.name = "f", OPTIONAL(OID_TEXT)};

    (void)state;
    memset(long_text, 'x', sizeof long_text - 1);
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *text =
            reshaped(&column, 1, &cases[i][0], (const char *[]){"cast f: boolean", NULL}, false);

        assert_string_equal(text, cases[i][1]);
        free(text);
    }
}

/* With null_as_default, as what is not reshaped is. */
static void null_is_the_default_in_avro(void **state)
{
    static const char *const steps[] = {"drop at", NULL};
    const struct nw_table table = {.size = sizeof table,
                                   .schema_name = "shop",
                                   .name = "t",
                                   .columns = columns,
                                   .columns_count = COUNT(columns)};
    static const struct nw_origin origin = {.name = "dbz", .schema = "shop", .table = "t"};
    static const struct nw_change change = {.op = 'c', .after = true, .snapshot = "false"};
    struct nw_connect_options connect = nw_connect_options_default();
    struct nw_flat_options options = {.deletes = NW_FLAT_TOMBSTONE};
    struct nw_connect_table *made = NULL;
    struct one one;
    struct nw_flat flat;
    struct nw_out out = {0};
    struct nw_out hex = {0};
    struct nw_error err;

    (void)state;
    connect.null_as_default = true;
    made = nw_connect_table_create(&table, "dbz.shop.t", &connect);
    assert_non_null(made);
    const struct nw_row row = {.table = made,
                               .batch = &one.batch,
                               .origin = &origin,
                               .change = &change,
                               .scratch = nw_connect_scratch_create(made)};
    assert_int_equal(nw_reshape_options_read(steps, "reshape", &options.reshape, &err), NW_OK);
    assert_true(nw_flat_init(&flat, made, &options));
    assert_int_equal(nw_flat_reshape(&flat, made, "t", &err), NW_OK);
    one_set(&one, &table, NULL, (const char *const[]){"7", NULL, "1", NULL});
    assert_int_equal(nw_avro_flat(&out, &flat, &row, &err), NW_OK);
    nw_out_hex(&hex, out.bytes, out.used);
    is_text(&hex, "0e"
                  "000278" /* the default of a, x */
                  "0002");
    nw_out_fini(&out);
    nw_out_fini(&hex);
    nw_flat_fini(&flat);
    nw_reshape_options_destroy(options.reshape);
    nw_connect_scratch_destroy(row.scratch);
    nw_connect_table_destroy(made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_printed_as_java_does),
        cmocka_unit_test(times_are_read_as_java_does),
        cmocka_unit_test(patterns_that_are_none_are_said),
        cmocka_unit_test(values_are_changed_as_connect_does),
        cmocka_unit_test(types_that_a_step_cannot_take_are_refused),
        cmocka_unit_test(what_is_no_step_is_refused),
        cmocka_unit_test(steps_see_what_those_in_front_of_them_left),
        cmocka_unit_test(a_default_is_for_null_alone),
        cmocka_unit_test(schemas_are_those_that_connect_makes),
        cmocka_unit_test(deletes_and_avro_are_changed_too),
        cmocka_unit_test(two_fields_of_one_name_are_refused),
        cmocka_unit_test(any_text_is_a_boolean),
        cmocka_unit_test(null_is_the_default_in_avro),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
