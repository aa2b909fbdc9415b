/* SPDX-License-Identifier: Apache-2.0 */
/* See canonical.h. */
#include "verify/canonical.h"

#include "base/assert.h"
#include "decode/value_text.h"
#include "pg/types.h"

#define SIZE_BYTES 4u /* of a value's size in a row */

static bool is_octal(const uint8_t *digits)
{
    return digits[0] >= '0' && digits[0] <= '3' && digits[1] >= '0' && digits[1] <= '7' &&
           digits[2] >= '0' && digits[2] <= '7';
}

/* The byte of a "char", which arrives as that character, as nothing, or as \ooo. In no other form,
 * if the server is none of another kind: that stays as it is. */
static bool append_char(struct nw_buffer *out, const struct nw_value *value)
{
    const uint8_t *at = value->bytes;
    uint8_t byte = 0;

    if (value->size == 4 && at[0] == '\\' && is_octal(at + 1)) {
        byte = (uint8_t)((at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0'));
        return nw_buffer_append(out, &byte, 1);
    }
    return value->size == 0 ? nw_buffer_append(out, &byte, 1)
                            : nw_buffer_append(out, at, value->size);
}

static bool append_value(struct nw_buffer *out, const struct nw_column_schema *column,
                         const struct nw_value *value)
{
    char text[NW_VALUE_TEXT_SIZE];
    size_t size = 0;

    if (value->kind == NW_VALUE_PRESENT) {
        size = nw_value_text(text, column, value);
        if (size == 0 && column->base_type_oid == NW_OID_CHAR) {
            return append_char(out, value);
        }
    }
    return size > 0 ? nw_buffer_append(out, text, size)
                    : nw_buffer_append(out, value->bytes, value->size);
}

nw_status nw_canonical_value(const struct nw_column_schema *column, const struct nw_value *value,
                             struct nw_buffer *out, struct nw_error *err)
{
    NW_ASSERT(value->kind == NW_VALUE_PRESENT || value->kind == NW_VALUE_EXCEPTION);
    return append_value(out, column, value)
               ? NW_OK
               : nw_fail(err, NW_FATAL, "column %s: no memory for a value to compare",
                         column->name);
}

static void put_size(uint8_t *to, uint32_t size)
{
    to[0] = (uint8_t)(size >> 24);
    to[1] = (uint8_t)(size >> 16);
    to[2] = (uint8_t)(size >> 8);
    to[3] = (uint8_t)size;
}

/* One field of a row. */
static bool append_field(struct nw_buffer *out, const struct nw_column_schema *column,
                         const struct nw_value *value)
{
    uint32_t begin = out->size;

    if (nw_buffer_reserve(out, SIZE_BYTES) == NULL) {
        return false;
    }
    put_size(out->at + begin, NW_CANONICAL_NULL);
    out->size += SIZE_BYTES;
    if (value->kind == NW_VALUE_NULL) {
        return true;
    }
    if (!append_value(out, column, value)) {
        return false;
    }
    put_size(out->at + begin, out->size - begin - SIZE_BYTES);
    return true;
}

nw_status nw_canonical_row(const struct nw_batch *batch, int side, uint32_t row, bool *whole,
                           struct nw_buffer *out, struct nw_error *err)
{
    const struct nw_table *table = batch->table;
    uint32_t begin = out->size;

    *whole = nw_batch_has(batch, side, row);
    for (uint16_t i = 0; *whole && i < table->columns_count; i++) {
        struct nw_value value = nw_batch_value(batch, side, row, i);

        *whole = value.kind != NW_VALUE_MISSING;
        if (*whole && !append_field(out, &table->columns[i], &value)) {
            out->size = begin;
            return nw_fail(err, NW_FATAL, "column %s: no memory for a row to compare",
                           table->columns[i].name);
        }
    }
    out->size = *whole ? out->size : begin;
    return NW_OK;
}
