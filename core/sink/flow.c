/* SPDX-License-Identifier: Apache-2.0 */
/* See flow.h. */
#include "sink/flow.h"

#include <assert.h>

#define PROBES_MAX 64u

static_assert((NW_FLOW_PLACES & (NW_FLOW_PLACES - 1)) == 0, "a power of two");

static uint32_t place_first(uint32_t relation_oid)
{
    return (relation_oid * 2654435761u) & (NW_FLOW_PLACES - 1);
}

void nw_flow_add(struct nw_flow *flow, uint32_t relation_oid, uint32_t rows)
{
    uint32_t at = place_first(relation_oid);

    for (uint32_t i = 0; i < PROBES_MAX; i++, at = (at + 1) & (NW_FLOW_PLACES - 1)) {
        /* Relaxed: only we write. */
        uint32_t there = atomic_load_explicit(&flow->places[at].relation_oid, memory_order_relaxed);

        if (there == 0) {
            atomic_store_explicit(&flow->places[at].relation_oid, relation_oid,
                                  memory_order_relaxed);
            there = relation_oid;
        }
        if (there == relation_oid) { /* relaxed: a count for people */
            atomic_fetch_add_explicit(&flow->places[at].rows, rows, memory_order_relaxed);
            return;
        }
    }
}

uint64_t nw_flow_rows(const struct nw_flow *flow, uint32_t relation_oid)
{
    uint32_t at = place_first(relation_oid);

    for (uint32_t i = 0; i < PROBES_MAX; i++, at = (at + 1) & (NW_FLOW_PLACES - 1)) {
        /* Relaxed, with nw_flow_add(): a place that is seen late is looked for again. */
        uint32_t there = atomic_load_explicit(&flow->places[at].relation_oid, memory_order_relaxed);

        if (there == relation_oid) {
            return atomic_load_explicit(&flow->places[at].rows, memory_order_relaxed);
        }
        if (there == 0) {
            return 0;
        }
    }
    return 0;
}
