/* SPDX-License-Identifier: Apache-2.0 */
/* Spilling of items. See spill.h. */
#include "sink/spill.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/assert.h"
#include "base/code.h"
#include "base/errno.h"
#include "base/log.h"

/* Entries looked at in one step, in each direction. */
#define SCAN_MAX 1024u
/* How soon finished operations are looked for; nothing wakes the sequencer for them. */
#define POLL_NS 200000
/* How soon to look again while the budget is pressed and nothing can be done. */
#define PRESSED_POLL_NS 5000000
/* After a failed write nothing is spilled for this long. */
#define BROKEN_NS 10000000000
#define PATH_SIZE 4096

struct segment {
    int file; /* -1: none */
    uint64_t size;
    uint32_t live; /* entries that are in it, or being written to it */
};

struct nw_spill {
    struct nw_io *io;
    uint64_t segment_bytes;
    uint64_t stored_bytes; /* size of all segments: what the quota bounds */
    uint64_t live_bytes;   /* of entries that are in the files */
    uint32_t current;      /* segment that is written */
    uint32_t operations;   /* under way */
    uint64_t writing_bytes;
    int64_t broken_until_ns;
    bool broken;
    bool full;               /* the last entry did not fit into the quota */
    struct nw_error failure; /* of a read: ends the run */
    struct segment segments[NW_SPILL_SEGMENTS_MAX];
};

static struct nw_env *env_of(const struct nw_sequencer *seq)
{
    return seq->sink->env;
}

static void segment_path(const struct nw_sequencer *seq, uint32_t index, char *path)
{
    (void)snprintf(path, PATH_SIZE, "%s/%u.spill", seq->options.spill_folder, index);
}

static size_t body_size(const struct nw_entry *entry)
{
    return entry->size - sizeof(struct nw_item);
}

/* Segments. */

static void segment_remove(struct nw_sequencer *seq, uint32_t index)
{
    struct segment *segment = &seq->spill->segments[index];
    char path[PATH_SIZE];
    struct nw_error err = {0};

    segment_path(seq, index, path);
    env_of(seq)->ops->file_close(env_of(seq), segment->file);
    if (env_of(seq)->ops->file_remove(env_of(seq), path, &err) != NW_OK) {
        nw_log(NW_LOG_WARN, "%.6s sink %s: %s", nw_error_code(&err), seq->sink->config->name,
               nw_code_rest(err.text));
    }
    seq->spill->stored_bytes -= segment->size;
    *segment = (struct segment){.file = -1};
}

static void segment_unref(struct nw_sequencer *seq, uint32_t index)
{
    struct segment *segment = &seq->spill->segments[index];

    NW_ASSERT(segment->live > 0);
    segment->live--;
    if (segment->live == 0 && index != seq->spill->current) {
        segment_remove(seq, index);
    }
}

/* A segment with room; NW_AGAIN when the quota or the number of files is used up. */
static nw_status segment_find(struct nw_sequencer *seq, uint64_t size, struct nw_error *err)
{
    struct nw_spill *spill = seq->spill;
    struct segment *segment = &spill->segments[spill->current];
    char path[PATH_SIZE];

    if (segment->live == 0 && segment->file >= 0 && segment->size > 0) {
        segment_remove(seq, spill->current); /* start it anew */
    }
    if (spill->stored_bytes + size > seq->options.spill_quota_bytes) {
        return NW_AGAIN;
    }
    if (segment->file >= 0 && segment->size < spill->segment_bytes) {
        return NW_OK;
    }
    for (uint32_t i = 0; i < NW_SPILL_SEGMENTS_MAX; i++) {
        if (spill->segments[i].file < 0) {
            spill->current = i;
            segment_path(seq, i, path);
            return env_of(seq)->ops->file_open(env_of(seq), path, NW_FILE_CREATE,
                                               &spill->segments[i].file, err);
        }
    }
    return NW_AGAIN;
}

/* Writing. */

static bool has_rows(const struct nw_entry *entry)
{
    return entry->kind == NW_ITEM_BATCH || entry->kind == NW_ITEM_PACK;
}

static bool spillable(const struct nw_entry *entry)
{
    return has_rows(entry) && entry->spill_state == NW_SPILL_NONE && !entry->wanted &&
           entry->size >= NW_SPILL_ITEM_BYTES_MIN + sizeof(struct nw_item) &&
           entry->size <= NW_SPILL_ITEM_BYTES_MAX && entry->tasks_out == 0 &&
           atomic_load_explicit(&((struct nw_entry *)(uintptr_t)entry)->exports,
                                memory_order_acquire) == 0;
}

static nw_status write_begin(struct nw_sequencer *seq, struct nw_entry *entry, struct nw_error *err)
{
    struct nw_spill *spill = seq->spill;
    nw_status status = segment_find(seq, body_size(entry), err);
    struct segment *segment;

    if (status != NW_OK) {
        return status;
    }
    entry->head = malloc(sizeof *entry->head);
    if (entry->head == NULL) {
        return NW_AGAIN;
    }
    *entry->head = *entry->item;
    segment = &spill->segments[spill->current];
    entry->former = (uintptr_t)entry->item;
    entry->hash = XXH3_64bits(entry->item + 1, body_size(entry));
    entry->segment = spill->current;
    entry->offset = segment->size;
    entry->op = (struct nw_file_op){.verb = NW_FILE_WRITE,
                                    .file = segment->file,
                                    .bytes = entry->item + 1,
                                    .offset = entry->offset,
                                    .size = (uint32_t)body_size(entry)};
    status = env_of(seq)->ops->io_submit(env_of(seq), spill->io, &entry->op, err);
    if (status != NW_OK) {
        free(entry->head);
        entry->head = NULL;
        return status;
    }
    entry->spill_state = NW_SPILL_WRITING;
    segment->size += body_size(entry);
    segment->live++;
    spill->stored_bytes += body_size(entry);
    spill->writing_bytes += entry->size;
    spill->operations++;
    return NW_OK;
}

/* Take a stored item out of memory. @return false: its lane has no room to take it back. */
static bool memory_drop(struct nw_sequencer *seq, struct nw_entry *entry)
{
    if (entry->own) {
        free(entry->item);
        nw_budget_release(seq->options.budget, entry->size);
        entry->own = false;
    } else {
        if (!nw_spsc_push(seq->options.item_return[entry->lane], entry->item)) {
            return false;
        }
        nw_bell_ring(seq->options.lane_bell[entry->lane]);
    }
    entry->item = NULL;
    entry->spill_state = NW_SPILL_OUT;
    seq->held_bytes -= entry->size;
    return true;
}

static void write_finish(struct nw_sequencer *seq, struct nw_entry *entry)
{
    struct nw_spill *spill = seq->spill;

    entry->spill_state = NW_SPILL_NONE;
    spill->writing_bytes -= entry->size;
    if (entry->op.result != (int32_t)entry->op.size) {
        if (!spill->broken) {
            nw_log(NW_LOG_WARN, "NW2510 sink %s: cannot spill to %s: %s; waiting for room",
                   seq->sink->config->name, seq->options.spill_folder,
                   entry->op.result < 0 ? nw_errno_text(-entry->op.result) : "short write");
        }
        spill->broken = true;
        spill->broken_until_ns = seq->now_ns + BROKEN_NS;
        segment_unref(seq, entry->segment);
        free(entry->head);
        entry->head = NULL;
        seq->hand_held = seq->held.first; /* it may be one of these */
        return;
    }
    spill->broken = false;
    entry->stored = true;
    spill->live_bytes += body_size(entry);
    atomic_fetch_add_explicit(&seq->sink->spilled_total_bytes, body_size(entry),
                              memory_order_relaxed);
    if (spillable(entry)) {
        (void)memory_drop(seq, entry); /* if not now, then when it is looked at again */
    }
}

/* Reading. */

static nw_status read_begin(struct nw_sequencer *seq, struct nw_entry *entry, bool urgent,
                            struct nw_error *err)
{
    struct nw_spill *spill = seq->spill;
    struct nw_budget *budget = seq->options.budget;
    nw_status status;

    if (!nw_budget_charge(budget, entry->size)) {
        if (!urgent) {
            return NW_AGAIN;
        }
        /* The next to be delivered must come, or nothing would ever be given back. */
        nw_budget_overdraw(budget, entry->size);
    }
    entry->reading = malloc(entry->size);
    if (entry->reading == NULL) {
        nw_budget_release(budget, entry->size);
        return NW_AGAIN;
    }
    entry->op = (struct nw_file_op){.verb = NW_FILE_READ,
                                    .file = spill->segments[entry->segment].file,
                                    .bytes = entry->reading + 1,
                                    .offset = entry->offset,
                                    .size = (uint32_t)body_size(entry)};
    status = env_of(seq)->ops->io_submit(env_of(seq), spill->io, &entry->op, err);
    if (status != NW_OK) {
        nw_budget_release(budget, entry->size);
        free(entry->reading);
        entry->reading = NULL;
        return status;
    }
    entry->spill_state = NW_SPILL_READING;
    spill->operations++;
    return NW_OK;
}

static nw_status read_finish(struct nw_sequencer *seq, struct nw_entry *entry, struct nw_error *err)
{
    struct nw_item *item = entry->reading;

    entry->reading = NULL;
    entry->item = item; /* release() frees it, whatever is in it */
    entry->own = true;
    entry->spill_state = NW_SPILL_NONE;
    seq->held_bytes += entry->size;
    memcpy(item, entry->head, sizeof *item);
    if (entry->op.result != (int32_t)entry->op.size ||
        XXH3_64bits(item + 1, body_size(entry)) != entry->hash) {
        return nw_fail(
            err, NW_FATAL,
            "NW2511 spill file %u in %s gave back other bytes than were written at %llu (%d of "
            "%u bytes): look at the disk, then start again; nothing is lost",
            entry->segment, seq->options.spill_folder, (unsigned long long)entry->offset,
            entry->op.result, entry->op.size);
    }
    nw_item_relocate(item, entry->former);
    /* Its next address is this one: it is not written again, only dropped. */
    return NW_OK;
}

bool nw_spill_in_memory(struct nw_sequencer *seq, struct nw_entry *entry)
{
    struct nw_error err = {0};
    nw_status status;

    entry->wanted = true;
    if (entry->spill_state == NW_SPILL_OUT) {
        status = read_begin(seq, entry, true, &err);
        if (status != NW_OK && status != NW_AGAIN && seq->spill->failure.status == NW_OK) {
            seq->spill->failure = err;
        }
    }
    return entry->item != NULL;
}

static bool tasks_out(const struct nw_sequencer *seq)
{
    for (uint32_t w = 0; w < seq->sink->workers_count; w++) {
        if (seq->sink->workers[w].posted != seq->sink->workers[w].returned) {
            return true;
        }
    }
    return false;
}

bool nw_spill_fetch(struct nw_sequencer *seq, struct nw_entry *entry)
{
    if (entry->spill_state == NW_SPILL_OUT && nw_budget_pressed(seq->options.budget) &&
        (tasks_out(seq) || seq->spill->operations > 0)) {
        return false;
    }
    return nw_spill_in_memory(seq, entry);
}

void nw_spill_prefetch(struct nw_sequencer *seq, struct nw_entry *entry)
{
    struct nw_error err = {0};

    if (entry->spill_state == NW_SPILL_OUT && !nw_budget_pressed(seq->options.budget)) {
        (void)read_begin(seq, entry, false, &err); /* if not now, nw_spill_fetch() does it */
    }
}

/* Steps. */

static struct nw_entry *entry_of(struct nw_file_op *op)
{
    return (struct nw_entry *)(void *)((char *)op - offsetof(struct nw_entry, op));
}

static nw_status finished_take(struct nw_sequencer *seq, bool wait, uint32_t *work,
                               struct nw_error *err)
{
    struct nw_spill *spill = seq->spill;
    struct nw_file_op *done[NW_SPILL_QUEUE_DEPTH];
    size_t done_count = 0;
    nw_status status;

    if (spill->operations == 0) {
        return NW_OK;
    }
    status = env_of(seq)->ops->io_reap(env_of(seq), spill->io, wait, done, NW_SPILL_QUEUE_DEPTH,
                                       &done_count, err);
    if (status != NW_OK && status != NW_AGAIN) {
        return status;
    }
    status = NW_OK;
    for (size_t i = 0; i < done_count; i++) {
        struct nw_entry *entry = entry_of(done[i]);
        nw_status read = NW_OK;

        spill->operations--;
        *work += 1;
        if (entry->spill_state == NW_SPILL_WRITING) {
            write_finish(seq, entry);
        } else {
            read = read_finish(seq, entry, err);
        }
        status = status == NW_OK ? read : status;
    }
    return status;
}

/* Spill one entry, if it can be. @return false: no more now. */
static bool entry_spill(struct nw_sequencer *seq, struct nw_entry *entry, uint32_t *work)
{
    struct nw_error err = {0};
    nw_status status;

    if (!spillable(entry)) {
        return true;
    }
    *work += 1;
    if (entry->stored) {
        return memory_drop(seq, entry);
    }
    if (seq->spill->operations == NW_SPILL_QUEUE_DEPTH) {
        *work -= 1;
        return false;
    }
    status = write_begin(seq, entry, &err);
    seq->spill->full = status == NW_AGAIN;
    if (status != NW_OK) {
        *work -= 1;
        if (status != NW_AGAIN && !seq->spill->broken) {
            nw_log(NW_LOG_WARN, "NW2510 sink %s: cannot spill: %s", seq->sink->config->name,
                   nw_code_rest(err.text));
            seq->spill->broken = true;
            seq->spill->broken_until_ns = seq->now_ns + BROKEN_NS;
        }
        return false;
    }
    return true;
}

/* More than was asked to be written already has to go. */
static bool pressed(const struct nw_sequencer *seq)
{
    struct nw_budget *budget = seq->options.budget;
    /* Relaxed: a counter, as in budget.h. */
    int64_t used = atomic_load_explicit(&budget->used_bytes, memory_order_relaxed);
    uint64_t leaving = seq->spill == NULL ? 0 : seq->spill->writing_bytes;

    return used - (int64_t)leaving > budget->limit_bytes / 4 * 3;
}

/* What was delivered and waits for its commit goes first, oldest first. */
static bool delivered_spill(struct nw_sequencer *seq, uint32_t *work)
{
    if (seq->hand_old == NULL) {
        seq->hand_old = seq->log.first;
    }
    for (uint32_t i = 0; i < SCAN_MAX && pressed(seq); i++) {
        struct nw_entry *entry = seq->hand_old;

        if (entry == NULL || entry == seq->cursor) {
            seq->hand_old = seq->log.first; /* some may have been busy: look again next time */
            return true;
        }
        if (!entry_spill(seq, entry, work)) {
            return false;
        }
        seq->hand_old = entry->next;
    }
    return true;
}

/*
 * What waits for a copy is not needed soon. Behind the hand is what was spilled, and packs that are
 * being filled: those go to the list's end when they are full.
 */
static bool held_spill(struct nw_sequencer *seq, uint32_t *work)
{
    for (uint32_t i = 0; i < SCAN_MAX && pressed(seq) && seq->hand_held != NULL; i++) {
        if (!entry_spill(seq, seq->hand_held, work)) {
            return false;
        }
        seq->hand_held = seq->hand_held->next;
    }
    return true;
}

/* Then what is to be delivered last. */
static bool undelivered_spill(struct nw_sequencer *seq, uint32_t *work)
{
    if (seq->cursor == NULL) {
        return true;
    }
    if (seq->hand_new == NULL) {
        seq->hand_new = seq->log.last;
    }
    for (uint32_t i = 0; i < SCAN_MAX && pressed(seq); i++) {
        struct nw_entry *entry = seq->hand_new;

        if (entry == NULL) {
            return true;
        }
        if (!entry_spill(seq, entry, work)) {
            return false;
        }
        seq->hand_new = entry == seq->cursor ? seq->log.last : entry->prev;
        if (entry == seq->cursor) {
            return true;
        }
    }
    return true;
}

/*
 * Last, what waits in a window for an item of another lane: without this, they could use up the
 * budget that the lane needs to make the item they wait for.
 */
static void windows_spill(struct nw_sequencer *seq, uint32_t *work)
{
    for (uint32_t p = 0; p < seq->options.producers_count && pressed(seq); p++) {
        struct nw_window *window = &seq->windows[p];

        for (uint64_t i = seq->window_mask; i > 0 && pressed(seq); i--) {
            struct nw_entry *entry = window->slots[(window->next + i) & seq->window_mask];

            if (entry != NULL && !entry_spill(seq, entry, work)) {
                return;
            }
        }
    }
}

/*
 * Keeps the next few batches in memory, and fetches those that are not. In total order merge.c
 * knows better which these are: until their cut is here, none.
 */
static void ahead_read(struct nw_sequencer *seq, uint32_t *work)
{
    bool total = (seq->sink->flags & NW_SINK_TOTAL_ORDER) != 0;
    struct nw_entry *entry = seq->cursor;
    struct nw_error err = {0};
    uint32_t seen = 0;

    for (uint32_t i = 0; i < SCAN_MAX && entry != NULL && seen < NW_SPILL_AHEAD; i++) {
        if (has_rows(entry) && !entry->delivered && !(total && entry->stream)) {
            seen++;
            entry->wanted = true;
            if (entry->spill_state == NW_SPILL_OUT) {
                if (read_begin(seq, entry, entry == seq->cursor, &err) != NW_OK) {
                    return;
                }
                *work += 1;
            }
        }
        entry = entry->next;
    }
}

nw_status nw_spill_step(struct nw_sequencer *seq, uint32_t *work, struct nw_error *err)
{
    struct nw_spill *spill = seq->spill;
    nw_status status;

    if (spill == NULL) {
        return NW_OK;
    }
    status = finished_take(seq, false, work, err);
    if (status == NW_OK && spill->failure.status != NW_OK) {
        status = spill->failure.status;
        *err = spill->failure;
    }
    if (status != NW_OK) {
        return nw_sequencer_fail(seq, err, NULL);
    }
    if (seq->state == NW_SEQUENCER_RUNNING) {
        ahead_read(seq, work);
    }
    if (pressed(seq) && (!spill->broken || seq->now_ns >= spill->broken_until_ns)) {
        if (held_spill(seq, work) && delivered_spill(seq, work) && undelivered_spill(seq, work)) {
            windows_spill(seq, work);
        }
    }
    atomic_store_explicit(&seq->sink->spilled_bytes, spill->live_bytes, memory_order_relaxed);
    return NW_OK;
}

bool nw_spill_useless(const struct nw_sequencer *seq)
{
    return seq->spill == NULL || seq->spill->full || seq->spill->broken;
}

bool nw_spill_broken(const struct nw_sequencer *seq)
{
    return seq->spill != NULL && seq->spill->broken;
}

bool nw_spill_rests(const struct nw_sequencer *seq)
{
    return !tasks_out(seq) && (seq->spill == NULL || seq->spill->operations == 0);
}

/* Delivered and still in memory for good: events are not spilled. */
static bool is_held_event(struct nw_entry *entry)
{
    return entry->kind == NW_ITEM_EVENT && entry->item != NULL && nw_entry_idle(entry);
}

static bool holds_events(const struct nw_sequencer *seq)
{
    for (struct nw_entry *entry = seq->log.first; entry != seq->cursor; entry = entry->next) {
        if (is_held_event(entry)) {
            return true;
        }
    }
    return false;
}

/* Whether only the end of the open epoch could set anything free. */
static bool stuck(const struct nw_sequencer *seq)
{
    if (seq->state != NW_SEQUENCER_RUNNING || seq->seals_count > 0 || seq->commit_entry != NULL ||
        seq->log.first == seq->cursor || !pressed(seq)) {
        return false;
    }
    if (seq->lost) {
        return true; /* there is no replay to save any more */
    }
    return nw_spill_rests(seq) && seq->now_ns - seq->moved_ns >= NW_SPILL_STUCK_NS &&
           (nw_spill_useless(seq) || holds_events(seq));
}

void nw_spill_give_up(struct nw_sequencer *seq, uint32_t *work)
{
    if (!stuck(seq)) {
        return;
    }
    if (!seq->lost) {
        nw_log(NW_LOG_WARN,
               "NW2414 sink %s: an epoch is larger than memory and spill quota; if the sink fails "
               "before "
               "the epoch is committed, all sinks begin again from their positions",
               seq->sink->config->name);
    }
    for (struct nw_entry *entry = seq->log.first; entry != seq->cursor; entry = entry->next) {
        /* Batches go only when they cannot be spilled; what is on disk stays for the replay. */
        if (!is_held_event(entry) &&
            (!has_rows(entry) || !nw_spill_useless(seq) || !nw_entry_idle(entry) ||
             entry->spill_state == NW_SPILL_WRITING || entry->spill_state == NW_SPILL_READING)) {
            continue;
        }
        if (entry->item != NULL && !memory_drop(seq, entry)) {
            return; /* its lane first has to take back others */
        }
        seq->lost = true;
        *work += entry->stored;
        (void)nw_spill_release(seq, entry);
    }
}

int64_t nw_spill_deadline(const struct nw_sequencer *seq, int64_t now_ns)
{
    if (seq->spill == NULL) {
        return pressed(seq) ? now_ns + NW_SPILL_STUCK_NS / 10 : INT64_MAX;
    }
    if (seq->spill->operations > 0) {
        return now_ns + POLL_NS;
    }
    return pressed(seq) ? now_ns + PRESSED_POLL_NS : INT64_MAX;
}

bool nw_spill_release(struct nw_sequencer *seq, struct nw_entry *entry)
{
    if (entry->spill_state == NW_SPILL_WRITING || entry->spill_state == NW_SPILL_READING) {
        return false;
    }
    if (entry->own) {
        free(entry->item);
        entry->item = NULL;
        entry->own = false;
        nw_budget_release(seq->options.budget, entry->size);
        seq->held_bytes -= entry->size;
    }
    if (entry->stored) {
        seq->spill->live_bytes -= body_size(entry);
        segment_unref(seq, entry->segment);
        entry->stored = false;
    }
    free(entry->head);
    entry->head = NULL;
    return true;
}

/* Making and ending. */

struct emptying {
    struct nw_sequencer *seq;
    uint32_t removed;
};

static nw_status file_empty(void *context, const char *name, bool is_folder, struct nw_error *err)
{
    struct emptying *emptying = context;
    struct nw_sequencer *seq = emptying->seq;
    char path[PATH_SIZE];
    size_t length = strlen(name);

    if (is_folder || length < 7 || strcmp(name + length - 6, ".spill") != 0) {
        return nw_fail(
            err, NW_FATAL,
            "NW2512 the spill folder %s holds %s, which is not narwal's: name an empty folder",
            seq->options.spill_folder, name);
    }
    (void)snprintf(path, sizeof path, "%s/%s", seq->options.spill_folder, name);
    emptying->removed++;
    return env_of(seq)->ops->file_remove(env_of(seq), path, err);
}

nw_status nw_spill_create(struct nw_sequencer *seq, struct nw_error *err)
{
    struct nw_env *env = env_of(seq);
    struct emptying emptying = {.seq = seq};
    struct nw_spill *spill = calloc(1, sizeof *spill);
    nw_status status;

    if (spill == NULL) {
        return nw_fail(err, NW_RETRY, "out of memory for the spill");
    }
    seq->spill = spill;
    for (uint32_t i = 0; i < NW_SPILL_SEGMENTS_MAX; i++) {
        spill->segments[i].file = -1;
    }
    spill->segment_bytes = seq->options.spill_quota_bytes / NW_SPILL_SEGMENTS_MAX * 2;
    if (spill->segment_bytes < NW_SPILL_SEGMENT_BYTES) {
        spill->segment_bytes = NW_SPILL_SEGMENT_BYTES;
    }
    status = env->ops->folder_create(env, seq->options.spill_folder, err);
    if (status == NW_OK) {
        status = env->ops->folder_list(env, seq->options.spill_folder, file_empty, &emptying, err);
    }
    if (status == NW_OK) {
        status = env->ops->io_create(env, NW_SPILL_QUEUE_DEPTH, &spill->io, err);
    }
    return status;
}

void nw_spill_quiesce(struct nw_sequencer *seq)
{
    struct nw_error err = {0};
    uint32_t work = 0;

    while (seq->spill != NULL && seq->spill->operations > 0) {
        uint32_t before = seq->spill->operations;

        (void)finished_take(seq, true, &work, &err);
        if (seq->spill->operations == before) {
            break; /* the queue itself has failed */
        }
    }
}

void nw_spill_destroy(struct nw_sequencer *seq)
{
    struct nw_spill *spill = seq->spill;

    if (spill == NULL) {
        return;
    }
    for (uint32_t i = 0; i < NW_SPILL_SEGMENTS_MAX; i++) {
        if (spill->segments[i].file >= 0) {
            segment_remove(seq, i);
        }
    }
    if (spill->io != NULL) {
        env_of(seq)->ops->io_destroy(env_of(seq), spill->io);
    }
    free(spill);
    seq->spill = NULL;
}
