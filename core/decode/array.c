/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arrays, from array_send() to what array_out() prints (src/backend/utils/adt/arrayfuncs.c of
 * PostgreSQL 14 to 18).
 */
#include <stdio.h>

#include "base/cursor.h"
#include "decode/print.h"
#include "pg/types.h"

#define DIMENSIONS_MAX 6 /* MAXDIM */
#define BOUNDS_SIZE    (DIMENSIONS_MAX * 32 + 8)

struct array {
    uint32_t dimensions;
    uint32_t span[DIMENSIONS_MAX]; /* elements in one slice of this dimension and those below */
    uint32_t elements_count;
    bool plain; /* all lower bounds are 1 */
    int32_t low[DIMENSIONS_MAX];
    uint32_t count[DIMENSIONS_MAX];
};

static bool is_element(uint32_t oid, uint32_t element_oid)
{
    return oid == element_oid || element_oid == NW_ELEMENT_ENUM;
}

/* The head of an array. Counts are bounded by what is left: an element takes four bytes or more. */
static bool read_head(struct nw_cursor *message, uint32_t element_oid, struct array *array)
{
    uint64_t span = 1;

    array->dimensions = nw_cursor_u32be(message);
    if (nw_cursor_u32be(message) > 1 || !is_element(nw_cursor_u32be(message), element_oid) ||
        array->dimensions > DIMENSIONS_MAX) {
        return false;
    }
    array->plain = true;
    for (uint32_t i = 0; i < array->dimensions; i++) {
        array->count[i] = nw_cursor_u32be(message);
        array->low[i] = (int32_t)nw_cursor_u32be(message);
        array->plain = array->plain && array->low[i] == 1;
        if (array->count[i] > INT32_MAX ||
            (int64_t)array->low[i] + array->count[i] - 1 > INT32_MAX) {
            return false;
        }
    }
    for (uint32_t i = array->dimensions; i > 0; i--) {
        span *= array->count[i - 1];
        if (span > message->left / 4) {
            return false;
        }
        array->span[i - 1] = (uint32_t)span;
    }
    array->elements_count = array->dimensions == 0 ? 0 : array->span[0];
    return !message->failed;
}

static bool print_bounds(struct nw_buffer *out, const struct array *array)
{
    char text[BOUNDS_SIZE];
    int size = 0;

    for (uint32_t i = 0; i < array->dimensions; i++) {
        size += sprintf(text + size, "[%d:%lld]", array->low[i],
                        (long long)array->low[i] + array->count[i] - 1);
    }
    text[size++] = '=';
    return nw_buffer_append(out, text, (size_t)size);
}

static bool is_space(uint8_t byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static bool is_null_word(const uint8_t *at, uint32_t size)
{
    return size == 4 && (at[0] | 0x20) == 'n' && (at[1] | 0x20) == 'u' && (at[2] | 0x20) == 'l' &&
           (at[3] | 0x20) == 'l';
}

/* Quotes the text from `start` on, in place, if it could be taken for something else. */
static bool quote(struct nw_buffer *out, uint32_t start)
{
    uint32_t size = out->size - start;
    uint32_t escapes = 0;
    bool needed = size == 0 || is_null_word(out->at + start, size);
    uint8_t *from = NULL;
    uint8_t *to = NULL;

    for (uint32_t i = start; i < out->size; i++) {
        uint8_t byte = out->at[i];

        escapes += byte == '"' || byte == '\\';
        needed = needed || byte == '{' || byte == '}' || byte == ',' || is_space(byte);
    }
    if (!needed && escapes == 0) {
        return true;
    }
    if (nw_buffer_reserve(out, (size_t)escapes + 2) == NULL) {
        return false;
    }
    from = out->at + out->size;
    out->size += escapes + 2;
    to = out->at + out->size;
    *--to = '"';
    for (uint32_t i = 0; i < size; i++) {
        *--to = *--from;
        if (*from == '"' || *from == '\\') {
            *--to = '\\';
        }
    }
    *--to = '"';
    return true;
}

static enum nw_decoded print_element(struct nw_buffer *out, struct nw_cursor *message,
                                     nw_print_fn print)
{
    uint32_t size = nw_cursor_u32be(message);
    uint32_t start = out->size;
    struct nw_bytes value = {NULL, 0};
    enum nw_decoded decoded = NW_DECODED;

    if (size == UINT32_MAX) {
        return nw_buffer_append(out, "NULL", 4) ? NW_DECODED : NW_DECODED_NO_MEMORY;
    }
    value = nw_cursor_bytes(message, size);
    if (message->failed) {
        return NW_DECODED_MALFORMED;
    }
    decoded = print(out, value.at, (uint32_t)value.size);
    if (decoded == NW_DECODED && !quote(out, start)) {
        decoded = NW_DECODED_NO_MEMORY;
    }
    return decoded;
}

/* How many slices begin at element `index`: that many braces open, and as many close before it. */
static uint32_t slices_at(const struct array *array, uint32_t index)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < array->dimensions; i++) {
        count += index % array->span[i] == 0;
    }
    return count;
}

static bool print_braces(struct nw_buffer *out, char brace, uint32_t count)
{
    bool good = true;

    for (uint32_t i = 0; i < count; i++) {
        good = good && nw_buffer_append(out, &brace, 1);
    }
    return good;
}

static enum nw_decoded print_elements(struct nw_buffer *out, struct nw_cursor *message,
                                      const struct array *array, nw_print_fn print)
{
    for (uint32_t i = 0; i < array->elements_count; i++) {
        enum nw_decoded decoded = NW_DECODED;

        if ((i > 0 && !nw_buffer_append(out, ",", 1)) ||
            !print_braces(out, '{', slices_at(array, i))) {
            return NW_DECODED_NO_MEMORY;
        }
        decoded = print_element(out, message, print);
        if (decoded != NW_DECODED) {
            return decoded;
        }
        if (!print_braces(out, '}', slices_at(array, i + 1))) {
            return NW_DECODED_NO_MEMORY;
        }
    }
    return nw_cursor_done(message) ? NW_DECODED : NW_DECODED_MALFORMED;
}

enum nw_decoded nw_print_array(struct nw_buffer *out, const uint8_t *at, uint32_t size,
                               uint32_t element_oid)
{
    struct nw_cursor message = nw_cursor_of(at, size);
    nw_print_fn print = nw_printer_of(element_oid == NW_ELEMENT_ENUM ? NW_OID_TEXT : element_oid);
    struct array array = {0};
    bool good = true;

    if (print == NULL || !read_head(&message, element_oid, &array)) {
        return NW_DECODED_MALFORMED;
    }
    if (array.elements_count == 0) {
        good = nw_buffer_append(out, "{}", 2);
    } else if (!array.plain) {
        good = print_bounds(out, &array);
    }
    return good ? print_elements(out, &message, &array, print) : NW_DECODED_NO_MEMORY;
}
