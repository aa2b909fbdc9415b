/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is sent beside rows, each to a topic of its own, where the configuration wants it:
 *
 *   messages      key {"prefix":"app"}             the event's line: docs/files.md
 *   transactions  key {"id":"741:26752088"}        {"status":"BEGIN","id":...,"event_count":null,
 *                                                   "data_collections":null,"ts_ms":...}
 *   schemas       key {"schema":"s","table":"t"}   the event's line, and a table's columns
 *   heartbeats    key {"serverName":"PREFIX"}      {"ts_ms":...}
 *
 * Transactions and heartbeats are as Debezium's. The id of a transaction is its xid, and where the
 * event itself lies in the WAL.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "kafka/kafka.h"
#include "lib/format/connect_json.h"
#include "lib/format/notice_schema.h"

/* ---- topics ---- */

static nw_status topic_open(struct nw_kafka_producer *producer, enum nw_kafka_notice notice,
                            rd_kafka_topic_t **topic, struct nw_error *err)
{
    static const struct nw_table none = {.schema_name = "", .name = ""};
    struct nw_kafka_options named = producer->sink->options;
    char name[NW_KAFKA_TOPIC_SIZE];
    nw_status status = NW_OK;

    if (*topic != NULL) {
        return NW_OK;
    }
    named.template_ = named.notices_[notice];
    status = nw_kafka_topic_name(&named, &none, name, err);
    return status == NW_OK ? nw_kafka_topic_open(producer, name, NW_KAFKA_KEYLESS, topic, err)
                           : status;
}

void nw_kafka_notices_forget(struct nw_kafka_worker *worker)
{
    for (uint32_t i = 0; i < NW_KAFKA_NOTICES_COUNT; i++) {
        if (worker->notices[i] != NULL) {
            rd_kafka_topic_destroy(worker->notices[i]);
            worker->notices[i] = NULL;
        }
    }
    worker->messages = (struct nw_change_order){0}; /* what is not committed comes again */
}

/* ---- keys and values ---- */

static void field_text(struct nw_out *out, const char *name, const char *value)
{
    nw_out_text(out, name);
    (void)nw_json_string(out, value, strlen(value), 2);
}

/* "id":"741:26752088", as keys and values of transactions have it. */
static void id_print(const struct nw_event *event, struct nw_out *out)
{
    char id[64];

    (void)snprintf(id, sizeof id, "%" PRIu32 ":%" PRIu64, event->xid, event->lsn);
    field_text(out, "\"id\":", id);
}

static void key_print(const struct nw_event *event, struct nw_out *out)
{
    out->used = 0;
    if (event->kind == NW_EVENT_MESSAGE) {
        field_text(out, "{\"prefix\":", event->prefix);
    } else if (event->kind == NW_EVENT_SCHEMA) {
        nw_out_text(out, "{\"schema\":");
        nw_json_name(out, event->tables[0]->schema_name);
        nw_out_text(out, ",\"table\":");
        nw_json_name(out, event->tables[0]->name);
    } else {
        nw_out_text(out, "{");
        id_print(event, out);
    }
    nw_out_text(out, "}");
}

/* One of data_collections. */
static void count_print(struct nw_out *out, const char *name, uint64_t count, bool first)
{
    nw_out_text(out, first ? "{\"data_collection\":" : ",{\"data_collection\":");
    nw_json_name(out, name);
    nw_out_text(out, ",\"event_count\":");
    nw_out_u64(out, count);
    nw_out_text(out, "}");
}

/* @param messages  how many logical messages it has that say which of its changes they are */
static void counts_print(const struct nw_event *event, uint64_t messages, struct nw_out *out)
{
    uint64_t total = messages;

    for (uint32_t i = 0; i < event->counts_count; i++) {
        total += event->counts[i].rows_count;
    }
    nw_out_text(out, ",\"event_count\":");
    nw_out_u64(out, total);
    nw_out_text(out, ",\"data_collections\":[");
    for (uint32_t i = 0; i < event->counts_count; i++) {
        const struct nw_table *table = event->counts[i].table;
        char name[2 * 256];

        (void)snprintf(name, sizeof name, "%s.%s", table->schema_name, table->name);
        count_print(out, name, event->counts[i].rows_count, i == 0);
    }
    if (messages > 0) {
        count_print(out, "LOGICAL_DECODING_MESSAGE", messages, event->counts_count == 0);
    }
    nw_out_text(out, "]");
}

static void transaction_print(const struct nw_event *event, const struct nw_change_order *messages,
                              struct nw_out *out)
{
    nw_out_text(out,
                event->kind == NW_EVENT_BEGIN ? "{\"status\":\"BEGIN\"," : "{\"status\":\"END\",");
    id_print(event, out);
    if (event->kind == NW_EVENT_COMMIT) {
        counts_print(event, messages->commit_lsn == event->commit_lsn ? messages->count : 0, out);
    } else {
        nw_out_text(out, ",\"event_count\":null,\"data_collections\":null");
    }
    nw_out_text(out, ",\"ts_ms\":");
    nw_out_i64(out, event->commit_ts / 1000);
    nw_out_text(out, "}");
}

/* The event's line, and for a new version all that is known of the table. */
static void line_print(const struct nw_event *event, struct nw_out *out)
{
    nw_json_event(event, event->kind == NW_EVENT_SCHEMA ? event->tables[0]->version : 0, out);
    out->used -= out->used > 0; /* the line's end */
    if (event->kind == NW_EVENT_SCHEMA && out->used > 0) {
        out->used--;
        nw_out_text(out, ",\"columns\":");
        nw_json_schema(event->tables[0], out);
        nw_out_text(out, "}");
    }
}

/* ---- sending ---- */

static bool notice_of(const struct nw_event *event, enum nw_kafka_notice *notice)
{
    switch (event->kind) {
    case NW_EVENT_BEGIN:
    case NW_EVENT_COMMIT:
        *notice = NW_KAFKA_TRANSACTIONS;
        return true;
    case NW_EVENT_MESSAGE:
        *notice = NW_KAFKA_MESSAGES;
        return true;
    case NW_EVENT_SCHEMA:
        *notice = NW_KAFKA_SCHEMAS;
        return true;
    case NW_EVENT_TRUNCATE:
    case NW_EVENT_DROP:
        break;
    }
    return false;
}

/* Puts a schema around what was printed, where messages have them. */
static void schema_wrap(const struct nw_kafka_sink *sink, const struct nw_connect_schema *schema,
                        struct nw_out *out)
{
    struct nw_out whole = {0};

    if (schema == NULL || sink->options.format.kind != NW_FORMAT_DEBEZIUM_JSON ||
        !sink->options.format.debezium.schemas) {
        return;
    }
    nw_out_text(&whole, "{\"schema\":");
    nw_connect_json_schema(&whole, schema, NULL);
    nw_out_text(&whole, ",\"payload\":");
    nw_out_bytes(&whole, out->bytes, out->used);
    nw_out_text(&whole, "}");
    out->used = 0;
    nw_out_bytes(out, whole.bytes, whole.used);
    out->failed = out->failed || whole.failed;
    nw_out_fini(&whole);
}

/* What Debezium has a schema for. */
static void schemas_wrap(const struct nw_kafka_sink *sink, enum nw_kafka_notice notice,
                         struct nw_out *key, struct nw_out *value)
{
    static const struct {
        const struct nw_connect_schema *key, *value;
    } schemas[NW_KAFKA_NOTICES_COUNT] = {
        [NW_KAFKA_TRANSACTIONS] = {&nw_transaction_key_schema, &nw_transaction_value_schema},
        [NW_KAFKA_HEARTBEATS] = {&nw_heartbeat_key_schema, &nw_heartbeat_value_schema},
        [NW_KAFKA_NOTIFICATIONS] = {&nw_notification_key_schema, &nw_notification_value_schema}};

    schema_wrap(sink, schemas[notice].key, key);
    schema_wrap(sink, schemas[notice].value, value);
}

nw_status nw_kafka_notice_send(struct nw_kafka_worker *worker, enum nw_kafka_notice notice,
                               struct nw_error *err)
{
    const struct nw_kafka_message message = {.key = &worker->key, .value = &worker->value};
    nw_status status = NW_OK;

    if (worker->sink->options.notices_[notice] == NULL) {
        return NW_OK;
    }
    schemas_wrap(worker->sink, notice, &worker->key, &worker->value);
    if (worker->key.failed || worker->value.failed) {
        worker->key.failed = worker->value.failed = false;
        return nw_kafka_no_memory(err);
    }
    status = topic_open(worker->producer, notice, &worker->notices[notice], err);
    if (status == NW_OK) {
        rd_kafka_topic_t *topic = worker->notices[notice];

        status =
            nw_kafka_send_sized(worker->producer, topic, &message,
                                nw_kafka_alone_from(worker->sink, rd_kafka_topic_name(topic)), err);
    }
    if (status == NW_REJECT) { /* no table can stop instead, and nothing is left out */
        err->status = status = NW_FATAL;
    }
    return status;
}

nw_status nw_kafka_prefixes_make(struct nw_kafka_options *options, const char *const *include,
                                 const char *const *exclude, struct nw_error *err)
{
    const char *const *items = include != NULL ? include : exclude;
    size_t count = 0;
    char why[256] = "out of memory";

    if (include != NULL && exclude != NULL) {
        return nw_fail(err, NW_FATAL,
                       "NW1008 %s: messages_exclude is of use without "
                       "messages_include only",
                       options->name);
    }
    while (items != NULL && items[count] != NULL) {
        count++;
    }
    options->prefixes_excluded = exclude != NULL;
    options->prefixes = calloc(count + 1, sizeof(struct nw_regex *));
    for (size_t i = 0; i < count && options->prefixes != NULL; i++) {
        options->prefixes[i] = nw_regex_create(items[i], "", why, sizeof why);
        if (options->prefixes[i] == NULL) {
            return nw_fail(err, NW_FATAL, "NW1003 %s: %s: \"%s\": %s", options->name,
                           include != NULL ? "messages_include" : "messages_exclude", items[i],
                           why);
        }
        options->prefixes_count++;
    }
    return options->prefixes == NULL
               ? nw_fail(err, NW_FATAL, "NW2901 out of memory for sink %s", options->name)
               : NW_OK;
}

void nw_kafka_prefixes_destroy(struct nw_kafka_options *options)
{
    for (uint32_t i = 0; i < options->prefixes_count; i++) {
        nw_regex_destroy(options->prefixes[i]);
    }
    free((void *)options->prefixes);
    options->prefixes = NULL;
    options->prefixes_count = 0;
}

static bool is_followed(const struct nw_kafka_options *options, const char *prefix)
{
    char nothing[1];

    for (uint32_t i = 0; i < options->prefixes_count; i++) {
        if (nw_regex_replace(options->prefixes[i], prefix, nothing, sizeof nothing) !=
            NW_REGEX_OTHER) {
            return !options->prefixes_excluded;
        }
    }
    return options->prefixes_count == 0 || options->prefixes_excluded;
}

nw_status nw_kafka_notice(struct nw_kafka_worker *worker, const struct nw_event *event,
                          struct nw_error *err)
{
    enum nw_kafka_notice notice;

    if (!notice_of(event, &notice) || worker->sink->options.notices_[notice] == NULL) {
        return NW_OK;
    }
    if (notice == NW_KAFKA_MESSAGES && !is_followed(&worker->sink->options, event->prefix)) {
        return NW_OK;
    }
    worker->value.used = 0;
    key_print(event, &worker->key);
    if (notice == NW_KAFKA_MESSAGES && worker->sink->options.format.kind != NW_FORMAT_NARWAL) {
        nw_kafka_envelope_notice(worker, event);
    } else if (notice == NW_KAFKA_TRANSACTIONS) {
        transaction_print(event, &worker->messages, &worker->value);
    } else {
        line_print(event, &worker->value);
    }
    return nw_kafka_notice_send(worker, notice, err);
}

/* ---- heartbeats ---- */

nw_status nw_kafka_heart_begin(struct nw_kafka_sink *sink, struct nw_error *err)
{
    nw_status status = NW_OK;

    if (sink->options.heartbeat_us == 0 || sink->options.notices_[NW_KAFKA_HEARTBEATS] == NULL) {
        return NW_OK;
    }
    sink->heart.sink = sink;
    status = nw_kafka_producer_begin(&sink->heart, NULL, err);
    return status == NW_OK ? topic_open(&sink->heart, NW_KAFKA_HEARTBEATS, &sink->heart_topic, err)
                           : status;
}

void nw_kafka_heart_end(struct nw_kafka_sink *sink)
{
    if (sink->heart_topic != NULL) {
        rd_kafka_topic_destroy(sink->heart_topic);
        sink->heart_topic = NULL;
    }
    nw_kafka_producer_end(&sink->heart);
    sink->heart.failed = RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* One that cannot be sent is left out: the next one says more. */
void nw_kafka_beat(struct nw_kafka_sink *sink)
{
    int64_t now_us = sink->host->wall_us(sink->host);
    struct nw_out key = {0};
    struct nw_out value = {0};
    struct nw_kafka_message message = {.key = &key, .value = &value};
    struct nw_error err = {0};

    if (sink->heart_topic == NULL) {
        return;
    }
    (void)rd_kafka_poll(sink->heart.client, 0);
    if (now_us >= sink->beat_us && now_us - sink->beat_us < sink->options.heartbeat_us) {
        return;
    }
    sink->beat_us = now_us;
    field_text(&key, "{\"serverName\":", sink->options.prefix);
    nw_out_text(&key, "}");
    nw_out_text(&value, "{\"ts_ms\":");
    nw_out_i64(&value, now_us / 1000);
    nw_out_text(&value, "}");
    schemas_wrap(sink, NW_KAFKA_HEARTBEATS, &key, &value);
    /* While brokers are away one waits, not hundreds. */
    if (!key.failed && !value.failed && rd_kafka_outq_len(sink->heart.client) == 0) {
        sink->heart.failed = RD_KAFKA_RESP_ERR_NO_ERROR;
        if (nw_kafka_send(&sink->heart, sink->heart_topic, &message, &err) != NW_OK) {
            sink->host->log(sink->host, NW_LOG_DEBUG, "no heartbeat: %s", err.text);
        }
    }
    nw_out_fini(&key);
    nw_out_fini(&value);
}
