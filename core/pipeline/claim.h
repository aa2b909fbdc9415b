/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may read the slot and write to the sinks: one narwal at a time, wherever it runs.
 *
 * The server tells. The owner holds an advisory lock of the slot's name in a session of its own,
 * from before its first start of the sinks to its end, also while it copies, is paused or waits to
 * try again, when nobody reads the slot. A thread of its own asks the server something in that
 * session every second: who looks at the server sees when the owner was last heard of, and the
 * owner learns when it has lost its place: a process that was frozen, or cut off.
 *
 * All of a claim is behind its mutex; the session belongs to its thread.
 */
#ifndef NW_PIPELINE_CLAIM_H
#define NW_PIPELINE_CLAIM_H

#include <stdbool.h>
#include <stdint.h>

#include "pg/session.h"

#define NW_CLAIM_WHO_SIZE  160
#define NW_CLAIM_TIME_SIZE 40

struct nw_claim;

/** @param claim  give. Nothing is done yet. */
NW_MUST_CHECK nw_status nw_claim_create(const char *slot_name, struct nw_claim **claim,
                                        struct nw_error *err);
/** Gives it back, if it is held. NULL is fine. */
void nw_claim_destroy(struct nw_claim *claim);

/**
 * Take it, or see that it is held still. Blocks for some seconds at most; on the main thread.
 * @param connection  how to reach the server from now on; its texts are borrowed.
 * @return NW_RETRY: somebody else has it, or the server cannot be asked. NW_FATAL also when it was
 *         lost to another.
 */
NW_MUST_CHECK nw_status nw_claim_take(struct nw_claim *claim,
                                      const struct nw_pg_options *connection, struct nw_error *err);

/** Whether it was got and not given back; its session may have broken since. */
bool nw_claim_is_had(struct nw_claim *claim);
/** Give it back; it can be taken again. Does not wait for the server. */
void nw_claim_release(struct nw_claim *claim);

/** NW_FATAL when another narwal has taken it over. Costs a mutex. */
NW_MUST_CHECK nw_status nw_claim_check(struct nw_claim *claim, struct nw_error *err);

/**
 * Ask the server, and wait for its answer: it was held when this was called. So who has just got
 * the slot knows that nobody took over before.
 * @param given_up  asked about every 100 ms: true ends the wait, with NW_RETRY
 */
NW_MUST_CHECK nw_status nw_claim_confirm(struct nw_claim *claim, bool (*given_up)(void *context),
                                         void *context, struct nw_error *err);

/** What the server says of a slot and of who owns it. */
struct nw_claim_view {
    bool in_recovery;               /* the server is a standby */
    bool exists;                    /* the slot is there */
    int reader_pid;                 /* who reads it; 0: nobody */
    int holder_pid;                 /* who has the claim; 0: nobody */
    double reader_age_s;            /* since it was last heard of; below 0: not to be seen */
    double holder_age_s;            /* the same */
    char reader[NW_CLAIM_WHO_SIZE]; /* "process 7, connected from 10.0.0.1 since ..." */
    char holder[NW_CLAIM_WHO_SIZE];
    /* With holder_pid the holder's session, also behind a restart of the server. */
    char holder_start[NW_CLAIM_TIME_SIZE];
};

/** Look. Any session, on its thread. */
NW_MUST_CHECK nw_status nw_claim_look(struct nw_session *session, const char *slot_name,
                                      struct nw_claim_view *view, struct nw_error *err);
/**
 * Take a new claim, and see that nobody reads the slot: before a command opens a sink, which would
 * end who has it. Blocks as nw_claim_take() does.
 * @param claim  give, also on failure; left as it is when memory ran out.
 * @return NW_RETRY: somebody else has it, or the slot.
 */
NW_MUST_CHECK nw_status nw_claim_alone(const char *slot_name,
                                       const struct nw_pg_options *connection,
                                       struct nw_claim **claim, struct nw_error *err);
/** Whether a session of this claim holds it, of which the end may not have been noticed. */
bool nw_claim_knows(struct nw_claim *claim, const struct nw_claim_view *view);
/** @return NW_RETRY: what was seen is another one's. */
nw_status nw_claim_refuse(const char *slot_name, const struct nw_claim_view *view,
                          struct nw_error *err);

/**
 * End the sessions of an owner that has not been heard of for so long, by what the server sees at
 * that moment. Whoever was heard of stays. A walsender that has unsent bytes for a frozen process
 * ends at the second time: at the first it wants to say goodbye.
 * @param again  its claim was ended before: what still reads the slot is its own
 * @param ended  filled: how many
 */
NW_MUST_CHECK nw_status nw_claim_end_silent(struct nw_session *session, const char *slot_name,
                                            double silent_s, bool again, int *ended,
                                            struct nw_error *err);

#endif
