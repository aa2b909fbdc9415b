/* SPDX-License-Identifier: Apache-2.0 */
/* Alarms before limits, and the age of an LSN. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/alarms.h"
#include "pipeline/primary.h"
#include "said.h"

#define SECOND 1000000000LL

static void a_level_ends_below_where_it_began(void **state)
{
    static const struct {
        enum nw_alarm_level now;
        double used;
        enum nw_alarm_level next;
    } steps[] = {
        {NW_ALARM_CALM, 79, NW_ALARM_CALM},  {NW_ALARM_CALM, 80, NW_ALARM_NEAR},
        {NW_ALARM_NEAR, 71, NW_ALARM_NEAR},  {NW_ALARM_NEAR, 69, NW_ALARM_CALM},
        {NW_ALARM_CALM, 101, NW_ALARM_OVER}, {NW_ALARM_NEAR, 100, NW_ALARM_NEAR},
        {NW_ALARM_OVER, 96, NW_ALARM_OVER},  {NW_ALARM_OVER, 94, NW_ALARM_NEAR},
        {NW_ALARM_OVER, 10, NW_ALARM_CALM},
    };

    (void)state;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        assert_int_equal(nw_alarm_next(steps[i].now, steps[i].used, 100), steps[i].next);
    }
    assert_int_equal(nw_alarm_next(NW_ALARM_OVER, 1e12, 0), NW_ALARM_CALM);
    assert_int_equal(nw_alarm_next(NW_ALARM_CALM, 1e12, -1), NW_ALARM_CALM);
}

static void it_is_said_once_that_it_rises_and_once_that_it_is_over(void **state)
{
    struct nw_alarm alarm = {.level = NW_ALARM_CALM};

    (void)state;
    said_begin();
    assert_true(nw_alarm_take(&alarm, NW_ALARM_NEAR, "NW2360 near", "calm"));
    assert_false(nw_alarm_take(&alarm, NW_ALARM_NEAR, "NW2360 nearer", "calm"));
    assert_string_equal(alarm.text, "NW2360 nearer");
    assert_true(nw_alarm_take(&alarm, NW_ALARM_OVER, "NW2319 over", "calm"));
    assert_false(nw_alarm_take(&alarm, NW_ALARM_NEAR, "NW2360 again", "calm"));
    assert_false(nw_alarm_take(&alarm, NW_ALARM_CALM, "", "all is calm"));
    assert_string_equal(alarm.text, "");
    assert_false(nw_alarm_take(&alarm, NW_ALARM_CALM, "", "all is calm"));
    assert_int_equal(said_count("NW2360 near"), 1);
    assert_int_equal(said_count("NW2360 again"), 0);
    assert_int_equal(said_count("NW2319 over"), 1);
    assert_int_equal(said_count("all is calm"), 1);
    said_end();
}

static void an_lsn_is_as_old_as_the_time_when_the_wal_ended_there(void **state)
{
    struct nw_wal_marks marks = {.count = 0};

    (void)state;
    assert_true(nw_wal_marks_age(&marks, 5, 9 * SECOND) <= 0);
    nw_wal_marks_add(&marks, 1000, 10 * SECOND);
    nw_wal_marks_add(&marks, 2000, 20 * SECOND);
    nw_wal_marks_add(&marks, 2000, 30 * SECOND);
    assert_true(nw_wal_marks_age(&marks, 2000, 40 * SECOND) <= 0);
    assert_true(nw_wal_marks_age(&marks, 1500, 40 * SECOND) - 25 < 0.001);
    assert_true(nw_wal_marks_age(&marks, 1500, 40 * SECOND) - 25 > -0.001);
    assert_true(nw_wal_marks_age(&marks, 1, 40 * SECOND) - 30 < 0.001); /* at least */
    nw_wal_marks_add(&marks, 50, 50 * SECOND);                          /* another server's */
    assert_int_equal(marks.count, 1);
}

static void what_is_long_ago_is_kept_less_exactly(void **state)
{
    struct nw_wal_marks marks = {.count = 0};
    double age = 0;

    (void)state;
    for (int i = 0; i < 100000; i++) {
        nw_wal_marks_add(&marks, (uint64_t)i * 100, i * 10 * SECOND);
        assert_in_range(marks.count, 1, NW_WAL_MARKS_MAX);
    }
    age = nw_wal_marks_age(&marks, 50, 99999 * 10 * SECOND);
    assert_true(age > 999980 && age < 1000000);
    age = nw_wal_marks_age(&marks, 99999 * 100 - 50, 99999 * 10 * SECOND);
    assert_true(age > 4 && age < 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_level_ends_below_where_it_began),
        cmocka_unit_test(it_is_said_once_that_it_rises_and_once_that_it_is_over),
        cmocka_unit_test(an_lsn_is_as_old_as_the_time_when_the_wal_ended_there),
        cmocka_unit_test(what_is_long_ago_is_kept_less_exactly),
    };

    return cmocka_run_group_tests_name("alarms", tests, NULL, NULL);
}
