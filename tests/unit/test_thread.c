/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that run agents. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ring/agent.h"

#define WATCHDOG_SECONDS 60u

static struct nw_error failure;

static int watched(void **state)
{
    (void)state;
    (void)alarm(WATCHDOG_SECONDS);
    return 0;
}

static int64_t clock_ns(void *clock)
{
    struct timespec now;

    (void)clock;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* An agent that counts, and fails when it is told to. */
struct probe {
    _Atomic uint32_t steps, starts, closes;
    _Atomic bool busy;   /* says that it did something */
    _Atomic int fail_at; /* step; 0: never */
    bool fail_start;
    int descriptor;
    int64_t deadline_ns;
    _Atomic uint32_t readable;
    char name[16];
    cpu_set_t cores;
};

static nw_status probe_start(void *self, struct nw_error *err)
{
    struct probe *probe = self;

    (void)pthread_getname_np(pthread_self(), probe->name, sizeof probe->name);
    (void)sched_getaffinity(0, sizeof probe->cores, &probe->cores);
    atomic_fetch_add(&probe->starts, 1);
    return probe->fail_start ? nw_fail(err, NW_RETRY, "will not start") : NW_OK;
}

static nw_status probe_work(void *self, int64_t now_ns, uint32_t *work, struct nw_error *err)
{
    struct probe *probe = self;
    uint32_t step = atomic_fetch_add(&probe->steps, 1) + 1;
    char byte = 0;

    (void)now_ns;
    if (probe->descriptor >= 0 && read(probe->descriptor, &byte, 1) == 1) {
        atomic_fetch_add(&probe->readable, 1);
        *work += 1;
    }
    if (atomic_load(&probe->fail_at) == (int)step) {
        return nw_fail(err, NW_CORRUPT, "broke at step %u", step);
    }
    *work += atomic_load(&probe->busy) ? 1 : 0;
    return NW_AGAIN; /* as good as NW_OK */
}

static void probe_wait(void *self, int64_t now_ns, struct nw_wait *wait)
{
    struct probe *probe = self;

    (void)now_ns;
    *wait = (struct nw_wait){
        .descriptor = probe->descriptor, .events = POLLIN, .deadline_ns = probe->deadline_ns};
}

static void probe_close(void *self)
{
    atomic_fetch_add(&((struct probe *)self)->closes, 1);
}

static struct nw_agent agent_of(struct probe *probe, const char *name)
{
    return (struct nw_agent){.name = name,
                             .self = probe,
                             .on_start = probe_start,
                             .do_work = probe_work,
                             .wait = probe_wait,
                             .on_close = probe_close};
}

static struct probe fresh(void)
{
    return (struct probe){.descriptor = -1, .deadline_ns = INT64_MAX};
}

/* What the thread reported. */
struct report {
    _Atomic uint32_t count;
    const struct nw_agent *agent;
    struct nw_error error;
};

static void reported(void *context, const struct nw_agent *agent, const struct nw_error *err)
{
    struct report *report = context;

    report->agent = agent;
    report->error = *err;
    atomic_fetch_add(&report->count, 1);
}

struct runner {
    struct nw_agent agents[2];
    struct nw_bell *bell;
    struct nw_thread *thread;
    struct report report;
};

static void runner_start(struct runner *runner, uint32_t count, int core)
{
    struct nw_thread_options options = {.name = "a-name-that-is-too-long",
                                        .agents = runner->agents,
                                        .agents_count = count,
                                        .core = core,
                                        .now_ns = clock_ns,
                                        .failed = reported,
                                        .context = &runner->report};

    assert_int_equal(nw_bell_create(&runner->bell, &failure), NW_OK);
    options.bell = runner->bell;
    assert_int_equal(nw_thread_start(&options, &runner->thread, &failure), NW_OK);
}

static void runner_end(struct runner *runner)
{
    nw_thread_destroy(runner->thread);
    nw_bell_destroy(runner->bell);
}

static void pause_us(long us)
{
    struct timespec pause = {.tv_nsec = us * 1000};

    (void)nanosleep(&pause, NULL);
}

static void until(_Atomic uint32_t *counter, uint32_t value)
{
    while (atomic_load(counter) < value) {
        pause_us(100);
    }
}

/* Waits until the thread sleeps: its agent is stepped no more. @return its steps */
static uint32_t asleep(struct probe *probe)
{
    uint32_t before = 0;
    uint32_t now = atomic_load(&probe->steps);

    do {
        before = now;
        pause_us(20000);
        now = atomic_load(&probe->steps);
    } while (now != before || now == 0);
    return now;
}

static void an_idle_thread_sleeps_until_the_bell_rings(void **state)
{
    struct probe probe = fresh();
    struct runner runner = {.agents = {agent_of(&probe, "probe")}};
    uint32_t steps = 0;

    (void)state;
    runner_start(&runner, 1, -1);
    steps = asleep(&probe);
    assert_true(steps <= 4);
    nw_bell_ring(runner.bell);
    until(&probe.steps, steps + 1);
    runner_end(&runner);
    assert_int_equal(atomic_load(&probe.starts), 1);
    assert_int_equal(atomic_load(&probe.closes), 1);
    assert_int_equal(atomic_load(&runner.report.count), 0);
}

static void the_name_is_cut_to_what_the_kernel_takes(void **state)
{
    struct probe probe = fresh();
    struct runner runner = {.agents = {agent_of(&probe, "probe")}};

    (void)state;
    runner_start(&runner, 1, -1);
    runner_end(&runner);
    assert_string_equal(probe.name, "a-name-that-is-");
}

static void a_deadline_wakes_without_a_bell(void **state)
{
    struct probe probe = fresh();
    struct probe other = fresh();
    struct runner runner = {.agents = {agent_of(&other, "other"), agent_of(&probe, "probe")}};
    int64_t began = clock_ns(NULL);

    (void)state;
    probe.deadline_ns = began + 50000000;
    runner_start(&runner, 2, -1);
    while (clock_ns(NULL) < began + 40000000) {
        pause_us(1000);
    }
    until(&probe.steps, 3); /* it went on looking after its deadline had passed */
    runner_end(&runner);
    assert_true(clock_ns(NULL) >= probe.deadline_ns);
    assert_true(atomic_load(&other.steps) >= 3);
}

static void a_descriptor_wakes_without_a_bell(void **state)
{
    struct probe probe = fresh();
    struct runner runner = {.agents = {agent_of(&probe, "probe")}};
    int ends[2];

    (void)state;
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    probe.descriptor = ends[0];
    runner_start(&runner, 1, -1);
    (void)asleep(&probe);
    assert_int_equal(write(ends[1], "x", 1), 1);
    until(&probe.readable, 1);
    runner_end(&runner);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void stopping_wakes_a_sleeper(void **state)
{
    struct probe probe = fresh();
    struct runner runner = {.agents = {agent_of(&probe, "probe")}};

    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        runner_start(&runner, 1, -1);
        if (i % 2 == 0) {
            until(&probe.steps, 1);
        }
        nw_thread_stop(runner.thread);
        runner_end(&runner);
        atomic_store(&probe.steps, 0);
    }
    assert_int_equal(atomic_load(&probe.closes), 200);
}

static void stopping_ends_a_busy_thread(void **state)
{
    struct probe probe = fresh();
    struct runner runner = {.agents = {agent_of(&probe, "probe")}};

    (void)state;
    atomic_store(&probe.busy, true);
    runner_start(&runner, 1, -1);
    until(&probe.steps, 1000);
    runner_end(&runner);
    assert_int_equal(atomic_load(&probe.closes), 1);
}

static void a_failing_agent_is_named_and_ends_its_thread(void **state)
{
    struct probe good = fresh();
    struct probe bad = fresh();
    struct runner runner = {.agents = {agent_of(&good, "good"), agent_of(&bad, "bad")}};

    (void)state;
    atomic_store(&good.busy, true);
    atomic_store(&bad.fail_at, 3);
    runner_start(&runner, 2, -1);
    until(&runner.report.count, 1);
    runner_end(&runner);
    assert_string_equal(runner.report.agent->name, "bad");
    assert_int_equal(runner.report.error.status, NW_CORRUPT);
    assert_string_equal(runner.report.error.text, "broke at step 3");
    assert_int_equal(atomic_load(&runner.report.count), 1);
    assert_int_equal(atomic_load(&bad.steps), 3);
    assert_int_equal(atomic_load(&good.closes), 1);
    assert_int_equal(atomic_load(&bad.closes), 1);
}

static void an_agent_that_fails_while_parked_is_reported(void **state)
{
    struct probe bad = fresh();
    struct runner runner = {.agents = {agent_of(&bad, "bad")}};

    (void)state;
    atomic_store(&bad.fail_at, 2); /* the second look, behind the park */
    runner_start(&runner, 1, -1);
    until(&runner.report.count, 1);
    runner_end(&runner);
    assert_int_equal(atomic_load(&bad.closes), 1);
}

static void an_agent_that_does_not_start_closes_those_that_did(void **state)
{
    struct probe good = fresh();
    struct probe bad = fresh();
    struct runner runner = {.agents = {agent_of(&good, "good"), agent_of(&bad, "bad")}};

    (void)state;
    bad.fail_start = true;
    runner_start(&runner, 2, -1);
    until(&runner.report.count, 1);
    runner_end(&runner);
    assert_string_equal(runner.report.agent->name, "bad");
    assert_int_equal(runner.report.error.status, NW_RETRY);
    assert_int_equal(atomic_load(&good.steps), 0);
    assert_int_equal(atomic_load(&good.closes), 1);
    assert_int_equal(atomic_load(&bad.closes), 0);
}

static void a_pinned_thread_runs_on_its_core_only(void **state)
{
    struct probe probe = fresh();
    struct runner runner = {.agents = {agent_of(&probe, "probe")}};
    cpu_set_t ours;
    int core = 0;

    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof ours, &ours), 0);
    while (!CPU_ISSET((unsigned)core, &ours)) {
        core++;
    }
    runner_start(&runner, 1, core);
    runner_end(&runner);
    assert_int_equal(CPU_COUNT(&probe.cores), 1);
    assert_true(CPU_ISSET((unsigned)core, &probe.cores));
    probe = fresh();
    runner_start(&runner, 1, CPU_SETSIZE - 1); /* not ours: goes on unpinned */
    runner_end(&runner);
    assert_true(CPU_EQUAL(&probe.cores, &ours));
}

static void destroying_no_thread_is_fine(void **state)
{
    (void)state;
    nw_thread_destroy(NULL);
    nw_bell_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_thread_sleeps_until_the_bell_rings),
        cmocka_unit_test(the_name_is_cut_to_what_the_kernel_takes),
        cmocka_unit_test(a_deadline_wakes_without_a_bell),
        cmocka_unit_test(a_descriptor_wakes_without_a_bell),
        cmocka_unit_test(stopping_wakes_a_sleeper),
        cmocka_unit_test(stopping_ends_a_busy_thread),
        cmocka_unit_test(a_failing_agent_is_named_and_ends_its_thread),
        cmocka_unit_test(an_agent_that_fails_while_parked_is_reported),
        cmocka_unit_test(an_agent_that_does_not_start_closes_those_that_did),
        cmocka_unit_test(a_pinned_thread_runs_on_its_core_only),
        cmocka_unit_test(destroying_no_thread_is_fine),
    };

    return cmocka_run_group_tests(tests, watched, NULL);
}
