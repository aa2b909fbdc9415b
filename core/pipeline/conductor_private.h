/* SPDX-License-Identifier: Apache-2.0 */
/* The conductor's state, shared by conductor.c (chunks and readers) and conductor_plans.c. Not for
 * others. */
#ifndef NW_PIPELINE_CONDUCTOR_PRIVATE_H
#define NW_PIPELINE_CONDUCTOR_PRIVATE_H

#include "base/arena.h"
#include "pipeline/conductor.h"
#include "pipeline/copy_plan.h"

#define NW_CATALOG_BYTES_MAX (512u << 20)
#define NW_READERS_MAX       (NW_PRODUCERS_MAX - 1u)
#define NW_FENCES_MAX        64u /* held at once */
#define NW_CHUNKS_AHEAD                                                                            \
    NW_COPY_TASKS_MAX /* with a reader: what it reads, and what it reads next                      \
                       */

/* A session that reads, and the chunks that are read through it, one after the other. */
struct nw_seat {
    struct nw_session *session; /* NULL: to be opened */
    struct nw_stream *stream;
    struct nw_copy_chunk *chunks[NW_CHUNKS_AHEAD]; /* [0] is read, or was */
    uint32_t chunks_count;
    uint32_t turn;                  /* of its next task */
    uint64_t serial;                /* of the session: none has had it before */
    uint64_t rows_base, bytes_base; /* the reader's counts when a chunk last came back */
};

/* A fence, and what the catalog says under its snapshot. */
struct nw_held_fence {
    struct nw_copy_fence fence;
    struct nw_arena arena;
};

/* A table that waits for a new fence. */
struct nw_copy_again {
    uint32_t relation_oid;
    const char *schema_name, *name; /* borrow */
    uint64_t rows_read;             /* in vain, of its former copy */
};

struct nw_conductor {
    struct nw_conductor_options options;
    const struct nw_table *refused;            /* it has a row that cannot be held */
    struct nw_arena arena;                     /* new names of relations */
    struct nw_held_fence *held[NW_FENCES_MAX]; /* [0] is the first one's; a NULL is free */
    struct nw_copy_plan **plans;               /* the largest table first; then those made later */
    size_t plans_count, plans_capacity;
    struct nw_seat seats[NW_READERS_MAX];
    uint32_t chunk_pages;
    uint32_t generation; /* last one that was given to a table */
    uint64_t first_lsn;
    struct nw_copy_fencer fencer;
    int64_t fencer_started_ns, blocker_seen_ns;
    char blocker[NW_COPY_HOLDER_SIZE]; /* whom the fence that is made waits for; "": nobody */
    char blocker_said[NW_COPY_HOLDER_SIZE];
    struct nw_copy_again *again;
    size_t again_count;
    uint64_t sessions_opened;
    int64_t slot_seen_ns, locks_seen_ns;
    int64_t collected_ns; /* when the last chunk came back */
    uint64_t rows_again;
};

/* conductor_plans.c */

/** Make the first fence, and plan the copy of every wanted table as it sees it. */
NW_MUST_CHECK nw_status nw_conductor_plan_all(struct nw_conductor *conductor, struct nw_error *err);
void nw_conductor_fence_end(struct nw_conductor *conductor, size_t index);
/** A table waits for a new fence. */
NW_MUST_CHECK nw_status nw_conductor_again_add(struct nw_conductor *conductor,
                                               struct nw_copy_again again, struct nw_error *err);
/** A new fence for those that wait for one, made beside; what comes meanwhile waits for the next.
 */
NW_MUST_CHECK nw_status nw_conductor_again_step(struct nw_conductor *conductor,
                                                struct nw_engine *engine, struct nw_error *err);

#endif
