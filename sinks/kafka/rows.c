/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows and events as messages.
 *
 *   key    {"id":7}: the table's key; none for a table without one
 *   value  the line that the file sink would write: docs/files.md
 *
 * A delete, and an update that changes the key, are followed by a message without a value for the
 * former key (a tombstone). A batch may end in the middle of a row when the producer's queue is
 * full: it goes on behind the messages that are out already.
 */
#include <stdlib.h>
#include <string.h>

#include "kafka/kafka.h"

/* ---- tables ---- */

static struct nw_kafka_table *table_find(struct nw_kafka_sink *sink, uint32_t id)
{
    for (uint32_t i = sink->tables_count; i > 0; i--) { /* the latest are asked for most */
        if (sink->tables[i - 1].id == id) {
            return &sink->tables[i - 1];
        }
    }
    return NULL;
}

static nw_status no_memory(struct nw_error *err)
{
    return nw_fail(err, NW_RETRY, "out of memory for messages");
}

/* Two tables whose names only differ in what Kafka does not take would overwrite each other. */
static bool name_is_free(const struct nw_kafka_sink *sink, const struct nw_table *table,
                         const char *name)
{
    if (strstr(sink->options.template_, "{table}") == NULL) {
        return true; /* it is wanted that several share one */
    }
    for (uint32_t i = 0; i < sink->tables_count; i++) {
        if (sink->tables[i].relation_oid != table->relation_oid &&
            strcmp(rd_kafka_topic_name(sink->tables[i].topic), name) == 0) {
            return false;
        }
    }
    return true;
}

nw_status nw_kafka_table_set(struct nw_kafka_sink *sink, const struct nw_table *table,
                             struct nw_error *err)
{
    char name[NW_KAFKA_TOPIC_SIZE];
    struct nw_kafka_table *known = table_find(sink, table->id);
    nw_status status = NW_OK;

    if (known != NULL) {
        return NW_OK;
    }
    if (sink->tables_count == sink->tables_capacity) {
        uint32_t capacity = sink->tables_capacity == 0 ? 64 : 2 * sink->tables_capacity;
        struct nw_kafka_table *more = realloc(sink->tables, capacity * sizeof *more);

        if (more == NULL) {
            return no_memory(err);
        }
        sink->tables = more;
        sink->tables_capacity = capacity;
    }
    known = &sink->tables[sink->tables_count];
    *known = (struct nw_kafka_table){.id = table->id, .relation_oid = table->relation_oid};
    status = nw_kafka_topic_name(&sink->options, table, name, err);
    if (status == NW_OK && !name_is_free(sink, table, name)) {
        status = nw_fail(err, NW_REJECT,
                         "NW2703 %s.%s: its topic would be %s, which another table has: give one "
                         "of them another name by a transform",
                         table->schema_name, table->name, name);
    }
    if (status == NW_OK) {
        status = nw_kafka_topic_open(
            sink, name, table->key_columns_count > 0 ? NW_KAFKA_KEYED : NW_KAFKA_KEYLESS,
            &known->topic, err);
    }
    if (status != NW_OK) {
        return status;
    }
    known->layout = nw_json_layout_create(table, table->version);
    if (known->layout == NULL) {
        rd_kafka_topic_destroy(known->topic);
        return no_memory(err);
    }
    sink->tables_count++;
    return NW_OK;
}

void nw_kafka_tables_forget(struct nw_kafka_sink *sink)
{
    for (uint32_t i = 0; i < sink->tables_count; i++) {
        nw_json_layout_destroy(sink->tables[i].layout);
        rd_kafka_topic_destroy(sink->tables[i].topic);
    }
    sink->tables_count = 0;
}

/* ---- rows ---- */

/* The row's key as it was, or as it is. @return false when memory ran out. */
static bool key_print(struct nw_kafka_table *table, const struct nw_batch *batch, uint32_t row,
                      int side, struct nw_out *out)
{
    out->used = 0;
    return nw_json_key(table->layout, batch, row, side, out);
}

static bool same(const struct nw_out *a, const struct nw_out *b)
{
    return a->used == b->used && memcmp(a->bytes, b->bytes, a->used) == 0;
}

/*
 * The row's key, and the former one where an update changes it.
 * @param forgets  filled: the key that no row has any more; NULL: none.
 */
static nw_status keys_print(struct nw_kafka_sink *sink, struct nw_kafka_table *table,
                            const struct nw_batch *batch, const struct nw_out **forgets,
                            struct nw_error *err)
{
    uint8_t op = batch->op[batch->first_row + sink->row];

    *forgets = op == NW_OP_DELETE ? &sink->key : NULL;
    if (!key_print(table, batch, sink->row, op == NW_OP_DELETE ? NW_BEFORE : NW_AFTER,
                   &sink->key)) {
        return no_memory(err);
    }
    if (op == NW_OP_UPDATE && nw_batch_has(batch, NW_BEFORE, sink->row)) {
        if (!key_print(table, batch, sink->row, NW_BEFORE, &sink->former_key)) {
            return no_memory(err);
        }
        *forgets = same(&sink->key, &sink->former_key) ? NULL : &sink->former_key;
    }
    return NW_OK;
}

/* The row itself. */
static nw_status line_send(struct nw_kafka_sink *sink, struct nw_kafka_table *table,
                           const struct nw_batch *batch, const struct nw_out *key,
                           struct nw_error *err)
{
    uint32_t exception = sink->exception;
    nw_status status = NW_OK;

    sink->value.used = 0;
    if (!nw_json_rows(table->layout, batch, sink->row, sink->row + 1, &exception, &sink->value)) {
        return no_memory(err);
    }
    sink->value.used--; /* the line's end */
    status = nw_kafka_send(sink, table->topic, key, &sink->value, err);
    if (status == NW_OK) {
        sink->exception = exception;
    }
    return status;
}

/* The messages of one row, from sink->step on. */
static nw_status row_send(struct nw_kafka_sink *sink, struct nw_kafka_table *table,
                          const struct nw_batch *batch, struct nw_error *err)
{
    bool keyed = batch->table->key_columns_count > 0;
    const struct nw_out *forgets = NULL;
    nw_status status = keyed ? keys_print(sink, table, batch, &forgets, err) : NW_OK;

    if (status == NW_OK && sink->step == 0) {
        status = line_send(sink, table, batch, keyed ? &sink->key : NULL, err);
        sink->step = status == NW_OK ? 1 : 0;
    }
    if (status == NW_OK && forgets != NULL && sink->options.tombstones) {
        status = nw_kafka_send(sink, table->topic, forgets, NULL, err);
    }
    if (status == NW_OK) {
        sink->step = 0;
    }
    return status;
}

nw_status nw_kafka_rows(struct nw_kafka_sink *sink, const struct nw_batch *batch,
                        struct nw_error *err)
{
    struct nw_kafka_table *table = table_find(sink, batch->table->id);
    nw_status status = NW_OK;

    if (sink->batch != batch) {
        sink->batch = batch;
        sink->row = sink->exception = sink->step = 0;
    }
    while (sink->row < batch->rows_count && status == NW_OK) {
        status = row_send(sink, table, batch, err);
        if (status == NW_OK) {
            sink->row++;
        }
    }
    if (status == NW_OK) {
        sink->batch = NULL;
        (void)rd_kafka_poll(sink->producer, 0);
    }
    return status;
}

/* ---- events ---- */

nw_status nw_kafka_event(struct nw_kafka_sink *sink, const struct nw_event *event,
                         struct nw_error *err)
{
    const struct nw_out *line = &sink->value;
    nw_status status = NW_OK;

    if (event->kind != NW_EVENT_TRUNCATE || !sink->options.truncates) {
        return NW_OK;
    }
    /* It may be the first that is heard of this version. */
    status = nw_kafka_table_set(sink, event->tables[0], err);
    if (status != NW_OK) {
        return status;
    }
    sink->value.used = 0;
    nw_json_event(event, event->tables[0]->version, &sink->value);
    if (sink->value.failed) {
        sink->value.failed = false;
        return no_memory(err);
    }
    sink->value.used--;
    return nw_kafka_send(sink, table_find(sink, event->tables[0]->id)->topic, NULL, line, err);
}
