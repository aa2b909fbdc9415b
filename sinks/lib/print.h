/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values as PostgreSQL prints them (DateStyle ISO, TimeZone UTC, extra_float_digits 3, bytea_output
 * hex), without going through the C library: integer arithmetic on memory that the caller has
 * reserved. Every function writes at `at`, without a NUL, and returns the byte behind.
 *
 * Stateless; any thread.
 */
#ifndef NW_SINKS_LIB_PRINT_H
#define NW_SINKS_LIB_PRINT_H

#include <stddef.h>
#include <stdint.h>

/* Most bytes that each function writes. */
#define NW_PRINT_INTEGER_MAX   20u
#define NW_PRINT_LSN_MAX       17u
#define NW_PRINT_FLOAT_MAX     25u
#define NW_PRINT_DATE_MAX      20u
#define NW_PRINT_TIME_MAX      24u
#define NW_PRINT_TIMESTAMP_MAX 48u
#define NW_PRINT_DECIMAL_MAX   48u
#define NW_PRINT_UUID_SIZE     36u

__extension__ typedef unsigned __int128 nw_u128;

extern const char nw_print_digit_pairs[201];

uint8_t *nw_print_u64(uint8_t *at, uint64_t value);
uint8_t *nw_print_lsn(uint8_t *at, uint64_t lsn);
/** Two lower-case digits for each byte. */
uint8_t *nw_print_hex(uint8_t *at, const void *bytes, size_t size);
/** Days since 1970-01-01: 2024-02-29, 0044-03-15 BC. */
uint8_t *nw_print_date(uint8_t *at, int32_t days);
/** Microseconds since midnight: 23:59:59.5. */
uint8_t *nw_print_time(uint8_t *at, int64_t us);
/** Microseconds since 1970-01-01; zone "" or "+00". */
uint8_t *nw_print_timestamp(uint8_t *at, int64_t us, const char *zone);
/** 16 bytes little-endian, two's complement, `scale` digits behind the point. */
uint8_t *nw_print_decimal(uint8_t *at, const uint8_t bytes[16], uint8_t scale);
uint8_t *nw_print_uuid(uint8_t *at, const uint8_t bytes[16]);
/** Shortest text that reads back as the same value; the caller has excluded NaN and infinities. */
uint8_t *nw_print_float64(uint8_t *at, double value);
uint8_t *nw_print_float32(uint8_t *at, float value);

static inline uint8_t *nw_print_i64(uint8_t *at, int64_t value)
{
    uint64_t magnitude = (uint64_t)value;

    if (value < 0) {
        *at++ = '-';
        magnitude = 0 - magnitude;
    }
    return nw_print_u64(at, magnitude);
}

#endif
