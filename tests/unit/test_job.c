/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs: blocking work on the service thread, stepped by hand and on a real thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ring/bell.h"
#include "ring/job.h"

#define WATCHDOG_SECONDS 60u
#define ROUNDS           2000u

static struct nw_error failure;

struct work {
    struct nw_job job;
    uint32_t number;
    uint32_t runs; /* written by the service, read by the client once collected */
    nw_status result;
};

static uint32_t order[NW_JOBS_MAX];
static uint32_t order_count;

static nw_status work_run(void *context, struct nw_error *err)
{
    struct work *work = context;

    work->runs++;
    if (order_count < NW_JOBS_MAX) {
        order[order_count++] = work->number;
    }
    return work->result == NW_OK ? NW_OK
                                 : nw_fail(err, work->result, "job %u failed", work->number);
}

static struct work work_of(uint32_t number)
{
    return (struct work){.job = {.run = work_run}, .number = number};
}

struct pair {
    struct nw_bell *service, *client;
    struct nw_jobs *jobs;
};

static void pair_make(struct pair *pair)
{
    assert_int_equal(nw_bell_create(&pair->service, &failure), NW_OK);
    assert_int_equal(nw_bell_create(&pair->client, &failure), NW_OK);
    assert_int_equal(nw_jobs_create(pair->service, pair->client, &pair->jobs, &failure), NW_OK);
    order_count = 0;
}

static void pair_destroy(struct pair *pair)
{
    nw_jobs_destroy(pair->jobs);
    nw_bell_destroy(pair->service);
    nw_bell_destroy(pair->client);
}

static void step(struct pair *pair, uint32_t expected)
{
    struct nw_agent agent = nw_jobs_agent(pair->jobs);
    uint32_t work = 0;

    assert_int_equal(agent.do_work(agent.self, 0, &work, &failure), NW_OK);
    assert_int_equal(work, expected);
}

static void submit(struct pair *pair, struct work *work)
{
    work->job.context = work;
    nw_jobs_submit(pair->jobs, &work->job);
}

static void jobs_run_in_order_and_are_pending_until_collected(void **state)
{
    struct pair pair;
    struct work works[NW_JOBS_MAX];

    (void)state;
    pair_make(&pair);
    for (uint32_t i = 0; i < NW_JOBS_MAX; i++) { /* as many as there may be */
        works[i] = work_of(i);
        submit(&pair, &works[i]);
        assert_true(works[i].job.pending);
    }
    assert_int_equal(nw_jobs_collect(pair.jobs), 0);
    for (uint32_t i = 0; i < NW_JOBS_MAX; i++) {
        step(&pair, 1);
    }
    step(&pair, 0);
    assert_true(works[0].job.pending);
    assert_int_equal(nw_jobs_collect(pair.jobs), NW_JOBS_MAX);
    for (uint32_t i = 0; i < NW_JOBS_MAX; i++) {
        assert_false(works[i].job.pending);
        assert_int_equal(works[i].runs, 1);
        assert_int_equal(order[i], i);
    }
    pair_destroy(&pair);
}

static void a_job_that_fails_keeps_its_reason_and_stops_nobody(void **state)
{
    struct pair pair;
    struct work bad = work_of(1);
    struct work good = work_of(2);

    (void)state;
    pair_make(&pair);
    bad.result = NW_RETRY;
    submit(&pair, &bad);
    submit(&pair, &good);
    step(&pair, 1);
    step(&pair, 1);
    assert_int_equal(nw_jobs_collect(pair.jobs), 2);
    assert_int_equal(bad.job.status, NW_RETRY);
    assert_string_equal(bad.job.error.text, "job 1 failed");
    assert_int_equal(good.job.status, NW_OK);
    bad.result = NW_OK; /* again, and the old reason is gone */
    submit(&pair, &bad);
    step(&pair, 1);
    assert_int_equal(nw_jobs_collect(pair.jobs), 1);
    assert_int_equal(bad.job.status, NW_OK);
    assert_int_equal(bad.job.error.status, NW_OK);
    pair_destroy(&pair);
}

static int64_t clock_ns(void *clock)
{
    struct timespec now;

    (void)clock;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void none_fails(void *context, const struct nw_agent *agent, const struct nw_error *err)
{
    (void)context;
    (void)fprintf(stderr, "%s: %s\n", agent->name, err->text);
    abort();
}

/* Sleeps as the client's thread does. */
static void collect_one(struct pair *pair)
{
    while (nw_jobs_collect(pair->jobs) == 0) {
        nw_bell_park(pair->client);
        if (nw_jobs_collect(pair->jobs) > 0) {
            nw_bell_unpark(pair->client);
            return;
        }
        (void)poll(&(struct pollfd){.fd = nw_bell_descriptor(pair->client), .events = POLLIN}, 1,
                   -1);
        nw_bell_unpark(pair->client);
    }
}

static void a_service_thread_wakes_its_client(void **state)
{
    struct pair pair;
    struct work work = work_of(1);
    struct nw_thread *thread = NULL;
    struct nw_agent agent;
    struct nw_thread_options options = {.name = "service",
                                        .agents = &agent,
                                        .agents_count = 1,
                                        .core = -1,
                                        .now_ns = clock_ns,
                                        .failed = none_fails};

    (void)state;
    (void)alarm(WATCHDOG_SECONDS);
    pair_make(&pair);
    agent = nw_jobs_agent(pair.jobs);
    options.bell = pair.service;
    assert_int_equal(nw_thread_start(&options, &thread, &failure), NW_OK);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        submit(&pair, &work);
        collect_one(&pair);
        assert_int_equal(work.runs, i + 1);
    }
    nw_thread_destroy(thread);
    pair_destroy(&pair);
    (void)alarm(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_run_in_order_and_are_pending_until_collected),
        cmocka_unit_test(a_job_that_fails_keeps_its_reason_and_stops_nobody),
        cmocka_unit_test(a_service_thread_wakes_its_client),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
