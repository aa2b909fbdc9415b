/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The base types of PostgreSQL that narwal decodes into typed columns. Every other type arrives as
 * PostgreSQL's own text.
 *
 * Type numbers: PostgreSQL's src/include/catalog/pg_type.dat; fixed for all versions. No state.
 */
#ifndef NW_PG_TYPES_H
#define NW_PG_TYPES_H

#include <stdbool.h>
#include <stdint.h>

#include <narwal/schema.h>

enum nw_type_oid {
    NW_OID_BOOL = 16,
    NW_OID_BYTEA = 17,
    NW_OID_CHAR = 18, /* "char", one byte */
    NW_OID_NAME = 19,
    NW_OID_INT8 = 20,
    NW_OID_INT2 = 21,
    NW_OID_INT4 = 23,
    NW_OID_TEXT = 25,
    NW_OID_OID = 26,
    NW_OID_XID = 28,
    NW_OID_CID = 29,
    NW_OID_JSON = 114,
    NW_OID_CIDR = 650,
    NW_OID_FLOAT4 = 700,
    NW_OID_FLOAT8 = 701,
    NW_OID_MACADDR8 = 774,
    NW_OID_MACADDR = 829,
    NW_OID_INET = 869,
    NW_OID_BPCHAR = 1042,
    NW_OID_VARCHAR = 1043,
    NW_OID_DATE = 1082,
    NW_OID_TIME = 1083,
    NW_OID_TIMESTAMP = 1114,
    NW_OID_TIMESTAMPTZ = 1184,
    NW_OID_INTERVAL = 1186,
    NW_OID_TIMETZ = 1266,
    NW_OID_BIT = 1560,
    NW_OID_VARBIT = 1562,
    NW_OID_NUMERIC = 1700,
    NW_OID_UUID = 2950,
    NW_OID_PG_LSN = 3220,
    NW_OID_JSONB = 3802,
    NW_OID_XID8 = 5069,
};

/** How a column's values arrive. */
struct nw_type_form {
    enum nw_type type;
    uint8_t precision; /* NW_TYPE_DECIMAL */
    uint8_t scale;     /* NW_TYPE_DECIMAL */
};

/**
 * The typed form of a column.
 *
 * @param base_type_oid  below all domains.
 * @param typmod         -1: none; of a domain over a base type, the domain's.
 */
struct nw_type_form nw_type_of(uint32_t base_type_oid, int32_t typmod);

/**
 * Whether narwal decodes what the type's send function writes. Otherwise the value has to be asked
 * for as text.
 *
 * @param typtype  pg_type.typtype of the base type: 'b' base, 'e' enum, 'c', 'r', ...
 */
bool nw_type_is_binary(uint32_t base_type_oid, char typtype);

/** The element type of an array type whose send format narwal decodes; 0 for all other types. */
uint32_t nw_type_element(uint32_t oid);

/** What nw_column_element() says of an array of an enum: its items are labels, of any type. */
#define NW_ELEMENT_ENUM UINT32_MAX
/** The element type of a column that is such an array, also below domains; 0: it is none. */
uint32_t nw_column_element(const struct nw_table *table, uint16_t index);

/** Whether every column's binary form is one that the lanes decode. */
bool nw_table_is_binary(const struct nw_table *table);

#endif
