/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What steps do to one value: masked, cast, or a time in another form, as Java does it in Connect's
 * MaskField, Cast and TimestampConverter. See reshape.h.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/format/connect_json.h"
#include "lib/format/reshape_step.h"

#define CONNECT_DATA    "org.apache.kafka.connect.data."
#define DAY_MS          INT64_C(86400000)
#define DECIMAL_SIZE    512u /* bytes of an unscaled value that is cast; numeric(1000) has 416 */
#define NUMBER_TEXT_MAX 512u

/* ---- what a schema is ---- */

static bool is_logical(const struct nw_connect_schema *schema, const char *name)
{
    return schema->name != NULL &&
           strncmp(schema->name, CONNECT_DATA, sizeof CONNECT_DATA - 1) == 0 &&
           strcmp(schema->name + sizeof CONNECT_DATA - 1, name) == 0;
}

static bool is_decimal(const struct nw_connect_schema *schema)
{
    return schema->kind == NW_CONNECT_BYTES && is_logical(schema, "Decimal");
}

static bool is_number(const struct nw_connect_schema *schema)
{
    return schema->kind <= NW_CONNECT_FLOAT64;
}

static uint32_t scale_of(const struct nw_connect_schema *schema)
{
    for (uint32_t i = 0; i < schema->parameters_count; i++) {
        if (strcmp(schema->parameters[i].name, "scale") == 0) {
            return (uint32_t)strtoul(schema->parameters[i].value, NULL, 10);
        }
    }
    return 0;
}

enum nw_reshape_time nw_reshape_time_of(const struct nw_connect_schema *schema, bool *known)
{
    *known = true;
    if (is_logical(schema, "Timestamp")) {
        return NW_TIME_STAMP;
    }
    if (is_logical(schema, "Date")) {
        return NW_TIME_DATE;
    }
    if (is_logical(schema, "Time")) {
        return NW_TIME_TIME;
    }
    *known = schema->kind == NW_CONNECT_STRING || schema->kind == NW_CONNECT_INT64;
    return schema->kind == NW_CONNECT_STRING ? NW_TIME_STRING : NW_TIME_UNIX;
}

static const char *mask_reason(const struct nw_reshape_step *step,
                               const struct nw_connect_schema *schema)
{
    bool known = false;
    enum nw_reshape_time time = nw_reshape_time_of(schema, &known);
    bool moment = known && time != NW_TIME_STRING && time != NW_TIME_UNIX;
    bool text =
        schema->kind == NW_CONNECT_STRING || is_decimal(schema) || (is_number(schema) && !moment);

    if (schema->kind == NW_CONNECT_STRUCT ||
        (schema->kind == NW_CONNECT_BYTES && !is_decimal(schema))) {
        return "bytes and structs cannot be masked";
    }
    return step->text != NULL && !text ? "only numbers and strings can have another value" : NULL;
}

const char *nw_reshape_reason(const struct nw_reshape_step *step,
                              const struct nw_connect_schema *schema)
{
    bool known = false;
    enum nw_reshape_time from = nw_reshape_time_of(schema, &known);

    if (step->kind == NW_RESHAPE_MASK) {
        return mask_reason(step, schema);
    }
    if (step->kind == NW_RESHAPE_TIME && !known) {
        return "a time is a string, an int64, or Connect's Date, Time or Timestamp";
    }
    if (step->kind == NW_RESHAPE_TIME && from == NW_TIME_STRING &&
        (step->format == NULL || !nw_java_time_reads(step->format))) {
        return "its text cannot be read without a pattern that has a year of four digits";
    }
    if (step->kind == NW_RESHAPE_CAST &&
        (schema->kind == NW_CONNECT_ARRAY || schema->kind == NW_CONNECT_MAP ||
         schema->kind == NW_CONNECT_STRUCT)) {
        return "arrays, maps and structs cannot be cast";
    }
    return NULL;
}

/* ---- numbers as text ---- */

/* The digits of an unscaled value without sign, at least one. @param size  at most DECIMAL_SIZE */
static void unscaled_print(struct nw_out *out, const uint8_t *bytes, uint32_t size, bool *negative)
{
    uint8_t rest[DECIMAL_SIZE] = {0};
    uint32_t begin = 0;
    size_t at = out->used;
    unsigned carry = 1;

    *negative = size > 0 && (bytes[0] & 0x80) != 0;
    for (uint32_t i = size; i-- > 0;) {
        unsigned byte = *negative ? (bytes[i] ^ 0xffu) + carry : bytes[i];

        carry = byte >> 8;
        rest[i] = (uint8_t)byte;
    }
    do {
        unsigned remainder = 0;

        for (uint32_t i = begin; i < size; i++) {
            unsigned part = remainder << 8 | rest[i];

            rest[i] = (uint8_t)(part / 10);
            remainder = part % 10;
        }
        while (begin < size && rest[begin] == 0) {
            begin++;
        }
        nw_out_bytes(out, &"0123456789"[remainder], 1);
    } while (begin < size);
    for (size_t last = out->used; !out->failed && at + 1 < last; at++) {
        uint8_t digit = out->bytes[at]; /* they came from the last one on */

        out->bytes[at] = out->bytes[--last];
        out->bytes[last] = digit;
    }
}

/* Java's BigDecimal.toString(): with an exponent where there would be many zeros. */
static void big_print(struct nw_out *out, const struct nw_out *digits, bool negative,
                      uint32_t scale)
{
    int64_t exponent = (int64_t)digits->used - 1 - (int64_t)scale;
    size_t whole = digits->used > scale ? digits->used - scale : 0;

    nw_out_text(out, negative ? "-" : "");
    if (scale > 0 && exponent < -6) {
        nw_out_bytes(out, digits->bytes, 1);
        nw_out_text(out, digits->used > 1 ? "." : "");
        nw_out_bytes(out, digits->bytes + 1, digits->used - 1);
        nw_out_text(out, "E");
        nw_out_i64(out, exponent);
        return;
    }
    nw_out_bytes(out, whole == 0 ? (const uint8_t *)"0" : digits->bytes, whole == 0 ? 1 : whole);
    if (scale > 0) {
        nw_out_text(out, ".");
        for (size_t i = digits->used; i < scale; i++) {
            nw_out_text(out, "0");
        }
        nw_out_bytes(out, digits->bytes + whole, digits->used - whole);
    }
}

/* The digits of a text that has a point. */
static void digits_take(const struct nw_connect_value *value, struct nw_out *digits, bool *negative)
{
    for (uint32_t i = 0; i < value->size; i++) {
        bool digit = value->bytes[i] >= '0' && value->bytes[i] <= '9';
        bool leads = digits->used == 0 && value->bytes[i] == '0';

        *negative = *negative || value->bytes[i] == '-';
        nw_out_bytes(digits, &value->bytes[i], digit && !leads ? 1 : 0);
    }
    nw_out_bytes(digits, "0", digits->used == 0 ? 1 : 0);
}

/* A Decimal as its text. @return NW_REJECT: it is longer than any that PostgreSQL has */
static nw_status decimal_text(const struct nw_connect_value *value, uint32_t scale,
                              struct nw_out *out, struct nw_out *digits)
{
    bool negative = false;

    if (value->kind == NW_CONNECT_NUMBER) {
        digits_take(value, digits, &negative);
    } else if (value->size > DECIMAL_SIZE) {
        return NW_REJECT;
    } else {
        unscaled_print(digits, value->bytes, value->size, &negative);
    }
    if (!digits->failed) {
        big_print(out, digits, negative, scale);
    }
    return out->failed || digits->failed ? NW_RETRY : NW_OK;
}

/* ---- casts ---- */

/* As Java narrows: what is too large has its lowest bits. */
static int64_t narrowed(int64_t integer, enum nw_connect_kind kind)
{
    switch ((unsigned)kind) {
    case NW_CONNECT_INT8:
        return (int8_t)(uint64_t)integer;
    case NW_CONNECT_INT16:
        return (int16_t)(uint64_t)integer;
    case NW_CONNECT_INT32:
        return (int32_t)(uint64_t)integer;
    default:
        return integer;
    }
}

/* A real to an int64, or by way of an int32, as Java does: the nearest there is, NaN is 0. */
static int64_t whole_of(double real, enum nw_connect_kind kind)
{
    double most = kind == NW_CONNECT_INT64 ? 9223372036854775808.0 : 2147483648.0;

    if (isnan(real)) {
        return 0;
    }
    if (real >= most) {
        return kind == NW_CONNECT_INT64 ? INT64_MAX : narrowed(INT32_MAX, kind);
    }
    if (real <= -most) {
        return kind == NW_CONNECT_INT64 ? INT64_MIN : narrowed(INT32_MIN, kind);
    }
    return narrowed((int64_t)real, kind);
}

/* The whole part of a text of a Decimal, its lowest 64 bits. */
static int64_t text_whole(const char *text)
{
    bool negative = *text == '-';
    uint64_t whole = 0;

    if (strchr(text, 'E') != NULL) {
        return 0; /* only what is very small is printed so */
    }
    for (text += negative; *text >= '0' && *text <= '9'; text++) {
        whole = whole * 10 + (uint64_t)(*text - '0');
    }
    return (int64_t)(negative ? 0 - whole : whole);
}

static nw_status real_give(double real, enum nw_connect_kind kind, struct nw_connect_value *value)
{
    *value = (struct nw_connect_value){.kind = NW_CONNECT_REAL,
                                       .as.real =
                                           kind == NW_CONNECT_FLOAT32 ? (double)(float)real : real};
    return NW_OK;
}

static nw_status integer_give(int64_t integer, struct nw_connect_value *value)
{
    *value = (struct nw_connect_value){.kind = NW_CONNECT_INTEGER, .as.integer = integer};
    return NW_OK;
}

static nw_status truth_give(bool truth, struct nw_connect_value *value)
{
    *value = (struct nw_connect_value){.kind = NW_CONNECT_TRUTH, .as.boolean = truth};
    return NW_OK;
}

/* Java's Long.parseLong() and those of narrower types. */
static nw_status integer_parse(const char *text, enum nw_connect_kind kind,
                               struct nw_connect_value *value)
{
    bool negative = *text == '-';
    uint64_t most = UINT64_C(1) << ((8u << (unsigned)kind) - 1); /* INT8 is the first kind */
    uint64_t number = 0;

    text += *text == '-' || *text == '+';
    if (*text == '\0') {
        return NW_REJECT;
    }
    for (; *text != '\0'; text++) {
        uint64_t digit = (uint64_t)(*text - '0');

        if (*text < '0' || *text > '9' || number > (most - digit) / 10) {
            return NW_REJECT;
        }
        number = number * 10 + digit;
    }
    if (number == most && !negative) {
        return NW_REJECT;
    }
    return integer_give((int64_t)(negative ? 0 - number : number), value);
}

/* Java's Double.parseDouble(), but for hexadecimal digits. */
static nw_status real_parse(char *text, enum nw_connect_kind kind, struct nw_connect_value *value)
{
    char *end = NULL;
    char *start = text + strspn(text, " \t\r\n\f\v");
    size_t size = strlen(start);
    const char *word = start + (*start == '-' || *start == '+');
    bool words = false;

    while (size > 0 && (unsigned char)start[size - 1] <= ' ') {
        start[--size] = '\0';
    }
    words = strcmp(word, "NaN") == 0 || strcmp(word, "Infinity") == 0;
    if (!words && size > 0 && strchr("fFdD", start[size - 1]) != NULL) {
        start[--size] = '\0';
    }
    if (size == 0 || (!words && start[strspn(start, "+-.0123456789eE")] != '\0')) {
        return NW_REJECT;
    }
    (void)real_give(kind == NW_CONNECT_FLOAT32 ? (double)strtof(start, &end) : strtod(start, &end),
                    kind, value);
    return *end == '\0' ? NW_OK : NW_REJECT;
}

/* Any other text is false, however long. */
static bool is_true(const struct nw_connect_value *text)
{
    static const char wanted[] = "true";
    bool same = text->size == sizeof wanted - 1;

    for (uint32_t i = 0; same && i < text->size; i++) {
        same = (text->bytes[i] | 0x20) == wanted[i];
    }
    return same;
}

/* @param decimal  else a text, and no boolean is wanted */
static nw_status text_cast(enum nw_connect_kind kind, bool decimal, char *text,
                           struct nw_connect_value *value)
{
    if (kind == NW_CONNECT_FLOAT32 || kind == NW_CONNECT_FLOAT64) {
        return real_parse(text, kind, value);
    }
    if (kind == NW_CONNECT_BOOLEAN) {
        return truth_give(text_whole(text) != 0, value);
    }
    return decimal ? integer_give(narrowed(text_whole(text), kind), value)
                   : integer_parse(text, kind, value);
}

/* As Connect prints its own Date, Time and Timestamp. */
static void moment_print(int64_t ms, struct nw_out *out)
{
    static const char *const patterns[] = {"HH:mm:ss.SSS'Z'", "yyyy-MM-dd",
                                           "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'"};
    struct nw_java_time format;
    const char *why = NULL;

    if (nw_java_time_read(&format, patterns[ms < DAY_MS ? 0 : ms % DAY_MS == 0 ? 1 : 2], &why)) {
        nw_java_time_print(&format, ms, out);
    }
}

static void real_print(double real, bool narrow, struct nw_out *out)
{
    uint8_t text[NW_JAVA_REAL_MAX];
    size_t size = (size_t)(nw_print_java_real(text, real, narrow) - text);
    bool quoted = text[0] == '"';

    nw_out_bytes(out, text + quoted, quoted ? size - 2 : size);
}

static nw_status text_give(struct nw_out *out, struct nw_connect_value *value)
{
    *value = (struct nw_connect_value){
        .kind = NW_CONNECT_TEXT, .bytes = out->bytes, .size = (uint32_t)out->used};
    return out->failed ? NW_RETRY : NW_OK;
}

static nw_status string_cast(const struct nw_connect_schema *from, struct nw_connect_value *value,
                             struct nw_out *out, struct nw_out *second)
{
    bool known = false;
    enum nw_reshape_time time = nw_reshape_time_of(from, &known);
    nw_status status = NW_OK;

    if (value->kind == NW_CONNECT_TEXT) {
        return NW_OK;
    }
    if (is_decimal(from)) {
        status = decimal_text(value, scale_of(from), out, second);
    } else if (value->kind == NW_CONNECT_TRUTH) {
        nw_out_text(out, value->as.boolean ? "true" : "false");
    } else if (value->kind == NW_CONNECT_REAL) {
        real_print(value->as.real, from->kind == NW_CONNECT_FLOAT32, out);
    } else if (value->kind == NW_CONNECT_BINARY) {
        nw_out_base64(out, value->bytes, value->size, false);
    } else if (known && (time == NW_TIME_DATE || time == NW_TIME_TIME || time == NW_TIME_STAMP)) {
        moment_print(value->as.integer * (time == NW_TIME_DATE ? DAY_MS : 1), out);
    } else {
        nw_out_i64(out, value->as.integer);
    }
    return status == NW_OK ? text_give(out, value) : status;
}

static nw_status integer_cast(int64_t integer, enum nw_connect_kind kind,
                              struct nw_connect_value *value)
{
    switch ((unsigned)kind) {
    case NW_CONNECT_FLOAT32: /* at once: by way of a double it is rounded twice */
        return real_give((double)(float)integer, kind, value);
    case NW_CONNECT_FLOAT64:
        return real_give((double)integer, kind, value);
    case NW_CONNECT_BOOLEAN:
        return truth_give(integer != 0, value);
    default:
        return integer_give(narrowed(integer, kind), value);
    }
}

static nw_status real_cast(double real, enum nw_connect_kind kind, struct nw_connect_value *value)
{
    switch ((unsigned)kind) {
    case NW_CONNECT_FLOAT32:
    case NW_CONNECT_FLOAT64:
        return real_give(real, kind, value);
    case NW_CONNECT_BOOLEAN:
        return truth_give(whole_of(real, NW_CONNECT_INT64) != 0, value);
    default:
        return integer_give(whole_of(real, kind), value);
    }
}

/* Text and Decimals, by way of their text. */
static nw_status number_cast(const struct nw_connect_schema *from, enum nw_connect_kind kind,
                             struct nw_connect_value *value, struct nw_out *out,
                             struct nw_out *second)
{
    bool decimal = is_decimal(from);
    nw_status status = NW_OK;

    if (decimal) {
        status = decimal_text(value, scale_of(from), out, second);
    } else if (value->kind == NW_CONNECT_TEXT && kind == NW_CONNECT_BOOLEAN) {
        return truth_give(is_true(value), value);
    } else if (value->kind != NW_CONNECT_TEXT || value->size > NUMBER_TEXT_MAX ||
               (value->size > 0 && memchr(value->bytes, '\0', value->size) != NULL)) {
        return NW_REJECT;
    } else {
        nw_out_bytes(out, value->bytes, value->size);
    }
    nw_out_bytes(out, "", 1);
    if (status != NW_OK || out->failed) {
        return status == NW_OK ? NW_RETRY : status;
    }
    return text_cast(kind, decimal, (char *)out->bytes, value);
}

static nw_status cast(const struct nw_connect_schema *from, enum nw_connect_kind kind,
                      struct nw_connect_value *value, struct nw_out *out, struct nw_out *second)
{
    if (kind == NW_CONNECT_STRING) {
        return string_cast(from, value, out, second);
    }
    switch ((unsigned)value->kind) {
    case NW_CONNECT_TRUTH:
        return integer_cast(value->as.boolean ? 1 : 0, kind, value);
    case NW_CONNECT_INTEGER:
        return integer_cast(value->as.integer, kind, value);
    case NW_CONNECT_REAL:
        return real_cast(value->as.real, kind, value);
    default:
        return number_cast(from, kind, value, out, second);
    }
}

/* ---- times ---- */

static const int64_t unit_parts[] = {0, 1, 1000, 1000000}; /* of a millisecond */

static int64_t to_ms(int64_t number, enum nw_reshape_unit unit)
{
    int64_t ms = 0;

    if (unit != NW_UNIX_SECOND) {
        return number / unit_parts[unit];
    }
    return __builtin_mul_overflow(number, INT64_C(1000), &ms) ? (number < 0 ? INT64_MIN : INT64_MAX)
                                                              : ms;
}

static int64_t from_ms(int64_t ms, enum nw_reshape_unit unit)
{
    int64_t number = 0;

    if (unit == NW_UNIX_SECOND) {
        return ms / 1000;
    }
    return __builtin_mul_overflow(ms, unit_parts[unit], &number) ? (ms < 0 ? INT64_MIN : INT64_MAX)
                                                                 : number;
}

static nw_status ms_of(const struct nw_reshape_step *step, enum nw_reshape_time from,
                       const struct nw_connect_value *value, int64_t *ms)
{
    if (from == NW_TIME_STRING) {
        return nw_java_time_parse(step->format, value->bytes, value->size, ms) ? NW_OK : NW_REJECT;
    }
    *ms = value->as.integer;
    if (from == NW_TIME_UNIX) {
        *ms = to_ms(*ms, step->unit);
    } else if (from == NW_TIME_DATE) {
        *ms *= DAY_MS; /* Connect's Date is an int32 */
    }
    return NW_OK;
}

static nw_status time_convert(const struct nw_reshape_step *step,
                              const struct nw_connect_schema *schema,
                              struct nw_connect_value *value, struct nw_out *out)
{
    bool known = false;
    int64_t ms = 0;
    nw_status status = ms_of(step, nw_reshape_time_of(schema, &known), value, &ms);
    int64_t days = ms / DAY_MS - (ms % DAY_MS < 0 ? 1 : 0);

    if (status != NW_OK) {
        return status;
    }
    switch (step->time) {
    case NW_TIME_STRING:
        nw_java_time_print(step->format, ms, out);
        return text_give(out, value);
    case NW_TIME_UNIX:
        return integer_give(from_ms(ms, step->unit), value);
    case NW_TIME_DATE:
        return integer_give((int32_t)days, value);
    case NW_TIME_TIME:
        return integer_give(ms - days * DAY_MS, value);
    case NW_TIME_STAMP:
        break;
    }
    return integer_give(ms, value);
}

nw_status nw_reshape_apply(const struct nw_reshape_op *op, struct nw_connect_value *value,
                           struct nw_out *out, struct nw_out *second)
{
    out->used = second->used = 0;
    out->failed = second->failed = false;
    return op->step->kind == NW_RESHAPE_CAST ? cast(op->from, op->to->kind, value, out, second)
                                             : time_convert(op->step, op->from, value, out);
}

/* ---- masks ---- */

/* Digits at the schema's scale, as the sink has Decimals. */
static bool decimal_mask(struct nw_pool *pool, const char *text,
                         const struct nw_connect_schema *schema,
                         const struct nw_connect_options *options, struct nw_connect_value *value)
{
    const struct nw_connect_table empty = {.options = *options};
    struct nw_connect_scratch *scratch = nw_connect_scratch_create(&empty);
    const struct nw_form form = {
        .schema = schema, .how = NW_HOW_DECIMAL, .scale = (uint16_t)scale_of(schema)};
    const struct nw_convert convert = {.options = options, .form = &form, .scratch = scratch};
    const struct nw_value source = {.kind = NW_VALUE_PRESENT,
                                    .type = NW_TYPE_TEXT,
                                    .bytes = (const uint8_t *)text,
                                    .size = (uint32_t)strlen(text)};
    const char *point = strchr(text, '.');
    bool fits = point == NULL || strlen(point + 1) <= form.scale;

    fits = fits && scratch != NULL && nw_convert_present(&convert, &source, value) == NW_OK;
    if (fits) {
        value->bytes = (const uint8_t *)nw_pool_text(pool, value->bytes, value->size);
        fits = value->bytes != NULL;
    }
    nw_connect_scratch_destroy(scratch);
    return fits;
}

/* Connect makes its numbers by way of BigDecimal. */
static bool number_mask(const char *text, enum nw_connect_kind kind, struct nw_connect_value *value)
{
    char copy[NUMBER_TEXT_MAX];

    if (strlen(text) >= sizeof copy || text[strspn(text, "+-.0123456789eE")] != '\0') {
        return false;
    }
    memcpy(copy, text, strlen(text) + 1);
    if (real_parse(copy, NW_CONNECT_FLOAT64, value) != NW_OK) {
        return false;
    }
    if (kind == NW_CONNECT_FLOAT32 || kind == NW_CONNECT_FLOAT64) {
        return real_give(value->as.real, kind, value) == NW_OK;
    }
    if (strpbrk(text, "eE") != NULL) {
        return integer_give(narrowed(whole_of(value->as.real, NW_CONNECT_INT64), kind), value) ==
               NW_OK;
    }
    return integer_give(narrowed(text_whole(text + (*text == '+')), kind), value) == NW_OK;
}

static void zero_give(const struct nw_connect_schema *schema,
                      const struct nw_connect_options *options, struct nw_connect_items *none,
                      struct nw_connect_value *value)
{
    static const uint8_t zero[] = {0};

    if (schema->kind == NW_CONNECT_STRING) {
        *value = (struct nw_connect_value){.kind = NW_CONNECT_TEXT, .bytes = (const uint8_t *)""};
    } else if (schema->kind == NW_CONNECT_BYTES) {
        *value = (struct nw_connect_value){
            .kind = options->numbers_as_text ? NW_CONNECT_NUMBER : NW_CONNECT_BINARY,
            .bytes = options->numbers_as_text ? (const uint8_t *)"0" : zero,
            .size = 1};
    } else if (schema->kind == NW_CONNECT_ARRAY || schema->kind == NW_CONNECT_MAP) {
        *value = (struct nw_connect_value){.kind = NW_CONNECT_ITEMS, .items = none};
    } else if (schema->kind == NW_CONNECT_BOOLEAN) {
        (void)truth_give(false, value);
    } else if (schema->kind == NW_CONNECT_FLOAT32 || schema->kind == NW_CONNECT_FLOAT64) {
        (void)real_give(0, schema->kind, value);
    } else {
        (void)integer_give(0, value);
    }
}

bool nw_reshape_masked(struct nw_pool *pool, const struct nw_reshape_step *step,
                       const struct nw_connect_schema *schema,
                       const struct nw_connect_options *options, struct nw_connect_items *none,
                       struct nw_connect_value *value)
{
    if (step->text == NULL) {
        zero_give(schema, options, none, value);
        return true;
    }
    if (schema->kind == NW_CONNECT_STRING) {
        *value = (struct nw_connect_value){.kind = NW_CONNECT_TEXT,
                                           .bytes = (const uint8_t *)step->text,
                                           .size = (uint32_t)strlen(step->text)};
        return true;
    }
    return is_decimal(schema) ? decimal_mask(pool, step->text, schema, options, value)
                              : number_mask(step->text, schema->kind, value);
}
