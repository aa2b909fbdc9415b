/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A copy reader: an agent that copies tables, one after the other, with COPY BINARY through a
 * session of its own, and deals the rows raw.
 *
 * Every table is a transaction of its own that imports the snapshot, takes ACCESS SHARE with a lock
 * timeout, checks that it sees that snapshot and that the table was not rewritten since (an old
 * snapshot sees nothing of a rewritten table, without an error), and then reads.
 *
 * The format of COPY BINARY: PostgreSQL documentation, "COPY", "Binary Format".
 */
#ifndef NW_SOURCE_COPY_H
#define NW_SOURCE_COPY_H

#include <stdbool.h>
#include <stdint.h>

#include "pg/stream.h"
#include "ring/agent.h"
#include "source/producer.h"

#define NW_COPY_TASKS_MAX 4u /* waiting in a reader's ring */

/** One table to copy. Made by the conductor, which keeps it until it comes back. */
struct nw_copy_task {
    const struct nw_table *table;
    uint32_t generation;
    uint64_t fence_lsn;
    const char *sql;      /* the whole transaction, one simple query: see nw_copy_sql() */
    const char *snapshot; /* what pg_current_snapshot() must say */
    /* filled by the reader */
    /* NW_RETRY: the whole copy has to begin again. NW_AGAIN: the table is locked, nothing was read,
     * and the same task may be given again. */
    nw_status status;
    uint64_t rows, bytes;
    struct nw_error error;
    /* the conductor's own */
    uint32_t tries;   /* that found the table locked, up to now */
    int64_t retry_ns; /* given again from then on; 0: not waiting */
};

struct nw_copy_reader_options {
    struct nw_stream *stream;     /* of an idle session; borrow */
    struct nw_producer *producer; /* borrow */
    struct nw_spsc *tasks;        /* from the conductor */
    struct nw_spsc *done;         /* to the conductor */
};

struct nw_copy_reader;
NW_MUST_CHECK nw_status nw_copy_reader_create(const struct nw_copy_reader_options *options,
                                              struct nw_copy_reader **reader, struct nw_error *err);
void nw_copy_reader_destroy(struct nw_copy_reader *reader); /* NULL is fine */
struct nw_agent nw_copy_reader_agent(struct nw_copy_reader *reader);

/** Rows and bytes read so far, all tables. Any thread. */
void nw_copy_reader_counts(const struct nw_copy_reader *reader, uint64_t *rows, uint64_t *bytes);

#endif
