/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Kafka sink: a topic for each table, a message for each change, through librdkafka.
 *
 * What is durable is said by the ledger, a compacted topic of one partition that holds positions
 * and the states of copies: see ledger.c for its records. It is written by transactional producers,
 * whose transactional.ids are the sink's, so that a former process cannot write it any more once a
 * later one has begun.
 *
 *   delivery: idempotent     each worker has a producer for messages, and one producer more writes
 *                            the ledger once all are acknowledged. What came between is sent again
 *                            after a kill.
 *   delivery: transactional  each worker has a producer, whose transaction has the messages and
 * that worker's records of the ledger: readers with read_committed see each change once.
 *
 * A worker's state and its producer belong to its thread, and to the coordinator's in recover() and
 * commit(), beside which nothing else runs (epochs_ahead_max is 0). librdkafka reports deliveries
 * from its poll functions, which only these call. Only what it logs comes from threads of its own.
 */
#ifndef NW_SINKS_KAFKA_KAFKA_H
#define NW_SINKS_KAFKA_KAFKA_H

#include <librdkafka/rdkafka.h>
#include <narwal/sink.h>
#include <pthread.h>
#include <stddef.h>

#include "kafka/asked.h"
#include "kafka/forms.h"
#include "kafka/ledger.h"
#include "lib/format/format.h"
#include "lib/format/name.h"
#include "lib/json.h"
#include "lib/regex.h"

#define NW_KAFKA_TOPIC_SIZE   256u /* more than NW_NAME_SIZE */
#define NW_KAFKA_NAME_SIZE    512u /* schema.table */
#define NW_KAFKA_REFUSED_SIZE 512u
#define NW_KAFKA_FOLLOWED_MAX 256u

/* What is sent beside rows. */
enum nw_kafka_notice {
    NW_KAFKA_MESSAGES,     /* of pg_logical_emit_message() */
    NW_KAFKA_TRANSACTIONS, /* where each begins and ends */
    NW_KAFKA_SCHEMAS,      /* new versions of tables */
    NW_KAFKA_HEARTBEATS,
    NW_KAFKA_NOTIFICATIONS, /* of copies */
    NW_KAFKA_NOTICES_COUNT,
};

/* The registry's numbers of a notice's schemas, where it is in Avro. */
struct nw_kafka_notice_ids {
    bool known;
    uint32_t key; /* where the key is in Avro, too */
    uint32_t value;
    bool waits;       /* the registry did not take one: */
    int64_t ask_ns;   /* when it is asked again, monotonic */
    int64_t again_ns; /* when that is said again */
};

/* What a route does beside the topic: see logical.c. */
struct nw_kafka_logical {
    bool renames;           /* schemas, after the topic */
    char *field;            /* of keys; NULL: none. Own */
    struct nw_regex *regex; /* what the field has of the former topic; NULL: all. Own */
};

#define NW_KAFKA_FIELDS_MAX 4u

/* What a table's schemas are called, and what its keys have besides. */
struct nw_kafka_names {
    char schemas[NW_NAME_SIZE];
    char texts[NW_KAFKA_FIELDS_MAX][NW_NAME_SIZE];
    struct nw_key_constant fields[NW_KAFKA_FIELDS_MAX]; /* into texts, and the options */
    uint32_t count;
};

struct nw_kafka_options {
    const char *name; /* of the sink */
    const char *prefix;
    const char *template_;    /* of topics' names */
    struct nw_regex **routes; /* what becomes of them then, one after the other; own */
    uint32_t routes_count;
    struct nw_kafka_logical *logical; /* what each of them does besides; own */
    bool transactional;
    bool tombstones;
    bool creates;
    bool uses_existing; /* topics that have messages, without a ledger */
    bool truncates;
    bool skips_inserts, skips_updates, skips_deletes; /* no messages of these changes */
    bool skips_unchanged; /* nor of updates after which the row is as it was */
    bool scram;
    int partitions;
    int replication; /* -1: the broker's default */
    const char *const *topic_settings;
    const char *const *keys; /* schema.table:column,column; NULL: none */
    bool unique_keys;        /* tables without a key have their first unique index as key */
    const char *notices_[NW_KAFKA_NOTICES_COUNT]; /* templates of topics; NULL: not sent */
    rd_kafka_headers_t *headers;                  /* that each message has; NULL: none. Own */
    rd_kafka_headers_t *row_headers;              /* the same of messages of tables; own */
    const char *signals_table;                    /* schema.table; NULL: none */
    const char *signals_topic;                    /* NULL: none */
    int64_t heartbeat_us;                         /* 0: none */
    int64_t timeout_ms;
    int64_t transaction_ms; /* how long the broker leaves one open */
    bool splits;            /* transactions of the database that are too large */
    size_t batch_bytes;     /* librdkafka's batch.size */
    char ledger_topic[NW_KAFKA_TOPIC_SIZE];
    struct nw_kafka_form_options form;
    rd_kafka_conf_t *conf; /* what all clients have in common; own */
    struct nw_format_options format;
    bool context_headers;
    struct nw_regex **prefixes; /* of logical messages, which alone are sent, or not; own */
    uint32_t prefixes_count;
    bool prefixes_excluded;
};

/* A table's version, and where its messages go. */
struct nw_kafka_table {
    uint32_t id;
    bool signals; /* its rows are signals */
    uint32_t version;
    uint32_t relation_oid;
    const struct nw_table *keyed;  /* the table with the key that messages have; see `own` */
    struct nw_table *own;          /* it, where the key is configured; else NULL */
    struct nw_json_layout *layout; /* format: narwal */
    struct nw_kafka_form *form;    /* any other form; else NULL */
    rd_kafka_topic_t *topic;       /* NULL: an outbox has none of its own */
    size_t alone_from;             /* bytes: a message of so many is sent alone, and waited for */
    struct nw_kafka_place past;    /* up to here all was committed, in parts; 0: nothing was */
    struct nw_kafka_place last;    /* that was sent */
    bool touched;                  /* since the last part */
    struct nw_change_order order;  /* of its changes: transactions_topic */
};

/* Which headers a message has. */
enum nw_kafka_heads {
    NW_KAFKA_HEADS_OWN,    /* none, or some that no other message has */
    NW_KAFKA_HEADS_OF_ALL, /* those that each message has, and no others */
    NW_KAFKA_HEADS_OF_ROW, /* those that each message of a table has */
    NW_KAFKA_HEADS_COUNT,
};

/* As many as wait at most with the default queue: when all of them are delivered none is made anew.
 */
#define NW_KAFKA_SPARES_MAX 16384u

/* Headers of messages that were delivered, all alike, for messages to come: see headers.c. What
 * librdkafka gives back with a message. */
struct nw_kafka_spares {
    struct nw_kafka_producer *producer;
    rd_kafka_headers_t **items; /* own, of NW_KAFKA_SPARES_MAX; NULL: none are kept */
    uint32_t count;
};

struct nw_kafka_producer {
    struct nw_kafka_sink *sink;
    rd_kafka_t *client;
    rd_kafka_topic_t *ledger; /* NULL: it has no transactions */
    bool in_transaction;
    int64_t begun_ns;           /* the transaction */
    struct nw_out record;       /* of the ledger */
    rd_kafka_resp_err_t failed; /* the first message that could not be delivered; 0: none */
    uint64_t delivered;         /* messages acknowledged, for progress */
    int64_t full_ns;            /* since when its queue is full; 0: it is not */
    uint64_t full_delivered;    /* `delivered` then */
    struct nw_kafka_spares spares[NW_KAFKA_HEADS_COUNT];
    size_t refused_bytes; /* the largest message that was refused as too large; 0: none */
    char refused_topic[NW_KAFKA_TOPIC_SIZE];
};

struct nw_kafka_header {
    const char *name;
    const uint8_t *bytes; /* NULL: the header is null */
    size_t size;
};

/* A message to send; all is borrowed. */
struct nw_kafka_message {
    const struct nw_out *key;   /* NULL: none */
    const struct nw_out *value; /* NULL: none */
    bool row;                   /* of a table */
    const char *header;         /* one more than those that each has; NULL: none */
    const struct nw_out *header_value;
    const struct nw_kafka_header *headers; /* and more of them */
    uint32_t headers_count;
    int64_t timestamp_ms; /* 0: now */
};

#define NW_KAFKA_HELD_BYTES_MAX  65536u
#define NW_KAFKA_HEADER_OVERHEAD 10u   /* bytes: the sizes of a header's name and value */
#define NW_KAFKA_BATCH_OVERHEAD  1024u /* bytes: what message.max.bytes counts beside a message */

/* What source.snapshot may say of a row that is held. */
enum nw_kafka_mark {
    NW_KAFKA_NOT_LAST,
    NW_KAFKA_LAST_OF_TABLE,
    NW_KAFKA_LAST_OF_ALL,
    NW_KAFKA_MARKS_COUNT,
};

/* A message but for its key; own. */
struct nw_kafka_held {
    struct nw_out value, texts;
    struct nw_kafka_header headers[NW_ADDED_MAX]; /* into texts */
    uint32_t headers_count;
};

/* A table that is being copied, or was in this epoch. */
struct nw_kafka_copying {
    uint32_t relation_oid;
    bool resumed; /* it was begun before narwal was started */
    bool ended;
    bool goes_on;                /* that it does was said */
    enum nw_kafka_mark end_mark; /* of its last row, then */
    uint32_t blocking;           /* the signal whose type that was; 0: none */
    uint64_t rows;               /* that came */
    /* The last message of a batch, not sent yet, with each of the marks. */
    bool held, keyed;
    int64_t held_ns;
    uint32_t table_id, table_version;
    struct nw_out key;
    struct nw_kafka_held forms[NW_KAFKA_MARKS_COUNT];
};

struct nw_kafka_worker {
    struct nw_kafka_sink *sink;
    uint32_t index;
    struct nw_kafka_producer *producer;

    rd_kafka_topic_t *notices[NW_KAFKA_NOTICES_COUNT]; /* NULL: not asked for yet */
    struct nw_kafka_notice_ids notice_ids[NW_KAFKA_NOTICES_COUNT];
    struct nw_change_order messages; /* logical ones of a transaction: transactions_topic */
    struct nw_kafka_table *tables;   /* by no order; few are looked up often */
    uint32_t tables_count;
    uint32_t tables_capacity;

    /* Where a batch goes on that the producer's queue had no room for. */
    const struct nw_batch *batch;
    uint32_t row;
    uint32_t exception;
    uint32_t step; /* of the row: how many of its messages are out */

    struct nw_kafka_copying *copying; /* by no order; own */
    uint32_t copying_count;
    uint32_t copying_capacity;

    struct nw_out key, former_key, value, header;
    struct nw_kafka_forms forms;

    uint64_t delivered_seen; /* messages, and when there were more of them the last time */
    int64_t moved_ns;
    int64_t copied_in; /* the begin of the transaction that has rows of a copy */
    bool overran;      /* the transaction before lasted too long */
    bool refused;      /* a row was, since the last commit; also across recover() */
    int64_t now_ns;    /* the wall clock as the batch came; format: debezium_json */
};

/* Which worker has a table, and which topic the table has. */
struct nw_kafka_known {
    uint32_t relation_oid;
    uint32_t worker;
    uint64_t gone; /* it was dropped, which this commit of the sink's has; 0: it was not */
    bool routed;   /* a route gave it its topic, which may be another table's too */
    char topic[NW_KAFKA_TOPIC_SIZE];
    char name[NW_KAFKA_NAME_SIZE]; /* schema.table, as far as there is room */
};

/* A topic that refused a message of about this size. */
struct nw_kafka_strict {
    size_t alone_from;
    char topic[NW_KAFKA_TOPIC_SIZE];
};

/* What was learned of sizes. */
struct nw_kafka_sizes {
    size_t batch_bytes; /* librdkafka's batch.size */
    struct nw_kafka_strict *strict;
    uint32_t strict_count;
};

/* What the sink says of itself: figures.c. */
enum nw_kafka_figure {
    NW_KAFKA_FIGURE_QUEUE,
    NW_KAFKA_FIGURE_ACKNOWLEDGED,
    NW_KAFKA_FIGURE_COMMIT,
    NW_KAFKA_FIGURE_BEGUN,
    NW_KAFKA_FIGURE_WAITS,
    NW_KAFKA_FIGURES_COUNT,
};
struct nw_kafka_figures {
    uint32_t numbers[NW_KAFKA_FIGURES_COUNT]; /* the host's */
    uint64_t acknowledged, begun;
    uint64_t seen[NW_KAFKA_WORKERS_MAX + 1]; /* of producers' `delivered`, at the last commit */
};

struct nw_kafka_sink {
    const struct nw_host *host;
    struct nw_kafka_options options;
    uint64_t owned; /* the fencing number that this instance wrote last; 0: none */
    uint64_t token; /* random, written with it: another instance may have got the same number */

    /* [0] is the one that says who has the sink. Transactional: one for each worker; else that one,
     * and then one for each worker's messages. */
    struct nw_kafka_producer producers[NW_KAFKA_WORKERS_MAX + 1];
    uint32_t workers_count;
    struct nw_kafka_worker workers[NW_KAFKA_WORKERS_MAX];

    struct nw_kafka_producer witness; /* of what the ledger says of topics; see begun.c */
    struct nw_kafka_producer heart;   /* of heartbeats; the coordinator's */
    rd_kafka_topic_t *heart_topic;
    struct nw_kafka_notice_ids heart_ids;
    int64_t
        lost_due_ns; /* when copies that were given up are looked for again; the coordinator's */
    int64_t beat_us; /* when the last one was sent, wall clock */

    struct nw_kafka_figures figures;

    rd_kafka_t *signals;             /* reads their topic; the coordinator's. NULL: none */
    rd_kafka_message_t *signal_held; /* of it, to be followed again; NULL: none */
    int64_t signals_due_ns;          /* not before; monotonic */
    bool positioned; /* a position is stored: what is copied now is not the first copy */

    pthread_mutex_t proving; /* of the witness and state.topics; also while brokers are asked */
    pthread_mutex_t lock;    /* of what follows, which workers share */
    struct nw_kafka_sizes sizes;
    bool copying;       /* the first copy has begun, and no commit had a position yet */
    uint32_t first_oid; /* the table that has the first copied row of all; 0: none came yet;
                           UINT32_MAX: it was sent by a former process */
    struct nw_kafka_asked *asked; /* own; the oldest first */
    uint32_t asked_count, asked_capacity;
    uint32_t signals_count;
    bool asked_read;                          /* what a former process asked for is among them */
    uint64_t followed[NW_KAFKA_FOLLOWED_MAX]; /* rows that are signals, the latest, in a ring */
    uint32_t followed_count;
    struct nw_kafka_pause pauses[NW_KAFKA_PAUSES_MAX]; /* not said yet */
    uint32_t pauses_count;
    uint32_t paused;           /* the signal whose copies another one paused; 0: none */
    bool began;                /* it was said whether there is a first copy, since open() */
    struct nw_out first_names; /* of the first copy's tables, with commas; empty: not known */
    uint64_t commits;          /* since recover() */
    uint32_t waits;            /* how many workers the registry lets wait: notices.c */
    struct nw_kafka_known *known;
    uint32_t known_count;
    uint32_t known_capacity;
    char refused[NW_KAFKA_REFUSED_SIZE]; /* what a broker said that did not let us in */
    int64_t refused_ns;                  /* when */

    struct nw_kafka_state state;
    struct nw_position positions[NW_KAFKA_WORKERS_MAX]; /* into state, for the host */
    struct nw_copy_state *copies;                       /* as they were at recover(), so many: */
    uint32_t copies_count;
};

/* When what begins now has waited long enough. */
static inline int64_t nw_kafka_until_ns(const struct nw_kafka_sink *sink)
{
    return sink->host->now_ns(sink->host) + sink->options.timeout_ms * INT64_C(1000000);
}

/* Whether nothing is to be waited for any more. */
static inline bool nw_kafka_leaves(const struct nw_kafka_sink *sink)
{
    return sink->host->size > offsetof(struct nw_host, leaving) && sink->host->leaving(sink->host);
}

/* Whether patience ends: at that moment, or as the sink is to be closed. */
static inline bool nw_kafka_is_over(const struct nw_kafka_sink *sink, int64_t until_ns)
{
    return sink->host->now_ns(sink->host) > until_ns || nw_kafka_leaves(sink);
}

static inline nw_status nw_kafka_no_memory(struct nw_error *err)
{
    return nw_fail(err, NW_RETRY, "out of memory for messages");
}

/* ---- options.c ---- */

#define NW_KAFKA_OPTIONS_COUNT (45u + NW_FORM_OPTIONS_COUNT + NW_FORMAT_OPTIONS_COUNT)
extern const struct nw_option nw_kafka_option_table[NW_KAFKA_OPTIONS_COUNT];
NW_MUST_CHECK nw_status nw_kafka_options_read(const struct nw_config *config, uint32_t workers,
                                              struct nw_kafka_options *options,
                                              struct nw_error *err);

/** Add the headers that Debezium gives to each message, if they are wanted. */
void nw_kafka_context_headers(struct nw_kafka_options *options, const struct nw_host *host);
/** Passwords as they are now, for clients that are made from here on. */
NW_MUST_CHECK nw_status nw_kafka_secrets_read(struct nw_kafka_sink *sink, struct nw_error *err);
void nw_kafka_options_forget(struct nw_kafka_options *options);
/** The flags of NW_SINK_... that what is sent beside rows needs. */
uint32_t nw_kafka_notices_flags(const struct nw_config *config);

/* ---- connect.c ---- */

/** A client for the sink. @param conf  take, also on failure. */
NW_MUST_CHECK nw_status nw_kafka_client_create(struct nw_kafka_sink *sink, rd_kafka_type_t type,
                                               rd_kafka_conf_t *conf, rd_kafka_t **client,
                                               struct nw_error *err);
/** NW_RETRY when a broker did not let us in of late; NW_OK: none is known of. From any thread. */
NW_MUST_CHECK nw_status nw_kafka_refused(struct nw_kafka_sink *sink, struct nw_error *err);
/**
 * rd_kafka_init_transactions(), as long as the sink's patience lasts.
 * @param error  give: what else went wrong, when the result is NW_OK; NULL: nothing.
 */
NW_MUST_CHECK nw_status nw_kafka_transactions_init(struct nw_kafka_producer *producer,
                                                   rd_kafka_error_t **error, struct nw_error *err);

/* ---- client.c ---- */

/**
 * Begin a producer of the sink's. With an id it has transactions, former ones of that id are ended,
 * and who had it before cannot write any more.
 * @param id  NULL: for messages alone, without transactions.
 */
NW_MUST_CHECK nw_status nw_kafka_producer_begin(struct nw_kafka_producer *producer, const char *id,
                                                struct nw_error *err);
/** A consumer with these settings beside those that all clients have. */
NW_MUST_CHECK nw_status nw_kafka_reader_create(struct nw_kafka_sink *sink,
                                               const char *const settings[][2], size_t count,
                                               rd_kafka_t **reader, struct nw_error *err);
/** Passes on what librdkafka says; the client's opaque is the sink. From any thread. */
void nw_kafka_on_log(const rd_kafka_t *client, int level, const char *facility, const char *text);
/** Forget what was not delivered, and the producer. Its topics must be gone, all but the ledger. */
void nw_kafka_producer_end(struct nw_kafka_producer *producer);
/**
 * The error of a client as ours: NW_RETRY; NW_FATAL (NW2406) when the broker fenced us and the
 * ledger says that another narwal has the sink. Else it was a transaction that lasted too long.
 * NW_FATAL (NW2702) too for a setting that brokers do not take.
 */
NW_MUST_CHECK nw_status nw_kafka_fail(struct nw_kafka_sink *sink, const char *what,
                                      rd_kafka_resp_err_t code, const char *text,
                                      struct nw_error *err);
/**
 * One message. NW_AGAIN: the queue is full, nothing was taken. NW_RETRY as well, when nothing was
 * acknowledged for as long as the sink's patience lasts. NW_REJECT: it is too large.
 */
NW_MUST_CHECK nw_status nw_kafka_send(struct nw_kafka_producer *producer, rd_kafka_topic_t *topic,
                                      const struct nw_kafka_message *message, struct nw_error *err);
/** The same, and wait for it. NW_REJECT also when the broker says that it is too large. */
NW_MUST_CHECK nw_status nw_kafka_send_alone(struct nw_kafka_producer *producer,
                                            rd_kafka_topic_t *topic,
                                            const struct nw_kafka_message *message,
                                            struct nw_error *err);
/** The queue is full: give it a moment. NW_AGAIN: try again; NW_RETRY: nothing was acknowledged for
 * as long as the sink is patient. */
NW_MUST_CHECK nw_status nw_kafka_queue_wait(struct nw_kafka_producer *producer,
                                            struct nw_error *err);
/** Wait until every message is acknowledged. */
NW_MUST_CHECK nw_status nw_kafka_drain(struct nw_kafka_producer *producer, struct nw_error *err);
NW_MUST_CHECK nw_status nw_kafka_begin(struct nw_kafka_producer *producer, struct nw_error *err);
/** End the transaction. @param outcome  filled, also when it fails. */
NW_MUST_CHECK nw_status nw_kafka_commit(struct nw_kafka_producer *producer,
                                        enum nw_outcome *outcome, struct nw_error *err);

/* ---- headers.c ---- */

void nw_kafka_spares_begin(struct nw_kafka_producer *producer);
/** Once the client is gone. */
void nw_kafka_spares_end(struct nw_kafka_producer *producer);
/** What messages without such headers are sent with. */
static inline struct nw_kafka_spares *nw_kafka_spares_none(struct nw_kafka_producer *producer)
{
    return &producer->spares[NW_KAFKA_HEADS_OWN];
}
bool nw_kafka_has_headers(const struct nw_kafka_producer *producer,
                          const struct nw_kafka_message *message);
/**
 * Those of all messages, and the message's own.
 * @param spares  filled: to send with the message
 * @return give; to librdkafka with the message, or else to nw_kafka_headers_keep().
 */
rd_kafka_headers_t *nw_kafka_headers_make(struct nw_kafka_producer *producer,
                                          const struct nw_kafka_message *message,
                                          struct nw_kafka_spares **spares);
/** Keep them for a later message, or free them. @param headers  take */
void nw_kafka_headers_keep(struct nw_kafka_spares *spares, rd_kafka_headers_t *headers);
/** Take those of a message that has ended. */
void nw_kafka_headers_take(struct nw_kafka_spares *spares, const rd_kafka_message_t *message);

/* ---- sizes.c ---- */

/** message.max.bytes of our clients; 0: it is not known. */
size_t nw_kafka_message_bytes_max(const struct nw_kafka_options *options);
/** From how many bytes on messages for a topic are sent alone. From any thread. */
size_t nw_kafka_alone_from(struct nw_kafka_sink *sink, const char *topic);
/** Send a message as its topic takes it: one of alone_from bytes or more, which may be too large,
 * is waited for. */
NW_MUST_CHECK nw_status nw_kafka_send_sized(struct nw_kafka_producer *producer,
                                            rd_kafka_topic_t *topic,
                                            const struct nw_kafka_message *message,
                                            size_t alone_from, struct nw_error *err);
/** A broker refused messages of the producer as too large. From any thread. */
void nw_kafka_refused_learn(struct nw_kafka_producer *producer);

/* ---- topics.c ---- */

/** Whether an option's "schema.table" is this table. @param name  NULL: it is none */
bool nw_kafka_is_named(const char *name, const struct nw_table *table);
/**
 * logical.c: one route, with what it does besides.
 * @param why  filled on failure
 * @return NULL: it is none, or memory ran out
 */
struct nw_regex *nw_kafka_route_make(const char *item, struct nw_kafka_logical *logical, char *why,
                                     size_t why_size);
void nw_kafka_logical_fini(struct nw_kafka_logical *logical);
/** @return false: a name is too long, or there are more fields than there is room for */
bool nw_kafka_names_find(const struct nw_kafka_options *options, const struct nw_table *table,
                         struct nw_kafka_names *names);
/** The options' routes, made. */
NW_MUST_CHECK nw_status nw_kafka_routes_make(struct nw_kafka_options *options,
                                             const char *const *items, struct nw_error *err);
/** Set which of the routes match the name that a template gives to a table. */
void nw_kafka_routes_met(const struct nw_kafka_options *options, const char *template_,
                         const struct nw_table *table, bool *met);
/**
 * notices.c: which logical messages are sent.
 * @param include  expressions for their prefixes, NULL-terminated; NULL: none
 * @param exclude  the same of those that are not
 */
NW_MUST_CHECK nw_status nw_kafka_prefixes_make(struct nw_kafka_options *options,
                                               const char *const *include,
                                               const char *const *exclude, struct nw_error *err);
void nw_kafka_prefixes_destroy(struct nw_kafka_options *options);
/** Their memory, and the outbox's. */
void nw_kafka_routes_destroy(struct nw_kafka_options *options);
/** The name of a table's topic. */
NW_MUST_CHECK nw_status nw_kafka_topic_name(const struct nw_kafka_options *options,
                                            const struct nw_table *table,
                                            char name[static NW_KAFKA_TOPIC_SIZE],
                                            struct nw_error *err);
/**
 * What else a topic is for, by the option's name; NULL: nothing that we know of.
 * @param notices  whether topics of what is sent beside rows count.
 */
const char *nw_kafka_topic_use(const struct nw_kafka_options *options, const char *topic,
                               bool notices);
enum nw_kafka_topic_kind {
    NW_KAFKA_KEYED,
    NW_KAFKA_KEYLESS, /* or whose keys do not say which message replaces which: never compacted */
    NW_KAFKA_LEDGER,  /* compacted, one partition */
};

/** The topic, made when it is not there and may be. */
NW_MUST_CHECK nw_status nw_kafka_topic_open(struct nw_kafka_producer *producer, const char *name,
                                            enum nw_kafka_topic_kind kind, rd_kafka_topic_t **topic,
                                            struct nw_error *err);

/** Whether a table has the topic that its name gives, and no route's. */
bool nw_kafka_topic_is_own(const struct nw_kafka_options *options, const struct nw_table *table,
                           const char *topic);

/* ---- begun.c ---- */

/**
 * NW_FATAL (NW2731) when no position was ever stored and nothing of this table was copied, but its
 * topic has messages that this sink did not begin; where nw_kafka_first_check() cannot know its
 * name. Else the ledger says durably that this sink begins there. From any worker's thread; it may
 * wait for brokers: not under a lock.
 */
NW_MUST_CHECK nw_status nw_kafka_topic_prove(struct nw_kafka_producer *producer,
                                             uint32_t relation_oid, const char *name,
                                             struct nw_error *err);
/** NW_FATAL (NW2731) when there is no ledger, but topics of ours have messages. */
NW_MUST_CHECK nw_status nw_kafka_first_check(struct nw_kafka_producer *producer,
                                             struct nw_error *err);

/* ---- unmet.c ---- */

/** See nw_sink_ops.unmet. */
void nw_kafka_unmet(const struct nw_config *config, const struct nw_table *const *tables,
                    uint32_t count, void (*report)(void *context, const char *text), void *context);

/* ---- recover.c ---- */

/** End what is under way, take the sink, begin all producers, and read the ledger into state. */
NW_MUST_CHECK nw_status nw_kafka_recover(struct nw_kafka_sink *sink, struct nw_error *err);
/** Forget what was not delivered, and all producers and topics. */
void nw_kafka_end(struct nw_kafka_sink *sink);

/* ---- oversized.c ---- */

/** Before more is sent in a transaction, and before it ends: whether it lasts too long. */
NW_MUST_CHECK nw_status nw_kafka_duration_check(struct nw_kafka_worker *worker,
                                                struct nw_error *err);

/* ---- copying.c ---- */

struct nw_kafka_copying *nw_kafka_copying_find(struct nw_kafka_worker *worker,
                                               uint32_t relation_oid);
/** @param resumed  it was begun before narwal was started */
NW_MUST_CHECK nw_status nw_kafka_copying_begin(struct nw_kafka_worker *worker,
                                               uint32_t relation_oid, bool resumed,
                                               struct nw_error *err);
/** The copy is whole; what is held stays so until the commit. */
void nw_kafka_copying_end(struct nw_kafka_worker *worker, uint32_t relation_oid,
                          enum nw_kafka_mark mark);
/** Whether its copied rows say which is the first and the last; else they are "incremental". */
bool nw_kafka_is_marked(struct nw_kafka_worker *worker, uint32_t relation_oid);
/** In recover(). */
void nw_kafka_copying_forget(struct nw_kafka_worker *worker);
void nw_kafka_copying_fini(struct nw_kafka_worker *worker);
/** What source.snapshot says of the next copied row of a table. */
const char *nw_kafka_snapshot_of(struct nw_kafka_worker *worker, uint32_t relation_oid);
/** Send what is held of a table, if anything is, before other messages of it. */
NW_MUST_CHECK nw_status nw_kafka_held_send(struct nw_kafka_worker *worker, uint32_t relation_oid,
                                           struct nw_error *err);
/** Send what is held of tables that ended, before copied rows of others. */
NW_MUST_CHECK nw_status nw_kafka_held_send_ended(struct nw_kafka_worker *worker,
                                                 struct nw_error *err);
/** Whether what is held of a table is small enough that nothing refuses it later. */
bool nw_kafka_held_fits(const struct nw_kafka_worker *worker, const struct nw_kafka_table *table,
                        const struct nw_kafka_copying *copying);
/**
 * At the commit: send what all workers hold, and wait for it.
 * @param whole  no other row of the first copy comes: the latest of these is the last one
 */
NW_MUST_CHECK nw_status nw_kafka_held_send_all(struct nw_kafka_sink *sink, bool whole,
                                               struct nw_error *err);

/* ---- envelopes.c: what Debezium's forms have in common ---- */

/** What a table needs to be written. */
NW_MUST_CHECK nw_status nw_kafka_envelope_make(struct nw_kafka_sink *sink,
                                               const struct nw_table *table,
                                               struct nw_format_table **format,
                                               struct nw_error *err);
/** What is said of the worker's row: with its place in the copy or the transaction. */
struct nw_change nw_kafka_change_of(struct nw_kafka_worker *worker, struct nw_kafka_table *table,
                                    struct nw_format_table *format, const struct nw_batch *batch);
/** Put a change's place in its transaction into it, where that is wanted. */
void nw_kafka_transaction_set(struct nw_kafka_worker *worker, struct nw_kafka_table *table,
                              uint64_t commit_lsn, uint64_t seq, struct nw_change *change);
/** The value of a logical message, appended to the worker's. */
NW_MUST_CHECK nw_status nw_kafka_envelope_notice(struct nw_kafka_worker *worker,
                                                 const struct nw_event *event,
                                                 struct nw_error *err);

/* ---- rows.c ---- */

/** A message of a table; a large one is waited for. */
NW_MUST_CHECK nw_status nw_kafka_message_send(struct nw_kafka_worker *worker,
                                              const struct nw_kafka_table *table,
                                              const struct nw_kafka_message *message,
                                              struct nw_error *err);

/** NULL: nobody told of it. */
struct nw_kafka_table *nw_kafka_table_find(struct nw_kafka_worker *worker,
                                           const struct nw_table *table);
NW_MUST_CHECK nw_status nw_kafka_table_set(struct nw_kafka_worker *worker,
                                           const struct nw_table *table, struct nw_error *err);
/** The worker that was told of a table since the last recover(); 0: none was. From any thread. */
uint32_t nw_kafka_worker_of(struct nw_kafka_sink *sink, uint32_t relation_oid);
/** A table was dropped: its topic is free for another one. */
void nw_kafka_table_dropped(struct nw_kafka_worker *worker, const struct nw_table *table);
/** A commit with a position happened. @param moves  see nw_kafka_ledger_position() */
void nw_kafka_tables_committed(struct nw_kafka_worker *worker, bool moves);
void nw_kafka_tables_forget(struct nw_kafka_worker *worker);
NW_MUST_CHECK nw_status nw_kafka_rows(struct nw_kafka_worker *worker, const struct nw_batch *batch,
                                      struct nw_error *err);
NW_MUST_CHECK nw_status nw_kafka_truncate(struct nw_kafka_worker *worker,
                                          const struct nw_event *event, struct nw_error *err);

/* ---- notices.c ---- */

/** A message, a transaction's begin or end, a new version of a table: sent where that is wanted. */
NW_MUST_CHECK nw_status nw_kafka_notice(struct nw_kafka_worker *worker,
                                        const struct nw_event *event, struct nw_error *err);
/** Whether notices are in Avro, but for those that Debezium has not; and their keys are, too. */
bool nw_kafka_notices_are_avro(const struct nw_kafka_options *options);
bool nw_kafka_notice_keys_are_avro(const struct nw_kafka_options *options);
/**
 * Begin a notice: opens its topic and registers its schemas if need be; nothing where it is not
 * wanted. The worker's key and value have then what they begin with in Avro, else nothing.
 * @return NW_AGAIN: the registry does not take a schema of it, nothing was done, and it is asked
 *         again later; NW_RETRY also: it does not, and the sink is to be closed. NW_FATAL also for
 * what else a table would stop for: none can instead, and nothing is left out
 */
NW_MUST_CHECK nw_status nw_kafka_notice_begin(struct nw_kafka_worker *worker,
                                              enum nw_kafka_notice notice, struct nw_error *err);
/** Send the worker's key and value, which are begun; nothing where it is not wanted. */
NW_MUST_CHECK nw_status nw_kafka_notice_send(struct nw_kafka_worker *worker,
                                             enum nw_kafka_notice notice, struct nw_error *err);
/** Whether the worker waits as the registry does not take a schema. From its thread. */
bool nw_kafka_notices_wait(const struct nw_kafka_worker *worker);
/** The topics of one worker. */
void nw_kafka_notices_forget(struct nw_kafka_worker *worker);
/** In recover(): what heartbeats need. */
NW_MUST_CHECK nw_status nw_kafka_heart_begin(struct nw_kafka_sink *sink, struct nw_error *err);
void nw_kafka_heart_end(struct nw_kafka_sink *sink);
/** A heartbeat, if it is time. */
void nw_kafka_beat(struct nw_kafka_sink *sink);

/* ---- notifications.c ---- */

/** A random UUID. */
void nw_kafka_id_make(const struct nw_host *host, char id[static NW_KAFKA_ID_SIZE]);

NW_MUST_CHECK nw_status nw_kafka_copy_begins(struct nw_kafka_worker *worker,
                                             const struct nw_table *table, struct nw_error *err);
/** Rows of it come. */
NW_MUST_CHECK nw_status nw_kafka_copy_goes_on(struct nw_kafka_worker *worker,
                                              const struct nw_table *table, struct nw_error *err);
NW_MUST_CHECK nw_status nw_kafka_copy_ends(struct nw_kafka_worker *worker,
                                           const struct nw_table *table, struct nw_error *err);
/** The table was dropped: if it was to be copied, it is not. */
NW_MUST_CHECK nw_status nw_kafka_copy_gone(struct nw_kafka_worker *worker,
                                           const struct nw_table *table, struct nw_error *err);
/** With the first commit since open() that has a position: the first copy is whole, or there was
 * none. */
NW_MUST_CHECK nw_status nw_kafka_copies_end(struct nw_kafka_sink *sink, struct nw_error *err);
/** What signals paused, and let go on; as far as it is known of what. */
NW_MUST_CHECK nw_status nw_kafka_pauses_say(struct nw_kafka_worker *worker, struct nw_error *err);
/** That copies are given up which signals wait for. Before a commit, with worker 0. */
NW_MUST_CHECK nw_status nw_kafka_lost_say(struct nw_kafka_worker *worker, struct nw_error *err);

/* ---- signals.c ---- */

/** A row of that table; one that comes again is passed over. @return NW_RETRY: what it asks for
 * cannot be recorded now. */
NW_MUST_CHECK nw_status nw_kafka_signal_row(struct nw_kafka_sink *sink,
                                            const struct nw_batch *batch, uint32_t row,
                                            struct nw_error *err);
/** A message of that topic. @param made_ms  its time. @return as above */
NW_MUST_CHECK nw_status nw_kafka_signal_message(struct nw_kafka_sink *sink,
                                                const rd_kafka_message_t *message, int64_t made_ms,
                                                struct nw_error *err);
/** In recover(): the reader of their topic. */
NW_MUST_CHECK nw_status nw_kafka_signals_begin(struct nw_kafka_sink *sink, struct nw_error *err);
void nw_kafka_signals_end(struct nw_kafka_sink *sink);
/** Do what they say, as far as they are there. */
void nw_kafka_signals_poll(struct nw_kafka_sink *sink);

/* ---- figures.c ---- */

/** In open(). */
void nw_kafka_figures_begin(struct nw_kafka_sink *sink);
/** All producers are new. */
void nw_kafka_figures_recovered(struct nw_kafka_sink *sink);
/** A commit has ended, and no worker runs. @param began_ns  when it began, monotonic */
void nw_kafka_figures_committed(struct nw_kafka_sink *sink, int64_t began_ns);
void nw_kafka_figures_tick(struct nw_kafka_sink *sink);
/** How many workers the registry lets wait is another number. Locked; from any thread. */
void nw_kafka_figures_waits(const struct nw_kafka_sink *sink);

/* ---- keys.c ---- */

/**
 * A table's key as the options `keys` and `unique_keys` have it; an outbox has none.
 * @return NW_REJECT (NW2708): it has no such column, or one that is masked so that keys become one.
 * @param keyed  give; filled: a copy of the table's struct with that key, free(); NULL: it stays as
 *               the table has it.
 */
NW_MUST_CHECK nw_status nw_kafka_key_find(const struct nw_kafka_options *options,
                                          const struct nw_table *table, struct nw_table **keyed,
                                          struct nw_error *err);
/** Whether each item can be read. */
NW_MUST_CHECK nw_status nw_kafka_keys_check(const struct nw_kafka_options *options,
                                            struct nw_error *err);

#endif
