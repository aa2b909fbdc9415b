/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data files as Avro's object container files (Avro 1.11, "Object Container Files"):
 *
 *   file    Obj 1, a map with avro.schema and avro.codec, 16 random bytes; then blocks
 *   block   the number of its rows, its size in bytes, the rows, the file's 16 bytes again
 *
 * Rows are gathered into a block, and finished blocks into the stream's buffer, which goes into the
 * file as that of lines does: a flush ends a block, so what is journalled is always whole. A file
 * has one schema: that of the table's version when it was begun. Called by the worker's own thread.
 */
#include "lib/format/avro.h"
#include "file.h"

/* A reader holds one in memory. Larger rows are alone in theirs. */
#define BLOCK_BYTES (UINT32_C(256) << 10)

static nw_status out_of_memory(struct nw_error *err)
{
    return nw_fail(err, NW_RETRY, "out of memory for a file in Avro");
}

static void member_append(struct nw_out *out, const char *name, const void *bytes, size_t size)
{
    nw_avro_bytes(out, name, strlen(name));
    nw_avro_bytes(out, bytes, size);
}

nw_status nw_file_avro_header(const struct nw_file_sink *sink, const struct nw_file_table *table,
                              struct nw_stream *stream, struct nw_error *err)
{
    const char *codec = sink->options.compress == NW_CHUNK_ZSTD ? "zstandard" : "null";
    struct nw_out *out = &stream->header;
    struct nw_out schema = {0};

    out->used = 0;
    nw_file_form_schema(table->form, &schema);
    nw_out_bytes(out, "Obj\1", 4);
    nw_avro_long(out, 2);
    member_append(out, "avro.schema", schema.bytes, schema.used);
    member_append(out, "avro.codec", codec, strlen(codec));
    nw_avro_long(out, 0);
    nw_out_bytes(out, stream->sync, sizeof stream->sync);
    out->failed = out->failed || schema.failed;
    nw_out_fini(&schema);
    if (out->failed) {
        nw_out_fini(out);
        return out_of_memory(err);
    }
    return NW_OK;
}

nw_status nw_file_avro_block_end(struct nw_file_worker *worker, struct nw_stream *stream,
                                 struct nw_error *err)
{
    struct nw_out *buffer = &stream->buffer;
    const struct nw_out *rows = &stream->block;
    size_t before = buffer->used;

    if (stream->block_rows == 0) {
        return NW_OK;
    }
    if (!stream->synced) {
        worker->sink->host->random(worker->sink->host, stream->sync, sizeof stream->sync);
        stream->synced = true;
    }
    if (worker->sink->options.compress == NW_CHUNK_ZSTD) {
        worker->frame.used = 0;
        if (!nw_chunk_frame(worker->chunk, rows->bytes, rows->used, &worker->frame)) {
            return out_of_memory(err);
        }
        rows = &worker->frame;
    }
    nw_avro_long(buffer, (int64_t)stream->block_rows);
    nw_avro_bytes(buffer, rows->bytes, rows->used);
    nw_out_bytes(buffer, stream->sync, sizeof stream->sync);
    if (buffer->failed) {
        buffer->failed = false;
        buffer->used = before;
        return out_of_memory(err);
    }
    worker->buffered += buffer->used - before;
    worker->buffered -= stream->block.used;
    stream->block.used = 0;
    stream->block_rows = 0;
    return NW_OK;
}

nw_status nw_file_avro_row_added(struct nw_file_worker *worker, struct nw_stream *stream,
                                 struct nw_error *err)
{
    stream->block_rows++;
    return stream->block.used < BLOCK_BYTES ? NW_OK : nw_file_avro_block_end(worker, stream, err);
}
