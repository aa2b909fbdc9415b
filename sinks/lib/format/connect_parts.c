/* SPDX-License-Identifier: Apache-2.0 */
/* See connect_parts.h. The fields are always there; what a value does not have is NULL. */
#include "lib/format/connect_parts.h"

#include <assert.h>
#include <string.h>

#define SECOND_US INT64_C(1000000)
#define MINUTE_US (INT64_C(60) * SECOND_US)
#define HOUR_US   (INT64_C(60) * MINUTE_US)
#define DAY_US    (INT64_C(24) * HOUR_US)

#define FRACTION_MAX  6
#define FRACTION_MASK 0xffff /* interval's typmod has fields above it, INTERVAL_PRECISION() */
#define COUNT(array)  (uint32_t)(sizeof(array) / sizeof((array)[0]))
#define NAME(name)    "io.debezium.time.Structured" name

/* ---- schemas ---- */

static const struct nw_connect_schema int8 = {.kind = NW_CONNECT_INT8, .optional = true};
static const struct nw_connect_schema int32 = {.kind = NW_CONNECT_INT32, .optional = true};
static const struct nw_connect_schema int64 = {.kind = NW_CONNECT_INT64, .optional = true};
static const struct nw_connect_schema string = {.kind = NW_CONNECT_STRING, .optional = true};

static const struct nw_connect_field date_fields[] = {
    {"year", &int32}, {"month", &int8}, {"day", &int8}, {"specialValue", &string}};
static const struct nw_connect_field time_fields[] = {{"hour", &int8},
                                                      {"minute", &int8},
                                                      {"second", &int8},
                                                      {"nanos", &int32},
                                                      {"precision", &int32}};
static const struct nw_connect_field time_zoned_fields[] = {
    {"hour", &int8},   {"minute", &int8},         {"second", &int8},
    {"nanos", &int32}, {"offsetSeconds", &int32}, {"precision", &int32}};
static const struct nw_connect_field stamp_fields[] = {
    {"year", &int32},  {"month", &int8},          {"day", &int8},
    {"hour", &int8},   {"minute", &int8},         {"second", &int8},
    {"nanos", &int32}, {"specialValue", &string}, {"precision", &int32}};
static const struct nw_connect_field stamp_zoned_fields[] = {
    {"year", &int32},    {"month", &int8},          {"day", &int8},       {"hour", &int8},
    {"minute", &int8},   {"second", &int8},         {"nanos", &int32},    {"offsetSeconds", &int32},
    {"zoneId", &string}, {"specialValue", &string}, {"precision", &int32}};
static const struct nw_connect_field interval_fields[] = {
    {"years", &int32},   {"months", &int32},  {"days", &int32},  {"hours", &int32},
    {"minutes", &int32}, {"seconds", &int64}, {"nanos", &int32}, {"precision", &int32}};

static_assert(COUNT(stamp_zoned_fields) == NW_PIECES_MAX, "the largest of them");

/* Where fields are that are not at the same place in all. */
#define DATE_SPECIAL        3
#define TIME_OFFSET         4
#define STAMP_SPECIAL       7
#define STAMP_ZONED_OFFSET  7
#define STAMP_ZONED_ZONE    8
#define STAMP_ZONED_SPECIAL 9

static const struct {
    const char *name;
    const struct nw_connect_field *fields;
    uint32_t count;
} structs[] = {
    [NW_HOW_DATE_PARTS] = {NAME("Date"), date_fields, COUNT(date_fields)},
    [NW_HOW_TIME_PARTS] = {NAME("Time"), time_fields, COUNT(time_fields)},
    [NW_HOW_TIME_ZONED_PARTS] = {NAME("ZonedTime"), time_zoned_fields, COUNT(time_zoned_fields)},
    [NW_HOW_STAMP_PARTS] = {NAME("Timestamp"), stamp_fields, COUNT(stamp_fields)},
    [NW_HOW_STAMP_ZONED_PARTS] = {NAME("ZonedTimestamp"), stamp_zoned_fields,
                                  COUNT(stamp_zoned_fields)},
    [NW_HOW_INTERVAL_PARTS] = {NAME("Duration"), interval_fields, COUNT(interval_fields)},
};

/* Of `interval day to second` it is INTERVAL_FULL_PRECISION, as in Debezium. */
static uint16_t precision_of(const struct nw_column_schema *column)
{
    return (uint16_t)(column->typmod < 0 ? FRACTION_MAX : column->typmod & FRACTION_MASK);
}

struct nw_form nw_parts_form(struct nw_pool *pool, enum nw_how how,
                             const struct nw_column_schema *column, bool optional)
{
    struct nw_connect_schema *schema = nw_pool_get(pool, sizeof *schema);

    if (schema != NULL) {
        *schema = (struct nw_connect_schema){.kind = NW_CONNECT_STRUCT,
                                             .optional = optional,
                                             .version = 1,
                                             .name = structs[how].name,
                                             .fields_count = structs[how].count,
                                             .fields = structs[how].fields};
    }
    return (struct nw_form){.how = how, .schema = schema, .scale = precision_of(column)};
}

/* ---- values ---- */

static struct nw_connect_value integer_of(int64_t integer)
{
    return (struct nw_connect_value){.kind = NW_CONNECT_INTEGER, .as.integer = integer};
}

static struct nw_connect_value text_of(const char *text)
{
    return (struct nw_connect_value){
        .kind = NW_CONNECT_TEXT, .bytes = (const uint8_t *)text, .size = (uint32_t)strlen(text)};
}

static struct nw_connect_value infinity_of(int infinity)
{
    return text_of(infinity > 0 ? "POSITIVE_INFINITY" : "NEGATIVE_INFINITY");
}

/* All of them NULL, but for the precision, which is the last one where there is one. */
static struct nw_connect_value *parts_give(const struct nw_convert *convert,
                                           struct nw_connect_value *to)
{
    struct nw_connect_value *parts = convert->scratch->levels[convert->level].pieces;
    const uint32_t count = convert->form->schema->fields_count;

    for (uint32_t i = 0; i < count; i++) {
        parts[i] = (struct nw_connect_value){.kind = NW_CONNECT_NULL};
    }
    if (convert->form->how != NW_HOW_DATE_PARTS) {
        parts[count - 1] = integer_of(convert->form->scale);
    }
    to->kind = NW_CONNECT_PIECES;
    to->pieces = parts;
    return parts;
}

/* @return behind them, here and below */
static struct nw_connect_value *day_put(struct nw_connect_value *parts, int64_t days)
{
    const struct nw_day date = nw_day_of(days);

    parts[0] = integer_of(date.year);
    parts[1] = integer_of(date.month);
    parts[2] = integer_of(date.day);
    return parts + 3;
}

/* 24:00:00 is hour 24. */
static struct nw_connect_value *time_put(struct nw_connect_value *parts, int64_t us)
{
    parts[0] = integer_of(us / HOUR_US);
    parts[1] = integer_of(us / MINUTE_US % 60);
    parts[2] = integer_of(us / SECOND_US % 60);
    parts[3] = integer_of(us % SECOND_US * 1000);
    return parts + 4;
}

nw_status nw_date_parts(const struct nw_convert *convert, const struct nw_value *source,
                        struct nw_connect_value *to)
{
    struct nw_moment moment;
    nw_status status = nw_moment_of(source, NW_TYPE_DATE, &moment);
    struct nw_connect_value *parts = parts_give(convert, to);

    if (moment.infinity != 0) {
        parts[DATE_SPECIAL] = infinity_of(moment.infinity);
    } else {
        (void)day_put(parts, moment.days);
    }
    return status;
}

nw_status nw_time_parts(const struct nw_convert *convert, const struct nw_value *source,
                        struct nw_connect_value *to)
{
    int64_t us = 0;
    nw_status status = nw_time_of(source, &us);

    if (status == NW_OK) {
        (void)time_put(parts_give(convert, to), us);
    }
    return status;
}

/* As it was said: not at UTC. */
nw_status nw_time_zoned_parts(const struct nw_convert *convert, const struct nw_value *source,
                              struct nw_connect_value *to)
{
    struct nw_text text = nw_text_of(source->bytes, source->size);
    int64_t us = nw_text_time(&text);
    int32_t zone = nw_text_zone(&text);
    struct nw_connect_value *parts = parts_give(convert, to);

    if (us > DAY_US || !nw_text_done(&text)) {
        return NW_CORRUPT;
    }
    (void)time_put(parts, us);
    parts[TIME_OFFSET] = integer_of(zone);
    return NW_OK;
}

nw_status nw_stamp_parts(const struct nw_convert *convert, const struct nw_value *source,
                         struct nw_connect_value *to)
{
    struct nw_moment moment;
    nw_status status = nw_moment_of(source, NW_TYPE_TIMESTAMP, &moment);
    struct nw_connect_value *parts = parts_give(convert, to);

    if (moment.infinity != 0) {
        parts[STAMP_SPECIAL] = infinity_of(moment.infinity);
    } else {
        (void)time_put(day_put(parts, moment.days), moment.time_us);
    }
    return status;
}

static bool says_offset(const struct nw_value *source)
{
    return source->type == NW_TYPE_TIMESTAMPTZ || memchr(source->bytes, '+', source->size) != NULL;
}

nw_status nw_stamp_zoned_parts(const struct nw_convert *convert, const struct nw_value *source,
                               struct nw_connect_value *to)
{
    struct nw_moment moment;
    nw_status status = nw_moment_of(source, NW_TYPE_TIMESTAMPTZ, &moment);
    struct nw_connect_value *parts = parts_give(convert, to);

    if (moment.infinity != 0) {
        parts[STAMP_ZONED_SPECIAL] = infinity_of(moment.infinity);
        return status;
    }
    (void)time_put(day_put(parts, moment.days), moment.time_us);
    parts[STAMP_ZONED_OFFSET] = integer_of(0);
    if (says_offset(source)) {
        parts[STAMP_ZONED_ZONE] = text_of("Z");
    }
    return status;
}

nw_status nw_interval_parts(const struct nw_convert *convert, const struct nw_value *source,
                            struct nw_connect_value *to)
{
    struct nw_interval interval;
    nw_status status = nw_interval_of(source, &interval);
    const int64_t us = interval.time_us;
    struct nw_connect_value *parts = parts_give(convert, to);
    const int64_t said[] = {interval.months / 12, interval.months % 12, interval.days,
                            us / HOUR_US,         us / MINUTE_US % 60,  us / SECOND_US % 60,
                            us % SECOND_US * 1000};

    for (uint32_t i = 0; i < COUNT(said); i++) {
        parts[i] = integer_of(said[i]);
        if (status == NW_OK && (said[i] > INT32_MAX || said[i] < INT32_MIN)) {
            status = NW_REJECT;
        }
    }
    return status;
}
