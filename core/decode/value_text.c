/* SPDX-License-Identifier: Apache-2.0 */
/* See value_text.h. */
#include "decode/value_text.h"

#include <assert.h>
#include <string.h>

#include "base/assert.h"
#include "decode/datetime.h"
#include "decode/float_print.h"
#include "decode/numeric.h"

/* Decimal digits of 128 bits. */
#define DIGITS_MAX 39
#define SCALE_MAX  38

static_assert(NW_VALUE_TEXT_SIZE >= NW_DATETIME_TEXT_SIZE, "too short");
static_assert(NW_VALUE_TEXT_SIZE >= NW_FLOAT_TEXT_SIZE && NW_VALUE_TEXT_SIZE >= 16 + 2 * 16,
              "too short");
static_assert(NW_VALUE_TEXT_SIZE >= DIGITS_MAX + 2, "a decimal has a sign and a point");

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

size_t nw_value_text(char to[static NW_VALUE_TEXT_SIZE], const struct nw_column_schema *column,
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
