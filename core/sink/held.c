/* SPDX-License-Identifier: Apache-2.0 */
/* See held.h. */
#include "sink/held.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "sink/behind.h"
#include "sink/spill.h"

/* Entries that may be held: others must always find room, the copy's among them. */
#define HELD_MAX ((uint64_t)NW_SEQUENCER_ENTRIES_MAX / 4 * 3)
/* Items from this size on are held as they are. */
#define PACKED_BYTES_MAX (256u << 10)
/* Smaller ones are packed. A pack begins with this size, and grows to between these. */
#define PACK_BYTES_FIRST (4u << 10)
#define PACK_BYTES_MIN   (32u << 10)
#define PACK_BYTES_MAX   (4u << 20)
/* All packs that are being filled take no more than this part of the budget, if they can. */
#define PACKS_PART 64
/* How long everything must stand still until a table stops: without room, and without a disk. */
#define STUCK_NS        (NW_SPILL_STUCK_NS * (int64_t)5)
#define STUCK_BROKEN_NS (NW_SPILL_STUCK_NS * (int64_t)30)

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
    case NW_ITEM_PACK:
        break;
    }
    return false;
}

uint64_t nw_held_event_lsn(const struct nw_event *event)
{
    return event->commit_lsn != 0 ? event->commit_lsn : event->lsn;
}

/* ---- the list ---- */

static void held_append(struct nw_sequencer *seq, struct nw_entry *entry)
{
    nw_entry_list_append(&seq->held, entry);
    seq->waiting_rows += entry->rows_count;
    seq->waiting_bytes += entry->size;
    if (seq->hand_held == NULL) {
        seq->hand_held = entry;
    }
}

static void held_remove(struct nw_sequencer *seq, struct nw_entry *entry)
{
    if (seq->hand_held == entry) {
        seq->hand_held = entry->next;
    }
    nw_entry_list_remove(&seq->held, entry);
    seq->waiting_rows -= entry->rows_count;
    seq->waiting_bytes -= entry->size;
}

/* ---- packs ---- */

/* The most that the packs of one table take until they are full. */
static uint32_t pack_bytes_max(const struct nw_sequencer *seq)
{
    int64_t bytes = seq->options.budget->limit_bytes / PACKS_PART / (seq->tables_held + 1);

    bytes = bytes < PACK_BYTES_MIN ? PACK_BYTES_MIN : bytes;
    return (uint32_t)(bytes > PACK_BYTES_MAX ? PACK_BYTES_MAX : bytes);
}

/* Gives the memory of a pack another size. @return false: there is none */
static bool pack_resize(struct nw_sequencer *seq, struct nw_entry *pack, uint32_t size)
{
    struct nw_budget *budget = seq->options.budget;
    uintptr_t former = (uintptr_t)pack->item;
    struct nw_item *moved = realloc(pack->item, size);

    if (moved == NULL) {
        return false;
    }
    if ((uintptr_t)moved != former) {
        nw_item_relocate(moved, former);
    }
    pack->item = moved;
    nw_budget_overdraw(budget, size); /* what is packed goes back to its lane */
    nw_budget_release(budget, pack->size);
    seq->held_bytes += size;
    seq->held_bytes -= pack->size;
    seq->waiting_bytes += size;
    seq->waiting_bytes -= pack->size;
    pack->size = size;
    return true;
}

/* Nothing is added any more: it may be spilled, after all that was closed before. */
static void pack_close(struct nw_sequencer *seq, struct nw_followed *slot)
{
    struct nw_entry *pack = slot->pack;

    slot->pack = NULL;
    if (pack == NULL) {
        return;
    }
    (void)pack_resize(seq, pack, pack->item->size); /* else it is as good as it is */
    pack->wanted = false;
    held_remove(seq, pack);
    held_append(seq, pack);
}

/* An empty pack, for what is like this entry. */
static nw_status pack_open(struct nw_sequencer *seq, struct nw_followed *slot,
                           const struct nw_entry *like, struct nw_error *err)
{
    struct nw_item *item = malloc(NW_PACK_EMPTY);
    nw_status status = NW_OK;

    if (item == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for changes that wait for a copy");
    }
    *item = (struct nw_item){.size = NW_PACK_EMPTY,
                             .kind = NW_ITEM_PACK,
                             .producer = NW_PRODUCER_STREAM,
                             .received_ns = like->received_ns,
                             .table = like->table};
    status = nw_entry_make(seq, item, &slot->pack, err);
    if (status != NW_OK) {
        free(item);
        return status;
    }
    slot->pack->own = true;
    slot->pack->wanted = true; /* not to be spilled yet */
    slot->pack->worker = nw_sequencer_shard(seq, slot->relation_oid);
    nw_budget_overdraw(seq->options.budget, slot->pack->size);
    held_append(seq, slot->pack);
    return NW_OK;
}

static nw_status pack_reserve(struct nw_sequencer *seq, struct nw_followed *slot,
                              const struct nw_entry *entry, struct nw_error *err)
{
    uint32_t size = (uint32_t)nw_item_padded(entry->size);
    uint32_t wanted = 0;
    nw_status status = NW_OK;

    if (slot->pack != NULL && slot->pack->item->size + size > pack_bytes_max(seq)) {
        pack_close(seq, slot);
    }
    if (slot->pack == NULL) {
        status = pack_open(seq, slot, entry, err);
    }
    if (status != NW_OK || slot->pack->size - slot->pack->item->size >= size) {
        return status;
    }
    wanted = slot->pack->size < PACK_BYTES_FIRST ? PACK_BYTES_FIRST : slot->pack->size * 2;
    wanted = wanted > pack_bytes_max(seq) ? pack_bytes_max(seq) : wanted;
    if (wanted < slot->pack->item->size + size) {
        wanted = slot->pack->item->size + size;
    }
    if (!pack_resize(seq, slot->pack, wanted)) {
        return nw_fail(err, NW_FATAL, "out of memory for changes that wait for a copy");
    }
    return NW_OK;
}

/* Puts a copy of an item behind the others of its table; it goes back to its lane. */
static nw_status pack_take(struct nw_sequencer *seq, struct nw_followed *slot,
                           struct nw_entry *entry, struct nw_error *err)
{
    nw_status status = pack_reserve(seq, slot, entry, err);
    uint32_t rows = entry->kind == NW_ITEM_BATCH ? entry->rows_count : 1;

    if (status == NW_OK) {
        nw_pack_add(slot->pack->item, entry->item);
        slot->pack->last_lsn = entry->last_lsn;
        slot->pack->rows_count += rows;
        seq->waiting_rows += rows;
    }
    nw_sequencer_pass_over(seq, entry);
    return status;
}

/* ---- from the mark to the copy's end ---- */

static nw_status too_much(const struct nw_sequencer *seq, const char *what, struct nw_error *err)
{
    return nw_fail(err, NW_REJECT,
                   "NW2416 while it is copied its changes wait for the copy's end, and %" PRIu64
                   " of them (%" PRIu64
                   " MiB) are more than %s. Copy it again when less is written to it",
                   seq->waiting_rows, seq->waiting_bytes >> 20, what);
}

nw_status nw_held_take(struct nw_sequencer *seq, struct nw_entry *entry, struct nw_error *err)
{
    const struct nw_table *table = table_of(entry);
    struct nw_followed *slot = nw_copies_find(seq, table->relation_oid);
    nw_status status = NW_OK;

    entry->table = table;
    if (entry->kind == NW_ITEM_COPY_END) {
        slot->ended = true;
        seq->copies_ended = true;
        held_append(seq, entry);
        return NW_OK;
    }
    entry->last_lsn = entry->kind == NW_ITEM_BATCH
                          ? entry->item->as.batch.commit_lsn[entry->rows_count - 1]
                          : nw_held_event_lsn(&entry->item->as.event);
    if (entry->size <= PACKED_BYTES_MAX) {
        status = pack_take(seq, slot, entry, err);
    } else {
        pack_close(seq, slot);
        held_append(seq, entry);
    }
    if (status == NW_OK && seq->held.count > HELD_MAX) {
        status = too_much(seq, "narwal can hold", err);
    }
    return status;
}

/* ---- truncates of several tables ---- */

bool nw_held_splits(const struct nw_sequencer *seq, const struct nw_entry *entry)
{
    const struct nw_event *event = NULL;

    if (seq->tables_held == 0 || !nw_copies_append(seq) || entry->kind != NW_ITEM_EVENT) {
        return false;
    }
    event = &entry->item->as.event;
    for (uint32_t i = 0; event->kind == NW_EVENT_TRUNCATE && i < event->tables_count; i++) {
        const struct nw_followed *slot = nw_copies_find(seq, event->tables[i]->relation_oid);

        if (slot != NULL && slot->holds) {
            return event->tables_count > 1;
        }
    }
    return false;
}

/* The part of one table, in memory of its own. */
static nw_status part_make(struct nw_sequencer *seq, const struct nw_entry *whole, uint32_t index,
                           struct nw_entry **part, struct nw_error *err)
{
    struct nw_item *item = malloc(whole->item->size);
    nw_status status = NW_OK;

    if (item == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for changes that wait for a copy");
    }
    memcpy(item, whole->item, whole->item->size);
    nw_item_relocate(item, (uintptr_t)whole->item);
    item->as.event.tables += index;
    item->as.event.tables_count = 1;
    status = nw_entry_make(seq, item, part, err);
    if (status != NW_OK) {
        free(item);
        return status;
    }
    (*part)->own = true;
    (*part)->epoch = whole->epoch;
    nw_budget_overdraw(seq->options.budget, (*part)->size);
    return NW_OK;
}

nw_status nw_held_split(struct nw_sequencer *seq, struct nw_entry *entry, struct nw_error *err)
{
    const struct nw_event *event = &entry->item->as.event;
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < event->tables_count && status == NW_OK; i++) {
        struct nw_entry *part = NULL;

        if (event->commit_lsn < nw_sequencer_fence_of(seq, event->tables[i]->relation_oid)) {
            continue;
        }
        status = part_make(seq, entry, i, &part, err);
        if (status == NW_OK && nw_held_wants(seq, part)) {
            status = nw_held_take(seq, part, err);
        } else if (status == NW_OK) {
            nw_sequencer_append(seq, part);
        }
    }
    nw_sequencer_pass_over(seq, entry);
    return status;
}

void nw_held_trim(struct nw_sequencer *seq, struct nw_followed *slot)
{
    struct nw_entry *next = NULL;

    for (struct nw_entry *entry = seq->held.first; entry != NULL; entry = next) {
        next = entry->next;
        if (entry->table->relation_oid == slot->relation_oid && entry->kind != NW_ITEM_COPY_END &&
            entry->last_lsn < slot->fence_lsn) {
            slot->pack = slot->pack == entry ? NULL : slot->pack;
            held_remove(seq, entry);
            nw_sequencer_pass_over(seq, entry);
        }
    }
}

void nw_held_forget(struct nw_sequencer *seq, struct nw_followed *slot)
{
    if (!slot->holds || slot->ended) {
        return; /* its copy is whole, and all goes to the log */
    }
    if (nw_copies_append(seq)) {
        slot->ended = seq->copies_ended = true;
        slot->takes = false;
        return;
    }
    slot->fence_lsn = UINT64_MAX;
    nw_held_trim(seq, slot);
    slot->fence_lsn = 0; /* the stream has no rows of it any more, but may say that it went */
    slot->holds = slot->takes = false;
    seq->tables_held--;
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

/* The copy's end first, if there is one, then what waited for it, in its order. */
static void table_release(struct nw_sequencer *seq, struct nw_followed *slot)
{
    struct nw_entry *next = NULL;

    pack_close(seq, slot);
    for (int ends = 1; ends >= 0; ends--) {
        for (struct nw_entry *entry = seq->held.first; entry != NULL; entry = next) {
            next = entry->next;
            if (entry->table->relation_oid == slot->relation_oid &&
                (entry->kind == NW_ITEM_COPY_END) == (ends == 1)) {
                entry_release(seq, entry, ends == 1 ? 0 : slot->fence_lsn);
            }
        }
    }
    slot->holds = slot->ended = false;
    slot->released_epoch = slot->held_from.commit_lsn == 0 ? 0 : seq->epoch_open;
    seq->tables_held--;
}

void nw_held_release(struct nw_sequencer *seq)
{
    if (!seq->copies_ended || seq->run_open) {
        return;
    }
    for (uint32_t i = 0; i < seq->followed_capacity; i++) {
        if (seq->followed[i].relation_oid != 0 && seq->followed[i].ended) {
            table_release(seq, &seq->followed[i]);
        }
    }
    seq->copies_ended = false;
}

/* ---- what the sink lacks meanwhile ---- */

/* From there on the sink lacks it, as far as is durable; UINT64_MAX: it does not. */
static uint64_t lacks_from(const struct nw_followed *slot)
{
    uint64_t lsn = slot->held_from.commit_lsn == 0 ? UINT64_MAX : slot->held_from.commit_lsn;

    if (slot->streams && !slot->level && slot->place.commit_lsn < lsn) {
        lsn = slot->place.commit_lsn; /* so says the position that the sink has */
    }
    return lsn;
}

uint64_t nw_held_lacks(const struct nw_sequencer *seq, uint32_t relation_oid)
{
    const struct nw_followed *slot = nw_copies_find(seq, relation_oid);

    return slot == NULL ? UINT64_MAX : lacks_from(slot);
}

void nw_held_tell(struct nw_sequencer *seq)
{
    uint64_t lowest = UINT64_MAX;

    for (uint32_t i = 0; i < seq->followed_capacity; i++) {
        uint64_t lsn = lacks_from(&seq->followed[i]);

        lowest = lsn < lowest ? lsn : lowest;
    }
    /* Release: pairs with the acknowledger's acquire, which learns of such a commit later. */
    atomic_store_explicit(&seq->sink->held_lsn, lowest, memory_order_release);
}

void nw_held_from(struct nw_sequencer *seq, struct nw_followed *slot, struct nw_place place)
{
    struct nw_place had = nw_behind_place(seq, slot->relation_oid);

    if (slot->held_from.commit_lsn == 0) { /* else a former copy's is not durable */
        slot->held_from = nw_place_before(place, had) ? had : place;
        seq->lacking_count++;
    }
    slot->released_epoch = 0;
    nw_held_tell(seq);
}

/* Whether with the commit under way the sink has all that it had at the start, and more. */
static bool is_level(const struct nw_sequencer *seq, const struct nw_followed *slot)
{
    uint32_t worker = nw_sequencer_shard(seq, slot->relation_oid);

    return seq->commit_positions[worker].lsn > seq->sink->durable_lsn[worker];
}

void nw_held_durable(struct nw_sequencer *seq)
{
    for (uint32_t i = 0; seq->lacking_count > 0 && i < seq->followed_capacity; i++) {
        struct nw_followed *slot = &seq->followed[i];

        if (slot->streams && !slot->level && is_level(seq, slot)) {
            slot->level = true;
            seq->lacking_count--;
            nw_held_tell(seq);
        }
        if (slot->released_epoch != 0 && slot->released_epoch <= seq->commit_epoch) {
            slot->held_from = (struct nw_place){0};
            slot->released_epoch = 0;
            seq->lacking_count--;
            nw_held_tell(seq);
        }
    }
}

/* Up to where the sink has the table with this commit. */
static struct nw_place level_of(const struct nw_sequencer *seq, const struct nw_followed *slot,
                                uint64_t epoch, uint64_t reached_lsn)
{
    struct nw_place level = {.commit_lsn = reached_lsn};
    struct nw_place had = nw_behind_place(seq, slot->relation_oid);
    bool released = slot->released_epoch != 0 && slot->released_epoch <= epoch;

    if (slot->held_from.commit_lsn != 0 && !released && nw_place_before(slot->held_from, level)) {
        level = slot->held_from;
    }
    return nw_place_before(level, had) ? had : level;
}

/* @param level  filled: where the next one that lacks something does. @return false: there is none
 */
static bool lacking_next(const struct nw_sequencer *seq, uint64_t epoch, uint64_t reached_lsn,
                         uint32_t *at, struct nw_behind *lacks)
{
    while (seq->lacking_count > 0 && *at < seq->followed_capacity) {
        const struct nw_followed *slot = &seq->followed[(*at)++];

        if (slot->relation_oid != 0 &&
            (slot->held_from.commit_lsn != 0 || (slot->streams && !slot->level))) {
            *lacks = (struct nw_behind){slot->relation_oid, level_of(seq, slot, epoch, reached_lsn),
                                        true};
            return true;
        }
    }
    return false;
}

/* What is said of a table already; NULL: nothing. */
static struct nw_behind *said_of(struct nw_behind_list *list, uint32_t others,
                                 uint32_t relation_oid)
{
    for (uint32_t i = 0; i < others; i++) {
        if (list->tables[i].relation_oid == relation_oid) {
            return &list->tables[i];
        }
    }
    return NULL;
}

void nw_held_say(const struct nw_sequencer *seq, uint64_t epoch, uint64_t reached_lsn,
                 uint64_t position_lsn, struct nw_behind_list *list)
{
    struct nw_behind lowest = {NW_BEHIND_UNFINISHED, {.commit_lsn = UINT64_MAX}, true};
    struct nw_behind lacks;
    uint32_t others = list->count;
    uint32_t count = 0;
    uint32_t at = 0;

    while (lacking_next(seq, epoch, reached_lsn, &at, &lacks)) {
        struct nw_behind *said = said_of(list, others, lacks.relation_oid);

        if (said != NULL && nw_place_before(lacks.place, said->place)) {
            *said = lacks; /* it waits, and what comes of it now is kept */
        }
        if (said != NULL || lacks.place.commit_lsn >= position_lsn) {
            continue;
        }
        if (others + count < NW_BEHIND_MAX) {
            list->tables[list->count++] = lacks;
        }
        count++;
        lowest.place = nw_place_before(lacks.place, lowest.place) ? lacks.place : lowest.place;
    }
    if (others + count > NW_BEHIND_MAX) {
        list->tables[others] = lowest;
        list->count = others + 1;
    }
}

/* The table of which the most is held: without it the others have room. */
static const struct nw_table *largest(const struct nw_sequencer *seq)
{
    const struct nw_table *table = NULL;
    uint64_t most = 0;

    for (uint32_t i = 0; i < seq->followed_capacity; i++) {
        seq->followed[i].waiting = 0;
    }
    for (const struct nw_entry *entry = seq->held.first; entry != NULL; entry = entry->next) {
        struct nw_followed *slot = nw_copies_find(seq, entry->table->relation_oid);

        slot->waiting += entry->size;
        if (slot->waiting > most) {
            most = slot->waiting;
            table = entry->table;
        }
    }
    return table;
}

nw_status nw_held_check(struct nw_sequencer *seq, struct nw_error *err)
{
    struct nw_budget *budget = seq->options.budget;

    if (seq->held.count == 0 || seq->state != NW_SEQUENCER_RUNNING || seq->seals_count > 0 ||
        seq->commit_entry != NULL || !nw_budget_pressed(budget) || !nw_spill_useless(seq) ||
        (int64_t)seq->held_bytes < budget->limit_bytes / 16 ||
        seq->now_ns - seq->moved_ns < (nw_spill_broken(seq) ? STUCK_BROKEN_NS : STUCK_NS) ||
        !nw_spill_rests(seq)) {
        return NW_OK;
    }
    (void)too_much(seq, "limits.memory and limits.spill have room for: raise them", err);
    return nw_sequencer_fail(seq, err, largest(seq));
}
