/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `transforms`: rules about what sinks see of tables. Read from the configuration here; what they
 * mean for a table is decided in core/transform.
 */
#ifndef NW_CONFIG_TRANSFORMS_H
#define NW_CONFIG_TRANSFORMS_H

#include <stdbool.h>
#include <stdint.h>

#include "config/options.h"
#include "config/where.h"

enum nw_mask_kind {
    NW_MASK_SHA256,
    NW_MASK_FIXED,
    NW_MASK_FIRST,
    NW_MASK_DEBEZIUM_V1, /* hashes that Debezium makes */
    NW_MASK_DEBEZIUM_V2,
};

/** Whether a mask is a hash, and needs a salt. */
static inline bool nw_mask_hashes(enum nw_mask_kind mask)
{
    return mask != NW_MASK_FIXED && mask != NW_MASK_FIRST;
}

/** A column's new name. */
struct nw_column_rename {
    const char *from, *to;
};

/** One rule. Lists are NULL-terminated, and NULL when they are not there; patterns as in `tables`.
 */
struct nw_transform_rule {
    const struct nw_node *node; /* where it stands */
    uint32_t number;            /* from 1, for messages */
    const char *const *tables;
    const char *const *include_columns;
    const char *const *exclude_columns;
    const char *const *mask_columns;
    enum nw_mask_kind mask;
    const char *mask_salt;   /* of hashes */
    const char *mask_text;   /* FIXED */
    int64_t mask_characters; /* FIRST */
    const struct nw_column_rename *renames;
    uint32_t renames_count;
    const char *where_text; /* NULL: every row */
    struct nw_where where;
    const char *to_schema, *to_table; /* with {schema} and {table}; NULL: as they are */
};

struct nw_transform_rules {
    const struct nw_transform_rule *rules;
    uint32_t count;
};

/** Its keys, for the reference page and for printing. */
extern const struct nw_option_table NW_TRANSFORM_TABLE;

/** Read the list. @param root  the configuration; every mistake goes to problems, the first to err.
 */
NW_MUST_CHECK nw_status nw_transform_rules_take(const struct nw_node *root, struct nw_arena *arena,
                                                struct nw_transform_rules *rules,
                                                struct nw_problems *problems, struct nw_error *err);

#endif
