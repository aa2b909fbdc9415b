/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See float_print.h. Not fast: digits are tried one more at a time, by the C library's exact
 * conversions; only masked columns of these types come here, and values that are compared.
 *
 * A decimal reads back as the number that it is nearest to. The decimals of n digits nearest to a
 * number are tried for n, n + 1, ..., and at a power of two, below which numbers lie twice as
 * dense, the next one up as well. Exactly in the middle between two numbers readers may differ, so
 * PostgreSQL does not print that, and neither do we.
 */
#include "decode/float_print.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS_MAX 17 /* always enough for a double; for a float 9 are */
/* Fewer digits than this before the point are written without an exponent, as %g would. */
#define DOUBLE_PLAIN_DIGITS 15
#define FLOAT_PLAIN_DIGITS  6
#define EXACT_TEXT_SIZE     1200 /* of a middle between two doubles, whatever its size */

/* A number, and what lies between it and its neighbours; all are exact in a long double. */
struct number {
    double value; /* positive and finite */
    long double low, high;
    bool is_float;
    bool is_power; /* of two */
};

/* Whether the text says exactly this. Both have the form d.ddde+dd. */
static bool is_exactly(const char *text, long double middle)
{
    char exact[EXACT_TEXT_SIZE];
    size_t digits = strcspn(text, "e");
    const char *rest = exact + digits;

    if (strtold(text, NULL) != middle) {
        return false; /* the nearest long double is another */
    }
    (void)snprintf(exact, sizeof exact, "%.1100Le", middle);
    rest += *rest == '.' ? 1 : 0;
    return strncmp(text, exact, digits) == 0 && rest[strspn(rest, "0")] == 'e';
}

static bool reads_back(const struct number *number, const char *text)
{
    bool same = number->is_float ? (double)strtof(text, NULL) == number->value
                                 : strtod(text, NULL) == number->value;

    return same && !is_exactly(text, number->low) && !is_exactly(text, number->high);
}

/* The next decimal up with as many digits: d.ddde+dd plus one in the last place. */
static void increment(char *text)
{
    size_t last = strcspn(text, "e");

    while (last > 0) {
        char *digit = &text[--last];

        if (*digit == '.') {
            continue;
        }
        if (*digit != '9') {
            ++*digit;
            return;
        }
        *digit = '0';
    }
    text[0] = '9'; /* past 9.99: one digit fewer says that, and was tried */
}

/* The fewest digits worth a try. No two decimals of DBL_DIG (FLT_DIG) digits read as one number,
 * but for numbers below the normal ones: a shorter one that reads back is that one with zeros
 * behind. */
static int digits_first(const struct number *number)
{
    if (number->value < (number->is_float ? (double)FLT_MIN : DBL_MIN)) {
        return 1;
    }
    return number->is_float ? FLT_DIG : DBL_DIG;
}

/* Fills text with d.ddde+dd; zeros may be at the end of the digits. */
static void shortest(const struct number *number, char text[static NW_FLOAT_TEXT_SIZE])
{
    for (int digits = digits_first(number); digits <= DIGITS_MAX; digits++) {
        (void)snprintf(text, NW_FLOAT_TEXT_SIZE, "%.*e", digits - 1, number->value);
        if (reads_back(number, text)) {
            return;
        }
        if (number->is_power) {
            increment(text);
            if (reads_back(number, text)) {
                return;
            }
        }
    }
}

/* 12345, 0.00012, 1.5: without an exponent. */
static size_t plain(char *to, const char *digits, int count, int exponent)
{
    char *at = to;

    for (int place = exponent < 0 ? 0 : exponent; place >= 0 || exponent - place < count; place--) {
        int index = exponent - place;

        if (place == -1) {
            *at++ = '.';
        }
        *at++ = index >= 0 && index < count ? digits[index] : '0';
    }
    return (size_t)(at - to);
}

/* From d.ddde+dd to the form that PostgreSQL gives it. */
static size_t arrange(char *to, const char *text, int plain_digits)
{
    char digits[DIGITS_MAX + 1] = {text[0]};
    size_t count = strcspn(text, "e");
    int exponent = (int)strtol(text + count + 1, NULL, 10);

    if (count > 2) {
        memcpy(digits + 1, text + 2, count - 2);
    }
    count = strlen(digits);
    while (count > 1 && digits[count - 1] == '0') {
        count--;
    }
    if (exponent >= -4 && exponent < plain_digits) {
        return plain(to, digits, (int)count, exponent);
    }
    return (size_t)snprintf(to, NW_FLOAT_TEXT_SIZE - 1, "%c%s%.*se%+03d", digits[0],
                            count > 1 ? "." : "", (int)count - 1, digits + 1, exponent);
}

static size_t print(char to[static NW_FLOAT_TEXT_SIZE], const struct number *number)
{
    char text[NW_FLOAT_TEXT_SIZE];

    shortest(number, text);
    return arrange(to, text, number->is_float ? FLOAT_PLAIN_DIGITS : DOUBLE_PLAIN_DIGITS);
}

/* What has no digits, and the sign. @return bytes written; *done: nothing is to follow */
static size_t print_special(char *to, double value, bool *done)
{
    size_t size = signbit(value) && !isnan(value) ? 1 : 0;
    const char *text = isnan(value) ? "NaN" : isinf(value) ? "Infinity" : value == 0 ? "0" : "";

    to[0] = '-';
    *done = text[0] != '\0';
    memcpy(to + size, text, strlen(text));
    return size + strlen(text);
}

size_t nw_float_print(char to[static NW_FLOAT_TEXT_SIZE], float value)
{
    bool done = false;
    size_t size = print_special(to, (double)value, &done);
    float magnitude = fabsf(value);
    struct number number = {.value = (double)magnitude, .is_float = true};
    int exponent = 0;

    if (!done) {
        float above = nextafterf(magnitude, INFINITY);
        float below = nextafterf(magnitude, 0);

        /* Above the largest there is no number; it would be as far away as the one below. */
        number.high = isinf(above) ? 2 * (long double)magnitude - below : (long double)above;
        number.high = (number.high + magnitude) / 2;
        number.low = ((long double)below + magnitude) / 2;
        number.is_power = frexpf(magnitude, &exponent) == 0.5F;
        size += print(to + size, &number);
    }
    return size;
}

size_t nw_double_print(char to[static NW_FLOAT_TEXT_SIZE], double value)
{
    bool done = false;
    size_t size = print_special(to, value, &done);
    double magnitude = fabs(value);
    struct number number = {.value = magnitude};
    int exponent = 0;

    if (!done) {
        double above = nextafter(magnitude, INFINITY);
        double below = nextafter(magnitude, 0);

        number.high = isinf(above) ? 2 * (long double)magnitude - below : (long double)above;
        number.high = (number.high + magnitude) / 2;
        number.low = ((long double)below + magnitude) / 2;
        number.is_power = frexp(magnitude, &exponent) == 0.5;
        size += print(to + size, &number);
    }
    return size;
}
