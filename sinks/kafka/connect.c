/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients of librdkafka, and what they say of brokers that do not let them in.
 *
 * librdkafka goes on trying and has no call that fails because of TLS or a password: it says so by
 * an event, on whichever thread polls. The sink keeps the last one until a connection is made.
 */
#include <stdio.h>
#include <string.h>

#include "kafka/kafka.h"

#define STEP_MS    1000
#define POLL_MS    100
#define REFUSED_NS INT64_C(3000000000)  /* for other brokers to let us in */
#define RECENT_NS  INT64_C(10000000000) /* besides the sink's patience */

/* With TLS 1.3 a broker refuses our certificate when it has let us in: that is no error of TLS to
 * librdkafka, but OpenSSL's words are in it. */
static bool is_refusal(int code, const char *text)
{
    return code == RD_KAFKA_RESP_ERR__AUTHENTICATION || code == RD_KAFKA_RESP_ERR__SSL ||
           (code == RD_KAFKA_RESP_ERR__TRANSPORT && strstr(text, ":SSL routines:") != NULL);
}

static void on_error(rd_kafka_t *client, int code, const char *text, void *opaque)
{
    struct nw_kafka_sink *sink = opaque;

    (void)client;
    if (is_refusal(code, text)) {
        (void)pthread_mutex_lock(&sink->lock);
        (void)snprintf(sink->refused, sizeof sink->refused, "%s", text);
        sink->refused_ns = sink->host->now_ns(sink->host);
        (void)pthread_mutex_unlock(&sink->lock);
    }
}

nw_status nw_kafka_refused(struct nw_kafka_sink *sink, struct nw_error *err)
{
    int64_t since_ns =
        sink->host->now_ns(sink->host) - sink->options.timeout_ms * INT64_C(1000000) - RECENT_NS;
    nw_status status = NW_OK;

    (void)pthread_mutex_lock(&sink->lock);
    if (sink->refused[0] != '\0' && sink->refused_ns > since_ns) {
        status = nw_fail(err, NW_RETRY, "NW2712 no broker lets us in: %s", sink->refused);
    }
    (void)pthread_mutex_unlock(&sink->lock);
    return status;
}

static void refused_forget(struct nw_kafka_sink *sink)
{
    (void)pthread_mutex_lock(&sink->lock);
    sink->refused[0] = '\0';
    (void)pthread_mutex_unlock(&sink->lock);
}

nw_status nw_kafka_client_create(struct nw_kafka_sink *sink, rd_kafka_type_t type,
                                 rd_kafka_conf_t *conf, rd_kafka_t **client, struct nw_error *err)
{
    char why[512];

    rd_kafka_conf_set_opaque(conf, sink);
    rd_kafka_conf_set_log_cb(conf, nw_kafka_on_log);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_enable_sasl_queue(conf, 1);
    *client = rd_kafka_new(type, conf, why, sizeof why);
    if (*client == NULL) {
        rd_kafka_conf_destroy(conf);
        return nw_fail(err, NW_FATAL, "NW2702 librdkafka %s: %s", rd_kafka_version_str(), why);
    }
    /* Tokens are fetched by its own thread: the calls that wait for one do not poll. */
    rd_kafka_error_destroy(rd_kafka_sasl_background_callbacks_enable(*client));
    return NW_OK;
}

nw_status nw_kafka_transactions_init(struct nw_kafka_producer *producer, rd_kafka_error_t **error,
                                     struct nw_error *err)
{
    struct nw_kafka_sink *sink = producer->sink;
    int64_t until_ns = nw_kafka_until_ns(sink);
    int64_t refused_ns = 0;

    refused_forget(sink);
    for (;;) {
        int64_t now_ns = 0;
        nw_status status = NW_OK;

        *error = rd_kafka_init_transactions(producer->client, STEP_MS);
        if (*error == NULL) {
            return NW_OK;
        }
        (void)rd_kafka_poll(producer->client, POLL_MS);
        now_ns = sink->host->now_ns(sink->host);
        status = nw_kafka_refused(sink, err);
        if (status != NW_OK && refused_ns == 0) {
            refused_ns = now_ns;
        }
        if (!rd_kafka_error_is_retriable(*error) || nw_kafka_is_over(sink, until_ns) ||
            (status != NW_OK && now_ns - refused_ns >= REFUSED_NS)) {
            if (status != NW_OK) { /* else the caller knows what the error means */
                rd_kafka_error_destroy(*error);
                *error = NULL;
            }
            return status;
        }
        rd_kafka_error_destroy(*error); /* the same call goes on where it was */
    }
}
