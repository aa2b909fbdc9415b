/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the configuration again while narwal runs: what changed is shown; what can change is
 * applied, at once or with an attempt that begins anew; the rest is left as it was. A file with a
 * mistake changes nothing. Main thread.
 */
#ifndef NW_CLI_RELOAD_H
#define NW_CLI_RELOAD_H

#include "cli/command.h"

struct nw_reload {
    const struct nw_config_arguments *arguments; /* how narwal was started; borrow, as the next */
    struct nw_run_config *config;                /* in force: what is applied goes there */
    const struct nw_plugin *plugins;             /* of its sinks */
    struct nw_run_config **taken; /* every one whose texts may be in use; the last is the newest */
    uint32_t taken_count;
    bool renews; /* the attempt is to begin anew for what was applied */
};

/** What it did. */
struct nw_reload_result {
    bool read;      /* false: the file is wrong */
    bool refuses;   /* something is left as it was */
    bool live;      /* something holds already */
    char *document; /* give: the answer as JSON; NULL: out of memory */
};
/** @param copies  the first copy runs, which is not to begin anew */
void nw_reload(struct nw_reload *reload, bool copies, struct nw_reload_result *result);
void nw_reload_fini(struct nw_reload *reload);

#endif
