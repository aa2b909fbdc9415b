/* SPDX-License-Identifier: Apache-2.0 */
/* What Debezium's forms of messages have in common: see forms.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "kafka/kafka.h"
#include "lib/format/notice_avro.h"

nw_status nw_kafka_envelope_make(struct nw_kafka_sink *sink, const struct nw_table *table,
                                 struct nw_format_table **format, struct nw_error *err)
{
    struct nw_kafka_names names;

    if (!nw_kafka_names_find(&sink->options, table, &names)) {
        return nw_fail(err, NW_REJECT,
                       "NW2703 %s.%s: the name of its schemas would have more than %u bytes: give "
                       "it another name by a transform, or use a shorter prefix",
                       table->schema_name, table->name, NW_NAME_BYTES_MAX);
    }
    *format = nw_format_table_create(table, names.schemas, sink->options.prefix,
                                     nw_format_database(sink->host), &sink->options.format);
    if (*format == NULL) {
        return nw_kafka_no_memory(err);
    }
    return nw_format_table_check(*format, sink->host, err);
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
        change.snapshot = nw_kafka_snapshot_of(worker, batch->table->relation_oid);
    } else {
        nw_kafka_transaction_set(worker, table, batch->commit_lsn[at], batch->seq[at], &change);
    }
    return change;
}

nw_status nw_kafka_envelope_notice(struct nw_kafka_worker *worker, const struct nw_event *event,
                                   struct nw_error *err)
{
    struct nw_kafka_sink *sink = worker->sink;
    const struct nw_format_options *options = &sink->options.format;
    const struct nw_origin origin = {.version = NW_FORMAT_VERSION,
                                     .name = sink->options.prefix,
                                     .database = nw_format_database(sink->host)};
    struct nw_change_texts texts;
    struct nw_change change =
        nw_change_of_event(&texts, event, sink->host->wall_us(sink->host) * 1000);

    if (sink->options.notices_[NW_KAFKA_TRANSACTIONS] != NULL) {
        nw_change_order_set(&worker->messages, event->commit_lsn, event->seq, &change);
    }
    if (nw_kafka_notices_are_avro(&sink->options)) {
        return nw_avro_message(&worker->value, event, &origin, &change, options->connect.binaries,
                               err);
    }
    nw_debezium_message(event, &origin, &change, options->connect.binaries, &options->debezium,
                        &worker->value);
    return NW_OK;
}
