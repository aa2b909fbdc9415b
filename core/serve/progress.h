/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether narwal makes progress, judged from one report to the next: it is ready while whatever has
 * something to do moves. An idle server is ready, and so is a table that a user paused.
 * Main thread; pure but for its own memory.
 */
#ifndef NW_SERVE_PROGRESS_H
#define NW_SERVE_PROGRESS_H

#include "serve/report.h"

/** When something last moved, or had nothing to do, as the report's uptime. */
struct nw_progress {
    double after_s; /* how long it may stand still */
    bool begun;
    double connected_s, received_s, spooled_s, copied_s;
    uint64_t received_lsn;
    uint64_t copy_rows, copy_chunks;
    struct {
        double moved_s;
        double committed_s; /* wall clock */
        uint64_t rows, batches, commits;
    } sinks[NW_SEQUENCERS_MAX];
};

void nw_progress_init(struct nw_progress *progress, double after_s);
/** Fills the report's ready and ready_reason, and its sinks' committed_s. */
void nw_progress_note(struct nw_progress *progress, struct nw_report *report);

#endif
