/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The copy of one table, in chunks: ranges of pages of the table, or of the leaves of a partitioned
 * one. Planned under a fence; which chunk is given to whom is the conductor's. Main thread.
 */
#ifndef NW_PIPELINE_COPY_PLAN_H
#define NW_PIPELINE_COPY_PLAN_H

#include "pipeline/copy_fence.h"
#include "pipeline/copy_watch.h"
#include "source/copy.h"

/** A relation that has rows of the table: itself, or a leaf. */
struct nw_copy_relation {
    uint32_t oid;
    const char *schema_name, *name;
    uint32_t file_node; /* 0: none, or it has just been dropped */
    uint32_t pages;     /* as far as is known; the last chunk has no end */
};

struct nw_copy_plan;
struct nw_copy_former; /* pipeline/copy_resume.h */

struct nw_copy_chunk {
    struct nw_copy_task task; /* first, so that a task finds its chunk */
    struct nw_copy_plan *plan;
    const struct nw_copy_relation *relation;
    bool whole;      /* the relation is one chunk: read as it is, without a range */
    bool gone;       /* the relation was dropped: only its marks travel */
    bool waits;      /* to be given again */
    bool kept;       /* durable from a former run: only what changed since its origin is selected */
    uint32_t reader; /* to which it was given: its rows and marks keep their order only there */
    uint64_t rows_seen, bytes_seen; /* of the task, when it last came back */
    char *sql;                      /* of the task; own memory */
};

/** Tables are few; what is big are the chunks of a large one. */
struct nw_copy_plan {
    const struct nw_catalog_table *from;    /* borrow: as the fence's snapshot sees it */
    const struct nw_table *table;           /* the version that the copied rows have */
    const struct nw_projection *projection; /* what of it is selected; NULL: all columns */
    const char *filter;                     /* borrow: which rows are, in SQL; NULL: all */
    bool asked;          /* somebody asked for these rows; false: copy.where says which */
    uint32_t gone_times; /* that a relation of it was not found */
    bool stopped;        /* nothing more of it is read: of what is left only the marks travel */
    struct nw_copy_fence *fence; /* borrow */
    uint32_t generation;
    struct nw_copy_origin origin; /* of the generation; a former fence's when it is gone on with */
    bool resumed;
    struct nw_copy_relation *relations;
    uint32_t relations_count;
    struct nw_copy_chunk *chunks;
    uint32_t chunks_count;
    uint32_t chunks_given; /* for the first time */
    uint32_t chunks_out;   /* at a reader */
    uint32_t chunks_waiting;
    uint32_t chunks_done;
    uint32_t chunks_kept;
    uint64_t rows_reread; /* of those, since they changed */
    uint64_t bytes;       /* on the server's disk, about */
    bool is_empty;        /* as far as is known; also once the fence and with it `from` are gone */
    bool void_;           /* superseded, or its table is gone: nothing more of it is given */
    uint64_t rows_read, bytes_read; /* of chunks that came back, also in part */
    int64_t began_ns, ended_ns;     /* when its first chunk was given, and its last one was read */
    char locked_by[NW_COPY_HOLDER_SIZE]; /* while tries > 0; "": not known */
    uint32_t tries;                      /* that found it locked, since it last got on */
    int64_t retry_ns;                    /* nothing of it is given before then; 0: any time */
};

struct nw_copy_plan_options {
    struct nw_session *session; /* plain; reads what the plan needs */
    struct nw_arena *arena;     /* for names; as long as the plan */
    const struct nw_catalog_table *from;
    const struct nw_table *table;
    const struct nw_projection *projection; /* as long as the plan */
    const char *filter;                     /* as long as the plan; NULL: all rows */
    struct nw_copy_fence *fence;
    uint32_t generation;
    const struct nw_copy_former *former; /* a copy that broke off; NULL: none */
    uint32_t chunk_pages;                /* of a relation with more than that */
};

NW_MUST_CHECK nw_status nw_copy_plan_create(const struct nw_copy_plan_options *options,
                                            struct nw_copy_plan **plan, struct nw_error *err);
void nw_copy_plan_destroy(struct nw_copy_plan *plan); /* NULL is fine */

/**
 * The next chunk that may be given to this reader; one that waits comes first. Rows of it may still
 * be on their way from the reader that had it, and those of another would overtake them.
 * @return borrow; NULL: none
 */
struct nw_copy_chunk *nw_copy_plan_next(struct nw_copy_plan *plan, uint32_t reader);
/** The chunk was read to its end; said when it was the last one. */
void nw_copy_chunk_done(struct nw_copy_chunk *chunk);
/** Rows that were dealt of it. */
uint64_t nw_copy_plan_rows(const struct nw_copy_plan *plan);

/**
 * Whether what is read of it again comes in the same order. Not of a partitioned table that is read
 * as one: which leaves it has may change.
 */
bool nw_copy_chunk_is_ordered(const struct nw_copy_chunk *chunk);

/**
 * How many pages chunks should have.
 * @param chunk_bytes  as configured; 0: chosen, for so many bytes in all and so many readers
 */
uint32_t nw_copy_chunk_pages(uint64_t chunk_bytes, uint64_t bytes, uint32_t readers_count);

/**
 * Write the chunk's transaction into its task, as far as it is not read yet.
 * @param session  of this server: quotes names
 */
NW_MUST_CHECK nw_status nw_copy_chunk_prepare(struct nw_copy_chunk *chunk,
                                              struct nw_session *session, int64_t lock_timeout_us,
                                              struct nw_error *err);

#endif
