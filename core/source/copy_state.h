/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far the copy of a table is: chunks, and the string that a sink stores in its own commit.
 *
 * A table is copied in chunks: ranges of pages of one relation, which is the table itself or a leaf
 * of a partitioned one. Each chunk travels between two marks. Which chunks are durable is what the
 * sink says: the sequencer adds those that a commit has to the table's progress, and hands the
 * packed progress over with it.
 *
 * Format, le: u8 version, u8 kind ('C'), u64 fence lsn, u8 complete; from version 2: u32 chunks of
 * this copy, u32 chunks that are done, u16 count of ranges, and for each of them u32 relation oid,
 * u32 first page, u32 page behind the last (UINT32_MAX: to the relation's end).
 */
#ifndef NW_SOURCE_COPY_STATE_H
#define NW_SOURCE_COPY_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cursor.h"
#include <narwal/sink.h>

#define NW_COPY_HEAD_BYTES  21u
#define NW_COPY_RANGE_BYTES 12u
/** Ranges that a progress has room for. What is done besides them is read again after a restart. */
#define NW_COPY_RANGES_MAX 300u
/** Bytes of the longest packed progress. */
#define NW_COPY_BYTES_MAX (NW_COPY_HEAD_BYTES + NW_COPY_RANGES_MAX * NW_COPY_RANGE_BYTES)
#define NW_COPY_PAGE_END  UINT32_MAX

/** Pages first .. end - 1 of a relation. */
struct nw_copy_range {
    uint32_t relation_oid;
    uint32_t first_page;
    uint32_t end_page; /* NW_COPY_PAGE_END: to its end, wherever that is */
};

/** What the block before a chunk's rows and the one behind them say. */
struct nw_copy_mark {
    uint64_t fence_lsn;
    struct nw_copy_range range;
    uint32_t chunks_count; /* of this copy of the table; it is whole when as many have ended */
};

/** The progress of a table's copy. */
struct nw_copy_progress {
    uint64_t fence_lsn; /* commits at or after it are streamed, what was before is in the copy */
    bool complete;
    uint32_t chunks_count;
    uint32_t chunks_done;
    uint16_t ranges_count;
    struct nw_copy_range ranges[NW_COPY_RANGES_MAX]; /* done; by relation and page, merged */
};

/** A chunk is done. Counted always; kept as a range while there is room. */
void nw_copy_progress_add(struct nw_copy_progress *progress, const struct nw_copy_range *range);

/** @param bytes  NW_COPY_BYTES_MAX of them. @return the size */
uint32_t nw_copy_pack(const struct nw_copy_progress *progress, uint8_t *bytes);
/** Reads versions 1 and 2. */
NW_MUST_CHECK nw_status nw_copy_unpack(struct nw_bytes bytes, struct nw_copy_progress *progress,
                                       struct nw_error *err);

static_assert(NW_COPY_BYTES_MAX <= NW_POSITION_SIZE_MAX, "a sink keeps a whole progress");

#endif
