/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far the copy of a table is: chunks, and the string that a sink stores in its own commit.
 *
 * A table is copied in chunks: ranges of pages of one relation, which is the table itself or a leaf
 * of a partitioned one. Each chunk travels between two marks. Which chunks are durable is what the
 * sink says: the sequencer adds those that a commit has to the table's progress, and hands the
 * packed progress over with it.
 *
 * A copy that broke off is gone on with under another snapshot by what its marks say of its origin:
 * pages that are done were read under the first fence or later, and what changed in them since has
 * an xmin at or after that of the first snapshot, as long as the relations, their files and what is
 * selected of them are the same.
 *
 * Format, le: u8 version (3), u8 kind ('C'), u64 fence lsn, u8 complete, u64 xmin, u64 hash, u32
 * chunks of this copy, u32 chunks that are done, u16 count of ranges, and for each of them u32
 * relation oid, u32 first page, u32 page behind the last (UINT32_MAX: to the relation's end).
 * Version 2 had neither xmin nor hash, version 1 nothing behind `complete`: such a copy is whole,
 * or begins again.
 */
#ifndef NW_SOURCE_COPY_STATE_H
#define NW_SOURCE_COPY_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cursor.h"
#include "source/position.h"
#include <narwal/sink.h>

#define NW_COPY_HEAD_BYTES  37u
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

/** What a copy begins with, and all of it keeps, whatever snapshot it is gone on from under. */
struct nw_copy_origin {
    uint64_t fence_lsn; /* commits at or after it are streamed, what was before is in the copy */
    uint64_t xmin;      /* of the fence's snapshot: every lower transaction had ended; 0: unknown */
    uint64_t hash; /* of what is copied: relations, their files, columns, and how those are shown */
};

/** What the block before a chunk's rows and the one behind them say. */
struct nw_copy_mark {
    struct nw_copy_origin origin;
    struct nw_copy_range range;
    uint32_t chunks_count; /* of this copy of the table; it is whole when as many have ended */
    /* Of a mark in the stream, which has none of the above: the sinks, as bits, that hold back what
     * follows of the table until its copy is whole; of one that ends: that will have no copy, and
     * give up what they hold. 0: a reader's mark. */
    uint32_t joining_sinks;
    struct nw_place place; /* with joining_sinks: what of the table is before it came before it */
    bool rejoins; /* they have what was kept for them (backlog.h), and go on with what follows */
    uint32_t
        round_chunks; /* of all tables that the run began to copy with; 0: one that came later */
};

/** The progress of a table's copy. */
struct nw_copy_progress {
    struct nw_copy_origin origin;
    bool complete;
    uint32_t chunks_count;
    uint32_t chunks_done;
    uint16_t ranges_count;
    struct nw_copy_range ranges[NW_COPY_RANGES_MAX]; /* done; by relation and page, merged */
};

/** A chunk is done. Counted always; kept as a range while there is room. */
void nw_copy_progress_add(struct nw_copy_progress *progress, const struct nw_copy_range *range);

/**
 * Whether pages from `page` on are done: the end of those that are; else where the next that are
 * done begin, NW_COPY_PAGE_END: none.
 */
bool nw_copy_progress_at(const struct nw_copy_progress *progress, uint32_t relation_oid,
                         uint32_t page, uint32_t *end_page);
/** Keep what is done of both; they are of the same origin. */
void nw_copy_progress_meet(struct nw_copy_progress *progress, const struct nw_copy_progress *other);

/** @param bytes  NW_COPY_BYTES_MAX of them. @return the size */
uint32_t nw_copy_pack(const struct nw_copy_progress *progress, uint8_t *bytes);
/** Of versions 1 and 2 the origin's xmin is 0: such a copy is not gone on with. */
NW_MUST_CHECK nw_status nw_copy_unpack(struct nw_bytes bytes, struct nw_copy_progress *progress,
                                       struct nw_error *err);

static_assert(NW_COPY_BYTES_MAX <= NW_POSITION_SIZE_MAX, "a sink keeps a whole progress");

#endif
