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
 * event itself lies in the WAL. In the format debezium_avro all but schemas are in Avro, as is what
 * notifications.c sends; keys too, where those of rows are.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "kafka/kafka.h"
#include "lib/format/connect_json.h"
#include "lib/format/notice_avro.h"
#include "lib/format/notice_schema.h"

#define ID_SIZE  64u
#define ASK_NS   (INT64_C(5) * 1000000000)  /* until the registry is asked again for a schema */
#define AGAIN_NS (INT64_C(60) * 1000000000) /* until it is said again that it refuses one */

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

static void waits_set(struct nw_kafka_worker *worker, struct nw_kafka_notice_ids *ids, bool waits)
{
    if (ids->waits != waits) {
        ids->waits = waits;
        (void)pthread_mutex_lock(&worker->sink->lock);
        worker->sink->waits += waits ? 1u : UINT32_MAX;
        nw_kafka_figures_waits(worker->sink);
        (void)pthread_mutex_unlock(&worker->sink->lock);
    }
}

void nw_kafka_notices_forget(struct nw_kafka_worker *worker)
{
    for (uint32_t i = 0; i < NW_KAFKA_NOTICES_COUNT; i++) {
        if (worker->notices[i] != NULL) {
            rd_kafka_topic_destroy(worker->notices[i]);
            worker->notices[i] = NULL;
        }
        waits_set(worker, &worker->notice_ids[i], false);
        worker->notice_ids[i] = (struct nw_kafka_notice_ids){0};
    }
    worker->messages = (struct nw_change_order){0}; /* what is not committed comes again */
}

/* ---- schemas ---- */

/* What Debezium has a schema for. */
struct schemas {
    const struct nw_connect_schema *key, *value; /* NULL: none */
};

static struct schemas schemas_of(const struct nw_kafka_options *options,
                                 enum nw_kafka_notice notice)
{
    switch (notice) {
    case NW_KAFKA_MESSAGES:
        return (struct schemas){&nw_message_key_schema,
                                nw_message_value_schema(options->format.connect.binaries)};
    case NW_KAFKA_TRANSACTIONS:
        return (struct schemas){&nw_transaction_key_schema, &nw_transaction_value_schema};
    case NW_KAFKA_HEARTBEATS:
        return (struct schemas){&nw_heartbeat_key_schema, &nw_heartbeat_value_schema};
    case NW_KAFKA_NOTIFICATIONS:
        return (struct schemas){&nw_notification_key_schema, &nw_notification_value_schema};
    case NW_KAFKA_SCHEMAS:
    case NW_KAFKA_NOTICES_COUNT:
        break;
    }
    return (struct schemas){NULL, NULL};
}

bool nw_kafka_notices_are_avro(const struct nw_kafka_options *options)
{
    return options->format.kind == NW_FORMAT_DEBEZIUM_AVRO;
}

bool nw_kafka_notice_keys_are_avro(const struct nw_kafka_options *options)
{
    return nw_kafka_notices_are_avro(options) && options->form.key_form == NW_KEY_SAME;
}

static nw_status ids_find(struct nw_kafka_worker *worker, enum nw_kafka_notice notice,
                          const char *topic, struct nw_kafka_notice_ids *ids, struct nw_error *err)
{
    const struct nw_kafka_options *options = &worker->sink->options;
    const struct schemas schemas = schemas_of(options, notice);
    nw_status status = NW_OK;

    if (ids->known || schemas.value == NULL || !nw_kafka_notices_are_avro(options)) {
        return NW_OK;
    }
    if (nw_kafka_notice_keys_are_avro(options)) {
        status = nw_kafka_schema_id(worker, schemas.key, topic, true, &ids->key, err);
    }
    if (status == NW_OK) {
        status = nw_kafka_schema_id(worker, schemas.value, topic, false, &ids->value, err);
    }
    ids->known = status == NW_OK;
    return status;
}

bool nw_kafka_notices_wait(const struct nw_kafka_worker *worker)
{
    for (uint32_t i = 0; i < NW_KAFKA_NOTICES_COUNT; i++) {
        if (worker->notice_ids[i].waits) {
            return true;
        }
    }
    return false;
}

/* A commit that waits would not let the sink be closed. */
static nw_status waiting(const struct nw_kafka_sink *sink, const char *topic, struct nw_error *err)
{
    return nw_kafka_leaves(sink)
               ? nw_fail(err, NW_RETRY, "NW2722 the schema registry has not taken a schema of %s",
                         topic)
               : NW_AGAIN;
}

/*
 * No table can stop instead, nothing is left out, and what was sent since the last commit is not to
 * come again and again: so the worker waits there, while other sinks go on.
 * @return NW_AGAIN: the registry did not take a schema; NW_RETRY also: nor is it waited for any
 * more
 */
static nw_status ids_wait(struct nw_kafka_worker *worker, enum nw_kafka_notice notice,
                          struct nw_error *err)
{
    struct nw_kafka_notice_ids *ids = &worker->notice_ids[notice];
    const struct nw_host *host = worker->sink->host;
    const char *topic = rd_kafka_topic_name(worker->notices[notice]);
    int64_t now_ns = host->now_ns(host);
    nw_status status = NW_OK;

    if (ids->waits && now_ns < ids->ask_ns) {
        return waiting(worker->sink, topic, err);
    }
    status = ids_find(worker, notice, topic, ids, err);
    if (status == NW_REJECT) {
        if (!ids->waits || now_ns >= ids->again_ns) {
            host->log(host, NW_LOG_ERROR,
                      "%s. No table can stop for it: the sink waits until it is taken", err->text);
            ids->again_ns = now_ns + AGAIN_NS;
        }
        ids->ask_ns = now_ns + ASK_NS;
        waits_set(worker, ids, true);
        return waiting(worker->sink, topic, err);
    }
    if (status == NW_OK && ids->waits) {
        host->log(host, NW_LOG_INFO, "the schema registry has the schemas of %s now: it goes on",
                  topic);
        waits_set(worker, ids, false);
    }
    return status;
}

/* What both begin with. */
static void heads_print(const struct nw_kafka_options *options,
                        const struct nw_kafka_notice_ids *ids, struct nw_out *key,
                        struct nw_out *value)
{
    key->used = value->used = 0;
    if (ids->known && nw_kafka_notice_keys_are_avro(options)) {
        nw_avro_header(key, ids->key);
    }
    if (ids->known) {
        nw_avro_header(value, ids->value);
    }
}

nw_status nw_kafka_notice_begin(struct nw_kafka_worker *worker, enum nw_kafka_notice notice,
                                struct nw_error *err)
{
    struct nw_kafka_notice_ids *ids = &worker->notice_ids[notice];
    nw_status status = NW_OK;

    if (worker->sink->options.notices_[notice] != NULL) {
        status = topic_open(worker->producer, notice, &worker->notices[notice], err);
        if (status == NW_REJECT) {
            err->status = status = NW_FATAL;
        }
    }
    if (status == NW_OK && worker->notices[notice] != NULL) {
        status = ids_wait(worker, notice, err);
    }
    heads_print(&worker->sink->options, ids, &worker->key, &worker->value);
    return status;
}

/* ---- keys and values ---- */

static void field_text(struct nw_out *out, const char *name, const char *value)
{
    nw_out_text(out, name);
    (void)nw_json_string(out, value, strlen(value), 2);
}

/* 741:26752088, as keys and values of transactions have it. */
static const char *id_make(const struct nw_event *event, char id[static ID_SIZE])
{
    (void)snprintf(id, ID_SIZE, "%" PRIu32 ":%" PRIu64, event->xid, event->lsn);
    return id;
}

static void id_print(const struct nw_event *event, struct nw_out *out)
{
    char id[ID_SIZE];

    field_text(out, "\"id\":", id_make(event, id));
}

static void key_print(const struct nw_event *event, struct nw_out *out)
{
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

static uint64_t messages_count(const struct nw_event *event, const struct nw_change_order *messages)
{
    return messages->commit_lsn == event->commit_lsn ? messages->count : 0;
}

static void transaction_print(const struct nw_event *event, const struct nw_change_order *messages,
                              struct nw_out *out)
{
    nw_out_text(out,
                event->kind == NW_EVENT_BEGIN ? "{\"status\":\"BEGIN\"," : "{\"status\":\"END\",");
    id_print(event, out);
    if (event->kind == NW_EVENT_COMMIT) {
        counts_print(event, messages_count(event, messages), out);
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

/* Logical messages have theirs already. */
static void schemas_wrap(const struct nw_kafka_sink *sink, enum nw_kafka_notice notice,
                         struct nw_out *key, struct nw_out *value)
{
    const struct schemas schemas = schemas_of(&sink->options, notice);

    if (notice != NW_KAFKA_MESSAGES) {
        schema_wrap(sink, schemas.key, key);
        schema_wrap(sink, schemas.value, value);
    }
}

nw_status nw_kafka_notice_send(struct nw_kafka_worker *worker, enum nw_kafka_notice notice,
                               struct nw_error *err)
{
    const struct nw_kafka_message message = {.key = &worker->key, .value = &worker->value};
    rd_kafka_topic_t *topic = worker->notices[notice];
    nw_status status = NW_OK;

    if (worker->sink->options.notices_[notice] == NULL) {
        return NW_OK;
    }
    schemas_wrap(worker->sink, notice, &worker->key, &worker->value);
    if (worker->key.failed || worker->value.failed) {
        worker->key.failed = worker->value.failed = false;
        return nw_kafka_no_memory(err);
    }
    status =
        nw_kafka_send_sized(worker->producer, topic, &message,
                            nw_kafka_alone_from(worker->sink, rd_kafka_topic_name(topic)), err);
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

static bool is_enveloped(const struct nw_kafka_worker *worker, enum nw_kafka_notice notice)
{
    return notice == NW_KAFKA_MESSAGES && worker->sink->options.format.kind != NW_FORMAT_NARWAL;
}

static void key_make(struct nw_kafka_worker *worker, enum nw_kafka_notice notice,
                     const struct nw_event *event)
{
    const struct nw_kafka_options *options = &worker->sink->options;
    const struct nw_connect_schema *schema = schemas_of(options, notice).key;
    char id[ID_SIZE];

    if (schema != NULL && nw_kafka_notice_keys_are_avro(options)) {
        nw_avro_notice_key(&worker->key, schema,
                           notice == NW_KAFKA_MESSAGES ? event->prefix : id_make(event, id));
    } else if (is_enveloped(worker, notice)) {
        nw_debezium_message_key(event, &options->format.debezium, &worker->key);
    } else {
        key_print(event, &worker->key);
    }
}

static nw_status value_make(struct nw_kafka_worker *worker, enum nw_kafka_notice notice,
                            const struct nw_event *event, struct nw_error *err)
{
    const struct nw_change_order *messages = &worker->messages;
    char id[ID_SIZE];

    if (is_enveloped(worker, notice)) {
        return nw_kafka_envelope_notice(worker, event, err);
    }
    if (notice != NW_KAFKA_TRANSACTIONS) {
        line_print(event, &worker->value);
    } else if (nw_kafka_notices_are_avro(&worker->sink->options)) {
        nw_avro_transaction(&worker->value, event, id_make(event, id),
                            messages_count(event, messages));
    } else {
        transaction_print(event, messages, &worker->value);
    }
    return NW_OK;
}

nw_status nw_kafka_notice(struct nw_kafka_worker *worker, const struct nw_event *event,
                          struct nw_error *err)
{
    enum nw_kafka_notice notice;
    nw_status status = NW_OK;

    if (!notice_of(event, &notice) || worker->sink->options.notices_[notice] == NULL) {
        return NW_OK;
    }
    if (notice == NW_KAFKA_MESSAGES && !is_followed(&worker->sink->options, event->prefix)) {
        return NW_OK;
    }
    status = nw_kafka_notice_begin(worker, notice, err);
    if (status == NW_OK) {
        key_make(worker, notice, event);
        status = value_make(worker, notice, event, err);
    }
    return status == NW_OK ? nw_kafka_notice_send(worker, notice, err) : status;
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
    if (status == NW_OK) {
        status = topic_open(&sink->heart, NW_KAFKA_HEARTBEATS, &sink->heart_topic, err);
        if (status == NW_REJECT) {
            err->status = status = NW_FATAL;
        }
    }
    if (status == NW_OK) { /* no worker works now: one of theirs may ask */
        status = ids_find(&sink->workers[0], NW_KAFKA_HEARTBEATS,
                          rd_kafka_topic_name(sink->heart_topic), &sink->heart_ids, err);
        if (status == NW_REJECT) { /* nothing is sent yet: it begins again until it is taken */
            err->status = status = NW_RETRY;
        }
    }
    return status;
}

void nw_kafka_heart_end(struct nw_kafka_sink *sink)
{
    if (sink->heart_topic != NULL) {
        rd_kafka_topic_destroy(sink->heart_topic);
        sink->heart_topic = NULL;
    }
    sink->heart_ids = (struct nw_kafka_notice_ids){0};
    nw_kafka_producer_end(&sink->heart);
    sink->heart.failed = RD_KAFKA_RESP_ERR_NO_ERROR;
}

static void beat_make(const struct nw_kafka_sink *sink, struct nw_out *key, struct nw_out *value)
{
    const struct nw_kafka_options *options = &sink->options;
    const int64_t now_ms = sink->beat_us / 1000;

    heads_print(options, &sink->heart_ids, key, value);
    if (nw_kafka_notice_keys_are_avro(options)) {
        nw_avro_notice_key(key, &nw_heartbeat_key_schema, options->prefix);
    } else {
        field_text(key, "{\"serverName\":", options->prefix);
        nw_out_text(key, "}");
    }
    if (nw_kafka_notices_are_avro(options)) {
        nw_avro_long(value, now_ms);
    } else {
        nw_out_text(value, "{\"ts_ms\":");
        nw_out_i64(value, now_ms);
        nw_out_text(value, "}");
    }
    schemas_wrap(sink, NW_KAFKA_HEARTBEATS, key, value);
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
    beat_make(sink, &key, &value);
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
