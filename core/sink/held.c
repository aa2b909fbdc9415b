/* SPDX-License-Identifier: Apache-2.0 */
/* See held.h. */
#include "sink/held.h"

#include <inttypes.h>

#include "base/assert.h"
#include "sink/spill.h"

/* Entries that may be held: others must always find room, the copy's among them. */
#define HELD_MAX ((uint64_t)NW_SEQUENCER_ENTRIES_MAX / 4 * 3)

/* The table that an entry is about alone; NULL: it is about none, or several. */
static const struct nw_table *table_of(const struct nw_entry *entry)
{
    const struct nw_event *event = NULL;

    if (entry->kind != NW_ITEM_EVENT) {
        return entry->table;
    }
    event = &entry->item->as.event;
    return event->tables_count == 1 ? event->tables[0] : NULL;
}

bool nw_held_wants(const struct nw_sequencer *seq, const struct nw_entry *entry)
{
    const struct nw_table *table = table_of(entry);
    const struct nw_followed *slot =
        table == NULL ? NULL : nw_copies_find(seq, table->relation_oid);

    if (slot == NULL || !slot->holds) {
        return false;
    }
    switch (entry->kind) {
    case NW_ITEM_BATCH:
        return entry->stream;
    case NW_ITEM_EVENT:
        return true;
    case NW_ITEM_COPY_END:
        return entry->copy_whole;
    case NW_ITEM_COPY_BEGIN:
    case NW_ITEM_EPOCH_END:
        break;
    }
    return false;
}

static nw_status too_much(const struct nw_sequencer *seq, const char *what, struct nw_error *err)
{
    return nw_fail(err, NW_REJECT,
                   "while it is copied its changes wait for the copy's end, and %" PRIu64
                   " batches of them are %s. Copy it again when less is written to it",
                   seq->held.count, what);
}

nw_status nw_held_take(struct nw_sequencer *seq, struct nw_entry *entry, struct nw_error *err)
{
    const struct nw_table *table = table_of(entry);

    entry->table = table;
    if (entry->kind == NW_ITEM_BATCH) {
        entry->last_lsn = entry->item->as.batch.commit_lsn[entry->rows_count - 1];
    } else if (entry->kind == NW_ITEM_EVENT) {
        entry->last_lsn = entry->item->as.event.commit_lsn;
    } else {
        nw_copies_find(seq, table->relation_oid)->ended = true;
        seq->copies_ended = true;
    }
    nw_entry_list_append(&seq->held, entry);
    return seq->held.count > HELD_MAX ? too_much(seq, "more than narwal can hold", err) : NW_OK;
}

static void held_remove(struct nw_sequencer *seq, struct nw_entry *entry)
{
    if (seq->hand_held == entry) {
        seq->hand_held = entry->next;
    }
    nw_entry_list_remove(&seq->held, entry);
}

void nw_held_trim(struct nw_sequencer *seq, const struct nw_followed *slot)
{
    struct nw_entry *next = NULL;

    for (struct nw_entry *entry = seq->held.first; entry != NULL; entry = next) {
        next = entry->next;
        if (entry->table->relation_oid == slot->relation_oid && entry->kind != NW_ITEM_COPY_END &&
            entry->last_lsn < slot->fence_lsn) {
            held_remove(seq, entry);
            nw_sequencer_pass_over(seq, entry);
        }
    }
}

/* Rows of it have no place in an order with others any more: they come behind the copy. */
static void entry_release(struct nw_sequencer *seq, struct nw_entry *entry, uint64_t fence_lsn)
{
    held_remove(seq, entry);
    entry->epoch = seq->epoch_open;
    entry->limit_lsn = fence_lsn;
    entry->stream = false;
    nw_sequencer_append(seq, entry);
}

/* The copy's end first, then what waited for it, in its order. */
static void table_release(struct nw_sequencer *seq, struct nw_followed *slot, struct nw_entry *end)
{
    struct nw_entry *next = NULL;

    entry_release(seq, end, 0);
    for (struct nw_entry *entry = seq->held.first; entry != NULL; entry = next) {
        next = entry->next;
        if (entry->table->relation_oid == slot->relation_oid) {
            entry_release(seq, entry, slot->fence_lsn);
        }
    }
    slot->holds = slot->ended = false;
}

void nw_held_release(struct nw_sequencer *seq)
{
    struct nw_entry *entry = seq->held.first;

    if (!seq->copies_ended || seq->run_open) {
        return;
    }
    while (entry != NULL) {
        struct nw_followed *slot = nw_copies_find(seq, entry->table->relation_oid);

        if (entry->kind == NW_ITEM_COPY_END && slot->ended) {
            table_release(seq, slot, entry);
            entry = seq->held.first; /* others went with it */
        } else {
            entry = entry->next;
        }
    }
    seq->copies_ended = false;
}

nw_status nw_held_check(struct nw_sequencer *seq, struct nw_error *err)
{
    struct nw_budget *budget = seq->options.budget;

    if (seq->held.count == 0 || seq->state != NW_SEQUENCER_RUNNING || seq->seals_count > 0 ||
        seq->commit_entry != NULL || !nw_budget_pressed(budget) ||
        (int64_t)seq->held_bytes < budget->limit_bytes / 4 ||
        seq->now_ns - seq->moved_ns < NW_SPILL_STUCK_NS * (int64_t)5 || !nw_spill_rests(seq)) {
        return NW_OK;
    }
    (void)too_much(seq,
                   "more than limits.memory and limits.spill have room for (small ones stay in "
                   "memory): raise them",
                   err);
    return nw_sequencer_fail(seq, err, seq->held.first->table);
}
