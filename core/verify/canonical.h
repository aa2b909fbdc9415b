/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Canonical bytes: what stands for a value when two copies are compared by hashes. The other side
 * is computed in SQL; the expressions are in docs/values.md, "Canonical bytes", which is where both
 * are specified. No state; any thread.
 */
#ifndef NW_VERIFY_CANONICAL_H
#define NW_VERIFY_CANONICAL_H

#include "decode/buffer.h"
#include <narwal/batch.h>
#include <narwal/status.h>

/** Size of a NULL in a row's canonical bytes, as in COPY BINARY. */
#define NW_CANONICAL_NULL 0xffffffffu

/**
 * Append the canonical bytes of a value.
 *
 * @param column  the value's.
 * @param value   PRESENT or EXCEPTION; NULL and missing have no bytes and are the caller's to tell.
 * @return NW_FATAL when memory is short or `out` would pass NW_BUFFER_SIZE_MAX: it is as it was.
 */
NW_MUST_CHECK nw_status nw_canonical_value(const struct nw_column_schema *column,
                                           const struct nw_value *value, struct nw_buffer *out,
                                           struct nw_error *err);

/**
 * Append the canonical bytes of a row: of each column of its schema version, in their order, the
 * size of the value's (4 bytes, big-endian), then these; NW_CANONICAL_NULL alone for NULL.
 *
 * @param side   NW_BEFORE or NW_AFTER
 * @param whole  filled: false when the row has no such image, or a value of it is missing; it has
 * no canonical bytes then, and nothing is appended.
 * @return as nw_canonical_value(); the text does not name the table.
 */
NW_MUST_CHECK nw_status nw_canonical_row(const struct nw_batch *batch, int side, uint32_t row,
                                         bool *whole, struct nw_buffer *out, struct nw_error *err);

#endif
