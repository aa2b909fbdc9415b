/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many rows of each table became durable at a sink. Counted by the sequencer's thread as
 * entries leave its log; any thread may look. Tables that find no place are not counted.
 */
#ifndef NW_SINK_FLOW_H
#define NW_SINK_FLOW_H

#include <stdatomic.h>
#include <stdint.h>

#define NW_FLOW_PLACES 16384u /* a power of two */

struct nw_flow {
    struct {
        _Atomic uint32_t relation_oid; /* 0: free; never changed afterwards */
        _Atomic uint64_t rows;
    } places[NW_FLOW_PLACES];
};

/** The sequencer's thread. */
void nw_flow_add(struct nw_flow *flow, uint32_t relation_oid, uint32_t rows);
/** 0 for a table that is not counted. */
uint64_t nw_flow_rows(const struct nw_flow *flow, uint32_t relation_oid);

#endif
