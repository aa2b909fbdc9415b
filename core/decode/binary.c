/* SPDX-License-Identifier: Apache-2.0 */
/* Values in the formats of PostgreSQL's send functions: pgoutput's binary mode and COPY BINARY. */
#include "base/cursor.h"
#include "decode/column.h"
#include "decode/datetime.h"
#include "decode/numeric.h"
#include "decode/print.h"
#include "pg/types.h"

/* IEEE 754; a NaN is whatever lies above infinity. */
#define FLOAT32_INFINITY UINT32_C(0x7f800000)
#define FLOAT32_NAN      UINT32_C(0x7fc00000)
#define FLOAT64_INFINITY UINT64_C(0x7ff0000000000000)
#define FLOAT64_NAN      UINT64_C(0x7ff8000000000000)

static uint16_t load16(const uint8_t *at)
{
    uint16_t value;

    memcpy(&value, at, sizeof value);
    return __builtin_bswap16(value);
}

static uint32_t load32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof value);
    return __builtin_bswap32(value);
}

static uint64_t load64(const uint8_t *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof value);
    return __builtin_bswap64(value);
}

static enum nw_decoded binary_bool(struct nw_column *column, uint32_t row, const uint8_t *at,
                                   uint32_t size)
{
    if (size != 1 || *at > 1) {
        return NW_DECODED_MALFORMED;
    }
    column->values[row >> 3] |= (uint8_t)(*at << (row & 7u));
    return NW_DECODED;
}

static enum nw_decoded binary_16(struct nw_column *column, uint32_t row, const uint8_t *at,
                                 uint32_t size)
{
    if (size != sizeof(uint16_t)) {
        return NW_DECODED_MALFORMED;
    }
    memcpy(column->values + row * sizeof(uint16_t), &(uint16_t){load16(at)}, sizeof(uint16_t));
    return NW_DECODED;
}

static enum nw_decoded binary_32(struct nw_column *column, uint32_t row, const uint8_t *at,
                                 uint32_t size)
{
    if (size != sizeof(uint32_t)) {
        return NW_DECODED_MALFORMED;
    }
    memcpy(column->values + row * sizeof(uint32_t), &(uint32_t){load32(at)}, sizeof(uint32_t));
    return NW_DECODED;
}

static enum nw_decoded binary_64(struct nw_column *column, uint32_t row, const uint8_t *at,
                                 uint32_t size)
{
    if (size != sizeof(uint64_t)) {
        return NW_DECODED_MALFORMED;
    }
    memcpy(column->values + row * sizeof(uint64_t), &(uint64_t){load64(at)}, sizeof(uint64_t));
    return NW_DECODED;
}

/* All NaN print the same, so they are the same: text and binary must agree. */
static enum nw_decoded binary_float32(struct nw_column *column, uint32_t row, const uint8_t *at,
                                      uint32_t size)
{
    uint32_t bits = 0;

    if (size != sizeof bits) {
        return NW_DECODED_MALFORMED;
    }
    bits = load32(at);
    bits = (bits & INT32_MAX) > FLOAT32_INFINITY ? FLOAT32_NAN : bits;
    memcpy(column->values + row * sizeof bits, &bits, sizeof bits);
    return NW_DECODED;
}

static enum nw_decoded binary_float64(struct nw_column *column, uint32_t row, const uint8_t *at,
                                      uint32_t size)
{
    uint64_t bits = 0;

    if (size != sizeof bits) {
        return NW_DECODED_MALFORMED;
    }
    bits = load64(at);
    bits = (bits & INT64_MAX) > FLOAT64_INFINITY ? FLOAT64_NAN : bits;
    memcpy(column->values + row * sizeof bits, &bits, sizeof bits);
    return NW_DECODED;
}

static enum nw_decoded binary_uuid(struct nw_column *column, uint32_t row, const uint8_t *at,
                                   uint32_t size)
{
    if (size != 16) {
        return NW_DECODED_MALFORMED;
    }
    memcpy(column->values + (size_t)row * 16, at, 16);
    return NW_DECODED;
}

static enum nw_decoded binary_jsonb(struct nw_column *column, uint32_t row, const uint8_t *at,
                                    uint32_t size)
{
    if (size < 1 || at[0] != 1) { /* the format's version */
        return NW_DECODED_MALFORMED;
    }
    return nw_decode_copy(column, row, at + 1, size - 1);
}

static enum nw_decoded binary_decimal(struct nw_column *column, uint32_t row, const uint8_t *at,
                                      uint32_t size)
{
    struct nw_numeric numeric;
    nw_int128 value = 0;

    if (!nw_numeric_read(at, size, &numeric)) {
        return NW_DECODED_MALFORMED;
    }
    if (!nw_numeric_scaled(&numeric, column->precision, column->scale, &value)) {
        return nw_numeric_print(&numeric, column->exceptions) ? NW_DECODED_EXCEPTION
                                                              : NW_DECODED_NO_MEMORY;
    }
    memcpy(column->values + row * sizeof value, &value, sizeof value);
    return NW_DECODED;
}

static enum nw_decoded binary_numeric(struct nw_column *column, uint32_t row, const uint8_t *at,
                                      uint32_t size)
{
    struct nw_numeric numeric;

    if (!nw_numeric_read(at, size, &numeric)) {
        return NW_DECODED_MALFORMED;
    }
    if (!nw_numeric_print(&numeric, &column->bytes)) {
        return NW_DECODED_NO_MEMORY;
    }
    column->offsets[row + 1] = (int32_t)column->bytes.size;
    return NW_DECODED;
}

static enum nw_decoded infinity(struct nw_column *column, bool negative)
{
    return negative ? nw_decoded_exception(column, "-infinity", 9)
                    : nw_decoded_exception(column, "infinity", 8);
}

static enum nw_decoded binary_date(struct nw_column *column, uint32_t row, const uint8_t *at,
                                   uint32_t size)
{
    int32_t days = 0;

    if (size != sizeof days) {
        return NW_DECODED_MALFORMED;
    }
    days = (int32_t)load32(at);
    if (days == INT32_MAX || days == INT32_MIN) {
        return infinity(column, days < 0);
    }
    if (days < NW_DATE_MIN - NW_DAYS_TO_2000 || days > NW_DATE_MAX - NW_DAYS_TO_2000) {
        return NW_DECODED_MALFORMED;
    }
    days += NW_DAYS_TO_2000;
    memcpy(column->values + row * sizeof days, &days, sizeof days);
    return NW_DECODED;
}

static enum nw_decoded binary_time(struct nw_column *column, uint32_t row, const uint8_t *at,
                                   uint32_t size)
{
    int64_t us = 0;

    if (size != sizeof us) {
        return NW_DECODED_MALFORMED;
    }
    us = (int64_t)load64(at);
    if (us < 0 || us > NW_US_PER_DAY) {
        return NW_DECODED_MALFORMED;
    }
    if (us == NW_US_PER_DAY) {
        return nw_decoded_exception(column, "24:00:00", 8);
    }
    memcpy(column->values + row * sizeof us, &us, sizeof us);
    return NW_DECODED;
}

/* A timestamp that does not fit when counted from 1970: its year is past 294246. */
static enum nw_decoded timestamp_exception(struct nw_column *column, int64_t us, const char *suffix)
{
    char text[NW_DATETIME_TEXT_SIZE];
    size_t size =
        nw_timestamp_print(text, us / NW_US_PER_DAY + NW_DAYS_TO_2000, us % NW_US_PER_DAY, suffix);

    return nw_decoded_exception(column, text, size);
}

static enum nw_decoded timestamp(struct nw_column *column, uint32_t row, const uint8_t *at,
                                 uint32_t size, const char *suffix)
{
    int64_t us = 0;
    int64_t since_1970 = 0;

    if (size != sizeof us) {
        return NW_DECODED_MALFORMED;
    }
    us = (int64_t)load64(at);
    if (us == INT64_MAX || us == INT64_MIN) {
        return infinity(column, us < 0);
    }
    if (us < NW_TIMESTAMP_MIN || us >= NW_TIMESTAMP_END) {
        return NW_DECODED_MALFORMED;
    }
    if (__builtin_add_overflow(us, NW_DAYS_TO_2000 * NW_US_PER_DAY, &since_1970)) {
        return timestamp_exception(column, us, suffix);
    }
    memcpy(column->values + row * sizeof since_1970, &since_1970, sizeof since_1970);
    return NW_DECODED;
}

static enum nw_decoded binary_timestamp(struct nw_column *column, uint32_t row, const uint8_t *at,
                                        uint32_t size)
{
    return timestamp(column, row, at, size, "");
}

static enum nw_decoded binary_timestamptz(struct nw_column *column, uint32_t row, const uint8_t *at,
                                          uint32_t size)
{
    return timestamp(column, row, at, size, "+00");
}

/* Stores the end of a value that was appended to the column's bytes. */
static enum nw_decoded end_text(struct nw_column *column, uint32_t row, enum nw_decoded decoded)
{
    column->offsets[row + 1] = (int32_t)column->bytes.size;
    return decoded;
}

static enum nw_decoded binary_printed(struct nw_column *column, uint32_t row, const uint8_t *at,
                                      uint32_t size)
{
    return end_text(column, row, column->print(&column->bytes, at, size));
}

static enum nw_decoded binary_array(struct nw_column *column, uint32_t row, const uint8_t *at,
                                    uint32_t size)
{
    return end_text(column, row, nw_print_array(&column->bytes, at, size, column->element_oid));
}

/* Types whose form in a batch is text. */
static nw_decode_fn decoder_of_text(const struct nw_column_schema *schema, uint32_t element_oid)
{
    switch (schema->base_type_oid) {
    case NW_OID_NAME:
    case NW_OID_TEXT:
    case NW_OID_BPCHAR:
    case NW_OID_VARCHAR:
        return nw_decode_copy;
    default:
        break;
    }
    if (schema->enum_labels != NULL) {
        return nw_decode_copy;
    }
    if (element_oid != 0) {
        return binary_array;
    }
    return nw_printer_of(schema->base_type_oid) != NULL ? binary_printed : NULL;
}

nw_decode_fn nw_decoder_binary(const struct nw_column_schema *schema, uint32_t element_oid)
{
    switch ((enum nw_type)schema->type) {
    case NW_TYPE_TEXT:
        return decoder_of_text(schema, element_oid);
    case NW_TYPE_JSON:
        return schema->base_type_oid == NW_OID_JSONB ? binary_jsonb : nw_decode_copy;
    case NW_TYPE_BINARY:
        return nw_decode_copy;
    case NW_TYPE_BOOL:
        return binary_bool;
    case NW_TYPE_INT16:
        return binary_16;
    case NW_TYPE_INT32:
    case NW_TYPE_UINT32:
        return binary_32;
    case NW_TYPE_INT64:
        return binary_64;
    case NW_TYPE_FLOAT32:
        return binary_float32;
    case NW_TYPE_FLOAT64:
        return binary_float64;
    case NW_TYPE_DECIMAL:
        return binary_decimal;
    case NW_TYPE_DATE:
        return binary_date;
    case NW_TYPE_TIME:
        return binary_time;
    case NW_TYPE_TIMESTAMP:
        return binary_timestamp;
    case NW_TYPE_TIMESTAMPTZ:
        return binary_timestamptz;
    case NW_TYPE_UUID:
        return binary_uuid;
    case NW_TYPE_NUMERIC:
        return binary_numeric;
    }
    return NULL;
}
