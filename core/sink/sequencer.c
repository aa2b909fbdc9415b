/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intake: takes items from all lanes, restores the order of each producer, drops what the sink has
 * already, and keeps the rest in the log until it is durable. See sequencer.h.
 */
#include "sink/sequencer.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/code.h"
#include "base/log.h"
#include "sink/behind.h"
#include "sink/copies.h"
#include "sink/held.h"
#include "sink/letters.h"
#include "sink/spill.h"

/* Items taken from one lane in one step. */
#define TAKE_MAX 64u

/* Entries. */

static nw_status slab_add(struct nw_sequencer *seq, struct nw_error *err)
{
    struct nw_entry *slab;

    if (seq->slabs_count == seq->slabs_capacity) {
        uint32_t capacity = seq->slabs_capacity == 0 ? 16 : seq->slabs_capacity * 2;
        struct nw_entry **grown = reallocarray((void *)seq->slabs, capacity, sizeof *grown);

        if (grown == NULL) {
            return nw_fail(err, NW_FATAL, "out of memory for the sequencer's log");
        }
        seq->slabs = grown;
        seq->slabs_capacity = capacity;
    }
    slab = calloc(NW_ENTRY_SLAB, sizeof *slab);
    if (slab == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for the sequencer's log");
    }
    seq->slabs[seq->slabs_count++] = slab;
    for (uint32_t i = 0; i < NW_ENTRY_SLAB; i++) {
        slab[i].next = seq->free_entries;
        seq->free_entries = &slab[i];
    }
    return NW_OK;
}

nw_status nw_entry_make(struct nw_sequencer *seq, struct nw_item *item, struct nw_entry **entry,
                        struct nw_error *err)
{
    struct nw_entry *made;

    if (seq->free_entries == NULL) {
        nw_status status = slab_add(seq, err);

        if (status != NW_OK) {
            return status;
        }
    }
    made = seq->free_entries;
    seq->free_entries = made->next;
    seq->entries_used++;
    memset(made, 0, sizeof *made);
    made->item = item;
    made->kind = item->kind;
    made->table = item->table;
    made->lane = item->lane;
    made->size = item->size;
    made->stream = item->producer == NW_PRODUCER_STREAM;
    made->cut = item->cut;
    made->received_ns = item->received_ns;
    made->rows_count = item->kind == NW_ITEM_BATCH ? item->as.batch.rows_count : 0;
    made->commit_ts = made->rows_count > 0          ? item->as.batch.commit_ts[0]
                      : item->kind == NW_ITEM_EVENT ? item->as.event.commit_ts
                                                    : 0;
    seq->held_bytes += made->size;
    *entry = made;
    return NW_OK;
}

static void entry_free(struct nw_sequencer *seq, struct nw_entry *entry)
{
    (void)nw_letters_leave(entry);
    entry->next = seq->free_entries;
    seq->free_entries = entry;
    seq->entries_used--;
}

bool nw_entry_idle(struct nw_entry *entry)
{
    /* Acquire pairs with the release in arrow.c: the plugin's reads of the item are over. */
    return entry->tasks_out == 0 &&
           atomic_load_explicit(&entry->exports, memory_order_acquire) == 0;
}

void nw_entry_list_append(struct nw_entry_list *list, struct nw_entry *entry)
{
    entry->next = NULL;
    entry->prev = list->last;
    if (list->last == NULL) {
        list->first = entry;
    } else {
        list->last->next = entry;
    }
    list->last = entry;
    list->count++;
}

void nw_entry_list_remove(struct nw_entry_list *list, struct nw_entry *entry)
{
    if (entry->prev == NULL) {
        list->first = entry->next;
    } else {
        entry->prev->next = entry->next;
    }
    if (entry->next == NULL) {
        list->last = entry->prev;
    } else {
        entry->next->prev = entry->prev;
    }
    list->count--;
}

/* Filters. */

uint32_t nw_sequencer_shard(const struct nw_sequencer *seq, uint32_t relation_oid)
{
    return nw_sink_shard(seq->sink, relation_oid);
}

uint64_t nw_sequencer_fence_of(const struct nw_sequencer *seq, uint32_t relation_oid)
{
    const struct nw_followed *followed = nw_copies_find(seq, relation_oid);

    return followed == NULL ? 0 : followed->fence_lsn;
}

nw_status nw_sequencer_fence(struct nw_sequencer *seq, uint32_t relation_oid, uint64_t fence_lsn,
                             struct nw_error *err)
{
    return nw_copies_had(seq, relation_oid, fence_lsn, err);
}

nw_status nw_sequencer_resume(struct nw_sequencer *seq, uint32_t relation_oid, uint32_t generation,
                              const struct nw_copy_progress *durable, struct nw_error *err)
{
    return nw_copies_begun(seq, relation_oid, generation, durable, err);
}

/* The first row that belongs to a transaction at or after the limit; they are in commit order. */
uint32_t nw_batch_rows_from(const struct nw_batch *batch, uint64_t limit_lsn)
{
    uint32_t low = 0;
    uint32_t high = batch->rows_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (batch->commit_lsn[middle] < limit_lsn) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static nw_status exceptions_check(const struct nw_sequencer *seq, const struct nw_entry *entry,
                                  struct nw_error *err)
{
    const struct nw_batch *batch = &entry->item->as.batch;
    const struct nw_exception *last;

    if (batch->exceptions_count == 0 || seq->letters != NULL ||
        (seq->sink->flags & NW_SINK_EXCEPTIONS) != 0) {
        return NW_OK;
    }
    last = &batch->exceptions[batch->exceptions_count - 1]; /* they are ordered by row */
    if (last->row < entry->first_row) {
        return NW_OK;
    }
    return nw_fail(err, NW_REJECT,
                   "NW2404 table %s.%s, column %s has a value without an exact form in its type "
                   "(such as NaN, infinity, or a far timestamp), and sink type %s cannot take "
                   "those: leave the table out, or use another sink",
                   batch->table->schema_name, batch->table->name,
                   batch->table->columns[last->column].name, seq->sink->plugin->ops.name);
}

static uint64_t durable_lsn_min(const struct nw_sink *sink)
{
    uint64_t lsn = sink->durable_lsn[0];

    for (uint32_t i = 1; i < sink->workers_count; i++) {
        lsn = sink->durable_lsn[i] < lsn ? sink->durable_lsn[i] : lsn;
    }
    return lsn;
}

static bool event_wanted(const struct nw_sequencer *seq, const struct nw_item *item)
{
    const struct nw_sink_ops *ops = &seq->sink->plugin->ops;
    const struct nw_event *event = &item->as.event;

    if (ops->event == NULL ||
        (event->kind != NW_EVENT_DROP &&
         !nw_behind_is_for(seq, event->tables_count == 1 ? event->tables[0]->relation_oid : 0,
                           item->backlog_oid)) ||
        nw_behind_has_event(seq, event, item->backlog_oid, durable_lsn_min(seq->sink))) {
        return false;
    }
    if (event->kind == NW_EVENT_BEGIN || event->kind == NW_EVENT_COMMIT) {
        return (seq->sink->flags & NW_SINK_TRANSACTIONS) != 0;
    }
    /* By the fence that is in force here: until it is delivered a newer copy may begin. */
    return event->kind != NW_EVENT_TRUNCATE || event->tables_count != 1 ||
           event->commit_lsn >= nw_sequencer_fence_of(seq, event->tables[0]->relation_oid);
}

static uint32_t rows_of_stream(const struct nw_sequencer *seq, const struct nw_entry *entry,
                               const struct nw_batch *batch)
{
    const struct nw_followed *followed = nw_copies_find(seq, batch->table->relation_oid);
    uint64_t position = seq->sink->durable_lsn[entry->worker];
    uint64_t fence = followed == NULL ? 0 : followed->fence_lsn;

    if (followed != NULL && followed->streams) {
        return nw_behind_rows(seq, batch, fence);
    }
    return nw_batch_rows_from(batch, position > fence ? position : fence);
}

static nw_status batch_filter(struct nw_sequencer *seq, struct nw_entry *entry, bool *wanted,
                              struct nw_error *err)
{
    const struct nw_batch *batch = &entry->item->as.batch;
    uint32_t oid = batch->table->relation_oid;

    entry->worker = nw_sequencer_shard(seq, oid);
    if (!nw_behind_is_for(seq, oid, entry->item->backlog_oid)) {
        *wanted = false;
        return NW_OK;
    }
    if (entry->stream && (batch->flags & NW_BATCH_COPY) == 0) {
        entry->first_row = entry->item->backlog_oid != 0
                               ? nw_behind_rows(seq, batch, nw_sequencer_fence_of(seq, oid))
                               : rows_of_stream(seq, entry, batch);
    }
    entry->row_next = entry->first_row;
    *wanted = entry->first_row < batch->rows_count;
    return *wanted ? exceptions_check(seq, entry, err) : NW_OK;
}

/*
 * An epoch that ends before the sink's own position must not be committed: its position would take
 * the sink back. Without anything else that waits it is durable as it is.
 */
static bool epoch_end_filter(struct nw_sequencer *seq, const struct nw_entry *entry)
{
    const struct nw_position *position = &entry->item->as.position;

    if (position->size == 0 || position->lsn >= durable_lsn_min(seq->sink)) {
        return true; /* one of a copy has no position: the sink keeps its own */
    }
    if (seq->log.count == 0) {
        seq->durable_pending = entry->item->epoch;
    }
    return false;
}

static bool is_copy(const struct nw_item *item)
{
    return item->kind == NW_ITEM_COPY_BEGIN || item->kind == NW_ITEM_COPY_END ||
           (item->kind == NW_ITEM_BATCH && (item->as.batch.flags & NW_BATCH_COPY) != 0);
}

/* A table that was dropped: a copy of it does not become whole any more. */
static void drop_note(struct nw_sequencer *seq, const struct nw_event *event)
{
    struct nw_followed *slot =
        event->kind == NW_EVENT_DROP ? nw_copies_find(seq, event->tables[0]->relation_oid) : NULL;

    if (slot != NULL) {
        nw_held_forget(seq, slot);
    }
}

/* Whether the sink is to get an item at all, and which rows of it. */
static nw_status entry_filter(struct nw_sequencer *seq, struct nw_entry *entry, bool *wanted,
                              struct nw_error *err)
{
    const struct nw_item *item = entry->item;

    *wanted = true;
    if (is_copy(item)) {
        nw_status status = nw_copies_take(seq, entry, wanted, err);

        if (status != NW_OK || !*wanted || item->kind != NW_ITEM_BATCH) {
            return status;
        }
    }
    switch (item->kind) {
    case NW_ITEM_BATCH:
        return batch_filter(seq, entry, wanted, err);
    case NW_ITEM_EVENT:
        *wanted = event_wanted(seq, item);
        drop_note(seq, &item->as.event);
        return NW_OK;
    case NW_ITEM_EPOCH_END:
        *wanted = epoch_end_filter(seq, entry);
        return NW_OK;
    case NW_ITEM_COPY_BEGIN:
    case NW_ITEM_COPY_END:
    case NW_ITEM_PACK:
        break;
    }
    return nw_fail(err, NW_FATAL, "NW2903 an item of unknown kind %u", (unsigned)item->kind);
}

/* The log. */

/* Items of the stream bring their epoch; those of copies join the one that is open. */
static void epoch_label(struct nw_sequencer *seq, struct nw_entry *entry)
{
    if (entry->stream && entry->item->epoch > seq->epoch_open) {
        seq->epoch_open = entry->item->epoch;
    }
    entry->epoch = seq->epoch_open;
    if (entry->kind == NW_ITEM_EPOCH_END) {
        atomic_store_explicit(&seq->sink->epoch_received, entry->epoch, memory_order_relaxed);
        seq->epoch_open++;
    }
}

static bool entry_is_change(const struct nw_entry *entry)
{
    return entry->stream && (entry->kind == NW_ITEM_BATCH || entry->kind == NW_ITEM_EVENT);
}

/* What leaves may have been the last of its flush: then the one before it is. */
static void cut_keep(struct nw_sequencer *seq, const struct nw_entry *leaving)
{
    struct nw_entry *last = seq->log.last;

    while (last != NULL && !last->stream) {
        last = last->prev;
    }
    if (leaving->stream && leaving->cut && last != NULL) {
        last->cut = true;
    }
}

void nw_sequencer_append(struct nw_sequencer *seq, struct nw_entry *entry)
{
    nw_entry_list_append(&seq->log, entry);
    seq->hand_new = entry;
    if (seq->cursor == NULL) {
        seq->cursor = entry;
    }
    if (seq->oldest == NULL && entry_is_change(entry)) {
        seq->oldest = entry;
    }
}

void nw_sequencer_pass_over(struct nw_sequencer *seq, struct nw_entry *entry)
{
    nw_entry_list_append(&seq->leaving, entry);
}

/* Whether rows that belong into one order with the last ones are still to come. */
static void run_note(struct nw_sequencer *seq, const struct nw_entry *entry)
{
    if (entry->stream) {
        seq->run_open = entry->kind == NW_ITEM_BATCH && !entry->cut;
    }
}

/* Takes the next item in order: to the log, aside until its table's copy is whole, or away. */
static nw_status entry_take(struct nw_sequencer *seq, struct nw_entry *entry, struct nw_error *err)
{
    bool wanted = false;
    nw_status status;

    epoch_label(seq, entry);
    run_note(seq, entry);
    status = entry_filter(seq, entry, &wanted, err);
    if (status != NW_OK || !wanted) {
        cut_keep(seq, entry);
        nw_sequencer_pass_over(seq, entry);
    } else if (nw_held_splits(seq, entry)) {
        cut_keep(seq, entry);
        status = nw_held_split(seq, entry, err);
    } else if (nw_held_wants(seq, entry)) {
        cut_keep(seq, entry);
        status = nw_held_take(seq, entry, err);
    } else {
        nw_sequencer_append(seq, entry);
    }
    if (status == NW_OK) {
        nw_held_release(seq);
        return NW_OK;
    }
    return nw_sequencer_fail(seq, err, status == NW_REJECT ? entry->table : NULL);
}

void nw_sequencer_leave(struct nw_sequencer *seq, struct nw_entry *last)
{
    struct nw_entry *entry;

    do {
        entry = seq->log.first;
        NW_ASSERT(entry != NULL && entry != seq->cursor);
        nw_entry_list_remove(&seq->log, entry);
        seq->hand_old = seq->hand_old == entry ? seq->log.first : seq->hand_old;
        seq->hand_new = seq->hand_new == entry ? seq->log.last : seq->hand_new;
        nw_entry_list_append(&seq->leaving, entry);
        if (entry->kind == NW_ITEM_BATCH) {
            nw_flow_add(&seq->sink->flow, entry->table->relation_oid,
                        entry->rows_count - entry->first_row - nw_letters_leave(entry));
        }
    } while (entry != last);
    seq->oldest = seq->log.first;
    while (seq->oldest != NULL && !entry_is_change(seq->oldest)) {
        seq->oldest = seq->oldest->next;
    }
}

/* Takes the next item of a lane into its window. NW_AGAIN: none, or no room for it. */
static nw_status item_take(struct nw_sequencer *seq, struct nw_spsc *in, struct nw_error *err)
{
    struct nw_item *item = nw_spsc_peek(in);
    struct nw_window *window;
    struct nw_entry *entry = NULL;
    nw_status status;

    if (item == NULL || seq->entries_used >= NW_SEQUENCER_ENTRIES_MAX) {
        return NW_AGAIN;
    }
    NW_ASSERT(item->producer < seq->options.producers_count);
    window = &seq->windows[item->producer];
    if (item->ordinal - window->next > seq->window_mask) {
        return NW_AGAIN; /* ahead of its window: what it waits for is in another ring */
    }
    status = nw_entry_make(seq, item, &entry, err);
    if (status == NW_OK) {
        (void)nw_spsc_pop(in);
        window->slots[item->ordinal & seq->window_mask] = entry;
    }
    return status;
}

/* Takes what the lanes have into the windows. */
static nw_status items_take(struct nw_sequencer *seq, uint32_t *work, struct nw_error *err)
{
    for (uint32_t lane = 0; lane < seq->options.lanes_count; lane++) {
        nw_status status = NW_OK;

        for (uint32_t i = 0; i < TAKE_MAX && status == NW_OK; i++) {
            status = item_take(seq, seq->options.in[lane], err);
            *work += status == NW_OK;
        }
        if (status != NW_OK && status != NW_AGAIN) {
            return status;
        }
    }
    return NW_OK;
}

/* Moves what is in order from the windows to the log. */
static nw_status items_order(struct nw_sequencer *seq, uint32_t *work, struct nw_error *err)
{
    for (uint32_t p = 0; p < seq->options.producers_count; p++) {
        struct nw_window *window = &seq->windows[p];

        for (;;) {
            struct nw_entry **slot = &window->slots[window->next & seq->window_mask];
            struct nw_entry *entry = *slot;
            nw_status status;

            if (entry == NULL || !nw_spill_in_memory(seq, entry)) {
                break;
            }
            *slot = NULL;
            entry->wanted = false; /* it may be far from its delivery */
            window->next++;
            *work += 1;
            status = entry_take(seq, entry, err);
            if (status != NW_OK) {
                return status;
            }
        }
    }
    return NW_OK;
}

/* Gives durable items back to their lanes. */
static void items_return(struct nw_sequencer *seq, uint32_t *work)
{
    struct nw_entry *entry = seq->leaving.first;

    while (entry != NULL) {
        struct nw_entry *next = entry->next;

        if (nw_entry_idle(entry) && nw_spill_release(seq, entry)) {
            if (entry->item != NULL) {
                if (!nw_spsc_push(seq->options.item_return[entry->lane], entry->item)) {
                    entry = next;
                    continue;
                }
                nw_bell_ring(seq->options.lane_bell[entry->lane]);
                seq->held_bytes -= entry->size;
            }
            nw_entry_list_remove(&seq->leaving, entry);
            entry_free(seq, entry);
            *work += 1;
        }
        entry = next;
    }
}

static void durable_tell(struct nw_sequencer *seq, uint32_t *work)
{
    if (seq->durable_pending == 0) {
        return;
    }
    if (seq->options.durable != NULL) {
        if (!nw_spsc_push(seq->options.durable, (void *)(uintptr_t)seq->durable_pending)) {
            return; /* a later epoch will stand for this one */
        }
        nw_bell_ring(seq->options.durable_bell);
    }
    seq->durable_pending = 0;
    *work += 1;
}

static void status_publish(struct nw_sequencer *seq)
{
    struct nw_sink *sink = seq->sink;

    atomic_store_explicit(&sink->held_bytes, seq->held_bytes, memory_order_relaxed);
    atomic_store_explicit(&sink->waiting_rows, seq->waiting_rows, memory_order_relaxed);
    atomic_store_explicit(&sink->waiting_bytes, seq->waiting_bytes, memory_order_relaxed);
    atomic_store_explicit(&sink->oldest_commit_ts, seq->oldest == NULL ? 0 : seq->oldest->commit_ts,
                          memory_order_relaxed);
    atomic_store_explicit(&sink->oldest_undurable_ns,
                          seq->oldest == NULL ? 0 : seq->oldest->received_ns, memory_order_relaxed);
}

nw_status nw_sequencer_fail(struct nw_sequencer *seq, const struct nw_error *cause,
                            const struct nw_table *table)
{
    struct nw_error whole = {0};

    seq->refused = cause->status == NW_REJECT ? table : NULL;
    if (table != NULL) {
        (void)nw_fail(&whole, cause->status, "%.6s sink %s refuses rows of table %s.%s: %.*s",
                      nw_code_or(cause->text, "NW2403"), seq->sink->config->name,
                      table->schema_name, table->name, 700, nw_code_rest(cause->text));
    } else {
        (void)nw_fail(&whole, cause->status, "%.6s sink %s: %.*s",
                      nw_code_or(cause->text, "NW2401"), seq->sink->config->name, 900,
                      nw_code_rest(cause->text));
    }
    seq->failure = whole;
    seq->state = NW_SEQUENCER_FAILED;
    nw_sink_state_set(seq->sink, NW_SINK_STATE_STOPPED, whole.text);
    return whole.status;
}

const struct nw_table *nw_sequencer_refused(const struct nw_sequencer *sequencer, uint64_t *lsn)
{
    const struct nw_envelope *envelope = &sequencer->sink->durable[0];
    const struct nw_position stored = {.bytes = envelope->bytes, .size = envelope->size};
    struct nw_envelope_content content = {0};
    struct nw_error ignored;

    *lsn = 0;
    if (envelope->size > 0 && nw_envelope_read(&stored, &content, &ignored) == NW_OK) {
        *lsn = content.position.lsn;
    }
    if (sequencer->refused != NULL) { /* what waits for its copy goes with it */
        uint64_t lacks = nw_held_lacks(sequencer, sequencer->refused->relation_oid);

        *lsn = lacks < *lsn ? lacks : *lsn;
    }
    return sequencer->refused;
}

static nw_status do_work(void *self, int64_t now_ns, uint32_t *work, struct nw_error *err)
{
    struct nw_sequencer *seq = self;
    nw_status status = NW_OK;

    seq->now_ns = now_ns;
    if (seq->state != NW_SEQUENCER_FAILED) {
        status = items_take(seq, work, err);
    }
    if (status == NW_OK && seq->state != NW_SEQUENCER_FAILED) {
        status = items_order(seq, work, err);
    }
    if (status == NW_OK && seq->state != NW_SEQUENCER_FAILED) {
        status = nw_commit_step(seq, work, err);
    }
    if (status == NW_OK && seq->state == NW_SEQUENCER_RUNNING) {
        status = nw_dispatch_step(seq, work, err);
    }
    if (status == NW_OK) {
        nw_spill_give_up(seq, work);
        status = nw_merge_check(seq, err);
    }
    if (status == NW_OK && seq->state != NW_SEQUENCER_FAILED) {
        status = nw_held_check(seq, err);
    }
    if (status == NW_OK && seq->state != NW_SEQUENCER_FAILED) {
        status = nw_spill_step(seq, work, err);
    }
    items_return(seq, work);
    durable_tell(seq, work);
    status_publish(seq);
    nw_lag_step(seq);
    if (seq->state == NW_SEQUENCER_FAILED) {
        *err = seq->failure;
        return seq->failure.status;
    }
    return status;
}

static void wait_for(void *self, int64_t now_ns, struct nw_wait *wait)
{
    const struct nw_sequencer *seq = self;
    int64_t deadline = nw_spill_deadline(seq, now_ns);

    if (seq->state == NW_SEQUENCER_PAUSING && seq->resume_ns < deadline) {
        deadline = seq->resume_ns;
    }
    if (seq->leaving.count > 0 && now_ns + NW_HELD_POLL_NS < deadline) {
        deadline = now_ns + NW_HELD_POLL_NS;
    }
    if ((seq->oldest != NULL || seq->lags_count > 0) && now_ns + NW_LAG_NS < deadline) {
        deadline = now_ns + NW_LAG_NS;
    }
    *wait = (struct nw_wait){.descriptor = -1, .deadline_ns = deadline};
}

struct nw_agent nw_sequencer_agent(struct nw_sequencer *seq)
{
    return (struct nw_agent){
        .name = seq->sink->config->name, .self = seq, .do_work = do_work, .wait = wait_for};
}

/* Making and ending one. */

static nw_status windows_make(struct nw_sequencer *seq, struct nw_error *err)
{
    size_t slots = NW_BLOCKS_PER_PRODUCER;

    /* A lane that stands still holds back all that its producer deals to it, while the other lanes
     * may go on: each of them by as many blocks as the producer has. */
    while (slots < (size_t)NW_BLOCKS_PER_PRODUCER * seq->options.lanes_count) {
        slots *= 2;
    }
    seq->window_mask = slots - 1;
    for (uint32_t i = 0; i < seq->options.producers_count; i++) {
        seq->windows[i].slots = calloc(slots, sizeof *seq->windows[i].slots);
        if (seq->windows[i].slots == NULL) {
            return nw_fail(err, NW_RETRY, "out of memory for reorder windows");
        }
    }
    return NW_OK;
}

static nw_status tasks_make(struct nw_sequencer *seq, struct nw_error *err)
{
    uint32_t workers_count = seq->sink->workers_count;

    seq->tasks = calloc((size_t)workers_count * NW_SINK_TASKS, sizeof *seq->tasks);
    if (seq->tasks == NULL) {
        return nw_fail(err, NW_RETRY, "out of memory for tasks");
    }
    for (uint32_t w = 0; w < workers_count; w++) {
        for (uint32_t i = 0; i < NW_SINK_TASKS; i++) {
            seq->free_tasks[w][i] = &seq->tasks[w * NW_SINK_TASKS + i];
        }
        seq->free_tasks_count[w] = NW_SINK_TASKS;
    }
    return NW_OK;
}

nw_status nw_sequencer_create(struct nw_sink *sink, const struct nw_sequencer_options *options,
                              struct nw_sequencer **sequencer, struct nw_error *err)
{
    struct nw_sequencer *made = calloc(1, sizeof *made);
    nw_status status;

    NW_ASSERT(sink->opened && !sink->control_out);
    NW_ASSERT(options->lanes_count >= 1 && options->lanes_count <= NW_LANES_MAX);
    NW_ASSERT(options->producers_count >= 1 && options->producers_count <= NW_PRODUCERS_MAX);
    if (made == NULL) {
        return nw_fail(err, NW_RETRY, "out of memory for a sequencer");
    }
    made->sink = sink;
    made->options = *options;
    made->epoch_open = 1;
    atomic_store_explicit(&sink->held_lsn, UINT64_MAX, memory_order_relaxed);
    status = windows_make(made, err);
    if (status == NW_OK) {
        status = tasks_make(made, err);
    }
    if (status == NW_OK && options->spill_folder != NULL) {
        status = nw_spill_create(made, err);
    }
    if (status == NW_OK && options->letters != NULL) {
        status = nw_letters_create(made, err);
    }
    if (status != NW_OK) {
        nw_sequencer_destroy(made);
        return status;
    }
    /* Release: workers and plugin threads ring a bell that is complete. */
    atomic_store_explicit(&sink->sequencer_bell, options->bell, memory_order_release);
    nw_sink_state_set(sink, NW_SINK_STATE_RUNNING, NULL);
    *sequencer = made;
    return NW_OK;
}
