/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the copy of a table that broke off is gone on with, under another snapshot. What it was
 * made of must be the same: relations, the files that they are in, what is selected, how it is
 * shown. Pure functions; main thread.
 *
 * Why this is enough: let X be the xmin of the first snapshot. Every transaction below X had ended
 * by then, so a row version with an xmin below X that a later snapshot sees was seen by the first
 * one, on the same page as long as the file is the same; if the page was read, the row is at the
 * sink. All other rows that the later snapshot sees have an xmin of X or above, in pages that were
 * read, or are in pages that were not. (xmin is what is on the page, also of a frozen row, since
 * PostgreSQL 9.4. As 32 bits it may seem newer than it is, when the row is very old; never older
 * while X is less than 2^31 behind.) What the first snapshot saw and the later one does not is
 * removed by the stream, which is delivered from the first fence on.
 */
#ifndef NW_PIPELINE_COPY_RESUME_H
#define NW_PIPELINE_COPY_RESUME_H

#include "pipeline/copy_plan.h"

/** What all sinks that lack a table have of its copy that broke off. */
struct nw_copy_former {
    uint32_t generation;
    struct nw_copy_progress progress;
};

/** What a new copy of the plan begins with. Its relations are known. */
void nw_copy_origin_of(const struct nw_copy_plan *plan, struct nw_copy_origin *origin);

/** Whether a plan whose own origin is set may go on from there. */
bool nw_copy_resumable(const struct nw_copy_plan *plan, const struct nw_copy_former *former);

#endif
