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
#define COMMIT_MS 5000
#define ABORT_MS  3000
#define TEXT_SIZE 512

static void on_delivery(rd_kafka_t *producer, const rd_kafka_message_t *message, void *context)
{
    struct nw_kafka_sink *sink = context;

    (void)producer;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        sink->delivered++;
    } else if (sink->failed == RD_KAFKA_RESP_ERR_NO_ERROR) {
        sink->failed = message->err;
    }
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

nw_status nw_kafka_producer_create(struct nw_kafka_sink *sink, const char *id,
                                   rd_kafka_t **producer, struct nw_error *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_dup(sink->options.conf);
    char why[TEXT_SIZE];
    nw_status status = conf_set(conf, "enable.idempotence", "true", err);

    if (status == NW_OK) { /* as Java's default partitioner does for messages with a key */
        status = conf_set(conf, "partitioner", "murmur2_random", err);
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
    rd_kafka_conf_set_opaque(conf, sink);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_log_cb(conf, nw_kafka_on_log);
    *producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (*producer == NULL) {
        rd_kafka_conf_destroy(conf);
        return nw_fail(err, NW_FATAL, "NW2702 librdkafka %s: %s", rd_kafka_version_str(), why);
    }
    return NW_OK;
}

static void producer_destroy(rd_kafka_t *producer)
{
    if (producer == NULL) {
        return;
    }
    (void)rd_kafka_purge(producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    (void)rd_kafka_flush(producer, PURGE_MS);
    rd_kafka_destroy(producer);
}

/* Tells the coordinator, which would else hold up readers until its timeout; and librdkafka 2.0
 * does not survive to be destroyed while it adds partitions to a transaction. */
static void transaction_abort(struct nw_kafka_sink *sink)
{
    rd_kafka_error_t *error = NULL;

    if (sink->in_transaction) {
        error = rd_kafka_abort_transaction(sink->ledger, ABORT_MS);
        if (error != NULL) { /* the next that begins ends it */
            rd_kafka_error_destroy(error);
        }
        sink->in_transaction = false;
    }
}

void nw_kafka_producers_destroy(struct nw_kafka_sink *sink)
{
    transaction_abort(sink);
    nw_kafka_tables_forget(sink);
    if (sink->ledger_topic != NULL) {
        rd_kafka_topic_destroy(sink->ledger_topic);
        sink->ledger_topic = NULL;
    }
    if (sink->producer != sink->ledger) {
        producer_destroy(sink->producer);
    }
    producer_destroy(sink->ledger);
    sink->producer = sink->ledger = NULL;
    sink->failed = RD_KAFKA_RESP_ERR_NO_ERROR;
    sink->batch = NULL;
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

nw_status nw_kafka_fail_error(struct nw_kafka_sink *sink, const char *what, rd_kafka_error_t *error,
                              struct nw_error *err)
{
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    char fatal[TEXT_SIZE];
    nw_status status = NW_OK;

    if (code == RD_KAFKA_RESP_ERR__FATAL && sink->ledger != NULL) {
        code = rd_kafka_fatal_error(sink->ledger, fatal, sizeof fatal);
    }
    status = nw_kafka_fail(sink, what, code, rd_kafka_error_string(error), err);
    rd_kafka_error_destroy(error);
    return status;
}

static nw_status failed(struct nw_kafka_sink *sink, struct nw_error *err)
{
    char text[TEXT_SIZE];
    rd_kafka_resp_err_t code = rd_kafka_fatal_error(sink->ledger, text, sizeof text);

    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) { /* else that is why messages were given up */
        code = sink->failed;
    }
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        code = rd_kafka_fatal_error(sink->producer, text, sizeof text);
    }
    if (code == RD_KAFKA_RESP_ERR_INVALID_RECORD) {
        return nw_fail(err, NW_RETRY,
                       "NW2703 %s: the broker refuses a message. Messages without a key (TRUNCATE, "
                       "and tables that have none) are not for compacted topics: set "
                       "cleanup.policy=delete on the topic, or truncates: skip",
                       sink->options.name);
    }
    return nw_kafka_fail(sink, "a message was not delivered", code, rd_kafka_err2str(code), err);
}

nw_status nw_kafka_begin(struct nw_kafka_sink *sink, struct nw_error *err)
{
    rd_kafka_error_t *error = NULL;

    if (sink->in_transaction) {
        return NW_OK;
    }
    error = rd_kafka_begin_transaction(sink->ledger);
    if (error != NULL) {
        return nw_kafka_fail_error(sink, "no transaction can be begun", error, err);
    }
    sink->in_transaction = true;
    return NW_OK;
}

/* What went wrong with it says whether it may have been committed. */
nw_status nw_kafka_commit(struct nw_kafka_sink *sink, enum nw_outcome *outcome,
                          struct nw_error *err)
{
    int64_t until_ns = nw_kafka_until_ns(sink);

    for (;;) {
        rd_kafka_error_t *error = rd_kafka_commit_transaction(sink->ledger, COMMIT_MS);
        nw_status status = NW_OK;

        if (error == NULL) {
            sink->in_transaction = false;
            *outcome = NW_COMMITTED;
            return NW_OK;
        }
        if (rd_kafka_error_is_retriable(error) && sink->host->now_ns(sink->host) < until_ns) {
            rd_kafka_error_destroy(error);
            continue; /* the same commit, asked again */
        }
        *outcome = rd_kafka_error_txn_requires_abort(error) != 0 ? NW_NOT_COMMITTED : NW_UNKNOWN;
        status = nw_kafka_fail_error(sink, "a transaction was not committed", error, err);
        return status == NW_FATAL ? status : NW_OK;
    }
}

nw_status nw_kafka_send(struct nw_kafka_sink *sink, rd_kafka_topic_t *topic,
                        const struct nw_out *key, const struct nw_out *value, struct nw_error *err)
{
    rd_kafka_resp_err_t code;

    if (sink->failed != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return failed(sink, err);
    }
    if (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY,
                         value == NULL ? NULL : value->bytes, value == NULL ? 0 : value->used,
                         key == NULL ? NULL : key->bytes, key == NULL ? 0 : key->used, NULL) == 0) {
        return NW_OK;
    }
    code = rd_kafka_last_error();
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        (void)rd_kafka_poll(sink->producer, POLL_MS);
        return NW_AGAIN;
    }
    if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
        return nw_fail(err, NW_REJECT,
                       "NW2704 a message of %zu bytes for topic %s is larger than "
                       "message.max.bytes: raise that in properties, and max.message.bytes of "
                       "the topic",
                       value == NULL ? 0 : value->used, rd_kafka_topic_name(topic));
    }
    sink->failed = code;
    return failed(sink, err);
}

nw_status nw_kafka_drain(struct nw_kafka_sink *sink, struct nw_error *err)
{
    uint64_t delivered = sink->delivered;
    int64_t since_ns = sink->host->now_ns(sink->host);

    while (rd_kafka_outq_len(sink->producer) > 0 && sink->failed == RD_KAFKA_RESP_ERR_NO_ERROR) {
        (void)rd_kafka_poll(sink->producer, POLL_MS);
        if (sink->delivered != delivered) {
            delivered = sink->delivered;
            since_ns = sink->host->now_ns(sink->host);
        } else if (sink->host->now_ns(sink->host) - since_ns > sink->options.timeout_ms * 1000000) {
            return nw_fail(err, NW_RETRY,
                           "NW2701 no message was acknowledged for %" PRId64 " s: %d wait",
                           sink->options.timeout_ms / 1000, rd_kafka_outq_len(sink->producer));
        }
    }
    return sink->failed == RD_KAFKA_RESP_ERR_NO_ERROR ? NW_OK : failed(sink, err);
}
