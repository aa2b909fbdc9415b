/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conformance runner: drives a plugin through order, retry, restart, unknown outcomes, copies,
 * kept memory and unusual use, and says for each check whether the plugin kept the contract of
 * <narwal/sink.h>. What a sink stored is read back only through recover().
 *
 * The plugin runs in a child process: one that crashes or hangs is a failed check.
 */
#ifndef NW_SINK_CHECK_H
#define NW_SINK_CHECK_H

#include "io/env.h"
#include "sink/plugin.h"

/** How long one check may take. */
#define NW_CHECK_SECONDS_MAX 60u

struct nw_check_options {
    struct nw_env *env;
    const struct nw_plugin *plugin;
    const struct nw_config *config; /* names a place of its own, empty, that may be written */
    void (*report)(void *context, const char *line); /* one line for each check */
    void *context;
};

/**
 * Run all checks. Lines are "ok    NAME", "FAIL  NAME: REASON" or "skip  NAME: REASON".
 *
 * @param failed  filled: how many checks failed; 0 means that the plugin conforms.
 * @return NW_OK when the checks ran, whatever they found.
 */
NW_MUST_CHECK nw_status nw_check_run(const struct nw_check_options *options, uint32_t *failed,
                                     struct nw_error *err);

#endif
