/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON strings (RFC 8259) from untrusted bytes: see json.h. Stateless.
 *
 * Clean runs are copied eight bytes at a time; a byte is looked at alone only when it has to be
 * escaped or is part of a UTF-8 sequence.
 */
#include "lib/json.h"
#include "lib/print.h"
#include "lib/utf8.h"

#define PIECE_SIZE 8192u /* reserve for this much at a time, six bytes for each */

#define EACH_BYTE(value) (UINT64_C(0x0101010101010101) * (value))

/* The highest bit of each byte that is zero. May also mark bytes above a marked one. */
static inline uint64_t zero_bytes(uint64_t word)
{
    return (word - EACH_BYTE(1)) & ~word & EACH_BYTE(0x80);
}

/* Marks control characters, ", \ and everything that is not ASCII; exact in its lowest mark. */
static inline uint64_t special_bytes(uint64_t word)
{
    uint64_t control = (word - EACH_BYTE(0x20)) & ~word & EACH_BYTE(0x80);

    return control | zero_bytes(word ^ EACH_BYTE('"')) | zero_bytes(word ^ EACH_BYTE('\\')) |
           (word & EACH_BYTE(0x80));
}

static uint8_t *print_escape(uint8_t *to, uint8_t byte)
{
    static const char letters[] = "uuuuuuuubtnufruu";
    char letter = byte < 16 ? letters[byte] : 'u';

    *to++ = '\\';
    if (byte == '"' || byte == '\\') {
        *to++ = byte;
    } else if (letter != 'u') {
        *to++ = (uint8_t)letter;
    } else {
        memcpy(to, "u00", 3);
        to = nw_print_hex(to + 3, &byte, 1);
    }
    return to;
}

/* One character that is escaped or not ASCII, or any other. @return NULL when it is no UTF-8. */
static inline uint8_t *character_print(uint8_t *to, const uint8_t **from, const uint8_t *limit)
{
    uint8_t byte = **from;
    size_t size = 1;

    if (byte < 0x20 || byte == '"' || byte == '\\') {
        (*from)++;
        return print_escape(to, byte);
    }
    if (byte >= 0x80) {
        size = nw_utf8_size(*from, (size_t)(limit - *from));
        if (size == 0) {
            return NULL;
        }
    }
    memcpy(to, *from, size);
    *from += size;
    return to + size;
}

/* The last 1 to 7 bytes; those behind them are clean. */
static inline uint64_t tail_word(const uint8_t *at, size_t left)
{
    uint64_t word = EACH_BYTE('a') << left * 8;

    if (left >= 4) {
        uint32_t first;
        uint32_t last; /* overlaps the first where there are less than eight */

        memcpy(&first, at, 4);
        memcpy(&last, at + left - 4, 4);
        return word | first | (uint64_t)last << (left - 4) * 8;
    }
    return word | at[0] | (uint64_t)at[left / 2] << left / 2 * 8 |
           (uint64_t)at[left - 1] << (left - 1) * 8;
}

/*
 * Copies clean bytes, eight at a time.
 * @return where writing ended; *from is at a byte that needs a look, or not before the end.
 */
static inline uint8_t *clean_copy(uint8_t *to, const uint8_t **from, const uint8_t *end,
                                  const uint8_t *limit)
{
    const uint8_t *at = *from;

    while (at < end) {
        size_t left = (size_t)(limit - at);
        size_t clean = left < 8 ? left : 8;
        uint64_t word;
        uint64_t special;

        if (left >= 8) {
            memcpy(&word, at, 8);
        } else {
            word = tail_word(at, left);
        }
        memcpy(to, &word, 8);
        special = special_bytes(word);
        if (special != 0) {
            clean = (size_t)__builtin_ctzll(special) / 8;
        }
        at += clean;
        to += clean;
        if (special != 0) {
            break;
        }
    }
    *from = at;
    return to;
}

/*
 * Escape from *at up to `end`; sequences may go on up to `limit`. Writes at most six bytes for each
 * byte read, and eight more as scratch.
 * @return where writing ended, with *at < end at bytes that are not UTF-8.
 */
static uint8_t *escape(uint8_t *to, const uint8_t **at, const uint8_t *end, const uint8_t *limit)
{
    const uint8_t *from = *at;

    while (from < end) {
        to = clean_copy(to, &from, end, limit);
        while (from < end) {
            uint8_t *next;

            if (*from >= 0x20 && *from < 0x80 && *from != '"' && *from != '\\') {
                break;
            }
            next = character_print(to, &from, limit);
            if (next == NULL) {
                *at = from;
                return to;
            }
            to = next;
        }
    }
    *at = from;
    return to;
}

static bool print_bytes_value(struct nw_out *out, const void *bytes, size_t size, size_t spare)
{
    if (size > SIZE_MAX / 8 || !nw_out_reserve(out, 2 * size + 16 + spare)) {
        out->failed = true;
        return false;
    }
    nw_out_text(out, "{\"$bytes\":\"");
    nw_out_hex(out, bytes, size);
    nw_out_text(out, "\"}");
    return true;
}

bool nw_json_string(struct nw_out *out, const void *bytes, size_t size, size_t spare)
{
    const uint8_t *at = bytes;
    const uint8_t *limit = size == 0 ? at : at + size;
    size_t start = out->used;

    if (!nw_out_reserve(out, 2)) {
        return false;
    }
    out->bytes[out->used++] = '"';
    while (at < limit) {
        const uint8_t *end = limit - at > PIECE_SIZE ? at + PIECE_SIZE : limit;
        uint8_t *to;

        if (!nw_out_reserve(out, (size_t)(end - at) * 6 + 32)) {
            return false;
        }
        to = escape(out->bytes + out->used, &at, end, limit);
        out->used = (size_t)(to - out->bytes);
        if (at < end) {
            out->used = start;
            return print_bytes_value(out, bytes, size, spare);
        }
    }
    if (!nw_out_reserve(out, spare + 2)) {
        return false;
    }
    out->bytes[out->used++] = '"';
    return true;
}

void nw_json_name(struct nw_out *out, const char *name)
{
    const uint8_t *at = (const uint8_t *)name;
    const uint8_t *limit = at + strlen(name);

    if (!nw_out_reserve(out, (size_t)(limit - at) * 6 + 32)) {
        return;
    }
    out->bytes[out->used++] = '"';
    while (at < limit) {
        uint8_t *to = escape(out->bytes + out->used, &at, limit, limit);

        if (at < limit) {
            memcpy(to, "\\udc", 4);
            to = nw_print_hex(to + 4, at++, 1);
        }
        out->used = (size_t)(to - out->bytes);
    }
    out->bytes[out->used++] = '"';
}
