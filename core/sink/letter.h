/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A dead letter: a row that a sink refused, and that is kept instead of stopping its table. What it
 * is, and how a sequencer hands it to whoever keeps it (core/pipeline/letters.c).
 */
#ifndef NW_SINK_LETTER_H
#define NW_SINK_LETTER_H

#include <stdbool.h>
#include <stdint.h>

#include <narwal/batch.h>
#include <narwal/status.h>

/**
 * By this a row that comes again after a crash is known as the one that is kept. Rows of a copy
 * have no place of their own: what they say stands for them, and the generation of their copy.
 */
struct nw_letter_key {
    uint32_t relation_oid;
    uint32_t generation; /* of the copy that it is of; 0: of the stream */
    uint64_t commit_lsn; /* 0 of a copied row */
    uint64_t seq;        /* of a copied row a hash of what it says */
};

struct nw_letter {
    struct nw_letter_key key;
    const struct nw_table *table; /* its schema version, which lives as long as the source */
    uint8_t op;
    uint64_t commit_lsn, row_lsn; /* of a copied row the fence */
    uint32_t xid;
    int64_t commit_ts;
    int64_t wall_us; /* when it was refused */
    char *reason;    /* the sink's words; owned */
    char *row;       /* JSON: columns, before, after, before_missing, after_missing; owned */
    uint32_t row_size;
};

/** A table's copy that is whole: what was refused of it before is of no use any more. */
struct nw_letter_copy {
    uint32_t relation_oid;
    uint32_t generation;
    uint64_t fence_lsn;
    bool read_now; /* in this run: what is of former sources goes too */
};

struct nw_letter_write {
    const struct nw_letter *letters;
    uint32_t letters_count;
    const struct nw_letter_copy *copies;
    uint32_t copies_count;
};

/** Who keeps them. */
struct nw_letter_store {
    /** Blocks, on the sink's coordinator. All of it is durable when it returns NW_OK; else none. */
    nw_status (*write)(void *context, const struct nw_letter_write *what, struct nw_error *err);
    void *context;
    uint64_t quota_bytes;
    uint32_t refusals_max; /* within one commit; then the table stops */
};

/** Empty what one owns. */
void nw_letter_fini(struct nw_letter *letter);
/**
 * Fill key, row and what else the batch says of it; reason and wall_us are left alone.
 * @param row  absolute
 * @return NW_REJECT: it is larger than size_max; NW_FATAL: out of memory. Nothing is owned then.
 */
NW_MUST_CHECK nw_status nw_letter_take(struct nw_letter *letter, const struct nw_batch *batch,
                                       uint32_t row, uint64_t size_max, struct nw_error *err);

#endif
