/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Going on where Debezium's connector stopped: at its slot, behind its stored offset, without a
 * copy.
 *
 * The offset names the last record that Connect knows to be in the topics: the commit before its
 * transaction (lsn_commit), that transaction (txId), the LSN of the change (lsn) and which of the
 * changes with this LSN it was (lsn_events_processed). So the sink's position is that commit; and
 * of the transaction behind it, which is read ahead from the slot to see that it is the one, as
 * many changes are passed over as were sent. That number is in narwal's own state: without it they
 * come twice.
 *
 * Before Debezium 2.7 the offset of a connector at rest, which heartbeats store, has the end of the
 * last transaction in both lsn and lsn_commit, and still the kind of its last change. The next one
 * may have its first change there: so it is that of this transaction if the slot goes on with it,
 * and else the end of it.
 *
 * A deleted row, and one whose key changed, are several records of Debezium's with one offset. So
 * the last change is sent again where it is one of those.
 *
 *   nw_takeover_begin (looks, decides) ─► nw_takeover_finish (does it) ─► nw_takeover_end
 *
 * Blocking; on one thread. Neither the connector nor the pipeline may run.
 */
#ifndef NW_PIPELINE_TAKEOVER_H
#define NW_PIPELINE_TAKEOVER_H

#include "pipeline/claim.h"
#include "pipeline/run.h"
#include "pipeline/state.h"

#define NW_TAKEOVER_LINES_MAX 16u
#define NW_TAKEOVER_TEXT_MAX  (64u << 10)
#define NW_TAKEN_STREAM_SIZE  512u

/** What the last record was. */
enum nw_takeover_kind {
    NW_TAKEOVER_NONE,    /* none since the snapshot */
    NW_TAKEOVER_BETWEEN, /* the begin or end of a transaction: nothing of one was sent */
    NW_TAKEOVER_CHANGE,
    NW_TAKEOVER_MESSAGE, /* a logical one */
};

/** Debezium's stored offset; an LSN is 0 when it has none. */
struct nw_takeover_offset {
    enum nw_takeover_kind kind;
    uint64_t lsn, lsn_proc, lsn_commit;
    uint32_t xid;
    uint64_t events; /* how many changes with this LSN; 0: an older Debezium does not say */
    bool unsure;     /* it may be a change of a table that the connector leaves out */
};

enum nw_taken_state {
    NW_TAKEN_NOT = 0,
    NW_TAKEN_BEGUN, /* the sink may have no position yet */
    NW_TAKEN_DONE,
    NW_TAKEN_GIVEN_BACK, /* Debezium has an offset of what the sink had: see nw_giveback() */
};

/** What is recorded of it in narwal's state. */
struct nw_taken {
    enum nw_taken_state state;
    uint64_t system_identifier;
    uint64_t lsn;                      /* the sink's position */
    uint64_t commit_lsn;               /* of the transaction that was sent in part */
    uint64_t seq;                      /* so many of its changes were sent; 0: there is no such */
    char *offset;                      /* the connector's JSON, as it was */
    char stream[NW_TAKEN_STREAM_SIZE]; /* of which seq counts: see nw_taken_stream() */
};
/** @param taken  its offset is given: nw_taken_offset_free() */
NW_MUST_CHECK nw_status nw_taken_read(struct nw_state *state, struct nw_taken *taken,
                                      struct nw_error *err);
/** Record it in the place of a former one; synced on return. NW_TAKEN_NOT: forget it. */
NW_MUST_CHECK nw_status nw_taken_write(struct nw_state *state, const struct nw_taken *taken,
                                       struct nw_error *err);
/** What was asked of the server, as far as it decides which changes come: of another stream `seq`
 * changes would be others. @param text  of NW_TAKEN_STREAM_SIZE bytes, filled */
void nw_taken_stream(const struct nw_server_options *options, char *text);
/** Forget which tables were followed, and which were left out, stopped or seen in what shape:
 * Debezium has gone on with all of them since. */
NW_MUST_CHECK nw_status nw_taken_forget_tables(struct nw_state *state, struct nw_error *err);
/** Only what was given. */
void nw_taken_offset_free(struct nw_taken *taken);

/* ---- what of a transaction was sent; pure ---- */

struct nw_takeover_count {
    const struct nw_takeover_offset *offset;
    const struct nw_schemas *schemas;     /* of the tables that are there; NULL: all are sent */
    const struct nw_table_filter *filter; /* which of them are */
    bool inside, done;                    /* a transaction; the first one ended */
    bool twice;                           /* the last change that was sent may be half sent */
    bool partly; /* the first that was not is a truncate, and was for some of its tables */
    uint32_t xid;
    uint64_t commit_lsn, end_lsn;
    uint64_t changes; /* of the transaction */
    uint64_t sent;    /* of those, the first ones */
    uint64_t here;    /* changes with the offset's LSN */
    uint64_t before;  /* changes before those */
    bool here_twice;  /* the last of those counts as twice */
};
/** Take a message of pgoutput, with its XLogData's LSN. */
NW_MUST_CHECK nw_status nw_takeover_count(struct nw_takeover_count *count, uint64_t lsn,
                                          struct nw_bytes message, struct nw_error *err);

/* ---- doing it ---- */

enum nw_takeover_level { NW_TAKEOVER_OK, NW_TAKEOVER_WARN, NW_TAKEOVER_FAIL };
struct nw_takeover_line {
    enum nw_takeover_level level;
    char text[NW_ERROR_TEXT_SIZE]; /* with its code, unless NW_TAKEOVER_OK */
};

struct nw_takeover {
    const struct nw_run_options *options; /* borrow: with one sink */
    struct nw_takeover_offset offset;
    const char *text; /* borrow: the offset as it was */
    bool trust_slot;  /* what is between offset and slot may be missing */
    struct nw_state *state;
    struct nw_state_source source;
    struct nw_taken former;
    struct nw_claim *claim;
    struct nw_server server;
    bool server_open;
    uint64_t slot_lsn; /* confirmed */
    uint64_t lsn;      /* where the sink begins */
    bool trusted;      /* that is the slot's, past the offset */
    uint64_t commit_lsn, seq;
    bool repeats; /* the last change that was sent comes again */
    struct nw_schemas *schemas;
    struct nw_arena arena;
    struct nw_catalog_tables tables;
    struct nw_sink *sink;
    struct nw_takeover_line lines[NW_TAKEOVER_LINES_MAX];
    uint32_t lines_count, refusals;
};

/**
 * Look, and decide. Nothing is written, but for an empty state.
 * @param takeover  zeros but for options, offset, text and trust_slot
 * @return NW_OK also when it is refused: `refusals` and the lines say so.
 */
NW_MUST_CHECK nw_status nw_takeover_begin(struct nw_takeover *takeover, struct nw_error *err);
/** Do what was decided; nothing was refused. It may be broken off anywhere, and run again. */
NW_MUST_CHECK nw_status nw_takeover_finish(struct nw_takeover *takeover, struct nw_error *err);
/** Close everything; also after a failure. @return NW_RETRY when the plugin did not return. */
nw_status nw_takeover_end(struct nw_takeover *takeover, struct nw_error *err);
/** Add a line; one with NW_TAKEOVER_FAIL counts as a refusal. */
NW_PRINTF(3, 4)
void nw_takeover_say(struct nw_takeover *takeover, enum nw_takeover_level level, const char *format,
                     ...);

#endif
