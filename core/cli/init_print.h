/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration that `narwal init` writes: from facts to commented YAML. Pure but for the
 * stream. */
#ifndef NW_CLI_INIT_PRINT_H
#define NW_CLI_INIT_PRINT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "pg/catalog.h"
#include "pipeline/preflight.h"

/** What was found. Borrowed. */
struct nw_init_facts {
    const char *file; /* that the configuration goes to, for the commands in its comments */
    const char *name;
    const char *dsn; /* without a password */
    bool had_password;
    const char *host, *port, *database, *user; /* for ~/.pgpass */
    const char *state_dir;
    const char *copy_folder; /* of the file sink */
    const struct nw_preflight *preflight;
    const struct nw_catalog_candidates *candidates;
    int64_t wal_keep_bytes; /* max_slot_wal_keep_size; -1: no limit */
    uint64_t free_bytes;    /* where the state goes; UINT64_MAX: not known */
    uint32_t cores_count;   /* for narwal */
};

void nw_init_print(const struct nw_init_facts *facts, FILE *out);

/** protect.spool: room for twice what is copied, in half of the free disk. */
int64_t nw_init_spool_bytes(uint64_t copied_bytes, uint64_t free_bytes);
/** protect.retained_wal: before the server gives the slot up; without such a limit, by size. */
int64_t nw_init_retained_bytes(uint64_t copied_bytes, int64_t wal_keep_bytes);

#endif
