/* SPDX-License-Identifier: Apache-2.0 */
/* `narwal plan`: how long the first copy takes, how much room it needs, and what could go wrong. */
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/host.h"
#include "cli/plan_print.h"

#define FORECAST_BYTES_MAX (512u << 20)
#define TIME_US_DEFAULT    20000000
#define TIME_US_MIN        100000
#define TIME_US_MAX        INT64_C(3600000000)
#define OPEN_FOLDERS_MAX   16

static const char HELP[] =
    "usage: narwal plan FILE.yaml [--json] [--verbose] [--time DURATION]\n"
    "       narwal plan --source DSN [--sink SPEC ...] [--name NAME] [--json] [--verbose]\n"
    "                   [--time DURATION]\n\n"
    "Reads a little of each large table, and how much WAL is written, and says how long the copy\n"
    "takes, how large spool and target become, how many workers are of use, and what could go\n"
    "wrong. Nothing is changed on the server.\n\n"
    "  --time DURATION  how long tables may be read in all (default 20s)\n"
    "  --json           one object for programs; docs/plan.md explains it\n"
    "  --verbose        print every table, and all names and statements in full\n\n"
    "exit codes: 0 nothing must be mended, 1 something must, 2 called wrongly\n";

/* Sinks are tried in a folder of our own. */
struct plan {
    struct nw_run_config *config;
    struct nw_forecast_options options;
    struct nw_plugin plugins[NW_CONFIG_SINKS_MAX];
    struct nw_config resolved[NW_CONFIG_SINKS_MAX];
    struct nw_setting *settings[NW_CONFIG_SINKS_MAX]; /* with another path */
    struct nw_trial_options trials[NW_CONFIG_SINKS_MAX];
    char folders[NW_CONFIG_SINKS_MAX][PATH_MAX];
    char folder[PATH_MAX]; /* of all trials; "": none was made */
};

static volatile sig_atomic_t stop_asked;

/* The first ends it after the statement under way, which leaves no folder behind; the second now.
 */
static void on_signal(int number)
{
    (void)number;
    if (stop_asked != 0) {
        _exit(NW_EXIT_FAILED);
    }
    stop_asked = 1;
}

static bool stopped(void)
{
    return stop_asked != 0;
}

static void signals_watch(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGHUP, &action, NULL);
}

/* ---- trials ---- */

static bool trials_folder(struct plan *plan, struct nw_error *err)
{
    const char *parent = getenv("TMPDIR"); /* NOLINT(concurrency-mt-unsafe): one thread */

    if (plan->folder[0] != '\0') {
        return true;
    }
    (void)snprintf(plan->folder, sizeof plan->folder, "%s/narwal-plan-XXXXXX",
                   parent == NULL || parent[0] != '/' ? "/tmp" : parent);
    if (mkdtemp(plan->folder) == NULL) {
        (void)nw_fail(err, NW_FATAL, "NW1508 no folder %s can be made", plan->folder);
        plan->folder[0] = '\0';
        return false;
    }
    return true;
}

static int entry_remove(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    (void)remove(path);
    return 0;
}

/* The row of the option that says where the files go; -1: there is none. */
static int path_option(const struct nw_plugin *plugin)
{
    for (uint32_t i = 0; i < plugin->ops.options_count; i++) {
        const struct nw_option *option = &plugin->ops.options[i];

        if (strcmp(option->name, "path") == 0 && option->type == NW_OPTION_PATH) {
            return (int)i;
        }
    }
    return -1;
}

/* Our own sinks that write files or nothing can be tried; what another would do is not known. */
static nw_status trial_prepare(struct plan *plan, uint32_t i, struct nw_error *err)
{
    struct nw_forecast_sink *sink = &plan->options.sinks[i];
    struct nw_config *config = &plan->resolved[i];
    const char *type = plan->plugins[i].ops.name;
    int path = path_option(&plan->plugins[i]);

    if (strcmp(type, "file") == 0 && path >= 0) {
        sink->folder = config->settings[path].text;
        sink->free_bytes = nw_host_free_bytes(sink->folder);
        if (!trials_folder(plan, err)) {
            return NW_FATAL;
        }
        plan->settings[i] = calloc(config->settings_count, sizeof **plan->settings);
        if (plan->settings[i] == NULL ||
            snprintf(plan->folders[i], PATH_MAX, "%s/%u", plan->folder, i) >= PATH_MAX) {
            return nw_fail(err, NW_FATAL, "out of memory for a trial of sink %s", sink->name);
        }
        memcpy(plan->settings[i], config->settings,
               config->settings_count * sizeof **plan->settings);
        plan->settings[i][path].text = plan->folders[i];
        config->settings = plan->settings[i];
        plan->trials[i].folder = plan->folders[i];
    } else if (strcmp(type, "null") != 0) {
        return NW_OK;
    }
    plan->trials[i].env = plan->options.env;
    plan->trials[i].plugin = &plan->plugins[i];
    plan->trials[i].config = config;
    sink->trial = &plan->trials[i];
    return NW_OK;
}

static nw_status sinks_prepare(struct plan *plan, struct nw_error *err)
{
    struct nw_run_config *config = plan->config;
    char buffer[4096];
    const char *plugins = nw_plugin_folder(config, buffer, sizeof buffer);
    nw_status status = NW_OK;

    plan->options.sinks_count = config->sinks_count;
    for (uint32_t i = 0; i < config->sinks_count && status == NW_OK; i++) {
        uint32_t workers = config->sinks[i].workers;

        status = nw_plugin_load(plugins, config->sinks[i].type, &plan->plugins[i], err);
        if (status == NW_OK) {
            status =
                nw_config_resolve_sink(config, i, plan->plugins[i].ops.options,
                                       plan->plugins[i].ops.options_count, &plan->resolved[i], err);
        }
        if (status == NW_OK) {
            uint32_t most = plan->plugins[i].ops.workers_max;

            plan->options.sinks[i] =
                (struct nw_forecast_sink){.name = config->sinks[i].name,
                                          .type = config->sinks[i].type,
                                          .free_bytes = UINT64_MAX,
                                          .workers_count = workers < most ? workers : most};
            status = trial_prepare(plan, i, err);
        }
    }
    return status;
}

static void plan_free(struct plan *plan)
{
    for (uint32_t i = 0; i < NW_CONFIG_SINKS_MAX; i++) {
        free(plan->settings[i]);
    }
    if (plan->folder[0] != '\0') {
        /* NOLINTNEXTLINE(concurrency-mt-unsafe): commands have one thread */
        (void)nftw(plan->folder, entry_remove, OPEN_FOLDERS_MAX, FTW_DEPTH | FTW_PHYS);
    }
    nw_env_system_destroy(plan->options.env);
    free(plan);
}

/* ---- the command ---- */

static struct nw_forecast_options options_of(const struct nw_run_config *c, int64_t time_us)
{
    return (struct nw_forecast_options){
        .preflight = {.copies = true,
                      .streams = c->snapshot != NW_CONFIG_ONLY,
                      .copy_workers = (uint32_t)c->copy_workers,
                      .transforms = &c->transforms,
                      .copy_where = {c->copy_where, c->copy_where_count},
                      .running = nw_running(c) ? c->state_dir : NULL,
                      .server = nw_config_server(c)},
        .cores_count = nw_host_cores(c),
        .time_ns = time_us * 1000,
        .spools = c->ack_spool && c->snapshot != NW_CONFIG_ONLY,
        .spool_folder = c->spool_dir,
        .spool_free_bytes = nw_host_free_bytes(c->spool_dir),
        .spool_max_bytes = (uint64_t)c->spool_bytes,
        .memory_bytes = (uint64_t)c->memory_bytes,
        .stopped = stopped,
    };
}

static nw_status make(struct plan *plan, struct nw_arena *arena, struct nw_forecast *forecast,
                      struct nw_error *err)
{
    nw_status status = nw_env_system_create(NW_IO_AUTO, &plan->options.env, err);

    status = status == NW_OK ? sinks_prepare(plan, err) : status;
    return status == NW_OK ? nw_forecast_make(&plan->options, arena, forecast, err) : status;
}

static int plan_run(struct nw_run_config *config, int64_t time_us, bool json, bool verbose)
{
    struct plan *plan = calloc(1, sizeof *plan);
    struct nw_forecast forecast;
    struct nw_arena arena;
    struct nw_error err = {0};
    int code = NW_EXIT_FAILED;

    if (plan == NULL) {
        nw_complain("NW2901 out of memory");
        return NW_EXIT_FAILED;
    }
    plan->config = config;
    plan->options = options_of(config, time_us);
    nw_arena_init(&arena, FORECAST_BYTES_MAX);
    if (make(plan, &arena, &forecast, &err) != NW_OK) {
        nw_complain_error(&err);
    } else {
        bool printed = true;

        if (json) {
            printed = nw_plan_json(&plan->options, &forecast, config->name, stdout);
            if (!printed) {
                nw_complain("NW1507 the plan cannot be printed");
            }
        } else {
            nw_plan_text(&plan->options, &forecast, config->name, verbose, stdout);
        }
        code = printed && nw_preflight_count(&forecast.checks, NW_FINDING_FAIL) == 0
                   ? 0
                   : NW_EXIT_FAILED;
    }
    nw_arena_fini(&arena);
    plan_free(plan);
    return code;
}

int nw_cmd_plan(int argc, char **argv)
{
    struct nw_config_arguments arguments = {0};
    struct nw_run_config config;
    const char *rest[1] = {NULL};
    const char *time = NULL;
    int64_t time_us = TIME_US_DEFAULT;
    bool json = false;
    bool verbose = false;
    int code = 0;
    const struct nw_argument known[] = {{.name = "source", .value = &arguments.source},
                                        {.name = "sink",
                                         .list = arguments.sinks,
                                         .list_count = &arguments.sinks_count,
                                         .list_max = NW_CONFIG_SINKS_MAX},
                                        {.name = "name", .value = &arguments.name},
                                        {.name = "state-dir", .value = &arguments.state_dir},
                                        {.name = "time", .value = &time},
                                        {.name = "json", .flag = &json},
                                        {.name = "verbose", .flag = &verbose},
                                        {.name = NULL}};

    code = nw_arguments_read(argc, argv, known, HELP, rest, 1);
    if (code != NW_GO_ON) {
        return code;
    }
    if (time != NULL &&
        (!nw_duration_parse(time, &time_us) || time_us < TIME_US_MIN || time_us > TIME_US_MAX)) {
        nw_complain("NW1501 --time %s: a duration from 100ms to 1h, as 20s", time);
        return NW_EXIT_USAGE;
    }
    arguments.file = rest[0];
    if (!nw_config_open(&arguments, &config)) {
        return NW_EXIT_USAGE;
    }
    nw_log_setup(2, NW_LOG_WARN, false);
    signals_watch();
    code = plan_run(&config, time_us, json, verbose);
    nw_config_free(&config);
    return code;
}
