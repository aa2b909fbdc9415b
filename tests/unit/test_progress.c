/* SPDX-License-Identifier: Apache-2.0 */
/* Whether narwal is ready: while whatever has something to do moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "serve/progress.h"

#define AFTER_S 60

static struct nw_progress progress;
static struct nw_report report;

/* A pipeline that streams, and to whose sink nothing is left to do. */
static int begin(void **state)
{
    (void)state;
    nw_progress_init(&progress, AFTER_S);
    report = (struct nw_report){.phase = "streaming",
                                .received_lsn = 0x1000,
                                .server_lsn = 0x1000,
                                .sinks_count = 1,
                                .wall_us = 1000000};
    (void)strcpy(report.sinks[0].name, "files");
    report.sinks[0].state = "running";
    nw_progress_note(&progress, &report);
    assert_true(report.ready);
    return 0;
}

static void behind(uint64_t server_lsn)
{
    report.server_lsn = server_lsn;
    report.source_lag_bytes = server_lsn - report.received_lsn;
}

/* Time passes, second by second. */
static void pass(int seconds)
{
    for (int i = 0; i < seconds; i++) {
        report.uptime_s += 1;
        report.wall_us += 1000000;
        nw_progress_note(&progress, &report);
    }
}

static void assert_stands(const char *reason)
{
    assert_false(report.ready);
    assert_string_equal(report.ready_reason, reason);
}

static void an_idle_server_is_no_fault(void **state)
{
    (void)state;
    pass(10 * AFTER_S);
    assert_true(report.ready);
    assert_string_equal(report.ready_reason, "");
}

static void wal_that_is_not_received_is_one(void **state)
{
    (void)state;
    behind(0x2000);
    pass(AFTER_S - 1);
    assert_true(report.ready);
    behind(0x3000); /* the server moves, we do not */
    pass(1);
    assert_stands("the server's WAL ends at 0/3000, and nothing behind 0/1000 was received for 1 "
                  "min");
    report.received_lsn = 0x1800; /* not at the end, and on the way */
    behind(0x3000);
    pass(1);
    assert_true(report.ready);
}

static void a_sink_is_ready_while_it_writes_or_commits(void **state)
{
    struct nw_report_sink *sink = &report.sinks[0];

    (void)state;
    sink->lag_bytes = 5000000;
    for (int i = 0; i < 3 * AFTER_S; i++) { /* one large transaction: no commit for long */
        sink->rows++;
        pass(1);
        assert_true(report.ready);
    }
    pass(AFTER_S);
    assert_stands(
        "sink files (running) has made nothing durable for 1 min, and 5.0 MB wait for it");
    sink->commits++;
    pass(1);
    assert_true(report.ready);
    assert_true(sink->committed_s == (double)report.wall_us / 1e6);
    sink->lag_bytes = 0;
    pass(2 * AFTER_S);
    assert_true(report.ready);
    assert_true(sink->committed_s < (double)report.wall_us / 1e6);
}

static void a_sink_that_writes_the_same_again_does_not_move(void **state)
{
    struct nw_report_sink *sink = &report.sinks[0];

    (void)state;
    sink->state = "retrying";
    (void)strcpy(sink->reason, "no space");
    sink->lag_bytes = 1000;
    for (int i = 0; i < AFTER_S; i++) {
        sink->rows++;
        pass(1);
    }
    assert_stands("sink files (retrying) has made nothing durable for 1 min, and 1.0 kB wait for "
                  "it: no space");
}

static void what_waits_for_a_copy_is_no_work_for_the_sink(void **state)
{
    (void)state;
    report.sinks[0].lag_bytes = report.sinks[0].waiting_bytes = 1000;
    pass(2 * AFTER_S);
    assert_true(report.ready);
}

static void a_stopped_sink_is_not_ready_at_once(void **state)
{
    (void)state;
    report.sinks[0].state = "stopped";
    (void)strcpy(report.sinks[0].reason, "fenced off");
    pass(1);
    assert_stands("sink files stopped: fenced off");
}

static void starting_and_stopping_are_not_ready_and_what_was_before_does_not_count(void **state)
{
    (void)state;
    report.phase = "starting";
    (void)strcpy(report.last_error, "connection refused");
    report.sinks[0].lag_bytes = 1000;
    behind(0x2000);
    pass(3 * AFTER_S);
    assert_stands("starting: connection refused");
    (void)strcpy(report.copy_waits_for, "process 7");
    pass(1);
    assert_stands("starting: it waits for process 7");
    report.phase = "streaming";
    pass(AFTER_S - 2);
    assert_true(report.ready);
    report.phase = "draining";
    pass(1);
    assert_stands("stopping");
}

static void a_paused_pipeline_is_not_ready_and_what_waited_meanwhile_does_not_count(void **state)
{
    (void)state;
    report.phase = "paused";
    behind(0x2000);
    pass(3 * AFTER_S);
    assert_stands("paused by a user: narwal resume");
    report.phase = "connecting";
    pass(AFTER_S - 1);
    assert_true(report.ready);
}

static void a_connection_may_be_lost_for_a_while(void **state)
{
    (void)state;
    report.phase = "waiting";
    (void)strcpy(report.last_error, "server closed the connection");
    pass(AFTER_S - 1);
    assert_true(report.ready);
    report.phase = "connecting";
    pass(1);
    assert_stands("not connected to the server for 1 min: server closed the connection");
}

static void a_copy_has_to_move_unless_a_user_paused_it(void **state)
{
    (void)state;
    report.phase = "copying";
    (void)strcpy(report.copy_waits_for, "a lock on public.t");
    pass(AFTER_S);
    assert_stands("the copy has not moved for 1 min; it waits for a lock on public.t");
    report.copy_rows++;
    pass(1);
    assert_true(report.ready);
    pass(AFTER_S - 2);
    report.sinks[0].rows++; /* all is read, and the sink still writes it */
    pass(AFTER_S - 1);
    assert_true(report.ready);
    report.copy_paused = true;
    pass(3 * AFTER_S);
    assert_true(report.ready);
}

static void a_spool_that_takes_nothing_is_not_ready(void **state)
{
    (void)state;
    report.phase = "copying";
    report.copy_paused = true;
    report.spool_full = true;
    pass(AFTER_S);
    assert_stands("nothing is received for 1 min: the spool is full");
    (void)strcpy(report.spool_blocked, "no space on its disk");
    pass(1);
    assert_stands("nothing is received for 1 min: no space on its disk");
    report.spool_blocked[0] = '\0';
    report.spool_full = false;
    pass(1);
    assert_true(report.ready);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_idle_server_is_no_fault, begin),
        cmocka_unit_test_setup(wal_that_is_not_received_is_one, begin),
        cmocka_unit_test_setup(a_sink_is_ready_while_it_writes_or_commits, begin),
        cmocka_unit_test_setup(a_sink_that_writes_the_same_again_does_not_move, begin),
        cmocka_unit_test_setup(what_waits_for_a_copy_is_no_work_for_the_sink, begin),
        cmocka_unit_test_setup(a_stopped_sink_is_not_ready_at_once, begin),
        cmocka_unit_test_setup(
            starting_and_stopping_are_not_ready_and_what_was_before_does_not_count, begin),
        cmocka_unit_test_setup(
            a_paused_pipeline_is_not_ready_and_what_waited_meanwhile_does_not_count, begin),
        cmocka_unit_test_setup(a_connection_may_be_lost_for_a_while, begin),
        cmocka_unit_test_setup(a_copy_has_to_move_unless_a_user_paused_it, begin),
        cmocka_unit_test_setup(a_spool_that_takes_nothing_is_not_ready, begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
