/* SPDX-License-Identifier: Apache-2.0 */
/* Which policy holds for a table. Pure; any thread. */
#ifndef NW_PIPELINE_POLICIES_H
#define NW_PIPELINE_POLICIES_H

#include "config/policies.h"
#include "source/dealer.h"

/** Borrowed from the configuration. */
struct nw_policies {
    struct nw_config_policy usual;
    const struct nw_config_policy *rules; /* the first whose pattern matches holds */
    uint32_t rules_count;
};

/** @param names_only  every sink knows columns by their names alone: what `auto` asks */
struct nw_table_policy nw_policies_find(const struct nw_policies *policies, bool names_only,
                                        const char *schema, const char *name);

#endif
