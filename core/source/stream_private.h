/* SPDX-License-Identifier: Apache-2.0 */
/* The stream source's state, shared by stream.c (the agent, its connection and epochs),
 * stream_messages.c (what the server says) and stream_spool.c (what is kept until the copy is
 * done). Not for others; all of it belongs to the source agent's thread. */
#ifndef NW_SOURCE_STREAM_PRIVATE_H
#define NW_SOURCE_STREAM_PRIVATE_H

#include "pg/replication.h"
#include "source/relations.h"
#include "source/spool.h"
#include "source/stream.h"
#include "source/told.h"

#define NW_SOURCE_STEP_MAX    8192  /* messages of one step */
#define NW_SOURCE_EPOCHS_KEPT 1024u /* ended and not yet fetched by the acknowledger */
#define NW_SOURCE_MARKS_KEPT  256u  /* places up to which the spool can be trimmed */

struct nw_source_ended {
    uint64_t epoch, lsn;
};

/* Once all before lsn is durable everywhere, the spool's records below this are not needed. */
struct nw_source_mark {
    uint64_t lsn, record;
};

/* What is kept. */
struct nw_recorder {
    bool holding;   /* nothing is dealt of it: the copy runs */
    bool recording; /* what is received goes to the spool, and comes back from there */
    bool restarted; /* a new connection, which the spool is still to be told */
    struct nw_relations *relations; /* of what was recorded in this connection */
    bool upgrading; /* it was recorded as text: connect again when that can be done unnoticed */
    int64_t positioned_ns;         /* when a position without a message was last recorded */
    struct nw_spool_record played; /* comes back, not yet taken */
    bool has_played;
    bool begun;          /* something was played */
    uint32_t resumed_at; /* of a state at the beginning: taken up to here */
    struct nw_source_mark marks[NW_SOURCE_MARKS_KEPT]; /* states that were passed, a ring */
    uint32_t marks_head, marks_count;
    bool on_disk;       /* a streamed transaction of it waits for its file */
    int64_t retry_ns;   /* a catalog read failed: not again before then */
    uint64_t end_lsn;   /* of the spool when it was left: once that is durable, it goes */
    bool ending;        /* remove_job was submitted, and has the spool */
    uint64_t ended_lsn; /* what was synced by then */
    struct nw_job remove_job;
};

/** Looks at the catalog, from time to time. */
struct nw_source_watch {
    struct nw_job job;
    struct nw_look look;            /* the job's while it is pending */
    const struct nw_table **tables; /* as look.tables */
    uint32_t capacity;
    uint32_t told;     /* of look.dropped, how many the dealer was told of */
    int64_t looked_ns; /* 0: not yet */
    bool looking;      /* what it found is not looked at yet */
};

/** Tables whose changes are kept. */
struct nw_backlogs {
    struct nw_backlog *first;        /* all of them */
    struct nw_backlog *playing;      /* is being dealt; nothing of the stream is, meanwhile */
    struct nw_backlog_record record; /* of it, not yet taken */
    bool has_record;
    bool turn_over;            /* now it is the stream's */
    bool on_disk;              /* it is being read, or the lanes are behind */
    bool stopped;              /* its table stopped again: the attempt is to end */
    uint64_t durable_epoch;    /* at every sink */
    struct nw_backlog *ending; /* the job's */
    struct nw_job end_job;
};

struct nw_source {
    struct nw_source_options options;
    enum nw_source_phase phase;
    struct nw_walsender walsender;
    bool connected;
    bool draining;
    int64_t drain_ns; /* since when */
    bool ready;
    enum nw_source_copies copies;
    bool joined;   /* a table was taken up again on this connection, or before it is made */
    bool demanded; /* the server waits for an answer */
    uint64_t start_lsn, flush_lsn, received_lsn, server_lsn, told_lsn;
    uint64_t hurry_lsn; /* waited for; 0: nobody waits */
    int64_t server_ahead_us;
    int64_t told_ns; /* last feedback */
    int64_t epoch_ended_ns;
    int64_t retry_ns, backoff_ns;
    int64_t connected_ns;
    uint64_t reconnects;
    struct nw_error last_error;
    uint64_t undecodable_lsn;   /* received when the server last could not decode */
    uint32_t undecodable_count; /* that often without receiving more */

    struct nw_message pending; /* received, not yet taken */
    bool has_pending;
    size_t cut;   /* bytes of the message being taken that were not received */
    bool starved; /* the dealer could not take more: a returned block rings our bell */
    bool on_disk; /* a streamed transaction waits for its file */

    struct nw_told *told; /* of what was dealt in this connection */
    bool in_stream;       /* between Stream Start and Stream Stop */
    uint32_t stream_xid;
    bool replaying; /* a committed streamed transaction is read back */
    struct nw_pgoutput_commit replayed;
    struct nw_txn_record record;
    bool has_record, replay_end;

    struct nw_job connect_job, disconnect_job, describe_job, stop_job;
    struct nw_dealer_stop stop; /* the job's */
    struct nw_backlog *stop_backlog;
    bool stop_asked;
    uint32_t describe_oid, describe_xid;
    int64_t describe_ns; /* the catalog did not show that transaction: not again before then */
    int64_t unseen_ns;   /* since when it does not; 0: it was not asked, or does */
    const struct nw_table *described;
    bool has_described;

    struct nw_source_ended ended[NW_SOURCE_EPOCHS_KEPT];
    uint32_t ended_head, ended_count;

    struct nw_recorder recorder;
    struct nw_backlogs backlogs;
    struct nw_source_watch watch;
};

/* stream_messages.c */

/** One message of the walsender. NW_AGAIN: not taken. */
NW_MUST_CHECK nw_status nw_source_message(struct nw_source *source,
                                          const struct nw_message *message, int64_t now_ns,
                                          struct nw_error *err);
/** What an XLogData carries, from wherever it comes. */
NW_MUST_CHECK nw_status nw_source_payload(struct nw_source *source,
                                          const struct nw_replication_message *data, int64_t now_ns,
                                          struct nw_error *err);
/** Reads a committed streamed transaction back into the dealer. */
NW_MUST_CHECK nw_status nw_source_replay(struct nw_source *source, int64_t now_ns,
                                         struct nw_error *err);
/** The catalog reads and records that the dealer waits for. */
NW_MUST_CHECK nw_status nw_source_describe(struct nw_source *source, int64_t now_ns, uint32_t *work,
                                           struct nw_error *err);
NW_MUST_CHECK nw_status nw_source_stop(struct nw_source *source, uint32_t *work,
                                       struct nw_error *err);
/** What was half received is void. */
void nw_source_forget(struct nw_source *source);

/* stream.c */

/** Whether no transaction is half dealt: where a stop may stop. */
bool nw_source_rests(const struct nw_source *source);
/** Whether nothing more is wanted before the end: a transaction that has begun is received whole.
 */
bool nw_source_is_over(const struct nw_source *source);
/** End an epoch, or deal what lies open, when it is time. */
NW_MUST_CHECK nw_status nw_source_epoch(struct nw_source *source, int64_t now_ns, bool idle,
                                        uint32_t *work, struct nw_error *err);
/** Close the connection and make another, at once when why is NULL. */
void nw_source_reconnect(struct nw_source *source, int64_t now_ns, const struct nw_error *why);

/* stream_watch.c */

/** Look, when it is time. */
void nw_source_watch(struct nw_source *source, int64_t now_ns);
nw_status nw_source_watch_run(void *context, struct nw_error *err); /* the job */

/* stream_backlog.c */

/** Writes and syncs what is kept, and deals what is not to be kept any more. */
NW_MUST_CHECK nw_status nw_source_backlogs(struct nw_source *source, int64_t now_ns, uint32_t *work,
                                           struct nw_error *err);
int64_t nw_source_backlogs_deadline(const struct nw_source *source, int64_t now_ns);
void nw_source_backlogs_status(const struct nw_source *source, struct nw_source_status *status);
void nw_source_backlogs_destroy(struct nw_source *source);
nw_status nw_source_backlog_end_run(void *context, struct nw_error *err); /* the job */
/** Whether one more can be. */
bool nw_source_backlogs_room(const struct nw_source *source);
/** What was kept of this table was dealt, and is not at every sink yet; NULL: there is no such. */
struct nw_backlog *nw_source_backlog_done(const struct nw_source *source, uint32_t relation_oid);

/* stream_spool.c */

/** Keep what an XLogData carries. NW_AGAIN: there is no room now. */
NW_MUST_CHECK nw_status nw_source_record(struct nw_source *source,
                                         const struct nw_replication_message *data,
                                         struct nw_error *err);
/** Keep that everything committed before lsn was received. */
void nw_source_record_position(struct nw_source *source, uint64_t lsn, int64_t now_ns);
/** Writes, syncs, and deals what was kept, unless the copy runs. */
NW_MUST_CHECK nw_status nw_source_spool(struct nw_source *source, int64_t now_ns, uint32_t *work,
                                        struct nw_error *err);
/** When there is something to do again. */
int64_t nw_source_spool_deadline(const struct nw_source *source, int64_t now_ns);
/** A connection begins. */
void nw_source_spool_connected(struct nw_source *source);

#endif
