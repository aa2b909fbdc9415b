/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks: what a source hands to the decode lanes. A block of rows carries frames (rows still raw)
 * of one table and everything needed to decode them, so that lanes hold no state. A block of
 * another kind carries one event.
 *
 * A producer (the stream's dealer, or a copy reader) owns a fixed pool of blocks, numbers them with
 * its own ordinals from 0, and deals them round-robin: ordinal k goes to lane k % lanes. The lane
 * gives the block back over the producer's return ring once it is decoded.
 */
#ifndef NW_SOURCE_BLOCK_H
#define NW_SOURCE_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "ring/spsc.h"
#include "source/copy_state.h"
#include "source/projection.h"
#include <narwal/sink.h>

#define NW_PRODUCERS_MAX       33u /* the stream and up to 32 copy readers */
#define NW_PRODUCER_STREAM     0u
#define NW_BLOCK_ROWS_MAX      8192u
#define NW_BLOCK_BYTES         1048576u /* frames of a block; one larger row has a block to itself */
#define NW_BLOCKS_PER_PRODUCER 64u /* in flight; a power of two, the sequencers' reorder window */

enum nw_block_kind {
    NW_BLOCK_CHANGES = 1,    /* pgoutput row messages */
    NW_BLOCK_COPY = 2,       /* COPY BINARY tuples */
    NW_BLOCK_EVENT = 3,      /* truncate, message, schema, begin or commit of a transaction */
    NW_BLOCK_COPY_BEGIN = 4, /* a chunk's rows follow */
    NW_BLOCK_COPY_END = 5,   /* and are all there */
    NW_BLOCK_EPOCH_END = 6,  /* `position` holds for everything up to here */
};

/* How frames of a COPY block are laid out: see decode/tuple.h. */

/** A row, raw. CHANGES: the pgoutput message after the relation id. COPY: a tuple from its field
 * count on. */
struct nw_frame {
    uint32_t offset; /* into nw_block.bytes */
    uint32_t size;
    uint64_t row_lsn;
    uint32_t seq;         /* index of the change in its transaction */
    uint16_t transaction; /* index into nw_block.transactions */
    char op;              /* I U D */
    uint8_t pad;
};

/** What rows of one transaction share. */
struct nw_transaction {
    uint64_t commit_lsn;     /* start of the commit record */
    uint64_t commit_end_lsn; /* 0 while unknown */
    int64_t commit_ts;       /* microseconds since 1970 UTC */
    uint32_t xid;
    uint32_t origin; /* index into origins of the block: offset of a NUL-terminated name in
                        `names`, 0 is "" */
};

/** An event block's content; texts and lists live in the block's bytes. */
struct nw_block {
    enum nw_block_kind kind;
    uint32_t producer;
    uint64_t ordinal;
    uint64_t epoch; /* the dealer's current epoch; copy blocks get theirs at the sequencer */
    const struct nw_table *table;           /* CHANGES, COPY, COPY_BEGIN, COPY_END */
    const struct nw_projection *projection; /* of the table; NULL: sinks see all of it */
    uint32_t
        backlog_oid;     /* CHANGES, EVENT: dealt from what was kept of this table; 0: it was not */
    uint32_t generation; /* copies */
    uint64_t fence_lsn;  /* copies: commit_lsn of the copied rows */
    bool upsert;         /* COPY: NW_BATCH_UPSERT */
    bool cut;            /* last block of a flush: all rows before it in commit order were dealt */

    struct nw_frame *frames; /* NW_BLOCK_ROWS_MAX */
    uint32_t frames_count;
    struct nw_transaction *transactions; /* NW_BLOCK_ROWS_MAX */
    uint32_t transactions_count;
    char *names; /* origin names, NUL-terminated one after the other; names[0] is "" */
    uint32_t names_size, names_capacity;
    uint8_t *bytes;
    uint32_t bytes_size, bytes_capacity;

    struct nw_event event; /* EVENT; its pointers point into bytes, tables and counts */
    const struct nw_table **tables;
    struct nw_position position; /* EPOCH_END; bytes points into `bytes` */
    struct nw_copy_mark mark;    /* COPY_BEGIN, COPY_END */
    int64_t received_ns;         /* monotonic time at which its oldest row was received */
};

#endif
