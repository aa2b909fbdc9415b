/* SPDX-License-Identifier: Apache-2.0 */
/* Topologies, control groups, and the plans made from them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/cgroup.h"
#include "io/plan.h"

static struct nw_plan plan;
static struct nw_topology *topology;

static struct nw_demand usual(void)
{
    return (struct nw_demand){
        .sinks = {{"file", 1}, {"lake", 4}}, .sinks_count = 2, .readers_count = 4};
}

static void plan_for(const char *machine, const struct nw_demand *demand)
{
    struct nw_error err = {0};

    nw_topology_destroy(topology);
    topology = NULL;
    assert_int_equal(nw_topology_synthetic(machine, &topology, &err), NW_OK);
    nw_plan_make(topology, demand, &plan);
}

static int teardown(void **state)
{
    (void)state;
    nw_topology_destroy(topology);
    topology = NULL;
    return 0;
}

static const struct nw_plan_thread *thread_named(const char *name)
{
    for (uint32_t i = 0; i < plan.threads_count; i++) {
        if (strcmp(plan.threads[i].name, name) == 0) {
            return &plan.threads[i];
        }
    }
    fail_msg("no thread %s", name);
    abort(); /* fail_msg does not return, but is not declared so */
}

/* What holds for every plan. */
static void plan_check(void)
{
    bool taken[NW_CORES_MAX] = {false};

    assert_true(plan.engine_threads_count <= plan.threads_count);
    assert_true(plan.service_thread < plan.engine_threads_count);
    assert_true(plan.threads[plan.service_thread].blocks);
    for (uint32_t i = 0; i < plan.lanes_count; i++) {
        assert_false(plan.threads[plan.lane_threads[i]].blocks);
        assert_true(plan.lane_threads[i] < plan.engine_threads_count);
    }
    for (uint32_t i = 0; i < 4; i++) {
        assert_false(plan.threads[plan.reader_threads[i]].blocks);
    }
    for (uint32_t i = 0; i < 2; i++) {
        assert_false(plan.threads[plan.sequencer_threads[i]].blocks);
    }
    for (uint32_t i = plan.engine_threads_count; i < plan.threads_count; i++) {
        assert_true(plan.threads[i].blocks);
    }
    for (uint32_t i = 0; i < plan.threads_count; i++) {
        int core = plan.threads[i].core;

        assert_true(plan.threads[i].reason[0] != '\0');
        assert_true(plan.threads[i].agents[0] != '\0');
        if (core >= 0) {
            assert_false(plan.threads[i].blocks);
            assert_false(taken[core]);
            taken[core] = true;
        }
    }
}

static void one_core_shares_all_but_what_blocks(void **state)
{
    struct nw_demand demand = usual();

    (void)state;
    plan_for("core:1 pu:1", &demand);
    plan_check();
    assert_int_equal(plan.cores_count, 1);
    assert_int_equal(plan.lanes_count, 1);
    assert_int_equal(plan.engine_threads_count, 2); /* engine, service */
    assert_int_equal(plan.threads_count, 2 + 1 + 5);
    assert_int_equal(plan.lane_threads[0], 0);
    assert_int_equal(plan.reader_threads[3], 0);
    assert_int_equal(plan.sequencer_threads[1], 0);
    assert_false(plan.pinned);
    assert_non_null(strstr(plan.threads[0].agents, "acknowledger"));
}

static void two_cores_are_like_one_even_if_lanes_are_asked_for(void **state)
{
    struct nw_demand demand = usual();

    (void)state;
    demand.lanes_count = 8;
    plan_for("core:2 pu:1", &demand);
    plan_check();
    assert_int_equal(plan.lanes_count, 1);
    assert_int_equal(plan.engine_threads_count, 2);
    assert_false(plan.pinned);
}

static void eight_cores_give_lanes_threads_and_cores(void **state)
{
    struct nw_demand demand = usual();

    (void)state;
    plan_for("core:8 pu:1", &demand);
    plan_check();
    assert_int_equal(plan.lanes_count, 4);
    assert_int_equal(plan.engine_threads_count, 1 + 4 + 1);
    assert_true(plan.pinned);
    assert_int_equal(plan.threads[0].core, 0);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(plan.threads[plan.lane_threads[i]].core, (int)i + 1);
    }
    assert_int_equal(plan.sequencer_threads[0], 0);
    assert_int_equal(plan.threads[plan.service_thread].core, -1);
    assert_int_equal(thread_named("sink-lake-3")->core, -1);
    assert_int_equal(thread_named("sink-lake")->core, -1); /* the coordinator */
}

static void four_cores_keep_one_free_for_what_blocks(void **state)
{
    struct nw_demand demand = usual();
    int pinned = 0;

    (void)state;
    demand.lanes_count = 8;
    plan_for("core:4 pu:1", &demand);
    plan_check();
    for (uint32_t i = 0; i < plan.threads_count; i++) {
        pinned += plan.threads[i].core >= 0;
    }
    assert_int_equal(pinned, 3);
}

static void sixty_four_cores_on_two_nodes_keep_the_engine_on_one(void **state)
{
    struct nw_demand demand = usual();

    (void)state;
    plan_for("node:2 core:32 pu:1", &demand);
    plan_check();
    assert_int_equal(topology->nodes_count, 2);
    assert_int_equal(plan.lanes_count, 16);
    assert_int_equal(plan.engine_threads_count, 1 + 16 + 4 + 2 + 1);
    for (uint32_t i = 0; i < plan.engine_threads_count; i++) {
        if (!plan.threads[i].blocks) {
            assert_true(plan.threads[i].core >= 0);
            assert_int_equal(plan.threads[i].node, 0);
            assert_non_null(strstr(plan.threads[i].reason, "first touch"));
        }
    }
}

static void a_full_node_overflows_to_the_other_and_says_so(void **state)
{
    struct nw_demand demand = usual();

    (void)state;
    demand.lanes_count = 40;
    plan_for("node:2 core:32 pu:1", &demand);
    plan_check();
    assert_int_equal(plan.lanes_count, 40);
    assert_int_equal(plan.threads[plan.lane_threads[30]].node, 0);
    assert_int_equal(plan.threads[plan.lane_threads[31]].node, 1);
    assert_non_null(strstr(plan.threads[plan.lane_threads[31]].reason, "node is full"));
}

static void sixty_four_cores_on_one_node(void **state)
{
    struct nw_demand demand = usual();

    (void)state;
    plan_for("core:64 pu:1", &demand);
    plan_check();
    assert_int_equal(topology->nodes_count, 1);
    assert_int_equal(plan.lanes_count, 16);
    assert_true(plan.pinned);
    assert_null(strstr(plan.threads[0].reason, "first touch"));
}

static void siblings_come_after_whole_cores(void **state)
{
    struct nw_demand demand = usual();

    (void)state;
    plan_for("core:4 pu:2", &demand); /* PU 0 and 1 are one core */
    plan_check();
    assert_int_equal(plan.cores_count, 8);
    assert_int_equal(plan.threads[0].core, 0);
    assert_int_equal(plan.threads[plan.lane_threads[0]].core, 2);
    assert_int_equal(plan.threads[plan.lane_threads[3]].core, 1);
}

static void pinning_is_off_where_the_machine_is_not_ours(void **state)
{
    struct nw_demand demand = usual();

    (void)state;
    plan_for("core:8 pu:1", &demand);
    topology->cpu_thousandths = 2500; /* a quota */
    nw_plan_make(topology, &demand, &plan);
    plan_check();
    assert_int_equal(plan.cores_count, 2);
    assert_false(plan.pinned);
    topology->cpu_thousandths = 6000;
    nw_plan_make(topology, &demand, &plan);
    assert_int_equal(plan.lanes_count, 3);
    assert_false(plan.pinned);
    assert_non_null(strstr(plan.pin_reason, "control group"));
    topology->cpu_thousandths = 0;
    topology->bound = true;
    nw_plan_make(topology, &demand, &plan);
    assert_false(plan.pinned);
    topology->bound = false;
    demand.never_pin = true;
    nw_plan_make(topology, &demand, &plan);
    assert_false(plan.pinned);
    demand.never_pin = false;
    demand.cores_count = 16;
    nw_plan_make(topology, &demand, &plan);
    assert_int_equal(plan.lanes_count, 8);
    assert_false(plan.pinned);
    demand.cores_count = 0;
    nw_plan_make(topology, &demand, &plan);
    assert_true(plan.pinned);
}

static void a_quota_under_one_core_still_plans_for_one(void **state)
{
    struct nw_demand demand = usual();

    (void)state;
    plan_for("core:8 pu:1", &demand);
    topology->cpu_thousandths = 300;
    assert_int_equal(nw_topology_usable(topology), 1);
    topology->cpu_thousandths = 80000;
    assert_int_equal(nw_topology_usable(topology), 8);
}

static void the_largest_demand_fits(void **state)
{
    struct nw_demand demand = {.sinks_count = NW_PLAN_SINKS_MAX,
                               .readers_count = NW_PLAN_READERS_MAX,
                               .lanes_count = 1000};

    (void)state;
    for (uint32_t i = 0; i < NW_PLAN_SINKS_MAX; i++) {
        demand.sinks[i] = (struct nw_plan_sink){"a-sink-with-a-very-long-name-indeed-and-more",
                                                NW_PLAN_WORKERS_MAX};
    }
    plan_for("node:2 core:128 pu:2", &demand);
    plan_check();
    assert_int_equal(plan.lanes_count, NW_PLAN_LANES_MAX);
    assert_int_equal(plan.engine_threads_count, NW_PLAN_ENGINE_THREADS_MAX);
    assert_int_equal(plan.threads_count, NW_PLAN_THREADS_MAX);
}

static void nonsense_describes_no_machine(void **state)
{
    struct nw_error err = {0};
    struct nw_topology *none = NULL;

    (void)state;
    assert_int_equal(nw_topology_synthetic("eight please", &none, &err), NW_FATAL);
    assert_null(none);
    assert_non_null(strstr(err.text, "eight please"));
}

static void the_plan_prints_each_thread_and_why(void **state)
{
    struct nw_demand demand = usual();
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    plan_for("node:2 core:4 pu:1", &demand);
    nw_plan_print(&plan, out);
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(text, "cores    8; 2 NUMA nodes\n"));
    assert_non_null(strstr(text, "pinning  on: "));
    for (uint32_t i = 0; i < plan.threads_count; i++) {
        assert_non_null(strstr(text, plan.threads[i].name));
        assert_non_null(strstr(text, plan.threads[i].reason));
    }
    free(text);
}

/* ---- this machine ---- */

static void this_machine_is_as_the_kernel_says(void **state)
{
    struct nw_error err = {0};
    struct nw_topology *here = NULL;
    cpu_set_t ours;

    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof ours, &ours), 0);
    assert_int_equal(nw_topology_read(&here, &err), NW_OK);
    assert_int_equal(here->cores_count, CPU_COUNT(&ours));
    for (uint32_t i = 0; i < here->cores_count; i++) {
        assert_true(CPU_ISSET((unsigned)here->cores[i].number, &ours));
    }
    assert_true(here->memory_bytes > 0);
    nw_topology_destroy(here);
}

static void a_bound_process_uses_only_its_cores(void **state)
{
    struct nw_error err = {0};
    struct nw_topology *here = NULL;
    cpu_set_t ours;
    cpu_set_t one;
    unsigned first = 0;

    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof ours, &ours), 0);
    if (CPU_COUNT(&ours) < 2) {
        print_message("this process may use only one core\n");
        skip();
    }
    while (!CPU_ISSET(first, &ours)) {
        first++;
    }
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(nw_topology_read(&here, &err), NW_OK);
    assert_int_equal(sched_setaffinity(0, sizeof ours, &ours), 0);
    assert_int_equal(here->cores_count, 1);
    assert_int_equal(here->cores[0].number, (int)first);
    assert_true(here->bound);
    nw_topology_destroy(here);
}

static void confining_leaves_the_pinned_cores(void **state)
{
    struct nw_error err = {0};
    struct nw_topology *here = NULL;
    cpu_set_t ours;
    cpu_set_t after;

    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof ours, &ours), 0);
    if (CPU_COUNT(&ours) < 2) {
        print_message("this process may use only one core\n");
        skip();
    }
    assert_int_equal(nw_topology_read(&here, &err), NW_OK);
    memset(&plan, 0, sizeof plan);
    plan.topology = here;
    plan.pinned = true;
    plan.threads_count = 1;
    plan.threads[0].core = here->cores[0].number;
    nw_plan_confine(&plan);
    assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
    assert_int_equal(sched_setaffinity(0, sizeof ours, &ours), 0);
    assert_int_equal(CPU_COUNT(&after), CPU_COUNT(&ours) - 1);
    assert_false(CPU_ISSET((unsigned)here->cores[0].number, &after));
    nw_topology_destroy(here);
}

/* ---- control groups ---- */

struct group_file {
    const char *path; /* below the folder of the test */
    const char *text;
};

static void folders_make(char *path)
{
    for (char *at = strchr(path + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        *at = '\0';
        (void)mkdir(path, 0700);
        *at = '/';
    }
}

static struct nw_cgroup_limits limits_of(const struct group_file *files)
{
    char folder[] = "/tmp/nw-cgroup-XXXXXX";
    char mount[128];
    char membership[128];
    char command[128];
    struct nw_cgroup_limits limits;

    assert_non_null(mkdtemp(folder));
    (void)snprintf(mount, sizeof mount, "%s/mount", folder);
    (void)snprintf(membership, sizeof membership, "%s/self", folder);
    for (; files->path != NULL; files++) {
        char path[256];
        FILE *file = NULL;

        (void)snprintf(path, sizeof path, "%s/%s", folder, files->path);
        folders_make(path);
        file = fopen(path, "w");
        assert_non_null(file);
        (void)fputs(files->text, file);
        (void)fclose(file);
    }
    limits = nw_cgroup_read(mount, membership);
    (void)snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
    return limits;
}

static void version_2_takes_the_narrowest_group(void **state)
{
    const struct group_file files[] = {{"self", "0::/a/b\n"},
                                       {"mount/a/cpu.max", "250000 100000\n"},
                                       {"mount/a/b/cpu.max", "max 100000\n"},
                                       {"mount/a/memory.max", "max\n"},
                                       {"mount/a/b/memory.max", "1073741824\n"},
                                       {NULL, NULL}};
    struct nw_cgroup_limits limits = limits_of(files);

    (void)state;
    assert_int_equal(limits.cpu_thousandths, 2500);
    assert_int_equal(limits.memory_bytes, 1073741824);
}

static void version_1_reads_quota_and_period(void **state)
{
    const struct group_file files[] = {
        {"self", "4:memory:/m\n3:cpu,cpuacct:/x\n1:name=systemd:/\n0::/\n"},
        {"mount/cpu,cpuacct/x/cpu.cfs_quota_us", "150000\n"},
        {"mount/cpu,cpuacct/x/cpu.cfs_period_us", "50000\n"},
        {"mount/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"},
        {"mount/cpu,cpuacct/cpu.cfs_period_us", "100000\n"},
        {"mount/memory/memory.limit_in_bytes", "9223372036854771712\n"},
        {"mount/memory/m/memory.limit_in_bytes", "536870912\n"},
        {NULL, NULL}};
    struct nw_cgroup_limits limits = limits_of(files);

    (void)state;
    assert_int_equal(limits.cpu_thousandths, 3000);
    assert_int_equal(limits.memory_bytes, 536870912);
}

static void a_group_that_is_not_visible_counts_by_those_above(void **state)
{
    const struct group_file files[] = {
        {"self", "0::/docker/1234\n"}, {"mount/cpu.max", "200000 100000\n"}, {NULL, NULL}};

    (void)state;
    assert_int_equal(limits_of(files).cpu_thousandths, 2000);
}

static void nothing_readable_limits_nothing(void **state)
{
    const struct group_file broken[] = {{"self", "nonsense\n:\n0:\n0::/a\n3:cpu:/\n"},
                                        {"mount/a/cpu.max", "soon 0\n"},
                                        {"mount/a/memory.max", ""},
                                        {"mount/cpu/cpu.cfs_quota_us", "100000\n"},
                                        {NULL, NULL}};
    struct nw_cgroup_limits limits = nw_cgroup_read("/nonexistent", "/nonexistent/cgroup");

    (void)state;
    assert_int_equal(limits.cpu_thousandths, 0);
    assert_int_equal(limits.memory_bytes, 0);
    limits = limits_of(broken);
    assert_int_equal(limits.cpu_thousandths, 0);
    assert_int_equal(limits.memory_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_core_shares_all_but_what_blocks),
        cmocka_unit_test(two_cores_are_like_one_even_if_lanes_are_asked_for),
        cmocka_unit_test(four_cores_keep_one_free_for_what_blocks),
        cmocka_unit_test(eight_cores_give_lanes_threads_and_cores),
        cmocka_unit_test(sixty_four_cores_on_two_nodes_keep_the_engine_on_one),
        cmocka_unit_test(a_full_node_overflows_to_the_other_and_says_so),
        cmocka_unit_test(sixty_four_cores_on_one_node),
        cmocka_unit_test(siblings_come_after_whole_cores),
        cmocka_unit_test(pinning_is_off_where_the_machine_is_not_ours),
        cmocka_unit_test(a_quota_under_one_core_still_plans_for_one),
        cmocka_unit_test(the_largest_demand_fits),
        cmocka_unit_test(nonsense_describes_no_machine),
        cmocka_unit_test(the_plan_prints_each_thread_and_why),
        cmocka_unit_test(this_machine_is_as_the_kernel_says),
        cmocka_unit_test(a_bound_process_uses_only_its_cores),
        cmocka_unit_test(confining_leaves_the_pinned_cores),
        cmocka_unit_test(version_2_takes_the_narrowest_group),
        cmocka_unit_test(version_1_reads_quota_and_period),
        cmocka_unit_test(a_group_that_is_not_visible_counts_by_those_above),
        cmocka_unit_test(nothing_readable_limits_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
