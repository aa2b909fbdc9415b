/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables that were dropped on the server. The stream says nothing of it, so the catalog is asked
 * (stream_watch.c), and the event gets a place of its own: an LSN behind the drop that the stream
 * has not reached. That is recorded before it can be reached, and the event is dealt before an
 * epoch ends there. So after a crash it is known of each sink whether it was told: its position is
 * at that place or behind it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "source/dealer_private.h"

static bool drop_waits(const struct nw_dealer *dealer, uint32_t relation_oid)
{
    for (const struct nw_drop *drop = dealer->drops; drop != NULL; drop = drop->next) {
        if (drop->relation_oid == relation_oid) {
            return true;
        }
    }
    return false;
}

bool nw_dealer_dropped(struct nw_dealer *dealer, const struct nw_table *table, uint64_t lsn)
{
    uint64_t next_lsn = dealer->state.position_lsn + 1;

    if (dealer->stop_waits) {
        return false;
    }
    if (!drop_waits(dealer, table->relation_oid)) {
        (void)nw_dealer_stop(dealer, table,
                             "NW2106 it was dropped on the server: what sinks have of it stays");
        dealer->stop.dropped = true;
        dealer->stop.playing = dealer->playing;
        dealer->stop.again = false;
        dealer->stop.sinks = 0;
        dealer->stop.lsn = lsn > next_lsn ? lsn : next_lsn;
    }
    return true;
}

nw_status nw_dealer_drop_recorded(struct nw_dealer *dealer, const struct nw_table *table,
                                  uint64_t lsn, struct nw_error *err)
{
    struct nw_drop *drop = calloc(1, sizeof *drop);

    if (drop == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for a dropped table");
    }
    drop->relation_oid = table->relation_oid;
    drop->lsn = lsn;
    (void)snprintf(drop->schema_name, sizeof drop->schema_name, "%s", table->schema_name);
    (void)snprintf(drop->name, sizeof drop->name, "%s", table->name);
    drop->next = dealer->drops;
    dealer->drops = drop;
    return NW_OK;
}

void nw_dealer_drops_free(struct nw_dealer *dealer)
{
    while (dealer->drops != NULL) {
        struct nw_drop *drop = dealer->drops;

        dealer->drops = drop->next;
        free(drop);
    }
}

/* The last version of the table; of one that was dropped in an earlier run only the name is known.
 */
static nw_status version_find(struct nw_dealer *dealer, const struct nw_drop *drop,
                              const struct nw_table **table, struct nw_error *err)
{
    const struct nw_table named = {.size = sizeof named,
                                   .relation_oid = drop->relation_oid,
                                   .schema_name = drop->schema_name,
                                   .name = drop->name,
                                   .replica_identity = 'n'};
    nw_status status = NW_OK;

    *table = nw_schemas_find(dealer->options.schemas, drop->relation_oid);
    if (*table == NULL) {
        status = nw_schemas_add(dealer->options.schemas, &named, 0, table, err);
    }
    return status == NW_OK ? nw_dealer_slots_grow(dealer, err) : status;
}

/* The table as sinks know it. */
static const struct nw_table *version_seen(const struct nw_dealer *dealer,
                                           const struct nw_table *table)
{
    const struct nw_dealer_options *o = &dealer->options;
    const struct nw_slot *slot = &dealer->slots[table->id];
    const struct nw_projection *projection = NULL;
    struct nw_error why = {0};

    if (slot->table == table) {
        projection = slot->projection;
    } else if (o->project == NULL || o->project(o->context, table, &projection, &why) != NW_OK) {
        projection = NULL; /* a rule of columns that are not known any more */
    }
    return nw_table_seen(table, projection);
}

static nw_status drop_deal(struct nw_dealer *dealer, const struct nw_drop *drop,
                           struct nw_error *err)
{
    const struct nw_table *table = NULL;
    const struct nw_table *seen = NULL;
    struct nw_block *block = NULL;
    nw_status status = version_find(dealer, drop, &table, err);

    if (status == NW_OK && (dealer->options.wanted == NULL ||
                            dealer->options.wanted(dealer->options.context, table))) {
        seen = version_seen(dealer, table);
        status = nw_dealer_event_open(dealer, NW_BLOCK_EVENT, &block, err);
    }
    if (status != NW_OK || seen == NULL) {
        return status;
    }
    if (nw_block_reserve(block, NW_ORIGIN_SIZE + sizeof seen) == NULL) {
        nw_producer_put(dealer->options.producer, block);
        return nw_fail(err, NW_FATAL, "out of memory for the event of a dropped table");
    }
    (void)nw_dealer_event_copy(block, &seen, sizeof seen);
    nw_dealer_event_fill(dealer, block, NW_EVENT_DROP, drop->lsn);
    block->event.commit_lsn = drop->lsn;
    block->event.origin = "";
    block->event.tables = (const struct nw_table *const *)(const void *)block->bytes;
    block->event.tables_count = 1;
    nw_dealer_event_deal(dealer, block);
    return NW_OK;
}

nw_status nw_dealer_drops_deal(struct nw_dealer *dealer, int64_t now_ns, struct nw_error *err)
{
    NW_ASSERT(dealer->state.between);
    if (dealer->stop_waits && dealer->stop.dropped) {
        return NW_AGAIN; /* an epoch that passes its place would say that sinks were told */
    }
    for (struct nw_drop **at = &dealer->drops; *at != NULL;) {
        struct nw_drop *drop = *at;
        nw_status status = NW_OK;

        if (drop->lsn > dealer->state.position_lsn) {
            at = &drop->next;
            continue;
        }
        dealer->now_ns = now_ns;
        status = drop_deal(dealer, drop, err);
        if (status != NW_OK) {
            return status;
        }
        *at = drop->next;
        free(drop);
    }
    return NW_OK;
}
