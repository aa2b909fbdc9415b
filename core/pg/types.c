/* SPDX-License-Identifier: Apache-2.0 */
/* See types.h. */
#include "pg/types.h"

#include <stddef.h>

#define DECIMAL_PRECISION_MAX 38
#define VARLENA_HEADER_SIZE   4

static const struct {
    uint32_t oid;
    enum nw_type type;
} types[] = {
    {NW_OID_BOOL, NW_TYPE_BOOL},           {NW_OID_BYTEA, NW_TYPE_BINARY},
    {NW_OID_CHAR, NW_TYPE_TEXT},           {NW_OID_NAME, NW_TYPE_TEXT},
    {NW_OID_INT8, NW_TYPE_INT64},          {NW_OID_INT2, NW_TYPE_INT16},
    {NW_OID_INT4, NW_TYPE_INT32},          {NW_OID_TEXT, NW_TYPE_TEXT},
    {NW_OID_OID, NW_TYPE_UINT32},          {NW_OID_XID, NW_TYPE_UINT32},
    {NW_OID_CID, NW_TYPE_UINT32},          {NW_OID_JSON, NW_TYPE_JSON},
    {NW_OID_FLOAT4, NW_TYPE_FLOAT32},      {NW_OID_FLOAT8, NW_TYPE_FLOAT64},
    {NW_OID_BPCHAR, NW_TYPE_TEXT},         {NW_OID_VARCHAR, NW_TYPE_TEXT},
    {NW_OID_DATE, NW_TYPE_DATE},           {NW_OID_TIME, NW_TYPE_TIME},
    {NW_OID_TIMESTAMP, NW_TYPE_TIMESTAMP}, {NW_OID_TIMESTAMPTZ, NW_TYPE_TIMESTAMPTZ},
    {NW_OID_INTERVAL, NW_TYPE_TEXT},       {NW_OID_TIMETZ, NW_TYPE_TEXT},
    {NW_OID_NUMERIC, NW_TYPE_NUMERIC},     {NW_OID_UUID, NW_TYPE_UUID},
    {NW_OID_JSONB, NW_TYPE_JSON},
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
    return false;
}
