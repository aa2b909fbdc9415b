/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buffers and data files of a worker: see file.h. A file is made when the first line for it is
 * flushed; it stays open across epochs until it is rotated, at the end of an epoch. Every flush
 * ends a compressed chunk, so that the journalled part of a file is always readable.
 *
 * New files are never those of a former process: their names have our fencing number, so that a
 * process that does not know yet that it was replaced writes into files of its own.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "file.h"

#define OP_SIZE_MAX (UINT32_C(64) << 20)

static uint64_t number_take(struct nw_file_sink *sink)
{
    uint64_t number;

    (void)pthread_mutex_lock(&sink->lock);
    number = ++sink->number_last;
    (void)pthread_mutex_unlock(&sink->lock);
    return number;
}

static enum nw_data_form form_of(const struct nw_file_worker *worker,
                                 const struct nw_file_table *table)
{
    enum nw_data_form form = worker->sink->options.form.form;

    /* Messages have one form beside narwal's, whatever that of rows is. */
    return table->data.oid == 0 && form != NW_DATA_LINES ? NW_DATA_ENVELOPES : form;
}

/* The path of a new file inside the sink's folder. @return NULL when memory ran out. */
static char *path_make(const struct nw_file_worker *worker, const struct nw_file_table *table,
                       const struct nw_data_file *data)
{
    const struct nw_file_sink *sink = worker->sink;
    char name[NW_DATA_PATH_MAX];

    /* Folder names have at most 212 bytes, see table.c: it always fits. */
    if (data->kind == NW_DATA_SCHEMA) {
        (void)snprintf(name, sizeof name, "%s/schema-%06" PRIu32 "-f%" PRIu64 ".json",
                       table->data.folder, data->schema, sink->journal.fencing);
    } else {
        (void)snprintf(name, sizeof name, "%s/%08" PRIu32 "-%08" PRIu64 "-f%" PRIu64 ".%s%s",
                       table->data.folder, data->generation, data->number, sink->journal.fencing,
                       data->kind == NW_DATA_COPY ? "copy" : "changes",
                       form_of(worker, table) == NW_DATA_AVRO ? ".avro" : sink->options.suffix);
    }
    return strdup(name);
}

/* One of that name can only be left over from a try whose remains could not be removed. */
static nw_status file_open_empty(const struct nw_host *host, const char *path, int *file,
                                 struct nw_error *err)
{
    nw_status status = host->file_open(host, path, NW_FILE_CREATE, file, err);

    if (status == NW_OK) {
        status = host->file_truncate(host, *file, 0, err);
        if (status != NW_OK) {
            host->file_close(host, *file);
        }
    }
    return status;
}

nw_status nw_file_create(struct nw_file_worker *worker, struct nw_file_table *table,
                         struct nw_data_file *data, int *file, struct nw_error *err)
{
    struct nw_sealed *sealed;
    char path[NW_PATH_MAX];
    nw_status status = nw_sealing(worker, &sealed, err);

    data->number = number_take(worker->sink);
    data->oid = table->data.oid;
    if (status == NW_OK && !table->folder_touched) {
        status = nw_sealed_folder(sealed, table->data.folder, err);
        table->folder_touched = status == NW_OK;
    }
    if (status != NW_OK) {
        return status;
    }
    data->path = path_make(worker, table, data);
    if (data->path == NULL) {
        return nw_fail(err, NW_RETRY, "out of memory for a file");
    }
    status = nw_path_join(path, worker->sink->options.path, data->path, NULL, err);
    if (status == NW_OK) {
        status = file_open_empty(worker->sink->host, path, file, err);
    }
    if (status != NW_OK) {
        free(data->path);
        data->path = NULL;
    }
    return status;
}

static nw_status stream_open(struct nw_file_worker *worker, struct nw_file_table *table,
                             struct nw_stream *stream, struct nw_error *err)
{
    struct nw_data_file data = {.kind = stream->kind, .generation = table->data.generation};
    nw_status status;

    if (table->data.copying != 0) {
        data.generation = table->data.copying;
    }
    status = nw_file_create(worker, table, &data, &stream->file, err);
    if (status != NW_OK) {
        return status;
    }
    stream->open = true;
    stream->number = data.number;
    stream->generation = data.generation;
    stream->path = data.path;
    stream->size = 0;
    stream->crc = 0;
    stream->opened_ns = worker->sink->host->now_ns(worker->sink->host);
    worker->open_count++;
    return NW_OK;
}

static nw_status op_add(struct nw_file_worker *worker, const struct nw_file_op *op,
                        struct nw_error *err)
{
    if (worker->ops_count == worker->ops_capacity) {
        size_t larger = worker->ops_capacity == 0 ? 64 : worker->ops_capacity * 2;
        struct nw_file_op *moved = realloc(worker->ops, larger * sizeof *moved);

        if (moved == NULL) {
            return nw_fail(err, NW_RETRY, "out of memory for writing");
        }
        worker->ops = moved;
        worker->ops_capacity = larger;
    }
    worker->ops[worker->ops_count++] = *op;
    return NW_OK;
}

/* Plan to write bytes behind what the file has. @param at  their address, or see stream_plan() */
static nw_status writes_plan(struct nw_file_worker *worker, struct nw_stream *stream, uint8_t *at,
                             size_t size, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (size_t done = 0; done < size && status == NW_OK;) {
        struct nw_file_op op = {.verb = NW_FILE_WRITE, .file = stream->file};

        op.size = size - done > OP_SIZE_MAX ? OP_SIZE_MAX : (uint32_t)(size - done);
        op.offset = stream->size;
        op.bytes = at + done;
        status = op_add(worker, &op, err);
        stream->size += op.size;
        done += op.size;
    }
    return status;
}

/* A file in Avro begins. */
static nw_status header_plan(struct nw_file_worker *worker, struct nw_file_table *table,
                             struct nw_stream *stream, struct nw_error *err)
{
    nw_status status = nw_file_avro_header(worker->sink, table, stream, err);

    if (status == NW_OK) {
        stream->crc = nw_chunk_crc(stream->crc, stream->header.bytes, stream->header.used);
        status = writes_plan(worker, stream, stream->header.bytes, stream->header.used, err);
    }
    return status;
}

/* Plan the writes of one stream's buffer. With compression the address is an offset into
 * worker->packed until that has stopped growing. */
static nw_status stream_plan(struct nw_file_worker *worker, struct nw_file_table *table,
                             struct nw_stream *stream, size_t least, struct nw_error *err)
{
    bool packs = worker->sink->options.packs;
    size_t start = worker->packed.used;
    size_t waiting = stream->buffer.used + stream->block.used;
    bool opens = !stream->open;
    const uint8_t *bytes;
    size_t size;
    nw_status status = NW_OK;

    if ((waiting == 0 && stream->block_rows == 0) || waiting < least) {
        return NW_OK;
    }
    status = nw_file_avro_block_end(worker, stream, err);
    if (status == NW_OK && opens) {
        status = stream_open(worker, table, stream, err);
    }
    if (status == NW_OK && opens && form_of(worker, table) == NW_DATA_AVRO) {
        status = header_plan(worker, table, stream, err);
    }
    if (status == NW_OK && packs &&
        !nw_chunk_write(worker->chunk, stream->buffer.bytes, stream->buffer.used,
                        &worker->packed)) {
        status = nw_fail(err, NW_RETRY, "out of memory for compression");
    }
    if (status != NW_OK) {
        return status;
    }
    bytes = packs ? worker->packed.bytes + start : stream->buffer.bytes;
    size = packs ? worker->packed.used - start : stream->buffer.used;
    stream->crc = nw_chunk_crc(stream->crc, bytes, size);
    status =
        writes_plan(worker, stream, packs ? (uint8_t *)start : stream->buffer.bytes, size, err);
    stream->dirty = stream->planned = true;
    return status;
}

static nw_status table_plan(struct nw_file_worker *worker, struct nw_file_table *table,
                            size_t least, struct nw_error *err)
{
    nw_status status = stream_plan(worker, table, &table->changes, least, err);

    return status == NW_OK ? stream_plan(worker, table, &table->copy, least, err) : status;
}

/* Empties a buffer whose bytes are written. One that a rare large row made huge is given back. */
static void buffer_empty(struct nw_out *buffer, size_t keep)
{
    buffer->used = 0;
    if (buffer->capacity > keep) {
        nw_out_fini(buffer);
    }
}

/* Empties the buffers that were written. @return bytes in the others. */
static size_t table_empty(struct nw_file_table *table, size_t keep)
{
    struct nw_stream *const streams[2] = {&table->changes, &table->copy};
    size_t left = 0;

    for (int i = 0; i < 2; i++) {
        if (streams[i]->planned) {
            buffer_empty(&streams[i]->buffer, keep);
            buffer_empty(&streams[i]->header, 0);
            buffer_empty(&streams[i]->block, keep);
        }
        streams[i]->planned = false;
        left += streams[i]->buffer.used + streams[i]->block.used;
    }
    return left;
}

static void buffers_empty(struct nw_file_worker *worker)
{
    size_t keep = (size_t)worker->sink->options.buffer_size * 2;

    /* With many tables, let each keep less, so that all together keep about as much. */
    if (worker->tables_count > 64) {
        keep = 65536;
    }
    worker->buffered = 0;
    for (size_t i = 0; i < worker->tables_count; i++) {
        if (worker->tables[i] != NULL) {
            worker->buffered += table_empty(worker->tables[i], keep);
        }
    }
    if (worker->messages != NULL) {
        worker->buffered += table_empty(worker->messages, keep);
    }
}

/* Writes the buffers that have at least so many bytes. */
static nw_status flush_least(struct nw_file_worker *worker, size_t least, struct nw_error *err)
{
    const struct nw_host *host = worker->sink->host;
    nw_status status = NW_OK;

    if (worker->messages != NULL) {
        status = table_plan(worker, worker->messages, least, err);
    }
    for (size_t i = 0; i < worker->tables_count && status == NW_OK; i++) {
        if (worker->tables[i] != NULL) {
            status = table_plan(worker, worker->tables[i], least, err);
        }
    }
    if (status == NW_OK && worker->ops_count > 0) {
        if (worker->sink->options.packs) {
            for (size_t i = 0; i < worker->ops_count; i++) {
                worker->ops[i].bytes = worker->packed.bytes + (uintptr_t)worker->ops[i].bytes;
            }
        }
        status = host->files_run(host, worker->ops, worker->ops_count, err);
        status = status == NW_OK ? NW_OK : nw_file_failed(status, worker->sink->options.path, err);
    }
    worker->ops_count = 0;
    buffer_empty(&worker->packed, (size_t)worker->sink->options.buffer_size * 2);
    buffers_empty(worker);
    return status;
}

nw_status nw_file_flush(struct nw_file_worker *worker, struct nw_error *err)
{
    return flush_least(worker, 0, err);
}

nw_status nw_file_flush_some(struct nw_file_worker *worker, struct nw_error *err)
{
    size_t size = (size_t)worker->sink->options.buffer_size;
    nw_status status = NW_OK;

    if (worker->buffered < size) {
        return NW_OK;
    }
    status = flush_least(worker, size / 16, err);
    return status == NW_OK && worker->buffered >= size / 2 ? flush_least(worker, 0, err) : status;
}

nw_status nw_stream_tell(struct nw_file_worker *worker, struct nw_file_table *table,
                         struct nw_stream *stream, bool close, struct nw_error *err)
{
    struct nw_sealed *sealed;
    struct nw_data_file data = {.number = stream->number,
                                .oid = table->data.oid,
                                .generation = stream->generation,
                                .kind = stream->kind,
                                .form = form_of(worker, table),
                                .size = stream->size,
                                .lines = stream->lines,
                                .crc = stream->crc,
                                .path = stream->path};
    nw_status status = nw_sealing(worker, &sealed, err);

    if (!stream->open || (!stream->dirty && !close)) {
        return status;
    }
    if (status == NW_OK && stream->dirty) {
        status = nw_state_put_file(&sealed->changes, &data, err);
    }
    if (status == NW_OK) {
        status = nw_sealed_file(sealed, stream->file, stream->dirty, close, err);
    }
    if (status != NW_OK) {
        return status;
    }
    stream->dirty = false;
    free(stream->path);
    stream->path = NULL;
    if (close) {
        stream->open = false;
        stream->lines = 0;
        worker->open_count--;
    }
    return NW_OK;
}
