/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spool's reading side: see spool.h. Two pieces of the file are read in turn, so that one is
 * under way while the other is used; what one leaves of a record is copied in front of the other. A
 * record that does not fit into a piece is read on its own. Where the file ends, what is still in
 * memory follows, as if it had been read.
 */
#include "source/spool_private.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/errno.h"

/* What a reader that has no more in this segment does next. */
enum supply { SUPPLY_READ, SUPPLY_MEMORY, SUPPLY_SEGMENT, SUPPLY_NONE };

void nw_spool_reader_seek(struct nw_spool *spool, const struct nw_spool_segment *segment)
{
    struct nw_spool_reader *reader = &spool->reader;

    NW_ASSERT(!reader->large_busy && !reader->pieces[0].busy && !reader->pieces[1].busy);
    nw_spool_file_close(spool, &reader->file);
    free(reader->large);
    reader->large = NULL;
    reader->segment = segment->number;
    reader->record = segment->first_record;
    reader->at = reader->read_at = NW_SPOOL_HEADER_BYTES;
    reader->pieces[0].head = reader->pieces[0].tail = 0;
    reader->pieces[1].head = reader->pieces[1].tail = 0;
}

bool nw_spool_reader_init(struct nw_spool *spool)
{
    struct nw_spool_reader *reader = &spool->reader;

    reader->file = -1;
    reader->pieces[0].bytes = malloc((size_t)2 * NW_SPOOL_READ_BYTES);
    reader->pieces[1].bytes = malloc((size_t)2 * NW_SPOOL_READ_BYTES);
    return reader->pieces[0].bytes != NULL && reader->pieces[1].bytes != NULL;
}

void nw_spool_reader_fini(struct nw_spool *spool)
{
    nw_spool_file_close(spool, &spool->reader.file);
    free(spool->reader.pieces[0].bytes);
    free(spool->reader.pieces[1].bytes);
    free(spool->reader.large);
}

static nw_status damaged(const struct nw_spool *spool, const char *why, struct nw_error *err)
{
    char path[NW_SPOOL_PATH_SIZE];

    return nw_fail(err, NW_CORRUPT, "NW2505 the spool is damaged in %s at offset %" PRIu64 ": %s",
                   nw_spool_path(spool->options.folder, spool->reader.segment, path),
                   spool->reader.at, why);
}

/* ---- pieces ---- */

static uint32_t unread(const struct nw_spool_piece *piece)
{
    return piece->busy ? 0 : piece->tail - piece->head;
}

static nw_status reader_open(struct nw_spool *spool, struct nw_error *err)
{
    struct nw_env *env = spool->options.env;
    struct nw_spool_reader *reader = &spool->reader;
    char path[NW_SPOOL_PATH_SIZE];
    nw_status status = NW_OK;

    if (reader->file >= 0) {
        return NW_OK;
    }
    status = env->ops->file_open(env, nw_spool_path(spool->options.folder, reader->segment, path),
                                 NW_FILE_READ_ONLY, &reader->file, err);
    if (status != NW_OK) {
        reader->file = -1;
    }
    return status;
}

/* Starts to read what follows into a piece that is empty. */
static nw_status piece_read(struct nw_spool *spool, struct nw_spool_piece *piece,
                            uint64_t file_bytes, struct nw_error *err)
{
    struct nw_env *env = spool->options.env;
    struct nw_spool_reader *reader = &spool->reader;
    uint64_t left = file_bytes - reader->read_at;
    uint32_t size = left < NW_SPOOL_READ_BYTES ? (uint32_t)left : NW_SPOOL_READ_BYTES;
    nw_status status = reader_open(spool, err);

    if (status != NW_OK) {
        return status;
    }
    piece->op = (struct nw_file_op){.verb = NW_FILE_READ,
                                    .file = reader->file,
                                    .bytes = piece->bytes + NW_SPOOL_READ_BYTES,
                                    .offset = reader->read_at,
                                    .size = size};
    status = env->ops->io_submit(env, spool->io, &piece->op, err);
    if (status == NW_OK) {
        spool->under_way++;
        piece->busy = true;
        piece->head = NW_SPOOL_READ_BYTES;
        piece->tail = NW_SPOOL_READ_BYTES + size;
        reader->read_at += size;
    }
    return status;
}

/* Whether a read that came back brought all that was asked for. */
static nw_status read_check(const struct nw_spool *spool, const struct nw_file_op *op,
                            struct nw_error *err)
{
    char path[NW_SPOOL_PATH_SIZE];

    if (op->result < 0) {
        return nw_fail(err, NW_RETRY, "NW2504 cannot read the spool, %s: %s",
                       nw_spool_path(spool->options.folder, spool->reader.segment, path),
                       nw_errno_text(-op->result));
    }
    return (uint32_t)op->result == op->size ? NW_OK : damaged(spool, "the file ends early", err);
}

/* Goes on to the other piece, with what the current one left over in front of it. */
static nw_status pieces_turn(struct nw_spool *spool, struct nw_error *err)
{
    struct nw_spool_reader *reader = &spool->reader;
    struct nw_spool_piece *from = &reader->pieces[reader->current];
    struct nw_spool_piece *to = &reader->pieces[1 - reader->current];
    uint32_t rest = unread(from);
    nw_status status = read_check(spool, &to->op, err);

    if (status != NW_OK) {
        return status;
    }
    NW_ASSERT(rest <= NW_SPOOL_READ_BYTES && to->head == NW_SPOOL_READ_BYTES);
    if (rest > 0) {
        to->head -= rest;
        memcpy(to->bytes + to->head, from->bytes + from->head, rest);
    }
    from->head = from->tail = 0;
    reader->current = 1 - reader->current;
    return NW_OK;
}

/* ---- supply ---- */

static enum supply supply_decide(struct nw_spool *spool, const struct nw_spool_segment *segment,
                                 uint64_t file_bytes)
{
    const struct nw_spool_reader *reader = &spool->reader;

    if (reader->read_at < file_bytes) {
        return SUPPLY_READ;
    }
    if (reader->read_at < segment->bytes) {
        return SUPPLY_MEMORY;
    }
    return segment->number != spool->segments[spool->segments_count - 1].number ? SUPPLY_SEGMENT
                                                                                : SUPPLY_NONE;
}

/* What is in memory goes into a piece, but for a record that no piece holds. */
static void memory_take(struct nw_spool *spool)
{
    struct nw_spool_reader *reader = &spool->reader;
    struct nw_spool_piece *piece = &reader->pieces[reader->current];
    struct nw_bytes bytes = nw_spool_memory_at(spool, reader->segment, reader->read_at);
    uint32_t size = bytes.size < NW_SPOOL_READ_BYTES ? (uint32_t)bytes.size : NW_SPOOL_READ_BYTES;

    NW_ASSERT(unread(piece) == 0 && size > 0);
    memcpy(piece->bytes + NW_SPOOL_READ_BYTES, bytes.at, size);
    piece->head = NW_SPOOL_READ_BYTES;
    piece->tail = NW_SPOOL_READ_BYTES + size;
    reader->read_at += size;
}

/* Gets more behind what is unread. NW_AGAIN while the disk is read; *end when there is no more. */
static nw_status supply_more(struct nw_spool *spool, bool *end, struct nw_error *err)
{
    struct nw_spool_reader *reader = &spool->reader;
    struct nw_spool_segment *segment = nw_spool_segment_find(spool, reader->segment);
    struct nw_spool_piece *other = &reader->pieces[1 - reader->current];
    uint64_t file_bytes = nw_spool_file_bytes(spool, segment);
    uint32_t rest = unread(&reader->pieces[reader->current]);
    nw_status status = NW_OK;

    if (other->busy) {
        return NW_AGAIN;
    }
    if (unread(other) > 0) {
        status = pieces_turn(spool, err);
        return status == NW_OK && reader->read_at < file_bytes
                   ? piece_read(spool, &reader->pieces[1 - reader->current], file_bytes, err)
                   : status;
    }
    switch (supply_decide(spool, segment, file_bytes)) {
    case SUPPLY_READ:
        return piece_read(spool, other, file_bytes, err);
    case SUPPLY_MEMORY:
        if (rest == 0) {
            memory_take(spool);
        }
        break;
    case SUPPLY_SEGMENT:
        if (rest == 0) {
            nw_spool_reader_seek(spool, segment + 1);
        }
        break;
    case SUPPLY_NONE:
        *end = rest == 0;
        break;
    }
    return rest == 0 ? NW_OK : damaged(spool, "a record ends early", err);
}

/* Makes `wanted` bytes available in the current piece. */
static nw_status supply(struct nw_spool *spool, uint32_t wanted, bool *end, struct nw_error *err)
{
    struct nw_spool_reader *reader = &spool->reader;
    nw_status status = NW_OK;
    bool reaped = false;

    *end = false;
    while (unread(&reader->pieces[reader->current]) < wanted && !*end) {
        status = supply_more(spool, end, err);
        if (status == NW_AGAIN && !reaped) { /* often it is done at once */
            reaped = true;
            status = nw_spool_reap(spool, false, err);
        }
        if (status != NW_OK) {
            return status;
        }
    }
    return NW_OK;
}

/* ---- large records ---- */

/* Reads a record on its own: what was read ahead of it is given up. */
static nw_status large_start(struct nw_spool *spool, uint32_t size, struct nw_error *err)
{
    struct nw_env *env = spool->options.env;
    struct nw_spool_reader *reader = &spool->reader;
    const struct nw_spool_segment *segment = nw_spool_segment_find(spool, reader->segment);
    struct nw_bytes memory = {NULL, 0};
    nw_status status = NW_OK;

    reader->large = malloc(size);
    if (reader->large == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for a record of %" PRIu32 " bytes", size);
    }
    reader->large_op = (struct nw_file_op){.verb = NW_FILE_READ,
                                           .bytes = reader->large,
                                           .offset = reader->at,
                                           .size = size,
                                           .result = (int32_t)size};
    if (reader->at >= nw_spool_file_bytes(spool, segment)) {
        memory = nw_spool_memory_at(spool, reader->segment, reader->at);
        NW_ASSERT(memory.size >= size);
        memcpy(reader->large, memory.at, size);
        return NW_OK;
    }
    status = reader_open(spool, err);
    if (status == NW_OK) {
        reader->large_op.file = reader->file;
        status = env->ops->io_submit(env, spool->io, &reader->large_op, err);
    }
    if (status != NW_OK) {
        free(reader->large);
        reader->large = NULL;
        return status;
    }
    spool->under_way++;
    reader->large_busy = true;
    return nw_spool_reap(spool, false, err);
}

/* The bytes of a record that no piece holds. */
static nw_status large_take(struct nw_spool *spool, uint32_t size, struct nw_bytes *bytes,
                            struct nw_error *err)
{
    struct nw_spool_reader *reader = &spool->reader;
    struct nw_spool_piece *pieces = reader->pieces;
    nw_status status = nw_spool_reap(spool, false, err);

    if (status == NW_OK && (pieces[0].busy || pieces[1].busy)) {
        return NW_AGAIN;
    }
    if (status == NW_OK && reader->large == NULL) {
        status = large_start(spool, size, err);
    }
    if (status == NW_OK && reader->large_busy) {
        return NW_AGAIN;
    }
    if (status == NW_OK) {
        status = read_check(spool, &reader->large_op, err);
    }
    if (status != NW_OK) {
        return status;
    }
    pieces[0].head = pieces[0].tail = pieces[1].head = pieces[1].tail = 0;
    reader->read_at = reader->at + size;
    *bytes = (struct nw_bytes){reader->large, size};
    return NW_OK;
}

/* ---- records ---- */

/* The bytes of the next record. */
static nw_status record_bytes(struct nw_spool *spool, struct nw_bytes *bytes, bool *end,
                              struct nw_error *err)
{
    struct nw_spool_reader *reader = &spool->reader;
    struct nw_spool_piece *piece = NULL;
    uint64_t size = NW_SPOOL_RECORD_HEADER_BYTES;
    nw_status status = supply(spool, NW_SPOOL_RECORD_HEADER_BYTES, end, err);

    if (status != NW_OK || *end) {
        return status;
    }
    piece = &reader->pieces[reader->current];
    size += nw_spool_record_body_size(piece->bytes + piece->head);
    if (size > nw_spool_segment_find(spool, reader->segment)->bytes - reader->at) {
        return damaged(spool, "a record ends early", err);
    }
    if (size > NW_SPOOL_RECORD_HEADER_BYTES + NW_SPOOL_BODY_BYTES_MAX) {
        return damaged(spool, "a record is longer than any message", err);
    }
    if (size > NW_SPOOL_READ_BYTES) {
        return large_take(spool, (uint32_t)size, bytes, err);
    }
    status = supply(spool, (uint32_t)size, end, err);
    if (status == NW_OK) {
        NW_ASSERT(!*end);
        piece = &reader->pieces[reader->current];
        *bytes = (struct nw_bytes){piece->bytes + piece->head, (size_t)size};
        piece->head += (uint32_t)size;
    }
    return status;
}

nw_status nw_spool_reader_next(struct nw_spool *spool, struct nw_spool_record *record,
                               uint32_t *kind, bool *end, struct nw_error *err)
{
    struct nw_spool_reader *reader = &spool->reader;
    struct nw_bytes bytes = {NULL, 0};
    const char *why = NULL;
    nw_status status = NW_OK;

    if (reader->large != NULL && !reader->large_busy && reader->at == reader->read_at) {
        free(reader->large); /* the record before */
        reader->large = NULL;
    }
    status = record_bytes(spool, &bytes, end, err);
    if (status != NW_OK || *end) {
        return status;
    }
    why = nw_spool_record_take(bytes, spool->id, reader->record, record, kind);
    if (why != NULL) {
        return damaged(spool, why, err);
    }
    reader->at += bytes.size;
    reader->record++;
    return NW_OK;
}

nw_status nw_spool_next(struct nw_spool *spool, struct nw_spool_record *record, bool *end,
                        struct nw_error *err)
{
    struct nw_error why = {0};
    uint32_t kind = 0;
    nw_status status = NW_OK;

    do {
        status = nw_spool_reader_next(spool, record, &kind, end, &why);
    } while (status == NW_OK && !*end && kind == NW_SPOOL_TRIM);
    if (status == NW_CORRUPT) {
        return nw_fail(err, status,
                       "%s; start narwal again: it then reads all of the spool, and says what is "
                       "lost",
                       why.text);
    }
    return status == NW_OK || status == NW_AGAIN ? status : nw_fail(err, status, "%s", why.text);
}
