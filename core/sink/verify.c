/* SPDX-License-Identifier: Apache-2.0 */
/* What a plugin says without a source: of what it stored, and of its configuration. See sink.h. */
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

nw_status nw_sink_try(const struct nw_sink_options *options, struct nw_error *err)
{
    const struct nw_sink_ops *ops = &options->plugin->ops;
    struct nw_sink *sink = NULL;
    void *self = NULL;
    nw_status status = nw_sink_create(options, &sink, err);

    if (status == NW_OK) {
        status = ops->open(&sink->host, options->config, options->workers_count, &self, err);
        if (status == NW_OK && self != NULL) {
            ops->close(self);
        }
    }
    nw_sink_destroy(sink);
    return status;
}
