/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Total order: the batches between two cuts are handed out in runs, in the order of their rows. See
 * sequencer.h.
 *
 * What has to be in memory at once are the places of all rows (16 bytes for each), taken batch by
 * batch, and the batch of the run that is handed out. The batches themselves may be spilled and
 * come back one after the other, so that the rows between two cuts may be more than the budget.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "sink/sequencer.h"
#include "sink/spill.h"

/* Places that are kept for the next group; more are freed. */
#define PLACES_KEPT_MAX 65536u

/* Whether the rows before a cut can neither come in whole nor leave memory. */
static bool stuck(const struct nw_sequencer *seq)
{
    const struct nw_budget *budget = seq->options.budget;

    return seq->state == NW_SEQUENCER_RUNNING && seq->seals_count == 0 &&
           seq->commit_entry == NULL && seq->cursor != NULL && seq->cursor->stream &&
           seq->cursor->kind == NW_ITEM_BATCH && seq->ways_count == 0 &&
           (int64_t)seq->held_bytes > budget->limit_bytes / 2 &&
           seq->now_ns - seq->moved_ns >= NW_MERGE_STUCK_NS && nw_spill_useless(seq) &&
           nw_budget_pressed(seq->options.budget);
}

nw_status nw_merge_check(struct nw_sequencer *seq, struct nw_error *err)
{
    if ((seq->sink->flags & NW_SINK_TOTAL_ORDER) == 0 || !stuck(seq)) {
        return NW_OK;
    }
    (void)nw_fail(err, NW_FATAL,
                  "NW2415 rows that have to be put into one order take more than limits.memory and "
                  "limits.spill (or the spill folder cannot be written): raise one of them and "
                  "start again; nothing is lost");
    return nw_sequencer_fail(seq, err, NULL);
}

void nw_merge_reset(struct nw_sequencer *seq)
{
    seq->ways_count = 0;
    seq->ways_ready = 0;
    seq->places_count = 0;
    if (seq->places_capacity > PLACES_KEPT_MAX) {
        nw_merge_fini(seq);
    }
}

void nw_merge_fini(struct nw_sequencer *seq)
{
    free(seq->places);
    seq->places = NULL;
    seq->places_capacity = 0;
}

/* The batches from here to the cut. NW_AGAIN: the cut is not here yet. */
static nw_status ways_find(struct nw_sequencer *seq, struct nw_entry *entry, struct nw_error *err)
{
    bool closed = false;

    nw_merge_reset(seq);
    for (; entry != NULL && !closed; entry = entry->next) {
        if (!entry->stream) {
            continue;
        }
        if (entry->kind != NW_ITEM_BATCH) {
            closed = true;
            break;
        }
        if (seq->ways_count == NW_MERGE_WAYS_MAX) {
            return nw_fail(err, NW_FATAL, "NW2903 more than %u batches between two cuts",
                           NW_MERGE_WAYS_MAX);
        }
        seq->ways[seq->ways_count++].entry = entry;
        closed = entry->cut;
    }
    if (!closed) {
        seq->ways_count = 0;
        return NW_AGAIN;
    }
    return NW_OK;
}

static bool places_reserve(struct nw_sequencer *seq, uint32_t count)
{
    uint32_t capacity = seq->places_capacity == 0 ? 4096 : seq->places_capacity;
    struct nw_place *grown = NULL;

    if (count <= seq->places_capacity) {
        return true;
    }
    while (capacity < count) {
        capacity *= 2;
    }
    grown = reallocarray(seq->places, capacity, sizeof *grown);
    if (grown == NULL) {
        return false;
    }
    seq->places = grown;
    seq->places_capacity = capacity;
    return true;
}

/* Notes where the rows of a batch belong. */
static nw_status places_take(struct nw_sequencer *seq, struct nw_way *way, struct nw_error *err)
{
    const struct nw_entry *entry = way->entry;
    const struct nw_batch *batch = &entry->item->as.batch;

    if (!places_reserve(seq, seq->places_count + entry->rows_count)) {
        return nw_fail(err, NW_FATAL, "out of memory for the order of %u rows",
                       seq->places_count + entry->rows_count);
    }
    way->places = seq->places_count;
    for (uint32_t row = 0; row < entry->rows_count; row++) {
        seq->places[seq->places_count++] =
            (struct nw_place){batch->commit_lsn[row], batch->seq[row]};
    }
    return NW_OK;
}

/* Takes the places of one batch after the other. NW_AGAIN: one is being fetched. */
static nw_status ways_prepare(struct nw_sequencer *seq, struct nw_error *err)
{
    while (seq->ways_ready < seq->ways_count) {
        struct nw_way *way = &seq->ways[seq->ways_ready];
        uint32_t ahead = seq->ways_count - seq->ways_ready;
        nw_status status = NW_OK;

        for (uint32_t i = 1; i < ahead && i < NW_SPILL_AHEAD; i++) {
            nw_spill_prefetch(seq, seq->ways[seq->ways_ready + i].entry);
        }
        if (!nw_spill_fetch(seq, way->entry)) {
            return NW_AGAIN;
        }
        status = places_take(seq, way, err);
        if (status != NW_OK) {
            return status;
        }
        way->entry->wanted = false;
        seq->ways_ready++;
    }
    return NW_OK;
}

static struct nw_place place_of(const struct nw_sequencer *seq, const struct nw_way *way,
                                uint32_t row)
{
    return seq->places[way->places + row];
}

/* The way whose next row comes first, and where the next of the others begins. */
static const struct nw_way *way_first(const struct nw_sequencer *seq, struct nw_place *limit)
{
    const struct nw_way *first = NULL;
    struct nw_place lowest = {UINT64_MAX, UINT64_MAX};

    *limit = lowest;
    for (uint32_t i = 0; i < seq->ways_count; i++) {
        const struct nw_way *way = &seq->ways[i];
        struct nw_place place;

        if (way->entry->row_next == way->entry->rows_count) {
            continue;
        }
        place = place_of(seq, way, way->entry->row_next);
        if (first == NULL || nw_place_before(place, lowest)) {
            *limit = lowest;
            lowest = place;
            first = way;
        } else if (nw_place_before(place, *limit)) {
            *limit = place;
        }
    }
    return first;
}

/* Hands out the next rows of one batch, up to the first row of another. */
static nw_status run_deliver(struct nw_sequencer *seq, const struct nw_way *way,
                             struct nw_place limit, struct nw_error *err)
{
    struct nw_entry *entry = way->entry;
    uint32_t end = entry->row_next + 1;
    nw_status status = NW_OK;

    if (!nw_spill_fetch(seq, entry)) {
        return NW_AGAIN;
    }
    while (end < entry->rows_count && nw_place_before(place_of(seq, way, end), limit)) {
        end++;
    }
    status = nw_dispatch_rows(seq, entry, &entry->item->as.batch, entry->row_next,
                              end - entry->row_next, err);
    if (status == NW_OK) {
        entry->row_next = end;
        entry->wanted = false; /* until its next run, if memory is short */
    }
    return status;
}

nw_status nw_merge_deliver(struct nw_sequencer *seq, struct nw_entry *entry, struct nw_error *err)
{
    nw_status status = seq->ways_count == 0 ? ways_find(seq, entry, err) : NW_OK;

    if (status == NW_OK) {
        status = ways_prepare(seq, err);
    }
    while (status == NW_OK) {
        struct nw_place limit;
        const struct nw_way *way = way_first(seq, &limit);

        if (way == NULL) {
            break;
        }
        status = run_deliver(seq, way, limit, err);
    }
    if (status == NW_OK) {
        for (uint32_t i = 0; i < seq->ways_count; i++) {
            seq->ways[i].entry->delivered = true;
        }
        nw_merge_reset(seq);
    }
    return status;
}
