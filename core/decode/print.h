/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PostgreSQL's text of values in their send formats, for types whose form in a batch is text, and
 * for the elements of arrays. Formats: the _out and _send functions of src/backend/utils/adt. No
 * state.
 */
#ifndef NW_DECODE_PRINT_H
#define NW_DECODE_PRINT_H

#include "decode/column.h"

/** @param oid  a base type. @return NULL when there is none. */
nw_print_fn nw_printer_of(uint32_t oid);

/** Append the text of an array with this type of element, which must be the one it names. */
enum nw_decoded nw_print_array(struct nw_buffer *out, const uint8_t *at, uint32_t size,
                               uint32_t element_oid);

#endif
