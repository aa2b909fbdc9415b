/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dates, times and intervals in Connect's model: their parts, and as ISO 8601 has them. What they
 * have to be is what Debezium 3.7.0 wrote of the same values of PostgreSQL 15.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "connect_kit.h"

/* What Debezium 3.7.0's own converter makes of them. */
static const struct value_case parts[] = {
    {1082, -1, "date", "4714-11-24 BC",
     "{\"year\":-4713,\"month\":11,\"day\":24,\"specialValue\":null}"},
    {1082, -1, "date", "0001-12-31 BC",
     "{\"year\":0,\"month\":12,\"day\":31,\"specialValue\":null}"},
    {1082, -1, "date", "2000-02-29",
     "{\"year\":2000,\"month\":2,\"day\":29,\"specialValue\":null}"},
    {1082, -1, "date", "5874897-12-31",
     "{\"year\":5874897,\"month\":12,\"day\":31,\"specialValue\":null}"},
    {1082, -1, "date", "infinity",
     "{\"year\":null,\"month\":null,\"day\":null,\"specialValue\":\"POSITIVE_INFINITY\"}"},
    {1082, -1, "date", "-infinity",
     "{\"year\":null,\"month\":null,\"day\":null,\"specialValue\":\"NEGATIVE_INFINITY\"}"},
    {1083, -1, "time without time zone", "23:59:59.999999",
     "{\"hour\":23,\"minute\":59,\"second\":59,\"nanos\":999999000,\"precision\":6}"},
    {1083, 3, "time(3) without time zone", "12:34:56.7",
     "{\"hour\":12,\"minute\":34,\"second\":56,\"nanos\":700000000,\"precision\":3}"},
    {1083, 0, "time(0) without time zone", "00:00:00",
     "{\"hour\":0,\"minute\":0,\"second\":0,\"nanos\":0,\"precision\":0}"},
    {1083, -1, "time without time zone", "25:00:00", "refused"},
    {1266, -1, "time with time zone", "24:00:00-15:59:59",
     "{\"hour\":24,\"minute\":0,\"second\":0,\"nanos\":0,\"offsetSeconds\":-57599,"
     "\"precision\":6}"},
    {1266, 3, "time(3) with time zone", "12:00:00.5+05:45",
     "{\"hour\":12,\"minute\":0,\"second\":0,\"nanos\":500000000,\"offsetSeconds\":20700,"
     "\"precision\":3}"},
    {1266, -1, "time with time zone", "12:00:00", "refused"},
    {1114, -1, "timestamp without time zone", "0044-03-15 12:00:00.000001 BC",
     "{\"year\":-43,\"month\":3,\"day\":15,\"hour\":12,\"minute\":0,\"second\":0,"
     "\"nanos\":1000,\"specialValue\":null,\"precision\":6}"},
    {1114, -1, "timestamp without time zone", "294276-12-31 23:59:59.999999",
     "{\"year\":294276,\"month\":12,\"day\":31,\"hour\":23,\"minute\":59,\"second\":59,"
     "\"nanos\":999999000,\"specialValue\":null,\"precision\":6}"},
    {1114, 3, "timestamp(3) without time zone", "-infinity",
     "{\"year\":null,\"month\":null,\"day\":null,\"hour\":null,\"minute\":null,"
     "\"second\":null,\"nanos\":null,\"specialValue\":\"NEGATIVE_INFINITY\",\"precision\":3}"},
    {1184, 3, "timestamp(3) with time zone", "0044-03-15 12:00:00.000001+00 BC",
     "{\"year\":-43,\"month\":3,\"day\":15,\"hour\":12,\"minute\":0,\"second\":0,"
     "\"nanos\":1000,\"offsetSeconds\":0,\"zoneId\":\"Z\",\"specialValue\":null,"
     "\"precision\":3}"},
    {1184, -1, "timestamp with time zone", "infinity",
     "{\"year\":null,\"month\":null,\"day\":null,\"hour\":null,\"minute\":null,"
     "\"second\":null,\"nanos\":null,\"offsetSeconds\":null,\"zoneId\":null,"
     "\"specialValue\":\"POSITIVE_INFINITY\",\"precision\":6}"},
    {1186, -1, "interval", "1 year 2 mons -3 days +04:05:06.789",
     "{\"years\":1,\"months\":2,\"days\":-3,\"hours\":4,\"minutes\":5,\"seconds\":6,"
     "\"nanos\":789000000,\"precision\":6}"},
    {1186, -1, "interval", "-1 mons +1 day -00:00:00.000001",
     "{\"years\":0,\"months\":-1,\"days\":1,\"hours\":0,\"minutes\":0,\"seconds\":0,"
     "\"nanos\":-1000,\"precision\":6}"},
    {1186, -1, "interval", "-14:15:16.171819",
     "{\"years\":0,\"months\":0,\"days\":0,\"hours\":-14,\"minutes\":-15,\"seconds\":-16,"
     "\"nanos\":-171819000,\"precision\":6}"},
    {1186, 0x7fff0003, "interval(3)", "178000000 years",
     "{\"years\":178000000,\"months\":0,\"days\":0,\"hours\":0,\"minutes\":0,\"seconds\":0,"
     "\"nanos\":0,\"precision\":3}"},
    {1186, 0x1c08ffff, "interval day to second", "01:00:00",
     "{\"years\":0,\"months\":0,\"days\":0,\"hours\":1,\"minutes\":0,\"seconds\":0,"
     "\"nanos\":0,\"precision\":65535}"},
    {1186, -1, "interval", "2400000000:00:00", "refused"},
    {1186, -1, "interval", "infinity", "refused"},
    {1182, -1, "date[]", "{2000-02-29,NULL,infinity}",
     "[{\"year\":2000,\"month\":2,\"day\":29,\"specialValue\":null},null,"
     "{\"year\":null,\"month\":null,\"day\":null,\"specialValue\":\"POSITIVE_INFINITY\"}]"},
    {1270, -1, "time with time zone[]", "{12:34:56.5+01}",
     "[{\"hour\":12,\"minute\":34,\"second\":56,\"nanos\":500000000,\"offsetSeconds\":3600,"
     "\"precision\":6}]"},
    {1185, 0, "timestamp(0) with time zone[]", "{\"2024-06-01 12:34:56+00\"}",
     "[{\"year\":2024,\"month\":6,\"day\":1,\"hour\":12,\"minute\":34,\"second\":56,"
     "\"nanos\":0,\"offsetSeconds\":0,\"zoneId\":\"Z\",\"specialValue\":null,"
     "\"precision\":0}]"},
    {1187, -1, "interval[]", "{00:00:00}", "left out"},
    /* Debezium ends, or has NULL */
    {1083, -1, "time without time zone", "24:00:00",
     "{\"hour\":24,\"minute\":0,\"second\":0,\"nanos\":0,\"precision\":6}"},
};

static void structured_times_are_their_parts(void **state)
{
    struct nw_connect_options options = nw_connect_options_default();

    (void)state;
    options.times = NW_TIMES_STRUCTURED;
    convert_all(&options, parts, sizeof parts / sizeof parts[0]);
    options.intervals = NW_INTERVALS_STRING; /* which means nothing then */
    convert_all(&options, &parts[18], 1);
}

/* What narwal decoded itself, and what comes as text because it has no place in that. */
static void structured_times_need_no_text(void **state)
{
    static const struct {
        uint32_t oid;
        enum nw_type type;
        int64_t value;
        const char *json;
    } cases[] = {
        {1082, NW_TYPE_DATE, -1, "{\"year\":1969,\"month\":12,\"day\":31,\"specialValue\":null}"},
        {1083, NW_TYPE_TIME, 86399999999,
         "{\"hour\":23,\"minute\":59,\"second\":59,\"nanos\":999999000,\"precision\":6}"},
        {1114, NW_TYPE_TIMESTAMP, -1,
         "{\"year\":1969,\"month\":12,\"day\":31,\"hour\":23,\"minute\":59,\"second\":59,"
         "\"nanos\":999999000,\"specialValue\":null,\"precision\":6}"},
        {1184, NW_TYPE_TIMESTAMPTZ, 1717245296100000,
         "{\"year\":2024,\"month\":6,\"day\":1,\"hour\":12,\"minute\":34,\"second\":56,"
         "\"nanos\":100000000,\"offsetSeconds\":0,\"zoneId\":\"Z\",\"specialValue\":null,"
         "\"precision\":6}"},
    };
    struct nw_connect_options options = nw_connect_options_default();

    (void)state;
    options.times = NW_TIMES_STRUCTURED;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct nw_column_schema column = {.type_name = "?",
                                                .type_oid = cases[i].oid,
                                                .base_type_oid = cases[i].oid,
                                                .typmod = -1};
        const struct nw_value source = {
            .kind = NW_VALUE_PRESENT, .type = cases[i].type, .as.integer = cases[i].value};
        const struct nw_value infinity = {.kind = NW_VALUE_EXCEPTION,
                                          .type = cases[i].type,
                                          .bytes = (const uint8_t *)"infinity",
                                          .size = 8};

        assert_string_equal(convert(&options, column, &source, NW_AFTER), cases[i].json);
        if (cases[i].type != NW_TYPE_TIME) {
            assert_non_null(strstr(convert(&options, column, &infinity, NW_AFTER),
                                   "\"specialValue\":\"POSITIVE_INFINITY\""));
        }
    }
}

/* Of the old image of a key alone: no zone is known then. Schemas have no defaults that are structs
 * (KAFKA-12694). */
static void structured_zeros_and_defaults_are_debeziums(void **state)
{
    static const struct {
        uint32_t oid;
        const char *zero;
    } cases[] = {
        {1082, "{\"year\":1970,\"month\":1,\"day\":1,\"specialValue\":null}"},
        {1083, "{\"hour\":0,\"minute\":0,\"second\":0,\"nanos\":0,\"precision\":6}"},
        {1266, "{\"hour\":0,\"minute\":0,\"second\":0,\"nanos\":0,\"offsetSeconds\":0,"
               "\"precision\":6}"},
        {1114, "{\"year\":1970,\"month\":1,\"day\":1,\"hour\":0,\"minute\":0,\"second\":0,"
               "\"nanos\":0,\"specialValue\":null,\"precision\":6}"},
        {1184, "{\"year\":1970,\"month\":1,\"day\":1,\"hour\":0,\"minute\":0,\"second\":0,"
               "\"nanos\":0,\"offsetSeconds\":0,\"zoneId\":null,\"specialValue\":null,"
               "\"precision\":6}"},
        {1186, "{\"years\":0,\"months\":0,\"days\":0,\"hours\":0,\"minutes\":0,\"seconds\":0,"
               "\"nanos\":0,\"precision\":6}"},
    };
    const struct nw_value missing = {.kind = NW_VALUE_MISSING, .type = NW_TYPE_TEXT};
    const struct nw_value null = {.kind = NW_VALUE_NULL, .type = NW_TYPE_TEXT};
    struct nw_connect_options options = nw_connect_options_default();

    (void)state;
    options.times = NW_TIMES_STRUCTURED;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct nw_column_schema column = {.type_name = "?",
                                          .type_oid = cases[i].oid,
                                          .base_type_oid = cases[i].oid,
                                          .typmod = -1,
                                          .not_null = true,
                                          .default_expr = "now()"};
        const struct default_case call = {cases[i].oid, -1, "now()", NULL, NULL};
        const struct default_case literal = {cases[i].oid, -1, "'00:00:00'", NULL, NULL};

        assert_string_equal(convert(&options, column, &missing, NW_BEFORE), cases[i].zero);
        column.not_null = false;
        assert_string_equal(convert(&options, column, &missing, NW_BEFORE), "null");
        assert_string_equal(convert(&options, column, &null, NW_AFTER), "null");
        assert_string_equal(default_of(&call, &options), "none");
        assert_string_equal(default_of(&literal, &options), "none");
    }
}

static void infinity_in_iso_8601_is_that_of_the_driver(void **state)
{
    const struct value_case cases[] = {
        {1114, -1, "timestamp", "infinity", "\"+292278994-08-16T23:00:00Z\""},
        {1114, -1, "timestamp", "-infinity", "\"-292275055-05-16T23:00:00Z\""},
        {1082, -1, "date", "-infinity", "\"-5877611-06-22Z\""},
    };
    struct nw_connect_options options = nw_connect_options_default();

    (void)state;
    options.times = NW_TIMES_ISOSTRING;
    convert_all(&options, cases, sizeof cases / sizeof cases[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(structured_times_are_their_parts),
        cmocka_unit_test(structured_times_need_no_text),
        cmocka_unit_test(structured_zeros_and_defaults_are_debeziums),
        cmocka_unit_test(infinity_in_iso_8601_is_that_of_the_driver),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
