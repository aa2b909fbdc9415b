/* SPDX-License-Identifier: Apache-2.0 */
/* `copy.where`: which rows of a table its first copy has. Pure; texts live in the arena. */
#ifndef NW_CONFIG_COPY_WHERE_H
#define NW_CONFIG_COPY_WHERE_H

#include <stdint.h>

#include "config/options.h"

#define NW_COPY_WHERE_MAX 1000u /* bytes of a condition */

/** A line of it: "PATTERN: CONDITION". */
struct nw_config_copy_where {
    const char *pattern;   /* over schema.table */
    const char *condition; /* in SQL; "true": all rows, "false": none */
};

struct nw_run_config;

/**
 * Read the lines into config->copy_where.
 * @param copy  the section, for messages; NULL: there is none
 */
NW_MUST_CHECK nw_status nw_copy_where_config_take(struct nw_run_config *config,
                                                  const struct nw_node *copy,
                                                  const struct nw_setting *lines,
                                                  struct nw_error *err);

#endif
