/* SPDX-License-Identifier: Apache-2.0 */
/* The shape of UTF-8 sequences (RFC 3629: no surrogates, nothing overlong). Stateless. */
#ifndef NW_SINKS_LIB_UTF8_H
#define NW_SINKS_LIB_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool nw_utf8_continues(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

/** Size of the sequence at `at`, which has its high bit set and `left` bytes; 0: not UTF-8. */
static inline size_t nw_utf8_size(const uint8_t *at, size_t left)
{
    /* The second byte's bounds are narrower behind some first bytes: nothing overlong, no
     * surrogates, nothing past U+10FFFF. */
    uint8_t low = at[0] == 0xe0 ? 0xa0 : at[0] == 0xf0 ? 0x90 : 0x80;
    uint8_t high = at[0] == 0xed ? 0x9f : at[0] == 0xf4 ? 0x8f : 0xbf;
    size_t size = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;

    if (at[0] < 0xc2 || at[0] > 0xf4 || left < size || at[1] < low || at[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < size; i++) {
        if (!nw_utf8_continues(at[i])) {
            return 0;
        }
    }
    return size;
}

/** Whether all of it is UTF-8. */
static inline bool nw_utf8_valid(const uint8_t *bytes, size_t size)
{
    for (size_t at = 0; at < size;) {
        size_t step = bytes[at] < 0x80 ? 1 : nw_utf8_size(bytes + at, size - at);

        if (step == 0) {
            return false;
        }
        at += step;
    }
    return true;
}

#endif
