/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Integers, LSNs, dates, times, decimals and UUIDs as text: see print.h. Stateless.
 *
 * The forms are those of PostgreSQL's timestamp_out, date_out, time_out (EncodeDateTime in
 * src/backend/utils/adt/datetime.c), numeric_out and uuid_out, versions 14 to 18.
 */
#include "lib/print.h"

#include <string.h>

#define US_PER_SECOND INT64_C(1000000)
#define US_PER_DAY    (INT64_C(86400) * US_PER_SECOND)
#define EIGHT_DIGITS  UINT64_C(100000000)
#define DAYS_PER_ERA  INT64_C(146097) /* 400 Gregorian years */

const char nw_print_digit_pairs[201] = "00010203040506070809101112131415161718192021222324"
                                       "25262728293031323334353637383940414243444546474849"
                                       "50515253545556575859606162636465666768697071727374"
                                       "75767778798081828384858687888990919293949596979899";

static uint8_t *print_pair(uint8_t *at, unsigned value)
{
    memcpy(at, nw_print_digit_pairs + (size_t)value * 2, 2);
    return at + 2;
}

/* The logarithm follows from the number of bits, too low by one at most. */
static unsigned digits_count(uint64_t value)
{
    static const uint64_t powers[20] = {0,
                                        10,
                                        100,
                                        1000,
                                        10000,
                                        100000,
                                        1000000,
                                        10000000,
                                        100000000,
                                        1000000000,
                                        10000000000,
                                        100000000000,
                                        1000000000000,
                                        10000000000000,
                                        100000000000000,
                                        1000000000000000,
                                        10000000000000000,
                                        100000000000000000,
                                        1000000000000000000,
                                        UINT64_C(10000000000000000000)};
    unsigned bits = 64u - (unsigned)__builtin_clzll(value | 1u);
    unsigned count = bits * 1233u >> 12; /* log10(2) is 1233 / 4096, nearly */

    return count + (value >= powers[count] ? 1u : 0u);
}

/* Eight digits, whose divisions do not wait for each other. */
static inline void print_eight(uint8_t *at, uint32_t value)
{
    uint32_t high = value / 10000;
    uint32_t low = value - high * 10000;

    (void)print_pair(at, high / 100);
    (void)print_pair(at + 2, high % 100);
    (void)print_pair(at + 4, low / 100);
    (void)print_pair(at + 6, low % 100);
}

uint8_t *nw_print_u64(uint8_t *at, uint64_t value)
{
    uint8_t *end = at + digits_count(value);
    uint8_t *digit = end;
    uint32_t head;

    while (value >= EIGHT_DIGITS) {
        uint64_t rest = value / EIGHT_DIGITS;

        digit -= 8;
        print_eight(digit, (uint32_t)(value - rest * EIGHT_DIGITS));
        value = rest;
    }
    head = (uint32_t)value;
    while (head >= 100) {
        uint32_t rest = head / 100;

        digit -= 2;
        (void)print_pair(digit, head - rest * 100);
        head = rest;
    }
    if (head >= 10) {
        (void)print_pair(digit - 2, head);
    } else {
        digit[-1] = (uint8_t)('0' + head);
    }
    return end;
}

static uint8_t *print_hex_u32(uint8_t *at, uint32_t value)
{
    unsigned shift = value == 0 ? 0 : (31u - (unsigned)__builtin_clz(value)) / 4u * 4u;

    for (;; shift -= 4) {
        *at++ = (uint8_t)("0123456789ABCDEF"[value >> shift & 15u]);
        if (shift == 0) {
            return at;
        }
    }
}

uint8_t *nw_print_lsn(uint8_t *at, uint64_t lsn)
{
    at = print_hex_u32(at, (uint32_t)(lsn >> 32));
    *at++ = '/';
    return print_hex_u32(at, (uint32_t)lsn);
}

/* Four bytes as eight digits: each half byte is moved into a byte of its own, and those above nine
 * are raised from behind '9' to 'a'. */
static inline uint8_t *print_hex_4(uint8_t *at, const uint8_t *bytes)
{
    uint32_t four;
    uint64_t spread;
    uint64_t halves;
    uint64_t letters;

    memcpy(&four, bytes, sizeof four);
    spread = (four & UINT64_C(0xffff0000)) << 16 | (four & UINT64_C(0xffff));
    spread = (spread << 8 | spread) & UINT64_C(0x00ff00ff00ff00ff);
    halves = (spread >> 4 & UINT64_C(0x000f000f000f000f)) | (spread & UINT64_C(0x000f000f000f000f))
                                                                << 8;
    letters = (halves + UINT64_C(0x0606060606060606)) >> 4 & UINT64_C(0x0101010101010101);
    halves += UINT64_C(0x3030303030303030) + letters * ('a' - '9' - 1);
    memcpy(at, &halves, sizeof halves);
    return at + sizeof halves;
}

uint8_t *nw_print_hex(uint8_t *at, const void *bytes, size_t size)
{
    const uint8_t *byte = bytes;

    for (; size >= 4; size -= 4, byte += 4) {
        at = print_hex_4(at, byte);
    }
    for (size_t i = 0; i < size; i++) {
        *at++ = (uint8_t)("0123456789abcdef"[byte[i] >> 4]);
        *at++ = (uint8_t)("0123456789abcdef"[byte[i] & 15]);
    }
    return at;
}

/* Writes the date without its BC mark and says whether it needs one. The calendar arithmetic
 * counts from 0000-03-01, so that the leap day is the last of a year. */
static uint8_t *print_ymd(uint8_t *at, int64_t days, int *before_christ)
{
    int64_t shifted = days + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - (DAYS_PER_ERA - 1)) / DAYS_PER_ERA;
    uint32_t day_of_era = (uint32_t)(shifted - era * DAYS_PER_ERA);
    uint32_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint32_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint32_t month_shifted = (5 * day_of_year + 2) / 153;
    uint32_t day = day_of_year - (153 * month_shifted + 2) / 5 + 1;
    uint32_t month = month_shifted < 10 ? month_shifted + 3 : month_shifted - 9;
    int64_t year = (int64_t)year_of_era + era * 400 + (month <= 2 ? 1 : 0);

    *before_christ = year <= 0;
    if (year <= 0) {
        year = 1 - year;
    }
    if (year < 10000) {
        at = print_pair(at, (unsigned)year / 100);
        at = print_pair(at, (unsigned)year % 100);
    } else {
        at = nw_print_u64(at, (uint64_t)year);
    }
    *at++ = '-';
    at = print_pair(at, month);
    *at++ = '-';
    return print_pair(at, day);
}

static uint8_t *print_bc(uint8_t *at)
{
    memcpy(at, " BC", 3);
    return at + 3;
}

uint8_t *nw_print_date(uint8_t *at, int32_t days)
{
    int before_christ;

    at = print_ymd(at, days, &before_christ);
    return before_christ ? print_bc(at) : at;
}

uint8_t *nw_print_time(uint8_t *at, int64_t us)
{
    uint64_t seconds = (uint64_t)us / (uint64_t)US_PER_SECOND;
    uint32_t fraction = (uint32_t)((uint64_t)us % (uint64_t)US_PER_SECOND);

    at = print_pair(at, (unsigned)(seconds / 3600 % 100));
    *at++ = ':';
    at = print_pair(at, (unsigned)(seconds / 60 % 60));
    *at++ = ':';
    at = print_pair(at, (unsigned)(seconds % 60));
    if (fraction == 0) {
        return at;
    }
    *at++ = '.';
    at = print_pair(at, fraction / 10000);
    at = print_pair(at, fraction / 100 % 100);
    at = print_pair(at, fraction % 100);
    while (at[-1] == '0') {
        at--;
    }
    return at;
}

uint8_t *nw_print_timestamp(uint8_t *at, int64_t us, const char *zone)
{
    int64_t days = us / US_PER_DAY;
    int64_t rest = us % US_PER_DAY;
    int before_christ;

    if (rest < 0) {
        rest += US_PER_DAY;
        days--;
    }
    at = print_ymd(at, days, &before_christ);
    *at++ = ' ';
    at = nw_print_time(at, rest);
    while (*zone != '\0') {
        *at++ = (uint8_t)*zone++;
    }
    return before_christ ? print_bc(at) : at;
}

/* Digits of a magnitude below 10^38, without leading zeros. */
static uint8_t *print_u128(uint8_t *at, nw_u128 value)
{
    const uint64_t chunk = UINT64_C(1000000000000000000);
    uint64_t low;

    if (value <= UINT64_MAX) {
        return nw_print_u64(at, (uint64_t)value);
    }
    at = print_u128(at, value / chunk);
    low = (uint64_t)(value % chunk);
    for (uint8_t *digit = at + 18; digit > at; low /= 100) {
        digit -= 2;
        memcpy(digit, nw_print_digit_pairs + low % 100 * 2, 2);
    }
    return at + 18;
}

uint8_t *nw_print_decimal(uint8_t *at, const uint8_t bytes[16], uint8_t scale)
{
    uint8_t digits[48];
    nw_u128 value;
    size_t count;

    memcpy(&value, bytes, sizeof value);
    if (value >> 127 != 0) {
        value = 0 - value;
        *at++ = '-';
    }
    count = (size_t)(print_u128(digits, value) - digits);
    if (count > scale) {
        memcpy(at, digits, count - scale);
        at += count - scale;
    } else {
        *at++ = '0';
    }
    if (scale > 0) {
        *at++ = '.';
        for (size_t zeros = count; zeros < scale; zeros++) {
            *at++ = '0';
        }
        memcpy(at, digits + (count > scale ? count - scale : 0), count > scale ? scale : count);
        at += count > scale ? scale : count;
    }
    return at;
}

uint8_t *nw_print_uuid(uint8_t *at, const uint8_t bytes[16])
{
    uint8_t digits[32];

    for (size_t i = 0; i < 4; i++) {
        (void)print_hex_4(digits + i * 8, bytes + i * 4);
    }
    memcpy(at, digits, 8);
    memcpy(at + 9, digits + 8, 4);
    memcpy(at + 14, digits + 12, 4);
    memcpy(at + 19, digits + 16, 4);
    memcpy(at + 24, digits + 20, 12);
    at[8] = at[13] = at[18] = at[23] = '-';
    return at + NW_PRINT_UUID_SIZE;
}
