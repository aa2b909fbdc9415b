/* SPDX-License-Identifier: Apache-2.0 */
/* See datetime.h. */
#include "decode/datetime.h"

#include <stdlib.h>

#include "base/cursor.h"
#include "decode/numeric.h"

#define DAYS_PER_ERA      146097 /* 400 years */
#define DAYS_0000_TO_1970 719468 /* from 0000-03-01 */
#define US_PER_HOUR       INT64_C(3600000000)
#define US_PER_MINUTE     INT64_C(60000000)

struct civil {
    int64_t year; /* astronomical: 0 is 1 BC */
    int32_t month, day;
};

/* Years count from March here, so that the leap day is the last of its year. */
static int64_t days_of(int64_t year, int32_t month, int32_t day)
{
    int64_t shifted = year - (month <= 2 ? 1 : 0);
    int64_t era = (shifted >= 0 ? shifted : shifted - 399) / 400;
    int64_t year_of_era = shifted - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * DAYS_PER_ERA + day_of_era - DAYS_0000_TO_1970;
}

static struct civil civil_of(int64_t days)
{
    int64_t from_march = days + DAYS_0000_TO_1970;
    int64_t era = (from_march >= 0 ? from_march : from_march - (DAYS_PER_ERA - 1)) / DAYS_PER_ERA;
    int64_t day_of_era = from_march - era * DAYS_PER_ERA;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    struct civil civil = {.year = year_of_era + era * 400};

    civil.day = (int32_t)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
    civil.month = (int32_t)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    civil.year += civil.month <= 2 ? 1 : 0;
    return civil;
}

/* ---- reading ---- */

/* Reads min..max digits. */
static bool scan_number(struct nw_cursor *text, size_t min, size_t max, int64_t *number)
{
    size_t count = 0;
    int64_t sum = 0;

    while (count < max && count < text->left) {
        uint32_t digit = (uint32_t)text->at[count] - '0';

        if (digit > 9) {
            break;
        }
        sum = sum * 10 + digit;
        count++;
    }
    (void)nw_cursor_take(text, count);
    *number = sum;
    return count >= min;
}

/* Reads one byte if it is this one. */
static bool scan_byte(struct nw_cursor *text, char byte)
{
    if (text->left == 0 || *text->at != (uint8_t)byte) {
        return false;
    }
    (void)nw_cursor_u8(text);
    return true;
}

static bool scan_two(struct nw_cursor *text, int64_t max, int64_t *number)
{
    return scan_number(text, 2, 2, number) && *number <= max;
}

/* Reads eight bytes at once: where `mask` has ones they must be those of `signs`, the others
 * digits. Each byte of *pairs is then the two-digit number that begins there. */
static bool scan_eight(struct nw_cursor *text, uint64_t mask, uint64_t signs, uint64_t *pairs)
{
    static const uint64_t zeros = 0x3030303030303030;
    static const uint64_t high = 0xF0F0F0F0F0F0F0F0;
    const uint8_t *at = nw_cursor_take(text, sizeof *pairs);
    uint64_t word = 0;

    if (at == NULL) {
        return false;
    }
    memcpy(&word, at, sizeof word);
    if ((word & mask) != (signs & mask)) {
        return false;
    }
    word = (word & ~mask) | (zeros & mask);
    if ((word & high) != zeros || ((word + 0x0606060606060606) & high) != zeros) {
        return false;
    }
    word ^= zeros;
    *pairs = word * 10 + (word >> 8);
    return true;
}

/* Takes a final " BC" off. */
static bool take_bc(struct nw_cursor *text)
{
    if (text->left > 3 && memcmp(text->at + text->left - 3, " BC", 3) == 0) {
        text->left -= 3;
        return true;
    }
    return false;
}

/* YYYY-MM-, with up to seven digits for the year. */
static bool scan_month(struct nw_cursor *text, int64_t *year, int64_t *month)
{
    uint64_t pairs = 0;

    if (text->left >= 8 && text->at[4] == '-') {
        if (!scan_eight(text, 0xFF0000FF00000000, 0x2D00002D00000000, &pairs)) {
            return false;
        }
        *year = (int64_t)((pairs & 0xFF) * 100 + (pairs >> 16 & 0xFF));
        *month = (int64_t)(pairs >> 40 & 0xFF);
        return *month <= 12;
    }
    return scan_number(text, 4, 7, year) && scan_byte(text, '-') && scan_two(text, 12, month) &&
           scan_byte(text, '-');
}

static bool scan_date(struct nw_cursor *text, bool bc, int64_t *days)
{
    static const uint8_t lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t year = 0;
    int64_t month = 0;
    int64_t day = 0;

    if (!scan_month(text, &year, &month) || !scan_two(text, 31, &day) || year == 0 || month == 0 ||
        day == 0 || day > lengths[month - 1]) {
        return false;
    }
    year = bc ? 1 - year : year;
    if (month == 2 && day == 29 && (year % 4 != 0 || (year % 100 == 0 && year % 400 != 0))) {
        return false;
    }
    *days = days_of(year, (int32_t)month, (int32_t)day);
    return true;
}

/* HH:MM:SS[.f to .ffffff] */
static bool scan_time(struct nw_cursor *text, int64_t *us)
{
    static const int64_t units[] = {1000000, 100000, 10000, 1000, 100, 10, 1};
    uint64_t pairs = 0;
    int64_t hour = 0;
    int64_t minute = 0;
    int64_t second = 0;

    if (!scan_eight(text, 0x0000FF0000FF0000, 0x00003A00003A0000, &pairs)) {
        return false;
    }
    hour = (int64_t)(pairs & 0xFF);
    minute = (int64_t)(pairs >> 24 & 0xFF);
    second = (int64_t)(pairs >> 48 & 0xFF);
    *us = hour * US_PER_HOUR + minute * US_PER_MINUTE + second * NW_US_PER_SECOND;
    if (scan_byte(text, '.')) {
        size_t before = text->left;
        int64_t fraction = 0;

        if (!scan_number(text, 1, 6, &fraction)) {
            return false;
        }
        *us += fraction * units[before - text->left];
    }
    return minute <= 59 && second <= 59 && *us <= NW_US_PER_DAY;
}

/* +HH[:MM[:SS]] as microseconds east of UTC. */
static bool scan_zone(struct nw_cursor *text, int64_t *us)
{
    bool west = scan_byte(text, '-');
    int64_t hour = 0;
    int64_t minute = 0;
    int64_t second = 0;

    if ((!west && !scan_byte(text, '+')) || !scan_two(text, 23, &hour)) {
        return false;
    }
    if (scan_byte(text, ':')) {
        if (!scan_two(text, 59, &minute) ||
            (scan_byte(text, ':') && !scan_two(text, 59, &second))) {
            return false;
        }
    }
    *us = hour * US_PER_HOUR + minute * US_PER_MINUTE + second * NW_US_PER_SECOND;
    *us = west ? -*us : *us;
    return true;
}

static bool is_infinity(const uint8_t *at, size_t size)
{
    return (size == 8 && memcmp(at, "infinity", 8) == 0) ||
           (size == 9 && memcmp(at, "-infinity", 9) == 0);
}

enum nw_decoded nw_date_parse(const uint8_t *at, size_t size, int32_t *days)
{
    struct nw_cursor text = nw_cursor_of(at, size);
    bool bc = take_bc(&text);
    int64_t day = 0;

    if (!scan_date(&text, bc, &day) || !nw_cursor_done(&text)) {
        return is_infinity(at, size) ? NW_DECODED_EXCEPTION : NW_DECODED_MALFORMED;
    }
    if (day < NW_DATE_MIN || day > NW_DATE_MAX) {
        return NW_DECODED_MALFORMED;
    }
    *days = (int32_t)day;
    return NW_DECODED;
}

enum nw_decoded nw_time_parse(const uint8_t *at, size_t size, int64_t *us)
{
    struct nw_cursor text = nw_cursor_of(at, size);

    if (!scan_time(&text, us) || !nw_cursor_done(&text)) {
        return NW_DECODED_MALFORMED;
    }
    return *us == NW_US_PER_DAY ? NW_DECODED_EXCEPTION : NW_DECODED;
}

enum nw_decoded nw_timestamp_parse(const uint8_t *at, size_t size, bool zone, int64_t *us)
{
    struct nw_cursor text = nw_cursor_of(at, size);
    bool bc = take_bc(&text);
    int64_t days = 0;
    int64_t time = 0;
    int64_t east = 0;
    nw_int128 total = 0;

    if (!scan_date(&text, bc, &days) || !scan_byte(&text, ' ') || !scan_time(&text, &time) ||
        (zone && !scan_zone(&text, &east)) || !nw_cursor_done(&text)) {
        return is_infinity(at, size) ? NW_DECODED_EXCEPTION : NW_DECODED_MALFORMED;
    }
    /* A day more at either end: the text may be in another zone than UTC. */
    if (time == NW_US_PER_DAY || days < NW_DATE_MIN - 1 || days > NW_TIMESTAMP_DATE_MAX + 1) {
        return NW_DECODED_MALFORMED;
    }
    total = (nw_int128)days * NW_US_PER_DAY + time - east;
    *us = (int64_t)total;
    return total > INT64_MAX ? NW_DECODED_EXCEPTION : NW_DECODED;
}

/* ---- printing ---- */

static char *put_text(char *to, const char *text)
{
    while (*text != '\0') {
        *to++ = *text++;
    }
    return to;
}

/* At least `width` digits. */
static char *put_number(char *to, uint64_t number, uint32_t width)
{
    char digits[20];
    uint32_t count = 0;

    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    for (uint32_t i = count; i < width; i++) {
        *to++ = '0';
    }
    while (count > 0) {
        *to++ = digits[--count];
    }
    return to;
}

static char *put_date(char *to, struct civil civil)
{
    to = put_number(to, (uint64_t)(civil.year > 0 ? civil.year : 1 - civil.year), 4);
    *to++ = '-';
    to = put_number(to, (uint64_t)civil.month, 2);
    *to++ = '-';
    return put_number(to, (uint64_t)civil.day, 2);
}

/* SS[.ffffff] without zeros at the end. */
static char *put_seconds(char *to, uint64_t us)
{
    uint64_t fraction = us % (uint64_t)NW_US_PER_SECOND;

    to = put_number(to, us / (uint64_t)NW_US_PER_SECOND, 2);
    if (fraction > 0) {
        *to++ = '.';
        to = put_number(to, fraction, 6);
        while (to[-1] == '0') {
            to--;
        }
    }
    return to;
}

static char *put_time(char *to, uint64_t us)
{
    to = put_number(to, us / (uint64_t)US_PER_HOUR, 2);
    *to++ = ':';
    to = put_number(to, us / (uint64_t)US_PER_MINUTE % 60, 2);
    *to++ = ':';
    return put_seconds(to, us % (uint64_t)US_PER_MINUTE);
}

size_t nw_date_print(char *to, int64_t days)
{
    struct civil civil = civil_of(days);
    char *end = put_date(to, civil);

    if (civil.year <= 0) {
        end = put_text(end, " BC");
    }
    return (size_t)(end - to);
}

size_t nw_time_print(char *to, int64_t us)
{
    return (size_t)(put_time(to, (uint64_t)us) - to);
}

size_t nw_timestamp_print(char *to, int64_t days, int64_t us_of_day, const char *suffix)
{
    struct civil civil = civil_of(days);
    char *end = put_date(to, civil);

    *end++ = ' ';
    end = put_time(end, (uint64_t)us_of_day);
    end = put_text(end, suffix);
    if (civil.year <= 0) {
        end = put_text(end, " BC");
    }
    return (size_t)(end - to);
}

size_t nw_timetz_print(char *to, int64_t us, int32_t west)
{
    uint64_t seconds = (uint64_t)llabs((long long)west);
    char *end = put_time(to, (uint64_t)us);

    *end++ = west <= 0 ? '+' : '-';
    end = put_number(end, seconds / 3600, 2);
    if (seconds % 3600 != 0) {
        *end++ = ':';
        end = put_number(end, seconds / 60 % 60, 2);
    }
    if (seconds % 60 != 0) {
        *end++ = ':';
        end = put_number(end, seconds % 60, 2);
    }
    return (size_t)(end - to);
}

struct interval_text {
    char *to;
    bool empty;    /* nothing printed yet */
    bool negative; /* the part before was: a positive one then shows its sign */
};

static void put_part(struct interval_text *text, int64_t value, const char *unit)
{
    if (value == 0) {
        return;
    }
    if (!text->empty) {
        *text->to++ = ' ';
    }
    if (value < 0) {
        *text->to++ = '-';
    } else if (text->negative) {
        *text->to++ = '+';
    }
    text->to = put_number(text->to, (uint64_t)llabs((long long)value), 1);
    *text->to++ = ' ';
    text->to = put_text(text->to, unit);
    if (value != 1) {
        *text->to++ = 's';
    }
    text->negative = value < 0;
    text->empty = false;
}

size_t nw_interval_print(char *to, int64_t us, int32_t days, int32_t months)
{
    struct interval_text text = {.to = to, .empty = true};
    uint64_t size = us < 0 ? 0 - (uint64_t)us : (uint64_t)us;

    /* PostgreSQL 17 and later; before, these were (absurd) finite intervals. */
    if (us == INT64_MAX && days == INT32_MAX && months == INT32_MAX) {
        return (size_t)(put_text(to, "infinity") - to);
    }
    if (us == INT64_MIN && days == INT32_MIN && months == INT32_MIN) {
        return (size_t)(put_text(to, "-infinity") - to);
    }
    put_part(&text, months / 12, "year");
    put_part(&text, months % 12, "mon");
    put_part(&text, days, "day");
    if (text.empty || us != 0) {
        if (!text.empty) {
            *text.to++ = ' ';
        }
        if (us < 0) {
            *text.to++ = '-';
        } else if (text.negative) {
            *text.to++ = '+';
        }
        text.to = put_time(text.to, size);
    }
    return (size_t)(text.to - to);
}
