/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by run.c and decide.c. All of it belongs to the main thread. */
#ifndef NW_PIPELINE_RUN_PRIVATE_H
#define NW_PIPELINE_RUN_PRIVATE_H

#include <pthread.h>
#include <regex.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "pipeline/chosen.h"
#include "pipeline/claim.h"
#include "pipeline/conductor.h"
#include "pipeline/engine.h"
#include "pipeline/followed.h"
#include "pipeline/handover.h"
#include "pipeline/recent.h"
#include "pipeline/run.h"
#include "pipeline/seen.h"
#include "pipeline/state.h"
#include "pipeline/table_list.h"
#include "pipeline/tables.h"
#include "pipeline/takeover.h"
#include "sink/host.h"

struct nw_run;

/* A table that is copied while the others stream. */
struct nw_run_join {
    uint32_t relation_oid;
    char schema_name[NW_TABLE_NAME_SIZE];
    char name[NW_TABLE_NAME_SIZE];
    uint32_t sinks;                   /* as bits: those that get the copy */
    bool everywhere;                  /* the source passes it over until its mark is dealt */
    const struct nw_table *described; /* by the catalog, then */
    bool leaves;                      /* it is not to be copied any more */
    bool fresh;                       /* its sinks had all of it when it was queued */
    bool chosen;                      /* of some rows: chosen.h has them */
};

enum nw_run_joins_phase {
    NW_JOINS_REST = 0,
    NW_JOINS_MARKED, /* marks are on their way to the sinks */
    NW_JOINS_COPYING,
    NW_JOINS_READ, /* not durable yet */
};

/* See run_joins.c. */
struct nw_run_joins {
    struct nw_run_join *queue; /* for the next rounds */
    uint32_t queued;
    int64_t retry_ns;    /* no round begins before */
    uint64_t behind_lsn; /* the stream is to come so far before a round begins; 0: not known */
    int64_t behind_ns;   /* when that was read */
    enum nw_run_joins_phase phase;
    struct nw_run_join *round;
    uint32_t round_count;
    struct nw_dealer_join *marks;             /* the round's, which the engine borrows */
    struct nw_dealer_join *left;              /* the same of those that left it */
    uint32_t generation;                      /* the round's copies', in their marks */
    uint64_t lsn;                             /* from which on they are looked at; 0 */
    struct nw_arena arena;                    /* what the catalog said of the round's tables */
    uint64_t marks_wanted[NW_SEQUENCERS_MAX]; /* what the sinks' counters are to reach */
    uint64_t copies_base[NW_SEQUENCERS_MAX];  /* and stood at before */
    uint64_t rows_base, bytes_base;
    uint32_t locked_oid; /* a round could not begin for a lock on this table; 0: it could */
    char locked_by[NW_COPY_HOLDER_SIZE];
};

/* See run_news.c. Of the attempt. */
struct nw_run_news {
    pthread_mutex_t mutex; /* guards all below */
    uint32_t *found;       /* oids that the dealer met, for the main thread */
    uint32_t found_count;
    uint32_t *settled; /* oids that were copied, for the watch over the catalog */
    uint32_t settled_count;
    bool failed;      /* out of memory */
    int64_t retry_ns; /* the main thread's: what is not published just now is looked at again */
};

/* See run_wishes.c. */
#define NW_RUN_WISHES_MAX 1024u
struct nw_run_wish {
    char sink[64];
    char command[NW_HOST_COMMAND_SIZE];
    int64_t number; /* by which it is recorded (wished.h); 0: it is not */
    bool former;    /* who asked is not there any more: nobody is told what it stood for */
};
/* "OID SCHEMA.TABLE" of several tables, each with its NUL. */
struct nw_run_names {
    char *bytes; /* own; NULL: none */
    size_t size;
};
/* Which tables a pattern stood for, until the sink asks. */
struct nw_run_resolved {
    struct nw_run_wish wish; /* its command is the pattern; "": nothing is here */
    struct nw_run_names names;
};
struct nw_run_wishes {
    pthread_mutex_t mutex; /* guards the list, where sinks add behind the last one; and: */
    struct nw_run_wish list[NW_RUN_WISHES_MAX];
    uint32_t count;
    uint32_t reserved; /* room behind them, for what is being recorded */
    int64_t numbers;   /* the last that was given */
    struct nw_run_resolved resolved[NW_RUN_WISHES_MAX]; /* the latest, in a ring */
    uint32_t resolved_count;
    struct nw_run_names copied; /* those of the first copy */
    bool copied_known;
    struct nw_run_names coming; /* those that wait for a copy, or are being copied */
    bool coming_known;
    bool coming_wanted;         /* somebody asked for them */
    struct nw_run_names failed; /* those whose copy, the latest, ended as the server refused rows */
    /* The main thread's: */
    struct nw_run_names matches; /* of the pattern under way: those that are copied for it */
    char each_name[2 * NW_TABLE_NAME_SIZE];
    char filter[NW_CHOSEN_SIZE]; /* of the pattern under way: which rows; "": all */
    uint32_t each_oid;
    struct nw_run_wish later[NW_RUN_WISHES_MAX]; /* for tables that are being copied already */
    uint32_t later_count;
    int64_t due_ns;                    /* not before, as the server did not answer */
    const struct nw_run_wish *current; /* is answered: `each`, of later or of the list; or NULL */
    struct nw_run_wish pattern; /* "tables refresh" is under way; its command is the pattern */
    bool has_pattern, matched;
    regex_t compiled;        /* that pattern; as long as has_pattern */
    uint32_t passed_oid;     /* by which tables were asked for: up to this one */
    struct nw_run_wish each; /* the command for one that it matches */
    bool has_each;
};

/* How fast is copied, smoothed over some seconds. */
struct nw_run_pace {
    int64_t at_ns; /* 0: nothing is known yet */
    uint64_t rows, bytes;
    double rows_a_second, bytes_a_second;
};

/* What is kept of a table, before the engine has it. */
struct nw_run_backlog {
    struct nw_backlog *backlog;
    bool resumes;
};

/* A table that some sinks refused, before the engine has it. */
struct nw_run_apart {
    struct nw_apart apart;
    struct nw_backlog *backlog; /* NULL: nothing was kept of it yet */
    bool resumes;
};

/* Since when a configured sink takes nothing that waits for it. */
struct nw_run_stall {
    uint64_t rows, batches, commits, copies; /* when it last moved */
    int64_t moved_ns;                        /* 0: it was not looked at yet */
    bool said;                               /* that it is not detached */
    bool hangs; /* a call of it never returned: not again before a restart */
};

/* A sink in an attempt. */
struct nw_run_member {
    struct nw_run *run;
    struct nw_sink *sink;
    struct nw_letters_file *letters; /* NULL: a row that it refuses stops its table */
    struct nw_sink_recovered recovered;
    bool copies_void; /* also what is whole of its copies is to be copied again */
    bool needs_copy;  /* of some table at least: nw_run_table_missing() */
    uint64_t lsn;     /* its lowest position; 0: none */
    /* What it needs of the stream: all from here on. 0: from wherever the slot stands; UINT64_MAX:
     * its copies, none of which is whole, will have all that was before. */
    uint64_t need_lsn;
};

struct nw_run {
    const struct nw_run_options *given;   /* with all sinks that are configured */
    struct nw_run_options own;            /* the attempt's, without those that are left out */
    const struct nw_run_options *options; /* own */
    uint32_t place[NW_SEQUENCERS_MAX];    /* of own's sinks among the configured */
    struct nw_detached detached;
    struct nw_run_stall stalls[NW_SEQUENCERS_MAX]; /* as they are configured */
    int blamed;        /* the configured sink that the last attempt failed for; -1: none */
    uint32_t unopened; /* the configured sinks that did not open in the last attempt, as bits */
    bool anew;     /* other sinks are to take part: the attempt ends, and the next begins at once */
    bool hangs;    /* of the attempt: a sink that is left out is still in a call */
    bool any_hang; /* the same of any */
    struct nw_env *env;
    struct nw_state *state;
    struct nw_tables *table_states;
    struct nw_followed *followed_tables;
    struct nw_run_news news;
    struct nw_run_wishes wishes;
    struct nw_seen *seen; /* the service thread's while an engine runs */
    struct nw_recent *recent;
    struct nw_state_source source;
    struct nw_taken taken; /* of Debezium */
    struct nw_run_status status;
    struct nw_table_list list;
    int64_t list_due_ns;
    struct nw_letters_file *letters;           /* to look at; NULL: there were none yet */
    bool letters_unread;                       /* they cannot be, and it was said */
    const char *list_waits;                    /* what all tables wait for before anything runs */
    char fence_waits[2 * NW_COPY_HOLDER_SIZE]; /* that, while the first fence is made; "" */
    struct nw_run_pace pace;
    uint64_t
        durable_lsns[NW_SEQUENCERS_MAX]; /* as told, of all configured; they stay over attempts */
    bool paused;                         /* a user wants it to rest */
    uint64_t copy_rate_bytes;            /* the engine was told */
    uint64_t hurried_lsn;                /* the engine was asked for */
    uint64_t until_lsn;                  /* the end of the run; 0: there is none, or not yet */
    uint64_t until_xid; /* no transaction was under way then, and this the next; 0: not known */
    pthread_t main;     /* the thread that runs it */
    bool stuck_said;
    struct nw_claim *claim; /* to the slot and the sinks, over attempts */
    bool waited;            /* it was stopped between a failure and the next attempt */
    bool takes_over;        /* from an owner that may be frozen; until the sinks are recovered */
    int64_t ticked_ns;
    int64_t protect_seen_ns;
    struct nw_primary_watch watch;
    bool copy_paused; /* nothing more is copied until a user says so */
    int64_t publish_seen_ns;
    bool drop_slot;    /* it holds back too much: drop it when nobody reads it any more */
    bool connected;    /* the server let us in once */
    bool followed;     /* an attempt has streamed: a standby's promotion is waited for */
    bool left_running; /* a plugin did not return: everything that its thread may touch stays */
    char host[256];    /* of the server that was last connected; "" */
    bool slot_stays, publication_stays; /* there, when this ends */

    /* of the attempt */
    struct nw_server server;
    bool server_open;
    struct nw_schemas *schemas;
    struct nw_transforms *transforms;
    struct nw_arena arena;
    struct nw_catalog_tables tables;
    struct nw_run_member members[NW_SEQUENCERS_MAX];
    bool any_copy; /* before anything is streamed: no sink has a position */
    struct nw_run_joins joins;
    atomic_bool streams; /* tables that are to be copied again wait for their mark in the stream */
    uint32_t *joining;   /* oids of tables that are copied again at every sink, under joins_lsn */
    uint32_t joining_count;
    uint64_t joins_lsn;
    bool slot_found;
    uint64_t confirmed_lsn; /* of the slot, when there is one */
    uint64_t start_lsn;     /* the server sends from here on */
    uint64_t copying_lsn;   /* see nw_state_copying_read() */
    struct nw_run_backlog backlogs[NW_BEHIND_MAX];
    uint32_t backlogs_count;
    struct nw_run_apart aparts[NW_BEHIND_MAX];
    uint32_t aparts_count;
    struct nw_spool *spool;
    uint64_t spool_lsn; /* where it begins */
    uint64_t left_lsn;  /* where that of a former attempt does; UINT64_MAX: there is none */
    int64_t spool_said_ns;
    struct nw_conductor *conductor;
    struct nw_engine *engine;
};

/** Whether it was asked to stop. */
bool nw_run_stopping(const struct nw_run *run);
/** Whether the configuration wants this table; context is the run. */
bool nw_run_table_wanted(void *context, const struct nw_table *table);
/** Whether a sink is still to get a copy of this table; context is its member. */
bool nw_run_table_missing(void *context, const struct nw_table *table);
/** What sinks see of a table; context is the run. */
nw_status nw_run_table_project(void *context, const struct nw_table *table,
                               const struct nw_projection **projection, struct nw_error *err);

/* run.c */

NW_MUST_CHECK nw_status nw_run_sinks_open(struct nw_run *run, struct nw_error *err);

/* run_standby.c */

/** See nw_pg_options: a wish to stop ends waiting for the server; context is the run. */
bool nw_run_stops(void *context);
/** Before anything of the sinks is touched: be the only one. */
NW_MUST_CHECK nw_status nw_run_own(struct nw_run *run, struct nw_error *err);
/** Wait until the slot's owner is gone. NW_OK also when it was asked to stop. */
NW_MUST_CHECK nw_status nw_run_stand_by(struct nw_run *run, struct nw_error *err);

/* run_tables.c */

/** See nw_dealer_options and nw_source_options; context is the run. */
bool nw_run_table_stopped(void *context, const struct nw_table *table);
/** Whether a copy of it was asked for, which is said: it is not paused. Source thread. */
bool nw_run_table_is_copied(void *context, const struct nw_table *table);
struct nw_table_policy nw_run_table_policy(void *context, const struct nw_table *table);
NW_MUST_CHECK nw_status nw_run_table_stop(void *context, const struct nw_dealer_stop *stop,
                                          struct nw_backlog **backlog, struct nw_error *err);
/** Whether it waits for its mark; context is the run. */
bool nw_run_table_waits_for_mark(void *context, const struct nw_table *table);
/** What committed before it is in the table's copy at every sink; context is the run. */
uint64_t nw_run_table_joins(void *context, const struct nw_table *table);
/** Before the engine is there: which tables are copied again, and under which fence at least. */
NW_MUST_CHECK nw_status nw_run_joining_note(struct nw_run *run, struct nw_error *err);
/** Whether a table is to be copied again at a sink. */
bool nw_run_table_waits(const struct nw_run *run, uint32_t sink, uint32_t relation_oid);
/** Whether a sink gets nothing of a table. */
bool nw_run_left_out(const struct nw_run *run, uint32_t sink, uint32_t relation_oid);
/** Tells the engine, before it runs, which tables are left out at one sink. */
NW_MUST_CHECK nw_status nw_run_leave_out(struct nw_run *run, struct nw_error *err);
/** Tables that waited for a copy and are not there any more wait no longer. */
NW_MUST_CHECK nw_status nw_run_waiting_check(struct nw_run *run, struct nw_error *err);
/** Tells the engine, before it runs, of dropped tables that some sink may not have heard of. */
NW_MUST_CHECK nw_status nw_run_drops_tell(struct nw_run *run, struct nw_error *err);
/** Names and time of a table that stops. */
void nw_run_trouble_of(const struct nw_run *run, const struct nw_table *table, uint64_t lsn,
                       struct nw_table_trouble *trouble);
/** Whether it is recorded of a table at this sink, or at all. */
bool nw_run_trouble_is_at(const struct nw_run *run, const struct nw_table_trouble *trouble,
                          uint32_t sink);
/** Say it, and record it for good. */
NW_MUST_CHECK nw_status nw_run_trouble_record(struct nw_run *run,
                                              const struct nw_table_trouble *trouble,
                                              struct nw_error *err);
/** What made the engine fail, while it and the versions are there; false: no refused row. */
bool nw_run_refusal(struct nw_run *run, const struct nw_error *err,
                    struct nw_table_trouble *trouble);
/** Records it, with no engine. @return NW_RETRY: the next attempt goes on without the table. */
NW_MUST_CHECK nw_status nw_run_refusal_record(struct nw_run *run,
                                              const struct nw_table_trouble *trouble,
                                              struct nw_error *err);
/** Record and say what became of a table. */
NW_MUST_CHECK nw_status nw_run_table_trouble(struct nw_run *run, const struct nw_table *table,
                                             enum nw_table_condition condition, const char *reason,
                                             struct nw_error *err);
/* run_watch.c: see nw_source_options.watch; context is the run. */
NW_MUST_CHECK nw_status nw_run_watch(void *context, struct nw_look *look, struct nw_error *err);
/** Before the stream begins: what became of tables that were followed and are not there now. */
NW_MUST_CHECK nw_status nw_run_absent_check(struct nw_run *run, struct nw_error *err);
/** Before a copy: what was seen of the tables that are copied does not count any more. */
NW_MUST_CHECK nw_status nw_run_copies_unseen(struct nw_run *run,
                                             bool (*copied)(void *run, const struct nw_table *),
                                             struct nw_error *err);
/** Log which tables are stopped. */
void nw_run_tables_say(const struct nw_run *run);

/* run_status.c */

/** Fill what status shows. */
void nw_run_status_collect(struct nw_run *run);
/** Call tick(), if it is time for that. @return whether it was */
bool nw_run_tick(struct nw_run *run);
/** The main thread goes on, or waits for the server; asked on any other thread nothing is done. */
void nw_run_alive(struct nw_run *run);
/** See nw_conductor_options; context is the run. */
void nw_run_idle(void *context, const char *blocker);

/* run_list.c */

/** Make the list of all tables, if it is time for that. */
void nw_run_list_make(struct nw_run *run);
/** What a table waits for whose fence is being made. */
const char *nw_run_fence_waits(const struct nw_run *run, struct nw_table_list *list);

/* run_backlogs.c */

/** Begin to keep what comes of a table that stops; on the service thread. */
NW_MUST_CHECK nw_status nw_run_backlog_begin(struct nw_run *run, const struct nw_dealer_stop *stop,
                                             struct nw_backlog **backlog, struct nw_error *err);
/** See nw_source_options; context is the run. */
NW_MUST_CHECK nw_status nw_run_backlog_end(void *context, struct nw_backlog *backlog, bool resumed,
                                           struct nw_error *err);
/** What former attempts kept: what is of use is opened, the rest removed. */
NW_MUST_CHECK nw_status nw_run_backlogs_find(struct nw_run *run, struct nw_error *err);
/** Hands it to the engine, before that runs. */
NW_MUST_CHECK nw_status nw_run_backlogs_give(struct nw_run *run, struct nw_error *err);

/* run_letters.c */
/** Open the stores of sinks that are configured so. */
NW_MUST_CHECK nw_status nw_run_letters_open(struct nw_run *run, struct nw_error *err);
/** A sink's; NULL: a row that it refuses stops its table. */
const struct nw_letter_store *nw_run_letters_store(const struct nw_run *run, uint32_t sink);
/** Tell the sequencers what is kept already. Before the engine runs. */
NW_MUST_CHECK nw_status nw_run_letters_give(struct nw_run *run, struct nw_error *err);
void nw_run_letters_count(struct nw_run *run, struct nw_letters_tally *tally);

/** None of them can be gone on with. */
NW_MUST_CHECK nw_status nw_run_backlogs_give_up(struct nw_run *run, const char *reason,
                                                struct nw_error *err);
/** The attempt ended; what the engine has is its own. */
void nw_run_backlogs_close(struct nw_run *run);
/**
 * Open what is kept of a table.
 * @param backlog  give; NULL: it cannot be gone on with, which is recorded
 */
NW_MUST_CHECK nw_status nw_run_backlog_open(struct nw_run *run,
                                            const struct nw_table_trouble *table,
                                            struct nw_backlog **backlog, struct nw_error *err);
/** What was kept of a table is of no use: only a copy brings it back. Recorded and said. */
NW_MUST_CHECK nw_status nw_run_backlog_gone(struct nw_run *run,
                                            const struct nw_table_trouble *table,
                                            const char *reason, struct nw_error *err);

/** Which tables are behind, says one of the sink's positions; all were read before. */
void nw_run_behind_read(const struct nw_run_member *member, uint32_t index,
                        struct nw_behind_list *behind);

/* run_held.c */

/** Whether a sink keeps what it has of a table that is copied again; of these sinks any. */
bool nw_run_appends(const struct nw_run *run, uint32_t sink);
bool nw_run_any_appends(const struct nw_run *run, uint32_t sinks);
/** Whether the stream still has what a position says is held: not of a table that is stopped, or
 * kept, or waits, or is not followed any more. */
bool nw_run_is_held(const struct nw_run *run, uint32_t sink, const struct nw_behind *behind);
/** From where on the sink needs the stream, which is at the latest from need_lsn on. */
uint64_t nw_run_held_need(const struct nw_run_member *member, uint64_t need_lsn);
/** Tells the sink's sequencer, before it runs. */
NW_MUST_CHECK nw_status nw_run_held_tell(struct nw_run *run, uint32_t sink, struct nw_error *err);
/** Whether a sink lacks of a table what is before a place, for it waited for a copy when narwal
 * ended. @return that sink's name, or NULL */
const char *nw_run_held_before(const struct nw_run *run, uint32_t relation_oid,
                               struct nw_place place);
/** Says which tables lack what waited for a copy, and does not come any more: that they stopped
 * there is recorded. */
NW_MUST_CHECK nw_status nw_run_held_losses(struct nw_run *run, struct nw_error *err);
/** From where on such a sink, whose first copy broke off, needs all that the stream has; 0: it is
 * not one, or that is not there any more. */
uint64_t nw_run_copied_from(const struct nw_run_member *member);
/** Tells its sequencer, before it runs. */
NW_MUST_CHECK nw_status nw_run_copied_tell(struct nw_run *run, uint32_t sink, struct nw_error *err);
/** Whether the table streams as the others do, so that it does while it is copied again. */
bool nw_run_goes_on(const struct nw_run *run, uint32_t relation_oid);
/** The marks of the round's tables are at the sinks: those that waited go on from there, for good.
 */
NW_MUST_CHECK nw_status nw_run_held_record(struct nw_run *run, struct nw_error *err);

/* run_apart.c */

/** Which tables are kept for some sinks only, by what is recorded. */
NW_MUST_CHECK nw_status nw_run_aparts_find(struct nw_run *run, struct nw_error *err);
/** Tells the engine, before it runs. */
NW_MUST_CHECK nw_status nw_run_aparts_give(struct nw_run *run, struct nw_error *err);
/** A table stops for some sinks, or begins to be kept for them: see nw_dealer_stop; on the service
 * thread. */
NW_MUST_CHECK nw_status nw_run_apart_stop(struct nw_run *run, const struct nw_dealer_stop *stop,
                                          struct nw_backlog **backlog, struct nw_error *err);
/** What was kept for some sinks is there for good. */
NW_MUST_CHECK nw_status nw_run_apart_resumed(struct nw_run *run, const struct nw_backlog *backlog,
                                             struct nw_error *err);
/** The configured sink of that name; -1: there is none. */
int nw_run_sink_index(const struct nw_run *run, const char *name);
/** A sink refused rows of a table that streams: record that what comes of it is kept for that sink.
 */
NW_MUST_CHECK nw_status nw_run_apart_record(struct nw_run *run,
                                            const struct nw_table_trouble *trouble,
                                            struct nw_error *err);
/** No sink has a later position. */
uint64_t nw_run_play_lsn(const struct nw_run *run);

/* run_commands.c */

/** Answer and begin what was asked through the control socket. */
NW_MUST_CHECK nw_status nw_run_commands(struct nw_run *run, struct nw_error *err);

/* run_wishes.c */

/** nw_sink_options.ask and .requests; context is the run. */
nw_status nw_run_wish(void *context, const char *sink, struct nw_request *request,
                      struct nw_error *err);
nw_status nw_run_requests_tell(void *context, const char *sink, nw_request_fn each,
                               void *each_context, struct nw_error *err);
/** What was asked for when narwal ended. */
NW_MUST_CHECK nw_status nw_run_wishes_read(struct nw_run *run, struct nw_error *err);
/** Drop what is recorded, and say so: another narwal was the owner since. */
void nw_run_wishes_drop(struct nw_run *run);
/** The sink is another one now, and knows nothing of what it asked for. */
void nw_run_wishes_orphan(struct nw_run *run, const char *sink);
/** Which tables are to be copied can be asked for. */
void nw_run_coming_note(struct nw_run *run);
/** nw_sink_options.copies; context is the run. */
nw_status nw_run_copies_tell(void *context, const char *sink, const char *command, char *names,
                             size_t size, size_t *used);
/** The first copy was planned: which tables it has can be asked for. */
void nw_run_copies_note(struct nw_run *run);
/** Whether a sink asks for copies of tables that are not looked up yet, so that they are soon. */
bool nw_run_wishes_pending(struct nw_run *run);
void nw_run_wishes_forget(struct nw_run *run);
/** "tables refresh PATTERN" becomes commands for tables, one after the other. While an engine runs.
 * @param line  NULL: none. @return whether it is one, and was answered */
bool nw_run_pattern_answer(struct nw_run *run, const char *line);
/** "tables stop PATTERN": the same of copies that are under way or to come, at once. */
bool nw_run_stop_answer(struct nw_run *run, const char *line);
/** The command for the next table of a pattern is the one to answer now, if there is one. */
void nw_run_pattern_step(struct nw_run *run);
/* Forgets it. */
void nw_run_pattern_end(struct nw_run *run);
/** The command to answer now, a user's or a sink's; NULL: none. */
const char *nw_run_asked(struct nw_run *run);
/** Answer it. */
void nw_run_answer(struct nw_run *run, bool well, const char *text);

/* run_until.c */

/** Tell what became durable, and hurry for what is waited for. */
void nw_run_durable_tell(struct nw_run *run);
/** Find the end of the run, if it is to have one. */
NW_MUST_CHECK nw_status nw_run_until_find(struct nw_run *run, struct nw_error *err);
/** Whether everything up to there is durable, and nothing is copied any more. */
bool nw_run_until_reached(const struct nw_run *run);
/** At its end: whether nothing was written since it was to end, so that another server may go on in
 * this one's place (handover.h). Says and records it. */
void nw_run_handover(struct nw_run *run);
/** Whether the attempt is to end, though nothing is wrong: the next has other options, or waits. */
bool nw_run_rests(const struct nw_run *run);
/** Answer "pause" and "resume" of the whole pipeline. @return whether that was asked */
bool nw_run_pause_answer(struct nw_run *run);
/** Answer "lsn": the end of the server's WAL. @return whether that was asked */
bool nw_run_lsn_answer(struct nw_run *run);

/* run_joins.c */

/** Queue a table for a copy at these sinks. Names are copied. */
NW_MUST_CHECK nw_status nw_run_joins_add(struct nw_run *run, uint32_t relation_oid,
                                         const char *schema_name, const char *name, uint32_t sinks,
                                         struct nw_error *err);
/** Queue what sinks are still to get, of which some stream already. */
NW_MUST_CHECK nw_status nw_run_joins_plan(struct nw_run *run, struct nw_error *err);
/** Begin a round with what is queued. */
NW_MUST_CHECK nw_status nw_run_joins_begin(struct nw_run *run, struct nw_error *err);
/** Whether a round begins before anything of the stream came. */
bool nw_run_joins_first(const struct nw_run *run);
/** Go on with it, or begin one. */
NW_MUST_CHECK nw_status nw_run_joins_step(struct nw_run *run, struct nw_error *err);
bool nw_run_joins_busy(const struct nw_run *run);
/** The sinks at which marks of the round are still to come, as bits. */
uint32_t nw_run_marks_missing(const struct nw_run *run);
/** Whether the table is queued or being copied. */
bool nw_run_joins_has(const struct nw_run *run, uint32_t relation_oid);
/** Whether it waits for a round that has not begun: its copy will be of what is there then. */
bool nw_run_joins_waits(const struct nw_run *run, uint32_t relation_oid);
/** What is queued or being copied of a table; NULL: nothing. */
struct nw_run_join *nw_run_joins_find(const struct nw_run *run, uint32_t relation_oid);
/** Which rows of the one that was queued last are copied; see nw_run_join. */
void nw_run_joins_choose(struct nw_run *run, bool chosen, bool fresh);
/** Take it out of the queue again. */
void nw_run_joins_remove(struct nw_run *run, const struct nw_run_join *join);
/** The attempt ended. */
void nw_run_joins_forget(struct nw_run *run);

/* run_chosen.c */

/** Whether a condition can choose rows of a table. NW_REJECT: it cannot, and err has why.
 * @param quoted  its name */
NW_MUST_CHECK nw_status nw_run_filter_check(struct nw_run *run, const char *quoted,
                                            const char *filter, struct nw_error *err);
/** Why no rows of a table can be chosen for a copy at these sinks; NULL: they can. */
const char *nw_run_choice_fault(struct nw_run *run, uint32_t relation_oid);
/** Whether what is recorded of a table that is queued holds for these sinks: see nw_run_join. */
NW_MUST_CHECK nw_status nw_run_chosen_of(struct nw_run *run, uint32_t relation_oid, uint32_t sinks,
                                         bool *chosen, struct nw_error *err);
/** Which rows of it are copied; "": all. */
NW_MUST_CHECK nw_status nw_run_filter_of(struct nw_run *run, const struct nw_run_join *join,
                                         char filter[static NW_CHOSEN_SIZE], struct nw_error *err);
/** See nw_conductor_options; context is the run. */
nw_status nw_run_choose(void *context, const struct nw_table *table, struct nw_arena *arena,
                        const char **filter, bool *asked, struct nw_error *err);
/** See nw_conductor_options.fails; sinks are told (nw_host.copies). */
void nw_run_choice_fails(void *context, const struct nw_table *table);
/** End the copy of a table that was asked for, and is under way or to come. NW_REJECT: it cannot be
 * ended, and err has why. */
NW_MUST_CHECK nw_status nw_run_copy_stop(struct nw_run *run, uint32_t relation_oid,
                                         struct nw_error *err);

#define NW_RUN_WHERE " WHERE " /* which rows, behind what a sink asks for */
/** Cuts " WHERE ..." off what a sink asked for. @param quoted  not within quotes
 * @param filter  filled: what is behind it; "" */
void nw_run_wish_split(char *text, bool quoted, char filter[static NW_CHOSEN_SIZE]);
/** Whether a command is for the table of another one, for all rows of it or some. */
bool nw_run_wish_is_of(const char *command, const char *each);
/** Whether a table that is queued waits for a copy of just these rows. */
bool nw_run_queued_has(struct nw_run *run, uint32_t relation_oid, const char *filter);

/* run_leave.c */

/**
 * Take the tables out of the round that are marked so, each with what is recorded of it.
 * @param dealt  their marks were dealt: the sinks are told
 */
NW_MUST_CHECK nw_status nw_run_round_leave(struct nw_run *run, bool dealt, struct nw_error *err);
/** Take tables out of the queue that stopped since they were asked for, if what comes of them is
 * kept: their copy would be without it. Says so. */
NW_MUST_CHECK nw_status nw_run_queue_leave(struct nw_run *run, struct nw_error *err);
/** Of a table that waits and will not be copied: why, and what becomes of it. */
NW_MUST_CHECK nw_status nw_run_waiting_unpublished(struct nw_run *run, const struct nw_table *table,
                                                   struct nw_error *err);

/* run_news.c */

/** The dealer meets a version of a table. @return whether it is new: its rows are left out */
bool nw_run_news_meet(struct nw_run *run, const struct nw_table *table);
/** Do with the tables that the dealer met what tables.new_tables says. */
NW_MUST_CHECK nw_status nw_run_news_step(struct nw_run *run, struct nw_error *err);
/** The same with those that are new at a start. @param streams  some sink streams already */
NW_MUST_CHECK nw_status nw_run_news_plan(struct nw_run *run, bool streams, struct nw_error *err);
/** See nw_publication_options; context is the run. */
NW_MUST_CHECK nw_status nw_run_news_unpublished(void *context, uint32_t relation_oid, bool *adds,
                                                struct nw_error *err);
/** One that was found in the catalog, and is published now. */
void nw_run_news_found(struct nw_run *run, uint32_t relation_oid);
/** One that is not to be followed, as tables.new_tables says: which is not copy. */
NW_MUST_CHECK nw_status nw_run_news_refuse(struct nw_run *run, const struct nw_table *table,
                                           struct nw_error *err);

/* run_publish.c */

/** Change a publication. Fails with SQLSTATE 55P03 where that would wait for a table's lock. */
NW_MUST_CHECK nw_status nw_run_publish(struct nw_run *run, const char *sql, char sqlstate[6],
                                       struct nw_error *err);

/** Look now and then for tables that match and are not published, and publish them. */
NW_MUST_CHECK nw_status nw_run_publish_step(struct nw_run *run, struct nw_error *err);

/* run_news.c */

/** A table was copied: what the watch knew of it is of no use any more. */
NW_MUST_CHECK nw_status nw_run_news_settle(struct nw_run *run, uint32_t relation_oid,
                                           struct nw_error *err);
/** Which were, since it was asked last. @param oids  give */
uint32_t nw_run_news_settled(struct nw_run *run, uint32_t **oids);
void nw_run_news_forget(struct nw_run *run);

/* run_detach.c */

/** Between two attempts: the options of the next, without the sinks that are left out. NW_FATAL:
 * all are. */
NW_MUST_CHECK nw_status nw_run_sinks_choose(struct nw_run *run, struct nw_error *err);
/** What of the given options holds at once. */
void nw_run_options_follow(struct nw_run *run);
/** Look which sinks move; with each report. */
void nw_run_stalls_note(struct nw_run *run);
/** Detach those that have stood for too long, if they are configured so; then run->anew is set. */
NW_MUST_CHECK nw_status nw_run_stalls_judge(struct nw_run *run, struct nw_error *err);
/** One of the attempt did not return from a call for as long: the same. */
NW_MUST_CHECK nw_status nw_run_hang_judge(struct nw_run *run, uint32_t index, struct nw_error *err);
/** Whether the attempt's sink is detached by now. */
bool nw_run_leaves(const struct nw_run *run, uint32_t index);
/** Whether a configured sink is left out. */
bool nw_run_is_detached(const struct nw_run *run, uint32_t configured);
/** "sink detach NAME", "sink attach NAME". @return whether the line is one, and was answered */
bool nw_run_sink_command(struct nw_run *run, const char *line);
/** Whether the attempt's sink is one that comes back. */
bool nw_run_attaches(const struct nw_run *run, uint32_t index);
/** It cannot be opened: it stays detached, and the attempt ends. err has why, and what is to be
 * returned. */
NW_MUST_CHECK nw_status nw_run_attach_failed(struct nw_run *run, uint32_t index,
                                             struct nw_error *err);
/** Those that come back, and lack more than the slot has, are told that copies began. NW_RETRY: the
 * attempt is to begin anew. */
NW_MUST_CHECK nw_status nw_run_attach(struct nw_run *run, struct nw_error *err);
/** All is decided: they are with the others again. */
NW_MUST_CHECK nw_status nw_run_attached(struct nw_run *run, struct nw_error *err);
void nw_run_detached_say(const struct nw_run *run);

/* protect.c */

/** Looks now and then at what is held back on the server. NW_FATAL: more than allowed, end the run;
 * NW_RETRY: the copy is to go on under a new snapshot. */
NW_MUST_CHECK nw_status nw_run_protect(struct nw_run *run, struct nw_error *err);
/** Nobody reads the slot any more: drop it, or say how to. */
void nw_run_slot_drop(struct nw_run *run);

/* decide.c */

/** Whether some sink streams already: what others lack is copied while it goes on. */
bool nw_run_streams(const struct nw_run *run);
/** What the sink said of its copy of a table; NULL: it has none. */
const struct nw_copy_state *nw_run_copy_of(const struct nw_run_member *member, uint32_t oid);
struct nw_conductor_options nw_run_conductor_options(struct nw_run *run);

/* run_taken.c */

/** Whether a take-over of Debezium's has ended, and what of it counts still. */
NW_MUST_CHECK nw_status nw_run_taken_find(struct nw_run *run, struct nw_error *err);
/** Tell the engine what the sinks have of the transaction that Debezium sent in part. */
NW_MUST_CHECK nw_status nw_run_taken_tell(struct nw_run *run, struct nw_error *err);

/* decide_stale.c */

/** What is recorded of tables is of before another narwal was the owner: they are copied again. */
NW_MUST_CHECK nw_status nw_run_stale_check(struct nw_run *run, struct nw_error *err);

/* decide_spool.c */

/** Looks where the spool that a former attempt left begins, if a sink may need to know it. */
NW_MUST_CHECK nw_status nw_run_spool_peek(struct nw_run *run, struct nw_error *err);
/**
 * Open the spool that a former attempt left, when it has what some sink needs. Nothing is removed.
 * @param need_lsn  the lowest that a sink needs; UINT64_MAX: none needs anything yet
 */
NW_MUST_CHECK nw_status nw_run_spool_find(struct nw_run *run, uint64_t need_lsn,
                                          struct nw_error *err);
/** Nothing was refused: remove one that nobody needs, and begin one when there is to be one. */
NW_MUST_CHECK nw_status nw_run_spool_begin(struct nw_run *run, struct nw_error *err);
/** What is committed from there on the server has to send; 0: there is no spool. */
uint64_t nw_run_spool_end(const struct nw_run *run);
/** Where what is dealt begins: what was spooled comes before what the server sends. */
uint64_t nw_run_stream_lsn(const struct nw_run *run);

/* decide_timeline.c */

/** Whether the server has what sinks have beyond their positions. The tables are registered. */
NW_MUST_CHECK nw_status nw_run_ahead_check(struct nw_run *run, struct nw_error *err);
/** Everything was checked: sinks learn that the server was promoted. NW_RETRY: the attempt is to
 * begin anew. */
NW_MUST_CHECK nw_status nw_run_timeline_follow(struct nw_run *run, struct nw_error *err);

/* decide_resume.c */

/** Whether copies cannot be gone on from: there is no slot any more that holds the changes since,
 * or there is to be none and all tables are to have one snapshot. */
bool nw_run_copies_end(const struct nw_run *run);
/** Whether a copy of a sink that broke off may be gone on with. @param progress  filled if so. */
bool nw_run_copy_resumes(struct nw_run_member *member, const struct nw_copy_state *copy,
                         struct nw_copy_progress *progress);
/** See nw_conductor_options; context is the run. */
bool nw_run_former(void *context, const struct nw_table *table, struct nw_copy_former *former);
/** Tell sinks what becomes of copies that broke off: kept where they may be gone on with. */
NW_MUST_CHECK nw_status nw_run_copies_resolve(struct nw_run *run, struct nw_error *err);
/** Tell a sink's sequencer, before it runs, which copies may be gone on with. */
NW_MUST_CHECK nw_status nw_run_copies_resume(struct nw_run *run, uint32_t sink,
                                             struct nw_error *err);

/**
 * What an attempt does before there is an engine: looks at the server, makes sure that it is the
 * only one there, opens the sinks, decides what is copied and from where the stream begins, and
 * makes the slot or begins the copy.
 */
NW_MUST_CHECK nw_status nw_run_decide(struct nw_run *run, struct nw_error *err);

/* ---- run_engine.c ---- */

/** The attempt's engine, made and started from what was decided. */
NW_MUST_CHECK nw_status nw_run_engine_make(struct nw_run *run, struct nw_error *err);

#endif
