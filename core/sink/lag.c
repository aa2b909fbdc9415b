/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lag of each table at one sink: its oldest change that is not durable there. Counted now and then
 * by the sequencer's thread from its log, and left where any thread can read it.
 */
#include <assert.h>
#include <string.h>

#include "sink/sequencer.h"

#define SLOTS_COUNT (NW_SINK_LAGS_MAX * 2)

static_assert((SLOTS_COUNT & (SLOTS_COUNT - 1)) == 0, "a power of two");
static_assert(NW_SINK_LAGS_MAX < UINT16_MAX, "slots are 16 bits wide");

/* NULL: too many tables. */
static struct nw_sink_lag *lag_find(struct nw_sequencer *seq, const struct nw_table *table)
{
    uint32_t relation_oid = table->relation_oid;
    uint32_t at = (relation_oid * 2654435761u) & (SLOTS_COUNT - 1);

    for (; seq->lag_slots[at] != 0; at = (at + 1) & (SLOTS_COUNT - 1)) {
        struct nw_sink_lag *lag = &seq->lags[seq->lag_slots[at] - 1];

        if (lag->relation_oid == relation_oid) {
            return lag;
        }
    }
    if (seq->lags_count == NW_SINK_LAGS_MAX) {
        return NULL;
    }
    seq->lag_slots[at] = (uint16_t)(++seq->lags_count);
    seq->lags[seq->lags_count - 1] =
        (struct nw_sink_lag){.table = table, .relation_oid = relation_oid};
    return &seq->lags[seq->lags_count - 1];
}

static void lags_count(struct nw_sequencer *seq)
{
    uint32_t seen = 0;

    seq->lags_count = 0;
    memset(seq->lag_slots, 0, sizeof seq->lag_slots);
    for (const struct nw_entry *entry = seq->oldest; entry != NULL && seen < NW_LAG_ENTRIES_MAX;
         entry = entry->next, seen++) {
        struct nw_sink_lag *lag = NULL;

        if (entry->kind == NW_ITEM_BATCH && entry->stream) {
            lag = lag_find(seq, entry->table);
        }
        if (lag != NULL) {
            if (lag->batches == 0) {
                lag->oldest_ns = entry->received_ns;
                lag->oldest_commit_ts = entry->commit_ts;
            }
            lag->bytes += entry->size;
            lag->batches++;
        }
    }
}

void nw_lag_step(struct nw_sequencer *seq)
{
    struct nw_sink *sink = seq->sink;
    bool cleared = seq->oldest == NULL && seq->lags_count > 0;

    if (!cleared && (seq->oldest == NULL || seq->now_ns - seq->lag_ns < NW_LAG_NS)) {
        return;
    }
    seq->lag_ns = seq->now_ns;
    lags_count(seq);
    (void)pthread_mutex_lock(&sink->lock);
    memcpy(sink->lags, seq->lags, seq->lags_count * sizeof *seq->lags);
    sink->lags_count = seq->lags_count;
    (void)pthread_mutex_unlock(&sink->lock);
}

uint32_t nw_sink_lags(struct nw_sink *sink, struct nw_sink_lag *lags, uint32_t lags_max)
{
    uint32_t count;

    (void)pthread_mutex_lock(&sink->lock);
    count = sink->lags_count < lags_max ? sink->lags_count : lags_max;
    memcpy(lags, sink->lags, count * sizeof *lags);
    (void)pthread_mutex_unlock(&sink->lock);
    return count;
}
