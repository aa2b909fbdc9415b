/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values against constants, in the order that PostgreSQL's own operators have: NaN above all
 * numbers, infinity beyond all dates, blanks at the end of char(n) of no account. Only text differs
 * by purpose: it is compared byte by byte, as in COLLATE "C". No state.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "decode/datetime.h"
#include "pg/types.h"
#include "transform/private.h"

/* What lies beyond all finite times that have an exact form; the first is no infinity. */
#define BEYOND         (INT64_MAX - 1)
#define INFINITE       INT64_MAX
#define MINUS_INFINITE INT64_MIN
#define LAST_YEAR      294246 /* of which every moment has an exact form */
#define MOMENT_SIZE    64

enum nw_compare_kind nw_compare_kind_of(const struct nw_column_schema *column)
{
    static const struct {
        uint32_t oid;
        enum nw_compare_kind kind;
    } kinds[] = {
        {NW_OID_BOOL, NW_COMPARE_BOOL},
        {NW_OID_INT2, NW_COMPARE_INTEGER},
        {NW_OID_INT4, NW_COMPARE_INTEGER},
        {NW_OID_INT8, NW_COMPARE_INTEGER},
        {NW_OID_OID, NW_COMPARE_INTEGER},
        {NW_OID_FLOAT4, NW_COMPARE_REAL},
        {NW_OID_FLOAT8, NW_COMPARE_REAL},
        {NW_OID_NUMERIC, NW_COMPARE_NUMERIC},
        {NW_OID_TEXT, NW_COMPARE_TEXT},
        {NW_OID_VARCHAR, NW_COMPARE_TEXT},
        {NW_OID_NAME, NW_COMPARE_TEXT},
        {NW_OID_BPCHAR, NW_COMPARE_BLANK_PADDED},
        {NW_OID_UUID, NW_COMPARE_UUID},
        {NW_OID_DATE, NW_COMPARE_DATE},
        {NW_OID_TIME, NW_COMPARE_TIME},
        {NW_OID_TIMESTAMP, NW_COMPARE_TIMESTAMP},
        {NW_OID_TIMESTAMPTZ, NW_COMPARE_TIMESTAMPTZ},
    };

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (kinds[i].oid == column->base_type_oid) {
            return kinds[i].kind;
        }
    }
    return column->enum_labels != NULL ? NW_COMPARE_LABEL : NW_COMPARE_NONE;
}

static uint32_t blanks_cut(const void *text, uint32_t size)
{
    while (size > 0 && ((const char *)text)[size - 1] == ' ') {
        size--;
    }
    return size;
}

/* ---- reading constants ---- */

/* [+-]digits[.digits] */
static bool is_decimal(const char *text)
{
    const char *at = text + (*text == '-' || *text == '+' ? 1 : 0);
    size_t whole = strspn(at, "0123456789");
    size_t fraction = 0;

    at += whole;
    if (*at == '.') {
        fraction = strspn(++at, "0123456789");
        at += fraction;
    }
    return *at == '\0' && whole + fraction > 0;
}

static bool is_special(const char *text)
{
    return strcmp(text, "NaN") == 0 || strcmp(text, "Infinity") == 0 ||
           strcmp(text, "-Infinity") == 0;
}

static bool read_integer(const char *text, int64_t *integer)
{
    char *end = NULL;

    *integer = 0;
    if (!is_decimal(text) || strchr(text, '.') != NULL) {
        return false;
    }
    *integer = strtoll(text, &end, 10);
    return *end == '\0' && *integer != INT64_MAX && *integer != INT64_MIN;
}

static bool read_real(const char *text, double *real)
{
    char *end = NULL;

    if (!is_special(text) && text[strspn(text, "+-.0123456789eE")] != '\0') {
        return false;
    }
    *real = strtod(text, &end);
    return end != text && *end == '\0';
}

static bool read_uuid(const char *text, uint8_t uuid[static 16])
{
    static const char hex[] = "0123456789abcdef0123456789ABCDEF";
    size_t digits = 0;

    for (; *text != '\0'; text++) {
        const char *found = strchr(hex, *text);
        int value = found == NULL ? -1 : (int)(found - hex) % 16;

        if (*text == '-') {
            continue;
        }
        if (value < 0 || digits == 32) {
            return false;
        }
        uuid[digits / 2] = (uint8_t)(uuid[digits / 2] << 4 | value);
        digits++;
    }
    return digits == 32;
}

static bool read_infinity(const char *text, int64_t *moment)
{
    *moment = text[0] == '-' ? MINUS_INFINITE : INFINITE;
    return strcmp(text, "infinity") == 0 || strcmp(text, "-infinity") == 0;
}

/* As PostgreSQL prints it; a date alone is its beginning, and without an offset it is UTC. */
static bool read_timestamp(const char *written, bool zone, int64_t *us)
{
    char text[MOMENT_SIZE];
    size_t size = strlen(written);

    if (read_infinity(written, us)) {
        return true;
    }
    if (size < 10 || size > MOMENT_SIZE - 16) {
        return false;
    }
    memcpy(text, written, size + 1);
    if (strpbrk(text, " T") == NULL) {
        memcpy(text + size, " 00:00:00", 10);
        size += 9;
    }
    *strpbrk(text, " T") = ' ';
    if (zone && text[size - 1] == 'Z') {
        text[--size] = '\0';
    }
    if (zone && strpbrk(strchr(text, ' '), "+-") == NULL) {
        memcpy(text + size, "+00", 4);
        size += 3;
    }
    return nw_timestamp_parse((const uint8_t *)text, size, zone, us) == NW_DECODED;
}

static bool read_date(const char *text, int64_t *date)
{
    int32_t days = 0;
    bool read = nw_date_parse((const uint8_t *)text, strlen(text), &days) == NW_DECODED;

    *date = days;
    return read || read_infinity(text, date);
}

static bool read_time(const char *text, int64_t *us)
{
    if (strcmp(text, "24:00:00") == 0) {
        *us = NW_US_PER_DAY;
        return true;
    }
    return nw_time_parse((const uint8_t *)text, strlen(text), us) == NW_DECODED;
}

static const char *read_moment(enum nw_compare_kind kind, const char *text, int64_t *moment)
{
    if (kind == NW_COMPARE_DATE) {
        return read_date(text, moment) ? NULL : "a date, as '2024-12-31'";
    }
    if (kind == NW_COMPARE_TIME) {
        return read_time(text, moment) ? NULL : "a time, as '23:59:59.5'";
    }
    if (kind == NW_COMPARE_TIMESTAMP) {
        return read_timestamp(text, false, moment) ? NULL : "a timestamp, as '2024-12-31 23:59:59'";
    }
    return read_timestamp(text, true, moment)
               ? NULL
               : "a timestamp with its offset, as '2024-12-31 23:59:59+00'";
}

static const char *read_bool(const char *text, int64_t *flag)
{
    *flag = strcmp(text, "true") == 0;
    return *flag == 1 || strcmp(text, "false") == 0 ? NULL : "true or false";
}

const char *nw_compare_read(enum nw_compare_kind kind, const struct nw_where_constant *written,
                            struct nw_compare_constant *constant)
{
    const char *text = written->text;

    constant->text = text;
    constant->size = (uint32_t)strlen(text);
    switch (kind) {
    case NW_COMPARE_NONE:
        break;
    case NW_COMPARE_BOOL:
        return read_bool(text, &constant->integer);
    case NW_COMPARE_INTEGER:
        return read_integer(text, &constant->integer) ? NULL : "a whole number";
    case NW_COMPARE_REAL:
        return read_real(text, &constant->real) ? NULL : "a number";
    case NW_COMPARE_NUMERIC:
        return is_decimal(text) || is_special(text) ? NULL : "a number, without an exponent";
    case NW_COMPARE_BLANK_PADDED:
        constant->size = blanks_cut(text, constant->size);
        return written->quoted ? NULL : "a text in 'quotes'";
    case NW_COMPARE_TEXT:
    case NW_COMPARE_LABEL:
        return written->quoted ? NULL : "a text in 'quotes'";
    case NW_COMPARE_UUID:
        return read_uuid(text, constant->uuid) ? NULL : "a UUID in 'quotes'";
    case NW_COMPARE_DATE:
    case NW_COMPARE_TIME:
    case NW_COMPARE_TIMESTAMP:
    case NW_COMPARE_TIMESTAMPTZ:
        return read_moment(kind, text, &constant->integer);
    }
    return "nothing: values of its type cannot be compared, only IS NULL can be asked";
}

/* ---- comparing ---- */

static int order_of(int64_t left, int64_t right)
{
    return left < right ? -1 : left > right ? 1 : 0;
}

static int order_of_reals(double left, double right)
{
    if (isnan(left) || isnan(right)) {
        return (isnan(left) != 0) - (isnan(right) != 0);
    }
    return left < right ? -1 : left > right ? 1 : 0;
}

static int order_of_bytes(const void *left, uint32_t left_size, const void *right,
                          uint32_t right_size)
{
    uint32_t common = left_size < right_size ? left_size : right_size;
    int order = common == 0 ? 0 : memcmp(left, right, common);

    return order != 0 ? (order < 0 ? -1 : 1) : order_of(left_size, right_size);
}

/* A numeric's text taken apart, without zeros that do not count. */
struct decimal {
    int rank; /* -1, 0, 1, 2: -Infinity, a number, Infinity, NaN */
    bool negative;
    const char *whole, *fraction;
    uint32_t whole_size, fraction_size;
};

/* Past the digits from `at` on, or only past zeros. */
static uint32_t until_not(const char *text, uint32_t size, uint32_t at, bool zeros)
{
    while (at < size && text[at] >= '0' && text[at] <= (zeros ? '0' : '9')) {
        at++;
    }
    return at;
}

static struct decimal decimal_of(const char *text, uint32_t size)
{
    struct decimal d = {.negative = size > 0 && text[0] == '-'};
    uint32_t at = size > 0 && (text[0] == '-' || text[0] == '+') ? 1 : 0;
    uint32_t point = until_not(text, size, at, false);
    uint32_t start = until_not(text, point, at, true);

    if (point == at && at < size && text[at] != '.') {
        d.rank = text[at] == 'N' ? 2 : d.negative ? -1 : 1;
        return d;
    }
    d.whole = text + start;
    d.whole_size = point - start;
    point += point < size ? 1 : 0;
    d.fraction = text + point;
    d.fraction_size = size - point;
    while (d.fraction_size > 0 && d.fraction[d.fraction_size - 1] == '0') {
        d.fraction_size--;
    }
    d.negative = d.negative && d.whole_size + d.fraction_size > 0; /* -0.0 is 0 */
    return d;
}

static int order_of_decimals(const struct decimal *left, const struct decimal *right)
{
    int order = 0;

    if (left->rank != 0 || right->rank != 0) {
        return order_of(left->rank, right->rank);
    }
    if (left->negative != right->negative) {
        return left->negative ? -1 : 1;
    }
    order = order_of(left->whole_size, right->whole_size);
    if (order == 0) {
        order = order_of_bytes(left->whole, left->whole_size, right->whole, right->whole_size);
    }
    if (order == 0) {
        order = order_of_bytes(left->fraction, left->fraction_size, right->fraction,
                               right->fraction_size);
    }
    return left->negative ? -order : order;
}

/* A time without an exact form, by its text. */
static bool exception_place(enum nw_compare_kind kind, const struct nw_value *value, int64_t *place)
{
    char text[MOMENT_SIZE] = "";
    char *end = NULL;

    if (value->size >= sizeof text) {
        return false;
    }
    memcpy(text, value->bytes, value->size);
    if (kind == NW_COMPARE_TIME) {
        *place = NW_US_PER_DAY;
        return strcmp(text, "24:00:00") == 0;
    }
    if (read_infinity(text, place)) {
        return true;
    }
    *place = BEYOND;
    return (kind == NW_COMPARE_TIMESTAMP || kind == NW_COMPARE_TIMESTAMPTZ) &&
           strtol(text, &end, 10) > LAST_YEAR && *end == '-';
}

bool nw_compare(enum nw_compare_kind kind, const struct nw_value *value,
                const struct nw_compare_constant *constant, int *order)
{
    struct decimal left;
    struct decimal right;
    int64_t place = value->as.integer;

    if (value->kind == NW_VALUE_EXCEPTION && !exception_place(kind, value, &place)) {
        return false;
    }
    switch (kind) {
    case NW_COMPARE_NONE:
        return false;
    case NW_COMPARE_BOOL:
        *order = order_of(value->as.boolean ? 1 : 0, constant->integer);
        break;
    case NW_COMPARE_REAL:
        *order = order_of_reals(value->as.real, constant->real);
        break;
    case NW_COMPARE_NUMERIC:
        left = decimal_of((const char *)value->bytes, value->size);
        right = decimal_of(constant->text, constant->size);
        *order = order_of_decimals(&left, &right);
        break;
    case NW_COMPARE_BLANK_PADDED:
        *order = order_of_bytes(value->bytes, blanks_cut(value->bytes, value->size), constant->text,
                                constant->size);
        break;
    case NW_COMPARE_TEXT:
    case NW_COMPARE_LABEL:
        *order = order_of_bytes(value->bytes, value->size, constant->text, constant->size);
        break;
    case NW_COMPARE_UUID:
        *order = order_of_bytes(value->bytes, 16, constant->uuid, 16);
        break;
    case NW_COMPARE_INTEGER:
    case NW_COMPARE_DATE:
    case NW_COMPARE_TIME:
    case NW_COMPARE_TIMESTAMP:
    case NW_COMPARE_TIMESTAMPTZ:
        *order = order_of(place, constant->integer);
        break;
    }
    return true;
}
