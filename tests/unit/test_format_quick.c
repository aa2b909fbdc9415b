/* SPDX-License-Identifier: Apache-2.0 */
/* Debezium's JSON of typed columns is the same by the short way, which debezium.c has for those
 * that are common, as by Connect's model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/format/connect_json.h"
#include "lib/format/format.h"

#define COUNT(array)  (sizeof(array) / sizeof((array)[0]))
#define ROWS_COUNT    64u
#define COLUMNS_COUNT 11u
#define NUMERIC(p, s) (((p) << 16 | (s)) + 4)

static struct nw_column_schema columns[COLUMNS_COUNT] = {
    {.name = "id", .base_type_oid = 20, .type = NW_TYPE_INT64, .not_null = true},
    {.name = "n", .base_type_oid = 21, .type = NW_TYPE_INT16},
    {.name = "real", .base_type_oid = 701, .type = NW_TYPE_FLOAT64},
    {.name = "small", .base_type_oid = 700, .type = NW_TYPE_FLOAT32},
    {.name = "uuid", .base_type_oid = 2950, .type = NW_TYPE_UUID},
    {.name = "ts", .base_type_oid = 1184, .typmod = -1, .type = NW_TYPE_TIMESTAMPTZ},
    {.name = "ts3", .base_type_oid = 1184, .typmod = 3, .type = NW_TYPE_TIMESTAMPTZ},
    {.name = "price",
     .base_type_oid = 1700,
     .typmod = NUMERIC(12, 2),
     .type = NW_TYPE_DECIMAL,
     .precision = 12,
     .scale = 2},
    {.name = "large",
     .base_type_oid = 1700,
     .typmod = NUMERIC(38, 0),
     .type = NW_TYPE_DECIMAL,
     .precision = 38},
    {.name = "flag", .base_type_oid = 16, .type = NW_TYPE_BOOL},
    {.name = "a \"t\"", .base_type_oid = 25, .type = NW_TYPE_TEXT},
};
static const uint16_t key[] = {0};
static const struct nw_table table = {.size = sizeof table,
                                      .schema_name = "s",
                                      .name = "t",
                                      .columns_count = COLUMNS_COUNT,
                                      .columns = columns,
                                      .key_columns = key,
                                      .key_columns_count = 1};

static uint8_t values[COLUMNS_COUNT][ROWS_COUNT * 16];
static uint8_t valid[COLUMNS_COUNT][ROWS_COUNT / 8];
static uint8_t present[ROWS_COUNT / 8];
static uint8_t missing[ROWS_COUNT * 2];
#define TEXT "a\"b\\c\n1"
static const uint8_t texts[] = TEXT TEXT TEXT TEXT TEXT TEXT TEXT TEXT;
static int32_t offsets[ROWS_COUNT + 1];
static uint64_t lsns[ROWS_COUNT];
static uint64_t commits[ROWS_COUNT];
static uint64_t seqs[ROWS_COUNT];
static uint32_t xids[ROWS_COUNT];
static int64_t times[ROWS_COUNT];
static uint8_t ops[ROWS_COUNT];
static struct nw_array arrays[COLUMNS_COUNT];

/* The same numbers each time. */
static uint64_t any(void)
{
    static uint64_t state = 88172645463325252U;

    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static void real_fill(uint32_t row)
{
    static const double edges[] = {0,         -0.0,  1,     0.001,         0.00099999999999999,
                                   9999999.5, 1e7,   -1e-3, 9999999.99999, 100,
                                   1.0 / 3,   1e300, -7,    123456.789};
    double real = row < COUNT(edges) ? edges[row] : ((double)(int64_t)any()) / 1e13;
    float small = (float)real;

    memcpy(values[2] + row * 8, &real, 8);
    memcpy(values[3] + row * 4, &small, 4);
}

static void decimal_fill(uint32_t row)
{
    static const int64_t edges[] = {0, 1, -1, 127, 128, -128, -129, 255, 256, -256, 32767, 32768};
    int64_t price = row < COUNT(edges) ? edges[row] : (int64_t)(any() % 1000000000000U);
    uint8_t sign = price < 0 ? 0xff : 0;

    memcpy(values[7] + row * 16, &price, 8);
    memset(values[7] + row * 16 + 8, sign, 8);
    for (uint32_t i = 0; i < 16; i++) { /* below 10^38, of either sign */
        values[8][row * 16 + i] = (uint8_t)any();
    }
    values[8][row * 16 + 15] = row % 2 == 0 ? 0x12 : 0xed;
}

static void stamp_fill(uint32_t row)
{
    static const int64_t edges[] = {
        0, 1, -1, 100000, 999999, -1000000, 86400000000, 123456789, 253402300800000000};
    int64_t us = row < COUNT(edges) ? edges[row] : (int64_t)(any() % 4000000000000000U);
    int64_t ms = us / 1000 * 1000;

    memcpy(values[5] + row * 8, &us, 8);
    memcpy(values[6] + row * 8, &ms, 8);
}

static void batch_fill(struct nw_batch *batch)
{
    for (uint32_t row = 0; row < ROWS_COUNT; row++) {
        int64_t id = (int64_t)any();

        memcpy(values[0] + row * 8, &id, 8);
        memcpy(values[1] + row * 2, &id, 2);
        real_fill(row);
        decimal_fill(row);
        stamp_fill(row);
        for (uint32_t i = 0; i < 16; i++) {
            values[4][row * 16 + i] = (uint8_t)any();
        }
        values[9][row / 8] = (uint8_t)any();
        offsets[row + 1] = row % 9 == 0 ? offsets[row] + (int32_t)(sizeof TEXT - 1) : offsets[row];
        missing[row * 2 + 1] = row % 16 == 9 ? 1u << 2 : 0;
        lsns[row] = 1000 + row;
        commits[row] = 5000 + row / 8;
        xids[row] = row % 5 == 4 ? 0 : 700 + row / 8;
        times[row] = 1700000000123456 + row / 8;
        ops[row] = NW_OP_INSERT;
    }
    memset(present, 0xff, sizeof present);
    memset(valid, 0xff, sizeof valid);
    for (uint32_t c = 1; c < COLUMNS_COUNT; c++) {
        valid[c][c % 8] = 0xb7;
        arrays[c] = (struct nw_array){.validity = valid[c], .values = values[c]};
    }
    arrays[0] = (struct nw_array){.validity = valid[0], .values = values[0]};
    arrays[10].offsets = offsets;
    arrays[10].bytes = texts;
    *batch = (struct nw_batch){
        .size = sizeof *batch,
        .table = &table,
        .rows_count = ROWS_COUNT,
        .missing_stride = 2,
        .op = ops,
        .commit_lsn = commits,
        .row_lsn = lsns,
        .seq = seqs,
        .xid = xids,
        .commit_ts = times,
        .image[NW_AFTER] = {.present = present, .missing = missing, .columns = arrays}};
}

/* Each column by Connect's model. */
static void after_expect(struct nw_out *out, const struct nw_row *row)
{
    for (uint16_t c = 0; c < COLUMNS_COUNT; c++) {
        struct nw_connect_value value;
        struct nw_value source = nw_batch_value(row->batch, NW_AFTER, row->row, c);
        struct nw_error err = {0};

        nw_out_text(out, c == 0 ? "{\"" : ",\"");
        nw_out_text(out, c == 10 ? "a \\\"t\\\"" : columns[c].name);
        nw_out_text(out, "\":");
        assert_int_equal(nw_connect_convert(row->scratch, c, &source, NW_AFTER, &value, &err),
                         NW_OK);
        assert_int_equal(
            nw_connect_json_value(out, row->table->value->fields[c].schema, &value, false, &err),
            NW_OK);
    }
    nw_out_text(out, "}");
}

static void message_expect(struct nw_out *out, const struct nw_row *row)
{
    const struct nw_change *change = row->change;
    char text[1024];
    char xid[16] = "null";

    out->used = 0;
    nw_out_text(out, "{\"before\":null,\"after\":");
    after_expect(out, row);
    if (change->xid != 0) {
        (void)snprintf(xid, sizeof xid, "%u", change->xid);
    }
    (void)snprintf(text, sizeof text,
                   ",\"source\":{\"version\":\"%s\",\"connector\":\"postgresql\",\"name\":\"p\","
                   "\"ts_ms\":%lld,\"snapshot\":\"false\",\"db\":\"db\","
                   "\"sequence\":\"[\\\"%llu\\\",\\\"%llu\\\"]\",\"ts_us\":%lld,\"ts_ns\":%lld000,"
                   "\"schema\":\"s\",\"table\":\"t\",\"txId\":%s,\"lsn\":%llu,\"xmin\":null,"
                   "\"origin\":null,\"origin_lsn\":null},\"transaction\":null,\"op\":\"c\","
                   "\"ts_ms\":1700000001000,\"ts_us\":1700000001000000,"
                   "\"ts_ns\":1700000001000000001}",
                   row->origin->version, (long long)change->commit_us / 1000,
                   (unsigned long long)commits[row->row], (unsigned long long)change->lsn,
                   (long long)change->commit_us, (long long)change->commit_us, xid,
                   (unsigned long long)change->lsn);
    nw_out_text(out, text);
}

static void rows_are_the_same_by_both_ways(void **state)
{
    const struct nw_format_options options = {.kind = NW_FORMAT_DEBEZIUM_JSON,
                                              .connect = nw_connect_options_default()};
    struct nw_format_table *format = nw_format_table_create(&table, "p.s.t", "p", "db", &options);
    struct nw_out got = {0};
    struct nw_out expected = {0};
    struct nw_batch batch;

    (void)state;
    assert_non_null(format);
    batch_fill(&batch);
    for (uint32_t r = 0; r < ROWS_COUNT; r++) {
        const struct nw_change change =
            nw_change_of_row(&format->texts, &batch, r, INT64_C(1700000001000000001));
        const struct nw_row row = {.table = format->connect,
                                   .batch = &batch,
                                   .row = r,
                                   .origin = &format->origin,
                                   .change = &change,
                                   .scratch = format->scratch};
        struct nw_error err = {0};

        message_expect(&expected, &row);
        got.used = 0;
        assert_int_equal(nw_debezium_value(format->debezium, &row, &got, &err), NW_OK);
        nw_out_bytes(&got, "", 1);
        nw_out_bytes(&expected, "", 1);
        assert_string_equal(got.bytes, expected.bytes);
    }
    nw_out_fini(&got);
    nw_out_fini(&expected);
    nw_format_table_destroy(format);
}

/* Double.toString() and Float.toString() from 0.001 to 10000000: digits, a point, digits. */
static void real_check(double real, bool narrow)
{
    char text[NW_JAVA_REAL_MAX + 1] = {0};
    uint8_t *end = nw_print_java_real((uint8_t *)text, real, narrow);
    size_t whole = strspn(text, "0123456789");
    size_t rest = strspn(text + whole + 1, "0123456789");

    *end = '\0';
    assert_true(whole > 0 && text[whole] == '.' && rest > 0 && text[whole + 1 + rest] == '\0');
    assert_true(text[0] != '0' || whole == 1);
    assert_true(rest == 1 || text[whole + rest] != '0');
    assert_true(narrow ? strtof(text, NULL) == (float)real : strtod(text, NULL) == real);
}

static void reals_that_are_plain_in_java_have_a_point_and_no_exponent(void **state)
{
    static const struct {
        double value;
        const char *real;
        const char *narrow;
    } vectors[] = {{1234567, "1234567.0", "1234567.0"},
                   {1000000, "1000000.0", "1000000.0"},
                   {1e7, "1.0E7", "1.0E7"},
                   {0.001, "0.001", "0.001"},
                   {0.0009765625, "9.765625E-4", "9.765625E-4"},
                   {-0.5, "-0.5", "-0.5"}};

    (void)state;
    for (size_t i = 0; i < COUNT(vectors); i++) {
        char text[NW_JAVA_REAL_MAX + 1] = {0};

        *nw_print_java_real((uint8_t *)text, vectors[i].value, false) = '\0';
        assert_string_equal(text, vectors[i].real);
        *nw_print_java_real((uint8_t *)text, vectors[i].value, true) = '\0';
        assert_string_equal(text, vectors[i].narrow);
    }
    for (int i = 0; i < 20000; i++) {
        double real = 0.001 + (double)(any() >> 11) / 0x1p53 * (i % 2 == 0 ? 9999998 : 2);

        real_check(real, false);
        real_check((double)(float)real, true);
        real_check((double)(any() % 9999999 + 1), i % 4 == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_the_same_by_both_ways),
        cmocka_unit_test(reals_that_are_plain_in_java_have_a_point_and_no_exponent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
