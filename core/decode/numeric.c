/* SPDX-License-Identifier: Apache-2.0 */
/* See numeric.h. */
#include "decode/numeric.h"

#include "base/assert.h"
#include "base/cursor.h"

#define DIGIT_BASE       10000u
#define SCALE_MASK       0x3fffu
#define HEADER_SIZE      8u
#define POWERS_COUNT     39u /* 10^38 is the largest power of ten in 128 bits */
#define FAST_DIGITS      18u /* decimal digits that surely fit 64 bits */
#define FAST_BASE_DIGITS 4   /* the same in base 10000 */

static const uint64_t powers64[] = {
    1ull,
    10ull,
    100ull,
    1000ull,
    10000ull,
    100000ull,
    1000000ull,
    10000000ull,
    100000000ull,
    1000000000ull,
    10000000000ull,
    100000000000ull,
    1000000000000ull,
    10000000000000ull,
    100000000000000ull,
    1000000000000000ull,
    10000000000000000ull,
    100000000000000000ull,
    1000000000000000000ull,
    10000000000000000000ull,
};

static nw_uint128 power_of_ten(uint32_t exponent)
{
    NW_DASSERT(exponent < POWERS_COUNT);
    return exponent < 20 ? (nw_uint128)powers64[exponent]
                         : (nw_uint128)powers64[19] * powers64[exponent - 19];
}

/* A digit that is there. */
static inline uint32_t load_digit(const struct nw_numeric *numeric, int32_t index)
{
    uint16_t digit;

    memcpy(&digit, numeric->digits + 2 * (size_t)index, sizeof digit);
    return __builtin_bswap16(digit);
}

/* A digit, or 0 where none was sent. */
static uint32_t digit_at(const struct nw_numeric *numeric, int32_t index)
{
    return index >= 0 && index < numeric->digits_count ? load_digit(numeric, index) : 0;
}

bool nw_numeric_read(const uint8_t *at, size_t size, struct nw_numeric *numeric)
{
    struct nw_cursor cursor = nw_cursor_of(at, size);
    uint64_t header = nw_cursor_u64be(&cursor); /* four numbers of 16 bits */
    uint16_t count = (uint16_t)(header >> 48);

    numeric->weight = (int16_t)(uint16_t)(header >> 32);
    numeric->sign = (uint16_t)(header >> 16);
    numeric->scale = (uint16_t)header;
    numeric->digits_count = count;
    numeric->digits = nw_cursor_take(&cursor, (size_t)count * 2);
    if (!nw_cursor_done(&cursor)) {
        return false;
    }
    switch (numeric->sign) {
    case NW_NUMERIC_NAN:
    case NW_NUMERIC_POSITIVE_INFINITY:
    case NW_NUMERIC_NEGATIVE_INFINITY:
        return true; /* their scale means nothing */
    case NW_NUMERIC_POSITIVE:
    case NW_NUMERIC_NEGATIVE:
        break;
    default:
        return false;
    }
    for (int32_t i = 0; i < count; i++) {
        if (load_digit(numeric, i) >= DIGIT_BASE) {
            return false;
        }
    }
    return numeric->scale <= SCALE_MASK;
}

static uint8_t *print_four(uint8_t *to, uint32_t digit)
{
    to[0] = (uint8_t)('0' + digit / 1000);
    to[1] = (uint8_t)('0' + digit / 100 % 10);
    to[2] = (uint8_t)('0' + digit / 10 % 10);
    to[3] = (uint8_t)('0' + digit % 10);
    return to + 4;
}

static uint8_t *print_whole(uint8_t *to, const struct nw_numeric *numeric)
{
    uint8_t first[4];
    uint32_t skip = 0;

    if (numeric->weight < 0) {
        *to++ = '0';
        return to;
    }
    print_four(first, digit_at(numeric, 0));
    while (skip < 3 && first[skip] == '0') {
        skip++;
    }
    memcpy(to, first + skip, 4 - skip);
    to += 4 - skip;
    for (int32_t i = 1; i <= numeric->weight; i++) {
        to = print_four(to, digit_at(numeric, i));
    }
    return to;
}

static const char *special_name(uint32_t sign)
{
    switch (sign) {
    case NW_NUMERIC_NAN:
        return "NaN";
    case NW_NUMERIC_POSITIVE_INFINITY:
        return "Infinity";
    case NW_NUMERIC_NEGATIVE_INFINITY:
        return "-Infinity";
    default:
        return NULL;
    }
}

bool nw_numeric_print(const struct nw_numeric *numeric, struct nw_buffer *out)
{
    const char *special = special_name(numeric->sign);
    size_t whole = numeric->weight < 0 ? 1 : 4 * ((size_t)numeric->weight + 1);
    uint8_t *to = NULL;

    if (special != NULL) {
        return nw_buffer_append(out, special, strlen(special));
    }
    /* A sign, a point, and up to three digits past the scale, which are cut off again. */
    to = nw_buffer_reserve(out, 2 + whole + numeric->scale + 3);
    if (to == NULL) {
        return false;
    }
    if (numeric->sign == NW_NUMERIC_NEGATIVE) {
        *to++ = '-';
    }
    to = print_whole(to, numeric);
    if (numeric->scale > 0) {
        uint8_t *point = to++;

        *point = '.';
        for (uint32_t i = 0; i < numeric->scale; i += 4) {
            to = print_four(to, digit_at(numeric, numeric->weight + 1 + (int32_t)(i / 4)));
        }
        to = point + 1 + numeric->scale;
    }
    out->size = (uint32_t)(to - out->at);
    return true;
}

/* *value = *value * 10^exponent + more, if that stays below limit. */
static bool shift_in(nw_uint128 *value, uint32_t exponent, uint32_t more, nw_uint128 limit)
{
    nw_uint128 power = power_of_ten(exponent);

    /* 64 bits by 64 bits always fit: spare the division. */
    if ((*value > UINT64_MAX || power > UINT64_MAX) && *value > (limit - 1) / power) {
        return false;
    }
    *value *= power;
    if (*value >= limit || more >= limit - *value) {
        return false;
    }
    *value += more;
    return true;
}

/* Digits first..end-1 as one number, if it stays below limit. */
static bool sum_base_digits(const struct nw_numeric *numeric, int32_t first, int32_t end,
                            nw_uint128 limit, nw_uint128 *sum)
{
    uint64_t low = 0;
    int32_t i = first;

    for (; i < end && i < first + FAST_BASE_DIGITS; i++) {
        low = low * DIGIT_BASE + digit_at(numeric, i);
    }
    *sum = low;
    for (; i < end; i++) {
        if (!shift_in(sum, 4, digit_at(numeric, i), limit)) {
            return false;
        }
    }
    return *sum < limit;
}

/* The same for most numbers: few digits, of which none or the last is cut. False: the long way. */
static bool scaled_fast(const struct nw_numeric *numeric, uint32_t precision, uint32_t scale,
                        nw_int128 *value)
{
    int32_t last = numeric->digits_count - 1;
    int32_t exponent = 4 * (numeric->weight - last) + (int32_t)scale;
    uint64_t sum = 0;
    uint32_t digit = 0;
    uint32_t cut = 1;

    if (numeric->sign > NW_NUMERIC_NEGATIVE || last < 0 || last >= FAST_BASE_DIGITS ||
        exponent <= -4 || exponent > 0) {
        return false;
    }
    for (int32_t i = 0; i < last; i++) {
        sum = sum * DIGIT_BASE + load_digit(numeric, i);
    }
    digit = load_digit(numeric, last);
    cut = (uint32_t)powers64[-exponent];
    if (digit % cut != 0) {
        return false;
    }
    sum = sum * powers64[4 + exponent] + digit / cut;
    if (precision <= FAST_DIGITS && sum >= powers64[precision]) {
        return false;
    }
    *value = numeric->sign == NW_NUMERIC_NEGATIVE ? -(nw_int128)sum : (nw_int128)sum;
    return true;
}

bool nw_numeric_scaled(const struct nw_numeric *numeric, uint32_t precision, uint32_t scale,
                       nw_int128 *value)
{
    nw_uint128 limit = 0;
    nw_uint128 sum = 0;
    int32_t count = numeric->digits_count;
    int32_t first = 0;
    int32_t exponent = 0; /* of ten, that the last digit counts in the scaled value */

    if (scaled_fast(numeric, precision, scale, value)) {
        return true;
    }
    limit = power_of_ten(precision);
    if (special_name(numeric->sign) != NULL) {
        return false;
    }
    while (count > 0 && digit_at(numeric, count - 1) == 0) {
        count--;
    }
    while (first < count && digit_at(numeric, first) == 0) {
        first++;
    }
    exponent = 4 * (numeric->weight - (count - 1)) + (int32_t)scale;
    if (first < count) {
        uint32_t last = digit_at(numeric, count - 1);
        uint32_t cut = exponent < 0 && exponent > -4 ? (uint32_t)-exponent : 0;

        if (exponent <= -4 || exponent >= (int32_t)POWERS_COUNT || last % powers64[cut] != 0 ||
            !sum_base_digits(numeric, first, count - 1, limit, &sum) ||
            !shift_in(&sum, 4 - cut, last / (uint32_t)powers64[cut], limit) ||
            (exponent > 0 && !shift_in(&sum, (uint32_t)exponent, 0, limit))) {
            return false;
        }
    }
    *value = numeric->sign == NW_NUMERIC_NEGATIVE ? -(nw_int128)sum : (nw_int128)sum;
    return true;
}

static bool is_special(const uint8_t *at, size_t size)
{
    return (size == 3 && memcmp(at, "NaN", 3) == 0) ||
           (size == 8 && memcmp(at, "Infinity", 8) == 0) ||
           (size == 9 && memcmp(at, "-Infinity", 9) == 0);
}

/* A text taken apart: digits on both sides of a point. */
struct digits {
    nw_uint128 sum;
    size_t fraction; /* of these after the point */
    bool overflow;   /* there are more than fit; `sum` means nothing */
};

/* digits[.digits] */
static bool parse_digits(const uint8_t *at, size_t size, struct digits *digits)
{
    uint64_t low = 0;
    size_t low_count = 0;
    size_t point = size;

    for (size_t i = 0; i < size; i++) {
        uint32_t digit = (uint32_t)at[i] - '0';

        if (digit <= 9) {
            if (low_count == FAST_DIGITS) {
                digits->overflow = digits->overflow || digits->sum > powers64[FAST_DIGITS + 1];
                digits->sum = digits->sum * powers64[FAST_DIGITS] + low;
                low = 0;
                low_count = 0;
            }
            low = low * 10 + digit;
            low_count++;
        } else if (at[i] == '.' && point == size && i > 0 && i + 1 < size) {
            point = i;
        } else {
            return false;
        }
    }
    if (digits->sum != 0) {
        digits->overflow =
            digits->overflow || digits->sum > power_of_ten(POWERS_COUNT - 1) / powers64[low_count];
        digits->sum *= powers64[low_count];
    }
    digits->sum += low;
    digits->fraction = point == size ? 0 : size - point - 1;
    return size > 0;
}

enum nw_decoded nw_numeric_parse(const uint8_t *at, size_t size, uint32_t precision, uint32_t scale,
                                 nw_int128 *value)
{
    bool negative = size > 0 && at[0] == '-';
    struct digits digits = {0};

    if (!parse_digits(at + (negative ? 1 : 0), size - (negative ? 1 : 0), &digits)) {
        return is_special(at, size) ? NW_DECODED_EXCEPTION : NW_DECODED_MALFORMED;
    }
    if (digits.overflow || digits.fraction > scale ||
        !shift_in(&digits.sum, scale - (uint32_t)digits.fraction, 0, power_of_ten(precision))) {
        return NW_DECODED_EXCEPTION;
    }
    *value = negative ? -(nw_int128)digits.sum : (nw_int128)digits.sum;
    return NW_DECODED;
}
