/* SPDX-License-Identifier: Apache-2.0 */
/* The live line: what it says in each phase, and that it shows no figure that is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "serve/live.h"

static char text[NW_LIVE_SIZE];

static const char *line_of(const struct nw_report *former, const struct nw_report *report)
{
    nw_live_text(former, report, text);
    return text;
}

static void before_the_first_figure_it_says_what_is_being_done(void **state)
{
    struct nw_report report = {.phase = "starting", .sinks_count = 1};

    (void)state;
    (void)strcpy(report.sinks[0].name, "file");
    report.sinks[0].state = "starting";
    assert_string_equal(line_of(&report, &report), "starting");
    report.phase = "copying";
    assert_string_equal(line_of(&report, &report), "preparing the copy");
    report.phase = "waiting";
    assert_string_equal(line_of(&report, &report), "connecting");
    report.phase = "connecting";
    assert_string_equal(line_of(&report, &report), "connecting");
    report.phase = "streaming";
    assert_string_equal(line_of(&report, &report), "connecting");
    report.phase = "waiting";
    (void)strcpy(report.last_error, "refused");
    assert_string_equal(line_of(&report, &report), "waiting to connect again: refused");
}

static void a_copy_shows_rate_and_what_is_left(void **state)
{
    struct nw_report former = {.phase = "copying", .uptime_s = 1};
    struct nw_report report = {.phase = "copying",
                               .uptime_s = 2,
                               .copy_tables = 4,
                               .copy_tables_done = 1,
                               .copy_rows = 1500,
                               .copy_bytes = 5000000,
                               .copy_bytes_a_second = 5000000,
                               .copy_left_s = 1,
                               .copy_total_bytes = 10000000,
                               .spool = "none"};

    (void)state;
    assert_string_equal(line_of(&former, &report),
                        "copy 50 %   1/4 tables   1.5 k rows   5.0 MB   5.0 MB/s   ETA 1.0 s");
    (void)strcpy(report.copy_waits_for, "a lock on it");
    report.retained_wal_bytes = 2000000;
    assert_string_equal(line_of(&former, &report),
                        "copy 50 %   1/4 tables   1.5 k rows   5.0 MB   5.0 MB/s   ETA 1.0 s   "
                        "waits for a lock on it   WAL held on the primary 2.0 MB");
}

static void a_copy_beside_the_stream_is_in_its_line(void **state)
{
    struct nw_report report = {.phase = "streaming",
                               .spool = "none",
                               .received_lsn = 1,
                               .copy_state = "preparing",
                               .states = {[NW_STATE_WAITING] = 2, [NW_STATE_STOPPED] = 1}};

    (void)state;
    (void)strcpy(report.copy_waits_for, "its snapshot");
    assert_string_equal(line_of(&report, &report),
                        "live 0/s  |  lag  |  1 table stopped  |  2 tables wait for its snapshot");
    report.copy_state = "copying";
    report.copy_waits_for[0] = '\0';
    report.states[NW_STATE_WAITING] = 0;
    report.states[NW_STATE_COPYING] = 2;
    report.copy_tables = 2;
    report.copy_rows = 10;
    report.copy_bytes = 1000;
    report.copy_total_bytes = 4000;
    report.copy_bytes_a_second = 100;
    report.copy_left_s = 30;
    assert_string_equal(line_of(&report, &report),
                        "live 0/s  |  lag  |  1 table stopped  |  copy 25 %   0/2 tables   10 rows "
                        "  1.0 kB   100 B/s   ETA 30 s");
}

static void a_stream_shows_rate_lag_and_what_is_durable(void **state)
{
    struct nw_report former = {.phase = "streaming", .uptime_s = 1, .received_lsn = 1};
    struct nw_report report = {.phase = "streaming",
                               .spool = "none",
                               .uptime_s = 2,
                               .rows = 12,
                               .received_lsn = 0x100000020,
                               .copy_state = "none",
                               .sinks_count = 1};

    (void)state;
    (void)strcpy(report.sinks[0].name, "file");
    report.sinks[0].state = "retrying";
    report.sinks[0].lag_s = 2;
    assert_string_equal(line_of(&former, &report), "live 12/s  |  lag file 2.0 s (retrying)");
    report.flush_lsn = 0x100000010;
    report.phase = "draining";
    assert_string_equal(line_of(&former, &report),
                        "draining 12/s  |  lag file 2.0 s (retrying)  |  durable 1/10");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_the_first_figure_it_says_what_is_being_done),
        cmocka_unit_test(a_copy_shows_rate_and_what_is_left),
        cmocka_unit_test(a_copy_beside_the_stream_is_in_its_line),
        cmocka_unit_test(a_stream_shows_rate_lag_and_what_is_durable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
