/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows and events as messages.
 *
 *   key    {"id":7}: the table's key; none for a table without one
 *   value  the line that the file sink would write: docs/files.md; see forms.c for others
 *
 * A delete, and an update that changes the key, are followed by a message without a value for the
 * former key (a tombstone). A batch may end in the middle of a row when the producer's queue is
 * full: it goes on behind the messages that are out already.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kafka/kafka.h"
#include "lib/format/changed.h"

/* ---- tables ---- */

struct nw_kafka_table *nw_kafka_table_find(struct nw_kafka_worker *worker,
                                           const struct nw_table *table)
{
    for (uint32_t i = worker->tables_count; i > 0; i--) { /* the latest are asked for most */
        if (worker->tables[i - 1].id == table->id &&
            worker->tables[i - 1].version == table->version) {
            return &worker->tables[i - 1];
        }
    }
    return NULL;
}

static struct nw_kafka_known *known_find(struct nw_kafka_sink *sink, uint32_t relation_oid)
{
    for (uint32_t i = 0; i < sink->known_count; i++) {
        if (sink->known[i].relation_oid == relation_oid) {
            return &sink->known[i];
        }
    }
    return NULL;
}

/* A table's own entry from a former version, that of a table which is gone, or a new one. NULL: out
 * of memory */
static struct nw_kafka_known *known_entry(struct nw_kafka_sink *sink, uint32_t relation_oid)
{
    struct nw_kafka_known *more = known_find(sink, relation_oid);

    for (uint32_t i = 0; i < sink->known_count && more == NULL; i++) {
        if (sink->known[i].gone != 0 && sink->known[i].gone <= sink->commits) {
            more = &sink->known[i];
        }
    }
    if (more != NULL) {
        return more;
    }
    if (sink->known_count == sink->known_capacity) {
        uint32_t capacity = sink->known_capacity == 0 ? 64 : 2 * sink->known_capacity;

        more = realloc(sink->known, capacity * sizeof *more);
        if (more == NULL) {
            return NULL;
        }
        sink->known = more;
        sink->known_capacity = capacity;
    }
    return &sink->known[sink->known_count++];
}

static nw_status topic_check(const struct nw_kafka_sink *sink, const struct nw_table *table,
                             const char *topic, struct nw_error *err)
{
    const char *use = nw_kafka_topic_use(&sink->options, topic,
                                         nw_kafka_topic_is_own(&sink->options, table, topic));

    return use == NULL ? NW_OK
                       : nw_fail(err, NW_REJECT,
                                 "NW2703 %s.%s: its topic would be %s, which is for %s: give the "
                                 "table another name by a transform, or use another topic there",
                                 table->schema_name, table->name, topic, use);
}

/*
 * Notes whose the table is. Two tables whose names only differ in what Kafka does not take would
 * overwrite each other: NW_REJECT. One that has the name that another had goes on in its topic.
 */
static nw_status known_add(struct nw_kafka_worker *worker, const struct nw_table *table,
                           const char *topic, struct nw_error *err)
{
    struct nw_kafka_sink *sink = worker->sink;
    bool routed = !nw_kafka_topic_is_own(&sink->options, table, topic);
    struct nw_kafka_known *known = NULL;
    char name[sizeof known->name];

    (void)snprintf(name, sizeof name, "%s.%s", table->schema_name, table->name);
    for (uint32_t i = 0; i < sink->known_count; i++) {
        if (!routed && !sink->known[i].routed &&
            sink->known[i].relation_oid != table->relation_oid && sink->known[i].gone == 0 &&
            strcmp(sink->known[i].topic, topic) == 0 && strcmp(sink->known[i].name, name) != 0) {
            return nw_fail(err, NW_REJECT,
                           "NW2703 %s.%s: its topic would be %s, which another table has: give "
                           "one of them another name by a transform",
                           table->schema_name, table->name, topic);
        }
    }
    known = known_entry(sink, table->relation_oid);
    if (known == NULL) {
        return nw_kafka_no_memory(err);
    }
    known->relation_oid = table->relation_oid;
    known->worker = worker->index;
    known->gone = 0;
    known->routed = routed;
    (void)snprintf(known->topic, sizeof known->topic, "%s", topic);
    (void)snprintf(known->name, sizeof known->name, "%s", name);
    return NW_OK;
}

uint32_t nw_kafka_worker_of(struct nw_kafka_sink *sink, uint32_t relation_oid)
{
    const struct nw_kafka_known *known = NULL;
    uint32_t worker = 0;

    (void)pthread_mutex_lock(&sink->lock);
    known = known_find(sink, relation_oid);
    worker = known == NULL ? 0 : known->worker;
    (void)pthread_mutex_unlock(&sink->lock);
    return worker;
}

/* Whose it was is forgotten with the commit, which may still say how far its copy is. */
void nw_kafka_table_dropped(struct nw_kafka_worker *worker, const struct nw_table *table)
{
    struct nw_kafka_sink *sink = worker->sink;
    struct nw_kafka_known *known = NULL;

    (void)pthread_mutex_lock(&sink->lock);
    known = known_find(sink, table->relation_oid);
    if (known != NULL) {
        known->gone = sink->commits + 1;
    }
    (void)pthread_mutex_unlock(&sink->lock);
}

static void table_forget(struct nw_kafka_table *table)
{
    nw_json_layout_destroy(table->layout);
    nw_kafka_form_destroy(table->form);
    if (table->topic != NULL) {
        rd_kafka_topic_destroy(table->topic);
    }
    free(table->own);
}

/* Makes room for one more. @return false when memory ran out. */
static bool tables_grow(struct nw_kafka_worker *worker)
{
    uint32_t capacity = worker->tables_capacity == 0 ? 64 : 2 * worker->tables_capacity;
    struct nw_kafka_table *more = NULL;

    if (worker->tables_count < worker->tables_capacity) {
        return true;
    }
    more = realloc(worker->tables, capacity * sizeof *more);
    if (more == NULL) {
        return false;
    }
    worker->tables = more;
    worker->tables_capacity = capacity;
    return true;
}

/* What its rows are written by. */
static nw_status form_make(struct nw_kafka_worker *worker, const struct nw_table *table,
                           const char *topic, struct nw_kafka_table *made, struct nw_error *err)
{
    if (nw_kafka_form_wanted(&worker->sink->options, table)) {
        return nw_kafka_form_create(worker, made, topic, err);
    }
    made->layout = nw_json_layout_create(made->keyed, table->version);
    return made->layout == NULL ? nw_kafka_no_memory(err) : NW_OK;
}

/* A version that comes in the middle of a transaction counts its table's changes on. */
static void order_inherit(const struct nw_kafka_worker *worker, struct nw_kafka_table *table)
{
    for (uint32_t i = worker->tables_count; i > 0; i--) {
        const struct nw_kafka_table *former = &worker->tables[i - 1];

        if (former->relation_oid == table->relation_oid) {
            table->order = former->order;
            return;
        }
    }
}

/* Whether its messages have keys, the table's own or other ones. */
static enum nw_kafka_topic_kind topic_kind(const struct nw_kafka_options *options,
                                           const struct nw_table *keyed)
{
    return keyed->key_columns_count > 0 || options->form.key_columns != NULL ? NW_KAFKA_KEYED
                                                                             : NW_KAFKA_KEYLESS;
}

/* A table's version, ready to be sent. @param made  give; to be forgotten on failure too */
static nw_status table_make(struct nw_kafka_worker *worker, const struct nw_table *table,
                            struct nw_kafka_table *made, struct nw_error *err)
{
    bool outbox = nw_kafka_is_outbox(&worker->sink->options.form, table);
    char name[NW_KAFKA_TOPIC_SIZE];
    nw_status status = nw_kafka_key_find(&worker->sink->options, table, &made->own, err);

    made->keyed = made->own != NULL ? made->own : table;
    made->signals = nw_kafka_is_named(worker->sink->options.signals_table, table);
    order_inherit(worker, made);
    if (status == NW_OK) {
        status = nw_kafka_topic_name(&worker->sink->options, table, name, err);
    }
    if (status == NW_OK && !outbox) {
        status = topic_check(worker->sink, table, name, err);
    }
    if (status == NW_OK) {
        (void)pthread_mutex_lock(&worker->sink->lock);
        status = known_add(worker, table, name, err);
        (void)pthread_mutex_unlock(&worker->sink->lock);
    }
    if (status == NW_OK && !outbox) {
        status = nw_kafka_topic_prove(worker->producer, table->relation_oid, name, err);
    }
    if (status == NW_OK && !outbox) {
        status =
            nw_kafka_topic_open(worker->producer, name,
                                topic_kind(&worker->sink->options, made->keyed), &made->topic, err);
    }
    if (status == NW_OK) {
        status = form_make(worker, table, name, made, err);
    }
    made->alone_from = status == NW_OK ? nw_kafka_alone_from(worker->sink, name) : 0;
    return status;
}

nw_status nw_kafka_table_set(struct nw_kafka_worker *worker, const struct nw_table *table,
                             struct nw_error *err)
{
    struct nw_kafka_table *known = nw_kafka_table_find(worker, table);
    struct nw_kafka_table made = {
        .id = table->id, .version = table->version, .relation_oid = table->relation_oid};
    nw_status status = NW_OK;

    if (known != NULL) {
        return NW_OK;
    }
    if (!tables_grow(worker)) {
        return nw_kafka_no_memory(err);
    }
    status = table_make(worker, table, &made, err);
    if (status != NW_OK) {
        table_forget(&made);
        return status;
    }
    made.past = nw_kafka_ledger_past(&worker->sink->state, worker->index, made.relation_oid);
    worker->tables[worker->tables_count++] = made;
    return NW_OK;
}

void nw_kafka_tables_committed(struct nw_kafka_worker *worker, bool moves)
{
    for (uint32_t i = 0; i < worker->tables_count; i++) {
        worker->tables[i].touched = false;
        if (moves) { /* what comes now may be something else at the same places */
            worker->tables[i].past = (struct nw_kafka_place){0};
        }
    }
}

void nw_kafka_tables_forget(struct nw_kafka_worker *worker)
{
    for (uint32_t i = 0; i < worker->tables_count; i++) {
        table_forget(&worker->tables[i]);
    }
    worker->tables_count = 0;
}

/* ---- rows ---- */

/* The row's key as it was, or as it is. @return false when memory ran out. */
static bool key_print(struct nw_kafka_table *table, const struct nw_batch *batch, uint32_t row,
                      int side, struct nw_out *out)
{
    out->used = 0;
    return nw_json_key(table->layout, batch, row, side, out);
}

/*
 * The row's key, and the former one where an update changes it.
 * @param forgets  filled: the key that no row has any more; NULL: none.
 */
static nw_status keys_print(struct nw_kafka_worker *worker, struct nw_kafka_table *table,
                            const struct nw_batch *batch, const struct nw_out **forgets,
                            struct nw_error *err)
{
    uint8_t op = batch->op[batch->first_row + worker->row];

    *forgets = op == NW_OP_DELETE ? &worker->key : NULL;
    if (!key_print(table, batch, worker->row, op == NW_OP_DELETE ? NW_BEFORE : NW_AFTER,
                   &worker->key)) {
        return nw_kafka_no_memory(err);
    }
    if (op == NW_OP_UPDATE && nw_batch_has(batch, NW_BEFORE, worker->row)) {
        if (!key_print(table, batch, worker->row, NW_BEFORE, &worker->former_key)) {
            return nw_kafka_no_memory(err);
        }
        *forgets = nw_out_same(&worker->key, &worker->former_key) ? NULL : &worker->former_key;
    }
    return NW_OK;
}

nw_status nw_kafka_message_send(struct nw_kafka_worker *worker, const struct nw_kafka_table *table,
                                const struct nw_kafka_message *message, struct nw_error *err)
{
    struct nw_kafka_message of_table = *message;

    of_table.row = true;
    return nw_kafka_send_sized(worker->producer, table->topic, &of_table, table->alone_from, err);
}

/* The row itself. */
static nw_status line_send(struct nw_kafka_worker *worker, struct nw_kafka_table *table,
                           const struct nw_batch *batch, const struct nw_out *key,
                           struct nw_error *err)
{
    uint32_t exception = worker->exception;
    nw_status status = NW_OK;

    worker->value.used = 0;
    if (!nw_json_rows(table->layout, batch, worker->row, worker->row + 1, &exception,
                      &worker->value)) {
        return nw_kafka_no_memory(err);
    }
    worker->value.used--; /* the line's end */
    status = nw_kafka_message_send(
        worker, table, &(struct nw_kafka_message){.key = key, .value = &worker->value}, err);
    if (status == NW_OK) {
        worker->exception = exception;
    }
    return status;
}

/* The messages of one row, from worker->step on. */
static nw_status row_send(struct nw_kafka_worker *worker, struct nw_kafka_table *table,
                          const struct nw_batch *batch, struct nw_error *err)
{
    bool keyed = table->keyed->key_columns_count > 0;
    const struct nw_out *forgets = NULL;
    nw_status status = NW_OK;

    status = keyed ? keys_print(worker, table, batch, &forgets, err) : NW_OK;
    if (status == NW_OK && worker->step == 0) {
        status = line_send(worker, table, batch, keyed ? &worker->key : NULL, err);
        worker->step = status == NW_OK ? 1 : 0;
    }
    if (status == NW_OK && forgets != NULL && worker->sink->options.tombstones) {
        status =
            nw_kafka_message_send(worker, table, &(struct nw_kafka_message){.key = forgets}, err);
    }
    if (status == NW_OK) {
        worker->step = 0;
    }
    return status;
}

/* Whether the change was committed already, in a part. */
static bool is_past(const struct nw_kafka_table *table, struct nw_kafka_place place)
{
    return place.commit_lsn < table->past.commit_lsn ||
           (place.commit_lsn == table->past.commit_lsn && place.seq <= table->past.seq);
}

static struct nw_kafka_place place_of(const struct nw_batch *batch, uint32_t row)
{
    return (struct nw_kafka_place){.commit_lsn = batch->commit_lsn[batch->first_row + row],
                                   .seq = batch->seq[batch->first_row + row]};
}

/* Whether nothing is sent of such changes. */
static bool is_skipped(const struct nw_kafka_options *options, const struct nw_batch *batch,
                       uint32_t row)
{
    uint8_t op = batch->op[batch->first_row + row];

    return (batch->flags & NW_BATCH_COPY) == 0 && ((op == NW_OP_INSERT && options->skips_inserts) ||
                                                   (op == NW_OP_UPDATE && options->skips_updates) ||
                                                   (op == NW_OP_DELETE && options->skips_deletes));
}

/* Whether it is an update that changed nothing, as far as that is known, and those are not sent. */
static bool is_idle(struct nw_kafka_worker *worker, const struct nw_kafka_table *table,
                    const struct nw_batch *batch)
{
    if (!worker->sink->options.skips_unchanged ||
        batch->op[batch->first_row + worker->row] != NW_OP_UPDATE) {
        return false;
    }
    return table->form != NULL ? nw_kafka_form_is_same(worker, table, batch)
                               : nw_batch_is_same(batch, worker->row);
}

/* The messages of a row, in the table's form. */
static nw_status row_write(struct nw_kafka_worker *worker, struct nw_kafka_table *table,
                           const struct nw_batch *batch, struct nw_error *err)
{
    return table->form != NULL ? nw_kafka_form_row(worker, table, batch, err)
                               : row_send(worker, table, batch, err);
}

/* A change that is passed over is one of its table's all the same. */
static void past_count(struct nw_kafka_worker *worker, struct nw_kafka_table *table,
                       struct nw_kafka_place place)
{
    struct nw_change change = {0};

    nw_kafka_transaction_set(worker, table, place.commit_lsn, place.seq, &change);
}

/* The next row. */
static nw_status row_next(struct nw_kafka_worker *worker, struct nw_kafka_table *table,
                          const struct nw_batch *batch, struct nw_error *err)
{
    bool streamed = (batch->flags & NW_BATCH_COPY) == 0;
    struct nw_kafka_place place = place_of(batch, worker->row);
    bool past = streamed && table->past.commit_lsn != 0 && is_past(table, place);
    bool silent = past || is_skipped(&worker->sink->options, batch, worker->row) ||
                  is_idle(worker, table, batch);
    nw_status status = silent ? NW_OK : row_write(worker, table, batch, err);

    if (silent) {
        past_count(worker, table, place);
    }
    if (status == NW_OK && table->signals && !past) {
        status = nw_kafka_signal_row(worker->sink, batch, worker->row, err);
    }
    if (status == NW_OK) {
        worker->row++;
    }
    if (status == NW_OK && streamed && !past) {
        table->last = place; /* copied rows have the place of their snapshot */
        table->touched = true;
    }
    return status;
}

nw_status nw_kafka_rows(struct nw_kafka_worker *worker, const struct nw_batch *batch,
                        struct nw_error *err)
{
    struct nw_kafka_table *table = nw_kafka_table_find(worker, batch->table);
    struct nw_kafka_copying *copying = NULL;
    nw_status status = worker->copying_count == 0
                           ? NW_OK
                           : nw_kafka_held_send(worker, batch->table->relation_oid, err);

    if (status == NW_OK && (batch->flags & NW_BATCH_COPY) != 0) {
        status = nw_kafka_held_send_ended(worker, err);
        copying = nw_kafka_copying_find(worker, batch->table->relation_oid);
    }
    if (status == NW_OK && worker->batch != batch) {
        worker->batch = batch;
        worker->row = worker->exception = worker->step = 0;
        worker->now_ns = worker->sink->host->wall_us(worker->sink->host) * 1000;
    }
    while (worker->row < batch->rows_count && status == NW_OK) {
        status = row_next(worker, table, batch, err);
        if (copying != NULL) {
            copying->rows += status == NW_OK;
        }
    }
    if ((batch->flags & NW_BATCH_COPY) != 0) {
        worker->copied_in = worker->producer->begun_ns;
        table->past = (struct nw_kafka_place){0}; /* what follows is of this copy */
        nw_kafka_ledger_part_end(&worker->sink->state, table->relation_oid);
    }
    if (status == NW_OK) {
        worker->batch = NULL;
        (void)rd_kafka_poll(worker->producer->client, 0);
    }
    return status;
}

/* ---- events ---- */

static nw_status truncate_send(struct nw_kafka_worker *worker, struct nw_kafka_table *table,
                               const struct nw_event *event, struct nw_error *err)
{
    struct nw_kafka_message message = {.value = &worker->value};

    worker->value.used = 0;
    nw_json_event(event, event->tables[0]->version, &worker->value);
    if (worker->value.failed) {
        worker->value.failed = false;
        return nw_kafka_no_memory(err);
    }
    worker->value.used--;
    return nw_kafka_send(worker->producer, table->topic, &message, err);
}

nw_status nw_kafka_truncate(struct nw_kafka_worker *worker, const struct nw_event *event,
                            struct nw_error *err)
{
    struct nw_kafka_place place = {.commit_lsn = event->commit_lsn, .seq = event->seq};
    struct nw_kafka_table *known = NULL;
    nw_status status = NW_OK;

    if (!worker->sink->options.truncates) {
        return NW_OK;
    }
    /* It may be the first that is heard of this version. */
    status = nw_kafka_table_set(worker, event->tables[0], err);
    if (status != NW_OK) {
        return status;
    }
    known = nw_kafka_table_find(worker, event->tables[0]);
    if (known->past.commit_lsn != 0 && is_past(known, place)) {
        past_count(worker, known, place);
        return NW_OK;
    }
    status = nw_kafka_held_send(worker, known->relation_oid, err);
    if (status == NW_OK) {
        status = known->form != NULL ? nw_kafka_form_truncate(worker, known, event, err)
                                     : truncate_send(worker, known, event, err);
    }
    if (status == NW_OK) {
        known->last = place;
        known->touched = true;
    }
    return status;
}
