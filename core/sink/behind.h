/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables that are behind: what comes of them out of a backlog (source/backlog.h) is older than the
 * sink's position. What the sink had of them at the start its position says table by table. A part
 * of the sequencer; its thread.
 */
#ifndef NW_SINK_BEHIND_H
#define NW_SINK_BEHIND_H

#include "sink/sequencer.h"

/** Whether what is dealt of a table, out of its backlog or not, is for this sink. */
bool nw_behind_is_for(const struct nw_sequencer *seq, uint32_t relation_oid, uint32_t backlog_oid);
/** At the start the sink had what is before this place of what is dealt out of a backlog. */
struct nw_place nw_behind_place(const struct nw_sequencer *seq, uint32_t relation_oid);
/** The first row of a batch, of a table that is behind, that the sink did not have, and that did
 * not commit before a fence. */
uint32_t nw_behind_rows(const struct nw_sequencer *seq, const struct nw_batch *batch,
                        uint64_t fence);
/** Whether a sink with this position has an event already. */
bool nw_event_before(const struct nw_event *event, uint64_t lsn);
/**
 * Whether a worker of this sink, which has all before lsn, has the event already.
 * @param backlog_oid  of the item that the event came in
 */
bool nw_behind_has_event(const struct nw_sequencer *seq, const struct nw_event *event,
                         uint32_t backlog_oid, uint64_t lsn);
/** The same of one of the event's tables, as the stream has it. */
bool nw_behind_has_event_of(const struct nw_sequencer *seq, const struct nw_event *event,
                            uint32_t relation_oid, uint64_t lsn);
/** What the sink has may be more than the stream has dealt since the start: a commit must not say
 * less. Of tables that are behind at other sinks only it says nothing, and what is left out at this
 * one alone it adds, as it does those that wait for their copy. Of the commit: its epoch, and the
 * LSN before which that has what the stream had; 0: not known. */
void nw_behind_say(const struct nw_sequencer *seq, uint64_t epoch, uint64_t reached_lsn,
                   struct nw_envelope *envelope);

#endif
