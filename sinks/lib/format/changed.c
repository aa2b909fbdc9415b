/* SPDX-License-Identifier: Apache-2.0 */
/* See changed.h. */
#include "lib/format/changed.h"

#include "lib/format/connect_json.h"

static bool bytes_are_same(const struct nw_value *a, const struct nw_value *b)
{
    return a->size == b->size && (a->size == 0 || memcmp(a->bytes, b->bytes, a->size) == 0);
}

static uint64_t bits_of(double real)
{
    uint64_t bits = 0;

    memcpy(&bits, &real, sizeof bits);
    return bits;
}

static bool scalars_are_same(const struct nw_value *a, const struct nw_value *b)
{
    switch (a->type) {
    case NW_TYPE_BOOL:
        return a->as.boolean == b->as.boolean;
    case NW_TYPE_INT16:
    case NW_TYPE_INT32:
    case NW_TYPE_INT64:
    case NW_TYPE_UINT32:
    case NW_TYPE_DATE:
    case NW_TYPE_TIME:
    case NW_TYPE_TIMESTAMP:
    case NW_TYPE_TIMESTAMPTZ:
        return a->as.integer == b->as.integer;
    case NW_TYPE_FLOAT32: /* by their bits: 0 and -0 are two values, NaN is one */
    case NW_TYPE_FLOAT64:
        return bits_of(a->as.real) == bits_of(b->as.real);
    case NW_TYPE_DECIMAL:
    case NW_TYPE_UUID:
    case NW_TYPE_TEXT:
    case NW_TYPE_BINARY:
    case NW_TYPE_JSON:
    case NW_TYPE_NUMERIC:
        break;
    }
    return bytes_are_same(a, b);
}

/* As the database has them. What it did not send after the change is as it was, wherever that is
 * known. */
static bool values_are_same(const struct nw_value *before, const struct nw_value *after)
{
    if (before->kind == NW_VALUE_MISSING || before->kind != after->kind) {
        return before->kind != NW_VALUE_MISSING && after->kind == NW_VALUE_MISSING;
    }
    if (before->kind == NW_VALUE_NULL) {
        return true;
    }
    return before->kind == NW_VALUE_EXCEPTION ? bytes_are_same(before, after)
                                              : scalars_are_same(before, after);
}

static bool column_is_same(const struct nw_batch *batch, uint32_t row, uint16_t column)
{
    struct nw_value before;
    struct nw_value after;

    nw_batch_read(batch, NW_BEFORE, row, column, &before);
    nw_batch_read(batch, NW_AFTER, row, column, &after);
    return values_are_same(&before, &after);
}

bool nw_batch_is_same(const struct nw_batch *batch, uint32_t row)
{
    for (uint16_t c = 0; c < batch->table->columns_count; c++) {
        if (!column_is_same(batch, row, c)) {
            return false;
        }
    }
    return nw_batch_has(batch, NW_BEFORE, row);
}

/* A value as its schema has it. @return false: it has no place there, or was not sent */
static bool side_print(const struct nw_row *row, uint32_t field, int side, struct nw_out *out)
{
    const uint16_t column = row->table->fields[field];
    struct nw_connect_value value;
    struct nw_value source;
    struct nw_error err = {0};

    nw_batch_read(row->batch, side, row->row, column, &source);
    out->used = 0;
    out->failed = false;
    return source.kind != NW_VALUE_MISSING &&
           nw_connect_convert(row->scratch, column, &source, side, &value, &err) == NW_OK &&
           nw_connect_json_value(out, row->table->value->fields[field].schema, &value, false,
                                 &err) == NW_OK &&
           !out->failed;
}

bool nw_row_is_same(const struct nw_row *row, struct nw_out *before, struct nw_out *after)
{
    if (!nw_batch_has(row->batch, NW_BEFORE, row->row)) {
        return false;
    }
    for (uint32_t i = 0; i < row->table->value->fields_count; i++) {
        if (!column_is_same(row->batch, row->row, row->table->fields[i]) &&
            !(side_print(row, i, NW_BEFORE, before) && side_print(row, i, NW_AFTER, after) &&
              nw_out_same(before, after))) {
            return false;
        }
    }
    return true;
}
