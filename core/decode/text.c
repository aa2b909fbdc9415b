/* SPDX-License-Identifier: Apache-2.0 */
/* Values as PostgreSQL's output functions print them: pgoutput's text mode. */
#include <stdio.h>
#include <stdlib.h>

#include "decode/column.h"
#include "decode/datetime.h"
#include "decode/numeric.h"
#include "pg/types.h"

/* Longest text of a float that goes to strtod(): the server prints at most 24 bytes. */
#define FLOAT_TEXT_MAX 63u
/* Integers up to 2^53 and powers of ten up to 22 are exact in a double, so one operation on them
 * rounds correctly; for a float 2^24 and 10. */
#define EXACT_DOUBLE       (UINT64_C(1) << 53)
#define EXACT_DOUBLE_POWER 22
#define EXACT_FLOAT        (UINT64_C(1) << 24)
#define EXACT_FLOAT_POWER  10

struct sixteen {
    uint8_t bytes[16];
};

/* memcpy() for what is mostly short: copies that overlap, without a call. */
static void copy_short(uint8_t *to, const uint8_t *from, size_t size)
{
    if (size > 64) {
        memcpy(to, from, size);
    } else if (size >= 16) {
        struct sixteen part[4];
        size_t half = size > 32 ? 16 : 0; /* up to 32 bytes: both ends copied twice */

        memcpy(&part[0], from, 16);
        memcpy(&part[1], from + half, 16);
        memcpy(&part[2], from + size - 16 - half, 16);
        memcpy(&part[3], from + size - 16, 16);
        memcpy(to, &part[0], 16);
        memcpy(to + half, &part[1], 16);
        memcpy(to + size - 16 - half, &part[2], 16);
        memcpy(to + size - 16, &part[3], 16);
    } else if (size >= 8) {
        uint64_t head;
        uint64_t tail;

        memcpy(&head, from, sizeof head);
        memcpy(&tail, from + size - sizeof tail, sizeof tail);
        memcpy(to, &head, sizeof head);
        memcpy(to + size - sizeof tail, &tail, sizeof tail);
    } else if (size >= 4) {
        uint32_t head;
        uint32_t tail;

        memcpy(&head, from, sizeof head);
        memcpy(&tail, from + size - sizeof tail, sizeof tail);
        memcpy(to, &head, sizeof head);
        memcpy(to + size - sizeof tail, &tail, sizeof tail);
    } else {
        for (size_t i = 0; i < size; i++) {
            to[i] = from[i];
        }
    }
}

enum nw_decoded nw_decode_copy(struct nw_column *column, uint32_t row, const uint8_t *at,
                               uint32_t size)
{
    uint8_t *to = nw_buffer_reserve(&column->bytes, size);

    if (to == NULL) {
        return NW_DECODED_NO_MEMORY;
    }
    copy_short(to, at, size);
    column->bytes.size += size;
    column->offsets[row + 1] = (int32_t)column->bytes.size;
    return NW_DECODED;
}

static enum nw_decoded text_bool(struct nw_column *column, uint32_t row, const uint8_t *at,
                                 uint32_t size)
{
    if (size != 1 || (*at != 't' && *at != 'f')) {
        return NW_DECODED_MALFORMED;
    }
    column->values[row >> 3] |= (uint8_t)((*at == 't') << (row & 7u));
    return NW_DECODED;
}

/* [-]digits within low..high. */
static bool parse_integer(const uint8_t *at, uint32_t size, int64_t low, int64_t high,
                          int64_t *value)
{
    bool negative = size > 0 && at[0] == '-';
    uint32_t i = negative ? 1 : 0;
    uint64_t sum = 0;

    if (i == size || size - i > 19) { /* 19 digits always fit 64 bits without a sign */
        return false;
    }
    for (; i < size; i++) {
        uint32_t digit = (uint32_t)at[i] - '0';

        if (digit > 9) {
            return false;
        }
        sum = sum * 10 + digit;
    }
    if (negative ? sum > 0 - (uint64_t)low : sum > (uint64_t)high) {
        return false;
    }
    *value = (int64_t)(negative ? 0 - sum : sum);
    return true;
}

static enum nw_decoded text_int16(struct nw_column *column, uint32_t row, const uint8_t *at,
                                  uint32_t size)
{
    int64_t value = 0;

    if (!parse_integer(at, size, INT16_MIN, INT16_MAX, &value)) {
        return NW_DECODED_MALFORMED;
    }
    memcpy(column->values + row * sizeof(int16_t), &(int16_t){(int16_t)value}, sizeof(int16_t));
    return NW_DECODED;
}

static enum nw_decoded text_int32(struct nw_column *column, uint32_t row, const uint8_t *at,
                                  uint32_t size)
{
    int64_t value = 0;

    if (!parse_integer(at, size, INT32_MIN, INT32_MAX, &value)) {
        return NW_DECODED_MALFORMED;
    }
    memcpy(column->values + row * sizeof(int32_t), &(int32_t){(int32_t)value}, sizeof(int32_t));
    return NW_DECODED;
}

static enum nw_decoded text_uint32(struct nw_column *column, uint32_t row, const uint8_t *at,
                                   uint32_t size)
{
    int64_t value = 0;

    if (!parse_integer(at, size, 0, UINT32_MAX, &value)) {
        return NW_DECODED_MALFORMED;
    }
    memcpy(column->values + row * sizeof(uint32_t), &(uint32_t){(uint32_t)value}, sizeof(uint32_t));
    return NW_DECODED;
}

static enum nw_decoded text_int64(struct nw_column *column, uint32_t row, const uint8_t *at,
                                  uint32_t size)
{
    int64_t value = 0;

    if (!parse_integer(at, size, INT64_MIN, INT64_MAX, &value)) {
        return NW_DECODED_MALFORMED;
    }
    memcpy(column->values + row * sizeof value, &value, sizeof value);
    return NW_DECODED;
}

/* A decimal number taken apart: digits * 10^exponent. */
struct decimal {
    bool negative;
    bool exact; /* all digits are in `digits` */
    uint64_t digits;
    int64_t exponent;
};

/* The digits before and after the point. */
static bool parse_mantissa(const uint8_t *at, uint32_t size, uint32_t *next,
                           struct decimal *decimal)
{
    uint32_t i = *next;
    uint32_t count = 0;
    bool point = false;

    for (; i < size; i++) {
        uint32_t digit = (uint32_t)at[i] - '0';

        if (at[i] == '.' && !point) {
            point = true;
            continue;
        }
        if (digit > 9) {
            break;
        }
        count++;
        if (decimal->digits >= EXACT_DOUBLE) {
            decimal->exact = false; /* strtod() will read it again */
        } else {
            decimal->digits = decimal->digits * 10 + digit;
            decimal->exponent -= point ? 1 : 0;
        }
    }
    *next = i;
    return count > 0;
}

/* e[+-]digits, up to the end. */
static bool parse_exponent(const uint8_t *at, uint32_t size, struct decimal *decimal)
{
    bool negative = size > 1 && at[1] == '-';
    uint32_t i = size > 1 && (negative || at[1] == '+') ? 2 : 1;
    int64_t exponent = 0;

    if (at[0] != 'e' || i >= size || size - i > 4) {
        return false;
    }
    for (; i < size; i++) {
        if (at[i] < '0' || at[i] > '9') {
            return false;
        }
        exponent = exponent * 10 + (at[i] - '0');
    }
    decimal->exponent += negative ? -exponent : exponent;
    return true;
}

/* [-]digits[.digits][e[+-]digits]: what float8out prints, apart from NaN and the infinities. */
static bool parse_decimal(const uint8_t *at, uint32_t size, struct decimal *decimal)
{
    uint32_t i = 0;

    *decimal = (struct decimal){.negative = size > 0 && at[0] == '-', .exact = true};
    i = decimal->negative ? 1 : 0;
    return parse_mantissa(at, size, &i, decimal) &&
           (i == size || parse_exponent(at + i, size - i, decimal));
}

static bool parse_special(const uint8_t *at, uint32_t size, double *value)
{
    if (size == 3 && memcmp(at, "NaN", 3) == 0) {
        *value = __builtin_nan("");
    } else if (size == 8 && memcmp(at, "Infinity", 8) == 0) {
        *value = __builtin_inf();
    } else if (size == 9 && memcmp(at, "-Infinity", 9) == 0) {
        *value = -__builtin_inf();
    } else {
        return false;
    }
    return true;
}

static enum nw_decoded text_float64(struct nw_column *column, uint32_t row, const uint8_t *at,
                                    uint32_t size)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    struct decimal decimal;
    double value = 0;

    if (!parse_decimal(at, size, &decimal)) {
        if (!parse_special(at, size, &value)) {
            return NW_DECODED_MALFORMED;
        }
    } else if (decimal.exact && decimal.digits <= EXACT_DOUBLE &&
               decimal.exponent >= -EXACT_DOUBLE_POWER && decimal.exponent <= EXACT_DOUBLE_POWER) {
        value = (double)decimal.digits;
        value = decimal.exponent < 0 ? value / powers[-decimal.exponent]
                                     : value * powers[decimal.exponent];
        value = decimal.negative ? -value : value;
    } else {
        char text[FLOAT_TEXT_MAX + 1];

        if (size > FLOAT_TEXT_MAX) {
            return NW_DECODED_MALFORMED;
        }
        memcpy(text, at, size);
        text[size] = '\0';
        value = strtod(text, NULL); /* checked above; the process stays in the C locale */
    }
    memcpy(column->values + row * sizeof value, &value, sizeof value);
    return NW_DECODED;
}

static enum nw_decoded text_float32(struct nw_column *column, uint32_t row, const uint8_t *at,
                                    uint32_t size)
{
    static const float powers[] = {1e0f, 1e1f, 1e2f, 1e3f, 1e4f, 1e5f,
                                   1e6f, 1e7f, 1e8f, 1e9f, 1e10f};
    struct decimal decimal;
    double special = 0;
    float value = 0;

    if (!parse_decimal(at, size, &decimal)) {
        if (!parse_special(at, size, &special)) {
            return NW_DECODED_MALFORMED;
        }
        value = (float)special;
    } else if (decimal.exact && decimal.digits <= EXACT_FLOAT &&
               decimal.exponent >= -EXACT_FLOAT_POWER && decimal.exponent <= EXACT_FLOAT_POWER) {
        value = (float)decimal.digits;
        value = decimal.exponent < 0 ? value / powers[-decimal.exponent]
                                     : value * powers[decimal.exponent];
        value = decimal.negative ? -value : value;
    } else {
        char text[FLOAT_TEXT_MAX + 1];

        if (size > FLOAT_TEXT_MAX) {
            return NW_DECODED_MALFORMED;
        }
        memcpy(text, at, size);
        text[size] = '\0';
        value = strtof(text, NULL); /* not strtod(): rounding twice may be off by one bit */
    }
    memcpy(column->values + row * sizeof value, &value, sizeof value);
    return NW_DECODED;
}

/* 0 to 15, or 255. */
static uint8_t hex_value(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') {
        return (uint8_t)(byte - '0');
    }
    if (byte >= 'a' && byte <= 'f') {
        return (uint8_t)(byte - 'a' + 10);
    }
    return 255;
}

/* Both digits of a byte; false when one is none. */
static bool hex_byte(const uint8_t *at, uint8_t *byte)
{
    uint8_t high = hex_value(at[0]);
    uint8_t low = hex_value(at[1]);

    *byte = (uint8_t)(high << 4 | low);
    return (high | low) < 16;
}

static enum nw_decoded text_uuid(struct nw_column *column, uint32_t row, const uint8_t *at,
                                 uint32_t size)
{
    uint8_t *to = column->values + (size_t)row * 16;
    uint32_t i = 0;

    if (size != 36) {
        return NW_DECODED_MALFORMED;
    }
    for (uint32_t byte = 0; byte < 16; byte++) {
        if (byte == 4 || byte == 6 || byte == 8 || byte == 10) {
            if (at[i++] != '-') {
                return NW_DECODED_MALFORMED;
            }
        }
        if (!hex_byte(at + i, to + byte)) {
            return NW_DECODED_MALFORMED;
        }
        i += 2;
    }
    return NW_DECODED;
}

static enum nw_decoded text_bytea(struct nw_column *column, uint32_t row, const uint8_t *at,
                                  uint32_t size)
{
    uint8_t *to = NULL;
    uint32_t count = 0;

    if (size < 2 || size % 2 != 0 || at[0] != '\\' || at[1] != 'x') {
        return NW_DECODED_MALFORMED;
    }
    count = size / 2 - 1;
    to = nw_buffer_reserve(&column->bytes, count);
    if (to == NULL) {
        return NW_DECODED_NO_MEMORY;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!hex_byte(at + 2 + 2 * (size_t)i, to + i)) {
            return NW_DECODED_MALFORMED;
        }
    }
    column->bytes.size += count;
    column->offsets[row + 1] = (int32_t)column->bytes.size;
    return NW_DECODED;
}

/* One byte of "char" as its output function prints it since PostgreSQL 16. */
static bool append_char(struct nw_buffer *out, uint8_t byte, const char *backslash)
{
    char octal[8];
    int size = sprintf(octal, "%s%03o", backslash, byte);

    return byte < 0x80 ? nw_buffer_append(out, &byte, 1)
                       : nw_buffer_append(out, octal, (size_t)size);
}

/* "char": before PostgreSQL 16 bytes from 0x80 on come as they are, which is no valid text. */
static enum nw_decoded text_char(struct nw_column *column, uint32_t row, const uint8_t *at,
                                 uint32_t size)
{
    if (size == 1 && *at >= 0x80) {
        bool good = append_char(&column->bytes, *at, "\\");

        column->offsets[row + 1] = (int32_t)column->bytes.size;
        return good ? NW_DECODED : NW_DECODED_NO_MEMORY;
    }
    return nw_decode_copy(column, row, at, size);
}

/* "char"[]: such a byte is an element, which with its backslash is quoted. */
static enum nw_decoded text_chars(struct nw_column *column, uint32_t row, const uint8_t *at,
                                  uint32_t size)
{
    bool good = nw_buffer_reserve(&column->bytes, size) != NULL;

    for (uint32_t i = 0; i < size && good; i++) {
        bool odd = at[i] >= 0x80;

        good = (!odd || nw_buffer_append(&column->bytes, "\"", 1)) &&
               append_char(&column->bytes, at[i], "\\\\") &&
               (!odd || nw_buffer_append(&column->bytes, "\"", 1));
    }
    column->offsets[row + 1] = (int32_t)column->bytes.size;
    return good ? NW_DECODED : NW_DECODED_NO_MEMORY;
}

static enum nw_decoded text_decimal(struct nw_column *column, uint32_t row, const uint8_t *at,
                                    uint32_t size)
{
    nw_int128 value = 0;
    enum nw_decoded decoded = nw_numeric_parse(at, size, column->precision, column->scale, &value);

    if (decoded == NW_DECODED) {
        memcpy(column->values + row * sizeof value, &value, sizeof value);
    } else if (decoded == NW_DECODED_EXCEPTION) {
        return nw_decoded_exception(column, at, size);
    }
    return decoded;
}

static enum nw_decoded text_date(struct nw_column *column, uint32_t row, const uint8_t *at,
                                 uint32_t size)
{
    int32_t days = 0;
    enum nw_decoded decoded = nw_date_parse(at, size, &days);

    if (decoded == NW_DECODED) {
        memcpy(column->values + row * sizeof days, &days, sizeof days);
    } else if (decoded == NW_DECODED_EXCEPTION) {
        return nw_decoded_exception(column, at, size);
    }
    return decoded;
}

/* Stores a time or timestamp that was parsed. */
static enum nw_decoded store_us(struct nw_column *column, uint32_t row, enum nw_decoded decoded,
                                int64_t us)
{
    if (decoded == NW_DECODED) {
        memcpy(column->values + row * sizeof us, &us, sizeof us);
    }
    return decoded;
}

static enum nw_decoded text_time(struct nw_column *column, uint32_t row, const uint8_t *at,
                                 uint32_t size)
{
    int64_t us = 0;
    enum nw_decoded decoded = nw_time_parse(at, size, &us);

    return decoded == NW_DECODED_EXCEPTION ? nw_decoded_exception(column, at, size)
                                           : store_us(column, row, decoded, us);
}

static enum nw_decoded text_timestamp(struct nw_column *column, uint32_t row, const uint8_t *at,
                                      uint32_t size)
{
    int64_t us = 0;
    enum nw_decoded decoded = nw_timestamp_parse(at, size, false, &us);

    return decoded == NW_DECODED_EXCEPTION ? nw_decoded_exception(column, at, size)
                                           : store_us(column, row, decoded, us);
}

static enum nw_decoded text_timestamptz(struct nw_column *column, uint32_t row, const uint8_t *at,
                                        uint32_t size)
{
    int64_t us = 0;
    enum nw_decoded decoded = nw_timestamp_parse(at, size, true, &us);

    return decoded == NW_DECODED_EXCEPTION ? nw_decoded_exception(column, at, size)
                                           : store_us(column, row, decoded, us);
}

nw_decode_fn nw_decoder_text(const struct nw_column_schema *schema)
{
    switch ((enum nw_type)schema->type) {
    case NW_TYPE_TEXT:
        return schema->base_type_oid == NW_OID_CHAR                    ? text_char
               : nw_type_element(schema->base_type_oid) == NW_OID_CHAR ? text_chars
                                                                       : nw_decode_copy;
    case NW_TYPE_JSON:
    case NW_TYPE_NUMERIC:
        return nw_decode_copy;
    case NW_TYPE_BINARY:
        return text_bytea;
    case NW_TYPE_BOOL:
        return text_bool;
    case NW_TYPE_INT16:
        return text_int16;
    case NW_TYPE_INT32:
        return text_int32;
    case NW_TYPE_INT64:
        return text_int64;
    case NW_TYPE_UINT32:
        return text_uint32;
    case NW_TYPE_FLOAT32:
        return text_float32;
    case NW_TYPE_FLOAT64:
        return text_float64;
    case NW_TYPE_DECIMAL:
        return text_decimal;
    case NW_TYPE_DATE:
        return text_date;
    case NW_TYPE_TIME:
        return text_time;
    case NW_TYPE_TIMESTAMP:
        return text_timestamp;
    case NW_TYPE_TIMESTAMPTZ:
        return text_timestamptz;
    case NW_TYPE_UUID:
        return text_uuid;
    }
    return nw_decode_copy;
}
