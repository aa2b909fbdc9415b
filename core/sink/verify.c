/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin's own check of what it stored, without a source: see nw_sink_verify() in sink.h. */
#include "sink/sink.h"
#include "sink/worker.h"

nw_status nw_sink_verify(const struct nw_sink_verification *verification, struct nw_error *err)
{
    const struct nw_plugin *plugin = verification->plugin;
    struct nw_config config = {.name = "verify"};
    struct nw_sink_options options = {
        .env = verification->env, .plugin = plugin, .config = &config, .workers_count = 1};
    struct nw_sink *sink = NULL;
    nw_status status = NW_OK;

    if (plugin->ops.verify == NULL) {
        return nw_fail(err, NW_FATAL, "NW2606 sinks of type %s cannot verify what they wrote",
                       plugin->ops.name);
    }
    status = nw_sink_create(&options, &sink, err);
    if (status == NW_OK) {
        status = plugin->ops.verify(&sink->host, verification->path, verification->report,
                                    verification->context, err);
    }
    nw_sink_destroy(sink);
    return status;
}
