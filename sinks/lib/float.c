/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shortest decimal text of a float that reads back as the same float, in the form that
 * PostgreSQL prints (float8out and float4out with extra_float_digits > 0, versions 12 and later):
 * fixed up to 15 (float4: 6) digits before the point, otherwise 1.5e+20.
 *
 * The method is R. Giulietti's "The Schubfach way to render doubles" (2020): with g, a 128-bit
 * upper approximation of a power of ten, three multiplications give the value and the two ends of
 * its rounding interval in units of 10^k, rounded to odd; the answer is the multiple of 10^(k+1)
 * inside the interval if there is one, else the nearest multiple of 10^k. Like PostgreSQL, and
 * unlike the paper, we never take an end of the interval itself.
 *
 * The powers are computed once, on first use, under pthread_once.
 */
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "lib/print.h"

#define POWER_MIN   (-292)
#define POWER_MAX   324
#define LIMBS_COUNT 40 /* of 32 bits: 5^324 has 753 bits, and 2^1279 / 5^292 has 601 */

struct power {
    uint64_t high, low;
};

struct decimal {
    uint64_t digits;
    int exponent; /* value is digits * 10^exponent */
};

static struct power powers[POWER_MAX - POWER_MIN + 1];
static pthread_once_t powers_once = PTHREAD_ONCE_INIT;

/* The highest 128 bits of a number, from its highest set bit on. *exact: nothing was cut off. */
static struct power limbs_top(const uint32_t limbs[LIMBS_COUNT], bool *exact)
{
    struct power top = {0, 0};
    int highest = LIMBS_COUNT * 32 - 1;

    while ((limbs[highest / 32] >> (highest % 32) & 1u) == 0) {
        highest--;
    }
    *exact = true;
    for (int i = 0; i <= highest; i++) {
        uint64_t bit = limbs[(highest - i) / 32] >> ((highest - i) % 32) & 1u;

        if (i < 64) {
            top.high |= bit << (63 - i);
        } else if (i < 128) {
            top.low |= bit << (127 - i);
        } else if (bit != 0) {
            *exact = false;
        }
    }
    return top;
}

static struct power power_round_up(struct power power)
{
    power.low++;
    if (power.low == 0) {
        power.high++;
    }
    return power;
}

/* 10^k = 5^k * 2^k, and the top bits of 5^k are those of 10^k. Dividing 2^1279 by 5 again and again
 * gives the exact floor of 2^1279 / 5^n, whose top bits are those of 10^-n, rounded down. */
static void powers_fill(void)
{
    uint32_t limbs[LIMBS_COUNT] = {1};
    bool exact;

    for (int k = 0; k <= POWER_MAX; k++) {
        uint64_t carry = 0;
        struct power top = limbs_top(limbs, &exact);

        powers[k - POWER_MIN] = exact ? top : power_round_up(top);
        for (int i = 0; i < LIMBS_COUNT; i++) {
            carry += (uint64_t)limbs[i] * 5;
            limbs[i] = (uint32_t)carry;
            carry >>= 32;
        }
    }
    memset(limbs, 0, sizeof limbs);
    limbs[LIMBS_COUNT - 1] = UINT32_C(1) << 31;
    for (int k = -1; k >= POWER_MIN; k--) {
        uint64_t rest = 0;

        for (int i = LIMBS_COUNT - 1; i >= 0; i--) {
            rest = rest << 32 | limbs[i];
            limbs[i] = (uint32_t)(rest / 5);
            rest %= 5;
        }
        powers[k - POWER_MIN] = power_round_up(limbs_top(limbs, &exact));
    }
}

/* floor(g * factor / 2^128), with the lowest bit set when anything was cut off. */
static uint64_t multiply_to_odd(struct power g, uint64_t factor)
{
    nw_u128 low = (nw_u128)g.low * factor;
    nw_u128 high = (nw_u128)g.high * factor + (uint64_t)(low >> 64);

    return (uint64_t)(high >> 64) | ((uint64_t)high > 1 ? 1u : 0u);
}

/* For significand * 2^exponent, not zero. narrow: the significand is a power of two, so that the
 * neighbour below is only half as far away. */
static struct decimal decimal_shortest(uint64_t significand, int exponent, bool narrow)
{
    int k = (exponent * 1262611 - (narrow ? 524031 : 0)) >> 22;
    int shift = exponent + ((-k * 1741647) >> 19) + 1;
    struct power g = powers[-k - POWER_MIN];
    uint64_t value = multiply_to_odd(g, (4 * significand) << shift);
    uint64_t lower = multiply_to_odd(g, (4 * significand - (narrow ? 1 : 2)) << shift) + 1;
    uint64_t upper = multiply_to_odd(g, (4 * significand + 2) << shift) - 1;
    uint64_t units = value / 4;
    uint64_t middle = 4 * units + 2;
    bool down_fits;
    bool up_fits;

    if (units >= 10) {
        uint64_t tens = units / 10;

        down_fits = lower <= 40 * tens;
        up_fits = 40 * tens + 40 <= upper;
        if (down_fits != up_fits) {
            return (struct decimal){tens + (up_fits ? 1 : 0), k + 1};
        }
    }
    down_fits = lower <= 4 * units;
    up_fits = 4 * units + 4 <= upper;
    if (down_fits != up_fits) {
        return (struct decimal){units + (up_fits ? 1 : 0), k};
    }
    up_fits = value > middle || (value == middle && (units & 1) != 0);
    return (struct decimal){units + (up_fits ? 1 : 0), k};
}

/* Writes digits with the point behind the first, and e+NN. */
static uint8_t *print_scientific(uint8_t *at, const uint8_t *digits, int count, int exponent)
{
    unsigned magnitude = (unsigned)(exponent < 0 ? -exponent : exponent);

    *at++ = digits[0];
    if (count > 1) {
        *at++ = '.';
        memcpy(at, digits + 1, (size_t)count - 1);
        at += count - 1;
    }
    *at++ = 'e';
    *at++ = exponent < 0 ? '-' : '+';
    if (magnitude < 10) {
        *at++ = '0';
    }
    return nw_print_u64(at, magnitude);
}

/* @param fixed_max  from this many digits before the point on, the scientific form is used. */
static uint8_t *print_decimal(uint8_t *at, struct decimal decimal, int fixed_max)
{
    uint8_t digits[NW_PRINT_INTEGER_MAX];
    int count;
    int point; /* digits before the point */

    while (decimal.digits % 10 == 0) {
        decimal.digits /= 10;
        decimal.exponent++;
    }
    count = (int)(nw_print_u64(digits, decimal.digits) - digits);
    point = count + decimal.exponent;
    if (point - 1 < -4 || point - 1 >= fixed_max) {
        return print_scientific(at, digits, count, point - 1);
    }
    if (point <= 0) {
        memcpy(at, "0.0000", 6);
        at += 2 - point;
        memcpy(at, digits, (size_t)count);
        return at + count;
    }
    if (point >= count) {
        memcpy(at, digits, (size_t)count);
        memset(at + count, '0', (size_t)(point - count));
        return at + point;
    }
    memcpy(at, digits, (size_t)point);
    at[point] = '.';
    memcpy(at + point + 1, digits + point, (size_t)(count - point));
    return at + count + 1;
}

/* @param bits  of the significand as stored, without the hidden one. */
static uint8_t *print_float(uint8_t *at, uint64_t fraction, int exponent, int bits)
{
    int bias = bits == 52 ? 1075 : 150;
    int fixed_max = bits == 52 ? 15 : 6;
    uint64_t significand = fraction;
    int scale = 1 - bias;

    if (fraction == 0 && exponent == 0) {
        *at++ = '0';
        return at;
    }
    if (exponent != 0) {
        significand |= UINT64_C(1) << bits;
        scale = exponent - bias;
        /* A whole number below 2^53 is exact as it stands. */
        if (scale <= 0 && -scale <= bits && (significand & ((UINT64_C(1) << -scale) - 1)) == 0) {
            return print_decimal(at, (struct decimal){significand >> -scale, 0}, fixed_max);
        }
    }
    (void)pthread_once(&powers_once, powers_fill);
    return print_decimal(at, decimal_shortest(significand, scale, fraction == 0 && exponent > 1),
                         fixed_max);
}

uint8_t *nw_print_float64(uint8_t *at, double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    if (bits >> 63 != 0) {
        *at++ = '-';
    }
    return print_float(at, bits & ((UINT64_C(1) << 52) - 1), (int)(bits >> 52 & 2047), 52);
}

uint8_t *nw_print_float32(uint8_t *at, float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    if (bits >> 31 != 0) {
        *at++ = '-';
    }
    return print_float(at, bits & ((UINT32_C(1) << 23) - 1), (int)(bits >> 23 & 255), 23);
}
