/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Delivery: walks the log with the cursor and gives tasks to the workers. See sequencer.h.
 *
 * Epochs. When an epoch begins, the log is searched for ends that are there already: a sink that is
 * late gets several epochs as one, under the number of the last. Everything that is handed out then
 * bears that number, up to the seal. An epoch whose end is not there yet bears its own.
 */
#include "sink/sequencer.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "sink/behind.h"
#include "sink/held.h"
#include "sink/letters.h"
#include "sink/spill.h"

/* Entries handled, or slices of the total order handed out, in one step. */
#define STEP_MAX 256u

/* Announced schema versions. */

static uint32_t table_hash(const struct nw_table *table)
{
    return (uint32_t)((((uint64_t)(uintptr_t)table >> 4) * 11400714819323198485u) >> 32);
}

static bool table_known(const struct nw_table_set *set, const struct nw_table *table)
{
    for (uint32_t i = 0; i < set->capacity; i++) {
        const struct nw_table *slot = set->slots[(table_hash(table) + i) & (set->capacity - 1)];

        if (slot == table) {
            return true;
        }
        if (slot == NULL) {
            return false;
        }
    }
    return false;
}

static void table_insert(struct nw_table_set *set, const struct nw_table *table)
{
    uint32_t at = table_hash(table) & (set->capacity - 1);

    while (set->slots[at] != NULL) {
        at = (at + 1) & (set->capacity - 1);
    }
    set->slots[at] = table;
    set->count++;
}

static nw_status table_add(struct nw_table_set *set, const struct nw_table *table,
                           struct nw_error *err)
{
    if (set->count * 2 >= set->capacity) {
        struct nw_table_set grown = {.capacity = set->capacity == 0 ? 64 : set->capacity * 2};

        grown.slots = calloc(grown.capacity, sizeof *grown.slots);
        if (grown.slots == NULL) {
            return nw_fail(err, NW_FATAL, "out of memory for %u tables", grown.capacity);
        }
        for (uint32_t i = 0; i < set->capacity; i++) {
            if (set->slots[i] != NULL) {
                table_insert(&grown, set->slots[i]);
            }
        }
        free((void *)set->slots);
        *set = grown;
    }
    table_insert(set, table);
    return NW_OK;
}

void nw_table_set_clear(struct nw_table_set *set)
{
    if (set->count > 0) {
        memset((void *)set->slots, 0, set->capacity * sizeof *set->slots);
        set->count = 0;
    }
}

void nw_table_set_fini(struct nw_table_set *set)
{
    free((void *)set->slots);
    memset(set, 0, sizeof *set);
}

/* Tasks. */

static struct nw_task *task_make(struct nw_sequencer *seq, uint32_t worker, enum nw_task_kind kind,
                                 uint64_t epoch)
{
    struct nw_task *task;

    NW_ASSERT(seq->free_tasks_count[worker] > 0);
    task = seq->free_tasks[worker][--seq->free_tasks_count[worker]];
    task->kind = kind;
    task->epoch = epoch;
    /* Relaxed: only this thread writes it while the sink runs. */
    task->round = atomic_load_explicit(&seq->sink->round, memory_order_relaxed);
    task->entry = NULL;
    task->table = NULL;
    return task;
}

static void task_post(struct nw_sequencer *seq, uint32_t worker, struct nw_task *task)
{
    if (task->entry != NULL) {
        task->entry->tasks_out++;
    }
    nw_worker_post(&seq->sink->workers[worker], task);
    seq->bells |= 1u << worker;
}

void nw_dispatch_task_free(struct nw_sequencer *seq, uint32_t worker, struct nw_task *task)
{
    if (task->entry != NULL) {
        task->entry->tasks_out--;
    }
    free((void *)task->tables);
    task->tables = NULL;
    seq->free_tasks[worker][seq->free_tasks_count[worker]++] = task;
}

/* NW_AGAIN when the worker has no room for this and one task more. */
static nw_status table_announce(struct nw_sequencer *seq, uint32_t worker,
                                const struct nw_table *table, uint64_t epoch, struct nw_error *err)
{
    struct nw_task *task;
    nw_status status;

    if (seq->free_tasks_count[worker] < 2) {
        return NW_AGAIN;
    }
    if (table_known(&seq->announced[worker], table)) {
        return NW_OK;
    }
    status = table_add(&seq->announced[worker], table, err);
    if (status == NW_OK) {
        task = task_make(seq, worker, NW_TASK_TABLE, epoch);
        task->table = table;
        task_post(seq, worker, task);
    }
    return status;
}

/* Entries. */

static uint64_t label_of(const struct nw_sequencer *seq, const struct nw_entry *entry)
{
    return entry->epoch > seq->target_epoch ? entry->epoch : seq->target_epoch;
}

nw_status nw_dispatch_run(struct nw_sequencer *seq, struct nw_entry *entry,
                          const struct nw_batch *batch, uint32_t first_row, uint32_t rows_count,
                          struct nw_error *err)
{
    uint64_t epoch = label_of(seq, entry);
    nw_status status = table_announce(seq, entry->worker, batch->table, epoch, err);
    struct nw_task *task;

    if (status != NW_OK) {
        return status;
    }
    task = task_make(seq, entry->worker, NW_TASK_WRITE, epoch);
    task->entry = entry;
    task->batch = batch;
    task->table = task->batch->table;
    task->first_row = first_row;
    task->rows_count = rows_count;
    task_post(seq, entry->worker, task);
    return NW_OK;
}

nw_status nw_dispatch_rows(struct nw_sequencer *seq, struct nw_entry *entry,
                           const struct nw_batch *batch, uint32_t first_row, uint32_t rows_count,
                           struct nw_error *err)
{
    return seq->letters != NULL && nw_letters_concern(seq, entry, batch, first_row)
               ? nw_letters_dispatch(seq, entry, batch, first_row, rows_count, err)
               : nw_dispatch_run(seq, entry, batch, first_row, rows_count, err);
}

/* Only when it is in memory can be said which rows of a held batch are behind the copy's fence. */
static uint32_t rows_limit(const struct nw_entry *entry)
{
    uint32_t first = nw_batch_rows_from(&entry->item->as.batch, entry->limit_lsn);

    return first > entry->first_row ? first : entry->first_row;
}

static nw_status batch_deliver(struct nw_sequencer *seq, struct nw_entry *entry,
                               struct nw_error *err)
{
    nw_status status = NW_AGAIN;

    if (nw_spill_in_memory(seq, entry)) {
        if (entry->limit_lsn != 0) {
            entry->first_row = rows_limit(entry);
        }
        status = nw_dispatch_rows(seq, entry, &entry->item->as.batch, entry->first_row,
                                  entry->rows_count - entry->first_row, err);
    }
    if (status == NW_OK) {
        entry->wanted = false;
    }
    return status;
}

/* The first chunk's begin is the copy's, and the end of the chunk with which it is whole. */
static nw_status copy_deliver(struct nw_sequencer *seq, struct nw_entry *entry,
                              struct nw_error *err)
{
    const struct nw_item *item = entry->item;
    uint64_t epoch = label_of(seq, entry);
    bool begins = entry->kind == NW_ITEM_COPY_BEGIN;
    nw_status status = table_announce(seq, entry->worker, item->table, epoch, err);
    struct nw_task *task;

    if (status == NW_OK && begins) {
        /* What a recover finds of a copy of this run is kept: the rest comes again. */
        status = nw_sink_verdict_keep(seq->sink, item->table->relation_oid, item->generation,
                                      NW_COPY_RESUME, err);
    }
    if (status != NW_OK) {
        return status;
    }
    task = task_make(seq, entry->worker, begins ? NW_TASK_COPY_BEGIN : NW_TASK_COPY_END, epoch);
    task->table = item->table;
    task->generation = item->generation;
    task_post(seq, entry->worker, task);
    return NW_OK;
}

/* Events. */

static nw_status event_post(struct nw_sequencer *seq, struct nw_entry *entry,
                            const struct nw_event *event, uint32_t worker,
                            const struct nw_table **tables, uint32_t tables_count)
{
    struct nw_task *task = task_make(seq, worker, NW_TASK_EVENT, label_of(seq, entry));

    task->entry = entry;
    task->event = *event;
    task->event.size = (uint32_t)sizeof task->event;
    task->event.epoch = task->epoch;
    if (tables != NULL) {
        task->tables = tables;
        task->event.tables = tables;
        task->event.tables_count = tables_count;
    }
    task_post(seq, worker, task);
    return NW_OK;
}

static bool truncate_had(const struct nw_sequencer *seq, const struct nw_event *event,
                         uint32_t backlog_oid, const struct nw_table *table, uint32_t worker)
{
    uint64_t lsn = seq->sink->durable_lsn[worker];

    return backlog_oid != 0 ? nw_behind_has_event(seq, event, backlog_oid, lsn)
                            : nw_behind_has_event_of(seq, event, table->relation_oid, lsn);
}

/* Whether the sink is to hear that this table was emptied, from this worker. */
static bool truncate_wanted(const struct nw_sequencer *seq, const struct nw_event *event,
                            uint32_t backlog_oid, const struct nw_table *table, uint32_t worker)
{
    return nw_sequencer_shard(seq, table->relation_oid) == worker &&
           !truncate_had(seq, event, backlog_oid, table, worker) &&
           (event->tables_count == 1 || /* looked at when it was taken in */
            event->commit_lsn >= nw_sequencer_fence_of(seq, table->relation_oid));
}

/* Tells one worker of those tables that are its own. */
static nw_status truncate_post(struct nw_sequencer *seq, struct nw_entry *entry,
                               const struct nw_event *event, uint32_t worker, struct nw_error *err)
{
    const struct nw_table **tables = calloc(event->tables_count + 1u, sizeof *tables);
    uint32_t count = 0;

    if (tables == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for a truncate of %u tables",
                       event->tables_count);
    }
    for (uint32_t i = 0; i < event->tables_count; i++) {
        if (truncate_wanted(seq, event, entry->item->backlog_oid, event->tables[i], worker)) {
            tables[count++] = event->tables[i];
        }
    }
    if (count == 0) {
        free((void *)tables);
        return NW_OK;
    }
    return event_post(seq, entry, event, worker, tables, count);
}

static nw_status truncate_deliver(struct nw_sequencer *seq, struct nw_entry *entry,
                                  const struct nw_event *event, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t w = 0; w < seq->sink->workers_count; w++) {
        if (seq->free_tasks_count[w] == 0) {
            return NW_AGAIN; /* all of them or none */
        }
    }
    for (uint32_t w = 0; w < seq->sink->workers_count && status == NW_OK; w++) {
        if (entry->epoch > seq->skip_epoch[w]) {
            status = truncate_post(seq, entry, event, w, err);
        }
    }
    return status;
}

/* Events of no table in particular go to worker 0. */
static nw_status event_deliver(struct nw_sequencer *seq, struct nw_entry *entry,
                               const struct nw_event *event, struct nw_error *err)
{
    uint32_t worker = 0;

    if (event->kind == NW_EVENT_TRUNCATE) {
        return truncate_deliver(seq, entry, event, err);
    }
    if ((event->kind == NW_EVENT_SCHEMA || event->kind == NW_EVENT_DROP) &&
        event->tables_count > 0) {
        worker = nw_sequencer_shard(seq, event->tables[0]->relation_oid);
        if (event->kind == NW_EVENT_DROP &&
            event->lsn < nw_sequencer_fence_of(seq, event->tables[0]->relation_oid)) {
            return NW_OK; /* it stopped here */
        }
    }
    if (entry->epoch <= seq->skip_epoch[worker] ||
        nw_behind_has_event(seq, event, entry->item->backlog_oid, seq->sink->durable_lsn[worker])) {
        return NW_OK;
    }
    return seq->free_tasks_count[worker] == 0 ? NW_AGAIN
                                              : event_post(seq, entry, event, worker, NULL, 0);
}

/* Packs. */

/* What of a packed item is behind the copy's fence, and not at the sink already. */
static nw_status packed_deliver(struct nw_sequencer *seq, struct nw_entry *pack,
                                const struct nw_item *item, struct nw_error *err)
{
    const struct nw_batch *batch = &item->as.batch;
    uint32_t first = 0;

    if (item->kind == NW_ITEM_EVENT) {
        return nw_held_event_lsn(&item->as.event) < pack->limit_lsn
                   ? NW_OK
                   : event_deliver(seq, pack, &item->as.event, err);
    }
    first = nw_behind_rows(seq, batch, pack->limit_lsn);
    return first == batch->rows_count
               ? NW_OK
               : nw_dispatch_rows(seq, pack, batch, first, batch->rows_count - first, err);
}

static nw_status pack_deliver(struct nw_sequencer *seq, struct nw_entry *pack, struct nw_error *err)
{
    uint32_t at = pack->row_next == 0 ? NW_PACK_EMPTY : pack->row_next;
    const struct nw_item *item = NULL;

    if (pack->epoch <= seq->skip_epoch[pack->worker]) {
        return NW_OK;
    }
    if (!nw_spill_in_memory(seq, pack)) {
        return NW_AGAIN;
    }
    while ((item = nw_pack_next(pack->item, &at)) != NULL) {
        nw_status status = packed_deliver(seq, pack, item, err);

        if (status != NW_OK) {
            return status;
        }
        pack->row_next = at;
        seq->moved_ns = seq->now_ns;
    }
    pack->wanted = false;
    return NW_OK;
}

/* Epochs. */

/*
 * The end that the epoch under way gets: the last one that is here, within bounds. A worker that
 * has more than the others, up to `least`, must not be taken back by the next commit.
 */
static struct nw_entry *epoch_end_find(const struct nw_sequencer *seq, uint64_t least)
{
    struct nw_entry *end = NULL;
    uint64_t bytes = 0;
    uint32_t seen = 0;

    for (struct nw_entry *entry = seq->cursor; entry != NULL; entry = entry->next) {
        bool ends = entry->kind == NW_ITEM_EPOCH_END && entry->epoch >= least;

        bytes += entry->size;
        seen++;
        if (end != NULL && (seen > NW_MERGE_ENTRIES_MAX || bytes > NW_MERGE_BYTES_MAX)) {
            return end;
        }
        if (entry->epoch > least && seen > NW_MERGE_ENTRIES_MAX) {
            return NULL;
        }
        end = ends ? entry : end;
        if (ends && (seq->retries > 0 || seq->refusals > 0)) {
            return end; /* a sink in trouble gets little at once, so that something gets through */
        }
    }
    return end;
}

/* @return false when the sink must first make durable what was sealed. */
static bool epoch_begin(struct nw_sequencer *seq)
{
    uint32_t ahead = seq->sink->plugin->ops.epochs_ahead_max;
    uint64_t least = 0;

    ahead = ahead > NW_SEQUENCER_SEALS_MAX - 1 ? NW_SEQUENCER_SEALS_MAX - 1 : ahead;
    if (seq->seals_count > ahead) {
        return false;
    }
    for (uint32_t w = 0; w < seq->sink->workers_count; w++) {
        least = seq->skip_epoch[w] > least ? seq->skip_epoch[w] : least;
    }
    seq->target_end = epoch_end_find(seq, least);
    seq->target_epoch = seq->target_end != NULL ? seq->target_end->epoch : seq->cursor->epoch;
    return true;
}

static void epoch_seal(struct nw_sequencer *seq, struct nw_entry *entry)
{
    struct nw_seal *seal =
        &seq->seals[(seq->seals_first + seq->seals_count) % NW_SEQUENCER_SEALS_MAX];

    NW_ASSERT(seq->seals_count < NW_SEQUENCER_SEALS_MAX);
    *seal = (struct nw_seal){
        .entry = entry, .epoch = entry->epoch, .workers_left = seq->sink->workers_count};
    seq->seals_count++;
    seq->target_epoch = 0;
    seq->target_end = NULL;
}

/* Tells every worker; @return false while one has no room. */
static bool seal_post(struct nw_sequencer *seq)
{
    struct nw_seal *seal;

    if (seq->seals_count == 0) {
        return true;
    }
    seal = &seq->seals[(seq->seals_first + seq->seals_count - 1) % NW_SEQUENCER_SEALS_MAX];
    while (seal->workers_posted < seq->sink->workers_count) {
        uint32_t worker = seal->workers_posted;

        if (seq->free_tasks_count[worker] == 0) {
            return false;
        }
        task_post(seq, worker, task_make(seq, worker, NW_TASK_SEAL, seal->epoch));
        seal->workers_posted++;
    }
    return true;
}

/* Whether a batch's rows are merged with those of others. */
static bool is_merged(const struct nw_sequencer *seq, const struct nw_entry *entry)
{
    return entry->stream && (seq->sink->flags & NW_SINK_TOTAL_ORDER) != 0;
}

static nw_status entry_deliver(struct nw_sequencer *seq, struct nw_entry *entry,
                               struct nw_error *err)
{
    switch (entry->kind) {
    case NW_ITEM_BATCH:
        if (entry->delivered || entry->epoch <= seq->skip_epoch[entry->worker]) {
            return NW_OK;
        }
        return is_merged(seq, entry) ? nw_merge_deliver(seq, entry, err)
                                     : batch_deliver(seq, entry, err);
    case NW_ITEM_COPY_BEGIN:
    case NW_ITEM_COPY_END:
        if (entry->epoch <= seq->skip_epoch[entry->worker] ||
            (entry->kind == NW_ITEM_COPY_END && !entry->copy_whole)) {
            return NW_OK;
        }
        return copy_deliver(seq, entry, err);
    case NW_ITEM_EVENT:
        return event_deliver(seq, entry, &entry->item->as.event, err);
    case NW_ITEM_PACK:
        return pack_deliver(seq, entry, err);
    case NW_ITEM_EPOCH_END:
        if (seq->target_end == NULL || seq->target_end == entry) {
            epoch_seal(seq, entry);
        }
        return NW_OK;
    }
    return NW_OK;
}

static void bells_ring(struct nw_sequencer *seq)
{
    for (uint32_t w = 0; w < seq->sink->workers_count && seq->bells != 0; w++) {
        if ((seq->bells >> w & 1u) != 0) {
            nw_bell_ring(seq->sink->workers[w].bell);
        }
    }
    seq->bells = 0;
}

nw_status nw_dispatch_step(struct nw_sequencer *seq, uint32_t *work, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < STEP_MAX && status == NW_OK; i++) {
        struct nw_entry *entry = seq->cursor;

        if (!seal_post(seq) || entry == NULL || (seq->target_epoch == 0 && !epoch_begin(seq))) {
            break;
        }
        status = entry_deliver(seq, entry, err);
        if (status == NW_OK) {
            seq->cursor = entry->next;
            seq->moved_ns = seq->now_ns;
            *work += 1;
        }
    }
    bells_ring(seq);
    return status == NW_AGAIN ? NW_OK : status;
}

void nw_dispatch_rewind(struct nw_sequencer *seq)
{
    seq->cursor = seq->log.first;
    seq->hand_new = seq->log.last;
    seq->target_epoch = 0;
    seq->target_end = NULL;
    nw_merge_reset(seq);
    seq->seals_count = 0;
    for (struct nw_entry *entry = seq->log.first; entry != NULL; entry = entry->next) {
        NW_ASSERT(entry->tasks_out == 0);
        entry->row_next = entry->first_row;
        entry->part_next = 0;
        entry->delivered = false;
        entry->wanted = false;
    }
    for (uint32_t w = 0; w < seq->sink->workers_count; w++) {
        nw_table_set_clear(&seq->announced[w]);
    }
}
