/* SPDX-License-Identifier: Apache-2.0 */
/* See copies.h. */
#include "sink/copies.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "sink/held.h"

/* ---- the tables ---- */

/* The slot of a relation, or the free one where it belongs; there is always a free one. */
static struct nw_followed *slot_of(struct nw_followed *slots, uint32_t capacity,
                                   uint32_t relation_oid)
{
    uint32_t mask = capacity - 1;
    uint32_t at = (relation_oid * 2654435761u) & mask;

    while (slots[at].relation_oid != 0 && slots[at].relation_oid != relation_oid) {
        at = (at + 1) & mask;
    }
    return &slots[at];
}

struct nw_followed *nw_copies_find(const struct nw_sequencer *seq, uint32_t relation_oid)
{
    struct nw_followed *found = seq->followed_capacity == 0
                                    ? NULL
                                    : slot_of(seq->followed, seq->followed_capacity, relation_oid);

    return found == NULL || found->relation_oid == 0 ? NULL : found;
}

static nw_status slots_grow(struct nw_sequencer *seq, struct nw_error *err)
{
    struct nw_followed *former = seq->followed;
    uint32_t former_capacity = seq->followed_capacity;
    uint32_t capacity = former_capacity == 0 ? 256 : former_capacity * 2;
    struct nw_followed *grown = calloc(capacity, sizeof *grown);

    if (grown == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for %u tables", capacity);
    }
    seq->followed = grown;
    seq->followed_capacity = capacity;
    for (uint32_t i = 0; i < former_capacity; i++) {
        if (former[i].relation_oid != 0) {
            *slot_of(grown, capacity, former[i].relation_oid) = former[i];
        }
    }
    free(former);
    return NW_OK;
}

/* The slot of a table, made when there is none. */
static nw_status slot_make(struct nw_sequencer *seq, uint32_t relation_oid,
                           struct nw_followed **slot, struct nw_error *err)
{
    if (seq->followed_count * 2 >= seq->followed_capacity) {
        nw_status status = slots_grow(seq, err);

        if (status != NW_OK) {
            return status;
        }
    }
    *slot = slot_of(seq->followed, seq->followed_capacity, relation_oid);
    if ((*slot)->relation_oid == 0) {
        **slot = (struct nw_followed){.relation_oid = relation_oid,
                                      .takes = !seq->options.refuse_copies};
        seq->followed_count++;
    }
    return NW_OK;
}

nw_status nw_copies_had(struct nw_sequencer *seq, uint32_t relation_oid, uint64_t fence_lsn,
                        struct nw_error *err)
{
    struct nw_followed *slot = NULL;
    nw_status status = slot_make(seq, relation_oid, &slot, err);

    if (status == NW_OK) {
        slot->takes = false;
        slot->fence_lsn = fence_lsn;
        slot->left_out = fence_lsn == UINT64_MAX;
        seq->left_out_count += slot->left_out;
    }
    return status;
}

nw_status nw_copies_behind(struct nw_sequencer *seq, const struct nw_behind *behind, bool streams,
                           struct nw_error *err)
{
    struct nw_followed *slot = NULL;
    nw_status status = slot_make(seq, behind->relation_oid, &slot, err);

    if (status == NW_OK) {
        slot->behind = true;
        slot->streams = streams;
        slot->place = behind->place;
        seq->lacking_count += streams ? 1 : 0;
        nw_held_tell(seq);
    }
    return status;
}

nw_status nw_copies_apart(struct nw_sequencer *seq, uint32_t relation_oid, enum nw_apart_side side,
                          struct nw_error *err)
{
    struct nw_followed *slot = NULL;
    nw_status status = slot_make(seq, relation_oid, &slot, err);

    if (status == NW_OK) {
        slot->apart = side;
    }
    return status;
}

nw_status nw_sequencer_copied_from(struct nw_sequencer *seq, uint32_t relation_oid, uint64_t lsn,
                                   struct nw_error *err)
{
    struct nw_followed *slot = NULL;
    nw_status status = slot_make(seq, relation_oid, &slot, err);

    if (status == NW_OK) {
        slot->fence_lsn = lsn;
    }
    return status;
}

nw_status nw_copies_begun(struct nw_sequencer *seq, uint32_t relation_oid, uint32_t generation,
                          const struct nw_copy_progress *durable, struct nw_error *err)
{
    struct nw_followed *slot = NULL;
    nw_status status = slot_make(seq, relation_oid, &slot, err);

    if (status != NW_OK) {
        return status;
    }
    NW_ASSERT(slot->durable == NULL);
    slot->durable = malloc(sizeof *slot->durable);
    if (slot->durable == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for the state of a copy");
    }
    *slot->durable = *durable;
    slot->durable->chunks_done = 0; /* every chunk comes again, if with fewer rows */
    slot->generation = generation;
    slot->fence_lsn = durable->origin.fence_lsn;
    return NW_OK;
}

/* ---- intake ---- */

/* The first mark of a copy: it is in force from here on, and a former one is not any more. */
static void copy_begin(struct nw_followed *slot, const struct nw_item *item)
{
    free(slot->durable);
    slot->durable = NULL;
    slot->generation = item->generation;
    slot->chunks_ended = 0;
}

/* The stream's mark: a copy will be read, whose fence is not known yet. */
static bool joins(struct nw_sequencer *seq, struct nw_followed *slot, const struct nw_item *item)
{
    if ((item->as.mark.joining_sinks >> seq->options.index & 1u) == 0) {
        return false;
    }
    seq->tables_held += slot->holds ? 0 : 1;
    copy_begin(slot, item);
    slot->takes = slot->holds = true;
    slot->ended = false;
    slot->apart = slot->apart == NW_APART_KEPT ? NW_APART_NONE : slot->apart;
    slot->fence_lsn = nw_copies_append(seq) ? item->as.mark.place.commit_lsn : 0;
    if (nw_copies_append(seq)) {
        nw_held_from(seq, slot, item->as.mark.place);
    }
    /* Relaxed: a counter; what it says is only that the mark came. */
    atomic_fetch_add_explicit(&seq->sink->joins_begun, 1, memory_order_relaxed);
    return true;
}

/* The stream's other mark: that copy is given up. */
static void leaves(struct nw_sequencer *seq, struct nw_followed *slot, const struct nw_item *item)
{
    if ((item->as.mark.joining_sinks >> seq->options.index & 1u) != 0) {
        nw_held_forget(seq, slot);
    }
}

/* It had what was kept for it, and goes on with what the others get. */
static void rejoins(const struct nw_sequencer *seq, struct nw_followed *slot,
                    const struct nw_item *item)
{
    if ((item->as.mark.joining_sinks >> seq->options.index & 1u) != 0) {
        slot->apart = NW_APART_NONE;
    }
}

/* Where the sink keeps its rows the first fence counts, or the mark: rows that it got since must be
 * mended by all that the stream has, whatever later snapshots have. */
static void fence_take(struct nw_sequencer *seq, struct nw_followed *slot, uint64_t fence_lsn)
{
    if (slot->fence_lsn == fence_lsn || (nw_copies_append(seq) && slot->fence_lsn != 0)) {
        return;
    }
    slot->fence_lsn = fence_lsn;
    nw_held_trim(seq, slot);
}

/* A reader's mark. @return whether it begins a copy that is not in force yet. */
static bool chunk_begins(struct nw_sequencer *seq, struct nw_followed *slot,
                         const struct nw_item *item)
{
    bool begins = item->generation > slot->generation;

    if (item->generation < slot->generation) {
        return false;
    }
    if (begins) {
        copy_begin(slot, item);
    }
    fence_take(seq, slot, item->as.mark.origin.fence_lsn);
    return begins;
}

/* Counts what the run began to copy with, whether this sink takes it or not. */
static void round_note(struct nw_sequencer *seq, const struct nw_entry *entry)
{
    uint32_t chunks = entry->item->as.mark.round_chunks;

    if (entry->kind == NW_ITEM_COPY_END && chunks > 0 && ++seq->round_ended == chunks) {
        seq->round_epoch = entry->epoch;
    }
}

/* @return whether the mark is of the copy in force. */
static bool chunk_ends(struct nw_followed *slot, struct nw_entry *entry)
{
    if (entry->item->generation != slot->generation) {
        return false;
    }
    entry->copy_whole = ++slot->chunks_ended == entry->item->as.mark.chunks_count;
    slot->takes = !entry->copy_whole;
    return true;
}

nw_status nw_copies_take(struct nw_sequencer *seq, struct nw_entry *entry, bool *wanted,
                         struct nw_error *err)
{
    const struct nw_item *item = entry->item;
    struct nw_followed *slot = NULL;
    nw_status status = slot_make(seq, item->table->relation_oid, &slot, err);

    *wanted = false;
    round_note(seq, entry);
    if (status != NW_OK || (!slot->takes && !entry->stream)) {
        return status;
    }
    entry->worker = nw_sequencer_shard(seq, item->table->relation_oid);
    switch (item->kind) {
    case NW_ITEM_COPY_BEGIN:
        *wanted = entry->stream ? joins(seq, slot, item) : chunk_begins(seq, slot, item);
        break;
    case NW_ITEM_COPY_END:
        if (entry->stream && item->as.mark.rejoins) {
            rejoins(seq, slot, item);
        } else if (entry->stream) {
            leaves(seq, slot, item);
        } else {
            *wanted = chunk_ends(slot, entry);
        }
        break;
    case NW_ITEM_BATCH:
        *wanted = item->as.batch.generation == slot->generation;
        break;
    case NW_ITEM_EVENT:
    case NW_ITEM_EPOCH_END:
    case NW_ITEM_PACK:
        NW_ASSERT(false);
    }
    return NW_OK;
}

/* ---- commits ---- */

/* What the commit says of this copy; begun with what is durable of it. NULL: out of memory */
static struct nw_copy_commit *commit_of(struct nw_sequencer *seq, const struct nw_item *item)
{
    uint32_t oid = item->table->relation_oid;
    const struct nw_followed *slot = nw_copies_find(seq, oid);
    struct nw_copy_commit *made = NULL;

    for (uint32_t i = 0; i < seq->copy_commits_count; i++) {
        if (seq->copy_commits[i]->relation_oid == oid) {
            return seq->copy_commits[i];
        }
    }
    if (seq->copy_commits_count == seq->copy_commits_capacity) {
        uint32_t capacity = seq->copy_commits_capacity == 0 ? 64 : seq->copy_commits_capacity * 2;
        struct nw_copy_commit **grown =
            reallocarray((void *)seq->copy_commits, capacity, sizeof *grown);

        if (grown == NULL) {
            return NULL;
        }
        seq->copy_commits = grown;
        seq->copy_commits_capacity = capacity;
    }
    made = calloc(1, sizeof *made);
    if (made != NULL) {
        seq->copy_commits[seq->copy_commits_count++] = made;
        made->relation_oid = oid;
        made->generation = item->generation;
        if (slot->durable != NULL && slot->generation == item->generation) {
            made->progress = *slot->durable;
        }
    }
    return made;
}

static void commits_forget(struct nw_sequencer *seq)
{
    for (uint32_t i = 0; i < seq->copy_commits_count; i++) {
        free(seq->copy_commits[i]);
    }
    seq->copy_commits_count = 0;
}

/* Brings what the commit says up to this entry. */
static void commit_add(const struct nw_sequencer *seq, struct nw_copy_commit *commit,
                       const struct nw_entry *entry)
{
    const struct nw_copy_mark *mark = &entry->item->as.mark;

    if (entry->kind == NW_ITEM_COPY_BEGIN) {
        commit->generation = entry->item->generation;
        memset(&commit->progress, 0, sizeof commit->progress);
    } else if (entry->item->generation == commit->generation) {
        nw_copy_progress_add(&commit->progress, &mark->range);
        commit->progress.complete = commit->progress.complete || entry->copy_whole;
    }
    commit->progress.origin = mark->origin;
    if (nw_copies_append(seq)) { /* the stream is for it from there on */
        commit->progress.origin.fence_lsn = nw_sequencer_fence_of(seq, commit->relation_oid);
    }
    commit->progress.chunks_count = mark->chunks_count;
}

static nw_status states_pack(struct nw_sequencer *seq, struct nw_error *err)
{
    if (seq->copy_commits_count > seq->commit_copies_capacity) {
        struct nw_copy_state *grown =
            reallocarray(seq->commit_copies, seq->copy_commits_count, sizeof *grown);

        if (grown == NULL) {
            return nw_fail(err, NW_FATAL, "out of memory for copy states");
        }
        seq->commit_copies = grown;
        seq->commit_copies_capacity = seq->copy_commits_count;
    }
    seq->commit_copies_count = seq->copy_commits_count;
    for (uint32_t i = 0; i < seq->copy_commits_count; i++) {
        struct nw_copy_commit *commit = seq->copy_commits[i];

        seq->commit_copies[i] =
            (struct nw_copy_state){.relation_oid = commit->relation_oid,
                                   .generation = commit->generation,
                                   .complete = commit->progress.complete,
                                   .bytes = commit->bytes,
                                   .size = nw_copy_pack(&commit->progress, commit->bytes)};
    }
    return NW_OK;
}

nw_status nw_copies_collect(struct nw_sequencer *seq, const struct nw_entry *last,
                            struct nw_error *err)
{
    commits_forget(seq);
    for (const struct nw_entry *entry = seq->log.first; entry != last; entry = entry->next) {
        struct nw_copy_commit *commit = NULL;

        if (entry->kind != NW_ITEM_COPY_BEGIN && entry->kind != NW_ITEM_COPY_END) {
            continue;
        }
        commit = commit_of(seq, entry->item);
        if (commit == NULL) {
            return nw_fail(err, NW_FATAL, "out of memory for copy states");
        }
        commit_add(seq, commit, entry);
    }
    return states_pack(seq, err);
}

bool nw_copies_round_ends(const struct nw_sequencer *seq)
{
    return seq->round_epoch != 0 && seq->round_epoch <= seq->commit_epoch;
}

void nw_copies_durable(struct nw_sequencer *seq)
{
    nw_held_durable(seq);
    seq->round_epoch = nw_copies_round_ends(seq) ? 0 : seq->round_epoch;
    for (uint32_t i = 0; i < seq->copy_commits_count; i++) {
        const struct nw_copy_commit *commit = seq->copy_commits[i];
        struct nw_followed *slot =
            slot_of(seq->followed, seq->followed_capacity, commit->relation_oid);

        seq->left_out_count -= slot->left_out;
        slot->left_out = false;
        if (slot->generation != commit->generation) {
            continue; /* a newer copy began behind this commit */
        }
        if (slot->durable == NULL) {
            slot->durable = malloc(sizeof *slot->durable);
        }
        if (slot->durable != NULL) { /* else the next commit repeats less of what is done */
            *slot->durable = commit->progress;
        }
    }
    commits_forget(seq);
}

void nw_copies_fini(struct nw_sequencer *seq)
{
    commits_forget(seq);
    free((void *)seq->copy_commits);
    for (uint32_t i = 0; i < seq->followed_capacity; i++) {
        free(seq->followed[i].durable);
    }
    free(seq->followed);
}
