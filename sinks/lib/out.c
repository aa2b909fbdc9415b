/* SPDX-License-Identifier: Apache-2.0 */
/* Growing text memory: see out.h. */
#include "lib/out.h"

#include <stdlib.h>

#include "lib/print.h"

bool nw_out_grow(struct nw_out *out, size_t more)
{
    size_t capacity = out->capacity < 512 ? 512 : out->capacity;
    uint8_t *bytes;

    if (more > SIZE_MAX / 4 || out->used > SIZE_MAX / 4) {
        out->failed = true;
        return false;
    }
    while (capacity - out->used < more) {
        capacity *= 2;
    }
    bytes = realloc(out->bytes, capacity);
    if (bytes == NULL) {
        out->failed = true;
        return false;
    }
    out->bytes = bytes;
    out->capacity = capacity;
    return true;
}

void nw_out_fini(struct nw_out *out)
{
    free(out->bytes);
    *out = (struct nw_out){0};
}

void nw_out_u64(struct nw_out *out, uint64_t value)
{
    if (nw_out_reserve(out, NW_PRINT_INTEGER_MAX)) {
        out->used = (size_t)(nw_print_u64(out->bytes + out->used, value) - out->bytes);
    }
}

void nw_out_i64(struct nw_out *out, int64_t value)
{
    if (nw_out_reserve(out, NW_PRINT_INTEGER_MAX)) {
        out->used = (size_t)(nw_print_i64(out->bytes + out->used, value) - out->bytes);
    }
}

void nw_out_lsn(struct nw_out *out, uint64_t lsn)
{
    if (nw_out_reserve(out, NW_PRINT_LSN_MAX)) {
        out->used = (size_t)(nw_print_lsn(out->bytes + out->used, lsn) - out->bytes);
    }
}

void nw_out_hex(struct nw_out *out, const void *bytes, size_t size)
{
    if (size <= SIZE_MAX / 8 && nw_out_reserve(out, 2 * size + 1)) {
        out->used = (size_t)(nw_print_hex(out->bytes + out->used, bytes, size) - out->bytes);
    }
}

void nw_out_base64(struct nw_out *out, const void *bytes, size_t size, bool url_safe)
{
    static const char usual[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const char *digits = url_safe ? safe : usual;
    const uint8_t *from = bytes;
    uint8_t *to;

    if (size > SIZE_MAX / 4 || !nw_out_reserve(out, (size + 2) / 3 * 4 + 1)) {
        return;
    }
    to = out->bytes + out->used;
    for (; size >= 3; size -= 3, from += 3, to += 4) {
        uint32_t group = (uint32_t)from[0] << 16 | (uint32_t)from[1] << 8 | from[2];

        to[0] = (uint8_t)digits[group >> 18];
        to[1] = (uint8_t)digits[group >> 12 & 63];
        to[2] = (uint8_t)digits[group >> 6 & 63];
        to[3] = (uint8_t)digits[group & 63];
    }
    if (size > 0) {
        uint32_t group = (uint32_t)from[0] << 16 | (size > 1 ? (uint32_t)from[1] << 8 : 0);

        to[0] = (uint8_t)digits[group >> 18];
        to[1] = (uint8_t)digits[group >> 12 & 63];
        to[2] = (uint8_t)(size > 1 ? digits[group >> 6 & 63] : '=');
        to[3] = '=';
        to += 4;
    }
    out->used = (size_t)(to - out->bytes);
}

static int hex_digit(uint8_t c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

bool nw_out_unhex(struct nw_out *out, const void *text, size_t size)
{
    const uint8_t *from = text;

    if (size % 2 != 0 || !nw_out_reserve(out, size / 2)) {
        return false;
    }
    for (size_t i = 0; i < size; i += 2) {
        int high = hex_digit(from[i]);
        int low = hex_digit(from[i + 1]);

        if (high < 0 || low < 0) {
            return false;
        }
        out->bytes[out->used++] = (uint8_t)(high << 4 | low);
    }
    return true;
}
