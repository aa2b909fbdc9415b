#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does the simulator see the mistakes that it is there for?

Each mutant is one deliberate mistake: a change of one place in a source file. The changed copy is
compiled and linked before the libraries, so it takes the place of the right one; then the simulator
must fail within a number of seeds. Where the simulator does not come by, a unit test must fail. The
source tree is not touched.

usage: mutants.py BUILD_DIR [--seeds N] [--only NAME] [--share N] [--places]

--share N plays every Nth, others each day; --places only looks whether each still has its place.
"""

import argparse
import concurrent.futures
import datetime
import json
import pathlib
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]

# name, file, what is there, what the mistake makes of it[, the unit test that sees it]
MUTANTS = [
    ("acknowledge what one sink has", "core/pipeline/acknowledge.c",
     "lowest = a->durable[i] < lowest ? a->durable[i] : lowest;",
     "lowest = i == 0 ? a->durable[i] : lowest;"),
    ("acknowledge the most that a sink has", "core/pipeline/acknowledge.c",
     "if (lowest > a->durable_all && lowest <= a->ended) {",
     "lowest = highest;\n    if (lowest > a->durable_all && lowest <= a->ended) {"),
    ("acknowledge the position of the next epoch", "core/pipeline/acknowledge.c",
     "uint64_t safe = a->lsns[lowest % EPOCHS_MAX];",
     "uint64_t safe = a->lsns[(lowest + (lowest < a->ended)) % EPOCHS_MAX];"),
    ("acknowledge what ended", "core/pipeline/acknowledge.c",
     "uint64_t safe = a->lsns[lowest % EPOCHS_MAX];",
     "uint64_t safe = a->lsns[a->ended % EPOCHS_MAX];"),
    ("tell the server before it is recorded", "core/pipeline/acknowledge.c",
     "nw_jobs_submit(a->options.jobs, &a->job);",
     "nw_source_acknowledge(a->options.source, a->wanted_lsn);\n"
     "        nw_jobs_submit(a->options.jobs, &a->job);"),
    ("tell the server what was received", "core/source/stream.c",
     ".flushed_lsn = source->flush_lsn,", ".flushed_lsn = written,"),
    ("answer a keepalive with its own LSN", "core/source/stream_messages.c",
     "source->demanded = source->demanded || data.reply;",
     "source->demanded = source->demanded || data.reply;\n"
     "        source->flush_lsn = data.reply ? data.end_lsn : source->flush_lsn;"),
    ("deal again what was dealt", "core/source/dealer.c",
     "return lsn <= dealer->dealt.done_lsn ||", "return false && lsn <= dealer->dealt.done_lsn &&"),
    ("drop all of a transaction that was begun", "core/source/dealer.c",
     "dealer->seq < dealer->dealt.partial_seq", "dealer->dealt.partial_seq > 0"),
    ("end an epoch inside a broken transaction", "core/source/dealer.c",
     "dealer->state.between = !half_dealt(dealer) &&", "dealer->state.between ="),
    ("say begin again after a reconnect", "core/source/dealer.c",
     "nw_dealer_transaction_over(dealer);\n    dealer->relation_waits = false;",
     "nw_dealer_transaction_over(dealer);\n    dealer->dealt.begun_lsn = 0;\n    dealer->relation_waits = false;"),
    ("move the position to the start of the commit and before", "core/source/dealer.c",
     "nw_dealer_advance(dealer, commit->end_lsn);",
     "nw_dealer_advance(dealer, commit->commit_lsn);"),
    ("count only wanted changes", "core/source/dealer.c",
     "    if (!is_to_deal(dealer, slot)) {\n        nw_dealer_change_done(dealer);",
     "    if (!is_to_deal(dealer, slot)) {\n        if (!slot->wanted) {\n            return NW_OK;\n        }\n"
     "        nw_dealer_change_done(dealer);"),
    ("keep the origin of the transaction before", "core/source/dealer.c",
     "dealer->origin[0] = '\\0';", ""),
    ("forget that a message was seen", "core/source/dealer_events.c",
     "message.lsn <= dealer->state.position_lsn)", "false)"),
    ("forget aborts of subtransactions", "core/txn/txns.c",
     "txn->aborted[txn->aborted_count++] = subxid;", "txn->aborted[txn->aborted_count] = subxid;"),
    ("undo all with a subtransaction", "core/txn/txns.c",
     "if (subxid == xid) {", "if (subxid >= xid) {"),
    ("forget the chunk that is still in memory", "core/txn/txns.c",
     "if (txns->chunk_at == chunk->size) {",
     "if (txns->chunk_at == chunk->size || txns->reading->file_bytes > 0) {"),
    ("keep streamed changes over a reconnect", "core/source/stream_messages.c",
     "nw_txns_reset(source->options.txns);\n    nw_told_reset", "nw_told_reset"),
    ("read what was given ahead behind a failure", "core/source/copy.c",
     "if (task->turn == reader->turn_over ||", "if ("),
    ("ignore a changed relation", "core/source/schemas.c",
     "strcmp(column->name, said->name) == 0;", "true;"),
    ("take a later catalog's numbers for exact", "core/source/schemas.c",
     "version->guessed = !all_exact(table);", "version->guessed = false;", "test_schemas"),
    ("do not send again what was not committed", "core/sink/dispatch.c",
     "seq->cursor = seq->log.first;\n    seq->hand_new", "seq->cursor = NULL;\n    seq->hand_new"),
    ("take a row twice at the sink's position", "core/sink/sequencer.c",
     "if (batch->commit_lsn[middle] < limit_lsn) {",
     "if (batch->commit_lsn[middle] + 64 < limit_lsn) {"),
    ("move past the end of a message", "core/source/dealer_events.c",
     "nw_dealer_advance(dealer, message.lsn);", "nw_dealer_advance(dealer, message.lsn + 1);"),
    ("believe a table that was rewritten", "core/source/copy.c",
     "} else if (same.size != 1 || same.at[0] != 't') {", "} else if (same.size != 1) {"),
    ("copy under another snapshot", "core/source/copy.c",
     "memcmp(snapshot.at, task->snapshot, snapshot.size) != 0) {", "false) {"),
    ("say that a copy ends before its last rows", "core/source/copy.c",
     "nw_status status = open_flush(reader);",
     "nw_status status = kind == NW_BLOCK_COPY_END ? NW_OK : open_flush(reader);"),
    ("copy for a sink that has its copies", "core/sink/copies.c",
     "(!slot->takes && !entry->stream)", "false"),
    ("stream rows that the copy has", "core/sink/sequencer.c",
     "return nw_batch_rows_from(batch, position > fence ? position : fence);",
     "return nw_batch_rows_from(batch, position > fence ? position : position);"),
    ("empty a copy that was made later", "core/sink/sequencer.c",
     "event->commit_lsn >= nw_sequencer_fence_of(seq, event->tables[0]->relation_oid)",
     "event->commit_lsn + 1 > 0"),
    ("judge a truncate by a fence that came behind it", "core/sink/dispatch.c",
     "(event->tables_count == 1 ||", "(false ||"),
    ("write no mark into the commit", "core/sink/copies.c",
     "entry->kind != NW_ITEM_COPY_BEGIN && entry->kind", "entry->kind"),
    ("mark a table at sinks that are not named", "core/sink/copies.c",
     "(item->as.mark.joining_sinks >> seq->options.index & 1u) == 0",
     "item->as.mark.joining_sinks == 0"),
    ("hold nothing from the mark on", "core/sink/copies.c",
     "slot->takes = slot->holds = true;", "slot->takes = true;"),
    ("count the mark before", "core/sink/copies.c",
     "    copy_begin(slot, item);\n    slot->takes = slot->holds",
     "    slot->generation = item->generation;\n    slot->takes = slot->holds"),
    ("do not hold rows", "core/sink/held.c", "return entry->stream;", "return false;"),
    ("do not hold events", "core/sink/held.c",
     "case NW_ITEM_EVENT:\n        return true;", "case NW_ITEM_EVENT:\n        return false;"),
    ("let the copy's end go before what is held", "core/sink/held.c",
     "return entry->copy_whole;", "return false;"),
    ("keep what is in the copy until it is whole", "core/sink/held.c",
     "entry->last_lsn < slot->fence_lsn) {", "false) {", "test_sequencer_held"),
    ("drop what is held and not in the copy", "core/sink/held.c",
     "entry->last_lsn < slot->fence_lsn) {", "entry->last_lsn <= slot->fence_lsn + 400) {"),
    ("release rows that are in the copy", "core/sink/held.c",
     "entry->limit_lsn = fence_lsn;", "entry->limit_lsn = 0;"),
    ("release what is held before the copy's end", "core/sink/held.c",
     "for (int ends = 1; ends >= 0; ends--) {", "for (int ends = 0; ends >= 0; ends--) {"),
    ("hold behind the copy's end", "core/sink/held.c",
     "slot->holds = slot->ended = false;", "slot->ended = false;"),
    ("release what is held inside a flush", "core/sink/held.c",
     "if (!seq->copies_ended || seq->run_open) {", "if (!seq->copies_ended) {",
     "test_sequencer_copies"),
    ("leave what is released in the epoch in which it came", "core/sink/held.c",
     "entry->epoch = seq->epoch_open;", "", "test_sequencer_held"),
    ("release packed rows that are in the copy", "core/sink/dispatch.c",
     "first = nw_behind_rows(seq, batch, pack->limit_lsn);",
     "first = nw_behind_rows(seq, batch, 0);"),
    ("release packed events that are in the copy", "core/sink/dispatch.c",
     "nw_held_event_lsn(&item->as.event) < pack->limit_lsn", "false"),
    ("go on in the middle of a pack when the sink comes back", "core/sink/dispatch.c",
     "entry->row_next = entry->first_row;",
     "entry->row_next = entry->kind == NW_ITEM_PACK ? entry->row_next : entry->first_row;"),
    ("do not move what is packed when a pack grows", "core/sink/held.c",
     "nw_item_relocate(moved, former);", "(void)former;", "test_sequencer_held"),
    ("add to a pack behind a large item", "core/sink/held.c",
     "        pack_close(seq, slot);\n        held_append(seq, entry);",
     "        held_append(seq, entry);", "test_sequencer_held"),
    ("spill no pack that was closed behind the hand", "core/sink/held.c",
     "if (seq->hand_held == NULL) {", "if (seq->held.count == 1) {", "test_sequencer_held"),
    ("take up a table with all that was passed over", "core/source/dealer_tables.c",
     "slot->joins_lsn = join->from_lsn;", "slot->joins_lsn = 0;"),
    ("take up a table as it was", "core/source/dealer_tables.c",
     "if (join->from_lsn != 0 && !join->leaves) {", "if (false) {"),
    ("give back a table that stopped with its next mark at another sink", "core/sink/copies.c",
     "        slot->takes = false;\n        slot->fence_lsn = fence_lsn;",
     "        slot->takes = false;\n        slot->fence_lsn = fence_lsn == UINT64_MAX ? 0 : fence_lsn;"),
    ("take a begun copy for a whole one", "core/sink/commit.c",
     "count += seq->commit_copies[i].complete;", "count += 1;"),
    ("forget what a copy committed when the sink comes back", "core/sink/dispatch.c",
     "NW_COPY_RESUME, err);", "NW_COPY_DISCARD, err);"),
    ("drop rows that a broken session brought", "core/source/copy.c",
     "    if (open_flush(reader) != NW_OK) {\n        return false;\n    }",
     "    if (reader->open != NULL) {\n        nw_producer_put(reader->options.producer, reader->open);\n"
     "        reader->open = NULL;\n    }"),
    ("drop rows that came before a lock was let go", "core/source/copy.c",
     "status = open_flush(reader); /* what came before is dealt and counted */",
     "if (reader->open != NULL) {\n            nw_producer_put(reader->options.producer, reader->open);\n"
     "            reader->open = NULL;\n        }"),
    ("read a chunk again from its beginning", "core/source/copy.c",
     "reader->task->rows++;", ""),
    ("end a chunk that was given up", "core/source/copy.c",
     "    if (reader->failed) {\n        status = open_flush",
     "    if (reader->failed && reader->task->outcome != NW_COPY_LOCKED) {\n        status = open_flush"),
    ("take a copy for whole before its last chunk", "core/sink/copies.c",
     "++slot->chunks_ended == entry->item->as.mark.chunks_count;",
     "++slot->chunks_ended + 1 >= entry->item->as.mark.chunks_count;"),
    ("count the chunks of the copy before", "core/sink/copies.c", "slot->chunks_ended = 0;", ""),
    ("keep the fence of a rewritten table", "core/sink/copies.c",
     "if (slot->fence_lsn == fence_lsn || (nw_copies_append(seq) && slot->fence_lsn != 0)) {",
     "if (slot->fence_lsn != 0) {"),
    ("take rows of a copy that was superseded", "core/sink/copies.c",
     "*wanted = item->as.batch.generation == slot->generation;",
     "*wanted = item->as.batch.generation <= slot->generation;"),
    ("count chunks of a copy that was superseded", "core/sink/copies.c",
     "if (entry->item->generation != slot->generation) {",
     "if (entry->item->generation > slot->generation) {"),
    ("begin a copy with every chunk", "core/sink/copies.c",
     "bool begins = item->generation > slot->generation;",
     "bool begins = item->generation >= slot->generation;"),
    ("forget which chunks are durable", "core/sink/copies.c",
     "made->progress = *slot->durable;", ""),
    ("go on with a copy that broke off under the second fence alone", "core/source/copy.c",
     "block->mark = reader->task->mark;",
     "block->mark = reader->task->mark;\n"
     "        block->mark.origin.fence_lsn = reader->task->fence_lsn;"),
    ("begin a copy that goes on", "core/sink/copies.c",
     "    slot->generation = generation;\n", "    slot->generation = generation - 1;\n"),
    ("count chunks of a copy that goes on twice", "core/sink/copies.c",
     "    slot->durable->chunks_done = 0; /* every", "    /* every"),
    ("forget what a former life made durable", "core/sink/copies.c",
     "    *slot->durable = *durable;\n", "    slot->durable->origin = durable->origin;\n"
     "    slot->durable->ranges_count = 0;\n    slot->durable->complete = false;\n"),
    ("say that chunks behind the commit are in it", "core/sink/copies.c",
     "entry = seq->log.first; entry != last;", "entry = seq->log.first; entry != NULL;"),
    ("take chunks with a gap between them for one", "core/source/copy_state.c",
     "left->end_page >= right->first_page;", "left->end_page + 20 >= right->first_page;"),
    ("acknowledge what is not written to the spool", "core/source/spool_write.c",
     "return spool->synced.lsn;", "return spool->end.lsn;"),
    ("acknowledge what is written to the spool and not synced", "core/source/spool_write.c",
     "return spool->synced.lsn;", "return spool->written.lsn;"),
    ("acknowledge what a sync of the spool began after", "core/source/spool_write.c",
     "return spool->synced.lsn;",
     "return spool->sync_busy ? spool->sync_end.lsn : spool->synced.lsn;"),
    ("go on in a spool without a sync of what was found", "core/source/spool_open.c",
     "op.file = file;\n        status = nw_spool_run(spool, &op, err);", "op.file = file;"),
    ("take for written what the full disk refused", "core/source/spool.c",
     "chunk->refused = has_no_room(&chunk->op);",
     "chunk->refused = has_no_room(&chunk->op) && false;\n    result = result < 0 ? 0 : result;"),
    ("end the attempt when the spool's disk is full", "core/source/spool.c",
     "chunk->refused = has_no_room(&chunk->op);", "chunk->refused = false;"),
    ("trim the spool before the sinks have it", "core/source/stream_spool.c",
     "recorder->marks[recorder->marks_head].lsn <= lsn", "lsn > 0"),
    ("trim the spool before a message of no transaction is at the sinks", "core/source/stream_spool.c",
     "lsn = dealt.position_lsn > lsn ? dealt.position_lsn : lsn;", ""),
    ("begin in the middle of the spool without what was said before", "core/source/stream_spool.c",
     "status = nw_dealer_resume(source->options.dealer, message, err);", ""),
    ("begin a segment of the spool inside a transaction", "core/source/relations.c",
     "return !relations->in_transaction && !relations->in_stream &&", "return !relations->in_stream &&"),
    ("begin a segment of the spool in a streamed transaction", "core/source/relations.c",
     "relations->xids_count == 0 &&", ""),
    ("forget what a streamed transaction said", "core/source/relations.c", "said->xid = 0;",
     "said->xid = UINT32_MAX;"),
    ("record no new connection", "core/source/stream_spool.c",
     "recorder->restarted = recorder->recording;", "recorder->restarted = false;"),
    ("play no new connection", "core/source/stream_spool.c",
     "        nw_source_forget(source);\n        return NW_OK;\n    case NW_SPOOL_POSITION:",
     "        return NW_OK;\n    case NW_SPOOL_POSITION:"),
    ("begin behind the spool's end", "core/source/stream.c",
     "lsn = spool.end_lsn > lsn ? spool.end_lsn : lsn;",
     "lsn = source->server_lsn > lsn ? source->server_lsn : lsn;"),
    ("deal the spool while the copy runs", "core/source/stream_spool.c",
     "recorder->recording && !recorder->holding", "recorder->recording"),
    ("give epochs of the copy a position", "core/source/stream.c",
     "return source->phase == NW_SOURCE_COPYING || source->recorder.holding;",
     "return source->phase == NW_SOURCE_COPYING;"),
    ("remove the spool before the sinks have it", "core/source/stream_spool.c",
     "recorder->end_lsn != 0 && lsn >= recorder->end_lsn", "recorder->end_lsn != 0 && lsn > 0"),
    ("go live in the middle of what a connection before sent", "core/source/stream_spool.c",
     "if (source->phase != NW_SOURCE_STREAMING || recorder->restarted) {", "if (false) {"),
    ("deal from where the server sends, not from where the spool begins", "core/source/stream.c",
     "source->options.spool == NULL ? lsn : source->options.spool_lsn", "lsn"),
    ("keep playing a stream that a new connection left open", "core/source/stream_messages.c",
     "source->in_stream = source->replaying = source->has_record = false;",
     "source->replaying = source->has_record = false;"),
    ("forget what was dealt of a backlog and is not durable", "core/source/stream_backlog.c",
     "return backlog->state != NW_BACKLOG_GIVEN_UP && backlog != source->backlogs.ending;",
     "return backlog->state < NW_BACKLOG_DONE;"),
    ("commit less than a sink has of a table that is behind", "core/sink/behind.c",
     "table.place = nw_place_before(table.place, has) ? has : table.place;", "(void)has;"),
    ("filter rows out of a backlog by the position", "core/sink/sequencer.c",
     "entry->item->backlog_oid != 0\n                               ? nw_behind_rows(",
     "false\n                               ? nw_behind_rows("),
    ("take rows out of a backlog twice", "core/sink/behind.c",
     "    while (row < batch->rows_count &&", "    while (false && row < batch->rows_count &&"),
    ("deal a backlog before the furthest sink's position", "core/source/stream_backlog.c",
     "state.position_lsn < source->options.play_lsn", "false"),
    ("deal a backlog of which more is to be received", "core/source/stream_backlog.c",
     "state.position_lsn >= nw_backlog_end_lsn(b)", "state.position_lsn > 0"),
    ("take half a transaction at a backlog's end for all of it", "core/source/dealer_backlog.c",
     "return dealer->dealt.partial_lsn <= dealer->dealt.done_lsn;", "return true;"),
    ("go on in the stream with what was dealt of a backlog", "core/source/dealer_backlog.c",
     "dealer->dealt = dealer->stream_dealt;", ""),
    ("forget what was dealt of a backlog", "core/source/dealer_backlog.c",
     "dealer->playing->dealt = dealer->dealt;", ""),
    ("remove a backlog before it is durable at the sinks", "core/source/stream_backlog.c",
     "b->end_epoch <= backlogs->durable_epoch &&", "true &&"),
    ("stop a table again for what a former life dealt", "core/source/dealer_backlog.c",
     "dealer->playing != NULL ? NULL : backlog_of(dealer, relation_oid);\n\n"
     "    return backlog != NULL && backlog->sinks == 0;",
     "NULL;\n\n    (void)dealer;\n    (void)relation_oid;\n    return backlog != NULL;"),
    ("keep a table for one sink and deal it to none", "core/source/dealer_backlog.c",
     "return backlog != NULL && backlog->sinks == 0;\n}\n\nbool nw_dealer_keeps_later",
     "return backlog != NULL;\n}\n\nbool nw_dealer_keeps_later"),
    ("deal the past of a table to all sinks", "core/sink/behind.c",
     "return backlog_oid != 0 ? side_of(seq, backlog_oid) != NW_APART_WHOLE",
     "return backlog_oid != 0 ? true"),
    ("deal a sink what is kept for it", "core/sink/behind.c",
     ": side_of(seq, relation_oid) != NW_APART_KEPT;", ": true;"),
    ("say of all sinks that a table is behind", "core/sink/behind.c",
     "if (side_of(seq, table.relation_oid) != NW_APART_WHOLE && !is_said_anew(seq, &table)) {", "if (true) {"),
    ("let the past of a table be its present", "core/source/dealer_backlog.c",
     "nw_schemas_exchange(dealer->options.schemas, next->table);\n    nw_notes_drop",
     "nw_notes_drop", "test_dealer_backlog"),
    ("never go on with the others", "core/sink/copies.c",
     "slot->apart = NW_APART_NONE;\n    }\n}", "}\n}"),
    ("go on though a table was kept for some before", "core/source/dealer_tables.c",
     "stop->again = nw_dealer_was_apart(dealer, table->relation_oid);", "stop->again = false;"),
    ("keep for one sink from the first change on", "core/source/dealer_backlog.c",
     "dealer->stop.place = (struct nw_place){.commit_lsn = apart->from_lsn};", ""),
    ("end an epoch between tables of a truncate", "core/source/dealer.c",
     "|| dealer->truncates_done > 0;", ";", "test_dealer"),
    ("take what only the catalog has for what a table was", "core/source/dealer_tables.c",
     ".seen = is_seen(dealer, table)", ".seen = is_seen(dealer, table) || true", "test_dealer_backlog"),
    ("keep changes without the columns that were said before", "core/source/backlog.c",
     "if (status != NW_OK || backlog->relation_added ||", "if (status != NW_OK || true ||",
     "test_dealer_backlog"),
    ("keep nothing of what a spool begins with", "core/source/backlog.c",
     "    if (backlog->relation_added && is_said(backlog, change->message)) {",
     "    if (change->begin == NULL || (backlog->relation_added && is_said(backlog, change->message))) {",
     "test_dealer_backlog"),
    ("pass over the columns of what an earlier run dealt", "core/source/dealer_tables.c",
     "nw_dealer_dealt_before(dealer) &&\n           nw_schemas_is_placed(dealer->options.schemas, current);",
     "nw_dealer_dealt_before(dealer);", "test_dealer_tables"),
    ("say nothing of what is left out", "core/source/dealer_backlog.c",
     "!nw_dealer_has_backlog(dealer, lacks->relation_oid)) {", "false) {", "test_dealer_backlog"),
    ("say nothing of what one sink is left out of", "core/sink/behind.c",
     "bool said = !followed->left_out ||", "bool said = true ||"),
    ("go on at a server upon a hand-over of another moment", "core/pipeline/adopt_decide.c",
     "return facts->proved && facts->lsn >= facts->handover_lsn;", "return facts->proved;", "test_adopt"),
    ("take a slot that somebody made for one that came along", "core/pipeline/adopt_decide.c",
     "facts->slot_found && facts->upgraded", "facts->slot_found", "test_adopt"),
    ("take a record with a gap for whole", "core/pipeline/recent_read.c",
     "batch->from_lsn > list->to_lsn ||", "", "test_recent"),
    ("know all tables of a transaction that changed too many", "core/pipeline/recent_read.c",
     "list->commits[i].tables_count <= NW_COMMITTED_TABLES_MAX;", "true;", "test_recent"),
    ("go back to where the slot has no more", "core/pipeline/adopt_decide.c",
     "facts->slot_found && facts->slot_lsn <= nw_adopt_common_lsn(facts);", "facts->slot_found;", "test_adopt"),
    ("commit without keeping what is refused", "core/sink/commit.c",
     "if (nw_letters_post(seq, seal != NULL)) {", "if (nw_letters_post(seq, false)) {"),
    ("keep what is refused behind the commit", "core/sink/commit.c",
     "if (nw_letters_post(seq, seal != NULL)) {",
     "if (nw_letters_post(seq, seal != NULL && seq->retries > 0)) {"),
    ("keep a row again that is kept", "core/sink/letters.c",
     "letters->known_left--;\n    return true;", "letters->known_left--;\n    return false;"),
    ("leave a refused row out, and do not keep it", "core/sink/letters.c",
     "status = status == NW_OK ? letters_add(&letters->waiting, &letter, err) : status;",
     "(void)letters_add;"),
    ("take rows of a pack for those of its first batch", "core/sink/letters.c",
     "return (uint32_t)((uintptr_t)batch - (uintptr_t)entry->item);",
     "return entry->kind == NW_ITEM_PACK ? 0 : (uint32_t)((uintptr_t)batch - (uintptr_t)entry->item);"),
    ("go on in the middle of a run when the sink comes back", "core/sink/dispatch.c",
     "entry->part_next = 0;", "(void)entry->part_next;", "test_sequencer_letters"),
    ("let parts of another timeline be in force", "sinks/kafka/ledger.c",
     "part->relation_oid == relation_oid && part->moves == position->moves &&",
     "part->relation_oid == relation_oid &&", "test_kafka_ledger"),
    ("forget a part once the position is at it", "sinks/kafka/ledger.c",
     "part->place.commit_lsn >= position->lsn", "part->place.commit_lsn > position->lsn", "test_kafka_ledger"),
    ("never forget a part", "sinks/kafka/ledger.c",
     "part->moves == position->moves &&\n            part->place.commit_lsn >= position->lsn",
     "part->moves == position->moves", "test_kafka_ledger"),
    ("keep the first part of a table", "sinks/kafka/ledger.c",
     "part = state->parts[i].relation_oid == oid ? &state->parts[i] : part;",
     "part = part == NULL && state->parts[i].relation_oid == oid && state->parts[i].place.seq == 0"
     " ? &state->parts[i] : part;", "test_kafka_ledger"),
    ("never write that a part has ended", "sinks/kafka/ledger.c",
     "part->ended = true;", "part->ended = false;", "test_kafka_ledger"),
    ("end the parts of all tables", "sinks/kafka/ledger.c",
     "        if (part->relation_oid == relation_oid) {\n            part->place = ",
     "        if (part->relation_oid > 0) {\n            part->place = ", "test_kafka_ledger"),
    ("do not write that the position moved", "sinks/kafka/ledger.c",
     "state->positions[worker].moves + (moves ? 1 : 0)", "state->positions[worker].moves", "test_kafka_ledger"),
    ("do not notice that the position moved", "sinks/kafka/ledger.c",
     "own->moves += moves ? 1 : 0;", "own->moves += 0;", "test_kafka_ledger"),
    ("take the sink back from another narwal", "sinks/kafka/ledger.c",
     "if (sink->owned == 0) {\n        return NW_OK;", "if (sink->owned != UINT64_MAX) {\n        return NW_OK;",
     "test_kafka_ledger"),
    ("know another narwal by its number alone", "sinks/kafka/ledger.c",
     "return state->fencing >= sink->owned && state->token != sink->token;",
     "return state->fencing > sink->owned;", "test_kafka_ledger"),
    ("begin with the number that the ledger has", "sinks/kafka/ledger.c",
     "uint64_t fencing = state->fencing + 1;", "uint64_t fencing = state->fencing;", "test_kafka_ledger"),
    ("give new workers no position", "sinks/kafka/ledger.c",
     "        state->positions[i] = *first;\n", "", "test_kafka_ledger"),
    ("compare positions by their sizes", "sinks/kafka/ledger.c",
     "other->there != first->there || other->size != first->size ||\n"
     "            memcmp(other->bytes, first->bytes, first->size) != 0",
     "other->there != first->there || other->size != first->size", "test_kafka_parts"),
    ("take a worker without a position for one that has it", "sinks/kafka/ledger.c",
     "other->there != first->there || other->size", "other->size", "test_kafka_parts"),
    ("read what a newer narwal has written", "sinks/kafka/ledger.c",
     "(record->format == FORMAT || record->format == FORMAT_MANY) &&", "", "test_kafka_ledger"),
    ("read what is no record", "sinks/kafka/ledger.c",
     "return nw_scan_done(&scan) && record->format > 0;", "(void)nw_scan_done(&scan);\n    return true;",
     "test_kafka_ledger"),
    ("take each position for the first worker's", "sinks/kafka/ledger.c",
     "struct nw_kafka_position *position = &state->positions[number];",
     "struct nw_kafka_position *position = &state->positions[0];", "test_kafka_ledger"),
    ("take a worker that nobody has for one", "sinks/kafka/ledger.c",
     "*worker < NW_KAFKA_WORKERS_MAX;", "(*worker = *worker % NW_KAFKA_WORKERS_MAX) < NW_KAFKA_WORKERS_MAX;",
     "test_kafka_ledger"),
    ("forget that a copy is whole", "sinks/kafka/ledger.c",
     "copy->complete = record->complete;", "copy->complete = false;", "test_kafka_ledger"),
    ("keep the generation of a copy's first record", "sinks/kafka/ledger.c",
     "copy->generation = (uint32_t)record->generation;",
     "copy->generation = copy->generation > 0 ? copy->generation : (uint32_t)record->generation;",
     "test_kafka_ledger"),
    ("make batches smaller than the message in them", "sinks/kafka/sizes.c",
     "sizes->batch_bytes = smaller > largest ? smaller : largest;", "sizes->batch_bytes = smaller;",
     "test_kafka_parts"),
    ("send messages alone that are small beside their batch", "sinks/kafka/sizes.c",
     "if (largest < sizes->batch_bytes / 2) {", "if (largest < sizes->batch_bytes / 1000) {", "test_kafka_parts"),
    ("make batches smaller for one message that is large", "sinks/kafka/sizes.c",
     "if (largest < sizes->batch_bytes / 2) {", "if (largest < sizes->batch_bytes) {", "test_kafka_parts"),
    ("send larger messages together again", "sinks/kafka/sizes.c",
     "strict != NULL && from / 2 < strict->alone_from", "strict != NULL", "test_kafka_parts"),
    ("let what one topic refuses count for all", "sinks/kafka/sizes.c",
     "        if (strcmp(sizes->strict[i].topic, topic) == 0) {\n            return &sizes->strict[i];",
     "        if (topic != NULL) {\n            return &sizes->strict[i];", "test_kafka_parts"),
    ("take a column whose name begins so", "sinks/kafka/keys.c",
     "strlen(name) == size && memcmp", "memcmp", "test_kafka_parts"),
    ("end a table's name at its first colon", "sinks/kafka/keys.c",
     "strrchr(item, ':')", "strchr(item, ':')", "test_kafka_parts"),
    ("call a configured key the primary one", "sinks/kafka/keys.c",
     "made->key_is_primary = false;", "", "test_kafka_parts"),
    ("write more columns into a key than there is room", "sinks/kafka/keys.c",
     "if (column < 0 || count == table->columns_count) {", "if (column < 0) {", "test_kafka_parts"),
    ("take a table whose name begins so for the one that is named", "sinks/kafka/topics.c",
     "strcmp(name + size + 1, table->name) == 0;",
     "strncmp(name + size + 1, table->name, strlen(table->name)) == 0;", "test_kafka_parts"),
    ("cut a topic's name that is too long", "sinks/lib/format/name.c",
     "return !name.cut && name.used > 0;", "return name.used > 0;", "test_kafka_parts"),
    ("replace each byte of a letter that Kafka does not take", "sinks/lib/format/name.c",
     "return c >= 0xf0 ? 2 : (c & 0xc0) == 0x80 ? 0 : 1;", "(void)c;\n    return 1;", "test_kafka_parts"),
]


def compile_command(build, file):
    """The command that the build has for a source file, without -c and -o."""
    for entry in json.loads((build / "compile_commands.json").read_text()):
        if pathlib.Path(entry["file"]) == ROOT / file:
            words = shlex.split(entry["command"])
            for option, count in (("-o", 2), ("-c", 2), ("-MF", 2), ("-MT", 2), ("-MD", 1)):
                if option in words:
                    at = words.index(option)
                    del words[at:at + count]
            return [word for word in words if word != "-Werror"], entry["directory"]
    raise SystemExit(f"{file} is not in {build}/compile_commands.json")


def link_command(build, target):
    """The words of a program's link command, and the place of its output among them."""
    lines = subprocess.run(["ninja", "-C", build, "-t", "commands", target], check=True,
                           capture_output=True, text=True).stdout.splitlines()
    words = shlex.split(lines[-1].split("&&")[1])
    return words, words.index("-o") + 1


def misplaced(mutant):
    """@return None when the file has the mutant's place once, else what is wrong."""
    _, file, right, *_ = mutant
    times = (ROOT / file).read_text().count(right)
    return None if times == 1 else f"{file} has its place {times} times: mend tests/simulation/mutants.py"


def play(build, mutant, seeds):
    """@return None when the mutant was caught, else why it was not."""
    name, file, right, wrong, *unit = mutant
    target = unit[0] if unit else "sim"
    why = misplaced(mutant)
    if why is not None:
        return why
    text = (ROOT / file).read_text()
    with tempfile.TemporaryDirectory(prefix="nw-mutant-") as folder:
        source = pathlib.Path(folder) / pathlib.Path(file).name
        program = pathlib.Path(folder) / target
        source.write_text(text.replace(right, wrong))
        command, directory = compile_command(build, file)
        made = subprocess.run([*command, "-w", "-c", source, "-o", f"{source}.o"], cwd=directory,
                              capture_output=True, text=True)
        if made.returncode != 0:
            return "does not compile: " + made.stderr
        words, output = link_command(build, target)
        words[output] = str(program)
        first_library = next(i for i, word in enumerate(words) if word.endswith(".a"))
        words.insert(first_library, f"{source}.o")
        made = subprocess.run(words, cwd=build, capture_output=True, text=True)
        if made.returncode != 0:
            return "does not link: " + made.stderr
        arguments = [] if unit else ["1", str(seeds)]
        played = subprocess.run([program, *arguments], capture_output=True, text=True)
    if played.returncode == 0:
        return f"survived {target if unit else f'{seeds} seeds'}"
    print(f"caught    {name}: {(played.stderr.strip().splitlines() or ['it crashed'])[0][:150]}", flush=True)
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=2000)
    parser.add_argument("--only", action="append")
    parser.add_argument("--share", type=int, default=1)
    parser.add_argument("--places", action="store_true")
    options = parser.parse_args()
    build = options.build.resolve()
    mutants = [m for m in MUTANTS if options.only is None or m[0] in options.only]
    if options.places:
        wrong = [f"{m[0]}: {misplaced(m)}" for m in mutants if misplaced(m) is not None]
        print("\n".join(wrong))
        return 1 if wrong or not mutants else 0
    mutants = mutants[datetime.date.today().toordinal() % options.share::options.share]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda m: play(build, m, options.seeds), mutants))
    for (name, *_), why in zip(mutants, results):
        if why is not None:
            print(f"NOT CAUGHT {name}: {why}")
    caught = results.count(None)
    print(f"{caught} of {len(mutants)} mutants were caught")
    return 0 if mutants and caught == len(mutants) else 1


if __name__ == "__main__":
    sys.exit(main())
