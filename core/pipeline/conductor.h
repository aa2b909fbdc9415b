/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conductor of copies: takes the snapshot, plans the chunks of every table, opens the readers'
 * sessions, hands chunks out, the largest table first, and takes them in. Blocking; main thread.
 *
 * A table that was rewritten since the snapshot gets a new fence and begins again as a new
 * generation, while the others go on. A chunk whose session broke, or whose lock somebody waited
 * for, goes on where it stopped.
 */
#ifndef NW_PIPELINE_CONDUCTOR_H
#define NW_PIPELINE_CONDUCTOR_H

#include "pipeline/copy_resume.h"
#include "pipeline/engine.h"
#include "pipeline/server.h"

struct nw_conductor_options {
    struct nw_server *server; /* borrow */
    uint32_t workers_count;   /* readers, 1 .. NW_PRODUCERS_MAX - 1 */
    uint64_t chunk_bytes;     /* 0: chosen by size and workers */
    uint32_t generation;      /* of this copy; tables that begin again count on from it */
    bool make_slot;           /* make the main slot, and use its snapshot */
    bool watch_slot;          /* the main slot is needed: end when it becomes unusable */
    int64_t lock_timeout_us;  /* how long a table's lock may be waited for */
    bool (*wanted)(void *context, const struct nw_table *table);
    /** What sinks see of a wanted table; see nw_dealer_options. */
    nw_status (*project)(void *context, const struct nw_table *table,
                         const struct nw_projection **projection, struct nw_error *err);
    /** What is at all sinks that lack the table, of a copy that broke off; false: nothing. */
    bool (*former)(void *context, const struct nw_table *table, struct nw_copy_former *former);
    /**
     * Which rows of a table are copied; in an arena of the table's snapshot. NULL: all.
     * @param asked  set: somebody asked for them. A copy of rows that cannot be read ends then with
     * those that were; else the table is refused
     */
    nw_status (*choose)(void *context, const struct nw_table *table, struct nw_arena *arena,
                        const char **filter, bool *asked, struct nw_error *err);
    /** The copy of a table, of which rows are chosen, ends where the server refuses the rest. NULL:
     * nobody asks. */
    void (*fails)(void *context, const struct nw_table *table);
    /** Called now and then while the first fence is made. @param blocker  whom it waits for; "":
     * nobody. NULL: not called. */
    void (*idle)(void *context, const char *blocker);
    void *context;
    const bool *paused; /* borrow; while it is set nothing is handed out. NULL: never */
};

struct nw_conductor;

/**
 * Take the snapshot, register the tables as it sees them, plan their copies.
 */
NW_MUST_CHECK nw_status nw_conductor_create(const struct nw_conductor_options *options,
                                            struct nw_conductor **conductor, struct nw_error *err);
/** One that has nothing to copy until nw_conductor_add(). */
NW_MUST_CHECK nw_status nw_conductor_create_idle(const struct nw_conductor_options *options,
                                                 struct nw_conductor **conductor,
                                                 struct nw_error *err);
/** After the engine with its readers was destroyed. NULL is fine. */
void nw_conductor_destroy(struct nw_conductor *conductor);

/** The generation of what is added next. */
uint32_t nw_conductor_generation_next(const struct nw_conductor *conductor);
/**
 * Copy one more table. Tables that are added before the next step get one fence, made beside.
 * @param schema_name  borrow, as name: to say which it was when it is not there any more
 */
NW_MUST_CHECK nw_status nw_conductor_add(struct nw_conductor *conductor, uint32_t relation_oid,
                                         const char *schema_name, const char *name,
                                         struct nw_error *err);
/** Log that a table was dropped, for which the others do not wait. */
void nw_conductor_say_dropped(const char *schema_name, const char *name);
/** A table is not copied any more. */
void nw_conductor_leave(struct nw_conductor *conductor, uint32_t relation_oid);
/** Nothing more of a table is read: its copy is whole with what was. */
void nw_conductor_stop(struct nw_conductor *conductor, struct nw_engine *engine,
                       uint32_t relation_oid);
/** All that was added is copied: forget it, and end the sessions. */
void nw_conductor_rest(struct nw_conductor *conductor);
uint64_t nw_conductor_fence_lsn(const struct nw_conductor *conductor);

/**
 * Hand out and take in what can be; waits only for a session's connection.
 * @param finished  set when every table was read
 * @return NW_RETRY: the snapshot is lost. Tables whose copy is whole keep it.
 */
NW_MUST_CHECK nw_status nw_conductor_step(struct nw_conductor *conductor, struct nw_engine *engine,
                                          bool *finished, struct nw_error *err);
/** How long the main thread may sleep before the next step; a reader without a chunk waits for it.
 */
int64_t nw_conductor_pause_ns(const struct nw_conductor *conductor);

/** Backends of ours that have its snapshots, or may; conductor may be NULL. @return how many */
uint32_t nw_conductor_pids(const struct nw_conductor *conductor, int *pids, uint32_t pids_max);
/** Whether another attempt would be further than this one was at its start, and nothing that is
 * read just now would be read again from its beginning; conductor may be NULL. */
bool nw_conductor_renewable(const struct nw_conductor *conductor);

/** For status. */
struct nw_conductor_progress {
    size_t tables, tables_done; /* without those that were dropped */
    uint64_t chunks, chunks_done;
    uint64_t bytes, bytes_done; /* on the server's disk, about */
    uint64_t chunks_kept;       /* durable from a former run: of them only what changed is read */
    uint64_t rows_reread;       /* of those */
    uint64_t rows_again;        /* rows that were read in vain: of tables that began again */
};
void nw_conductor_progress(const struct nw_conductor *conductor,
                           struct nw_conductor_progress *progress);
/** One table that is copied. */
struct nw_conductor_table {
    uint32_t relation_oid;
    bool fenced; /* false: it waits for a snapshot, and nothing else is known yet */
    uint32_t chunks, chunks_given, chunks_done;
    uint64_t rows, bytes;       /* read */
    uint64_t source_bytes;      /* on the server's disk, about */
    double done;                /* of it, 0 .. 1, about */
    int64_t began_ns, ended_ns; /* when its first chunk was given, and its last one was read; 0 */
    bool locked;                /* nothing of it is read for somebody's lock */
    const char *locked_by;      /* who that is, as far as is known; borrow */
};
/** An upper bound for nw_conductor_list(). */
size_t nw_conductor_list_max(const struct nw_conductor *conductor);
/** All of them, in no order. @return how many */
size_t nw_conductor_list(const struct nw_conductor *conductor, const struct nw_engine *engine,
                         struct nw_conductor_table *tables);
/** Whose transaction the fence waits for that is made; "": nobody's. */
const char *nw_conductor_blocker(const struct nw_conductor *conductor);
/** How many tables that are copied, or were, a sink of this taste gets. */
size_t nw_conductor_tables(const struct nw_conductor *conductor,
                           bool (*wanted)(void *context, const struct nw_table *table),
                           void *context);

/** The table that cannot be copied, when a step ended with NW_REJECT; NULL: none. */
const struct nw_table *nw_conductor_refused(const struct nw_conductor *conductor);

#endif
