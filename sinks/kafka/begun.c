/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sink that begins anew: whether the topics that it would write to are free.
 *
 * Where all of them begin with something fixed, their names say whose they are, and brokers are
 * asked once, before the ledger is made. Else (routes, or another template) each is looked at as
 * the first table comes that has it, until a position is stored; that this sink begins there is
 * written to the ledger before its first message is, so that a later start does not take that one
 * for somebody else's.
 *
 * Workers share what is known of topics: under the sink's lock `proving`.
 */
#include <stdio.h>
#include <string.h>

#include "kafka/kafka.h"

#define ASK_MS 5000

/* What topics of tables begin with, whatever the table; "" where the template says nothing. */
static nw_status beginning_make(const struct nw_kafka_options *options,
                                char text[static NW_KAFKA_TOPIC_SIZE], struct nw_error *err)
{
    const struct nw_table none = {.schema_name = "", .name = ""};
    struct nw_kafka_options cut = *options;
    char template_[NW_KAFKA_TOPIC_SIZE];
    char *schema = NULL;
    char *table = NULL;

    (void)snprintf(template_, sizeof template_, "%s", options->template_);
    schema = strstr(template_, "{schema}");
    table = strstr(template_, "{table}");
    if (schema != NULL) {
        *schema = '\0';
    }
    if (table != NULL) {
        *table = '\0';
    }
    cut.template_ = template_;
    text[0] = '\0';
    return template_[0] == '\0' || cut.routes_count > 0
               ? NW_OK
               : nw_kafka_topic_name(&cut, &none, text, err);
}

/* @return the error of the first partition that could not be asked; what is found counts still. */
static rd_kafka_resp_err_t messages_look(struct nw_kafka_producer *producer,
                                         const struct rd_kafka_metadata_topic *topic, bool *has)
{
    rd_kafka_resp_err_t first = RD_KAFKA_RESP_ERR_NO_ERROR;

    *has = false;
    for (int i = 0; i < topic->partition_cnt && !*has; i++) {
        int64_t low = 0;
        int64_t high = 0;
        rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(
            producer->client, topic->topic, topic->partitions[i].id, &low, &high, ASK_MS);

        *has = code == RD_KAFKA_RESP_ERR_NO_ERROR && high > 0;
        first = first == RD_KAFKA_RESP_ERR_NO_ERROR ? code : first;
    }
    return first;
}

static bool has_messages(struct nw_kafka_producer *producer,
                         const struct rd_kafka_metadata_topic *topic)
{
    bool has = false;

    (void)messages_look(producer, topic, &has);
    return has;
}

/*
 * There is no ledger, or nothing in it. Is it the first start, or did somebody delete it? Topics
 * that this sink would write to, with messages, speak for the latter: a new copy into them is not
 * begun without a word.
 */
nw_status nw_kafka_first_check(struct nw_kafka_producer *producer, struct nw_error *err)
{
    struct nw_kafka_sink *sink = producer->sink;
    const struct rd_kafka_metadata *metadata = NULL;
    char beginning[NW_KAFKA_TOPIC_SIZE];
    nw_status status = beginning_make(&sink->options, beginning, err);
    rd_kafka_resp_err_t code;

    if (status != NW_OK || beginning[0] == '\0' || sink->options.uses_existing) {
        return status;
    }
    code = rd_kafka_metadata(producer->client, 1, NULL, &metadata, (int)sink->options.timeout_ms);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return nw_kafka_fail(sink, "brokers do not say which topics there are", code,
                             rd_kafka_err2str(code), err);
    }
    for (int i = 0; i < metadata->topic_cnt && status == NW_OK; i++) {
        const struct rd_kafka_metadata_topic *topic = &metadata->topics[i];

        if (strncmp(topic->topic, beginning, strlen(beginning)) == 0 &&
            has_messages(producer, topic)) {
            status =
                nw_fail(err, NW_FATAL,
                        "NW2731 topic %s, which says what is durable, %s, but topic "
                        "%s has messages: the former was deleted or emptied, or another has this "
                        "prefix. "
                        "Nothing was written. To begin with a new copy into these topics: "
                        "existing_topics: use",
                        sink->options.ledger_topic,
                        producer->ledger == NULL ? "is not there" : "is empty", topic->topic);
        }
    }
    rd_kafka_metadata_destroy(metadata);
    return status;
}

/* Whether neither its name says whose it is, nor this sink has a position. */
static bool is_doubtful(const struct nw_kafka_sink *sink)
{
    char beginning[NW_KAFKA_TOPIC_SIZE];
    struct nw_error ignored = {0};

    return !sink->positioned &&
           (beginning_make(&sink->options, beginning, &ignored) != NW_OK || beginning[0] == '\0');
}

/* Whether the ledger says that the table's first copy had begun. */
static bool has_begun(const struct nw_kafka_sink *sink, uint32_t relation_oid)
{
    for (uint32_t i = 0; i < sink->copies_count; i++) {
        if (sink->copies[i].relation_oid == relation_oid &&
            (sink->copies[i].complete || sink->copies[i].size > 0)) {
            return true;
        }
    }
    return false;
}

/* Whether the broker has messages in it. One that is not there has none. */
static nw_status topic_ask(struct nw_kafka_producer *producer, const char *name, bool *taken,
                           struct nw_error *err)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(producer->client, name, NULL);
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE;
    int64_t timeout_ms = producer->sink->options.timeout_ms;

    *taken = false;
    if (topic != NULL) {
        code = rd_kafka_metadata(producer->client, 0, topic, &metadata, (int)timeout_ms);
        rd_kafka_topic_destroy(topic);
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && metadata->topic_cnt == 1) {
        code = metadata->topics[0].err;
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            code = messages_look(producer, &metadata->topics[0], taken);
        }
    }
    if (metadata != NULL) {
        rd_kafka_metadata_destroy(metadata);
    }
    return *taken || code == RD_KAFKA_RESP_ERR_NO_ERROR ||
                   code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
               ? NW_OK
               : nw_kafka_fail(producer->sink, "brokers do not say what a topic has", code,
                               rd_kafka_err2str(code), err);
}

/* By a producer of its own, without transactions: the worker's may have one under way, and its
 * messages must not be in the topic before this is durable. One that was taken over may write it,
 * too: it is as true then. */
static nw_status witness_write(struct nw_kafka_sink *sink, const char *name, struct nw_error *err)
{
    struct nw_kafka_producer *witness = &sink->witness;
    nw_status status = NW_OK;

    if (witness->client == NULL) {
        witness->sink = sink;
        status = nw_kafka_producer_begin(witness, NULL, err);
    }
    if (status == NW_OK && witness->ledger == NULL) {
        witness->ledger = rd_kafka_topic_new(witness->client, sink->options.ledger_topic, NULL);
        status = witness->ledger != NULL ? NW_OK : nw_kafka_no_memory(err);
    }
    if (status == NW_OK) {
        status = nw_kafka_ledger_topic(witness, name, err);
    }
    return status == NW_OK ? nw_kafka_drain(witness, err) : status;
}

static nw_status topic_prove(struct nw_kafka_producer *producer, uint32_t relation_oid,
                             const char *name, struct nw_error *err)
{
    struct nw_kafka_sink *sink = producer->sink;
    bool taken = false;
    nw_status status = NW_OK;

    if (nw_kafka_ledger_has_topic(&sink->state, name)) {
        return NW_OK;
    }
    /* A copy that has begun, but without such a record, is of a narwal that wrote none. What topics
     * its tables have is not known before they come, and several may have one. */
    if (!sink->options.uses_existing && !has_begun(sink, relation_oid) &&
        (sink->state.names_topics || !nw_kafka_ledger_has_begun(&sink->state))) {
        status = topic_ask(producer, name, &taken, err);
    }
    if (status == NW_OK && taken) {
        return nw_fail(err, NW_FATAL,
                       "NW2731 topic %s, which says what is durable, has no position yet, but "
                       "topic %s has messages: the former was deleted or emptied, or another "
                       "writes there. Nothing was written to it. To begin with a new copy into "
                       "these topics: existing_topics: use",
                       sink->options.ledger_topic, name);
    }
    if (status == NW_OK) {
        status = witness_write(sink, name, err);
    }
    return status == NW_OK ? nw_kafka_ledger_topic_add(&sink->state, name, err) : status;
}

nw_status nw_kafka_topic_prove(struct nw_kafka_producer *producer, uint32_t relation_oid,
                               const char *name, struct nw_error *err)
{
    struct nw_kafka_sink *sink = producer->sink;
    nw_status status = NW_OK;

    if (is_doubtful(sink)) {
        (void)pthread_mutex_lock(&sink->proving);
        status = topic_prove(producer, relation_oid, name, err);
        (void)pthread_mutex_unlock(&sink->proving);
    }
    return status;
}
