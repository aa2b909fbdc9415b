/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A copy reader: an agent that copies chunks of tables, one after the other, with COPY BINARY
 * through a session of its own, and deals the rows raw.
 *
 * Every chunk is a transaction of its own that imports the snapshot, takes ACCESS SHARE with a lock
 * timeout, checks that it sees that snapshot and that the relation was not rewritten since (an old
 * snapshot sees nothing of a rewritten relation, without an error), and then reads.
 *
 * Its next chunks may be given to a reader ahead. When one does not end well, those that were given
 * behind it (of the same turn) come back unread: they may have its session, its table or its lock.
 *
 * A chunk that breaks off half read (its statement was cancelled for an application that waits for
 * the lock, its session is gone) can be given again, to any reader: with the same snapshot its rows
 * come in the same order, so its query leaves out as many as were dealt.
 *
 * The format of COPY BINARY: PostgreSQL documentation, "COPY", "Binary Format".
 */
#ifndef NW_SOURCE_COPY_H
#define NW_SOURCE_COPY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "pg/stream.h"
#include "ring/agent.h"
#include "source/producer.h"

#define NW_COPY_TASKS_MAX 4u /* waiting in a reader's ring */

/** What became of a task. */
enum nw_copy_outcome {
    NW_COPY_DONE = 0,
    NW_COPY_LOCKED,      /* somebody's lock was in the way, or waited behind ours: again, later */
    NW_COPY_BROKEN,      /* the session is gone: again, with another stream */
    NW_COPY_REWRITTEN,   /* what the snapshot sees is not there any more: a new fence */
    NW_COPY_GONE,        /* the relation was dropped */
    NW_COPY_NO_SNAPSHOT, /* the snapshot is gone with its session: everything unfinished anew */
    NW_COPY_REFUSED,     /* the server will say the same again; error has the repair */
    NW_COPY_FAILED,      /* error says why, its status what to do */
    NW_COPY_UNREAD,      /* the one before it did not end well: again */
};

/** A chunk to copy. Made by the conductor, which keeps it until it comes back. */
struct nw_copy_task {
    const struct nw_table *table;
    const struct nw_projection *projection; /* what of it is selected; NULL: all columns */
    uint32_t generation;
    struct nw_copy_mark mark;
    uint64_t fence_lsn;       /* of the snapshot that is read: the rows are as of there */
    bool upsert;              /* rows of former snapshots of this copy are at the sinks */
    struct nw_stream *stream; /* of an idle session; borrow, the reader's until the task is back */
    uint64_t stream_serial;   /* two sessions never have the same */
    uint32_t turn; /* from 1; another one after each task that came back and was not NW_COPY_DONE */
    const char *sql;      /* the whole transaction, one simple query */
    const char *snapshot; /* what pg_current_snapshot() must say */
    atomic_bool give_up; /* set by the conductor: read no more of it, somebody waits for the lock */
    /* filled by the reader, kept when it is given again */
    bool begun;           /* its first mark was dealt */
    uint64_t rows, bytes; /* dealt */
    /* filled by the reader each time */
    enum nw_copy_outcome outcome;
    struct nw_error error;
    char sqlstate[6]; /* of the server's refusal; "": it was none */
};

/** How fast all readers together may read. Shared by their threads. */
struct nw_copy_rate {
    _Atomic uint64_t bytes_a_second; /* 0: as fast as it goes. Relaxed: a number */
    _Atomic int64_t due_ns;          /* what was read is worth the time until then */
};

struct nw_copy_reader_options {
    struct nw_producer *producer; /* borrow */
    struct nw_copy_rate *rate;    /* borrow; NULL: no limit */
    struct nw_spsc *tasks;        /* from the conductor */
    struct nw_spsc *done;         /* to the conductor */
    uint64_t row_bytes_max;       /* a larger row fails its task with NW_REJECT; 0: none does */
};

struct nw_copy_reader;
NW_MUST_CHECK nw_status nw_copy_reader_create(const struct nw_copy_reader_options *options,
                                              struct nw_copy_reader **reader, struct nw_error *err);
void nw_copy_reader_destroy(struct nw_copy_reader *reader); /* NULL is fine */
struct nw_agent nw_copy_reader_agent(struct nw_copy_reader *reader);

/** Rows and bytes read so far, of all chunks. Any thread. */
void nw_copy_reader_counts(const struct nw_copy_reader *reader, uint64_t *rows, uint64_t *bytes);

#endif
