/* SPDX-License-Identifier: Apache-2.0 */
/* The pipeline of a configuration, for commands that act in its place while it does not run. */
#ifndef NW_CLI_PIPELINE_H
#define NW_CLI_PIPELINE_H

#include "cli/command.h"
#include "pipeline/run.h"
#include "sink/plugin.h"

struct nw_pipeline {
    struct nw_run_config config; /* open: nw_config_open() */
    struct nw_plugin plugins[NW_CONFIG_SINKS_MAX];
    struct nw_config resolved[NW_CONFIG_SINKS_MAX];
    struct nw_run_options options; /* env is the caller's to end */
};

/** Load the plugins, and fill the options; env is made. */
NW_MUST_CHECK nw_status nw_pipeline_load(struct nw_pipeline *pipeline, struct nw_error *err);

/**
 * What was begun with the pipeline has ended. Ends the process where a plugin did not return: what
 * it still uses must not go.
 * @param err  of that
 */
void nw_pipeline_ended(nw_status status, int code, const struct nw_error *err);

/**
 * Ask whether to go on, unless yes.
 * @return false: nothing is to be changed, which was said
 */
bool nw_go_on(bool yes);

#endif
