/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows that the sink refuses and that become dead letters instead of stopping their table. A part
 * of the sequencer; its thread.
 *
 * Which row of a batch it is a sink does not say. The batch is given again, row by row, after the
 * recover that follows every failure; the row that is refused then is left out from there on, and
 * the sink recovers once more: what was taken alone is given together again, the rest of that batch
 * row by row. So k refused rows of a batch cost k + 1 recovers, and what is not refused costs
 * nothing. Rows with a value that the sink says it cannot take are known without asking.
 *
 * Letters are written by the sink's coordinator before the commit of what they are left out of: a
 * crash between the two finds them written, and knows the rows when they come again.
 */
#ifndef NW_SINK_LETTERS_H
#define NW_SINK_LETTERS_H

#include "sink/letter.h"
#include "sink/sequencer.h"

/** With options.letters. */
NW_MUST_CHECK nw_status nw_letters_create(struct nw_sequencer *seq, struct nw_error *err);
void nw_letters_destroy(struct nw_sequencer *seq);

/** Whether rows of a batch are to be looked at one by one. */
bool nw_letters_concern(const struct nw_sequencer *seq, const struct nw_entry *entry,
                        const struct nw_batch *batch, uint32_t first_row);
/** As nw_dispatch_rows(), without those that are left out. */
NW_MUST_CHECK nw_status nw_letters_dispatch(struct nw_sequencer *seq, struct nw_entry *entry,
                                            const struct nw_batch *batch, uint32_t first_row,
                                            uint32_t rows_count, struct nw_error *err);
/** A write of an entry whose rows are given one by one is done. */
void nw_letters_accepted(const struct nw_task *task);
/**
 * A write was refused.
 * @return NW_OK: the sink is to recover, and gets the rest; else the table stops, and err says why
 */
NW_MUST_CHECK nw_status nw_letters_refused(struct nw_sequencer *seq, const struct nw_task *task,
                                           struct nw_error *err);
/**
 * Hand what waits to the coordinator, which is free.
 * @param commits  a commit is next, which rows that were refused have to be written before
 * @return false: there is nothing
 */
bool nw_letters_post(struct nw_sequencer *seq, bool commits);
/** It is back. */
NW_MUST_CHECK nw_status nw_letters_written(struct nw_sequencer *seq, const struct nw_task *task);
/** A commit happened; the states of its copies are in seq->commit_copies. */
void nw_letters_durable(struct nw_sequencer *seq);
/** How many rows of an entry are left out; the entry leaves, and forgets them. */
uint32_t nw_letters_leave(struct nw_entry *entry);

#endif
