/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A trial of a sink: its plugin is given sample rows of tables, each as a copy of its own, to learn
 * how many bytes it makes of them and what that costs. `narwal plan` uses it, with a configuration
 * that names a folder of its own. On the thread of the caller.
 */
#ifndef NW_SINK_TRIAL_H
#define NW_SINK_TRIAL_H

#include "io/env.h"
#include "sink/plugin.h"

struct nw_trial_options {
    struct nw_env *env;             /* borrow, as all of these, until destroyed */
    const struct nw_plugin *plugin; /* one that answers commits at once */
    const struct nw_config *config;
    const char *folder; /* that the configuration names; NULL: it writes nothing */
};

struct nw_trial;

NW_MUST_CHECK nw_status nw_trial_create(const struct nw_trial_options *options,
                                        struct nw_trial **trial, struct nw_error *err);
void nw_trial_destroy(struct nw_trial *trial); /* NULL is fine */

/** @param table  borrow until the trial is destroyed. */
NW_MUST_CHECK nw_status nw_trial_begin(struct nw_trial *trial, const struct nw_table *table,
                                       struct nw_error *err);
NW_MUST_CHECK nw_status nw_trial_write(struct nw_trial *trial, const struct nw_batch *batch,
                                       struct nw_error *err);
/**
 * The table's sample is whole.
 * @param bytes   filled: what the sink wrote for it.
 * @param cpu_ns  filled: this thread's time in the plugin since nw_trial_begin(), but for the
 *                commit.
 */
NW_MUST_CHECK nw_status nw_trial_end(struct nw_trial *trial, uint64_t *bytes, int64_t *cpu_ns,
                                     struct nw_error *err);

#endif
