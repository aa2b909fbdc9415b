/* SPDX-License-Identifier: Apache-2.0 */
/* See connect_json.h; the forms are those of Kafka 4's org.apache.kafka.connect.json. */
#include "lib/format/connect_json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/json.h"
#include "lib/print.h"

#define JAVA_PLAIN_MIN  (-2)  /* digits before the point: from 0.001 */
#define JAVA_PLAIN_MAX  7     /* to below 10000000 */
#define SUBNORMAL_POINT (-36) /* float4 below 1e-37; of float8 all that matters is */

/* ---- numbers ---- */

struct decimal {
    uint8_t digits[NW_PRINT_FLOAT_MAX];
    int count;
    int point; /* digits before the point, may be negative or more than there are */
};

/* e+20 */
static int exponent_of(const uint8_t *at, const uint8_t *end)
{
    bool negative = false;
    int exponent = 0;

    if (at == end) {
        return 0;
    }
    negative = at[1] == '-';
    for (at += 2; at < end; at++) {
        exponent = exponent * 10 + (*at - '0');
    }
    return negative ? -exponent : exponent;
}

/* What nw_print_float64() printed, taken apart. */
static void take_apart(const uint8_t *at, const uint8_t *end, struct decimal *d)
{
    bool point = false;

    d->count = d->point = 0;
    for (; at < end && *at != 'e'; at++) {
        if (*at == '.') {
            point = true;
        } else if (d->count > 0 || *at != '0') {
            d->digits[d->count++] = *at;
            d->point += point ? 0 : 1;
        } else {
            d->point -= point ? 1 : 0;
        }
    }
    while (d->count > 1 && d->digits[d->count - 1] == '0') {
        d->count--;
    }
    d->point += exponent_of(at, end);
}

static uint8_t *zeros(uint8_t *at, int count)
{
    for (; count > 0; count--) {
        *at++ = '0';
    }
    return at;
}

static uint8_t *digits_copy(uint8_t *at, const struct decimal *d, int from, int until)
{
    for (int i = from; i < until; i++) {
        *at++ = d->digits[i];
    }
    return at;
}

static uint8_t *plain_print(uint8_t *at, const struct decimal *d)
{
    int whole = d->point < d->count ? d->point : d->count;

    if (d->point <= 0) {
        *at++ = '0';
        *at++ = '.';
        at = zeros(at, -d->point);
        return digits_copy(at, d, 0, d->count);
    }
    at = digits_copy(at, d, 0, whole);
    at = zeros(at, d->point - whole);
    *at++ = '.';
    if (whole == d->count) {
        *at++ = '0';
    }
    return digits_copy(at, d, whole, d->count);
}

/*
 * Where one digit is enough Java takes the nearest of two that reads back the same: 1.4E-45 and not
 * 1.0E-45, 4.9E-324. There is another one only among the smallest subnormals.
 */
static void java_digits(double value, bool narrow, struct decimal *d)
{
    uint8_t text[NW_PRINT_FLOAT_MAX + 1];
    char two[NW_PRINT_FLOAT_MAX + 1];
    uint8_t *end = narrow ? nw_print_float32(text, (float)value) : nw_print_float64(text, value);

    take_apart(text, end, d);
    if (d->count > 1 || d->point >= SUBNORMAL_POINT) {
        return;
    }
    value = narrow ? (double)(float)value : value;
    (void)snprintf(two, sizeof two, "%.1e", value);
    if ((narrow ? (double)strtof(two, NULL) : strtod(two, NULL)) == value) {
        take_apart((const uint8_t *)two, (const uint8_t *)two + strlen(two), d);
    }
}

/* Between 0.001 and 10000000 PostgreSQL's text and Java's have the same digits, and a point behind
 * a whole number is all that lacks. @return NULL: it is not so */
static uint8_t *same_print(uint8_t *at, double value, bool narrow)
{
    uint8_t *end;

    if (!(value >= 1e-3 && value < 1e7)) {
        return NULL;
    }
    end = narrow ? nw_print_float32(at, (float)value) : nw_print_float64(at, value);
    for (const uint8_t *c = at; c < end; c++) {
        if (*c == '.') {
            return memchr(c, 'e', (size_t)(end - c)) == NULL ? end : NULL;
        }
        if (*c == 'e') {
            return NULL;
        }
    }
    memcpy(end, ".0", 2);
    return end + 2;
}

uint8_t *nw_print_java_real(uint8_t *at, double value, bool narrow)
{
    struct decimal d;
    uint8_t *end;

    if (!isfinite(value)) {
        const char *name = isnan(value) ? "\"NaN\"" : value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
        size_t size = strlen(name);

        memcpy(at, name, size);
        return at + size;
    }
    if (signbit(value)) {
        *at++ = '-';
        value = -value;
    }
    if (value == 0) {
        memcpy(at, "0.0", 3);
        return at + 3;
    }
    end = same_print(at, value, narrow);
    if (end != NULL) {
        return end;
    }
    java_digits(value, narrow, &d);
    if (d.point >= JAVA_PLAIN_MIN && d.point <= JAVA_PLAIN_MAX) {
        return plain_print(at, &d);
    }
    *at++ = d.digits[0];
    *at++ = '.';
    if (d.count == 1) {
        *at++ = '0';
    }
    at = digits_copy(at, &d, 1, d.count);
    *at++ = 'E';
    return nw_print_i64(at, d.point - 1);
}

/* ---- values ---- */

static nw_status pieces_print(struct nw_out *out, const struct nw_connect_schema *schema,
                              const struct nw_connect_value *value, bool null_as_default,
                              struct nw_error *err)
{
    nw_status status = NW_OK;

    nw_out_text(out, "{");
    for (uint32_t i = 0; i < schema->fields_count && status == NW_OK; i++) {
        nw_out_text(out, i == 0 ? "" : ",");
        nw_json_name(out, schema->fields[i].name);
        nw_out_text(out, ":");
        status = nw_connect_json_value(out, schema->fields[i].schema, &value->pieces[i],
                                       null_as_default, err);
    }
    nw_out_text(out, "}");
    return status;
}

/* {"a":"1"}, or [[1,2.5]] where keys are no strings. */
static nw_status entry_print(struct nw_out *out, const struct nw_connect_schema *schema,
                             const struct nw_connect_value *key,
                             const struct nw_connect_value *value, struct nw_error *err)
{
    bool object = schema->key->kind == NW_CONNECT_STRING;
    nw_status status = NW_OK;

    nw_out_text(out, object ? "" : "[");
    status = nw_connect_json_value(out, schema->key, key, false, err);
    nw_out_text(out, object ? ":" : ",");
    if (status == NW_OK) {
        status = nw_connect_json_value(out, schema->element, value, false, err);
    }
    nw_out_text(out, object ? "" : "]");
    return status;
}

static nw_status items_print(struct nw_out *out, const struct nw_connect_schema *schema,
                             const struct nw_connect_value *value, struct nw_error *err)
{
    bool map = schema->kind == NW_CONNECT_MAP;
    bool object = map && schema->key->kind == NW_CONNECT_STRING;
    struct nw_connect_value key;
    struct nw_connect_value item;
    nw_status status = NW_OK;

    nw_out_text(out, object ? "{" : "[");
    for (bool first = true; nw_connect_next(value->items, &key, &item, &status, err);
         first = false) {
        nw_out_text(out, first ? "" : ",");
        status = map ? entry_print(out, schema, &key, &item, err)
                     : nw_connect_json_value(out, schema->element, &item, false, err);
        if (status != NW_OK) {
            break;
        }
    }
    nw_out_text(out, object ? "}" : "]");
    return status;
}

static void real_print(struct nw_out *out, double value, bool narrow)
{
    if (nw_out_reserve(out, NW_JAVA_REAL_MAX)) {
        out->used =
            (size_t)(nw_print_java_real(out->bytes + out->used, value, narrow) - out->bytes);
    }
}

nw_status nw_connect_json_value(struct nw_out *out, const struct nw_connect_schema *schema,
                                const struct nw_connect_value *value, bool null_as_default,
                                struct nw_error *err)
{
    nw_status status = NW_OK;

    if (value->kind == NW_CONNECT_NULL && null_as_default && schema->fallback != NULL) {
        value = schema->fallback;
    }
    switch (value->kind) {
    case NW_CONNECT_NULL:
        nw_out_text(out, "null");
        break;
    case NW_CONNECT_TRUTH:
        nw_out_text(out, value->as.boolean ? "true" : "false");
        break;
    case NW_CONNECT_INTEGER:
        nw_out_i64(out, value->as.integer);
        break;
    case NW_CONNECT_REAL:
        real_print(out, value->as.real, schema->kind == NW_CONNECT_FLOAT32);
        break;
    case NW_CONNECT_TEXT:
        (void)nw_json_string(out, value->bytes, value->size, 0);
        break;
    case NW_CONNECT_BINARY:
        nw_out_text(out, "\"");
        nw_out_base64(out, value->bytes, value->size, false);
        nw_out_text(out, "\"");
        break;
    case NW_CONNECT_NUMBER:
        nw_out_bytes(out, value->bytes, value->size);
        break;
    case NW_CONNECT_PIECES:
        status = pieces_print(out, schema, value, null_as_default, err);
        break;
    case NW_CONNECT_ITEMS:
        status = items_print(out, schema, value, err);
        break;
    }
    return status == NW_OK && out->failed ? nw_fail(err, NW_RETRY, "out of memory for a value")
                                          : status;
}

/* ---- schemas ---- */

static void out_member(struct nw_out *out, const char *key, const char *text)
{
    if (text != NULL) {
        nw_out_text(out, key);
        nw_json_name(out, text);
    }
}

static void out_fields(struct nw_out *out, const struct nw_connect_schema *schema)
{
    nw_out_text(out, ",\"fields\":[");
    for (uint32_t i = 0; i < schema->fields_count; i++) {
        nw_out_text(out, i == 0 ? "" : ",");
        nw_connect_json_schema(out, schema->fields[i].schema, schema->fields[i].name);
    }
    nw_out_text(out, "]");
}

static void out_parameters(struct nw_out *out, const struct nw_connect_schema *schema)
{
    nw_out_text(out, ",\"parameters\":{");
    for (uint32_t i = 0; i < schema->parameters_count; i++) {
        nw_out_text(out, i == 0 ? "" : ",");
        nw_json_name(out, schema->parameters[i].name);
        out_member(out, ":", schema->parameters[i].value);
    }
    nw_out_text(out, "}");
}

void nw_connect_json_schema(struct nw_out *out, const struct nw_connect_schema *schema,
                            const char *field)
{
    static const char *const kinds[] = {
        [NW_CONNECT_INT8] = "int8",       [NW_CONNECT_INT16] = "int16",
        [NW_CONNECT_INT32] = "int32",     [NW_CONNECT_INT64] = "int64",
        [NW_CONNECT_FLOAT32] = "float",   [NW_CONNECT_FLOAT64] = "double",
        [NW_CONNECT_BOOLEAN] = "boolean", [NW_CONNECT_STRING] = "string",
        [NW_CONNECT_BYTES] = "bytes",     [NW_CONNECT_ARRAY] = "array",
        [NW_CONNECT_MAP] = "map",         [NW_CONNECT_STRUCT] = "struct",
    };

    out_member(out, "{\"type\":", kinds[schema->kind]);
    if (schema->kind == NW_CONNECT_STRUCT) {
        out_fields(out, schema);
    } else if (schema->kind == NW_CONNECT_ARRAY) {
        nw_out_text(out, ",\"items\":");
        nw_connect_json_schema(out, schema->element, NULL);
    } else if (schema->kind == NW_CONNECT_MAP) {
        nw_out_text(out, ",\"keys\":");
        nw_connect_json_schema(out, schema->key, NULL);
        nw_out_text(out, ",\"values\":");
        nw_connect_json_schema(out, schema->element, NULL);
    }
    nw_out_text(out, schema->optional ? ",\"optional\":true" : ",\"optional\":false");
    out_member(out, ",\"name\":", schema->name);
    if (schema->version > 0) {
        nw_out_text(out, ",\"version\":");
        nw_out_u64(out, schema->version);
    }
    out_member(out, ",\"doc\":", schema->doc);
    if (schema->parameters_count > 0) {
        out_parameters(out, schema);
    }
    if (schema->fallback != NULL) {
        nw_out_text(out, ",\"default\":");
        out->failed |= nw_connect_json_value(out, schema, schema->fallback, false, NULL) != NW_OK;
    }
    out_member(out, ",\"field\":", field);
    nw_out_text(out, "}");
}

/* ---- as Jackson has it ---- */

static bool is_long(const uint8_t *at)
{
    return at[0] >= 0xf0;
}

/* \u001f in capitals. @return how many characters need two escapes */
static size_t escapes_raise(uint8_t *at, size_t size)
{
    size_t count = 0;

    for (size_t i = 0; i < size; i++) {
        count += is_long(&at[i]);
        if (at[i] != '\\' || i + 1 >= size) {
            continue;
        }
        i++;
        for (size_t j = i + 1; at[i] == 'u' && j < i + 5 && j < size; j++) {
            at[j] = at[j] >= 'a' && at[j] <= 'f' ? (uint8_t)(at[j] - 'a' + 'A') : at[j];
        }
    }
    return count;
}

static void unit_print(uint8_t *to, uint32_t unit)
{
    static const char digits[] = "0123456789ABCDEF";

    to[0] = '\\';
    to[1] = 'u';
    for (unsigned i = 0; i < 4; i++) {
        to[2 + i] = (uint8_t)digits[unit >> (12 - 4 * i) & 15];
    }
}

void nw_connect_json_jackson(struct nw_out *out, size_t start)
{
    size_t count = out->failed || out->used == start
                       ? 0
                       : escapes_raise(out->bytes + start, out->used - start);
    size_t from = out->used;
    size_t to = out->used + 8 * count;

    if (count == 0 || !nw_out_reserve(out, 8 * count)) {
        return;
    }
    out->used = to;
    while (to > from) { /* from the end; what is before the first of them stays */
        if (from - start >= 4 && is_long(out->bytes + from - 4)) {
            const uint8_t *four = out->bytes + from - 4;
            uint32_t c = ((four[0] & 7u) << 18 | (four[1] & 63u) << 12 | (four[2] & 63u) << 6 |
                          (four[3] & 63u)) -
                         0x10000;

            from -= 4;
            to -= 12;
            unit_print(out->bytes + to, 0xd800 + (c >> 10));
            unit_print(out->bytes + to + 6, 0xdc00 + (c & 0x3ff));
        } else {
            out->bytes[--to] = out->bytes[--from];
        }
    }
}
