/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows and events as Debezium's messages; their form is in lib/format/debezium.h.
 *
 *   insert, update   one message
 *   delete           one, and a tombstone
 *   a changed key    a delete of the former one with the header __debezium.newkey, a tombstone, an
 *                    insert of the new one with the header __debezium.oldkey
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "kafka/kafka.h"

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
    *format = nw_format_table_create(table, name, sink->options.prefix,
                                     nw_format_database(sink->host), &sink->options.format);
    if (*format == NULL) {
        return nw_kafka_no_memory(err);
    }
    return nw_format_table_check(*format, sink->host, err);
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

/* ---- of copied rows ---- */

static const char *snapshot_of(struct nw_kafka_worker *worker,
                               const struct nw_kafka_copying *copying)
{
    struct nw_kafka_sink *sink = worker->sink;
    bool first = false;

    if (sink->positioned) {
        return "incremental";
    }
    if (copying == NULL || copying->rows > 0) {
        return "true";
    }
    (void)pthread_mutex_lock(&sink->lock);
    if (sink->first_oid == 0) {
        sink->first_oid = copying->relation_oid;
    }
    first = sink->first_oid == copying->relation_oid;
    (void)pthread_mutex_unlock(&sink->lock);
    return first ? "first" : "first_in_data_collection";
}

/* Keeps the message, which may turn out to be the table's last. */
static nw_status row_hold(struct nw_kafka_worker *worker, struct nw_kafka_table *table,
                          const struct nw_row *row, struct nw_kafka_copying *copying,
                          struct nw_error *err)
{
    struct nw_change change = *row->change;
    struct nw_row last = *row;
    nw_status status = NW_OK;

    copying->keyed = row->table->key != NULL;
    copying->table = row->batch->table;
    copying->key.used = copying->value.used = copying->last.used = 0;
    nw_out_bytes(&copying->key, worker->key.bytes, copying->keyed ? worker->key.used : 0);
    status = nw_debezium_value(table->format->debezium, row, &copying->value, err);
    if (strcmp(change.snapshot, "first") != 0) { /* which says more, as Debezium sees it */
        change.snapshot = "last_in_data_collection";
    }
    last.change = &change;
    if (status == NW_OK) {
        status = nw_debezium_value(table->format->debezium, &last, &copying->last, err);
    }
    if (copying->key.failed || copying->value.failed || copying->last.failed) {
        copying->key.failed = copying->value.failed = copying->last.failed = false;
        return nw_kafka_no_memory(err);
    }
    /* One that brokers may refuse is sent now: its row is to be blamed, and no other. */
    copying->held = status == NW_OK &&
                    copying->key.used + copying->last.used < NW_KAFKA_HELD_BYTES_MAX &&
                    copying->key.used + copying->last.used < table->alone_from;
    return status;
}

/* ---- of transactions ---- */

/* Which of the transaction's changes it is, and which of this table's. Asked again for a message
 * that was not taken. */
void nw_kafka_transaction_set(struct nw_kafka_worker *worker, struct nw_kafka_table *table,
                              uint64_t commit_lsn, uint64_t seq, struct nw_change *change)
{
    if (worker->sink->options.notices_[NW_KAFKA_TRANSACTIONS] != NULL) {
        nw_change_order_set(&table->order, commit_lsn, seq, change);
    }
}

struct nw_change nw_kafka_change_of(struct nw_kafka_worker *worker, struct nw_kafka_table *table,
                                    struct nw_format_table *format, const struct nw_batch *batch)
{
    const size_t at = (size_t)batch->first_row + worker->row;
    struct nw_change change = nw_change_of_row(&format->texts, batch, worker->row, worker->now_ns);

    if (change.op == 'r') {
        change.snapshot =
            snapshot_of(worker, nw_kafka_copying_find(worker, batch->table->relation_oid));
    } else {
        nw_kafka_transaction_set(worker, table, batch->commit_lsn[at], batch->seq[at], &change);
    }
    return change;
}

/* The row's key, and the former one where an update changes it. @param moved  filled: it does */
static nw_status keys_print(struct nw_kafka_worker *worker, struct nw_format_table *format,
                            const struct nw_row *row, bool *moved, struct nw_error *err)
{
    char op = row->change->op;
    nw_status status = NW_OK;

    *moved = false;
    if (format->connect->key == NULL) {
        return NW_OK;
    }
    status = key_print(format, row, op == 'd' ? NW_BEFORE : NW_AFTER, &worker->key, err);
    if (status == NW_OK && op == 'u' && row->change->before) {
        status = key_print(format, row, NW_BEFORE, &worker->former_key, err);
        *moved = status == NW_OK && !nw_out_same(&worker->key, &worker->former_key);
    }
    return status;
}

/* Of the first copy the last row of a batch waits until it is known whether it is the table's last.
 * @param held  filled: so does this one */
static nw_status last_hold(struct nw_kafka_worker *worker, struct nw_kafka_table *table,
                           const struct nw_row *row, bool *held, struct nw_error *err)
{
    struct nw_kafka_copying *copying = NULL;
    nw_status status = NW_OK;

    *held = false;
    if (row->change->op != 'r' || worker->sink->positioned ||
        worker->row + 1 != row->batch->rows_count) {
        return NW_OK;
    }
    copying = nw_kafka_copying_find(worker, row->batch->table->relation_oid);
    if (copying != NULL) {
        status = row_hold(worker, table, row, copying, err);
        *held = copying->held;
    }
    return status;
}

nw_status nw_kafka_envelope_send(struct nw_kafka_worker *worker, struct nw_kafka_table *table,
                                 const struct nw_batch *batch, struct nw_error *err)
{
    struct nw_format_table *format = table->format;
    const struct nw_change change = nw_kafka_change_of(worker, table, format, batch);
    const struct nw_row row = {.table = format->connect,
                               .batch = batch,
                               .row = worker->row,
                               .origin = &format->origin,
                               .change = &change,
                               .scratch = format->scratch};
    bool moved = false;
    bool held = false;
    nw_status status = keys_print(worker, format, &row, &moved, err);

    if (status == NW_OK && !moved) {
        status = last_hold(worker, table, &row, &held, err);
    }
    if (status == NW_OK && !held) {
        status = moved ? moved_send(worker, table, &row, err)
                       : change_send(worker, table, &row, format->connect->key != NULL, err);
        worker->step = status == NW_OK ? 0 : worker->step;
    }
    return status;
}

nw_status nw_kafka_envelope_truncate(struct nw_kafka_worker *worker, struct nw_kafka_table *table,
                                     const struct nw_event *event, struct nw_error *err)
{
    struct nw_format_table *format = table->format;
    struct nw_change change = nw_change_of_event(
        &format->texts, event, worker->sink->host->wall_us(worker->sink->host) * 1000);
    const struct nw_row row = {.table = format->connect,
                               .origin = &format->origin,
                               .change = &change,
                               .scratch = format->scratch};
    struct nw_kafka_message message = {.key = NULL};

    nw_kafka_transaction_set(worker, table, event->commit_lsn, event->seq, &change);
    return value_send(worker, table, &row, &message, err);
}

void nw_kafka_envelope_notice(struct nw_kafka_worker *worker, const struct nw_event *event)
{
    struct nw_kafka_sink *sink = worker->sink;
    const struct nw_format_options *options = &sink->options.format;
    const struct nw_origin origin = {.version = NW_FORMAT_VERSION,
                                     .name = sink->options.prefix,
                                     .database = nw_format_database(sink->host)};
    struct nw_change_texts texts;
    const struct nw_change change =
        nw_change_of_event(&texts, event, sink->host->wall_us(sink->host) * 1000);

    worker->key.used = worker->value.used = 0;
    nw_debezium_message_key(event, &options->debezium, &worker->key);
    nw_debezium_message(event, &origin, &change, options->connect.binaries, &options->debezium,
                        &worker->value);
}
