/* SPDX-License-Identifier: Apache-2.0 */
/* See types.h. */
#include "pg/types.h"

#include <stddef.h>

#define DECIMAL_PRECISION_MAX 38
#define VARLENA_HEADER_SIZE   4

/* `array` is the type of its arrays, 0 where narwal takes those as text: the text of a float in an
 * array is not ours to print. */
static const struct {
    uint32_t oid, array;
    enum nw_type type;
} types[] = {
    {NW_OID_BOOL, 1000, NW_TYPE_BOOL},
    {NW_OID_BYTEA, 1001, NW_TYPE_BINARY},
    {NW_OID_CHAR, 1002, NW_TYPE_TEXT},
    {NW_OID_NAME, 1003, NW_TYPE_TEXT},
    {NW_OID_INT8, 1016, NW_TYPE_INT64},
    {NW_OID_INT2, 1005, NW_TYPE_INT16},
    {NW_OID_INT4, 1007, NW_TYPE_INT32},
    {NW_OID_TEXT, 1009, NW_TYPE_TEXT},
    {NW_OID_OID, 1028, NW_TYPE_UINT32},
    {NW_OID_XID, 1011, NW_TYPE_UINT32},
    {NW_OID_CID, 1012, NW_TYPE_UINT32},
    {NW_OID_JSON, 199, NW_TYPE_JSON},
    {NW_OID_CIDR, 651, NW_TYPE_TEXT},
    {NW_OID_FLOAT4, 0, NW_TYPE_FLOAT32},
    {NW_OID_FLOAT8, 0, NW_TYPE_FLOAT64},
    {NW_OID_MACADDR8, 775, NW_TYPE_TEXT},
    {NW_OID_MACADDR, 1040, NW_TYPE_TEXT},
    {NW_OID_INET, 1041, NW_TYPE_TEXT},
    {NW_OID_BPCHAR, 1014, NW_TYPE_TEXT},
    {NW_OID_VARCHAR, 1015, NW_TYPE_TEXT},
    {NW_OID_DATE, 1182, NW_TYPE_DATE},
    {NW_OID_TIME, 1183, NW_TYPE_TIME},
    {NW_OID_TIMESTAMP, 1115, NW_TYPE_TIMESTAMP},
    {NW_OID_TIMESTAMPTZ, 1185, NW_TYPE_TIMESTAMPTZ},
    {NW_OID_INTERVAL, 1187, NW_TYPE_TEXT},
    {NW_OID_TIMETZ, 1270, NW_TYPE_TEXT},
    {NW_OID_BIT, 1561, NW_TYPE_TEXT},
    {NW_OID_VARBIT, 1563, NW_TYPE_TEXT},
    {NW_OID_NUMERIC, 1231, NW_TYPE_NUMERIC},
    {NW_OID_UUID, 2951, NW_TYPE_UUID},
    {NW_OID_PG_LSN, 3221, NW_TYPE_TEXT},
    {NW_OID_JSONB, 3807, NW_TYPE_JSON},
    {NW_OID_XID8, 271, NW_TYPE_TEXT},
};

/* numeric(p,s): p in the upper 16 bits, s below it in two's complement of 11 bits
 * (src/backend/utils/ adt/numeric.c, make_numeric_typmod; before PostgreSQL 15 s was never
 * negative). */
static struct nw_type_form numeric_form(int32_t typmod)
{
    struct nw_type_form form = {.type = NW_TYPE_NUMERIC};
    int32_t packed = typmod - VARLENA_HEADER_SIZE;

    if (typmod >= VARLENA_HEADER_SIZE) {
        int32_t precision = packed >> 16 & 0xffff;
        int32_t scale = ((packed & 0x7ff) ^ 1024) - 1024;

        if (precision >= 1 && precision <= DECIMAL_PRECISION_MAX && scale >= 0 &&
            scale <= precision) {
            form.type = NW_TYPE_DECIMAL;
            form.precision = (uint8_t)precision;
            form.scale = (uint8_t)scale;
        }
    }
    return form;
}

struct nw_type_form nw_type_of(uint32_t base_type_oid, int32_t typmod)
{
    if (base_type_oid == NW_OID_NUMERIC) {
        return numeric_form(typmod);
    }
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (types[i].oid == base_type_oid) {
            return (struct nw_type_form){.type = types[i].type};
        }
    }
    return (struct nw_type_form){.type = NW_TYPE_TEXT};
}

uint32_t nw_type_element(uint32_t oid)
{
    for (size_t i = 0; oid != 0 && i < sizeof types / sizeof types[0]; i++) {
        if (types[i].array == oid) {
            return types[i].oid;
        }
    }
    return 0;
}

bool nw_type_is_binary(uint32_t base_type_oid, char typtype)
{
    if (typtype == 'e') {
        return true; /* enum_send() writes the label */
    }
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (types[i].oid == base_type_oid) {
            return true;
        }
    }
    return nw_type_element(base_type_oid) != 0;
}

uint32_t nw_column_element(const struct nw_table *table, uint16_t index)
{
    return nw_table_item_labels(table, index) != NULL
               ? NW_ELEMENT_ENUM
               : nw_type_element(table->columns[index].base_type_oid);
}

bool nw_table_is_binary(const struct nw_table *table)
{
    for (uint16_t i = 0; i < table->columns_count; i++) {
        const struct nw_column_schema *column = &table->columns[i];

        if (nw_table_item_labels(table, i) == NULL &&
            !nw_type_is_binary(column->base_type_oid, column->enum_labels != NULL ? 'e' : 'b')) {
            return false;
        }
    }
    return true;
}
