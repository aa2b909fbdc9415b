/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spilling: items that the sink does not need soon leave memory for scratch files, when the memory
 * budget is pressed, and come back when it is their turn.
 *
 * Files are this sink's alone, live as long as the sequencer, and are never read by another run:
 * whatever is in the folder at start is removed. A file holds item bodies as they were in memory,
 * one after the other; the headers stay in memory (sizeof(struct nw_item) for each item). What is
 * read back must have the hash that was taken when it was written.
 *
 * Owned by the sequencer's thread. Nothing here blocks but the opening and removal of files.
 */
#ifndef NW_SINK_SPILL_H
#define NW_SINK_SPILL_H

#include "sink/sequencer.h"

/** Files of one sink. Each is as long as the quota divided by this, and at least the minimum. */
#define NW_SPILL_SEGMENTS_MAX  256u
#define NW_SPILL_SEGMENT_BYTES (64u << 20)
/** Reads and writes under way. */
#define NW_SPILL_QUEUE_DEPTH 16u
/** Items smaller than this stay in memory. */
#define NW_SPILL_ITEM_BYTES_MIN 2048u
/** And larger ones: a file operation's result is an int32. */
#define NW_SPILL_ITEM_BYTES_MAX (1u << 30)
/** Batches after the cursor that are kept in memory or read ahead; in total order, of a group. */
#define NW_SPILL_AHEAD 8u
/** How long everything must stand still until the open epoch's replay is given up. */
#define NW_SPILL_STUCK_NS 1000000000

/** Make the folder, empty it, and set seq->spill. */
NW_MUST_CHECK nw_status nw_spill_create(struct nw_sequencer *seq, struct nw_error *err);
/** Wait for what is under way. NULL spill is fine, here and below. */
void nw_spill_quiesce(struct nw_sequencer *seq);
/** Remove the files. Quiesced; all entries are forgotten. */
void nw_spill_destroy(struct nw_sequencer *seq);

/** Write, read ahead, and take what is finished. */
NW_MUST_CHECK nw_status nw_spill_step(struct nw_sequencer *seq, uint32_t *work,
                                      struct nw_error *err);
/**
 * An epoch that is larger than the budget and the quota could never end: the lanes wait for memory
 * that only its commit would free. When nothing moves any more, what was delivered of it is given
 * up; should the sink then fail before its commit, the run ends and the source sends it again.
 */
void nw_spill_give_up(struct nw_sequencer *seq, uint32_t *work);
/** Whether nothing more can be spilled now: no folder, no quota, or no disk. */
bool nw_spill_useless(const struct nw_sequencer *seq);
/** Whether that is because the disk takes nothing; it is tried again. */
bool nw_spill_broken(const struct nw_sequencer *seq);
/** Whether neither a worker nor the disk has anything of this sink under way. */
bool nw_spill_rests(const struct nw_sequencer *seq);
/** When the sequencer has to be stepped again. */
int64_t nw_spill_deadline(const struct nw_sequencer *seq, int64_t now_ns);
/** Whether entry->item can be read now; if not, it is being fetched. It stays until delivered. */
bool nw_spill_in_memory(struct nw_sequencer *seq, struct nw_entry *entry);
/**
 * The same, in total order, where many entries are under way: it goes over the budget only when
 * nothing else of this sink could still give memory back.
 */
bool nw_spill_fetch(struct nw_sequencer *seq, struct nw_entry *entry);
/** Begin to read it while the budget has room. */
void nw_spill_prefetch(struct nw_sequencer *seq, struct nw_entry *entry);
/**
 * The entry leaves for good: give up its place in the file and our own copy of it.
 * @return false while it is being written or read.
 */
bool nw_spill_release(struct nw_sequencer *seq, struct nw_entry *entry);

#endif
