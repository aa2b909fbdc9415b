/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See connect_number.h. A Decimal is its unscaled value, an integer of any size in two's
 * complement, highest byte first and no byte more than needed, as Java's BigInteger.toByteArray()
 * has it.
 */
#include "lib/format/connect_number.h"

#include <stdlib.h>
#include <string.h>

#include "lib/print.h"

#define CHUNK_DIGITS 9u
#define CHUNK_BASE   UINT32_C(1000000000)
#define QUICK_DIGITS 38u /* fit into 128 bits */

/* ---- two's complement ---- */

/* Drops bytes at the front that only repeat the sign. */
static nw_status give_trimmed(const uint8_t *bytes, size_t size, struct nw_connect_value *to)
{
    while (size > 1 &&
           ((bytes[0] == 0x00 && bytes[1] < 0x80) || (bytes[0] == 0xff && bytes[1] >= 0x80))) {
        bytes++;
        size--;
    }
    to->kind = NW_CONNECT_BINARY;
    to->bytes = bytes;
    to->size = (uint32_t)size;
    return NW_OK;
}

/* Sixteen bytes of a decimal column, lowest first. */
static nw_status typed_binary(struct nw_level *level, const uint8_t bytes[16],
                              struct nw_connect_value *to)
{
    if (!nw_out_reserve(&level->out, 16)) {
        return NW_RETRY;
    }
    for (size_t i = 0; i < 16; i++) {
        level->out.bytes[i] = bytes[15 - i];
    }
    return give_trimmed(level->out.bytes, 16, to);
}

static nw_status quick_binary(struct nw_level *level, const struct nw_digits *number,
                              struct nw_connect_value *to)
{
    uint8_t bytes[16];
    nw_u128 value = 0;

    for (uint32_t i = 0; i < number->count; i++) {
        value = value * 10 + (uint8_t)(number->digits[i] - '0');
    }
    value = number->negative ? 0 - value : value;
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(value >> 8 * i);
    }
    return typed_binary(level, bytes, to);
}

/* limbs = limbs * base + digit, lowest first. @return how many there are now. */
static size_t limbs_push(uint32_t *limbs, size_t count, uint32_t base, uint32_t digit)
{
    uint64_t carry = digit;

    for (size_t i = 0; i < count; i++) {
        carry += (uint64_t)limbs[i] * base;
        limbs[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry > 0) {
        limbs[count++] = (uint32_t)carry;
    }
    return count;
}

static void limbs_negate(uint32_t *limbs, size_t count)
{
    uint64_t carry = 1;

    for (size_t i = 0; i < count; i++) {
        carry += (uint32_t)~limbs[i];
        limbs[i] = (uint32_t)carry;
        carry >>= 32;
    }
}

/* A number of any size, nine digits at a time. */
static nw_status long_binary(struct nw_level *level, const struct nw_digits *number,
                             struct nw_connect_value *to)
{
    size_t room = (number->count / CHUNK_DIGITS + 3u) * sizeof(uint32_t);
    uint32_t *limbs;
    size_t count = 0;

    level->out.used = 0;
    if (!nw_out_reserve(&level->out, 2 * room)) {
        return NW_RETRY;
    }
    limbs = (uint32_t *)(void *)level->out.bytes; /* as aligned as malloc makes it */
    for (uint32_t i = 0; i < number->count;) {
        uint32_t chunk = 0;
        uint32_t base = 1;

        for (; i < number->count && base < CHUNK_BASE; i++) {
            chunk = chunk * 10 + (uint32_t)(number->digits[i] - '0');
            base *= 10;
        }
        count = limbs_push(limbs, count, base, chunk);
    }
    limbs[count++] = 0; /* room for the sign */
    if (number->negative) {
        limbs_negate(limbs, count);
    }
    {
        uint8_t *bytes = level->out.bytes + room;

        for (size_t i = 0; i < count * 4; i++) {
            bytes[i] = (uint8_t)(limbs[count - 1 - i / 4] >> 8 * (3 - i % 4));
        }
        return give_trimmed(bytes, count * 4, to);
    }
}

static nw_status digits_binary(struct nw_level *level, const struct nw_digits *number,
                               struct nw_connect_value *to)
{
    return number->count <= QUICK_DIGITS ? quick_binary(level, number, to)
                                         : long_binary(level, number, to);
}

/* ---- scales ---- */

/* Give the number this scale; what does not fit is rounded half up, away from zero. The digits are
 * in `out`. @return false when memory ran out. */
static bool digits_rescale(struct nw_digits *number, uint32_t scale, struct nw_out *out)
{
    bool up = false;

    for (; number->scale < scale; number->scale++) {
        if (number->count > 0) { /* of zero there are no digits */
            nw_out_bytes(out, "0", 1);
            number->count++;
        }
    }
    for (; number->scale > scale; number->scale--) {
        up = number->count > 0 && out->bytes[number->count - 1] >= '5';
        number->count -= number->count > 0 ? 1 : 0;
    }
    for (uint32_t i = number->count; up && i > 0; i--) {
        up = out->bytes[i - 1] == '9';
        out->bytes[i - 1] = (uint8_t)(up ? '0' : out->bytes[i - 1] + 1);
    }
    if (up) { /* 999 became 000, or there were no digits */
        out->used = number->count;
        nw_out_bytes(out, "0", 1);
        if (!out->failed) {
            memmove(out->bytes + 1, out->bytes, number->count);
            out->bytes[0] = '1';
            number->count++;
        }
    }
    number->digits = out->bytes;
    return !out->failed;
}

/* As many digits behind the point as the value needs. */
static void digits_strip(struct nw_digits *number)
{
    while (number->scale > 0 && (number->count == 0 || number->digits[number->count - 1] == '0')) {
        number->scale--;
        number->count -= number->count > 0 ? 1 : 0;
    }
}

/* 12.50, with as many digits behind the point as the scale says. */
static void out_digits(struct nw_out *out, const struct nw_digits *number)
{
    uint32_t whole = number->count > number->scale ? number->count - number->scale : 0;

    out->used = 0;
    if (number->negative && number->count > 0) {
        nw_out_text(out, "-");
    }
    nw_out_bytes(out, whole == 0 ? (const uint8_t *)"0" : number->digits, whole == 0 ? 1 : whole);
    if (number->scale > 0) {
        nw_out_text(out, ".");
        for (uint32_t i = number->count; i < number->scale; i++) {
            nw_out_text(out, "0");
        }
        nw_out_bytes(out, number->digits + whole, number->count - whole);
    }
}

/* ---- forms ---- */

static nw_status decimal_give(const struct nw_convert *convert, struct nw_digits *number,
                              struct nw_connect_value *to)
{
    struct nw_level *level = &convert->scratch->levels[convert->level];

    if (!digits_rescale(number, convert->form->scale, &level->second)) {
        return NW_RETRY;
    }
    if (convert->options->numbers_as_text) {
        out_digits(&level->out, number);
        to->kind = NW_CONNECT_NUMBER;
        to->bytes = level->out.bytes;
        to->size = (uint32_t)level->out.used;
        return level->out.failed ? NW_RETRY : NW_OK;
    }
    return digits_binary(level, number, to);
}

static nw_status variable_give(struct nw_level *level, struct nw_digits *number,
                               struct nw_connect_value *to)
{
    digits_strip(number);
    level->pieces[0] =
        (struct nw_connect_value){.kind = NW_CONNECT_INTEGER, .as.integer = number->scale};
    to->kind = NW_CONNECT_PIECES;
    to->pieces = level->pieces;
    level->pieces[1] = (struct nw_connect_value){0};
    return digits_binary(level, number, &level->pieces[1]);
}

/* The value as text: PostgreSQL's, or printed. The scale of one that is typed is at most 38. */
static nw_status number_text(struct nw_level *level, const struct nw_value *source, uint16_t scale,
                             struct nw_text *text)
{
    if (source->kind != NW_VALUE_PRESENT || source->type != NW_TYPE_DECIMAL) {
        *text = nw_text_of(source->bytes, source->size);
        return NW_OK;
    }
    if (!nw_out_reserve(&level->text, NW_PRINT_DECIMAL_MAX)) {
        return NW_RETRY;
    }
    *text = nw_text_of(level->text.bytes,
                       (size_t)(nw_print_decimal(level->text.bytes, source->bytes, (uint8_t)scale) -
                                level->text.bytes));
    return NW_OK;
}

/* $1,234.56 or -$1,234.56, as lc_monetary=C prints it; digits remain. */
static nw_status money_text(struct nw_level *level, struct nw_text *text)
{
    level->text.used = 0;
    for (size_t i = 0; i < text->left; i++) {
        uint8_t c = text->at[i];

        if ((c >= '0' && c <= '9') || c == '.' || c == '-') {
            nw_out_bytes(&level->text, &c, 1);
        } else if (c != '$' && c != ',') {
            return NW_CORRUPT;
        }
    }
    *text = nw_text_of(level->text.bytes, level->text.used);
    return level->text.failed ? NW_RETRY : NW_OK;
}

/* NaN and infinities: Debezium gives their names in its own code. */
static const char *special_name(const struct nw_text *text)
{
    static const struct {
        const char *text, *name;
    } specials[] = {
        {"NaN", "NAN"}, {"Infinity", "POSITIVE_INFINITY"}, {"-Infinity", "NEGATIVE_INFINITY"}};

    for (size_t i = 0; i < sizeof specials / sizeof specials[0]; i++) {
        if (text->left == strlen(specials[i].text) &&
            memcmp(text->at, specials[i].text, text->left) == 0) {
            return specials[i].name;
        }
    }
    return NULL;
}

static nw_status text_give(const struct nw_text *text, struct nw_connect_value *to)
{
    const char *special = special_name(text);

    to->kind = NW_CONNECT_TEXT;
    to->bytes = special == NULL ? text->at : (const uint8_t *)special;
    to->size = (uint32_t)(special == NULL ? text->left : strlen(special));
    return NW_OK;
}

/* strtod() reads what PostgreSQL prints, and needs a NUL. */
static nw_status real_give(struct nw_level *level, const struct nw_text *text,
                           struct nw_connect_value *to)
{
    char *end = NULL;

    level->second.used = 0;
    nw_out_bytes(&level->second, text->at, text->left);
    nw_out_bytes(&level->second, "", 1);
    if (level->second.failed) {
        return NW_RETRY;
    }
    to->kind = NW_CONNECT_REAL;
    to->as.real = strtod((const char *)level->second.bytes, &end);
    return text->left > 0 && *end == '\0' ? NW_OK : NW_CORRUPT;
}

nw_status nw_number_convert(const struct nw_convert *convert, const struct nw_value *source,
                            struct nw_connect_value *to)
{
    struct nw_level *level = &convert->scratch->levels[convert->level];
    enum nw_how how = convert->form->how;
    struct nw_digits number;
    struct nw_text text;
    nw_status status = NW_OK;

    if (how == NW_HOW_DECIMAL && source->kind == NW_VALUE_PRESENT &&
        source->type == NW_TYPE_DECIMAL && !convert->options->numbers_as_text) {
        return typed_binary(level, source->bytes, to);
    }
    status = number_text(level, source, convert->form->scale, &text);
    if (status == NW_OK && how == NW_HOW_MONEY) {
        how = convert->form->money;
        status = money_text(level, &text);
    }
    if (status != NW_OK) {
        return status;
    }
    if (how == NW_HOW_DECIMAL_TEXT) {
        return text_give(&text, to);
    }
    if (how == NW_HOW_DECIMAL_REAL) {
        return real_give(level, &text, to);
    }
    if (special_name(&text) != NULL) {
        return NW_REJECT;
    }
    number = nw_text_digits(&text, &level->second);
    if (level->second.failed || !nw_text_done(&text)) {
        return level->second.failed ? NW_RETRY : NW_CORRUPT;
    }
    return how == NW_HOW_VARIABLE ? variable_give(level, &number, to)
                                  : decimal_give(convert, &number, to);
}
