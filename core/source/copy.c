/* SPDX-License-Identifier: Apache-2.0 */
/* See copy.h. All state belongs to the reader's thread; the counters are read by others. */
#include "source/copy.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "source/position.h"

#define MESSAGES_PER_STEP 4096
#define FLUSH_NS          20000000LL
#define SIGNATURE         "PGCOPY\n\377\r\n\0"
#define SIGNATURE_BYTES   11u

struct nw_copy_reader {
    struct nw_copy_reader_options options;
    struct nw_receiver *receiver;
    struct nw_transmitter transmitter;
    struct nw_copy_task *task; /* being copied; NULL: none */
    struct nw_block *open;
    bool begun;   /* its begin block was dealt */
    bool checked; /* the row of checks was right */
    bool header_seen;
    bool trailer_seen;
    bool failed; /* the server refused; waits for ReadyForQuery */
    bool undone; /* ROLLBACK was sent behind a refusal */
    bool broken; /* the connection is of no use any more */
    struct nw_message pending;
    bool has_pending, starved;
    int64_t now_ns;
    _Atomic uint64_t rows, bytes; /* counters; read by anyone */
};

nw_status nw_copy_reader_create(const struct nw_copy_reader_options *options,
                                struct nw_copy_reader **reader, struct nw_error *err)
{
    struct nw_copy_reader *made = calloc(1, sizeof *made);
    nw_status status = NW_OK;

    if (made == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for a copy reader");
    }
    made->options = *options;
    nw_transmitter_init(&made->transmitter, options->stream);
    status = nw_receiver_create(options->stream, &made->receiver, err);
    if (status != NW_OK) {
        nw_transmitter_fini(&made->transmitter);
        free(made);
        return status;
    }
    *reader = made;
    return NW_OK;
}

void nw_copy_reader_destroy(struct nw_copy_reader *reader)
{
    if (reader == NULL) {
        return;
    }
    if (reader->open != NULL) {
        nw_producer_put(reader->options.producer, reader->open);
    }
    nw_receiver_destroy(reader->receiver);
    nw_transmitter_fini(&reader->transmitter);
    free(reader);
}

void nw_copy_reader_counts(const struct nw_copy_reader *reader, uint64_t *rows, uint64_t *bytes)
{
    *rows = atomic_load_explicit(&reader->rows, memory_order_relaxed);
    *bytes = atomic_load_explicit(&reader->bytes, memory_order_relaxed);
}

static void task_finish(struct nw_copy_reader *reader, nw_status status)
{
    bool pushed = false;

    reader->task->status = status;
    pushed = nw_spsc_push(reader->options.done, reader->task);
    NW_ASSERT(pushed);
    reader->task = NULL;
}

static nw_status query_send(struct nw_copy_reader *reader, const char *sql, struct nw_error *err)
{
    nw_status status = nw_transmitter_queue(&reader->transmitter, 'Q', sql, strlen(sql) + 1, err);

    if (status == NW_OK) {
        status = nw_transmitter_flush(&reader->transmitter, err);
    }
    return status == NW_AGAIN ? NW_OK : status;
}

static nw_status task_start(struct nw_copy_reader *reader, struct nw_error *err)
{
    struct nw_copy_task *task = nw_spsc_pop(reader->options.tasks);

    if (task == NULL) {
        return NW_AGAIN;
    }
    reader->task = task;
    task->rows = task->bytes = 0;
    reader->begun = reader->checked = reader->header_seen = reader->trailer_seen = false;
    reader->failed = reader->undone = false;
    return query_send(reader, task->sql, err);
}

/* A free block behind the ones dealt before, or NW_AGAIN. */
static nw_status block_take(struct nw_copy_reader *reader, enum nw_block_kind kind,
                            struct nw_block **block)
{
    if (nw_producer_room(reader->options.producer) == 0) {
        return NW_AGAIN;
    }
    *block = nw_producer_take(reader->options.producer);
    if (*block == NULL) {
        return NW_AGAIN;
    }
    (*block)->kind = kind;
    (*block)->epoch = 0; /* the sequencers put copies into their own open epoch */
    (*block)->table = reader->task->table;
    (*block)->generation = reader->task->generation;
    (*block)->fence_lsn = reader->task->fence_lsn;
    (*block)->received_ns = reader->now_ns;
    return NW_OK;
}

static nw_status open_flush(struct nw_copy_reader *reader)
{
    if (reader->open == NULL) {
        return NW_OK;
    }
    if (nw_producer_room(reader->options.producer) == 0) {
        return NW_AGAIN;
    }
    nw_producer_deal(reader->options.producer, reader->open);
    reader->open = NULL;
    return NW_OK;
}

/* The begin or end of this table's copy, as a block of its own. */
static nw_status mark_deal(struct nw_copy_reader *reader, enum nw_block_kind kind,
                           struct nw_error *err)
{
    const struct nw_copy_task *task = reader->task;
    struct nw_block *block = NULL;
    bool complete = kind == NW_BLOCK_COPY_END;
    nw_status status = open_flush(reader);

    if (status == NW_OK) {
        status = block_take(reader, kind, &block);
    }
    if (status != NW_OK) {
        return status;
    }
    if (nw_block_reserve(block, NW_COPY_BYTES_MAX) == NULL) {
        nw_producer_put(reader->options.producer, block);
        return nw_fail(err, NW_FATAL, "out of memory for a copy's state");
    }
    block->bytes_size = nw_copy_pack(task->fence_lsn, complete, block->bytes);
    block->copy = (struct nw_copy_state){.relation_oid = task->table->relation_oid,
                                         .generation = task->generation,
                                         .complete = complete,
                                         .bytes = block->bytes,
                                         .size = block->bytes_size};
    nw_producer_deal(reader->options.producer, block);
    return NW_OK;
}

/* The row of checks: the snapshot's text, and whether the table still has its file. */
static nw_status checks_take(struct nw_copy_reader *reader, struct nw_bytes body,
                             struct nw_error *err)
{
    const struct nw_copy_task *task = reader->task;
    struct nw_cursor cursor = nw_cursor_of(body.at, body.size);
    uint16_t count = nw_cursor_u16be(&cursor);
    struct nw_bytes snapshot = nw_cursor_bytes(&cursor, nw_cursor_u32be(&cursor));
    struct nw_bytes same_file = nw_cursor_bytes(&cursor, nw_cursor_u32be(&cursor));

    if (count != 2 || !nw_cursor_done(&cursor)) {
        return nw_fail(err, NW_CORRUPT, "the checks before copying %s.%s came back malformed",
                       task->table->schema_name, task->table->name);
    }
    if (snapshot.at == NULL || snapshot.size != strlen(task->snapshot) ||
        memcmp(snapshot.at, task->snapshot, snapshot.size) != 0) {
        return nw_fail(err, NW_RETRY, "a copy session of %s.%s does not see the shared snapshot",
                       task->table->schema_name, task->table->name);
    }
    if (same_file.size != 1 || same_file.at[0] != 't') {
        return nw_fail(err, NW_RETRY,
                       "%s.%s was rewritten (ALTER TABLE, TRUNCATE, VACUUM FULL or CLUSTER) since "
                       "the snapshot was taken: the copy begins again",
                       task->table->schema_name, task->table->name);
    }
    reader->checked = true;
    return NW_OK;
}

/* The end of the tuple at the cursor; the cursor is moved behind it. */
static nw_status tuple_skip(struct nw_cursor *cursor, uint16_t fields)
{
    for (uint16_t i = 0; i < fields && !cursor->failed; i++) {
        uint32_t size = nw_cursor_u32be(cursor);

        if (size != UINT32_MAX) { /* -1: NULL */
            (void)nw_cursor_take(cursor, size);
        }
    }
    return cursor->failed ? NW_CORRUPT : NW_OK;
}

/* Only this thread adds, so that no locked addition is needed. */
static void count(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more,
                          memory_order_relaxed);
}

static nw_status row_deal(struct nw_copy_reader *reader, struct nw_bytes tuple,
                          struct nw_error *err)
{
    struct nw_block *block = reader->open;
    struct nw_frame *frame = NULL;
    nw_status status = NW_OK;

    if (block != NULL && (block->frames_count == NW_BLOCK_ROWS_MAX ||
                          block->bytes_size + tuple.size > NW_BLOCK_BYTES)) {
        status = open_flush(reader);
    }
    if (status == NW_OK && reader->open == NULL) {
        status = block_take(reader, NW_BLOCK_COPY, &reader->open);
    }
    if (status != NW_OK) {
        return status;
    }
    block = reader->open;
    frame = &block->frames[block->frames_count];
    *frame = (struct nw_frame){.size = (uint32_t)tuple.size, .op = NW_OP_INSERT};
    frame->row_lsn = reader->task->fence_lsn;
    if (!nw_block_append(block, tuple.at, tuple.size, &frame->offset)) {
        return nw_fail(err, NW_FATAL, "out of memory for a row of %s.%s (%zu bytes)",
                       reader->task->table->schema_name, reader->task->table->name, tuple.size);
    }
    block->frames_count++;
    reader->task->rows++;
    reader->task->bytes += tuple.size;
    count(&reader->rows, 1);
    count(&reader->bytes, tuple.size);
    return NW_OK;
}

static nw_status header_take(struct nw_cursor *cursor, struct nw_error *err)
{
    struct nw_bytes signature = nw_cursor_bytes(cursor, SIGNATURE_BYTES);
    uint32_t flags = nw_cursor_u32be(cursor);
    uint32_t extension = nw_cursor_u32be(cursor);

    (void)nw_cursor_bytes(cursor, extension);
    if (cursor->failed || memcmp(signature.at, SIGNATURE, SIGNATURE_BYTES) != 0 ||
        (flags & 0xffff0000u) != 0) {
        return nw_fail(err, NW_CORRUPT, "COPY BINARY begins with a header that is not known");
    }
    return NW_OK;
}

/*
 * One CopyData message: the header, tuples, the trailer. The server never splits a tuple. With
 * NW_AGAIN the message is taken again from where it stopped: what was dealt is cut off its front.
 */
static nw_status data_take(struct nw_copy_reader *reader, struct nw_message *message,
                           struct nw_error *err)
{
    struct nw_cursor cursor = nw_cursor_of(message->body.at, message->body.size);
    nw_status status = NW_OK;

    if (!reader->checked) {
        return nw_fail(err, NW_CORRUPT, "rows came before the checks of the copy");
    }
    if (!reader->header_seen) {
        status = header_take(&cursor, err);
        reader->header_seen = status == NW_OK;
        message->body = (struct nw_bytes){cursor.at, cursor.left};
    }
    while (status == NW_OK && cursor.left > 0) {
        struct nw_cursor tuple = cursor;
        uint16_t fields = nw_cursor_u16be(&cursor);

        if (fields == UINT16_MAX && !reader->trailer_seen && cursor.left == 0) {
            reader->trailer_seen = true;
            break;
        }
        if (reader->trailer_seen || fields != reader->task->table->columns_count ||
            tuple_skip(&cursor, fields) != NW_OK) {
            return nw_fail(
                err, NW_CORRUPT, "COPY BINARY of %s.%s: a malformed tuple after row %" PRIu64,
                reader->task->table->schema_name, reader->task->table->name, reader->task->rows);
        }
        status = row_deal(reader, (struct nw_bytes){tuple.at, tuple.left - cursor.left}, err);
        if (status == NW_OK) {
            message->body = (struct nw_bytes){cursor.at, cursor.left};
        }
    }
    return status;
}

/* Somebody else's lock was in the way, and nothing was read yet: the same can be tried again. */
static bool is_locked(const struct nw_copy_reader *reader, const char *sqlstate)
{
    return !reader->begun && (strcmp(sqlstate, "55P03") == 0 || strcmp(sqlstate, "40P01") == 0);
}

static nw_status server_failed(struct nw_copy_reader *reader, struct nw_bytes body)
{
    struct nw_copy_task *task = reader->task;
    struct nw_server_error error;

    nw_server_error_parse(body, &error);
    if (reader->failed) { /* of the ROLLBACK: the first reason stands */
        return NW_OK;
    }
    reader->failed = true;
    if (is_locked(reader, error.sqlstate)) {
        task->status = NW_AGAIN;
    } else if (strcmp(error.sqlstate, "42501") == 0) {
        task->status = nw_fail(&task->error, NW_FATAL,
                               "copying %s.%s: %s: grant it, for example "
                               "GRANT SELECT ON \"%s\".\"%s\" to narwal's role",
                               task->table->schema_name, task->table->name, error.message,
                               task->table->schema_name, task->table->name);
    } else {
        task->status =
            nw_fail(&task->error, NW_RETRY, "copying %s.%s: %s (%s)", task->table->schema_name,
                    task->table->name, error.message, error.sqlstate);
    }
    return NW_OK;
}

/* ReadyForQuery: the transaction is over, one way or the other. */
static nw_status task_over(struct nw_copy_reader *reader, struct nw_bytes body,
                           struct nw_error *err)
{
    struct nw_copy_task *task = reader->task;
    nw_status status = NW_OK;

    if (reader->failed && !reader->undone && body.size == 1 && body.at[0] == 'E') {
        reader->undone = true; /* the session is in the failed transaction until it is told */
        return query_send(reader, "ROLLBACK", err);
    }
    if (reader->failed) {
        task_finish(reader, task->status);
        return NW_OK;
    }
    if (!reader->trailer_seen) {
        return nw_fail(err, NW_CORRUPT, "COPY BINARY of %s.%s ended without its trailer",
                       task->table->schema_name, task->table->name);
    }
    status = mark_deal(reader, NW_BLOCK_COPY_END, err);
    if (status == NW_OK) {
        task_finish(reader, NW_OK);
    }
    return status;
}

static nw_status message_take(struct nw_copy_reader *reader, struct nw_message *message,
                              struct nw_error *err)
{
    nw_status status = NW_OK;

    switch (message->type) {
    case 'D':
        return checks_take(reader, message->body, err);
    case 'H': /* CopyOutResponse: the rows follow */
        if (!reader->begun) {
            status = mark_deal(reader, NW_BLOCK_COPY_BEGIN, err);
            reader->begun = status == NW_OK;
        }
        return status;
    case 'd':
        return data_take(reader, message, err);
    case 'E':
        return server_failed(reader, message->body);
    case 'Z':
        return task_over(reader, message->body, err);
    default: /* T, C, c, N, S: nothing to do */
        return NW_OK;
    }
}

static nw_status copy_step(struct nw_copy_reader *reader, uint32_t *work, struct nw_error *err)
{
    nw_status status = nw_transmitter_flush(&reader->transmitter, err);
    bool filled = false;

    status = status == NW_AGAIN ? NW_OK : status;
    reader->starved = false;
    for (int i = 0; i < MESSAGES_PER_STEP && status == NW_OK && reader->task != NULL; i++) {
        if (!reader->has_pending) {
            status = nw_receiver_next(reader->receiver, &reader->pending, err);
            reader->has_pending = status == NW_OK;
            if (status == NW_AGAIN && !filled) {
                size_t got = 0;

                filled = true;
                status = nw_receiver_fill(reader->receiver, reader->now_ns, &got, err);
                *work += got > 0;
                continue;
            }
        }
        if (status == NW_OK) {
            status = message_take(reader, &reader->pending, err);
            reader->has_pending = status == NW_AGAIN;
            reader->starved = status == NW_AGAIN;
            *work += status == NW_OK;
        }
    }
    return status == NW_AGAIN ? NW_OK : status;
}

static nw_status do_work(void *self, int64_t now_ns, uint32_t *work, struct nw_error *err)
{
    struct nw_copy_reader *reader = self;
    struct nw_error why = {0};
    nw_status status = NW_OK;

    (void)err; /* a reader's failure is its task's: the conductor decides */
    reader->now_ns = now_ns;
    if (reader->broken) {
        return NW_OK;
    }
    if (reader->task == NULL) {
        status = task_start(reader, &why);
        *work += status == NW_OK;
    }
    if (reader->task != NULL && status == NW_OK) {
        status = copy_step(reader, work, &why);
    }
    if (reader->open != NULL && now_ns - reader->open->received_ns >= FLUSH_NS) {
        *work += open_flush(reader) == NW_OK;
    }
    if (status != NW_OK && status != NW_AGAIN && reader->task != NULL) {
        reader->task->error = why;
        reader->broken = true;
        task_finish(reader, status);
    }
    return NW_OK;
}

static void wait_for(void *self, int64_t now_ns, struct nw_wait *wait)
{
    struct nw_copy_reader *reader = self;

    *wait = (struct nw_wait){.descriptor = -1, .deadline_ns = INT64_MAX};
    if (reader->task != NULL && !reader->starved) {
        nw_receiver_wait(reader->receiver, now_ns, wait);
    }
    if (reader->open != NULL && wait->deadline_ns > reader->open->received_ns + FLUSH_NS) {
        wait->deadline_ns = reader->open->received_ns + FLUSH_NS;
        if (wait->deadline_ns <= now_ns) {
            wait->deadline_ns = now_ns + 1000000;
        }
    }
}

struct nw_agent nw_copy_reader_agent(struct nw_copy_reader *reader)
{
    return (struct nw_agent){.name = "copy", .self = reader, .do_work = do_work, .wait = wait_for};
}
