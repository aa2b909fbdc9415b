/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading sink plugins: shared objects that export nw_sink_entry(). A plugin is never unloaded.
 *
 * Used by the thread that starts the process; a loaded plugin is constant afterwards.
 */
#ifndef NW_SINK_PLUGIN_H
#define NW_SINK_PLUGIN_H

#include <narwal/sink.h>

/** A plugin, checked, with its table brought to the host's size. */
struct nw_plugin {
    struct nw_sink_ops ops;
    char path[512]; /* "" for a table handed over directly */
};

/**
 * Load the plugin of a configured type: FOLDER/TYPE.so.
 *
 * @param folder  absolute, owned by root or by us, not writable by group or others.
 * @param type    a basename without a slash, with or without ".so".
 * @param plugin  filled.
 */
NW_MUST_CHECK nw_status nw_plugin_load(const char *folder, const char *type,
                                       struct nw_plugin *plugin, struct nw_error *err);
/** Load a plugin by path, under the same rules for its folder and file: `narwal sink-check`. */
NW_MUST_CHECK nw_status nw_plugin_load_path(const char *path, struct nw_plugin *plugin,
                                            struct nw_error *err);
/** Take a table directly: sinks inside the process, for tests. Checked in the same way. */
NW_MUST_CHECK nw_status nw_plugin_adopt(const struct nw_sink_ops *ops, struct nw_plugin *plugin,
                                        struct nw_error *err);
/** NW_SINK_...: those of the plugin, and what this configuration adds. */
uint32_t nw_plugin_flags(const struct nw_plugin *plugin, const struct nw_config *config);
/** What of the configuration names nothing that is there: see nw_sink_ops.unmet. */
void nw_plugin_unmet(const struct nw_plugin *plugin, const struct nw_config *config,
                     const struct nw_table *const *tables, uint32_t count,
                     void (*report)(void *context, const char *text), void *context);

#endif
