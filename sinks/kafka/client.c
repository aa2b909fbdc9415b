/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Producers: making them, sending, waiting for what was sent.
 *
 * A message that could not be delivered latches `failed`, and with it every later call until
 * recover(): what the sink was given after it is sent again from there, in order.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "kafka/kafka.h"

#define POLL_MS   100
#define PURGE_MS  1000
#define COMMIT_MS 500
#define ABORT_MS  3000
#define LEAVE_MS  300 /* the same, when nobody waits for it */
#define TEXT_SIZE 512

/* Of a message that is good, but was in a batch with one that is not; librdkafka 2.0 has no name
 * for it. */
#define BESIDE_REFUSED ((rd_kafka_resp_err_t)-138)

static void topic_note(struct nw_kafka_producer *producer, const rd_kafka_message_t *message)
{
    (void)snprintf(producer->refused_topic, sizeof producer->refused_topic, "%s",
                   rd_kafka_topic_name(message->rkt));
}

/* Whether what failed before says less than what failed now: those beside the one that failed. */
static bool is_less(rd_kafka_resp_err_t before)
{
    return before == RD_KAFKA_RESP_ERR_NO_ERROR || before == RD_KAFKA_RESP_ERR__PURGE_QUEUE ||
           before == BESIDE_REFUSED;
}

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *context)
{
    struct nw_kafka_spares *spares = message->_private;
    struct nw_kafka_producer *producer = spares->producer;
    size_t size = message->len + message->key_len;

    (void)client;
    (void)context;
    if (message->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE && size > producer->refused_bytes) {
        producer->refused_bytes = size;
        topic_note(producer, message);
    }
    if (message->err == RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP ||
        message->err == RD_KAFKA_RESP_ERR_INVALID_RECORD) {
        topic_note(producer, message);
    }
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        producer->delivered++;
    } else if (is_less(producer->failed)) {
        producer->failed = message->err;
    }
    nw_kafka_headers_take(spares, message);
}

void nw_kafka_on_log(const rd_kafka_t *client, int level, const char *facility, const char *text)
{
    const struct nw_kafka_sink *sink = rd_kafka_opaque(client);

    if (sink != NULL && strcmp(facility, "CONFWARN") != 0) { /* each client takes what is its own */
        sink->host->log(sink->host, level <= 3 ? NW_LOG_WARN : NW_LOG_DEBUG, "NW2705 %s: %s",
                        facility, text);
    }
}

static nw_status conf_set(rd_kafka_conf_t *conf, const char *name, const char *value,
                          struct nw_error *err)
{
    char why[TEXT_SIZE];

    return rd_kafka_conf_set(conf, name, value, why, sizeof why) == RD_KAFKA_CONF_OK
               ? NW_OK
               : nw_fail(err, NW_FATAL, "NW2702 librdkafka %s does not take %s: %s",
                         rd_kafka_version_str(), name, why);
}

static nw_status client_create(struct nw_kafka_producer *producer, const char *id,
                               struct nw_error *err)
{
    struct nw_kafka_sink *sink = producer->sink;
    rd_kafka_conf_t *conf = rd_kafka_conf_dup(sink->options.conf);
    char bytes[32];
    nw_status status = conf_set(conf, "enable.idempotence", "true", err);

    if (status == NW_OK) { /* as Java's default partitioner does for messages with a key */
        status = conf_set(conf, "partitioner", "murmur2_random", err);
    }
    (void)snprintf(bytes, sizeof bytes, "%zu", sink->sizes.batch_bytes);
    if (status == NW_OK) {
        status = conf_set(conf, "batch.size", bytes, err);
    }
    if (status == NW_OK && id != NULL) {
        status = conf_set(conf, "transactional.id", id, err);
    } else if (status == NW_OK) { /* never given up: a message that is dropped would be lost */
        status = conf_set(conf, "message.timeout.ms", "0", err);
    }
    if (status != NW_OK) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    status = nw_kafka_client_create(sink, RD_KAFKA_PRODUCER, conf, &producer->client, err);
    if (status == NW_OK) {
        nw_kafka_spares_begin(producer);
    }
    return status;
}

nw_status nw_kafka_reader_create(struct nw_kafka_sink *sink, const char *const settings[][2],
                                 size_t count, rd_kafka_t **reader, struct nw_error *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_dup(sink->options.conf);
    nw_status status = NW_OK;

    for (size_t i = 0; i < count && status == NW_OK; i++) {
        status = conf_set(conf, settings[i][0], settings[i][1], err);
    }
    if (status != NW_OK) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    return nw_kafka_client_create(sink, RD_KAFKA_CONSUMER, conf, reader, err);
}

/* Tells the coordinator, which would else hold up readers until its timeout; and librdkafka 2.0
 * does not survive to be destroyed while it adds partitions to a transaction. */
static void transaction_abort(struct nw_kafka_producer *producer)
{
    rd_kafka_error_t *error = NULL;

    if (producer->in_transaction) {
        error = rd_kafka_abort_transaction(producer->client,
                                           nw_kafka_leaves(producer->sink) ? LEAVE_MS : ABORT_MS);
        if (error != NULL) { /* the next that begins ends it */
            rd_kafka_error_destroy(error);
        }
        producer->in_transaction = false;
    }
}

void nw_kafka_producer_end(struct nw_kafka_producer *producer)
{
    if (producer->client == NULL) {
        return;
    }
    transaction_abort(producer);
    if (producer->ledger != NULL) {
        rd_kafka_topic_destroy(producer->ledger);
    }
    (void)rd_kafka_purge(producer->client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    (void)rd_kafka_flush(producer->client, PURGE_MS);
    rd_kafka_destroy(producer->client);
    nw_kafka_spares_end(producer);
    nw_out_fini(&producer->record);
    *producer = (struct nw_kafka_producer){.sink = producer->sink};
}

static bool is_fenced(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__FENCED || code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH ||
           code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED;
}

nw_status nw_kafka_fail(struct nw_kafka_sink *sink, const char *what, rd_kafka_resp_err_t code,
                        const char *text, struct nw_error *err)
{
    nw_status status = NW_OK;

    if (code == RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT) {
        return nw_fail(err, NW_FATAL,
                       "NW2702 transaction_timeout (%" PRId64 " s) is above the brokers' "
                       "transaction.max.timeout.ms: lower the one or raise the other",
                       sink->options.transaction_ms / 1000);
    }
    if (!is_fenced(code)) {
        return nw_fail(err, NW_RETRY, "NW2701 %s: %s", what, text);
    }
    status = nw_kafka_ledger_ours(sink, err);
    return status != NW_OK
               ? status
               : nw_fail(err, NW_RETRY,
                         "NW2701 %s: the broker ended the transaction, and nobody else has the "
                         "sink: one that lasts longer than transaction_timeout? Raise it",
                         what);
}

/* The same of an error object, which is given back. */
static nw_status fail_error(struct nw_kafka_producer *producer, const char *what,
                            rd_kafka_error_t *error, struct nw_error *err)
{
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    char fatal[TEXT_SIZE];
    nw_status status = NW_OK;

    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        code = rd_kafka_fatal_error(producer->client, fatal, sizeof fatal);
    }
    status = nw_kafka_fail(producer->sink, what, code, rd_kafka_error_string(error), err);
    rd_kafka_error_destroy(error);
    return status;
}

/*
 * Where several messages of a batch are refused librdkafka does not say for what: the words of
 * each, which the broker sent, are freed before they are given (2.14.2).
 */
static nw_status refused_say(const struct nw_kafka_producer *producer, rd_kafka_resp_err_t code,
                             struct nw_error *err)
{
    if (code == RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP) {
        return nw_fail(err, NW_RETRY,
                       "NW2703 topic %s refuses a message's time, which is outbox_timestamp's or "
                       "this machine's: the topic's message.timestamp.after.max.ms (or "
                       "message.timestamp.before.max.ms) does not reach that far",
                       producer->refused_topic);
    }
    return nw_fail(err, NW_RETRY,
                   "NW2703 topic %s refuses messages. Those without a key (TRUNCATE, and tables "
                   "that have none) are not for compacted topics: set cleanup.policy=delete on "
                   "it, or truncates: skip. Nor are those of rows whose key_field is NULL: take "
                   "one that is NOT NULL. Or their time, which is outbox_timestamp's or this "
                   "machine's, is beyond its message.timestamp.after.max.ms (or before)",
                   producer->refused_topic);
}

static nw_status failed(struct nw_kafka_producer *producer, struct nw_error *err)
{
    char text[TEXT_SIZE];
    rd_kafka_resp_err_t code = rd_kafka_fatal_error(producer->client, text, sizeof text);

    (void)rd_kafka_poll(producer->client, 0); /* what else is reported */
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) { /* else that is why messages were given up */
        code = producer->failed;
    }
    if (producer->refused_bytes > 0) {
        nw_kafka_refused_learn(producer);
        return nw_fail(err, NW_RETRY,
                       "NW2704 topic %s refuses messages of %zu bytes or the batch that they are "
                       "in: smaller batches are tried, and then each by itself",
                       producer->refused_topic, producer->refused_bytes);
    }
    if (code == RD_KAFKA_RESP_ERR_INVALID_RECORD || code == RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP) {
        return refused_say(producer, code, err);
    }
    return nw_kafka_fail(producer->sink, "a message was not delivered", code,
                         rd_kafka_err2str(code), err);
}

nw_status nw_kafka_producer_begin(struct nw_kafka_producer *producer, const char *id,
                                  struct nw_error *err)
{
    rd_kafka_error_t *error = NULL;
    nw_status status = client_create(producer, id, err);

    if (status == NW_OK && id != NULL) {
        status = nw_kafka_transactions_init(producer, &error, err);
    }
    return error == NULL ? status : fail_error(producer, "brokers do not let us begin", error, err);
}

nw_status nw_kafka_begin(struct nw_kafka_producer *producer, struct nw_error *err)
{
    rd_kafka_error_t *error = NULL;

    if (producer->in_transaction) {
        return NW_OK;
    }
    error = rd_kafka_begin_transaction(producer->client);
    if (error != NULL) {
        return fail_error(producer, "no transaction can be begun", error, err);
    }
    producer->in_transaction = true;
    producer->begun_ns = producer->sink->host->now_ns(producer->sink->host);
    return NW_OK;
}

/* What went wrong with it says whether it may have been committed. */
nw_status nw_kafka_commit(struct nw_kafka_producer *producer, enum nw_outcome *outcome,
                          struct nw_error *err)
{
    int64_t until_ns = nw_kafka_until_ns(producer->sink);

    for (;;) {
        rd_kafka_error_t *error = rd_kafka_commit_transaction(producer->client, COMMIT_MS);
        nw_status status = NW_OK;

        if (error == NULL) {
            producer->in_transaction = false;
            *outcome = NW_COMMITTED;
            return NW_OK;
        }
        if (rd_kafka_error_is_retriable(error) && !nw_kafka_is_over(producer->sink, until_ns)) {
            rd_kafka_error_destroy(error);
            continue; /* the same commit, asked again */
        }
        *outcome = rd_kafka_error_txn_requires_abort(error) != 0 ? NW_NOT_COMMITTED : NW_UNKNOWN;
        status = fail_error(producer, "a transaction was not committed", error, err);
        return status == NW_FATAL ? status : NW_OK;
    }
}

/* @return the error; 0: it was taken. */
static rd_kafka_resp_err_t plain_send(struct nw_kafka_producer *producer, rd_kafka_topic_t *topic,
                                      const struct nw_kafka_message *message)
{
    const struct nw_out *key = message->key;
    const struct nw_out *value = message->value;

    return rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY,
                            value == NULL ? NULL : value->bytes, value == NULL ? 0 : value->used,
                            key == NULL ? NULL : key->bytes, key == NULL ? 0 : key->used,
                            nw_kafka_spares_none(producer)) == 0
               ? RD_KAFKA_RESP_ERR_NO_ERROR
               : rd_kafka_last_error();
}

/* The same with headers, which librdkafka owns once it has taken the message. */
static rd_kafka_resp_err_t headed_send(struct nw_kafka_producer *producer, rd_kafka_topic_t *topic,
                                       const struct nw_kafka_message *message)
{
    static const struct nw_out none;
    const struct nw_out *key = message->key == NULL ? &none : message->key;
    const struct nw_out *value = message->value == NULL ? &none : message->value;
    struct nw_kafka_spares *spares = NULL;
    rd_kafka_headers_t *headers = nw_kafka_headers_make(producer, message, &spares);
    rd_kafka_resp_err_t code = rd_kafka_producev(
        producer->client, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_VALUE(value->bytes, value->used), RD_KAFKA_V_KEY(key->bytes, key->used),
        RD_KAFKA_V_OPAQUE(spares), RD_KAFKA_V_TIMESTAMP(message->timestamp_ms),
        RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);

    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        nw_kafka_headers_keep(spares, headers);
    }
    return code;
}

static nw_status unanswered(struct nw_kafka_producer *producer, struct nw_error *err)
{
    nw_status status = nw_kafka_refused(producer->sink, err);

    return status != NW_OK
               ? status
               : nw_fail(err, NW_RETRY,
                         "NW2701 no message was acknowledged for %" PRId64 " s: %d wait",
                         producer->sink->options.timeout_ms / 1000,
                         rd_kafka_outq_len(producer->client));
}

/* There is no room until brokers acknowledge messages, and secrets are read anew by recover(). */
nw_status nw_kafka_queue_wait(struct nw_kafka_producer *producer, struct nw_error *err)
{
    int64_t now_ns = 0;

    (void)rd_kafka_poll(producer->client, POLL_MS);
    now_ns = producer->sink->host->now_ns(producer->sink->host);
    if (producer->full_ns == 0 || producer->delivered != producer->full_delivered) {
        producer->full_ns = now_ns;
        producer->full_delivered = producer->delivered;
    }
    return now_ns - producer->full_ns > producer->sink->options.timeout_ms * 1000000 ||
                   nw_kafka_leaves(producer->sink)
               ? unanswered(producer, err)
               : NW_AGAIN;
}

nw_status nw_kafka_send(struct nw_kafka_producer *producer, rd_kafka_topic_t *topic,
                        const struct nw_kafka_message *message, struct nw_error *err)
{
    bool headed = message->timestamp_ms != 0 || nw_kafka_has_headers(producer, message);
    rd_kafka_resp_err_t code;

    if (producer->failed != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return failed(producer, err);
    }
    code = headed ? headed_send(producer, topic, message) : plain_send(producer, topic, message);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        producer->full_ns = 0;
        return NW_OK;
    }
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        return nw_kafka_queue_wait(producer, err);
    }
    if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
        return nw_fail(err, NW_REJECT,
                       "NW2704 a message of %zu bytes for topic %s is larger than "
                       "message.max.bytes: raise that in properties, and max.message.bytes of "
                       "the topic",
                       message->value == NULL ? 0 : message->value->used,
                       rd_kafka_topic_name(topic));
    }
    producer->failed = code;
    return failed(producer, err);
}

nw_status nw_kafka_drain(struct nw_kafka_producer *producer, struct nw_error *err)
{
    uint64_t delivered = producer->delivered;
    int64_t since_ns = producer->sink->host->now_ns(producer->sink->host);

    while (rd_kafka_outq_len(producer->client) > 0 &&
           producer->failed == RD_KAFKA_RESP_ERR_NO_ERROR) {
        (void)rd_kafka_poll(producer->client, POLL_MS);
        if (producer->delivered != delivered) {
            delivered = producer->delivered;
            since_ns = producer->sink->host->now_ns(producer->sink->host);
        } else if (nw_kafka_is_over(producer->sink,
                                    since_ns + producer->sink->options.timeout_ms * 1000000)) {
            return unanswered(producer, err);
        }
    }
    return producer->failed == RD_KAFKA_RESP_ERR_NO_ERROR ? NW_OK : failed(producer, err);
}

nw_status nw_kafka_send_alone(struct nw_kafka_producer *producer, rd_kafka_topic_t *topic,
                              const struct nw_kafka_message *message, struct nw_error *err)
{
    nw_status status = nw_kafka_drain(producer, err);

    if (status == NW_OK) {
        status = nw_kafka_send(producer, topic, message, err);
    }
    if (status == NW_OK) {
        status = nw_kafka_drain(producer, err);
    }
    return status == NW_OK || producer->failed != RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE
               ? status
               : nw_fail(err, NW_REJECT,
                         "NW2704 a message of %zu bytes for topic %s is larger than its "
                         "max.message.bytes, or the broker's message.max.bytes: raise that",
                         producer->refused_bytes, rd_kafka_topic_name(topic));
}
