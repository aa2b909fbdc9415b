/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Kafka sink: a topic for each table, a message for each change, through librdkafka.
 *
 * What is durable is said by the ledger, a compacted topic of one partition that holds the position
 * and the states of copies: see ledger.c for its records. It is written by a transactional
 * producer, whose transactional.id is the sink's, so that a former process cannot write it any more
 * once a later one has begun.
 *
 *   delivery: idempotent     messages go out by a producer of their own; the ledger follows once
 *                            all are acknowledged. What came between is sent again after a kill.
 *   delivery: transactional  messages and ledger go out in one transaction: readers with
 *                            read_committed see each change once.
 *
 * Everything here belongs to the sink's thread: librdkafka reports deliveries from its poll
 * functions, which only that thread calls. Only what it logs comes from threads of its own.
 */
#ifndef NW_SINKS_KAFKA_KAFKA_H
#define NW_SINKS_KAFKA_KAFKA_H

#include <librdkafka/rdkafka.h>
#include <narwal/sink.h>

#include "lib/json.h"

#define NW_KAFKA_TOPIC_SIZE 256u /* a name has at most 249 bytes */

struct nw_kafka_options {
    const char *name; /* of the sink */
    const char *prefix;
    const char *template_; /* of topics' names */
    bool transactional;
    bool tombstones;
    bool creates;
    bool truncates;
    int partitions;
    int replication; /* -1: the broker's default */
    const char *const *topic_settings;
    int64_t timeout_ms;
    char ledger_topic[NW_KAFKA_TOPIC_SIZE];
    rd_kafka_conf_t *conf; /* what all clients have in common; own */
};

/* A table's version, and where its messages go. */
struct nw_kafka_table {
    uint32_t id;
    uint32_t relation_oid;
    struct nw_json_layout *layout;
    rd_kafka_topic_t *topic;
};

struct nw_kafka_copy {
    uint32_t relation_oid;
    uint32_t generation;
    bool complete;
    uint32_t size;
    uint8_t bytes[NW_POSITION_SIZE_MAX];
};

/* What the ledger has, as recover() gives it to the host. */
struct nw_kafka_state {
    uint64_t fencing;
    uint64_t lsn;
    bool positioned;
    uint32_t position_size; /* 0: none yet, as during the first copy */
    uint8_t position[NW_POSITION_SIZE_MAX];
    struct nw_kafka_copy *copies; /* own */
    uint32_t copies_count;
    uint32_t copies_capacity;
};

struct nw_kafka_sink {
    const struct nw_host *host;
    struct nw_kafka_options options;
    uint64_t owned;       /* the fencing number that this instance wrote last; 0: none */
    rd_kafka_t *ledger;   /* transactional; NULL before recover() */
    rd_kafka_t *producer; /* of messages; the ledger's, if they are in its transactions */
    rd_kafka_topic_t *ledger_topic;
    bool in_transaction;
    rd_kafka_resp_err_t failed; /* the first message that could not be delivered; 0: none */
    uint64_t delivered;         /* messages acknowledged, for progress */

    struct nw_kafka_table *tables; /* by no order; few are looked up often */
    uint32_t tables_count;
    uint32_t tables_capacity;

    /* Where a batch goes on that the producer's queue had no room for. */
    const struct nw_batch *batch;
    uint32_t row;
    uint32_t exception;
    uint32_t step; /* of the row: how many of its messages are out */

    struct nw_out key, former_key, value;
    struct nw_kafka_state state;
    struct nw_position position; /* into state, for the host */
    struct nw_copy_state *copies;
};

/* When what begins now has waited long enough. */
static inline int64_t nw_kafka_until_ns(const struct nw_kafka_sink *sink)
{
    return sink->host->now_ns(sink->host) + sink->options.timeout_ms * INT64_C(1000000);
}

/* ---- options.c ---- */

#define NW_KAFKA_OPTIONS_COUNT 21u
extern const struct nw_option nw_kafka_option_table[NW_KAFKA_OPTIONS_COUNT];
NW_MUST_CHECK nw_status nw_kafka_options_read(const struct nw_config *config,
                                              struct nw_kafka_options *options,
                                              struct nw_error *err);

/* ---- client.c ---- */

/** A producer; with transactions when `id` is not NULL. */
NW_MUST_CHECK nw_status nw_kafka_producer_create(struct nw_kafka_sink *sink, const char *id,
                                                 rd_kafka_t **producer, struct nw_error *err);
/** Passes on what librdkafka says; the client's opaque is the sink. From any thread. */
void nw_kafka_on_log(const rd_kafka_t *client, int level, const char *facility, const char *text);
/** Forget what was not delivered, and both producers. */
void nw_kafka_producers_destroy(struct nw_kafka_sink *sink);
/**
 * The error of a client as ours: NW_RETRY; NW_FATAL (NW2406) when the broker fenced us and the
 * ledger says that another narwal has the sink. Else it was a transaction that lasted too long.
 */
NW_MUST_CHECK nw_status nw_kafka_fail(struct nw_kafka_sink *sink, const char *what,
                                      rd_kafka_resp_err_t code, const char *text,
                                      struct nw_error *err);
/** The same of an error object, which is given back. */
NW_MUST_CHECK nw_status nw_kafka_fail_error(struct nw_kafka_sink *sink, const char *what,
                                            rd_kafka_error_t *error, struct nw_error *err);
/** One message. NW_AGAIN: the queue is full, nothing was taken. NW_REJECT: it is too large. */
NW_MUST_CHECK nw_status nw_kafka_send(struct nw_kafka_sink *sink, rd_kafka_topic_t *topic,
                                      const struct nw_out *key, const struct nw_out *value,
                                      struct nw_error *err);
/** Wait until every message is acknowledged. */
NW_MUST_CHECK nw_status nw_kafka_drain(struct nw_kafka_sink *sink, struct nw_error *err);
NW_MUST_CHECK nw_status nw_kafka_begin(struct nw_kafka_sink *sink, struct nw_error *err);
/** End the transaction. @param outcome  filled, also when it fails. */
NW_MUST_CHECK nw_status nw_kafka_commit(struct nw_kafka_sink *sink, enum nw_outcome *outcome,
                                        struct nw_error *err);

/* ---- topics.c ---- */

/** The name of a table's topic. */
NW_MUST_CHECK nw_status nw_kafka_topic_name(const struct nw_kafka_options *options,
                                            const struct nw_table *table,
                                            char name[static NW_KAFKA_TOPIC_SIZE],
                                            struct nw_error *err);
enum nw_kafka_topic_kind {
    NW_KAFKA_KEYED,
    NW_KAFKA_KEYLESS, /* never compacted */
    NW_KAFKA_LEDGER,  /* compacted, one partition */
};

/** The topic, made when it is not there and may be. */
NW_MUST_CHECK nw_status nw_kafka_topic_open(struct nw_kafka_sink *sink, const char *name,
                                            enum nw_kafka_topic_kind kind, rd_kafka_topic_t **topic,
                                            struct nw_error *err);

/* ---- ledger.c ---- */

/** What the ledger's topic has, into an empty or former state. Needs no producer. */
NW_MUST_CHECK nw_status nw_kafka_ledger_read(struct nw_kafka_sink *sink,
                                             struct nw_kafka_state *state, struct nw_error *err);
/** NW_FATAL when this instance had the sink, and another one has it now. */
NW_MUST_CHECK nw_status nw_kafka_ledger_ours(struct nw_kafka_sink *sink, struct nw_error *err);
/** Take the sink: write a fencing number higher than the ledger's, and read what is in force then.
 */
NW_MUST_CHECK nw_status nw_kafka_ledger_own(struct nw_kafka_sink *sink, struct nw_error *err);
/** Write a commit's position and copies into the transaction that is open. */
NW_MUST_CHECK nw_status nw_kafka_ledger_write(struct nw_kafka_sink *sink,
                                              const struct nw_commit *commit, struct nw_error *err);
void nw_kafka_state_forget(struct nw_kafka_state *state);

/* ---- rows.c ---- */

NW_MUST_CHECK nw_status nw_kafka_table_set(struct nw_kafka_sink *sink, const struct nw_table *table,
                                           struct nw_error *err);
void nw_kafka_tables_forget(struct nw_kafka_sink *sink);
NW_MUST_CHECK nw_status nw_kafka_rows(struct nw_kafka_sink *sink, const struct nw_batch *batch,
                                      struct nw_error *err);
NW_MUST_CHECK nw_status nw_kafka_event(struct nw_kafka_sink *sink, const struct nw_event *event,
                                       struct nw_error *err);

#endif
