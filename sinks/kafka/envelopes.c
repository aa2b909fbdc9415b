/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows and events as Debezium's messages; their form is in lib/format/debezium.h.
 *
 *   insert, update   one message
 *   delete           one, and a tombstone
 *   a changed key    a delete of the former one with the header __debezium.newkey, a tombstone, an
 *                    insert of the new one with the header __debezium.oldkey
 */
#include <string.h>

#include "kafka/kafka.h"

static nw_status no_memory(struct nw_error *err)
{
    return nw_fail(err, NW_RETRY, "out of memory for messages");
}

static const char *database_of(const struct nw_host *host)
{
    return host->size > offsetof(struct nw_host, database) && host->database != NULL
               ? host->database
               : "";
}

nw_status nw_kafka_envelope_make(struct nw_kafka_sink *sink, const struct nw_table *table,
                                 struct nw_format_table **format, struct nw_error *err)
{
    struct nw_kafka_options named = sink->options;
    char name[NW_KAFKA_TOPIC_SIZE];
    nw_status status = NW_OK;

    named.template_ = "{prefix}.{schema}.{table}"; /* schemas have it, whatever the topic is */
    status = nw_kafka_topic_name(&named, table, name, err);
    if (status != NW_OK) {
        return status;
    }
    *format = nw_format_table_create(table, name, sink->options.prefix, database_of(sink->host),
                                     &sink->options.format);
    return *format == NULL ? no_memory(err) : NW_OK;
}

static bool same(const struct nw_out *a, const struct nw_out *b)
{
    return a->used == b->used && memcmp(a->bytes, b->bytes, a->used) == 0;
}

static nw_status key_print(struct nw_format_table *format, const struct nw_row *row, int side,
                           struct nw_out *out, struct nw_error *err)
{
    out->used = 0;
    return nw_debezium_key(format->debezium, row, side, out, err);
}

/* Sends the value of a change, with the other key as a header when there is one. */
static nw_status value_send(struct nw_kafka_worker *worker, struct nw_kafka_table *table,
                            const struct nw_row *row, struct nw_kafka_message *message,
                            struct nw_error *err)
{
    nw_status status = NW_OK;

    worker->value.used = 0;
    message->value = &worker->value;
    status = nw_debezium_value(table->format->debezium, row, &worker->value, err);
    return status == NW_OK ? nw_kafka_message_send(worker, table, message, err) : status;
}

/* A message with the key of the other image as a header. */
static nw_status header_print(struct nw_kafka_worker *worker, struct nw_kafka_table *table,
                              const struct nw_row *row, int side, struct nw_kafka_message *message,
                              struct nw_error *err)
{
    worker->header.used = 0;
    *message = (struct nw_kafka_message){
        .key = side == NW_AFTER ? &worker->former_key : &worker->key,
        .header = side == NW_AFTER ? "__debezium.newkey" : "__debezium.oldkey",
        .header_value = &worker->header};
    return nw_debezium_bare_key(table->format->debezium, row, side, &worker->header, err);
}

/* An update that changes the key, from worker->step on. */
static nw_status moved_send(struct nw_kafka_worker *worker, struct nw_kafka_table *table,
                            const struct nw_row *row, struct nw_error *err)
{
    struct nw_kafka_message message;
    struct nw_change change = *row->change;
    const struct nw_row part = {.table = row->table,
                                .batch = row->batch,
                                .row = row->row,
                                .origin = row->origin,
                                .change = &change,
                                .scratch = row->scratch};
    nw_status status = NW_OK;

    if (worker->step < 2) {
        status = header_print(worker, table, row, NW_AFTER, &message, err);
    }
    if (status == NW_OK && worker->step == 0) {
        change.op = 'd';
        change.after = false;
        status = value_send(worker, table, &part, &message, err);
        worker->step = status == NW_OK ? 1 : 0;
    }
    if (status == NW_OK && worker->step == 1) {
        message.value = NULL;
        if (worker->sink->options.tombstones) {
            status = nw_kafka_message_send(worker, table, &message, err);
        }
        worker->step = status == NW_OK ? 2 : 1;
    }
    if (status != NW_OK) {
        return status;
    }
    status = header_print(worker, table, row, NW_BEFORE, &message, err);
    change.op = 'c';
    change.before = false;
    change.after = true;
    return status == NW_OK ? value_send(worker, table, &part, &message, err) : status;
}

/* Any other change, from worker->step on. */
static nw_status change_send(struct nw_kafka_worker *worker, struct nw_kafka_table *table,
                             const struct nw_row *row, bool keyed, struct nw_error *err)
{
    struct nw_kafka_message message = {.key = keyed ? &worker->key : NULL};
    nw_status status = NW_OK;

    if (worker->step == 0) {
        status = value_send(worker, table, row, &message, err);
        worker->step = status == NW_OK ? 1 : 0;
    }
    if (status == NW_OK && row->change->op == 'd' && keyed && worker->sink->options.tombstones) {
        message.value = NULL;
        status = nw_kafka_message_send(worker, table, &message, err);
    }
    return status;
}

nw_status nw_kafka_envelope_send(struct nw_kafka_worker *worker, struct nw_kafka_table *table,
                                 const struct nw_batch *batch, struct nw_error *err)
{
    struct nw_format_table *format = table->format;
    const struct nw_change change =
        nw_change_of_row(&format->texts, batch, worker->row, worker->now_ns);
    const struct nw_row row = {.table = format->connect,
                               .batch = batch,
                               .row = worker->row,
                               .origin = &format->origin,
                               .change = &change,
                               .scratch = format->scratch};
    bool keyed = format->connect->key != NULL;
    nw_status status = NW_OK;

    if (keyed) {
        status =
            key_print(format, &row, change.op == 'd' ? NW_BEFORE : NW_AFTER, &worker->key, err);
    }
    if (status == NW_OK && keyed && change.op == 'u' && change.before) {
        status = key_print(format, &row, NW_BEFORE, &worker->former_key, err);
        if (status == NW_OK && !same(&worker->key, &worker->former_key)) {
            status = moved_send(worker, table, &row, err);
            worker->step = status == NW_OK ? 0 : worker->step;
            return status;
        }
    }
    if (status == NW_OK) {
        status = change_send(worker, table, &row, keyed, err);
        worker->step = status == NW_OK ? 0 : worker->step;
    }
    return status;
}

nw_status nw_kafka_envelope_truncate(struct nw_kafka_worker *worker, struct nw_kafka_table *table,
                                     const struct nw_event *event, struct nw_error *err)
{
    struct nw_format_table *format = table->format;
    const struct nw_change change = nw_change_of_event(
        &format->texts, event, worker->sink->host->wall_us(worker->sink->host) * 1000);
    const struct nw_row row = {.table = format->connect,
                               .origin = &format->origin,
                               .change = &change,
                               .scratch = format->scratch};
    struct nw_kafka_message message = {.key = NULL};

    return value_send(worker, table, &row, &message, err);
}

void nw_kafka_envelope_notice(struct nw_kafka_worker *worker, const struct nw_event *event)
{
    struct nw_kafka_sink *sink = worker->sink;
    const struct nw_format_options *options = &sink->options.format;
    const struct nw_origin origin = {.version = NW_FORMAT_VERSION,
                                     .name = sink->options.prefix,
                                     .database = database_of(sink->host)};
    struct nw_change_texts texts;
    const struct nw_change change =
        nw_change_of_event(&texts, event, sink->host->wall_us(sink->host) * 1000);

    worker->key.used = worker->value.used = 0;
    nw_debezium_message_key(event, &options->debezium, &worker->key);
    nw_debezium_message(event, &origin, &change, options->connect.binaries, &options->debezium,
                        &worker->value);
}
