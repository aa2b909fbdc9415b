/* SPDX-License-Identifier: Apache-2.0 */
/* See pipeline.h. */
#include "cli/pipeline.h"

#include <stdio.h>
#include <unistd.h>

static nw_status sinks_load(struct nw_pipeline *p, struct nw_error *err)
{
    char buffer[4096];
    const char *folder = nw_plugin_folder(&p->config, buffer, sizeof buffer);
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < p->config.sinks_count && status == NW_OK; i++) {
        const struct nw_sink_config *sink = &p->config.sinks[i];
        struct nw_plugin *plugin = &p->plugins[i];

        status = nw_plugin_load(folder, sink->type, plugin, err);
        if (status == NW_OK) {
            status = nw_config_resolve_sink(&p->config, i, plugin->ops.options,
                                            plugin->ops.options_count, &p->resolved[i], err);
        }
        if (status == NW_OK) {
            bool too_many = sink->workers > plugin->ops.workers_max;

            p->options.sinks[i] = (struct nw_run_sink){
                .name = sink->name,
                .plugin = plugin,
                .config = &p->resolved[i],
                .workers_count = too_many ? plugin->ops.workers_max : sink->workers};
        }
    }
    p->options.sinks_count = p->config.sinks_count;
    return status;
}

nw_status nw_pipeline_load(struct nw_pipeline *p, struct nw_error *err)
{
    const struct nw_run_config *c = &p->config;
    nw_status status = nw_env_system_create(NW_IO_AUTO, &p->options.env, err);

    if (status != NW_OK) {
        return status;
    }
    p->options.name = c->name;
    p->options.state_folder = c->state_dir;
    p->options.spool_folder = c->spool_dir;
    p->options.spill_folder = c->spill_dir;
    p->options.server = nw_config_server(c);
    p->options.server.env = p->options.env;
    p->options.transforms = &c->transforms;
    return sinks_load(p, err);
}

void nw_pipeline_ended(nw_status status, int code, const struct nw_error *err)
{
    if (status != NW_OK) {
        nw_complain_error(err);
        (void)fflush(stdout);
        _exit(code); /* no destructor may take away what the plugin still uses */
    }
}

bool nw_go_on(bool yes)
{
    char answer[16] = "";

    if (yes) {
        return true;
    }
    if (isatty(STDIN_FILENO) != 1) {
        nw_complain("NW1501 nothing was changed: there is nobody to ask; --yes goes on without");
        return false;
    }
    (void)fputs("Go on? [y/N] ", stdout);
    (void)fflush(stdout);
    if (fgets(answer, sizeof answer, stdin) == NULL || (answer[0] != 'y' && answer[0] != 'Y')) {
        (void)puts("nothing was changed");
        return false;
    }
    return true;
}
