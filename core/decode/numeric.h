/* SPDX-License-Identifier: Apache-2.0 */
/*
 * numeric: from text and from its send format, into 128-bit integers or into PostgreSQL's text.
 * Format: src/backend/utils/adt/numeric.c, numeric_send() and get_str_from_var(). No state.
 */
#ifndef NW_DECODE_NUMERIC_H
#define NW_DECODE_NUMERIC_H

#include "decode/column.h"

__extension__ typedef __int128 nw_int128;
__extension__ typedef unsigned __int128 nw_uint128;

#define NW_NUMERIC_POSITIVE          0x0000u
#define NW_NUMERIC_NEGATIVE          0x4000u
#define NW_NUMERIC_NAN               0xC000u
#define NW_NUMERIC_POSITIVE_INFINITY 0xD000u
#define NW_NUMERIC_NEGATIVE_INFINITY 0xF000u

/** A numeric in its send format, borrowed from the message: digits are base 10000, big-endian. */
struct nw_numeric {
    const uint8_t *digits;
    int32_t digits_count;
    int32_t weight; /* of the first digit: it counts 10000^weight */
    uint32_t sign;
    uint32_t scale; /* decimal digits shown after the point */
};

/** @return false when the bytes are no numeric. */
bool nw_numeric_read(const uint8_t *at, size_t size, struct nw_numeric *numeric);
/** Append PostgreSQL's text of it. @return false when memory is short. */
bool nw_numeric_print(const struct nw_numeric *numeric, struct nw_buffer *out);
/** value * 10^scale. @return false when that has no exact form of `precision` digits. */
bool nw_numeric_scaled(const struct nw_numeric *numeric, uint32_t precision, uint32_t scale,
                       nw_int128 *value);
/** The same from text. @return NW_DECODED, NW_DECODED_EXCEPTION (no exact form) or _MALFORMED. */
enum nw_decoded nw_numeric_parse(const uint8_t *at, size_t size, uint32_t precision, uint32_t scale,
                                 nw_int128 *value);

#endif
