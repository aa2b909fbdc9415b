/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of the types that Debezium has a schema for a column's is. Types of PostgreSQL itself are
 * known by oid (src/include/catalog/pg_type.dat, versions 14 to 18), those of extensions by name,
 * whatever their schema is. Stateless.
 */
#ifndef NW_FORMAT_CONNECT_FAMILY_H
#define NW_FORMAT_CONNECT_FAMILY_H

#include "lib/format/connect_form.h"

enum nw_family {
    NW_FAMILY_UNKNOWN,
    NW_FAMILY_BOOLEAN,
    NW_FAMILY_INT16,
    NW_FAMILY_INT32,
    NW_FAMILY_INT64,
    NW_FAMILY_FLOAT32,
    NW_FAMILY_FLOAT64,
    NW_FAMILY_STRING,
    NW_FAMILY_ISBN,
    NW_FAMILY_JSON,
    NW_FAMILY_XML,
    NW_FAMILY_UUID,
    NW_FAMILY_TSVECTOR,
    NW_FAMILY_LTREE,
    NW_FAMILY_ENUM,
    NW_FAMILY_BYTEA,
    NW_FAMILY_NUMERIC,
    NW_FAMILY_MONEY,
    NW_FAMILY_DATE,
    NW_FAMILY_TIME,
    NW_FAMILY_TIMESTAMP,
    NW_FAMILY_TIMESTAMPTZ,
    NW_FAMILY_TIMETZ,
    NW_FAMILY_INTERVAL,
    NW_FAMILY_BIT,
    NW_FAMILY_VARBIT,
    NW_FAMILY_POINT,
    NW_FAMILY_LSEG,
    NW_FAMILY_BOX,
    NW_FAMILY_PATH,
    NW_FAMILY_POLYGON,
    NW_FAMILY_CIRCLE,
    NW_FAMILY_LINE,
    NW_FAMILY_HSTORE,
    NW_FAMILY_GEOMETRY,
    NW_FAMILY_GEOGRAPHY,
    NW_FAMILY_VECTOR,
    NW_FAMILY_HALFVEC,
    NW_FAMILY_SPARSEVEC,
};

/**
 * The family of a column's type below its domains; of an array's items.
 *
 * @param placeholder  filled for an array: what stands for one that was not sent.
 */
enum nw_family nw_family_of(const struct nw_table *table, uint16_t index, bool *array,
                            enum nw_placeholder *placeholder);

/** Whether the schema of an array's items says that they may be NULL. */
bool nw_family_items_optional(enum nw_family family);

/** Between an array's items (pg_type.typdelim). */
char nw_family_delimiter(enum nw_family family);

#endif
