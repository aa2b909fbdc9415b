/* SPDX-License-Identifier: Apache-2.0 */
/* `narwal check`: what would stand in the way, before anything is touched. */
#include <string.h>

#include "base/log.h"
#include "cli/command.h"
#include "pipeline/preflight.h"

#define FINDINGS_BYTES_MAX (64u << 20)

static const char HELP[] =
    "usage: narwal check FILE.yaml [--sql] [--verbose]\n"
    "       narwal check --source DSN [--sink SPEC ...] [--name NAME] [--sql] [--verbose]\n\n"
    "Looks at the configuration, the sinks' plugins and the database, and names every problem "
    "with\n"
    "what mends it. Reads only; nothing is changed.\n\n"
    "  --sql       print the mending SQL statements alone, for a DBA\n"
    "  --verbose   print all names and statements in full\n\n"
    "exit codes: 0 nothing must be mended, 1 something must, 2 called wrongly\n";

static struct nw_preflight_options options_of(const struct nw_run_config *c)
{
    return (struct nw_preflight_options){.copies = c->snapshot != NW_CONFIG_NEVER,
                                         .streams = c->snapshot != NW_CONFIG_ONLY,
                                         .copy_workers = (uint32_t)c->copy_workers,
                                         .server = nw_config_server(c)};
}

/* Plugins load, and take the configuration. */
static void sinks_check(struct nw_run_config *config, struct nw_preflight *preflight)
{
    char buffer[4096];
    const char *folder = nw_plugin_folder(config, buffer, sizeof buffer);

    for (uint32_t i = 0; i < config->sinks_count; i++) {
        struct nw_plugin plugin;
        struct nw_config resolved;
        struct nw_error why = {0};
        nw_status status = nw_plugin_load(folder, config->sinks[i].type, &plugin, &why);

        if (status == NW_OK) {
            status = nw_config_resolve_sink(config, i, plugin.ops.options, plugin.ops.options_count,
                                            &resolved, &why);
        }
        if (status == NW_OK) {
            (void)nw_preflight_add(preflight, NW_FINDING_OK, "", "sink %s: %s %s",
                                   config->sinks[i].name, plugin.ops.name, plugin.ops.version);
        } else {
            (void)nw_preflight_add(preflight, NW_FINDING_FAIL, "NW1225", "sink %s: %s",
                                   config->sinks[i].name, why.text);
        }
    }
}

static int check(struct nw_run_config *config, bool sql, bool verbose)
{
    struct nw_preflight_options options = options_of(config);
    struct nw_preflight preflight;
    struct nw_arena arena;
    struct nw_error err = {0};
    int code = NW_EXIT_FAILED;

    nw_arena_init(&arena, FINDINGS_BYTES_MAX);
    if (nw_preflight_run(&options, &arena, &preflight, &err) != NW_OK) {
        nw_complain("%s", err.text);
    } else {
        sinks_check(config, &preflight);
        if (sql) {
            nw_preflight_sql(&preflight, config->name, stdout);
        } else {
            nw_preflight_print(&preflight, config->name, verbose, stdout);
        }
        code = nw_preflight_count(&preflight, NW_FINDING_FAIL) == 0 ? 0 : NW_EXIT_FAILED;
    }
    nw_arena_fini(&arena);
    return code;
}

int nw_cmd_check(int argc, char **argv)
{
    struct nw_config_arguments arguments = {0};
    struct nw_run_config config;
    const char *rest[1] = {NULL};
    bool sql = false;
    bool verbose = false;
    int code = 0;
    const struct nw_argument known[] = {{.name = "source", .value = &arguments.source},
                                        {.name = "sink",
                                         .list = arguments.sinks,
                                         .list_count = &arguments.sinks_count,
                                         .list_max = NW_CONFIG_SINKS_MAX},
                                        {.name = "name", .value = &arguments.name},
                                        {.name = "state-dir", .value = &arguments.state_dir},
                                        {.name = "sql", .flag = &sql},
                                        {.name = "verbose", .flag = &verbose},
                                        {.name = NULL}};

    code = nw_arguments_read(argc, argv, known, HELP, rest, 1);
    if (code != NW_GO_ON) {
        return code;
    }
    arguments.file = rest[0];
    if (!nw_config_open(&arguments, &config)) {
        return NW_EXIT_USAGE;
    }
    nw_log_setup(2, NW_LOG_WARN, false);
    code = check(&config, sql, verbose);
    nw_config_free(&config);
    return code;
}
