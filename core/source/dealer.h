/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dealer: turns pgoutput's messages into blocks of rows, events and epochs.
 *
 * It follows transactions, sorts rows into one open block for each table, and deals all open blocks
 * together, at the latest when an epoch ends. It never decodes a row. Owned by the stream source's
 * thread.
 *
 * After a reconnect the server sends again what was not acknowledged. What was dealt already is
 * dropped by (commit LSN, index in the transaction), so the sinks notice nothing, even when the
 * connection broke in the middle of a transaction.
 */
#ifndef NW_SOURCE_DEALER_H
#define NW_SOURCE_DEALER_H

#include <stdbool.h>
#include <stdint.h>

#include "source/pgoutput.h"
#include "source/position.h"
#include "source/producer.h"
#include "source/schemas.h"

/** What becomes of a change that a user may not want downstream. */
enum nw_rule { NW_RULE_APPLY = 0, NW_RULE_KEEP = 1, NW_RULE_STOP = 2 };

/** What a table's changes of schema and contents mean: see docs/schema-changes.md. */
struct nw_table_policy {
    enum nw_ambiguous ambiguous_rename;
    enum nw_rule drop_column; /* keep: its sinks keep the column, new rows are without it */
    enum nw_rule drop_table;
    enum nw_rule truncate;    /* keep: the event is not handed on */
    enum nw_rule type_change; /* apply or stop */
};

/** What a transaction changed at the sinks. Tables beyond NW_COMMITTED_TABLES_MAX are counted. */
#define NW_COMMITTED_TABLES_MAX 64u
struct nw_dealer_committed {
    uint64_t commit_lsn, end_lsn;
    int64_t commit_ts;
    uint32_t xid;
    uint32_t tables_count;
    struct nw_table_count tables[NW_COMMITTED_TABLES_MAX];
};

struct nw_dealer_options {
    struct nw_producer *producer; /* borrow */
    struct nw_schemas *schemas;   /* borrow */
    struct nw_identity identity;  /* goes into positions */
    bool transactions;            /* a sink wants begin and commit events */
    /** Whether rows of this table are wanted; others are counted in seq and dropped. */
    bool (*wanted)(void *context, const struct nw_table *table);
    /** Whether this table stopped in an earlier run; NULL: none did. */
    bool (*stopped)(void *context, const struct nw_table *table);
    /** Whether this table waits for nw_dealer_join(), as a stopped one does; NULL: none does. */
    bool (*waits)(void *context, const struct nw_table *table);
    /** Whether a copy of this table was asked for, so that it is not paused; NULL: of none. */
    bool (*copied)(void *context, const struct nw_table *table);
    /** What committed before this LSN is in the table's copy at every sink, and is not looked at;
     * 0, or NULL: of no table. */
    uint64_t (*joins)(void *context, const struct nw_table *table);
    /** NULL: everything is applied, and what is ambiguous stops its table. */
    struct nw_table_policy (*policy)(void *context, const struct nw_table *table);
    /** What sinks see of a wanted version, before its first row; NULL: of every version all.
     * NW_REJECT stops the table. */
    nw_status (*project)(void *context, const struct nw_table *table,
                         const struct nw_projection **projection, struct nw_error *err);
    void *context;
    uint64_t row_bytes_max; /* a larger row stops its table; 0: only those that came cut do */
    bool keeps;             /* what comes of a table that stops can be kept */
    /** A transaction with changes was dealt whole; NULL: nobody asks. */
    void (*committed)(void *context, const struct nw_dealer_committed *what);
};

struct nw_apart;
struct nw_behind;
struct nw_backlog;
struct nw_backlog_record;

/** A table that cannot go on, while the others do. */
struct nw_dealer_stop {
    const struct nw_table *table;
    bool seen;      /* that is what it is at `place`; else only the catalog had it so */
    bool dropped;   /* on the server: lsn is where sinks are told */
    bool paused;    /* a user asked for it */
    bool keeps;     /* what comes from `place` on is to be kept: by a backlog that begins there */
    uint32_t sinks; /* as bits: it stops for these alone, and the others go on; 0: for all */
    bool again;     /* it did so in this run before: the sequencers have to begin anew */
    struct nw_backlog *playing;  /* what was kept already, and is kept again; else NULL */
    struct nw_backlog *given_up; /* what was kept cannot be gone on with; else NULL */
    struct nw_place place;
    uint64_t lsn; /* commit LSN: rows of this transaction, from some place on, and later are left
                     out */
    char reason[NW_ERROR_TEXT_SIZE];
};

struct nw_dealer;
NW_MUST_CHECK nw_status nw_dealer_create(const struct nw_dealer_options *options,
                                         struct nw_dealer **dealer, struct nw_error *err);
void nw_dealer_destroy(struct nw_dealer *dealer); /* NULL is fine */

/** The connection is new: forget the half-received transaction, but not what was dealt of it. */
void nw_dealer_reconnected(struct nw_dealer *dealer);

/**
 * Of the transaction whose commit is at this LSN the first changes are at the sinks, though no
 * position says so: they are not dealt. Before anything is taken.
 * @param seq  how many
 */
void nw_dealer_dealt(struct nw_dealer *dealer, uint64_t commit_lsn, uint64_t seq);

/**
 * Take one message of a transaction (or between two), from its type byte on. Stream messages are
 * not for the dealer: the source takes them apart.
 * @param lsn  of the XLogData message
 * @return NW_AGAIN: not taken; there are no free blocks, or nw_dealer_unknown() is set.
 */
NW_MUST_CHECK nw_status nw_dealer_take(struct nw_dealer *dealer, uint64_t lsn, int64_t now_ns,
                                       struct nw_bytes message, struct nw_error *err);
/**
 * The same for a row of which only the first bytes came, as many as a row's relation takes, and
 * `cut` bytes did not: when it is wanted, its table stops.
 */
NW_MUST_CHECK nw_status nw_dealer_take_cut(struct nw_dealer *dealer, uint64_t lsn, int64_t now_ns,
                                           struct nw_bytes message, size_t cut,
                                           struct nw_error *err);
/**
 * What the server said before this stream: a Relation message, or a note of the event trigger.
 * Between two transactions.
 */
NW_MUST_CHECK nw_status nw_dealer_resume(struct nw_dealer *dealer, struct nw_bytes message,
                                         struct nw_error *err);
/** A streamed transaction committed: its messages follow through nw_dealer_take(). */
NW_MUST_CHECK nw_status nw_dealer_begin(struct nw_dealer *dealer,
                                        const struct nw_pgoutput_begin *begin,
                                        struct nw_error *err);
NW_MUST_CHECK nw_status nw_dealer_commit(struct nw_dealer *dealer,
                                         const struct nw_pgoutput_commit *commit,
                                         struct nw_error *err);

/** The Relation message that waits for a catalog read, or NULL. */
const struct nw_relation *nw_dealer_unknown(const struct nw_dealer *dealer);
/** The transaction that it came in, which the catalog has to show; 0: none, it came between two. */
uint32_t nw_dealer_unknown_xid(const struct nw_dealer *dealer);
/** The catalog was read. @param described  NULL when it has no such table. */
NW_MUST_CHECK nw_status nw_dealer_describe(struct nw_dealer *dealer,
                                           const struct nw_table *described, struct nw_error *err);

/**
 * The table that stops here, or NULL. Until nw_dealer_stopped() nothing is taken: the stop has to
 * be recorded for good before an epoch can end that lacks the table's rows.
 */
const struct nw_dealer_stop *nw_dealer_stopping(const struct nw_dealer *dealer);
/** @param backlog  borrow: for what comes of it; NULL: that is left out */
NW_MUST_CHECK nw_status nw_dealer_stopped(struct nw_dealer *dealer, struct nw_backlog *backlog,
                                          struct nw_error *err);

/* ---- changes that are kept: see backlog.h ---- */

/** A table whose changes an earlier run kept. Before anything is taken. Borrow. */
void nw_dealer_backlog(struct nw_dealer *dealer, struct nw_backlog *backlog);
/** Stop a table as nw_dealer_stopping() says. NW_AGAIN: not now, ask again. */
NW_MUST_CHECK nw_status nw_dealer_pause(struct nw_dealer *dealer, uint32_t relation_oid,
                                        struct nw_error *err);
/** A table whose changes are left out since a place. Positions say so, as far as they have room.
 * Before anything is taken. */
void nw_dealer_lacks(struct nw_dealer *dealer, const struct nw_behind *lacks);
/** A table that some sinks refused. What comes of it is kept as soon as there is something: then
 * nw_dealer_stopping() says so. Before anything is taken. */
void nw_dealer_apart(struct nw_dealer *dealer, const struct nw_apart *apart);
/** Begin to keep it although nothing came yet. NW_AGAIN: it is not begun, ask again. */
NW_MUST_CHECK nw_status nw_dealer_apart_begin(struct nw_dealer *dealer, uint32_t relation_oid);
/** What is kept of a table is of no use any more; it is stopped, as options say. NW_AGAIN: not now.
 */
NW_MUST_CHECK nw_status nw_dealer_forget(struct nw_dealer *dealer, uint32_t relation_oid);
/** A backlog cannot be gone on with. false: something else is being recorded, ask again. */
bool nw_dealer_give_up(struct nw_dealer *dealer, struct nw_backlog *backlog, const char *reason);
/** Whether some of them may have changed columns, so that values must come as text. */
bool nw_dealer_wants_text(const struct nw_dealer *dealer);
/** From here on a backlog is dealt; between two transactions. NW_AGAIN: the lanes are behind. */
NW_MUST_CHECK nw_status nw_dealer_play_begin(struct nw_dealer *dealer, struct nw_backlog *backlog,
                                             struct nw_error *err);
/** Deal a record of it. NW_AGAIN as nw_dealer_take(). */
NW_MUST_CHECK nw_status nw_dealer_play(struct nw_dealer *dealer,
                                       const struct nw_backlog_record *record, int64_t now_ns,
                                       struct nw_error *err);
/** Whether no transaction of it broke off where a process ended: that comes again, to be kept. */
bool nw_dealer_play_is_whole(const struct nw_dealer *dealer);
/**
 * From here on the stream is dealt again; between two transactions.
 * @param whole  nothing is kept any more: the table is followed as others are. The epoch under way
 *               ends even if it has nothing else.
 */
NW_MUST_CHECK nw_status nw_dealer_play_end(struct nw_dealer *dealer, bool whole, int64_t now_ns,
                                           struct nw_error *err);

/**
 * A table was dropped on the server, in front of `lsn`: once that is recorded as a stop is, sinks
 * are told, when the stream is complete up to a place that was not reached yet. false: something
 * else is being recorded, ask again.
 */
bool nw_dealer_dropped(struct nw_dealer *dealer, const struct nw_table *table, uint64_t lsn);
/** The same of one that is recorded already. Names are copied. */
NW_MUST_CHECK nw_status nw_dealer_drop_recorded(struct nw_dealer *dealer,
                                                const struct nw_table *table, uint64_t lsn,
                                                struct nw_error *err);
/** Tell the sinks of the tables that are due; between transactions. NW_AGAIN: no epoch may end yet.
 */
NW_MUST_CHECK nw_status nw_dealer_drops_deal(struct nw_dealer *dealer, int64_t now_ns,
                                             struct nw_error *err);
/** A table that is to be copied while the stream goes on. */
struct nw_dealer_join {
    uint32_t relation_oid;
    uint32_t sinks;      /* as bits: those that get the copy */
    uint32_t generation; /* of the copy */
    /** What committed before is not looked at; from there on the table is as described. 0: some
     * sinks go on with it as it is. */
    uint64_t from_lsn;
    uint64_t stream_lsn;              /* what is dealt begins there, if nothing was yet */
    const struct nw_table *described; /* borrow; NULL with from_lsn 0 */
    bool leaves; /* it is not copied after all, nor followed: what sinks hold of it goes */
};
/**
 * Deal the mark from which on the sinks hold back what comes of the table; a stopped or waiting one
 * is looked at again. Its copy's snapshot is to be taken when the mark is at the sinks. Or the mark
 * that takes that back.
 * @return NW_AGAIN: not yet, the lanes are behind, or a stop or a Relation message waits.
 */
NW_MUST_CHECK nw_status nw_dealer_join(struct nw_dealer *dealer, const struct nw_dealer_join *join,
                                       struct nw_error *err);
/** Ask again which tables stopped: some may have, for what the catalog says. */
void nw_dealer_refresh(struct nw_dealer *dealer);

/** The server's stream is complete up to here: everything that committed before was received. */
void nw_dealer_advance(struct nw_dealer *dealer, uint64_t lsn);

/** Deal all open blocks. NW_AGAIN: the lanes are behind. */
NW_MUST_CHECK nw_status nw_dealer_flush(struct nw_dealer *dealer, struct nw_error *err);

/**
 * End the epoch here. Only between transactions, see nw_dealer_between().
 * @param with_position  false while the first copy runs
 * @param lsn            filled: the position of the epoch that ended
 */
NW_MUST_CHECK nw_status nw_dealer_end_epoch(struct nw_dealer *dealer, bool with_position,
                                            int64_t now_ns, uint64_t *lsn, struct nw_error *err);

/** What the epoch rules look at. */
struct nw_dealer_state {
    uint64_t epoch;        /* the one being filled */
    uint64_t position_lsn; /* complete up to here */
    uint64_t epoch_lsn;    /* position of the last epoch that ended */
    uint64_t epoch_rows;   /* rows and events in the open epoch */
    uint64_t epoch_bytes;
    int64_t epoch_first_ns; /* when its first row came; 0: empty */
    int64_t oldest_open_ns; /* when the oldest row in an open block came; 0: none */
    bool between;           /* no transaction is being received, or broke off half dealt */
    uint64_t rows, bytes;   /* in all */
    uint64_t rows_left_out; /* of tables that stopped */
    uint64_t rows_kept;     /* of tables whose changes are kept */
    uint64_t transactions;
    uint32_t tables; /* known to the source */
    int64_t last_commit_ts;
};
void nw_dealer_state(const struct nw_dealer *dealer, struct nw_dealer_state *state);

#endif
