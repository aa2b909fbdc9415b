/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See connect_text.h. The forms are those of date_out, timestamp_out, time_out, interval_out
 * (src/backend/utils/adt/datetime.c), numeric_out, array_out (arrayfuncs.c), point_out (geo_ops.c)
 * and hstore_out (contrib/hstore/hstore_io.c). Stateless.
 */
#include "lib/format/connect_text.h"

#include <stdlib.h>

#define SECOND_US INT64_C(1000000)
#define REAL_MAX  63u /* characters of a float */
#define YEAR_MAX  10000000
#define DEPTH_MAX 6                   /* dimensions of an array: MAXDIM */
#define HOURS_MAX INT64_C(2562047788) /* of an interval: microseconds in 64 bits */

__extension__ typedef __int128 i128;

/* ---- characters ---- */

static void fail(struct nw_text *text)
{
    text->failed = true;
    text->left = 0;
}

static int peek(const struct nw_text *text)
{
    return text->left > 0 ? *text->at : -1;
}

static void skip(struct nw_text *text, size_t count)
{
    text->at += count;
    text->left -= count;
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

bool nw_text_take(struct nw_text *text, char character)
{
    if (peek(text) != character) {
        return false;
    }
    skip(text, 1);
    return true;
}

void nw_text_expect(struct nw_text *text, char character)
{
    if (!nw_text_take(text, character)) {
        fail(text);
    }
}

bool nw_text_word(struct nw_text *text, const char *word)
{
    size_t size = strlen(word);

    if (text->left < size || memcmp(text->at, word, size) != 0) {
        return false;
    }
    skip(text, size);
    return true;
}

bool nw_text_done(const struct nw_text *text)
{
    return !text->failed && text->left == 0;
}

/* ---- numbers ---- */

/* Digits up to a limit; none or more fail. */
static int64_t number(struct nw_text *text, int64_t limit)
{
    int64_t value = 0;

    if (!is_digit(peek(text))) {
        fail(text);
    }
    while (is_digit(peek(text))) {
        int digit = *text->at - '0';

        if (value > (limit - digit) / 10) {
            fail(text);
            return 0;
        }
        value = value * 10 + digit;
        skip(text, 1);
    }
    return value;
}

int64_t nw_text_i64(struct nw_text *text)
{
    bool negative = nw_text_take(text, '-');
    uint64_t value = 0;
    uint64_t limit = (uint64_t)INT64_MAX + (negative ? 1 : 0);

    if (!is_digit(peek(text))) {
        fail(text);
    }
    while (is_digit(peek(text))) {
        uint64_t digit = (uint64_t)(*text->at - '0');

        if (value > (limit - digit) / 10) {
            fail(text);
            return 0;
        }
        value = value * 10 + digit;
        skip(text, 1);
    }
    return negative ? (int64_t)(0 - value) : (int64_t)value;
}

static bool in_real(int c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '-' || c == '+';
}

double nw_text_real(struct nw_text *text)
{
    char copy[REAL_MAX + 1];
    char *end = NULL;
    size_t size = 0;
    double value = 0;

    while (size < text->left && size < REAL_MAX && in_real(text->at[size])) {
        copy[size] = (char)text->at[size];
        size++;
    }
    copy[size] = '\0';
    value = strtod(copy, &end);
    if (size == 0 || *end != '\0') {
        fail(text);
        return 0;
    }
    skip(text, size);
    return value;
}

struct nw_digits nw_text_digits(struct nw_text *text, struct nw_out *out)
{
    struct nw_digits number = {.negative = nw_text_take(text, '-')};
    size_t seen = 0;
    bool point = false;

    out->used = 0;
    (void)nw_out_reserve(out, 1); /* of zero there are no digits, and they still are somewhere */
    for (int c = peek(text); is_digit(c) || (c == '.' && !point); c = peek(text)) {
        point |= c == '.';
        if (c != '.') {
            number.scale += point ? 1u : 0u;
            seen++;
            if (c != '0' || out->used > 0) {
                nw_out_bytes(out, text->at, 1);
            }
        }
        skip(text, 1);
    }
    if (seen == 0) {
        fail(text);
    }
    number.digits = out->bytes;
    number.count = (uint32_t)out->used;
    return number;
}

void nw_text_point(struct nw_text *text, double *x, double *y)
{
    nw_text_expect(text, '(');
    *x = nw_text_real(text);
    nw_text_expect(text, ',');
    *y = nw_text_real(text);
    nw_text_expect(text, ')');
}

/* ---- dates and times ---- */

/* Days since 1970-01-01 of a proleptic Gregorian date; the year 0 is 1 BC. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    int64_t shifted = month <= 2 ? year - 1 : year; /* years that begin with March */
    int64_t era = (shifted >= 0 ? shifted : shifted - 399) / 400;
    int64_t year_of_era = shifted - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

struct ymd {
    int64_t year, month, day;
};

static struct ymd ymd_read(struct nw_text *text)
{
    struct ymd date = {0};

    date.year = number(text, YEAR_MAX);
    nw_text_expect(text, '-');
    date.month = number(text, 12);
    nw_text_expect(text, '-');
    date.day = number(text, 31);
    if (date.month == 0 || date.day == 0) {
        fail(text);
        date.month = 1;
    }
    return date;
}

static int infinity_read(struct nw_text *text)
{
    return nw_text_word(text, "infinity") ? 1 : nw_text_word(text, "-infinity") ? -1 : 0;
}

static int64_t ymd_days(struct nw_text *text, struct ymd date)
{
    if (nw_text_word(text, " BC")) {
        date.year = 1 - date.year;
    }
    return days_of(date.year, date.month, date.day);
}

struct nw_moment nw_text_date(struct nw_text *text)
{
    struct nw_moment moment = {.infinity = infinity_read(text)};

    if (moment.infinity == 0) {
        struct ymd date = ymd_read(text);

        moment.days = ymd_days(text, date);
    }
    return moment;
}

/* HOURS_MAX may be more than 64 bits by a little. */
static i128 time_read(struct nw_text *text)
{
    i128 hours = number(text, HOURS_MAX);
    int64_t us = 0;
    int64_t unit = SECOND_US / 10;

    nw_text_expect(text, ':');
    us = number(text, 59) * 60 * SECOND_US;
    nw_text_expect(text, ':');
    us += number(text, 60) * SECOND_US;
    if (nw_text_take(text, '.')) {
        for (; is_digit(peek(text)); unit /= 10) {
            us += (*text->at - '0') * unit;
            skip(text, 1);
        }
    }
    return hours * 3600 * SECOND_US + us;
}

/* Fails past 64 bits. */
static int64_t in_64_bits(struct nw_text *text, i128 us)
{
    if (us > INT64_MAX || us < INT64_MIN) {
        fail(text);
        return 0;
    }
    return (int64_t)us;
}

int64_t nw_text_time(struct nw_text *text)
{
    i128 us = time_read(text);

    return in_64_bits(text, us);
}

int32_t nw_text_zone(struct nw_text *text)
{
    bool west = nw_text_take(text, '-');
    int64_t seconds = 0;

    if (!west) {
        nw_text_expect(text, '+');
    }
    seconds = number(text, 24) * 3600;
    if (nw_text_take(text, ':')) {
        seconds += number(text, 59) * 60;
    }
    if (nw_text_take(text, ':')) {
        seconds += number(text, 59);
    }
    return (int32_t)(west ? -seconds : seconds);
}

struct nw_moment nw_text_stamp(struct nw_text *text)
{
    struct nw_moment moment = {.infinity = infinity_read(text)};
    int32_t zone = 0;

    if (moment.infinity == 0) {
        struct ymd date = ymd_read(text);

        nw_text_expect(text, ' ');
        moment.time_us = nw_text_time(text);
        if (moment.time_us > 86400 * SECOND_US) {
            fail(text);
        }
        if (peek(text) == '+' || peek(text) == '-') {
            zone = nw_text_zone(text);
        }
        moment.days = ymd_days(text, date);
        moment.time_us -= zone * SECOND_US;
        if (moment.time_us < 0) {
            moment.time_us += 86400 * SECOND_US;
            moment.days--;
        } else if (moment.time_us >= 86400 * SECOND_US) {
            moment.time_us -= 86400 * SECOND_US;
            moment.days++;
        }
    }
    return moment;
}

/* A part of an interval behind its sign: 2 mons, or 04:05:06.789. */
static void interval_part(struct nw_text *text, int64_t sign, struct nw_interval *interval)
{
    struct nw_text ahead = *text;
    int64_t value = number(&ahead, HOURS_MAX);

    if (peek(&ahead) == ':') {
        i128 us = sign * time_read(text);

        interval->time_us = in_64_bits(text, us);
        return;
    }
    *text = ahead;
    value *= sign;
    nw_text_expect(text, ' ');
    if (nw_text_word(text, "year")) {
        interval->months += value * 12;
    } else if (nw_text_word(text, "mon")) {
        interval->months += value;
    } else if (nw_text_word(text, "day")) {
        interval->days += value;
    } else {
        fail(text);
    }
    (void)nw_text_take(text, 's');
}

struct nw_interval nw_text_interval(struct nw_text *text)
{
    struct nw_interval interval = {0};

    do {
        int64_t sign = nw_text_take(text, '-') ? -1 : 1;

        if (sign > 0) {
            (void)nw_text_take(text, '+');
        }
        interval_part(text, sign, &interval);
    } while (nw_text_take(text, ' '));
    return interval;
}

/* ---- arrays and hstores ---- */

void nw_text_array_enter(struct nw_text *text)
{
    if (peek(text) == '[') {
        while (text->left > 0 && peek(text) != '=') {
            skip(text, 1);
        }
        nw_text_expect(text, '=');
    }
    nw_text_expect(text, '{');
}

/* Behind a ": up to the other one, without the backslashes. */
static void quoted(struct nw_text *text, struct nw_out *out)
{
    while (!text->failed) {
        const uint8_t *start = text->at;
        size_t size = 0;

        while (size < text->left && start[size] != '"' && start[size] != '\\') {
            size++;
        }
        nw_out_bytes(out, start, size);
        skip(text, size);
        if (nw_text_take(text, '"')) {
            return;
        }
        nw_text_expect(text, '\\');
        if (text->left == 0) {
            fail(text);
        } else {
            nw_out_bytes(out, text->at, 1);
            skip(text, 1);
        }
    }
}

static void quoted_skip(struct nw_text *text)
{
    while (text->left > 0 && peek(text) != '"') {
        skip(text, peek(text) == '\\' && text->left > 1 ? 2 : 1);
    }
    nw_text_expect(text, '"');
}

/* Pass over an array inside an array, behind its {. */
static void nested_skip(struct nw_text *text)
{
    int depth = 1;

    while (depth > 0 && !text->failed) {
        int c = peek(text);

        if (c < 0 || depth > DEPTH_MAX) {
            fail(text);
            return;
        }
        skip(text, 1);
        if (c == '"') {
            quoted_skip(text);
        }
        depth += c == '{' ? 1 : c == '}' ? -1 : 0;
    }
}

/* Without quotes: up to the delimiter or the end. It has no backslashes then. */
static enum nw_text_item bare_item(struct nw_text *text, char delimiter, struct nw_out *out)
{
    const uint8_t *start = text->at;
    size_t size = 0;

    while (size < text->left && start[size] != (uint8_t)delimiter && start[size] != '}') {
        size++;
    }
    nw_out_bytes(out, start, size);
    skip(text, size);
    if (text->left == 0 || size == 0) {
        fail(text);
        return NW_ITEM_NONE;
    }
    return size == 4 && memcmp(start, "NULL", 4) == 0 ? NW_ITEM_NULL : NW_ITEM_TEXT;
}

enum nw_text_item nw_text_item(struct nw_text *text, bool first, char delimiter, struct nw_out *out)
{
    enum nw_text_item item = NW_ITEM_TEXT;

    out->used = 0;
    (void)nw_out_reserve(out, 1); /* an empty one still is somewhere */
    if (nw_text_take(text, '}')) {
        if (text->left > 0) {
            fail(text);
        }
        return NW_ITEM_NONE;
    }
    if (!first) {
        nw_text_expect(text, delimiter);
    }
    if (nw_text_take(text, '"')) {
        quoted(text, out);
    } else if (nw_text_take(text, '{')) {
        nested_skip(text);
        item = NW_ITEM_ARRAY;
    } else {
        item = bare_item(text, delimiter, out);
    }
    return text->failed ? NW_ITEM_NONE : item;
}

bool nw_text_pair(struct nw_text *text, bool first, struct nw_out *key, struct nw_out *value,
                  bool *value_null)
{
    key->used = value->used = 0;
    (void)nw_out_reserve(key, 1); /* empty ones still are somewhere */
    (void)nw_out_reserve(value, 1);
    *value_null = false;
    if (text->left == 0) {
        return false;
    }
    if (!first) {
        nw_text_expect(text, ',');
        nw_text_expect(text, ' ');
    }
    nw_text_expect(text, '"');
    quoted(text, key);
    nw_text_expect(text, '=');
    nw_text_expect(text, '>');
    if (nw_text_word(text, "NULL")) {
        *value_null = true;
    } else {
        nw_text_expect(text, '"');
        quoted(text, value);
    }
    return !text->failed;
}
