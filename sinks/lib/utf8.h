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
    if (at[0] >= 0xc2 && at[0] <= 0xdf) {
        return left >= 2 && nw_utf8_continues(at[1]) ? 2 : 0;
    }
    if (at[0] >= 0xe0 && at[0] <= 0xef && left >= 3) {
        bool good = nw_utf8_continues(at[1]) && nw_utf8_continues(at[2]) &&
                    (at[0] != 0xe0 || at[1] >= 0xa0) && (at[0] != 0xed || at[1] <= 0x9f);

        return good ? 3 : 0;
    }
    if (at[0] >= 0xf0 && at[0] <= 0xf4 && left >= 4) {
        bool good = nw_utf8_continues(at[1]) && nw_utf8_continues(at[2]) &&
                    nw_utf8_continues(at[3]) && (at[0] != 0xf0 || at[1] >= 0x90) &&
                    (at[0] != 0xf4 || at[1] <= 0x8f);

        return good ? 4 : 0;
    }
    return 0;
}

#endif
