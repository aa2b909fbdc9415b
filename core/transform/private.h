/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of core/transform share. */
#ifndef NW_TRANSFORM_PRIVATE_H
#define NW_TRANSFORM_PRIVATE_H

#include "transform/transform.h"

#define NW_PLACE_SIZE 320u

/** "transforms[2] (narwal.yaml:14)" */
const char *nw_rule_place(const struct nw_transform_rule *rule, char text[static NW_PLACE_SIZE]);
/** Whether a rule is for this table: by its own name, or by that of its partition root. */
bool nw_rule_matches(const struct nw_transform_rule *rule, const struct nw_table *table);
/** Whether a rule takes this column away from sinks. */
bool nw_rule_hides(const struct nw_transform_rule *rule, const char *column);
/** A column's new name; NULL: it keeps its own. */
const char *nw_rule_renames(const struct nw_transform_rule *rule, const char *column);
/** The index of a column; columns_count: there is none. */
uint16_t nw_column_index(const struct nw_table *table, const char *name);
/** Whether rows are told apart by this column: of the key, or of a replica identity that is one. */
bool nw_column_is_key(const struct nw_table *table, uint16_t column);

/** mask.c: the mask of a rule that has mask_columns; NULL when memory is short. */
const struct nw_mask *nw_mask_make(const struct nw_transform_rule *rule, struct nw_arena *arena);
/**
 * mask.c: a rule's mask as it is for a column.
 * @param mask  of nw_mask_make() of the rule
 * @return NULL when memory is short.
 */
const struct nw_mask *nw_mask_for(const struct nw_mask *mask, const struct nw_transform_rule *rule,
                                  const struct nw_column_schema *column, struct nw_arena *arena);

/**
 * filter.c: the filter of all these rules' `where` for a table.
 * @param filter  NULL: none of the rules has one.
 */
NW_MUST_CHECK nw_status nw_filter_make(const struct nw_transform_rule *const *rules, uint32_t count,
                                       const struct nw_table *table, struct nw_arena *arena,
                                       const struct nw_row_filter **filter, struct nw_error *err);
/** compare.c: how constants of a column's type are read, and values compared to them. */
struct nw_compare_constant {
    int64_t integer;
    double real;
    const char *text; /* also of numerics */
    uint32_t size;
    uint8_t uuid[16];
};

enum nw_compare_kind {
    NW_COMPARE_NONE, /* only IS NULL can be asked */
    NW_COMPARE_BOOL,
    NW_COMPARE_INTEGER,
    NW_COMPARE_REAL,
    NW_COMPARE_NUMERIC,
    NW_COMPARE_TEXT,
    NW_COMPARE_BLANK_PADDED, /* blanks at the end do not count */
    NW_COMPARE_LABEL,        /* an enum's: equal or not */
    NW_COMPARE_UUID,
    NW_COMPARE_DATE,
    NW_COMPARE_TIME,
    NW_COMPARE_TIMESTAMP,
    NW_COMPARE_TIMESTAMPTZ,
};

enum nw_compare_kind nw_compare_kind_of(const struct nw_column_schema *column);
/** @return NULL, or what such a constant should look like: "a whole number". */
const char *nw_compare_read(enum nw_compare_kind kind, const struct nw_where_constant *written,
                            struct nw_compare_constant *constant);
/** -1, 0 or 1 in *order. @return false when the value has no place in the order. */
bool nw_compare(enum nw_compare_kind kind, const struct nw_value *value,
                const struct nw_compare_constant *constant, int *order);

#endif
