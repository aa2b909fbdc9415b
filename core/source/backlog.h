/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backlog: the changes of one table that is paused or stopped, on local disk until it goes on.
 *
 * The dealer keeps them here instead of dealing them; later they are dealt from here, between two
 * transactions, until there are no more, and the table is followed as the others are. What is kept
 * and not synced must not be acknowledged. One that cannot be gone on with (its quota is used up,
 * the disk failed) is given up: then only a copy brings its table back.
 *
 * It is a spool (spool.h) in a folder of its own, whose records are messages. Owned by one thread
 * at a time; begin(), open(), remove() and discard() block.
 *
 * Bodies, le, whose format has the version of the spool's (a change of them raises that): u8 kind,
 * then
 *   'F' u64 commit lsn, u64 index     the first: from this place on, changes are here. Behind it
 *       comes, outside of a transaction, the Relation message of what the table was there; if that
 *       was not known, one comes before the first change all the same
 *   'B' u64 commit lsn, i64 commit time, u32 xid, origin's name to the end
 *   'M' u64 index in the transaction, a message of pgoutput: a row, Truncate of this table alone,
 *       Relation, or a note of the event trigger
 *   'C' u64 commit lsn, u64 end lsn, i64 commit time; with the position that it reaches
 * A restart record says that a process ended: a transaction that was open there comes again whole.
 */
#ifndef NW_SOURCE_BACKLOG_H
#define NW_SOURCE_BACKLOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cursor.h"
#include "io/env.h"
#include "ring/job.h"
#include "source/pgoutput.h"
#include "source/position.h"
#include "source/spool.h"
#include <narwal/schema.h>

#define NW_BACKLOG_NAME_SIZE   64u /* NAMEDATALEN */
#define NW_BACKLOG_ORIGIN_SIZE 1024u

struct nw_backlog_options {
    struct nw_env *env;
    const char *folder; /* its parent exists; copied */
    struct nw_identity identity;
    uint64_t quota_bytes;
};

enum nw_backlog_state {
    NW_BACKLOG_KEEPS,    /* what comes of the table is added */
    NW_BACKLOG_RESUMES,  /* the same, and it is dealt */
    NW_BACKLOG_DONE,     /* everything was dealt; it goes when that is durable */
    NW_BACKLOG_GIVEN_UP, /* it goes */
};

/** What of a stream was dealt: all of `done_lsn` and before, of `partial_lsn` all below
 * partial_seq. */
struct nw_dealt {
    uint64_t done_lsn;
    uint64_t partial_lsn;
    uint64_t partial_seq;
    uint64_t begun_lsn; /* the last transaction whose begin event was dealt */
};

/** The version in force of a table that has a backlog for some sinks: there, or in the stream. */
struct nw_dealt_version {
    const struct nw_table *table; /* NULL: not known */
    bool announce;                /* its event was not dealt yet */
};

/** For others to read; the dealer's and the source's fields are theirs to write. */
struct nw_backlog {
    uint32_t relation_oid;
    struct nw_place from; /* changes from here on are in it */
    struct nw_place next; /* those below were added, or need not be */
    uint64_t rows;        /* changes added by this process */
    uint32_t sinks; /* as bits: it is for these, the others are dealt the table as it comes; 0: for
                       all */
    bool is_new;    /* this process began it: what it does not have, nobody has */

    struct nw_spool *spool;
    char *folder;
    uint64_t open_lsn; /* commit of the transaction that has begun here and not ended; 0: none */
    uint8_t *body;     /* of the record that is put together */
    size_t body_capacity;
    uint8_t *relation; /* the last Relation message of the stream; else what the catalog had */
    size_t relation_size, relation_capacity;
    bool relation_added; /* and nothing was said since by which it would not hold */
    bool retyped;        /* its columns changed: what comes of it must come as text */

    /* the dealer's */
    struct nw_dealt dealt;           /* out of it */
    struct nw_dealt_version version; /* while the stream is dealt; only if it is for some sinks */

    /* the source's */
    struct nw_backlog *following;
    enum nw_backlog_state state;
    uint64_t end_epoch; /* DONE: once this is durable it goes */
};

/** A table that some sinks refused: what comes of it is kept for them from a place on. */
struct nw_apart {
    uint32_t relation_oid;
    uint32_t sinks; /* as bits */
    uint64_t from_lsn;
};

/** Up to where backlogs were durable when something was acknowledged: that is nowhere else. */
struct nw_backlog_reached {
    uint32_t count;
    struct nw_backlog_place {
        uint32_t relation_oid;
        uint64_t lsn;
    } tables[NW_BEHIND_MAX];
};

/** What came of a table. */
struct nw_backlog_change {
    const struct nw_pgoutput_begin *begin; /* NULL: outside of any transaction */
    const char *origin;
    struct nw_place place;
    uint64_t lsn;
    struct nw_bytes message;
};

/** A record that was read. */
struct nw_backlog_record {
    char kind; /* as in the format; 'R': a process ended here */
    struct nw_pgoutput_begin begin;
    struct nw_bytes origin;
    struct nw_pgoutput_commit commit;
    uint64_t seq;
    uint64_t lsn;
    struct nw_bytes message;
};

/**
 * Begin one; what was in the folder goes. Durable when it returns.
 * @param table    borrow
 * @param seen     the stream showed it as it is at the place: a Relation message that says so comes
 *                 first. Else only the catalog has it so, and the stream is still to say what it is
 * @param backlog  give
 */
NW_MUST_CHECK nw_status nw_backlog_begin(const struct nw_backlog_options *options,
                                         const struct nw_table *table, bool seen,
                                         struct nw_place from, struct nw_backlog **backlog,
                                         struct nw_error *err);
/**
 * Open what a former process left and verify all of it.
 * @param reached_lsn  everything of the table that committed before is in it; else it is damaged
 * @param backlog      give; NULL: there is none
 */
NW_MUST_CHECK nw_status nw_backlog_open(const struct nw_backlog_options *options,
                                        uint32_t relation_oid, uint64_t reached_lsn,
                                        struct nw_backlog **backlog, struct nw_error *err);
/** From now on step() hands what blocks to these jobs; NULL: they are gone. */
void nw_backlog_use(struct nw_backlog *backlog, struct nw_jobs *jobs);
/** The files stay. NULL is fine. */
void nw_backlog_destroy(struct nw_backlog *backlog);
/** Remove the files; only destroy() may follow. */
NW_MUST_CHECK nw_status nw_backlog_remove(struct nw_backlog *backlog, struct nw_error *err);
/** The same for one that is not open. Of options: env and folder. */
NW_MUST_CHECK nw_status nw_backlog_discard(const struct nw_backlog_options *options,
                                           struct nw_error *err);

/**
 * Add a change; one that was added, or is from before the beginning, is passed over. Relation
 * messages among those are looked at all the same: the server does not repeat them.
 * @return NW_AGAIN: the disk is behind. NW_REJECT: it cannot be kept, and why.
 */
NW_MUST_CHECK nw_status nw_backlog_keep(struct nw_backlog *backlog,
                                        const struct nw_backlog_change *change,
                                        struct nw_error *err);
/** The transaction ended: if anything of it was added, so is that. As nw_backlog_keep(). */
NW_MUST_CHECK nw_status nw_backlog_commit(struct nw_backlog *backlog,
                                          const struct nw_pgoutput_commit *commit,
                                          struct nw_error *err);
/** To be called often. @return NW_REJECT: the disk failed, it is of no use any more */
NW_MUST_CHECK nw_status nw_backlog_step(struct nw_backlog *backlog, int64_t now_ns, uint32_t *work,
                                        struct nw_error *err);
int64_t nw_backlog_deadline(const struct nw_backlog *backlog, int64_t now_ns);
/** Nothing from here on may be acknowledged; UINT64_MAX: anything may. */
uint64_t nw_backlog_limit_lsn(const struct nw_backlog *backlog);
/** Of what is in it, what committed before is durable. */
uint64_t nw_backlog_synced_lsn(const struct nw_backlog *backlog);
/** All that was committed before is in it, or was passed over. */
uint64_t nw_backlog_end_lsn(const struct nw_backlog *backlog);
uint64_t nw_backlog_bytes(const struct nw_backlog *backlog);

/**
 * The next record, borrowed until the next call.
 * @param end  set when there is none, now
 * @return NW_AGAIN while the disk is read; NW_CORRUPT.
 */
NW_MUST_CHECK nw_status nw_backlog_next(struct nw_backlog *backlog,
                                        struct nw_backlog_record *record, bool *end,
                                        struct nw_error *err);

#endif
