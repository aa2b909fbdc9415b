/* SPDX-License-Identifier: Apache-2.0 */
/* Tables and rows for the conformance runner: every kind of type, NULLs, missing values, images. */
#ifndef NW_SINK_CHECK_ROWS_H
#define NW_SINK_CHECK_ROWS_H

#include <narwal/sink.h>

#define NW_CHECK_TABLES   3u
#define NW_CHECK_ROWS_MAX 64u

/** Tables 0 and 1; table 2 is version 2 of table 0, with one column more. */
const struct nw_table *nw_check_table(uint32_t index);

/** What rows to make. */
struct nw_check_rows {
    uint32_t table;
    uint32_t rows_count;
    uint64_t first_id;
    uint64_t commit_lsn; /* of the first row; one more for each that follows */
    bool copy;           /* inserts, with NW_BATCH_COPY; else inserts, updates and deletes */
    bool upsert;         /* with copy: NW_BATCH_UPSERT */
    bool exception;      /* the first row has a NaN */
};

/**
 * Make a batch; its memory is one block that begins at batch->op.
 * @param size  filled: bytes of the block.
 * @return the block, to be freed; NULL when out of memory.
 */
void *nw_check_rows_make(const struct nw_check_rows *rows, struct nw_batch *batch, size_t *size);

#endif
