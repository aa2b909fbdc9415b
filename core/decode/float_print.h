/* SPDX-License-Identifier: Apache-2.0 */
/*
 * float4 and float8 as PostgreSQL prints them with extra_float_digits above 0: the fewest digits
 * that read back as the same number, and of those the nearest. Format: src/common/f2s.c and d2s.c
 * of PostgreSQL 12 and later. No state.
 */
#ifndef NW_DECODE_FLOAT_PRINT_H
#define NW_DECODE_FLOAT_PRINT_H

#include <stddef.h>

#define NW_FLOAT_TEXT_SIZE 40

/** Each returns how many bytes it wrote, without a final NUL. */
size_t nw_float_print(char to[static NW_FLOAT_TEXT_SIZE], float value);
size_t nw_double_print(char to[static NW_FLOAT_TEXT_SIZE], double value);

#endif
