/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The acknowledger: nothing is told to the server that is not durable (at every sink, or in
 * the spool) and recorded.
 * The source beside it is a stand-in: its few functions that the acknowledger calls are here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "pipeline/acknowledge.h"
#include "sink/sink.h"

#define RECORD_NS 100000000ll

/* ---- the stand-in ---- */

struct nw_source {
    uint64_t epochs[64];
    uint64_t lsns[64];
    uint32_t ended_count, ended_taken;
    uint64_t acknowledged;
    uint32_t acknowledgements;
    uint64_t durable, durable_epoch, spooled;
    uint64_t limit; /* of what it keeps */
    bool ready;
};

bool nw_source_ended(struct nw_source *source, uint64_t *epoch, uint64_t *lsn)
{
    if (source->ended_taken == source->ended_count) {
        return false;
    }
    *epoch = source->epochs[source->ended_taken];
    *lsn = source->lsns[source->ended_taken++];
    return true;
}

void nw_source_acknowledge(struct nw_source *source, uint64_t flush_lsn)
{
    assert_true(flush_lsn > source->acknowledged);
    source->acknowledged = flush_lsn;
    source->acknowledgements++;
}

void nw_source_durable(struct nw_source *source, uint64_t epoch, uint64_t lsn)
{
    assert_true(lsn >= source->durable && epoch >= source->durable_epoch);
    source->durable = lsn;
    source->durable_epoch = epoch;
}

uint64_t nw_source_limit_lsn(const struct nw_source *source)
{
    return source->limit;
}

void nw_source_reached(const struct nw_source *source, struct nw_backlog_reached *reached)
{
    reached->count = source->limit == UINT64_MAX ? 0 : 1;
    reached->tables[0] = (struct nw_backlog_place){16384, source->limit};
}

/* A sink is its number here. */
uint64_t nw_sink_held_lsn(const struct nw_sink *sink)
{
    return *(const uint64_t *)(const void *)sink;
}

uint64_t nw_source_spooled_lsn(const struct nw_source *source)
{
    return source->spooled;
}

void nw_source_ready(struct nw_source *source, bool ready)
{
    source->ready = ready;
}

/* ---- */

struct fixture {
    struct nw_source source;
    struct nw_spsc *durable[2];
    struct nw_jobs *jobs;
    struct nw_agent service, agent;
    struct nw_acknowledger *acknowledger;
    int64_t now_ns;
    uint64_t recorded;
    uint64_t reached; /* of what is kept */
    uint64_t held[2]; /* from where on each sink lacks something */
    const char *why;
    nw_status record_status;
    struct nw_error err;
};

static nw_status record(void *context, const struct nw_acknowledgement *what, struct nw_error *err)
{
    struct fixture *f = context;

    if (f->record_status != NW_OK) {
        return nw_fail(err, f->record_status, "cannot be recorded");
    }
    assert_true(what->lsn > f->recorded);
    f->recorded = what->lsn;
    f->why = what->why;
    f->reached = what->reached.count == 0 ? 0 : what->reached.tables[0].lsn;
    return NW_OK;
}

static void fixture_make(struct fixture *f, uint32_t sinks, uint64_t flush_lsn)
{
    struct nw_acknowledger_options options = {.source = &f->source,
                                              .sinks_count = sinks,
                                              .flush_lsn = flush_lsn,
                                              .record = record,
                                              .context = f};

    memset(f, 0, sizeof *f);
    f->source.limit = UINT64_MAX;
    f->now_ns = 10 * RECORD_NS;
    assert_int_equal(nw_jobs_create(NULL, NULL, &f->jobs, &f->err), NW_OK);
    f->service = nw_jobs_agent(f->jobs);
    options.jobs = f->jobs;
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(nw_spsc_create(16, &f->durable[i], &f->err), NW_OK);
        options.durable[i] = f->durable[i];
        f->held[i] = UINT64_MAX;
        options.sinks[i] = (const struct nw_sink *)(const void *)&f->held[i];
    }
    assert_int_equal(nw_acknowledger_create(&options, &f->acknowledger, &f->err), NW_OK);
    f->agent = nw_acknowledger_agent(f->acknowledger);
}

static void fixture_free(struct fixture *f)
{
    nw_acknowledger_destroy(f->acknowledger);
    nw_jobs_destroy(f->jobs);
    nw_spsc_destroy(f->durable[0]);
    nw_spsc_destroy(f->durable[1]);
}

static void ends(struct fixture *f, uint64_t epoch, uint64_t lsn)
{
    f->source.epochs[f->source.ended_count] = epoch;
    f->source.lsns[f->source.ended_count++] = lsn;
}

static void is_durable(struct fixture *f, uint32_t sink, uint64_t epoch)
{
    assert_true(nw_spsc_push(f->durable[sink], (void *)(uintptr_t)epoch));
}

static nw_status step(struct fixture *f)
{
    uint32_t work = 0;

    return f->agent.do_work(f->agent.self, f->now_ns, &work, &f->err);
}

/* The service thread runs what waits, and the source's thread hears of it. */
static void serve(struct fixture *f)
{
    uint32_t work = 0;

    assert_int_equal(f->service.do_work(f->service.self, f->now_ns, &work, &f->err), NW_OK);
    (void)nw_jobs_collect(f->jobs);
}

/* Everything that can happen now happens. */
static void settle(struct fixture *f)
{
    for (int i = 0; i < 4; i++) {
        f->now_ns += RECORD_NS;
        assert_int_equal(step(f), NW_OK);
        serve(f);
        assert_int_equal(step(f), NW_OK);
    }
}

static void it_waits_for_all_sinks(void **state)
{
    struct fixture f;

    (void)state;
    fixture_make(&f, 2, 50);
    ends(&f, 1, 100);
    ends(&f, 2, 200);
    ends(&f, 3, 300);
    settle(&f);
    assert_int_equal(f.source.acknowledgements, 0);
    is_durable(&f, 0, 1);
    is_durable(&f, 0, 3); /* 2 and 3 in one commit */
    settle(&f);
    assert_int_equal(f.source.acknowledgements, 0);
    is_durable(&f, 1, 2);
    settle(&f);
    assert_int_equal(f.source.acknowledged, 200);
    assert_int_equal(f.recorded, 200);
    assert_false(nw_acknowledger_settled(f.acknowledger));
    is_durable(&f, 1, 3);
    settle(&f);
    assert_int_equal(f.source.acknowledged, 300);
    assert_true(nw_acknowledger_settled(f.acknowledger));
    fixture_free(&f);
}

static void it_records_before_it_tells(void **state)
{
    struct fixture f;

    (void)state;
    fixture_make(&f, 1, 50);
    ends(&f, 1, 100);
    is_durable(&f, 0, 1);
    assert_int_equal(step(&f), NW_OK);
    assert_int_equal(step(&f), NW_OK);
    assert_int_equal(f.source.acknowledgements, 0);
    assert_int_equal(nw_acknowledger_flush_lsn(f.acknowledger), 50);
    assert_false(nw_acknowledger_settled(f.acknowledger));
    serve(&f);
    assert_int_equal(f.recorded, 100);
    assert_int_equal(f.source.acknowledgements, 0); /* not before its own step */
    assert_int_equal(step(&f), NW_OK);
    assert_int_equal(f.source.acknowledged, 100);
    assert_int_equal(nw_acknowledger_flush_lsn(f.acknowledger), 100);
    fixture_free(&f);
}

static void what_cannot_be_recorded_is_not_told(void **state)
{
    struct fixture f;

    (void)state;
    fixture_make(&f, 1, 50);
    f.record_status = NW_RETRY;
    ends(&f, 1, 100);
    is_durable(&f, 0, 1);
    assert_int_equal(step(&f), NW_OK);
    serve(&f);
    assert_int_equal(step(&f), NW_RETRY);
    assert_string_equal(f.err.text, "cannot be recorded");
    assert_int_equal(f.source.acknowledgements, 0);
    fixture_free(&f);
}

static void what_waits_for_a_copy_bounds_it(void **state)
{
    struct fixture f;

    (void)state;
    fixture_make(&f, 2, 50);
    f.held[1] = 80;
    ends(&f, 1, 100);
    is_durable(&f, 0, 1);
    is_durable(&f, 1, 1);
    settle(&f);
    assert_int_equal(f.source.acknowledged, 80);
    assert_int_equal(f.source.durable, 80);
    assert_true(nw_acknowledger_settled(f.acknowledger)); /* a stop does not wait for it */
    f.held[1] = UINT64_MAX;
    settle(&f);
    assert_int_equal(f.source.acknowledged, 100);
    assert_true(nw_acknowledger_settled(f.acknowledger));
    fixture_free(&f);
}

static void what_is_kept_and_not_durable_bounds_it(void **state)
{
    struct fixture f;

    (void)state;
    fixture_make(&f, 1, 50);
    f.source.limit = 80;
    ends(&f, 1, 100);
    is_durable(&f, 0, 1);
    settle(&f);
    assert_int_equal(f.source.acknowledged, 80);
    assert_int_equal(f.reached, 80); /* recorded with it */
    assert_int_equal(f.source.durable, 80);
    assert_int_equal(f.source.durable_epoch, 1);
    assert_false(nw_acknowledger_settled(f.acknowledger));
    f.source.limit = 60; /* more was kept since */
    settle(&f);
    assert_int_equal(f.source.acknowledged, 80);
    f.source.limit = UINT64_MAX;
    settle(&f);
    assert_int_equal(f.source.acknowledged, 100);
    assert_true(nw_acknowledger_settled(f.acknowledger));
    fixture_free(&f);
}

static void it_never_moves_back(void **state)
{
    struct fixture f;

    (void)state;
    fixture_make(&f, 1, 150);
    ends(&f, 1, 0); /* of a copy: no position yet */
    ends(&f, 2, 100);
    ends(&f, 3, 150);
    is_durable(&f, 0, 1);
    settle(&f);
    is_durable(&f, 0, 2);
    is_durable(&f, 0, 3);
    settle(&f);
    assert_int_equal(f.source.acknowledgements, 0);
    assert_int_equal(nw_acknowledger_flush_lsn(f.acknowledger), 150);
    assert_true(nw_acknowledger_settled(f.acknowledger));
    ends(&f, 4, 160);
    is_durable(&f, 0, 4);
    settle(&f);
    assert_int_equal(f.source.acknowledged, 160);
    fixture_free(&f);
}

static void records_are_a_tenth_of_a_second_apart_and_take_the_newest(void **state)
{
    struct fixture f;

    (void)state;
    fixture_make(&f, 1, 50);
    ends(&f, 1, 100);
    is_durable(&f, 0, 1);
    assert_int_equal(step(&f), NW_OK);
    serve(&f);
    for (uint64_t epoch = 2; epoch < 10; epoch++) {
        ends(&f, epoch, epoch * 100);
        is_durable(&f, 0, epoch);
        f.now_ns += RECORD_NS / 10;
        assert_int_equal(step(&f), NW_OK);
        serve(&f);
        assert_int_equal(f.recorded, 100);
    }
    f.now_ns += RECORD_NS;
    assert_int_equal(step(&f), NW_OK);
    serve(&f);
    assert_int_equal(f.recorded, 900);
    fixture_free(&f);
}

static void what_is_durable_before_its_end_was_heard_waits(void **state)
{
    struct fixture f;

    (void)state;
    fixture_make(&f, 1, 50);
    is_durable(&f, 0, 1);
    settle(&f);
    assert_int_equal(f.source.acknowledgements, 0);
    ends(&f, 1, 100);
    settle(&f);
    assert_int_equal(f.source.acknowledged, 100);
    fixture_free(&f);
}

static void the_source_is_ready_when_some_sink_has_nothing_to_do(void **state)
{
    struct fixture f;

    (void)state;
    fixture_make(&f, 2, 50);
    settle(&f);
    assert_true(f.source.ready);
    ends(&f, 1, 100);
    ends(&f, 2, 200);
    settle(&f);
    assert_false(f.source.ready);
    is_durable(&f, 1, 1);
    settle(&f);
    assert_false(f.source.ready);
    is_durable(&f, 1, 2);
    settle(&f);
    assert_true(f.source.ready);
    fixture_free(&f);
}

static void it_records_whether_the_sinks_have_it_or_the_spool(void **state)
{
    struct fixture f;

    (void)state;
    fixture_make(&f, 1, 50);
    ends(&f, 1, 100);
    is_durable(&f, 0, 1);
    settle(&f);
    assert_string_equal(f.why, "durable at every sink");
    f.source.spooled = 300;
    settle(&f);
    assert_int_equal(f.source.acknowledged, 300);
    assert_string_equal(f.why, "durable in the spool");
    ends(&f, 2, 200); /* what the spool has: nothing new to record */
    is_durable(&f, 0, 2);
    settle(&f);
    assert_int_equal(f.recorded, 300);
    ends(&f, 3, 400);
    is_durable(&f, 0, 3);
    settle(&f);
    assert_int_equal(f.source.acknowledged, 400);
    assert_string_equal(f.why, "durable at every sink");
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_waits_for_all_sinks),
        cmocka_unit_test(it_records_before_it_tells),
        cmocka_unit_test(what_cannot_be_recorded_is_not_told),
        cmocka_unit_test(what_waits_for_a_copy_bounds_it),
        cmocka_unit_test(what_is_kept_and_not_durable_bounds_it),
        cmocka_unit_test(it_never_moves_back),
        cmocka_unit_test(records_are_a_tenth_of_a_second_apart_and_take_the_newest),
        cmocka_unit_test(what_is_durable_before_its_end_was_heard_waits),
        cmocka_unit_test(it_records_whether_the_sinks_have_it_or_the_spool),
        cmocka_unit_test(the_source_is_ready_when_some_sink_has_nothing_to_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
