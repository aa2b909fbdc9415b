/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is handed to libpq: the user's DSN, environment and service file as libpq resolves them,
 * and over them what narwal pins. No state; contains the password.
 */
#ifndef NW_PG_CONNINFO_H
#define NW_PG_CONNINFO_H

#include <stdbool.h>

#include "pg/session.h"

#define NW_CONNINFO_MAX 72 /* libpq 15 knows 43 keywords */

/** Parallel arrays for PQconnectStartParams, NULL-terminated. Owns all texts. */
struct nw_conninfo {
    char *keywords[NW_CONNINFO_MAX + 1];
    char *values[NW_CONNINFO_MAX + 1];
    int count;
};

NW_MUST_CHECK nw_status nw_conninfo_init(struct nw_conninfo *info,
                                         const struct nw_pg_options *options, bool replication,
                                         struct nw_error *err);
/** Wipes it. */
void nw_conninfo_fini(struct nw_conninfo *info);

/** NULL: not set. */
const char *nw_conninfo_get(const struct nw_conninfo *info, const char *keyword);
/** Hosts in the DSN's list, at least 1. */
int nw_conninfo_hosts(const struct nw_conninfo *info);
/** Take the first host off the list (and its address and port). @return false at the last one. */
bool nw_conninfo_skip_host(struct nw_conninfo *info);

#endif
