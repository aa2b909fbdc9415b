/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A decode lane: takes blocks of any table from any producer, turns their frames into typed columns
 * and hands the packed items to every sequencer. Stateless between blocks; the builders it reuses
 * are memory, not state. A full output ring or a used-up budget makes it wait, holding one block.
 */
#ifndef NW_DECODE_LANE_H
#define NW_DECODE_LANE_H

#include "decode/item.h"
#include "ring/agent.h"
#include "ring/budget.h"
#include "ring/spsc.h"

#define NW_SEQUENCERS_MAX 16u

struct nw_lane_options {
    uint32_t index;
    uint32_t producers_count;
    uint32_t sequencers_count;
    struct nw_budget *budget;
    struct nw_spsc *in[NW_PRODUCERS_MAX];           /* struct nw_block */
    struct nw_spsc *block_return[NW_PRODUCERS_MAX]; /* lane to producer */
    struct nw_bell *producer_bell[NW_PRODUCERS_MAX];
    struct nw_spsc *out[NW_SEQUENCERS_MAX];         /* struct nw_item */
    struct nw_spsc *item_return[NW_SEQUENCERS_MAX]; /* sequencer to lane */
    struct nw_bell *sequencer_bell[NW_SEQUENCERS_MAX];
};

struct nw_lane;
NW_MUST_CHECK nw_status nw_lane_create(const struct nw_lane_options *options, struct nw_lane **lane,
                                       struct nw_error *err);
void nw_lane_destroy(struct nw_lane *lane);
/** The agent that steps it; its self is the lane. */
struct nw_agent nw_lane_agent(struct nw_lane *lane);

/** Counters, read by any thread. */
struct nw_lane_counts {
    uint64_t rows, bytes, exceptions;
};
struct nw_lane_counts nw_lane_counts(const struct nw_lane *lane);

#endif
