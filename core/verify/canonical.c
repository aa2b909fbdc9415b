/* SPDX-License-Identifier: Apache-2.0 */
/* See canonical.h. */
#include "verify/canonical.h"

#include <assert.h>

#include "base/assert.h"
#include "decode/datetime.h"
#include "decode/float_print.h"
#include "decode/numeric.h"
#include "pg/types.h"

/* Decimal digits of 128 bits. */
#define DIGITS_MAX 39
#define SCALE_MAX  38
#define SIZE_BYTES 4u /* of a value's size in a row */

/* The longest text of a type of fixed width. */
#define SHORT_TEXT_SIZE NW_DATETIME_TEXT_SIZE
static_assert(SHORT_TEXT_SIZE >= NW_FLOAT_TEXT_SIZE && SHORT_TEXT_SIZE >= 16 + 2 * 16, "too short");
static_assert(SHORT_TEXT_SIZE >= DIGITS_MAX + 2, "a decimal has a sign and a point");

/* An integer with its last `scale` digits behind the point. */
static size_t print_number(char *to, nw_int128 value, uint8_t scale)
{
    nw_uint128 rest = value < 0 ? 0 - (nw_uint128)value : (nw_uint128)value;
    char digits[DIGITS_MAX];
    size_t count = 0;
    size_t size = 0;

    NW_ASSERT(scale <= SCALE_MAX);
    for (; rest > UINT64_MAX; rest /= 10) {
        digits[count++] = (char)('0' + (int)(rest % 10));
    }
    for (uint64_t low = (uint64_t)rest; low > 0 || count <= scale; low /= 10) {
        digits[count++] = (char)('0' + (int)(low % 10));
    }
    if (value < 0) {
        to[size++] = '-';
    }
    while (count > 0) {
        if (count == scale) {
            to[size++] = '.';
        }
        to[size++] = digits[--count];
    }
    return size;
}

static size_t print_decimal(char *to, const uint8_t *bytes, uint8_t scale)
{
    nw_int128 value;

    memcpy(&value, bytes, sizeof value);
    return print_number(to, value, scale);
}

static size_t print_timestamp(char *to, int64_t us, const char *suffix)
{
    int64_t days = us / NW_US_PER_DAY - (us % NW_US_PER_DAY < 0);

    return nw_timestamp_print(to, days, us - days * NW_US_PER_DAY, suffix);
}

static size_t print_uuid(char *to, const uint8_t *bytes)
{
    static const char digits[] = "0123456789abcdef";
    size_t size = 0;

    for (size_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            to[size++] = '-';
        }
        to[size++] = digits[bytes[i] >> 4];
        to[size++] = digits[bytes[i] & 15];
    }
    return size;
}

/* Text of a value of fixed width; 0: the value's own bytes are its text. */
static size_t print_short(char to[static SHORT_TEXT_SIZE], const struct nw_column_schema *column,
                          const struct nw_value *value)
{
    switch (value->type) {
    case NW_TYPE_BOOL:
        to[0] = value->as.boolean ? 't' : 'f';
        return 1;
    case NW_TYPE_INT16:
    case NW_TYPE_INT32:
    case NW_TYPE_INT64:
    case NW_TYPE_UINT32:
        return print_number(to, value->as.integer, 0);
    case NW_TYPE_FLOAT32:
        return nw_float_print(to, (float)value->as.real);
    case NW_TYPE_FLOAT64:
        return nw_double_print(to, value->as.real);
    case NW_TYPE_DECIMAL:
        return print_decimal(to, value->bytes, column->scale);
    case NW_TYPE_DATE:
        return nw_date_print(to, value->as.integer);
    case NW_TYPE_TIME:
        return nw_time_print(to, value->as.integer);
    case NW_TYPE_TIMESTAMP:
        return print_timestamp(to, value->as.integer, "");
    case NW_TYPE_TIMESTAMPTZ:
        return print_timestamp(to, value->as.integer, "+00");
    case NW_TYPE_UUID:
        return print_uuid(to, value->bytes);
    case NW_TYPE_TEXT:
    case NW_TYPE_BINARY:
    case NW_TYPE_JSON:
    case NW_TYPE_NUMERIC:
        break;
    }
    return 0;
}

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
    char text[SHORT_TEXT_SIZE];
    size_t size = 0;

    if (value->kind == NW_VALUE_PRESENT) {
        size = print_short(text, column, value);
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
