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
                               .copy_total_bytes = 10000000,
                               .spool = "none"};

    (void)state;
    assert_string_equal(line_of(&former, &report),
                        "copy 50 %   1/4 tables   1.5 k rows   5.0 MB/s   ETA 1.0 s");
}

static void a_stream_shows_rate_lag_and_what_is_durable(void **state)
{
    struct nw_report former = {.phase = "streaming", .uptime_s = 1, .received_lsn = 1};
    struct nw_report report = {.phase = "streaming",
                               .spool = "none",
                               .uptime_s = 2,
                               .rows = 12,
                               .received_lsn = 0x100000020,
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
        cmocka_unit_test(a_stream_shows_rate_lag_and_what_is_durable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
