/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a table's changes of schema and contents mean downstream, from the configuration: usual
 * choices, and lines of the form "PATTERN key=value ..." for tables that differ. The numbers are
 * indexes into the lists of choices, in the order of the enums in core/source/dealer.h and
 * core/source/attnums.h. Pure.
 */
#ifndef NW_CONFIG_POLICIES_H
#define NW_CONFIG_POLICIES_H

#include <stdint.h>

#include "base/arena.h"
#include <narwal/status.h>

enum nw_config_policy_key {
    NW_POLICY_DROP_COLUMN,
    NW_POLICY_DROP_TABLE,
    NW_POLICY_TRUNCATE,
    NW_POLICY_AMBIGUOUS_RENAME,
    NW_POLICY_TYPE_CHANGE,
    NW_POLICY_KEYS,
};

extern const char *const NW_POLICY_RULES[];      /* apply keep stop, NULL */
extern const char *const NW_POLICY_AMBIGUOUS[];  /* auto stop drop_add rename, NULL */
extern const char *const NW_POLICY_APPLY_STOP[]; /* apply stop, NULL */

struct nw_config_policy {
    const char *pattern; /* over schema.table; NULL: the usual one */
    int64_t values[NW_POLICY_KEYS];
};

/**
 * Read a line.
 * @param usual   what holds for keys that the line leaves out
 * @param policy  filled; its pattern lives in the arena.
 */
NW_MUST_CHECK nw_status nw_config_policy_read(const char *line,
                                              const struct nw_config_policy *usual,
                                              struct nw_arena *arena,
                                              struct nw_config_policy *policy,
                                              struct nw_error *err);

#endif
