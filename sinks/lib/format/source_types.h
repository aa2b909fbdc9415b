/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a column's type is on the server, as parameters of its schema:
 * __debezium.source.column.type, .length, .scale and .name, as Debezium 3.7 writes them with
 * column.propagate.source.type. Length and scale are those that PostgreSQL's JDBC driver says of a
 * type and its typmod; they were recorded from Debezium for each type. Stateless.
 */
#ifndef NW_SINKS_LIB_FORMAT_SOURCE_TYPES_H
#define NW_SINKS_LIB_FORMAT_SOURCE_TYPES_H

#include "lib/format/connect_form.h"
#include "lib/regex.h"

#define NW_SOURCE_TYPES_MAX 256u

/** The expressions of nw_connect_options.source_columns and source_types. */
struct nw_source_types {
    struct nw_regex *columns[NW_SOURCE_TYPES_MAX]; /* of SCHEMA.TABLE.COLUMN; own */
    struct nw_regex *types[NW_SOURCE_TYPES_MAX];   /* of SCHEMA.TABLE.TYPE; own */
    uint32_t columns_count, types_count;
};

/**
 * @param columns         NULL-terminated; NULL: none
 * @param types           the same
 * @param made            nw_source_types_fini() frees it, also after a failure
 * @param why             filled on failure
 * @return NULL, or the item that is no such expression; too many are one, too
 */
const char *nw_source_types_init(struct nw_source_types *made, const char *const *columns,
                                 const char *const *types, char *why, size_t why_size);
void nw_source_types_fini(struct nw_source_types *types);

/**
 * The schema with the parameters, where they are wanted of this column: a copy in the pool. Columns
 * that are masked have none.
 */
const struct nw_connect_schema *nw_source_types_add(struct nw_pool *pool,
                                                    const struct nw_source_types *wanted,
                                                    const struct nw_table *table, uint16_t column,
                                                    const struct nw_connect_schema *schema);

#endif
