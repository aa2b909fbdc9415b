/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a worker does between two commits: see file.h. Lines go into buffers; when these are full,
 * or the epoch is sealed, into the files. Called by the worker's own thread.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "file.h"

/* Ends the open file of a stream, with everything that is buffered for it. */
static nw_status stream_end(struct nw_file_worker *worker, struct nw_file_table *table,
                            struct nw_stream *stream, struct nw_error *err)
{
    nw_status status = NW_OK;

    if (stream->buffer.used > 0 || stream->block_rows > 0) {
        status = nw_file_flush(worker, err);
    }
    if (status == NW_OK && stream->open) {
        status = nw_stream_tell(worker, table, stream, true, err);
    }
    return status;
}

/* A file in Avro has one schema: rows of the next version go into another. */
static nw_status version_end(struct nw_file_worker *worker, struct nw_file_table *table,
                             struct nw_error *err)
{
    nw_status status = nw_file_held_put(worker, &table->copy, false, err);

    if (status == NW_OK) {
        status = stream_end(worker, table, &table->changes, err);
    }
    return status == NW_OK ? stream_end(worker, table, &table->copy, err) : status;
}

nw_status nw_file_table_enter(struct nw_file_worker *worker, const struct nw_table *version,
                              struct nw_file_table **table, struct nw_error *err)
{
    nw_status status = nw_file_table_find(worker, version, table, err);

    if (status != NW_OK || (*table)->version == version) {
        return status;
    }
    if ((*table)->form != NULL && worker->sink->options.form.form == NW_DATA_AVRO) {
        status = version_end(worker, *table, err);
    }
    return status == NW_OK ? nw_file_schema_enter(worker, *table, version, err) : status;
}

nw_status nw_file_copy_begin(struct nw_file_worker *worker, const struct nw_table *version,
                             uint32_t generation, struct nw_error *err)
{
    struct nw_file_table *table;
    nw_status status = nw_file_table_enter(worker, version, &table, err);

    if (status != NW_OK) {
        return status;
    }
    if (table->data.copying == generation && generation != 0) {
        table->copied++;
        return NW_OK; /* a copy that goes on after a restart, whose first row is out */
    }
    if (generation <= table->data.generation || generation < table->data.copying) {
        return nw_fail(err, NW_FATAL,
                       "NW2903 %s.%s: a copy of generation %" PRIu32
                       " begins, but there is one of %" PRIu32,
                       version->schema_name, version->name, generation,
                       table->data.copying > table->data.generation ? table->data.copying
                                                                    : table->data.generation);
    }
    /* From here on changes belong to the new generation, so they need a file of their own. */
    status = nw_file_held_put(worker, &table->copy, false, err);
    if (status == NW_OK) {
        status = stream_end(worker, table, &table->changes, err);
    }
    if (status == NW_OK) {
        status = stream_end(worker, table, &table->copy, err);
    }
    if (status == NW_OK) {
        table->copied = 0;
        table->data.copying = generation;
        table->data.copying_fence = 0;
        table->changed = true;
    }
    return status;
}

nw_status nw_file_copy_end(struct nw_file_worker *worker, const struct nw_table *version,
                           uint32_t generation, struct nw_error *err)
{
    struct nw_file_table *table;
    nw_status status = nw_file_table_enter(worker, version, &table, err);

    if (status != NW_OK) {
        return status;
    }
    if (generation == 0 || table->data.copying != generation) {
        return nw_fail(err, NW_FATAL,
                       "NW2903 %s.%s: a copy of generation %" PRIu32 " ends that did not begin",
                       version->schema_name, version->name, generation);
    }
    status = nw_file_held_put(worker, &table->copy, true, err);
    if (status == NW_OK) {
        status = stream_end(worker, table, &table->copy, err);
    }
    if (status == NW_OK) {
        table->data.generation = generation;
        table->data.fence = table->data.copying_fence;
        table->data.copying = 0;
        table->data.copying_fence = 0;
        table->changed = true;
    }
    return status;
}

/* The stream for a batch's rows; NULL, with an error, when they must not come. */
static struct nw_stream *stream_choose(struct nw_file_table *table, const struct nw_batch *batch,
                                       struct nw_error *err)
{
    uint64_t fence;

    if ((batch->flags & NW_BATCH_COPY) == 0) {
        return &table->changes;
    }
    if (batch->generation == 0 || batch->generation != table->data.copying) {
        (void)nw_fail(err, NW_FATAL,
                      "NW2903 %s.%s: rows of a copy of generation %" PRIu32 ", but %" PRIu32
                      " is being copied",
                      table->data.schema_name, table->data.name, batch->generation,
                      table->data.copying);
        return NULL;
    }
    fence = batch->commit_lsn[batch->first_row];
    if (table->data.copying_fence == 0 || fence < table->data.copying_fence) {
        table->data.copying_fence = fence;
        table->changed = true;
    }
    return &table->copy;
}

nw_status nw_file_rows(struct nw_file_worker *worker, const struct nw_batch *batch,
                       struct nw_error *err)
{
    struct nw_file_table *table;
    struct nw_stream *stream;
    uint32_t exception = 0;
    nw_status status = nw_file_table_enter(worker, batch->table, &table, err);

    if (status != NW_OK) {
        return status;
    }
    stream = stream_choose(table, batch, err);
    if (stream == NULL) {
        return NW_FATAL;
    }
    if (table->form != NULL) {
        nw_file_form_batch(worker, batch);
    }
    for (uint32_t row = 0; row < batch->rows_count && status == NW_OK;) {
        uint32_t left = batch->rows_count - row;
        uint32_t until = row + (left > NW_ROWS_PER_LOOK ? NW_ROWS_PER_LOOK : left);
        size_t before = stream->buffer.used;

        if (table->form != NULL) {
            status = nw_file_form_rows(worker, table, batch, row, until, err);
        } else if (nw_json_rows(table->layout, batch, row, until, &exception, &stream->buffer)) {
            stream->lines += until - row;
            worker->buffered += stream->buffer.used - before;
        } else {
            status = nw_fail(err, NW_RETRY, "out of memory for rows of %s.%s",
                             table->data.schema_name, table->data.name);
        }
        row = until;
        status = status == NW_OK ? nw_file_flush_some(worker, err) : status;
    }
    return status;
}

static nw_status line_add(struct nw_file_worker *worker, struct nw_file_table *table,
                          const struct nw_event *event, struct nw_error *err)
{
    struct nw_out *buffer = &table->changes.buffer;
    size_t before = buffer->used;

    if (worker->sink->options.form.form != NW_DATA_LINES) {
        return nw_file_form_event(worker, table, event, err);
    }
    nw_json_event(event, table->schema, buffer);
    if (buffer->failed) {
        buffer->used = before;
        buffer->failed = false;
        return nw_fail(err, NW_RETRY, "out of memory for an event");
    }
    table->changes.lines++;
    worker->buffered += buffer->used - before;
    return nw_file_flush_some(worker, err);
}

nw_status nw_file_event(struct nw_file_worker *worker, const struct nw_event *event,
                        struct nw_error *err)
{
    struct nw_file_table *table;
    nw_status status = NW_OK;

    if (event->kind == NW_EVENT_MESSAGE) {
        status = nw_file_messages_find(worker, &table, err);
        return status == NW_OK ? line_add(worker, table, event, err) : status;
    }
    if (event->kind == NW_EVENT_DROP) { /* its version may have no columns: no schema file */
        status = nw_file_table_find(worker, event->tables[0], &table, err);
        return status == NW_OK ? line_add(worker, table, event, err) : status;
    }
    if (event->kind != NW_EVENT_TRUNCATE && event->kind != NW_EVENT_SCHEMA) {
        return NW_OK;
    }
    for (uint32_t i = 0; i < event->tables_count && status == NW_OK; i++) {
        status = nw_file_table_enter(worker, event->tables[i], &table, err);
        if (status == NW_OK) {
            status = line_add(worker, table, event, err);
        }
    }
    return status;
}

/* Whether a stream's file has to make room for a new one. */
static bool rotation_due(const struct nw_file_worker *worker, const struct nw_stream *stream,
                         int64_t now_ns)
{
    const struct nw_file_options *options = &worker->sink->options;

    if (!stream->open) {
        return false;
    }
    return stream->size >= options->rotate_size ||
           now_ns - stream->opened_ns >= options->rotate_ns ||
           (!stream->dirty &&
            worker->open_count > options->open_files_max / worker->sink->workers_count);
}

static nw_status table_seal(struct nw_file_worker *worker, struct nw_file_table *table,
                            int64_t now_ns, struct nw_error *err)
{
    struct nw_sealed *sealed;
    nw_status status = nw_sealing(worker, &sealed, err);

    if (status == NW_OK) {
        status = nw_stream_tell(worker, table, &table->changes,
                                rotation_due(worker, &table->changes, now_ns), err);
    }
    if (status == NW_OK) {
        status = nw_stream_tell(worker, table, &table->copy,
                                rotation_due(worker, &table->copy, now_ns), err);
    }
    if (status == NW_OK && table->changed) {
        status = nw_state_put_table(&sealed->changes, &table->data, err);
        table->changed = false;
    }
    table->folder_touched = false;
    return status;
}

static void sealed_push(struct nw_file_sink *sink, struct nw_sealed *sealed)
{
    struct nw_sealed **last = &sink->sealed;

    (void)pthread_mutex_lock(&sink->lock);
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = sealed;
    (void)pthread_mutex_unlock(&sink->lock);
}

/* What is sealed is the whole epoch. */
static nw_status held_put_all(struct nw_file_worker *worker, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (size_t i = 0; i < worker->tables_count && status == NW_OK; i++) {
        if (worker->tables[i] != NULL) {
            status = nw_file_held_put(worker, &worker->tables[i]->copy, false, err);
        }
    }
    return status;
}

nw_status nw_file_seal(struct nw_file_worker *worker, uint64_t epoch, struct nw_error *err)
{
    int64_t now_ns = worker->sink->host->now_ns(worker->sink->host);
    nw_status status = held_put_all(worker, err);

    if (status == NW_OK) {
        status = nw_file_flush(worker, err);
    }
    for (size_t i = 0; i < worker->tables_count && status == NW_OK; i++) {
        if (worker->tables[i] != NULL) {
            status = table_seal(worker, worker->tables[i], now_ns, err);
        }
    }
    if (worker->messages != NULL && status == NW_OK) {
        status = table_seal(worker, worker->messages, now_ns, err);
    }
    if (status == NW_OK && worker->sealing != NULL) {
        worker->sealing->epoch = epoch;
        sealed_push(worker->sink, worker->sealing);
        worker->sealing = NULL;
    }
    return status;
}

static void stream_close(struct nw_file_worker *worker, struct nw_stream *stream)
{
    if (stream->open) {
        worker->sink->host->file_close(worker->sink->host, stream->file);
        stream->open = false;
    }
}

static void table_drop(struct nw_file_worker *worker, struct nw_file_table *table)
{
    if (table != NULL) {
        stream_close(worker, &table->changes);
        stream_close(worker, &table->copy);
        nw_file_table_destroy(table);
    }
}

void nw_file_worker_reset(struct nw_file_worker *worker)
{
    for (size_t i = 0; i < worker->tables_count; i++) {
        table_drop(worker, worker->tables[i]);
    }
    table_drop(worker, worker->messages);
    nw_sealed_destroy(worker->sealing, worker->sink->host);
    free(worker->tables);
    worker->tables = NULL;
    worker->tables_count = 0;
    worker->messages = NULL;
    worker->sealing = NULL;
    worker->buffered = 0;
    worker->open_count = 0;
    worker->ops_count = 0;
    worker->packed.used = 0;
}
