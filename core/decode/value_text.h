/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Typed values of a batch as PostgreSQL prints them: DateStyle ISO, TimeZone UTC, the fewest digits
 * of a float. No state; any thread.
 */
#ifndef NW_DECODE_VALUE_TEXT_H
#define NW_DECODE_VALUE_TEXT_H

#include <stddef.h>

#include <narwal/batch.h>

/** The longest text of a type of fixed width. */
#define NW_VALUE_TEXT_SIZE 128u

/**
 * Print a value of fixed width that is present, without a final NUL.
 * @return how many bytes; 0: its width is not fixed, and its own bytes are its text (of BINARY they
 * are the value).
 */
size_t nw_value_text(char to[static NW_VALUE_TEXT_SIZE], const struct nw_column_schema *column,
                     const struct nw_value *value);

#endif
