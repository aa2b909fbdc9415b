/* SPDX-License-Identifier: Apache-2.0 */
/* See utf8.h. ASCII is passed eight bytes at a time. */
#include "base/utf8.h"

#include <string.h>

#define HIGH_BITS UINT64_C(0x8080808080808080)

/* How many bytes at the start are ASCII, without a look at the last seven. */
static size_t ascii_size(const uint8_t *at, size_t size)
{
    size_t passed = 0;

    while (size - passed >= sizeof(uint64_t)) {
        uint64_t word;

        memcpy(&word, at + passed, sizeof word);
        if ((word & HIGH_BITS) != 0) {
            break;
        }
        passed += sizeof word;
    }
    return passed;
}

/* The size of a sequence that begins with a byte of 0x80 or more; 0: it is none. The second byte's
 * bounds are narrower behind some first ones. */
static size_t sequence_size(const uint8_t *at, size_t left)
{
    uint8_t low = at[0] == 0xe0 ? 0xa0 : at[0] == 0xf0 ? 0x90 : 0x80;
    uint8_t high = at[0] == 0xed ? 0x9f : at[0] == 0xf4 ? 0x8f : 0xbf;
    size_t size = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;

    if (at[0] < 0xc2 || at[0] > 0xf4 || left < size || at[1] < low || at[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < size; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return size;
}

bool nw_utf8_is_valid(const uint8_t *at, size_t size)
{
    while (size > 0) {
        size_t passed = ascii_size(at, size);

        if (passed == 0) {
            passed = *at < 0x80 ? 1 : sequence_size(at, size);
            if (passed == 0) {
                return false;
            }
        }
        at += passed;
        size -= passed;
    }
    return true;
}
