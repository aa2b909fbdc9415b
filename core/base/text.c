/* SPDX-License-Identifier: Apache-2.0 */
/* See text.h. */
#include "base/text.h"

#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DISTANCE_SIZE_MAX 64u

struct unit {
    const char *name;
    double factor;
};

static const struct unit SIZES[] = {{"B", 1},
                                    {"kB", 1e3},
                                    {"KB", 1e3},
                                    {"MB", 1e6},
                                    {"GB", 1e9},
                                    {"TB", 1e12},
                                    {"KiB", 1024.0},
                                    {"MiB", 1048576.0},
                                    {"GiB", 1073741824.0},
                                    {"TiB", 1099511627776.0},
                                    {NULL, 0}};
static const struct unit DURATIONS[] = {{"us", 1},   {"ms", 1e3},   {"s", 1e6},     {"min", 60e6},
                                        {"m", 60e6}, {"h", 3600e6}, {"d", 86400e6}, {NULL, 0}};
static const struct unit RATES[] = {
    {"B/s", 1},        {"kB/s", 1e3},        {"KB/s", 1e3},           {"MB/s", 1e6}, {"GB/s", 1e9},
    {"KiB/s", 1024.0}, {"MiB/s", 1048576.0}, {"GiB/s", 1073741824.0}, {NULL, 0}};

static bool with_unit(const char *text, const struct unit *units, int64_t *number)
{
    char *end = NULL;
    double value = 0;

    if (text[0] < '0' || text[0] > '9') { /* no signs, no spaces, no hexadecimal, no infinity */
        return false;
    }
    value = strtod(text, &end);
    if (strspn(text, "0123456789.") != (size_t)(end - text)) { /* nor powers */
        return false;
    }
    while (*end == ' ') {
        end++;
    }
    for (; units->name != NULL; units++) {
        if (strcmp(end, units->name) == 0) {
            value *= units->factor;
            if (!(value < 9.2e18)) {
                return false;
            }
            *number = (int64_t)llround(value);
            return true;
        }
    }
    return false;
}

bool nw_size_parse(const char *text, int64_t *bytes)
{
    return with_unit(text, SIZES, bytes);
}

bool nw_duration_parse(const char *text, int64_t *us)
{
    return with_unit(text, DURATIONS, us);
}

bool nw_rate_parse(const char *text, int64_t *bytes_per_second)
{
    return with_unit(text, RATES, bytes_per_second);
}

/* The unit that divides the number and leaves the smallest count. */
static const char *exact(char text[static NW_NUMBER_TEXT_SIZE], const struct unit *units,
                         int64_t number)
{
    int64_t best_factor = 1;
    const char *best = units->name;

    for (; units->name != NULL; units++) {
        int64_t factor = (int64_t)units->factor;

        if (number != 0 && number % factor == 0 && factor > best_factor) {
            best_factor = factor;
            best = units->name;
        }
    }
    (void)snprintf(text, NW_NUMBER_TEXT_SIZE, "%" PRId64 "%s", number / best_factor, best);
    return text;
}

const char *nw_size_exact(char text[static NW_NUMBER_TEXT_SIZE], int64_t bytes)
{
    return exact(text, SIZES, bytes);
}

const char *nw_duration_exact(char text[static NW_NUMBER_TEXT_SIZE], int64_t us)
{
    return exact(text, DURATIONS, us);
}

const char *nw_rate_exact(char text[static NW_NUMBER_TEXT_SIZE], int64_t bytes_per_second)
{
    return exact(text, RATES, bytes_per_second);
}

bool nw_integer_parse(const char *text, int64_t *number)
{
    char *end = NULL;

    if (text[0] != '-' && (text[0] < '0' || text[0] > '9')) {
        return false;
    }
    errno = 0;
    *number = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == '\0';
}

bool nw_bool_parse(const char *text, bool *flag)
{
    static const char *const words[] = {"true", "yes", "on", "false", "no", "off"};

    for (size_t i = 0; i < 6; i++) {
        if (strcmp(text, words[i]) == 0) {
            *flag = i < 3;
            return true;
        }
    }
    return false;
}

const char *nw_size_text(char text[static NW_NUMBER_TEXT_SIZE], double bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    size_t unit = 0;

    while (bytes >= 999.5 && unit < 5) {
        bytes /= 1000;
        unit++;
    }
    (void)snprintf(text, NW_NUMBER_TEXT_SIZE, bytes < 9.95 && unit > 0 ? "%.1f %s" : "%.0f %s",
                   bytes, units[unit]);
    return text;
}

const char *nw_duration_text(char text[static NW_NUMBER_TEXT_SIZE], double seconds)
{
    if (seconds < 9.95) {
        (void)snprintf(text, NW_NUMBER_TEXT_SIZE, "%.*f s", seconds < 0.995 ? 2 : 1, seconds);
    } else if (seconds < 59.5) {
        (void)snprintf(text, NW_NUMBER_TEXT_SIZE, "%.0f s", seconds);
    } else if (seconds < 59.5 * 60) {
        (void)snprintf(text, NW_NUMBER_TEXT_SIZE, "%.0f min", seconds / 60);
    } else {
        (void)snprintf(text, NW_NUMBER_TEXT_SIZE, "%.0f h %02.0f min",
                       floor(round(seconds / 60) / 60), fmod(round(seconds / 60), 60));
    }
    return text;
}

const char *nw_count_text(char text[static NW_NUMBER_TEXT_SIZE], double count)
{
    if (count < 999.5) {
        (void)snprintf(text, NW_NUMBER_TEXT_SIZE, "%.0f", count);
    } else if (count < 999.5e3) {
        (void)snprintf(text, NW_NUMBER_TEXT_SIZE, "%.1f k", count / 1e3);
    } else if (count < 999.5e6) {
        (void)snprintf(text, NW_NUMBER_TEXT_SIZE, "%.2f M", count / 1e6);
    } else {
        (void)snprintf(text, NW_NUMBER_TEXT_SIZE, "%.2f G", count / 1e9);
    }
    return text;
}

bool nw_patterns_match(const char *const *patterns, const char *name)
{
    for (; patterns != NULL && *patterns != NULL; patterns++) {
        if (fnmatch(*patterns, name, FNM_NOESCAPE) == 0) {
            return true;
        }
    }
    return false;
}

static size_t lower(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t nw_text_distance(const char *a, const char *b)
{
    size_t rows[3][DISTANCE_SIZE_MAX + 1];
    size_t a_size = strlen(a);
    size_t b_size = strlen(b);

    if (a_size > DISTANCE_SIZE_MAX || b_size > DISTANCE_SIZE_MAX) {
        return SIZE_MAX;
    }
    for (size_t j = 0; j <= b_size; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= a_size; i++) {
        size_t *row = rows[i % 3];
        const size_t *before = rows[(i + 2) % 3];
        const size_t *two_before = rows[(i + 1) % 3];

        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            row[j] =
                lower(before[j - 1] + (a[i - 1] != b[j - 1]), lower(before[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                row[j] = lower(row[j], two_before[j - 2] + 1);
            }
        }
    }
    return rows[a_size % 3][b_size];
}
