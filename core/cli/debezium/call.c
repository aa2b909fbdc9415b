/* SPDX-License-Identifier: Apache-2.0 */
/* See call.h. */
#include "cli/debezium/call.h"

#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"

#define ARGUMENTS_MAX 12u

int nw_connector_command(int argc, char **argv, const struct nw_argument *own, const char *help,
                         struct nw_connector_call *call)
{
    struct nw_config_arguments arguments = {0};
    struct nw_argument known[ARGUMENTS_MAX] = {
        {.name = "name", .value = &arguments.name},
        {.name = "state-dir", .value = &arguments.state_dir},
        {.name = "dry-run", .flag = &call->dry_run},
        {.name = "yes", .flag = &call->yes},
    };
    const char *rest[2] = {NULL, NULL};
    uint32_t count = 4;
    int code = NW_EXIT_USAGE;

    for (; own->name != NULL; own++) {
        NW_ASSERT(count + 1 < ARGUMENTS_MAX); /* the last one has no name */
        known[count++] = *own;
    }
    code = nw_arguments_read(argc, argv, known, help, rest, 2);
    if (code != NW_GO_ON) {
        return code;
    }
    arguments.file = call->file = rest[0];
    call->from = rest[1];
    call->connector.url = call->from != NULL && nw_connect_is_url(call->from) ? call->from : NULL;
    nw_log_setup(STDERR_FILENO, NW_LOG_WARN, false);
    if (!call->fits(call) || !nw_config_open(&arguments, &call->pipeline.config)) {
        return NW_EXIT_USAGE;
    }
    code = call->run(call);
    nw_env_system_destroy(call->pipeline.options.env);
    nw_connector_fini(&call->connector);
    nw_config_free(&call->pipeline.config);
    return code;
}
