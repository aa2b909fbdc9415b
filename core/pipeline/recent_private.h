/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by recent.c and recent_read.c. */
#ifndef NW_PIPELINE_RECENT_PRIVATE_H
#define NW_PIPELINE_RECENT_PRIVATE_H

#include "pipeline/recent.h"

#define NW_RECENT_VERSION     1u
#define NW_RECENT_HEAD_BYTES  46u
#define NW_RECENT_ENTRY_BYTES 32u /* without its tables */

/** Behind the last batch. */
struct nw_recent_end {
    unsigned place;  /* which file has it */
    uint64_t bytes;  /* where it ends there */
    uint64_t number; /* of the next one */
};
void nw_recent_end_find(const char *folder, struct nw_recent_end *end);

#endif
