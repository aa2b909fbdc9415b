/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the ledger of the Kafka sink has: positions, how far copies and tables are, and topics. A
 * part of kafka.h, which says whose threads may do what; the form of its records is in ledger.c.
 */
#ifndef NW_KAFKA_LEDGER_H
#define NW_KAFKA_LEDGER_H

#include <librdkafka/rdkafka.h>
#include <narwal/sink.h>
#include <stdbool.h>
#include <stdint.h>

struct nw_kafka_producer;
struct nw_kafka_sink;

#define NW_KAFKA_WORKERS_MAX 16u

/* How far a table's changes are. */
struct nw_kafka_place {
    uint64_t commit_lsn;
    uint64_t seq;
};

struct nw_kafka_copy {
    uint32_t relation_oid;
    uint32_t generation;
    bool complete;
    uint32_t size;
    uint8_t bytes[NW_POSITION_SIZE_MAX];
};

/* What is committed of a table behind a position, in parts. */
struct nw_kafka_part {
    uint32_t relation_oid;
    uint64_t moves; /* of the position that was in force */
    struct nw_kafka_place place;
    bool ended; /* a copy of the table has come since, and the ledger is to be told */
};

/* A worker's position. */
struct nw_kafka_position {
    bool there;
    uint64_t lsn;
    uint64_t moves; /* how often it was no continuation of the one before */
    uint32_t size;
    uint8_t bytes[NW_POSITION_SIZE_MAX];
};

/* What the ledger says of a signal's copies, as asked_ledger.c wrote it. */
struct nw_kafka_signal_record {
    uint32_t signal;
    char *text; /* JSON; own */
};

/* What the ledger has, as recover() gives it to the host. */
struct nw_kafka_state {
    uint64_t fencing;
    uint64_t token;   /* of who wrote that; 0: none */
    uint32_t workers; /* that wrote it; 0: nobody yet */
    struct nw_kafka_position positions[NW_KAFKA_WORKERS_MAX];
    struct nw_kafka_copy *copies; /* own */
    uint32_t copies_count;
    uint32_t copies_capacity;
    struct nw_kafka_part *parts; /* own */
    uint32_t parts_count;
    char **topics; /* where this sink has begun to write; own */
    uint32_t topics_count;
    bool names_topics;                      /* since before anything was written to one */
    struct nw_kafka_signal_record *signals; /* own */
    uint32_t signals_count;
    int64_t end; /* offset of the first record that readers of what is committed do not get */
};

/** What the ledger's topic has, into an empty or former state. Needs no producer. */
NW_MUST_CHECK nw_status nw_kafka_ledger_read(struct nw_kafka_sink *sink,
                                             struct nw_kafka_state *state, struct nw_error *err);
/** NW_FATAL when this instance had the sink, and another one has it now. */
NW_MUST_CHECK nw_status nw_kafka_ledger_ours(struct nw_kafka_sink *sink, struct nw_error *err);
/**
 * Take the sink: write a fencing number higher than the ledger's.
 * @param state  what the ledger had, as far as former producers' transactions have ended.
 */
NW_MUST_CHECK nw_status nw_kafka_ledger_own(struct nw_kafka_sink *sink,
                                            struct nw_kafka_state *state, struct nw_error *err);
/** Read what is in force now. NW_FATAL when another narwal has taken the sink meanwhile. */
NW_MUST_CHECK nw_status nw_kafka_ledger_owned(struct nw_kafka_sink *sink,
                                              struct nw_kafka_state *state, struct nw_error *err);
/** Whether the workers that wrote it stopped at the same position, so that their number may change.
 */
bool nw_kafka_ledger_is_even(const struct nw_kafka_state *state);
/** Give each of `workers` the position that all have, in one step; state as well. */
NW_MUST_CHECK nw_status nw_kafka_ledger_deal(struct nw_kafka_sink *sink, uint32_t workers,
                                             struct nw_error *err);
/**
 * Write a worker's position into the producer's transaction.
 * @param moves  it is no continuation of the one before
 */
NW_MUST_CHECK nw_status nw_kafka_ledger_position(struct nw_kafka_producer *producer,
                                                 uint32_t worker,
                                                 const struct nw_position *position, bool moves,
                                                 struct nw_error *err);
/** That was committed: it is the one in force. */
void nw_kafka_ledger_moved(struct nw_kafka_sink *sink, uint32_t worker,
                           const struct nw_position *position, bool moves);
/** Write how far a table is behind its worker's position into the producer's transaction. */
NW_MUST_CHECK nw_status nw_kafka_ledger_part(struct nw_kafka_producer *producer, uint32_t worker,
                                             uint32_t relation_oid,
                                             const struct nw_kafka_place *place,
                                             struct nw_error *err);
/** How far a table was is of no use any more: from the thread of its worker. */
void nw_kafka_ledger_part_end(struct nw_kafka_state *state, uint32_t relation_oid);
/** Write that into the producer's transaction, of a worker's tables. */
NW_MUST_CHECK nw_status nw_kafka_ledger_parts_ended(struct nw_kafka_producer *producer,
                                                    uint32_t worker, struct nw_error *err);
/** How far a table is behind its worker's position; zeros: nothing is. */
struct nw_kafka_place nw_kafka_ledger_past(const struct nw_kafka_state *state, uint32_t worker,
                                           uint32_t relation_oid);
/** The highest place of a part that is in force, by its commit LSN; 0: there are none. */
uint64_t nw_kafka_ledger_ahead(const struct nw_kafka_state *state);
/** Write how far a copy is into the producer's transaction. */
NW_MUST_CHECK nw_status nw_kafka_ledger_copy(struct nw_kafka_producer *producer,
                                             const struct nw_copy_state *copy,
                                             struct nw_error *err);
/** Send that the sink begins to write to a topic, by a producer without transactions: durable once
 * that is drained. */
NW_MUST_CHECK nw_status nw_kafka_ledger_topic(struct nw_kafka_producer *producer, const char *name,
                                              struct nw_error *err);
/** Send a record. @param value  NULL: the key is forgotten. */
NW_MUST_CHECK nw_status nw_kafka_ledger_send(struct nw_kafka_producer *producer, const char *key,
                                             const struct nw_out *value, struct nw_error *err);
/** asked_ledger.c: a record of a signal is taken into the state. @param bytes  NULL: it is over */
NW_MUST_CHECK nw_status nw_kafka_ledger_signal_take(struct nw_kafka_state *state, uint32_t signal,
                                                    const void *bytes, size_t size,
                                                    struct nw_error *err);
void nw_kafka_ledger_signals_forget(struct nw_kafka_state *state);
/** Whether a copy of any table has begun. */
bool nw_kafka_ledger_has_begun(const struct nw_kafka_state *state);
/** Whether that is in the state. */
bool nw_kafka_ledger_has_topic(const struct nw_kafka_state *state, const char *name);
/** That it is. NW_RETRY: out of memory. */
NW_MUST_CHECK nw_status nw_kafka_ledger_topic_add(struct nw_kafka_state *state, const char *name,
                                                  struct nw_error *err);
/**
 * Take a message of the ledger into the state, the latest last.
 * @return NW_FATAL (NW2706): it is no record, or one that this narwal does not know.
 */
NW_MUST_CHECK nw_status nw_kafka_ledger_take(const struct nw_kafka_sink *sink,
                                             struct nw_kafka_state *state,
                                             const rd_kafka_message_t *message,
                                             struct nw_error *err);
void nw_kafka_state_forget(struct nw_kafka_state *state);

#endif
