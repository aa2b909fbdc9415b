/* SPDX-License-Identifier: Apache-2.0 */
/* `narwal topology`: the machine, the plan of threads, and why. Runs nothing. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/command.h"
#include "io/plan.h"

#define COPY_WORKERS_USUAL 4u /* the default of copy.workers */
#define CPUS_MAX           1024

static const char HELP[] =
    "usage: narwal topology [FILE.yaml] [--cpus N] [--machine DESCRIPTION]\n\n"
    "Shows the cores, NUMA nodes and limits that narwal sees here, which threads it would run and "
    "on\n"
    "which cores, and why. Without FILE.yaml: for one file sink.\n\n"
    "  --cpus N               plan for N cores, as limits.cpus does\n"
    "  --machine DESCRIPTION  plan for another machine: \"node:2 core:32 pu:1\" (hwloc's "
    "notation)\n";

static void demand_fill(const struct nw_run_config *config, struct nw_demand *demand)
{
    demand->readers_count = (uint32_t)config->copy_workers;
    demand->cores_count = (uint32_t)config->cpus;
    demand->never_pin = !config->pin;
    demand->sinks_count = config->sinks_count;
    for (uint32_t i = 0; i < config->sinks_count; i++) {
        demand->sinks[i] = (struct nw_plan_sink){config->sinks[i].name, config->sinks[i].workers};
    }
}

/* The budget must fit: past the group's limit the kernel kills us. */
static void memory_print(const struct nw_topology *topology, const struct nw_run_config *config)
{
    char text[NW_NUMBER_TEXT_SIZE];
    int64_t least = 0;
    int64_t budget = nw_memory_budget(config, topology, &least);

    (void)printf("\nmemory for rows in flight: %s%s\n", nw_size_text(text, (double)budget),
                 budget < config->memory_bytes
                     ? ", half of what there is; limits.memory says otherwise"
                     : "");
    if (least > 0 && budget > least / 2) {
        (void)printf("warning: limits.memory is %s, more than half of the memory there is\n", text);
    }
}

static int show(const char *machine, const struct nw_demand *demand,
                const struct nw_run_config *config)
{
    struct nw_error err = {0};
    struct nw_topology *topology = NULL;
    struct nw_plan *plan = malloc(sizeof *plan);
    nw_status status = plan == NULL      ? nw_fail(&err, NW_FATAL, "out of memory")
                       : machine == NULL ? nw_topology_read(&topology, &err)
                                         : nw_topology_synthetic(machine, &topology, &err);

    if (status == NW_OK) {
        nw_plan_make(topology, demand, plan);
        nw_plan_print(plan, stdout);
        if (config != NULL && machine == NULL) {
            memory_print(topology, config);
        }
    } else {
        nw_complain_error(&err);
    }
    nw_topology_destroy(topology);
    free(plan);
    return status == NW_OK ? 0 : NW_EXIT_FAILED;
}

int nw_cmd_topology(int argc, char **argv)
{
    struct nw_config_arguments arguments = {0};
    struct nw_run_config config;
    struct nw_demand demand = {
        .sinks = {{"file", 1}}, .sinks_count = 1, .readers_count = COPY_WORKERS_USUAL};
    const char *rest[1] = {NULL};
    const char *cpus = NULL;
    const char *machine = NULL;
    int64_t number = 0;
    int code = 0;
    const struct nw_argument known[] = {
        {.name = "cpus", .value = &cpus}, {.name = "machine", .value = &machine}, {.name = NULL}};

    code = nw_arguments_read(argc, argv, known, HELP, rest, 1);
    if (code != NW_GO_ON) {
        return code;
    }
    if (cpus != NULL && (!nw_integer_parse(cpus, &number) || number < 1 || number > CPUS_MAX)) {
        nw_complain("NW1501 --cpus is a number from 1 to %d, not \"%s\"", CPUS_MAX, cpus);
        return NW_EXIT_USAGE;
    }
    arguments.file = rest[0];
    if (arguments.file != NULL) {
        if (!nw_config_open(&arguments, &config)) {
            return NW_EXIT_USAGE;
        }
        demand_fill(&config, &demand);
    }
    demand.cores_count = cpus != NULL ? (uint32_t)number : demand.cores_count;
    code = show(machine, &demand, arguments.file != NULL ? &config : NULL);
    if (arguments.file != NULL) {
        nw_config_free(&config);
    }
    return code;
}
