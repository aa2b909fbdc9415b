/* SPDX-License-Identifier: Apache-2.0 */
/* Java's SimpleDateFormat: see java_time.h. */
#include "lib/format/java_time.h"

#include <string.h>

#include "lib/format/connect_text.h"

#define DAY_MS         INT64_C(86400000)
#define HOUR_MS        INT64_C(3600000)
#define MINUTE_MS      INT64_C(60000)
#define GREGORIAN_FROM INT64_C(-141427) /* 1582-10-15, in days since 1970 */
#define JULIAN_ZERO    INT64_C(719470)  /* days from the first of March of the year 0 to 1970 */
#define NUMBER_MAX     INT64_C(1000000000)
#define YEAR_MAX       INT64_C(100000000)

static const char *const months[] = {"January",   "February", "March",    "April",
                                     "May",       "June",     "July",     "August",
                                     "September", "October",  "November", "December"};
static const char *const weekdays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                       "Thursday", "Friday", "Saturday"};

/* ---- patterns ---- */

static bool text_put(struct nw_java_time *format, char c)
{
    struct nw_java_part *last = format->count == 0 ? NULL : &format->parts[format->count - 1];
    size_t used = 0;

    for (uint32_t i = 0; i < format->count; i++) {
        used += format->parts[i].letter == '\0' ? format->parts[i].count : 0;
    }
    if (used == sizeof format->text ||
        ((last == NULL || last->letter != '\0') && format->count == NW_JAVA_TIME_PARTS_MAX)) {
        return false;
    }
    if (last == NULL || last->letter != '\0') {
        last = &format->parts[format->count++];
        *last = (struct nw_java_part){.at = (uint8_t)used};
    }
    format->text[used] = c;
    last->count++;
    return true;
}

static bool letter_put(struct nw_java_time *format, char c, size_t count)
{
    if (format->count == NW_JAVA_TIME_PARTS_MAX || count > 20) {
        return false;
    }
    format->parts[format->count++] = (struct nw_java_part){.letter = c, .count = (uint8_t)count};
    return true;
}

/* 'text', of which '' is a quote. @return behind it; NULL: it does not end */
static const char *quoted_put(struct nw_java_time *format, const char *at)
{
    if (at[1] == '\'') {
        return text_put(format, '\'') ? at + 2 : NULL;
    }
    for (at++; *at != '\0'; at++) {
        if (*at == '\'' && at[1] != '\'') {
            return at + 1;
        }
        at += *at == '\'';
        if (!text_put(format, *at)) {
            return NULL;
        }
    }
    return NULL;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* What stands at a place that is not quoted. @return behind it; NULL: it is none */
static const char *plain_put(struct nw_java_time *format, const char *at, const char **why)
{
    size_t size = 1;

    if (!is_letter(*at)) {
        return text_put(format, *at) ? at + 1 : NULL;
    }
    if (strchr("GyMLdHhKkmsSaEuDzZX", *at) == NULL) {
        *why = "of Java's letters G y M L d H h K k m s S a E u D z Z X are there";
        return NULL;
    }
    while (at[size] == *at) {
        size++;
    }
    return letter_put(format, *at, size) ? at + size : NULL;
}

bool nw_java_time_read(struct nw_java_time *format, const char *pattern, const char **why)
{
    *format = (struct nw_java_time){0};
    *why = "the pattern is too long, or a ' has no end";
    while (pattern != NULL && *pattern != '\0') {
        pattern = *pattern == '\'' ? quoted_put(format, pattern) : plain_put(format, pattern, why);
    }
    return pattern != NULL && format->count > 0;
}

bool nw_java_time_reads(const struct nw_java_time *format)
{
    for (uint32_t i = 0; i < format->count; i++) {
        const struct nw_java_part *part = &format->parts[i];

        if ((part->letter == 'y' && part->count < 3) ||
            (part->letter != '\0' && strchr("GDu", part->letter) != NULL)) {
            return false;
        }
    }
    return true;
}

/* ---- printing ---- */

struct parts {
    int64_t year; /* 0 is 1 BC */
    int64_t month, day, days;
    int64_t ms; /* of the day */
};

static int64_t floored(int64_t value, int64_t by)
{
    return value / by - (value % by < 0 ? 1 : 0);
}

static struct nw_day julian_day_of(int64_t days)
{
    int64_t shifted = days + JULIAN_ZERO;
    int64_t era = floored(shifted, 1461);
    int64_t day_of_era = shifted - era * 1461;
    int64_t year = (day_of_era - day_of_era / 1460) / 365;
    int64_t day_of_year = day_of_era - 365 * year;
    int64_t month = (5 * day_of_year + 2) / 153;

    return (struct nw_day){.year = era * 4 + year + (month >= 10 ? 1 : 0),
                           .month = month + (month < 10 ? 3 : -9),
                           .day = day_of_year - (153 * month + 2) / 5 + 1};
}

static struct parts parts_of(int64_t ms)
{
    int64_t days = floored(ms, DAY_MS);
    struct nw_day day = days >= GREGORIAN_FROM ? nw_day_of(days) : julian_day_of(days);

    return (struct parts){.year = day.year,
                          .month = day.month,
                          .day = day.day,
                          .days = days,
                          .ms = ms - days * DAY_MS};
}

static void padded(struct nw_out *out, int64_t value, unsigned width)
{
    int64_t limit = 10;

    for (unsigned digits = 1; digits < width; digits++, limit *= value >= limit ? 10 : 1) {
        if (value < limit) {
            nw_out_text(out, "0");
        }
    }
    nw_out_i64(out, value);
}

static void word_print(struct nw_out *out, const char *word, unsigned count)
{
    nw_out_bytes(out, word, count >= 4 || strlen(word) < 3 ? strlen(word) : 3);
}

static int64_t day_of_year(const struct parts *parts)
{
    static const int64_t before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int64_t year = parts->year;
    bool julian = parts->days < GREGORIAN_FROM;
    bool leap = year % 4 == 0 && (julian || year % 100 != 0 || year % 400 == 0);

    return before[parts->month - 1] + parts->day + (leap && parts->month > 2 ? 1 : 0);
}

/* @return what a letter's number is; -1: it is none */
static int64_t number_of(const struct parts *parts, char letter)
{
    int64_t hour = parts->ms / HOUR_MS;

    switch (letter) {
    case 'y':
        return parts->year > 0 ? parts->year : 1 - parts->year;
    case 'M':
    case 'L':
        return parts->month;
    case 'd':
        return parts->day;
    case 'H':
        return hour;
    case 'k':
        return hour == 0 ? 24 : hour;
    case 'K':
        return hour % 12;
    case 'h':
        return hour % 12 == 0 ? 12 : hour % 12;
    case 'm':
        return parts->ms / MINUTE_MS % 60;
    case 's':
        return parts->ms / 1000 % 60;
    case 'S':
        return parts->ms % 1000;
    case 'D':
        return day_of_year(parts);
    case 'u':
        return ((parts->days + 3) % 7 + 7) % 7 + 1;
    default:
        return -1;
    }
}

/* A letter that is no number. */
static void sign_print(struct nw_out *out, const struct parts *parts,
                       const struct nw_java_part *part)
{
    switch (part->letter) {
    case 'E':
        word_print(out, weekdays[((parts->days + 4) % 7 + 7) % 7], part->count);
        break;
    case 'a':
        nw_out_text(out, parts->ms < 12 * HOUR_MS ? "AM" : "PM");
        break;
    case 'G':
        nw_out_text(out, parts->year > 0 ? "AD" : "BC");
        break;
    case 'z':
        nw_out_text(out, part->count >= 4 ? "Coordinated Universal Time" : "UTC");
        break;
    case 'Z':
        nw_out_text(out, "+0000");
        break;
    default:
        nw_out_text(out, "Z");
        break;
    }
}

static void letter_print(struct nw_out *out, const struct parts *parts,
                         const struct nw_java_part *part)
{
    int64_t number = number_of(parts, part->letter);

    if (strchr("ML", part->letter) != NULL && part->count >= 3) {
        word_print(out, months[parts->month - 1], part->count);
    } else if (part->letter == 'y' && part->count == 2) {
        padded(out, number % 100, 2);
    } else if (number >= 0) {
        padded(out, number, part->count);
    } else {
        sign_print(out, parts, part);
    }
}

void nw_java_time_print(const struct nw_java_time *format, int64_t ms, struct nw_out *out)
{
    const struct parts parts = parts_of(ms);

    for (uint32_t i = 0; i < format->count; i++) {
        const struct nw_java_part *part = &format->parts[i];

        if (part->letter == '\0') {
            nw_out_bytes(out, format->text + part->at, part->count);
        } else {
            letter_print(out, &parts, part);
        }
    }
}

/* ---- reading ---- */

struct reader {
    const char *at;
    size_t left;
    int64_t year, month, day; /* 1970-01-01 where nothing says another */
    int64_t hour, half_hour;  /* half_hour: of a or p; -1: none was read */
    int64_t minute, second, ms;
    int64_t zone_ms;
    bool afternoon;
};

static void step(struct reader *reader, size_t count)
{
    reader->at += count;
    reader->left -= count;
}

/* @param width  no more digits than these; 0: as many as there are. @return -1: there is none */
static int64_t number_read(struct reader *reader, unsigned width)
{
    int64_t number = 0;
    unsigned digits = 0;

    while (reader->left > 0 && *reader->at >= '0' && *reader->at <= '9' &&
           (width == 0 || digits < width)) {
        number = number * 10 + (*reader->at - '0');
        digits++;
        step(reader, 1);
        if (number > NUMBER_MAX) {
            return -1;
        }
    }
    return digits == 0 ? -1 : number;
}

static bool word_take(struct reader *reader, const char *word, size_t size)
{
    if (reader->left < size) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        if ((reader->at[i] | 0x20) != (word[i] | 0x20)) { /* letters, of either case */
            return false;
        }
    }
    step(reader, size);
    return true;
}

/* One of these, whole or its first three letters. @return which; -1: none */
static int64_t word_read(struct reader *reader, const char *const *words, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (word_take(reader, words[i], strlen(words[i]))) {
            return i;
        }
    }
    for (int64_t i = 0; i < count; i++) {
        if (word_take(reader, words[i], 3)) {
            return i;
        }
    }
    return -1;
}

/* +05, +0545, +05:45. @param hours_only  the first of them */
static bool offset_read(struct reader *reader, bool hours_only)
{
    int64_t sign = 1;
    int64_t hours = 0;
    int64_t minutes = 0;

    if (reader->left == 0 || (*reader->at != '+' && *reader->at != '-')) {
        return false;
    }
    sign = *reader->at == '-' ? -1 : 1;
    step(reader, 1);
    hours = number_read(reader, 2);
    if (!hours_only) {
        step(reader, reader->left > 0 && *reader->at == ':' ? 1 : 0);
        minutes = number_read(reader, 2);
    }
    reader->zone_ms = sign * (hours * HOUR_MS + minutes * MINUTE_MS);
    return hours >= 0 && hours < 24 && minutes >= 0 && minutes < 60;
}

/* Z, UTC, GMT, or a distance to it. */
static bool zone_read(struct reader *reader, const struct nw_java_part *part)
{
    bool x = part->letter == 'X';

    if (x && reader->left > 0 && *reader->at == 'Z') {
        step(reader, 1);
        return true;
    }
    if (!x && word_take(reader, "GMT", 3) &&
        (reader->left == 0 || (*reader->at != '+' && *reader->at != '-'))) {
        return true;
    }
    return (!x && word_take(reader, "UTC", 3)) || offset_read(reader, x && part->count == 1);
}

static bool number_take(struct reader *reader, char letter, int64_t number)
{
    switch (letter) {
    case 'y':
        reader->year = number;
        break;
    case 'M':
    case 'L':
        reader->month = number;
        break;
    case 'd':
        reader->day = number;
        break;
    case 'H':
    case 'k':
        reader->hour = letter == 'k' && number == 24 ? 0 : number;
        reader->half_hour = -1;
        break;
    case 'K':
    case 'h':
        reader->half_hour = letter == 'h' && number == 12 ? 0 : number;
        break;
    case 'm':
        reader->minute = number;
        break;
    case 's':
        reader->second = number;
        break;
    default:
        reader->ms = number;
        break;
    }
    return number >= 0;
}

/* @param width  of a number that another one follows at once; 0: of no width */
static bool letter_read(struct reader *reader, const struct nw_java_part *part, unsigned width)
{
    while (reader->left > 0 && (*reader->at == ' ' || *reader->at == '\t')) {
        step(reader, 1);
    }
    if (strchr("zZX", part->letter) != NULL) {
        return zone_read(reader, part);
    }
    if (strchr("ML", part->letter) != NULL && part->count >= 3) {
        reader->month = word_read(reader, months, 12) + 1;
        return reader->month > 0;
    }
    if (part->letter == 'E') {
        return word_read(reader, weekdays, 7) >= 0;
    }
    if (part->letter == 'a') {
        reader->afternoon = word_take(reader, "PM", 2);
        return reader->afternoon || word_take(reader, "AM", 2);
    }
    return number_take(reader, part->letter, number_read(reader, width));
}

static bool text_read(struct reader *reader, const char *text, size_t size)
{
    if (reader->left < size || memcmp(reader->at, text, size) != 0) {
        return false;
    }
    step(reader, size);
    return true;
}

/* The year 0 is 1 BC; months and days may be more than there are. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    int64_t months_since = year * 12 + month - 3; /* from March of the year 0 on */
    int64_t shifted_year = floored(months_since, 12);
    int64_t shifted_month = months_since - shifted_year * 12;
    int64_t in_year = (153 * shifted_month + 2) / 5 + day - 1;
    int64_t days = 365 * shifted_year + floored(shifted_year, 4) - floored(shifted_year, 100) +
                   floored(shifted_year, 400) + in_year - 719468;

    return days >= GREGORIAN_FROM
               ? days
               : 365 * shifted_year + floored(shifted_year, 4) + in_year - JULIAN_ZERO;
}

static bool is_number(const struct nw_java_part *part)
{
    return part->letter != '\0' && strchr("zZXEa", part->letter) == NULL &&
           !(strchr("ML", part->letter) != NULL && part->count >= 3);
}

bool nw_java_time_parse(const struct nw_java_time *format, const void *bytes, size_t size,
                        int64_t *ms)
{
    struct reader reader = {.at = (const char *)bytes,
                            .left = size,
                            .year = 1970,
                            .month = 1,
                            .day = 1,
                            .half_hour = -1};
    int64_t hour = 0;

    for (uint32_t i = 0; i < format->count; i++) {
        const struct nw_java_part *part = &format->parts[i];
        bool abuts = i + 1 < format->count && is_number(&format->parts[i + 1]);

        if (!(part->letter == '\0' ? text_read(&reader, format->text + part->at, part->count)
                                   : letter_read(&reader, part, abuts ? part->count : 0))) {
            return false;
        }
    }
    hour = reader.half_hour < 0 ? reader.hour : reader.half_hour + (reader.afternoon ? 12 : 0);
    if (reader.year > YEAR_MAX) {
        return false;
    }
    *ms = days_of(reader.year, reader.month, reader.day) * DAY_MS + hour * HOUR_MS +
          reader.minute * MINUTE_MS + reader.second * 1000 + reader.ms - reader.zone_ms;
    return true;
}
