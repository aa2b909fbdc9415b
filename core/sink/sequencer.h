/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sequencer's state, shared by its files:
 *
 *   sequencer.c   intake: order restored in one window for each producer, filters, the log
 *   dispatch.c    delivery: epochs, shards, table announcements
 *   merge.c       total order: runs of rows, from the batches between two cuts
 *   commit.c      seals, commits and their outcomes, recover and replay
 *   copies.c      tables that are copied: which copy is in force, which chunks are durable
 *   behind.c      tables of which the sink has less than its position says
 *   held.c        what comes of a table by the stream while it is copied: it waits for the copy
 *   letters.c     rows that the sink refuses: they are left out, and kept
 *   lag.c         what of each table is not durable yet
 *   spill.c       items that the sink does not need soon, in a scratch file
 *
 * All of it belongs to the thread that runs the sequencer's agent; workers see tasks only.
 *
 * The log holds one entry for each item that the sink is to get, in delivery order, from the oldest
 * that is not durable to the newest. `cursor` is the next to deliver; what lies before it was
 * delivered and is kept for a replay. An entry leaves the log when its epoch is durable, and goes
 * back to its lane when no exported array needs it any more.
 */
#ifndef NW_SINK_SEQUENCER_H
#define NW_SINK_SEQUENCER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "sink/worker.h"
#include "source/position.h"

/** Entries of one sequencer: the log and the windows together. */
#define NW_SEQUENCER_ENTRIES_MAX (1u << 20)
/** Sealed epochs that are not durable; bounds what a plugin's epochs_ahead_max is worth. */
#define NW_SEQUENCER_SEALS_MAX 64u
/** Epochs that a late sink gets as one: most log entries and bytes. */
#define NW_MERGE_ENTRIES_MAX 4096u
#define NW_MERGE_BYTES_MAX   (64u << 20)
/** How long everything must stand still until rows before a cut are too many for this narwal. */
#define NW_MERGE_STUCK_NS 30000000000
/** Batches between two cuts: no more than a dealer has blocks. */
#define NW_MERGE_WAYS_MAX (NW_BLOCKS_PER_PRODUCER * 4u)
/** Pause before a recover: doubling between these. */
#define NW_RECOVER_NS_MIN 100000000
#define NW_RECOVER_NS_MAX 30000000000
/** Entries in one piece of entry memory. */
#define NW_ENTRY_SLAB 256u
/** How often lags of tables are counted anew, and how many entries are looked at. */
#define NW_LAG_NS          500000000
#define NW_LAG_ENTRIES_MAX 65536u
/** How often items that exported arrays hold are looked at. */
#define NW_HELD_POLL_NS 50000000

struct nw_spill;       /* core/sink/spill.h */
struct nw_followed;    /* core/sink/copies.h */
struct nw_copy_commit; /* core/sink/copies.h */
struct nw_letters;     /* core/sink/letters.c */
struct nw_rows_out;    /* core/sink/letters.c */

enum nw_spill_state {
    NW_SPILL_NONE = 0,    /* in memory */
    NW_SPILL_WRITING = 1, /* in memory, being written */
    NW_SPILL_OUT = 2,     /* in the file only */
    NW_SPILL_READING = 3, /* the same, being read */
};

/** A row of an entry's item: of the batch that begins `part` bytes behind the item's beginning. */
struct nw_entry_row {
    uint32_t part;
    uint32_t row;
};

/** An item that the sink is to get. */
struct nw_entry {
    struct nw_entry *next, *prev; /* of the log, the free list or the leaving list */
    const struct nw_table *table; /* NULL: of none */
    struct nw_item *item;         /* NULL in states OUT and READING */
    enum nw_item_kind kind;
    uint32_t lane;
    uint32_t size;
    uint32_t first_row; /* BATCH: rows before it are at the sink already */
    uint32_t rows_count;
    uint32_t row_next;  /* BATCH in total order: next row to deliver; PACK: next byte */
    uint32_t part_next; /* letters.c: of the rows that are handed out, the next; 0: the first */
    uint32_t tasks_out; /* tasks under way that read the item */
    uint32_t worker;    /* BATCH, COPY_...: whose */
    bool stream;        /* of the stream's producer */
    bool cut;
    bool copy_whole;    /* COPY_END: of the last chunk, with which the copy is whole */
    uint64_t last_lsn;  /* held.c: commit LSN of its last row or event */
    uint64_t limit_lsn; /* rows that committed before are not for the sink; 0: all are */
    bool single;        /* letters.c: rows from `single_from` on are given one by one */
    bool single_always; /* letters.c: the others too */
    bool delivered;     /* in total order: all rows were handed out before the cursor came here */
    uint64_t epoch;     /* in which it ends at the latest */
    int64_t received_ns;
    int64_t commit_ts;               /* of its first row or event, on the server's clock; 0: none */
    struct nw_entry_row single_from; /* letters.c: those before it were taken one by one */
    struct nw_rows_out *out;         /* letters.c: rows that are left out; NULL: none */
    _Atomic uint32_t exports; /* arrays that a plugin holds; up by workers, down by any thread */

    /* spill.c */
    enum nw_spill_state spill_state;
    bool stored; /* it is in the file */
    bool own;    /* item is ours, packed or read back; not the lane's */
    bool wanted; /* will be delivered soon: not to be spilled */
    uint32_t segment;
    uint64_t offset;
    uint64_t hash;        /* XXH3 of what is in the file */
    struct nw_item *head; /* a copy of the header, which is not in the file */
    uintptr_t former;     /* the address at which it was written */
    struct nw_item *reading;
    struct nw_file_op op;
};

struct nw_entry_list {
    struct nw_entry *first, *last;
    uint64_t count;
};

/** Where the sink stands. */
enum nw_sequencer_state {
    NW_SEQUENCER_RUNNING,
    NW_SEQUENCER_QUIESCING,  /* waits for every task to come back */
    NW_SEQUENCER_PAUSING,    /* until resume_ns */
    NW_SEQUENCER_RECOVERING, /* recover() runs */
    NW_SEQUENCER_RESOLVING,  /* copy_resolve() runs, one copy after the other */
    NW_SEQUENCER_FAILED,
};

/** An epoch that was sealed, or is being sealed, and is not durable. */
struct nw_seal {
    struct nw_entry *entry; /* its EPOCH_END */
    uint64_t epoch;
    uint32_t workers_posted;
    uint32_t workers_left;
};

struct nw_window {
    uint64_t next; /* ordinal of the next item to go to the log */
    struct nw_entry **slots;
};

/** A batch whose rows are merged with those of others. */
struct nw_way {
    struct nw_entry *entry;
    uint32_t places; /* of its rows: from here on in nw_sequencer.places */
};

/** The schema versions that a worker has heard of since the last recover. */
struct nw_table_set {
    const struct nw_table **slots;
    uint32_t capacity, count;
};

struct nw_sequencer {
    struct nw_sequencer *abandoned; /* the next of those that stay for a call that hangs */
    struct nw_sink *sink;
    struct nw_sequencer_options options;
    enum nw_sequencer_state state;
    int64_t now_ns; /* of this step */

    /* Intake. */
    uint64_t window_mask;
    struct nw_window windows[NW_PRODUCERS_MAX];
    uint64_t epoch_open;          /* that entries without an epoch of their own go to */
    struct nw_followed *followed; /* copies.c, as the next line */
    uint32_t followed_capacity, followed_count;
    uint32_t round_ended; /* chunks of those that the run began to copy with */
    uint64_t round_epoch; /* which has the last of them; 0: none, or it is durable */

    /* Entries. */
    struct nw_entry **slabs;
    uint32_t slabs_count, slabs_capacity;
    struct nw_entry *free_entries;
    uint64_t entries_used;
    struct nw_entry_list log;
    struct nw_entry_list leaving; /* durable; wait for exports and for room in the return ring */
    struct nw_entry_list held;    /* held.c: not in the log yet */
    bool run_open;                /* the last rows of the stream are not the last of their flush */
    bool copies_ended;            /* a copy is whole whose table's entries are still held */
    uint32_t tables_held;         /* whose changes are held */
    uint32_t left_out_count;      /* tables that were left out when it began */
    uint32_t lacking_count; /* tables of which it has less for they wait, or did, for a copy */
    uint64_t waiting_rows, waiting_bytes; /* in `held`, in memory and spilled */
    struct nw_entry *oldest;              /* oldest row of the stream in the log */
    int64_t lag_ns;                       /* when lags were counted */
    uint32_t lags_count;
    struct nw_sink_lag lags[NW_SINK_LAGS_MAX];
    uint16_t lag_slots[NW_SINK_LAGS_MAX * 2]; /* by relation oid: 1 + index into lags */
    struct nw_entry *hand_old;  /* spill.c: next delivered entry to look at, forward */
    struct nw_entry *hand_new;  /* and next of the others, backward */
    struct nw_entry *hand_held; /* and next of those held, forward; NULL: none is left */
    uint64_t held_bytes;
    int64_t moved_ns; /* when something was delivered, or a task came back */
    bool lost;        /* spill.c: entries of the open epoch were given up and cannot be replayed */

    /* Delivery. */
    struct nw_entry *cursor; /* NULL: everything was delivered */
    struct nw_entry
        *target_end;       /* the EPOCH_END that closes the epoch under way; NULL: not here yet */
    uint64_t target_epoch; /* label of the epoch under way; 0: not begun */
    struct nw_way ways[NW_MERGE_WAYS_MAX]; /* merge.c */
    uint32_t ways_count;                   /* 0: the cut is not here yet */
    uint32_t ways_ready;                   /* have their places */
    struct nw_place *places;
    uint32_t places_count, places_capacity;
    uint64_t skip_epoch[NW_SINK_WORKERS_MAX]; /* a replay leaves out what this worker has */
    struct nw_table_set announced[NW_SINK_WORKERS_MAX];
    struct nw_task *tasks; /* NW_SINK_TASKS for each worker */
    struct nw_task *free_tasks[NW_SINK_WORKERS_MAX][NW_SINK_TASKS];
    uint32_t free_tasks_count[NW_SINK_WORKERS_MAX];
    uint32_t bells; /* bit i: worker i got tasks in this step */

    /* Commits. */
    struct nw_seal seals[NW_SEQUENCER_SEALS_MAX];
    uint32_t seals_first, seals_count;
    struct nw_entry *commit_entry; /* EPOCH_END of the commit under way or unresolved; else NULL */
    uint64_t commit_epoch;
    bool commit_pending; /* commit() said NW_PENDING; the answer comes by the host call */
    bool commit_seen;    /* it said NW_COMMITTED when something else had failed already */
    struct nw_envelope commit_envelopes[NW_SINK_WORKERS_MAX];
    struct nw_position commit_positions[NW_SINK_WORKERS_MAX];
    struct nw_copy_commit **copy_commits; /* copies.c */
    uint32_t copy_commits_count, copy_commits_capacity;
    struct nw_copy_state *commit_copies; /* the same, as the sink gets them */
    uint32_t commit_copies_count, commit_copies_capacity;
    uint64_t durable_pending; /* to push to options.durable; 0: none */
    uint32_t retries;
    int64_t resume_ns;
    uint32_t resolve_next;
    bool refusing;              /* the recover under way is for a row that was refused */
    uint32_t refusals;          /* rows that it refused since the last durable epoch */
    struct nw_letters *letters; /* NULL: a row that is refused stops its table */
    struct nw_error failure;
    const struct nw_table *refused; /* whose rows are the failure; NULL: something else is */

    struct nw_spill *spill; /* NULL: none */
};

/* sequencer.c */
NW_MUST_CHECK nw_status nw_entry_make(struct nw_sequencer *seq, struct nw_item *item,
                                      struct nw_entry **entry, struct nw_error *err);
void nw_entry_list_append(struct nw_entry_list *list, struct nw_entry *entry);
void nw_entry_list_remove(struct nw_entry_list *list, struct nw_entry *entry);
/** To the log, from which it is delivered. */
void nw_sequencer_append(struct nw_sequencer *seq, struct nw_entry *entry);
/** It is not for the sink: to the leaving list. */
void nw_sequencer_pass_over(struct nw_sequencer *seq, struct nw_entry *entry);
bool nw_entry_idle(struct nw_entry *entry); /* no task and no exported array needs it */
void nw_sequencer_leave(struct nw_sequencer *seq, struct nw_entry *last); /* log head .. last */
uint64_t nw_sequencer_fence_of(const struct nw_sequencer *seq, uint32_t relation_oid);
/** The first row of a batch that committed at or after the limit. */
uint32_t nw_batch_rows_from(const struct nw_batch *batch, uint64_t limit_lsn);
uint32_t nw_sequencer_shard(const struct nw_sequencer *seq, uint32_t relation_oid);
/** Stop the run. @return status */
nw_status nw_sequencer_fail(struct nw_sequencer *seq, const struct nw_error *cause,
                            const struct nw_table *table);

/* lag.c */
void nw_lag_step(struct nw_sequencer *seq);

/* dispatch.c */
NW_MUST_CHECK nw_status nw_dispatch_step(struct nw_sequencer *seq, uint32_t *work,
                                         struct nw_error *err);
/** Hand rows of an entry's batch, which is in memory, to their worker. NW_AGAIN: it has no room. */
NW_MUST_CHECK nw_status nw_dispatch_rows(struct nw_sequencer *seq, struct nw_entry *entry,
                                         const struct nw_batch *batch, uint32_t first_row,
                                         uint32_t rows_count, struct nw_error *err);
/** The same, of rows none of which is left out, in one call. */
NW_MUST_CHECK nw_status nw_dispatch_run(struct nw_sequencer *seq, struct nw_entry *entry,
                                        const struct nw_batch *batch, uint32_t first_row,
                                        uint32_t rows_count, struct nw_error *err);
void nw_dispatch_rewind(struct nw_sequencer *seq); /* to the head of the log, after a recover */
void nw_dispatch_task_free(struct nw_sequencer *seq, uint32_t worker, struct nw_task *task);
void nw_table_set_clear(struct nw_table_set *set);
void nw_table_set_fini(struct nw_table_set *set);

/* merge.c */
/** Hand out the rows from this batch to the next cut. NW_AGAIN: not all of it could be. */
NW_MUST_CHECK nw_status nw_merge_deliver(struct nw_sequencer *seq, struct nw_entry *entry,
                                         struct nw_error *err);
/** End the run when the rows before a cut fit neither into memory nor into the spill file. */
NW_MUST_CHECK nw_status nw_merge_check(struct nw_sequencer *seq, struct nw_error *err);
void nw_merge_reset(struct nw_sequencer *seq); /* begin anew with whatever is at the cursor */
void nw_merge_fini(struct nw_sequencer *seq);

/* commit.c */
NW_MUST_CHECK nw_status nw_commit_step(struct nw_sequencer *seq, uint32_t *work,
                                       struct nw_error *err);

#endif
