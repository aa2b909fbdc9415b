/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands about Debezium's connector have in common: how they are called, and their end.
 */
#ifndef NW_CLI_DEBEZIUM_CALL_H
#define NW_CLI_DEBEZIUM_CALL_H

#include "cli/debezium/connect.h"
#include "cli/pipeline.h"

/** A call of one: narwal COMMAND FILE.yaml [FROM] [options]. */
struct nw_connector_call {
    struct nw_pipeline pipeline;   /* its configuration is open; run() loads the rest */
    struct nw_connector connector; /* with the URL, if FROM is one */
    const char *file;
    const char *from; /* NULL: it was not said */
    bool dry_run, yes;
    /** Whether FROM is what the command takes; else it says so. */
    bool (*fits)(const struct nw_connector_call *call);
    /** @return the exit code */
    int (*run)(struct nw_connector_call *call);
};

/**
 * Read the arguments and the configuration, and do it.
 * @param own   the command's options, but for --name, --state-dir, --dry-run and --yes;
 *              the last has no name
 * @param call  zeros but for fits and run; what it opens is closed in the end
 * @return the exit code
 */
int nw_connector_command(int argc, char **argv, const struct nw_argument *own, const char *help,
                         struct nw_connector_call *call);

#endif
