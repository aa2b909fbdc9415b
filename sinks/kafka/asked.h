/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which copies signals asked for, and how far those are: for what notifications and the marks of
 * rows say of them. A part of kafka.h; all of it is guarded by the sink's lock.
 */
#ifndef NW_KAFKA_ASKED_H
#define NW_KAFKA_ASKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <narwal/status.h>

#include "lib/out.h"

struct nw_kafka_sink;
struct nw_table;

/* The first character of a request's note; the signal's id is behind it. */
#define NW_KAFKA_ASKED_BLOCKING    'b'
#define NW_KAFKA_ASKED_INCREMENTAL 'i'
#define NW_KAFKA_ASKED_STOPS       's'

/* Of a table, and of what was said: */
#define NW_ASKED_WAITS    ' ' /* its copy is not whole; nothing was said */
#define NW_ASKED_SAID     '+' /* whole, or said, in what is not committed yet */
#define NW_ASKED_IS_SAID  '=' /* said, and that is committed */
#define NW_ASKED_IS_THERE '=' /* whole, and that is committed */
/* Of a table whose copy was stopped: */
#define NW_ASKED_STOPPED    'x' /* nothing was said */
#define NW_ASKED_ABORTED    'y' /* said, in what is not committed yet */
#define NW_ASKED_IS_ABORTED 'z' /* said, and that is committed; it is still to end */

/* A table that is copied for a signal. */
struct nw_kafka_asked_table {
    uint32_t relation_oid;
    char state; /* as asked.c has them */
    bool begun; /* its copy, not one that was under way already */
    char *name; /* SCHEMA.TABLE; own */
};

/* One of data-collections of a signal that asked for copies. */
#define NW_KAFKA_COMMAND_SIZE 1024u
#define NW_KAFKA_ID_SIZE      256u /* varchar(42) has up to 168 bytes; more of an id is cut off */
struct nw_kafka_asked {
    char id[NW_KAFKA_ID_SIZE];
    char command[NW_KAFKA_COMMAND_SIZE]; /* to the host */
    uint32_t signal;                     /* those of one signal have one number, from 1 */
    bool blocking;                       /* its type */
    bool stops;                          /* it asked for an end of copies */
    bool resolved;                       /* it is known which tables it stands for: */
    struct nw_kafka_asked_table *tables; /* own */
    uint32_t tables_count;
    char said;          /* whether it was notified that it started, in such a state */
    uint32_t first_oid; /* the table that has the signal's first copied row; 0: none came yet */
    /* What the ledger has of the signal, and will have with the commit that is under way: a hash of
     * it; 0: nothing. The same in all of its entries. */
    uint64_t recorded, recording;
    bool unrecorded; /* it was said that its record is too large; the same in all of its entries */
};

/* What is to be said of the pause or the end of a pause that a signal asked for. */
#define NW_KAFKA_PAUSES_MAX 8u
struct nw_kafka_pause {
    bool paused;
    bool said;       /* in what is not committed yet */
    uint32_t signal; /* whose copies */
};

/* What is said of a copy that a signal asked for. */
struct nw_kafka_asking {
    char id[NW_KAFKA_ID_SIZE];
    uint32_t signal; /* 0: none asked for it */
    bool blocking;
    bool starts;         /* nothing was said of this signal's copies yet */
    bool ends;           /* this table is the last of them */
    bool known;          /* which tables it asked for */
    struct nw_out names; /* of those that are not copied yet, with commas; own */
};

/* What a signal asks the host for; all borrow. */
struct nw_kafka_ask {
    const char *id; /* its id, which may be "" */
    bool blocking;
    bool stops; /* copies end: other signals' */
    const char *const *commands;
    uint32_t count;
    const char *key; /* by which it is known when it comes again */
};

/**
 * Ask the host for all of it, or nothing. Any thread, as all of these. Waits for a synced write,
 * not under the sink's lock.
 * @param again  filled: it was asked for by that key before, and nothing was noted
 * @return what the host says; NW_RETRY also: out of memory. If not NW_OK nothing is noted.
 */
NW_MUST_CHECK nw_status nw_kafka_asked_note(struct nw_kafka_sink *sink,
                                            const struct nw_kafka_ask *ask, bool *again,
                                            struct nw_error *err);
/** Once in open(), behind recover(): what a former process asked for and has no answer to. */
NW_MUST_CHECK nw_status nw_kafka_asked_read(struct nw_kafka_sink *sink, struct nw_error *err);
/** What narwal found out by now is taken over. */
void nw_kafka_asked_poll(struct nw_kafka_sink *sink);

enum nw_kafka_copy_step { NW_KAFKA_COPY_BEGINS, NW_KAFKA_COPY_IS_BEGUN, NW_KAFKA_COPY_IS_GONE };
/**
 * A signal that a copy of this table is for. Which ones that is is settled when it begins: all that
 * asked for the table by then and have no copy of it.
 * @param step   BEGINS: it does now; IS_BEGUN: those that it was begun for; IS_GONE: also those
 *               that wait for one.
 * @param after  the first signal behind this one; 0: of all
 * @param asking  filled; signal 0: none, what is said then is of one copy by itself. To be ended
 *                by nw_kafka_asking_fini()
 */
void nw_kafka_asked_of(struct nw_kafka_sink *sink, const struct nw_table *table,
                       enum nw_kafka_copy_step step, uint32_t after,
                       struct nw_kafka_asking *asking);
/** The first signal of type "blocking" that the copy of the table was begun for; 0: none. */
uint32_t nw_kafka_asked_blocking(struct nw_kafka_sink *sink, uint32_t relation_oid);
/** A table whose copy a signal waits for, though none comes: narwal gave it up.
 * @param name  give. @return its oid; 0: there is none */
uint32_t nw_kafka_asked_lost(struct nw_kafka_sink *sink, char **name);
/** The first signal whose copies are under way; signal 0: none is. */
void nw_kafka_asked_now(struct nw_kafka_sink *sink, struct nw_kafka_asking *asking);
/** What is to be said of this one; signal 0: it is over, or forgotten. */
void nw_kafka_asked_signal(struct nw_kafka_sink *sink, uint32_t signal,
                           struct nw_kafka_asking *asking);
/** A signal of which copies were stopped, and that is not said yet; signal 0: none.
 * @param asking  its names are those. @param all  give; also those that are not copied yet */
void nw_kafka_asked_stopped(struct nw_kafka_sink *sink, struct nw_kafka_asking *asking,
                            struct nw_out *all);
/** That is said. */
void nw_kafka_asked_aborted(struct nw_kafka_sink *sink, const struct nw_kafka_asking *asking);
/** Whether the copy of this table that is under way was stopped. */
bool nw_kafka_asked_is_stopped(struct nw_kafka_sink *sink, uint32_t relation_oid);
void nw_kafka_asking_fini(struct nw_kafka_asking *asking);
/** What asking says is said: that it starts. */
void nw_kafka_asked_begun(struct nw_kafka_sink *sink, const struct nw_kafka_asking *asking);
/** The same of the copy of the table: it is whole, or it is given up. */
void nw_kafka_asked_ended(struct nw_kafka_sink *sink, const struct nw_kafka_asking *asking,
                          uint32_t relation_oid);
/** Whether this table has the first copied row of all that the signal asked for; if none has, it
 * gets it. */
bool nw_kafka_asked_first(struct nw_kafka_sink *sink, uint32_t signal, uint32_t relation_oid);
/** What was said is committed; or all since the last commit is not, and comes again. */
void nw_kafka_asked_settle(struct nw_kafka_sink *sink, bool committed);
void nw_kafka_asked_fini(struct nw_kafka_sink *sink);
/** Whether the server refused the rows of the table's copy, which ends or has ended. */
bool nw_kafka_asked_failed(const struct nw_kafka_sink *sink, uint32_t relation_oid);
/** Room for so many more entries; locked. @return false: memory ran out */
bool nw_kafka_asked_grow(struct nw_kafka_sink *sink, uint32_t more);
void nw_kafka_asked_entry_fini(struct nw_kafka_asked *asked);
/** A signal's id, cut at a character's end if it is longer than `size` takes, with the NUL. */
void nw_kafka_asked_id(char *to, size_t size, const char *id);

/* ---- asked_ledger.c ---- */

struct nw_kafka_producer;
/** In recover(), before nw_kafka_asked_read(): signals are as the ledger has them; of others, what
 * was said since the last commit is not said. */
NW_MUST_CHECK nw_status nw_kafka_asked_restore(struct nw_kafka_sink *sink, struct nw_error *err);
/** The first signal behind another of which the ledger has to say something else.
 * @param out  filled: what; empty: nothing any more. @return 0: there is none */
uint32_t nw_kafka_asked_changed(struct nw_kafka_sink *sink, uint32_t after, struct nw_out *out);
/** In commit(), when all that it says is said: records of signals whose copies go on, for the next
 * process, and ends of those of others. */
NW_MUST_CHECK nw_status nw_kafka_asked_record(struct nw_kafka_sink *sink,
                                              struct nw_kafka_producer *producer,
                                              struct nw_error *err);

#endif
