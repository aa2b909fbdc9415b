/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a sequencer: what it holds goes back to the lanes, but for what a plugin may still
 * read: arrays that it kept, and, of a sink that hangs, what its calls were given.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "sink/copies.h"
#include "sink/letters.h"
#include "sink/sequencer.h"
#include "sink/spill.h"

/* @return whether a plugin still holds an array of it. */
static bool entry_end(struct nw_sequencer *seq, struct nw_entry *entry)
{
    if (nw_sink_hangs(seq->sink) && entry->tasks_out > 0) {
        return true;
    }
    entry->tasks_out = 0; /* the sink is stopped */
    (void)nw_letters_leave(entry);
    if (!nw_entry_idle(entry)) {
        return true;
    }
    (void)nw_spill_release(seq, entry);
    if (entry->item != NULL && nw_spsc_push(seq->options.item_return[entry->lane], entry->item)) {
        nw_bell_ring(seq->options.lane_bell[entry->lane]);
    }
    return false;
}

static bool list_end(struct nw_sequencer *seq, struct nw_entry_list *list)
{
    bool held = false;

    while (list->first != NULL) {
        struct nw_entry *entry = list->first;

        nw_entry_list_remove(list, entry);
        held |= entry_end(seq, entry);
    }
    return held;
}

static bool windows_end(struct nw_sequencer *seq)
{
    bool held = false;

    for (uint32_t p = 0; p < seq->options.producers_count && seq->windows[p].slots != NULL; p++) {
        for (uint64_t i = 0; i <= seq->window_mask; i++) {
            if (seq->windows[p].slots[i] != NULL) {
                held |= entry_end(seq, seq->windows[p].slots[i]);
            }
        }
        free((void *)seq->windows[p].slots);
    }
    return held;
}

/* Counters of arrays that a plugin still holds are in there: it stays until the process ends. */
static void slab_abandon(struct nw_entry *slab)
{
    static _Atomic(struct nw_entry *) abandoned;
    struct nw_entry *former = atomic_load_explicit(&abandoned, memory_order_relaxed);

    do {
        slab->next = former;
        /* Release: nobody reads the list; it only keeps the memory reachable. */
    } while (!atomic_compare_exchange_weak_explicit(&abandoned, &former, slab, memory_order_release,
                                                    memory_order_relaxed));
}

/* The same of a sequencer whose sink hangs: what a call was given may point to any of it. */
static void sequencer_abandon(struct nw_sequencer *seq)
{
    static _Atomic(struct nw_sequencer *) abandoned;
    struct nw_sequencer *former = atomic_load_explicit(&abandoned, memory_order_relaxed);

    do {
        seq->abandoned = former;
        /* Release: nobody reads the list; it only keeps the memory reachable. */
    } while (!atomic_compare_exchange_weak_explicit(&abandoned, &former, seq, memory_order_release,
                                                    memory_order_relaxed));
}

void nw_sequencer_destroy(struct nw_sequencer *seq)
{
    bool held;

    if (seq == NULL) {
        return;
    }
    atomic_store_explicit(&seq->sink->sequencer_bell, NULL, memory_order_release);
    nw_spill_quiesce(seq);
    held = list_end(seq, &seq->log);
    held |= list_end(seq, &seq->leaving);
    held |= list_end(seq, &seq->held);
    held |= windows_end(seq);
    nw_spill_destroy(seq);
    if (nw_sink_hangs(seq->sink)) {
        sequencer_abandon(seq);
        return;
    }
    for (uint32_t i = 0; i < seq->slabs_count; i++) {
        if (held) {
            slab_abandon(seq->slabs[i]);
        } else {
            free(seq->slabs[i]);
        }
    }
    free((void *)seq->slabs);
    for (uint32_t w = 0; w < seq->sink->workers_count; w++) {
        nw_table_set_fini(&seq->announced[w]);
    }
    for (uint32_t i = 0; seq->tasks != NULL && i < seq->sink->workers_count * NW_SINK_TASKS; i++) {
        free((void *)seq->tasks[i].tables);
    }
    nw_merge_fini(seq);
    free(seq->tasks);
    nw_copies_fini(seq);
    nw_letters_destroy(seq);
    free(seq->commit_copies);
    free(seq);
}
