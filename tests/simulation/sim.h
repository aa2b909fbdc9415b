/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulator: narwal's whole pipeline on one thread, between a model of PostgreSQL and models of
 * sinks, in a world whose every choice comes from a seed. What must always hold is checked at
 * every commit of a sink and at every word to the server; the same seed gives the same story.
 *
 * sim.c       the choices: which agent goes on, what breaks, when all is lost and begins again
 * server.c    the history of a database, and the walsender that tells it
 * copy.c      tables under a snapshot, and the sessions that read them in chunks
 * conductor.c the first copy: who lacks what, where the stream begins, which chunk is read next
 * join.c      tables that are copied while the others stream
 * spool.c     what is kept on a disk that forgets when the power goes
 * backlog.c   tables that are paused or stop, and go on: what came of them meanwhile is kept
 * sink.c      sinks that store, refuse, forget and do not know
 * sink_copy.c what they are given of copies
 * sink_behind.c  of which tables they have less than their positions say
 * sink_topic.c  sinks that keep what they have of a table that is copied again
 * disk.c      the environment: a clock, and files that are gone after a crash
 */
#ifndef SIM_H
#define SIM_H

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/wire.h"
#include "io/env.h"
#include "pipeline/engine.h"
#include "source/backlog.h"
#include "source/copy.h"
#include "source/copy_state.h"
#include "source/position.h"
#include "source/spool.h"

#define SIM_TABLES     4u
#define SIM_OID        100u /* of the first table */
#define SIM_SINKS_MAX  2u
#define SIM_SLOT_LSN   4096u /* where the slot was made, without a copy */
#define SIM_READERS    2u    /* of the first copy */
#define SIM_ROWS_MAX   60u   /* of a copied table: one a page, a bit for each */
#define SIM_CHUNKS_MAX 5u    /* of a copied table */
#define SIM_PLANS_MAX  64u   /* of a life: tables, and those that begin again */
#define SIM_KEYS       60u   /* ids of changed rows are below */

/* ---- choices ---- */

struct sim_random {
    uint64_t state;
};

static inline uint64_t sim_next(struct sim_random *random)
{
    uint64_t z = (random->state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline uint32_t sim_below(struct sim_random *random, uint32_t limit)
{
    return (uint32_t)(sim_next(random) % limit);
}

/** True in so many of 1000 cases. */
static inline bool sim_chance(struct sim_random *random, uint32_t permille)
{
    return sim_below(random, 1000) < permille;
}

/* ---- what the story had in it, over all seeds ---- */

/* clang-format off */
#define SIM_COUNTERS(X)                                                                            \
    X(rows) X(updates) X(deletes) X(truncates) X(messages) X(free_messages) X(origins) X(commits)  \
    X(aborts) X(savepoints) X(undone) X(schema_changes) X(empty_transactions) X(connects)          \
    X(refused_connects) X(cuts) X(cuts_inside) X(server_errors) X(keepalives) X(replies_wanted)    \
    X(segments) X(streamed_commits) X(streamed_aborts) X(streamed_undone) X(resent) X(skipped)     \
    X(catalog_reads) X(catalog_failures) X(feedbacks) X(stored_changes) X(disk_faults)             \
    X(spilled_items) X(sink_commits) X(not_committed) X(unknown_done) X(unknown_not_done)          \
    X(retry_done) X(pending) X(write_faults) X(write_again) X(recover_faults) X(crashes)           \
    X(late_commits) X(drains) X(failed_lives) X(sinks_apart) X(total_order) X(transactions_told)   \
    X(replayed_rows) X(copy_lives) X(copied_rows) X(copied_tables) X(copies_rewritten)             \
    X(copies_of_another_snapshot) X(copies_failed) X(copies_cut) X(copies_locked) X(copies_apart)  \
    X(copies_discarded) X(copies_resumed) X(copies_gone_on) X(chunks_kept) X(rows_copied_again)    \
    X(crashes_in_copy) X(chunks) X(chunks_again) X(chunks_unread)                                  \
    X(rows_left_out) X(copies_given_up) X(copies_renamed) X(sessions_ended) X(snapshots_gone)      \
    X(tables_again) X(copies_kept) X(progress_stored) X(copies_partly_had) X(spools)               \
    X(spools_found) X(spools_full) X(spools_of_several_segments) X(spools_read) X(spools_gone)     \
    X(told_by_spool) X(power_cuts) X(spools_blocked)                   \
    X(spools_trimmed) X(spools_found_trimmed) X(join_commands) X(join_rounds) X(joins_done)        \
    X(joins_at_start) X(joins_for_one) X(sinks_wiped) X(marks_stored) X(rows_superseded)           \
    X(rows_held) X(rows_held_long) X(tables_again_in_join) X(crashes_in_join) X(leftovers)         \
    X(refusals) X(repairs) X(tables_passed_over) X(tables_taken_up) X(rounds_postponed)            \
    X(tables_paused) X(tables_kept) X(tables_resumed) X(stopped_in_play) X(refused_by_some) X(aparts_resumed) X(backlogs_found)         \
    X(rows_behind) X(commits_behind) X(crashes_behind)                                             \
    X(letters_written) X(letters_again) X(letters_useless) X(rows_refused)                               \
    X(rows_appended) X(topics_held) X(topics_told) X(topics_read) X(copied_from_told)              \
    X(joins_asked)
/* clang-format on */

#define SIM_MEMBER(name) uint64_t name;
struct sim_counters {
    SIM_COUNTERS(SIM_MEMBER)
};

/* ---- the history ---- */

/** What a sink has to have: one row, one table of a truncate, a message, a begin or a commit. */
struct sim_item {
    uint64_t commit_lsn; /* of a message outside transactions: the last byte of its record */
    uint64_t order;      /* inside the transaction */
    uint32_t table;      /* oid, 0: none */
    uint32_t xid;
    uint64_t lsn;
    int64_t id;
    uint32_t note_size;
    uint16_t version; /* of the schema */
    char kind;        /* I U D, T truncate, M message, b begin, c commit */
    char origin;      /* 0: local, else the letter that is its name */
    bool superseded;  /* at the sink: a copy of its table began behind it */
    uint64_t epoch;   /* at the sink: staged in */
    uint32_t life;    /* at the sink: of a copy's beginning */
};

struct sim;

/* ---- disk.c ---- */

struct sim_file;
struct sim_disk {
    struct nw_env env; /* first */
    struct sim *sim;
    int64_t now_ns;
    struct sim_random random;
    struct sim_file *files;
    struct sim_file *handles[256];
    uint32_t write_fault; /* permille */
};

void sim_disk_init(struct sim_disk *disk, struct sim *sim, uint64_t seed);
void sim_disk_wipe(struct sim_disk *disk); /* a new machine */

/* ---- server.c ---- */

struct sim_txn;
struct sim_event;
struct sim_connection;
/** A table as the catalog has it. */
struct sim_description {
    struct nw_table table;
    struct nw_column_schema columns[3];
    char name[32], column_name[32];
};

struct sim_server {
    struct sim *sim;
    struct sim_random random;
    /* the database */
    uint64_t lsn;
    uint32_t xid;
    uint16_t versions[SIM_TABLES];
    struct sim_txn *txns; /* all that ever were */
    uint32_t txns_count, txns_capacity;
    struct sim_event *events; /* the WAL */
    size_t events_count, events_capacity;
    struct sim_item *items; /* what is committed and wanted, in order */
    size_t items_count, items_capacity;
    uint32_t open_max;
    uint32_t stream_after; /* queued changes; 0: never */
    uint32_t note_max;
    bool long_transactions;
    bool quiet; /* no new transactions */
    bool has_slot;
    /* the slot */
    uint64_t confirmed_lsn;
    uint64_t told_lsn;        /* most that was told to any connection */
    uint64_t sent_commit_lsn; /* last commit that any connection was sent */
    struct sim_connection *connection;
    uint32_t connect_fault, catalog_fault; /* permille */
    const struct nw_table *described;
    struct sim_description description; /* what a catalog read gives */
};

void sim_server_init(struct sim_server *server, struct sim *sim, uint64_t seed);
void sim_server_free(struct sim_server *server);
/** One thing happens in the database. */
void sim_server_act(struct sim_server *server);
/** ALTER TABLE, when nobody has the table locked. */
void sim_server_alter(struct sim_server *server, uint32_t table);
/** The walsender decodes a record, or says that it is alive. */
void sim_server_send(struct sim_server *server);
/** The connection ends somewhere in what is under way. */
void sim_server_cut(struct sim_server *server);
/** Everything is decided and sent. */
bool sim_server_rests(const struct sim_server *server);
nw_status sim_connect(void *context, uint64_t lsn, struct nw_walsender *walsender,
                      struct nw_error *err);
void sim_disconnect(void *context, struct nw_walsender *walsender);
nw_status sim_describe(void *context, uint32_t oid, uint32_t xid, const struct nw_table **described,
                       struct nw_error *err);
/** The table as the catalog has it now. */
const struct nw_table *sim_server_describe(const struct sim_server *server, uint32_t oid,
                                           struct sim_description *description);
bool sim_wanted(void *context, const struct nw_table *table);
/** The text that a row or message has; note holds size + 1 bytes. */
void sim_note(uint64_t lsn, uint32_t size, char *note);
void sim_column_name(uint16_t version, char name[32]);
uint16_t sim_columns_count(uint16_t version);
/** Of the column that versions with three have; as attributes_count, of every version. */
int16_t sim_extra_attnum(uint16_t version);

/* ---- copy.c ---- */

/** A table's rows under a snapshot; the row with index i is on page i. */
struct sim_contents {
    struct sim_item *rows;
    size_t count, capacity;
};

struct sim_plan;
struct sim_sink;
struct sim_chunk {
    struct nw_copy_task task; /* first, so that a task finds its chunk */
    struct sim_plan *plan;
    uint32_t first_row, end_row; /* that the snapshot sees */
    bool waits;                  /* to be given again */
    char sql[64];
};

/** The copy of a table under a fence. */
struct sim_plan {
    uint32_t index; /* in the life */
    uint32_t table, generation;
    uint64_t fence_lsn;
    struct nw_copy_origin origin; /* of the generation: its first fence */
    bool resumed;                 /* it broke off in a former life */
    uint32_t former_count;        /* rows that the first snapshot saw */
    uint16_t version;             /* of the schema */
    struct sim_contents contents;
    struct sim_chunk chunks[SIM_CHUNKS_MAX];
    uint32_t chunks_count, chunks_given, chunks_out, chunks_waiting, chunks_done;
    bool void_;
    uint32_t tries;
    int64_t retry_ns;
};

/** What sinks have of a copy that broke off. */
struct sim_former {
    uint32_t generation; /* 0: nothing */
    struct nw_copy_progress progress;
};

struct sim_reader;
struct sim_copy {
    bool running;              /* this life copies first */
    bool hasty;                /* rewritten tables begin again at once */
    uint32_t generation;       /* last one that was given */
    uint32_t first_generation; /* of this life */
    uint64_t fence_lsn;        /* of the first fence */
    uint64_t copying_lsn;      /* recorded: the stream of a first copy begins there; 0: none */
    bool slot_found;           /* this life began with a slot */
    uint32_t fault;            /* permille */
    struct sim_plan *plans[SIM_PLANS_MAX];
    uint32_t plans_count;
    bool again[SIM_TABLES];                                      /* waits for a new fence */
    struct sim_chunk *under_way[SIM_READERS][NW_COPY_TASKS_MAX]; /* in order; then NULL */
    uint32_t turns[SIM_READERS];
    struct sim_former former[SIM_TABLES];
    struct sim_reader *readers[SIM_READERS]; /* NULL: to be opened */
};

/** What a snapshot at this LSN sees. */
void sim_contents_read(const struct sim *sim, uint32_t oid, uint64_t lsn,
                       struct sim_contents *contents);
struct sim_reader *sim_reader_create(struct sim *sim);
void sim_reader_destroy(struct sim_reader *reader); /* NULL is fine */
struct nw_stream *sim_reader_stream(struct sim_reader *reader);
/** Its statement is cancelled, if there is one. */
void sim_reader_cancel(struct sim_reader *reader);

/* ---- conductor.c ---- */

/** What is discarded and copied, by whom, and from where the server sends (sim->start_lsn). */
void sim_copy_decide(struct sim *sim, struct nw_sink *const *sinks,
                     const struct nw_sink_recovered *recovered);
/** Nothing is planned, and the tables are known as the catalog has them. */
void sim_copy_reset(struct sim *sim, struct nw_schemas *schemas);
void sim_copy_begin(struct sim *sim, struct nw_schemas *schemas);
/** The sequencers are told of the copies that sinks have. */
void sim_copy_fences(struct sim *sim, struct nw_engine *engine);
/** @return false: the life ends here. */
bool sim_copy_step(struct sim *sim, struct nw_engine *engine, struct nw_schemas *schemas,
                   struct nw_sink *const *sinks, bool *finished);
/** Under a new fence, of the generation that was given last. */
void sim_plan_add(struct sim *sim, uint32_t table, struct nw_schemas *schemas);
/** The readers' part of it. @return false: the life ends here */
bool sim_copy_read(struct sim *sim, struct nw_engine *engine, struct nw_schemas *schemas,
                   bool *everything);
/** What the sink said that it has it must have, of the plans that hold. */
void sim_copy_check(const struct sim *sim, const struct sim_sink *sink);
/** Before the copy, and while tables are read. */
bool sim_copy_reads(const struct sim *sim);
void sim_copy_end(struct sim *sim); /* the sessions are closed */
void sim_copy_free(struct sim *sim);
/** NULL: no such copy was planned in this life, or in the last that copied. */
const struct sim_plan *sim_plan_find(const struct sim *sim, uint32_t oid, uint32_t generation);

/* ---- join.c ---- */

enum sim_joins_phase { SIM_JOINS_REST = 0, SIM_JOINS_MARKED, SIM_JOINS_COPYING, SIM_JOINS_READ };

/** Sinks are bits, of each table. */
struct sim_joins {
    bool wanted;                      /* a story with commands, and sinks that are new */
    bool streaming;                   /* what is copied now is copied beside the stream */
    uint32_t waits[SIM_TABLES];       /* recorded in the state until the copies are durable */
    uint32_t asked[SIM_TABLES];       /* of those: it streams on meanwhile */
    uint32_t stopped[SIM_TABLES];     /* recorded: these sinks refused it; until a repair */
    bool passed[SIM_TABLES];          /* it waits at all sinks, and the dealer passes it over */
    uint32_t queue[SIM_TABLES];       /* to be marked */
    uint32_t round[SIM_TABLES];       /* marked, and copied together */
    uint32_t generations[SIM_TABLES]; /* of the last marks */
    enum sim_joins_phase phase;
    uint32_t slow; /* permille of the steps of this round in which nothing is copied */
    struct nw_dealer_join marks[SIM_TABLES];
    struct sim_description descriptions[SIM_TABLES]; /* of tables that are taken up */
    uint64_t marks_wanted[SIM_SINKS_MAX], copies_base[SIM_SINKS_MAX];
};

/** A life begins: what its sinks lack while others stream joins. */
void sim_joins_decide(struct sim *sim, bool streaming);
/** What waits is marked, before anything that is told to the engine later. */
void sim_joins_begin(struct sim *sim, struct nw_engine *engine, struct nw_sink *const *sinks);
/** @return false: the life ends here. */
bool sim_joins_step(struct sim *sim, struct nw_engine *engine, struct nw_schemas *schemas,
                    struct nw_sink *const *sinks);
bool sim_joins_busy(const struct sim *sim);
/** A sink refused rows of a table: that is recorded before the next life. */
void sim_joins_refused(struct sim *sim, struct nw_engine *engine);
/** Somebody repairs all that stopped. */
void sim_joins_repair(struct sim *sim);
/** Something is recorded that is known from nowhere else. */
bool sim_joins_recorded(const struct sim *sim);
/** Whether what such a sink lacks of a table waited for a copy when a former life ended: the stream
 * has it still (core/pipeline/run_held.c). */
bool sim_joins_held_at(const struct sim *sim, uint32_t sink, uint32_t table);
bool sim_any_appends(const struct sim *sim, uint32_t sinks);
/** Whether a table waits to be taken up; context is the sim. */
bool sim_joins_waits(void *context, const struct nw_table *table);
/** Whether the sink may be given a mark of this generation. */
bool sim_joins_has(const struct sim *sim, uint32_t sink, uint32_t oid, uint32_t generation);

/* ---- resume.c ---- */

/** Which copies that broke off go on, if their plans fit. Which sink lacks what is known. */
void sim_resume_decide(struct sim *sim, bool streaming, const struct nw_sink_recovered *recovered);
/** Whether a plan, with the contents of its own fence, can go on from there. */
bool sim_resume_fits(const struct sim *sim, const struct sim_plan *plan);
/** The sequencers are told of them. */
void sim_resume_tell(struct sim *sim, struct nw_engine *engine);

/* ---- spool.c ---- */

struct sim_spool {
    struct nw_env *env;
    struct nw_spool *spool; /* of this life; NULL: none */
    bool wanted;            /* (ack: spool) */
    bool off;               /* the power is gone */
    bool fills_up;          /* the disk does, at times */
    bool found_trimmed;     /* this life began in its middle */
    bool filled, blocked;   /* it is full; the spool said so in this life */
    uint64_t quota_bytes, segment_bytes;
};

void sim_spool_init(struct sim *sim);
void sim_spool_free(struct sim *sim);
/** Opens what a former life left when a sink needs it, which moves start_lsn and stream_lsn. */
void sim_spool_find(struct sim *sim, uint64_t need_lsn);
void sim_spool_begin(struct sim *sim);
/** Whether all that was committed before lsn is said to be synced there, and it is there. */
bool sim_spool_has(const struct sim *sim, uint64_t lsn);
/** Its disk fills up, or has room again. */
void sim_spool_step(struct sim *sim);
/** A life ends: its power may go, before anything else happens on the disk. */
void sim_spool_power(struct sim *sim);
void sim_spool_end(struct sim *sim); /* the engine is gone */

/* ---- backlog.c ---- */

enum sim_followed { SIM_FOLLOWED = 0, SIM_PAUSED, SIM_KEPT, SIM_RESUMING };

struct sim_backlogs {
    struct sim_random random;
    struct nw_env *env;
    bool wanted;
    bool refuses; /* sinks do, now and then */
    bool off;     /* the power is gone */
    uint64_t quota_bytes;
    uint64_t play_lsn; /* the furthest sink is there */
    /* recorded in the state */
    enum sim_followed states[SIM_TABLES];
    uint64_t reached[SIM_TABLES];
    uint32_t apart[SIM_TABLES];   /* sinks that refused rows of it, as bits: it is kept for those */
    bool apart_begun[SIM_TABLES]; /* something is kept */
    bool apart_goes_on[SIM_TABLES];
    /* of this life */
    struct nw_backlog *found[SIM_TABLES]; /* until the engine has it */
    bool was_behind[SIM_TABLES];
    bool stops[SIM_TABLES]; /* when it is truncated */
};

void sim_backlogs_init(struct sim *sim);
void sim_backlogs_free(struct sim *sim);
/** Something is recorded that is known from nowhere else. */
bool sim_backlogs_recorded(const struct sim *sim);
/** Opens what former lives kept, which may move start_lsn. */
void sim_backlogs_find(struct sim *sim);
/** The engine gets that, and its sequencers what their positions say. */
void sim_backlogs_give(struct sim *sim, struct nw_engine *engine);
/** For the engine: a table stops; what was kept is not needed any more. Context is the sim. */
nw_status sim_backlog_stop(void *context, const struct nw_dealer_stop *stop,
                           struct nw_backlog **backlog, struct nw_error *err);
nw_status sim_backlog_end(void *context, struct nw_backlog *backlog, bool resumed,
                          struct nw_error *err);
void sim_backlogs_reached(struct sim *sim, const struct nw_backlog_reached *reached);
/** Whether a sink does not take some rows now. */
bool sim_backlogs_refuses(struct sim *sim);
/** A sink refused rows of a table, which ends the life. */
void sim_backlogs_refused(struct sim *sim, struct nw_engine *engine);
/** Somebody pauses or resumes a table. */
void sim_backlogs_step(struct sim *sim, struct nw_engine *engine);
/** As sim_spool_power(), sim_spool_end(). */
void sim_backlogs_power(struct sim *sim);
void sim_backlogs_end(struct sim *sim);

/* ---- sink.c, sink_copy.c ---- */

/** How far a table's copy is. */
struct sim_copied {
    bool present, complete;
    uint32_t generation;
    uint64_t fence_lsn;
    uint64_t rows;                    /* a bit for each */
    uint64_t fresh;                   /* of those, the ones of this life */
    uint8_t bytes[NW_COPY_BYTES_MAX]; /* its state */
    uint32_t size;
    uint32_t life; /* in which it began */
};

/** What a commit that is not answered has to make durable. */
struct sim_pending {
    uint64_t epoch;
    uint8_t position[NW_POSITION_SIZE_MAX];
    uint32_t position_size;
    struct sim_copied copies[SIM_TABLES]; /* those that changed are present */
};

/** What a sink refuses, and what is kept of it. */
struct sim_letters {
    uint32_t multiples; /* one row in so many; 0: it refuses none */
    struct nw_letter_key *keys;
    size_t count, capacity;
    const struct nw_letter_store *store; /* NULL: none are kept */
};

/** What a reader has of a row: the change with this index + 1, or the row of a copy. */
struct sim_topic_row {
    size_t change;
    uint64_t fence_lsn; /* 0: not of a copy */
};

struct sim_topics {
    struct sim_item *staged; /* changes, and rows 'r' of copies, in the order of arrival */
    size_t staged_count, staged_capacity;
    size_t next[SIM_TABLES];       /* of the history, from which on changes are due */
    size_t stored[SIM_TABLES];     /* index + 1 of the last change */
    uint64_t from_lsn[SIM_TABLES]; /* what committed before is of copies alone */
    bool begins[SIM_TABLES];       /* it has no copy yet, or was left out */
    bool gaps[SIM_TABLES];         /* it was left out for a while, once */
    struct nw_behind_list behind;
    struct sim_topic_row rows[SIM_TABLES][SIM_KEYS];
};

struct sim_sink {
    struct sim *sim;
    uint32_t index;
    struct sim_random random;
    struct nw_sink_ops ops;
    struct nw_plugin plugin;
    struct nw_config config;
    char name[8];
    uint32_t workers;
    bool total_order, transactions;
    bool appends;
    struct sim_topics topics;

    /* stored */
    uint8_t position[NW_POSITION_SIZE_MAX];
    uint32_t position_size;
    bool has_position;    /* not only copies */
    uint64_t durable_lsn; /* everything committed before it is here, but of these tables: */
    uint64_t gone_lsn;    /* messages before it may have gone with a spool's beginning */
    struct nw_behind_list behind;
    size_t items_stored; /* how many of the history's items */
    uint64_t fencing;
    struct sim_copied copies[SIM_TABLES];
    bool needs[SIM_TABLES];   /* without a copy, or its beginning, it has not the table */
    bool gap[SIM_TABLES];     /* it was left out for a while, until a copy begins */
    bool needs_copy;          /* in this life, of some table at least: */
    bool missing[SIM_TABLES]; /* those */

    /* staged */
    const struct nw_host *host;
    bool open;
    struct sim_item *staged;
    size_t staged_count, staged_capacity;
    uint64_t sealed[NW_SINK_WORKERS_MAX];
    size_t table_last[SIM_TABLES]; /* index + 1 of a table's last staged item */
    struct sim_item total_last;    /* in total order; commit_lsn 0: none */
    uint32_t late[SIM_TABLES];     /* by this worker + 1, in this epoch, its copy ended */
    bool began[SIM_TABLES];        /* by the commit that is being stored */
    struct sim_item *copied; /* begins '<', rows, ends '>' of copies, in the order of arrival */
    size_t copied_count, copied_capacity;
    struct sim_copied copying[SIM_TABLES]; /* with all that is staged */
    bool has_pending;
    struct sim_pending pending;
    int64_t pending_ns;  /* answered then */
    uint64_t most_items; /* ever staged or stored, for the count of replays */

    uint32_t commit_fault, call_fault, again; /* permille */
    uint32_t refusals;                        /* of 100000 writes */
    struct sim_letters letters;
    int64_t slow_ns;
};

void sim_sink_init(struct sim_sink *sink, struct sim *sim, uint32_t index, uint64_t seed);
void sim_sink_free(struct sim_sink *sink);
/** Answers what is pending and due. */
void sim_sink_step(struct sim_sink *sink);
/** It has no position: what it is to have of the stream begins at lsn; where a trimmed spool begins
 * there, with its first commit. */
void sim_sink_empty(struct sim_sink *sink, uint64_t lsn);
/** It is another one of the same name, without anything. */
void sim_sink_wipe(struct sim_sink *sink);
/** A fault of a call, if it is time for one. */
nw_status sim_sink_fault(struct sim_sink *sink, struct nw_error *err);
nw_status sim_sink_copy_begin(void *self, uint32_t worker, const struct nw_table *table,
                              uint32_t generation, struct nw_error *err);
nw_status sim_sink_copy_end(void *self, uint32_t worker, const struct nw_table *table,
                            uint32_t generation, struct nw_error *err);
nw_status sim_sink_copy_resolve(void *self, uint32_t oid, uint32_t generation,
                                enum nw_copy_verdict verdict, struct nw_error *err);
void sim_sink_copy_write(struct sim_sink *sink, uint32_t worker, const struct nw_batch *batch);
void sim_sink_copy_seal(struct sim_sink *sink, uint32_t worker, uint64_t epoch);
void sim_sink_copy_store(struct sim_sink *sink, const struct sim_pending *commit);
/** It has a position only behind all its copies: the next start would not make them. */
void sim_sink_copy_position(const struct sim_sink *sink);
void sim_sink_copy_recover(struct sim_sink *sink, struct nw_recovery *recovery);
/** Whether a stored copy has this change of the history. */
bool sim_sink_copy_has(const struct sim_sink *sink, const struct sim_item *item);
/** Whether text of that size is what the row or message has. */
bool sim_text_is(const uint8_t *bytes, uint32_t size, const struct sim_item *item);

/* ---- sink_behind.c ---- */

/** Where a commit brings a sink. */
struct sim_position {
    uint64_t lsn;
    uint64_t end_lsn; /* nothing is from behind it */
    struct nw_behind_list behind;
};

/** How far a table is, at a position. */
struct nw_place sim_extent(const struct nw_behind_list *behind, uint64_t lsn, uint32_t oid);
/** Tables of which changes are left out are listed in a position, so that whoever finds it copies
 * them. Of those nothing else is looked at. */
void sim_lacks_check(const struct sim_sink *sink, struct sim_position *to);
/**
 * A table may be said to be behind from a place on that the position has not reached: what was kept
 * begins there. Or some of a transaction that comes again was kept, and is there.
 * @param count  of what is staged, this is committed
 */
void sim_extents_settle(const struct sim_sink *sink, struct sim_position *to, size_t count);
/** Messages that went with a spool's beginning are not due: none from the first on that comes. */
void sim_gone_pass(struct sim_sink *sink, const struct sim_position *to, size_t count);
/** No table goes back, past a change of it. */
void sim_extents_check(const struct sim_sink *sink, const struct sim_position *to);

/* ---- sink_topic.c ---- */

/** A row of a copy came, or a change. */
void sim_topic_row(struct sim_sink *sink, const struct sim_plan *plan, uint32_t row,
                   uint64_t epoch);
void sim_topic_change(struct sim_sink *sink, const struct sim_item *item);
/** What is staged is gone; all is gone. */
void sim_topics_drop(struct sim_sink *sink);
void sim_topics_wipe(struct sim_sink *sink);
/** A commit happens: before the sink's other state is changed by it, and behind that. */
void sim_topics_store(struct sim_sink *sink, const struct sim_pending *commit);
void sim_topics_position(struct sim_sink *sink, const struct sim_pending *commit, uint64_t lsn,
                         const struct nw_behind_list *behind);
/** The server must not forget what is from there on. */
uint64_t sim_topics_need(const struct sim_sink *sink);
/** All has arrived: a reader has the tables' rows. */
void sim_topics_check(const struct sim_sink *sink);
void sim_topics_free(struct sim_sink *sink);

/* ---- sim.c ---- */

struct sim {
    uint64_t seed;
    struct sim_random random;
    struct sim_disk disk;
    struct sim_server server;
    struct sim_sink sinks[SIM_SINKS_MAX];
    uint32_t sinks_count;
    struct sim_copy copy;
    struct sim_joins joins;
    struct sim_spool spool;
    struct sim_backlogs backlogs;
    bool copies;           /* the sinks begin empty, with a first copy */
    uint32_t unwanted_oid; /* 0: all are wanted */
    bool crashing;         /* nothing becomes durable any more */
    uint64_t recorded_lsn; /* in the state */
    uint64_t safe_lsn;     /* recorded in this life */
    uint64_t start_lsn;    /* the server sends from here on */
    uint64_t stream_lsn;   /* what is dealt begins here */
    uint32_t life;         /* how many began */
    uint64_t steps;
    uint64_t trace;
};

extern struct sim_counters sim_counters;
extern bool sim_verbose;
extern const char *sim_capture; /* the file for what the server says; NULL: none */

/** What every story has, where few of the others do. */
enum sim_about {
    SIM_ALL,
    SIM_SPOOLS,   /* a first copy, and a spool beside it */
    SIM_REFUSALS, /* two sinks, of which one now and then refuses a table that the other takes */
};
extern enum sim_about sim_about;

#define SIM_COUNT(name) (sim_counters.name++)

/** Mixes a fact into the story's hash. */
static inline void sim_trace(struct sim *sim, uint64_t fact)
{
    sim->trace = (sim->trace ^ fact) * 0x100000001b3u;
    sim->trace ^= sim->trace >> 29;
}

/** Something that must never be: says the seed and ends the program. */
__attribute__((noreturn))
NW_PRINTF(2, 3) void sim_fail(const struct sim *sim, const char *format, ...);

/** Room for one more. */
static inline void *sim_grow(void *list, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity) {
        return list;
    }
    *capacity = *capacity == 0 ? 64 : *capacity * 2;
    list = realloc(list, *capacity * size);
    if (list == NULL) {
        abort();
    }
    return list;
}

/* ---- letters.c ---- */

/** After sim_sink_init() chose what else it refuses. */
void sim_letters_init(struct sim_sink *sink);
/** The sequencer of a new life is told what is kept. */
void sim_letters_tell(struct sim_sink *sink, struct nw_sequencer *sequencer);
bool sim_letters_refuses(const struct sim_sink *sink, const struct sim_item *item);
/** A commit lacks it: it has to be kept. */
void sim_letters_check(const struct sim_sink *sink, const struct sim_item *item);

#endif
