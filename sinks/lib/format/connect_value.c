/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values into Connect's model: see connect.h. What is printed or computed lies in the scratch's
 * level; a value that was decoded by narwal, or PostgreSQL's text of it, becomes the same.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/format/connect_number.h"
#include "lib/format/connect_parts.h"
#include "lib/format/connect_shape.h"
#include "lib/print.h"
#include "lib/utf8.h"

#define SECOND_US INT64_C(1000000)
#define MINUTE_US (INT64_C(60) * SECOND_US)
#define HOUR_US   (INT64_C(60) * MINUTE_US)
#define DAY_US    (INT64_C(24) * HOUR_US)
#define DAY_MS    (DAY_US / 1000)
#define MONTH_US  INT64_C(2629800000000) /* 365.25 / 12 days */

/* What Debezium has for infinity: dates and timestamps of the JDBC driver. */
#define DATE_INFINITY        INT64_C(2146033979)
#define DATE_MINUS_INFINITY  INT64_C(-2147472691)
#define MILLI_INFINITY       INT64_C(9223372036825200000)
#define MILLI_MINUS_INFINITY INT64_C(-9223372036832400000)

__extension__ typedef __int128 i128;

static struct nw_level *level_of(const struct nw_convert *convert)
{
    return &convert->scratch->levels[convert->level];
}

/* ---- results ---- */

static nw_status give_text(struct nw_connect_value *to, const void *bytes, size_t size)
{
    to->kind = NW_CONNECT_TEXT;
    to->bytes = bytes;
    to->size = (uint32_t)size;
    return NW_OK;
}

static nw_status give_integer(struct nw_connect_value *to, int64_t integer)
{
    to->kind = NW_CONNECT_INTEGER;
    to->as.integer = integer;
    return NW_OK;
}

/* What was printed into the level's own memory. */
static nw_status give_printed(const struct nw_out *out, enum nw_connect_value_kind kind,
                              struct nw_connect_value *to)
{
    to->kind = kind;
    to->bytes = out->bytes;
    to->size = (uint32_t)out->used;
    return out->failed ? NW_RETRY : NW_OK;
}

/* Text that was read to its end, or not. */
static nw_status read_status(const struct nw_text *text)
{
    return nw_text_done(text) ? NW_OK : NW_CORRUPT;
}

static bool is_typed(const struct nw_value *source, enum nw_type type)
{
    return source->kind == NW_VALUE_PRESENT && source->type == type;
}

static struct nw_text text_of(const struct nw_value *source)
{
    return nw_text_of(source->bytes, source->size);
}

/* ---- scalars ---- */

static nw_status boolean_convert(const struct nw_convert *convert, const struct nw_value *source,
                                 struct nw_connect_value *to)
{
    (void)convert;
    struct nw_text text;

    to->kind = NW_CONNECT_TRUTH;
    if (is_typed(source, NW_TYPE_BOOL)) {
        to->as.boolean = source->as.boolean;
        return NW_OK;
    }
    text = text_of(source);
    to->as.boolean = nw_text_word(&text, "true") || nw_text_take(&text, 't');
    if (!to->as.boolean && !nw_text_word(&text, "false")) {
        nw_text_expect(&text, 'f');
    }
    return read_status(&text);
}

static bool is_integer(enum nw_type type)
{
    return type == NW_TYPE_INT16 || type == NW_TYPE_INT32 || type == NW_TYPE_INT64 ||
           type == NW_TYPE_UINT32;
}

static nw_status integer_convert(const struct nw_convert *convert, const struct nw_value *source,
                                 struct nw_connect_value *to)
{
    (void)convert;
    struct nw_text text;

    to->kind = NW_CONNECT_INTEGER;
    if (source->kind == NW_VALUE_PRESENT && is_integer(source->type)) {
        to->as.integer = source->as.integer;
        return NW_OK;
    }
    text = text_of(source);
    to->as.integer = nw_text_i64(&text);
    return read_status(&text);
}

static nw_status real_convert(const struct nw_convert *convert, const struct nw_value *source,
                              struct nw_connect_value *to)
{
    struct nw_text text;

    to->kind = NW_CONNECT_REAL;
    if (is_typed(source, NW_TYPE_FLOAT32) || is_typed(source, NW_TYPE_FLOAT64)) {
        to->as.real = source->as.real;
        return NW_OK;
    }
    text = text_of(source);
    to->as.real = nw_text_real(&text);
    if (convert->form->schema->kind == NW_CONNECT_FLOAT32) {
        to->as.real = (double)(float)to->as.real;
    }
    return read_status(&text);
}

/* What narwal decoded of a type that is written as its text: xid and cid. */
static nw_status integer_text(struct nw_level *level, const struct nw_value *source,
                              struct nw_connect_value *to)
{
    level->text.used = 0;
    nw_out_i64(&level->text, source->as.integer);
    return give_printed(&level->text, NW_CONNECT_TEXT, to);
}

/* Text that narwal does not know to be UTF-8 comes as an exception. */
static nw_status text_convert(const struct nw_convert *convert, const struct nw_value *source,
                              struct nw_connect_value *to)
{
    if (source->kind == NW_VALUE_EXCEPTION) {
        return NW_REJECT;
    }
    return is_integer(source->type) ? integer_text(level_of(convert), source, to)
                                    : give_text(to, source->bytes, source->size);
}

static nw_status uuid_convert(const struct nw_convert *convert, const struct nw_value *source,
                              struct nw_connect_value *to)
{
    struct nw_level *level = level_of(convert);
    if (!is_typed(source, NW_TYPE_UUID)) {
        return text_convert(convert, source, to);
    }
    if (!nw_out_reserve(&level->out, NW_PRINT_UUID_SIZE)) {
        return NW_RETRY;
    }
    (void)nw_print_uuid(level->out.bytes, source->bytes);
    return give_text(to, level->out.bytes, NW_PRINT_UUID_SIZE);
}

/* ---- dates and times ---- */

nw_status nw_moment_of(const struct nw_value *source, enum nw_type type, struct nw_moment *moment)
{
    struct nw_text text;

    *moment = (struct nw_moment){0};
    if (is_typed(source, NW_TYPE_DATE)) {
        moment->days = source->as.integer;
        return NW_OK;
    }
    if (is_typed(source, NW_TYPE_TIMESTAMP) || is_typed(source, NW_TYPE_TIMESTAMPTZ)) {
        moment->days = source->as.integer / DAY_US;
        moment->time_us = source->as.integer % DAY_US;
        if (moment->time_us < 0) {
            moment->time_us += DAY_US;
            moment->days--;
        }
        return NW_OK;
    }
    text = text_of(source);
    *moment = type == NW_TYPE_DATE ? nw_text_date(&text) : nw_text_stamp(&text);
    return read_status(&text);
}

static nw_status date_convert(const struct nw_convert *convert, const struct nw_value *source,
                              struct nw_connect_value *to)
{
    (void)convert;
    struct nw_moment moment;
    nw_status status = nw_moment_of(source, NW_TYPE_DATE, &moment);

    if (moment.infinity != 0) {
        moment.days = moment.infinity > 0 ? DATE_INFINITY : DATE_MINUS_INFINITY;
    }
    return status == NW_OK ? give_integer(to, moment.days) : status;
}

/* ISO 8601 as Java prints it: years have at least four digits, those past 9999 a sign. */
static uint8_t *date_print(uint8_t *at, int64_t days)
{
    const struct nw_day date = nw_day_of(days);
    const int64_t year = date.year;
    uint64_t magnitude = (uint64_t)(year < 0 ? -year : year);

    if (year < 0 || year > 9999) {
        *at++ = year < 0 ? '-' : '+';
    }
    for (uint64_t limit = 1000; limit > 1 && magnitude < limit; limit /= 10) {
        *at++ = '0';
    }
    at = nw_print_u64(at, magnitude);
    *at++ = '-';
    memcpy(at, nw_print_digit_pairs + date.month * 2, 2);
    at[2] = '-';
    memcpy(at + 3, nw_print_digit_pairs + date.day * 2, 2);
    return at + 5;
}

/* 12:34:56.7; digits: behind the point, that are always there, 0: as many as needed. */
static uint8_t *time_print(uint8_t *at, int64_t us, unsigned digits)
{
    const int64_t parts[] = {us / (3600 * SECOND_US), us / (60 * SECOND_US) % 60,
                             us / SECOND_US % 60};
    int64_t fraction = us % SECOND_US;

    for (int i = 0; i < 3; i++) {
        memcpy(at, nw_print_digit_pairs + parts[i] * 2, 2);
        at[2] = ':';
        at += 3;
    }
    at--;
    if (fraction == 0 && digits == 0) {
        return at;
    }
    *at++ = '.';
    memcpy(at, nw_print_digit_pairs + fraction / 10000 * 2, 2);
    memcpy(at + 2, nw_print_digit_pairs + fraction / 100 % 100 * 2, 2);
    memcpy(at + 4, nw_print_digit_pairs + fraction % 100 * 2, 2);
    if (digits > 0) {
        return at + (digits < 6 ? digits : 6);
    }
    for (at += 6; at[-1] == '0';) {
        at--;
    }
    return at;
}

static nw_status date_iso_convert(const struct nw_convert *convert, const struct nw_value *source,
                                  struct nw_connect_value *to)
{
    struct nw_level *level = level_of(convert);
    struct nw_moment moment;
    nw_status status = nw_moment_of(source, NW_TYPE_DATE, &moment);
    uint8_t *at;

    if (status != NW_OK || !nw_out_reserve(&level->out, NW_PRINT_TIMESTAMP_MAX)) {
        return status == NW_OK ? NW_RETRY : status;
    }
    if (moment.infinity != 0) {
        moment.days = moment.infinity > 0 ? DATE_INFINITY : DATE_MINUS_INFINITY;
    }
    at = date_print(level->out.bytes, moment.days);
    *at++ = 'Z';
    return give_text(to, level->out.bytes, (size_t)(at - level->out.bytes));
}

nw_status nw_time_of(const struct nw_value *source, int64_t *us)
{
    struct nw_text text;

    if (is_typed(source, NW_TYPE_TIME)) {
        *us = source->as.integer;
        return NW_OK;
    }
    text = text_of(source);
    *us = nw_text_time(&text);
    return *us > DAY_US ? NW_CORRUPT : read_status(&text);
}

static nw_status time_convert(const struct nw_convert *convert, const struct nw_value *source,
                              struct nw_connect_value *to)
{
    const enum nw_unit unit = convert->form->unit;
    int64_t us = 0;
    nw_status status = nw_time_of(source, &us);

    return status != NW_OK ? status
                           : give_integer(to, unit == NW_UNIT_MILLI   ? us / 1000
                                              : unit == NW_UNIT_MICRO ? us
                                                                      : us * 1000);
}

static nw_status time_iso_convert(const struct nw_convert *convert, const struct nw_value *source,
                                  struct nw_connect_value *to)
{
    struct nw_level *level = level_of(convert);
    int64_t us = 0;
    nw_status status = nw_time_of(source, &us);
    uint8_t *at;

    if (status != NW_OK || !nw_out_reserve(&level->out, NW_PRINT_TIMESTAMP_MAX)) {
        return status == NW_OK ? NW_RETRY : status;
    }
    at = time_print(level->out.bytes, us, 0);
    *at++ = 'Z';
    return give_text(to, level->out.bytes, (size_t)(at - level->out.bytes));
}

/* 23:59:59.5+05:45, at UTC. */
static nw_status time_zoned_convert(const struct nw_convert *convert, const struct nw_value *source,
                                    struct nw_connect_value *to)
{
    struct nw_level *level = level_of(convert);
    struct nw_text text = text_of(source);
    int64_t us = nw_text_time(&text);
    int32_t zone = nw_text_zone(&text);
    nw_status status = us > DAY_US ? NW_CORRUPT : read_status(&text);
    uint8_t *at;

    if (status != NW_OK || !nw_out_reserve(&level->out, NW_PRINT_TIMESTAMP_MAX)) {
        return status == NW_OK ? NW_RETRY : status;
    }
    if (us != DAY_US || zone != 0) { /* 24:00:00 at UTC stays what it is */
        us = (us - zone * SECOND_US + 2 * DAY_US) % DAY_US;
    }
    at = time_print(level->out.bytes, us, 0);
    *at++ = 'Z';
    return give_text(to, level->out.bytes, (size_t)(at - level->out.bytes));
}

static nw_status stamp_infinity(const struct nw_form *form, int infinity,
                                struct nw_connect_value *to)
{
    if (form->unit == NW_UNIT_MILLI) {
        return give_integer(to, infinity > 0 ? MILLI_INFINITY : MILLI_MINUS_INFINITY);
    }
    return give_integer(to, infinity > 0 ? INT64_MAX : INT64_MIN);
}

static nw_status stamp_convert(const struct nw_convert *convert, const struct nw_value *source,
                               struct nw_connect_value *to)
{
    const struct nw_form *form = convert->form;
    struct nw_moment moment;
    nw_status status = nw_moment_of(source, NW_TYPE_TIMESTAMP, &moment);
    i128 value = (i128)moment.days * DAY_US + moment.time_us;

    if (status != NW_OK) {
        return status;
    }
    if (moment.infinity != 0) {
        return stamp_infinity(form, moment.infinity, to);
    }
    if (form->unit == NW_UNIT_MILLI) {
        value = (i128)moment.days * (DAY_US / 1000) + moment.time_us / 1000;
    } else if (form->unit == NW_UNIT_NANO) {
        value *= 1000;
    }
    if (value >= INT64_MAX || value <= INT64_MIN) { /* those are infinity */
        return NW_REJECT;
    }
    return give_integer(to, (int64_t)value);
}

uint8_t *nw_stamp_iso_print(uint8_t *at, int64_t us, unsigned fraction)
{
    int64_t days = us / DAY_US;
    int64_t time_us = us % DAY_US;

    if (time_us < 0) {
        time_us += DAY_US;
        days--;
    }
    at = date_print(at, days);
    *at++ = 'T';
    at = time_print(at, time_us, fraction);
    *at++ = 'Z';
    return at;
}

/* @param fraction  as in time_print(). */
static nw_status stamp_print(struct nw_level *level, const struct nw_value *source, bool zoned,
                             unsigned fraction, struct nw_connect_value *to)
{
    struct nw_moment moment;
    nw_status status = nw_moment_of(source, NW_TYPE_TIMESTAMP, &moment);
    uint8_t *at;

    if (status != NW_OK || !nw_out_reserve(&level->out, NW_PRINT_TIMESTAMP_MAX)) {
        return status == NW_OK ? NW_RETRY : status;
    }
    if (moment.infinity != 0 && zoned) {
        return moment.infinity > 0 ? give_text(to, "infinity", 8) : give_text(to, "-infinity", 9);
    }
    if (moment.infinity != 0) {
        int64_t ms = moment.infinity > 0 ? MILLI_INFINITY : MILLI_MINUS_INFINITY;

        moment.days = ms / DAY_MS - (ms < 0 ? 1 : 0);
        moment.time_us = (ms % DAY_MS + (ms < 0 ? DAY_MS : 0)) * 1000;
    }
    at = date_print(level->out.bytes, moment.days);
    *at++ = 'T';
    at = time_print(at, moment.time_us, fraction);
    *at++ = 'Z';
    return give_text(to, level->out.bytes, (size_t)(at - level->out.bytes));
}

static nw_status stamp_iso_convert(const struct nw_convert *convert, const struct nw_value *source,
                                   struct nw_connect_value *to)
{
    return stamp_print(level_of(convert), source, false, 0, to);
}

static nw_status stamp_zoned_convert(const struct nw_convert *convert,
                                     const struct nw_value *source, struct nw_connect_value *to)
{
    return stamp_print(level_of(convert), source, true, convert->form->fraction, to);
}

/* An infinite one (PostgreSQL 17) is text that is known, and has no value in any schema. */
nw_status nw_interval_of(const struct nw_value *source, struct nw_interval *interval)
{
    struct nw_text text = text_of(source);
    struct nw_text infinite = text;

    (void)nw_text_take(&infinite, '-');
    if (nw_text_word(&infinite, "infinity") && nw_text_done(&infinite)) {
        *interval = (struct nw_interval){0};
        return NW_REJECT;
    }
    *interval = nw_text_interval(&text);
    return read_status(&text);
}

/* Debezium's MicroDuration: in double precision, without the rest, and Java's last number where it
 * would be larger. */
static int64_t interval_double(const struct nw_interval *interval)
{
    double hours = (double)(interval->time_us / HOUR_US);
    double minutes = (double)(interval->time_us / MINUTE_US % 60);
    double seconds = (double)(interval->time_us / SECOND_US % 60) +
                     (double)(interval->time_us % SECOND_US) / 1e6;
    double days = (double)interval->months * 30.4375 + (double)interval->days;
    double us = (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1e6;

    return us >= 0x1p63 ? INT64_MAX : us <= -0x1p63 ? INT64_MIN : (int64_t)us;
}

static nw_status interval_convert(const struct nw_convert *convert, const struct nw_value *source,
                                  struct nw_connect_value *to)
{
    struct nw_interval interval;
    nw_status status = nw_interval_of(source, &interval);
    i128 us = (i128)interval.months * MONTH_US + (i128)interval.days * DAY_US + interval.time_us;

    if (status == NW_OK && convert->options->exact) {
        return give_integer(to, interval_double(&interval));
    }
    if (status == NW_OK && (us > INT64_MAX || us < INT64_MIN)) {
        status = NW_REJECT;
    }
    return status == NW_OK ? give_integer(to, (int64_t)us) : status;
}

static uint8_t *part_print(uint8_t *at, int64_t value, char unit)
{
    at = nw_print_i64(at, value);
    *at++ = (uint8_t)unit;
    return at;
}

/* P1Y2M-3DT4H5M6.789S */
static nw_status interval_iso_convert(const struct nw_convert *convert,
                                      const struct nw_value *source, struct nw_connect_value *to)
{
    struct nw_level *level = level_of(convert);
    struct nw_interval interval;
    nw_status status = nw_interval_of(source, &interval);
    int64_t us = interval.time_us;
    int64_t rest = us % (60 * SECOND_US);
    uint8_t *at;

    if (status != NW_OK || !nw_out_reserve(&level->out, (size_t)8 * NW_PRINT_INTEGER_MAX)) {
        return status == NW_OK ? NW_RETRY : status;
    }
    at = level->out.bytes;
    *at++ = 'P';
    at = part_print(at, interval.months / 12, 'Y');
    at = part_print(at, interval.months % 12, 'M');
    at = part_print(at, interval.days, 'D');
    *at++ = 'T';
    at = part_print(at, us / (3600 * SECOND_US), 'H');
    at = part_print(at, us / (60 * SECOND_US) % 60, 'M');
    if (rest < 0) {
        *at++ = '-';
        rest = -rest;
    }
    at = nw_print_u64(at, (uint64_t)(rest / SECOND_US));
    rest %= SECOND_US;
    if (rest > 0) {
        *at++ = '.';
    }
    for (; rest > 0; rest = rest * 10 % SECOND_US) {
        *at++ = (uint8_t)('0' + rest * 10 / SECOND_US);
    }
    *at++ = 'S';
    return give_text(to, level->out.bytes, (size_t)(at - level->out.bytes));
}

/* ---- bytes ---- */

static nw_status bytes_encode(struct nw_level *level, enum nw_connect_binaries binaries,
                              const uint8_t *bytes, size_t size, struct nw_connect_value *to)
{
    if (binaries == NW_BINARIES_BYTES) {
        to->kind = NW_CONNECT_BINARY;
        to->bytes = bytes;
        to->size = (uint32_t)size;
        return NW_OK;
    }
    level->out.used = 0;
    if (binaries == NW_BINARIES_HEX) {
        nw_out_hex(&level->out, bytes, size);
    } else {
        nw_out_base64(&level->out, bytes, size, binaries == NW_BINARIES_BASE64_URL_SAFE);
    }
    return give_printed(&level->out, NW_CONNECT_TEXT, to);
}

static nw_status binary_convert(const struct nw_convert *convert, const struct nw_value *source,
                                struct nw_connect_value *to)
{
    struct nw_level *level = level_of(convert);
    const uint8_t *bytes = source->bytes;
    size_t size = source->size;

    if (source->kind == NW_VALUE_PRESENT && is_integer(source->type)) {
        if (integer_text(level, source, to) != NW_OK) {
            return NW_RETRY;
        }
        bytes = to->bytes;
        size = to->size;
    }
    if (convert->form->bytea && !is_typed(source, NW_TYPE_BINARY) && size > 0) {
        struct nw_text text = text_of(source);

        level->second.used = 0;
        nw_text_expect(&text, '\\');
        nw_text_expect(&text, 'x');
        if (text.failed || !nw_out_unhex(&level->second, text.at, text.left)) {
            return level->second.failed ? NW_RETRY : NW_CORRUPT;
        }
        bytes = level->second.bytes;
        size = level->second.used;
    }
    return bytes_encode(level, convert->form->binaries, bytes, size, to);
}

static nw_status bit_convert(const struct nw_convert *convert, const struct nw_value *source,
                             struct nw_connect_value *to)
{
    (void)convert;
    to->kind = NW_CONNECT_TRUTH;
    to->as.boolean = source->size == 1 && source->bytes[0] == '1';
    return source->size <= 1 ? NW_OK : NW_CORRUPT;
}

/* The last bit is the lowest of the first byte; bytes of zeros at the end are left out. */
static nw_status bits_convert(const struct nw_convert *convert, const struct nw_value *source,
                              struct nw_connect_value *to)
{
    struct nw_level *level = level_of(convert);
    size_t size = ((size_t)source->size + 7) / 8;

    if (!nw_out_reserve(&level->out, size + 1)) {
        return NW_RETRY;
    }
    memset(level->out.bytes, 0, size + 1);
    for (size_t i = 0; i < source->size; i++) {
        size_t bit = source->size - 1 - i;

        if (source->bytes[i] != '0' && source->bytes[i] != '1') {
            return NW_CORRUPT;
        }
        level->out.bytes[bit / 8] |= (uint8_t)((source->bytes[i] - '0') << bit % 8);
    }
    while (size > 0 && level->out.bytes[size - 1] == 0) {
        size--;
    }
    to->kind = NW_CONNECT_BINARY;
    to->bytes = level->out.bytes;
    to->size = (uint32_t)size;
    return NW_OK;
}

/* ---- arrays and maps ---- */

static nw_status items_give(const struct nw_convert *convert, enum nw_source source_kind,
                            const uint8_t *bytes, size_t size, struct nw_connect_value *to)
{
    struct nw_level *level = level_of(convert);

    level->items = (struct nw_connect_items){.source = source_kind,
                                             .scratch = convert->scratch,
                                             .level = convert->level + 1,
                                             .options = convert->options,
                                             .element = convert->element,
                                             .delimiter = convert->delimiter,
                                             .bytes = bytes,
                                             .size = size};
    to->kind = NW_CONNECT_ITEMS;
    to->items = &level->items;
    return NW_OK;
}

/* [1,2.5,3] */
static nw_status vector_convert(const struct nw_convert *convert, const struct nw_value *source,
                                struct nw_connect_value *to)
{
    if (source->size < 2 || source->bytes[0] != '[' || source->bytes[source->size - 1] != ']') {
        return NW_CORRUPT;
    }
    return items_give(convert, NW_SOURCE_VECTOR, source->bytes + 1, source->size - 2u, to);
}

/* {1:2.5,3:1}/5 */
static nw_status sparse_convert(const struct nw_convert *convert, const struct nw_value *source,
                                struct nw_connect_value *to)
{
    struct nw_level *level = level_of(convert);
    struct nw_text text = text_of(source);
    const uint8_t *start;

    nw_text_expect(&text, '{');
    start = text.at;
    while (text.left > 0 && *text.at != '}') {
        text.at++;
        text.left--;
    }
    (void)items_give(convert, NW_SOURCE_SPARSE, start, (size_t)(text.at - start),
                     &level->pieces[1]);
    nw_text_expect(&text, '}');
    nw_text_expect(&text, '/');
    (void)give_integer(&level->pieces[0], nw_text_i64(&text));
    to->kind = NW_CONNECT_PIECES;
    to->pieces = level->pieces;
    if (nw_text_done(&text) && level->pieces[0].as.integer > INT16_MAX) {
        return NW_REJECT;
    }
    return read_status(&text);
}

static nw_status array_convert(const struct nw_convert *convert, const struct nw_value *source,
                               struct nw_connect_value *to)
{
    return items_give(convert, NW_SOURCE_ARRAY, source->bytes, source->size, to);
}

static nw_status hstore_convert(const struct nw_convert *convert, const struct nw_value *source,
                                struct nw_connect_value *to)
{
    return items_give(convert, NW_SOURCE_HSTORE, source->bytes, source->size, to);
}

/* ---- all of them ---- */

nw_status nw_convert_present(const struct nw_convert *convert, const struct nw_value *source,
                             struct nw_connect_value *to)
{
    static nw_status (*const conversions[])(const struct nw_convert *, const struct nw_value *,
                                            struct nw_connect_value *) = {
        [NW_HOW_BOOLEAN] = boolean_convert,
        [NW_HOW_INTEGER] = integer_convert,
        [NW_HOW_REAL] = real_convert,
        [NW_HOW_TEXT] = text_convert,
        [NW_HOW_UUID] = uuid_convert,
        [NW_HOW_DECIMAL] = nw_number_convert,
        [NW_HOW_VARIABLE] = nw_number_convert,
        [NW_HOW_DECIMAL_REAL] = nw_number_convert,
        [NW_HOW_DECIMAL_TEXT] = nw_number_convert,
        [NW_HOW_MONEY] = nw_number_convert,
        [NW_HOW_DATE] = date_convert,
        [NW_HOW_DATE_ISO] = date_iso_convert,
        [NW_HOW_TIME] = time_convert,
        [NW_HOW_TIME_ISO] = time_iso_convert,
        [NW_HOW_STAMP] = stamp_convert,
        [NW_HOW_STAMP_ISO] = stamp_iso_convert,
        [NW_HOW_STAMP_ZONED] = stamp_zoned_convert,
        [NW_HOW_TIME_ZONED] = time_zoned_convert,
        [NW_HOW_INTERVAL] = interval_convert,
        [NW_HOW_INTERVAL_ISO] = interval_iso_convert,
        [NW_HOW_BINARY] = binary_convert,
        [NW_HOW_BIT] = bit_convert,
        [NW_HOW_BITS] = bits_convert,
        [NW_HOW_HSTORE_JSON] = nw_hstore_json,
        [NW_HOW_HSTORE_MAP] = hstore_convert,
        [NW_HOW_POINT] = nw_point_convert,
        [NW_HOW_LSEG] = nw_path_convert,
        [NW_HOW_BOX] = nw_box_convert,
        [NW_HOW_PATH] = nw_path_convert,
        [NW_HOW_POLYGON] = nw_polygon_convert,
        [NW_HOW_CIRCLE] = nw_circle_convert,
        [NW_HOW_LINE] = nw_line_convert,
        [NW_HOW_EWKB] = nw_ewkb_convert,
        [NW_HOW_VECTOR] = vector_convert,
        [NW_HOW_SPARSE_VECTOR] = sparse_convert,
        [NW_HOW_DATE_PARTS] = nw_date_parts,
        [NW_HOW_TIME_PARTS] = nw_time_parts,
        [NW_HOW_TIME_ZONED_PARTS] = nw_time_zoned_parts,
        [NW_HOW_STAMP_PARTS] = nw_stamp_parts,
        [NW_HOW_STAMP_ZONED_PARTS] = nw_stamp_zoned_parts,
        [NW_HOW_INTERVAL_PARTS] = nw_interval_parts,
        [NW_HOW_ARRAY] = array_convert,
    };

    return conversions[convert->form->how](convert, source, to);
}
