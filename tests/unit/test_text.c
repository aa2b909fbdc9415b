/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers with units, read strictly and written for people; near misses of names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"

struct vector {
    const char *text;
    int64_t number; /* -1: refused */
};

static void check(bool (*parse)(const char *, int64_t *), const struct vector *vectors)
{
    for (; vectors->text != NULL; vectors++) {
        int64_t number = 0;
        bool taken = parse(vectors->text, &number);

        if (taken != (vectors->number >= 0) || (taken && number != vectors->number)) {
            fail_msg("\"%s\": %s %lld", vectors->text, taken ? "taken as" : "refused, not",
                     (long long)(taken ? number : vectors->number));
        }
    }
}

static void sizes_need_a_unit(void **state)
{
    static const struct vector vectors[] = {{"64MiB", 67108864},
                                            {"2GB", 2000000000},
                                            {"512KiB", 524288},
                                            {"100B", 100},
                                            {"1kB", 1000},
                                            {"1KB", 1000},
                                            {"1TiB", 1099511627776},
                                            {"1.5GB", 1500000000},
                                            {"0B", 0},
                                            {"64 MiB", 67108864},
                                            {"64", -1},
                                            {"", -1},
                                            {"MiB", -1},
                                            {"-1MB", -1},
                                            {"+1MB", -1},
                                            {" 1MB", -1},
                                            {"1mb", -1},
                                            {"1M", -1},
                                            {"1MBs", -1},
                                            {"1MB ", -1},
                                            {"0x10kB", -1},
                                            {"1e3kB", -1},
                                            {"infGB", -1},
                                            {"nanGB", -1},
                                            {"1..5GB", -1},
                                            {"9300000TB", -1},
                                            {"99999999999999999999TB", -1},
                                            {NULL, 0}};

    (void)state;
    check(nw_size_parse, vectors);
}

static void durations_need_a_unit(void **state)
{
    static const struct vector vectors[] = {
        {"250ms", 250000}, {"1s", 1000000},    {"5min", 300000000},
        {"5m", 300000000}, {"2h", 7200000000}, {"7d", 604800000000},
        {"10us", 10},      {"0.5s", 500000},   {"1", -1},
        {"s", -1},         {"1sec", -1},       {"1S", -1},
        {"-1s", -1},       {"1s1", -1},        {"0x1s", -1},
        {NULL, 0}};

    (void)state;
    check(nw_duration_parse, vectors);
}

static void rates_need_a_unit(void **state)
{
    static const struct vector vectors[] = {{"200MB/s", 200000000},
                                            {"1GiB/s", 1073741824},
                                            {"5B/s", 5},
                                            {"200MB", -1},
                                            {"200/s", -1},
                                            {"200", -1},
                                            {NULL, 0}};

    (void)state;
    check(nw_rate_parse, vectors);
}

static void exact_texts_are_short_and_read_back(void **state)
{
    static const int64_t numbers[] = {1,       999,           1000,        1024,       65536,
                                      1500000, 60000000,      90000000,    3600000000, 67108864,
                                      3,       1099511627776, 86400000000, 7};
    char text[NW_NUMBER_TEXT_SIZE];

    (void)state;
    assert_string_equal(nw_size_exact(text, 67108864), "64MiB");
    assert_string_equal(nw_size_exact(text, 2000000000), "2GB");
    assert_string_equal(nw_size_exact(text, 67108865), "67108865B");
    assert_string_equal(nw_size_exact(text, 0), "0B");
    assert_string_equal(nw_duration_exact(text, 3600000000), "1h");
    assert_string_equal(nw_duration_exact(text, 90000000), "90s");
    assert_string_equal(nw_duration_exact(text, 1000), "1ms");
    assert_string_equal(nw_rate_exact(text, 200000000), "200MB/s");
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        int64_t back = 0;

        assert_true(nw_size_parse(nw_size_exact(text, numbers[i]), &back) && back == numbers[i]);
        assert_true(nw_duration_parse(nw_duration_exact(text, numbers[i]), &back) &&
                    back == numbers[i]);
        assert_true(nw_rate_parse(nw_rate_exact(text, numbers[i]), &back) && back == numbers[i]);
    }
}

static void integers_are_whole_and_alone(void **state)
{
    static const char *const refused[] = {"",    "-",   "+1",  " 1",  "1 ",
                                          "1.0", "0x1", "1e3", "one", "9223372036854775808"};
    int64_t number = 0;

    (void)state;
    assert_true(nw_integer_parse("-9223372036854775808", &number));
    assert_true(number == INT64_MIN);
    assert_true(nw_integer_parse("9223372036854775807", &number));
    assert_true(number == INT64_MAX);
    assert_true(nw_integer_parse("010", &number));
    assert_int_equal(number, 10);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        if (nw_integer_parse(refused[i], &number)) {
            fail_msg("\"%s\" was taken", refused[i]);
        }
    }
}

static void truth_has_six_words(void **state)
{
    static const char *const yes[] = {"true", "yes", "on"};
    static const char *const no[] = {"false", "no", "off"};
    bool flag = false;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_true(nw_bool_parse(yes[i], &flag) && flag);
        assert_true(nw_bool_parse(no[i], &flag) && !flag);
    }
    assert_false(nw_bool_parse("1", &flag));
    assert_false(nw_bool_parse("", &flag));
    assert_false(nw_bool_parse("tru", &flag));
}

static void numbers_are_written_for_people(void **state)
{
    char text[NW_NUMBER_TEXT_SIZE];

    (void)state;
    assert_string_equal(nw_size_text(text, 0), "0 B");
    assert_string_equal(nw_size_text(text, 999), "999 B");
    assert_string_equal(nw_size_text(text, 1000), "1.0 kB");
    assert_string_equal(nw_size_text(text, 999999), "1.0 MB");
    assert_string_equal(nw_size_text(text, 1.7e9), "1.7 GB");
    assert_string_equal(nw_size_text(text, 64e12), "64 TB");
    assert_string_equal(nw_duration_text(text, 0.25), "0.25 s");
    assert_string_equal(nw_duration_text(text, 1.24), "1.2 s");
    assert_string_equal(nw_duration_text(text, 42), "42 s");
    assert_string_equal(nw_duration_text(text, 59 * 60), "59 min");
    assert_string_equal(nw_duration_text(text, 12000), "3 h 20 min");
    assert_string_equal(nw_count_text(text, 980), "980");
    assert_string_equal(nw_count_text(text, 12400), "12.4 k");
    assert_string_equal(nw_count_text(text, 1.2e6), "1.20 M");
}

/* A value just under the next unit is not sixty of the smaller one. */
static void durations_are_rounded_across_units(void **state)
{
    char text[NW_NUMBER_TEXT_SIZE];

    (void)state;
    assert_string_equal(nw_duration_text(text, 59.7), "1 min");
    assert_string_equal(nw_duration_text(text, 3599), "1 h 00 min");
}

static void distance_counts_edits(void **state)
{
    static const char longer[] =
        "0123456789012345678901234567890123456789012345678901234567890123x";

    (void)state;
    assert_int_equal(nw_text_distance("", ""), 0);
    assert_int_equal(nw_text_distance("", "abc"), 3);
    assert_int_equal(nw_text_distance("sinks", "sinks"), 0);
    assert_int_equal(nw_text_distance("sink", "sinks"), 1);
    assert_int_equal(nw_text_distance("sinks", "sonks"), 1);
    assert_int_equal(nw_text_distance("memroy", "memory"), 1); /* swapped */
    assert_int_equal(nw_text_distance("kitten", "sitting"), 3);
    assert_int_equal(nw_text_distance("sitting", "kitten"), 3);
    assert_true(nw_text_distance(longer, "x") == SIZE_MAX);
    assert_true(nw_text_distance("x", longer) == SIZE_MAX);
    assert_int_equal(nw_text_distance(longer + 1, longer + 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_need_a_unit),
        cmocka_unit_test(durations_need_a_unit),
        cmocka_unit_test(rates_need_a_unit),
        cmocka_unit_test(exact_texts_are_short_and_read_back),
        cmocka_unit_test(integers_are_whole_and_alone),
        cmocka_unit_test(truth_has_six_words),
        cmocka_unit_test(numbers_are_written_for_people),
        cmocka_unit_test(durations_are_rounded_across_units),
        cmocka_unit_test(distance_counts_edits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
