/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batches through the Arrow C Data Interface (include/narwal/arrow.h), without copying columns.
 *
 * What is exported points into the item's memory, and is counted: one counter for each item, one up
 * for each exported array tree, one down when the last array of the tree is released, on whatever
 * thread. The sequencer gives the item back to its lane only when its counter is zero. Arrays may
 * be moved out of their parents, as the interface allows. Schemas own all their memory.
 *
 *   field           format           meaning
 *   op              C                'I', 'U' or 'D'
 *   commit_lsn      L                start of the commit record; of copied rows, the fence
 *   row_lsn, seq    L, L             of the change; its index in the transaction
 *   xid             I                0 for copied rows
 *   commit_ts       tsu:UTC          0 for copied rows
 *   origin          u                replication origin, "" when local
 *   copy            b                the row comes from a table's copy
 *   before, after   +s               one child for each column; null: the row has no such image
 *   before_missing, after_missing  w:N   bit i of the row: column i was not sent
 *   exceptions      +l<+s>           {side C, column S, text u}: values without an exact form
 */
#ifndef NW_SINK_ARROW_H
#define NW_SINK_ARROW_H

#include <stdatomic.h>
#include <stdint.h>

#include <narwal/sink.h>

/**
 * Export the rows first_row .. first_row + rows_count - 1 of a batch.
 *
 * @param holds   the item's counter; must live until it is back to zero.
 * @param schema  give; NULL: not wanted.
 * @param array   give; NULL: not wanted.
 */
NW_MUST_CHECK nw_status nw_arrow_export(const struct nw_batch *batch, _Atomic uint32_t *holds,
                                        struct ArrowSchema *schema, struct ArrowArray *array,
                                        struct nw_error *err);

#endif
