/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values in Connect's model. What they have to be is what Debezium 3.7.0 wrote of the same values
 * of PostgreSQL 15.
 */
#include <assert.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "connect_kit.h"

static const struct value_case defaults[] = {
    {16, -1, "boolean", "t", "true"},
    {20, -1, "bigint", "-9223372036854775808", "-9223372036854775808"},
    {700, -1, "real", "1e-45", "1.4E-45"},
    {700, -1, "real", "-1.4e-44", "-1.4E-44"},
    {700, -1, "real", "1e-36", "1.0E-36"},
    {701, -1, "double precision", "5e-324", "4.9E-324"},
    {701, -1, "double precision", "1e-300", "1.0E-300"},
    {701, -1, "double precision", "10000000", "1.0E7"},
    {701, -1, "double precision", "0.001", "0.001"},
    {701, -1, "double precision", "NaN", "\"NaN\""},
    {1700, -1, "numeric", "1.10", "{\"scale\":1,\"value\":\"Cw==\"}"},
    {1700, -1, "numeric", "10000", "{\"scale\":0,\"value\":\"JxA=\"}"},
    {1700, -1, "numeric", "12345678901234567890123456789012345678901234567890.5",
     "{\"scale\":1,\"value\":\"VHj54iCtsl5NIYCMzbfPb+QOdmw5\"}"},
    {1700, -1, "numeric", "NaN", "refused"},
    {1700, 786438, "numeric(12,2)", "-9999999999.99", "\"/xcrWvAB\""},
    {1700, 786438, "numeric(12,2)", "1.10", "\"bg==\""},
    {17, -1, "bytea", "\\x0102ff", "\"AQL/\""},
    {1082, -1, "date", "4714-11-24 BC", "-2440588"},
    {1082, -1, "date", "infinity", "2146033979"},
    {1083, -1, "time without time zone", "24:00:00", "86400000000"},
    {1083, 0, "time(0) without time zone", "12:34:57", "45297000"},
    {1114, -1, "timestamp without time zone", "0044-03-15 12:00:00.000001 BC",
     "-63517780799999999"},
    {1114, -1, "timestamp without time zone", "-infinity", "-9223372036854775808"},
    {1114, 3, "timestamp(3) without time zone", "2024-06-01 12:34:56.789", "1717245296789"},
    {1114, -1, "timestamp without time zone", "294276-12-31 23:59:59.999999", "refused"},
    {1184, -1, "timestamp with time zone", "2024-06-01 12:34:56.1+00",
     "\"2024-06-01T12:34:56.100000Z\""},
    {1184, -1, "timestamp with time zone", "294276-12-31 23:59:59.999999+00",
     "\"+294276-12-31T23:59:59.999999Z\""},
    {1266, -1, "time with time zone", "12:00:00.5+05:45", "\"06:15:00.5Z\""},
    {1186, -1, "interval", "1 year 2 mons -3 days +04:05:06.789", "36572706789000"},
    {1186, -1, "interval", "-1 mons +1 day -00:00:00.000001", "-2543400000001"},
    {1186, -1, "interval", "2400000000:00:00", "8640000000000000000"},
    {1186, -1, "interval", "-2562047788:00:54.775808", "-9223372036854775808"},
    {1186, -1, "interval", "2562047788:00:54.775808", "refused"},
    {1186, -1, "interval", "-2147483648 days", "refused"},
    {1186, -1, "interval", "-infinity", "refused"},
    {1560, 9, "bit(9)", "101010101", "\"VQE=\""},
    {1560, 1, "bit(1)", "1", "true"},
    {1562, -1, "bit varying", "10110011100011110000", "\"8DgL\""},
    {790, -1, "money", "-$92,233,720,368,547,758.08", "\"gAAAAAAAAAA=\""},
    {600, -1, "point", "(0,-0)",
     "{\"x\":0.0,\"y\":-0.0,\"wkb\":\"AQEAAAAAAAAAAAAAAAAAAAAAAACA\",\"srid\":null}"},
    {1009, -1, "text[]", "{\"a b\",\"a,b\",\"{\",\"}\",\"q\\\"\",\"b\\\\s\",NULL,NUL}",
     "[\"a b\",\"a,b\",\"{\",\"}\",\"q\\\"\",\"b\\\\s\",null,\"NUL\"]"},
    {1009, -1, "text[]", "[0:1]={a,b}", "[\"a\",\"b\"]"},
    {1007, -1, "integer[]", "{{1,2},{3,4}}", "refused"},
    {1001, -1, "bytea[]", "{\"\\\\x00ff\",NULL,\"\\\\x\"}", "[\"AP8=\",null,\"\"]"},
    {28, -1, "xid", "3", "left out"},
    {99999, -1, "public.hstore", "\"a\"=>\"1\", \"b\"=>NULL",
     "\"{\\\"a\\\":\\\"1\\\",\\\"b\\\":null}\""},
    {99999, -1, "hstore", "\"a\x0b\\\\u000b\"=>\"\x1f\"",
     "\"{\\\"a\\\\u000B\\\\\\\\u000b\\\":\\\"\\\\u001F\\\"}\""},
    {99999, -1, "\"Odd.\".hstore", "\"a=>\"=>\"\\\"\"", "\"{\\\"a=>\\\":\\\"\\\\\\\"\\\"}\""},
    {99999, -1, "geography[]",
     "{0101000000000000000000F03F0000000000000040:0101000000000000000000F03F0000000000000040}",
     "[{\"wkb\":\"AQEAAAAAAAAAAADwPwAAAAAAAABA\",\"srid\":null},"
     "{\"wkb\":\"AQEAAAAAAAAAAADwPwAAAAAAAABA\",\"srid\":null}]"},
    {99999, -1, "public.vector(3)", "[1,2.5,-0]", "[1.0,2.5,-0.0]"},
};

static void values_are_what_debezium_makes_of_them(void **state)
{
    const struct nw_connect_options options = nw_connect_options_default();

    (void)state;
    convert_all(&options, defaults, sizeof defaults / sizeof defaults[0]);
}

static void what_was_not_sent_is_no_null(void **state)
{
    const struct nw_connect_options options = nw_connect_options_default();
    const struct nw_value missing = {.kind = NW_VALUE_MISSING, .type = NW_TYPE_TEXT};
    const struct nw_column_schema text = {.type_name = "text", .type_oid = 25, .base_type_oid = 25};
    const struct nw_column_schema uuids = {
        .type_name = "uuid[]", .type_oid = 2951, .base_type_oid = 2951};
    const struct nw_column_schema numbers = {
        .type_name = "numeric[]", .type_oid = 1231, .base_type_oid = 1231, .typmod = -1};

    (void)state;
    assert_string_equal(convert(&options, text, &missing, NW_AFTER),
                        "\"__debezium_unavailable_value\"");
    assert_string_equal(convert(&options, text, &missing, NW_BEFORE), "null");
    assert_string_equal(convert(&options, uuids, &missing, NW_AFTER),
                        "[\"b68a35a7-17ad-35b3-af2a-ae46edb4545a\"]");
    assert_string_equal(convert(&options, numbers, &missing, NW_AFTER), "refused");
}

/* In modes whose items are no numbers or bytes Debezium sends NULL. */
static void a_placeholder_is_never_of_another_type_than_the_schemas(void **state)
{
    struct nw_connect_options options = nw_connect_options_default();
    const struct nw_value missing = {.kind = NW_VALUE_MISSING, .type = NW_TYPE_TEXT};
    const struct nw_column_schema dates = {
        .type_name = "date[]", .type_oid = 1182, .base_type_oid = 1182, .typmod = -1};
    const struct nw_column_schema numbers = {
        .type_name = "integer[]", .type_oid = 1007, .base_type_oid = 1007, .typmod = -1};
    const struct nw_column_schema blobs = {
        .type_name = "bytea[]", .type_oid = 1001, .base_type_oid = 1001, .typmod = -1};

    (void)state;
    options.placeholder = "ab";
    options.placeholder_size = 2;
    assert_string_equal(convert(&options, dates, &missing, NW_AFTER), "[97,98]");
    assert_string_equal(convert(&options, blobs, &missing, NW_AFTER), "[\"YWI=\"]");
    for (enum nw_connect_times times = NW_TIMES_ADAPTIVE; times <= NW_TIMES_STRUCTURED; times++) {
        const bool none = times == NW_TIMES_ISOSTRING || times == NW_TIMES_CONNECT ||
                          times == NW_TIMES_STRUCTURED;

        options.times = times;
        assert_string_equal(convert(&options, dates, &missing, NW_AFTER),
                            none ? "refused" : "[97,98]");
        assert_string_equal(convert(&options, numbers, &missing, NW_AFTER), "[97,98]");
    }
    options.binaries = NW_BINARIES_HEX;
    assert_string_equal(convert(&options, blobs, &missing, NW_AFTER), "refused");
    options.binaries = NW_BINARIES_BASE64;
    assert_string_equal(convert(&options, blobs, &missing, NW_AFTER), "refused");
    options.unfit_null = true;
    assert_string_equal(convert(&options, blobs, &missing, NW_AFTER), "null");
}

#define SCALE 300u

static void a_scale_may_be_more_than_a_byte(void **state)
{
    struct nw_connect_options options = nw_connect_options_default();
    struct nw_column_schema column = {.type_name = "numeric(400,300)",
                                      .type_oid = 1700,
                                      .base_type_oid = 1700,
                                      .typmod = (400 << 16 | (int32_t)SCALE) + 4};
    const struct nw_value missing = {.kind = NW_VALUE_MISSING, .type = NW_TYPE_TEXT};
    const struct nw_value number = {
        .kind = NW_VALUE_PRESENT, .type = NW_TYPE_TEXT, .bytes = (const uint8_t *)"1.5", .size = 3};
    const struct nw_value array = {.kind = NW_VALUE_PRESENT,
                                   .type = NW_TYPE_TEXT,
                                   .bytes = (const uint8_t *)"{1.5}",
                                   .size = 5};
    char zeros[SCALE + 1];
    char expected[SCALE + 8];

    (void)state;
    memset(zeros, '0', SCALE);
    zeros[SCALE] = '\0';
    options.numbers_as_text = true;
    (void)snprintf(expected, sizeof expected, "1.5%.*s", (int)SCALE - 1, zeros);
    assert_string_equal(convert(&options, column, &number, NW_AFTER), expected);
    column.not_null = true;
    (void)snprintf(expected, sizeof expected, "0.%s", zeros);
    assert_string_equal(convert(&options, column, &missing, NW_BEFORE), expected);
    options.decimals = NW_DECIMALS_STRING;
    (void)snprintf(expected, sizeof expected, "\"0.%s\"", zeros);
    assert_string_equal(convert(&options, column, &missing, NW_BEFORE), expected);
    options.decimals = NW_DECIMALS_PRECISE;
    column.type_oid = column.base_type_oid = 1231;
    column.type_name = "numeric(400,300)[]";
    (void)snprintf(expected, sizeof expected, "[1.5%.*s]", (int)SCALE - 1, zeros);
    assert_string_equal(convert(&options, column, &array, NW_AFTER), expected);
    column.typmod = (1000 << 16 | 1000) + 4; /* the largest there is */
    assert_int_equal(strlen(convert(&options, column, &array, NW_AFTER)), 1004);
    column.type_oid = column.base_type_oid = 1700;
    assert_int_equal(strlen(convert(&options, column, &missing, NW_BEFORE)), 1002);
}

/* Of a database without an encoding. */
static void bytes_that_are_no_utf8_are_refused_in_arrays_and_hstores_too(void **state)
{
    struct nw_connect_options options = nw_connect_options_default();
    static const struct {
        uint32_t oid;
        const char *type_name, *text, *json;
    } cases[] = {
        {1009, "text[]", "{a,\xff}", "refused"},
        {1009, "text[]", "{a,\xc3}", "refused"},
        {1009, "text[]", "{\xc3\xa9}", "[\"\xc3\xa9\"]"},
        {99999, "hstore", "\"a\"=>\"\xff\"", "refused"},
        {99999, "hstore", "\"\xff\"=>NULL", "refused"},
        {25, "text", "\xff", "refused"},
    };

    (void)state;
    for (int map = 0; map < 2; map++) {
        options.hstores = map == 1 ? NW_HSTORES_MAP : NW_HSTORES_JSON;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            const struct nw_value source = {.kind = NW_VALUE_EXCEPTION,
                                            .type = NW_TYPE_TEXT,
                                            .bytes = (const uint8_t *)cases[i].text,
                                            .size = (uint32_t)strlen(cases[i].text)};

            assert_string_equal(convert(&options,
                                        (struct nw_column_schema){.type_name = cases[i].type_name,
                                                                  .type_oid = cases[i].oid,
                                                                  .base_type_oid = cases[i].oid,
                                                                  .typmod = -1},
                                        &source, NW_AFTER),
                                cases[i].json);
        }
    }
}

/* Whether a column is NOT NULL is known as of now, and the row is of then. */
static void null_stays_null_in_a_column_that_became_not_null_later(void **state)
{
    const struct nw_connect_options options = nw_connect_options_default();
    const struct nw_value null = {.kind = NW_VALUE_NULL, .type = NW_TYPE_TEXT};
    const struct nw_value missing = {.kind = NW_VALUE_MISSING, .type = NW_TYPE_TEXT};
    struct nw_column_schema column = {.type_name = "integer",
                                      .type_oid = 23,
                                      .base_type_oid = 23,
                                      .typmod = -1,
                                      .not_null = true};

    (void)state;
    assert_string_equal(convert(&options, column, &null, NW_AFTER), "null");
    assert_string_equal(convert(&options, column, &null, NW_BEFORE), "null");
    assert_string_equal(convert(&options, column, &missing, NW_BEFORE), "0");
    column.default_expr = "7";
    assert_string_equal(convert(&options, column, &null, NW_AFTER), "null");
    assert_string_equal(convert(&options, column, &missing, NW_BEFORE), "7");
}

static void a_domain_over_an_array_is_an_array(void **state)
{
    const struct nw_connect_options options = nw_connect_options_default();
    const struct nw_value array = {.kind = NW_VALUE_PRESENT,
                                   .type = NW_TYPE_TEXT,
                                   .bytes = (const uint8_t *)"{1,2}",
                                   .size = 5};
    const struct nw_column_schema column = {
        .type_name = "lab.numbers", .type_oid = 99999, .base_type_oid = 1007, .typmod = -1};

    (void)state;
    assert_string_equal(convert(&options, column, &array, NW_AFTER), "[1,2]");
}

static struct nw_value text_value(const char *text)
{
    return (struct nw_value){.kind = NW_VALUE_PRESENT,
                             .type = NW_TYPE_TEXT,
                             .bytes = (const uint8_t *)text,
                             .size = (uint32_t)strlen(text)};
}

static void items_of_an_enum_are_enums_and_none_is_null(void **state)
{
    static const char *const labels[] = {"sad", "it's \"ok\"", NULL};
    static const char *const *const items[] = {labels};
    struct nw_connect_options options = nw_connect_options_default();
    struct nw_column_schema column = {
        .type_name = "lab.mood[]", .type_oid = 99999, .base_type_oid = 99999, .typmod = -1};
    const struct nw_value some = text_value("{sad,\"it's \\\"ok\\\"\"}");
    const struct nw_value none = text_value("{}");
    const struct nw_value with_null = text_value("{sad,NULL}");
    const struct nw_value two_deep = text_value("{{sad}}");
    const struct nw_value missing = {.kind = NW_VALUE_MISSING, .type = NW_TYPE_TEXT};
    struct nw_connect_table *made = NULL;
    const struct nw_connect_schema *schema = NULL;
    struct nw_table table;

    (void)state;
    assert_string_equal(convert(&options, column, &some, NW_AFTER), "left out");
    item_labels = items;
    for (int domain = 0; domain < 2; domain++) {
        column.type_oid = domain ? 99998 : 99999;
        column.not_null = false;
        options.unfit_null = false;
        assert_string_equal(convert(&options, column, &some, NW_AFTER),
                            "[\"sad\",\"it's \\\"ok\\\"\"]");
        assert_string_equal(convert(&options, column, &none, NW_AFTER), "[]");
        assert_string_equal(convert(&options, column, &with_null, NW_AFTER), "refused");
        assert_string_equal(convert(&options, column, &two_deep, NW_AFTER), "refused");
        assert_string_equal(convert(&options, column, &missing, NW_AFTER), "refused");
        options.unfit_null = true;
        assert_string_equal(convert(&options, column, &some, NW_AFTER),
                            "[\"sad\",\"it's \\\"ok\\\"\"]");
        assert_string_equal(convert(&options, column, &with_null, NW_AFTER), "null");
        assert_string_equal(convert(&options, column, &two_deep, NW_AFTER), "null");
        assert_string_equal(convert(&options, column, &missing, NW_AFTER), "null");
        column.not_null = true;
        assert_string_equal(convert(&options, column, &with_null, NW_AFTER), "refused");
        assert_string_equal(convert(&options, column, &missing, NW_BEFORE), "[]");
    }
    made = table_of(&table, &column, &options);
    schema = made->value->fields[0].schema;
    assert_int_equal(schema->kind, NW_CONNECT_ARRAY);
    assert_false(schema->optional);
    assert_false(schema->element->optional);
    assert_string_equal(schema->element->name, "io.debezium.data.Enum");
    assert_string_equal(schema->element->parameters[0].value, "sad,it's \"ok\"");
    nw_connect_table_destroy(made);
    item_labels = NULL;
}

static void a_domain_is_what_the_type_below_it_is(void **state)
{
    static const struct {
        const char *base, *text, *json;
        const char *schema; /* NULL: without a name */
    } cases[] = {
        {"public.citext", "Ab", "\"Ab\"", NULL},
        {"citext[]", "{Ab,NULL}", "[\"Ab\",null]", NULL},
        {"isbn[]", "{0-393-04002-X}", "[\"0-393-04002-X\"]", NULL},
        {"isbn[]", "{NULL}", "refused", NULL}, /* its schema has no room for it, as that of enums */
        {"public.hstore", "\"a\"=>\"1\"", "\"{\\\"a\\\":\\\"1\\\"}\"", "io.debezium.data.Json"},
        {"\"My Schema\".ltree", "Top.Child", "\"Top.Child\"", "io.debezium.data.Ltree"},
        {"vector", "[1,2.5]", "[1.0,2.5]", "io.debezium.data.DoubleVector"},
        {"mine.other", "x", "left out", NULL},
        {NULL, "x", "left out", NULL},
    };
    const struct nw_connect_options options = nw_connect_options_default();

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct nw_column_schema column = {
            .type_name = "mine.citext", .type_oid = 99998, .base_type_oid = 99999, .typmod = -1};
        const struct nw_value source = text_value(cases[i].text);
        struct nw_connect_table *made = NULL;
        struct nw_table table;

        base_type_names = &cases[i].base;
        assert_string_equal(convert(&options, column, &source, NW_AFTER), cases[i].json);
        if (cases[i].schema != NULL) {
            made = table_of(&table, &column, &options);
            assert_string_equal(made->value->fields[0].schema->name, cases[i].schema);
            nw_connect_table_destroy(made);
        }
        column.composite = true;
        assert_string_equal(convert(&options, column, &source, NW_AFTER), "left out");
    }
    base_type_names = NULL;
}

static void a_composite_type_named_like_an_extensions_is_left_out(void **state)
{
    static const char *const names[] = {"mine.vector", "hstore", "geometry", "mine.citext"};
    struct nw_connect_options options = nw_connect_options_default();
    const struct nw_value row = {.kind = NW_VALUE_PRESENT,
                                 .type = NW_TYPE_TEXT,
                                 .bytes = (const uint8_t *)"(1,2)",
                                 .size = 5};

    static_assert(offsetof(struct nw_column_schema, composite) == 51 &&
                      offsetof(struct nw_column_schema, exact) == 52 &&
                      sizeof(struct nw_column_schema) == 56,
                  "plugins rely on it");

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct nw_column_schema column = {.type_name = names[i],
                                                .type_oid = 99999,
                                                .base_type_oid = 99999,
                                                .typmod = -1,
                                                .composite = true};

        options.unknown = NW_UNKNOWN_OMIT;
        assert_string_equal(convert(&options, column, &row, NW_AFTER), "left out");
        options.unknown = NW_UNKNOWN_TEXT;
        assert_string_equal(convert(&options, column, &row, NW_AFTER), "\"(1,2)\"");
    }
}

static void the_interval_without_end_is_known_text(void **state)
{
    const struct nw_connect_options options = nw_connect_options_default();
    struct nw_column_schema column = {
        .type_name = "interval", .type_oid = 1186, .base_type_oid = 1186, .typmod = -1};
    const struct nw_value infinity = {.kind = NW_VALUE_PRESENT,
                                      .type = NW_TYPE_TEXT,
                                      .bytes = (const uint8_t *)"infinity",
                                      .size = 8};
    struct nw_table table;
    struct nw_connect_table *made = table_of(&table, &column, &options);
    struct nw_connect_scratch *scratch = nw_connect_scratch_create(made);
    struct nw_connect_value value;
    struct nw_error err = {0};

    (void)state;
    assert_int_equal(nw_connect_convert(scratch, 0, &infinity, NW_AFTER, &value, &err), NW_REJECT);
    assert_non_null(strstr(err.text, "has no room for"));
    nw_connect_scratch_destroy(scratch);
    nw_connect_table_destroy(made);
}

static const struct default_case default_cases[] = {
    {23, -1, "5", "5", NULL},
    {23, -1, "'-5'::integer", "-5", NULL},
    {23, -1, "(1 + 2)", NULL, NULL},
    {20, -1, "'9223372036854775807'::bigint", "9223372036854775807", NULL},
    {20, -1, "nextval('typed.defaults_l_seq'::regclass)", "0", NULL},
    {25, -1, "'it''s'::text", "\"it's\"", NULL},
    {25, -1, "upper('x'::text)", "\"\"", NULL},
    {25, -1, "NULL::text", NULL, NULL},
    {25, -1, "('a'::text || 'b'::text)", NULL, NULL},
    {25, -1, "CURRENT_USER", NULL, NULL},
    {1042, 9, "'ab'::bpchar", "\"ab\"", NULL},
    {1043, 14, "'abc'::character varying", "\"abc\"", NULL},
    {1700, 655366, "1.5", "\"AJY=\"", "\"1.50\""},
    {1700, -1, "12.50", NULL, "\"12.50\""},
    {1700, 327687, "1", "\"A+g=\"", "\"1.000\""},
    {1700, 1310734, "random()", "\"AA==\"", "\"0.0000000000\""},
    {16, -1, "true", "true", NULL},
    {700, -1, "1.25", "1.25", NULL},
    {701, -1, "'-1.5'::numeric", "-1.5", NULL},
    {1184, -1, "now()", "\"1970-01-01T00:00:00.000000Z\"", NULL},
    {1184, -1, "'2024-01-01 10:00:00+00'::timestamp with time zone",
     "\"2024-01-01T10:00:00.000000Z\"", NULL},
    {1114, -1, "'2024-01-01 12:00:00'::timestamp without time zone", "1704110400000000", NULL},
    {1114, -1, "CURRENT_TIMESTAMP", "0", NULL},
    {1082, -1, "'2024-01-01'::date", "19723", NULL},
    {1083, -1, "'12:00:00'::time without time zone", "43200000000", NULL},
    {2950, -1, "gen_random_uuid()", "\"00000000-0000-0000-0000-000000000000\"", NULL},
    {3802, -1, "'{}'::jsonb", "\"{}\"", NULL},
    {1560, 1, "'1'::\"bit\"", "true", NULL},
    {1560, 4, "B'1010'::\"bit\"", "\"Cg==\"", NULL},
    {1186, -1, "'1 year 2 mons 3 days 04:05:06'::interval", "37091106000000", NULL},
    {17, -1, "'\\x00'::bytea", NULL, NULL},
    {1009, -1, "'{}'::text[]", NULL, NULL},
    {869, -1, "'127.0.0.1'::inet", NULL, NULL},
    {790, -1, "1.5", NULL, NULL},
};

static void literals_and_calls_become_defaults_of_schemas(void **state)
{
    const struct nw_connect_options options = nw_connect_options_default();
    struct nw_connect_options as_text = options;

    (void)state;
    as_text.decimals = NW_DECIMALS_STRING;
    for (size_t i = 0; i < sizeof default_cases / sizeof default_cases[0]; i++) {
        const struct default_case *vector = &default_cases[i];

        assert_string_equal(default_of(vector, &options),
                            vector->json == NULL ? "none" : vector->json);
        if (vector->json_text != NULL) {
            assert_string_equal(default_of(vector, &as_text), vector->json_text);
        }
    }
}

/* What Debezium 3.7 writes of the same. */
static void an_exact_interval_is_in_double_precision(void **state)
{
    static const struct {
        const char *text;
        int64_t right, exact; /* right 0: there is none */
    } values[] = {{"-3 mons -11 days +17:00:00.71", -8778599290000, -8778599289999},
                  {"00:00:00.000003", 3, 3},
                  {"-1 mons", -2629800000000, -2629800000000},
                  {"178000000 years", 0, INT64_MAX},
                  {"-178000000 years", 0, INT64_MIN}};

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct nw_connect_options options = nw_connect_options_default();
        const struct value_case vector = {1186, -1, "interval", values[i].text, NULL};
        char wanted[32];

        (void)snprintf(wanted, sizeof wanted, "%" PRId64, values[i].right);
        assert_string_equal(convert_text(&options, &vector),
                            values[i].right == 0 ? "refused" : wanted);
        options.exact = true;
        (void)snprintf(wanted, sizeof wanted, "%" PRId64, values[i].exact);
        assert_string_equal(convert_text(&options, &vector), wanted);
    }
}

/* What Jackson 2.19 writes of the same texts. */
static void keys_have_the_bytes_of_jackson(void **state)
{
    static const char *const texts[][2] = {
        {"", ""},
        {"{\"a\":1}", "{\"a\":1}"},
        {"\"\xf0\x9f\x98\x80\"", "\"\\uD83D\\uDE00\""},
        {"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", "\\uD800\\uDC00\\uDBFF\\uDFFF"},
        {"\"\xc3\xbc\xe2\x80\xa8\xef\xbf\xbf\"", "\"\xc3\xbc\xe2\x80\xa8\xef\xbf\xbf\""},
        {"\"\\u001f\\u000b\\n\\\\u001f\"", "\"\\u001F\\u000B\\n\\\\u001f\""},
        {"a\xf0\x9f\x98\x80z\\u001f", "a\\uD83D\\uDE00z\\u001F"}};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct nw_out out = {0};

        nw_out_text(&out, "\xf0\x9f\x98\x80"); /* of another message */
        nw_out_text(&out, texts[i][0]);
        nw_connect_json_jackson(&out, 4);
        assert_false(out.failed);
        assert_int_equal(out.used, 4 + strlen(texts[i][1]));
        assert_memory_equal(out.bytes, "\xf0\x9f\x98\x80", 4);
        assert_memory_equal(out.bytes + 4, texts[i][1], strlen(texts[i][1]));
        nw_out_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_what_debezium_makes_of_them),
        cmocka_unit_test(what_was_not_sent_is_no_null),
        cmocka_unit_test(a_placeholder_is_never_of_another_type_than_the_schemas),
        cmocka_unit_test(a_scale_may_be_more_than_a_byte),
        cmocka_unit_test(bytes_that_are_no_utf8_are_refused_in_arrays_and_hstores_too),
        cmocka_unit_test(null_stays_null_in_a_column_that_became_not_null_later),
        cmocka_unit_test(a_domain_over_an_array_is_an_array),
        cmocka_unit_test(items_of_an_enum_are_enums_and_none_is_null),
        cmocka_unit_test(a_domain_is_what_the_type_below_it_is),
        cmocka_unit_test(a_composite_type_named_like_an_extensions_is_left_out),
        cmocka_unit_test(the_interval_without_end_is_known_text),
        cmocka_unit_test(keys_have_the_bytes_of_jackson),
        cmocka_unit_test(an_exact_interval_is_in_double_precision),
        cmocka_unit_test(literals_and_calls_become_defaults_of_schemas),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
