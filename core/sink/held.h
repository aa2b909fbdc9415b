/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the stream brings of a table that is copied while it streams: it is held beside the log from
 * the stream's mark on, which says that a copy comes. When the copy's fence is known, what
 * committed before it goes; when the copy is whole, its end and then the rest go to the log, in one
 * piece and so into one epoch. Positions do not wait for what is held: the mark is in the sink's
 * own commit, so whoever finds it there without the copy's end copies the table again.
 *
 * A busy table's changes come as many small batches, for as long as its copy takes. They are
 * copied into packs, one for each table at a time, which are entries of their own when they are
 * full: spilled, delivered and replayed as one. So it is the spill quota that bounds what is held,
 * and the memory for it is one pack for each table and some hundred bytes for each that is full.
 *
 * A part of the sequencer; its thread.
 */
#ifndef NW_SINK_HELD_H
#define NW_SINK_HELD_H

#include "sink/copies.h"

/** Whether an entry that the sink is to get has to wait for its table's copy. */
bool nw_held_wants(const struct nw_sequencer *seq, const struct nw_entry *entry);
/** By which an event that is held is before or behind a fence. */
uint64_t nw_held_event_lsn(const struct nw_event *event);
/** Whether it is about several tables, of which some hold theirs behind their copies, and all of it
 * is for the sink. */
bool nw_held_splits(const struct nw_sequencer *seq, const struct nw_entry *entry);
/** Take each table's part of it as if it had come alone; the entry goes. */
NW_MUST_CHECK nw_status nw_held_split(struct nw_sequencer *seq, struct nw_entry *entry,
                                      struct nw_error *err);
/** Hold it. NW_REJECT: there are too many. */
NW_MUST_CHECK nw_status nw_held_take(struct nw_sequencer *seq, struct nw_entry *entry,
                                     struct nw_error *err);
/** What comes of the table is held from this place on, and the sink is to get all of it. */
void nw_held_from(struct nw_sequencer *seq, struct nw_followed *slot, struct nw_place place);
/** From where on the sink lacks the table, which is held, or was when narwal ended; UINT64_MAX: no
 * more than others. */
uint64_t nw_held_lacks(const struct nw_sequencer *seq, uint32_t relation_oid);
/** Say from where on the sink lacks something, before any commit of what comes behind it. */
void nw_held_tell(struct nw_sequencer *seq);
/** The commit under way happened. */
void nw_held_durable(struct nw_sequencer *seq);
/** Adds to what a commit's position says the tables of which the sink has less, for they are held,
 * or were when narwal ended. @param reached_lsn  before which the epochs have all that is not held
 */
void nw_held_say(const struct nw_sequencer *seq, uint64_t epoch, uint64_t reached_lsn,
                 uint64_t position_lsn, struct nw_behind_list *list);
/** The fence is known: what is in the copy goes. */
void nw_held_trim(struct nw_sequencer *seq, struct nw_followed *slot);
/** Copies that are whole go to the log with what waited for them, once the order allows it. */
void nw_held_release(struct nw_sequencer *seq);
/** The table's copy will not come: nor does what still comes of it. What waits for it goes, or to
 * the sink, if that keeps what it has. */
void nw_held_forget(struct nw_sequencer *seq, struct nw_followed *slot);
/** Stop a table when nothing moves any more for what is held of it. */
NW_MUST_CHECK nw_status nw_held_check(struct nw_sequencer *seq, struct nw_error *err);

#endif
