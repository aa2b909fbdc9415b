/* SPDX-License-Identifier: Apache-2.0 */
/* Rows, events and schema versions as JSON lines. */
#include <math.h>

#include "file_support.h"

#include "lib/json.h"
#include "lib/print.h"

struct text_case {
    const char *input;
    size_t size;
    const char *json;
};

#define CASE(input, json)                                                                          \
    {                                                                                              \
        input, sizeof(input) - 1, json                                                             \
    }

static const struct text_case text_cases[] = {
    CASE("", "\"\""),
    CASE("a", "\"a\""),
    CASE("plain text of more than eight bytes", "\"plain text of more than eight bytes\""),
    CASE("seven77\"", "\"seven77\\\"\""),
    CASE("12345678\\", "\"12345678\\\\\""),
    CASE("\b\t\n\f\r", "\"\\b\\t\\n\\f\\r\""),
    CASE("a\0b", "\"a\\u0000b\""),
    CASE("\x01\x1f\x7f", "\"\\u0001\\u001f\x7f\""),
    CASE("\x0b\x0e\x0f\x10", "\"\\u000b\\u000e\\u000f\\u0010\""),
    CASE("</script>", "\"</script>\""),
    CASE("\xc3\xa9t\xc3\xa9", "\"\xc3\xa9t\xc3\xa9\""),
    CASE("1234567\xe2\x82\xac"
         "89012345",
         "\"1234567\xe2\x82\xac"
         "89012345\""),
    CASE("\xf0\x9f\x90\xb3", "\"\xf0\x9f\x90\xb3\""),
    CASE("\xef\xbf\xbf", "\"\xef\xbf\xbf\""),
    CASE("\xc3", "{\"$bytes\":\"c3\"}"),
    CASE("ab\xff"
         "cd",
         "{\"$bytes\":\"6162ff6364\"}"),
    CASE("\xc0\x80", "{\"$bytes\":\"c080\"}"),
    CASE("\xed\xa0\x80", "{\"$bytes\":\"eda080\"}"),
    CASE("\xf4\x90\x80\x80", "{\"$bytes\":\"f4908080\"}"),
    CASE("\xe2\x82", "{\"$bytes\":\"e282\"}"),
};

static void strings_are_escaped_and_bytes_that_are_no_utf8_are_wrapped(void **state)
{
    struct nw_out out = {0};

    (void)state;
    for (size_t i = 0; i < sizeof text_cases / sizeof text_cases[0]; i++) {
        /* An allocation of its own, so that a sanitizer sees every byte read too many. */
        char *input = malloc(text_cases[i].size + (text_cases[i].size == 0));

        memcpy(input, text_cases[i].input, text_cases[i].size);
        out.used = 0;
        assert_true(nw_json_string(&out, input, text_cases[i].size, 0));
        nw_out_bytes(&out, "", 1);
        assert_string_equal((char *)out.bytes, text_cases[i].json);
        free(input);
    }
    nw_out_fini(&out);
}

/* What is copied eight at a time has to stop at each byte that it must not copy. */
static void one_odd_byte_is_escaped_wherever_it_is(void **state)
{
    static const struct {
        uint8_t byte;
        const char *json;
    } odd[] = {{'"', "\\\""},  {'\\', "\\\\"}, {0, "\\u0000"}, {0x1f, "\\u001f"}, {0x20, " "},
               {0x7f, "\x7f"}, {'!', "!"},     {'#', "#"},     {'[', "["},        {']', "]"}};
    static const char letters[] = "abcdefghijklmnopqrstu";
    struct nw_out out = {0};

    (void)state;
    for (size_t size = 1; size <= 20; size++) {
        for (size_t place = 0; place < size; place++) {
            for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
                uint8_t *input = malloc(size); /* so that a sanitizer sees every byte too many */
                char expected[64];

                for (size_t c = 0; c < size; c++) {
                    input[c] = (uint8_t)(c == place ? odd[i].byte : 'a' + c);
                }
                (void)snprintf(expected, sizeof expected, "\"%.*s%s%.*s\"", (int)place, letters,
                               odd[i].json, (int)(size - place - 1), &letters[place + 1]);
                out.used = 0;
                assert_true(nw_json_string(&out, input, size, 0));
                assert_int_equal(out.used, strlen(expected));
                assert_memory_equal(out.bytes, expected, out.used);
                free(input);
            }
        }
    }
    nw_out_fini(&out);
}

static void strings_longer_than_a_piece_are_whole_wherever_a_character_falls(void **state)
{
    (void)state;
    for (size_t shift = 0; shift < 12; shift++) {
        size_t size = 20000 + shift;
        char *input = malloc(size);
        struct nw_out out = {0};

        memset(input, 'x', size);
        memcpy(input + 8192 - 6 + shift % 8, "\xf0\x9f\x90\xb3", 4);
        input[16384 - shift] = '"';
        assert_true(nw_json_string(&out, input, size, 100));
        assert_true(out.capacity - out.used >= 100);
        assert_int_equal(out.used, size + 3);
        assert_memory_equal(out.bytes + 1 + 8192 - 6 + shift % 8, "\xf0\x9f\x90\xb3", 4);
        input[size - 1] = (char)0xff;
        out.used = 0;
        assert_true(nw_json_string(&out, input, size, 0));
        assert_int_equal(out.used, 2 * size + 13);
        nw_out_fini(&out);
        free(input);
    }
}

static void names_keep_bytes_that_are_no_utf8_as_surrogates(void **state)
{
    struct nw_out out = {0};

    (void)state;
    nw_json_name(&out, "caf\xe9 \"x\"");
    nw_out_bytes(&out, "", 1);
    assert_string_equal((char *)out.bytes, "\"caf\\udce9 \\\"x\\\"\"");
    nw_out_fini(&out);
}

static void whole_numbers_are_printed_up_to_their_ends(void **state)
{
    static const int64_t numbers[] = {0,         1,    9,     10,     99,        100,
                                      999,       1000, 12345, 99999,  100000,    INT64_MAX,
                                      INT64_MIN, -1,   -10,   -32768, 4294967295};
    uint8_t text[32];
    char expected[32];

    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        *nw_print_i64(text, numbers[i]) = '\0';
        (void)snprintf(expected, sizeof expected, "%lld", (long long)numbers[i]);
        assert_string_equal((char *)text, expected);
    }
    *nw_print_u64(text, UINT64_MAX) = '\0';
    assert_string_equal((char *)text, "18446744073709551615");
    for (uint64_t power = 1; power < UINT64_MAX / 10; power *= 10) {
        *nw_print_u64(text, power - 1) = '\0';
        (void)snprintf(expected, sizeof expected, "%llu", (unsigned long long)power - 1);
        assert_string_equal((char *)text, expected);
    }
    for (uint64_t value = 1; value < UINT64_MAX / 7; value = value * 7 / 3 + 1) {
        *nw_print_u64(text, value) = '\0';
        (void)snprintf(expected, sizeof expected, "%llu", (unsigned long long)value);
        assert_string_equal((char *)text, expected);
    }
}

static void lsns_are_printed_as_postgres_does(void **state)
{
    uint8_t text[32];

    (void)state;
    *nw_print_lsn(text, 0) = '\0';
    assert_string_equal((char *)text, "0/0");
    *nw_print_lsn(text, UINT64_C(0x16B374D848)) = '\0';
    assert_string_equal((char *)text, "16/B374D848");
    *nw_print_lsn(text, UINT64_MAX) = '\0';
    assert_string_equal((char *)text, "FFFFFFFF/FFFFFFFF");
    *nw_print_lsn(text, UINT64_C(0x100000010)) = '\0';
    assert_string_equal((char *)text, "1/10");
}

/* Printed by PostgreSQL 15: SELECT date '1970-01-01' + N, timestamp 'epoch' + N microseconds. */
static void dates_and_times_are_printed_as_postgres_does(void **state)
{
    static const struct {
        int32_t days;
        const char *text;
    } dates[] = {{0, "1970-01-01"},          {-1, "1969-12-31"},
                 {19782, "2024-02-29"},      {11016, "2000-02-29"},
                 {-719162, "0001-01-01"},    {-719163, "0001-12-31 BC"},
                 {-735161, "0044-03-14 BC"}, {2932896, "9999-12-31"},
                 {2932897, "10000-01-01"},   {2145031948, "5874868-01-01"},
                 {-2440588, "4714-11-24 BC"}};
    static const struct {
        int64_t us;
        const char *text;
    } stamps[] = {{0, "1970-01-01 00:00:00"},
                  {-1, "1969-12-31 23:59:59.999999"},
                  {1709251199500000, "2024-02-29 23:59:59.5"},
                  {1700000000000001, "2023-11-14 22:13:20.000001"},
                  {1700000000120000, "2023-11-14 22:13:20.12"},
                  {-62135596800000000, "0001-01-01 00:00:00"},
                  {-62135596800000001, "0001-12-31 23:59:59.999999 BC"}};
    uint8_t text[64];

    (void)state;
    for (size_t i = 0; i < sizeof dates / sizeof dates[0]; i++) {
        *nw_print_date(text, dates[i].days) = '\0';
        assert_string_equal((char *)text, dates[i].text);
    }
    for (size_t i = 0; i < sizeof stamps / sizeof stamps[0]; i++) {
        *nw_print_timestamp(text, stamps[i].us, "") = '\0';
        assert_string_equal((char *)text, stamps[i].text);
    }
    *nw_print_timestamp(text, -62135596800000001, "+00") = '\0';
    assert_string_equal((char *)text, "0001-12-31 23:59:59.999999+00 BC");
    *nw_print_time(text, INT64_C(86399999999)) = '\0';
    assert_string_equal((char *)text, "23:59:59.999999");
    *nw_print_time(text, INT64_C(3600000000)) = '\0';
    assert_string_equal((char *)text, "01:00:00");
}

/* Printed by PostgreSQL 15 as float8 and float4 with extra_float_digits = 3. */
static void floats_are_the_shortest_text_that_reads_back_the_same(void **state)
{
    static const struct {
        double value;
        const char *text;
    } doubles[] = {
        {0.0, "0"},
        {-0.0, "-0"},
        {1.0, "1"},
        {0.1, "0.1"},
        {-2.5, "-2.5"},
        {123456789012345.0, "123456789012345"},
        {100000000000000.0, "100000000000000"},
        {1e15, "1e+15"},
        {1234567890123456.0, "1.234567890123456e+15"},
        {0.0001, "0.0001"},
        {0.00001, "1e-05"},
        {5e-324, "5e-324"},
        {2.2250738585072014e-308, "2.2250738585072014e-308"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {0.30000000000000004, "0.30000000000000004"},
        {1e23, "9.999999999999999e+22"},
        {9007199254740993.0, "9.007199254740992e+15"},
    };
    static const struct {
        float value;
        const char *text;
    } singles[] = {{1.5f, "1.5"},
                   {0.1f, "0.1"},
                   {100000.0f, "100000"},
                   {1e6f, "1e+06"},
                   {16777216.0f, "1.6777216e+07"},
                   {3.4028235e38f, "3.4028235e+38"},
                   {1.1754944e-38f, "1.1754944e-38"},
                   {1e-45f, "1e-45"}};
    uint8_t text[64];

    (void)state;
    for (size_t i = 0; i < sizeof doubles / sizeof doubles[0]; i++) {
        *nw_print_float64(text, doubles[i].value) = '\0';
        assert_string_equal((char *)text, doubles[i].text);
    }
    for (size_t i = 0; i < sizeof singles / sizeof singles[0]; i++) {
        *nw_print_float32(text, singles[i].value) = '\0';
        assert_string_equal((char *)text, singles[i].text);
    }
}

static void any_float_reads_back_as_itself_and_is_not_longer_than_needed(void **state)
{
    uint64_t random = UINT64_C(88172645463325252);
    char text[64];

    (void)state;
    for (int i = 0; i < 200000; i++) {
        uint32_t low;
        double wide;
        float narrow;
        double back;
        float narrow_back;
        uint8_t *end;

        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        low = (uint32_t)random;
        memcpy(&wide, &random, sizeof wide);
        memcpy(&narrow, &low, sizeof narrow);
        if (i % 2 == 0) {
            wide = (double)(int64_t)(random >> 36) / 100.0;
        }
        if (isfinite(wide)) {
            end = nw_print_float64((uint8_t *)text, wide);
            *end = '\0';
            assert_true((size_t)(end - (uint8_t *)text) <= NW_PRINT_FLOAT_MAX);
            back = strtod(text, NULL);
            assert_memory_equal(&back, &wide, sizeof wide);
            if (i % 2 == 0) {
                assert_true(strlen(text) <= 12);
            }
        }
        if (isfinite(narrow)) {
            *nw_print_float32((uint8_t *)text, narrow) = '\0';
            narrow_back = strtof(text, NULL);
            assert_memory_equal(&narrow_back, &narrow, sizeof narrow);
        }
    }
}

static void decimals_have_all_digits_of_their_scale(void **state)
{
    static const struct {
        int64_t low;
        int64_t high;
        uint8_t scale;
        const char *text;
    } cases[] = {
        {0, 0, 0, "0"},
        {0, 0, 2, "0.00"},
        {5, 0, 2, "0.05"},
        {-5, -1, 2, "-0.05"},
        {12345, 0, 2, "123.45"},
        {-12345, -1, 0, "-12345"},
        {100, 0, 2, "1.00"},
        /* 10^38 - 1 */
        {0x098a223fffffffff, 0x4b3b4ca85a86c47a, 0, "99999999999999999999999999999999999999"},
        {0x098a223fffffffff, 0x4b3b4ca85a86c47a, 38, "0.99999999999999999999999999999999999999"},
        /* 10^19 */
        {(int64_t)0x8ac7230489e80000, 0, 1, "1000000000000000000.0"},
        /* 2^64 */
        {0, 1, 3, "18446744073709551.616"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bytes[16];
        uint8_t text[64];

        memcpy(bytes, &cases[i].low, 8);
        memcpy(bytes + 8, &cases[i].high, 8);
        *nw_print_decimal(text, bytes, cases[i].scale) = '\0';
        assert_string_equal((char *)text, cases[i].text);
    }
}

static struct nw_column_schema all_columns[] = {
    {.name = "t", .type = NW_TYPE_TEXT},
    {.name = "by", .type = NW_TYPE_BINARY},
    {.name = "bo", .type = NW_TYPE_BOOL},
    {.name = "i2", .type = NW_TYPE_INT16},
    {.name = "i4", .type = NW_TYPE_INT32},
    {.name = "i8", .type = NW_TYPE_INT64},
    {.name = "o", .type = NW_TYPE_UINT32},
    {.name = "f4", .type = NW_TYPE_FLOAT32},
    {.name = "f8", .type = NW_TYPE_FLOAT64},
    {.name = "de", .type = NW_TYPE_DECIMAL, .precision = 12, .scale = 2},
    {.name = "da", .type = NW_TYPE_DATE},
    {.name = "ti", .type = NW_TYPE_TIME},
    {.name = "ts", .type = NW_TYPE_TIMESTAMP},
    {.name = "tz", .type = NW_TYPE_TIMESTAMPTZ},
    {.name = "u", .type = NW_TYPE_UUID},
    {.name = "j", .type = NW_TYPE_JSON},
    {.name = "n", .type = NW_TYPE_NUMERIC},
};
static struct nw_table all_table = {.size = sizeof all_table,
                                    .version = 1,
                                    .relation_oid = 16400,
                                    .schema_name = "public",
                                    .name = "all",
                                    .columns_count = 17,
                                    .columns = all_columns};

static void all_values(struct test_batch *b, int side)
{
    bool yes = true;
    int16_t i2 = -32768;
    int32_t i4 = 2147483647;
    int64_t i8 = INT64_MIN;
    uint32_t oid = UINT32_MAX;
    float f4 = 0.1f;
    double f8 = -1.5e300;
    int64_t decimal[2] = {-12345, -1};
    int32_t date = 19782;
    int64_t time = 3723000001;
    int64_t stamp = -1;
    static const uint8_t uuid[16] = {0xa0, 0xee, 0xbc, 0x99, 0x9c, 0x0b, 0x4e, 0xf8,
                                     0xbb, 0x6d, 0x6b, 0xb9, 0xbd, 0x38, 0x0a, 0x11};

    test_value(b, side, 0, "q\"uote\n", 7);
    test_value(b, side, 1, "\x00\xff\x0a", 3);
    test_value(b, side, 2, &yes, sizeof yes);
    test_value(b, side, 3, &i2, sizeof i2);
    test_value(b, side, 4, &i4, sizeof i4);
    test_value(b, side, 5, &i8, sizeof i8);
    test_value(b, side, 6, &oid, sizeof oid);
    test_value(b, side, 7, &f4, sizeof f4);
    test_value(b, side, 8, &f8, sizeof f8);
    test_value(b, side, 9, decimal, 16);
    test_value(b, side, 10, &date, sizeof date);
    test_value(b, side, 11, &time, sizeof time);
    test_value(b, side, 12, &stamp, sizeof stamp);
    test_value(b, side, 13, &stamp, sizeof stamp);
    test_value(b, side, 14, uuid, 16);
    test_value(b, side, 15, "{\"a\": 1}", 8);
    test_value(b, side, 16, "1e-5", 4);
}

static char *rows_print(struct test_batch *b, struct nw_out *out)
{
    struct nw_json_layout *layout = nw_json_layout_create(b->table, 3);
    uint32_t exception = 0;

    assert_non_null(layout);
    out->used = 0;
    /* In two calls: the exceptions go on where the first one stopped. */
    assert_true(nw_json_rows(layout, &b->batch, 0, 1, &exception, out));
    assert_true(nw_json_rows(layout, &b->batch, 1, b->batch.rows_count, &exception, out));
    nw_out_bytes(out, "", 1);
    nw_json_layout_destroy(layout);
    return (char *)out->bytes;
}

static void every_type_has_its_form(void **state)
{
    struct test_batch *b = test_batch_create(&all_table);
    struct nw_out out = {0};

    (void)state;
    (void)test_row(b, NW_OP_INSERT, 0x1000, 7);
    all_values(b, NW_AFTER);
    assert_string_equal(
        rows_print(b, &out),
        "{\"op\":\"I\",\"lsn\":\"0/FF8\",\"seq\":7,\"commit_lsn\":\"0/1000\",\"xid\":796,"
        "\"commit_ts\":\"2023-11-14 22:13:20.004096+00\",\"schema\":3,\"after\":{"
        "\"t\":\"q\\\"uote\\n\",\"by\":\"\\\\x00ff0a\",\"bo\":true,\"i2\":-32768,"
        "\"i4\":2147483647,\"i8\":-9223372036854775808,\"o\":4294967295,\"f4\":0.1,"
        "\"f8\":-1.5e+300,\"de\":\"-123.45\",\"da\":\"2024-02-29\",\"ti\":\"01:02:03.000001\","
        "\"ts\":\"1969-12-31 23:59:59.999999\",\"tz\":\"1969-12-31 23:59:59.999999+00\","
        "\"u\":\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\",\"j\":\"{\\\"a\\\": 1}\","
        "\"n\":\"1e-5\"}}\n");
    nw_out_fini(&out);
    free(b);
}

static void floats_that_json_has_not_are_strings(void **state)
{
    static struct nw_column_schema columns[] = {{.name = "a", .type = NW_TYPE_FLOAT32},
                                                {.name = "b", .type = NW_TYPE_FLOAT64}};
    static struct nw_table table = {
        .schema_name = "s", .name = "t", .columns_count = 2, .columns = columns};
    struct test_batch *b = test_batch_create(&table);
    struct nw_out out = {0};
    float f4 = -INFINITY;
    double f8 = (double)NAN;

    (void)state;
    (void)test_row(b, NW_OP_INSERT, 0x1000, 0);
    test_value(b, NW_AFTER, 0, &f4, sizeof f4);
    test_value(b, NW_AFTER, 1, &f8, sizeof f8);
    assert_non_null(strstr(rows_print(b, &out), "{\"a\":\"-Infinity\",\"b\":\"NaN\"}"));
    nw_out_fini(&out);
    free(b);
}

static struct nw_column_schema few_columns[] = {{.name = "id", .type = NW_TYPE_INT32},
                                                {.name = "a", .type = NW_TYPE_DATE},
                                                {.name = "b\"", .type = NW_TYPE_TEXT}};
static struct nw_table few_table = {
    .schema_name = "s", .name = "t", .columns_count = 3, .columns = few_columns};

static void null_missing_and_exception_are_three_things(void **state)
{
    struct test_batch *b = test_batch_create(&few_table);
    struct nw_out out = {0};
    int32_t id = 5;
    char *text;

    (void)state;
    (void)test_row(b, NW_OP_UPDATE, 0x2000, 0);
    test_value(b, NW_BEFORE, 0, &id, sizeof id);
    test_missing(b, NW_BEFORE, 1);
    test_missing(b, NW_BEFORE, 2);
    test_value(b, NW_AFTER, 0, &id, sizeof id);
    test_exception(b, NW_AFTER, 1, "infinity");
    test_missing(b, NW_AFTER, 2);
    (void)test_row(b, NW_OP_DELETE, 0x2000, 1);
    test_exception(b, NW_BEFORE, 1, "-infinity");
    (void)test_row(b, NW_OP_INSERT, 0x2000, 2);
    test_missing(b, NW_AFTER, 0);
    test_missing(b, NW_AFTER, 1);
    test_missing(b, NW_AFTER, 2);
    text = rows_print(b, &out);
    assert_non_null(strstr(text, "\"schema\":3,\"before\":{\"id\":5},\"before_missing\":[\"a\","
                                 "\"b\\\"\"],\"after\":{\"id\":5,\"a\":\"infinity\"},"
                                 "\"after_missing\":[\"b\\\"\"]}\n"));
    assert_non_null(strstr(
        text, "\"schema\":3,\"before\":{\"id\":null,\"a\":\"-infinity\",\"b\\\"\":null}}\n"));
    assert_non_null(
        strstr(text, "\"schema\":3,\"after\":{},\"after_missing\":[\"id\",\"a\",\"b\\\"\"]}\n"));
    nw_out_fini(&out);
    free(b);
}

static void a_run_of_rows_inside_a_batch_prints_these_rows(void **state)
{
    struct test_batch *b = test_batch_create(&few_table);
    struct nw_json_layout *layout = nw_json_layout_create(&few_table, 1);
    struct nw_out out = {0};
    uint32_t exception = 0;

    (void)state;
    for (int32_t i = 0; i < 20; i++) {
        (void)test_row(b, NW_OP_INSERT, 0x3000, (uint64_t)i);
        test_value(b, NW_AFTER, 0, &i, sizeof i);
        if (i % 2 == 0 && i < 16) {
            test_exception(b, NW_AFTER, 1, i == 10 ? "ten" : "other");
        }
    }
    b->batch.first_row = 9;
    b->batch.rows_count = 2;
    assert_true(nw_json_rows(layout, &b->batch, 0, 2, &exception, &out));
    nw_out_bytes(&out, "", 1);
    assert_non_null(strstr((char *)out.bytes, "{\"id\":9,\"a\":null,\"b\\\"\":null}"));
    assert_non_null(strstr((char *)out.bytes, "{\"id\":10,\"a\":\"ten\",\"b\\\"\":null}"));
    assert_null(strstr((char *)out.bytes, "other"));
    nw_out_fini(&out);
    nw_json_layout_destroy(layout);
    free(b);
}

static void copy_rows_have_their_generation_and_changes_their_origin(void **state)
{
    struct test_batch *b = test_batch_create(&few_table);
    struct nw_out out = {0};
    int32_t id = 1;

    (void)state;
    (void)test_row(b, NW_OP_INSERT, 0x4000, 0);
    test_value(b, NW_AFTER, 0, &id, sizeof id);
    (void)test_row(b, NW_OP_INSERT, 0x4000, 1);
    test_value(b, NW_AFTER, 0, &id, sizeof id);
    memcpy(b->origin_bytes, "node-\xff", 6);
    b->origin_offsets[2] = 6;
    assert_non_null(strstr(rows_print(b, &out), "22:13:20.016384+00\",\"schema\":3"));
    assert_non_null(
        strstr((char *)out.bytes,
               "\"seq\":1,\"commit_lsn\":\"0/4000\",\"xid\":784,\"commit_ts\":\"2023-11-"
               "14 22:13:20.016384+00\",\"origin\":{\"$bytes\":\"6e6f64652dff\"},"));
    b->origin_offsets[2] = 0;
    b->batch.flags = NW_BATCH_COPY;
    b->batch.generation = 4;
    assert_non_null(
        strstr(rows_print(b, &out),
               "\"seq\":1,\"commit_lsn\":\"0/4000\",\"copy\":4,\"schema\":3,\"after\""));
    nw_out_fini(&out);
    free(b);
}

/* The beginning of a copied row is kept for the next, as long as it is the same. */
static void copied_rows_say_what_differs_between_them(void **state)
{
    struct test_batch *b = test_batch_create(&few_table);
    struct nw_out out = {0};
    int32_t id = 1;

    (void)state;
    for (uint64_t seq = 0; seq < 4; seq++) {
        (void)test_row(b, NW_OP_INSERT, 0x4000, seq == 0 ? 0 : 1);
        test_value(b, NW_AFTER, 0, &id, sizeof id);
    }
    b->batch.flags = NW_BATCH_COPY;
    b->batch.generation = 4;
    for (uint32_t i = 0; i < 4; i++) {
        b->row_lsn[i] = i < 3 ? 0x4000 : 0x5000;
    }
    (void)rows_print(b, &out);
    for (uint32_t i = 0; i < 4; i++) {
        static const char *const heads[] = {"{\"op\":\"I\",\"lsn\":\"0/4000\",\"seq\":0,",
                                            "{\"op\":\"I\",\"lsn\":\"0/4000\",\"seq\":1,",
                                            "{\"op\":\"I\",\"lsn\":\"0/4000\",\"seq\":1,",
                                            "{\"op\":\"I\",\"lsn\":\"0/5000\",\"seq\":1,"};
        const char *line = (const char *)out.bytes;

        for (uint32_t skipped = 0; skipped < i; skipped++) {
            line = strchr(line, '\n') + 1;
        }
        assert_memory_equal(line, heads[i], strlen(heads[i]));
        assert_non_null(strstr(line, ",\"commit_lsn\":\"0/4000\",\"copy\":4,\"schema\":3,"));
    }
    nw_out_fini(&out);
    free(b);
}

static void every_byte_has_its_two_digits_wherever_it_is(void **state)
{
    uint8_t bytes[16];
    uint8_t printed[40];
    char expected[40];

    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        for (size_t size = 0; size <= sizeof bytes; size++) {
            for (size_t i = 0; i < sizeof bytes; i++) {
                bytes[i] = (uint8_t)(byte + i * 17);
                (void)snprintf(expected + i * 2, 3, "%02x", bytes[i]);
            }
            memset(printed, '!', sizeof printed);
            assert_ptr_equal(nw_print_hex(printed, bytes, size), printed + 2 * size);
            assert_memory_equal(printed, expected, 2 * size);
            assert_int_equal(printed[2 * size], '!');
        }
    }
}

static void events_are_lines(void **state)
{
    struct nw_event event = {.size = sizeof event,
                             .kind = NW_EVENT_TRUNCATE,
                             .lsn = 0x10,
                             .commit_lsn = 0x20,
                             .seq = 3,
                             .xid = 9,
                             .flags = NW_TRUNCATE_CASCADE,
                             .origin = ""};
    struct nw_out out = {0};

    (void)state;
    nw_json_event(&event, 2, &out);
    event.kind = NW_EVENT_MESSAGE;
    event.flags = 0;
    event.commit_lsn = 0;
    event.prefix = "p\n";
    event.content = (const uint8_t *)"\x00\xfe";
    event.content_size = 2;
    nw_json_event(&event, 2, &out);
    event.kind = NW_EVENT_DROP;
    event.commit_lsn = 0x10;
    event.xid = 0;
    event.seq = 0;
    nw_json_event(&event, 2, &out);
    nw_out_bytes(&out, "", 1);
    assert_string_equal(
        (char *)out.bytes,
        "{\"op\":\"T\",\"lsn\":\"0/10\",\"seq\":3,\"commit_lsn\":\"0/20\",\"xid\":9,"
        "\"commit_ts\":\"1970-01-01 00:00:00+00\",\"schema\":2,\"cascade\":true,"
        "\"restart_identity\":false}\n"
        "{\"op\":\"M\",\"lsn\":\"0/10\",\"seq\":3,\"commit_lsn\":\"0/0\",\"transactional\":false,"
        "\"prefix\":\"p\\n\",\"content\":{\"$bytes\":\"00fe\"}}\n"
        "{\"op\":\"X\",\"lsn\":\"0/10\",\"seq\":0,\"commit_lsn\":\"0/10\"}\n");
    nw_out_fini(&out);
}

static void a_schema_says_everything_of_the_table(void **state)
{
    static const char *const labels[] = {"sad", "happy", NULL};
    static struct nw_column_schema columns[] = {{.name = "id",
                                                 .type_name = "numeric(4,1)",
                                                 .type_oid = 1700,
                                                 .base_type_oid = 1700,
                                                 .typmod = 262149,
                                                 .attnum = 1,
                                                 .type = NW_TYPE_DECIMAL,
                                                 .precision = 4,
                                                 .scale = 1,
                                                 .not_null = true,
                                                 .identity = true,
                                                 .exact = NW_EXACT_NAME | NW_EXACT_KEY},
                                                {.name = "m",
                                                 .type_name = "public.mood",
                                                 .default_expr = "'sad'",
                                                 .enum_labels = labels,
                                                 .type_oid = 16385,
                                                 .base_type_oid = 16385,
                                                 .typmod = -1,
                                                 .attnum = 3,
                                                 .type = NW_TYPE_TEXT}};
    static const uint16_t key[] = {0};
    struct nw_table table = {.relation_oid = 16400,
                             .schema_name = "public",
                             .name = "x",
                             .replica_identity = 'd',
                             .key_is_primary = true,
                             .columns_count = 2,
                             .key_columns_count = 1,
                             .columns = columns,
                             .key_columns = key,
                             .root_oid = 16300,
                             .root_schema_name = "public",
                             .root_name = "r"};
    struct nw_out out = {0};

    (void)state;
    nw_json_schema(&table, &out);
    nw_out_bytes(&out, "", 1);
    assert_string_equal(
        (char *)out.bytes,
        "{\"oid\":16400,\"schema\":\"public\",\"name\":\"x\",\"root\":{\"oid\":16300,\"schema\":"
        "\"public\",\"name\":\"r\"},\"replica_identity\":\"d\",\"key_is_primary\":true,\"key\":["
        "\"id\"],\"columns\":[\n"
        "{\"name\":\"id\",\"attnum\":1,\"kind\":\"decimal\",\"type\":\"numeric(4,1)\",\"type_oid\":"
        "1700,\"base_type_oid\":1700,\"typmod\":262149,\"precision\":4,\"scale\":1,\"not_null\":"
        "true,\"identity\":true,\"default\":null,\"enum\":null,\"exact\":[\"name\",\"key\"]},\n"
        "{\"name\":\"m\",\"attnum\":3,\"kind\":\"text\",\"type\":\"public.mood\",\"type_oid\":"
        "16385,"
        "\"base_type_oid\":16385,\"typmod\":-1,\"not_null\":false,\"identity\":false,\"default\":"
        "\"'sad'\",\"enum\":[\"sad\",\"happy\"],\"exact\":[]}\n]}\n");
    nw_out_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_escaped_and_bytes_that_are_no_utf8_are_wrapped),
        cmocka_unit_test(one_odd_byte_is_escaped_wherever_it_is),
        cmocka_unit_test(strings_longer_than_a_piece_are_whole_wherever_a_character_falls),
        cmocka_unit_test(names_keep_bytes_that_are_no_utf8_as_surrogates),
        cmocka_unit_test(whole_numbers_are_printed_up_to_their_ends),
        cmocka_unit_test(lsns_are_printed_as_postgres_does),
        cmocka_unit_test(dates_and_times_are_printed_as_postgres_does),
        cmocka_unit_test(floats_are_the_shortest_text_that_reads_back_the_same),
        cmocka_unit_test(any_float_reads_back_as_itself_and_is_not_longer_than_needed),
        cmocka_unit_test(decimals_have_all_digits_of_their_scale),
        cmocka_unit_test(every_type_has_its_form),
        cmocka_unit_test(floats_that_json_has_not_are_strings),
        cmocka_unit_test(null_missing_and_exception_are_three_things),
        cmocka_unit_test(a_run_of_rows_inside_a_batch_prints_these_rows),
        cmocka_unit_test(copy_rows_have_their_generation_and_changes_their_origin),
        cmocka_unit_test(copied_rows_say_what_differs_between_them),
        cmocka_unit_test(every_byte_has_its_two_digits_wherever_it_is),
        cmocka_unit_test(events_are_lines),
        cmocka_unit_test(a_schema_says_everything_of_the_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
