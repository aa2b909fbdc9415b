/* SPDX-License-Identifier: Apache-2.0 */
/* `narwal sink-check PLUGIN.so`: runs the conformance checks of core/sink/check.h. */
#include <string.h>

#include "cli/command.h"
#include "io/env.h"
#include "sink/check.h"

static const char HELP[] =
    "usage: narwal sink-check PLUGIN.so [VALUE] [key=value ...]\n\n"
    "Drives a sink plugin through order, retry, restart, unknown outcomes, copies, kept arrays "
    "and\n"
    "misuse. VALUE is its first required option, as in --sink TYPE:VALUE; it must name an empty "
    "place\n"
    "that may be written. docs/sdk.md explains each check.\n"
    "exit codes: 0 every check passed, 1 one failed or the plugin was refused\n";

#define ARGUMENTS_MAX 32

static void print_line(void *context, const char *line)
{
    (void)context;
    (void)puts(line);
    (void)fflush(stdout);
}

/* The plugin's options, from what --sink would say. */
static nw_status configure(const char *const *rest, const struct nw_plugin *plugin,
                           struct nw_run_config *config, struct nw_config *resolved,
                           struct nw_error *err)
{
    char spec[4096] = "check:";
    const char *sinks[1] = {spec};
    nw_status status = NW_OK;

    for (int i = 1; rest[i] != NULL; i++) {
        size_t used = strlen(spec);

        if (snprintf(spec + used, sizeof spec - used, "%s%s", i > 1 ? "," : "", rest[i]) >=
            (int)(sizeof spec - used)) {
            return nw_fail(err, NW_FATAL, "NW1501 the options are too long");
        }
    }
    status = nw_config_from_arguments("dbname=check", sinks, 1, config, err);
    if (status == NW_OK) {
        status = nw_config_resolve_sink(config, 0, plugin->ops.options, plugin->ops.options_count,
                                        resolved, err);
    }
    if (status != NW_OK && rest[1] == NULL) { /* nothing was given, so something is missing */
        return nw_fail(
            err, NW_FATAL,
            "NW1501 the plugin has a required option: narwal sink-check %s VALUE gives its "
            "first, key=value others",
            rest[0]);
    }
    return status;
}

int nw_cmd_sink_check(int argc, char **argv)
{
    const char *rest[ARGUMENTS_MAX + 1] = {NULL};
    int code = 0;
    struct nw_plugin plugin;
    struct nw_run_config config = {0};
    struct nw_config resolved;
    struct nw_env *env = NULL;
    struct nw_error err = {0};
    uint32_t failed = 0;
    const struct nw_argument known[] = {{.name = NULL}};
    nw_status status = NW_OK;

    code = nw_arguments_read(argc, argv, known, HELP, rest, ARGUMENTS_MAX);
    if (code != NW_GO_ON) {
        return code;
    }
    if (rest[0] == NULL) {
        (void)fputs(HELP, stderr);
        return NW_EXIT_USAGE;
    }
    status = nw_plugin_load_path(rest[0], &plugin, &err);
    if (status == NW_OK) {
        status = configure(rest, &plugin, &config, &resolved, &err);
    }
    if (status == NW_OK) {
        status = nw_env_system_create(NW_IO_AUTO, &env, &err);
    }
    if (status == NW_OK) {
        struct nw_check_options options = {
            .env = env, .plugin = &plugin, .config = &resolved, .report = print_line};

        status = nw_check_run(&options, &failed, &err);
    }
    if (status != NW_OK) {
        nw_complain_error(&err);
    } else if (failed == 0) {
        (void)puts("the plugin conforms");
    } else {
        (void)printf("%u checks failed\n", failed);
    }
    nw_env_system_destroy(env);
    nw_config_free(&config);
    return status == NW_OK && failed == 0 ? 0 : NW_EXIT_FAILED;
}
