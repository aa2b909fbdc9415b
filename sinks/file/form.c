/* SPDX-License-Identifier: Apache-2.0 */
/* Rows and events in Debezium's forms: see form.h. Called by the worker's own thread. */
#include "form.h"

#include <stdlib.h>

#include "file.h"
#include "lib/format/avro_row.h"
#include "lib/format/json_forms.h"
#include "lib/format/name.h"

/* A table's version. */
struct nw_file_form {
    const struct nw_file_form_options *options; /* borrow */
    struct nw_format_table *format;
    struct nw_flat flat;
    struct nw_envelope envelope;
    struct nw_cloud_data data; /* of a CloudEvent */
    struct nw_cloud_json cloud;
};

static nw_status out_of_memory(struct nw_error *err)
{
    return nw_fail(err, NW_RETRY, "out of memory for rows in a form");
}

/* ---- tables ---- */

/* @return false when memory ran out */
static bool cloud_init(struct nw_file_form *form)
{
    const struct nw_debezium_options *options = &form->options->format.debezium;
    bool schemas = options->schemas && form->options->form == NW_DATA_CLOUDEVENTS;

    nw_cloud_data_init(&form->data, form->format->connect->value);
    return nw_cloud_json_init(&form->cloud, schemas ? &form->data.schema : NULL,
                              options->null_as_default);
}

nw_status nw_file_form_create(const struct nw_file_sink *sink, const struct nw_table *version,
                              struct nw_file_form **form, struct nw_error *err)
{
    const struct nw_file_form_options *options = &sink->options.form;
    struct nw_file_form *made = calloc(1, sizeof *made);
    char name[NW_NAME_SIZE];
    nw_status status = NW_OK;

    if (made == NULL) {
        return out_of_memory(err);
    }
    if (!nw_name_fill(NW_NAME_OF_SCHEMAS, options->prefix, version, name)) {
        free(made);
        return nw_fail(err, NW_REJECT,
                       "NW2703 %s.%s: the name of its schemas would have more than %u bytes: give "
                       "it another name by a transform, or use a shorter prefix",
                       version->schema_name, version->name, NW_NAME_BYTES_MAX);
    }
    made->options = options;
    made->format = nw_format_table_create(version, name, options->prefix,
                                          nw_format_database(sink->host), &options->format);
    if (made->format == NULL || !nw_flat_init(&made->flat, made->format->connect, &options->flat) ||
        !nw_envelope_init(&made->envelope, made->format->connect->value) || !cloud_init(made)) {
        status = out_of_memory(err);
    }
    if (status == NW_OK) {
        status = nw_format_table_check(made->format, sink->host, err);
    }
    if (status == NW_OK) {
        status = nw_format_fields_check(&made->flat.schema, version, err);
    }
    if (status != NW_OK) {
        nw_file_form_destroy(made);
        return status;
    }
    *form = made;
    return NW_OK;
}

void nw_file_form_destroy(struct nw_file_form *form)
{
    if (form != NULL) {
        nw_flat_fini(&form->flat);
        nw_envelope_fini(&form->envelope);
        nw_cloud_json_fini(&form->cloud);
        nw_format_table_destroy(form->format);
        free(form);
    }
}

void nw_file_form_schema(const struct nw_file_form *form, struct nw_out *out)
{
    nw_avro_schema(out, form->options->flattens ? &form->flat.schema : &form->envelope.schema);
}

/* ---- a line, or a row in Avro ---- */

/* Takes back what there is of a row that failed. */
static nw_status row_end(struct nw_out *out, size_t before, nw_status status, struct nw_error *err)
{
    if (status == NW_OK && out->failed) {
        status = out_of_memory(err);
    }
    if (status != NW_OK) {
        out->used = before;
        out->failed = false;
    }
    return status;
}

static nw_status line_end(struct nw_out *out, size_t before, nw_status status, struct nw_error *err)
{
    nw_out_text(out, "\n");
    return row_end(out, before, status, err);
}

static nw_status line_append(const struct nw_file_form *form, const struct nw_row *row,
                             struct nw_out *out, struct nw_error *err)
{
    size_t before = out->used;
    nw_status status = NW_OK;

    switch (form->options->form) {
    case NW_DATA_AVRO:
        status = form->options->flattens ? nw_avro_flat(out, &form->flat, row, err)
                                         : nw_avro_envelope(out, row, err);
        return row_end(out, before, status, err);
    case NW_DATA_FLAT:
        status = nw_json_flat(out, &form->flat, row, err);
        break;
    case NW_DATA_CLOUDEVENTS:
        status = nw_json_cloudevent(out, row, &form->cloud, NULL, NULL, err);
        break;
    case NW_DATA_ENVELOPES:
    case NW_DATA_LINES:
        status = nw_debezium_value(form->format->debezium, row, out, err);
        break;
    }
    return line_end(out, before, status, err);
}

/* Appends a row to a stream. */
static nw_status stream_append(struct nw_file_worker *worker, const struct nw_file_form *form,
                               struct nw_stream *stream, const struct nw_row *row,
                               struct nw_error *err)
{
    bool avro = form->options->form == NW_DATA_AVRO;
    struct nw_out *out = avro ? &stream->block : &stream->buffer;
    size_t before = out->used;
    nw_status status = line_append(form, row, out, err);

    if (status != NW_OK) {
        return status;
    }
    stream->lines++;
    worker->buffered += out->used - before;
    return avro ? nw_file_avro_row_added(worker, stream, err) : NW_OK;
}

/* ---- copied rows ---- */

void nw_file_form_batch(struct nw_file_worker *worker, const struct nw_batch *batch)
{
    struct nw_file_sink *sink = worker->sink;

    worker->now_ns = sink->host->wall_us(sink->host) * 1000;
    if ((batch->flags & NW_BATCH_COPY) != 0) {
        (void)pthread_mutex_lock(&sink->lock);
        worker->positioned = sink->positioned;
        (void)pthread_mutex_unlock(&sink->lock);
    }
}

static const char *snapshot_of(struct nw_file_worker *worker, const struct nw_file_table *table)
{
    struct nw_file_sink *sink = worker->sink;
    bool first = false;

    if (worker->positioned) {
        return "incremental";
    }
    if (table->copied > 0) {
        return "true";
    }
    (void)pthread_mutex_lock(&sink->lock);
    if (sink->first_oid == 0) {
        sink->first_oid = table->data.oid;
    }
    first = sink->first_oid == table->data.oid;
    (void)pthread_mutex_unlock(&sink->lock);
    return first ? "first" : "first_in_data_collection";
}

/* Keeps a row as it is, and as it is when it is the table's last. */
static nw_status row_hold(const struct nw_file_table *table, struct nw_stream *stream,
                          const struct nw_row *row, struct nw_error *err)
{
    struct nw_change last = *row->change;
    struct nw_row as_last = *row;
    nw_status status = NW_OK;

    if (strcmp(last.snapshot, "first") != 0) { /* which says more, as Debezium sees it */
        last.snapshot = "last_in_data_collection";
    }
    stream->held.used = stream->held_last.used = 0;
    status = line_append(table->form, row, &stream->held, err);
    as_last.change = &last;
    if (status == NW_OK) {
        status = line_append(table->form, &as_last, &stream->held_last, err);
    }
    stream->holds = status == NW_OK;
    return status;
}

nw_status nw_file_held_put(struct nw_file_worker *worker, struct nw_stream *stream, bool last,
                           struct nw_error *err)
{
    bool avro = worker->sink->options.form.form == NW_DATA_AVRO;
    struct nw_out *out = avro ? &stream->block : &stream->buffer;
    const struct nw_out *line = last ? &stream->held_last : &stream->held;

    if (!stream->holds) {
        return NW_OK;
    }
    nw_out_bytes(out, line->bytes, line->used);
    if (out->failed) {
        out->failed = false;
        return out_of_memory(err);
    }
    stream->lines++;
    worker->buffered += line->used;
    stream->holds = false;
    return avro ? nw_file_avro_row_added(worker, stream, err) : NW_OK;
}

/* ---- rows ---- */

/* Whether an update gave the row another key. */
static nw_status key_compare(struct nw_file_worker *worker, const struct nw_file_form *form,
                             const struct nw_row *row, bool *changed, struct nw_error *err)
{
    struct nw_out *keys = worker->keys;
    nw_status status = NW_OK;

    *changed = false;
    if (row->change->op != 'u' || !row->change->before || form->format->connect->key == NULL) {
        return NW_OK;
    }
    for (int side = NW_BEFORE; side <= NW_AFTER && status == NW_OK; side++) {
        keys[side].used = 0;
        status = nw_debezium_bare_key(form->format->debezium, row, side, &keys[side], err);
        keys[side].failed = false;
    }
    *changed = status == NW_OK && !nw_out_same(&keys[NW_BEFORE], &keys[NW_AFTER]);
    return status;
}

/* The lines of a change, of which one that changes the key has two. */
static nw_status change_append(struct nw_file_worker *worker, struct nw_file_table *table,
                               struct nw_stream *stream, const struct nw_row *row,
                               struct nw_error *err)
{
    const struct nw_file_form *form = table->form;
    struct nw_change_step steps[NW_CHANGE_STEPS_MAX];
    struct nw_row part = *row;
    uint32_t count = 0;
    bool key_changed = false;
    nw_status status = key_compare(worker, form, row, &key_changed, err);

    if (status == NW_OK && row->change->op != 'd' && !key_changed) { /* as most are */
        return stream_append(worker, form, stream, row, err);
    }
    count = status == NW_OK ? nw_change_steps(row->change, key_changed, steps) : 0;
    for (uint32_t i = 0; i < count && status == NW_OK; i++) {
        bool deletes = steps[i].change.op == 'd';

        if (steps[i].tombstone ||
            (deletes && form->options->flattens && !nw_flat_marks(&form->options->flat))) {
            continue;
        }
        part.change = &steps[i].change;
        status = stream_append(worker, form, stream, &part, err);
    }
    return status;
}

static nw_status row_append(struct nw_file_worker *worker, struct nw_file_table *table,
                            struct nw_stream *stream, const struct nw_batch *batch, uint32_t index,
                            struct nw_error *err)
{
    struct nw_format_table *format = table->form->format;
    struct nw_change change = nw_change_of_row(&format->texts, batch, index, worker->now_ns);
    const struct nw_row row = {.table = format->connect,
                               .batch = batch,
                               .row = index,
                               .origin = &format->origin,
                               .change = &change,
                               .scratch = format->scratch};
    const size_t at = (size_t)batch->first_row + index;

    if (change.op == 'r') {
        change.snapshot = snapshot_of(worker, table);
        table->copied++;
        if (!worker->positioned && index + 1 == batch->rows_count) {
            return row_hold(table, stream, &row, err);
        }
    } else if (table->form->options->transactions) {
        nw_change_order_set(&table->order, batch->commit_lsn[at], batch->seq[at], &change);
    }
    return change_append(worker, table, stream, &row, err);
}

nw_status nw_file_form_rows(struct nw_file_worker *worker, struct nw_file_table *table,
                            const struct nw_batch *batch, uint32_t from, uint32_t until,
                            struct nw_error *err)
{
    struct nw_stream *stream = (batch->flags & NW_BATCH_COPY) != 0 ? &table->copy : &table->changes;
    nw_status status = nw_file_held_put(worker, stream, false, err);

    for (uint32_t row = from; row < until && status == NW_OK; row++) {
        status = row_append(worker, table, stream, batch, row, err);
    }
    return status;
}

/* ---- events ---- */

static nw_status truncate_append(struct nw_file_worker *worker, struct nw_file_table *table,
                                 const struct nw_event *event, int64_t now_ns, struct nw_error *err)
{
    const struct nw_file_form *form = table->form;
    struct nw_change change = nw_change_of_event(&form->format->texts, event, now_ns);
    const struct nw_row row = {.table = form->format->connect,
                               .origin = &form->format->origin,
                               .change = &change,
                               .scratch = form->format->scratch};

    if (form->options->transactions) {
        nw_change_order_set(&table->order, event->commit_lsn, event->seq, &change);
    }
    return stream_append(worker, form, &table->changes, &row, err);
}

static nw_status message_append(struct nw_file_worker *worker, struct nw_stream *stream,
                                const struct nw_event *event, int64_t now_ns, struct nw_error *err)
{
    const struct nw_file_sink *sink = worker->sink;
    const struct nw_file_form_options *options = &sink->options.form;
    const struct nw_origin origin = {.version = NW_FORMAT_VERSION,
                                     .name = options->prefix,
                                     .database = nw_format_database(sink->host)};
    struct nw_change_texts texts;
    const struct nw_change change = nw_change_of_event(&texts, event, now_ns);
    size_t before = stream->buffer.used;
    nw_status status = NW_OK;

    nw_debezium_message(event, &origin, &change, options->format.connect.binaries,
                        &options->format.debezium, &stream->buffer);
    status = line_end(&stream->buffer, before, NW_OK, err);
    stream->lines += status == NW_OK ? 1 : 0;
    worker->buffered += stream->buffer.used - before;
    return status;
}

nw_status nw_file_form_event(struct nw_file_worker *worker, struct nw_file_table *table,
                             const struct nw_event *event, struct nw_error *err)
{
    const struct nw_host *host = worker->sink->host;
    int64_t now_ns = host->wall_us(host) * 1000;
    nw_status status = NW_OK;

    if (event->kind == NW_EVENT_MESSAGE) {
        status = message_append(worker, &table->changes, event, now_ns, err);
    } else if (event->kind == NW_EVENT_TRUNCATE && !worker->sink->options.form.flattens) {
        status = truncate_append(worker, table, event, now_ns, err);
    } else {
        return NW_OK; /* there is no word for it */
    }
    return status == NW_OK ? nw_file_flush_some(worker, err) : status;
}
