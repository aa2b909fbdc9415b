/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether an update changes anything that its message says. Stateless; what is printed on the way
 * belongs to the caller.
 */
#ifndef NW_SINKS_LIB_FORMAT_CHANGED_H
#define NW_SINKS_LIB_FORMAT_CHANGED_H

#include "lib/format/envelope.h"

/**
 * Whether the row is the same after an update as before, in all columns of the batch. It is not
 * where the database did not send how a column was.
 *
 * @param row  of the batch; an update
 */
bool nw_batch_is_same(const struct nw_batch *batch, uint32_t row);

/**
 * The same in Connect's model: of the columns that have a schema, and as these have their values,
 * so that a time which is another one by less than its schema's unit is the same. A value that has
 * no place in its schema is not: who writes it says so.
 *
 * @param before  memory to print a value into
 * @param after   the same
 */
bool nw_row_is_same(const struct nw_row *row, struct nw_out *before, struct nw_out *after);

#endif
